"""Converts the texts of a column to an Arrow array, with the same values as `parser`.

Arrow's own casts convert the usual form of a column. A cast is only used for texts for which it is
known to be exact: Arrow reads "0x1F" as an integer, for example, and wraps decimals that overflow.
The texts of any other column are parsed individually.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from functools import lru_cache, partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tap_affiliate_reports.schema.columns import Kind
from tap_affiliate_reports.schema.values import MAX_TEXT, Unreadable, hour_in_utc, parser

SCALE = 18
DECIMAL = pa.decimal128(38, SCALE)
TYPES: Mapping[Kind, pa.DataType] = {
    Kind.STRING: pa.string(),
    Kind.INTEGER: pa.int64(),
    Kind.DECIMAL: DECIMAL,
    Kind.BOOLEAN: pa.bool_(),
    Kind.DATE: pa.date32(),
    Kind.DATETIME: pa.timestamp("us", tz="UTC"),
}
"""The Arrow type of a column of each kind."""

# How many hours are cached with their shifts.
_MEMORY = 16_384
_MICROSECOND = timedelta(microseconds=1)
_LOCAL = pa.timestamp("us")
_MICROSECOND_DIGITS = 6
_TOO_LARGE = 1e20
_SECOND, _HOUR = len("YYYY-MM-DDTHH:MM:SS"), len("YYYY-MM-DDTHH")
_FIRST_DAY = (date.min - date(1970, 1, 1)).days


@dataclass
class ArrayCells:
    """A column as an array; `misfits` are the texts that don't fit, with their places: null."""

    values: pa.Array
    misfits: Sequence[tuple[int, str]] = ()


ArrayEncoder = Callable[[pa.Array], ArrayCells]
"""Converts an array of texts, in which an empty text is null."""


def texts_of(texts: Sequence[str]) -> tuple[pa.Array, list[tuple[int, str]]]:
    """Return texts as an array, and those that are Unreadable with their places."""
    # No warehouse accepts U+0000.
    array = pa.array([text.replace("\0", "") or None for text in texts], pa.string())
    unreadable = [
        (place, text.text) for place, text in enumerate(texts) if isinstance(text, Unreadable)
    ]
    return array, unreadable


def array_encoder(kind: Kind, *, timezone: tzinfo) -> ArrayEncoder:
    """Return the function that converts texts to an array of this kind.

    `timezone` is that of date-times without an offset. Decimals have 20 digits before the point and
    18 after it, date-times have microseconds; a value that needs more does not fit.
    """
    if kind is Kind.STRING:
        return ArrayCells
    usual = _DateTimes(timezone).usual if kind is Kind.DATETIME else _USUAL[kind]
    value_of = parser(kind, timezone=timezone, singer_decimal=True)
    form = _microseconds if kind is Kind.DATETIME else str

    def encode(texts: pa.Array) -> ArrayCells:
        if texts.null_count == len(texts):
            return ArrayCells(pa.nulls(len(texts), TYPES[kind]))
        try:
            values = usual(texts)
        except pa.ArrowInvalid:
            values = None
        if values is not None:
            return ArrayCells(values)
        return _individually(texts, TYPES[kind], lambda text: form(value_of(text)))

    return encode


def _individually(texts: pa.Array, type_: pa.DataType, form: Callable[[str], str]) -> ArrayCells:
    """Convert texts by their form that Arrow casts exactly, each different text once."""
    encoded = texts.dictionary_encode()
    forms: list[str | None] = []
    wrong: dict[int, str] = {}
    for number, text in enumerate(encoded.dictionary.to_pylist()):
        try:
            forms.append(form(text))
        except ValueError:
            forms.append(None)
            wrong[number] = text
    values = pa.array(forms, pa.string()).cast(type_).take(encoded.indices)
    if not wrong:
        return ArrayCells(values)
    places = enumerate(encoded.indices.to_pylist())
    return ArrayCells(values, [(place, wrong[n]) for place, n in places if n in wrong])


def _microseconds(moment: str) -> str:
    """Return a date-time in UTC to the microsecond; raise ValueError if it has more digits."""
    seconds, _, fraction = moment[:-1].partition(".")
    fraction = fraction.rstrip("0")
    if len(fraction) > _MICROSECOND_DIGITS:
        raise ValueError("more digits than microseconds have")
    return f"{seconds}.{fraction}Z" if fraction else f"{seconds}Z"


def _consists_of(texts: pa.Array, characters: bytes) -> bool:
    """Return whether texts surely have no other characters."""
    # The buffer may also have bytes of other texts, which only makes this stricter.
    return not bytes(texts.buffers()[2]).translate(None, characters)


def _longest(texts: pa.Array) -> int:
    """Return the length of the longest text in bytes."""
    return int(pc.max(pc.binary_length(texts)).as_py())


def _integers(texts: pa.Array) -> Any:
    is_plain = _longest(texts) <= MAX_TEXT and _consists_of(texts, b"0123456789-")
    return texts.cast(pa.int64()) if is_plain else None


def _decimals(texts: pa.Array) -> Any:
    # With more digits, or an exponent, Arrow wraps the number or reads it as another.
    if _longest(texts) > DECIMAL.precision or not _consists_of(texts, b"0123456789-+."):
        return None
    # Arrow wraps larger numbers, but it refuses to drop digits after the point.
    sizes = pc.min_max(texts.cast(pa.float64()))
    fits = sizes["min"].as_py() > -_TOO_LARGE and sizes["max"].as_py() < _TOO_LARGE
    return texts.cast(DECIMAL) if fits else None


def _booleans(texts: pa.Array) -> Any:
    return texts.cast(pa.bool_())


def _dates(texts: pa.Array) -> Any:
    days = texts.cast(pa.date32())
    # Arrow accepts the year 0.
    return days if pc.min(days.cast(pa.int32())).as_py() >= _FIRST_DAY else None


class _DateTimes:
    """Converts date-times in full seconds by the shift of each different hour to UTC."""

    def __init__(self, timezone: tzinfo) -> None:
        # Several threads use one cache.
        self._shift = lru_cache(_MEMORY)(partial(_shift, timezone))

    def usual(self, texts: pa.Array) -> Any:
        different = texts.dictionary_encode()
        if len(different.dictionary) * 4 < len(texts):
            values = self._converted(different.dictionary)
            return values and values.take(different.indices)
        return self._converted(texts)

    def _converted(self, texts: pa.Array) -> Any:
        if pc.min(pc.utf8_length(texts)).as_py() < _SECOND or _longest(texts) > MAX_TEXT:
            return None
        local = pc.utf8_slice_codeunits(texts, 0, _SECOND).cast(_LOCAL)
        hours = pc.utf8_replace_slice(texts, _HOUR, _SECOND, "").dictionary_encode()
        shifts = [self._shift(hour) for hour in hours.dictionary.to_pylist()]
        if None in shifts:
            return None
        shift = pa.array(shifts, pa.duration("us")).take(hours.indices)
        return pc.add(local, shift).cast(TYPES[Kind.DATETIME])


def _shift(timezone: tzinfo, hour: str) -> int | None:
    """Return the microseconds from an hour with its offset to UTC; None for a text that is none."""
    in_utc = hour_in_utc(hour[:_HOUR], hour[_HOUR:], timezone)
    return (_hour(in_utc) - _hour(hour)) // _MICROSECOND if in_utc else None


def _hour(text: str) -> datetime:
    return datetime.fromisoformat(f"{text[:10]}T{text[11:_HOUR]}:00:00")


_USUAL: Mapping[Kind, Callable[[pa.Array], Any]] = {
    Kind.INTEGER: _integers,
    Kind.DECIMAL: _decimals,
    Kind.BOOLEAN: _booleans,
    Kind.DATE: _dates,
}
