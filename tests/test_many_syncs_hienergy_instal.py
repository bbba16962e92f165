"""Hi Energy AI and Instal.com, many syncs in a row: the warehouse stays true to them."""

from __future__ import annotations

import copy
from datetime import date, timedelta
from typing import Any

import pytest
from harness import FakeClock, Run, Warehouse, examples, sync
from hienergy_instal import (
    CLICKS,
    CSV,
    DEALS,
    FILES,
    HEADER,
    REPORT,
    add,
    check_files,
    check_mark,
    check_report,
    config_of,
    put,
    put_all,
    rows_of,
)
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
from small_source import check_bookmark, check_retired
from test_many_syncs import FAULTS

from tap_affiliate_reports.errors import TapError
from tap_affiliate_reports.sandbox import Sandbox, SandboxExport

START = date(2026, 11, 5)
LOOKBACK = 12

pytestmark = [pytest.mark.chain, pytest.mark.property]


class Syncs(RuleBasedStateMachine):
    """A service that changes and fails, a user who syncs, and a target that may lose a STATE."""

    name = ""
    places: tuple[str, ...] = ()

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.sandbox = Sandbox(now=self.clock.now, job_seconds=4).start()
        self.warehouse = Warehouse()
        self.state: dict[str, Any] = {}
        self.faults = 0
        # Whether the target ever gave back an older STATE than it had rows of.
        self.went_back = False

    def teardown(self) -> None:
        self.sandbox.stop()

    @property
    def yesterday(self) -> date:
        return (self.clock.now() - timedelta(hours=6)).date() - timedelta(days=1)

    def own(self) -> dict[str, Any]:
        return {}

    def check(self, run: Run) -> None:
        """Check that the warehouse equals the source."""
        raise NotImplementedError

    def run(self, state: dict[str, Any] | None = None, **own: Any) -> Run:
        own = {"max_concurrent_jobs": 3, **self.own(), **own}
        config = config_of(self.sandbox, START, **{self.name: own})
        run = sync(config, self.clock, state=self.state if state is None else state)
        assert run.error is None or isinstance(run.error, TapError), repr(run.error)
        self.sandbox.faults.clear()
        self.faults = 0
        return run

    def keep(self, run: Run) -> None:
        self.warehouse.load(run.messages)
        if run.states:
            self.state = run.state

    @rule(hours=st.sampled_from([1, 7, 21, 24, 24, 49]))
    @precondition(lambda self: self.yesterday < date(2027, 1, 10))
    def time_passes(self, hours: int) -> None:
        self.clock.advance(hours=hours)

    @rule(place=st.integers(0, 9), fault=st.sampled_from(sorted(FAULTS)))
    @precondition(lambda self: self.faults < 2)
    def something_will_fail_once(self, place: int, fault: str) -> None:
        self.faults += 1
        self.sandbox.faults.add(self.places[place % len(self.places)], FAULTS[fault]())

    @rule()
    def a_sync(self) -> None:
        run = self.run().ok()
        self.keep(run)
        self.check(run)

    @rule(at=st.floats(0, 1), older=st.sampled_from([0, 0, 0, 0, 1, 2]))
    def a_sync_that_is_cut(self, at: float, older: int) -> None:
        """Load what arrived; the target gives back its last STATE, or one before."""
        run = self.run()
        arrived = run.messages[: int(at * len(run.messages))]
        states = [self.state] + [m["value"] for m in arrived if m["type"] == "STATE"]
        self.warehouse.load(arrived)
        self.state = copy.deepcopy(states[max(0, len(states) - 1 - older)])
        self.went_back = self.went_back or older > 0


class FileSyncs(Syncs):
    """Exports of Hi Energy AI that appear, finish out of order, are cut in parts, and fail."""

    name = "hienergy"
    places = ("hienergy list", "hienergy read", "hienergy create", "storage")

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.create: list[dict[str, Any]] = []
        service = self.sandbox.hienergy
        service.clear()
        service.tables[CLICKS] = lambda export: (HEADER, rows_of(f"clicks {export.created}"))

    def own(self) -> dict[str, Any]:
        return {"create": self.create}

    def label(self) -> str:
        self.count += 1
        return f"file {self.count}"

    def check(self, run: Run) -> None:
        check_files(self.sandbox, self.warehouse, START)
        asked = [str(one) for one in self.create]
        for params in {str(e.search_params) for e in self.created}:
            same = [e for e in self.created if str(e.search_params) == params]
            assert len(same) == 1, "the same export was made twice"
        assert len(self.created) == len(asked)
        again = self.run()
        assert not [m for m in again.messages if m.get("stream") in FILES and "record" in m]

    @property
    def created(self) -> list[SandboxExport]:
        return [e for e in self.sandbox.hienergy.exports.values() if e.report_type == CLICKS]

    @initialize()
    def first_sync(self) -> None:
        for kind in (CSV, DEALS):
            add(self.sandbox, kind, self.label(), completed_at=self.ago(30))
        self.a_sync()

    def ago(self, hours: float) -> Any:
        return self.clock.now() - timedelta(hours=hours)

    @rule(kind=st.sampled_from([CSV, DEALS]), hours=st.sampled_from([0, 0, 0.5, 3, 20]))
    def an_export_is_finished(self, kind: str, hours: float) -> None:
        """It may be listed a while after it was finished, or at the same moment as another."""
        add(self.sandbox, kind, self.label(), completed_at=self.ago(hours))

    @rule(kind=st.sampled_from([CSV, DEALS]), hours=st.sampled_from([1, 5, 30, 80]))
    def an_export_is_begun(self, kind: str, hours: float) -> None:
        """One that takes long is overtaken by others."""
        self.sandbox.hienergy.add(
            kind, HEADER, rows_of(self.label()), created_at=self.clock.now(),
            completed_at=self.clock.now() + timedelta(hours=hours),
        )  # fmt: skip

    @rule(
        kind=st.sampled_from([CSV, DEALS]),
        hours=st.sampled_from([0, 5, 40]),
        end=st.sampled_from(["completed", "completed", "failed", "no file"]),
    )
    def an_export_in_parts_is_begun(self, kind: str, hours: float, end: str) -> None:
        service, now, rows = self.sandbox.hienergy, self.clock.now(), rows_of(self.label(), 4)
        has_file = end == "completed"
        parent = service.add(
            kind, HEADER if has_file else (), rows if has_file else None, created_at=now,
            completed_at=now + timedelta(hours=hours),
            status="failed" if end == "failed" else "completed",
        )  # fmt: skip
        for number, part in enumerate((rows[:2], rows[2:]), 1):
            # In an export that is done at once, so are the parts.
            done = now + timedelta(hours=hours * number / 3)
            service.add(kind, HEADER, part, created_at=now, completed_at=done, parent=parent)

    @rule(kind=st.sampled_from([CSV, DEALS]))
    def an_export_fails(self, kind: str) -> None:
        add(self.sandbox, kind, self.label(), status="failed", error_message="no room")

    @rule()
    @precondition(lambda self: len(self.create) < 3)
    def the_user_wants_one_created(self) -> None:
        params = {"days": len(self.create) + 1}
        self.create = [*self.create, {"report_type": CLICKS, "search_params": params}]

    @rule(is_merged=st.booleans())
    def a_full_refresh(self, is_merged: bool) -> None:
        """The tables are the loader's to empty: files that are gone would stay in them."""
        self.warehouse.tables.clear()
        before = self.state if is_merged else {}
        run = self.run(state={}).ok()
        self.keep(run)
        self.state = merged(run.states, before)
        self.check(run)

    @invariant()
    def no_bookmark_is_past_a_file_that_is_not_loaded(self) -> None:
        if not self.went_back:
            check_mark(self.sandbox, self.warehouse, self.state, START, late=timedelta(days=1))


class TaskSyncs(Syncs):
    """Rows of Instal.com that change and vanish while days pass."""

    name = "instal"
    places = ("instal post", "instal poll", "storage")

    def __init__(self) -> None:
        super().__init__()
        put_all(self.sandbox, START, 90)

    def own(self) -> dict[str, Any]:
        return {"window": "week", "lookback_days": LOOKBACK, "result_max_age_hours": 0}

    def check(self, run: Run) -> None:
        check_report(self.sandbox, self.warehouse, START, self.yesterday)
        assert run.bookmark(REPORT) == self.yesterday.isoformat()

    @initialize()
    def first_sync(self) -> None:
        self.a_sync()

    @rule(ago=st.integers(0, LOOKBACK - 6), costs=st.lists(st.integers(0, 99), max_size=4))
    def rows_change(self, ago: int, costs: list[int]) -> None:
        """A week keeps a row at least; one that lost them all is told of as an error."""
        day = self.yesterday - timedelta(days=ago)
        rows = [f"{cost}.125" for cost in costs]
        put(self.sandbox, day, rows if day.weekday() else rows or ["1"])
        # What changes is seen before it is settled.
        self.a_sync()

    @rule(ago=st.integers(0, 5), count=st.integers(0, 1))
    def rows_change_unseen(self, ago: int, count: int) -> None:
        """The next sync is not so late that the day is settled by then."""
        day = self.yesterday - timedelta(days=ago)
        put(self.sandbox, day, ["3.5"][: count or day.weekday() == 0])
        self.clock.advance(hours=19)
        self.a_sync_that_is_cut(at=0.6, older=0)
        self.a_sync()

    @rule(word=st.sampled_from(["FAILURE", "REVOKED"]))
    @precondition(lambda self: not self.sandbox.instal._outcomes)
    def a_task_will_end_badly(self, word: str) -> None:
        self.sandbox.instal.end_next(word)

    @rule()
    def a_sync_whose_task_never_ends(self) -> None:
        self.sandbox.instal._outcomes.clear()
        self.sandbox.instal.end_next("PENDING")
        run = self.run(job_timeout_seconds=100)
        self.keep(run)
        self.sandbox.instal._outcomes.clear()
        if run.error is None:
            self.check(run)

    @rule(is_merged=st.booleans())
    def a_full_refresh(self, is_merged: bool) -> None:
        before = self.state if is_merged else {}
        run = self.run(state={}).ok()
        self.keep(run)
        self.state = merged(run.states, before)
        self.went_back = False
        self.check(run)

    @invariant()
    def what_the_ledger_calls_loaded_is_there(self) -> None:
        check_bookmark(self.state, REPORT, START)
        if not self.went_back:
            check_retired(self.warehouse, REPORT, self.state)


def run_it(machine: type[Syncs]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples(12),
            stateful_step_count=25,
            deadline=None,
            derandomize=True,
            database=None,
            # To shrink what was found takes minutes; add Phase.shrink for that.
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_after_any_syncs_in_a_row_the_warehouse_has_the_files_of_hienergy() -> None:
    run_it(FileSyncs)


def test_after_any_syncs_in_a_row_the_warehouse_equals_the_report_of_instal() -> None:
    run_it(TaskSyncs)
