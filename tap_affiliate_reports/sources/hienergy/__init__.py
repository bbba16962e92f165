"""Hi Energy AI: the list of a user's exports, and the rows of the finished ones."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time, tzinfo
from functools import partial
from typing import Any

import pendulum

from tap_affiliate_reports.clock import Clock
from tap_affiliate_reports.exports.job import ExportRequest
from tap_affiliate_reports.http import HeaderAuth
from tap_affiliate_reports.schema import ADDED, Kind, json_text, property_schema
from tap_affiliate_reports.sources.hienergy import settings as declared
from tap_affiliate_reports.sources.hienergy.api import ERRORS, HiEnergyApi
from tap_affiliate_reports.sources.hienergy.exports import HiEnergyExports
from tap_affiliate_reports.sources.source import (
    FileSpec,
    ListSpec,
    Source,
    SourcePolicy,
    account_label,
    api_client,
    flow_limits,
)
from tap_affiliate_reports.sources.values import Document, typed, without_nul
from tap_affiliate_reports.state import from_timestamp

logger = logging.getLogger(__name__)

NO_ID = "exports: skipped an export without a numeric id"

# The list has a link to each file, which is no column: whoever has the link can read the file.
EXPORTS = {
    "id": Kind.INTEGER,
    "report_type": Kind.STRING,
    "display_name": Kind.STRING,
    "status": Kind.STRING,
    "status_display": Kind.STRING,
    "filename": Kind.STRING,
    "download_expires_in_seconds": Kind.INTEGER,
    "error_message": Kind.STRING,
    "parent_report_id": Kind.INTEGER,
    "chunked_export": Kind.BOOLEAN,
    "created_at": Kind.DATETIME,
    "updated_at": Kind.DATETIME,
    "started_at": Kind.DATETIME,
    "completed_at": Kind.DATETIME,
    "status_url": Kind.STRING,
    # JSON text, because some loaders (Parquet) refuse an object without properties.
    "parameters": Kind.STRING,
}
OBJECTS: dict[str, dict[str, Any]] = {
    "progress": {
        "type": ["object", "null"],
        "properties": {
            "parts_ready": {"type": ["integer", "null"]},
            "total_parts": {"type": ["integer", "null"]},
        },
    },
}


class HiEnergySource(Source):
    """One user of Hi Energy AI."""

    name = "hienergy"
    DESCRIPTION = "Export reports of Hi Energy AI."
    SETTINGS = declared.SETTINGS
    REQUIRED = declared.REQUIRED

    def __init__(
        self, settings: Mapping[str, Any], *, start: date, clock: Clock, user_agent: str
    ) -> None:
        self.account = account_label(settings)
        self.old_account = str(settings.get("account", ""))
        key = str(settings["api_key"])
        self.client = api_client(
            settings,
            HeaderAuth("X-Api-Key", key),
            clock=clock,
            user_agent=user_agent,
            secrets=(key,),
            error_format=ERRORS,
        )
        self.api = HiEnergyApi(self.client)
        self.exports = HiEnergyExports(self.api)
        self.policy = SourcePolicy(limits=flow_limits(settings))
        self._start = datetime.combine(start, time.min, tzinfo=pendulum.UTC)
        self._create = settings.get("create") or ()

    @property
    def zone(self) -> tzinfo:
        """UTC, in which the service writes its dates; those of a workbook are read as UTC too."""
        return pendulum.UTC

    def check_credentials(self) -> None:
        """Read the list; raises Unauthorized if the service refuses the key."""
        _ = self.api.listing

    def lists(self) -> Sequence[ListSpec]:
        """Return the stream exports."""
        properties = {
            "_account": ADDED["_account"],
            **{name: property_schema(kind) for name, kind in EXPORTS.items()},
            **OBJECTS,
            "_unparsed": ADDED["_unparsed"],
        }
        properties["id"] = {"type": "integer"}
        schema = {"type": "object", "properties": properties}
        keys = ("_account", "id")
        return [
            ListSpec(
                "exports",
                schema,
                keys,
                self._exports,
                replication_key="updated_at",
                description="The user's exports, finished or not.",
            )
        ]

    def files(self) -> Sequence[FileSpec]:
        """Return one stream for each type of export."""
        return [
            FileSpec(
                kind,
                partial(self.api.finished, kind),
                [_request(one) for one in self._create if one["report_type"] == kind],
            )
            for kind in declared.REPORT_TYPES
        ]

    def _exports(self, bookmark: str | None) -> Iterator[dict[str, Any]]:
        since = max(self._start, from_timestamp(bookmark)) if bookmark else self._start
        listing = self.api.read_list()
        listing.refuse_gap(since)
        for export in listing.exports:
            record = self._record(export)
            changed = record["updated_at"]
            if record["id"] is None:
                logger.warning(NO_ID)
            elif changed is None or from_timestamp(changed) >= since:
                yield record

    def _record(self, export: Document) -> dict[str, Any]:
        objects = {
            name: without_nul(value) if isinstance(value := export.get(name), dict) else None
            for name in OBJECTS
        }
        parameters = without_nul(export.get("parameters"))
        if isinstance(parameters, (dict, list)):
            parameters = json_text(parameters)
        return {
            "_account": self.account,
            "_unparsed": None,
            **typed({**export, "parameters": parameters}, EXPORTS, pendulum.UTC),
            **objects,
        }


def _request(create: Mapping[str, Any]) -> ExportRequest:
    names = ("search_params", "index_params")
    filters = {name: create[name] for name in names if create.get(name) is not None}
    return ExportRequest(str(create["report_type"]), filters=filters)
