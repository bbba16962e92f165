"""A report: its entry in the list, its MetaData, its rows and its file."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from urllib.parse import quote

from tap_affiliate_reports.sandbox.data import NO_ESCAPE
from tap_affiliate_reports.sandbox.impact.wire import to_xml

DATE = "Date (yyyy-MM-dd'T'HH:mm:ssZZ)"
WEB = "https://app.impact.example/reports"
DATE_FILTERS = (("START_DATE", DATE), ("END_DATE", DATE), ("SUBAID", "String"))

Filters = dict[str, list[str]]
"""Query parameters other than the dates and the program, with all of their values."""

Rows = Iterable[Sequence[str]]


@dataclass(frozen=True)
class Attribute:
    """One column as MetaData lists it."""

    name: str
    data_type: str = "String"
    description: str = ""


@dataclass(frozen=True)
class Query:
    """The parameters of a run or an export; `program` None is all programs."""

    start: date | None
    end: date | None
    program: str | None
    filters: Filters
    format: str = "CSV"


@dataclass
class File:
    """A finished result; `records` is None if the rows were not counted."""

    name: str
    content: bytes | Path
    records: int | None


@dataclass
class Report:
    """One report; every field may be changed while the sandbox runs.

    `rows(start, end, program, filters)` returns lists of text in the order of the columns.
    `header` overrides the names in the file, `raw` (same arguments) the complete file, by its bytes
    or its path on disk (a large file is not read into memory then). `records_processed` accepts
    the true count and returns the one of the job's document. `rows_as_of` is `rows` with the time
    of the job's completion as first argument; `rows` wins if both are set. A report with `id` None
    is listed without an Id.
    """

    id: str | None
    name: str = ""
    columns: Sequence[Attribute] = ()
    rows: Callable[[date | None, date | None, str | None, Filters], Rows] | None = None
    filters: Sequence[tuple[str, str]] = DATE_FILTERS
    category: str | None = "Performance"
    api_accessible: bool = True
    description: str = ""
    header: Sequence[str] | None = None
    raw: Callable[[date | None, date | None, str | None, Filters], bytes | Path] | None = None
    records_processed: Callable[[int | None], int | str | None] | None = None
    rows_as_of: Callable[[datetime, date | None, date | None, str | None, Filters], Rows] | None = (
        None
    )
    run_uri: str | None = None

    @property
    def names(self) -> list[str]:
        """The column names of a file or a record."""
        return list(self.header or [column.name for column in self.columns])

    def rows_at(self, moment: datetime, query: Query) -> Rows:
        """Return the rows as of `moment`."""
        requested = query.start, query.end, query.program, query.filters
        if self.rows:
            return self.rows(*requested)
        return self.rows_as_of(moment, *requested) if self.rows_as_of else []

    def file_at(self, moment: datetime, query: Query) -> File:
        """Return the result file of a job that completes at `moment`."""
        name = f"{self.id}.{query.format.lower()}"
        if self.raw:
            return File(name, self.raw(query.start, query.end, query.program, query.filters), None)
        rows = self.rows_at(moment, query)
        if query.format == "CSV":
            content, records = _csv(self.names, rows)
            return File(name, content, records)
        document = {"Records": self.records(rows)}
        encoded = to_xml(document) if query.format == "XML" else json.dumps(document).encode()
        return File(name, encoded, len(document["Records"]))

    def records(self, rows: Rows) -> list[dict[str, str]]:
        """Return rows as the objects of a synchronous run."""
        names = self.names
        return [dict(zip(names, row, strict=True)) for row in rows]

    def listed(self, base: str) -> dict[str, object]:
        """Show the report as in the list; `base` is the account's path."""
        entry: dict[str, object] = {"Name": self.name}
        if self.id is not None:
            entry["Id"] = self.id
        if self.category is not None:
            entry["Category"] = self.category
        entry |= {"Description": self.description, "ApiAccessible": self.api_accessible}
        if not self.api_accessible:
            return {**entry, "RunUri": self.run_uri or f"{WEB}/{quote(self.name)}"}
        return {
            **entry,
            "ApiRunUri": f"{base}/Reports/{self.id}",
            "DeferredApiRunUri": f"{base}/ReportExport/{self.id}",
            "MetaDataUri": f"{base}/Reports/{self.id}/MetaData",
        }

    def metadata(self, base: str) -> Mapping[str, object]:
        """Return the MetaData document."""
        return {
            "Name": self.name,
            "Id": self.id,
            "Description": self.description,
            "Filters": [
                {"Name": name, "DataType": data_type, "Format": ""}
                for name, data_type in self.filters
            ],
            "Attributes": [
                {
                    "Name": column.name,
                    "DataType": column.data_type,
                    "Description": column.description,
                }
                for column in self.columns
            ],
            "RunUri": f"{base}/Reports/{self.id}",
            "Uri": f"{base}/Reports/{self.id}/MetaData",
        }


def _csv(names: Sequence[str], rows: Rows) -> tuple[bytes, int]:
    buffer = io.BytesIO()
    text = io.TextIOWrapper(buffer, encoding="utf-8", newline="")
    writer = csv.writer(text, escapechar=NO_ESCAPE)
    writer.writerow(names)
    count = 0
    for count, row in enumerate(rows, start=1):  # noqa: B007 - the last count is the result
        writer.writerow(row)
    text.flush()
    return buffer.getvalue(), count
