"""A full disk, two syncs of one account at once, and a window too large for memory."""

from __future__ import annotations

import errno
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness import FakeClock, Run, Warehouse, config_for, sync

from tap_affiliate_reports.errors import TapError
from tap_affiliate_reports.sandbox import Attribute, Report, Sandbox

pytestmark = pytest.mark.kill

COLUMNS = [Attribute("Id", "Integer"), Attribute("Name")]


@pytest.fixture
def rows(sandbox: Sandbox) -> list[list[str]]:
    kept = [["1", "a"], ["2", "b"]]
    sandbox.impact.add(Report("sales", columns=COLUMNS, rows=lambda *_: kept))
    return kept


class FullDisk:
    """A file that takes nothing."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def __enter__(self) -> FullDisk:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, _content: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_a_clear_error_and_nothing_of_the_window_is_emitted(
    sandbox: Sandbox, clock: FakeClock, rows: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = Path.open

    def full(path: Path, mode: str = "r", *more: Any, **options: Any) -> Any:
        file = opened(path, mode, *more, **options)
        return FullDisk(file) if path.suffix == ".part" and mode == "wb" else file

    config = config_for(sandbox, reports=["sales"])
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", full)
        run = sync(config, clock)
    assert isinstance(run.error, TapError)
    assert "No space left on device" in str(run.error)
    assert "sales 2026-09-10..2026-09-30" in str(run.error)
    assert run.records("sales") == []
    assert run.bookmark("sales") is None
    exports = len(sandbox.impact.exports)
    again = sync(config, clock, state=run.state).ok()
    assert len(again.records("sales")) == 6
    assert len(sandbox.impact.exports) == exports, "the jobs of before are known"


def test_two_syncs_of_one_account_at_once_do_not_spoil_each_other_s_rows(
    sandbox: Sandbox, clock: FakeClock, rows: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_for(sandbox, reports=["sales"])
    first = sync(config, clock).ok()
    rows.append(["3", "c"])
    clock.advance(days=1)
    others: list[Run] = []
    pause = clock.sleep

    def meanwhile(seconds: float) -> None:
        """Sync once more, from start to end, in the first pause of the other sync."""
        monkeypatch.setattr(clock, "sleep", pause)
        others.append(sync(config, clock, state=first.state))
        pause(seconds)

    monkeypatch.setattr(clock, "sleep", meanwhile)
    run = sync(config, clock, state=first.state).ok()
    for messages in (run.messages, others[0].ok().messages):
        warehouse = Warehouse()
        warehouse.load(first.messages)
        warehouse.load(messages)
        assert sorted((r["_window_start"], r["Id"]) for r in warehouse.live("sales")) == [
            (slot, number)
            for slot in ("2026-09-01", "2026-10-01", "2026-11-01")
            for number in (1, 2, 3)
        ]


def peak_of(run: Callable[[], subprocess.Popen[bytes]]) -> float:
    """Return the peak memory of a process, in megabytes."""
    peak = 0.0
    with run() as process:
        while process.poll() is None:
            text = Path(f"/proc/{process.pid}/status").read_text()
            found = re.search(r"VmHWM:\s+(\d+) kB", text)
            peak = int(found[1]) / 1024 if found else peak
            time.sleep(0.01)
    assert process.returncode == 0
    return peak


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads a process's peak there")
def test_a_window_of_a_million_rows_is_not_held_in_memory(tmp_path: Path) -> None:
    def content(count: int) -> bytes:
        return b"Id,Name\n" + b"".join(b"%d,name\n" % number for number in range(count))

    peaks = []
    with Sandbox(job_seconds=0) as sandbox:
        for count in (1_000, 1_000_000):
            whole = content(count)
            sandbox.impact.add(
                Report("sales", columns=COLUMNS, raw=lambda *_, whole=whole: whole)  # type: ignore[misc]
            )
            sandbox.impact.jobs.clear()
            config = config_for(sandbox, reports=["sales"], poll_interval_seconds=0.05)
            config |= {"start_date": "2026-09-01", "end_date": "2026-09-30"}
            path = tmp_path / "config.json"
            path.write_text(json.dumps(config))
            command = [sys.executable, "-m", "tap_affiliate_reports", "--config", str(path)]
            peaks.append(
                peak_of(
                    lambda: subprocess.Popen(
                        command,  # noqa: B023 # used at once
                        stdout=subprocess.DEVNULL,
                        stderr=subprocess.DEVNULL,
                    )
                )
            )
    assert peaks[1] < peaks[0] + 30
