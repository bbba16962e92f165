"""The fault matrix of Instal.com: survived with exact data, or failed loudly."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import pytest
from fault_matrix import (
    EXACT,
    HTML,
    LOUD,
    Case,
    FaultWorld,
    Requests,
    cases,
    check_complete,
    common_cases,
    nobody,
    parameters,
)
from harness import FakeClock, Run, sync
from hienergy_instal import REPORT, check_report, config_of, put, put_all

from tap_affiliate_reports.sandbox import Response, Sandbox, body, reset, status
from tap_affiliate_reports.sandbox.faults import STEPS as FAULT_STEPS
from tap_affiliate_reports.sandbox.faults import Action

pytestmark = pytest.mark.kill

START = date(2026, 10, 20)
STEPS = {
    "clock": "^GET /advertiser/api/v1/reports/exports/00000000-[^/?]+$",
    "post": FAULT_STEPS["instal post"],
    "poll": "^GET /advertiser/api/v1/reports/exports/(?!00000000-)[^/?]+$",
    "file": FAULT_STEPS["instal file"],
    "storage": FAULT_STEPS["storage"],
}
JSON_STEPS = ("post", "poll")
FILE_STEPS = ("file", "storage")


@dataclass(kw_only=True)
class World(FaultWorld):
    """A report, loaded once; a night has passed and the source has changed."""

    def place(self, step: str) -> Requests:
        return Requests(STEPS[step])

    def prepare(self, step: str) -> None:
        self.sandbox.instal.links_on_api = step == "file"

    def sync(self, **own: Any) -> Run:
        own = {"job_timeout_seconds": 120, **own}
        run = sync(config_of(self.sandbox, START, instal=own), self.clock, state=self.state)
        self.warehouse.load(run.messages)
        self.state = run.state or self.state
        return run

    def check(self) -> None:
        yesterday = self.clock.now().date() - timedelta(days=1)
        check_report(self.sandbox, self.warehouse, START, yesterday)
        assert self.mark == yesterday.isoformat()

    @property
    def mark(self) -> str:
        return str(self.state["bookmarks"][REPORT]["replication_key_value"])

    def check_loud(self, run: Run, case: Case) -> None:
        told = str(run.error)
        assert REPORT in told
        if case.step != "clock":
            window = re.search(REPORT + r" 2026-\d\d-\d\d\.\.2026-\d\d-\d\d", told)
            assert window or "windows not loaded" in told, f"no window is named: {told}"
        if case.how == "always":
            assert self.mark == "2026-11-18"

    def check_refused(self, run: Run, step: str) -> None:
        assert self.mark == "2026-11-18"


@pytest.fixture
def world(sandbox: Sandbox, clock: FakeClock) -> World:
    put_all(sandbox, START, 60)
    world = World(sandbox=sandbox, clock=clock)
    world.sync().ok()
    world.check()
    put(sandbox, date(2026, 10, 21), [])
    put(sandbox, date(2026, 10, 30), ["1.125", "2.0", "3"])
    put(sandbox, date(2026, 11, 18), ["5.5", "6.125"])
    clock.advance(days=1)
    sandbox.requests.clear()
    return world


def answer(**document: Any) -> Callable[[], Action]:
    return lambda: status(200, body=json.dumps(document).encode())


def linked_to_nobody() -> Action:
    link = f"{nobody()}/storage/x?X-Signature=y"
    return status(200, body=json.dumps({"state": "SUCCESS", "result": link}).encode())


def _cases() -> Iterator[Case]:
    yield from common_cases(tuple(STEPS), (*JSON_STEPS, *FILE_STEPS))
    yield from cases("answer lost", ("post",), lambda: reset(handled=True))
    yield from cases("refused by storage", ("poll",), linked_to_nobody)
    yield from cases("link expired", FILE_STEPS, lambda: status(403, body=b"<Error/>"))
    yield from cases("no such file", FILE_STEPS, lambda: status(404, body=b"<Error/>"))
    yield from cases("202 that lasts", FILE_STEPS, lambda: status(202, body=b"{}"))
    yield from cases("unknown word", ("poll",), answer(state="DONE"), once=LOUD)
    yield from cases("no word", ("poll",), answer(), once=LOUD)
    yield from cases("FAILURE", ("poll",), answer(state="FAILURE", result="boom"))
    yield from cases("REVOKED", ("poll",), answer(state="REVOKED", result=None))
    yield from cases("stuck", ("poll",), answer(state="PENDING", result=None))
    yield from cases("no link", ("poll",), answer(state="SUCCESS", result=None))
    yield from cases("ERROR", ("post",), answer(result="ERROR", task_id=None), once=LOUD)
    yield from cases("unknown word", ("post",), answer(result="SOON", task_id="x"), once=LOUD)
    yield from cases("no task", ("post",), answer(result="QUEUED"), once=LOUD)
    refused = b'{"detail":"the range is too wide"}'
    yield from cases("400", JSON_STEPS, lambda: status(400, body=refused), once=LOUD)
    yield from cases("403", JSON_STEPS, lambda: status(403, body=refused), once=LOUD)
    yield from cases("404", JSON_STEPS, lambda: status(404, body=refused), once=LOUD)
    yield from cases("empty body", FILE_STEPS, lambda: body(b""))


CASES = list(_cases())


@pytest.mark.parametrize("case", parameters(CASES))
def test_a_fault_is_survived_with_exact_data_or_fails_loudly(world: World, case: Case) -> None:
    world.meet(case)


@pytest.mark.parametrize("name", list(STEPS))
@pytest.mark.parametrize("how", ["once", "always"])
def test_a_refused_connection_is_survived_with_exact_data_or_fails_loudly(
    world: World, monkeypatch: pytest.MonkeyPatch, name: str, how: str
) -> None:
    world.meet_refusal(monkeypatch, name, how)


@pytest.mark.parametrize("word", ["FAILURE", "REVOKED", "PENDING"])
@pytest.mark.parametrize("how", ["once", "always"])
def test_a_task_that_ends_badly_is_asked_for_anew_or_fails_loudly(
    world: World, word: str, how: str
) -> None:
    world.sandbox.instal.end_next(word, times=1 if how == "once" else 99)
    run = world.sync()
    result = world.outcome(run)
    assert result == (EXACT if how == "once" and word != "PENDING" else LOUD)
    if result == LOUD:
        assert ("job_timeout_seconds" if word == "PENDING" else word) in str(run.error)
        world.sandbox.instal._outcomes.clear()
        world.clock.advance(hours=1)
        world.sync().ok()
        world.check()


def test_the_fault_matrix_is_complete() -> None:
    check_complete(CASES, STEPS)


# What the table does not say


@pytest.mark.parametrize("as_200", [False, True])
def test_the_words_of_a_refused_request_are_told(world: World, as_200: bool) -> None:
    world.sandbox.instal.error_as_200 = as_200
    run = world.sync(sorting="cr", interval="daily")
    run.ok()
    world.strike(
        "post",
        status(200 if as_200 else 400, body=b'{"result":"ERROR","detail":"the range is too wide"}'),
        None,
    )
    world.clock.advance(days=1)
    run = world.sync(sorting="cr")
    assert "the range is too wide" in str(run.error)


def test_polls_that_fail_for_long_do_not_fail_the_task(world: World) -> None:
    fault = world.strike("poll", status(500, body=HTML), 20)
    run = world.sync(job_timeout_seconds=3600).ok()
    assert fault.hits == 20
    assert run.said("polling failed, the job goes on")
    world.check()


def test_a_link_that_expires_while_it_waits_is_asked_for_again(world: World) -> None:
    fault = world.strike("storage", status(403, body=b"<Error/>"), 2)
    posts = len(world.sandbox.instal.tasks)
    world.sync().ok()
    assert fault.hits == 2
    assert len(world.sandbox.instal.tasks) - posts == 2
    world.check()


def test_a_file_without_its_header_row_is_refused(world: World) -> None:
    world.sandbox.instal.csv_header = False
    run = world.sync()
    assert REPORT in str(run.error)
    assert world.mark == "2026-11-18"
    world.sandbox.instal.csv_header = True
    world.sync().ok()
    world.check()


def test_a_file_cut_inside_its_last_value_is_downloaded_again(world: World) -> None:
    def shorten(real: Callable[[], Response]) -> Response:
        response = real()
        response.body, response.framing = response.body[:-3], "close"
        return response

    fault = world.strike("storage", shorten, 1)
    world.sync().ok()
    assert fault.hits == 1
    world.check()
