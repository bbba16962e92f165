"""What a stream orders from the export flow: one file, and the rules by which it is accepted."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from tap_affiliate_reports.exports.job import ExportJob, ExportRequest
from tap_affiliate_reports.formats import Summary


class Judge:
    """The rules by which a file is accepted. This class accepts every file."""

    def is_fresh(self, finished_at: datetime, now: datetime) -> bool:  # noqa: ARG002
        """Return whether a file that was finished at this moment can be used without a replay.

        Both moments are by the service's clock.
        """
        return True

    def claim(self, job: ExportJob) -> bool:  # noqa: ARG002
        """Claim a finished job's file for this order; return False if it is not to be loaded."""
        return True

    def check(self, path: Path, summary: Summary) -> None:
        """Check a downloaded file; raise DamagedFile if another download may help."""


@dataclass(frozen=True, eq=False)
class ExportOrder:
    """One file to bring.

    `stream` and `window` name it in log lines. `previous_job` is the job of the same request in an
    earlier run, "" if none is known; with `never_request` only that job's file is of use, so no
    export is requested in its place. `has_rows` says that the warehouse has rows of an earlier
    file, `is_refresh` that it has all days of the window. `why` is the reason of the order, for
    people.
    """

    stream: str
    window: str
    request: ExportRequest
    judge: Judge = field(default_factory=Judge)
    previous_job: str = ""
    never_request: bool = False
    has_rows: bool = False
    is_refresh: bool = False
    why: str = ""

    def __str__(self) -> str:
        return f"{self.stream} {self.window}"

    @property
    def needs_export(self) -> bool:
        """Whether this order will spend one of the account's exports."""
        return not self.previous_job and not self.request.synchronous


@dataclass(frozen=True)
class Limits:
    """The limits of one source's jobs; times are in seconds."""

    max_concurrent_jobs: int
    poll_interval: float
    job_timeout: float
