"""Fresh, settled, open, vanished: what is asked for again, what it costs, what is left alone."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta, timezone
from typing import Any

import pytest
import requests
from harness import NOW, FakeClock, Run, Warehouse, config_for, discover, examples, sync
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tap_affiliate_reports.errors import TapError
from tap_affiliate_reports.sandbox import Attribute, Report, Sandbox, body, status

pytestmark = pytest.mark.chain

WARNING = 30
OCTOBER = {"START_DATE": "2026-10-01", "END_DATE": "2026-10-31"}
Rows = list[list[str]]


@dataclass
class Sales:
    """A report of our own whose rows are set day by day."""

    days: dict[date, list[str]] = field(default_factory=dict)

    def __call__(self, start: date, end: date, program: str | None, _filters: object) -> Rows:
        return [
            [name, day.isoformat()]
            for day in sorted(self.days)
            if start <= day <= end
            for name in self.days[day]
        ]

    def put(self, day: str, *names: str) -> None:
        self.days[date.fromisoformat(day)] = list(names)

    def names(self, start: str, end: str) -> list[str]:
        """Return what the source holds of some days, in order."""
        return [row[0] for row in self(date.fromisoformat(start), date.fromisoformat(end), None, 0)]


@pytest.fixture
def sales(sandbox: Sandbox) -> Sales:
    """Three rows in each of twelve months."""
    source = Sales()
    for month in range(1, 13):
        source.put(f"2026-{month:02}-10", f"{month}a", f"{month}b", f"{month}c")
    columns = [Attribute("Name"), Attribute("Day", "Date")]
    sandbox.impact.add(Report("sales", "Sales", columns=columns, rows=source))
    return source


@pytest.fixture
def config(sandbox: Sandbox, sales: Sales) -> dict[str, Any]:
    return config_for(sandbox, reports=["sales"])


def impact(config: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {**config, "impact": {**config["impact"], **more}}


class Spent:
    """Counts what a sync spends."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.service = sandbox.impact
        self.exports, self.replays = len(self.service.exports), self.service.replays

    def __call__(self) -> tuple[int, int]:
        """Return the exports and the replays since the last call."""
        now = len(self.service.exports), self.service.replays
        spent = now[0] - self.exports, now[1] - self.replays
        self.exports, self.replays = now
        return spent


@pytest.fixture
def spent(sandbox: Sandbox) -> Spent:
    return Spent(sandbox)


def slots(run: Run) -> list[str]:
    """Return the windows whose file was read, in their order, changed or not."""
    return [row["slot"] for row in run.records("report_windows")]


def ledger(run: Run) -> dict[str, Any]:
    return run.windows("sales")


def live(warehouse: Warehouse) -> list[str]:
    rows = warehouse.live("sales")
    rows.sort(key=lambda row: (row["_window_start"], row["_row_number"]))
    return [row["Name"] for row in rows]


def finished(run: Run, slot: str) -> set[str]:
    return {r["_refreshed_at"] for r in run.records("sales") if r["_window_start"] == slot}


def ask(sandbox: Sandbox, **params: str) -> str:
    """Ask for an export as somebody else would; return the job's id."""
    url = f"{sandbox.url}/Mediapartners/IRsandbox/ReportExport/sales"
    with requests.Session() as session:
        session.auth = ("IRsandbox", "sandbox-token")
        answer = session.get(
            url,
            params={**params, "ResultFormat": "CSV"},
            headers={"Accept": "application/json"},
            timeout=10,
        )
        return str(answer.json()["QueuedUri"].rsplit("/", 1)[1])


@pytest.fixture
def only_october(config: dict[str, Any]) -> dict[str, Any]:
    return {**config, "start_date": "2026-10-01", "end_date": "2026-10-31"}


class TestFreshness:
    def test_an_old_job_for_the_same_request_is_replayed(
        self,
        sandbox: Sandbox,
        clock: FakeClock,
        sales: Sales,
        only_october: dict[str, Any],
        spent: Spent,
    ) -> None:
        ask(sandbox, **OCTOBER)
        clock.advance(days=2)
        sales.put("2026-10-20", "late")
        run = sync(only_october, clock).ok()
        assert [row["Name"] for row in run.records("sales")] == ["10a", "10b", "10c", "late"]
        assert spent() == (2, 1), "somebody's and ours"

    def test_a_young_job_is_taken_whoever_asked_for_it(
        self,
        sandbox: Sandbox,
        clock: FakeClock,
        sales: Sales,
        only_october: dict[str, Any],
        spent: Spent,
    ) -> None:
        job = sandbox.impact.job(ask(sandbox, **OCTOBER))
        clock.advance(minutes=1)
        assert job.file(clock.now()), "its file is made of the data of that moment"
        clock.advance(hours=19)
        sales.put("2026-10-20", "late")
        run = sync(only_october, clock).ok()
        assert [row["Name"] for row in run.records("sales")] == ["10a", "10b", "10c"]
        assert spent() == (2, 0)

    def test_an_old_job_that_settles_its_window_is_taken(
        self, sandbox: Sandbox, clock: FakeClock, only_october: dict[str, Any], spent: Spent
    ) -> None:
        ask(sandbox, **OCTOBER)
        clock.advance(days=50)
        sync(impact(only_october, lookback_days=10), clock).ok()
        assert spent() == (2, 0)

    def test_a_young_job_made_before_its_last_day_was_over_for_six_hours_is_not_taken(
        self,
        sandbox: Sandbox,
        clock: FakeClock,
        sales: Sales,
        config: dict[str, Any],
        spent: Spent,
    ) -> None:
        clock.advance(hours=18)  # 04:00 of the 20th in New York
        ask(sandbox, START_DATE="2026-11-01", END_DATE="2026-11-19")
        clock.advance(hours=3)
        sales.put("2026-11-19", "evening")
        run = sync({**config, "start_date": "2026-11-01"}, clock).ok()
        assert "evening" in [row["Name"] for row in run.records("sales")]
        assert spent() == (2, 1)

    @pytest.mark.parametrize("new_id", [False, True])
    def test_a_replay_is_followed_under_the_id_that_its_reply_names(
        self,
        sandbox: Sandbox,
        clock: FakeClock,
        sales: Sales,
        only_october: dict[str, Any],
        spent: Spent,
        *,
        new_id: bool,
    ) -> None:
        sandbox.impact.replay_new_id = new_id
        warehouse = Warehouse()
        state: dict[str, Any] = {}
        for night in range(4):
            sales.put("2026-10-20", *[f"late{n}" for n in range(night)])
            run = sync(only_october, clock, state=state).ok()
            warehouse.load(run.messages)
            state = run.state
            assert live(warehouse) == sales.names("2026-10-01", "2026-10-31")
            clock.advance(days=1)
        assert spent() == (1, 3)
        assert len(sandbox.impact.jobs) == (4 if new_id else 1)

    def test_a_replay_that_shows_its_old_file_at_first_is_waited_for(
        self, sandbox: Sandbox, clock: FakeClock, sales: Sales, only_october: dict[str, Any]
    ) -> None:
        state = sync(only_october, clock).ok().state
        sales.put("2026-10-20", "late")
        clock.advance(days=1)
        (job,) = sandbox.impact.jobs.values()
        old = sandbox.impact.document(job)
        told = body(json.dumps(old).encode(), "application/json")
        sandbox.faults.add("GET .*/Jobs/[^/]+$", told, times=2, after=1)
        run = sync(only_october, clock, state=state).ok()
        assert "late" in [row["Name"] for row in run.records("sales")]

    def test_a_refused_replay_of_a_window_never_loaded_takes_the_old_file_and_names_its_date(
        self, sandbox: Sandbox, clock: FakeClock, only_october: dict[str, Any]
    ) -> None:
        ask(sandbox, **OCTOBER)
        clock.advance(days=2)
        sandbox.impact.replay_forbidden = True
        run = sync(only_october, clock).ok()
        assert len(run.records("sales")) == 3
        assert finished(run, "2026-10-01") == {"2026-11-19T15:00:05Z"}
        assert run.said("2026-11-19", WARNING)
        assert run.bookmark("sales") == "2026-10-31"

    def test_a_refused_replay_of_a_loaded_window_leaves_it_with_a_warning(
        self, sandbox: Sandbox, clock: FakeClock, only_october: dict[str, Any]
    ) -> None:
        first = sync(only_october, clock).ok()
        clock.advance(days=2)
        sandbox.impact.replay_forbidden = True
        run = sync(only_october, clock, state=first.state).ok()
        assert run.records("sales") == []
        assert run.said("2026-10-01..2026-10-31", WARNING)
        assert ledger(run) == ledger(first)
        sandbox.impact.replay_forbidden = False
        again = sync(only_october, clock, state=run.state).ok()
        assert slots(again) == ["2026-10-01"]

    @pytest.mark.parametrize("code", [404, 410])
    def test_a_job_that_is_gone_is_exported_anew(
        self,
        sandbox: Sandbox,
        clock: FakeClock,
        sales: Sales,
        only_october: dict[str, Any],
        spent: Spent,
        code: int,
    ) -> None:
        config = impact(only_october, lookback_days=200)
        state = sync(config, clock).ok().state
        (job,) = sandbox.impact.jobs
        sales.put("2026-10-20", "late")
        clock.advance(days=1)
        sandbox.faults.add(f"(GET|PUT) .*/Jobs/{job}", status(code), times=None)
        sandbox.impact.jobs.clear()
        run = sync(config, clock, state=state).ok()
        assert "late" in [row["Name"] for row in run.records("sales")]
        assert spent() == (2, 0)

    def test_a_job_whose_file_alone_is_gone_is_replayed_or_exported_anew(
        self, sandbox: Sandbox, clock: FakeClock, only_october: dict[str, Any]
    ) -> None:
        ask(sandbox, **OCTOBER)
        clock.advance(hours=1)
        sandbox.faults.add("GET .*/Download", status(410))
        run = sync(only_october, clock).ok()
        assert len(run.records("sales")) == 3

    def test_a_result_older_than_ninety_days_is_exported_anew(
        self, sandbox: Sandbox, clock: FakeClock, only_october: dict[str, Any], spent: Spent
    ) -> None:
        config = impact(only_october, lookback_days=400)
        state = sync(config, clock).ok().state
        clock.advance(days=91)
        assert slots(sync(config, clock, state=state).ok()) == ["2026-10-01"]
        assert spent() == (2, 0)

    def test_with_no_age_allowed_every_sync_refreshes(
        self, clock: FakeClock, only_october: dict[str, Any], spent: Spent
    ) -> None:
        config = impact(only_october, result_max_age_hours=0)
        state = sync(config, clock).ok().state
        spent()
        clock.advance(minutes=1)
        sync(config, clock, state=state).ok()
        assert spent() == (0, 1)


class TestServersClock:
    @pytest.fixture
    def shift(self) -> timedelta:
        return timedelta(0)

    @pytest.fixture
    def sandbox(self, clock: FakeClock, shift: timedelta) -> Iterator[Sandbox]:
        with Sandbox(now=lambda: clock.now() + shift, job_seconds=5) as running:
            yield running

    @pytest.mark.parametrize(
        "shift", [timedelta(days=-6), timedelta(hours=-30), timedelta(hours=30), timedelta(days=6)]
    )
    def test_ages_and_days_are_counted_by_the_service_not_by_our_clock(
        self,
        sandbox: Sandbox,
        clock: FakeClock,
        config: dict[str, Any],
        shift: timedelta,
        spent: Spent,
    ) -> None:
        theirs = NOW + shift
        local = theirs.astimezone(timezone(timedelta(hours=-5)))
        last = (local - timedelta(hours=6)).date() - timedelta(days=1)
        run = sync(config, clock).ok()
        spent()
        assert run.bookmark("sales") == last.isoformat()
        again = sync(config, clock, state=run.state).ok()
        assert (again.records("sales"), spent()) == ([], (0, 0)), "young by the server's clock"
        clock.advance(hours=21)
        sync(config, clock, state=run.state).ok()
        exports, replays = spent()
        assert exports <= 1
        assert replays >= 1, "old by the server's clock"


class TestCosts:
    def nights(
        self, config: dict[str, Any], clock: FakeClock, spent: Spent, nights: int, first: Run
    ) -> Iterator[tuple[Run, tuple[int, int]]]:
        run = first
        for _ in range(nights):
            clock.advance(days=1)
            run = sync(config, clock, state=run.state).ok()
            yield run, spent()

    def test_a_year_by_month_then_the_nights_after(
        self, clock: FakeClock, config: dict[str, Any], spent: Spent
    ) -> None:
        config = {**config, "start_date": "2026-01-01"}
        run = sync(config, clock).ok()
        assert spent() == (11, 0), "the first sync: an export a month"

        # September may change until the 29th of November; October and November are younger.
        months = ["2026-11-01", "2026-09-01", "2026-10-01"]
        for night, cost in self.nights(config, clock, spent, 10, run):
            assert slots(night) == months, "the open slot first"
            assert cost == (1, 2), "one new export for the open slot"

    def test_the_night_after_a_months_end_opens_a_slot_and_closes_one(
        self, clock: FakeClock, config: dict[str, Any], spent: Spent
    ) -> None:
        config = {**config, "start_date": "2026-10-01"}
        clock.advance(days=11)  # the 30th: November is loaded up to the 29th
        run = sync(config, clock).ok()
        spent()
        costs = [cost for _, cost in self.nights(config, clock, spent, 3, run)]
        assert costs == [(1, 1), (1, 2), (1, 2)]

    def test_a_window_that_was_young_at_its_end_is_refreshed_once_more_after_the_look_back(
        self, clock: FakeClock, only_october: dict[str, Any], spent: Spent, sales: Sales
    ) -> None:
        config = impact(only_october, lookback_days=20)
        run = sync(config, clock).ok()
        spent()
        sales.put("2026-10-20", "late")
        clock.advance(days=40)
        run = sync(config, clock, state=run.state).ok()
        assert spent() == (0, 1)
        assert len(run.records("sales")) == 4
        sales.put("2026-10-21", "too late")
        clock.advance(days=1)
        run = sync(config, clock, state=run.state).ok()
        assert (run.records("sales"), spent()) == ([], (0, 0))

    def test_a_second_sync_on_the_same_day_costs_nothing(
        self, clock: FakeClock, config: dict[str, Any], spent: Spent
    ) -> None:
        run = sync(config, clock).ok()
        spent()
        clock.advance(hours=10)
        run = sync(config, clock, state=run.state).ok()
        assert (run.records("sales"), spent()) == ([], (0, 0))
        assert run.bookmark("sales") == "2026-11-18"

    def test_a_full_refresh_on_the_next_day_costs_an_export_a_month_and_a_replay_of_the_old(
        self, clock: FakeClock, config: dict[str, Any], spent: Spent
    ) -> None:
        config = {**config, "start_date": "2026-01-01"}
        sync(config, clock).ok()
        spent()
        clock.advance(days=1)
        sync(config, clock).ok()
        # November has a new last day; September and October are old; the others settle.
        assert spent() == (11, 2)

    def test_lost_state_on_the_same_day_costs_exports_but_no_replay(
        self, clock: FakeClock, config: dict[str, Any], spent: Spent
    ) -> None:
        sync(config, clock).ok()
        spent()
        clock.advance(hours=1)
        sync(config, clock).ok()
        assert spent() == (3, 0)

    def test_refreshes_go_longest_unrefreshed_first_after_what_is_new(
        self, sandbox: Sandbox, clock: FakeClock, sales: Sales, config: dict[str, Any]
    ) -> None:
        sales.put("2026-11-02", "early")
        run = sync({**config, "start_date": "2026-10-01", "end_date": "2026-10-31"}, clock).ok()
        clock.advance(days=1)
        wider = {**config, "end_date": "2026-11-05"}
        run = sync(wider, clock, state=run.state).ok()
        assert slots(run) == ["2026-09-01", "2026-11-01", "2026-10-01"]
        clock.advance(days=1)
        sandbox.impact.replay_forbidden = lambda job: job.params["START_DATE"] == ["2026-10-01"]
        run = sync(wider, clock, state=run.state).ok()
        sandbox.impact.replay_forbidden = False
        clock.advance(days=1)
        run = sync(config, clock, state=run.state).ok()
        assert slots(run) == ["2026-11-01", "2026-10-01", "2026-09-01"]


class TestVanishedRows:
    def test_a_row_number_that_vanished_is_emitted_once_more_as_deleted(
        self, clock: FakeClock, sales: Sales, only_october: dict[str, Any]
    ) -> None:
        first = sync(only_october, clock).ok()
        sales.put("2026-10-10", "10b")
        clock.advance(days=1)
        second = sync(only_october, clock, state=first.state).ok()
        kept, *gone = second.records("sales")
        assert (kept["Name"], kept["_deleted"], kept["_row_number"]) == ("10b", False, 1)
        assert [row["_row_number"] for row in gone] == [2, 3]
        for row in gone:
            assert row["_deleted"] is True
            assert row["_sdc_deleted_at"].startswith("2026-11-20T15:0")
            assert (row["Name"], row["Day"], row["_unparsed"]) == (None, None, None)
            for name in ("_account", "_program_id", "_window_start", "_window_end"):
                assert row[name] == kept[name]
            assert row["_refreshed_at"] == kept["_refreshed_at"]
        clock.advance(days=1)
        third = sync(only_october, clock, state=second.state).ok()
        assert third.records("sales") == [], "only once"

    def test_a_row_that_comes_back_is_live_again(
        self, clock: FakeClock, sales: Sales, only_october: dict[str, Any]
    ) -> None:
        warehouse, state = Warehouse(), {}
        for names in (["a", "b", "c"], ["a"], ["a", "d"], ["e", "f", "g", "h"], ["h"]):
            sales.put("2026-10-10", *names)
            run = sync(only_october, clock, state=state).ok()
            warehouse.load(run.messages)
            assert live(warehouse) == names
            state = run.state
            clock.advance(days=1)

    def test_with_keys_of_ones_own_none_is_emitted_and_the_newest_load_is_what_lives(
        self, clock: FakeClock, sales: Sales, only_october: dict[str, Any]
    ) -> None:
        config = impact(only_october, report_options={"sales": {"primary_keys": ["Name"]}})
        warehouse = Warehouse()
        first = sync(config, clock).ok()
        sales.put("2026-10-10", "10b")
        clock.advance(days=1)
        second = sync(config, clock, state=first.state).ok()
        warehouse.load(first.messages + second.messages)
        assert not any(row["_deleted"] for row in second.records("sales"))
        assert live(warehouse) == ["10b"]

    def test_a_load_that_was_cut_leaves_no_row_that_is_never_retired(
        self, clock: FakeClock, sales: Sales, only_october: dict[str, Any]
    ) -> None:
        warehouse = Warehouse()
        first = sync(only_october, clock).ok()
        warehouse.load(first.messages)
        sales.put("2026-10-10", *"abcdefgh")
        clock.advance(days=1)
        second = sync(only_october, clock, state=first.state).ok()
        records = [n for n, m in enumerate(second.messages) if m["type"] == "RECORD"
                   and m["stream"] == "sales"]  # fmt: skip
        warehouse.load(second.messages[: records[6]])
        sales.put("2026-10-10", "a")
        clock.advance(days=1)
        third = sync(only_october, clock, state=warehouse.state).ok()
        warehouse.load(third.messages)
        assert live(warehouse) == ["a"]
        dead = [row for row in warehouse.tables["sales"].values() if row["_deleted"]]
        assert len(dead) == 7

    @pytest.mark.parametrize("told", [None, 3])
    def test_no_rows_where_there_were_some_is_an_error_unless_the_service_says_zero(
        self,
        sandbox: Sandbox,
        clock: FakeClock,
        sales: Sales,
        only_october: dict[str, Any],
        told: int | None,
    ) -> None:
        first = sync(only_october, clock).ok()
        sales.put("2026-10-10")
        sandbox.impact.reports["sales"].records_processed = lambda _count: told
        clock.advance(days=1)
        run = sync(only_october, clock, state=first.state)
        assert isinstance(run.error, TapError)
        assert "2026-10-01..2026-10-31" in str(run.error)
        assert run.records("sales") == []
        assert run.windows("sales") == first.windows("sales")
        sandbox.impact.reports["sales"].records_processed = None
        clock.advance(days=1)
        run = sync(only_october, clock, state=run.state).ok()
        assert [row["_deleted"] for row in run.records("sales")] == [True] * 3

    def test_a_deselected_column_is_not_in_a_vanished_row_either(
        self, clock: FakeClock, sales: Sales, only_october: dict[str, Any]
    ) -> None:
        catalog = discover(only_october, clock)
        (entry,) = (e for e in catalog["streams"] if e["tap_stream_id"] == "sales")
        for item in entry["metadata"]:
            if item["breadcrumb"] == ["properties", "Day"]:
                item["metadata"]["selected"] = False
        first = sync(only_october, clock, catalog=catalog).ok()
        sales.put("2026-10-10", "10b")
        clock.advance(days=1)
        run = sync(only_october, clock, catalog=catalog, state=first.state).ok()
        names = set(first.records("sales")[0])
        assert all(set(row) == names for row in run.records("sales"))


class TestVanishedRowsAndStreamMaps:
    @pytest.mark.parametrize(
        ("rule", "passes"),
        [
            ("Name > '10a'", lambda name: name > "10a"),
            ("Name == '10b'", lambda name: name == "10b"),
            ("Day is not None and Name != '10c'", lambda name: name != "10c"),
        ],
        ids=["no null", "one name", "nulls dropped"],
    )
    def test_what_a_filter_lets_through_is_retired_when_it_vanishes(
        self,
        clock: FakeClock,
        sales: Sales,
        only_october: dict[str, Any],
        rule: str,
        passes: Callable[[str], bool],
    ) -> None:
        config = {**only_october, "stream_maps": {"sales": {"__filter__": rule}}}
        warehouse, state = Warehouse(), {}
        for names in (["10a", "10b", "10c"], ["10b"], ["10a"], ["10c", "10b"]):
            sales.put("2026-10-10", *names)
            run = sync(config, clock, state=state).ok()
            warehouse.load(run.messages)
            state = run.state
            clock.advance(days=1)
            assert live(warehouse) == [name for name in names if passes(name)]

    def test_an_older_file_never_replaces_a_newer_one(
        self, clock: FakeClock, sales: Sales, only_october: dict[str, Any]
    ) -> None:
        keys = {"sales": {"primary_keys": ["Name"]}}
        config = impact(only_october, lookback_days=1, report_options=keys)
        sync(config, clock).ok()  # somebody else's, of the whole month
        clock.advance(days=5)
        sales.put("2026-10-10", "10b", "new")
        warehouse = Warehouse()
        narrow = sync({**config, "start_date": "2026-10-05"}, clock).ok()
        warehouse.load(narrow.messages)
        warehouse.load(sync(config, clock, state=narrow.state).ok().messages)
        assert live(warehouse) == ["10b", "new"]


SETTINGS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "window": lambda c: impact(c, window="week"),
    "program_ids": lambda c: impact(c, program_ids=["10211"]),
    "filters": lambda c: impact(c, report_options={"sales": {"filters": {"STATE": ["A", "B"]}}}),
    "mode": lambda c: impact(c, report_options={"sales": {"mode": "run"}}),
    "primary_keys": lambda c: impact(c, report_options={"sales": {"primary_keys": ["Name"]}}),
    "timezone": lambda c: impact(c, timezone="Europe/Berlin"),
}


class TestFingerprint:
    @pytest.mark.parametrize("name", SETTINGS)
    def test_a_setting_that_says_what_a_window_is_may_not_change(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any], name: str, spent: Spent
    ) -> None:
        first = sync(config, clock).ok()
        spent()
        changed = SETTINGS[name](config)
        run = sync(changed, clock, state=first.state)
        assert isinstance(run.error, TapError)
        (line,) = str(run.error).splitlines()
        assert "sales" in line
        assert name in line
        assert "reload: all" in line
        assert (run.records("sales"), spent()) == ([], (0, 0))
        assert run.bookmark("sales") == first.bookmark("sales")
        back = sync(config, clock, state=run.state).ok()
        assert back.bookmark("sales") == "2026-11-18", "set back, the sync goes on"
        sync(changed, clock).ok()

    def test_other_settings_may_change(
        self, clock: FakeClock, config: dict[str, Any], spent: Spent
    ) -> None:
        first = sync(config, clock).ok()
        other = impact(
            config, lookback_days=30, result_max_age_hours=5, max_exports=50, window="month"
        )
        run = sync({**other, "start_date": "2026-10-01"}, clock, state=first.state).ok()
        assert run.bookmark("sales") == first.bookmark("sales")
        assert run.records("sales") == [], "no window is another one for it"

    def test_the_same_zone_set_by_hand_is_no_change(
        self, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        first = sync(config, clock).ok()
        run = sync(impact(config, timezone="America/New_York"), clock, state=first.state).ok()
        assert run.bookmark("sales") == first.bookmark("sales")

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            ("US/Eastern", "America/New_York"),
            ("America/New_York", "US/Eastern"),
            ("(GMT -04:00) Eastern Time (US & Canada)", "US/Eastern"),
            ("(GMT +05:30) Chennai, Kolkata, Mumbai, New Delhi", "(GMT +05:30) Atlantis"),
            ("UTC", "Etc/UTC"),
        ],
    )
    def test_another_name_of_the_same_rules_is_no_change(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any], before: str, after: str,
        spent: Spent,
    ) -> None:  # fmt: skip
        sandbox.impact.company_timezone = before
        first = sync(config, clock).ok()
        spent()
        sandbox.impact.company_timezone = after
        run = sync(config, clock, state=first.state).ok()
        assert run.bookmark("sales") == first.bookmark("sales")
        assert (run.records("sales"), spent()) == ([], (0, 0))

    def test_a_label_that_follows_summer_time_is_no_change(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        sandbox.impact.company_timezone = "(GMT -07:00) Pacific Time (US & Canada); Tijuana"
        first = sync(config, clock).ok()
        sandbox.impact.company_timezone = "(GMT -08:00) Pacific Time (US & Canada); Tijuana"
        clock.advance(days=1)
        assert sync(config, clock, state=first.state).ok().bookmark("sales") == "2026-11-19"

    @pytest.mark.parametrize("name", ["Mars/Olympus", "", None, 5, ["UTC"], "../../etc/passwd"])
    def test_a_zone_that_can_not_be_read_from_the_state_is_another_one(
        self, clock: FakeClock, config: dict[str, Any], name: Any
    ) -> None:
        state = sync(config, clock).ok().state
        own = state["bookmarks"]["sales"]
        own["fingerprint"] = json.dumps({**json.loads(own["fingerprint"]), "timezone": name})
        error = sync(config, clock, state=state).error
        assert isinstance(error, TapError)
        assert re.search("time ?zone", str(error))

    def test_windows_of_the_utc_fallback_are_one_clear_line(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any], spent: Spent
    ) -> None:
        sandbox.impact.company_timezone = None
        first = sync(config, clock).ok()
        spent()
        sandbox.impact.company_timezone = "(GMT -05:00) Eastern Time (US & Canada)"
        run = sync(config, clock, state=first.state)
        assert isinstance(run.error, TapError)
        (line,) = str(run.error).splitlines()
        for words in ("sales", "midnight UTC", "America/New_York", "impact.timezone: UTC",
                      "reload: all"):  # fmt: skip
            assert words in line
        assert (run.records("sales"), spent()) == ([], (0, 0))
        kept = sync(impact(config, timezone="UTC"), clock, state=run.state).ok()
        assert kept.bookmark("sales") == first.bookmark("sales")
        sync(config, clock).ok()

    def test_an_account_whose_zone_is_refused_now_is_told_how_to_keep_it(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        first = sync(config, clock).ok()
        sandbox.impact.forbidden = {"CompanyInformation"}
        run = sync(config, clock, state=first.state)
        assert "impact.timezone: America/New_York" in str(run.error)
        kept = sync(impact(config, timezone="America/New_York"), clock, state=run.state).ok()
        assert kept.bookmark("sales") == first.bookmark("sales")

    def test_no_iana_name_is_advised_for_a_fixed_offset(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        sandbox.impact.company_timezone = "(GMT -07:00) Atlantis"
        first = sync(config, clock).ok()
        sandbox.impact.company_timezone = "(GMT -08:00) Atlantis"
        line = str(sync(config, clock, state=first.state).error)
        assert "-07:00" in line
        assert "-08:00" in line
        assert "impact.timezone: -07:00" not in line

    def test_a_changed_filter_of_one_report_does_not_stop_another(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        both = impact(config, reports=["sales", "partner_performance_by_day"])
        first = sync(both, clock).ok()
        clock.advance(days=1)
        run = sync(SETTINGS["filters"](both), clock, state=first.state)
        assert isinstance(run.error, TapError)
        assert run.bookmark("partner_performance_by_day") == "2026-11-19"


names = st.lists(st.sampled_from("abcdef"), max_size=4)
nights = st.lists(
    st.fixed_dictionaries(
        {
            "hours": st.sampled_from([1, 7, 21, 24, 50, 300]),
            "day": st.dates(date(2026, 9, 10), date(2026, 11, 30)),
            "names": names,
            "fault": st.sampled_from(["", "", "", "quota", "failed", "refused", "lost job"]),
            "new_id": st.booleans(),
        }
    ),
    min_size=1,
    max_size=5,
)


@pytest.mark.property
class TestManyNights:
    @settings(
        max_examples=examples(20),
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    @given(nights)
    def test_after_each_good_sync_the_warehouse_holds_what_the_source_does(
        self, nights: list[dict[str, Any]]
    ) -> None:
        clock, source, warehouse = FakeClock(), Sales(), Warehouse()
        for month in (9, 10, 11):
            source.put(f"2026-{month:02}-15", "x", "y")
        with Sandbox(now=clock.now, job_seconds=5, exports_per_day=10**6) as sandbox:
            columns = [Attribute("Name"), Attribute("Day", "Date")]
            sandbox.impact.add(Report("sales", "Sales", columns=columns, rows=source))
            config = config_for(sandbox, reports=["sales"], lookback_days=400)
            state: dict[str, Any] = {}
            for night in nights:
                clock.advance(hours=night["hours"])
                source.days[night["day"]] = night["names"]
                sandbox.impact.replay_new_id = night["new_id"]
                sandbox.impact.exports_per_day = 0 if night["fault"] == "quota" else 10**6
                sandbox.impact.replay_forbidden = night["fault"] == "refused"
                sandbox.impact._outcomes.clear()
                if night["fault"] == "failed":
                    sandbox.impact.fail_next("FAILED", "no luck", times=4)
                if night["fault"] == "lost job":
                    sandbox.impact.jobs.clear()
                everything = impact(config, result_max_age_hours=0)
                run = sync(everything, clock, state=state)
                warehouse.load(run.messages)
                state = run.state or state
                if run.error is None and night["fault"] != "refused":
                    end = run.bookmark("sales")
                    assert end is not None
                    assert live(warehouse) == source.names("2026-09-10", end)
                else:
                    assert night["fault"]
