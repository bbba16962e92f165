"""Random histories under Meltano: whatever it merges, the warehouse equals the source."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from harness import FakeClock, Run, config_for, examples, sync
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from model_loaders import Loader, merged
from small_source import SmallSource

from tap_affiliate_reports.errors import TapError
from tap_affiliate_reports.sandbox import Sandbox

pytestmark = pytest.mark.chain

REPORTS = ("other", "sales")
LOOKBACK = 12
# What a run may do with its stop: go on to its end, run out of exports, or be killed.
STOPS = st.one_of(
    st.none(),
    st.none(),
    st.integers(0, 3).map(lambda exports: ("exports", exports)),
    st.floats(0, 1).map(lambda part: ("kill", part)),
)
SHAPES = st.fixed_dictionaries(
    {"window": st.sampled_from(["week", "month", "quarter"])},
    optional={
        "program_ids": st.just(["1", "2"]),
        "report_options": st.just({"sales": {"filters": {"A": ["1"]}}}),
    },
)


class Histories(RuleBasedStateMachine):
    """One warehouse, one source that changes, and whatever people do with Meltano."""

    honours_versions = True
    hard_delete = False

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.sandbox = Sandbox(
            now=self.clock.now, job_seconds=4, exports_per_day=10**6, timezone="America/New_York"
        ).start()
        self.source = SmallSource(self.sandbox, self.clock, REPORTS)
        self.loader = Loader(honours_versions=self.honours_versions, hard_delete=self.hard_delete)
        self.state: dict[str, Any] = {}
        self.start = date(2026, 10, 20)
        self.shape: dict[str, Any] = {"window": "month"}
        self.selected: tuple[str, ...] = REPORTS

    def teardown(self) -> None:
        self.sandbox.stop()

    def run(
        self,
        stop: tuple[str, Any] | None = None,
        *,
        full_refresh: bool = False,
        reload: str | None = None,
    ) -> bool:
        """Run once and load what arrives; return whether all is loaded."""
        limit = {"max_exports": stop[1]} if stop and stop[0] == "exports" else {}
        top = {"RELOAD": reload} if reload else {}
        config = config_for(
            self.sandbox,
            reports=list(self.selected),
            START_DATE=self.start.isoformat(),
            lookback_days=LOOKBACK,
            result_max_age_hours=0,
            **{**self.shape, **limit, **top},
        )
        run = sync(config, self.clock, state={} if full_refresh else self.state)
        assert run.error is None or isinstance(run.error, TapError), repr(run.error)
        messages = run.messages
        if stop and stop[0] == "kill":
            messages = messages[: int(stop[1] * len(messages))]
        self.loader.load(messages)
        states = [m["value"] for m in messages if m["type"] == "STATE"]
        if states:
            self.check_merge(states[-1])
            self.state = merged(states, self.state) if full_refresh else states[-1]
        self.clock.advance(seconds=2)
        is_done = len(messages) == len(run.messages) and run.error is None
        if is_done:
            self.check(run)
        return is_done

    def check_merge(self, state: dict[str, Any]) -> None:
        """Check that merged onto any state, it says the same of every stream that it plans."""
        kept = merged([state], self.state)["bookmarks"]
        for report in self.selected:
            assert kept[report] == state["bookmarks"][report]

    def check(self, run: Run) -> None:
        """Check that the warehouse equals the source, from the start to yesterday."""
        last = (self.clock.now() - timedelta(hours=11)).date() - timedelta(days=1)
        programs = len(self.shape.get("program_ids", ["all"]))
        for report in self.selected:
            rows = self.loader.live(report)
            found = Counter(
                (row["Action_Id"], row["Day"], Decimal(row["Payout"]), row["_program_id"])
                for row in rows
            )
            twice = [row for row, count in found.items() if count > 1]
            assert not twice, f"{report}: loaded twice: {twice}"
            shown = Counter(
                (row["Action_Id"], row["Day"], f"{Decimal(row['Payout']):.18f}")
                for row in rows
                if row["Day"] >= self.start.isoformat()
            )
            there = Counter(self.source.at(report, self.clock.now(), self.start, last))
            expected = Counter({row: count * programs for row, count in there.items()})
            assert shown == expected, f"{report}: {shown - expected} {expected - shown}"
            assert run.bookmark(report) is None or run.bookmark(report) >= last.isoformat()

    # What the world does

    @initialize()
    def first_run(self) -> None:
        assert self.run()

    @rule(
        report=st.sampled_from(REPORTS),
        ago=st.integers(1, LOOKBACK - 2),
        payouts=st.lists(st.integers(0, 99).map(str), max_size=4),
    )
    def the_source_changes(self, report: str, ago: int, payouts: list[str]) -> None:
        today = (self.clock.now() - timedelta(hours=5)).date()
        self.source.put(report, today - timedelta(days=ago), payouts)

    @rule(hours=st.sampled_from([1, 24, 24, 49]))
    @precondition(lambda self: self.clock.now().date() < date(2027, 1, 10))
    def time_passes(self, hours: int) -> None:
        self.clock.advance(hours=hours)

    # What the user does

    @rule(stop=STOPS)
    def a_run(self, stop: tuple[str, Any] | None) -> None:
        self.run(stop)

    @rule(stop=STOPS)
    @precondition(lambda self: self.honours_versions)
    def a_full_refresh(self, stop: tuple[str, Any] | None) -> None:
        self.run(stop, full_refresh=True)

    @rule(stop=STOPS, shape=SHAPES)
    @precondition(lambda self: self.honours_versions)
    def a_full_refresh_of_another_shape(
        self, stop: tuple[str, Any] | None, shape: dict[str, Any]
    ) -> None:
        before = self.shape
        self.shape = shape
        self.run(stop, full_refresh=True)
        if stop and stop[0] == "kill" and not self.is_of_this_shape():
            # Nothing of it arrived, so the warehouse and the state are as they were.
            self.shape = before

    def is_of_this_shape(self) -> bool:
        return all(
            "former" in self.state["bookmarks"].get(report, {})
            and _window(self.state["bookmarks"][report]) == self.shape["window"]
            for report in self.selected
        )

    @rule(stop=STOPS, shape=SHAPES)
    def a_reload_of_everything(self, stop: tuple[str, Any] | None, shape: dict[str, Any]) -> None:
        self.shape = shape
        if not self.run(stop, reload="all"):
            # Repeated with the setting, it goes on; without, too.
            self.run(reload="all")
        assert self.run()

    @rule(stop=STOPS, ago=st.integers(3, 40), days=st.integers(0, 20))
    def a_reload_of_days(self, stop: tuple[str, Any] | None, ago: int, days: int) -> None:
        first = self.clock.now().date() - timedelta(days=ago)
        self.run(stop, reload=f"{first}/{first + timedelta(days=days)}")

    @rule(days=st.integers(-12, 12))
    def start_date_moves(self, days: int) -> None:
        moved = self.start + timedelta(days=days)
        latest = self.clock.now().date() - timedelta(days=3)
        self.start = min(max(moved, date(2026, 10, 3)), latest)

    @rule(selected=st.sampled_from([REPORTS, ("sales",), REPORTS]))
    def the_selection_changes(self, selected: tuple[str, ...]) -> None:
        self.selected = selected


def _window(state: dict[str, Any]) -> str:
    return "week" if '"week"' in state["fingerprint"] else (
        "month" if '"month"' in state["fingerprint"] else "quarter"
    )  # fmt: skip


class HardDeletes(Histories):
    hard_delete = True


class IgnoresVersions(Histories):
    honours_versions = False


@pytest.mark.property
@pytest.mark.parametrize("machine", [Histories, HardDeletes, IgnoresVersions])
def test_whatever_meltano_merges_each_loader_holds_what_the_source_has(
    machine: type[Histories],
) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples(10),
            stateful_step_count=12,
            deadline=None,
            derandomize=True,
            database=None,
            # To shrink what was found takes minutes; add Phase.shrink for that.
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
