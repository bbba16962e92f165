"""One window's export: what it is to bring, and where it stands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path

from tap_affiliate_reports.errors import TapError
from tap_affiliate_reports.exports.job import ExportJob, ExportRequest
from tap_affiliate_reports.formats import Summary
from tap_affiliate_reports.http import NotReady


class Step(Enum):
    """Where an export stands."""

    QUEUED = "queued"
    RUNNING = "running"
    # The job is in error, and the service will run it again.
    RETRYING = "retrying"
    PAUSED = "paused"
    # The job is finished; its file is downloaded once there is a slot.
    FINISHED = "finished"
    DOWNLOADING = "downloading"
    READY = "ready"
    LEFT = "left"
    FAILED = "failed"
    DONE = "done"


# Why an export is left whose file is in the warehouse.
LOADED_BEFORE = "its file is loaded already"
# Those whose job is polled.
POLLED = frozenset({Step.RUNNING, Step.RETRYING})
# Those that take one of the slots.
UNDER_WAY = frozenset({Step.RUNNING, Step.PAUSED, Step.DOWNLOADING, Step.READY})


@dataclass(frozen=True)
class ResultFile:
    """The file of one export, whole and checked."""

    job: ExportJob
    finished_at: datetime
    path: Path
    summary: Summary
    seconds_waited: float


# What a download brings.
Landed = tuple[Path, Summary] | NotReady | TapError


@dataclass(eq=False)
class Export:
    """One window's export on its way; what is above the line is given, the rest is progress.

    `is_fresh` judges a file by when it was finished and the service's time; `check` looks into a
    stored file and raises DamagedFile where another download may help. `known_job` was noted for
    the same request before; with `fetch_only` it is all there is, and never asked for anew.
    `was_loaded` says that the warehouse has rows of it, `is_refresh` that it has all its days.
    `is_wanted` is asked of a finished job before its file is fetched.
    """

    stream: str
    window: str
    request: ExportRequest
    is_fresh: Callable[[datetime, datetime], bool] = lambda finished_at, now: True  # noqa: ARG005
    check: Callable[[Path, Summary], None] = lambda path, summary: None  # noqa: ARG005
    known_job: str = ""
    fetch_only: bool = False
    was_loaded: bool = False
    is_refresh: bool = False
    is_wanted: Callable[[ExportJob], bool] = lambda job: True  # noqa: ARG005
    # ------------------------------------------------------------------
    step: Step = Step.QUEUED
    job: ExportJob | None = None
    landed: Landed | None = None
    result: ResultFile | None = None
    error: TapError | None = None
    left_because: str = ""
    left_for_quota: bool = False
    exports_spent: int = 0
    failures: int = 0
    percent_seen: int | None = None
    began: float = 0.0
    asked: float = 0.0
    next_try: float = 0.0
    # Seen running, or in error, since it was asked for: a file with another date is fresh.
    seen_running: bool = False
    # Replayed, and the date of the old file, which the job shows until it has a new one.
    replayed: bool = False
    stale_at: datetime | None = None
    take_as_is: bool = False
    # When the job itself was last polled.
    asked_alone: float = 0.0
    # How many looks at the service's list did not show its job.
    misses: int = 0

    def __str__(self) -> str:
        return f"{self.stream} {self.window}"

    @property
    def needs_export(self) -> bool:
        """Whether this will spend one of the account's exports."""
        return self.step is Step.QUEUED and not self.known_job and not self.request.synchronous

    @property
    def is_left(self) -> bool:
        """Whether the window is left as it is in this run."""
        return self.step is Step.LEFT

    @property
    def is_given_up(self) -> bool:
        """Whether nobody waits for its file any longer."""
        return self.step in {Step.DONE, Step.LEFT, Step.FAILED}

    def discard(self) -> None:
        """Remove its file; one that is still being downloaded goes when that ends."""
        if self.result is not None:
            self.result.path.unlink(missing_ok=True)
        if isinstance(self.landed, tuple):
            self.landed[0].unlink(missing_ok=True)

    @property
    def progress(self) -> str:
        """How far the service says its job is."""
        if self.job and self.step is Step.RETRYING:
            return self.job.word
        return f"{self.job.percent}%" if self.job and self.job.percent is not None else "?%"

    def leave(self, because: str, *, is_quota: bool = False) -> None:
        """Leave the window as it is in this run."""
        self.step, self.left_because, self.left_for_quota = Step.LEFT, because, is_quota


@dataclass(frozen=True)
class Limits:
    """How much a source may be asked; seconds for times. `max_exports` None is no limit."""

    max_exports: int | None = 90
    max_concurrent_jobs: int = 5
    poll_interval: float = 2.0
    job_timeout: float = 5400.0
