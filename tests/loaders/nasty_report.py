"""A report with the values that loaders lose, and what a warehouse must hold of it."""

from __future__ import annotations

import csv
import io
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tap_affiliate_reports.sandbox import Attribute, Report

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

REPORT = "nasty"
FIRST, LAST = date(2026, 9, 10), date(2026, 11, 17)
DATE_TIME = "Date (yyyy-MM-dd'T'HH:mm:ssZZ)"
LONG = "Reference_that_has_more_characters_than_a_name_may_have_in_a_warehouse_"

# The names of the columns in the file, with their DataType.
COLUMNS = {
    "Id": "String",
    "Version": "String",
    "Amount": "Decimal",
    "Count": "Integer",
    "Approved": "Boolean",
    "Day": "Date",
    "Moment": DATE_TIME,
    "Note": "String",
    "order": "String",
    "Select": "String",
    "Note_Größe": "String",
    LONG: "String",
    "ID": "String",
    "Items": "Integer",
}
# Another name in the warehouse than in the file: too long, or equal to one before but for case.
RENAMED = {LONG: LONG[:60], "ID": "ID_2"}
ADDED, ADDED_ON = "Surprise", date(2026, 11, 1)
"""A column that MetaData does not have; files that end later have it, in their middle."""

VALUES = {
    "Amount": (
        "0.100000000000000001",
        "12345678901234567890.123456789012345678",
        "-0.000000000000000001",
        "19.99",
        "0",
        "",
    ),
    "Count": ("9223372036854775807", "-9223372036854775808", "9007199254740993", "0", ""),
    "Approved": ("true", "false", ""),
    "Day": ("2026-10-25", "1999-12-31", "2028-02-29", ""),
    "Moment": (
        "2026-10-24T23:59:59-05:00",
        "2026-11-01T01:30:00-04:00",
        "2026-11-01T01:30:00-05:00",
        "2026-10-25T12:00:00+05:30",
        "",
    ),
    "Note": (
        'He said "no"',
        "two\nlines",
        "two\r\nlines",
        "comma, semicolon; tab\t.",
        "back\\slash, \\N and \\.",
        "ends with a backslash\\",
        "NULL",
        "null",
        "NA",
        " leading and trailing ",
        "007",
        "1e5",
        "Zürich 東京 🎉 عربى",
        "it''s",
        '{"json": [1]}',
        '""',
        "",
    ),
}
MISFITS = ("2", "two", "")


def utc(text: str) -> datetime:
    """Return the instant."""
    return datetime.fromisoformat(text).astimezone(timezone.utc)


TYPED: Mapping[str, Callable[[str], Any]] = {
    "Decimal": Decimal,
    "Integer": int,
    "Boolean": lambda text: text == "true",
    "Date": date.fromisoformat,
    DATE_TIME: utc,
    "String": str,
}


class NastyReport:
    """Three rows a day, each with its `Id`; `change` and `remove` alter them."""

    def __init__(self) -> None:
        self.report = Report(REPORT, REPORT, raw=lambda start, end, *_: self._file(start, end))
        self.report.columns = [Attribute(name, kind) for name, kind in COLUMNS.items()]
        self._rows = {
            FIRST + timedelta(days=number): [_row(3 * number + place) for place in range(3)]
            for number in range((LAST - FIRST).days + 1)
        }

    def change(self, day: date) -> set[str]:
        """Give the rows of a day other values; return their ids."""
        ids = set()
        for row in self._rows[day]:
            number = int(row["Id"].removeprefix("id-"))
            row |= _row(number + 7) | {"Id": row["Id"], "Version": "changed"}
            ids.add(row["Id"])
        return ids

    def remove(self, day: date) -> set[str]:
        """Let the rows of a day vanish; return their ids."""
        ids = {row["Id"] for row in self._rows[day]}
        self._rows[day] = []
        return ids

    def expected(self) -> dict[str, dict[str, Any]]:
        """Return the typed rows by id, with the names of their columns in the warehouse."""
        return {row["Id"]: _typed(row) for rows in self._rows.values() for row in rows}

    def added(self) -> dict[str, str]:
        """Return the values of the added column, by id, of the days that surely have it."""
        days = (rows for day, rows in self._rows.items() if day >= ADDED_ON)
        return {row["Id"]: row[ADDED] for rows in days for row in rows}

    def _file(self, start: date | None, end: date | None) -> bytes:
        assert start
        assert end
        names = list(COLUMNS)
        if end >= ADDED_ON:
            names.insert(5, ADDED)
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, names, extrasaction="ignore")
        writer.writeheader()
        for day, rows in self._rows.items():
            if start <= day <= end:
                writer.writerows(rows)
        return text.getvalue().encode()


def _typed(row: Mapping[str, str]) -> dict[str, Any]:
    typed: dict[str, Any] = {
        RENAMED.get(name, name): TYPED[kind](row[name]) if row[name] not in {"", "two"} else None
        for name, kind in COLUMNS.items()
    }
    return typed | {"_unparsed": '{"Items": "two"}' if row["Items"] == "two" else None}


def _row(number: int) -> dict[str, str]:
    row = {name: values[number % len(values)] for name, values in VALUES.items()}
    named = {name: f"{name[:9]} {number}" for name in COLUMNS if name not in row}
    fixed = {"Id": f"id-{number}", "Version": "first", "Items": MISFITS[number % 3]}
    return named | row | fixed | {ADDED: f"new {number}"}
