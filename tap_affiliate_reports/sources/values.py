"""Typed values of an API's JSON documents, any of which may be text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, tzinfo
from functools import lru_cache
from typing import Any

import pendulum

from tap_affiliate_reports.schema import Kind, json_text, parser

Document = Mapping[str, Any]


def text_of(value: Any) -> str:
    """Return an API value as text; "" for null."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def is_true(value: Any) -> bool:
    """Return whether an API value is true."""
    return text_of(value).strip().lower() in {"true", "1"}


def number(value: Any) -> int | None:
    """Return an integer; None if the value is not one."""
    try:
        return int(_parser(Kind.INTEGER, pendulum.UTC)(text_of(value)))
    except ValueError:
        return None


def moment(value: Any, zone: tzinfo) -> datetime | None:
    """Return a time in UTC; None if the value is not one. A time without an offset is in `zone`."""
    try:
        parsed = pendulum.parse(_parser(Kind.DATETIME, zone)(text_of(value)))
    except ValueError:
        return None
    return parsed if isinstance(parsed, pendulum.DateTime) else None


def without_nul(value: Any) -> Any:
    """Return a value without U+0000 at any depth, because no warehouse accepts it."""
    if isinstance(value, str):
        return value.replace("\0", "")
    if isinstance(value, Mapping):
        return {without_nul(key): without_nul(item) for key, item in value.items()}
    return [without_nul(item) for item in value] if isinstance(value, list) else value


def typed(document: Document, columns: Mapping[str, Kind], zone: tzinfo) -> dict[str, Any]:
    """Return the columns of a document, typed; a value of another type is null.

    Such values are in the JSON text `_unparsed`, a column that is absent without them.
    """
    record: dict[str, Any] = {}
    unparsed = {}
    for name, kind in columns.items():
        text = without_nul(text_of(document.get(name)))
        record[name] = None
        if text:
            try:
                record[name] = _parser(kind, zone)(text)
            except ValueError:
                unparsed[name] = text
    if unparsed:
        record["_unparsed"] = json_text(unparsed)
    return record


@lru_cache(maxsize=64)
def _parser(kind: Kind, zone: tzinfo) -> Callable[[str], Any]:
    return parser(kind, timezone=zone)
