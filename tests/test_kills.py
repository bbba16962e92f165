"""Killed at any step, a sync that is resumed ends with the warehouse equal to the source."""

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
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import kill_child
import pytest
from batch_files import BatchWarehouse
from harness import FakeClock, config_for, sync, windows_of
from killing import (
    MAX_JOBS,
    NIGHTS,
    STATES,
    Killing,
    kill_after_messages,
    kill_at_each_request,
    last_state,
    moments,
    undisturbed,
)
from small_source import (
    CLICKS,
    SmallSource,
    check_bookmark,
    check_exact,
    check_ledger,
    check_retired,
)

from tap_affiliate_reports.messages import LOADER_CLOSED
from tap_affiliate_reports.sandbox import Sandbox, hang

pytestmark = pytest.mark.kill

# A report by the week, and the clicks by the day.
STREAMS = (CLICKS, "sales")
START = date(2026, 11, 13)


@dataclass(kw_only=True)
class World(Killing):
    """A source, the warehouse it is loaded into, and what a first sync left."""

    source: SmallSource
    max_jobs: int = MAX_JOBS
    # The format of BATCH files; without one, rows are RECORDs.
    batches: str = ""

    def __post_init__(self) -> None:
        if self.batches:
            self.warehouse = BatchWarehouse()

    @property
    def config(self) -> dict[str, Any]:
        config = config_for(
            self.sandbox,
            reports=["sales"],
            clicks=True,
            window="week",
            max_concurrent_jobs=self.max_jobs,
            START_DATE=START.isoformat(),
        )
        if not self.batches:
            return config
        storage = {"root": str(self.folder / "batches")}
        batch = {"encoding": {"format": self.batches}, "storage": storage, "batch_size": 3}
        return config | {"batch_config": batch}

    def night(self) -> None:
        first = sync(self.config, self.clock).ok()
        self.warehouse.load(first.messages)
        self.state = first.state
        self.source.put("sales", date(2026, 11, 13), [])
        self.source.put("sales", date(2026, 11, 16), ["1", "2", "3"])
        self.source.put(CLICKS, date(2026, 11, 16), ["8", "9", "10"])
        self.source.put(CLICKS, date(2026, 11, 17), [])
        self.clock.advance(days=1)

    def resume(self, state: dict[str, Any], *, is_last: bool = True) -> None:
        run = sync(self.config, self.clock, state=state).ok()
        self.warehouse.load(run.messages)
        for report in STREAMS:
            check_exact(self.source, self.warehouse, report, START, self.yesterday)
            if is_last:
                check_retired(self.warehouse, report, run.state)
            check_bookmark(run.state, report, START)
            assert run.bookmark(report) == self.yesterday.isoformat()

    @property
    def yesterday(self) -> date:
        return self.clock.now().date() - timedelta(days=1)

    @property
    def spent(self) -> int:
        return len(self.sandbox.impact.exports) + len(self.sandbox.impact.click_exports)


class Worlds:
    """Makes worlds, each with folders and sockets of its own."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder, self.stack, self.count = folder, stack, 0
        self.batches = ""

    def __call__(self, *, night: bool) -> World:
        self.count += 1
        folder = self.folder / str(self.count)
        folder.mkdir()
        clock = FakeClock()
        sandbox = self.stack.enter_context(Sandbox(now=clock.now, job_seconds=2))
        source = SmallSource(sandbox, clock, STREAMS)
        world = World(
            folder=folder, clock=clock, sandbox=sandbox, source=source, batches=self.batches
        )
        if night:
            world.night()
        return world


@pytest.fixture
def worlds(tmp_path: Path) -> Iterator[Worlds]:
    with ExitStack() as stack:
        yield Worlds(tmp_path, stack)


@NIGHTS
def test_killed_at_any_request_a_sync_resumes_to_exactly_the_source(
    worlds: Worlds, night: bool
) -> None:
    kinds = kill_at_each_request(worlds, night=night)
    for step in (
        "/Reports",
        "/MetaData",
        "/ReportExport/",
        "/ClickExport",
        "/Jobs",
        "/Download",
        "/storage/",
    ):
        assert step in kinds
    assert ("/Replay" in kinds) == night


@STATES
def test_killed_after_any_message_a_sync_resumes_to_exactly_the_source(
    worlds: Worlds, night: bool, older: int
) -> None:
    assert kill_after_messages(worlds, night=night, older=older).count("STATE") > 6


def test_killed_after_any_message_a_sync_with_batch_files_resumes_to_exactly_the_source(
    worlds: Worlds,
) -> None:
    worlds.batches = "arrow"
    # Half of the moments are enough: the messages are those of the tests before.
    kinds = kill_after_messages(worlds, night=True, older=1)
    assert kinds.count("BATCH") > 4
    assert kinds.count("STATE") > 6


def test_a_kill_costs_the_exports_that_no_state_knew_and_no_other(worlds: Worlds) -> None:
    """With one job at a time, killed right before and right after each window's first STATE."""

    def one_by_one() -> World:
        world = worlds(night=False)
        world.max_jobs = 1
        return world

    whole = one_by_one()
    job = whole.job()
    assert whole.child(job, lambda _: False) == 0
    begins = [
        number
        for number, message in enumerate(job.messages())
        if message["type"] == "STATE" and '"unfinished": true' in json.dumps(message)
    ]
    assert len(begins) == whole.spent > 2
    for number in begins:
        for die_after in (number, number + 1):
            world = one_by_one()
            job = world.job(die_after=die_after)
            assert world.child(job, lambda _: False) == -signal.SIGKILL
            messages = job.messages()
            world.warehouse.load(messages)
            world.resume(last_state(world, messages))
            # The first export is under way before the first window's stream begins.
            unknown = 1 if die_after == begins[0] else 0
            assert world.spent == whole.spent + unknown, f"killed after {die_after} messages"


def test_records_of_a_block_that_was_never_written_are_no_loss(worlds: Worlds) -> None:
    _, messages, _ = undisturbed(worlds, night=True)
    for number in range(1, len(messages), 7):
        world = worlds(night=True)
        job = world.job(die_after=number, block=64 * 1024)
        assert world.child(job, lambda _: False) == -signal.SIGKILL
        arrived = job.messages()
        world.warehouse.load(arrived)
        world.resume(last_state(world, arrived))


def test_killed_twice_in_a_row_a_sync_still_resumes_to_exactly_the_source(worlds: Worlds) -> None:
    _, messages, _ = undisturbed(worlds, night=True)
    for number in range(3, len(messages), 9):
        world = worlds(night=True)
        for die_after in (number, number // 2):
            job = world.job(die_after=die_after)
            world.child(job, lambda _: False)
            arrived = job.messages()
            world.warehouse.load(arrived)
            world.state = last_state(world, arrived)
            check_ledger(world.source, world.warehouse, world.state, "sales")
            # Each load has fewer rows than the one before.
            world.source.put("sales", date(2026, 11, 13 + (die_after == number)), [])
            job.out.unlink()
        world.clock.advance(days=1)
        world.resume(world.state)


def test_a_window_that_lost_all_its_rows_is_retired_though_the_tap_was_killed(
    worlds: Worlds,
) -> None:
    def emptied() -> World:
        world = worlds(night=True)
        for day in range(11, 16):
            world.source.put("sales", date(2026, 11, day), [])
        return world

    world = emptied()
    job = world.job()
    assert world.child(job, lambda _: False) == 0
    for number in moments(job.messages())[::2]:
        world = emptied()
        job = world.job(die_after=number)
        assert world.child(job, lambda _: False) == -signal.SIGKILL
        arrived = job.messages()
        world.warehouse.load(arrived)
        world.resume(last_state(world, arrived))


# The command line, told to stop


@dataclass
class Process:
    """The real executable, its temporary folder and what it wrote."""

    popen: subprocess.Popen[bytes]
    temporary: Path
    errors: Path
    out: bytes = b""

    def tell(self, number: int) -> float:
        """Send a signal, read on, and return the seconds until the end."""
        began = time.monotonic()
        self.popen.send_signal(number)
        assert self.popen.stdout is not None
        self.out += self.popen.stdout.read()
        self.popen.wait(10)
        return time.monotonic() - began

    def until(self, text: bytes) -> None:
        assert self.popen.stdout is not None
        while text not in self.out:
            block = os.read(self.popen.stdout.fileno(), 4096)
            assert block, self.errors.read_text()
            self.out += block


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    running: list[Process] = []

    def start(config: dict[str, Any], **environment: str) -> Process:
        folder = tmp_path / str(len(running))
        temporary = folder / "tmp"
        temporary.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps(config))
        with (folder / "err.log").open("wb") as errors:
            popen = subprocess.Popen(
                [sys.executable, "-m", "tap_affiliate_reports", "--config", folder / "config.json"],
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**os.environ, "TMPDIR": str(temporary), **environment},
            )
        running.append(Process(popen, temporary, folder / "err.log"))
        return running[-1]

    yield start
    for process in running:
        process.popen.kill()
        process.popen.wait()
        if process.popen.stdout:
            process.popen.stdout.close()


@pytest.fixture
def real() -> Iterator[Sandbox]:
    """A sandbox on the real clock, for real processes."""
    with Sandbox(job_seconds=0, rows_per_day=20) as sandbox:
        yield sandbox


def stopped_well(process: Process, number: int) -> list[dict[str, Any]]:
    """Send a signal, and check how the process ends; return its messages."""
    seconds = process.tell(number)
    log = process.errors.read_text()
    assert process.popen.returncode == 128 + number, log
    assert seconds < 2
    assert "Traceback" not in log
    assert process.out.endswith(b"\n")
    messages = kill_child.whole_lines(process.out)
    assert messages[-1]["type"] == "STATE"
    assert list(process.temporary.iterdir()) == []
    return messages


SIGNALS = pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"]
)
BUFFERING = pytest.mark.parametrize(
    "environment", [{}, {"PYTHONUNBUFFERED": "1"}], ids=["buffered", "unbuffered"]
)


def small(sandbox: Sandbox, **impact: Any) -> dict[str, Any]:
    return config_for(sandbox, reports=["mp_action_listing_fast"], **impact)


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@SIGNALS
def test_told_to_stop_while_a_download_hangs_it_ends_at_once(
    real: Sandbox, start: Callable[..., Process], number: int
) -> None:
    event = threading.Event()
    fault = real.faults.add("GET /storage/", hang(event), None)
    process = start(small(real, poll_interval_seconds=0.01))
    wait_for(lambda: fault.hits > 0)
    assert any(process.temporary.iterdir())
    stopped_well(process, number)
    event.set()


@SIGNALS
def test_told_to_stop_in_a_long_sleep_it_ends_at_once(
    real: Sandbox, start: Callable[..., Process], number: int
) -> None:
    real.impact.job_seconds = 600
    process = start(small(real, poll_interval_seconds=500))
    wait_for(lambda: any("/Jobs" in request.path for request in real.requests))
    time.sleep(0.1)
    stopped_well(process, number)


@SIGNALS
def test_told_to_stop_while_a_job_is_in_error_the_next_sync_goes_on_with_it(
    real: Sandbox, start: Callable[..., Process], number: int
) -> None:
    real.impact.fail_next("ERROR", "no memory")
    config = small(real, END_DATE="2026-09-30", poll_interval_seconds=0.01)
    process = start(config)
    wait_for(lambda: b"the service will retry it" in process.errors.read_bytes())
    state = stopped_well(process, number)[-1]["value"]
    (job,) = real.impact.jobs.values()
    windows = windows_of(state["bookmarks"]["mp_action_listing_fast"])
    assert windows["2026-09-01"]["job"] == job.id
    job.outcome = replace(job.outcome, errors=0)
    run = sync(config, FakeClock(), state=state).ok()
    assert run.records("mp_action_listing_fast")
    assert (len(real.impact.exports), real.impact.replays) == (1, 0)


def test_told_to_stop_while_a_request_hangs_it_ends_at_once(
    real: Sandbox, start: Callable[..., Process]
) -> None:
    event = threading.Event()
    fault = real.faults.add("ReportExport", hang(event), None)
    process = start(small(real))
    wait_for(lambda: fault.hits > 0)
    stopped_well(process, signal.SIGTERM)
    event.set()


@BUFFERING
@SIGNALS
def test_told_to_stop_before_a_slow_loader_every_line_is_whole_and_state_is_last(
    real: Sandbox, start: Callable[..., Process], number: int, environment: dict[str, str]
) -> None:
    real.account.rows_per_day = 200
    process = start(small(real, poll_interval_seconds=0.01), **environment)
    process.until(b'"RECORD","stream":"mp_action_listing_fast"')
    # The pipe is full by now: the tap is in the middle of a write.
    time.sleep(0.3)
    messages = stopped_well(process, number)
    records = [m for m in messages if m.get("stream") == "mp_action_listing_fast"]
    state = messages[-1]["value"]["bookmarks"]["mp_action_listing_fast"]
    begun = windows_of(state)["2026-09-01"]
    assert 100 < len(records) <= begun["rows"] + 1, "a SCHEMA and the rows that may be there"
    assert begun["unfinished"]
    assert state["replication_key_value"] is None


def test_the_second_signal_does_not_spoil_the_first(
    real: Sandbox, start: Callable[..., Process]
) -> None:
    real.account.rows_per_day = 200
    process = start(small(real, poll_interval_seconds=0.01))
    process.until(b'"RECORD","stream":"mp_action_listing_fast"')
    time.sleep(0.3)
    process.popen.send_signal(signal.SIGTERM)
    stopped_well(process, signal.SIGTERM)


def test_a_loader_that_closes_its_input_is_one_clear_line(
    real: Sandbox, start: Callable[..., Process]
) -> None:
    real.account.rows_per_day = 200
    process = start(small(real, poll_interval_seconds=0.01))
    process.until(b'"RECORD","stream":"mp_action_listing_fast"')
    assert process.popen.stdout is not None
    process.popen.stdout.close()
    assert process.popen.wait(10) == 1
    log = process.errors.read_text()
    assert "Traceback" not in log
    assert LOADER_CLOSED in log
    assert list(process.temporary.iterdir()) == []


def test_a_killed_tap_leaves_whole_lines_but_for_the_last(
    real: Sandbox, start: Callable[..., Process]
) -> None:
    real.account.rows_per_day = 200
    process = start(small(real, poll_interval_seconds=0.01))
    process.until(b'"RECORD","stream":"mp_action_listing_fast"')
    process.tell(signal.SIGKILL)
    messages = kill_child.whole_lines(process.out)
    assert messages[0]["type"] in {"SCHEMA", "STATE"}
    assert {m["type"] for m in messages} >= {"SCHEMA", "RECORD", "STATE"}
