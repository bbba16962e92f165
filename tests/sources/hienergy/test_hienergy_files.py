"""Each finished file is loaded once, whoever asked for it and whatever else fails."""

from __future__ import annotations

import io
import json
from datetime import datetime, timedelta
from typing import Any
from unittest import mock

import openpyxl
import pytest
from harness import NOW, FakeClock, Warehouse, discover, examples, sync
from hienergy_case import (
    DEALS,
    ERROR,
    HEADER,
    KEY,
    WARNING,
    add,
    asked,
    creating,
    deals,
    downloads,
    error_of,
    exports_of,
    metadata_of,
    only,
    params,
    properties,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tap_affiliate_reports.formats.csv.reference import SKIPPED_HEADERS
from tap_affiliate_reports.sandbox import Sandbox, body, html_login, status
from tap_affiliate_reports.streams.table import TableStream


class TestWhatIsNew:
    def test_files_come_oldest_first_and_a_second_sync_downloads_nothing(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        new, old = add(sandbox, "c", "d", ago=1), add(sandbox, "a", "b", ago=2)
        run = sync(config, clock).ok()
        assert exports_of(run) == [old.id, new.id]
        assert deals(run) == ["a", "b", "c", "d"]
        assert [row["_row_number"] for row in run.records(DEALS)] == [1, 2, 1, 2]
        assert run.bookmark(DEALS) == "2026-11-18T15:00:00Z"
        assert run.schema(DEALS)["bookmark_properties"] == ["_completed_at"]
        assert not run.said("failed", ERROR)
        downloads(sandbox)

        again = sync(config, clock, state=run.state).ok()
        assert (downloads(sandbox), again.records(DEALS)) == (0, [])
        newest = add(sandbox, "e", ago=0)
        run = sync(config, clock, state=again.state or run.state).ok()
        assert (downloads(sandbox), exports_of(run)) == (1, [newest.id])

    def test_state_stands_right_after_each_file(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        made = [add(sandbox, "a", ago=3), add(sandbox, "b", ago=2), add(sandbox, "c", ago=1)]
        run = sync(config, clock, catalog=only(discover(config, clock), DEALS)).ok()
        last, loaded = 0, []
        for message in run.messages:
            if message["type"] == "RECORD":
                last = message["record"]["_export_id"]
            elif message["type"] == "STATE" and last:
                state = message["value"]["bookmarks"][DEALS]
                loaded.append((last, state["replication_key_value"][:10]))
        days = ["2026-11-16", "2026-11-17", "2026-11-18"]
        assert list(dict.fromkeys(loaded)) == [
            (export.id, day) for export, day in zip(made, days, strict=True)
        ]
        assert "http" not in json.dumps(run.states)

    def test_ties_at_the_bookmark_are_neither_lost_nor_loaded_twice(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        moment = clock.now() - timedelta(days=1)
        one, two = (add(sandbox, name, completed_at=moment) for name in "ab")
        run = sync(config, clock).ok()
        assert exports_of(run) == [one.id, two.id]
        three = add(sandbox, "c", completed_at=moment)
        earlier = add(sandbox, "d", completed_at=moment - timedelta(hours=3))
        run = sync(config, clock, state=run.state).ok()
        assert exports_of(run) == [earlier.id, three.id]
        assert sync(config, clock, state=run.state).ok().records(DEALS) == []

    @pytest.mark.parametrize("by_hand", ["2026-11-17T15:00:00Z", "2026-11-17"])
    def test_a_bookmark_set_by_hand_is_taken_at_its_word(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any], by_hand: str
    ) -> None:
        _, at, after = (add(sandbox, name, ago=ago) for name, ago in (("a", 3), ("b", 2), ("c", 1)))
        state = {"bookmarks": {DEALS: {"replication_key_value": by_hand}}}
        run = sync(config, clock, state=state).ok()
        assert exports_of(run) == [at.id, after.id]
        assert sync(config, clock, state=run.state).ok().records(DEALS) == []

    def test_start_date_and_end_date_are_days_on_which_files_were_finished(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        days = ["2026-11-09T23:59:59", "2026-11-10T00:00:00", "2026-11-11T23:59:59"]
        days += ["2026-11-12T00:00:00", "2026-11-19T14:00:00"]
        made = [
            add(sandbox, "x", completed_at=datetime.fromisoformat(f"{day}+00:00")).id
            for day in days
        ]
        config |= {"start_date": "2026-11-10", "end_date": "2026-11-11"}
        run = sync(config, clock).ok()
        assert exports_of(run) == made[1:3]
        del config["end_date"]
        run = sync(config, clock, state=run.state).ok()
        assert exports_of(run) == made[3:], "today's too"

    def test_what_is_after_the_end_is_not_lost_for_a_created_one(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        late = add(sandbox, "late", ago=5)
        config = creating(config, params("new")) | {"end_date": "2026-11-10"}
        run = sync(config, clock).ok()
        assert deals(run) == ["new"]
        del config["end_date"]
        config["hienergy"]["create"] = []
        run = sync(config, clock, state=run.state).ok()
        assert exports_of(run) == [late.id]

    def test_full_table_in_the_catalog_loads_all_files_each_time(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        made = [add(sandbox, "a", ago=2).id, add(sandbox, "b", ago=1).id]
        catalog = only(discover(config, clock), DEALS)
        (entry,) = (e for e in catalog["streams"] if e["tap_stream_id"] == DEALS)
        entry["replication_method"] = "FULL_TABLE"
        metadata_of(catalog, DEALS)["replication-method"] = "FULL_TABLE"
        state: dict[str, Any] = {}
        for _ in range(2):
            run = sync(config, clock, state=state, catalog=catalog).ok()
            assert exports_of(run) == made
            state = run.state

    def test_an_empty_file_has_no_rows_and_is_loaded(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        add(sandbox, "a", ago=4)
        state = sync(config, clock).ok().state
        add(sandbox, ago=3, file=b"")
        add(sandbox, ago=2, header=["Deal ID", "Nothing"], rows=[])
        run = sync(config, clock, state=state).ok()
        assert (run.records(DEALS), run.bookmark(DEALS)) == ([], "2026-11-17T15:00:00Z")
        assert "Nothing" not in properties(run)
        downloads(sandbox)
        sync(config, clock, state=run.state).ok()
        assert downloads(sandbox) == 0

    @pytest.mark.parametrize("stream", ["advertisers_csv", DEALS])
    def test_a_web_page_in_place_of_a_file_is_downloaded_three_times_then_an_error(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any], stream: str
    ) -> None:
        rows = [["a", 1]]
        sandbox.hienergy.add(stream, HEADER, rows, completed_at=clock.now() - timedelta(days=3))
        state = sync(config, clock).ok().state
        sandbox.hienergy.add(stream, HEADER, [["b", 1]])
        downloads(sandbox)
        sandbox.faults.add("storage", html_login(), times=3)
        run = sync(config, clock, state=state)
        assert stream in error_of(run)
        assert downloads(sandbox) == 3
        assert (run.records(stream), run.bookmark(stream)) == ([], "2026-11-16T15:00:00Z")
        run = sync(config, clock, state=run.state).ok()
        assert [row["Deal ID"] for row in run.records(stream)] == ["b"]

    def test_a_damaged_download_is_tried_again(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        add(sandbox, "a")
        catalog = discover(config, clock)
        sandbox.faults.add("storage", body(b"PK\3\4 cut short"), times=2)
        assert deals(sync(config, clock, catalog=catalog).ok()) == ["a"]


class TestWhatAFileDoesNotGive:
    def test_a_formula_without_a_value_is_unparsed_with_a_warning_on_both_paths(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        book = openpyxl.Workbook()
        for row in (HEADER, ["a", "=1+1"], ["=A2", "=B2"], ["c", 3]):
            book.active.append(row)
        file = io.BytesIO()
        book.save(file)
        add(sandbox, file=file.getvalue())
        for is_mapped in (False, True):
            with mock.patch.object(TableStream, "is_mapped", new=is_mapped):
                run = sync(config, clock).ok()
            found = [
                (row["_row_number"], row["Deal ID"], row["Amount"], row["_unparsed"])
                for row in run.records(DEALS)
            ]
            assert found == [
                (1, "a", None, '{"Amount":"=1+1"}'),
                (2, None, None, '{"Deal ID":"=A2","Amount":"=B2"}'),
                (3, "c", 3, None),
            ]
            assert run.said("2 values of Amount", WARNING)
            assert run.said("1 values of Deal ID", WARNING)

    @pytest.mark.parametrize("content", [b"\n", b"\xef\xbb\xbf", b" \r\n\r\n"])
    def test_bytes_without_a_header_are_a_damaged_file_that_is_not_noted_as_loaded(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any], content: bytes
    ) -> None:
        sandbox.hienergy.add("advertisers_csv", ["id"], [["x"]], file=content)
        book = io.BytesIO()
        openpyxl.Workbook().save(book)
        add(sandbox, file=book.getvalue())
        run = sync(config, clock)
        assert "no header" in error_of(run)
        assert [run.bookmark(name) for name in (DEALS, "advertisers_csv")] == [None, None]


class TestCsv:
    def test_a_row_equal_to_the_header_is_no_row_and_leaves_no_gap(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        header = ["id", "name"]
        rows = [["1", "a"], header, ["2", "b"], ["3", "c"], header]
        sandbox.hienergy.add("advertisers_csv", header, rows)
        for is_mapped in (False, True):
            with mock.patch.object(TableStream, "is_mapped", new=is_mapped):
                run = sync(config, clock).ok()
            found = [(row["_row_number"], row["id"]) for row in run.records("advertisers_csv")]
            assert found == [(1, "1"), (2, "2"), (3, "3")]
            assert run.said(SKIPPED_HEADERS % 2, WARNING)

    @pytest.mark.parametrize("content", [b"id;name\n1;a\n", b"id\tname\n1\ta\n"])
    def test_a_file_that_is_not_comma_separated_is_refused(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any], content: bytes
    ) -> None:
        sandbox.hienergy.add("advertisers_csv", ["id"], [["x"]], file=content)
        run = sync(config, clock)
        assert "not comma-separated" in error_of(run)
        assert run.records("advertisers_csv") == []


class TestFailedExports:
    def test_an_export_that_failed_is_a_warning_with_the_service_s_words(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        add(sandbox, status="failed", error_message="too many rows")
        add(sandbox, status="failed", error_message="an old one", ago=30)
        add(sandbox, "a", ago=2)
        run = sync(config, clock).ok()
        assert deals(run) == ["a"]
        told = [r.getMessage() for r in run.log if "too many rows" in r.getMessage()]
        assert len(told) == 1
        assert run.said("too many rows", WARNING)
        assert not run.said("an old one")

    def test_a_word_that_no_table_has_is_an_error_that_names_it(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        add(sandbox, shown={"status": "archived"})
        sandbox.hienergy.add("advertisers_csv", ["id"], [["1"]])
        run = sync(config, clock)
        assert "'archived'" in error_of(run)
        assert len(run.records("advertisers_csv")) == 1
        assert run.bookmark(DEALS) is None

    def test_a_finished_export_without_a_file_is_an_error_that_says_how_to_pass_it_over(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        add(sandbox, "a", ago=3)
        lone = add(sandbox, header=(), rows=None, ago=2)
        add(sandbox, "b", ago=1)
        run = sync(config, clock)
        assert f"export {lone.id}" in error_of(run)
        assert "start_date" in error_of(run)
        assert (deals(run), run.bookmark(DEALS)) == (["a", "b"], "2026-11-17T15:00:00Z")
        sandbox.hienergy.update(lone, HEADER, [["late", 1]])
        run = sync(config, clock, state=run.state).ok()
        assert deals(run) == ["late"]

    def test_a_file_that_can_not_be_read_does_not_keep_back_the_others(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        add(sandbox, "a", ago=3)
        broken = add(sandbox, file=b"no workbook", ago=2)
        state: dict[str, Any] = {}
        for night, label in enumerate("bcd"):
            add(sandbox, label, ago=0)
            run = sync(config, clock, state=state)
            state = run.state
            assert f"export {broken.id}" in error_of(run)
            assert "set a later start_date" in error_of(run)
            assert deals(run) == (["a", "b"] if night == 0 else [label])
            clock.advance(days=2)
        run = sync({**config, "start_date": "2026-11-18"}, clock, state=state).ok()
        assert deals(run) == []

    @pytest.mark.parametrize(("ago", "told"), [(70, False), (2, True)])
    def test_an_unknown_word_matters_from_the_start_on_and_to_no_other_export(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any], ago: int, told: bool
    ) -> None:
        old = sandbox.now() - timedelta(days=ago)
        dates = dict.fromkeys(("completed_at", "updated_at", "created_at"), old.isoformat())
        add(sandbox, ago=ago, shown={"status": "expired", **dates})
        add(sandbox, "b", ago=1)
        run = sync({**config, "start_date": "2026-10-01"}, clock)
        assert deals(run) == ["b"]
        assert ("'expired'" in error_of(run)) if told else run.error is None

    def test_an_earlier_start_brings_what_was_before(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        add(sandbox, "old", ago=30)
        add(sandbox, "new", ago=5)
        late, early = ({**config, "start_date": day} for day in ("2026-11-10", "2026-10-01"))
        run = sync(late, clock).ok()
        assert deals(run) == ["new"]
        clock.advance(days=3)
        run = sync(early, clock, state=run.state).ok()
        assert deals(run) == ["old"]
        for config in (early, late, early):
            clock.advance(days=3)
            run = sync(config, clock, state=run.state).ok()
            assert deals(run) == []

    def test_an_export_that_vanished_is_an_error_and_never_made_anew(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        add(sandbox, "a", ago=3)
        gone = add(sandbox, "b", ago=2)
        sandbox.faults.add(f"GET /api/v1/exports/{gone.id}", status(404), times=None)
        run = sync(config, clock)
        assert f"export {gone.id}" in error_of(run)
        assert (deals(run), asked(sandbox, "POST")) == (["a"], [])

    def test_an_export_that_vanishes_before_its_download_is_an_error_too(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        gone = add(sandbox, "b", ago=2)
        catalog = discover(config, clock)
        one = f"GET /api/v1/exports/{gone.id}"
        sandbox.faults.add("storage", status(403), times=None)
        sandbox.faults.add(one, status(404), times=None, after=1)
        run = sync(config, clock, catalog=catalog)
        assert DEALS in error_of(run)
        assert asked(sandbox, "POST") == []


class TestManySyncs:
    @pytest.mark.property
    @settings(
        max_examples=examples(25), suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(st.data())
    def test_a_warehouse_holds_every_file_whatever_is_cut_or_fails(
        self, data: st.DataObject
    ) -> None:
        clock = FakeClock(NOW)
        with Sandbox(now=clock.now, job_seconds=60) as sandbox:
            sandbox.hienergy.clear()
            config = {
                "start_date": "2026-11-01",
                "hienergy": {
                    "api_key": KEY,
                    "api_url": sandbox.base_url("hienergy"),
                    "create": [{"report_type": DEALS, **params("q")}],
                },
            }
            catalog = only(discover(config, clock), DEALS)
            warehouse, listed, number = Warehouse(), set(), 0
            for step in range(data.draw(st.integers(1, 5))):
                for _ in range(data.draw(st.integers(0, 3))):
                    number += 1
                    listed.add(add(sandbox, str(number), ago=data.draw(st.floats(0, 0.9))).id)
                if step and data.draw(st.booleans()):
                    after = data.draw(st.integers(0, 3))
                    sandbox.faults.add("hienergy read", status(404), after=after)
                run = sync(config, clock, state=warehouse.state, catalog=catalog)
                cut = data.draw(st.integers(0, len(run.messages)) | st.none())
                warehouse.load(run.messages[:cut])
                sandbox.faults.clear()
                clock.advance(hours=data.draw(st.integers(0, 72)))
            run = sync(config, clock, state=warehouse.state, catalog=catalog).ok()
            warehouse.load(run.messages)
            assert {key[1] for key in warehouse.tables[DEALS]} == set(sandbox.hienergy.exports)
            assert listed < set(sandbox.hienergy.exports), "those that were asked for too"
            sandbox.requests.clear()
            sync(config, clock, state=warehouse.state, catalog=catalog).ok()
            assert downloads(sandbox) == 0
