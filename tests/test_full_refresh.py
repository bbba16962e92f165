"""A sync without state: versions, and ACTIVATE_VERSION once everything up to the end is there."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

import pytest
from harness import FakeClock, Run, Warehouse, config_for, sync
from model_loaders import merged

from tap_affiliate_reports.errors import TapError
from tap_affiliate_reports.sandbox import Attribute, Report, Sandbox

pytestmark = pytest.mark.chain

MONTHS = ("09", "10", "11")
Kept = Callable[[Sequence[Mapping[str, Any]], Mapping[str, Any]], dict[str, Any]]


@pytest.fixture(params=["the last state alone", "merged as Meltano does"])
def kept(request: pytest.FixtureRequest) -> Kept:
    """Return what a next run is given after a full refresh with these states, and one before."""
    if request.param == "merged as Meltano does":
        return merged
    return lambda states, _before: json.loads(json.dumps(states[-1]))


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
    report: Report, config: dict[str, Any], clock: FakeClock, kept: Kept
) -> None:
    warehouse = Warehouse()
    weekly = impact(config, window="week")
    before = sync(weekly, clock).ok()
    warehouse.load(before.messages)
    clock.advance(days=1)
    refresh = sync(config, clock).ok()
    warehouse.load(refresh.messages)
    assert ids(warehouse) == EVERYTHING
    assert len(warehouse.tables["sales"]) == 6
    clock.advance(hours=1)
    again = sync(config, clock, state=kept(refresh.states, before.state)).ok()
    assert again.records("sales") == []
    assert activated(again) == []


def test_a_full_refresh_with_a_later_start_and_the_earlier_one_again_loses_no_month(
    report: Report, config: dict[str, Any], clock: FakeClock, kept: Kept
) -> None:
    warehouse = Warehouse()
    before = sync(config, clock).ok()
    clock.advance(days=1)
    later = sync({**config, "start_date": "2026-11-01"}, clock).ok()
    clock.advance(days=1)
    earlier = sync(config, clock, state=kept(later.states, before.state)).ok()
    for run in (before, later, earlier):
        warehouse.load(run.messages)
    assert ids(warehouse) == EVERYTHING


def test_a_refresh_of_smaller_windows_that_stops_short_loads_no_day_twice(
    report: Report, config: dict[str, Any], clock: FakeClock, kept: Kept
) -> None:
    warehouse = Warehouse()
    before = sync(impact(config, window="quarter"), clock).ok()
    clock.advance(days=1)
    short = sync(impact(config, max_exports=2), clock)
    clock.advance(days=1)
    rest = sync(config, clock, state=kept(short.states, before.state)).ok()
    for run in (before, short, rest):
        warehouse.load(run.messages)
    assert ids(warehouse) == EVERYTHING
    assert rest.windows("sales").keys() == {f"2026-{month}-01" for month in MONTHS}


def test_a_refresh_without_the_filter_of_before_is_not_refused_ever_after(
    report: Report, config: dict[str, Any], clock: FakeClock, kept: Kept
) -> None:
    filtered = impact(config, report_options={"sales": {"filters": {"STATUS": ["A"]}}})
    before = sync(filtered, clock).ok()
    clock.advance(days=1)
    refresh = sync(config, clock).ok()
    sync(config, clock, state=kept(refresh.states, before.state)).ok()


def test_a_refresh_stopped_before_it_loads_anything_is_resumed(
    report: Report, config: dict[str, Any], clock: FakeClock, kept: Kept
) -> None:
    before = sync(config, clock).ok()
    clock.advance(days=1)
    stopped = sync(impact(config, max_exports=0), clock)
    first = next(message for message in stopped.messages if message["type"] in {"STATE", "RECORD"})
    assert first["type"] == "STATE", "it says that nothing is loaded before anything is"
    for states in ([first["value"]], stopped.states):
        rest = sync(config, clock, state=kept(states, before.state)).ok()
        assert len(rest.records("sales")) == 6
        assert len(activated(rest)) == 1


def test_a_full_refresh_gets_a_higher_version(config: dict[str, Any], clock: FakeClock) -> None:
    (first,) = activated(sync(config, clock).ok())
    clock.advance(days=1)
    (second,) = activated(sync(config, clock).ok())
    assert second > first


@pytest.mark.parametrize("how", ["quota", "failure"])
def test_a_refresh_that_stops_short_retires_nothing_until_the_rest_is_loaded(
    sandbox: Sandbox, config: dict[str, Any], clock: FakeClock, how: str, kept: Kept
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
    rest = sync(config, clock, state=kept(short.states, before.state)).ok()
    warehouse.load(rest.messages)
    assert len(activated(rest)) == 1
    assert versions(short) | versions(rest) == set(activated(rest))
    assert ids(warehouse) == EVERYTHING
    assert len(warehouse.tables["sales"]) == 6


@pytest.mark.kill
def test_a_refresh_cut_anywhere_is_finished_by_the_next_sync(
    sandbox: Sandbox, config: dict[str, Any], clock: FakeClock, kept: Kept
) -> None:
    before = sync(impact(config, window="quarter"), clock).ok()
    clock.advance(days=1)
    refresh = sync(config, clock).ok()
    sandbox.impact.exports_per_day = 10_000
    first = next(n for n, message in enumerate(refresh.messages) if message["type"] == "STATE")
    for cut in range(first + 1, len(refresh.messages) + 1):
        warehouse = Warehouse()
        warehouse.load(before.messages)
        arrived = refresh.messages[:cut]
        warehouse.load(arrived)
        states = [message["value"] for message in arrived if message["type"] == "STATE"]
        resumed = sync(config, clock, state=kept(states, before.state)).ok()
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
