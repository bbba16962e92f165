"""Messages on their way to stdout: whole lines, in blocks, each STATE once."""

from __future__ import annotations

import io
import json
from types import SimpleNamespace
from typing import Any

import pytest
from singer_sdk.singerlib import RecordMessage, SchemaMessage

from tap_affiliate_reports.errors import LoaderGone
from tap_affiliate_reports.messages import BLOCK, LOADER_CLOSED, LineWriter, StateLineWriter

LINE = b'{"type":"RECORD"}\n'


class Pipe(io.RawIOBase):
    """An unbuffered stdout that takes a few bytes at a time, as when a signal interrupts it."""

    def __init__(self, most: int = 1_000_000, error: Exception | None = None) -> None:
        super().__init__()
        self.most, self.error, self.written = most, error, b""
        self.during: Any = lambda: None

    def write(self, data: Any) -> int:
        if self.error is not None:
            raise self.error
        self.during()
        part = bytes(data[: self.most])
        self.written += part
        return len(part)


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Pipe:
    out = Pipe()
    # Pytest itself replaces sys.stdout between a fixture and its test.
    own = SimpleNamespace(stdout=SimpleNamespace(buffer=out))
    monkeypatch.setattr("tap_affiliate_reports.messages.sys", own)
    return out


def test_records_wait_for_a_block_or_for_another_message(pipe: Pipe) -> None:
    writer = LineWriter()
    writer.write_message(RecordMessage(stream="sales", record={"a": 1}))
    writer.write_lines(LINE)
    assert pipe.written == b""
    writer.write_message(SchemaMessage("sales", {"properties": {}}))
    kinds = [json.loads(line)["type"] for line in pipe.written.splitlines()]
    assert kinds == ["RECORD", "RECORD", "SCHEMA"]


def test_a_full_block_is_written(pipe: Pipe) -> None:
    writer, count = LineWriter(), BLOCK // len(LINE)
    for _ in range(count):
        writer.write_lines(LINE)
    assert pipe.written == b""
    writer.write_lines(LINE)
    assert pipe.written == LINE * (count + 1)


def test_an_interrupted_write_goes_on_where_it_stopped(pipe: Pipe) -> None:
    pipe.most = 5
    writer = LineWriter()
    writer.write_lines(LINE * 3)
    writer.flush()
    assert pipe.written == LINE * 3


def test_a_signal_during_a_write_can_wait_for_the_end_of_the_line(pipe: Pipe) -> None:
    writer, seen = LineWriter(), []
    pipe.most = 5
    pipe.during = lambda: seen.append(writer.busy)
    writer.after_write = lambda: seen.append((writer.busy, pipe.written == LINE))
    writer.write_lines(LINE)
    writer.flush()
    assert seen == [True, True, True, True, (False, True)]


def test_a_loader_that_is_gone_is_one_error(pipe: Pipe) -> None:
    pipe.error = BrokenPipeError()
    writer = LineWriter()
    writer.write_lines(LINE)
    with pytest.raises(LoaderGone, match=LOADER_CLOSED):
        writer.flush()
    assert not writer.busy


def test_a_state_is_written_once_but_flushes_the_records_each_time(pipe: Pipe) -> None:
    writer = LineWriter()
    states, state = StateLineWriter(writer), {"bookmarks": {"sales": {"form": 2}}}
    states.write_state(state)
    writer.write_lines(LINE)
    states.write_state(state)
    state["bookmarks"]["sales"]["form"] = 3
    states.write_state(state)
    lines = [json.loads(line) for line in pipe.written.splitlines()]
    assert [line["type"] for line in lines] == ["STATE", "RECORD", "STATE"]
    assert lines[2]["value"] == state
