"""How far one order got: its step, its job, and its file."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import TypeAlias

from tap_affiliate_reports.errors import TapError
from tap_affiliate_reports.exports.job import ExportJob
from tap_affiliate_reports.exports.order import ExportOrder
from tap_affiliate_reports.formats import Summary
from tap_affiliate_reports.http import NotReady


class Step(Enum):
    """The step that an export has reached."""

    QUEUED = "queued"
    RUNNING = "running"
    # The job is in error, and the service will run it again.
    RETRYING = "retrying"
    # The job failed and is replayed after a pause.
    PAUSED = "paused"
    # The job is finished; its file is downloaded once there is a slot.
    FINISHED = "finished"
    DOWNLOADING = "downloading"
    READY = "ready"
    SKIPPED = "skipped"
    FAILED = "failed"
    DONE = "done"


# The steps in which the job is polled.
POLLED = frozenset({Step.RUNNING, Step.RETRYING})
# The steps that occupy one of the slots.
IN_SLOT = frozenset({Step.RUNNING, Step.PAUSED, Step.DOWNLOADING, Step.READY})


@dataclass(frozen=True)
class StoredFile:
    """A downloaded file that was read and checked."""

    path: Path
    summary: Summary


DownloadOutcome: TypeAlias = StoredFile | NotReady


@dataclass(frozen=True)
class ResultFile:
    """The file of one export, complete and checked. `seconds_waited` counts from its start."""

    job: ExportJob
    finished_at: datetime
    path: Path
    summary: Summary
    seconds_waited: float


@dataclass
class LastRun:
    """What is known of the job's last run: it separates its file from an earlier one.

    `seen` says that the job was seen running since it was requested. `old_finished_at` is the date
    of the earlier file, which a job may show until it has a new one.
    """

    seen: bool = False
    is_replay: bool = False
    old_finished_at: datetime | None = None
    accepts_any_file: bool = False

    def has_written(self, finished_at: datetime | None) -> bool | None:
        """Return whether a file of this date is of the last run; None if only its age can say."""
        if self.accepts_any_file:
            return True
        is_new = finished_at is None or finished_at != self.old_finished_at
        if is_new and (self.seen or self.is_replay):
            return True
        return False if self.is_replay else None


@dataclass(eq=False)
class Export:
    """The progress of one order. Moments are those of the monotonic clock, in seconds."""

    order: ExportOrder
    step: Step = Step.QUEUED
    job: ExportJob | None = None
    run: LastRun = field(default_factory=LastRun)
    download: Future[DownloadOutcome] | None = None
    result: ResultFile | None = None
    error: TapError | None = None
    skip_reason: str = ""
    skipped_for_quota: bool = False
    # Whether a rate limit ended the run before the window's turn, not the quota of its kind.
    is_rate_limited: bool = False
    exports_spent: int = 0
    failures: int = 0
    last_percent: int | None = None
    started_at: float = 0.0
    requested_at: float = 0.0
    # When the job itself, not the list of jobs, was last polled.
    polled_at: float = 0.0
    next_try: float = 0.0
    # How many looks at the service's list did not show the job.
    absent_from_list: int = 0
    # Each step since the plan, and when it began.
    history: list[tuple[Step, float]] = field(default_factory=list)
    # When the stream began and finished to write the file's rows.
    rows_began: float | None = None
    rows_ended: float | None = None
    # Whether the file is identical to the one loaded before, so that its rows were not written.
    is_unchanged: bool = False

    def __str__(self) -> str:
        return str(self.order)

    @property
    def needs_export(self) -> bool:
        """Whether this will spend one of the account's exports."""
        return self.step is Step.QUEUED and self.order.needs_export

    @property
    def is_skipped(self) -> bool:
        """Whether the window is not loaded in this run."""
        return self.step is Step.SKIPPED

    @property
    def progress(self) -> str:
        """The service's figure of how far the job is, for the log."""
        if self.job and self.step is Step.RETRYING:
            return self.job.word
        return f"{self.job.percent}%" if self.job and self.job.percent is not None else "?%"

    def note_step(self, moment: float) -> None:
        """Record when the present step began, unless it is recorded."""
        if not self.history or self.history[-1][0] is not self.step:
            self.history.append((self.step, moment))

    def skip(self, reason: str, *, for_quota: bool = False) -> None:
        """Do not load the window in this run."""
        self.step, self.skip_reason, self.skipped_for_quota = Step.SKIPPED, reason, for_quota

    def discard(self) -> None:
        """Remove the file, now or when its download ends."""
        if self.result is not None:
            self.result.path.unlink(missing_ok=True)
        if self.download is not None:
            self.download.add_done_callback(_remove_file)


def _remove_file(download: Future[DownloadOutcome]) -> None:
    if download.exception() is None and isinstance(stored := download.result(), StoredFile):
        stored.path.unlink(missing_ok=True)
