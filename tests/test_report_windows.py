"""The audit stream: one row for each window, of its latest load."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from harness import FakeClock, Warehouse, config_for, discover, sync, windows_of

from tap_affiliate_reports.sandbox import Attribute, Report, Sandbox

SLOTS = ["2026-09-01", "2026-10-01", "2026-11-01"]


@pytest.fixture
def rows(sandbox: Sandbox) -> list[list[str]]:
    """The rows of each window of the report `sales`; one amount is none."""
    kept = [["a", "1.5"], ["b", "much"], ["c", ""]]
    columns = [Attribute("Id"), Attribute("Amount", "Decimal")]
    sandbox.impact.add(Report("sales", columns=columns, rows=lambda *_: kept))
    return kept


def audit(run: Any) -> dict[str, dict[str, Any]]:
    return {row["slot"]: row for row in run.records("report_windows")}


def test_each_window_has_one_row_that_tells_its_load(
    sandbox: Sandbox, clock: FakeClock, rows: list[list[str]]
) -> None:
    run = sync(config_for(sandbox, reports=["sales"]), clock).ok()
    told = audit(run)
    assert sorted(told) == SLOTS
    row = told["2026-09-01"]
    job = sandbox.impact.jobs[row["job_id"]]
    file = job.file(clock.now())
    assert file is not None
    assert row["sha256"] == hashlib.sha256(file.content).hexdigest()
    assert row["bytes"] == len(file.content)
    assert (row["_account"], row["stream"], row["program"]) == ("IRsandbox", "sales", "all")
    assert (row["start_date"], row["end_date"]) == ("2026-09-10", "2026-09-30")
    assert row["completed_at"] == run.records("sales")[0]["_refreshed_at"]
    assert (row["rows_in_file"], row["rows_emitted"], row["previous_rows"]) == (3, 3, 0)
    assert (row["vanished"], row["unparsed"]) == (0, 1)
    assert row["seconds"] >= 5


def test_a_window_s_row_comes_after_its_rows_and_before_its_state(
    sandbox: Sandbox, clock: FakeClock, rows: list[list[str]]
) -> None:
    messages = sync(config_for(sandbox, reports=["sales"]), clock).ok().messages
    places = [i for i, m in enumerate(messages) if m.get("stream") == "report_windows" and
              m["type"] == "RECORD"]  # fmt: skip
    assert len(places) == 3
    for place, slot in zip(places, SLOTS, strict=True):
        before = [m for m in messages[:place] if m["type"] == "RECORD" and m["stream"] == "sales"]
        assert before[-1]["record"]["_window_start"] == slot
        after = messages[place + 1]
        assert after["type"] == "STATE"
        assert not windows_of(after["value"]["bookmarks"]["sales"])[slot]["unfinished"]


def test_a_refresh_replaces_the_row_and_tells_what_vanished(
    sandbox: Sandbox, clock: FakeClock, rows: list[list[str]]
) -> None:
    warehouse = Warehouse()
    first = sync(config_for(sandbox, reports=["sales"]), clock).ok()
    warehouse.load(first.messages)
    del rows[1:]
    clock.advance(days=1)
    second = sync(config_for(sandbox, reports=["sales"]), clock, state=first.state).ok()
    warehouse.load(second.messages)
    assert len(warehouse.tables["report_windows"]) == 3
    row = audit(second)["2026-10-01"]
    assert (row["rows_in_file"], row["rows_emitted"]) == (1, 3)
    assert (row["previous_rows"], row["vanished"], row["unparsed"]) == (3, 2, 0)


def test_it_can_be_deselected(sandbox: Sandbox, clock: FakeClock, rows: list[list[str]]) -> None:
    config = config_for(sandbox, reports=["sales"])
    catalog = discover(config, clock)
    for stream in catalog["streams"]:
        if stream["tap_stream_id"] == "report_windows":
            next(m for m in stream["metadata"] if not m["breadcrumb"])["metadata"]["selected"] = (
                False
            )
    run = sync(config, clock, catalog=catalog).ok()
    assert "report_windows" not in run.streams
    assert len(run.records("sales")) == 9


def test_it_is_the_last_stream_and_counts_its_rows_once(
    sandbox: Sandbox, clock: FakeClock, rows: list[list[str]]
) -> None:
    """Streams are synced by name, and `zebra` would come after it."""
    columns = [Attribute("Id")]
    sandbox.impact.add(Report("zebra", columns=columns, rows=lambda *_: [["a"]]))
    run = sync(config_for(sandbox, reports=["sales", "zebra"]), clock).ok()
    points = [r.getMessage() for r in run.log if r.name == "singer_sdk.metrics"]
    timer, counter = [one for one in points if '"stream":"report_windows"' in one]
    assert "sync_duration" in timer
    assert '"value":6,' in counter
    assert points[-1] == counter


def test_no_log_line_has_a_line_break(
    sandbox: Sandbox, clock: FakeClock, rows: list[list[str]]
) -> None:
    run = sync(config_for(sandbox, reports=["sales"]), clock).ok()
    assert not [r.getMessage() for r in run.log if "\n" in r.getMessage()]
    assert not run.said("assumed to be unsorted")
