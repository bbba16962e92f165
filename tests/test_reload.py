"""The setting `reload`: which windows are loaded again, what it costs, and when old rows go."""

from __future__ import annotations

import copy
from collections import Counter
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from harness import FakeClock, Run, config_for, discover, sync
from hienergy_instal import CSV, REPORT, add, config_of, put, put_all
from model_loaders import Loader, merged
from small_source import SmallSource

from tap_affiliate_reports.errors import TapError
from tap_affiliate_reports.sandbox import Sandbox, body

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

pytestmark = pytest.mark.chain

START, YESTERDAY = date(2026, 10, 5), date(2026, 11, 18)
# A month ago nothing changes any more.
LOOKBACK = 12


@pytest.fixture
def sandbox(clock: FakeClock) -> Iterator[Sandbox]:
    with Sandbox(
        now=clock.now, job_seconds=5, exports_per_day=10**6, timezone="America/New_York"
    ) as running:
        yield running
        assert not running.unmatched


@pytest.fixture
def source(sandbox: Sandbox, clock: FakeClock) -> SmallSource:
    return SmallSource(sandbox, clock, ("sales",))


@pytest.fixture
def config(sandbox: Sandbox, source: SmallSource) -> dict[str, Any]:
    return config_for(
        sandbox, reports=["sales"], START_DATE=START.isoformat(), lookback_days=LOOKBACK
    )


def having(config: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """Return the configuration with other settings, top-level ones in upper case."""
    top = {key.lower(): more.pop(key) for key in list(more) if key.isupper()}
    return {**config, **top, "impact": {**config["impact"], **more}}


@pytest.fixture
def spent(sandbox: Sandbox) -> Callable[[], tuple[int, int]]:
    """Return how many exports and replays were asked for since the last call."""
    seen = 0

    def count() -> tuple[int, int]:
        nonlocal seen
        new = sandbox.requests[seen:]
        seen = len(sandbox.requests)
        return (
            sum("/ReportExport/" in request.path for request in new),
            sum(request.path.endswith("/Replay") for request in new),
        )

    return count


def slots(run: Run) -> list[str]:
    return list(
        dict.fromkeys(r["_window_start"] for r in run.records("sales") if not r["_deleted"])
    )


def is_same(state: Mapping[str, Any], before: Mapping[str, Any]) -> bool:
    return bool(state["bookmarks"]["sales"] == before["bookmarks"]["sales"])


def shown(loader: Loader) -> Counter[tuple[str, str, str]]:
    return Counter(
        (row["Action_Id"], row["Day"], f"{Decimal(row['Payout']):.18f}")
        for row in loader.live("sales")
    )


def there(source: SmallSource, clock: FakeClock, start: date = START) -> Counter[Any]:
    last = (clock.now() - timedelta(hours=11)).date() - timedelta(days=1)
    return Counter(source.at("sales", clock.now(), start, last))


class TestDays:
    def test_windows_that_touch_the_days_are_replayed_settled_or_not_and_no_other(
        self, source: SmallSource, config: dict[str, Any], clock: FakeClock, spent: Any
    ) -> None:
        loader = Loader()
        weekly = having(config, window="week")
        run = sync(weekly, clock).ok()
        loader.load(run.messages)
        assert spent() == (7, 0)
        source.put("sales", date(2026, 10, 14), ["7", "8", "9"])
        clock.advance(hours=1)
        reload = having(weekly, RELOAD="2026-10-14/2026-10-19")
        run = sync(reload, clock, state=run.state).ok()
        loader.load(run.messages)
        assert slots(run) == ["2026-10-12", "2026-10-19"]
        assert spent() == (0, 2)
        assert run.said("reload is set to 2026-10-14/2026-10-19")
        assert shown(loader) == there(source, clock)
        assert run.state["bookmarks"]["sales"]["reload"] is None

        clock.advance(hours=1)
        after = sync(weekly, clock, state=run.state).ok()
        assert (after.records("sales"), spent()) == ([], (0, 0))
        assert not after.said("reload is set")

    def test_without_a_known_job_the_old_one_that_an_export_gives_is_replayed(
        self, source: SmallSource, config: dict[str, Any], clock: FakeClock, spent: Any
    ) -> None:
        run = sync(config, clock).ok()
        state = copy.deepcopy(run.state)
        for window in state["bookmarks"]["sales"]["windows"]:
            window["job"] = ""
        spent()
        clock.advance(hours=1)
        run = sync(having(config, RELOAD="2026-10-10"), clock, state=state).ok()
        assert slots(run) == ["2026-10-01"]
        assert spent() == (1, 1)

    @pytest.mark.kill
    def test_a_reload_cut_anywhere_goes_on_without_the_setting(
        self, source: SmallSource, config: dict[str, Any], clock: FakeClock, spent: Any
    ) -> None:
        weekly = having(config, window="week")
        first = sync(weekly, clock).ok()
        source.put("sales", date(2026, 10, 14), [])
        source.put("sales", date(2026, 10, 21), ["1", "2", "3"])
        clock.advance(hours=1)
        reload = having(weekly, RELOAD="2026-10-14/2026-10-25")
        whole = sync(reload, clock, state=first.state).ok()
        for cut in range(len(whole.messages)):
            arrived = whole.messages[:cut]
            states = [m["value"] for m in arrived if m["type"] == "STATE"]
            if not states or is_same(states[-1], first.state):
                continue  # it did not begin
            loader = Loader()
            loader.load(first.messages)
            loader.load(arrived)
            rest = sync(weekly, clock, state=states[-1]).ok()
            loader.load(rest.messages)
            assert shown(loader) == there(source, clock), f"cut before message {cut}"

    def test_asked_for_again_while_under_way_it_does_not_begin_anew(
        self, source: SmallSource, config: dict[str, Any], clock: FakeClock, spent: Any
    ) -> None:
        weekly = having(config, window="week")
        state = copy.deepcopy(sync(weekly, clock).ok().state)
        for window in state["bookmarks"]["sales"]["windows"]:
            window["job"] = ""
        clock.advance(hours=1)
        reload = having(weekly, RELOAD="2026-10-05/2026-10-31")
        short = sync(having(reload, max_exports=2), clock, state=state)
        assert isinstance(short.error, TapError)
        assert slots(short) == ["2026-10-05", "2026-10-12"]
        assert short.state["bookmarks"]["sales"]["reload"] == "2026-10-05/2026-10-31"
        rest = sync(reload, clock, state=short.state).ok()
        assert slots(rest) == ["2026-10-19", "2026-10-26"]
        again = sync(reload, clock, state=rest.state).ok()
        assert slots(again) == ["2026-10-05", "2026-10-12", "2026-10-19", "2026-10-26"]

    def test_a_stream_that_is_through_waits_for_the_others(
        self, sandbox: Sandbox, config: dict[str, Any], clock: FakeClock
    ) -> None:
        SmallSource(sandbox, clock, ("other", "sales"))
        both = having(config, reports=["other", "sales"], window="month")
        run = sync(both, clock).ok()
        clock.advance(hours=1)
        sandbox.impact.fail_next("FAILED", "no luck", times=3)
        reload = having(both, RELOAD="2026-10-10", max_concurrent_jobs=1)
        short = sync(reload, clock, state=run.state)
        assert isinstance(short.error, TapError)
        sandbox.impact._outcomes.clear()
        rest = sync(reload, clock, state=short.state).ok()
        assert {bool(short.records(name)) for name in ("other", "sales")} == {True, False}
        assert {bool(rest.records(name)) for name in ("other", "sales")} == {True, False}

    def test_loaded_windows_outside_of_the_dates_are_loaded_again_too(
        self, source: SmallSource, config: dict[str, Any], clock: FakeClock, spent: Any
    ) -> None:
        run = sync(config, clock).ok()
        spent()
        later = having(config, START_DATE="2026-11-01", RELOAD="2026-10-10")
        clock.advance(hours=1)
        assert slots(sync(later, clock, state=run.state).ok()) == ["2026-10-01"]
        assert spent() == (0, 1)

    @pytest.mark.parametrize(
        "text", ["yesterday", "2026-13-01", "2026-10-02/2026-10-01", "2026-10-01/", "a/b/c", ""]
    )
    def test_what_is_neither_days_nor_all_is_refused(
        self, config: dict[str, Any], clock: FakeClock, text: str
    ) -> None:
        run = sync(having(config, RELOAD=text), clock)
        if text:
            assert "reload" in str(getattr(run.error, "errors", run.error))
        else:
            run.ok()


SHAPES: dict[str, dict[str, Any]] = {
    "window": {"window": "week"},
    "program_ids": {"program_ids": ["1", "2"]},
    "filters": {"report_options": {"sales": {"filters": {"STATUS": ["A"]}}}},
    "mode": {"report_options": {"sales": {"mode": "run"}}},
    "timezone": {"timezone": "Asia/Tokyo"},
    "primary_keys": {"report_options": {"sales": {"primary_keys": ["Action_Id"]}}},
    "no dates": {"window": "none"},
}
EXPORTS = {
    "window": 7,
    "program_ids": 4,
    "filters": 2,
    "mode": 0,
    "timezone": 2,
    "primary_keys": 2,
    "no dates": 1,
}


class TestAll:
    def test_every_window_is_loaded_again_by_replay(
        self, source: SmallSource, config: dict[str, Any], clock: FakeClock, spent: Any
    ) -> None:
        loader = Loader(honours_versions=False)
        run = sync(config, clock).ok()
        loader.load(run.messages)
        spent()
        source.put("sales", date(2026, 10, 10), [])
        clock.advance(hours=1)
        run = sync(having(config, RELOAD="all"), clock, state=run.state).ok()
        loader.load(run.messages)
        assert spent() == (0, 2)
        assert shown(loader) == there(source, clock)

    @pytest.mark.parametrize("name", [name for name in SHAPES if name != "no dates"])
    @pytest.mark.parametrize("back", [False, True], ids=["to", "back"])
    def test_a_change_of_shape_is_refused_until_a_reload_of_all(
        self,
        source: SmallSource,
        config: dict[str, Any],
        clock: FakeClock,
        spent: Any,
        name: str,
        back: bool,
    ) -> None:
        plain, shaped = config, having(config, **SHAPES[name])
        before, after = (shaped, plain) if back else (plain, shaped)
        # Rows with keys of the user's can be addressed one by one by nobody.
        loader = Loader(honours_versions=name == "primary_keys")
        run = sync(before, clock).ok()
        loader.load(run.messages)
        spent()
        clock.advance(days=1)
        refused = sync(after, clock, state=run.state)
        assert "reload: all" in str(refused.error)
        assert refused.records("sales") == []
        assert spent() == (0, 0)
        run = sync(having(after, RELOAD="all"), clock, state=refused.state).ok()
        loader.load(run.messages)
        exports = 2 if back else EXPORTS[name]
        assert spent()[0] == exports
        programs = 2 if name == "program_ids" and not back else 1
        rows = there(source, clock)
        assert shown(loader) == Counter(dict.fromkeys(rows, programs))
        assert run.state["bookmarks"]["sales"]["former"] == []
        assert run.state["bookmarks"]["sales"]["reload"] is None
        clock.advance(hours=1)
        assert sync(after, clock, state=run.state).ok().records("sales") == []

    def test_old_rows_stay_live_until_the_new_windows_cover_their_days(
        self, source: SmallSource, config: dict[str, Any], clock: FakeClock
    ) -> None:
        weekly = having(config, window="week", RELOAD="all")
        loader = Loader(honours_versions=False)
        run = sync(config, clock).ok()
        loader.load(run.messages)
        rows = there(source, clock)
        clock.advance(hours=1)
        for _ in range(6):
            run = sync(having(weekly, max_exports=1), clock, state=run.state)
            assert isinstance(run.error, TapError)
            loader.load(run.messages)
            assert shown(loader).keys() >= rows.keys()
        run = sync(having(weekly, max_exports=1), clock, state=run.state).ok()
        loader.load(run.messages)
        assert shown(loader) == rows

    @pytest.mark.kill
    def test_a_reload_of_another_shape_cut_anywhere_goes_on_without_the_setting(
        self, source: SmallSource, config: dict[str, Any], clock: FakeClock, spent: Any
    ) -> None:
        weekly = having(config, window="week")
        first = sync(config, clock).ok()
        source.put("sales", date(2026, 10, 14), [])
        clock.advance(hours=1)
        whole = sync(having(weekly, RELOAD="all"), clock, state=first.state).ok()
        for cut in range(len(whole.messages)):
            arrived = whole.messages[:cut]
            states = [m["value"] for m in arrived if m["type"] == "STATE"]
            if not states or is_same(states[-1], first.state):
                continue  # it did not begin
            loader = Loader(honours_versions=False)
            loader.load(first.messages)
            loader.load(arrived)
            rest = sync(weekly, clock, state=states[-1]).ok()
            loader.load(rest.messages)
            assert shown(loader) == there(source, clock), f"cut before message {cut}"

    def test_the_shape_may_change_again_while_a_reload_is_under_way(
        self, source: SmallSource, config: dict[str, Any], clock: FakeClock
    ) -> None:
        loader = Loader(honours_versions=False)
        run = sync(config, clock).ok()
        loader.load(run.messages)
        short = sync(
            having(config, window="week", RELOAD="all", max_exports=3), clock, state=run.state
        )
        loader.load(short.messages)
        run = sync(having(config, window="quarter", RELOAD="all"), clock, state=short.state).ok()
        loader.load(run.messages)
        assert shown(loader) == there(source, clock)

    @pytest.mark.parametrize("to_snapshot", [True, False])
    def test_to_a_snapshot_and_back(
        self,
        sandbox: Sandbox,
        config: dict[str, Any],
        clock: FakeClock,
        to_snapshot: bool,
    ) -> None:
        report = sandbox.impact.reports["sales"]
        report.rows_as_of = None
        report.rows = lambda *_: [["a", "2026-10-10", "1"], ["b", "2026-11-10", "2"]]
        loader = Loader(honours_versions=False)
        shapes = [{"window": "year"}, {"window": "none"}]
        before, after = shapes if to_snapshot else shapes[::-1]
        run = sync(having(config, **before), clock).ok()
        loader.load(run.messages)
        clock.advance(days=1)
        run = sync(having(config, **after, RELOAD="all"), clock, state=run.state).ok()
        loader.load(run.messages)
        assert sorted(row["Action_Id"] for row in loader.live("sales")) == ["a", "b"]

    def test_new_windows_cover_the_old_one_that_the_start_date_cuts(
        self, source: SmallSource, config: dict[str, Any], clock: FakeClock
    ) -> None:
        loader = Loader(honours_versions=False)
        run = sync(config, clock).ok()
        loader.load(run.messages)
        later = having(config, START_DATE="2026-10-20", window="week", RELOAD="all")
        run = sync(later, clock, state=run.state).ok()
        loader.load(run.messages)
        assert shown(loader) == there(source, clock)

    def test_an_old_window_outside_of_the_dates_stays_as_it_is(
        self, source: SmallSource, config: dict[str, Any], clock: FakeClock
    ) -> None:
        loader = Loader()
        run = sync(config, clock).ok()
        loader.load(run.messages)
        later = having(config, START_DATE="2026-11-02", window="week", RELOAD="all")
        run = sync(later, clock, state=run.state).ok()
        loader.load(run.messages)
        assert shown(loader) == there(source, clock)
        earlier = having(config, window="week")
        loader.load(sync(earlier, clock, state=run.state).ok().messages)
        assert shown(loader) == there(source, clock)

    def test_with_the_same_primary_keys_only_what_vanished_is_retired(
        self, source: SmallSource, config: dict[str, Any], clock: FakeClock
    ) -> None:
        keyed = having(config, report_options={"sales": {"primary_keys": ["Action_Id"]}})
        loader = Loader()
        run = sync(keyed, clock).ok()
        loader.load(run.messages)
        source.put("sales", date(2026, 10, 14), [])
        weekly = having(keyed, window="week", RELOAD="all")
        run = sync(weekly, clock, state=run.state).ok()
        loader.load(run.messages)
        assert not [row for row in run.records("sales") if row["_deleted"]]
        assert shown(loader) == there(source, clock)


class TestListsAndFiles:
    def test_a_list_is_read_from_the_day_or_from_its_beginning(
        self, sandbox: Sandbox, config: dict[str, Any], clock: FakeClock
    ) -> None:
        run = sync(config, clock).ok()
        clock.advance(days=200)
        run = sync(config, clock, state=run.state).ok()
        usual = {row["Id"] for row in sync(config, clock, state=run.state).ok().records("jobs")}
        everything = {
            row["Id"]
            for row in sync(having(config, RELOAD="all"), clock, state=run.state)
            .ok()
            .records("jobs")
        }
        assert everything > usual

    @pytest.mark.parametrize("text", ["all", "2026-11-10/2026-11-11"])
    def test_finished_files_are_loaded_again_once(
        self, sandbox: Sandbox, clock: FakeClock, text: str
    ) -> None:
        sandbox.hienergy.exports.clear()
        now = clock.now()
        made = [
            add(sandbox, CSV, f"file {ago}", completed_at=now - timedelta(days=ago))
            for ago in (12, 9, 8, 1)
        ]
        config = config_of(sandbox, date(2026, 10, 1), hienergy={})
        run = sync(config, clock).ok()
        assert {row["_export_id"] for row in run.records(CSV)} == {one.id for one in made}
        again = sync({**config, "reload": text}, clock, state=run.state).ok()
        wanted = made if text == "all" else made[1:3]
        assert [row["_export_id"] for row in again.records(CSV)] == [
            one.id for one in wanted for _ in range(3)
        ]
        assert sync(config, clock, state=again.state).ok().records(CSV) == []

    def test_files_that_a_reload_did_not_come_to_are_loaded_by_the_next_sync(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        sandbox.hienergy.exports.clear()
        now = clock.now()
        made = [
            add(sandbox, CSV, f"file {ago}", completed_at=now - timedelta(days=ago))
            for ago in (9, 8, 7)
        ]
        config = config_of(sandbox, date(2026, 10, 1), hienergy={})
        run = sync(config, clock).ok()
        reload = sync({**config, "reload": "2026-11-10/2026-11-12"}, clock, state=run.state).ok()
        for position, message in enumerate(reload.messages):
            if message["type"] != "STATE" or message["value"] == run.state:
                continue  # it did not begin
            before = {
                m["record"]["_export_id"]
                for m in reload.messages[:position]
                if m["type"] == "RECORD" and m["stream"] == CSV
            }
            rest = sync(config, clock, state=message["value"]).ok()
            after = {row["_export_id"] for row in rest.records(CSV)}
            assert before | after == {one.id for one in made}
            assert not before & after

    def test_a_lost_warehouse_and_a_full_refresh_that_stopped_load_the_newest_files_again(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:

        sandbox.hienergy.exports.clear()
        now = clock.now()
        made = [
            add(sandbox, CSV, f"file {ago}", completed_at=now - timedelta(hours=ago))
            for ago in (30, 20, 10)
        ]
        config = config_of(sandbox, date(2026, 10, 1), hienergy={})
        before = sync(config, clock).ok()
        refresh = sync(config, clock).ok()
        states = refresh.states
        for count in range(1, len(states) + 1):
            position = [n for n, m in enumerate(refresh.messages) if m["type"] == "STATE"][
                count - 1
            ]
            loaded = {
                m["record"]["_export_id"]
                for m in refresh.messages[:position]
                if m["type"] == "RECORD" and m["stream"] == CSV
            }
            rest = sync(config, clock, state=merged(states[:count], before.state)).ok()
            loaded |= {row["_export_id"] for row in rest.records(CSV)}
            assert loaded == {one.id for one in made}, count


class TestWhatIsLeftOver:
    """What an interrupted run left behind is repaired, whatever the settings are by then."""

    def test_a_window_cut_half_way_is_repaired_though_the_start_date_passed_it(
        self, source: SmallSource, config: dict[str, Any], clock: FakeClock
    ) -> None:
        daily = having(config, window="day", START_DATE="2026-11-10")
        loader = Loader()
        first = sync(daily, clock).ok()
        loader.load(first.messages)
        source.put("sales", date(2026, 11, 10), ["1", "2", "3"])
        clock.advance(days=1)
        second = sync(daily, clock, state=first.state).ok()
        cut = next(
            place
            for place, message in enumerate(second.messages)
            if message["type"] == "RECORD" and message["record"].get("Day") == "2026-11-10"
        )
        arrived = second.messages[: cut + 1]
        loader.load(arrived)
        (*_, state) = [m["value"] for m in arrived if m["type"] == "STATE"]
        later = having(daily, START_DATE="2026-11-11")
        loader.load(sync(later, clock, state=state).ok().messages)
        assert shown(loader) == there(source, clock, date(2026, 11, 10))

    def test_a_full_table_run_that_was_killed_leaves_no_bookmark_of_the_user(
        self, source: SmallSource, config: dict[str, Any], clock: FakeClock
    ) -> None:
        catalog = discover(config, clock)
        for stream in catalog["streams"]:
            if stream["tap_stream_id"] == "sales":
                stream["replication_method"] = "FULL_TABLE"
        november = having(config, START_DATE="2026-11-01")
        loader = Loader()
        first = sync(november, clock).ok()
        loader.load(first.messages)
        october = having(config, START_DATE="2026-10-05", END_DATE="2026-10-31", max_exports=0)
        stopped = sync(october, clock, state=first.state, catalog=catalog)
        loader.load(stopped.messages)
        rest = sync(config, clock, state=stopped.state).ok()
        loader.load(rest.messages)
        assert shown(loader) == there(source, clock)

    def test_a_row_that_a_filter_leaves_out_retires_the_old_row_in_its_place(
        self, source: SmallSource, config: dict[str, Any], clock: FakeClock
    ) -> None:
        config = {**config, "stream_maps": {"sales": {"__filter__": "Day != '2026-10-10'"}}}
        loader = Loader(honours_versions=False)
        first = sync(config, clock).ok()
        loader.load(first.messages)
        source.put("sales", date(2026, 10, 7), ["1", "2", "3", "4"])
        clock.advance(hours=1)
        changed = having(config, report_options={"sales": {"filters": {"A": ["1"]}}}, RELOAD="all")
        loader.load(sync(changed, clock, state=first.state).ok().messages)
        rows = there(source, clock)
        assert shown(loader) == Counter({r: n for r, n in rows.items() if r[1] != "2026-10-10"})

    def test_primary_keys_set_while_a_reload_is_under_way_give_no_row_a_null_key(
        self, source: SmallSource, config: dict[str, Any], clock: FakeClock
    ) -> None:
        loader = Loader()
        first = sync(config, clock).ok()
        loader.load(first.messages)
        weekly = having(config, window="week", RELOAD="all")
        short = sync(having(weekly, max_exports=1), clock, state=first.state)
        loader.load(short.messages)
        keyed = having(weekly, report_options={"sales": {"primary_keys": ["Action_Id"]}})
        loader.load(sync(keyed, clock, state=short.state).ok().messages)
        assert shown(loader) == there(source, clock)

    @pytest.mark.parametrize("text", ["2026-10-10", "all"])
    def test_a_reload_that_is_through_is_begun_again_when_it_is_asked_for_again(
        self, sandbox: Sandbox, source: SmallSource, config: dict[str, Any], clock: FakeClock,
        text: str,
    ) -> None:  # fmt: skip
        first = sync(config, clock).ok()
        state = copy.deepcopy(first.state)
        state["bookmarks"]["gone"] = {"replication_key_value": "2026-11-01"}
        clock.advance(hours=1)
        failed = sync(having(config, RELOAD=text), clock, state=state)
        assert "2026-10-01" in slots(failed)
        assert isinstance(failed.error, TapError), "a report that is gone fails every run"
        clock.advance(days=1)
        plain = sync(config, clock, state=failed.state)
        clock.advance(days=30)
        again = sync(having(config, RELOAD=text), clock, state=plain.state)
        assert "2026-10-01" in slots(again)

    def test_other_days_asked_for_half_way_lose_none_of_the_first_files(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        sandbox.hienergy.exports.clear()
        now = clock.now()
        made = [
            add(sandbox, CSV, f"file {ago}", completed_at=now - timedelta(days=ago))
            for ago in (12, 9, 8)
        ]
        config = config_of(sandbox, date(2026, 10, 1), hienergy={})
        run = sync(config, clock).ok()
        reload = sync({**config, "reload": "2026-11-10/2026-11-11"}, clock, state=run.state).ok()
        halves = [
            message["value"]
            for message in reload.messages
            if message["type"] == "STATE"
            and len(message["value"]["bookmarks"][CSV].get("reloaded", ())) == 1
        ]
        other = sync({**config, "reload": "2026-11-07"}, clock, state=halves[0]).ok()
        loaded = {row["_export_id"] for row in other.records(CSV)}
        assert {made[0].id, made[2].id} <= loaded

    def test_files_past_the_end_date_hold_no_reload_open(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        sandbox.hienergy.exports.clear()
        now = clock.now()
        for ago in (9, 1):
            add(sandbox, CSV, f"file {ago}", completed_at=now - timedelta(days=ago))
        config = {**config_of(sandbox, date(2026, 10, 1), hienergy={}), "end_date": "2026-11-15"}
        run = sync(config, clock).ok()
        reload = sync({**config, "reload": "2026-11-10"}, clock, state=run.state).ok()
        assert len(reload.records(CSV)) == 3
        assert reload.state["bookmarks"][CSV]["reload"] is None

    def test_an_empty_file_of_a_window_that_was_not_named_is_refused(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        put_all(sandbox, START, 60)
        config = config_of(sandbox, START, instal={"lookback_days": 90})
        state = copy.deepcopy(sync(config, clock).ok().state)
        state["bookmarks"][REPORT]["reload"] = "all"
        for window in state["bookmarks"][REPORT]["windows"]:
            window["reload_after"] = "2026-11-19T16:00:00Z"
        for day in range(5, 32):
            put(sandbox, date(2026, 10, day), [])
        clock.advance(days=1)
        run = sync({**config, "reload": "2026-11-05"}, clock, state=state)
        assert "2026-10-05..2026-10-31" in str(run.error)
        assert "is empty where" in str(run.error)
        assert not [row for row in run.records(REPORT) if row["_deleted"]]

    def test_an_empty_file_under_other_settings_is_refused_in_each_sync(
        self,
        sandbox: Sandbox,
        source: SmallSource,
        clock: FakeClock,
        config: dict[str, Any],
    ) -> None:
        """The job that the first of them notes is no load of the window."""
        loader = Loader()
        run = sync(config, clock).ok()
        loader.load(run.messages)
        live = len(loader.live("sales"))
        sandbox.faults.add("GET /storage/", body(b""), times=None)
        other = having(config, report_options={"sales": {"filters": {"STATE": "OPEN"}}})
        state = run.state
        for reload in ({"RELOAD": "all"}, {}, {}):
            clock.advance(days=1)
            run = sync(having(other, **reload), clock, state=state)
            loader.load(run.messages)
            state = run.state
            assert "is empty where" in str(run.error)
            assert len(loader.live("sales")) == live
        sandbox.faults.clear()
        sync(other, clock, state=state).ok()
