"""The steps of one export, as tables: what was seen, and the outcome that follows."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from harness import NOW, FakeClock

from tap_affiliate_reports.errors import (
    ApiError,
    ExportFailed,
    ExportTimedOut,
    Forbidden,
    NotFound,
    RateLimited,
    Rejected,
    Unavailable,
)
from tap_affiliate_reports.exports.export import Export, LastRun, Step, StoredFile
from tap_affiliate_reports.exports.job import ExportJob, ExportKind, ExportRequest, JobState
from tap_affiliate_reports.exports.order import ExportOrder, Judge, Limits
from tap_affiliate_reports.exports.outcomes import Next, Ready, Skip, Wait
from tap_affiliate_reports.exports.quota import Quotas
from tap_affiliate_reports.exports.steps import ALREADY_LOADED, REPLAY_REFUSED, ExportSteps
from tap_affiliate_reports.formats import Summary
from tap_affiliate_reports.http import NotReady

OLD, NEW = NOW - timedelta(days=3), NOW - timedelta(minutes=1)
RUNNING, READY, FAILED = JobState.RUNNING, JobState.READY, JobState.FAILED
RETRYING = JobState.RETRYING


class Young(Judge):
    """Accepts files of the last day."""

    def is_fresh(self, finished_at: datetime, now: datetime) -> bool:
        return now - finished_at < timedelta(days=1)


class Unwanted(Judge):
    def claim(self, job: ExportJob) -> bool:
        return False


@dataclass
class Service:
    """Answers each call with the next of its answers; an error among them is raised."""

    answers: list[ExportJob | ApiError] = field(default_factory=list)
    replays: bool = True
    calls: list[str] = field(default_factory=list)

    def _next(self, call: str) -> ExportJob:
        self.calls.append(call)
        answer = self.answers.pop(0)
        if isinstance(answer, ApiError):
            raise answer
        return answer

    def server_now(self) -> datetime:
        return NOW

    def schedule(self, _request: ExportRequest, _may_repeat: Callable[[], bool]) -> ExportJob:
        return self._next("schedule")

    def poll(self, job_id: str) -> ExportJob:
        return self._next(f"poll {job_id}")

    def replay(self, job_id: str) -> ExportJob:
        return self._next(f"replay {job_id}")


def job(state: JobState, finished_at: datetime | None = None, **more: Any) -> ExportJob:
    return ExportJob(more.pop("id", "1"), state, word=state.value, finished_at=finished_at, **more)


def ordered(judge: Judge | None = None, **order: Any) -> Export:
    kind = ExportKind(limit=order.pop("limit", 5))
    request = ExportRequest("sales", synchronous=order.pop("synchronous", False), kind=kind)
    return Export(ExportOrder("sales", "October", request, judge or Young(), **order))


def steps(*answers: ExportJob | ApiError, replays: bool = True) -> Any:
    service: Any = Service(list(answers), replays)
    limits = Limits(max_concurrent_jobs=5, poll_interval=2, job_timeout=600)
    return ExportSteps(service, FakeClock(), limits, Quotas())


class TestEvaluate:
    @pytest.mark.parametrize(
        ("run", "seen", "outcome"),
        [
            # Nobody saw the job run, so only the age of its file can say.
            (LastRun(), job(READY, NEW), Next.FETCH),
            (LastRun(), job(READY, OLD), Next.REPLAY),
            (LastRun(), job(READY, None), Next.REPLAY),
            # It was seen running: a file is of this run, unless its date is that of the old one.
            (LastRun(seen=True), job(READY, OLD), Next.FETCH),
            (LastRun(seen=True), job(READY, None), Next.FETCH),
            (LastRun(seen=True, old_finished_at=OLD), job(READY, OLD), Next.REPLAY),
            (LastRun(seen=True, old_finished_at=OLD), job(READY, NEW), Next.FETCH),
            # Replayed: the old file may be shown for a while.
            (LastRun(is_replay=True, old_finished_at=OLD), job(READY, OLD), Step.RUNNING),
            (LastRun(is_replay=True, old_finished_at=NEW), job(READY, NEW), Step.RUNNING),
            (LastRun(is_replay=True, old_finished_at=OLD), job(READY, NEW), Next.FETCH),
            # The service refused a replay of it.
            (LastRun(accepts_any_file=True), job(READY, OLD), Next.FETCH),
            # A synchronous answer has no job.
            (LastRun(), job(READY, None, id=""), Next.FETCH),
            (LastRun(), job(RUNNING), Step.RUNNING),
            (LastRun(), job(RETRYING), Step.RETRYING),
            (LastRun(), job(FAILED), Step.PAUSED),
        ],
    )
    def test_the_state_and_the_date_of_a_job_decide(
        self, run: LastRun, seen: ExportJob, outcome: Next | Step
    ) -> None:
        export = ordered()
        export.run = run
        found = steps().evaluate(export, seen)
        assert (found.step if isinstance(found, Wait) else found) is outcome
        assert export.job is seen

    def test_a_running_job_shows_the_date_of_its_old_file(self) -> None:
        export = ordered()
        steps().evaluate(export, job(RUNNING, OLD))
        assert (export.run.seen, export.run.old_finished_at) == (True, OLD)

    def test_a_file_that_nobody_wants_is_skipped(self) -> None:
        export = ordered(Unwanted())
        assert steps().evaluate(export, job(READY, NEW)) == Skip(ALREADY_LOADED)

    def test_a_failed_job_is_replayed_twice_after_longer_pauses_and_then_an_error(self) -> None:
        export, own = ordered(), steps()
        pauses = [own.evaluate(export, job(FAILED, message="no memory")).until for _ in range(2)]
        assert pauses == [10, 20]
        with pytest.raises(ExportFailed, match="sales October: job 1 ended as failed: no memory"):
            own.evaluate(export, job(FAILED, message="no memory"))

    def test_a_failed_job_is_an_error_at_once_where_jobs_can_not_be_replayed(self) -> None:
        with pytest.raises(ExportFailed):
            steps(replays=False).evaluate(ordered(), job(FAILED))


class TestStart:
    def test_without_a_previous_job_an_export_is_requested(self) -> None:
        own = steps()
        assert own.start(ordered()) is Next.REQUEST
        assert own.source.calls == []

    @pytest.mark.parametrize("error", [NotFound("gone"), Rejected("bad id")])
    def test_a_previous_job_that_is_unknown_is_requested_again(self, error: ApiError) -> None:
        assert steps(error).start(ordered(previous_job="9")) is Next.REQUEST

    def test_it_is_an_error_where_only_that_job_is_of_use(self) -> None:
        with pytest.raises(ExportFailed, match="job 9 no longer exists"):
            steps(NotFound("gone")).start(ordered(previous_job="9", never_request=True))

    def test_a_poll_that_fails_is_tried_again(self) -> None:
        export = ordered(previous_job="9")
        assert steps(Unavailable("away")).start(export) == Wait(Step.RUNNING, 2)
        assert export.job == ExportJob("9", RUNNING)


class TestRequest:
    def test_a_running_job_is_polled_at_once_because_it_may_be_an_old_one(self) -> None:
        own, export = steps(job(RUNNING, exports_left=41)), ordered()
        assert own.request(export) == Wait(Step.RUNNING, 0)
        quota = own.quotas.of_export(export)
        assert (quota.spent, quota.remaining, export.exports_spent) == (1, 4, 1)

    def test_the_own_limit_is_kept_without_a_request(self) -> None:
        own, export = steps(), ordered(limit=0)
        reason = own.quotas.of_export(export).reason
        assert own.request(export) == Skip(reason, for_quota=True)
        assert own.source.calls == []

    def test_an_export_that_the_service_refuses_is_not_spent(self) -> None:
        own, export = steps(RateLimited("100 a day")), ordered()
        assert own.request(export) == Skip("100 a day", for_quota=True)
        quota = own.quotas.of_export(export)
        assert (quota.spent, quota.remaining, export.exports_spent) == (0, 0, 0)

    def test_a_synchronous_answer_costs_no_export(self) -> None:
        own = steps(job(READY, id=""))
        assert own.request(ordered(synchronous=True, limit=0)) is Next.FETCH


class TestReplay:
    def export(self, **order: Any) -> Export:
        export = ordered(**order)
        export.job = job(READY, OLD)
        return export

    def test_the_old_file_is_remembered(self) -> None:
        export = self.export()
        assert steps(job(RUNNING)).replay(export) == Wait(Step.RUNNING, 2)
        assert export.run == LastRun(seen=False, is_replay=True, old_finished_at=OLD)

    def test_a_job_with_another_id_has_no_old_file(self) -> None:
        export = self.export()
        assert steps(job(READY, OLD, id="2")).replay(export) is Next.FETCH

    @pytest.mark.parametrize("error", [Forbidden("no"), Rejected("no")])
    def test_a_refusal_keeps_the_rows_that_are_loaded(self, error: ApiError) -> None:
        own = steps(error, job(READY, OLD))
        assert own.replay(self.export(has_rows=True)) == Skip(REPLAY_REFUSED)

    def test_a_refusal_makes_the_existing_file_the_one_to_load(self) -> None:
        assert steps(Forbidden("no"), job(READY, OLD)).replay(self.export()) is Next.FETCH

    @pytest.mark.parametrize("seen", [job(RUNNING), job(RETRYING), job(READY, NEW)])
    def test_a_refusal_of_a_replay_under_way_is_none(self, seen: ExportJob) -> None:
        export = self.export(has_rows=True)
        outcome = steps(Rejected("running"), seen).replay(export)
        assert isinstance(outcome, Wait) or outcome is Next.FETCH
        assert export.run.is_replay

    def test_a_failed_job_that_can_not_be_replayed_is_an_error(self) -> None:
        with pytest.raises(ExportFailed, match="refused to rerun it: no"):
            steps(Forbidden("no"), job(FAILED)).replay(self.export())

    def test_an_unknown_job_is_an_error_once_an_export_was_spent_on_it(self) -> None:
        export = self.export()
        assert steps(NotFound("gone")).replay(export) is Next.REQUEST
        export.exports_spent = 1
        with pytest.raises(ExportFailed):
            steps(NotFound("gone")).replay(export)


class TestDownloaded:
    def export(self, *, outcome: Any = None, error: Exception | None = None) -> Export:
        export, future = ordered(), Future[Any]()
        export.job, export.download = job(READY, NEW), future
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(outcome)
        return export

    def test_a_complete_file_is_the_result(self) -> None:
        stored = StoredFile(Path("file"), Summary(["a"], 1, 2, "d", terminated=True))
        outcome = steps().downloaded(self.export(outcome=stored))
        assert isinstance(outcome, Ready)
        assert (outcome.result.path, outcome.result.finished_at) == (stored.path, NEW)

    def test_a_job_that_is_not_ready_is_polled_again(self) -> None:
        assert steps().downloaded(self.export(outcome=NotReady(None))) == Wait(Step.RUNNING, 2)

    def test_a_file_that_is_gone_is_replayed_once_and_then_requested(self) -> None:
        export = self.export(error=NotFound("gone"))
        assert steps().downloaded(export) is Next.REPLAY
        export = self.export(error=NotFound("gone"))
        export.run.is_replay = True
        assert steps().downloaded(export) is Next.REQUEST

    def test_any_other_error_propagates(self) -> None:
        with pytest.raises(Forbidden):
            steps().downloaded(self.export(error=Forbidden("no")))


class TestPauses:
    def until(self, waited: float, percents: list[int | None], state: JobState = RUNNING) -> float:
        """Return when the job is polled next that showed these percentages, the last one now."""
        export, own = ordered(), steps()
        for percent in percents:
            own.clock.advance(seconds=waited if percent is percents[-1] else 0)
            outcome = own.evaluate(export, job(state, percent=percent))
        assert isinstance(outcome, Wait)
        return outcome.until

    @pytest.mark.parametrize(
        ("waited", "percent", "until"),
        [
            (0, None, 2),  # the poll interval at least
            (100, None, 110),  # a tenth of what was waited
            (500, None, 530),  # thirty seconds at most
            (590, None, 600),  # the last poll is at the deadline
            (100, 79, 110),
            (100, 98, 102),  # nearly done: half of what remains, but the poll interval at least
            (200, 90, 200 + 200 * 10 / 90 / 2),
        ],
    )
    def test_a_pause_grows_with_the_wait_and_shrinks_near_the_end(
        self, waited: float, percent: int | None, until: float
    ) -> None:
        assert self.until(waited, [percent]) == pytest.approx(until)

    def test_the_percentage_of_a_job_in_error_says_nothing(self) -> None:
        assert self.until(200, [99], RETRYING) == 220

    def test_the_deadline_is_an_error_with_the_last_state(self) -> None:
        export, own = ordered(), steps()
        own.clock.advance(seconds=600)
        with pytest.raises(ExportTimedOut, match=r"job 1 was not finished after 600 s.*running"):
            own.evaluate(export, job(RUNNING))
