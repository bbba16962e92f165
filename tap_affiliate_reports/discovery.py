"""Discovery: the streams of every configured source, with the columns they have now."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from tap_affiliate_reports.errors import (
    ApiError,
    SettingsError,
    TapError,
    Unauthorized,
)
from tap_affiliate_reports.exports.job import ExportJob
from tap_affiliate_reports.schema import ADDED, ADDED_TO_FILES, Column, kind_of_property
from tap_affiliate_reports.sources.source import FileSpec, ReportSpec, Source
from tap_affiliate_reports.state import column_kinds
from tap_affiliate_reports.streams import (
    FilesStream,
    ListStream,
    ReportStream,
    ReportWindowsStream,
    newest_columns,
)

if TYPE_CHECKING:
    from singer_sdk import Stream

    from tap_affiliate_reports.tap import TapAffiliateReports


class Discovery:
    """What the sources offer; with a catalog, only what it selects is looked at.

    After `streams`, `known` are the names of all streams there are, `unavailable` says why one of
    them could not be had, `unreachable` why a source could list no report or file.
    """

    def __init__(self, tap: TapAffiliateReports, state: Mapping[str, Any]) -> None:
        self.tap = tap
        self.catalog = tap.input_catalog
        self.known: set[str] = set()
        self.unavailable: dict[str, TapError] = {}
        self.unreachable: dict[str, ApiError] = {}
        self._state = state

    @cached_property
    def _audit(self) -> ReportWindowsStream:
        return ReportWindowsStream(self.tap)

    def streams(self) -> list[Stream]:
        """Return the streams; where one source of several can't be reached, those of the others."""
        streams: list[Stream] = []
        sources = self.tap.sources
        # What has its name whatever an account calls its reports.
        fixed = {self._audit.name}
        for source in sources:
            fixed.update(spec.name for spec in source.lists())
            fixed.update(spec.name for spec in source.files())
        for source in sources:
            streams.extend(ListStream(self.tap, source, spec) for spec in source.lists())
            streams.extend(self._file_streams(source))
            try:
                taken = fixed | {stream.name for stream in streams}
                streams.extend(self._report_streams(source, taken))
            except ApiError as error:
                self.unreachable[source.name] = error
                self.tap.logger.warning("%s can't be listed: %s", source.name, error)
        if len(self.unreachable) == len(sources):
            raise next(iter(self.unreachable.values()))
        if self.unreachable or any(source.reports() for source in sources):
            streams.insert(0, self._audit)
        self.known |= {self._audit.name, *(stream.name for stream in streams)}
        return streams

    def is_selected(self, source: Source, report: ReportSpec) -> bool:
        """Whether a report is to be synced, by the settings and the catalog."""
        if self.catalog is None:
            return report.allowed and not source.policy.catalog_decides
        entry = self.catalog.get_stream(report.stream)
        return (
            report.allowed
            and entry is not None
            and bool(entry.metadata.resolve_selection().get((), True))
        )

    def _is_wanted(self, source: Source, report: ReportSpec) -> bool:
        return self.catalog is None or self.is_selected(source, report)

    def _distinct(
        self, source: Source, reports: Sequence[ReportSpec], taken: set[str]
    ) -> list[ReportSpec]:
        """Return the reports whose streams have a name of their own, ignoring case."""
        named: dict[str, list[ReportSpec]] = defaultdict(list)
        for report in reports:
            named[report.stream.casefold()].append(report)
        distinct = []
        for name, same in named.items():
            ids = [report.id for report in same]
            ids += [other for other in taken if other.casefold() == name]
            if len(ids) > 1:
                line = f"{source.name}: {' and '.join(map(repr, ids))} make one stream name, {name}"
                if any(self.is_selected(source, report) for report in same):
                    raise SettingsError(line)
                self.tap.logger.warning("%s: left out", line)
            else:
                distinct.extend(same)
        return distinct

    def _report_streams(self, source: Source, taken: set[str]) -> list[ReportStream]:
        reports = source.reports()
        self.known |= {report.stream for report in reports}
        distinct = self._distinct(source, reports, taken)
        wanted = [report for report in distinct if self._is_wanted(source, report)]
        source.prefetch(wanted)
        made = (self._report_stream(source, report) for report in wanted)
        return [stream for stream in made if stream is not None]

    def _report_stream(self, source: Source, report: ReportSpec) -> ReportStream | None:
        try:
            columns = list(report.columns(report.id))
        except Unauthorized:
            raise
        except ApiError as error:
            self.unavailable[report.stream] = error
            self.tap.logger.warning("%s is left out: %s", report.stream, error)
            return None
        entry = self.catalog.get_stream(report.stream) if self.catalog else None
        if entry is not None:
            columns = _with_catalog(columns, entry.schema.to_dict().get("properties", {}))
        return ReportStream(
            self.tap,
            source,
            report,
            columns,
            audit=self._audit,
            singer_decimal=self._is_singer_decimal,
        )

    def _file_streams(self, source: Source) -> Iterator[FilesStream]:
        for spec in source.files():
            entry = self.catalog.get_stream(spec.name) if self.catalog else None
            self.known.add(spec.name)
            if self.catalog is None or entry is not None:
                properties = entry.schema.to_dict().get("properties") if entry else None
                columns = self._file_columns(source, spec, properties)
                yield FilesStream(
                    self.tap, source, spec, columns, singer_decimal=self._is_singer_decimal
                )

    def _file_columns(
        self, source: Source, spec: FileSpec, properties: Mapping[str, Any] | None
    ) -> Sequence[Column]:
        """Return the columns of the state and of a catalog; without both, of the newest file."""
        kept = column_kinds(self._state.get("bookmarks", {}).get(spec.name, {}))
        columns = [Column(name, name, kind) for name, kind in kept.items()]
        if properties is not None:
            return _with_catalog(columns, properties, ADDED_TO_FILES)
        if columns:
            return columns
        if source.name in self.unreachable:
            return ()
        try:
            return newest_columns(source, spec, self._finished(source, spec), self.tap.run.spool)
        except TapError as error:
            self.tap.logger.warning("%s: its columns are not known yet: %s", spec.name, error)
            return ()

    def _finished(self, source: Source, spec: FileSpec) -> Sequence[ExportJob]:
        try:
            return spec.finished(None).jobs
        except ApiError as error:
            self.unreachable[source.name] = error
            self.tap.logger.warning("%s: no file can be listed: %s", source.name, error)
            return ()

    @property
    def _is_singer_decimal(self) -> bool:
        return bool(self.tap.config.get("use_singer_decimal"))


def _with_catalog(
    columns: Sequence[Column], properties: Mapping[str, Any], added: Container[str] = ADDED
) -> list[Column]:
    """Return the report's columns with the types that a catalog gives them, and its own ones."""
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
