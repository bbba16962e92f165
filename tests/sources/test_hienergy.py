"""Hi Energy AI: the list of exports, and each finished file's rows once, whoever asked for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from harness import NOW, FakeClock, Run, Warehouse, discover, sync
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from tap_affiliate_reports.errors import TapError, Unauthorized
from tap_affiliate_reports.sandbox import Sandbox, body, html_login, status
from tap_affiliate_reports.sandbox.hienergy import SandboxExport
from tap_affiliate_reports.sources.hienergy import api

WARNING, ERROR = 30, 40
FILES = ("advertisers_csv", "deals_excel", "hot_advertisers_excel", "clicks_details_excel")
DEALS = "deals_excel"
HEADER = ["Deal ID", "Amount"]
KEY = "sandbox-key"


def made(export: SandboxExport) -> tuple[list[str], list[list[Any]]]:
    """Return the file of an export that was asked for: one row that tells what for."""
    return HEADER, [[export.search_params.get("q", "made"), 1]]


@pytest.fixture
def sandbox(clock: FakeClock) -> Iterator[Sandbox]:
    """An account whose exports take a minute, with none there at the start."""
    with Sandbox(now=clock.now, job_seconds=60) as running:
        running.hienergy.clear()
        running.hienergy.tables[DEALS] = made
        yield running
        assert not running.unmatched


@pytest.fixture
def config(sandbox: Sandbox) -> dict[str, Any]:
    return {
        "start_date": "2026-11-01",
        "hienergy": {"api_key": KEY, "api_url": sandbox.base_url("hienergy")},
    }


def having(config: dict[str, Any], **own: Any) -> dict[str, Any]:
    """Return the configuration with more settings of the source."""
    return {**config, "hienergy": {**config["hienergy"], **own}}


def creating(config: dict[str, Any], *create: dict[str, Any], **own: Any) -> dict[str, Any]:
    return having(config, create=[{"report_type": DEALS, **one} for one in create], **own)


def params(q: str) -> dict[str, Any]:
    """Return parameters that no export of `add` was made with."""
    return {"search_params": {"q": q}}


def add(sandbox: Sandbox, *ids: str, ago: float = 1, **facts: Any) -> SandboxExport:
    """Add an export of deals that was finished some days ago."""
    rows = [[name, Decimal("1.5")] for name in ids]
    at = sandbox.now() - timedelta(days=ago)
    return sandbox.hienergy.add(
        DEALS, **{"header": HEADER, "rows": rows, "completed_at": at, **facts}
    )


def downloads(sandbox: Sandbox) -> int:
    """Count the requests of files, and forget all requests."""
    count = sum(request.origin == "storage" for request in sandbox.requests)
    sandbox.requests.clear()
    return count


def asked(sandbox: Sandbox, method: str, path: str = "") -> list[Any]:
    return [r for r in sandbox.requests if r.method == method and r.path.endswith(path)]


def deals(run: Run) -> list[str]:
    return [row["Deal ID"] for row in run.records(DEALS)]


def exports_of(run: Run, stream: str = DEALS) -> list[int]:
    """Return the exports whose rows were emitted, in their order."""
    return list(dict.fromkeys(row["_export_id"] for row in run.records(stream)))


def error_of(run: Run) -> str:
    """Return the line of a sync that failed as expected."""
    assert isinstance(run.error, TapError), repr(run.error)
    assert "\n" not in str(run.error)
    return str(run.error)


def only(catalog: dict[str, Any], *streams: str) -> dict[str, Any]:
    """Return the catalog with just these streams selected."""
    for entry in catalog["streams"]:
        metadata_of(catalog, entry["tap_stream_id"])["selected"] = entry["tap_stream_id"] in streams
    return catalog


def metadata_of(catalog: dict[str, Any], stream: str, column: str | None = None) -> dict[str, Any]:
    (entry,) = (e for e in catalog["streams"] if e["tap_stream_id"] == stream)
    wanted = ["properties", column] if column else []
    return next(m["metadata"] for m in entry["metadata"] if m["breadcrumb"] == wanted)


def properties(run: Run, stream: str = DEALS) -> dict[str, Any]:
    return run.schema(stream)["schema"]["properties"]


class TestExports:
    def test_each_export_is_a_typed_record_without_its_link(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        asked_for = {"q": "shoes\0", "rate": 1.5, "deep": {"ids": [1, 2]}, "none": None}
        export = add(sandbox, "a", ago=1, search_params=asked_for)
        run = sync(having(config, account="mine"), clock).ok()
        (record,) = run.records("exports")
        assert record == {
            "_account": "mine",
            "_unparsed": None,
            "id": export.id,
            "report_type": DEALS,
            "display_name": "Deals Excel",
            "status": "completed",
            "status_display": "Completed",
            "parameters": {
                "search_params": {
                    "q": "shoes", "rate": Decimal("1.5"), "deep": {"ids": [1, 2]}, "none": None
                },
                "index_params": {},
            },
            "filename": f"deals_excel_{export.id}.xlsx",
            "download_expires_in_seconds": 900,
            "error_message": None,
            "progress": None,
            "parent_report_id": None,
            "chunked_export": False,
            "created_at": "2026-11-18T14:59:00.000Z",
            "updated_at": "2026-11-18T15:00:00.000Z",
            "started_at": "2026-11-18T14:59:06.000Z",
            "completed_at": "2026-11-18T15:00:00.000Z",
            "status_url": f"{sandbox.base_url('hienergy')}/exports/{export.id}",
        }  # fmt: skip
        schema = run.schema("exports")
        assert schema["key_properties"] == ["_account", "id"]
        assert schema["bookmark_properties"] == ["updated_at"]
        Draft7Validator(schema["schema"]).validate(json.loads(json.dumps(record, default=float)))
        assert "download_url" not in json.dumps(run.messages, default=str)

    def test_progress_is_an_object_and_junk_goes_to_unparsed(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        add(sandbox, shown={"created_at": "lately", "parameters": "none", "chunked_export": "true"})
        sandbox.hienergy.parts = 3
        sandbox.hienergy.request(DEALS, {"q": "parts"}, {})
        clock.advance(seconds=30)
        *others, odd = sync(config, clock).ok().records("exports")
        assert odd["progress"] is None
        assert (odd["parameters"], odd["chunked_export"]) == (None, True)
        assert odd["_unparsed"] == {"created_at": "lately"}
        parents = [record for record in others if record["chunked_export"]]
        assert [r["progress"] for r in parents] == [{"parts_ready": 1, "total_parts": 3}]

    def test_only_what_was_updated_since_the_bookmark_comes_again(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        old, new = add(sandbox, ago=3), add(sandbox, ago=1)
        before_start = add(sandbox, ago=30)
        run = sync(config, clock).ok()
        assert {record["id"] for record in run.records("exports")} == {old.id, new.id}
        assert run.bookmark("exports") == "2026-11-18T15:00:00.000Z"
        sandbox.hienergy.update(before_start, shown={"filename": None})
        run = sync(config, clock, state=run.state).ok()
        ids = {record["id"] for record in run.records("exports")}
        assert ids == {new.id, before_start.id}, "the tie at the bookmark and what changed"

    def test_an_export_without_a_date_of_update_comes_each_time(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        add(sandbox, ago=1)
        odd = add(sandbox, ago=2, shown={"updated_at": None})
        run = sync(config, clock).ok()
        assert run.bookmark("exports") == "2026-11-18T15:00:00.000Z"
        run = sync(config, clock, state=run.state).ok()
        assert odd.id in {record["id"] for record in run.records("exports")}

    def test_a_finished_export_without_any_date_is_told(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        dates = dict.fromkeys(("completed_at", "updated_at", "created_at"))
        odd = add(sandbox, "odd", shown=dates)
        add(sandbox, "even", ago=2)
        run = sync(config, clock)
        assert f"export {odd.id} is completed but has no date" in error_of(run)
        assert deals(run) == ["even"]

    @pytest.mark.parametrize("zone", [" UTC", " GMT", "Z", "+00:00"])
    def test_dates_may_name_their_zone(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any], zone: str
    ) -> None:
        add(sandbox, shown={"completed_at": f"2026-11-18 12:00:00{zone}"})
        assert sync(config, clock).ok().bookmark(DEALS) == "2026-11-18T12:00:00Z"


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
        assert (row["Code"], row["_unparsed"]) == (None, {"Code": "text"}), "its type stays"

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

    def test_a_type_stays_what_it_was_first(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any], known: dict[str, Any]
    ) -> None:
        run = self.load(sandbox, clock, config, known, HEADER, [7, "a lot"])
        (row,) = run.records(DEALS)
        assert (row["Deal ID"], row["Amount"]) == ("7", None)
        assert row["_unparsed"] == {"Amount": "a lot"}
        catalog = discover(config, clock)
        run = sync(config, clock, state=known, catalog=catalog)
        assert run.ok().said("the type of Amount is now string; it stays decimal", WARNING)
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
        assert [(r["New"], r["_unparsed"]) for r in run.records(DEALS)] == [(None, {"New": "text"})]
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
        assert (row["Deal ID"], row["_account"]) == ("first", "")
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
            assert rows[2]["_unparsed"] == {"Amount": "1e-20"}


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


class TestChunks:
    @pytest.mark.parametrize("days", [0, 3])
    def test_a_parent_whose_parts_are_loaded_is_not_loaded_too(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any], days: int
    ) -> None:
        parent = add(sandbox, header=(), rows=None, ago=2)
        for name in "ab":
            add(sandbox, name, ago=2.5, parent=parent)
        run = sync(config, clock).ok()
        assert deals(run) == ["a", "b"]
        clock.advance(days=days)
        sandbox.hienergy.update(parent, HEADER, [["a", 1], ["b", 1]], completed_at=sandbox.now())
        run = sync(config, clock, state=run.state).ok()
        assert deals(run) == []
        assert run.said("its parts are loaded", WARNING)

    def test_a_created_parent_without_a_file_leaves_its_rows_to_its_parts(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        parent = add(sandbox, header=(), rows=None, ago=1, **params("shoes"))
        add(sandbox, "a", ago=1.5, parent=parent)
        run = sync(creating(config, params("shoes")), clock).ok()
        assert deals(run) == ["a"]

    def parent(self, sandbox: Sandbox, **facts: Any) -> tuple[SandboxExport, list[SandboxExport]]:
        """A parent still in the making, two of its parts finished."""
        facts = {"status": "processing", "created_at": sandbox.now() - timedelta(days=1), **facts}
        parent = add(sandbox, "a", "b", ago=0, **facts)
        parts = [add(sandbox, name, ago=0.5, parent=parent) for name in "ab"]
        return parent, parts

    def test_parts_wait_for_their_parent_and_the_bookmark_waits_with_them(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        add(sandbox, "before", ago=2)
        self.parent(sandbox)
        add(sandbox, "after", ago=0.1)
        run = sync(config, clock).ok()
        assert deals(run) == ["before", "after"]
        assert run.bookmark(DEALS) == "2026-11-19T03:00:00Z", "that of the first part"
        downloads(sandbox)
        sync(config, clock, state=run.state).ok()
        assert downloads(sandbox) == 0

    @pytest.mark.parametrize("days", [1, 40])
    @pytest.mark.parametrize("end", ["completed", "failed", "no file", "forgotten"])
    def test_nothing_is_lost_or_loaded_twice_however_the_parent_ends(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any], end: str, days: int
    ) -> None:
        parent, parts = self.parent(sandbox)
        add(sandbox, "other", ago=0.1)
        run = sync(config, clock).ok()
        emitted, seen = deals(run), exports_of(run)
        clock.advance(days=days / 2)
        add(sandbox, "another", ago=0)
        run = sync(config, clock, state=run.state).ok()
        emitted += deals(run)
        clock.advance(days=days / 2)
        if end == "forgotten":
            del sandbox.hienergy.exports[parent.id]
        else:
            status_word = "failed" if end == "failed" else "completed"
            sandbox.hienergy.update(parent, status=status_word)
        if end == "no file":
            parent.make = None
        for _ in range(2):
            run = sync(config, clock, state=run.state).ok()
            emitted += deals(run)
            seen += exports_of(run)
        assert sorted(emitted) == ["a", "another", "b", "other"]
        whole = [parent.id] if end == "completed" else [part.id for part in parts]
        assert [one for one in seen if one in {parent.id, *(part.id for part in parts)}] == whole

    def test_parts_of_a_parent_that_is_whole_are_passed_over(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        parent, _ = self.parent(sandbox, status="completed")
        assert exports_of(sync(config, clock).ok()) == [parent.id]

    def test_a_parent_that_the_list_no_longer_has_is_asked_for(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        parent, _ = self.parent(sandbox, created_at=clock.now() - timedelta(days=60))
        sandbox.hienergy.max_limit = 2
        run = sync(config | {"start_date": "2026-11-19"}, clock)
        assert run.records(DEALS) == []
        assert asked(sandbox, "GET", f"/{parent.id}")

    def test_a_parent_without_a_file_is_known_by_its_progress_alone(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        self.parent(sandbox, status="completed", header=(), rows=None,
                    shown={"chunked_export": None})  # fmt: skip
        assert deals(sync(config, clock).ok()) == ["a", "b"]


class TestCreate:
    def test_what_is_set_is_asked_for_waited_for_and_loaded(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        create = {"search_params": {"q": "shoes", "ids": [1]}, "index_params": {"page": 2}}
        run = sync(creating(config, create), clock).ok()
        (post,) = asked(sandbox, "POST")
        assert json.loads(post.body) == {"report_type": DEALS, **create}
        assert post.headers["X-Api-Key"] == KEY
        (row,) = run.records(DEALS)
        assert (row["Deal ID"], row["_completed_at"]) == ("shoes", "2026-11-19T15:01:00Z")
        assert sum(clock.slept) >= 60
        assert run.bookmark(DEALS) == "2026-11-19T15:01:00Z"

    @pytest.mark.parametrize("days", [0, 5, 50])
    def test_the_same_export_again_is_not_loaded_again(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any], days: int
    ) -> None:
        config = creating(config, params("shoes"))
        run = sync(config, clock).ok()
        assert len(exports_of(run)) == 1
        for _ in range(3):
            clock.advance(days=days)
            add(sandbox, "other", ago=0)
            downloads(sandbox)
            run = sync(config, clock, state=run.state).ok()
            assert (downloads(sandbox), deals(run)) == (1, ["other"])
            assert run.said("loaded already", WARNING)

    @pytest.mark.parametrize("ago", [2, 40])
    def test_a_finished_export_that_is_not_loaded_is_loaded_once(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any], ago: float
    ) -> None:
        made = add(sandbox, "a", ago=ago, search_params={"q": "shoes"})
        config = creating(config, params("shoes"))
        run = sync(config, clock).ok()
        assert exports_of(run) == [made.id], "in the list, or before start_date and asked for"
        assert len(run.records(DEALS)) == 1
        for _ in range(3):
            clock.advance(days=3)
            add(sandbox, "other", ago=0)
            run = sync(config, clock, state=run.state).ok()
            assert deals(run) == ["other"]

    def test_an_export_in_flight_is_adopted(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        theirs, _ = sandbox.hienergy.request(DEALS, {"q": "q"}, {})
        run = sync(creating(config, params("q")), clock).ok()
        assert exports_of(run) == [theirs.id]
        (post,) = asked(sandbox, "POST")
        assert post.status == 409

    def test_an_answer_that_was_lost_makes_no_second_export(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        sandbox.faults.add("hienergy create", status(502, handled=True))
        run = sync(creating(config, params("q")), clock).ok()
        assert exports_of(run) == list(sandbox.hienergy.exports)

    def test_a_conflict_without_an_export_is_an_error_in_the_service_s_words(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        words = json.dumps({"error": {"code": "conflict", "message": "frozen account"}})
        sandbox.faults.add("hienergy create", status(409, body=words.encode()))
        assert "frozen account" in error_of(sync(creating(config, params("q")), clock))

    def test_two_entries_of_one_export_load_it_once(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        run = sync(creating(config, params("q"), params("q")), clock).ok()
        assert len(exports_of(run)) == 1
        assert len({r["_row_number"] for r in run.records(DEALS)}) == len(run.records(DEALS))
        assert run.said("create 2", WARNING)

    def test_one_that_fails_is_an_error_and_holds_back_neither_the_list_nor_the_others(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        sandbox.hienergy.fail_next("out of memory", report_type=DEALS)
        add(sandbox, "listed")
        create = [params("first"), params("second")]
        run = sync(creating(config, *create), clock)
        assert "out of memory" in error_of(run)
        assert "create 1" in error_of(run)
        assert len(asked(sandbox, "POST")) == 2, "it is not made again by itself"
        assert deals(run) == ["listed", "second"]

    def test_one_whose_file_is_damaged_is_not_passed_over(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        sandbox.hienergy.job_seconds = lambda export: (
            60 if export.search_params["q"] == "first" else 200_000
        )
        sandbox.faults.add("storage", html_login(), times=3)
        config = creating(config, params("first"), params("second"))
        run = sync(having(config, job_timeout_seconds=10**6, poll_interval_seconds=5000), clock)
        assert "create 1" in error_of(run)
        assert deals(run) == ["second"]
        run = sync(having(config, create=[]), clock, state=run.state).ok()
        assert deals(run) == ["first"], "finished more than a day before the other"

    def test_one_that_is_never_done_is_an_error_that_names_it(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        sandbox.hienergy.fail_next(status="processing")
        add(sandbox, "listed")
        run = sync(creating(config, params("q"), job_timeout_seconds=100), clock)
        (made,) = (e.id for e in sandbox.hienergy.exports.values() if e.ends == "processing")
        assert f"job {made} was not done after 100 s" in error_of(run)
        assert deals(run) == ["listed"]
        sandbox.hienergy.update(sandbox.hienergy.exports[made], status="completed")
        run = sync(creating(config, params("q")), clock, state=run.state).ok()
        assert exports_of(run) == [made]

    def test_a_word_that_no_table_has_is_an_error_that_names_it(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        sandbox.hienergy.fail_next(status="archived")
        assert "'archived'" in error_of(sync(creating(config, params("q")), clock))

    def test_one_that_vanishes_is_an_error_and_not_made_again(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        sandbox.faults.add("hienergy read", status(404), times=None)
        run = sync(creating(config, params("q")), clock)
        assert "no longer knows" in error_of(run)
        assert len(asked(sandbox, "POST")) == 1

    def test_the_parts_of_one_in_parts_are_not_loaded(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        sandbox.hienergy.parts = 3
        run = sync(creating(config, params("q")), clock).ok()
        (parent,) = exports_of(run)
        assert sandbox.hienergy.exports[parent].parts
        assert run.said("%)"), "its progress is told while it is waited for"
        run = sync(having(config, create=[]), clock, state=run.state).ok()
        assert run.records(DEALS) == []

    def test_a_null_in_the_settings_is_not_sent(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        sync(creating(config, {"search_params": None}), clock).ok()
        (post,) = asked(sandbox, "POST")
        assert json.loads(post.body) == {"report_type": DEALS}


class TestLinks:
    def test_no_key_goes_to_the_storage_and_no_link_is_used_that_expired(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        add(sandbox, "a")
        catalog = discover(config, clock)
        sandbox.requests.clear()
        sandbox.faults.add("storage", status(403))
        run = sync(config, clock, catalog=catalog).ok()
        assert deals(run) == ["a"]
        files = [request for request in sandbox.requests if request.origin == "storage"]
        assert [request.status for request in files] == [403, 200]
        assert files[0].path != files[1].path, "a fresh link"
        assert not [r for r in files if "X-Api-Key" in r.headers or "Authorization" in r.headers]

    def test_a_link_that_is_always_refused_is_an_error(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        add(sandbox, "a")
        sandbox.faults.add("storage", status(403), times=None)
        run = sync(config, clock)
        assert "403" in error_of(run)
        assert "X-Signature" not in "".join(r.getMessage() for r in run.log)
        assert run.bookmark(DEALS) is None

    def test_a_file_that_is_not_ready_is_waited_for(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        add(sandbox, "a")
        catalog = discover(config, clock)
        sandbox.faults.add("storage", status(202, body=b"{}"), times=2)
        assert deals(sync(config, clock, catalog=catalog).ok()) == ["a"]
        assert sum(clock.slept) > 0
        sandbox.faults.add("storage", status(202, body=b"{}"), times=None)
        run = sync(having(config, job_timeout_seconds=60), clock, catalog=catalog)
        assert "was not done after 60 s" in error_of(run)

    def test_a_file_that_is_not_ready_has_no_columns_yet(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        add(sandbox, "a")
        sandbox.faults.add("storage", status(202, body=b"{}"))
        assert deals(sync(config, clock).ok()) == ["a"]


class TestLongLists:
    def test_all_of_a_list_is_read_however_long_it_is(
        self,
        sandbox: Sandbox,
        clock: FakeClock,
        config: dict[str, Any],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(api, "FIRST_LIMIT", 3)
        for number in range(14):
            add(sandbox, str(number), ago=14 - number)
        run = sync(config, clock).ok()
        assert deals(run) == [str(number) for number in range(14)]
        assert len(run.records("exports")) == 14
        limits = [int(r.first("limit")) for r in asked(sandbox, "GET", "/exports")]
        assert limits[:3] == [3, 12, 48]

    @pytest.mark.parametrize("first", [2, 3, 500])
    def test_a_list_cut_short_is_an_error_only_where_rows_may_be_missing(
        self,
        sandbox: Sandbox,
        clock: FakeClock,
        config: dict[str, Any],
        first: int,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(api, "FIRST_LIMIT", first)
        sandbox.hienergy.max_limit = 3
        for number in range(4):
            add(sandbox, str(number), ago=4 * (4 - number))
        run = sync(config, clock)
        assert "no more than 3 exports" in error_of(run)
        assert "start_date" in error_of(run)
        assert run.records(DEALS) == []
        run = sync(config | {"start_date": "2026-11-08"}, clock).ok()
        assert deals(run) == ["2", "3"]
        assert len(run.records("exports")) == 2

    def test_a_list_that_is_shorter_than_its_cap_is_whole(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        sandbox.hienergy.max_limit = 3
        add(sandbox, "a", ago=2)
        add(sandbox, "b", ago=1)
        assert deals(sync(config, clock).ok()) == ["a", "b"]

    def test_an_answer_that_is_no_list_is_an_error(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        sandbox.faults.add("hienergy list", body(b'{"reports": []}'), times=None)
        assert "no list of exports" in error_of(sync(config, clock))


class TestRateLimits:
    @pytest.mark.parametrize("spared", range(4))
    def test_what_a_limit_leaves_is_loaded_next_time(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any], spared: int
    ) -> None:
        names = ["a", "b", "c", "d"]
        for number, name in enumerate(names):
            add(sandbox, name, ago=9 - 2 * number)
        catalog = only(discover(config, clock), DEALS)
        limit = status(429, {"Retry-After": "3600"})
        sandbox.faults.add("hienergy read", limit, times=1, after=spared)
        run = sync(having(config, max_concurrent_jobs=1), clock, catalog=catalog)
        assert "rate limit" in error_of(run).lower()
        emitted = deals(run)
        assert names[spared] not in emitted
        run = sync(config, clock, catalog=catalog, state=run.state).ok()
        assert sorted(emitted + deals(run)) == names

    def test_what_is_loaded_after_one_that_is_left_does_not_pass_it_over(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        _, left, _ = (add(sandbox, name, ago=ago) for name, ago in (("a", 9), ("b", 6), ("c", 3)))
        catalog = only(discover(config, clock), DEALS)
        running = json.dumps({"export": {"id": left.id, "status": "processing"}}).encode()
        one = f"GET /api/v1/exports/{left.id}"
        sandbox.faults.add(one, body(running, "application/json"))
        sandbox.faults.add(one, status(429, {"Retry-After": "3600"}))
        run = sync(config, clock, catalog=catalog)
        assert "rate limit" in error_of(run).lower()
        assert (deals(run), run.bookmark(DEALS)) == (["a", "c"], "2026-11-13T15:00:00Z")
        run = sync(config, clock, catalog=catalog, state=run.state).ok()
        assert deals(run) == ["b"]
        assert sync(config, clock, catalog=catalog, state=run.state).ok().records(DEALS) == []

    def test_a_short_pause_is_made(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        add(sandbox, "a")
        sandbox.faults.add("hienergy list", status(429, {"X-RateLimit-Reset": "77"}))
        assert deals(sync(config, clock).ok()) == ["a"]
        assert 77 in clock.slept


class TestCredentials:
    def test_a_bad_key_is_one_clear_error(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        run = sync(having(config, api_key="another-key"), clock)
        assert isinstance(run.error, Unauthorized)
        assert "another-key" not in error_of(run)
        assert run.states == [] or DEALS not in run.state.get("bookmarks", {})

    @pytest.mark.parametrize("code", [401, 503])
    def test_an_account_that_can_not_be_read_does_not_stop_another_source(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any], code: int
    ) -> None:
        add(sandbox, "a")
        instal = {"auth_token": "sandbox-token", "api_url": sandbox.base_url("instal")}
        both = {**config, "start_date": "2026-11-17", "instal": instal}
        state = sync(both, clock).ok().state
        catalog = discover(both, clock)
        sandbox.faults.add("hienergy list", status(code), times=None)
        clock.advance(days=1)
        for chosen in (None, catalog):
            run = sync(both, clock, state=state, catalog=chosen)
            assert f"HTTP {code}" in error_of(run)
            assert run.bookmark("advertiser_report") == "2026-11-19"
            assert run.state["bookmarks"][DEALS] == state["bookmarks"][DEALS]

    @pytest.mark.parametrize(
        ("own", "named"),
        [
            ({"api_key": None}, "hienergy.api_key"),
            ({"api_key": ""}, "hienergy.api_key"),
            ({"create": [{"report_type": "coupons_excel"}]}, "hienergy.create.0.report_type"),
            ({"create": [{"search_params": {}}]}, "hienergy.create.0.report_type"),
            ({"create": [{"report_type": DEALS, "q": 1}]}, "hienergy.create.0.q"),
            ({"create": {"report_type": DEALS}}, "hienergy.create"),
            ({"create": [{"report_type": DEALS, "search_params": [1]}]}, "search_params"),
            ({"reports": ["*"]}, "hienergy.reports"),
            ({"max_exports": 5}, "hienergy.max_exports"),
        ],
    )
    def test_a_wrong_setting_is_refused_by_one_line_that_names_it(
        self,
        sandbox: Sandbox,
        clock: FakeClock,
        config: dict[str, Any],
        own: dict[str, Any],
        named: str,
    ) -> None:
        run = sync(having(config, **own), clock)
        (line,) = getattr(run.error, "errors", [])
        assert named in line
        assert KEY not in line
        assert not sandbox.requests


class TestManySyncs:
    @settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
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
