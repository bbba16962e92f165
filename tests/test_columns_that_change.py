"""A file's columns against MetaData and catalog: relabelled, missing, new; types that stay."""

from __future__ import annotations

from typing import Any

import pytest
from harness import FakeClock, Run, config_for, discover, sync

from tap_affiliate_reports.errors import TapError
from tap_affiliate_reports.sandbox import Attribute, Report, Sandbox, html_login

pytestmark = pytest.mark.chain

WARNING = 30
COLUMNS = [Attribute("Action_Id"), Attribute("Amount", "Decimal"), Attribute("Items", "Integer")]


@pytest.fixture
def report(sandbox: Sandbox) -> Report:
    """One row in each of three months."""
    return sandbox.impact.add(
        Report(
            "sales",
            "Sales",
            columns=COLUMNS,
            rows=lambda start, *_: [[f"{start:%m}", "1.50", "2"]],
        )
    )


@pytest.fixture
def config(sandbox: Sandbox, report: Report) -> dict[str, Any]:
    return config_for(sandbox, reports=["sales"])


def properties(run: Run) -> dict[str, Any]:
    return run.schema("sales")["schema"]["properties"]


def schema_is_told_before(run: Run, column: str) -> bool:
    """Tell whether no record has a column before a SCHEMA that has it."""
    known: set[str] = set()
    for message in (m for m in run.messages if m.get("stream") == "sales"):
        if message["type"] == "SCHEMA":
            known = set(message["schema"]["properties"])
        elif message["type"] == "RECORD" and not message["record"].keys() <= known:
            return False
    return column in known


class TestHeaders:
    @pytest.mark.parametrize(
        "header",
        [["Action Id", "AMOUNT", "items"], ["action-id", "amount ", "Items."]],
    )
    def test_a_relabelled_header_is_matched_without_case_and_punctuation(
        self, report: Report, config: dict[str, Any], clock: FakeClock, header: list[str]
    ) -> None:
        report.header = header
        run = sync(config, clock).ok()
        row = run.records("sales")[0]
        assert (row["Action_Id"], row["Items"], row["_unparsed"]) == ("09", 2, None)
        assert (
            len([m for m in run.messages if m["type"] == "SCHEMA" and m["stream"] == "sales"]) == 1
        )

    def test_an_exact_name_wins_over_a_like_one_wherever_it_stands(
        self, sandbox: Sandbox, report: Report, config: dict[str, Any], clock: FakeClock
    ) -> None:
        report.columns = [Attribute("Action_Id"), Attribute("Action Id")]
        report.header = ["Action Id", "Action_Id"]
        report.rows = lambda *_: [["spaced", "scored"]]
        row = sync(config, clock).ok().records("sales")[0]
        assert (row["Action_Id"], row["Action Id"]) == ("scored", "spaced")

    def test_columns_in_another_order_keep_their_values(
        self, report: Report, config: dict[str, Any], clock: FakeClock
    ) -> None:
        report.header = ["Items", "Action_Id", "Amount"]
        report.rows = lambda *_: [["2", "x", "1.5"]]
        row = sync(config, clock).ok().records("sales")[0]
        assert (row["Action_Id"], row["Items"]) == ("x", 2)

    def test_names_equal_but_for_case_are_columns_of_their_own(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        run = sync(config_for(sandbox, reports=["12172"]), clock).ok()
        names = run.schema("report_12172")["schema"]["properties"].keys()
        assert {"Clicks", "clicks_2", "Sale_zzzAmount", "sale_zzzamount_2"} <= names
        assert len({name.casefold() for name in names}) == len(names)
        row = run.records("report_12172")[0]
        assert isinstance(row["Clicks"], int)
        assert row["clicks_2"] is not None
        assert isinstance(row["sale_zzzamount_2"], str)

    def test_a_known_column_missing_from_the_file_is_null_with_a_warning(
        self, report: Report, config: dict[str, Any], clock: FakeClock
    ) -> None:
        report.header = ["Action_Id", "Items"]
        report.rows = lambda *_: [["x", "2"]]
        run = sync(config, clock).ok()
        assert [row["Amount"] for row in run.records("sales")] == [None] * 3
        assert run.said("Amount", WARNING)


class TestNewColumns:
    @pytest.fixture(autouse=True)
    def _only_from_october_on(self, report: Report) -> None:
        """The file has a column more from October on."""

        def raw(start: Any, *_: object) -> bytes:
            more = start.month >= 10
            header = "Action_Id,Amount,Items" + (",Extra" if more else "")
            return f"{header}\r\n{start:%m},1,2{',new' if more else ''}\r\n".encode()

        report.raw = raw

    def test_an_unknown_column_is_added_as_text_before_the_first_row_that_has_it(
        self, config: dict[str, Any], clock: FakeClock
    ) -> None:
        run = sync(config, clock).ok()
        assert schema_is_told_before(run, "Extra")
        assert properties(run)["Extra"]["type"] == ["string", "null"]
        assert [row.get("Extra") for row in run.records("sales")] == [None, "new", "new"]
        assert run.said("Extra", WARNING)
        schemas = [m for m in run.messages if m["type"] == "SCHEMA" and m["stream"] == "sales"]
        assert len(schemas) == 2

    def test_it_is_added_with_a_catalog_too(self, config: dict[str, Any], clock: FakeClock) -> None:
        run = sync(config, clock, catalog=discover(config, clock)).ok()
        assert schema_is_told_before(run, "Extra")
        assert [row.get("Extra") for row in run.records("sales")] == [None, "new", "new"]

    def test_a_column_that_the_catalog_has_already_is_in_the_first_schema(
        self, config: dict[str, Any], clock: FakeClock
    ) -> None:
        catalog = discover(config, clock)
        (entry,) = (e for e in catalog["streams"] if e["tap_stream_id"] == "sales")
        entry["schema"]["properties"]["Extra"] = {"type": ["string", "null"]}
        run = sync(config, clock, catalog=catalog).ok()
        schemas = [m for m in run.messages if m["type"] == "SCHEMA" and m["stream"] == "sales"]
        assert len(schemas) == 1
        assert "Extra" in properties(run)
        assert [row["Extra"] for row in run.records("sales")] == [None, "new", "new"]

    def test_a_column_that_only_metadata_has_is_added_to_the_catalogs(
        self, report: Report, config: dict[str, Any], clock: FakeClock
    ) -> None:
        catalog = discover(config, clock)
        report.columns = [*COLUMNS, Attribute("Extra", "String")]
        run = sync(config, clock, catalog=catalog).ok()
        assert "Extra" in properties(run)
        assert [row["Extra"] for row in run.records("sales")] == [None, "new", "new"]

    def test_two_unknown_columns_alike_are_two_columns(
        self, report: Report, config: dict[str, Any], clock: FakeClock
    ) -> None:
        report.raw = lambda *_: b"Action_Id,Extra,extra,,_account\r\n1,a,b,c,d\r\n"
        run = sync(config, clock).ok()
        row = run.records("sales")[0]
        assert row["_account"] == "IRsandbox"
        assert {row[name] for name in row if row[name] in {"a", "b", "c", "d"}} == set("abcd")
        assert len({name.casefold() for name in properties(run)}) == len(properties(run))

    def test_deselected_columns_stay_out_when_the_schema_grows(
        self, config: dict[str, Any], clock: FakeClock
    ) -> None:
        catalog = discover(config, clock)
        (entry,) = (e for e in catalog["streams"] if e["tap_stream_id"] == "sales")
        for item in entry["metadata"]:
            if item["breadcrumb"] == ["properties", "Amount"]:
                item["metadata"]["selected"] = False
        run = sync(config, clock, catalog=catalog).ok()
        assert "Extra" in properties(run)
        assert "Amount" not in properties(run)
        assert not any("Amount" in row for row in run.records("sales"))


class TestAlienFiles:
    def test_a_login_page_is_downloaded_again(
        self, sandbox: Sandbox, config: dict[str, Any], clock: FakeClock
    ) -> None:
        fault = sandbox.faults.add("GET /storage/", html_login(), times=2)
        run = sync(config, clock).ok()
        assert (fault.hits, len(run.records("sales"))) == (2, 3)

    def test_a_file_that_shares_no_column_is_an_error_after_three_downloads(
        self, sandbox: Sandbox, report: Report, config: dict[str, Any], clock: FakeClock
    ) -> None:
        report.raw = lambda *_: b"Foo,Bar\r\n1,2\r\n"
        run = sync({**config, "end_date": "2026-09-30"}, clock)
        assert isinstance(run.error, TapError)
        assert "sales" in str(run.error)
        assert "2026-09-10..2026-09-30" in str(run.error)
        assert sandbox.impact.downloads == 3
        assert run.records("sales") == []
        assert run.bookmark("sales") is None


class TestTypesThatStay:
    def drift(
        self, report: Report, config: dict[str, Any], clock: FakeClock, data_type: str
    ) -> tuple[Run, Run]:
        """Sync, change the type of Items, give it a value of that type, sync a day later."""
        first = sync(config, clock).ok()
        report.columns = [*COLUMNS[:2], Attribute("Items", data_type)]
        report.rows = lambda start, *_: [[f"{start:%m}", "1.50", "two"]]
        clock.advance(days=1)
        return first, sync(config, clock, state=first.state).ok()

    def test_a_type_stays_as_first_loaded_and_misfits_are_kept(
        self, report: Report, config: dict[str, Any], clock: FakeClock
    ) -> None:
        first, second = self.drift(report, config, clock, "String")
        assert properties(second)["Items"] == properties(first)["Items"]
        assert [row["Items"] for row in second.records("sales")] == [None] * 3
        assert {row["_unparsed"] for row in second.records("sales")} == {'{"Items":"two"}'}
        assert second.said("Items", WARNING)

    def test_a_full_refresh_takes_the_new_type(
        self, report: Report, config: dict[str, Any], clock: FakeClock
    ) -> None:
        self.drift(report, config, clock, "String")
        run = sync(config, clock).ok()
        assert properties(run)["Items"]["type"] == ["string", "null"]
        assert [row["Items"] for row in run.records("sales")] == ["two"] * 3

    def test_a_type_stays_with_a_newer_catalog_too(
        self, report: Report, config: dict[str, Any], clock: FakeClock
    ) -> None:
        first, _ = self.drift(report, config, clock, "String")
        clock.advance(days=1)
        run = sync(config, clock, state=first.state, catalog=discover(config, clock)).ok()
        assert properties(run)["Items"]["type"] == ["integer", "null"]

    def test_a_column_that_was_away_for_a_night_has_its_old_type(
        self, report: Report, config: dict[str, Any], clock: FakeClock
    ) -> None:
        first = sync(config, clock).ok()
        report.columns, report.rows = COLUMNS[:2], lambda *_: [["x", "1"]]
        clock.advance(days=1)
        second = sync(config, clock, state=first.state).ok()
        report.columns = [*COLUMNS[:2], Attribute("Items", "String")]
        report.rows = lambda *_: [["x", "1", "two"]]
        clock.advance(days=1)
        third = sync(config, clock, state=second.state).ok()
        assert properties(third)["Items"]["type"] == ["integer", "null"]

    def test_a_column_first_loaded_from_a_file_stays_text(
        self, report: Report, config: dict[str, Any], clock: FakeClock
    ) -> None:
        report.header = ["Action_Id", "Amount", "Items", "Extra"]
        report.rows = lambda *_: [["x", "1", "2", "3"]]
        first = sync(config, clock).ok()
        report.columns = [*COLUMNS, Attribute("Extra", "Integer")]
        clock.advance(days=1)
        second = sync(config, clock, state=first.state).ok()
        assert properties(second)["Extra"]["type"] == ["string", "null"]
        assert {row["Extra"] for row in second.records("sales")} == {"3"}
        assert second.said("Extra", WARNING)
