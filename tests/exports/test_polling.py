"""Jobs in flight are polled by one look at the list, and each by itself where the list is wrong."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from datetime import date
from itertools import pairwise
from typing import Any
from urllib.parse import urlencode

import pytest
from harness import FakeClock, Run, config_for, sync

from tap_affiliate_reports.errors import TapError
from tap_affiliate_reports.sandbox import (
    Attribute,
    LoggedRequest,
    Report,
    Response,
    Sandbox,
    body,
    html_login,
    reset,
    status,
)

pytestmark = pytest.mark.kill

Action = Callable[[Callable[[], Response]], Response]
# The stream `jobs` asks for other days.
LOOK = "^GET .*/Jobs[?]CreatedAfter=2026-11-18"


class Account:
    """An account of equal reports, each of one window, whose jobs take 200 seconds."""

    def __init__(self, sandbox: Sandbox, clock: FakeClock) -> None:
        self.sandbox, self.clock = sandbox, clock
        self.at: list[tuple[str, float]] = []
        sandbox.impact.job_seconds = 200
        sandbox.impact.exports_per_day = 1_000
        sandbox.on_request = self.note

    def note(self, request: LoggedRequest) -> None:
        what = f"{request.method} {request.path}"
        what += f"?{urlencode(request.query, doseq=True)}" if request.query else ""
        kinds = {"look": LOOK, "alone": "^GET .*/Jobs/[^/?]+$", "replay": "/Replay$"}
        found = [kind for kind, pattern in kinds.items() if re.search(pattern, what)]
        self.at += [(kind, self.clock.monotonic()) for kind in found]

    def sync(self, count: int, state: Any = None, **own: Any) -> Run:
        """Sync so many reports, all at once unless told otherwise."""

        def rows(start: date, *_: object) -> list[list[str]]:
            return [[f"{start}", "1"]]

        for number in range(count):
            self.sandbox.impact.add(
                Report(f"r{number}", "", [Attribute("Id"), Attribute("Count", "Integer")], rows)
            )
        reports = [f"r{number}" for number in range(count)]
        own = {"max_concurrent_jobs": 60, "max_exports": 500, **own}
        config = config_for(self.sandbox, reports=reports, END_DATE="2026-09-30", **own)
        self.at.clear()
        run = sync(config, self.clock, state=state).ok()
        if state is None:
            assert all(len(run.records(report)) == 1 for report in reports)
        return run

    @property
    def asked(self) -> Counter[str]:
        return Counter(kind for kind, _ in self.at)

    def times(self, kind: str) -> list[float]:
        return [at for one, at in self.at if one == kind]


@pytest.fixture
def account(sandbox: Sandbox, clock: FakeClock) -> Account:
    return Account(sandbox, clock)


def changed(change: Callable[[dict[str, Any]], dict[str, Any] | None]) -> Action:
    """Change each job in the list, or leave it out."""

    def act(real: Callable[[], Response]) -> Response:
        answer = real()
        document = json.loads(answer.body)
        document["Jobs"] = [job for job in map(change, document["Jobs"]) if job is not None]
        answer.body = json.dumps(document).encode()
        return answer

    return act


def test_sixty_jobs_cost_no_more_polls_than_five(account: Account) -> None:
    polls = []
    for count in (5, 60):
        account.sandbox.impact.jobs.clear()
        account.sync(count)
        polls.append(account.asked.total())
    assert polls[1] <= polls[0] < 45


@pytest.mark.parametrize("interval", [2, 5])
def test_no_look_follows_another_within_the_poll_interval(account: Account, interval: int) -> None:
    """Whatever begins meanwhile: with five at a time, a new job is due whenever one ends."""
    ends = iter(range(10, 1_000, 3))
    account.sandbox.impact.job_seconds = lambda _job: next(ends)
    account.sync(30, max_concurrent_jobs=5, poll_interval_seconds=interval)
    looks = account.times("look")
    assert min(later - earlier for earlier, later in pairwise(looks)) >= interval
    assert len(looks) > 30


def test_a_job_that_the_list_shows_late_is_asked_for_alone_until_then(account: Account) -> None:
    def late(job: dict[str, Any]) -> dict[str, Any] | None:
        return job if account.clock.monotonic() > begun + 3 else None

    begun = account.clock.monotonic()
    account.sandbox.faults.add(LOOK, changed(late), times=None)
    account.sync(20)
    assert 20 <= account.asked["alone"] <= 2 * 20
    assert account.asked["look"] > 20


def test_jobs_that_the_list_never_shows_are_asked_for_alone(account: Account) -> None:
    account.sandbox.faults.add(LOOK, changed(lambda _: None), times=None)
    account.sync(5)
    assert account.asked["look"] <= 3
    assert account.asked["alone"] > 5 * 20


def test_a_list_that_says_running_for_ever_is_not_believed_for_ever(account: Account) -> None:
    """Neither until the deadline, where all would be lost, nor that long."""
    account.sandbox.faults.add(LOOK, changed(lambda job: {**job, "Status": "RUNNING"}), times=None)
    account.sync(5)
    assert account.clock.monotonic() < 700
    account.sandbox.impact.jobs.clear()
    account.sync(5, job_timeout_seconds=300)
    assert account.asked["alone"] == 5


def test_a_job_that_the_list_does_not_tell_enough_of_is_asked_for_itself(
    account: Account,
) -> None:
    """Without the date, a finished file could not be told from an old one."""
    account.sandbox.impact.job_seconds = 0
    fewer = changed(lambda job: {"Id": job["Id"], "Status": job["Status"]})
    account.sandbox.faults.add(LOOK, fewer, times=None)
    account.sync(5)
    assert (account.asked["alone"], account.asked["replay"]) == (5, 0)


def lagging(account: Account, seconds: float) -> Action:
    """Show each job as it was so long ago, or as it was first shown."""
    before: list[tuple[float, dict[str, dict[str, Any]]]] = []

    def act(real: Callable[[], Response]) -> Response:
        answer = real()
        now, jobs = account.clock.monotonic(), json.loads(answer.body)["Jobs"]
        before.append((now, {job["Id"]: job for job in jobs}))
        shown = {}
        for at, known in before:
            shown.update({key: job for key, job in known.items() if key not in shown})
            shown.update(known if at <= now - seconds else {})
        answer.body = json.dumps({"Jobs": list(shown.values())}).encode()
        return answer

    return act


@pytest.mark.parametrize("seconds", [20, 60, 150])
def test_a_list_that_lags_is_not_believed_that_a_replayed_job_failed(
    account: Account, seconds: float
) -> None:
    """It still shows the failure that the replay is to mend."""
    account.sandbox.impact.fail_next(times=3)
    account.sandbox.faults.add(LOOK, lagging(account, seconds), times=None)
    account.sync(3)
    assert account.asked["replay"] == 3


@pytest.mark.parametrize("told", [True, False], ids=["as it is", "without a word"])
@pytest.mark.parametrize("seconds", [20, 60, 150])
def test_a_list_that_lags_is_not_believed_that_an_old_file_is_the_new_one(
    account: Account, seconds: float, told: bool
) -> None:
    first = account.sync(3)
    account.clock.advance(days=2)
    began = account.clock.now().isoformat()
    if not told:
        account.sandbox.faults.add("/Replay$", silent, times=None)
    account.sandbox.faults.add("[?]CreatedAfter=2026-11", lagging(account, seconds), times=None)
    run = account.sync(3, state=first.state)
    fresh = [row["completed_at"] for row in run.records("report_windows")]
    assert len(fresh) == 3
    assert all(at > began for at in fresh)


def silent(real: Callable[[], Response]) -> Response:
    answer = real()
    answer.body = b"{}"
    return answer


BROKEN = {
    "403": status(403),
    "404": status(404),
    "500": status(500),
    "429": status(429),
    "429 for long": status(429, {"Retry-After": "5000"}),
    "429 for a while": status(429, {"Retry-After": "250"}),
    "reset": reset(),
    "HTML": html_login(),
    "a bare list": body(b"[]"),
    "alien items": body(b'{"Jobs": [7, {}]}'),
}


@pytest.mark.parametrize("answer", BROKEN)
def test_a_list_that_can_not_be_had_costs_no_job_and_little_time(
    account: Account, answer: str
) -> None:
    account.sandbox.faults.add(LOOK, BROKEN[answer], times=None)
    account.sandbox.impact.job_seconds = 20
    account.sync(40, max_concurrent_jobs=5)
    assert account.clock.monotonic() < 8 * 20 * 1.1
    if answer in {"403", "404"}:
        assert account.asked["look"] == 1
    assert account.asked["look"] <= 40


def test_a_list_that_comes_back_is_looked_at_again(account: Account) -> None:
    account.sandbox.faults.add(LOOK, status(500), times=2)
    account.sync(20)
    assert account.asked["alone"] > 20
    assert len([at for at in account.times("look") if at > 180]) >= 3


@pytest.mark.parametrize("count", [2, 3, 20])
def test_a_list_of_many_pages_costs_little_more_than_no_list(account: Account, count: int) -> None:
    account.sandbox.faults.add(LOOK, status(403), times=None)
    account.sync(count)
    without = account.asked.total()
    account.sandbox.faults.clear()
    account.sandbox.impact.jobs.clear()
    account.sandbox.impact.jobs_paged = 1
    account.sync(count)
    assert account.asked.total() <= without + 12


def test_after_a_limit_that_ends_the_run_no_other_job_is_asked_of(account: Account) -> None:
    account.sandbox.impact.job_seconds = 0
    first = account.sync(10)
    account.clock.advance(days=2)
    account.sandbox.faults.add("/Replay$", status(429, {"Retry-After": "5000"}), times=None)
    with pytest.raises(TapError, match="429"):
        account.sync(10, state=first.state)
    assert account.asked["replay"] == 1
