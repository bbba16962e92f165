"""A refreshed file that is identical to the one loaded costs the loader nothing."""

from __future__ import annotations

import copy
import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from harness import FakeClock, Run, Warehouse, config_for, discover, sync, windows_of
from hienergy_instal import config_of, put_all
from model_loaders import merged
from small_source import SmallSource, check_exact, check_ledger, check_retired

from tap_affiliate_reports.sandbox import Attribute, Report, Sandbox
from tap_affiliate_reports.streams.report import UNCHANGED
from tap_affiliate_reports.tap import TapAffiliateReports

pytestmark = pytest.mark.chain

OCTOBER = {"START_DATE": "2026-10-01", "END_DATE": "2026-10-31"}
LOOKBACK = 90
COLUMNS = [Attribute("Id"), Attribute("Day", "Date"), Attribute("Payout", "Decimal")]


class World:
    """A report of three rows in each of two months, and the settings that load both."""

    def __init__(self, sandbox: Sandbox, clock: FakeClock) -> None:
        self.sandbox, self.clock = sandbox, clock
        self.columns = list(COLUMNS)
        self.rows = [[f"{n}", f"2026-{m:02}-1{n}", f"{n}.5"] for m in (9, 10) for n in range(3)]
        sandbox.impact.add(Report("sales", "Sales", columns=self.columns, rows=self._rows))
        self.config = config_for(
            sandbox,
            reports=["sales"],
            lookback_days=LOOKBACK,
            START_DATE="2026-09-01",
            END_DATE="2026-10-31",
        )

    def _rows(self, start: date, end: date, *_: object) -> list[list[str]]:
        return [row for row in self.rows if str(start) <= row[1] <= str(end)]

    def night(self, run: Run | None = None, **options: Any) -> Run:
        """Sync a day later, from the state of another run."""
        self.clock.advance(days=1)
        state = options.pop("state", run.state if run else {})
        return sync(options.pop("config", self.config), self.clock, state=state, **options).ok()


@pytest.fixture
def world(sandbox: Sandbox, clock: FakeClock) -> World:
    return World(sandbox, clock)


def slots(run: Run) -> set[str]:
    return {row["_window_start"] for row in run.records("sales")}


BOTH = {"2026-09-01", "2026-10-01"}


def audit(run: Run) -> dict[str, tuple[bool, int, int, str]]:
    return {
        row["slot"]: (row["unchanged"], row["rows_emitted"], row["rows_in_file"], row["sha256"])
        for row in run.records("report_windows")
        if row["stream"] == "sales"
    }


def test_an_unchanged_window_writes_no_record_and_is_noted_as_looked_at(world: World) -> None:
    first = world.night()
    assert slots(first) == BOTH
    assert {row[:3] for row in audit(first).values()} == {(False, 3, 3)}
    replays = world.sandbox.impact.replays
    second = world.night(first)
    assert world.sandbox.impact.replays == replays + 2, "both files were looked at"
    assert second.records("sales") == []
    assert audit(second) == {
        slot: (True, 0, 3, digest) for slot, (*_, digest) in audit(first).items()
    }
    for slot, window in second.windows("sales").items():
        before = first.windows("sales")[slot]
        assert window["refreshed_at"] > before["refreshed_at"] == window["loaded_at"]
        assert (window["content"], window["rows"]) == (before["content"], 3)
        assert second.said((UNCHANGED % (f"sales {slot}..", 3, ""))[:20])
    assert second.bookmark("sales") == "2026-10-31"
    # Each window that was looked at is due again only a day later.
    again = sync(world.config, world.clock, state=second.state).ok()
    assert world.sandbox.impact.replays == replays + 2
    assert again.records("report_windows") == []
    third = world.night(second)
    assert third.records("sales") == []
    dates = [run.windows("sales")["2026-10-01"]["loaded_at"] for run in (second, third)]
    assert dates[0] == dates[1], "the rows are still those of the first file"


def test_only_the_window_that_changed_is_sent_and_may_change_back(world: World) -> None:
    first = world.night()
    warehouse = Warehouse()
    warehouse.load(first.messages)
    before = world.rows[4]
    run = first
    for row in (["9", *before[1:]], before, before):
        is_new = row != world.rows[4]
        world.rows[4] = row
        run = world.night(run)
        assert slots(run) == ({"2026-10-01"} if is_new else set())
        assert run.windows("sales")["2026-10-01"]["loaded_at"] is None or not is_new
        warehouse.load(run.messages)
        rows = [[r["Id"], r["Day"][:10], str(r["Payout"])] for r in warehouse.live("sales")]
        assert sorted(rows) == sorted(world.rows)


def without(catalog: dict[str, Any], column: str) -> dict[str, Any]:
    """Return a catalog in which a column of the report is not selected."""
    found = copy.deepcopy(catalog)
    for entry in found["streams"]:
        for item in entry["metadata"]:
            if entry["stream"] == "sales" and item["breadcrumb"][-1:] == [column]:
                item["metadata"]["selected"] = False
    return found


def test_another_selection_sends_the_rows_again(world: World) -> None:
    catalog = discover(world.config, world.clock)
    run = world.night(catalog=catalog)
    assert world.night(run, catalog=catalog).records("sales") == []
    fewer = world.night(run, catalog=without(catalog, "Id"))
    assert slots(fewer) == BOTH
    assert "Id" not in fewer.records("sales")[0]
    assert world.night(fewer, catalog=without(catalog, "Id")).records("sales") == []
    again = world.night(fewer, catalog=catalog)
    assert {row["Id"] for row in again.records("sales")} == {"0", "1", "2"}


def test_another_type_sends_the_rows_again(world: World) -> None:
    run = world.night()
    decimals = {**world.config, "use_singer_decimal": True}
    texts = world.night(run, config=decimals)
    assert {row["Payout"] for row in texts.records("sales")} == {"0.5", "1.5", "2.5"}
    assert world.night(texts, config=decimals).records("sales") == []
    # A type that MetaData changes is kept, and so are the values, until a full refresh.
    world.columns[2] = Attribute("Payout", "String")
    kept = world.night(texts, config=decimals)
    assert kept.records("sales") == []
    state = copy.deepcopy(kept.state)
    (payout,) = [one for one in state["bookmarks"]["sales"]["columns"] if one[0] == "Payout"]
    state["bookmarks"]["sales"]["columns"].remove(payout)
    changed = world.night(state=state, config=decimals)
    assert slots(changed) == BOTH


def test_another_zone_sends_the_rows_again(world: World) -> None:
    def zoned(name: str) -> dict[str, Any]:
        return {**world.config, "impact": {**world.config["impact"], "timezone": name}}

    run = world.night(config=zoned("America/New_York"))
    assert world.night(run, config=zoned("America/New_York")).records("sales") == []
    # Its rules are the same, so that the windows are too.
    alias = world.night(run, config=zoned("US/Eastern"))
    assert slots(alias) == BOTH
    other = world.night(run, config={**zoned("Europe/Berlin"), "reload": "all"})
    assert slots(other) == BOTH


def test_a_column_that_only_the_file_has_is_part_of_the_content(
    world: World, sandbox: Sandbox
) -> None:
    header = [*(column.name for column in COLUMNS), "Extra"]

    def raw(start: date, end: date, *_: object) -> bytes:
        rows = [",".join([*row, "x"]) for row in world._rows(start, end)]
        return "\n".join([",".join(header), *rows, ""]).encode()

    sandbox.impact.add(Report("sales", "Sales", columns=COLUMNS, raw=raw))
    run = world.night()
    assert {row["Extra"] for row in run.records("sales")} == {"x"}
    second = world.night(run)
    assert second.records("sales") == []
    header[-1] = "Other"
    third = world.night(second)
    assert {row["Other"] for row in third.records("sales")} == {"x"}


def test_a_column_that_only_the_file_has_is_sent_once_it_is_selected(
    world: World, sandbox: Sandbox
) -> None:
    def raw(start: date, end: date, *_: object) -> bytes:
        rows = [",".join([*row, "x"]) for row in world._rows(start, end)]
        return "\n".join(["Id,Day,Payout,Extra", *rows, ""]).encode()

    sandbox.impact.add(Report("sales", "Sales", columns=COLUMNS, raw=raw))
    catalog = discover(world.config, world.clock)
    extra = {"breadcrumb": ["properties", "Extra"], "metadata": {"selected": False}}
    (sales,) = [entry for entry in catalog["streams"] if entry["stream"] == "sales"]
    sales["metadata"].append(extra)
    first = world.night(catalog=catalog)
    assert "Extra" not in first.records("sales")[0]
    run = world.night(first, catalog=catalog)
    assert run.records("sales") == []
    extra["metadata"]["selected"] = True
    again = world.night(run, catalog=catalog)
    assert slots(again) == BOTH
    assert {row["Extra"] for row in again.records("sales")} == {"x"}


def test_another_stream_map_sends_the_rows_again(world: World) -> None:
    run = world.night()
    mapped = {**world.config, "stream_maps": {"sales": {"Id": "Id + 'x'"}}}
    first = world.night(run, config=mapped)
    assert {row["Id"] for row in first.records("sales")} == {"0x", "1x", "2x"}
    assert world.night(first, config=mapped).records("sales") == []
    mapped["stream_maps"]["sales"]["Id"] = "Id + 'y'"
    assert slots(world.night(first, config=mapped)) == BOTH
    # The map of another stream changes nothing.
    elsewhere = {**world.config, "stream_maps": {"reports": {"Id": "Id"}}}
    assert world.night(run, config=elsewhere).records("sales") == []


def test_another_version_of_the_tap_sends_the_rows_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = world.night()
    monkeypatch.setattr(TapAffiliateReports, "plugin_version", "9.9.9")
    again = world.night(run)
    assert slots(again) == BOTH
    assert world.night(again).records("sales") == []


@pytest.mark.parametrize(
    "change", [{"__key_properties__": ["_account", "Id"]}, {"__alias__": "both"}]
)
def test_a_map_that_changes_the_key_or_the_stream_sends_the_rows_each_time(
    world: World, change: dict[str, Any]
) -> None:
    """Rows of another window, or of another stream, may have replaced them."""
    config = {**world.config, "stream_maps": {"sales": {**change, "Id": "Id"}}}
    first = world.night(config=config)
    again = world.night(first, config=config)
    stream = change.get("__alias__", "sales")
    assert len(again.records(stream)) == len(first.records(stream)) == len(world.rows)


@pytest.mark.parametrize("reload", ["2026-10-05", "all"])
def test_a_reload_sends_the_rows_again(world: World, reload: str) -> None:
    run = world.night()
    again = world.night(run, config={**world.config, "reload": reload})
    assert slots(again) == (BOTH if reload == "all" else {"2026-10-01"})


def test_a_full_refresh_sends_all_rows_also_after_a_merge_by_meltano(world: World) -> None:
    first = world.night()
    refreshed = world.night()
    assert slots(refreshed) == BOTH
    kept = merged(refreshed.states, first.state)
    assert world.night(state=kept).records("sales") == []
    # One that stopped before its first window has loaded nothing.
    begun = merged(refreshed.states[:1], first.state)
    assert slots(world.night(state=begun)) == BOTH


def test_a_full_refresh_without_versions_sends_all_rows(world: World) -> None:
    catalog = discover(world.config, world.clock)
    (sales,) = [entry for entry in catalog["streams"] if entry["stream"] == "sales"]
    sales["replication_method"] = "FULL_TABLE"
    config = {**world.config, "emit_activate_version_messages": False}
    run = world.night(config=config)
    full = world.night(run, config=config, catalog=catalog)
    assert slots(full) == BOTH
    # The next run sends what one that stopped in its first window did not.
    unfinished = [
        state
        for state in full.states
        if windows_of(state["bookmarks"]["sales"])["2026-09-01"]["unfinished"]
    ]
    assert slots(world.night(state=unfinished[0], config=config)) == BOTH


def test_an_unfinished_window_is_sent_whatever_its_file(world: World) -> None:
    first = world.night()
    for state in first.states:
        run = world.night(state=state)
        finished = {
            window["slot"]
            for window in state["bookmarks"].get("sales", {}).get("windows", ())
            if window["refreshed_at"] and not window["unfinished"]
        }
        assert slots(run) == BOTH - finished


def test_a_state_without_contents_sends_the_rows_once_more(world: World) -> None:
    run = world.night()
    state = copy.deepcopy(run.state)
    for window in state["bookmarks"]["sales"]["windows"]:
        del window["content"], window["loaded_at"]
    second = world.night(state=state)
    assert slots(second) == BOTH
    assert world.night(second).records("sales") == []


def test_an_open_window_is_sent_because_its_end_moves_on(world: World) -> None:
    del world.config["end_date"]
    world.rows.append(["8", "2026-11-02", "8.5"])
    run = world.night()
    for end in ("2026-11-20", "2026-11-21"):
        run = world.night(run)
        assert {row["_window_end"] for row in run.records("sales")} == {end}


def test_a_settled_window_keeps_no_content(world: World) -> None:
    run = world.night()
    assert all(window["content"] for window in run.windows("sales").values())
    world.config["impact"]["lookback_days"] = 1
    for _ in range(2):
        run = world.night(config={**world.config, "reload": "2026-09-01/2026-10-31"}, run=run)
    assert {window["content"] for window in run.windows("sales").values()} == {None}


def test_a_window_that_settles_unchanged_keeps_no_content(world: World) -> None:
    world.config["impact"]["lookback_days"] = 25
    run = first = world.night()
    for _ in range(8):
        run = world.night(run)
        assert run.records("sales") == []
    october = run.windows("sales")["2026-10-01"]
    assert october["content"] is None
    assert october["loaded_at"] == first.windows("sales")["2026-10-01"]["refreshed_at"]


def test_a_snapshot_is_sent_once_a_day(sandbox: Sandbox, clock: FakeClock) -> None:
    """Its `_window_end` is the day of its file, which would be stale."""
    rows = [["1"], ["2"]]
    sandbox.impact.add(Report("stock", "Stock", [Attribute("Id")], lambda *_: rows))
    config = config_for(sandbox, reports=["stock"], window="none", result_max_age_hours=1)
    first = sync(config, clock).ok()
    clock.advance(hours=2)
    second = sync(config, clock, state=first.state).ok()
    assert len(second.records("stock")) == 0
    assert [row["unchanged"] for row in second.records("report_windows")] == [True]
    clock.advance(days=1)
    third = sync(config, clock, state=second.state).ok()
    assert {row["_window_end"] for row in third.records("stock")} == {"2026-11-20"}


def test_rows_of_a_user_s_keys_stay_live(world: World) -> None:
    """Of such a report the rows count that have their window's newest `_refreshed_at`."""
    options = {"sales": {"primary_keys": ["Id", "_window_start"]}}
    world.config["impact"]["report_options"] = options
    warehouse, run = Warehouse(), world.night()
    warehouse.load(run.messages)
    for _ in range(2):
        run = world.night(run)
        assert run.records("sales") == []
        warehouse.load(run.messages)
        assert len(warehouse.live("sales")) == len(world.rows)
    world.rows[:] = world.rows[1:]
    warehouse.load(world.night(run).messages)
    assert len(warehouse.live("sales")) == len(world.rows)


def test_a_row_that_moves_to_another_window_and_back_is_sent_again(world: World) -> None:
    """With a key that several windows may have, a window's rows may be changed by another one."""
    world.config["impact"]["report_options"] = {"sales": {"primary_keys": ["Id"]}}
    before = world.rows[:] = [["1", "2026-09-10", "1"], ["2", "2026-09-11", "2"]]
    warehouse, run = Warehouse(), world.night()
    warehouse.load(run.messages)
    world.rows[:] = [before[0], ["2", "2026-10-11", "2"]]
    # September is not looked at, as on a night on which its job fails.
    run = world.night(run, config={**world.config, "start_date": "2026-10-01"})
    warehouse.load(run.messages)
    world.rows[:] = [*before, ["3", "2026-10-12", "3"]]
    warehouse.load(world.night(run).messages)
    days = {row["Id"]: row["Day"][:10] for row in warehouse.live("sales")}
    assert days == {row[0]: row[1] for row in world.rows}


def test_tombstones_of_former_windows_do_not_hide_unchanged_rows(
    sandbox: Sandbox, clock: FakeClock
) -> None:
    """A reload over several nights: what is loaded is unchanged before the old rows are retired."""
    source = SmallSource(sandbox, clock, ["sales"])
    start = date(2026, 10, 1)
    base = {"reports": ["sales"], "lookback_days": LOOKBACK, "START_DATE": str(start)}
    quarter = config_for(sandbox, window="quarter", **base)
    month = config_for(sandbox, window="month", max_exports=1, **base)
    month["on_quota"] = "warn"
    warehouse = Warehouse()
    run = sync(quarter, clock).ok()
    warehouse.load(run.messages)
    unchanged = 0
    for night in range(4):
        clock.advance(days=1)
        config = {**month, "reload": "all"} if not night else month
        run = sync(config, clock, state=run.state).ok()
        warehouse.load(run.messages)
        unchanged += sum(row["unchanged"] for row in run.records("report_windows"))
        check_ledger(source, warehouse, run.state, "sales")
    assert unchanged > 0
    assert run.state["bookmarks"]["sales"]["former"] == []
    check_exact(source, warehouse, "sales", start, clock.now().date() - timedelta(days=1))
    check_retired(warehouse, "sales", run.state)


def test_instal_s_windows_are_compared_too(sandbox: Sandbox, clock: FakeClock) -> None:
    start = date(2026, 9, 1)
    put_all(sandbox, start, 60)
    config = {**config_of(sandbox, start, instal={}), "end_date": "2026-10-30"}
    config["instal"]["lookback_days"] = LOOKBACK
    first = sync(config, clock).ok()
    stream = "advertiser_report"
    assert first.records(stream)
    clock.advance(days=1)
    second = sync(config, clock, state=first.state).ok()
    assert second.records(stream) == []
    unchanged = [row["unchanged"] for row in second.records("report_windows")]
    assert unchanged == [True] * len(first.windows(stream))


@pytest.mark.parametrize("format", ["jsonl", "arrow"])
def test_an_unchanged_window_writes_no_batch_file(
    world: World,
    tmp_path: Path,
    format: str,  # noqa: A002 # the setting's own name
) -> None:
    storage = {"root": str(tmp_path / "files")}
    batch = {"encoding": {"format": format}, "storage": storage}
    config = {**world.config, "batch_config": batch}
    first = world.night(config=config)
    files = sorted(tmp_path.glob("files/*"))
    assert len(files) == 2
    second = world.night(first, config=config)
    assert sorted(tmp_path.glob("files/*")) == files
    assert "BATCH" not in {message["type"] for message in second.messages}


def test_a_change_to_or_from_arrow_files_sends_the_rows_again(world: World, tmp_path: Path) -> None:
    """A decimal that does not fit in an Arrow file fits in a RECORD."""
    world.rows[0][2] = "1" * 30
    storage = {"root": str(tmp_path)}
    arrow = {**world.config, "batch_config": {"encoding": {"format": "arrow"}, "storage": storage}}
    run = world.night(config=arrow)
    record = world.night(run)
    assert slots(record) == BOTH
    assert int("1" * 30) in {row["Payout"] for row in record.records("sales")}
    world.night(record, config=arrow)
    assert len(list(tmp_path.iterdir())) == 4
    # Files of lines have the values of RECORDs.
    lines = {**arrow, "batch_config": {"storage": storage}}
    world.night(record, config=lines)
    assert len(list(tmp_path.iterdir())) == 4


def test_no_setting_of_a_map_can_be_read_from_the_state(world: World) -> None:
    maps = {"sales": {"Id": "md5(config['seed'] + Id)"}}
    config = {**world.config, "stream_maps": maps, "stream_map_config": {"seed": "s3cr3t"}}
    run = world.night(config=config)
    assert "s3cr3t" not in json.dumps(run.state)
    other = {**config, "stream_map_config": {"seed": "another"}}
    assert world.night(run, config=config).records("sales") == []
    assert slots(world.night(run, config=other)) == BOTH
