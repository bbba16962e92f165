"""The stream `clicks`: a limit of its own, the newest day first, a backfill over the nights."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness import FakeClock, Run, Warehouse, config_for, discover, sync
from model_loaders import merged
from small_source import (
    CLICKS,
    CLICKS_COLUMNS,
    SmallSource,
    check_bookmark,
    check_exact,
    check_retired,
)

from tap_affiliate_reports.errors import SyncFailed, TapError
from tap_affiliate_reports.sandbox import LoggedRequest, Report, Sandbox, body, status

START = date(2026, 10, 10)
YESTERDAY = date(2026, 11, 18)
LEFT = (
    "clicks: %d windows not loaded (this run may spend 9 click exports (max_click_exports)). "
    "Finished ones are saved. Run again tomorrow, when the quota resets"
)
KEY = ["_account", "_program_id", "_window_start", "_row_number"]


@pytest.fixture
def source(sandbox: Sandbox, clock: FakeClock) -> SmallSource:
    return SmallSource(sandbox, clock, ["other", "sales", CLICKS])


class Nights:
    """A user who syncs once a night, and what the warehouse has of it."""

    def __init__(self, sandbox: Sandbox, clock: FakeClock, **impact: Any) -> None:
        self.sandbox, self.clock = sandbox, clock
        self.impact = {"reports": [], "clicks": True, "START_DATE": START.isoformat(), **impact}
        self.state: dict[str, Any] = {}
        self.warehouse = Warehouse()

    def sync(self, **impact: Any) -> Run:
        config = config_for(self.sandbox, **{**self.impact, **impact})
        run = sync(config, self.clock, state=self.state)
        self.warehouse.load(run.messages)
        self.state = run.state or self.state
        return run

    def days_of(self, run: Run) -> list[date]:
        """Return the days whose rows a sync loaded, in their order."""
        audit = run.records("report_windows")
        return [date.fromisoformat(row["slot"]) for row in audit if row["stream"] == CLICKS]

    @property
    def requested(self) -> list[date]:
        """The days that were exported so far, in their order."""
        exports = self.sandbox.impact.click_exports
        return [date.fromisoformat(export.params["Date"][0]) for export in exports]


def days_back(last: date, count: int) -> list[date]:
    return [last - timedelta(days=number) for number in range(count)]


def is_activated(run: Run) -> bool:
    """Return whether the rows of an earlier version were retired."""
    return {"ACTIVATE_VERSION", CLICKS} in [{m["type"], m.get("stream")} for m in run.messages]


def warnings(run: Run) -> list[str]:
    return [one.getMessage() for one in run.log if one.levelno >= logging.WARNING]


# The backfill


def test_forty_days_are_loaded_over_the_nights_the_newest_day_first(
    sandbox: Sandbox, clock: FakeClock, source: SmallSource
) -> None:
    nights, yesterday = Nights(sandbox, clock), YESTERDAY
    left = 40
    for night in range(6):
        before, replays = len(nights.requested), sandbox.impact.replays
        run = nights.sync().ok()
        exported = nights.requested[before:]
        assert len(exported) == min(9, left)
        assert exported[0] == yesterday
        assert exported == sorted(exported, reverse=True)
        assert nights.days_of(run)[: len(exported)] == exported
        # Of the days that may still change, those of the nights before are replayed.
        assert sandbox.impact.replays - replays == min(night * 4, 4) - (night > 0)
        left -= len(exported)
        told = [line for line in warnings(run) if "windows not loaded" in line]
        assert told == ([LEFT % left] if left else [])
        assert is_activated(run) == (left == 0 and night == 4)
        assert run.bookmark(CLICKS) == (None if left else yesterday.isoformat())
        check_bookmark(run.state, CLICKS, START)
        if night < 5:
            # Days that are refreshed, one of them without clicks from now on, and one to come.
            source.put(CLICKS, yesterday, [str(night), "7", "8"])
            source.put(CLICKS, yesterday - timedelta(days=2), [])
            if left:
                source.put(CLICKS, START + timedelta(days=night), [str(night)] * 3)
            clock.advance(days=1)
            yesterday += timedelta(days=1)
            left += 1
    assert len(set(nights.requested)) == len(nights.requested) == 45, "no day is exported twice"
    check_exact(source, nights.warehouse, CLICKS, START, yesterday)
    check_retired(nights.warehouse, CLICKS, run.state)


def test_the_limit_of_the_service_is_met_as_the_own_one_is(
    sandbox: Sandbox, clock: FakeClock, source: SmallSource
) -> None:
    nights = Nights(sandbox, clock, max_click_exports=30)
    run = nights.sync().ok()
    assert nights.requested == days_back(YESTERDAY, 10)
    assert run.said("clicks: 30 windows not loaded (", logging.WARNING)
    clock.advance(hours=1)
    again = nights.sync().ok()
    assert len(nights.requested) == 10
    assert again.said("clicks: 30 windows not loaded (", logging.WARNING)


@pytest.mark.parametrize("on_quota", ["fail", "warn"])
@pytest.mark.parametrize("how", ["max_click_exports", "service"])
def test_without_the_newest_day_the_quota_is_an_error(
    sandbox: Sandbox, clock: FakeClock, source: SmallSource, how: str, on_quota: str
) -> None:
    own = {"max_click_exports": 0} if how == "max_click_exports" else {}
    sandbox.impact.click_exports_per_day = 10 if own else 0
    nights = Nights(sandbox, clock, reports=["sales"], ON_QUOTA=on_quota, **own)
    run = nights.sync()
    assert (run.error is None) is (on_quota == "warn")
    told = str(run.error) if run.error else "\n".join(warnings(run))
    assert "clicks: 40 windows not loaded (" in told
    assert run.records("sales"), "the exports of reports are counted apart"
    assert nights.requested == []


def test_the_exports_of_reports_are_counted_apart(
    sandbox: Sandbox, clock: FakeClock, source: SmallSource
) -> None:
    sandbox.impact.exports_per_day = 0
    run = Nights(sandbox, clock, reports=["sales"]).sync()
    assert "clicks" not in str(run.error)
    assert "sales: 2 windows not loaded" in str(run.error)
    assert len(sandbox.impact.click_exports) == 9


def test_refreshes_that_a_rate_limit_keeps_back_are_an_error(
    sandbox: Sandbox, clock: FakeClock, source: SmallSource
) -> None:
    """The newest day is loaded, but the days before it may have changed."""
    nights = Nights(sandbox, clock)
    nights.sync().ok()
    clock.advance(days=1)
    sandbox.faults.add("PUT .*/Replay", status(429, {"Retry-After": "9999"}), times=None)
    run = nights.sync()
    assert nights.requested[9] == YESTERDAY + timedelta(days=1)
    assert run.windows(CLICKS)["2026-11-19"]["refreshed_at"]
    assert isinstance(run.error, SyncFailed)
    assert "clicks" in str(run.error)


def test_without_replays_the_line_of_the_quota_counts_what_the_quota_kept_back(
    sandbox: Sandbox, clock: FakeClock, source: SmallSource
) -> None:
    nights = Nights(sandbox, clock)
    nights.sync().ok()
    clock.advance(days=1)
    sandbox.impact.forbidden = {"Replay"}
    run = nights.sync().ok()
    assert run.said("clicks 2026-11-18..2026-11-18: not refreshed", logging.WARNING)
    assert [line for line in warnings(run) if "windows not loaded" in line] == [LEFT % 23]


def test_a_day_that_fails_does_not_stop_the_days_behind_it(
    sandbox: Sandbox, clock: FakeClock, source: SmallSource
) -> None:
    def fail(request: LoggedRequest) -> None:
        if request.query.get("Date") == ["2026-11-17"]:
            # The job of the next request is that of the day before.
            sandbox.impact.fail_next("FAILED", "too many clicks", 3, report=CLICKS)

    nights = Nights(sandbox, clock, reports=["sales"])
    sandbox.on_request = fail
    run = nights.sync(max_concurrent_jobs=1)
    sandbox.on_request = None
    assert isinstance(run.error, SyncFailed)
    assert "clicks 2026-11-16..2026-11-16: job" in str(run.error)
    assert str(run.error).endswith("too many clicks (tried 3 times)")
    loaded = {slot for slot, entry in run.windows(CLICKS).items() if entry["refreshed_at"]}
    assert loaded == {day.isoformat() for day in days_back(YESTERDAY, 9)} - {"2026-11-16"}
    assert not is_activated(run)
    clock.advance(days=1)
    run = nights.sync().ok()
    # Its job is known, so it is replayed in its place.
    assert nights.days_of(run)[0] == YESTERDAY + timedelta(days=1)
    assert date(2026, 11, 16) in nights.days_of(run)
    assert len(set(nights.requested)) == len(nights.requested) == 18


def test_a_job_that_never_ends_does_not_stop_the_days_behind_it(
    sandbox: Sandbox, clock: FakeClock, source: SmallSource
) -> None:
    def stick(request: LoggedRequest) -> None:
        if request.query.get("Date") == ["2026-11-17"]:
            # The job of the next request is that of the day before.
            sandbox.impact.fail_next("STUCK", report=CLICKS)

    nights = Nights(sandbox, clock, max_concurrent_jobs=1, job_timeout_seconds=600)
    sandbox.on_request = stick
    run = nights.sync()
    assert isinstance(run.error, SyncFailed)
    assert "clicks 2026-11-16..2026-11-16: job" in str(run.error)
    assert "was not finished after 600 s" in str(run.error)
    assert {*nights.days_of(run)} == {*days_back(YESTERDAY, 9)} - {date(2026, 11, 16)}
    clock.advance(days=1)
    run = nights.sync()
    assert isinstance(run.error, SyncFailed)
    again = {date(2026, 11, 17), YESTERDAY}
    assert {*nights.days_of(run)} == {date(2026, 11, 19), *days_back(date(2026, 11, 9), 8), *again}


@pytest.mark.parametrize("code", [400, 404])
def test_a_day_that_the_service_refuses_does_not_stop_the_others(
    sandbox: Sandbox, clock: FakeClock, source: SmallSource, code: int
) -> None:
    """Those behind it may be loaded, and those of the nights before may have changed."""
    nights = Nights(sandbox, clock, START_DATE="2026-11-08")
    nights.sync().ok()
    source.put(CLICKS, YESTERDAY, ["77"])
    clock.advance(days=1)
    sandbox.faults.add("ClickExport[?]Date=2026-11-09", status(code), times=None)
    run = nights.sync()
    assert "clicks 2026-11-09..2026-11-09: " in str(run.error)
    assert f"HTTP {code}. If the service has no clicks of so old a day, set a" in str(run.error)
    loaded = [date(2026, 11, day) for day in (19, 8, 16, 17, 18)]
    assert nights.days_of(run) == loaded
    sandbox.faults.clear()
    clock.advance(days=1)
    nights.sync().ok()
    check_exact(source, nights.warehouse, CLICKS, date(2026, 11, 8), date(2026, 11, 20))


def test_a_token_without_the_scope_fails_this_stream_alone_in_one_line(
    sandbox: Sandbox, clock: FakeClock, source: SmallSource
) -> None:
    sandbox.impact.forbidden = {"ClickExport"}
    run = Nights(sandbox, clock, reports=["sales"]).sync()
    (line,) = [one for one in run.log if one.levelno >= logging.WARNING]
    assert "ClickExport: HTTP 403" in line.getMessage()
    assert line.getMessage().startswith("failed: clicks 2026-11-18..2026-11-18: ")
    assert str(run.error).startswith("1 stream failed, the others are done. clicks 2026-11-18")
    assert run.bookmark("sales") == "2026-11-18"
    assert run.records("sales")


# State


def test_an_earlier_start_date_moves_the_bookmark_back_to_the_gap(
    sandbox: Sandbox, clock: FakeClock, source: SmallSource
) -> None:
    nights = Nights(sandbox, clock)
    run = nights.sync(START_DATE="2026-11-13").ok()
    assert run.bookmark(CLICKS) == "2026-11-18"
    clock.advance(days=1)
    run = nights.sync(START_DATE="2026-11-03", max_click_exports=5).ok()
    assert nights.requested[6:] == [date(2026, 11, 19), *days_back(date(2026, 11, 12), 4)]
    assert run.bookmark(CLICKS) is None
    clock.advance(days=1)
    run = nights.sync(START_DATE="2026-11-03").ok()
    assert run.bookmark(CLICKS) == "2026-11-20"
    check_exact(source, nights.warehouse, CLICKS, date(2026, 11, 3), date(2026, 11, 20))


@pytest.mark.parametrize("is_merged", [False, True])
def test_a_full_refresh_over_nights_retires_what_it_does_not_load(
    sandbox: Sandbox, clock: FakeClock, source: SmallSource, is_merged: bool
) -> None:
    nights = Nights(sandbox, clock, START_DATE="2026-11-05")
    for _ in range(2):
        nights.sync().ok()
        clock.advance(days=1)
    for day in days_back(date(2026, 11, 16), 12):
        source.put(CLICKS, day, ["1"])
    before, nights.state = nights.state, {}
    sandbox.impact.jobs.clear()
    activated = []
    for night in range(3):
        run = nights.sync().ok()
        if is_merged and not night:
            # Meltano keeps every key of the state of before.
            nights.state = merged(run.states, before)
        activated.append(is_activated(run))
        clock.advance(days=1)
    assert activated == [False, True, False]
    check_exact(source, nights.warehouse, CLICKS, date(2026, 11, 5), date(2026, 11, 22))


def test_a_backfill_without_replays_retires_what_it_does_not_load(
    sandbox: Sandbox, clock: FakeClock, source: SmallSource
) -> None:
    """The days whose refresh is refused are loaded all the same."""
    sandbox.impact.forbidden = {"Replay"}
    nights = Nights(sandbox, clock, START_DATE="2026-11-05")
    activated = []
    for _ in range(3):
        activated.append(is_activated(nights.sync().ok()))
        clock.advance(days=1)
    assert activated == [False, True, False]


def test_other_filters_are_refused_until_a_reload_that_goes_on_over_the_nights(
    sandbox: Sandbox, clock: FakeClock, source: SmallSource
) -> None:
    nights = Nights(sandbox, clock, START_DATE="2026-11-07")
    for _ in range(2):
        nights.sync().ok()
        clock.advance(days=1)
    filters = {"report_options": {CLICKS: {"filters": {"ProgramId": ["10211", 10487]}}}}
    refused = nights.sync(**filters)
    assert "reload: all" in str(refused.error)
    live = len(nights.warehouse.live(CLICKS))
    nights.sync(**filters, RELOAD="all").ok()
    assert sandbox.impact.click_exports[-1].params["ProgramId"] == ["10211", "10487"]
    clock.advance(days=1)
    run = nights.sync(**filters).ok()
    assert len(nights.warehouse.live(CLICKS)) > live
    assert run.bookmark(CLICKS) == "2026-11-21"
    check_exact(source, nights.warehouse, CLICKS, date(2026, 11, 7), date(2026, 11, 21))
    check_retired(nights.warehouse, CLICKS, run.state)


# Selection and settings


def catalog_of(config: dict[str, Any], clock: FakeClock, *names: str) -> dict[str, Any]:
    """Return the catalog of discovery, in which only these streams are selected."""
    catalog = discover(config, clock)
    for stream in catalog["streams"]:
        for entry in stream["metadata"]:
            if not entry["breadcrumb"]:
                entry["metadata"]["selected"] = stream["tap_stream_id"] in names
    return catalog


@pytest.mark.parametrize(
    ("reports", "selected", "is_loaded"),
    [
        (["sales"], None, True),
        ([], None, True),
        (["sales"], (CLICKS, "sales"), True),
        (None, (CLICKS,), True),
        (["sales"], ("sales",), False),
        (None, ("sales",), False),
    ],
)
def test_it_is_selected_unless_a_catalog_deselects_it(
    sandbox: Sandbox,
    clock: FakeClock,
    source: SmallSource,
    reports: list[str] | None,
    selected: tuple[str, ...] | None,
    is_loaded: bool,
) -> None:
    own = {} if reports is None else {"reports": reports}
    config = config_for(sandbox, clicks=True, START_DATE="2026-11-15", **own)
    catalog = None if selected is None else catalog_of(config, clock, *selected)
    run = sync(config, clock, catalog=catalog).ok()
    assert bool(run.records(CLICKS)) is is_loaded
    assert len(sandbox.impact.click_exports) == (4 if is_loaded else 0)


def test_a_catalog_of_before_the_setting_does_not_deselect_it(
    sandbox: Sandbox, clock: FakeClock, source: SmallSource
) -> None:
    config = config_for(sandbox, reports=["sales"], START_DATE="2026-11-15")
    catalog = discover(config, clock)
    config["impact"]["clicks"] = True
    run = sync(config, clock, catalog=catalog).ok()
    assert run.records(CLICKS)
    assert run.records("sales")


def test_without_reports_and_a_catalog_only_the_clicks_are_loaded_with_a_warning(
    sandbox: Sandbox, clock: FakeClock, source: SmallSource
) -> None:
    run = sync(config_for(sandbox, clicks=True, START_DATE="2026-11-15"), clock).ok()
    assert run.records(CLICKS)
    assert not run.records("sales")
    assert run.said("no catalog is given: of impact only clicks is loaded", logging.WARNING)
    assert not sandbox.impact.exports


def test_it_is_no_stream_by_default(
    sandbox: Sandbox, clock: FakeClock, source: SmallSource
) -> None:
    config = config_for(sandbox, reports=["sales"], START_DATE="2026-11-15")
    assert CLICKS not in sync(config, clock).ok().streams
    config = config_for(sandbox, reports=[CLICKS])
    assert "the stream clicks is not a report, impact.clicks: true loads it" in str(
        sync(config, clock).error
    )


def test_it_can_be_turned_off_and_on_again(
    sandbox: Sandbox, clock: FakeClock, source: SmallSource
) -> None:
    nights = Nights(sandbox, clock, reports=["sales"], START_DATE="2026-11-15")
    nights.sync().ok()
    kept = nights.state["bookmarks"][CLICKS]
    clock.advance(days=2)
    run = nights.sync(clicks=False).ok()
    assert warnings(run) == []
    assert CLICKS not in run.streams
    assert nights.state["bookmarks"][CLICKS] == kept
    run = nights.sync().ok()
    assert run.bookmark(CLICKS) == "2026-11-20"
    assert nights.requested[4:] == [date(2026, 11, 20), date(2026, 11, 19)]


def test_a_catalog_of_before_may_have_it_when_it_is_turned_off(
    sandbox: Sandbox, clock: FakeClock, source: SmallSource
) -> None:
    config = config_for(sandbox, clicks=True, reports=["sales"], START_DATE="2026-11-15")
    catalog = discover(config, clock)
    config["impact"]["clicks"] = False
    run = sync(config, clock, catalog=catalog).ok()
    assert CLICKS not in run.streams
    assert run.records("sales")


def test_the_settings_of_reports_do_not_touch_it(
    sandbox: Sandbox, clock: FakeClock, source: SmallSource
) -> None:
    nights = Nights(
        sandbox,
        clock,
        reports=["sales"],
        program_ids=["10211", "10487"],
        lookback_days=60,
        window="month",
        START_DATE="2026-11-10",
        max_click_exports=10,
    )
    run = nights.sync().ok()
    assert {row["_program_id"] for row in run.records(CLICKS)} == {"all"}
    assert {row["_program_id"] for row in run.records("sales")} == {"10211", "10487"}
    params = sandbox.impact.click_exports[0].params
    assert params == {"Date": ["2026-11-18"], "ResultFormat": ["CSV"]}
    assert run.schema(CLICKS)["key_properties"] == KEY
    clock.advance(days=1)
    nights.sync(report_options={CLICKS: {"lookback_days": 5}}).ok()
    replayed = [job.params for job in sandbox.impact.jobs.values() if job.replays]
    clicks = [params["Date"][0] for params in replayed if "Date" in params]
    assert sorted(clicks) == [f"2026-11-{day}" for day in (14, 15, 16, 17, 18)]


@pytest.mark.parametrize("name", ["window", "primary_keys", "mode"])
def test_options_that_clicks_do_not_have_are_refused(
    sandbox: Sandbox, clock: FakeClock, name: str
) -> None:
    value = {"window": "week", "primary_keys": ["Id"], "mode": "run"}[name]
    config = config_for(sandbox, clicks=True, report_options={CLICKS: {name: value}})
    assert f"impact.report_options.clicks.{name}: " in " ".join(map(str, lines_of(config, clock)))
    assert not sandbox.requests


def lines_of(config: dict[str, Any], clock: FakeClock) -> list[str]:
    error = sync(config, clock).error
    assert error is not None
    return [str(error), *getattr(error, "errors", ())]


def test_a_report_of_the_same_name_is_an_error_that_names_both(
    sandbox: Sandbox, clock: FakeClock, source: SmallSource
) -> None:
    sandbox.impact.add(Report("Clicks", columns=CLICKS_COLUMNS))
    run = sync(config_for(sandbox, reports=["sales"], clicks=True), clock)
    assert "'Clicks' and 'clicks' have one stream name" in str(run.error)
    assert not sandbox.impact.jobs


# Columns


def raw(text: str) -> Callable[..., bytes]:
    return lambda *_: text.encode()


def test_documented_columns_have_their_types(sandbox: Sandbox, clock: FakeClock) -> None:
    run = Nights(sandbox, clock, START_DATE="2026-11-17").sync().ok()
    properties = run.schema(CLICKS)["schema"]["properties"]
    own = {name: one for name, one in properties.items() if not name.startswith("_")}
    assert len(own) == 42
    assert all("null" in one["type"] and one["description"] for one in own.values())
    typed = {
        name: (one["type"][0], one.get("format"))
        for name, one in own.items()
        if one["type"] != ["string", "null"] or "format" in one
    }
    assert typed == {
        "EventDate": ("string", "date-time"),
        "CpcBid": ("number", None),
        "Payout": ("number", None),
        "UniqueClick": ("boolean", None),
    }
    rows = run.records(CLICKS)
    assert len({row["Id"] for row in rows}) < len(rows), "one Id stands in several rows"
    assert {row["UniqueClick"] for row in rows} == {True, False}
    assert all(row["EventDate"].endswith("Z") for row in rows)


def test_a_header_of_other_names_is_matched_or_joins(
    sandbox: Sandbox, clock: FakeClock, source: SmallSource
) -> None:
    sandbox.impact.clicks = Report(
        CLICKS,
        raw=raw(
            "id,CampaignId,Campaign Name,Event Date,SubIds.SubId1,SubIds.SubId2,Sub Id 2,"
            "Payout,Fox\n"
            "7,10211,Kite,2026-11-18T08:00:00-05:00,s1,nested,s2,0.000000000000000001,red\n"
            "7,10211,Kite,2026-11-18T08:00:00-05:00,,,,n/a,\n"
        ),
    )
    run = Nights(sandbox, clock, START_DATE="2026-11-18").sync().ok()
    first, second = run.records(CLICKS)
    assert {name: first[name] for name in first if first[name] is not None and name[0] != "_"} == {
        "Id": "7",
        "ProgramId": "10211",
        "ProgramName": "Kite",
        "EventDate": "2026-11-18T13:00:00Z",
        "SubId1": "s1",
        "SubIds.SubId2": "nested",
        "SubId2": "s2",
        "Payout": Decimal("1E-18"),
        "Fox": "red",
    }
    assert second["_unparsed"] == '{"Payout":"n/a"}'
    assert run.said("new columns: SubIds.SubId2 (string), Fox (string)", logging.WARNING)


def test_days_with_one_file_are_a_warning(
    sandbox: Sandbox, clock: FakeClock, source: SmallSource
) -> None:
    sandbox.impact.clicks = Report(CLICKS, raw=raw("Id,Payout\n7,1\n"))
    run = Nights(sandbox, clock, START_DATE="2026-11-17").sync().ok()
    assert run.said(
        "clicks 2026-11-17..2026-11-17: its file is identical to that of 2026-11-18..2026-11-18: "
        "if the service ignores the day",
        logging.WARNING,
    )


def test_a_day_without_clicks_is_loaded_and_one_that_lost_them_is_not(
    sandbox: Sandbox, clock: FakeClock, source: SmallSource
) -> None:
    source.put(CLICKS, date(2026, 11, 18), [])
    nights = Nights(sandbox, clock, START_DATE="2026-11-16")
    run = nights.sync().ok()
    assert run.windows(CLICKS)["2026-11-18"]["rows"] == 0
    assert run.bookmark(CLICKS) == "2026-11-18"
    clock.advance(days=1)
    sandbox.faults.add("GET /storage/", body(b""), times=None)
    run = nights.sync()
    assert isinstance(run.error, TapError)
    assert "is empty where" in str(run.error)
    assert len(nights.warehouse.live(CLICKS)) == 3


def test_the_page_s_stream_map_hashes_a_value(
    sandbox: Sandbox, clock: FakeClock, source: SmallSource
) -> None:
    page = (Path(__file__).parents[1] / "docs" / "clicks.md").read_text()
    (example,) = re.findall(r"```yaml\n(stream_maps:.*?)```", page, re.DOTALL)
    config = config_for(sandbox, reports=[], clicks=True, START_DATE="2026-11-18")
    run = sync({**config, **yaml.safe_load(example)}, clock).ok()
    days = [row["SubId1"] for row in run.records(CLICKS)]
    assert set(days) == {hashlib.md5(b"2026-11-18").hexdigest()}
