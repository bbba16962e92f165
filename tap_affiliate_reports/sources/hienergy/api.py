"""The export list of Hi Energy AI: finished, waiting and failed exports."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

import pendulum

from tap_affiliate_reports.errors import NotFound, Rejected, UnknownJobState
from tap_affiliate_reports.exports.job import ExportJob, JobState
from tap_affiliate_reports.http import ApiClient, ErrorFormat, message_of
from tap_affiliate_reports.sources.source import FinishedExports, job_state
from tap_affiliate_reports.sources.values import Document, is_true, moment, number, text_of

# The service's words for an export's state.
STATES = {
    "PENDING": JobState.RUNNING,
    "PROCESSING": JobState.RUNNING,
    "COMPLETED": JobState.READY,
    "FAILED": JobState.FAILED,
}
# The list has no pages: the limit is raised until the list is shorter than the limit.
FIRST_LIMIT = 500
NO_DATE = "export %s is completed but has no valid date"

logger = logging.getLogger(__name__)


def _error_message(document: Any) -> str:
    nested = document.get("error") if isinstance(document, dict) else None
    return message_of(nested if isinstance(nested, dict) else document)


# The service wraps an error: {"error": {"code": ..., "message": ..., "request_id": ...}}.
ERRORS = ErrorFormat(message=_error_message)


@dataclass(frozen=True)
class Listing:
    """All exports that the service lists, newest first; `is_cut` if older ones may be missing."""

    exports: list[Document]
    is_cut: bool

    def refuse_gap(self, since: datetime) -> None:
        """Raise Rejected if exports since that time may be missing."""
        created = [at for export in self.exports if (at := _created_at(export)) is not None]
        if self.is_cut and min(created, default=since) >= since:
            msg = (
                f"GET exports: the service lists no more than {len(self.exports)} exports, and "
                f"older ones since {since.date()} may be missing. Set a later start_date"
            )
            raise Rejected(msg)


@dataclass
class HiEnergyApi:
    """One user's exports."""

    client: ApiClient

    @cached_property
    def listing(self) -> Listing:
        """The list as of its first use in this run."""
        return self.read_list()

    def read_list(self) -> Listing:
        """Read the complete list."""
        limit, before = FIRST_LIMIT, -1
        while True:
            exports, meta = self._list(limit)
            count, allowed = (
                number(meta.get(name)) if isinstance(meta, dict) else None
                for name in ("count", "limit")
            )
            count = max(len(exports), count or 0)
            # The service may cap the limit, and reports its cap.
            if len(exports) == count < min(limit, allowed or limit):
                return Listing(exports, is_cut=False)
            if len(exports) <= before:
                return Listing(exports, is_cut=True)
            limit, before = max(4 * limit, count + 1), len(exports)

    def newest(self, limit: int) -> list[Document]:
        """Return the newest exports."""
        return self._list(limit)[0]

    def _list(self, limit: int) -> tuple[list[Document], Any]:
        document = self.client.json("exports", {"limit": limit}).document
        exports = document.get("exports") if isinstance(document, dict) else None
        if not isinstance(exports, list):
            msg = "GET exports: the answer has no list of exports"
            raise Rejected(msg)
        return [export for export in exports if isinstance(export, dict)], document.get("meta")

    def read(self, export_id: str) -> Document:
        """Return the present state of one export; raises NotFound if it does not exist."""
        return self.export_in(self.client.json(f"exports/{export_id}").document)

    def export_in(self, document: Any) -> Document:
        """Return the export in an answer, at any level of it."""
        export = _attached(document)
        if export is None:
            shown = self.client.safe_message(str(document))
            msg = f"the answer has no export with an id and a status: {shown}"
            raise Rejected(msg)
        return export

    def job(self, export: Document) -> ExportJob:
        """Return an export as a job of the export flow."""
        export_id, word = text_of(export.get("id")), text_of(export.get("status")).strip()
        if not export_id.isdecimal():
            shown = self.client.safe_message(export_id)
            msg = f"an export has the id {shown!r}, which is not a number"
            raise Rejected(msg)
        state = job_state(STATES, word, f"export {export_id}", self.client.safe_message)
        progress = export.get("progress")
        ready, total = (
            (number(progress.get(key)) for key in ("parts_ready", "total_parts"))
            if isinstance(progress, dict)
            else (None, None)
        )
        return ExportJob(
            id=export_id,
            state=state,
            word=word,
            message=self.client.safe_message(text_of(export.get("error_message"))),
            finished_at=_finished_at(export) if state is JobState.READY else None,
            percent=100 * ready // total if ready is not None and total else None,
            has_file=_has_file(export) or not _is_parent(export),
        )

    def finished(self, report_type: str, since: datetime | None) -> FinishedExports:
        """Return the finished exports of a type that have rows of their own, oldest first.

        Without `since`, exports that failed or are no longer listed are ignored.
        """
        if since is not None:
            self.listing.refuse_gap(since)
        found = FinishedExports()
        for export in self.listing.exports:
            if text_of(export.get("report_type")) != report_type:
                continue
            try:
                self._sort(export, since, found)
            except (UnknownJobState, Rejected) as error:
                at = _finished_at(export)
                if since is not None and (at is None or at >= since):
                    found.problems.append(error)
                    found.waiting.extend([at] if at else [])
        found.jobs.sort(key=lambda job: (job.finished_at, int(job.id)))
        return found

    def _sort(self, export: Document, since: datetime | None, found: FinishedExports) -> None:
        job = self.job(export)
        if job.state is JobState.FAILED and since is not None:
            self._log_failure(job, export, since)
        if job.state is not JobState.READY:
            return
        if job.finished_at is None:
            raise Rejected(NO_DATE % job.id)
        if export.get("parent_report_id"):
            found.parts.setdefault(text_of(export["parent_report_id"]), []).append(job)
            parent = self._parent(export)
            parent_job = self.job(parent) if parent else None
            if parent_job and parent_job.state is JobState.RUNNING:
                # The parent's file will contain the rows of its parts.
                found.waiting.append(job.finished_at)
                logger.info("export %s: waiting for its parent %s (%s %%)",
                            job.id, parent_job.id, parent_job.percent)  # fmt: skip
                return
            if parent_job and parent_job.state is JobState.READY and _has_file(parent):
                return
        if job.has_file:
            found.jobs.append(job)

    @cached_property
    def _by_id(self) -> dict[str, Document | None]:
        return {text_of(export.get("id")): export for export in self.listing.exports}

    def _parent(self, export: Document) -> Document | None:
        parent = text_of(export.get("parent_report_id"))
        if parent not in self._by_id:
            try:
                self._by_id[parent] = self.read(parent)
            except NotFound:
                self._by_id[parent] = None
        return self._by_id[parent]

    def _log_failure(self, job: ExportJob, export: Document, since: datetime) -> None:
        at = _finished_at(export)
        if at is None or at >= since:
            logger.warning(
                "%s export %s failed: %s", export.get("report_type"), job.id, job.message
            )


def _attached(part: Any, depth: int = 4) -> Document | None:
    if isinstance(part, dict) and part.get("id") and part.get("status"):
        return part
    parts = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    found = (_attached(one, depth - 1) for one in parts) if depth else ()
    return next((export for export in found if export is not None), None)


def _is_parent(export: Document) -> bool:
    # Neither field is documented as reliable, but only parents have a progress.
    return is_true(export.get("chunked_export")) or bool(export.get("progress"))


def _has_file(export: Document | None) -> bool:
    return bool(export and (export.get("download_url") or export.get("filename")))


def _created_at(export: Document) -> datetime | None:
    return moment(export.get("created_at"), pendulum.UTC)


def _finished_at(export: Document) -> datetime | None:
    dates = (export.get(name) for name in ("completed_at", "updated_at", "created_at"))
    return next((at for one in dates if (at := moment(one, pendulum.UTC)) is not None), None)
