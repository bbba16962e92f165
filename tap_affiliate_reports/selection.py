"""Which reports are synced: by the settings, and by the catalog."""

from __future__ import annotations

import logging

from singer_sdk.singerlib import Catalog

from tap_affiliate_reports.errors import SettingsError, StreamError
from tap_affiliate_reports.sources.source import ReportSpec, Source

ONLY_THESE = "%s.reports is not set and no catalog is given: of %s only %s is loaded"
NO_REPORTS_IN_CATALOG = "the catalog has no reports of %s; run discovery again"


logger = logging.getLogger(__name__)


class Selection:
    """The choice of reports; `catalog` is None if none was given."""

    def __init__(self, catalog: Catalog | None) -> None:
        self.catalog = catalog

    def is_selected(self, report: ReportSpec) -> bool:
        """Return whether a report is synced."""
        if self.catalog is None:
            return report.selected_by_default
        entry = self.catalog.get_stream(report.stream)
        if entry is None:
            return report.selected_if_omitted
        return report.allowed and bool(entry.metadata.resolve_selection().get((), True))

    def is_discovered(self, report: ReportSpec) -> bool:
        """Return whether discovery must read a report's columns."""
        return self.catalog is None or self.is_selected(report)

    def is_discovered_stream(self, stream: str) -> bool:
        """Return whether discovery must read a stream of files."""
        return self.catalog is None or self.catalog.get_stream(stream) is not None

    @property
    def streams(self) -> set[str]:
        """The names of all streams that the catalog selects."""
        entries = self.catalog.streams if self.catalog is not None else ()
        return {
            entry.tap_stream_id
            for entry in entries
            if entry.metadata.resolve_selection().get((), True)
        }

    def check_all_reports(self, source: Source) -> None:
        """Raise SettingsError if every report would be exported though nobody chose them."""
        if not source.policy.catalog_decides:
            return
        reports = _of_catalog(source)
        if self.catalog is None and (others := _of_settings(source)):
            logger.warning(ONLY_THESE, source.name, source.name, ", ".join(others))
            return
        if self.catalog is not None:
            selected = [report for report in reports if self.is_selected(report)]
            absent = [r for r in reports if self.catalog.get_stream(r.stream) is None]
            # Reports that discovery skipped, and newer ones, say nothing about the others.
            if len(selected) + len(absent) < len(reports) or len(absent) >= len(selected):
                return
        if not reports:
            return
        why = "no catalog is given" if self.catalog is None else "the catalog selects all"
        msg = (
            f"{source.name}.reports is not set and {why}: exports are too few to spend on every "
            f"report. Set {source.name}.reports to those that you need, or to ['*'] for all. "
            f"The account's reports are: {', '.join(sorted(report.id for report in reports))}"
        )
        raise SettingsError(msg)

    def check_catalog_of(self, source: Source) -> None:
        """Raise StreamError if the catalog has a source's lists but none of its reports.

        Discovery writes such a catalog while it can't list the reports.
        """
        catalog = self.catalog
        if catalog is None or not any(catalog.get_stream(one.name) for one in source.lists()):
            return
        allowed = [report.stream for report in _of_catalog(source) if report.allowed]
        if allowed and not any(catalog.get_stream(stream) for stream in allowed):
            raise StreamError(NO_REPORTS_IN_CATALOG % source.name)


def _of_catalog(source: Source) -> list[ReportSpec]:
    """Return the reports that are selected only by name: in the settings, or in a catalog."""
    return [report for report in source.reports() if not report.selected_if_omitted]


def _of_settings(source: Source) -> list[str]:
    """Return the streams that a setting of their own selects."""
    return [report.stream for report in source.reports() if report.selected_if_omitted]
