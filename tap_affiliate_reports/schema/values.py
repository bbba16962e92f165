"""Parses texts as typed values, exactly: no value becomes a float, no digit or instant is lost."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta, timezone, tzinfo
from decimal import Context, Decimal, DecimalException, Inexact, InvalidOperation
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from singer_sdk.contrib.msgspec import encoder

from tap_affiliate_reports.schema.columns import Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

# No valid number or date is longer, so longer texts are not parsed.
MAX_TEXT = 400
MAX_EXPONENT = 300

_INTEGER = re.compile(r" *([+-]?\d+)(?:\.0*)? *", re.ASCII)
_INTEGERS = range(-(2**63), 2**63)

_DECIMAL = re.compile(r" *[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,4})? *", re.ASCII)
_SINGER_STEP = Decimal("1e-18")
_SINGER_CONTEXT = Context(prec=38, traps=[Inexact, InvalidOperation])
# Decimals that fit precision 38 and scale 18 unchanged, as almost all do.
PLAIN_DECIMAL = re.compile(r"-?(?:0|[1-9]\d{0,19})(?:\.\d{1,18})?", re.ASCII)

_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}

_MOMENT = re.compile(
    r" *(?P<day>\d{4}-\d\d-\d\d)"
    r"(?:[T ](?P<hour>\d\d):(?P<minute>[0-5]\d)(?::(?P<second>[0-5]\d)(?P<fraction>\.\d+)?)?"
    r"(?: ?(?P<offset>Z|UTC|GMT|[+-]\d\d(?::?[0-5]\d)?))?)? *",
    re.ASCII,
)
# Almost all date-times are YYYY-MM-DDTHH:MM:SS and an offset, with few different hours.
MINUTES_SECONDS = frozenset(
    f":{minute:02}:{second:02}" for minute in range(60) for second in range(60)
)
_USUAL_LENGTH = len("YYYY-MM-DD HH:MM:SS +HH:MM")


class Unreadable(str):
    """An empty text in place of a value that a file lacks; `text` is what the file has instead.

    Its column is null, and `text` goes into `_unparsed` like the texts that do not fit.
    """

    text: str

    def __new__(cls, text: str) -> Self:
        """Return an empty text with this `text`."""
        empty = super().__new__(cls)
        empty.text = text
        return empty


def json_text(value: Any) -> str:
    """Return a value as compact JSON, with every digit of its numbers."""
    return encoder.encode(value).decode()


def parser(kind: Kind, *, timezone: tzinfo, singer_decimal: bool = False) -> Callable[[str], Any]:
    """Return the function that parses a text that is not empty as a value of this kind.

    It raises ValueError, and no other error, for a text that does not fit.
    `timezone` is that of date-times without an offset.
    """
    if kind is Kind.DECIMAL:
        return _singer_decimal if singer_decimal else _decimal
    if kind is Kind.DATETIME:
        return partial(_datetime, timezone)
    return _PARSERS[kind]


def _integer(text: str) -> int:
    if len(text) <= 18 and text.isdigit() and text.isascii():
        return int(text)
    match = _INTEGER.fullmatch(text) if len(text) <= MAX_TEXT else None
    if match is None:
        raise ValueError("not an integer")
    value = int(match[1])
    if value not in _INTEGERS:
        raise ValueError("beyond 64 bits")
    return value


def _decimal(text: str) -> Decimal:
    if PLAIN_DECIMAL.fullmatch(text):
        return Decimal(text)
    if len(text) > MAX_TEXT or _DECIMAL.fullmatch(text) is None:
        raise ValueError("not a decimal number")
    value = Decimal(text)
    if not -MAX_EXPONENT <= value.adjusted() <= MAX_EXPONENT:
        raise ValueError("out of range")
    return value


def _singer_decimal(text: str) -> str:
    if PLAIN_DECIMAL.fullmatch(text):
        return text
    try:
        return f"{_decimal(text).quantize(_SINGER_STEP, context=_SINGER_CONTEXT):f}"
    except DecimalException as error:
        raise ValueError("more digits than precision 38 and scale 18 have") from error


def _boolean(text: str) -> bool:
    value = _BOOLEANS.get(text.strip(" ").lower())
    if value is None:
        raise ValueError("not a boolean")
    return value


@lru_cache(maxsize=4096)
def _date(text: str) -> str:
    match = _MOMENT.fullmatch(text) if len(text) <= MAX_TEXT else None
    if match is None:
        raise ValueError("not a date")
    day, *clock, offset = match.groups()
    if "".join(part or "" for part in clock).strip("0."):
        raise ValueError("not midnight")
    if offset:
        _zone(offset)
    return date.fromisoformat(day).isoformat()


def _datetime(zone: tzinfo, text: str) -> str:
    clock = text[13:19]
    if clock in MINUTES_SECONDS and len(text) <= _USUAL_LENGTH:
        start = hour_in_utc(text[:13], text[19:], zone)
        if start:
            return f"{start}{clock}Z"
    match = _MOMENT.fullmatch(text) if len(text) <= MAX_TEXT else None
    if match is None:
        raise ValueError("not a date-time")
    day, hour, minute, second, fraction, offset = match.groups()
    local = f"{day}T{hour or '00'}:{minute or '00'}:{second or '00'}"
    return f"{_in_utc(local, offset, zone)}{fraction or ''}Z"


@lru_cache(maxsize=16_384)
def hour_in_utc(hour: str, offset: str, zone: tzinfo) -> str:
    """Return "YYYY-MM-DDTHH" in UTC if all minutes are in one hour there too, else ""."""
    match = _MOMENT.fullmatch(f"{hour}:00:00{offset}")
    if match is None or match["fraction"]:
        return ""
    start = f"{match['day']}T{match['hour']}"
    try:
        first = _in_utc(f"{start}:00:00", match["offset"], zone)
        last = _in_utc(f"{start}:59:59", match["offset"], zone)
    except ValueError:
        return ""
    return first[:13] if first[13:] == ":00:00" and last == f"{first[:13]}:59:59" else ""


def _in_utc(clock: str, offset: str | None, zone: tzinfo) -> str:
    # A repeated hour is the first of the two; a skipped one uses the offset before the gap.
    moment = datetime.fromisoformat(clock).replace(tzinfo=_zone(offset) if offset else zone, fold=0)
    try:
        return moment.astimezone(timezone.utc).isoformat(timespec="seconds")[:19]
    except OverflowError as error:
        raise ValueError("before year 1 or after year 9999") from error


def _zone(offset: str) -> timezone:
    if offset in {"Z", "UTC", "GMT"}:
        return timezone.utc
    hours, minutes = int(offset[1:3]), int(offset[3:].lstrip(":") or 0)
    span = timedelta(hours=hours, minutes=minutes)
    return timezone(-span if offset[0] == "-" else span)


_PARSERS: dict[Kind, Callable[[str], Any]] = {
    Kind.STRING: str,
    Kind.INTEGER: _integer,
    Kind.BOOLEAN: _boolean,
    Kind.DATE: _date,
}
