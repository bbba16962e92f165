"""The account's reports: their ids, stream names and columns."""

from __future__ import annotations

import fnmatch
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import unquote

from tap_affiliate_reports.errors import (
    ApiError,
    RateLimited,
    Rejected,
    SettingsError,
    Unauthorized,
)
from tap_affiliate_reports.schema import Column, columns_of
from tap_affiliate_reports.sources.impact import clicks
from tap_affiliate_reports.sources.impact.api import ImpactApi
from tap_affiliate_reports.sources.similar import similar
from tap_affiliate_reports.sources.values import Document, is_true, text_of

METADATA_THREADS = 5
BY_SETTING = "; the stream clicks is not a report, impact.clicks: true loads it"

logger = logging.getLogger(__name__)


def report_id(report: Document) -> str:
    """Return the id of a listed report, from its links if it has no Id; "" without both."""
    # The key of report_metadata, so it must equal reports.Id.
    if own := text_of(report.get("Id")).replace("\0", ""):
        return own
    for key in ("MetaDataUri", "ApiRunUri", "DeferredApiRunUri"):
        found = re.search(r"/(?:Reports|ReportExport)/([^/?]+)", text_of(report.get(key)))
        if found:
            return unquote(found[1]).replace("\0", "")
    return ""


def stream_name(report: str) -> str:
    """Return the stream name of a report: its id as a valid table name."""
    if report.isdigit():
        return f"report_{report}"
    return re.sub(r"[^A-Za-z0-9_]", "_", report)


@dataclass
class ImpactReports:
    """The reports of one account; each document is requested once."""

    api: ImpactApi
    _metadata: dict[str, Document | ApiError] = field(default_factory=dict)
    # A rate limit that is too long to wait for also holds for all further requests.
    _limit: RateLimited | None = None

    @cached_property
    def listed(self) -> list[Document]:
        """All reports, including those of the web app alone."""
        pages = self.api.pages(self.api.path("Reports"), "Reports")
        return [report for page in pages for report in page if isinstance(report, dict)]

    @cached_property
    def exportable(self) -> list[str]:
        """The ids of the reports that can be exported, each once."""
        found: dict[str, None] = {}
        for report in self.listed:
            if is_true(report.get("ApiAccessible")):
                handle = report_id(report)
                if handle:
                    found[handle] = None
                else:
                    logger.warning("skipped report %r without an Id", text_of(report.get("Name")))
        return list(found)

    def description(self, report: str) -> str:
        """Return what the list of reports says of a report: its description, else its name."""
        listed = self._by_id[report]
        return text_of(listed.get("Description")) or text_of(listed.get("Name"))

    @cached_property
    def _by_id(self) -> dict[str, Document]:
        return {report_id(report): report for report in self.listed}

    def prefetch(self, reports: Iterable[str]) -> None:
        """Fetch the MetaData of these reports in parallel; an error is raised on its first use."""
        wanted = [report for report in reports if report not in self._metadata]
        with ThreadPoolExecutor(METADATA_THREADS) as pool:
            self._metadata.update(zip(wanted, pool.map(self._fetch, wanted), strict=True))

    def metadata(self, report: str) -> Document:
        """Return a report's MetaData; raises the ApiError of its request."""
        if report not in self._metadata:
            self._metadata[report] = self._fetch(report)
        document = self._metadata[report]
        if isinstance(document, ApiError):
            raise document
        return document

    def _fetch(self, report: str) -> Document | ApiError:
        if self._limit is not None:
            return self._limit
        try:
            document = self.api.client.json(self.api.path("Reports", report, "MetaData")).document
        except Unauthorized:
            raise
        except RateLimited as error:
            self._limit = error
            return error
        except ApiError as error:
            return error
        if not isinstance(document, dict) or not isinstance(document.get("Attributes"), list):
            return Rejected(f"the MetaData of {report} lists no Attributes")
        return document

    def columns(self, report: str) -> list[Column]:
        """Return a report's columns, in the order of its MetaData."""
        return columns_of(
            (text_of(item.get("Name")), text_of(item.get("DataType")),
             text_of(item.get("Description")))
            for item in self.metadata(report)["Attributes"]
            if isinstance(item, dict)
        )  # fmt: skip

    def has_dates(self, report: str) -> bool:
        """Return whether a report accepts dates: unless it lists filters and none is a date."""
        filters = self.metadata(report).get("Filters")
        if not filters or not isinstance(filters, list):
            return True
        return any(
            "date" in f"{text_of(item.get('Name'))} {text_of(item.get('DataType'))}".lower()
            for item in filters
            if isinstance(item, dict)
        )

    def named(self, settings: Mapping[str, Any]) -> set[str]:
        """Return the reports that the settings name; raises SettingsError for an unknown one."""
        for report in settings.get("report_options") or {}:
            if not (report == clicks.NAME and settings[clicks.NAME]):
                self._must_exist("impact.report_options", report)
        patterns: Sequence[Any] | None = settings.get("reports")
        if patterns is None:
            return set(self.exportable)
        found: set[str] = set()
        for pattern in map(str, patterns):
            if pattern not in self.exportable and any(sign in pattern for sign in "*?["):
                matching = {r for r in self.exportable if fnmatch.fnmatchcase(r, pattern)}
                if not matching:
                    msg = f"impact.reports: {pattern!r} matches no report of the account"
                    raise SettingsError(msg)
                found |= matching
            else:
                self._must_exist("impact.reports", pattern)
                found.add(pattern)
        return found

    def _must_exist(self, setting: str, report: str) -> None:
        if report in self.exportable:
            return
        if any(report_id(listed) == report for listed in self.listed):
            msg = f"{setting}: the report {report!r} can't be used by the API, only in the web app"
            raise SettingsError(msg)
        hint = BY_SETTING if report == clicks.NAME else similar(report, self.exportable)
        msg = f"{setting}: the account has no report {report!r}{hint}"
        raise SettingsError(msg)
