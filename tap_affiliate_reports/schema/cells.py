"""Encodes the texts of a column as JSON, many at a time, with the same values as `parser`.

The usual form of a column is checked first, with a few calls for the complete column. The texts of
any other column are parsed individually.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
from singer_sdk.contrib.msgspec import encoder

from tap_affiliate_reports.schema.columns import Kind
from tap_affiliate_reports.schema.values import (
    MAX_EXPONENT,
    MINUTES_SECONDS,
    PLAIN_DECIMAL,
    Unreadable,
    hour_in_utc,
    parser,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import tzinfo

# How many texts are cached with their JSON, and how long one may be.
_MEMORY = 8192
_MAX_REMEMBERED = 64

_MISFIT = ""  # not the JSON of any value
# Numbers up to these lengths are never too large for their column and never have too many digits.
_INTEGER_LENGTH = 18
_DECIMAL_LENGTH = MAX_EXPONENT
_SINGER_LENGTH = 20

_OFFSET_LENGTH = len(" +HH:MM")
_MAX_OFFSETS = 8

_number_grammar = msgspec.json.Decoder(msgspec.Raw)


@dataclass
class Cells:
    """A column as JSON, one text per row; `quote` must be added before and after each of them.

    `misfits` are the texts that don't fit, with their places in the column; their JSON is null.
    """

    json: Sequence[str]
    quote: str = ""
    misfits: Sequence[tuple[int, str]] = ()


def column_encoder(
    kind: Kind, *, timezone: tzinfo, singer_decimal: bool = False
) -> Callable[[Sequence[str]], Cells | None]:
    """Return the function that encodes texts; it returns None if all are empty, hence null."""
    individual = _CachedCells(kind, timezone, singer_decimal=singer_decimal)
    if kind is Kind.DATETIME:
        usual: Callable[[Sequence[str]], Cells | None] = _DateTimes(timezone).usual
    elif kind is Kind.DECIMAL:
        usual = _singer_decimals if singer_decimal else _decimals
    else:
        usual = _USUAL.get(kind, _none)

    def encode(texts: Sequence[str]) -> Cells | None:
        if all(texts):
            return usual(texts) or individual.cells(texts)
        cells = encode_some(texts)
        if Unreadable in map(type, texts):
            misfits = [
                (place, text.text)
                for place, text in enumerate(texts)
                if isinstance(text, Unreadable)
            ]
            cells = cells or Cells(["null"] * len(texts))
            cells.misfits = [*cells.misfits, *misfits]
        return cells

    def encode_some(texts: Sequence[str]) -> Cells | None:
        present = list(filter(None, texts))
        if not present:
            return None
        cells = usual(present)
        if cells is None:
            return individual.cells(texts)
        quoted = [f'"{json}"' for json in cells.json] if cells.quote else cells.json
        next_json = iter(quoted).__next__
        return Cells([next_json() if text else "null" for text in texts])

    return encode


class _CachedCells(dict[str, str]):
    """Encodes texts individually; a cache from text to JSON."""

    def __init__(self, kind: Kind, timezone: tzinfo, *, singer_decimal: bool) -> None:
        self._value_of = parser(kind, timezone=timezone, singer_decimal=singer_decimal)

    def cells(self, texts: Sequence[str]) -> Cells:
        if len(self) > _MEMORY:
            self.clear()
        json = list(map(self.__getitem__, texts))
        if _MISFIT not in json:
            return Cells(json)
        misfits = [
            (place, texts[place].replace("\0", ""))
            for place, fragment in enumerate(json)
            if fragment == _MISFIT
        ]
        return Cells([fragment or "null" for fragment in json], misfits=misfits)

    def __missing__(self, text: str) -> str:
        # No warehouse accepts U+0000.
        kept = text.replace("\0", "")
        try:
            value = self._value_of(kept) if kept else None
        except ValueError:
            fragment = _MISFIT
        else:
            fragment = encoder.encode(value).decode()
        if len(text) <= _MAX_REMEMBERED:
            self[text] = fragment
        return fragment


def _strings(texts: Sequence[str]) -> Cells | None:
    lines = encoder.encode_lines(texts)
    if b"\\" not in lines:
        return Cells(texts, '"')
    if b"\\u0000" in lines:
        return None
    # Line ends within texts are escaped.
    return Cells(lines.decode().split("\n")[:-1])


def _numbers(texts: Sequence[str], characters: bytes, length: int) -> Cells | None:
    """Return texts unchanged if they are JSON numbers of these characters, up to this length."""
    joined = ",".join(texts)
    if (
        joined.isascii()
        and max(map(len, texts)) <= length
        and joined.count(",") == len(texts) - 1
        and not (array := joined.encode()).translate(None, characters)
    ):
        try:
            # Validates the array without creating its values; "007" and "5." are not JSON.
            _number_grammar.decode(b"[%b]" % array)
        except msgspec.DecodeError:
            return None
        return Cells(texts)
    return None


def _integers(texts: Sequence[str]) -> Cells | None:
    return _numbers(texts, b"0123456789-,", _INTEGER_LENGTH)


def _decimals(texts: Sequence[str]) -> Cells | None:
    return _numbers(texts, b"0123456789-,.", _DECIMAL_LENGTH)


def _singer_decimals(texts: Sequence[str]) -> Cells | None:
    is_plain = (
        _numbers(texts, b"0123456789-,.", _SINGER_LENGTH) is not None
        or all(map(PLAIN_DECIMAL.fullmatch, texts))
    )  # fmt: skip
    return Cells(texts, '"') if is_plain else None


class _DateTimes:
    """Encodes date-times in full seconds with one offset, by lookups of their repeated halves."""

    def __init__(self, timezone: tzinfo) -> None:
        self._timezone = timezone
        # By offset: the hours in UTC by YYYY-MM-DDTHH, and the rest by :MM:SS and offset.
        self._halves: dict[str, tuple[dict[str, str], dict[str, str]]] = {}

    def usual(self, texts: Sequence[str]) -> Cells | None:
        sample = texts[::8]
        if len(set(sample)) * 4 < len(sample) * 3:
            return None  # few texts differ, as with days: the cache of complete texts is faster
        offset = texts[0][19:]
        if len(offset) > _OFFSET_LENGTH:
            return None
        if offset not in self._halves:
            if len(self._halves) > _MAX_OFFSETS:
                self._halves.clear()
            self._halves[offset] = {}, {clock + offset: f"{clock}Z" for clock in MINUTES_SECONDS}
        hours, clocks = self._halves[offset]
        try:
            return Cells([hours[text[:13]] + clocks[text[13:]] for text in texts], '"')
        except KeyError:
            pass
        if len(hours) > _MEMORY:
            hours.clear()
        for hour in {text[:13] for text in texts} - hours.keys():
            if in_utc := hour_in_utc(hour, offset, self._timezone):
                hours[hour] = in_utc
        try:
            return Cells([hours[text[:13]] + clocks[text[13:]] for text in texts], '"')
        except KeyError:
            return None


def _none(_: Sequence[str]) -> Cells | None:
    return None


_USUAL: dict[Kind, Callable[[Sequence[str]], Cells | None]] = {
    Kind.STRING: _strings,
    Kind.INTEGER: _integers,
}
