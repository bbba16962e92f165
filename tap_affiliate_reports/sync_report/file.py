"""The file of the report: what it is gathered from, and how it is written."""

from __future__ import annotations

import logging
import os
from datetime import datetime
from pathlib import Path
from types import TracebackType

from typing_extensions import Self

from tap_affiliate_reports.clock import Clock
from tap_affiliate_reports.log_lines import LogLines
from tap_affiliate_reports.run import Run
from tap_affiliate_reports.sync import Sync
from tap_affiliate_reports.sync_report.gather import gather
from tap_affiliate_reports.sync_report.page import page

WRITTEN = "wrote the sync report: %s"
NOT_WRITTEN = "report_file: the sync report can't be written to %s: %s"

logger = logging.getLogger(__name__)


class ReportFile:
    """Writes the report of the sync that runs while it is entered, however the sync ends.

    A report that can't be written is a WARNING: the sync itself is not affected.
    """

    def __init__(self, path: str, version: str, clock: Clock) -> None:
        self.path = Path(path)
        self.version = version
        self.clock = clock
        self._lines = LogLines()
        self._began: tuple[datetime, float] = (clock.now(), clock.monotonic())
        self._run: Run | None = None
        self._sync: Sync | None = None

    def follow(self, run: Run, sync: Sync) -> None:
        """Report about this sync; without one, the page has only the error and the log."""
        self._run, self._sync = run, sync

    def __enter__(self) -> Self:
        self._lines.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lines.__exit__(kind, error, trace)
        self._write(error, None)

    def stopped(self, signum: int) -> None:
        """Write the report of a sync that a signal ends."""
        self._write(None, signum)

    def _write(self, error: BaseException | None, signum: int | None) -> None:
        try:
            facts = gather(
                self._run,
                self._sync,
                self._lines,
                version=self.version,
                began=self._began,
                ended=(self.clock.now(), self.clock.monotonic()),
                error=error,
                signum=signum,
            )
            _replace(self.path, page(facts))
        except Exception as failure:  # whatever it is, the sync must not fail for it
            reason = failure.strerror if isinstance(failure, OSError) else repr(failure)
            logger.warning(NOT_WRITTEN, self.path, reason)
        else:
            logger.info(WRITTEN, self.path)


def _replace(path: Path, content: bytes) -> None:
    """Write a file, and its folder; until it is complete, an earlier one stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
