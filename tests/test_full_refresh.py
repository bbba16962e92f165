"""A sync without state: versions, and ACTIVATE_VERSION once everything up to the end is there."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from harness import FakeClock, Run, Warehouse, config_for, sync

from tap_affiliate_reports.errors import TapError
from tap_affiliate_reports.sandbox import Attribute, Report, Sandbox

MONTHS = ("09", "10", "11")


@pytest.fixture
def report(sandbox: Sandbox) -> Report:
    """Two rows in each month."""

    def rows(start: date, _end: date, program: str | None, _filters: object) -> list[list[str]]:
        return [[f"{program or ''}{start:%m}{letter}"] for letter in "ab"]

    return sandbox.impact.add(Report("sales", "Sales", columns=[Attribute("Id")], rows=rows))


@pytest.fixture
def config(sandbox: Sandbox, report: Report) -> dict[str, Any]:
    return config_for(sandbox, reports=["sales"])


def impact(config: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {**config, "impact": {**config["impact"], **more}}


def versions(run: Run) -> set[int | None]:
    """Return the versions of the stream's records."""
    return {
        m.get("version") for m in run.messages if m["type"] == "RECORD" and m["stream"] == "sales"
    }


def activated(run: Run, stream: str = "sales") -> list[int]:
    """Return the versions that were activated."""
    return [run.messages[position]["version"] for position in activations(run, stream)]


def activations(run: Run, stream: str = "sales") -> list[int]:
    """Return where ACTIVATE_VERSION stands among the messages."""
    return [
        position
        for position, message in enumerate(run.messages)
        if message["type"] == "ACTIVATE_VERSION" and message["stream"] == stream
    ]


def last_row(run: Run, stream: str = "sales") -> int:
    """Return where the stream's last record stands among the messages."""
    return max(
        position
        for position, message in enumerate(run.messages)
        if message["type"] == "RECORD" and message["stream"] == stream
    )


def ids(warehouse: Warehouse) -> list[str]:
    return sorted(row["Id"] for row in warehouse.live("sales"))


EVERYTHING = [f"{month}{letter}" for month in MONTHS for letter in "ab"]


def test_the_first_sync_activates_its_version_after_its_last_row_and_notes_it(
    config: dict[str, Any], clock: FakeClock
) -> None:
    run = sync(config, clock).ok()
    (version,) = activated(run)
    assert versions(run) == {version}
    assert activations(run)[0] > last_row(run)
    assert run.state["bookmarks"]["sales"]["version"] == version


def test_later_syncs_keep_the_version_and_activate_nothing(
    config: dict[str, Any], clock: FakeClock
) -> None:
    first = sync(config, clock).ok()
    clock.advance(days=1)
    second = sync(config, clock, state=first.state).ok()
    assert versions(second) == versions(first)
    assert activated(second) == []


def test_a_full_refresh_retires_what_is_left_from_before(
    report: Report, config: dict[str, Any], clock: FakeClock
) -> None:
    warehouse = Warehouse()
    weekly = impact(config, window="week")
    warehouse.load(sync(weekly, clock).ok().messages)
    clock.advance(days=1)
    refresh = sync(config, clock).ok()
    warehouse.load(refresh.messages)
    assert ids(warehouse) == EVERYTHING
    assert len(warehouse.tables["sales"]) == 6


def test_a_full_refresh_gets_a_higher_version(config: dict[str, Any], clock: FakeClock) -> None:
    (first,) = activated(sync(config, clock).ok())
    clock.advance(days=1)
    (second,) = activated(sync(config, clock).ok())
    assert second > first


@pytest.mark.parametrize("how", ["quota", "failure"])
def test_a_refresh_that_stops_short_retires_nothing_until_the_rest_is_loaded(
    sandbox: Sandbox, config: dict[str, Any], clock: FakeClock, how: str
) -> None:
    warehouse = Warehouse()
    before = sync(impact(config, window="week"), clock).ok()
    warehouse.load(before.messages)
    rows_before = len(warehouse.tables["sales"])
    clock.advance(days=1)
    if how == "quota":
        short = sync(impact(config, max_exports=2), clock)
    else:
        sandbox.impact.job_seconds = 0
        sandbox.impact.fail_next("FAILED", "no luck", times=30)
        short = sync(config, clock)
        sandbox.impact._outcomes.clear()
    assert isinstance(short.error, TapError)
    assert activated(short) == []
    warehouse.load(short.messages)
    assert len(warehouse.tables["sales"]) >= rows_before

    clock.advance(days=1)
    rest = sync(config, clock, state=short.state).ok()
    warehouse.load(rest.messages)
    assert len(activated(rest)) == 1
    assert versions(short) | versions(rest) == set(activated(rest))
    assert ids(warehouse) == EVERYTHING
    assert len(warehouse.tables["sales"]) == 6


def test_a_refresh_cut_anywhere_is_finished_by_the_next_sync(
    sandbox: Sandbox, config: dict[str, Any], clock: FakeClock
) -> None:
    before = sync(impact(config, window="quarter"), clock).ok()
    clock.advance(days=1)
    refresh = sync(config, clock).ok()
    sandbox.impact.exports_per_day = 10_000
    for cut in range(1, len(refresh.messages) + 1):
        warehouse = Warehouse()
        warehouse.load(before.messages)
        warehouse.state = {}
        warehouse.load(refresh.messages[:cut])
        resumed = sync(config, clock, state=warehouse.state).ok()
        warehouse.load(resumed.messages)
        assert ids(warehouse) == EVERYTHING, f"cut before message {cut}"
        assert len(warehouse.tables["sales"]) == 6


def test_with_programs_nothing_is_retired_before_the_last_program_is_loaded(
    sandbox: Sandbox, config: dict[str, Any], clock: FakeClock
) -> None:
    config = impact(config, program_ids=["10211", "10487"])
    run = sync(config, clock).ok()
    (position,) = activations(run)
    assert position > last_row(run)
    clock.advance(days=1)
    short = sync(impact(config, max_exports=5), clock)
    assert isinstance(short.error, TapError)
    assert activated(short) == []


def test_activation_can_be_turned_off(config: dict[str, Any], clock: FakeClock) -> None:
    run = sync({**config, "emit_activate_version_messages": False}, clock).ok()
    assert not [m for m in run.messages if m["type"] == "ACTIVATE_VERSION"]
    assert len(run.records("sales")) == 6


def test_a_bookmark_set_by_hand_is_no_full_refresh(
    config: dict[str, Any], clock: FakeClock
) -> None:
    by_hand = {"bookmarks": {"sales": {"replication_key_value": "2026-10-31"}}}
    run = sync(config, clock, state=by_hand).ok()
    assert activated(run) == []


def test_a_snapshot_is_activated_by_its_first_sync_only(sandbox: Sandbox, clock: FakeClock) -> None:
    config = config_for(sandbox, reports=["tracking_value_list"])
    first = sync(config, clock).ok()
    assert len(activated(first, "tracking_value_list")) == 1
    clock.advance(days=1)
    second = sync(config, clock, state=first.state).ok()
    assert activated(second, "tracking_value_list") == []
    assert len(second.records("tracking_value_list")) > 0


def test_an_empty_report_activates_too(
    report: Report, config: dict[str, Any], clock: FakeClock
) -> None:
    warehouse = Warehouse()
    warehouse.load(sync(config, clock).ok().messages)
    report.rows = lambda *_: []
    clock.advance(days=1)
    run = sync(config, clock).ok()
    warehouse.load(run.messages)
    assert len(activated(run)) == 1
    assert dict(warehouse.tables["sales"]) == {}


def test_the_lists_that_are_read_whole_hold_just_what_the_account_has(
    sandbox: Sandbox, config: dict[str, Any], clock: FakeClock
) -> None:
    warehouse = Warehouse()
    first = sync(config, clock).ok()
    warehouse.load(first.messages)
    sandbox.impact.remove("mp_contract_overview")
    clock.advance(days=1)
    second = sync(config, clock, state=first.state).ok()
    warehouse.load(second.messages)
    names = {row["Name"] for row in warehouse.tables["reports"].values()}
    assert names == {report.name for report in sandbox.impact.reports.values()}
    assert warehouse.tables["jobs"], "jobs are never retired"
