"""Report streams end to end: rows, keys, STATE, resuming, selection, partitions, keys of choice."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from harness import NOW, FakeClock, Run, Warehouse, config_for, discover, sync, windows_of
from jsonschema import Draft7Validator

from tap_affiliate_reports.errors import TapError
from tap_affiliate_reports.sandbox import Attribute, Report, Sandbox, status
from tap_affiliate_reports.sandbox.impact.report import Query
from tap_affiliate_reports.schema import ADDED
from tap_affiliate_reports.windows import SIZES

WARNING = 30
WINDOWS = ("2026-09-01", "2026-10-01", "2026-11-01")
LISTING = "mp_action_listing_fast"
DECIMALS = ("Sale_Amount", "Payout")


def source_rows(
    sandbox: Sandbox, report: str, start: str, end: str, at: datetime, program: str | None = None
) -> list[list[str]]:
    """Return the sandbox's own rows of some days as they stood at a moment."""
    query = Query(date.fromisoformat(start), date.fromisoformat(end), program, {})
    return list(map(list, sandbox.impact.reports[report].rows_at(at, query)))


def add_sales(sandbox: Sandbox, **facts: Any) -> Report:
    """Add a report with one row for each tenth of a month's day, from 2026 on."""

    def rows(start: date, end: date, program: str | None, _filters: object) -> list[list[str]]:
        days = (start + timedelta(days=n) for n in range((end - start).days + 1))
        return [
            [f"{program or ''}{day:%m%d}", day.isoformat(), f"{day.day}.{day.month:018d}"]
            for day in days
            if day.day in {5, 15, 25}
        ]

    columns = [Attribute("Id"), Attribute("Day", "Date"), Attribute("Amount", "Decimal")]
    return sandbox.impact.add(
        Report("sales", "Sales", **{"columns": columns, "rows": rows, **facts})
    )


def slots_of(run: Run, stream: str = "sales") -> list[str]:
    """Return the slots emitted, in their order, each once."""
    return list(dict.fromkeys(row["_window_start"] for row in run.records(stream)))


def select_all(catalog: dict[str, Any], *streams: str) -> dict[str, Any]:
    """Return the catalog with just these streams selected."""
    for entry in catalog["streams"]:
        for item in entry["metadata"]:
            if not item["breadcrumb"]:
                item["metadata"]["selected"] = entry["tap_stream_id"] in streams
    return catalog


def replicate(catalog: dict[str, Any], stream: str, method: str) -> dict[str, Any]:
    """Return the catalog with a replication method chosen, in both places, as Meltano does."""
    (entry,) = (e for e in catalog["streams"] if e["tap_stream_id"] == stream)
    entry["replication_method"] = method
    metadata_of(catalog, stream)["replication-method"] = method
    return catalog


def metadata_of(catalog: dict[str, Any], stream: str, column: str | None = None) -> dict[str, Any]:
    """Return the metadata of a stream or of one of its columns."""
    (entry,) = (e for e in catalog["streams"] if e["tap_stream_id"] == stream)
    wanted = ["properties", column] if column else []
    return next(m["metadata"] for m in entry["metadata"] if m["breadcrumb"] == wanted)


class TestRows:
    def test_every_row_and_value_is_the_sources_own(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        run = sync(config_for(sandbox, reports=[LISTING]), clock).ok()
        rows = run.records(LISTING)
        finished = datetime.fromisoformat(rows[0]["_refreshed_at"].replace("Z", "+00:00"))
        source = source_rows(sandbox, LISTING, "2026-09-10", "2026-11-18", finished)
        assert len(rows) == len(source) > 1000
        names = sandbox.impact.reports[LISTING].names
        for row, values in zip(rows, source, strict=True):
            told = dict(zip(names, values, strict=True))
            assert row["Action_Id"] == told["Action_Id"]
            assert row["Note"] == (told["Note"] or None)
            assert row["Campaign_Id"] == int(told["Campaign_Id"])
            assert row["New_Customer"] is (told["New_Customer"] == "true")
            moment = datetime.fromisoformat(row["Event_Date"].replace("Z", "+00:00"))
            assert moment == datetime.fromisoformat(told["Event_Date"])
            for name in DECIMALS:
                assert row[name] == Decimal(told[name])
            assert row["_unparsed"] is None

    def test_eighteen_decimals_are_exact_in_the_message(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        exact = "12345678901234567890.123456789012345678"
        add_sales(sandbox, rows=lambda *_: [["1", "", exact], ["2", "", "-0.000000000000000001"]])
        run = sync(config_for(sandbox, reports=["sales"], window="year"), clock).ok()
        amounts = [row["Amount"] for row in run.records("sales")]
        assert amounts == [Decimal(exact), Decimal("-0.000000000000000001")]

    def test_keys_are_unique_and_never_null_and_rows_are_counted_from_one(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        reports = [LISTING, "12172", "partner_performance_by_day", "mp_account_audit_log"]
        run = sync(config_for(sandbox, reports=reports), clock).ok()
        for stream in (LISTING, "report_12172", "partner_performance_by_day"):
            names = run.schema(stream)["key_properties"]
            assert names == ["_account", "_program_id", "_window_start", "_row_number"]
            keys = [tuple(row[name] for name in names) for row in run.records(stream)]
            assert len(set(keys)) == len(keys) > 10
            assert not any(value is None for key in keys for value in key)
            for slot in WINDOWS:
                numbers = [key[3] for key in keys if key[2] == slot]
                assert numbers == list(range(1, len(numbers) + 1))

    def test_the_added_columns_tell_where_a_row_is_from(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        add_sales(sandbox)
        row = sync(config_for(sandbox, reports=["sales"]), clock).ok().records("sales")[0]
        assert {name: value for name, value in row.items() if name[0] == "_"} == {
            "_account": "IRsandbox",
            "_program_id": "all",
            "_window_start": "2026-09-01",
            "_window_end": "2026-09-30",
            "_row_number": 1,
            "_refreshed_at": "2026-11-19T15:00:05Z",
            "_deleted": False,
            "_sdc_deleted_at": None,
            "_unparsed": None,
        }

    def test_every_record_fits_its_schema(self, sandbox: Sandbox, clock: FakeClock) -> None:
        run = sync(config_for(sandbox, reports=["*"], lookback_days=5), clock).ok()
        for stream in run.streams:
            check = Draft7Validator(run.schema(stream)["schema"])
            for row in run.records(stream)[:300]:
                check.validate(json.loads(json.dumps(row, default=float)))
                assert row.keys() <= run.schema(stream)["schema"]["properties"].keys()

    @pytest.mark.parametrize("size", SIZES)
    def test_all_sizes_of_windows_hold_the_same_days(
        self, sandbox: Sandbox, clock: FakeClock, size: str
    ) -> None:
        add_sales(sandbox)
        if size == "none":
            sandbox.impact.reports["sales"].rows = lambda *_: [["1", "", ""]]
        config = config_for(sandbox, reports=["sales"], window=size, START_DATE="2026-10-03")
        run = sync(config, clock).ok()
        if size == "none":
            return
        assert [row["Day"] for row in run.records("sales")] == [
            "2026-10-05",
            "2026-10-15",
            "2026-10-25",
            "2026-11-05",
            "2026-11-15",
        ]
        slots = {"day": "2026-10-05", "week": "2026-10-05", "month": "2026-10-01"}
        first = slots.get(size) or {"quarter": "2026-10-01", "year": "2026-01-01"}[size]
        assert slots_of(run)[0] == first
        assert run.bookmark("sales") == "2026-11-18"


class TestSnapshots:
    def test_a_report_without_dates_is_one_slot_that_is_fetched_anew_at_every_sync(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        config = config_for(sandbox, reports=["tracking_value_list"])
        run = sync(config, clock).ok()
        rows = run.records("tracking_value_list")
        assert len(rows) == len(
            source_rows(sandbox, "tracking_value_list", "2026-11-01", "2026-11-18", NOW)
        )
        assert {(row["_window_start"], row["_window_end"]) for row in rows} == {
            ("1970-01-01", "2026-11-19")
        }
        assert "START_DATE" not in sandbox.impact.exports[0].params
        assert run.bookmark("tracking_value_list") is None

        clock.advance(days=1)
        again = sync(config, clock, state=run.state).ok().records("tracking_value_list")
        assert {row["_window_end"] for row in again} == {"2026-11-20"}
        assert again[0]["_refreshed_at"] > rows[0]["_refreshed_at"]
        assert len(sandbox.impact.exports) == 1, "its known job is replayed"

    def test_the_day_of_a_snapshot_is_the_accounts(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        clock.advance(hours=12)  # 03:00 of the 20th in UTC, still the 19th in New York
        run = sync(config_for(sandbox, reports=["tracking_value_list"]), clock).ok()
        assert {r["_window_end"] for r in run.records("tracking_value_list")} == {"2026-11-19"}

    def test_any_report_may_be_made_a_snapshot(self, sandbox: Sandbox, clock: FakeClock) -> None:
        add_sales(sandbox, rows=lambda start, *_: [[str(start), "", "1"]])
        options = {"sales": {"window": "none"}}
        catalog = discover(config_for(sandbox, report_options=options), clock)
        run = sync(config_for(sandbox, reports=["sales"], report_options=options), clock).ok()
        assert [row["Id"] for row in run.records("sales")] == ["None"]
        root = metadata_of(catalog, "sales")
        assert root["forced-replication-method"] == "FULL_TABLE"


class TestState:
    def test_state_stands_right_after_each_windows_last_row_and_before_its_first(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        add_sales(sandbox)
        run = sync(config_for(sandbox, reports=["sales"]), clock).ok()
        messages = [m for m in run.messages if m.get("stream", "sales") == "sales"]
        first = next(n for n, m in enumerate(messages) if m["type"] == "RECORD")
        kinds = [m["type"] for m in messages[first - 1 :]]
        rows = [2 if slot == "2026-11-01" else 3 for slot in WINDOWS]
        rows[0] = 2  # the 5th of September is before the start
        expected = []
        for count in rows:
            expected += ["STATE", *["RECORD"] * count, "STATE"]
        assert kinds[: len(expected)] == expected

        bookmarks, seen = [], None
        for message in messages[first - 1 :]:
            if message["type"] == "STATE":
                seen = message["value"]["bookmarks"]["sales"]
                bookmarks.append(seen.get("replication_key_value"))
            elif message["type"] == "RECORD":
                assert windows_of(seen)[message["record"]["_window_start"]]["unfinished"] is True
        ends = ["2026-09-30", "2026-10-31", "2026-11-18"]
        assert bookmarks[:6] == [None, ends[0], ends[0], ends[1], ends[1], ends[2]]

    def test_state_before_a_refresh_holds_the_larger_row_count(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        report = add_sales(sandbox, rows=lambda *_: [["1", "", ""], ["2", "", ""]])
        config = config_for(sandbox, reports=["sales"], window="year")
        state = sync(config, clock).ok().state
        for count, bound in ((1, 2), (4, 4)):
            report.rows = lambda *_, count=count: [[str(n), "", ""] for n in range(count)]
            clock.advance(days=1)
            run = sync(config, clock, state=state).ok()
            begun = next(
                entry
                for value in run.states
                if (entry := windows_of(value["bookmarks"]["sales"])["2026-01-01"])["unfinished"]
            )
            assert begun["rows"] == bound
            assert run.windows("sales")["2026-01-01"]["rows"] == count

    @pytest.mark.kill
    def test_a_sync_cut_anywhere_resumes_to_what_the_source_holds(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        # The first month loses rows, the second is new to the warehouse, the third grows.
        report = add_sales(sandbox)
        rows = report.rows
        assert rows is not None
        config = config_for(sandbox, reports=["sales"])
        first = sync({**config, "end_date": "2026-10-10"}, clock).ok()
        loaded = Warehouse()
        loaded.load(first.messages)
        report.rows = lambda *asked: [
            [row[0], row[1], "7"] for row in rows(*asked) if row[1] != "2026-09-25"
        ]
        clock.advance(days=1)
        whole = sync(config, clock, state=first.state).ok()
        before = exports = len(sandbox.impact.exports)

        for cut in range(len(whole.messages) + 1):
            warehouse = Warehouse()
            warehouse.load(first.messages)
            warehouse.load(whole.messages[:cut])
            state = warehouse.state if any(warehouse.state) else first.state
            resumed = sync(config, clock, state=state).ok()
            warehouse.load(resumed.messages)
            assert [
                (row["Id"], row["Amount"])
                for row in sorted(warehouse.live("sales"), key=lambda row: row["Day"])
            ] == [
                (row[0], Decimal(7))
                for row in report.rows(date(2026, 9, 10), date(2026, 11, 19), None, {})
            ], f"cut before message {cut}"
            assert resumed.bookmark("sales") == "2026-11-19"
            assert len(sandbox.impact.exports) - before <= 2, "no more than those in flight"
            before = len(sandbox.impact.exports)
        assert before > exports

    def test_a_new_job_is_not_asked_for_when_the_state_knows_it(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        add_sales(sandbox)
        config = config_for(sandbox, reports=["sales"])
        run = sync(config, clock).ok()
        begun = [s for s in run.states if "2026-11-01" in windows_of(s["bookmarks"]["sales"])]
        exports = len(sandbox.impact.exports)
        resumed = sync(config, clock, state=begun[0]).ok()
        assert slots_of(resumed) == ["2026-11-01"]
        assert (len(sandbox.impact.exports), sandbox.impact.replays) == (exports, 0)

    def test_full_table_chosen_in_the_catalog_fetches_everything_from_the_start(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        add_sales(sandbox)
        config = config_for(sandbox, lookback_days=0)
        catalog = select_all(discover(config, clock), "sales")
        run = sync(config, clock, catalog=catalog).ok()
        assert slots_of(sync(config, clock, catalog=catalog, state=run.state).ok()) == []
        replicate(catalog, "sales", "FULL_TABLE")
        again = sync(config, clock, catalog=catalog, state=run.state).ok()
        assert slots_of(again) == list(WINDOWS)
        assert len(again.records("sales")) == len(run.records("sales"))

    def test_full_table_leaves_no_slot_in_the_ledger_that_it_retired(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        add_sales(sandbox)
        config = config_for(sandbox)
        catalog = select_all(discover(config, clock), "sales")
        warehouse = Warehouse()
        run = sync(config, clock, catalog=catalog).ok()
        warehouse.load(run.messages)
        replicate(catalog, "sales", "FULL_TABLE")
        later = {**config, "start_date": "2026-10-01"}
        run = sync(later, clock, catalog=catalog, state=run.state).ok()
        warehouse.load(run.messages)
        replicate(catalog, "sales", "INCREMENTAL")
        run = sync(config, clock, catalog=catalog, state=run.state).ok()
        warehouse.load(run.messages)
        assert {row["_window_start"] for row in warehouse.live("sales")} == set(WINDOWS)

    @pytest.mark.kill
    def test_full_table_cut_anywhere_loses_nothing_when_incremental_goes_on(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        add_sales(sandbox)
        sandbox.impact.exports_per_day = 10_000
        config = config_for(sandbox, lookback_days=0)
        catalog = select_all(discover(config, clock), "sales")
        first = sync(config, clock, catalog=catalog).ok()
        clock.advance(days=1)
        replicate(catalog, "sales", "FULL_TABLE")
        whole = sync(config, clock, catalog=catalog, state=first.state).ok()
        replicate(catalog, "sales", "INCREMENTAL")
        expected = sorted(row["Id"] for row in whole.records("sales"))
        for cut in range(1, len(whole.messages) + 1):
            warehouse = Warehouse()
            warehouse.load(first.messages)
            warehouse.load(whole.messages[:cut])
            run = sync(config, clock, catalog=catalog, state=warehouse.state).ok()
            warehouse.load(run.messages)
            found = sorted(row["Id"] for row in warehouse.live("sales"))
            assert found == expected, f"cut before message {cut}"


class TestDates:
    def test_the_zone_of_the_account_decides_which_day_is_the_last(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        add_sales(sandbox)
        sandbox.impact.company_timezone = "Asia/Kolkata"
        clock.advance(hours=10)  # the 19th has been over in Kolkata for 6.5 hours
        assert sync(config_for(sandbox, reports=["sales"]), clock).bookmark("sales") == "2026-11-19"
        own = config_for(sandbox, reports=["sales"], timezone="America/Los_Angeles")
        assert sync(own, clock).bookmark("sales") == "2026-11-18"

    @pytest.mark.parametrize("how", ["403", "404", "unknown", "none"])
    def test_without_a_zone_of_the_account_days_are_utc_with_a_warning(
        self, sandbox: Sandbox, clock: FakeClock, how: str
    ) -> None:
        add_sales(sandbox)
        company(sandbox, how)
        run = sync(config_for(sandbox, reports=["sales"]), clock).ok()
        assert run.said("UTC", WARNING)
        assert json.loads(run.state["bookmarks"]["sales"]["fingerprint"])["timezone"] == "UTC"

    @pytest.mark.parametrize("how", ["500", "400"])
    def test_any_other_error_of_the_account_is_not_taken_for_utc(
        self, sandbox: Sandbox, clock: FakeClock, how: str
    ) -> None:
        add_sales(sandbox)
        company(sandbox, how)
        run = sync(config_for(sandbox, reports=["sales"]), clock)
        assert isinstance(run.error, TapError)
        assert run.records("sales") == []
        assert sandbox.impact.exports == []

    def test_an_end_date_is_the_last_day_fetched(self, sandbox: Sandbox, clock: FakeClock) -> None:
        add_sales(sandbox)
        config = config_for(sandbox, reports=["sales"], END_DATE="2026-10-20")
        run = sync(config, clock).ok()
        assert run.records("sales")[-1]["Day"] == "2026-10-15"
        assert run.bookmark("sales") == "2026-10-20"

    def test_today_may_be_asked_for_but_the_bookmark_stops_at_yesterday(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        report = add_sales(sandbox, rows=lambda _s, end, *_: [["x", str(end), ""]])
        config = config_for(sandbox, reports=["sales"])
        today = sync({**config, "end_date": "2026-11-19"}, clock).ok()
        assert today.records("sales")[-1]["_window_end"] == "2026-11-19"
        assert today.bookmark("sales") == "2026-11-18"

        report.rows = lambda _s, end, *_: [["x", str(end), ""], ["late", str(end), ""]]
        clock.advance(hours=21)
        run = sync(config, clock, state=today.state).ok()
        late = [row for row in run.records("sales") if row["_window_start"] == "2026-11-01"]
        assert [row["Id"] for row in late] == ["x", "late"]
        assert run.bookmark("sales") == "2026-11-19"

    def test_a_file_of_today_is_loaded_again_when_the_day_is_over_however_young_it_is(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        add_sales(sandbox)
        clock.advance(hours=13)  # 23:00 in New York
        config = config_for(sandbox, reports=["sales"])
        today = sync({**config, "end_date": "2026-11-19"}, clock).ok()
        clock.advance(hours=8)
        spent = len(sandbox.impact.exports), sandbox.impact.replays
        run = sync(config, clock, state=today.state).ok()
        assert (len(sandbox.impact.exports), sandbox.impact.replays) != spent
        assert [row["slot"] for row in run.records("report_windows")] == ["2026-11-01"]
        assert run.bookmark("sales") == "2026-11-19"

    def test_a_start_that_moves_on_leaves_the_slots_before_it_alone(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        add_sales(sandbox)
        config = config_for(sandbox, reports=["sales"])
        run = sync(config, clock).ok()
        clock.advance(days=1)
        later = sync({**config, "start_date": "2026-10-20"}, clock, state=run.state).ok()
        looked_at = [(row["slot"], row["start_date"]) for row in later.records("report_windows")]
        assert looked_at == [("2026-11-01", "2026-11-01"), ("2026-10-01", "2026-10-01")]
        assert slots_of(later) == ["2026-11-01"], "a slot never shrinks, so October is unchanged"
        assert later.windows("sales").keys() == set(WINDOWS)

    def test_an_earlier_start_widens_the_first_slot_and_adds_those_before(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        add_sales(sandbox)
        config = config_for(sandbox, reports=["sales"])
        run = sync(config, clock).ok()
        earlier = sync({**config, "start_date": "2026-08-10"}, clock, state=run.state).ok()
        assert [row["Day"] for row in earlier.records("sales")] == [
            "2026-08-15",
            "2026-08-25",
            "2026-09-05",
            "2026-09-15",
            "2026-09-25",
        ]
        assert earlier.bookmark("sales") == "2026-11-18"

    def test_two_windows_of_the_same_rows_make_a_warning_that_names_window_none(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        add_sales(sandbox, rows=lambda *_: [["1", "", ""]])
        run = sync(config_for(sandbox, reports=["sales"]), clock).ok()
        assert run.said("window: none", WARNING)


def company(sandbox: Sandbox, how: str) -> None:
    """Make CompanyInformation answer so."""
    if how == "unknown":
        sandbox.impact.company_timezone = "Olympus Mons Standard Time"
    elif how == "none":
        sandbox.impact.company_timezone = None
    else:
        sandbox.faults.add("CompanyInformation", status(int(how)), times=None)


class TestPrograms:
    def test_each_program_is_a_partition_with_rows_and_state_of_its_own(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        config = config_for(sandbox, reports=[LISTING], program_ids=[10211, "10487"])
        run = sync(config, clock).ok()
        rows = run.records(LISTING)
        finished = datetime.fromisoformat(rows[0]["_refreshed_at"].replace("Z", "+00:00"))
        for program in ("10211", "10487"):
            own = [row["Action_Id"] for row in rows if row["_program_id"] == program]
            source = source_rows(sandbox, LISTING, "2026-09-10", "2026-11-18", finished, program)
            assert own == [row[0] for row in source]
        partitions = run.state["bookmarks"][LISTING]["partitions"]
        assert [
            (p["context"], p["replication_key_value"], sorted(windows_of(p))) for p in partitions
        ] == [
            ({"_program_id": "10211"}, "2026-11-18", list(WINDOWS)),
            ({"_program_id": "10487"}, "2026-11-18", list(WINDOWS)),
        ]

    def test_partitions_resume_and_refresh_each_by_itself(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        add_sales(sandbox)
        config = config_for(sandbox, reports=["sales"], program_ids=["10211", "10487"])
        warehouse = Warehouse()
        run = sync({**config, "impact": {**config["impact"], "max_exports": 4}}, clock)
        assert isinstance(run.error, TapError)
        warehouse.load(run.messages)
        resumed = sync(config, clock, state=run.state).ok()
        warehouse.load(resumed.messages)
        assert len(sandbox.impact.exports) == 6
        ids = sorted(row["Id"] for row in warehouse.live("sales"))
        assert ids == sorted(
            row[0]
            for program in ("10211", "10487")
            for row in source_rows(sandbox, "sales", "2026-09-10", "2026-11-18", NOW, program)
        )

    def test_a_program_added_is_a_changed_setting(self, sandbox: Sandbox, clock: FakeClock) -> None:
        add_sales(sandbox)
        run = sync(config_for(sandbox, reports=["sales"], program_ids=["10211"]), clock).ok()
        more = config_for(sandbox, reports=["sales"], program_ids=["10211", "10487"])
        error = sync(more, clock, state=run.state).error
        assert "reload: all" in str(error)


class TestSelection:
    def test_only_the_reports_of_the_settings_are_synced_whatever_the_catalog_selects(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        add_sales(sandbox)
        config = config_for(sandbox, reports=["sales"])
        catalog = discover(config, clock)
        select_all(catalog, *(entry["tap_stream_id"] for entry in catalog["streams"]))
        run = sync(config, clock, catalog=catalog).ok()
        reports = {"report_12172", *sandbox.impact.reports}
        assert run.streams & reports == {"sales"}

    def test_a_deselected_column_is_in_neither_schema_nor_rows_but_the_added_ones_stay(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        add_sales(sandbox)
        config = config_for(sandbox, reports=["sales"])
        catalog = discover(config, clock)
        metadata_of(catalog, "sales", "Day")["selected"] = False
        for name in ("_row_number", "_refreshed_at", "_unparsed", "_deleted"):
            metadata_of(catalog, "sales", name)["selected"] = False
        run = sync(config, clock, catalog=catalog).ok()
        names = {*ADDED, "Id", "Amount"}
        assert run.schema("sales")["schema"]["properties"].keys() == names
        assert all(row.keys() == names for row in run.records("sales"))

    def test_a_catalog_that_selects_every_report_is_an_error_that_lists_them(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        config = config_for(sandbox)
        catalog = discover(config, clock)
        select_all(catalog, *(entry["tap_stream_id"] for entry in catalog["streams"]))
        for given in (catalog, None):
            run = sync(config, clock, catalog=given)
            assert "12172" in str(run.error)
            assert LISTING in str(run.error)
        assert sandbox.impact.exports == []


class TestStreamMaps:
    def run(self, sandbox: Sandbox, clock: FakeClock, rules: dict[str, Any], **top: Any) -> Run:
        add_sales(sandbox)
        config = config_for(sandbox, reports=["sales"], STREAM_MAPS={"sales": rules}, **top)
        return sync(config, clock).ok()

    def test_an_alias_renames_every_message_of_the_stream(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        run = self.run(sandbox, clock, {"__alias__": "orders"})
        assert len(run.records("orders")) == 7
        assert run.records("sales") == []
        assert not [m for m in run.messages if m.get("stream") == "sales"]
        assert [m for m in run.messages if m.get("stream") == "orders"][-1]["type"] == (
            "ACTIVATE_VERSION"
        )

    def test_a_filter_drops_rows_and_leaves_the_others_keys_alone(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        run = self.run(sandbox, clock, {"__filter__": "Amount > 20"})
        assert [(r["Day"], r["_row_number"]) for r in run.records("sales")] == [
            ("2026-09-25", 2),
            ("2026-10-25", 3),
        ]
        assert run.bookmark("sales") == "2026-11-18"

    def test_a_column_may_be_hashed_and_another_removed(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        run = self.run(sandbox, clock, {"Id": "md5(Id)", "Day": None})
        row = run.records("sales")[0]
        assert row["Id"] == hashlib.md5(b"0915").hexdigest()
        assert "Day" not in row
        assert "Day" not in run.schema("sales")["schema"]["properties"]

    def test_maps_hold_for_a_column_that_only_the_file_has(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        add_sales(
            sandbox, header=["Id", "Day", "Amount", "Extra"], rows=lambda *_: [["1", "", "2", "x"]]
        )
        config = config_for(
            sandbox, reports=["sales"], STREAM_MAPS={"sales": {"__alias__": "orders", "Day": None}}
        )
        run = sync(config, clock).ok()
        assert [row["Extra"] for row in run.records("orders")] == ["x"] * 3
        properties = run.schema("orders")["schema"]["properties"]
        assert "Extra" in properties
        assert "Day" not in properties

    def test_flattening_keeps_records_within_their_schema(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        add_sales(sandbox, rows=lambda *_: [["1", "2026-11-05", "much"]])
        config = config_for(
            sandbox, reports=["sales"], FLATTENING_ENABLED=True, FLATTENING_MAX_DEPTH=2
        )
        run = sync(config, clock).ok()
        row, schema = run.records("sales")[0], run.schema("sales")["schema"]
        Draft7Validator(schema).validate(row)
        assert row.keys() <= schema["properties"].keys()
        assert "much" in json.loads(row["_unparsed"]).values()


class TestFiles:
    """What a file may look like; each holds for every window."""

    @contextmanager
    def raw(self, sandbox: Sandbox, content: bytes) -> Iterator[dict[str, Any]]:
        add_sales(sandbox, raw=lambda *_: content)
        yield config_for(sandbox, reports=["sales"], window="year")

    def rows(self, sandbox: Sandbox, clock: FakeClock, content: bytes) -> list[dict[str, Any]]:
        with self.raw(sandbox, content) as config:
            return sync(config, clock).ok().records("sales")

    @pytest.mark.parametrize("content", [b"", b"Id,Day,Amount\r\n", b"Id,Day,Amount"])
    def test_an_empty_file_is_an_empty_report_whose_bookmark_moves(
        self, sandbox: Sandbox, clock: FakeClock, content: bytes
    ) -> None:
        with self.raw(sandbox, content) as config:
            run = sync(config, clock).ok()
        assert run.records("sales") == []
        assert run.bookmark("sales") == "2026-11-18"
        assert run.windows("sales")["2026-01-01"]["rows"] == 0

    def test_a_byte_order_mark_quoted_newlines_and_nuls_are_read_right(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        content = '\ufeff"Id",Day,Amount\r\n"a\n""b"", c\r\nd",,1\r\nx\0y,,2\r\n'.encode()
        rows = self.rows(sandbox, clock, content)
        assert [row["Id"] for row in rows] == ['a\n"b", c\r\nd', "xy"]

    def test_a_gzip_file_is_read(self, sandbox: Sandbox, clock: FakeClock) -> None:
        rows = self.rows(sandbox, clock, gzip.compress(b"Id,Day,Amount\r\n007,,1\r\n"))
        assert [row["Id"] for row in rows] == ["007"]

    def test_text_stays_as_it_is_and_empty_is_null(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        words = ["NA", "null", "007", " x ", "", "1E5", "None"]
        buffer = io.StringIO()
        csv.writer(buffer).writerows(
            [["Id", "Day", "Amount"], *([word, "", "1"] for word in words)]
        )
        rows = self.rows(sandbox, clock, buffer.getvalue().encode())
        assert [row["Id"] for row in rows] == [word or None for word in words]

    def test_what_does_not_fit_its_type_is_kept_in_unparsed_with_one_warning_a_column(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        columns = [Attribute("N", "Integer"), Attribute("D", "Decimal"), Attribute("B", "Boolean")]
        add_sales(
            sandbox,
            columns=columns,
            rows=lambda *_: [
                ["9223372036854775807", "1.5", "TRUE"],
                ["9223372036854775808", "abc", "maybe"],
                ["5.000", "1e2", "0"],
                ["x", "", ""],
            ],
        )
        run = sync(config_for(sandbox, reports=["sales"], window="year"), clock).ok()
        rows = run.records("sales")
        assert [row["N"] for row in rows] == [9223372036854775807, None, 5, None]
        assert [row["B"] for row in rows] == [True, None, False, None]
        assert [row["_unparsed"] for row in rows] == [
            None,
            '{"N":"9223372036854775808","D":"abc","B":"maybe"}',
            None,
            '{"N":"x"}',
        ]
        told = [r.getMessage() for r in run.log if "_unparsed" in r.getMessage()]
        assert len([line for line in told if "2026" in line]) == 3
        assert any("2" in line and "N" in line for line in told)

    def test_date_times_come_out_in_utc_and_one_without_offset_is_the_accounts(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        add_sales(
            sandbox,
            columns=[Attribute("At", "Date (yyyy-MM-dd'T'HH:mm:ssZZ)")],
            rows=lambda *_: [["2026-11-05T10:00:00+02:00"], ["2026-11-05T10:00:00"]],
        )
        run = sync(config_for(sandbox, reports=["sales"], window="year"), clock).ok()
        assert [row["At"] for row in run.records("sales")] == [
            "2026-11-05T08:00:00Z",
            "2026-11-05T15:00:00Z",
        ]


class TestPrimaryKeys:
    def run(
        self,
        sandbox: Sandbox,
        clock: FakeClock,
        keys: list[str],
        state: dict[str, Any] | None = None,
        **facts: Any,
    ) -> Run:
        add_sales(sandbox, **facts)
        options = {"sales": {"primary_keys": keys}}
        config = config_for(sandbox, reports=["sales"], report_options=options)
        return sync(config, clock, state=state)

    def test_the_keys_of_choice_are_the_streams_keys_with_the_account(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        run = self.run(sandbox, clock, ["Id"]).ok()
        assert run.schema("sales")["key_properties"] == ["_account", "Id"]
        assert len(run.records("sales")) == 7

    @pytest.mark.parametrize(
        ("rows", "example"),
        [
            ([["7", "", "1"], ["8", "", ""], ["7", "", "2"]], "7"),
            ([["7", "", "1"], ["", "", "2"]], "Id"),
        ],
        ids=["duplicate", "null"],
    )
    def test_a_duplicate_or_a_null_is_an_error_with_an_example_and_no_row(
        self, sandbox: Sandbox, clock: FakeClock, rows: list[list[str]], example: str
    ) -> None:
        run = self.run(sandbox, clock, ["Id"], rows=lambda *_: rows)
        assert isinstance(run.error, TapError)
        assert "Id" in str(run.error)
        assert example in str(run.error)
        assert "2026-09-10..2026-09-30" in str(run.error)
        assert run.records("sales") == []
        assert run.bookmark("sales") is None

    def test_a_later_bad_window_keeps_the_earlier_ones(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        def rows(start: date, *_: object) -> list[list[str]]:
            twice = 2 if start.month == 10 else 1
            return [[f"{start:%m}", "", ""]] * twice

        run = self.run(sandbox, clock, ["Id"], rows=rows)
        assert isinstance(run.error, TapError)
        assert [row["Id"] for row in run.records("sales")] == ["09"]
        assert run.bookmark("sales") == "2026-09-30"
        october = run.windows("sales")["2026-10-01"]
        assert (october["rows"], october["unfinished"]) == (0, True), "only its job is noted"

    def test_a_value_that_does_not_fit_its_type_is_a_null_key(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        run = self.run(sandbox, clock, ["Day"], rows=lambda *_: [["1", "soon", ""]])
        assert isinstance(run.error, TapError)
        assert run.records("sales") == []

    def test_an_unknown_column_is_refused_by_name(self, sandbox: Sandbox, clock: FakeClock) -> None:
        error = self.run(sandbox, clock, ["Order"]).error
        assert isinstance(error, TapError)
        assert "primary_keys" in str(error)
        assert "Order" in str(error)

    def test_a_report_without_a_date_of_its_own_needs_the_window_among_the_keys(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        facts = {"columns": [Attribute("Id")], "rows": lambda *_: [["1"], ["2"]]}
        error = self.run(sandbox, clock, ["Id"], **facts).error
        assert isinstance(error, TapError)
        assert "_window_start" in str(error)
        run = self.run(sandbox, clock, ["Id", "_window_start"], **facts).ok()
        assert run.schema("sales")["key_properties"] == ["_account", "Id", "_window_start"]

    def test_a_key_can_not_be_deselected(self, sandbox: Sandbox, clock: FakeClock) -> None:
        add_sales(sandbox)
        options = {"sales": {"primary_keys": ["Id"]}}
        config = config_for(sandbox, reports=["sales"], report_options=options)
        catalog = discover(config, clock)
        metadata_of(catalog, "sales", "Id")["selected"] = False
        run = sync(config, clock, catalog=catalog).ok()
        assert {row["Id"] for row in run.records("sales")} >= {"0915", "1105"}
