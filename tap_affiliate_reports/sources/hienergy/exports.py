"""Hi Energy AI's dialect of the export flow."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from tap_affiliate_reports.errors import Rejected, UnknownJobState
from tap_affiliate_reports.exports.job import ExportJob, ExportRequest, ExportSource
from tap_affiliate_reports.formats import ResultFormat, workbook
from tap_affiliate_reports.formats.csv import joined
from tap_affiliate_reports.http import NotReady
from tap_affiliate_reports.sources.hienergy.api import HiEnergyApi
from tap_affiliate_reports.sources.values import is_true, text_of

# Running exports are among the newest of the list.
LOOK_AT = 100
# The status of an answer to a request whose export already runs; its body is that export.
IN_FLIGHT = 409


@dataclass
class HiEnergyExports(ExportSource):
    """Creates, polls and downloads the exports of one user."""

    api: HiEnergyApi
    # The download link of each export, from the last poll.
    _links: dict[str, str] = field(default_factory=dict, repr=False)

    def server_now(self) -> datetime:
        """Return the present time by the service's Date headers."""
        _ = self.api.listing
        return self.api.client.server_now()

    def format_of(self, request: ExportRequest) -> ResultFormat:
        """Return CSV or XLSX, by the name of the type; the CSV of an export in parts is joined."""
        return joined if request.report.endswith("_csv") else workbook

    def schedule(self, request: ExportRequest, spend_again: Callable[[], bool]) -> ExportJob:
        """Request an export; a repeated request returns the earlier export, finished or not."""
        answer = self.api.client.json(
            "exports",
            method="POST",
            body={"report_type": request.report, **request.filters},
            may_repeat=spend_again,
            also={IN_FLIGHT},
        )
        document = answer.document
        export = self.api.export_in(document)
        deduped = is_true(document.get("deduped")) or is_true(export.get("deduped"))
        job = self.api.job(export)
        return replace(job, is_new=answer.status != IN_FLIGHT and not deduped)

    def poll(self, job_id: str) -> ExportJob:
        """Return the present state of an export."""
        export = self.api.read(job_id)
        self._links[job_id] = text_of(export.get("download_url"))
        return self.api.job(export)

    def poll_all(self, jobs: Sequence[ExportJob]) -> Mapping[str, ExportJob]:
        """Return those of the exports that are among the newest of the list."""
        shown = {}
        wanted = {job.id for job in jobs}
        for export in self.api.newest(LOOK_AT):
            export_id = text_of(export.get("id"))
            if export_id in wanted:
                self._links[export_id] = text_of(export.get("download_url"))
                with contextlib.suppress(UnknownJobState):  # raised by its own poll
                    shown[export_id] = self.api.job(export)
        return shown

    def download(self, request: ExportRequest, job: ExportJob, target: Path) -> NotReady | None:  # noqa: ARG002
        """Store an export's file; a link that has expired is requested again."""

        def link() -> str:
            known = self._links.pop(job.id, "")
            url = known or text_of(self.api.read(job.id).get("download_url"))
            if not url:
                msg = (
                    f"export {job.id} is completed but has no download link. To skip it, set "
                    "start_date to a day after it"
                )
                raise Rejected(msg)
            return url

        return self.api.client.download(link, target)
