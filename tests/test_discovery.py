"""Discovery and selection: which streams there are, their columns, and what a sync takes."""

from __future__ import annotations

import json
import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest
from harness import FakeClock, Run, config_for, discover, sync

from tap_affiliate_reports.sandbox import Attribute, Report, body, status
from tap_affiliate_reports.sources.impact.reports import METADATA_THREADS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_affiliate_reports.sandbox import Response, Sandbox

LISTS = {"reports", "report_metadata", "jobs", "report_windows"}
EXPORTABLE = {
    "mp_action_listing_fast",
    "mp_action_listing_sku",
    "partner_performance_by_day",
    "partner_performance_by_program",
    "report_12172",
    "PaystubActions",
    "tracking_value_list",
    "partner_funds_transfer_listing",
    "mp_account_audit_log",
}
BY_DAY = "partner_performance_by_day"
LISTING = "mp_action_listing_fast"


def catalog_of(sandbox: Sandbox, clock: FakeClock, **impact: Any) -> dict[str, Any]:
    return discover(config_for(sandbox, **impact), clock)


def entry(catalog: dict[str, Any], stream: str) -> dict[str, Any]:
    (found,) = [e for e in catalog["streams"] if e["tap_stream_id"] == stream]
    return dict(found)


def names(catalog: dict[str, Any]) -> set[str]:
    return {e["tap_stream_id"] for e in catalog["streams"]}


def metadata(catalog: dict[str, Any], stream: str, *breadcrumb: str) -> dict[str, Any]:
    (found,) = [
        item["metadata"]
        for item in entry(catalog, stream)["metadata"]
        if item["breadcrumb"] == list(breadcrumb)
    ]
    return found


def properties(catalog: dict[str, Any], stream: str) -> dict[str, Any]:
    return dict(entry(catalog, stream)["schema"]["properties"])


def select(catalog: dict[str, Any], *streams: str, everything: bool = False) -> dict[str, Any]:
    """Select these streams and no other one, or all of them, as a user's catalog does."""
    for stream in names(catalog):
        metadata(catalog, stream)["selected"] = everything or stream in streams
    return catalog


def deselect(catalog: dict[str, Any], stream: str, *columns: str) -> dict[str, Any]:
    for column in columns:
        metadata(catalog, stream, "properties", column)["selected"] = False
    return catalog


def asked_metadata(sandbox: Sandbox) -> list[str]:
    """Return the reports whose MetaData was asked for, each as often as it was."""
    return sorted(r.segments[3] for r in sandbox.requests if r.path.endswith("/MetaData"))


def exported(sandbox: Sandbox) -> set[str]:
    return {export.report_id for export in sandbox.impact.exports}


def small(report: str | None, *columns: str, **facts: Any) -> Report:
    """Return a report of one row whose values are its columns' names."""
    named = [Attribute(column) for column in columns or ("Id",)]
    rows = [[column.name for column in named]]
    return Report(report, report or "", columns=named, rows=lambda *_: rows, **facts)


class TestStreams:
    @pytest.mark.parametrize("page_size", [1, 5, 100])
    def test_every_page_of_the_list_is_read(
        self, page_size: int, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        sandbox.impact.reports_page_size = page_size
        assert names(catalog_of(sandbox, clock)) == EXPORTABLE | LISTS

    def test_the_list_may_be_a_bare_array(self, sandbox: Sandbox, clock: FakeClock) -> None:
        one = {"Id": BY_DAY, "Name": "By Day", "ApiAccessible": True}
        sandbox.faults.add("GET .*/Reports$", body(json.dumps([one]).encode()), times=None)
        assert names(catalog_of(sandbox, clock)) == {BY_DAY} | LISTS

    def test_ids_and_truth_may_be_of_any_json_type(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        listed = [
            {"Id": 12172, "Name": "a number", "ApiAccessible": "true"},
            {"Id": BY_DAY, "Name": "not for the API", "ApiAccessible": "false"},
        ]
        page = {"@nextpageuri": "", "Reports": listed}
        sandbox.faults.add("GET .*/Reports$", body(json.dumps(page).encode()), times=None)
        assert names(catalog_of(sandbox, clock)) == {"report_12172"} | LISTS

    def test_a_stream_is_named_after_its_report_s_id(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        for report in ("my-report.v2", "Änderung", "a b/c", "007"):
            sandbox.impact.add(small(report))
        found = names(catalog_of(sandbox, clock))
        assert {"PaystubActions", "report_12172", "my_report_v2", "a_b_c", "report_007"} <= found
        assert "_nderung" in found

    @pytest.mark.parametrize("report", ["my-report.v2", "a b/c", "Änderung", "100%", "x?y#z"])
    def test_a_report_of_any_id_can_be_synced(
        self, report: str, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        sandbox.impact.add(small(report))
        run = sync(config_for(sandbox, reports=[report]), clock).ok()
        assert exported(sandbox) == {report}
        assert len(run.streams - LISTS) == 1

    def test_reports_of_the_web_app_alone_are_no_streams(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        sandbox.impact.add(small(None, api_accessible=False))
        sandbox.impact.add(small("secret_dashboard", api_accessible=False))
        assert names(catalog_of(sandbox, clock)) == EXPORTABLE | LISTS

    def test_a_report_that_nothing_identifies_does_not_spoil_discovery(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        listed = [
            {"Name": "Nameless", "ApiAccessible": True},
            {"Id": BY_DAY, "Name": "By Day", "ApiAccessible": True},
        ]
        sandbox.faults.add(
            "GET .*/Reports$", body(json.dumps({"Reports": listed}).encode()), times=None
        )
        run = sync(config_for(sandbox, reports=["*"]), clock).ok()
        assert run.streams == {BY_DAY} | LISTS
        assert run.said("Nameless", logging.WARNING)

    def test_keys_and_replication_are_in_the_catalog(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        options = {LISTING: {"primary_keys": ["Action_Id"]}}
        catalog = catalog_of(sandbox, clock, report_options=options)
        by_day = metadata(catalog, BY_DAY)
        keys = ["_account", "_program_id", "_window_start", "_row_number"]
        assert by_day["table-key-properties"] == entry(catalog, BY_DAY)["key_properties"] == keys
        assert by_day["valid-replication-keys"] == ["_window_end"]
        assert entry(catalog, BY_DAY)["replication_method"] == "INCREMENTAL"
        assert entry(catalog, LISTING)["key_properties"] == ["_account", "Action_Id"]
        assert metadata(catalog, LISTING, "properties", "Action_Id")["inclusion"] == "automatic"

    def test_lists_are_selected_by_default_and_reports_only_where_named(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        def chosen(catalog: dict[str, Any]) -> set[str]:
            return {
                name
                for name in names(catalog)
                if metadata(catalog, name).get("selected-by-default")
                and metadata(catalog, name).get("selected") is not False
            }

        assert chosen(catalog_of(sandbox, clock)) == LISTS
        named = catalog_of(sandbox, clock, reports=["partner_performance_*", "12172"])
        assert chosen(named) - LISTS == {BY_DAY, "partner_performance_by_program", "report_12172"}
        assert names(named) == EXPORTABLE | LISTS, "all are discovered"


class TestOneNameForTwo:
    @pytest.fixture(autouse=True)
    def _twins(self, sandbox: Sandbox) -> None:
        sandbox.impact.add(small("Sales-Report"))
        sandbox.impact.add(small("sales_report"))

    def test_it_is_a_warning_where_neither_is_selected(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        run = sync(config_for(sandbox, reports=[BY_DAY]), clock).ok()
        assert run.said("Sales-Report", logging.WARNING)
        assert run.said("sales_report", logging.WARNING)

    def test_discovery_leaves_them_out(self, sandbox: Sandbox, clock: FakeClock) -> None:
        assert names(catalog_of(sandbox, clock)) == EXPORTABLE | LISTS

    @pytest.mark.parametrize("reports", [["sales_report"], ["Sales-Report"], ["*"]])
    def test_it_is_an_error_that_names_both_where_one_is_selected(
        self, reports: list[str], sandbox: Sandbox, clock: FakeClock
    ) -> None:
        run = sync(config_for(sandbox, reports=reports), clock)
        assert "Sales-Report" in str(run.error)
        assert "sales_report" in str(run.error)
        assert not sandbox.impact.exports

    def test_it_is_an_error_where_the_catalog_selects_one(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        twin = sandbox.impact.reports["Sales-Report"]
        sandbox.impact.remove("Sales-Report")
        catalog = select(catalog_of(sandbox, clock), "sales_report")
        sandbox.impact.add(twin)
        run = sync(config_for(sandbox), clock, catalog=catalog)
        assert "Sales-Report" in str(run.error)
        assert "sales_report" in str(run.error)

    def test_a_report_named_like_a_list_is_left_out_with_a_warning(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        sandbox.impact.add(small("Jobs"))
        run = sync(config_for(sandbox, reports=[BY_DAY]), clock).ok()
        assert "jobs" in run.streams
        assert run.said("Jobs", logging.WARNING)
        run = sync(config_for(sandbox, reports=["Jobs"]), clock)
        assert "Jobs" in str(run.error)


class TestColumns:
    def test_data_types_become_json_schema_types(self, sandbox: Sandbox, clock: FakeClock) -> None:
        found = properties(catalog_of(sandbox, clock), "mp_account_audit_log")
        types = {name: (p["type"][0], p.get("format")) for name, p in found.items()}
        assert all("null" in p["type"] for name, p in found.items() if not name.startswith("_"))
        assert types["Entry_Id"] == ("integer", None)
        assert types["Logged_At"] == ("string", "date-time")
        assert types["Logged_On"] == ("string", "date")
        assert types["Balance"] == ("string", None), "Money is no type the API documents"
        assert types["Change"] == ("number", None)
        assert types["Active"] == ("boolean", None)

    def test_attributes_keep_their_names_and_descriptions(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        found = properties(catalog_of(sandbox, clock), LISTING)
        assert found["Payout"]["description"] == "Commission"
        wanted = [column.name for column in sandbox.impact.reports[LISTING].columns]
        assert [name for name in found if not name.startswith("_")] == wanted

    def test_names_equal_but_for_case_get_numbers(self, sandbox: Sandbox, clock: FakeClock) -> None:
        sandbox.impact.add(small("cases", "Total", "TOTAL", "total", "x" * 70, ""))
        found = list(properties(catalog_of(sandbox, clock), "cases"))
        assert [name for name in found if not name.startswith("_")] == [
            "Total", "TOTAL_2", "total_3", "x" * 60, "column_5",
        ]  # fmt: skip
        run = sync(config_for(sandbox, reports=["cases"]), clock).ok()
        row = run.records("cases")[0]
        assert (row["Total"], row["TOTAL_2"], row["total_3"]) == ("Total", "TOTAL", "total")

    def test_the_added_columns_come_with_every_report(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        added = {
            "_account", "_program_id", "_window_start", "_window_end", "_row_number",
            "_refreshed_at", "_deleted", "_sdc_deleted_at", "_unparsed",
        }  # fmt: skip
        catalog = catalog_of(sandbox, clock)
        for stream in EXPORTABLE:
            assert added <= properties(catalog, stream).keys()
            for column in added:
                told = metadata(catalog, stream, "properties", column)
                assert told["inclusion"] == "automatic"

    @pytest.mark.parametrize(
        ("filters", "method"),
        [
            ([("Type", "String"), ("SUBAID", "String")], "FULL_TABLE"),
            ([("Type", "String"), ("When", "DATE")], "INCREMENTAL"),
            ([("Type", "String"), ("When", "DateTime")], "INCREMENTAL"),
            ([("Action Date Range", "String")], "INCREMENTAL"),
            ([("START_DATE", "String")], "INCREMENTAL"),
            ([], "INCREMENTAL"),
        ],
    )
    def test_a_report_without_dates_is_known_by_its_filters(
        self,
        filters: list[tuple[str, str]],
        method: str,
        sandbox: Sandbox,
        clock: FakeClock,
    ) -> None:
        sandbox.impact.add(small("some", filters=filters))
        assert entry(catalog_of(sandbox, clock), "some")["replication_method"] == method

    def test_the_settings_win_over_the_filters(self, sandbox: Sandbox, clock: FakeClock) -> None:
        options = {"tracking_value_list": {"window": "month"}, BY_DAY: {"window": "none"}}
        catalog = catalog_of(sandbox, clock, report_options=options)
        assert entry(catalog, "tracking_value_list")["replication_method"] == "INCREMENTAL"
        assert entry(catalog, BY_DAY)["replication_method"] == "FULL_TABLE"


class TestMetadataThatCanNotBeHad:
    @pytest.mark.parametrize("code", [403, 404, 500])
    def test_the_report_is_left_out_with_a_warning(
        self, code: int, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        sandbox.faults.add(f"{LISTING}/MetaData", status(code), times=None)
        assert names(catalog_of(sandbox, clock)) == (EXPORTABLE - {LISTING}) | LISTS
        run = sync(config_for(sandbox, reports=[BY_DAY]), clock).ok()
        assert run.said(LISTING, logging.WARNING)
        assert run.records(BY_DAY)

    def test_a_limit_that_is_not_waited_out_is_met_by_few_requests(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        for number in range(80):
            sandbox.impact.add(small(f"more_{number}"))
        limit = status(429, {"Retry-After": "2000"})
        sandbox.faults.add("/MetaData$", limit, times=None)
        assert names(catalog_of(sandbox, clock)) == LISTS
        assert len(asked_metadata(sandbox)) <= METADATA_THREADS

    @pytest.mark.parametrize("code", [403, 404, 500])
    def test_the_sync_ends_with_an_error_where_it_was_selected(
        self, code: int, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        sandbox.faults.add(f"{LISTING}/MetaData", status(code), times=None)
        run = sync(config_for(sandbox, reports=[BY_DAY, LISTING]), clock)
        assert LISTING in str(run.error)
        assert run.bookmark(BY_DAY) == "2026-11-18", "the others finish"
        assert exported(sandbox) == {BY_DAY}

    def test_the_sync_ends_with_an_error_where_the_catalog_selects_it(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        catalog = select(catalog_of(sandbox, clock), BY_DAY, LISTING)
        sandbox.faults.add(f"{LISTING}/MetaData", status(403), times=None)
        run = sync(config_for(sandbox), clock, catalog=catalog)
        assert LISTING in str(run.error)
        assert run.bookmark(BY_DAY) == "2026-11-18"

    @pytest.mark.parametrize(
        "document", [b"{}", b"[]", b'{"Attributes": null}', b"<html>Log in</html>"]
    )
    def test_a_document_that_is_no_metadata_does_not_spoil_discovery(
        self, document: bytes, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        sandbox.faults.add(f"{LISTING}/MetaData", body(document), times=None)
        assert names(catalog_of(sandbox, clock)) == (EXPORTABLE - {LISTING}) | LISTS

    def test_bad_credentials_end_discovery(self, sandbox: Sandbox, clock: FakeClock) -> None:
        sandbox.faults.add(f"{LISTING}/MetaData", status(401), times=None)
        run = sync(config_for(sandbox, reports=[BY_DAY]), clock)
        assert "401" in str(run.error)
        assert not run.messages


class TestSelection:
    def test_nothing_named_and_no_catalog_is_an_error_that_lists_the_reports(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        self._is_refused(sync(config_for(sandbox), clock), sandbox)

    def test_nothing_named_and_all_selected_is_an_error_that_lists_the_reports(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        catalog = select(catalog_of(sandbox, clock), everything=True)
        self._is_refused(sync(config_for(sandbox), clock, catalog=catalog), sandbox)

    def test_all_selected_is_an_error_also_where_discovery_left_a_report_out(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        sandbox.faults.add(f"{LISTING}/MetaData", status(403), times=None)
        catalog = select(catalog_of(sandbox, clock), everything=True)
        self._is_refused(sync(config_for(sandbox), clock, catalog=catalog), sandbox)

    def test_all_selected_is_an_error_also_where_two_reports_have_one_name(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        sandbox.impact.add(small("Sales-Report"))
        sandbox.impact.add(small("sales_report"))
        catalog = select(catalog_of(sandbox, clock), everything=True)
        self._is_refused(sync(config_for(sandbox), clock, catalog=catalog), sandbox)

    def test_all_selected_is_an_error_also_where_a_report_is_newer_than_the_catalog(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        catalog = select(catalog_of(sandbox, clock), everything=True)
        sandbox.impact.add(small("brand_new"))
        self._is_refused(sync(config_for(sandbox), clock, catalog=catalog), sandbox)

    @staticmethod
    def _is_refused(run: Run, sandbox: Sandbox) -> None:
        told = str(run.error)
        assert "impact.reports" in told
        assert all(r.id in told for r in sandbox.impact.reports.values() if r.id in EXPORTABLE)
        assert "12172" in told
        assert not sandbox.impact.exports

    def test_a_catalog_that_selects_no_report_is_no_error(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        catalog = select(catalog_of(sandbox, clock), "reports")
        assert sync(config_for(sandbox), clock, catalog=catalog).ok().streams == {"reports"}

    def test_the_catalog_decides_where_nothing_is_named(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        catalog = select(catalog_of(sandbox, clock), BY_DAY, "jobs")
        run = sync(config_for(sandbox), clock, catalog=catalog).ok()
        assert run.streams == {BY_DAY, "jobs"}
        assert exported(sandbox) == {BY_DAY}

    def test_reports_that_are_named_win_over_a_catalog_that_selects_all(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        catalog = select(catalog_of(sandbox, clock), everything=True)
        run = sync(config_for(sandbox, reports=["partner_*_day"]), clock, catalog=catalog).ok()
        assert run.streams == {BY_DAY} | LISTS
        assert exported(sandbox) == {BY_DAY}

    def test_reports_that_are_named_are_synced_without_a_catalog(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        run = sync(config_for(sandbox, reports=["12172", BY_DAY]), clock).ok()
        assert run.streams == {BY_DAY, "report_12172"} | LISTS
        assert exported(sandbox) == {BY_DAY, "12172"}

    def test_a_star_is_every_report(self, sandbox: Sandbox, clock: FakeClock) -> None:
        run = sync(config_for(sandbox, reports=["*"]), clock).ok()
        assert run.streams == EXPORTABLE | LISTS

    def test_metadata_is_asked_for_selected_streams_only(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        catalog = select(catalog_of(sandbox, clock), BY_DAY, "report_12172")
        sandbox.requests.clear()
        sync(config_for(sandbox), clock, catalog=catalog).ok()
        assert asked_metadata(sandbox) == ["12172", BY_DAY]

    def test_metadata_is_asked_for_side_by_side(self, sandbox: Sandbox, clock: FakeClock) -> None:
        """Each of the first requests is answered only once all of them are there."""
        together = threading.Barrier(METADATA_THREADS, timeout=20)

        def meet(real: Callable[[], Response]) -> Response:
            together.wait()
            return real()

        for number in range(80):
            sandbox.impact.add(small(f"more_{number}"))
        sandbox.faults.add("/MetaData$", meet, times=METADATA_THREADS)
        assert len(names(catalog_of(sandbox, clock))) == 80 + len(EXPORTABLE | LISTS)
        assert len(asked_metadata(sandbox)) == 80 + len(EXPORTABLE)
        assert not together.broken

    def test_metadata_is_asked_for_once_a_report(self, sandbox: Sandbox, clock: FakeClock) -> None:
        catalog = catalog_of(sandbox, clock)
        assert len(asked_metadata(sandbox)) == len(EXPORTABLE)
        sandbox.requests.clear()
        sync(config_for(sandbox), clock, catalog=select(catalog, BY_DAY, "report_metadata")).ok()
        assert len(asked_metadata(sandbox)) == len(EXPORTABLE)

    def test_a_selected_report_that_is_gone_is_a_warning_and_an_error_at_the_end(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        catalog = select(catalog_of(sandbox, clock), BY_DAY, LISTING)
        sandbox.impact.remove(LISTING)
        run = sync(config_for(sandbox), clock, catalog=catalog)
        assert run.said(LISTING, logging.WARNING)
        assert LISTING in str(run.error)
        assert run.bookmark(BY_DAY) == "2026-11-18"

    def test_a_report_that_was_never_selected_may_go(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        catalog = select(catalog_of(sandbox, clock), BY_DAY)
        sandbox.impact.remove(LISTING)
        sync(config_for(sandbox), clock, catalog=catalog).ok()


class TestColumnsOfACatalog:
    PII = ("Ip_Address", "Customer_City", "Customer_Post_Code")

    def run(
        self, sandbox: Sandbox, clock: FakeClock, catalog: dict[str, Any], **impact: Any
    ) -> Run:
        """Sync the listing with a catalog that was saved."""
        config = config_for(sandbox, START_DATE="2026-11-01", **impact)
        return sync(config, clock, catalog=json.loads(json.dumps(catalog))).ok()

    def is_without_pii(self, run: Run) -> None:
        told = [m for m in run.messages if m["type"] in {"SCHEMA", "RECORD"}]
        text = json.dumps([m for m in told if m["stream"] == LISTING], default=str)
        assert not [column for column in self.PII if column in text]

    @pytest.fixture
    def catalog(self, sandbox: Sandbox, clock: FakeClock) -> dict[str, Any]:
        return select(catalog_of(sandbox, clock), LISTING)

    def test_deselected_columns_are_nowhere_in_the_output(
        self, sandbox: Sandbox, clock: FakeClock, catalog: dict[str, Any]
    ) -> None:
        run = self.run(sandbox, clock, deselect(catalog, LISTING, *self.PII))
        assert run.records(LISTING)
        self.is_without_pii(run)

    def test_a_deselected_column_that_the_file_calls_otherwise_stays_out(
        self, sandbox: Sandbox, clock: FakeClock, catalog: dict[str, Any]
    ) -> None:
        report = sandbox.impact.reports[LISTING]
        report.header = [column.name.replace("_", " ").upper() for column in report.columns]
        run = self.run(sandbox, clock, deselect(catalog, LISTING, *self.PII))
        row = run.records(LISTING)[0]
        assert row["Action_Id"]
        assert not {name.casefold().replace(" ", "_") for name in row} & {
            name.casefold() for name in self.PII
        }

    def test_a_deselected_column_that_metadata_no_longer_lists_stays_out(
        self, sandbox: Sandbox, clock: FakeClock, catalog: dict[str, Any]
    ) -> None:
        report = sandbox.impact.reports[LISTING]
        report.header = [column.name for column in report.columns]
        report.columns = [c for c in report.columns if c.name not in self.PII]
        run = self.run(sandbox, clock, deselect(catalog, LISTING, *self.PII))
        assert run.records(LISTING)
        self.is_without_pii(run)

    def test_a_deselected_column_s_values_do_not_come_as_unparsed(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        audit = "mp_account_audit_log"
        catalog = select(catalog_of(sandbox, clock), audit)
        whole = self.run(sandbox, clock, catalog)
        assert any("Score" in json.loads(row["_unparsed"] or "{}") for row in whole.records(audit))
        clock.advance(days=1)
        rows = self.run(sandbox, clock, deselect(catalog, audit, "Score")).records(audit)
        assert rows
        assert not any("Score" in {**row, **json.loads(row["_unparsed"] or "{}")} for row in rows)

    def test_a_deselected_column_stays_out_of_rows_that_vanish(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        rows = [["1", "me"], ["2", "you"]]
        report = Report("few", columns=[Attribute("Id"), Attribute("Who")], rows=lambda *_: rows)
        sandbox.impact.add(report)
        catalog = deselect(select(catalog_of(sandbox, clock), "few"), "few", "Who")
        first = self.run(sandbox, clock, catalog)
        del rows[1]
        clock.advance(days=1)
        config = config_for(sandbox, START_DATE="2026-11-01")
        second = sync(config, clock, catalog=catalog, state=first.state).ok()
        assert any(row["_deleted"] for row in second.records("few"))
        assert not any("Who" in row for row in [*first.records("few"), *second.records("few")])

    def test_added_columns_can_not_be_deselected(
        self, sandbox: Sandbox, clock: FakeClock, catalog: dict[str, Any]
    ) -> None:
        added = [name for name in properties(catalog, LISTING) if name.startswith("_")]
        deselect(catalog, LISTING, *added)
        for column in added:
            metadata(catalog, LISTING, "properties", column)["inclusion"] = "available"
        run = self.run(sandbox, clock, catalog)
        assert set(added) <= run.records(LISTING)[0].keys()
        assert set(added) <= run.schema(LISTING)["schema"]["properties"].keys()

    def test_user_set_keys_can_not_be_deselected(
        self, sandbox: Sandbox, clock: FakeClock, catalog: dict[str, Any]
    ) -> None:
        deselect(catalog, LISTING, "Action_Id")
        run = self.run(
            sandbox, clock, catalog, report_options={LISTING: {"primary_keys": ["Action_Id"]}}
        )
        assert run.schema(LISTING)["key_properties"] == ["_account", "Action_Id"]
        assert all(row["Action_Id"] for row in run.records(LISTING))

    def test_a_column_that_the_catalog_lacks_is_added(
        self, sandbox: Sandbox, clock: FakeClock, catalog: dict[str, Any]
    ) -> None:
        report = entry(catalog, LISTING)
        for column in ("Payout", "Status"):
            del report["schema"]["properties"][column]
            report["metadata"].remove(
                next(m for m in report["metadata"] if m["breadcrumb"] == ["properties", column])
            )
        run = self.run(sandbox, clock, catalog)
        schema = run.schema(LISTING)["schema"]["properties"]
        assert schema["Payout"]["type"] == ["number", "null"]
        assert all(row["Payout"] is not None and row["Status"] for row in run.records(LISTING))

    def test_types_that_a_user_put_in_the_catalog_are_kept(
        self, sandbox: Sandbox, clock: FakeClock, catalog: dict[str, Any]
    ) -> None:
        schema = properties(catalog, LISTING)
        schema["Payout"]["type"] = ["string", "null"]
        schema["Campaign_Id"]["type"] = ["null", "string"]
        schema["Event_Date"].pop("format")
        run = self.run(sandbox, clock, catalog)
        told = run.schema(LISTING)["schema"]["properties"]
        assert (told["Payout"]["type"][0], "format" in told["Event_Date"]) == ("string", False)
        row = run.records(LISTING)[0]
        assert isinstance(row["Payout"], str)
        assert isinstance(row["Campaign_Id"], str)
        assert row["_unparsed"] is None

    def test_a_changed_type_may_be_number_for_integer(
        self, sandbox: Sandbox, clock: FakeClock, catalog: dict[str, Any]
    ) -> None:
        properties(catalog, LISTING)["Items"]["type"] = ["number", "null"]
        run = self.run(sandbox, clock, catalog)
        assert run.schema(LISTING)["schema"]["properties"]["Items"]["type"] == ["number", "null"]

    def test_a_keyless_catalog_can_not_bring_back_old_keys(
        self, sandbox: Sandbox, clock: FakeClock, catalog: dict[str, Any]
    ) -> None:
        entry(catalog, LISTING)["key_properties"] = []
        report = next(e for e in catalog["streams"] if e["tap_stream_id"] == LISTING)
        report["key_properties"] = ["Action_Id"]
        metadata(catalog, LISTING)["table-key-properties"] = ["Action_Id"]
        run = self.run(sandbox, clock, catalog)
        assert run.schema(LISTING)["key_properties"] == [
            "_account", "_program_id", "_window_start", "_row_number",
        ]  # fmt: skip


class TestSingerDecimal:
    DECIMAL = {  # noqa: RUF012
        "type": ["string", "null"],
        "format": "x-singer.decimal",
        "precision": 38,
        "scale": 18,
    }

    def schema(self, run: Run) -> dict[str, Any]:
        """Return the schema of a money column as it was told, but for its description."""
        told = dict(run.schema(LISTING)["schema"]["properties"]["Payout"])
        told.pop("description")
        return told

    def test_decimals_are_strings_of_precision_38_and_scale_18(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        config = config_for(
            sandbox, reports=[LISTING], USE_SINGER_DECIMAL=True, START_DATE="2026-11-01"
        )
        run = sync(config, clock).ok()
        assert self.schema(run) == self.DECIMAL
        assert all(isinstance(row["Payout"], str) for row in run.records(LISTING))

    def test_a_catalog_does_not_lose_precision_and_scale(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        config = config_for(sandbox, USE_SINGER_DECIMAL=True, START_DATE="2026-11-01")
        catalog = deselect(select(discover(config, clock), LISTING), LISTING, "Ip_Address")
        run = sync(config, clock, catalog=json.loads(json.dumps(catalog))).ok()
        assert self.schema(run) == self.DECIMAL
        assert all(isinstance(row["Payout"], str) for row in run.records(LISTING))

    def test_a_new_column_does_not_lose_precision_and_scale(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        config = config_for(sandbox, USE_SINGER_DECIMAL=True, START_DATE="2026-11-01")
        catalog = select(discover(config, clock), LISTING)
        report = sandbox.impact.reports[LISTING]
        report.header = [*(column.name for column in report.columns[:-1]), "Brand_New"]
        run = sync(config, clock, catalog=catalog).ok()
        assert "Brand_New" in run.schema(LISTING)["schema"]["properties"]
        assert self.schema(run) == self.DECIMAL

    def test_a_catalog_made_before_the_setting_follows_it(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        catalog = select(catalog_of(sandbox, clock), LISTING)
        config = config_for(sandbox, USE_SINGER_DECIMAL=True, START_DATE="2026-11-01")
        assert self.schema(sync(config, clock, catalog=catalog).ok()) == self.DECIMAL
