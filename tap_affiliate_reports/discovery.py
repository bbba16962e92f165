"""Discovery: the streams of every configured source, with their present columns."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tap_affiliate_reports.errors import ApiError, SettingsError, TapError, Unauthorized
from tap_affiliate_reports.exports.job import ExportJob
from tap_affiliate_reports.run import Run
from tap_affiliate_reports.schema import ADDED, ADDED_TO_FILES, Column, kind_of_property
from tap_affiliate_reports.selection import Selection
from tap_affiliate_reports.sources.source import FileSpec, ReportSpec, Source
from tap_affiliate_reports.state import column_kinds
from tap_affiliate_reports.streams import (
    AffiliateStream,
    FilesStream,
    ListStream,
    ReportStream,
    ReportWindowsStream,
    newest_columns,
)

if TYPE_CHECKING:
    from singer_sdk import Tap

NO_REPORT_LIST = "%s: its reports can't be listed: %s"
NO_FILE_LIST = "%s: its files can't be listed: %s"
REPORT_SKIPPED = "%s is skipped: its columns can't be read: %s"
COLUMNS_UNKNOWN = "%s: its columns are not known yet: %s"
NAME_SKIPPED = "%s; both are skipped"
SELECT_NEITHER = "Select none of these reports"

logger = logging.getLogger(__name__)


class Discovery:
    """Finds the streams; with a catalog, only those that the catalog selects are looked at.

    After `streams`, `known` has the names of all streams, `unavailable` the error of each whose
    columns can't be read, `unreachable` that of each source that can't list its reports or files.
    """

    def __init__(
        self,
        run: Run,
        selection: Selection,
        bookmarks: Mapping[str, Any],
        *,
        singer_decimal: bool,
    ) -> None:
        self.run = run
        self.selection = selection
        self.bookmarks = bookmarks
        self.singer_decimal = singer_decimal
        self.known: set[str] = set()
        self.unavailable: dict[str, TapError] = {}
        self.unreachable: dict[str, ApiError] = {}

    def streams(self, tap: Tap) -> list[AffiliateStream]:
        """Return the streams; if one source of several can't be reached, those of the others."""
        streams: list[AffiliateStream] = []
        sources = self.run.sources
        audit = ReportWindowsStream(tap, self.run)
        # The names that do not depend on what an account calls its reports.
        fixed = {audit.name}
        for source in sources:
            fixed.update(spec.name for spec in source.lists())
            fixed.update(spec.name for spec in source.files())
        for source in sources:
            streams.extend(ListStream(tap, self.run, source, spec) for spec in source.lists())
            streams.extend(self._file_streams(tap, source))
            try:
                reserved = fixed | {stream.name for stream in streams}
                streams.extend(self._report_streams(tap, source, audit, reserved))
            except ApiError as error:
                self.unreachable[source.name] = error
                logger.warning(NO_REPORT_LIST, source.name, error)
        if len(self.unreachable) == len(sources):
            raise next(iter(self.unreachable.values()))
        if self.unreachable or any(source.reports() for source in sources):
            streams.insert(0, audit)
        self.known |= {audit.name, *(stream.name for stream in streams)}
        return streams

    # Reports

    def _report_streams(
        self, tap: Tap, source: Source, audit: ReportWindowsStream, reserved: set[str]
    ) -> list[ReportStream]:
        reports = source.reports()
        self.known |= {*(report.stream for report in reports), *source.streams_turned_off()}
        distinct = self._distinct(source, reports, reserved)
        wanted = [one for one in distinct if self.selection.is_discovered(one)]
        source.prefetch(wanted)
        found = [(report, self._report_columns(report)) for report in wanted]
        return [
            ReportStream(
                tap,
                self.run,
                source,
                report,
                columns,
                audit=audit,
                singer_decimal=self.singer_decimal,
            )
            for report, columns in found
            if columns is not None
        ]

    def _distinct(
        self, source: Source, reports: Sequence[ReportSpec], reserved: set[str]
    ) -> list[ReportSpec]:
        """Return the reports whose streams have unique names, ignoring case."""
        named: dict[str, list[ReportSpec]] = defaultdict(list)
        for report in reports:
            named[report.stream.casefold()].append(report)
        distinct = []
        for name, same in named.items():
            ids = [report.id for report in same]
            ids += [other for other in reserved if other.casefold() == name]
            if len(ids) > 1:
                line = f"{source.name}: {' and '.join(map(repr, ids))} have one stream name, {name}"
                if any(self.selection.is_selected(report) for report in same):
                    raise SettingsError(f"{line}. {SELECT_NEITHER}")
                logger.warning(NAME_SKIPPED, line)
            else:
                distinct.extend(same)
        return distinct

    def _report_columns(self, report: ReportSpec) -> Sequence[Column] | None:
        try:
            columns = report.columns(report.id)
        except Unauthorized:
            raise
        except ApiError as error:
            self.unavailable[report.stream] = error
            logger.warning(REPORT_SKIPPED, report.stream, error)
            return None
        properties = self._catalog_properties(report.stream)
        return columns if properties is None else _with_catalog(columns, properties)

    # Finished files

    def _file_streams(self, tap: Tap, source: Source) -> Iterator[FilesStream]:
        for spec in source.files():
            self.known.add(spec.name)
            properties = self._catalog_properties(spec.name)
            if self.selection.is_discovered_stream(spec.name):
                yield FilesStream(
                    tap,
                    self.run,
                    source,
                    spec,
                    self._file_columns(source, spec, properties),
                    singer_decimal=self.singer_decimal,
                )

    def _file_columns(
        self, source: Source, spec: FileSpec, properties: Mapping[str, Any] | None
    ) -> Sequence[Column]:
        """Return the columns of the state and the catalog; without both, of the newest file."""
        kept = column_kinds(self.bookmarks.get(spec.name, {}))
        columns = [Column(name, name, kind) for name, kind in kept.items()]
        if properties is not None:
            return _with_catalog(columns, properties, ADDED_TO_FILES)
        if columns:
            return columns
        if source.name in self.unreachable:
            return ()
        try:
            return newest_columns(source, spec, self._finished(source, spec), self.run.spool)
        except TapError as error:
            logger.warning(COLUMNS_UNKNOWN, spec.name, error)
            return ()

    def _finished(self, source: Source, spec: FileSpec) -> Sequence[ExportJob]:
        try:
            return spec.finished(None).jobs
        except ApiError as error:
            self.unreachable[source.name] = error
            logger.warning(NO_FILE_LIST, source.name, error)
            return ()

    def _catalog_properties(self, stream: str) -> Mapping[str, Any] | None:
        """Return the columns of a stream in the catalog; None if the catalog does not say."""
        catalog = self.selection.catalog
        entry = catalog.get_stream(stream) if catalog is not None else None
        properties: Mapping[str, Any] | None = (
            None if entry is None else entry.schema.to_dict().get("properties")
        )
        return properties


def _with_catalog(
    columns: Sequence[Column], properties: Mapping[str, Any], added: Container[str] = ADDED
) -> list[Column]:
    """Return the columns with the types of a catalog, and the columns that only it has."""
    merged = [
        Column(c.name, c.source, kind_of_property(properties[c.name]), c.description)
        if c.name in properties
        else c
        for c in columns
    ]
    names = {column.name for column in columns}
    merged.extend(
        Column(name, name, kind_of_property(schema), str(schema.get("description") or ""))
        for name, schema in properties.items()
        if name not in names and name not in added
    )
    return merged
