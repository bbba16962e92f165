"""The export flow: the queue of all exports of a source, and the only loop that sleeps.

They stand in the order in which they will be taken. At most `max_concurrent_jobs` of them are in
flight or spooled at once. A job that the service is retrying gives its slot to others; once it is
finished, its file waits for a free slot, unless it is the one that is waited for. The flow moves
when it is asked to: `take` waits for one export, `tick` does what is due without waiting. Downloads
run beside it.
"""

from __future__ import annotations

import copy
import logging
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tap_affiliate_reports.clock import Clock
from tap_affiliate_reports.errors import (
    ExportFailed,
    RateLimited,
    TapError,
    Unauthorized,
)
from tap_affiliate_reports.exports.download import Downloads
from tap_affiliate_reports.exports.export import POLLED, UNDER_WAY, Export, Limits, ResultFile, Step
from tap_affiliate_reports.exports.job import ExportSource
from tap_affiliate_reports.exports.polling import Polling
from tap_affiliate_reports.exports.quota import Quota
from tap_affiliate_reports.exports.steps import LONGEST_PAUSE, Steps

HEARTBEAT = 30.0

logger = logging.getLogger(__name__)


@dataclass
class ExportFlow:
    """Brings the files of many exports, in order, with a bounded number under way.

    `while_waiting` is called now and then, for whatever else must go on.
    """

    source: ExportSource
    clock: Clock
    spool: Path
    limits: Limits = field(default_factory=Limits)
    name: str = ""
    while_waiting: Callable[[], None] = lambda: None
    _waiting: deque[Export] = field(default_factory=deque)
    _active: list[Export] = field(default_factory=list)
    _awaited: Export | None = None
    _heartbeat_due: float = 0.0

    def __post_init__(self) -> None:
        self._quota = Quota(self.limits.max_exports)
        self._downloads = Downloads(self.source, self.spool, self.name)
        self._steps = Steps(
            self.source,
            self.clock,
            self.limits,
            self._quota,
            self._downloads,
            gives_way=self._planned_goes_first,
            still_needed=lambda: self.exports_needed,
            has_slot=self._has_slot,
        )
        self._polling = Polling(self.source, self.clock, self.limits, self._steps, self._attempt)

    def plan(self, exports: Iterable[Export]) -> None:
        """Queue exports in the order of taking; refreshes get what the quota leaves the others.

        Exports for which the quota does not suffice are left at once.
        """
        self._waiting.extend(exports)
        left = self._quota.left
        needed = (export for export in self._waiting if export.needs_export)
        for export in sorted(needed, key=lambda export: export.is_refresh):
            left -= 1
            if left < 0:
                export.leave(self._quota.line, is_quota=True)
        self._waiting = deque(export for export in self._waiting if export.step is Step.QUEUED)

    @property
    def exports_needed(self) -> int:
        """The number of exports that what is queued will spend."""
        return sum(export.needs_export for export in self._waiting)

    def take(self, export: Export) -> ResultFile | None:
        """Wait for one export's file; None where it was left as it is. Raises what went wrong."""
        # Of many that are left for the quota, none has anything to wait for.
        if export.is_left:
            return None
        self._awaited = export
        try:
            return self._wait_for(export)
        finally:
            self._awaited = None

    def _wait_for(self, export: Export) -> ResultFile | None:
        while True:
            self.while_waiting()
            self.tick()
            if export.step is Step.QUEUED:  # what is taken now never waits for a place
                self._waiting.remove(export)
                self._begin(export)
            if export.step is Step.READY:
                return export.result
            if export.error is not None:
                raise export.error
            if export.is_left:
                return None
            if export.step is not Step.QUEUED and export not in self._active:
                msg = f"{export}: lost by the queue as {export.step.value}"
                raise ExportFailed(msg)
            self._wait()

    def tick(self) -> None:
        """Do what is due, without waiting."""
        self._downloads.landed.clear()
        now = self.clock.monotonic()
        for export in list(self._active):
            if export.step is Step.DOWNLOADING and export.landed is not None:
                self._attempt(export, self._steps.take_landed)
            elif export.step is Step.FINISHED and self._has_slot(export):
                self._attempt(export, self._steps.download)
            elif self._may_replay(export) and now >= export.next_try:
                self._attempt(export, self._steps.replay)
        self._polling.poll(self._active)
        while self._waiting and self._under_way < self.limits.max_concurrent_jobs:
            export = self._waiting.popleft()
            if export.step is Step.QUEUED:
                self._begin(export)

    def release(self, export: Export) -> None:
        """Give up an export's place, and its file."""
        export.step = Step.DONE
        export.discard()
        if export in self._active:
            self._active.remove(export)

    def abandon(self, stream: str) -> None:
        """Give up whatever of a stream is still queued, under way or spooled."""
        self._waiting = deque(export for export in self._waiting if export.stream != stream)
        for export in [export for export in self._active if export.stream == stream]:
            self.release(export)

    # Moving

    @property
    def _under_way(self) -> int:
        return sum(export.step in UNDER_WAY for export in self._active)

    def _has_slot(self, export: Export) -> bool:
        """Tell whether an export may go on beside the others; one that is waited for always may."""
        others = self._under_way - (export.step in UNDER_WAY)
        return export is self._awaited or others < self.limits.max_concurrent_jobs

    def _may_replay(self, export: Export) -> bool:
        return export.step is Step.PAUSED and self._has_slot(export)

    def _begin(self, export: Export) -> None:
        self._active.append(export)
        self._attempt(export, self._steps.start)

    def _attempt(self, export: Export, action: Callable[[Export], None]) -> None:
        try:
            action(export)
        except Unauthorized:
            raise
        except RateLimited as error:
            # A longer wait than we may make: nothing more can be asked in this run.
            for other in (*self._active, *self._waiting):
                if other.step not in {Step.READY, Step.FAILED, Step.LEFT}:
                    other.leave(str(error), is_quota=True)
                    other.discard()
        except TapError as error:
            export.step, export.error = Step.FAILED, _named(export, error)

    def _wait(self) -> None:
        now = self.clock.monotonic()
        if now >= self._heartbeat_due:
            if self._heartbeat_due:
                self._log_heartbeat()
            self._heartbeat_due = now + HEARTBEAT
        due = self._polling.due([e for e in self._active if e.step in POLLED])
        due += [export.next_try for export in self._active if self._may_replay(export)]
        pause = max(0.0, min(due, default=now + LONGEST_PAUSE) - now)
        if any(export.step is Step.DOWNLOADING for export in self._active):
            self._downloads.landed.wait(pause)
        elif pause:
            self.clock.sleep(pause)

    def _log_heartbeat(self) -> None:
        steps = UNDER_WAY - {Step.READY} | {Step.RETRYING}
        waiting = [export for export in self._active if export.step in steps]
        retried = sum(export.step is Step.RETRYING for export in waiting)
        logger.info(
            "waiting for %d jobs%s: %s",
            len(waiting),
            f", {retried} of them retried by the service" if retried else "",
            ", ".join(f"{export} ({export.progress})" for export in waiting),
        )

    # Quota

    def _planned_goes_first(self, export: Export) -> bool:
        """Let what was planned to be spent come before an export that turned out to be needed."""
        promised = [other for other in self._waiting if other.needs_export]
        if promised and not self._quota.is_known:
            # What the service has left is told by the answer to an export request.
            self._waiting.remove(promised[0])
            self._begin(promised[0])
            self._active.remove(export)
            export.step = Step.QUEUED
            self._waiting.appendleft(export)
            return True
        if len(promised) >= self._quota.left:
            export.leave(self._quota.line, is_quota=True)
            return True
        return False


def _named(export: Export, error: TapError) -> TapError:
    """Return the error with its window's name in front, unless it is there."""
    if str(export) in str(error):
        return error
    named = copy.copy(error)
    named.args = (f"{export}: {error}",)
    return named
