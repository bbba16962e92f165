"""An export job, and the few calls that each network implements."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import Enum
from pathlib import Path
from typing import Any, ClassVar

from tap_affiliate_reports.errors import Rejected
from tap_affiliate_reports.formats import ResultFormat
from tap_affiliate_reports.http import NotReady


class JobState(Enum):
    """The state of a job; each network maps its own words to these.

    RETRYING is a job whose run failed and that the service itself will run again.
    """

    RUNNING = "running"
    RETRYING = "retrying"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True)
class ExportKind:
    """A kind of export, which has a quota of its own.

    `name` is its key in a plan, `noun` what log lines call such exports. `limit` is how many of
    them one run may request, None for any number, and `setting` the setting that says so.
    """

    name: str = "exports"
    noun: str = "exports"
    setting: str = "max_exports"
    limit: int | None = None


@dataclass(frozen=True)
class ExportRequest:
    """The request of one window. Equal requests are the same export.

    `start` and `end` are inclusive days, both None for a report without dates; `program` is ""
    for all programs; `filters` are passed on as the settings have them; `synchronous` requests
    the rows at once, without a job; `kind` says whose quota it is counted against.
    """

    report: str
    start: date | None = None
    end: date | None = None
    program: str = ""
    filters: Mapping[str, Any] = field(default_factory=dict)
    synchronous: bool = False
    kind: ExportKind = field(default_factory=ExportKind)

    @property
    def is_one_day(self) -> bool:
        """Whether it has the rows of one day, of which there is no smaller window."""
        return self.start is not None and self.start == self.end


@dataclass(frozen=True)
class ExportJob:
    """A job as the service last described it. `id` is "" for a synchronous request.

    `finished_at` is when its file was finished, by the service's clock; `records` is the number of
    rows that the service reports; `exports_left` is what the account may still spend, from the
    answer to an export request; `created_at` is when the job was first requested. Each is None if
    the service does not say. `is_new` says that the request created this job, so its file can't be
    an old one. `has_file` is false if a finished job has no file of its own.
    """

    id: str
    state: JobState
    word: str = ""
    message: str = ""
    finished_at: datetime | None = None
    records: int | None = None
    percent: int | None = None
    exports_left: int | None = None
    created_at: datetime | None = None
    is_new: bool = False
    has_file: bool = True


class ExportSource(ABC):
    """A network's dialect of the export flow; it never sleeps and never loops.

    Every method may raise an ApiError; NotFound means that the job, or its file, is gone. `replays`
    says whether a finished or failed job can be run again.
    """

    replays: ClassVar[bool] = False

    @abstractmethod
    def server_now(self) -> datetime:
        """Return the present time by the service's clock."""

    @abstractmethod
    def schedule(self, request: ExportRequest, spend_again: Callable[[], bool]) -> ExportJob:
        """Request an export; the service may answer with an old job for the same request.

        The request is sent again after a fault only if `spend_again` returns true.
        """

    @abstractmethod
    def poll(self, job_id: str) -> ExportJob:
        """Return the present state of a job."""

    def poll_all(self, jobs: Sequence[ExportJob]) -> Mapping[str, ExportJob]:  # noqa: ARG002
        """Return by id those of the jobs that one list request shows; the rest is polled."""
        return {}

    def replay(self, job_id: str) -> ExportJob:
        """Run a job again; the answer may name another id. Raises Forbidden if refused."""
        msg = f"job {job_id} can't be run again"
        raise Rejected(msg)

    @abstractmethod
    def download(self, request: ExportRequest, job: ExportJob, target: Path) -> NotReady | None:
        """Store a finished job's file in `target`, unless the service says it is not done."""

    @abstractmethod
    def format_of(self, request: ExportRequest) -> ResultFormat:
        """Return the format of the files of a request."""
