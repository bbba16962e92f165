"""Many syncs in a row: whatever happens between and within them, the warehouse stays true."""

from __future__ import annotations

import copy
import io
import json
import re
import sys
from datetime import date, datetime, timedelta
from typing import Any
from unittest import mock

import pytest
from harness import FakeClock, Run, Warehouse, config_for, discover, examples, sync, windows_of
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from model_loaders import merged
from small_source import CLICKS, SmallSource, check_ledger, check_retired

from tap_affiliate_reports.errors import TapError
from tap_affiliate_reports.messages import LineWriter
from tap_affiliate_reports.sandbox import Sandbox, close, cut, html_login, reset, status

pytestmark = pytest.mark.chain

# A report, and the clicks, which are loaded by the day.
STREAMS = (CLICKS, "sales")
LOOKBACK = 12
LOOKBACK_OF_CLICKS = 3
# Names of one zone: what the account answers may change between them.
ZONE_NAMES = [
    "(GMT -04:00) Eastern Time (US & Canada)",
    "(GMT -05:00) Eastern Time (US & Canada)",
    "America/New_York",
    "US/Eastern",
]
FAULTS = {
    "429": lambda: status(429, {"Retry-After": "3"}),
    "503": lambda: status(503, body=b"<html>busy</html>", content_type="text/html"),
    "reset": reset,
    "lost": lambda: reset(handled=True),
    "close": close,
    "login page": html_login,
    "cut": lambda: cut(0.5),
    "cut, unseen": lambda: cut(0.3, content_length=False),
}
PLACES = ["/Reports", "/MetaData", "/ReportExport/", "/ClickExport", "/Jobs/[^/]+$", "/Replay",
          "/Download", "/storage/", "/CompanyInformation"]  # fmt: skip


class ManySyncs(RuleBasedStateMachine):
    """A source that changes, a service that fails, a user who changes settings, a target."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.sandbox = Sandbox(
            now=self.clock.now, job_seconds=4, exports_per_day=10**6, timezone="America/New_York"
        ).start()
        self.sandbox.impact.click_exports_per_day = 10**6
        self.source = SmallSource(self.sandbox, self.clock, STREAMS)
        self.warehouse = Warehouse()
        self.state: dict[str, Any] = {}
        self.jobs_state: dict[str, Any] = {}
        self.jobs: dict[str, str] = {}
        self.start = date(2026, 11, 5)
        self.settings: dict[str, Any] = {"window": "week", "lookback_days": LOOKBACK}
        self.faults = 0
        # When the last sync began: one whose job is in ERROR may last for more than an hour.
        self.began = self.clock.now()
        # A window whose load was cut shows its end only once it is loaded again, so until then
        # the settings stay.
        self.cut = False
        # Whether the target ever gave back an older STATE than it had rows of.
        self.went_back = False

    def teardown(self) -> None:
        self.sandbox.stop()

    @property
    def today(self) -> date:
        return (self.clock.now() - timedelta(hours=5)).date()

    def run(self, state: dict[str, Any] | None = None, **impact: Any) -> Run:
        config = config_for(
            self.sandbox,
            reports=["sales"],
            clicks=True,
            START_DATE=self.start.isoformat(),
            **{"max_concurrent_jobs": 3, "max_click_exports": 10**6, **self.settings, **impact},
        )
        self.began = self.clock.now()
        run = sync(config, self.clock, state=self.state if state is None else state)
        assert run.error is None or isinstance(run.error, TapError), repr(run.error)
        self.sandbox.faults.clear()
        self.faults = 0
        return run

    def keep(self, run: Run) -> None:
        self.warehouse.load(run.messages)
        if run.states:
            self.state = run.state

    def check_fresh(self, run: Run) -> None:
        """Check that every day asked for is loaded, and every unsettled one not too long ago."""
        # A day is asked for six hours after its end.
        last = (self.began - timedelta(hours=11)).date() - timedelta(days=1)
        for report in STREAMS:
            windows = check_ledger(self.source, self.warehouse, self.state, report)
            covered = set()
            for slot, entry in windows.items():
                assert not entry.get("unfinished"), f"{report} {slot}"
                first, end = entry.get("start", slot), entry["end"]
                day = date.fromisoformat(first)
                while day <= date.fromisoformat(end):
                    covered.add(day)
                    day += timedelta(days=1)
                if date.fromisoformat(end) < self.start:
                    continue
                finished = datetime.fromisoformat(entry["refreshed_at"].replace("Z", "+00:00"))
                over = datetime.fromisoformat(f"{end}T05:00:00+00:00") + timedelta(days=1)
                days = LOOKBACK_OF_CLICKS if report == CLICKS else self.settings["lookback_days"]
                lookback = timedelta(days=days)
                settled = finished >= over + lookback
                young = self.began - finished < timedelta(hours=20, minutes=10)
                assert settled or young, f"{report} {slot}: of {finished}, now {self.clock.now()}"
            wanted = {
                self.start + timedelta(days=number)
                for number in range((last - self.start).days + 1)
            }
            assert wanted <= covered, f"{report}: {sorted(wanted - covered)}"
            # A start_date after the last day asks for nothing.
            assert self.start > last or run.bookmark(report) >= last.isoformat()

    # What the world does

    @initialize()
    def first_sync(self) -> None:
        run = self.run().ok()
        self.keep(run)
        self.check_fresh(run)

    @rule(
        report=st.sampled_from(STREAMS),
        ago=st.integers(1, LOOKBACK - 1),
        payouts=st.lists(st.integers(0, 99).map(str), min_size=1, max_size=4),
    )
    def the_source_changes(self, report: str, ago: int, payouts: list[str]) -> None:
        self.source.put(report, self.today - timedelta(days=ago), payouts)

    @rule(hours=st.sampled_from([1, 7, 19, 21, 24, 24, 24, 49]))
    @precondition(lambda self: self.today < date(2027, 1, 10))
    def time_passes(self, hours: int) -> None:
        self.clock.advance(hours=hours)

    @rule(place=st.sampled_from(PLACES), fault=st.sampled_from(sorted(FAULTS)))
    @precondition(lambda self: self.faults < 2)
    def something_will_fail_once(self, place: str, fault: str) -> None:
        self.faults += 1
        self.sandbox.faults.add(place, FAULTS[fault]())

    @rule(word=st.sampled_from(["FAILED", "CANCELLED"]))
    @precondition(lambda self: not self.sandbox.impact._outcomes)
    def a_job_will_end_badly(self, word: str) -> None:
        self.sandbox.impact.fail_next(word, "once in a while")

    @rule(heals_after=st.sampled_from([1, 2, 5, None]))
    @precondition(lambda self: not self.sandbox.impact._outcomes)
    def a_job_will_be_in_error(self, heals_after: int | None) -> None:
        self.sandbox.impact.fail_next("ERROR", "once in a while", heals_after=heals_after)

    @rule(new_id=st.booleans())
    def replays_get_ids_of_their_own_or_not(self, new_id: bool) -> None:
        self.sandbox.impact.replay_new_id = new_id

    @rule(name=st.sampled_from(ZONE_NAMES))
    def the_account_writes_its_zone_in_another_way(self, name: str) -> None:
        self.sandbox.impact.company_timezone = name

    # What the user does

    @rule()
    def a_sync(self) -> None:
        run = self.run().ok()
        self.keep(run)
        self.cut = False
        self.check_fresh(run)

    @rule()
    def a_sync_of_jobs_alone(self) -> None:
        """What the service lists is on stdout, whatever of it is new."""
        self.sandbox.faults.clear()
        self.faults = 0
        config = config_for(self.sandbox, reports=["sales"], START_DATE="2026-10-01")
        catalog = discover(config, self.clock)
        for stream in catalog["streams"]:
            for entry in stream["metadata"]:
                if entry["breadcrumb"] == []:
                    entry["metadata"]["selected"] = stream["tap_stream_id"] == "jobs"
        out = io.BytesIO()
        stdout = mock.Mock(buffer=out)
        with mock.patch.object(sys, "stdout", stdout):
            sync(
                config, self.clock, state=self.jobs_state, catalog=catalog, writer=LineWriter()
            ).ok()
        for line in map(json.loads, out.getvalue().splitlines()):
            if line["type"] == "RECORD":
                self.jobs[line["record"]["Id"]] = line["record"]["Status"]
            elif line["type"] == "STATE":
                self.jobs_state = line["value"]
        now = self.clock.now()
        listed = {job.id: job.status(now) for job in self.sandbox.impact.jobs.values()}
        assert {job: self.jobs.get(job) for job in listed} == listed

    @rule(
        report=st.sampled_from(STREAMS),
        days=st.sets(st.integers(1, LOOKBACK - 1), min_size=1, max_size=4),
    )
    @precondition(lambda self: not self.cut and self.today < date(2027, 1, 10))
    def a_night_in_which_days_lose_their_rows(self, report: str, days: set[int]) -> None:
        for ago in days:
            self.source.put(report, self.today - timedelta(days=ago), [])
        self.clock.advance(days=1)
        self.a_sync()

    @rule(at=st.floats(0, 1), older=st.sampled_from([0, 0, 0, 0, 0, 0, 1, 2]))
    def a_sync_that_is_cut(self, at: float, older: int) -> None:
        """Load what arrived; the target gives back its last STATE, or one before."""
        run = self.run()
        arrived = run.messages[: int(at * len(run.messages))]
        states = [self.state] + [m["value"] for m in arrived if m["type"] == "STATE"]
        self.warehouse.load(arrived)
        self.state = copy.deepcopy(states[max(0, len(states) - 1 - older)])
        self.cut = True
        self.went_back = self.went_back or older > 0

    @rule()
    def a_sync_whose_job_never_ends(self) -> None:
        """Both jobs of a report are stuck: that stream fails, and nothing is spoilt."""
        self.sandbox.impact._outcomes.clear()
        self.sandbox.impact.fail_next("STUCK", "", 1)
        run = self.run(job_timeout_seconds=100)
        self.keep(run)
        self.sandbox.impact._outcomes.clear()
        for job in self.sandbox.impact.jobs.values():
            if job.outcome.status == "STUCK":
                job.outcome = type(job.outcome)()
        if run.error is None:
            self.cut = False
            self.check_fresh(run)

    @rule(heals_after=st.sampled_from([1, 3, None]))
    def a_sync_that_does_not_wait_for_a_job_in_error(self, heals_after: int | None) -> None:
        """The next sync goes on with the same job."""
        self.sandbox.impact._outcomes.clear()
        self.sandbox.impact.fail_next("ERROR", "once in a while", heals_after=heals_after)
        run = self.run(job_timeout_seconds=100)
        self.keep(run)
        self.sandbox.impact._outcomes.clear()
        if run.error is None:
            self.cut = False
            self.check_fresh(run)

    @rule(exports=st.integers(0, 2), clicks=st.integers(0, 4))
    def a_sync_with_few_exports(self, exports: int, clicks: int) -> None:
        run = self.run(max_exports=exports, max_click_exports=clicks)
        self.keep(run)
        assert len(run.states) > 0
        if run.error is not None:
            assert re.search(r"\((max_exports|max_click_exports)\)", str(run.error))
        elif run.said("windows not loaded"):
            # Older days of clicks wait for a later sync, but not the newest day.
            newest = (self.began - timedelta(hours=11)).date() - timedelta(days=1)
            assert run.windows(CLICKS)[newest.isoformat()]["refreshed_at"]
        else:
            self.cut = False
            self.check_fresh(run)

    @rule(days=st.integers(-9, 9))
    @precondition(lambda self: not self.cut)
    def start_date_moves(self, days: int) -> None:
        moved = self.start + timedelta(days=days)
        self.start = min(max(moved, date(2026, 10, 10)), self.today - timedelta(days=1))

    @rule(days=st.sampled_from([5, LOOKBACK, 40]))
    @precondition(lambda self: not self.cut)
    def lookback_changes(self, days: int) -> None:
        self.settings["lookback_days"] = days

    @rule(size=st.sampled_from(["day", "week", "month"]))
    @precondition(lambda self: not self.cut)
    def the_size_of_a_window_changes(self, size: str) -> None:
        """Refused, with nothing spoilt, until a reload or a full refresh."""
        if size != self.settings["window"]:
            run = self.run(window=size)
            self.keep(run)
            assert "reload: all" in str(run.error)
            assert not run.records("sales")
            for report in STREAMS:
                check_ledger(self.source, self.warehouse, self.state, report)

    @rule(size=st.sampled_from(["week", "month"]), is_merged=st.booleans())
    def a_full_refresh(self, size: str, is_merged: bool) -> None:
        self.settings["window"] = size
        before = self.state if is_merged else {}
        run = self.run(state={}).ok()
        self.keep(run)
        self.state = merged(run.states, before)
        self.went_back = False
        self.cut = False
        self.check_fresh(run)
        shown = {row["_window_start"] for row in self.warehouse.live("sales")}
        assert shown <= set(windows_of(self.state["bookmarks"]["sales"]))

    @invariant()
    def what_the_ledger_calls_loaded_is_there(self) -> None:
        if not self.cut:
            for report in STREAMS:
                check_ledger(self.source, self.warehouse, self.state, report)
                if not self.went_back:
                    check_retired(self.warehouse, report, self.state)


@pytest.mark.property
def test_after_any_syncs_in_a_row_the_warehouse_equals_the_source() -> None:
    run_state_machine_as_test(
        ManySyncs,
        settings=settings(
            max_examples=examples(15),
            stateful_step_count=25,
            deadline=None,
            derandomize=True,
            database=None,
            # To shrink what was found takes minutes; add Phase.shrink for that.
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
