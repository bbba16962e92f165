"""Compares what a loader holds with the source: one word for each cell of the table."""

from __future__ import annotations

import json
from datetime import date, datetime, time, timezone
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from nasty_report import COLUMNS, DATE_TIME, RENAMED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from loader import Row

EXACT = "exact"
AS_TEXT = "exact, as text"


def lowered(rows: Iterable[Row]) -> list[Row]:
    """Return the rows with their names in lower case: loaders treat the case differently."""
    return [{name.casefold(): value for name, value in row.items()} for row in rows]


def newest(rows: Iterable[Row], keys: Sequence[str]) -> list[Row]:
    """Return the last row of each key."""
    return list({key_of(row, keys): row for row in rows}.values())


def key_of(row: Row, keys: Sequence[str]) -> tuple[str, ...]:
    """Return the key of a row as text."""
    return tuple(str(row.get(key)) for key in keys)


def live(rows: Iterable[Row]) -> list[Row]:
    """Return the rows that count; some loaders leave `_sdc_deleted_at` out."""
    return [
        row
        for row in rows
        if not row.get("_sdc_deleted_at") and str(row.get("_deleted")).lower() != "true"
    ]


def rows_word(expected: Mapping[str, Row], found: Sequence[Row]) -> str:
    """Say whether these are the source's rows, each once and in its newest version."""
    ids = [row["id"] for row in found]
    by_id = dict(zip(ids, found, strict=True))
    counts = {
        "missing": len(expected.keys() - by_id.keys()),
        # Rows are found by their number in the window, so those that stay too long repeat others.
        "not retired": len(ids) - len(by_id.keys() & expected.keys()),
        "old": sum(
            by_id[key]["version"] != row["Version"] for key, row in expected.items() if key in by_id
        ),
    }
    words = [f"{count} {word}" for word, count in counts.items() if count]
    return f"{', '.join(words)} of {len(expected)}" if words else EXACT


def gone_word(before: Iterable[Row], after: Iterable[Row], keys: Sequence[str]) -> str:
    """Say how a loader shows rows that vanished; both have one row of each key.

    A row is found by its key, because the record that marks it has no other column.
    """
    there = {key_of(row, keys): row for row in after}
    gone = {key_of(row, keys) for row in live(before)}
    gone -= {key_of(row, keys) for row in live(there.values())}
    if not gone:
        return "not retired"
    if not gone <= there.keys():
        return "removed"
    has_date = all(there[key].get("_sdc_deleted_at") for key in gone)
    return "marked" if has_date else "marked by `_deleted` alone"


def column_word(added: Mapping[str, str], rows: Sequence[Row], name: str) -> str:
    """Say whether a column that appeared has its values."""
    values = {row["id"]: row.get(name.casefold()) for row in rows if row["id"] in added}
    pairs = ((text, values.get(key)) for key, text in added.items())
    return next((_example(pair) for pair in pairs if pair[0] != pair[1]), EXACT)


def values_words(expected: Mapping[str, Row], found: Sequence[Row]) -> dict[str, str]:
    """Return a word for each kind of value."""
    by_id = {row["id"]: row for row in found if row["id"] in expected}
    pairs: dict[str, list[tuple[Any, Any]]] = {kind: [] for kind in READ}
    nulls = []
    for key, row in by_id.items():
        for name, kind in COLUMNS.items():
            column = RENAMED.get(name, name)
            pair = expected[key][column], row.get(column.casefold(), "no column")
            if pair[0] is None:
                nulls.append(pair[1])
            else:
                pairs[kind].append(pair)
    words = {kind: _word(pairs[kind], READ[kind]) for kind in READ}
    words["null"] = _null_word(nulls)
    words["misfit"] = _word(
        [
            (json.loads(expected[key]["_unparsed"]), row.get("_unparsed"))
            for key, row in by_id.items()
            if expected[key]["_unparsed"]
        ],
        json.loads,
    )
    return words


def _word(pairs: Sequence[tuple[Any, Any]], read: Callable[[Any], Any]) -> str:
    if not pairs:
        return "no rows"
    as_text = False
    for wanted, value in pairs:
        try:
            same = read(value) == wanted
        except (ValueError, TypeError, AttributeError, LookupError, InvalidOperation):
            same = False
        if not same:
            return _example((wanted, value))
        as_text = as_text or (isinstance(value, str) and not isinstance(wanted, (str, dict)))
    return AS_TEXT if as_text else EXACT


def _null_word(values: Sequence[Any]) -> str:
    kinds = {"null" if value is None else repr(value) for value in values}
    return EXACT if kinds == {"null"} else f"as {' or '.join(sorted(kinds - {'null'}))}"


def _example(pair: tuple[Any, Any]) -> str:
    wanted, value = (_shown(one) for one in pair)
    return f"no: {wanted} became {value}"


def _shown(value: Any) -> str:
    if isinstance(value, (date, Decimal)):
        return str(value)
    return json.dumps(value, ensure_ascii=False, default=str)


def _boolean(value: Any) -> bool:
    if isinstance(value, str):
        return {"true": True, "false": False, "1": True, "0": False}[value.lower()]
    return bool(value)


def _date(value: Any) -> Any:
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if isinstance(value, datetime):
        if value.timetz().replace(tzinfo=None) != time.min:
            raise ValueError(value)
        return value.date()
    return value


def _instant(value: Any) -> datetime:
    if isinstance(value, str):
        value = datetime.fromisoformat(value.replace("Z", "+00:00"))
    # Without an offset it is meant to be UTC.
    return value.astimezone(timezone.utc) if value.tzinfo else value.replace(tzinfo=timezone.utc)


def _integer(value: Any) -> int:
    return int(value) if isinstance(value, str) else value


def _decimal(value: Any) -> Decimal:
    # A float by the digits that it shows.
    return Decimal(repr(value) if isinstance(value, float) else value)


READ: Mapping[str, Callable[[Any], Any]] = {
    "Decimal": _decimal,
    "Integer": _integer,
    "Boolean": _boolean,
    "Date": _date,
    DATE_TIME: _instant,
    "String": lambda value: value,
}
