"""Hi Energy AI and Instal.com: killed at any step, a sync that is resumed ends exactly right."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import kill_child
import pytest
from harness import FakeClock, sync
from killing import Killing, last_state, moments
from other_sources import (
    CLICKS,
    CREATE,
    CSV,
    DEALS,
    FILES,
    HEADER,
    REPORT,
    add,
    add_parent,
    check_files,
    check_mark,
    check_report,
    config_of,
    put,
    put_all,
    rows_of,
)
from small_source import check_bookmark, check_retired

from tap_affiliate_reports.sandbox import Sandbox, hang

START = date(2026, 11, 11)
MAX_JOBS = 2


@dataclass(kw_only=True)
class Files(Killing):
    """Finished exports of Hi Energy AI, one that is cut in parts, and one to be created."""

    poll = "/exports/"

    def __post_init__(self) -> None:
        service = self.sandbox.hienergy
        service.clear()
        service.tables[CLICKS] = lambda export: (HEADER, rows_of("clicks", 12))
        for kind in (CSV, DEALS):
            add(self.sandbox, kind, f"first {kind}", completed_at=self.ago(days=3))
        add(self.sandbox, CSV, "second", completed_at=self.ago(days=2))

    def ago(self, **duration: float) -> Any:
        return self.clock.now() - timedelta(**duration)

    @property
    def config(self) -> dict[str, Any]:
        own = {"create": [CREATE], "max_concurrent_jobs": MAX_JOBS}
        return config_of(self.sandbox, START, hienergy=own)

    def night(self) -> None:
        first = sync(self.config, self.clock).ok()
        self.warehouse.load(first.messages)
        self.state = first.state
        self.clock.advance(days=1)
        add_parent(self.sandbox, CSV, "parted", completed_at=self.ago(hours=9))
        add(self.sandbox, DEALS, "deals", 11, completed_at=self.ago(hours=8))
        self.sandbox.hienergy.tables[CLICKS] = lambda export: (HEADER, rows_of("more clicks"))
        # What was created is forgotten, so it is made anew.
        for export in self.created:
            self.sandbox.hienergy.forget(export)
        self.warehouse.tables[CLICKS].clear()

    @property
    def created(self) -> list[Any]:
        found = self.sandbox.hienergy.exports.values()
        return [export for export in found if export.report_type == CLICKS]

    @property
    def spent(self) -> int:
        return len(self.created)

    def resume(self, state: dict[str, Any], *, is_last: bool = True) -> None:
        run = sync(self.config, self.clock, state=state).ok()
        self.warehouse.load(run.messages)
        check_files(self.sandbox, self.warehouse, START)
        check_mark(self.sandbox, self.warehouse, run.state, START)
        assert self.spent == 1, "the same export was made twice"
        for kind in FILES:
            known = state.get("bookmarks", {}).get(kind, {}).get("loaded", {})
            again = {str(row["_export_id"]) for row in run.records(kind)} & set(known)
            assert not again, f"{kind}: loaded again though the state has it"


@dataclass(kw_only=True)
class Tasks(Killing):
    """The report of Instal.com, by weeks."""

    poll = "/exports/"

    def __post_init__(self) -> None:
        put_all(self.sandbox, START, 20)

    @property
    def config(self) -> dict[str, Any]:
        own = {"window": "week", "max_concurrent_jobs": MAX_JOBS}
        return config_of(self.sandbox, START, instal=own)

    def night(self) -> None:
        first = sync(self.config, self.clock).ok()
        self.warehouse.load(first.messages)
        self.state = first.state
        put(self.sandbox, date(2026, 11, 12), [])
        put(self.sandbox, date(2026, 11, 14), ["8.5", "9", "10.125"])
        put(self.sandbox, date(2026, 11, 16), ["1"])
        put(self.sandbox, date(2026, 11, 17), [])
        self.clock.advance(days=1)

    @property
    def spent(self) -> int:
        return len(self.sandbox.instal.tasks)

    def resume(self, state: dict[str, Any], *, is_last: bool = True) -> None:
        run = sync(self.config, self.clock, state=state).ok()
        self.warehouse.load(run.messages)
        yesterday = self.clock.now().date() - timedelta(days=1)
        check_report(self.sandbox, self.warehouse, START, yesterday)
        if is_last:
            check_retired(self.warehouse, REPORT, run.state)
        check_bookmark(run.state, REPORT, START)
        assert run.bookmark(REPORT) == yesterday.isoformat()


World = Files | Tasks
Worlds = Callable[..., World]


@pytest.fixture(params=[Files, Tasks], ids=["hienergy", "instal"])
def worlds(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Worlds]:
    """Make worlds, each with a folder and sockets of its own."""
    with ExitStack() as stack:

        def world(*, night: bool) -> World:
            folder = tmp_path / str(len(list(tmp_path.iterdir())))
            folder.mkdir()
            clock = FakeClock()
            sandbox = stack.enter_context(Sandbox(now=clock.now, job_seconds=2))
            made: World = request.param(folder=folder, clock=clock, sandbox=sandbox)
            if night:
                made.night()
            return made

        yield world


def undisturbed(worlds: Worlds, *, night: bool) -> tuple[list[str], list[dict[str, Any]], int]:
    """Return the requests, the messages and what was spent in a sync that nobody kills."""
    world = worlds(night=night)
    job, before, spent = world.job(), len(world.sandbox.requests), world.spent
    assert world.child(job, lambda _: False) == 0
    requests = [f"{r.method} {r.path}" for r in world.sandbox.requests[before:]]
    return requests, job.messages(), world.spent - spent


NIGHTS = pytest.mark.parametrize("night", [False, True], ids=["the first sync", "the next night"])


@NIGHTS
def test_killed_at_any_request_a_sync_resumes_to_exactly_the_source(
    worlds: Worlds, night: bool
) -> None:
    requests, _, spent = undisturbed(worlds, night=night)
    kinds = " ".join(requests)
    for step in ("POST ", "/exports/", "/storage/"):
        assert step in kinds
    for number in range(1, len(requests) + 1):
        world = worlds(night=night)
        left, job, before = [number], world.job(), world.spent

        def is_due(_: object, left: list[int] = left) -> bool:
            left[0] -= 1
            return left[0] == 0

        if world.child(job, is_due) != -signal.SIGKILL:
            assert number > len(requests) - 4, "polls vary with the threads, but not by much"
            continue
        messages = job.messages()
        world.warehouse.load(messages)
        world.resume(last_state(world, messages))
        assert world.spent - before <= spent + MAX_JOBS, f"killed at {requests[number - 1]}"


@pytest.mark.parametrize(
    ("night", "older"),
    [(False, 0), (True, 0), (True, 1), (True, 3)],
    ids=["the first sync", "the next night", "given the STATE before", "given an old STATE"],
)
def test_killed_after_any_message_a_sync_resumes_to_exactly_the_source(
    worlds: Worlds, night: bool, older: int
) -> None:
    _, messages, spent = undisturbed(worlds, night=night)
    assert [m["type"] for m in messages].count("STATE") > 3
    for number in moments(messages)[older :: 1 + older]:
        world = worlds(night=night)
        job, before = world.job(die_after=number), world.spent
        assert world.child(job, lambda _: False) == -signal.SIGKILL
        arrived = job.messages()
        assert len(arrived) == number
        world.warehouse.load(arrived)
        world.resume(last_state(world, arrived, older), is_last=not older)
        if not older:
            assert world.spent - before <= spent + MAX_JOBS


def test_killed_twice_in_a_row_a_sync_still_resumes_to_exactly_the_source(worlds: Worlds) -> None:
    _, messages, _ = undisturbed(worlds, night=True)
    for number in range(3, len(messages), 7):
        world = worlds(night=True)
        for die_after in (number, number // 2):
            job = world.job(die_after=die_after)
            ended = world.child(job, lambda _: False)
            # The second time there may be fewer messages than that.
            assert ended == -signal.SIGKILL or die_after == number // 2
            arrived = job.messages()
            world.warehouse.load(arrived)
            world.state = last_state(world, arrived)
            job.out.unlink()
        world.resume(world.state)


# The command line, told to stop


@pytest.mark.parametrize("place", ["POST ", "GET .*/exports/[^/]+$", "GET /storage/"])
@pytest.mark.parametrize("name", ["hienergy", "instal"])
def test_told_to_stop_it_ends_at_once_with_state_last_and_no_files_left(
    tmp_path: Path, name: str, place: str
) -> None:
    with Sandbox(job_seconds=0, rows_per_day=20) as sandbox:
        create = {"create": [CREATE]} if name == "hienergy" else {}
        config = config_of(sandbox, date.today() - timedelta(days=40), **{name: create})
        if name == "hienergy":
            # Discovery looks into files too, before there is a state to keep.
            sandbox.hienergy.clear()
        config[name]["poll_interval_seconds"] = 0.01
        (tmp_path / "config.json").write_text(json.dumps(config))
        temporary = tmp_path / "tmp"
        temporary.mkdir()
        event = threading.Event()
        after = 1 if name == "instal" and place.startswith("GET .*") else 0
        fault = sandbox.faults.add(place, hang(event), None, after)
        with (tmp_path / "err.log").open("wb") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "tap_affiliate_reports",
                 "--config", str(tmp_path / "config.json")],
                stdout=subprocess.PIPE, stderr=errors,
                env={**os.environ, "TMPDIR": str(temporary)},
            )  # fmt: skip
        end = time.monotonic() + 20
        while not fault.hits:
            assert time.monotonic() < end
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=10)
        event.set()
        log = (tmp_path / "err.log").read_text()
        assert process.returncode == 128 + signal.SIGTERM, log
        assert "Traceback" not in log
        assert kill_child.whole_lines(out)[-1]["type"] == "STATE"
        assert list(temporary.iterdir()) == []
