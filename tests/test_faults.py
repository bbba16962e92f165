"""The fault matrix: fault x step x once/always; survived with exact data, or failed loudly."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, NamedTuple

import pytest
from fault_matrix import (
    EXACT,
    HTML,
    LOUD,
    Case,
    FaultWorld,
    cases,
    check_complete,
    common_cases,
    parameters,
    redirect_to_nobody,
)
from harness import FakeClock, Run, Warehouse, config_for, sync
from small_source import CLICKS, SmallSource, check_bookmark, check_exact, check_ledger

from tap_affiliate_reports.errors import TapError
from tap_affiliate_reports.sandbox import (
    Response,
    Sandbox,
    body,
    close,
    cut,
    html_login,
    reset,
    status,
)
from tap_affiliate_reports.sandbox.faults import Action

pytestmark = pytest.mark.kill

# The days of each stream that faults strike: months of a report, and each day of the clicks.
STARTS = {"sales": date(2026, 10, 20), CLICKS: date(2026, 11, 14)}
LAST = date(2026, 11, 18)


class Step(NamedTuple):
    """Where a fault strikes: what the request looks like, and what else holds there."""

    pattern: str
    # Whether it is about one window of the stream, else about a report or the account.
    windowed: bool = True
    is_file: bool = False
    mode: str = "redirect"


STEPS = {
    "list": Step("GET [^?]*/Reports(\\?|$)", windowed=False),
    "metadata": Step("GET .*/Reports/sales/MetaData", windowed=False),
    "company": Step("GET .*/CompanyInformation", windowed=False),
    "schedule": Step("GET .*/(?:ReportExport/sales|ClickExport)"),
    "poll": Step("GET .*/Jobs/([^/?]+)(\\?|$)"),
    # One look at the list for all jobs in flight; the stream `jobs` begins a day before the start.
    "look": Step("GET .*/Jobs\\?CreatedAfter=(?!2026-10-19|2026-11-13)", windowed=False),
    "replay": Step("PUT .*/Jobs/([^/?]+)/Replay"),
    "download": Step("GET .*/Jobs/([^/?]+)/Download"),
    "stream": Step("GET .*/Jobs/([^/?]+)/Download", is_file=True, mode="stream"),
    "storage": Step("GET /storage/([^/?]+)", is_file=True),
}
JSON_STEPS = ("list", "metadata", "company", "schedule", "poll", "look", "replay")
FILE_STEPS = ("stream", "storage")


class Strike:
    """Finds the requests of a step, those of one stream where the path names a job."""

    def __init__(self, sandbox: Sandbox, step: Step, stream: str) -> None:
        self.sandbox, self.pattern, self.stream = sandbox, re.compile(step.pattern), stream

    def search(self, line: str) -> bool:
        found = self.pattern.search(line)
        if not found:
            return False
        name = found[1] if self.pattern.groups else ""
        job = self.sandbox.impact.jobs.get(name or "")
        if job is not None:
            return job.report_id == self.stream
        stored = self.sandbox.storage._files.get(name or "")
        return stored is None or stored[1] == f"{self.stream}.csv"


@dataclass(kw_only=True)
class World(FaultWorld):
    """A stream and a report, loaded once; a night has passed and the source has changed."""

    stream: str
    source: SmallSource
    before: dict[str, Any] = field(default_factory=dict)

    @property
    def streams(self) -> tuple[str, str]:
        return ("other", self.stream)

    @property
    def start(self) -> date:
        return STARTS[self.stream]

    def place(self, step: str) -> Strike:
        return Strike(self.sandbox, STEPS[step], self.stream)

    def prepare(self, step: str) -> None:
        self.sandbox.impact.download_mode = STEPS[step].mode
        self.before = json.loads(json.dumps(self.state))

    def sync(self, **own: Any) -> Run:
        own = {"job_timeout_seconds": 120, **own}
        if self.stream == CLICKS:
            streams = {"reports": ["other"], "clicks": True}
            own = {"report_options": {CLICKS: {"lookback_days": 60}}, **own}
        else:
            streams = {"reports": list(self.streams)}
        config = config_for(self.sandbox, START_DATE=self.start.isoformat(), **streams, **own)
        run = sync(config, self.clock, state=self.state)
        self.warehouse.load(run.messages)
        self.state = run.state or self.state
        for report in self.streams:
            check_ledger(self.source, self.warehouse, self.state, report)
            check_bookmark(self.state, report, self.start)
        return run

    def check(self) -> None:
        for report in self.streams:
            assert self.is_exact(report), report

    def is_exact(self, report: str) -> bool:
        try:
            check_exact(self.source, self.warehouse, report, self.start, LAST + timedelta(days=1))
        except AssertionError:
            return False
        return True

    def mark(self, state: dict[str, Any] | None = None, stream: str = "") -> str:
        bookmarks = (state or self.state)["bookmarks"]
        return str(bookmarks[stream or self.stream]["replication_key_value"])

    def check_loud(self, run: Run, case: Case) -> None:
        name, step, told = case.step, STEPS[case.step], str(run.error)
        if name == "list":
            assert "/Reports" in told
            assert self.state == self.before
            return
        assert self.stream in told
        if name == "company":
            assert "CompanyInformation" in told
            assert "other" in told
            assert [self.mark(stream=one) for one in self.streams] == ["2026-11-18"] * 2
            return
        if step.windowed:
            window = self.named_in(told)
            assert window or "windows not loaded" in told, f"no window is named: {told}"
        if case.how == "always" and name != "replay":
            assert self.mark() == "2026-11-18"
        # A limit that outlasts the longest wait ends the run cleanly, for all that is left.
        if "windows not loaded" not in told:
            assert self.is_exact("other")
            assert run.bookmark("other") == "2026-11-19"
        assert run.records("jobs")
        assert {one["Id"] for one in run.records("reports")} == {"other", self.stream} - {CLICKS}

    def named_in(self, text: str) -> re.Match[str] | None:
        """Return where a text names a window of the stream."""
        return re.search(rf"{self.stream} 2026-\d\d-\d\d\.\.2026-\d\d-\d\d", text)

    def check_refused(self, run: Run, step: str) -> None:
        assert step == "list" or self.stream in str(run.error)
        # Files come side by side: the newest window's may have come before the storage left.
        assert self.mark() == self.mark(self.before) or step == "storage"


@pytest.fixture
def world(request: pytest.FixtureRequest, sandbox: Sandbox, clock: FakeClock) -> World:
    """The world of the report `sales`, or of the stream that the test names."""
    stream = getattr(request, "param", "sales")
    source = SmallSource(sandbox, clock, ["other", stream])
    world = World(stream=stream, sandbox=sandbox, clock=clock, source=source)
    world.sync().ok()
    for report in world.streams:
        source.put(report, world.start + timedelta(days=1), [])
        source.put(report, LAST - timedelta(days=2), ["1", "2", "3", "4"])
        source.put(report, LAST, ["5", "6"])
    clock.advance(days=1)
    sandbox.requests.clear()
    return world


# The table


def _cases() -> Iterator[Case]:
    everywhere = tuple(STEPS)
    for case in common_cases(everywhere, (*JSON_STEPS, *FILE_STEPS)):
        # A refusal that is cut short is still a refusal: the replay runs already.
        runs = (case.fault, case.step) == ("cut, unseen", "replay")
        # Without the list, each job is asked for alone.
        alone = case.step == "look"
        yield case._replace(expected=EXACT) if runs or alone else case
    yield from cases("answer lost", ("schedule", "replay"), lambda: reset(handled=True))
    yield from cases("refused by storage", ("download",), redirect_to_nobody)
    yield from cases("link expired", ("storage",), lambda: status(403, body=b"<Error/>"))
    yield from cases("202 that lasts", FILE_STEPS[:1], lambda: status(202, body=b'{"Id":"x"}'))
    yield from cases("202 that lasts", ("download",), lambda: status(202, body=b'{"Id":"x"}'))
    yield from cases(
        "unknown word",
        ("poll", "replay"),
        lambda: status(200, body=b'{"Status":"DONE"}'),
        once=LOUD,
    )
    yield from cases(
        "200 that says ERROR",
        ("schedule",),
        lambda: status(200, body=b'{"Status":"ERROR","Message":"range is too wide"}'),
        once=LOUD,
    )


CASES = list(_cases())
STREAMS = pytest.mark.parametrize("world", STARTS, indirect=True)
CELLS = [
    pytest.param(stream, *cell.values, marks=cell.marks, id=f"{stream}-{cell.id}")
    for stream in STARTS
    for case, cell in zip(CASES, parameters(CASES), strict=True)
    # A report and the clicks share what is about the account.
    if STEPS[case.step].windowed or stream != CLICKS
]


@pytest.mark.parametrize(("world", "case"), CELLS, indirect=["world"])
def test_a_fault_is_survived_with_exact_data_or_fails_loudly(world: World, case: Case) -> None:
    if case.step == "poll":
        world.strike("look", body(b'{"Jobs": []}'), None)
    world.meet(case)


@pytest.mark.parametrize("word", ["FAILED", "ERROR", "CANCELLED", "STUCK"])
@pytest.mark.parametrize("how", ["once", "always"])
@pytest.mark.parametrize("step", ["new job", "replayed job"])
@STREAMS
def test_a_job_that_ends_badly_is_replayed_or_fails_loudly(
    world: World, word: str, how: str, step: str
) -> None:
    message = "the warehouse of the vendor is on fire"
    times = 1 if how == "once" else 99
    if step == "new job":
        world.clock.advance(days=-1)
        world.state, world.warehouse = {}, Warehouse()
        world.sandbox.impact.jobs.clear()
    heals_after = 1 if how == "once" else None
    world.sandbox.impact.fail_next(word, message, times, world.stream, heals_after)
    # The service's own retries of a job in ERROR take longer than the other cases may.
    run = world.sync(**({"job_timeout_seconds": 5400} if word == "ERROR" else {}))
    result = world.outcome(run) if step != "new job" or run.error else EXACT
    assert result == (EXACT if how == "once" and word != "STUCK" else LOUD)
    if result == LOUD:
        told = str(run.error)
        assert world.named_in(told)
        assert ("job_timeout_seconds" if word == "STUCK" else message) in told
        assert run.bookmark("other") is not None
        assert run.records("other")
    world.sandbox.impact._outcomes.clear()
    for job in world.sandbox.impact.jobs.values():
        if job.outcome.status == "STUCK":
            job.outcome = type(job.outcome)()
    world.clock.advance(days=1) if step == "new job" else None
    world.sync().ok()
    world.check()


# Connections refused: the whole service is away, from one step on


@pytest.mark.parametrize("name", [name for name in STEPS if name != "look"])
@pytest.mark.parametrize("how", ["once", "always"])
def test_a_refused_connection_is_survived_with_exact_data_or_fails_loudly(
    world: World, monkeypatch: pytest.MonkeyPatch, name: str, how: str
) -> None:
    world.meet_refusal(monkeypatch, name, how)


def test_the_fault_matrix_is_complete() -> None:
    check_complete(CASES, STEPS)


# What the table does not say


def test_retry_after_is_waited_for_at_every_step(world: World) -> None:
    for name, step in STEPS.items():
        if step.mode == "redirect":
            seconds = 17 + len(name) / 100
            world.strike(name, status(429, {"Retry-After": str(seconds)}), 1)
    world.sync().ok()
    slept = {round(pause, 2) for pause in world.clock.slept}
    missed = [
        name
        for name, step in STEPS.items()
        if step.mode == "redirect" and round(17 + len(name) / 100, 2) not in slept
    ]
    assert missed == []


def test_a_cut_inside_the_last_value_of_a_file_is_not_taken_for_the_whole(world: World) -> None:
    def shorten(real: Callable[[], Response]) -> Response:
        answer = real()
        answer.body, answer.framing = answer.body[:-8], "close"
        return answer

    fault = world.strike("storage", shorten, 1)
    world.sync().ok()
    assert fault.hits == 1
    assert world.is_exact("sales")


def test_a_file_cut_between_two_rows_is_not_taken_for_the_whole(world: World) -> None:
    def shorten(real: Callable[[], Response]) -> Response:
        answer = real()
        answer.body = b"\r\n".join(answer.body.split(b"\r\n")[:-2]) + b"\r\n"
        answer.framing = "close"
        return answer

    world.strike("storage", shorten, 2)
    world.sync().ok()
    assert world.is_exact("sales")


def test_a_link_that_is_always_expired_is_asked_for_again_and_fails_loudly(world: World) -> None:
    world.sandbox.impact.link_seconds = 0
    before = world.sandbox.impact.downloads
    run = world.sync()
    assert isinstance(run.error, TapError)
    assert re.search(r"sales 2026-\d\d-\d\d\.\.2026", str(run.error)), str(run.error)
    assert world.sandbox.impact.downloads > before + 2
    assert world.mark() == "2026-11-18"


def test_a_poll_that_fails_for_long_does_not_fail_the_job(world: World) -> None:
    fault = world.strike("poll", status(500, body=HTML), 20)
    run = world.sync(job_timeout_seconds=3600).ok()
    assert fault.hits == 20
    assert run.said("polling failed, the job goes on")
    assert world.is_exact("sales")


def test_polls_that_fail_after_a_refused_replay_do_not_fail_the_job(world: World) -> None:
    world.strike("replay", reset(handled=True), 1)
    world.strike("replay", status(403, body=b'{"Message":"is being replayed"}'), 1)
    world.strike("poll", status(503, body=HTML), 8)
    world.sync(job_timeout_seconds=3600).ok()
    assert world.is_exact("sales")


def test_many_faults_at_once_are_survived_with_exact_data(world: World) -> None:
    actions: list[Action] = [
        status(429, {"Retry-After": "3"}),
        status(503, body=HTML, content_type="text/html"),
        reset(),
        html_login(),
        close(),
    ]
    for number, name in enumerate(STEPS):
        if STEPS[name].mode == "redirect":
            world.strike(name, actions[number % 5], 1)
            world.strike(name, actions[(number + 2) % 5], 1)
    world.strike("storage", cut(0.4), 1)
    world.sandbox.impact.fail_next("FAILED", "oops", 1, report="sales")
    world.sandbox.impact.fail_next("CANCELLED", "oops", 1, report="other")
    world.sync(job_timeout_seconds=3600).ok()
    assert world.is_exact("sales")
    assert world.is_exact("other")


def test_a_file_with_other_counts_each_time_fails_loudly(world: World) -> None:
    seen = [0]

    def vary(real: Callable[[], Response]) -> Response:
        answer, seen[0] = real(), seen[0] + 1
        answer.body = b"\r\n".join(answer.body.split(b"\r\n")[: -1 - seen[0]]) + b"\r\n"
        return answer

    world.strike("storage", vary, None)
    run = world.sync()
    assert "sales 2026-" in str(run.error)
    assert world.mark() == "2026-11-18"
    assert world.is_exact("other")


def test_a_gzip_file_cut_short_is_downloaded_again(world: World) -> None:
    def squeeze(keep: float) -> Action:
        def act(real: Callable[[], Response]) -> Response:
            answer = real()
            packed = gzip.compress(answer.body)
            answer.body = packed[: int(len(packed) * keep)]
            return answer

        return act

    world.strike("storage", squeeze(0.8), 2)
    world.strike("storage", squeeze(1), None)
    world.sync().ok()
    assert world.is_exact("sales")


def test_rows_are_never_lost_to_an_empty_answer(world: World) -> None:
    world.strike("storage", body(b""), None)
    run = world.sync()
    assert isinstance(run.error, TapError)
    assert "sales 2026-" in str(run.error)
    assert world.mark() == "2026-11-18"
