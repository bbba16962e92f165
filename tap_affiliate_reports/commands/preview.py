"""A look at a report before it is loaded: its columns and a few rows, without an export."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tap_affiliate_reports.errors import ApiError, Forbidden, NotFound, Rejected, SettingsError
from tap_affiliate_reports.exports.download import download_complete
from tap_affiliate_reports.exports.export import StoredFile
from tap_affiliate_reports.exports.job import ExportRequest
from tap_affiliate_reports.exports.order import ExportOrder
from tap_affiliate_reports.schema import (
    ADDED,
    ADDED_TO_FILES,
    Column,
    json_text,
    match_header,
    row_parser,
    unknown_columns,
)
from tap_affiliate_reports.settings.masking import shown
from tap_affiliate_reports.sources.similar import similar
from tap_affiliate_reports.sources.source import FileSpec, ReportSpec, Source
from tap_affiliate_reports.streams.rules import ReportRules
from tap_affiliate_reports.windows import last_finished_day

if TYPE_CHECKING:
    from tap_affiliate_reports.tap import TapAffiliateReports

ROWS = 5

NO_REPORT = "--preview: no configured account has a report %r%s"
NOT_ALLOWED = (
    "%s. A preview uses the synchronous endpoint of the report, which a sync does not need: give "
    "the token this scope, or load a few days of the report instead"
)
NO_FILE = "%s: there is no finished export yet to show rows of"


@dataclass(frozen=True)
class Preview:
    """The first rows of a report; `day` is None for a report without dates."""

    report: str
    day: date | None
    columns: Sequence[Column]
    rows: Sequence[Mapping[str, Any]]

    def document(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "report": self.report,
            "day": self.day.isoformat() if self.day else None,
            "columns": [
                {"name": one.name, "type": one.kind.value, "description": one.description}
                for one in self.columns
            ],
            "rows": self.rows,
        }


def document(tap: TapAffiliateReports, value: str) -> dict[str, Any]:
    """Return the columns of the report `value` and up to five of its rows."""
    known: list[str] = []
    for source in tap.sources:
        for spec in source.files():
            if value == spec.name:
                return _of_file(source, spec, tap.run.spool).document()
            known.append(spec.name)
    unreachable: list[ApiError] = []
    for source in tap.sources:
        try:
            reports = source.reports()
        except ApiError as error:
            # Another account may have the report.
            unreachable.append(error)
            continue
        for report in reports:
            if value in {report.id, report.stream}:
                return _of_report(source, report, tap.run.spool).document()
            known.append(report.id)
    if unreachable:
        raise unreachable[0]
    raise SettingsError(NO_REPORT % (shown(value), similar(value, known)))


def _of_report(source: Source, report: ReportSpec, folder: Path) -> Preview:
    """Return the rows of the last finished day, of all days if the report has no dates."""
    columns = report.columns(report.id)
    day = None
    rules = ReportRules(source, report)
    if not rules.is_snapshot:
        day = last_finished_day(source.exports.server_now(), source.zone)
    (program, *_) = rules.programs
    filters = report.options.filters
    request = ExportRequest(
        report.id, day, day, program=program, filters=filters, synchronous=True, kind=report.kind
    )
    path = folder / "preview"
    try:
        source.preview(request, ROWS, path)
    except (Forbidden, NotFound) as error:
        raise type(error)(NOT_ALLOWED % error) from None
    return _preview(source, request, path, columns, day=day)


def _of_file(source: Source, spec: FileSpec, folder: Path) -> Preview:
    """Return rows of the newest finished export."""
    jobs = spec.finished(None).jobs
    request, path = ExportRequest(spec.name), folder / "preview"
    for job in jobs[-1:]:
        order = ExportOrder(spec.name, f"export {job.id}", request)
        stored = download_complete(source.exports, order, job, path)
        if isinstance(stored, StoredFile):
            summary = stored.summary
            columns = unknown_columns(enumerate(summary.header), ADDED_TO_FILES, summary.kinds)
            day = job.finished_at.date() if job.finished_at else None
            return _preview(source, request, path, columns, day=day)
    raise Rejected(NO_FILE % spec.name)


def _preview(
    source: Source,
    request: ExportRequest,
    path: Path,
    columns: Sequence[Column],
    *,
    day: date | None,
) -> Preview:
    """Return what a file has, its values typed as in a sync."""
    file_format = source.exports.format_of(request)
    header = file_format.inspect(path).header
    match = match_header(header, columns)
    new = unknown_columns(match.unknown, {*ADDED, *(column.name for column in columns)})
    parse = row_parser(match, new, timezone=source.zone)
    shown = [*columns, *new]
    rows = []
    for row in islice(file_format.read_rows(path, header), ROWS):
        values, misfits = parse(row)
        record = {column.name: _json_value(values[column.name]) for column in shown}
        if misfits:
            record["_unparsed"] = json_text(misfits)
        rows.append(record)
    return Preview(request.report, day, shown, rows)


def _json_value(value: Any) -> Any:
    """Return a value for JSON: a decimal as text, because readers make a float of a number."""
    return f"{value:f}" if isinstance(value, Decimal) else value
