"""A job in ERROR is not finished: the service runs it again, so it is polled on."""

from __future__ import annotations

import json
import re
import tempfile
from dataclasses import replace
from datetime import date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import requests
from harness import FakeClock, Run, config_for, examples, sync
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tap_affiliate_reports.errors import TapError
from tap_affiliate_reports.sandbox import (
    Attribute,
    Job,
    LoggedRequest,
    Report,
    Response,
    Sandbox,
    body,
    status,
)
from tap_affiliate_reports.sandbox.impact.job import MAX_RETRIES, Outcome

pytestmark = pytest.mark.kill

WARNING = 30
RETRY = 15 * 60
JOB = 5
SEPTEMBER = "2026-09-10..2026-09-30"
POLL = "GET .*/Jobs/[^/?]+$"
LOOK = "^GET .*/Jobs[?]CreatedAfter=2026-11-18"
NEW = {f"new-09-{number}" for number in range(4)}
COLUMNS = [Attribute("Id"), Attribute("Amount", "Decimal")]


class Account:
    """An account of two reports of three windows each, and the times of what is requested."""

    def __init__(self, sandbox: Sandbox, clock: FakeClock) -> None:
        self.sandbox, self.clock, self.service = sandbox, clock, sandbox.impact
        self.service.job_seconds = JOB
        self.requests: list[tuple[float, str]] = []
        sandbox.on_request = self.note
        for name in ("orders", "sales"):
            self.put(name, "row")

    def put(self, report: str, name: str) -> None:
        def rows(start: date, *_: object) -> list[list[str]]:
            return [[f"{name}-{start:%m}-{number}", f"{number}.50"] for number in range(4)]

        self.service.add(Report(report, report, COLUMNS, rows=rows))

    def note(self, request: LoggedRequest) -> None:
        self.requests.append((self.clock.monotonic(), f"{request.method} {request.path}"))

    def times(self, pattern: str) -> list[float]:
        return [at for at, line in self.requests if re.search(pattern, line)]

    def sync(self, *reports: str, state: Any = None, **own: Any) -> Run:
        top = {} if len(reports or "two") > 1 else {"END_DATE": "2026-09-30"}
        config = config_for(self.sandbox, reports=reports or ["orders", "sales"], **top, **own)
        self.requests.clear()
        return sync(config, self.clock, state=state)

    def fail(self, report: str = "", window: int = 1, heals_after: int | None = 1) -> None:
        """Let the job of one window go to ERROR, and those before it end well."""
        for _ in range(window - 1):
            self.service.fail_next("COMPLETED", report=report or None)
        self.service.fail_next("ERROR", "no memory", report=report or None, heals_after=heals_after)

    @property
    def spent(self) -> tuple[int, int]:
        return len(self.service.exports), self.service.replays

    def job_of(self, report: str, month: int) -> Job:
        (job,) = [
            job for job in self.service.jobs.values()
            if job.report_id == report and f"-{month:02}-" in job.params["START_DATE"][0]
        ]  # fmt: skip
        return job

    def document(self, job: Job) -> dict[str, Any]:
        """Return the job as the service shows it now, without a trace in the log of requests."""
        return json.loads(json.dumps(self.service.document(job)))


@pytest.fixture
def account(sandbox: Sandbox, clock: FakeClock) -> Account:
    return Account(sandbox, clock)


def shown(document: dict[str, Any]) -> Any:
    return body(json.dumps(document).encode(), "application/json")


class TestHealing:
    @pytest.mark.parametrize("heals_after", range(1, 6))
    def test_it_is_polled_until_it_heals(
        self, account: Account, clock: FakeClock, heals_after: int
    ) -> None:
        """The default deadline leaves room for all five retries."""
        account.fail(heals_after=heals_after)
        run = account.sync("sales").ok()
        assert len(run.records("sales")) == 4
        assert account.spent == (1, 0)
        assert clock.monotonic() == pytest.approx(heals_after * (RETRY + JOB) + JOB, abs=31)

    def test_it_is_named_once_with_the_services_words(self, account: Account) -> None:
        account.fail()
        run = account.sync("sales").ok()
        warnings = [r.getMessage() for r in run.log if r.levelno >= WARNING]
        lines = [line for line in warnings if "ERROR" in line]
        assert len(lines) == 1
        (job,) = account.service.jobs
        for words in (SEPTEMBER, job, "no memory"):
            assert words in lines[0]

    @pytest.mark.parametrize("word", ["Error", "error", " ERROR "])
    def test_its_word_is_known_in_any_case(self, account: Account, word: str) -> None:
        account.service.job_words = {"ERROR": word}
        account.fail()
        assert len(account.sync("sales").ok().records("sales")) == 4
        assert account.spent == (1, 0)

    def test_pauses_are_those_of_a_running_job(self, account: Account) -> None:
        account.fail(heals_after=3)
        account.sync("sales").ok()
        times = account.times(POLL)
        pauses = [later - earlier for earlier, later in pairwise(times)]
        for at, pause in zip(times, pauses, strict=False):
            assert pause <= max(2, min((at - times[0]) / 10, 30)) + 0.001
        assert max(pauses) == pytest.approx(30)
        assert len(times) < 3 * RETRY / 30 + 60

    def test_the_list_of_jobs_is_believed_that_it_is_in_error(self, account: Account) -> None:
        for _ in range(6):
            account.fail()
        account.sync(max_concurrent_jobs=6).ok()
        assert account.spent == (6, 0)
        looks = len(account.times("GET .*/Jobs$"))
        assert 15 < looks < RETRY / 9
        # The list is not believed for ever; near the end each job is asked for itself.
        assert len(account.times(POLL)) < 6 * 16

    def test_the_heartbeat_says_how_many_are_retried(self, account: Account) -> None:
        account.service.job_seconds = lambda job: 600 if job.report_id == "sales" else JOB
        account.fail("orders")
        run = account.sync().ok()
        beats = [r.getMessage() for r in run.log if "waiting for" in r.getMessage()]
        retried = [beat for beat in beats if "1 of them retried by the service" in beat]
        assert len(retried) > 20
        assert all(f"orders {SEPTEMBER} (ERROR)" in beat for beat in retried)
        assert all("retried" not in beat for beat in beats if beat not in retried)

    def test_an_export_request_that_names_a_job_in_error_is_followed(
        self, account: Account, clock: FakeClock
    ) -> None:
        """The same request again gives the job that is there, with its state word."""
        account.fail(heals_after=2)
        first = account.sync("sales", job_timeout_seconds=60)
        assert isinstance(first.error, TapError)
        run = account.sync("sales").ok()
        assert len(run.records("sales")) == 4
        assert account.spent == (2, 0)
        assert clock.monotonic() > 2 * RETRY

    def test_polls_that_fail_do_not_end_it(self, account: Account) -> None:
        account.fail()
        account.sandbox.faults.add(POLL, status(503), times=30, after=4)
        run = account.sync("sales").ok()
        assert len(run.records("sales")) == 4
        assert account.spent == (1, 0)

    @pytest.mark.parametrize("word", ["ERROR", "error", " ERROR "])
    def test_an_error_document_is_no_job_in_error(
        self, account: Account, clock: FakeClock, word: str
    ) -> None:
        """It names no job, and waiting does not mend it."""
        refusal = {"Status": word, "Message": "Malformed job id"}
        account.sandbox.faults.add(POLL, shown(refusal), times=None)
        run = account.sync("sales")
        assert "Malformed job id" in str(run.error)
        assert clock.monotonic() < 60


class TestNotHealing:
    def test_failed_after_error_is_replayed(self, account: Account, clock: FakeClock) -> None:
        account.fail(heals_after=None)
        run = account.sync("sales").ok()
        assert len(run.records("sales")) == 4
        assert account.spent == (1, 1)
        assert account.times("/Replay$")[0] > 5 * RETRY
        assert clock.monotonic() < 5 * RETRY + 120

    def test_a_replayed_job_that_goes_to_error_heals_too(self, account: Account) -> None:
        account.service.fail_next("FAILED", "no luck")
        account.fail(heals_after=2)
        assert len(account.sync("sales").ok().records("sales")) == 4
        assert account.spent == (1, 1)

    def test_the_third_failure_is_an_error(self, account: Account) -> None:
        for _ in range(3):
            account.fail(heals_after=None)
        run = account.sync("sales")
        assert isinstance(run.error, TapError)
        for words in (SEPTEMBER, "FAILED", "no memory", "smaller window"):
            assert words in str(run.error)
        assert account.spent == (1, 2)

    def test_the_deadline_names_it_and_the_next_sync_goes_on(
        self, account: Account, clock: FakeClock
    ) -> None:
        account.fail("orders", heals_after=5)
        run = account.sync(job_timeout_seconds=600)
        assert isinstance(run.error, TapError)
        job = account.job_of("orders", 9)
        for words in ("orders", SEPTEMBER, job.id, "job_timeout_seconds", "ERROR", "no memory",
                      "next sync"):  # fmt: skip
            assert words in str(run.error)
        assert 600 <= clock.monotonic() < 640
        assert len(run.records("sales")) == 12
        assert job.id in json.dumps(run.state)
        assert account.spent == (6, 0)
        again = account.sync(state=run.state).ok()
        assert len(again.records("orders")) == 12
        assert account.spent == (6, 0)

    def test_the_next_sync_replays_one_that_has_failed_meanwhile(
        self, account: Account, clock: FakeClock
    ) -> None:
        account.fail(heals_after=None)
        first = account.sync("sales", job_timeout_seconds=60)
        assert isinstance(first.error, TapError)
        clock.advance(hours=6)
        run = account.sync("sales", state=first.state).ok()
        assert len(run.records("sales")) == 4
        assert account.spent == (1, 1)


class TestSlots:
    """At most so many exports are in flight or spooled; one in ERROR is neither."""

    @pytest.mark.parametrize("limit", [1, 2, 3])
    def test_others_have_its_slot_meanwhile(self, account: Account, limit: int) -> None:
        account.fail("orders", heals_after=3)
        run = account.sync(max_concurrent_jobs=limit).ok()
        assert (len(run.records("orders")), len(run.records("sales"))) == (12, 12)
        early = [at for at in account.times("/ReportExport/") if at < RETRY]
        assert len(early) == 1 + limit
        assert account.spent == (6, 0)

    @pytest.mark.parametrize("limit", [1, 2, 5])
    def test_it_heals_though_the_files_of_others_have_all_slots(
        self, account: Account, clock: FakeClock, limit: int
    ) -> None:
        account.fail("orders", heals_after=2)
        account.sync(max_concurrent_jobs=limit).ok()
        assert clock.monotonic() < 2 * (RETRY + JOB) + 31 + 6 * 10

    def test_one_that_heals_out_of_turn_is_downloaded_when_a_slot_is_free(
        self, account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        spooled: list[int] = []

        def note(request: LoggedRequest) -> None:
            account.note(request)
            spooled.append(len(list(tmp_path.rglob("*.part"))))

        account.sandbox.on_request = note
        first = iter([3000])
        account.service.job_seconds = lambda job: (
            next(first, JOB) if job.report_id == "orders" else JOB
        )
        account.fail("orders", window=2)
        run = account.sync(max_concurrent_jobs=2).ok()
        assert (len(run.records("orders")), len(run.records("sales"))) == (12, 12)
        healed = account.job_of("orders", 10)
        assert account.times(f"{healed.id}/Download")[0] > 3000
        assert max(spooled) <= 2

    def test_what_heals_counts_again_while_it_runs(self, account: Account) -> None:
        """Nothing new begins before fewer are in flight."""
        begun = []

        def seconds(job: Job) -> float:
            begun.append(job)
            # In turn: one that is waited for, one that goes to ERROR, and short ones.
            return {1: 2200, 2: 1000, 3: 2500}.get(len(begun), JOB)

        account.service.job_seconds = seconds
        account.fail("orders", window=2)
        account.sync(max_concurrent_jobs=2).ok()
        times = account.times("/ReportExport/")
        # The second is in ERROR from 1000 to 1900, and then runs until 2900.
        assert 1000 <= times[2] < 1040
        assert times[3] >= 2900

    def test_one_that_fails_out_of_turn_is_replayed_when_a_slot_is_free(
        self, account: Account
    ) -> None:
        first = iter([6000])
        account.service.job_seconds = lambda job: (
            next(first, JOB) if job.report_id == "orders" else JOB
        )
        account.fail("orders", window=2, heals_after=None)
        run = account.sync(max_concurrent_jobs=2, job_timeout_seconds=9000).ok()
        assert (len(run.records("orders")), len(run.records("sales"))) == (12, 12)
        (replay,) = account.times("/Replay$")
        assert replay > 6000

    def test_many_in_error_at_once_are_all_loaded(self, account: Account) -> None:
        for number in range(6):
            account.fail(heals_after=1 + number % 3)
        run = account.sync(max_concurrent_jobs=1).ok()
        assert (len(run.records("orders")), len(run.records("sales"))) == (12, 12)
        assert account.spent == (6, 0)
        assert [at for at in account.times("/ReportExport/") if at > RETRY] == []


class TestDates:
    """A job that was complete before shows the date of its old file while it is in ERROR."""

    @pytest.fixture
    def loaded(self, account: Account, clock: FakeClock) -> dict[str, Any]:
        state = account.sync("sales").ok().state
        clock.advance(days=1)
        account.put("sales", "new")
        return state

    def names(self, run: Run) -> set[str]:
        return {row["Id"] for row in run.records("sales") if not row["_deleted"]}

    def replay(self, account: Account) -> Job:
        """Replay the job as somebody else would."""
        (job,) = account.service.jobs.values()
        url = f"{account.sandbox.url}/Mediapartners/IRsandbox/Jobs/{job.id}/Replay"
        auth = ("IRsandbox", "sandbox-token")
        assert requests.put(url, auth=auth, timeout=5).status_code == 200
        return job

    def test_one_that_an_earlier_run_knows_is_polled_on(
        self, account: Account, clock: FakeClock, loaded: dict[str, Any]
    ) -> None:
        account.fail()
        job = self.replay(account)
        clock.advance(minutes=1)
        assert account.document(job)["Status"] == "ERROR"
        assert account.document(job)["CompletedDate"] != ""
        run = account.sync("sales", state=loaded).ok()
        assert self.names(run) == NEW
        assert account.spent == (1, 1)

    def test_a_refresh_that_goes_to_error_and_heals_brings_the_new_file(
        self, account: Account, clock: FakeClock, loaded: dict[str, Any]
    ) -> None:
        began = clock.now()
        account.fail(heals_after=2)
        run = account.sync("sales", state=loaded).ok()
        assert self.names(run) == NEW
        assert account.spent == (1, 1)
        (at,) = {row["_refreshed_at"] for row in run.records("sales")}
        finished = datetime.fromisoformat(at.replace("Z", "+00:00"))
        assert finished >= began + timedelta(seconds=2 * RETRY)

    def test_a_replay_that_is_refused_because_of_it_is_waited_for(
        self, account: Account, clock: FakeClock, loaded: dict[str, Any]
    ) -> None:
        """Somebody else's replay went to ERROR between our poll and our own."""
        (job,) = account.service.jobs.values()
        account.sandbox.faults.add(POLL, shown(account.document(job)))
        account.fail()
        self.replay(account)
        clock.advance(minutes=1)
        run = account.sync("sales", state=loaded).ok()
        assert self.names(run) == NEW
        assert account.spent == (1, 1)
        assert len(account.times("/Replay$")) == 1

    @pytest.mark.parametrize("who", ["we", "somebody else"])
    def test_the_old_file_is_not_accepted_after_an_error(
        self, account: Account, clock: FakeClock, loaded: dict[str, Any], who: str
    ) -> None:
        """Not even where polls show the old state once more."""
        (job,) = account.service.jobs.values()
        old = account.document(job)
        error = {**old, "Status": "ERROR", "StatusMessage": "no memory"}

        def download(real: Any) -> Response:
            answer = real()
            stale = b"Id,Amount\r\n" + b"old,1\r\n" * 4
            return replace(answer, status=200, body=stale) if answer.status == 202 else answer

        account.sandbox.faults.add("GET .*/Download", download, times=None)
        if who == "we":
            account.sandbox.faults.add(POLL, shown(error), times=1, after=1)
            account.sandbox.faults.add(POLL, shown(old), times=3, after=1)
        else:
            account.sandbox.faults.add(POLL, shown(error), times=1)
            account.sandbox.faults.add(POLL, shown(old), times=1)
        run = account.sync("sales", state=loaded).ok()
        assert self.names(run) == NEW
        assert account.spent == (1, 1)


WELL, FAILED = Outcome(), Outcome("FAILED", "no memory")
NEVER_HEALS = replace(FAILED, errors=MAX_RETRIES)
fates = st.tuples(
    st.sampled_from([JOB, 40, 700]),
    st.one_of(
        st.sampled_from([WELL, FAILED, NEVER_HEALS, NEVER_HEALS]),
        st.builds(lambda errors: Outcome("COMPLETED", "no memory", errors), st.integers(1, 5)),
    ),
)


@pytest.mark.property
@settings(
    max_examples=examples(10),
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(fates=st.lists(fates, min_size=6, max_size=6), limit=st.integers(1, 4))
def test_whatever_goes_to_error_all_is_loaded_for_the_price_of_the_windows(
    fates: list[tuple[float, Outcome]], limit: int, tmp_path: Path
) -> None:
    clock, spooled = FakeClock(), []
    with Sandbox(now=clock.now) as sandbox, pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(tmp_path))
        account = Account(sandbox, clock)
        account.service.job_seconds = lambda job: next(seconds) if not job.replays else JOB
        seconds, coming = iter([at for at, _ in fates]), iter([fate for _, fate in fates])

        def note(request: LoggedRequest) -> None:
            spooled.append(len(list(tmp_path.rglob("*.part"))))
            if "/ReportExport/" in request.path:
                job = account.service.jobs[account.service.exports[-1].job_id]
                job.outcome = next(coming)

        sandbox.on_request = note
        run = account.sync(max_concurrent_jobs=limit, job_timeout_seconds=10_000).ok()
        slots = ("2026-09-01", "2026-10-01", "2026-11-01")
        for report in ("orders", "sales"):
            rows = [(row["_window_start"], row["_row_number"]) for row in run.records(report)]
            assert rows == [(slot, number) for slot in slots for number in range(1, 5)]
        failed = sum(fate.status == "FAILED" for _, fate in fates)
        assert account.spent == (6, failed)
        # What is waited for never waits for a slot.
        assert max(spooled) <= limit + 1
