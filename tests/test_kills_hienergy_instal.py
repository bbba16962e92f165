"""Hi Energy AI and Instal.com: killed at any step, a sync that is resumed ends exactly right."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import kill_child
import pytest
from harness import FakeClock, sync
from hienergy_instal import (
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
from killing import (
    MAX_JOBS,
    NIGHTS,
    STATES,
    Killing,
    Worlds,
    kill_after_messages,
    kill_at_each_request,
    last_state,
    undisturbed,
)
from small_source import check_bookmark, check_retired

from tap_affiliate_reports.sandbox import Sandbox, hang

pytestmark = pytest.mark.kill

START = date(2026, 11, 11)


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
            known = state.get("bookmarks", {}).get(kind, {}).get("loaded") or ()
            ids = {export for export, _ in known}
            again = {str(row["_export_id"]) for row in run.records(kind)} & ids
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


@NIGHTS
def test_killed_at_any_request_a_sync_resumes_to_exactly_the_source(
    worlds: Worlds, night: bool
) -> None:
    kinds = kill_at_each_request(worlds, night=night)
    for step in ("POST ", "/exports/", "/storage/"):
        assert step in kinds


@STATES
def test_killed_after_any_message_a_sync_resumes_to_exactly_the_source(
    worlds: Worlds, night: bool, older: int
) -> None:
    assert kill_after_messages(worlds, night=night, older=older).count("STATE") > 3


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
