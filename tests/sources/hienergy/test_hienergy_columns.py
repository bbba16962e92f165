"""Columns come from the newest file's header, and from others when they come."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from harness import FakeClock, Run, discover, sync
from hienergy_case import (
    DEALS,
    FILES,
    HEADER,
    WARNING,
    add,
    asked,
    downloads,
    error_of,
    having,
    metadata_of,
    only,
    properties,
)

from tap_affiliate_reports.errors import TapError
from tap_affiliate_reports.sandbox import Sandbox, status
from tap_affiliate_reports.streams.table import TYPE_KEPT


class TestDiscovery:
    def test_the_streams_are_the_list_and_one_for_each_kind(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        catalog = discover(config, clock)
        names = {entry["tap_stream_id"] for entry in catalog["streams"]}
        assert names == {"exports", *FILES}
        assert not asked(sandbox, "POST")

    def test_columns_and_types_are_those_of_the_newest_finished_file(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        header = ["Text", "Number", "Flag", "When", "Mixed", "Empty", "text", "_account", ""]
        moment = datetime(2026, 3, 1, 12, 30)
        rows = [
            ["007", 7, True, moment, 1, None, "x", "theirs", None],
            [None, Decimal("0.125"), False, None, "one", None, None, None, "y"],
        ]
        add(sandbox, header=["Text"], rows=[["old"]], ago=3)
        add(sandbox, header=header, rows=rows, ago=1)
        add(sandbox, "young but failed", ago=0, status="failed")
        catalog = discover(config, clock)
        (entry,) = (e for e in catalog["streams"] if e["tap_stream_id"] == DEALS)
        found = {
            name: (schema["type"], schema.get("format"))
            for name, schema in entry["schema"]["properties"].items()
            if name not in {"_account", "_export_id", "_completed_at", "_row_number", "_unparsed"}
        }
        text = (["string", "null"], None)
        assert found == {
            "Text": text,
            "Number": (["number", "null"], None),
            "Flag": (["boolean", "null"], None),
            "When": (["string", "null"], "date-time"),
            "Mixed": text,
            "Empty": text,
            "text_2": text,
            "_account_2": text,
            "column_9": text,
        }
        assert entry["key_properties"] == ["_account", "_export_id", "_row_number"]
        assert entry["replication_key"] == "_completed_at"
        assert downloads(sandbox) == 1

        run = sync(having(config, account="mine"), clock, catalog=catalog).ok()
        one, two = run.records(DEALS)[1:]
        assert one == {
            "_account": "mine",
            "_export_id": one["_export_id"],
            "_completed_at": "2026-11-18T15:00:00Z",
            "_row_number": 1,
            "_unparsed": None,
            "Text": "007",
            "Number": 7,
            "Flag": True,
            "When": "2026-03-01T12:30:00Z",
            "Mixed": "1",
            "Empty": None,
            "text_2": "x",
            "_account_2": "theirs",
            "column_9": None,
        }
        assert (two["Number"], two["Flag"], two["column_9"]) == (Decimal("0.125"), False, "y")

    def test_a_csv_file_is_all_text(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        rows = [["007", Decimal("1.50"), None]]
        sandbox.hienergy.add("advertisers_csv", ["id", "rate", "note"], rows)
        run = sync(config, clock).ok()
        (row,) = run.records("advertisers_csv")
        assert (row["id"], row["rate"], row["note"]) == ("007", "1.50", None)

    def test_without_a_file_there_are_the_tap_s_columns_and_the_others_join(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        catalog = only(discover(config, clock), DEALS)
        (entry,) = (e for e in catalog["streams"] if e["tap_stream_id"] == DEALS)
        own = {"_account", "_export_id", "_completed_at", "_row_number", "_unparsed"}
        assert set(entry["schema"]["properties"]) == own
        add(sandbox, "a", "b")
        run = sync(config, clock, catalog=catalog).ok()
        assert run.said("new columns: Deal ID (string), Amount (decimal)", WARNING)
        assert set(properties(run)) == {*own, *HEADER}
        assert [(row["Deal ID"], row["Amount"]) for row in run.records(DEALS)] == [
            ("a", Decimal("1.5")),
            ("b", Decimal("1.5")),
        ]
        kinds = [m["type"] for m in run.messages if m.get("stream") == DEALS]
        assert kinds == ["SCHEMA", "SCHEMA", "RECORD", "RECORD"]

    def test_a_list_that_is_cut_does_not_hide_the_newest_file(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        sandbox.hienergy.max_limit = 2
        for ago in (3, 2, 1):
            add(sandbox, ago=ago)
        catalog = discover(config, clock)
        (entry,) = (e for e in catalog["streams"] if e["tap_stream_id"] == DEALS)
        assert set(HEADER) <= set(entry["schema"]["properties"])

    @pytest.mark.parametrize("code", [401, 403, 503])
    def test_an_account_that_can_not_be_read_fails_discovery(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any], code: int
    ) -> None:
        sandbox.faults.add("hienergy list", status(code), times=None)
        with pytest.raises(TapError, match=f"HTTP {code}"):
            discover(config, clock)

    def test_a_newest_file_that_is_damaged_leaves_its_columns_for_later(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        add(sandbox, file=b"PK not a workbook")
        assert discover(config, clock)["streams"]


class TestColumnsThatChange:
    @pytest.fixture
    def known(self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]) -> dict[str, Any]:
        """The state after a first file."""
        add(sandbox, "first", ago=3)
        return sync(config, clock).ok().state

    def load(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any], state: Any, *table: Any
    ) -> Run:
        add(sandbox, header=table[0], rows=table[1:])
        return sync(config, clock, state=state).ok()

    @pytest.mark.parametrize("header", [["deal_id", "AMOUNT"], ["Deal-ID", "amount "]])
    def test_a_renamed_header_is_matched_without_case_and_punctuation(
        self,
        sandbox: Sandbox,
        clock: FakeClock,
        config: dict[str, Any],
        known: dict[str, Any],
        header: list[str],
    ) -> None:
        run = self.load(sandbox, clock, config, known, header, ["b", 2])
        (row,) = run.records(DEALS)
        assert (row["Deal ID"], row["Amount"]) == ("b", 2)
        assert not run.said("new columns", WARNING)

    def test_a_missing_column_is_null_and_a_new_one_is_added(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any], known: dict[str, Any]
    ) -> None:
        run = self.load(sandbox, clock, config, known, ["Code", "Deal ID"], [True, "b"])
        (row,) = run.records(DEALS)
        assert (row["Deal ID"], row["Amount"], row["Code"]) == ("b", None, True)
        assert run.said("null: Amount", WARNING)
        assert run.said("new columns: Code (boolean)", WARNING)
        told: set[str] = set()
        for message in run.messages:
            if message["type"] == "SCHEMA" and message["stream"] == DEALS:
                told = set(message["schema"]["properties"])
            elif message["type"] == "RECORD" and message["stream"] == DEALS:
                assert message["record"].keys() <= told

        run = self.load(sandbox, clock, config, run.state, ["Deal ID", "Code"], ["c", "text"])
        (row,) = run.records(DEALS)
        assert (row["Code"], row["_unparsed"]) == (None, '{"Code":"text"}'), "its type stays"

    def test_names_that_repeat_or_differ_in_case_only_are_numbered_in_each_file(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any], known: dict[str, Any]
    ) -> None:
        header = ["Deal ID", "deal id", "Amount", "Amount"]
        run = self.load(sandbox, clock, config, known, header, ["a", "b", 1, 2])
        own = {name: value for name, value in run.records(DEALS)[0].items() if name[0] != "_"}
        assert own == {"Deal ID": "a", "deal id_2": "b", "Amount": 1, "Amount_2": 2}
        run = self.load(sandbox, clock, config, run.state, header[::-1], [3, 4, "c", "d"])
        own = {name: value for name, value in run.records(DEALS)[0].items() if name[0] != "_"}
        assert own == {"Deal ID": "c", "deal id_2": "d", "Amount": 3, "Amount_2": 4}

    def test_names_that_differ_in_a_sign_are_other_columns(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        found, state = [], None
        for name in ("Discount %", "Discount $", "Discount"):
            add(sandbox, header=["Deal ID", name], rows=[["a", 1]])
            run = sync(config, clock, state=state).ok()
            (row,), state = run.records(DEALS), run.state
            found.append([key for key, value in row.items() if key[0] == "D" and value == 1])
        assert found == [["Discount %"], ["Discount $"], ["Discount"]]

    def test_a_sign_on_one_side_is_the_same_column_where_no_other_is_like_it(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any], known: dict[str, Any]
    ) -> None:
        run = self.load(sandbox, clock, config, known, ["Deal ID", "Amount ($)"], ["b", 2])
        assert [row["Amount"] for row in run.records(DEALS)] == [2]
        header = ["Deal ID", "Amount $", "Amount %"]
        run = self.load(sandbox, clock, config, known, header, ["c", 3, 4])
        (row,) = run.records(DEALS)[-1:]
        assert (row["Amount"], row["Amount $"], row["Amount %"]) == (None, 3, 4)

    def test_a_type_stays_what_it_was_first(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any], known: dict[str, Any]
    ) -> None:
        run = self.load(sandbox, clock, config, known, HEADER, [7, "a lot"])
        (row,) = run.records(DEALS)
        assert (row["Deal ID"], row["Amount"]) == ("7", None)
        assert row["_unparsed"] == '{"Amount":"a lot"}'
        catalog = discover(config, clock)
        run = sync(config, clock, state=known, catalog=catalog)
        assert run.ok().said(TYPE_KEPT % (DEALS, "Amount", "string", "decimal"), WARNING)
        assert properties(run)["Amount"]["type"] == ["number", "null"]

    def test_a_type_stays_also_where_the_catalog_does_not_have_the_column(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any], known: dict[str, Any]
    ) -> None:
        catalog = discover(config, clock)
        add(sandbox, header=["Deal ID", "New"], rows=[["b", 5]])
        run = sync(config, clock, state=known, catalog=catalog).ok()
        assert [row["New"] for row in run.records(DEALS)] == [5]
        add(sandbox, header=["Deal ID", "New"], rows=[["c", "text"]], ago=0)
        run = sync(config, clock, state=run.state, catalog=catalog).ok()
        (row,) = run.records(DEALS)
        assert (row["New"], row["_unparsed"]) == (None, '{"New":"text"}')
        assert properties(run)["New"]["type"] == ["number", "null"]

    def test_a_file_of_other_columns_altogether_is_an_error_and_the_bookmark_stays(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any], known: dict[str, Any]
    ) -> None:
        add(sandbox, header=["x", "y"], rows=[["b", 2]])
        downloads(sandbox)
        run = sync(config, clock, state=known)
        assert "no column" in error_of(run)
        assert downloads(sandbox) == 3
        assert run.state["bookmarks"][DEALS] == known["bookmarks"][DEALS]

    def test_a_deselected_column_is_neither_told_nor_emitted(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any], known: dict[str, Any]
    ) -> None:
        catalog = only(discover(config, clock), DEALS)
        metadata_of(catalog, DEALS, "Amount")["selected"] = False
        metadata_of(catalog, DEALS, "_account")["selected"] = False
        run = sync(config, clock, catalog=catalog).ok()
        assert run.streams == {DEALS}
        (row,) = run.records(DEALS)
        assert (row["Deal ID"], row["_account"]) == ("first", "default")
        assert "Amount" not in {*row, *properties(run)}

    def test_decimals_are_texts_where_that_is_set(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        add(sandbox, header=HEADER, rows=[["a", Decimal("12.345")], ["b", 7], ["c", 1e-20]])
        config |= {"use_singer_decimal": True}
        for catalog in (None, discover(config, clock)):
            run = sync(config, clock, catalog=catalog).ok()
            assert properties(run)["Amount"]["format"] == "x-singer.decimal"
            rows = run.records(DEALS)
            assert [row["Amount"] for row in rows] == ["12.345", "7", None]
            assert rows[2]["_unparsed"] == '{"Amount":"1e-20"}'
