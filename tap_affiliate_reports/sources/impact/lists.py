"""The streams that are lists of impact.com's API: reports, report_metadata, jobs."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from tap_affiliate_reports.errors import ApiError
from tap_affiliate_reports.schema import ADDED, Kind, property_schema
from tap_affiliate_reports.sources.impact.api import ImpactApi
from tap_affiliate_reports.sources.impact.reports import ImpactReports
from tap_affiliate_reports.sources.source import ListSpec
from tap_affiliate_reports.sources.values import Document, text_of, typed

# Jobs change and can be replayed for this long after their creation.
JOBS_LOOKBACK = timedelta(days=90)

KEYS = ("_account", "Id")
REPORTS = {
    "Id": Kind.STRING,
    "Name": Kind.STRING,
    "Category": Kind.STRING,
    "Description": Kind.STRING,
    "ApiAccessible": Kind.BOOLEAN,
    "ApiRunUri": Kind.STRING,
    "DeferredApiRunUri": Kind.STRING,
    "MetaDataUri": Kind.STRING,
    "RunUri": Kind.STRING,
}
METADATA = {
    "Id": Kind.STRING,
    "Name": Kind.STRING,
    "Description": Kind.STRING,
    "RunUri": Kind.STRING,
    "Uri": Kind.STRING,
}
METADATA_LISTS = {
    "Filters": ("Name", "DataType", "Format"),
    "Attributes": ("Name", "DataType", "Description"),
}
JOBS = {
    "Id": Kind.STRING,
    "Type": Kind.STRING,
    "ProgramId": Kind.STRING,
    "CreatedBy": Kind.STRING,
    "CreatedDate": Kind.DATETIME,
    "StartedDate": Kind.DATETIME,
    "CompletedDate": Kind.DATETIME,
    "AbandonedDate": Kind.DATETIME,
    "CancelledDate": Kind.DATETIME,
    "FailedDate": Kind.DATETIME,
    "LastProgressUpdateDate": Kind.DATETIME,
    "Status": Kind.STRING,
    "StatusMessage": Kind.STRING,
    "RecordsProcessed": Kind.INTEGER,
    "PercentageComplete": Kind.INTEGER,
    "Replayable": Kind.BOOLEAN,
    "ResultUri": Kind.STRING,
}

NO_ID = "%s: skipped a %s without an Id"

logger = logging.getLogger(__name__)


def _schema(columns: Mapping[str, Kind], more: Mapping[str, Any]) -> dict[str, Any]:
    typed = {name: property_schema(kind, singer_decimal=False) for name, kind in columns.items()}
    typed["Id"] = {"type": "string"}
    return {
        "type": "object",
        "properties": {"_account": ADDED["_account"], **typed, **more},
    }


def _list_of(keys: Sequence[str]) -> dict[str, Any]:
    # The SDK requires the properties of an object inside a list.
    item = {"type": "object", "properties": {key: {"type": ["string", "null"]} for key in keys}}
    return {"type": ["array", "null"], "items": item}


@dataclass
class ImpactLists:
    """Reads the three lists; `start` is the first day of interest."""

    api: ImpactApi
    reports: ImpactReports
    start: date

    def specs(self) -> list[ListSpec]:
        """Return the streams with their schemas and keys."""
        nested = {name: _list_of(keys) for name, keys in METADATA_LISTS.items()}
        jobs = _schema(JOBS, {"_unparsed": ADDED["_unparsed"]})
        return [
            ListSpec(
                "reports",
                _schema(REPORTS, {}),
                KEYS,
                self._reports,
                description="The account's reports, those of the web app alone included.",
            ),
            ListSpec(
                "report_metadata",
                _schema(METADATA, nested),
                KEYS,
                self._report_metadata,
                description="The filters and the columns of each report.",
            ),
            ListSpec(
                "jobs",
                jobs,
                KEYS,
                self._jobs,
                replication_key="CreatedDate",
                description="The account's export jobs.",
            ),
        ]

    def _reports(self, _bookmark: str | None) -> Iterator[dict[str, Any]]:
        for report in self.reports.listed:
            record = self._typed(report, REPORTS)
            record["Id"] = record["Id"] or record["RunUri"] or record["Name"]
            if record["Id"]:
                yield record
            else:
                logger.warning(NO_ID, "reports", "report")

    def _report_metadata(self, _bookmark: str | None) -> Iterator[dict[str, Any]]:
        self.reports.prefetch(self.reports.exportable)
        for report in self.reports.exportable:
            try:
                document = self.reports.metadata(report)
            except ApiError as error:
                logger.warning("report_metadata: skipped %s: %s", report, error)
                continue
            record = self._typed(document, METADATA) | {"Id": report}
            for name, keys in METADATA_LISTS.items():
                listed = document.get(name)
                record[name] = [
                    {key: text_of(item.get(key)) or None for key in keys}
                    for item in (listed if isinstance(listed, list) else [])
                    if isinstance(item, dict)
                ]
            yield record

    def _jobs(self, bookmark: str | None) -> Iterator[dict[str, Any]]:
        since = self.start
        if bookmark:
            recent = (self.api.client.server_now() - JOBS_LOOKBACK).date()
            since = max(self.start, min(date.fromisoformat(bookmark[:10]), recent))
        # Whether the day itself is included is not documented.
        params = {"CreatedAfter": (since - timedelta(days=1)).isoformat()}
        # All pages are read first, because a list that fails halfway must not move the bookmark.
        for job in [
            job for page in self.api.pages(self.api.path("Jobs"), "Jobs", params) for job in page
        ]:
            record = self._typed(job, JOBS) if isinstance(job, dict) else {"Id": None}
            if record["Id"]:
                yield {"_unparsed": None, **record}
            else:
                logger.warning(NO_ID, "jobs", "job")

    def _typed(self, document: Document, columns: Mapping[str, Kind]) -> dict[str, Any]:
        return {"_account": self.api.account, **typed(document, columns, self.api.zone)}
