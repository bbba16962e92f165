"""What must cost nothing, counted: no clock is looked at."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from harness import FakeClock, config_for, sync
from singer_sdk.singerlib import StateMessage
from singer_sdk.streams import _state as manager

from tap_affiliate_reports import messages
from tap_affiliate_reports.messages import LineWriter, StateLineWriter
from tap_affiliate_reports.sandbox import Attribute, Report, Sandbox
from tap_affiliate_reports.state import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable


def counted(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> list[Any]:
    """Note each call of a function, by its last argument."""
    calls: list[Any] = []
    function: Callable[..., Any] = getattr(owner, name)

    def note(*arguments: Any, **more: Any) -> Any:
        calls.append(arguments[-1] if arguments else None)
        return function(*arguments, **more)

    monkeypatch.setattr(owner, name, note)
    return calls


@pytest.mark.parametrize("maps", [{}, {"stream_maps": {"sales": {"Copy": "Id"}}}], ids=str)
def test_no_state_is_looked_up_for_a_row(
    sandbox: Sandbox, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, maps: dict[str, Any]
) -> None:
    looks = [counted(monkeypatch, Ledger, "begin")]
    looks.append(counted(monkeypatch, manager, "increment_state"))
    config = config_for(sandbox, reports=["sales"], program_ids=["1", "2"], window="year") | maps
    seen = []
    for rows in (1, 1500):
        sandbox.impact.jobs.clear()
        sandbox.impact.add(
            Report("sales", "sales", [Attribute("Id")], lambda *_, rows=rows: [["1"]] * rows)
        )
        for calls in looks:
            calls.clear()
        assert len(sync(config, clock).ok().records("sales")) == 2 * rows
        seen.append([len(calls) for calls in looks])
    assert seen[0] == seen[1]
    assert seen[0][0] > 0, "the look-ups are counted at all"


def test_lines_are_written_a_block_at_a_time(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    writes = counted(monkeypatch, LineWriter, "flush")
    writer, line = LineWriter(), b'{"type":"RECORD"}\n'
    for _ in range(100_000):
        writer.write_lines(line)
    writer.flush()
    assert len(writes) <= len(line) * 100_000 / messages.BLOCK + 1
    assert capfdbinary.readouterr().out == line * 100_000


def test_a_state_is_encoded_once_and_written_unless_it_is_the_last_one_again(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    encoded = counted(monkeypatch, LineWriter, "serialize_message")
    states = StateLineWriter(LineWriter())
    state: dict[str, Any] = {"bookmarks": {"a": {"windows": {}}}}
    expected = []
    for entry in ({"rows": 1}, {"rows": 1}, {"rows": 2}):
        state["bookmarks"]["a"]["windows"]["2026-10-01"] = entry
        states.write_state(state)
        expected.append({"type": "STATE", "value": json.loads(json.dumps(state))})
    lines = capfdbinary.readouterr().out.splitlines()
    assert [json.loads(line) for line in lines] == [expected[0], expected[2]]
    assert [type(message) for message in encoded] == [StateMessage] * 3


def test_the_framework_and_the_tap_each_tell_a_state_once(
    sandbox: Sandbox, clock: FakeClock
) -> None:
    sandbox.impact.add(Report("sales", "sales", [Attribute("Id")], lambda *_: [["1"]]))
    run = sync(config_for(sandbox, reports=["sales"]), clock).ok()
    assert max(run.states.count(state) for state in run.states) <= 2


@pytest.mark.parametrize("module", ["openpyxl", "pyarrow", "tap_affiliate_reports.sandbox"])
def test_what_few_syncs_need_is_not_imported_at_the_start(module: str) -> None:
    code = f"import sys, tap_affiliate_reports.tap; sys.exit({module!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
