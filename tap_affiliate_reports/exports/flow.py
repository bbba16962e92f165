"""The export flow: the queue of all exports of a source, and the only loop that sleeps.

The exports stand in the order in which their files are needed. At most `max_concurrent_jobs` of
them are in flight or spooled at once. A job that the service is retrying frees its slot; once it is
finished, its file waits for a free slot, unless the flow is waiting for that file. The flow moves
when it is called: `wait_for` waits for one export, `advance` does what is due without waiting.
Downloads run in the background.
"""

from __future__ import annotations

import copy
import logging
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tap_affiliate_reports.clock import Clock
from tap_affiliate_reports.errors import ExportFailed, RateLimited, TapError, Unauthorized
from tap_affiliate_reports.exports.download import Downloads
from tap_affiliate_reports.exports.export import IN_SLOT, POLLED, Export, ResultFile, Step
from tap_affiliate_reports.exports.job import ExportKind, ExportSource
from tap_affiliate_reports.exports.order import Limits
from tap_affiliate_reports.exports.outcomes import Next, Outcome, Ready, Skip, Wait
from tap_affiliate_reports.exports.polling import Polling
from tap_affiliate_reports.exports.quota import Quotas
from tap_affiliate_reports.exports.steps import LONGEST_PAUSE, ExportSteps

HEARTBEAT = 30.0

logger = logging.getLogger(__name__)

StepCall = Callable[[Export], Outcome]


@dataclass
class ExportFlow:
    """Brings the files of many exports, in order, with a bounded number in flight.

    `while_waiting` is called now and then, for whatever else must go on.
    """

    source: ExportSource
    clock: Clock
    spool: Path
    limits: Limits
    name: str = ""
    while_waiting: Callable[[], None] = lambda: None
    _queued: deque[Export] = field(default_factory=deque, init=False)
    _active: list[Export] = field(default_factory=list, init=False)
    _awaited: Export | None = field(default=None, init=False)
    _heartbeat_due: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self.quotas = Quotas()
        """What the exports of this run cost, by their kind."""
        self._downloads = Downloads(self.source, self.spool, self.name)
        self._steps = ExportSteps(self.source, self.clock, self.limits, self.quotas)
        self._polling = Polling(self.source, self.clock, self.limits)

    def plan(self, exports: Iterable[Export]) -> None:
        """Queue exports in order; refreshes get the quota that new windows do not need.

        Exports for which the quota does not suffice are skipped at once.
        """
        self._queued.extend(exports)
        planned: Counter[ExportKind] = Counter()
        needed = (export for export in self._queued if export.needs_export)
        for export in sorted(needed, key=lambda export: export.order.is_refresh):
            quota = self.quotas.of_export(export)
            planned[quota.kind] += 1
            if planned[quota.kind] > quota.remaining:
                export.skip(quota.reason, for_quota=True)
        self._queued = deque(export for export in self._queued if export.step is Step.QUEUED)
        now = self.clock.monotonic()
        for export in self._queued:
            export.note_step(now)

    @property
    def needs_exports(self) -> bool:
        """Whether the queue will spend any export."""
        return any(export.needs_export for export in self._queued)

    def exports_needed(self, kind: ExportKind) -> int:
        """Return the number of exports of one kind that the queue will spend."""
        return len(self._planned(kind))

    @property
    def queued(self) -> Sequence[Export]:
        """The exports that are planned and have not begun."""
        return tuple(self._queued)

    def exports_beyond_plan(self, kind: ExportKind) -> float:
        """Return how many exports remain beyond those that are planned, as far as is known."""
        return self.quotas.of(kind).remaining - len(self._planned(kind))

    def first_step(self, export: Export) -> Outcome:
        """Return what the first step of a queued export leads to, and do not act on it."""
        return self._steps.start(export)

    def wait_for(self, export: Export) -> ResultFile | None:
        """Wait for one export's file; return None if it is skipped, raise what went wrong."""
        # Of many that are skipped for the quota, none has anything to wait for.
        if export.is_skipped:
            return None
        self._awaited = export
        try:
            return self._wait_for(export)
        finally:
            self._awaited = None

    def _wait_for(self, export: Export) -> ResultFile | None:
        while True:
            self.while_waiting()
            self.advance()
            if export.step is Step.QUEUED:  # an awaited export never waits for a slot
                self._queued.remove(export)
                self._begin(export)
            if export.step is Step.READY:
                return export.result
            if export.error is not None:
                raise export.error
            if export.is_skipped:
                return None
            if export.step is not Step.QUEUED and export not in self._active:
                msg = f"{export}: internal error: not in the queue, step {export.step.value}"
                raise ExportFailed(msg)
            self._sleep()

    def advance(self) -> None:
        """Do what is due, without waiting."""
        self._downloads.ended.clear()
        now = self.clock.monotonic()
        for export in list(self._active):
            if export.step is Step.DOWNLOADING and export.download and export.download.done():
                self._act(export, self._steps.downloaded)
            elif export.step is Step.FINISHED and self._has_slot(export):
                self._fetch(export)
            elif self._may_replay(export) and now >= export.next_try:
                self._act(export, self._steps.replay)
        for export, job in self._polling.polls(self._active):
            step = partial(self._steps.evaluate, job=job) if job else self._steps.poll
            self._act(export, step)
        while self._queued and self._in_slots < self.limits.max_concurrent_jobs:
            export = self._queued.popleft()
            if export.step is Step.QUEUED:
                self._begin(export)

    def release(self, export: Export) -> None:
        """Free an export's slot and remove its file."""
        export.step = Step.DONE
        export.note_step(self.clock.monotonic())
        export.discard()
        if export in self._active:
            self._active.remove(export)

    def cancel_stream(self, stream: str) -> None:
        """Release every export of a stream that is queued, in flight or spooled."""
        self._queued = deque(export for export in self._queued if export.order.stream != stream)
        for export in [export for export in self._active if export.order.stream == stream]:
            self.release(export)

    # Steps and their outcomes

    def _begin(self, export: Export) -> None:
        self._active.append(export)
        self._act(export, self._steps.start)

    def _act(self, export: Export, step: StepCall) -> None:
        """Take a step and those that follow at once; keep an error with the export."""
        following: StepCall | None = step
        try:
            while following is not None:
                following = self._follow(export, following(export))
        except Unauthorized:
            raise
        except RateLimited as error:
            # The requested pause is longer than allowed, so this run can request nothing more.
            for other in (*self._active, *self._queued):
                if other.step not in {Step.READY, Step.FAILED, Step.SKIPPED}:
                    other.skip(str(error), for_quota=True)
                    other.is_rate_limited = True
                    other.note_step(self.clock.monotonic())
                    other.discard()
        except TapError as error:
            export.step, export.error = Step.FAILED, _named(export, error)
        export.note_step(self.clock.monotonic())

    def _follow(self, export: Export, outcome: Outcome) -> StepCall | None:
        """Act on an outcome; return the step that follows at once, if there is one."""
        match outcome:
            case Wait(step, until):
                export.step, export.next_try = step, until
            case Skip(reason, for_quota):
                export.skip(reason, for_quota=for_quota)
            case Ready(result):
                export.step, export.result = Step.READY, result
            case Next.REPLAY:
                return self._steps.replay
            case Next.FETCH:
                export.step = Step.FINISHED
                if self._has_slot(export):
                    self._fetch(export)
            case Next.REQUEST:
                if self._is_planned(export) or self._has_quota_beyond_plan(export):
                    return self._request
                self._yield_to_planned(export)
        return None

    def _fetch(self, export: Export) -> None:
        export.step = Step.DOWNLOADING
        export.note_step(self.clock.monotonic())
        export.download = self._downloads.begin(export.order, self._steps.job_of(export))

    def _request(self, export: Export) -> Outcome:
        outcome = self._steps.request(export)
        quota = self.quotas.of_export(export)
        quota.report(self.exports_needed(quota.kind))
        return outcome

    # The quota

    def _is_planned(self, export: Export) -> bool:
        """Return whether the plan counted on this export."""
        return export.order.needs_export or export.order.request.synchronous

    def _planned(self, kind: ExportKind) -> list[Export]:
        return [one for one in self._queued if one.needs_export and one.order.request.kind == kind]

    def _has_quota_beyond_plan(self, export: Export) -> bool:
        kind = export.order.request.kind
        is_known = self.quotas.of(kind).is_known or not self._planned(kind)
        return is_known and self.exports_beyond_plan(kind) > 0

    def _yield_to_planned(self, export: Export) -> None:
        """Put planned exports before one that turned out to be needed."""
        quota = self.quotas.of_export(export)
        planned = self._planned(quota.kind)
        if not planned or quota.is_known:
            export.skip(quota.reason, for_quota=True)
            return
        # Only the answer to an export request says what remains of the service's quota.
        self._active.remove(export)
        export.step = Step.QUEUED
        self._queued.remove(planned[0])
        self._queued.appendleft(export)
        self._begin(planned[0])

    # Slots and pauses

    @property
    def _in_slots(self) -> int:
        return sum(export.step in IN_SLOT for export in self._active)

    def _has_slot(self, export: Export) -> bool:
        """Return whether an export has or may occupy a slot; an awaited one always may."""
        others = self._in_slots - (export.step in IN_SLOT)
        return export is self._awaited or others < self.limits.max_concurrent_jobs

    def _may_replay(self, export: Export) -> bool:
        return export.step is Step.PAUSED and self._has_slot(export)

    def _sleep(self) -> None:
        now = self.clock.monotonic()
        if now >= self._heartbeat_due:
            if self._heartbeat_due:
                self._log_heartbeat()
            self._heartbeat_due = now + HEARTBEAT
        due = self._polling.due([e for e in self._active if e.step in POLLED])
        due += [export.next_try for export in self._active if self._may_replay(export)]
        pause = max(0.0, min(due, default=now + LONGEST_PAUSE) - now)
        if any(export.step is Step.DOWNLOADING for export in self._active):
            self._downloads.ended.wait(pause)
        elif pause:
            self.clock.sleep(pause)

    def _log_heartbeat(self) -> None:
        steps = IN_SLOT - {Step.READY} | {Step.RETRYING}
        waiting = [export for export in self._active if export.step in steps]
        retried = sum(export.step is Step.RETRYING for export in waiting)
        logger.info(
            "waiting for %d job%s%s: %s",
            len(waiting),
            "" if len(waiting) == 1 else "s",
            f", {retried} of them retried by the service" if retried else "",
            ", ".join(f"{export} ({export.progress})" for export in waiting),
        )


def _named(export: Export, error: TapError) -> TapError:
    """Return the error with its window's name in front, unless the error has it."""
    if str(export) in str(error):
        return error
    named = copy.copy(error)
    named.args = (f"{export}: {error}",)
    return named
