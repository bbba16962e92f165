"""States of version 0.1.0 are taken over: without an export, and without a row lost or doubled."""

from __future__ import annotations

import copy
import json
from collections import Counter
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from harness import NOW, FakeClock, sync
from hienergy_instal import CSV, DEALS, REPORT, add, put_all
from model_loaders import Loader, merged
from small_source import SmallSource

from tap_affiliate_reports.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.chain

STATES = json.loads((Path(__file__).parent / "data" / "states_0_1_0.json").read_text())
START = date(2026, 10, 20)


class Old:
    """What version 0.1.0 left behind: its state, and its rows in a loader."""

    def __init__(self, name: str, sandbox: Sandbox) -> None:
        found = copy.deepcopy(STATES[name])
        self.config = found["config"]
        for source in {"impact", "hienergy", "instal"} & self.config.keys():
            self.config[source]["api_url"] = sandbox.base_url(source)
        self.state = found["state"]
        self.loader = Loader(allows_empty_keys=True)
        for stream, keys in found["keys"].items():
            self.loader.load([{"type": "SCHEMA", "stream": stream, "key_properties": keys}])
            version = self.state["bookmarks"][stream].get("version")
            self.loader.load(
                [
                    {"type": "RECORD", "stream": stream, "record": row, "version": version}
                    for row in found["rows"][stream]
                ]
            )


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW + timedelta(minutes=1))


@pytest.fixture
def sandbox(clock: FakeClock) -> Iterator[Sandbox]:
    with Sandbox(
        now=clock.now, job_seconds=5, exports_per_day=10**6, timezone="America/New_York"
    ) as running:
        yield running


def shown(loader: Loader) -> Counter[tuple[str, str, str]]:
    return Counter(
        (row["Action_Id"], row["Day"], f"{Decimal(row['Payout']):.18f}")
        for row in loader.live("sales")
    )


@pytest.mark.parametrize("name", ["report", "programs", "primary keys"])
class TestReports:
    def test_it_is_taken_over_without_an_export_or_a_row(
        self, sandbox: Sandbox, clock: FakeClock, name: str
    ) -> None:
        SmallSource(sandbox, clock, ("sales",))
        old = Old(name, sandbox)
        run = sync(old.config, clock, state=old.state).ok()
        assert sandbox.impact.jobs == {}
        assert run.records("sales") == []
        state = run.state["bookmarks"]["sales"]
        marks = [part["replication_key_value"] for part in state["partitions"] or [state]]
        assert set(marks) == {"2026-11-18"}
        assert state["form"] == 2
        assert state["version"] == old.state["bookmarks"]["sales"].get("version")
        assert merged([run.state], old.state)["bookmarks"]["sales"].items() >= state.items()

    def test_the_merge_of_a_new_state_onto_it_means_the_new_one(
        self, sandbox: Sandbox, clock: FakeClock, name: str
    ) -> None:
        SmallSource(sandbox, clock, ("sales",))
        old = Old(name, sandbox)
        refresh = sync(old.config, clock).ok()
        jobs = len(sandbox.impact.jobs)
        again = sync(old.config, clock, state=merged(refresh.states, old.state)).ok()
        assert len(sandbox.impact.jobs) == jobs
        assert again.records("sales") == []
        assert again.state["bookmarks"]["sales"] == refresh.state["bookmarks"]["sales"]

    @pytest.mark.parametrize("reload", [None, "all"])
    def test_the_next_nights_lose_and_double_no_row(
        self, sandbox: Sandbox, clock: FakeClock, name: str, reload: str | None
    ) -> None:
        source = SmallSource(sandbox, clock, ("sales",))
        old = Old(name, sandbox)
        if reload:
            old.config["impact"]["window"] = "week"
            old.config["reload"] = reload
        state = old.state
        for night in range(3):
            clock.advance(days=1)
            if night == 1 and name != "primary keys":
                source.put("sales", date(2026, 11, 15), [])
            old.config["impact"]["result_max_age_hours"] = 0
            run = sync(old.config, clock, state=state).ok()
            old.loader.load(run.messages)
            state = run.state
            rows = source.at("sales", clock.now(), START, date(2026, 11, 19 + night))
            programs = 2 if name == "programs" else 1
            assert shown(old.loader) == Counter(dict.fromkeys(rows, programs)), night


def test_a_pending_version_that_was_merged_counts_old_windows_as_not_loaded(
    sandbox: Sandbox, clock: FakeClock
) -> None:
    source = SmallSource(sandbox, clock, ("sales",))
    old = Old("report", sandbox)
    own = old.state["bookmarks"]["sales"]
    own["version"] = int(datetime(2026, 11, 20, tzinfo=timezone.utc).timestamp() * 1000)
    own["version_pending"] = True
    clock.advance(days=1)
    run = sync(old.config, clock, state=old.state).ok()
    old.loader.load(run.messages)
    rows = source.at("sales", clock.now(), START, date(2026, 11, 19))
    assert shown(old.loader) == Counter(rows)
    assert run.state["bookmarks"]["sales"]["version_pending"] is False


def test_instal_rows_of_the_account_that_had_no_label_are_retired_as_they_are_refreshed(
    sandbox: Sandbox, clock: FakeClock
) -> None:
    put_all(sandbox, START, 60)
    old = Old("instal", sandbox)
    clock.advance(hours=1)
    first = sync(old.config, clock, state=old.state).ok()
    assert (first.records(REPORT), sandbox.instal.tasks) == ([], {})
    clock.advance(days=1)
    run = sync(old.config, clock, state=first.state).ok()
    old.loader.load(run.messages)
    live = [row for row in old.loader.live(REPORT) if row["_window_start"] == "2026-11-01"]
    there = sandbox.instal.rows(date(2026, 11, 1), date(2026, 11, 19))
    assert len(live) == len(there)
    assert {row["_account"] for row in live} == {"default"}
    assert {row["_account"] for row in old.loader.live(REPORT)} == {"", "default"}


def test_hienergy_files_that_are_loaded_are_not_loaded_again(
    sandbox: Sandbox, clock: FakeClock
) -> None:
    sandbox.hienergy.exports.clear()
    old = Old("hienergy", sandbox)
    for kind in (CSV, DEALS):
        ((export, finished),) = old.state["bookmarks"][kind]["loaded"].items()
        at = datetime.fromisoformat(finished.replace("Z", "+00:00"))
        made = add(sandbox, kind, "old", completed_at=at)
        sandbox.hienergy.exports[int(export)] = sandbox.hienergy.exports.pop(made.id)
        made.id = int(export)
    run = sync(old.config, clock, state=old.state).ok()
    assert (run.records(CSV), run.records(DEALS)) == ([], [])
    refresh = sync(old.config, clock).ok()
    state = merged(refresh.states, old.state)
    new = add(sandbox, CSV, "new")
    clock.advance(days=1)
    run = sync(old.config, clock, state=state).ok()
    assert {row["_export_id"] for row in run.records(CSV)} == {new.id}


def test_a_reload_of_hienergy_rows_that_had_no_account_label_is_refused(
    sandbox: Sandbox, clock: FakeClock
) -> None:
    sandbox.hienergy.exports.clear()
    old = Old("hienergy", sandbox)
    run = sync({**old.config, "reload": "all"}, clock, state=old.state)
    assert "_account" in str(run.error)
    assert run.records(CSV) == []
    labelled = copy.deepcopy(old.config)
    labelled["hienergy"]["account"] = "mine"
    sync({**labelled, "reload": "all"}, clock, state=old.state).ok()


def test_what_a_merge_left_beside_the_windows_is_not_loaded_beside_them(
    sandbox: Sandbox, clock: FakeClock
) -> None:
    source = SmallSource(sandbox, clock, ("sales",))
    old = Old("report", sandbox)
    own = old.state["bookmarks"]["sales"]
    entry = {"end": "2026-10-25", "rows": 9, "refreshed_at": "2026-11-01T00:00:00Z"}
    own["windows"]["2026-10-19"] = {**entry, "start": "2026-10-20"}
    old.config["reload"] = "all"
    clock.advance(hours=1)
    run = sync(old.config, clock, state=old.state).ok()
    old.loader.load(run.messages)
    assert "2026-10-19" not in run.windows("sales")
    assert shown(old.loader) == Counter(source.at("sales", clock.now(), START, date(2026, 11, 18)))


def test_windows_and_partitions_that_a_merge_left_together_are_both_retired(
    sandbox: Sandbox, clock: FakeClock
) -> None:
    source = SmallSource(sandbox, clock, ("sales",))
    old = Old("report", sandbox)
    own = old.state["bookmarks"]["sales"]
    programs = STATES["programs"]["state"]["bookmarks"]["sales"]
    own["partitions"] = copy.deepcopy(programs["partitions"])
    own["fingerprint"] = programs["fingerprint"]
    clock.advance(hours=1)
    run = sync({**old.config, "reload": "all"}, clock, state=old.state).ok()
    old.loader.load(run.messages)
    assert shown(old.loader) == Counter(source.at("sales", clock.now(), START, date(2026, 11, 18)))
