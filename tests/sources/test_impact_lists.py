"""The streams reports, report_metadata and jobs: typed, complete, and read again where needed."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
from harness import NOW, FakeClock, Run, config_for, discover, sync

from tap_affiliate_reports.sandbox import Attribute, Report, body, status
from tap_affiliate_reports.sources.impact.lists import NO_ID

if TYPE_CHECKING:
    from tap_affiliate_reports.sandbox import Sandbox

BY_DAY = "partner_performance_by_day"
JOB = {
    "Id": "4711",
    "Type": "ApiReport",
    "ProgramId": "10487",
    "CreatedBy": "IRsandbox",
    "CreatedDate": "2026-11-18T21:30:00-05:00",
    "StartedDate": "2026-11-18T21:30:05.250-05:00",
    "CompletedDate": "2026-11-18T21:31:00",
    "AbandonedDate": "",
    "CancelledDate": "",
    "FailedDate": "",
    "LastProgressUpdateDate": "2026-11-19T02:31:00Z",
    "Status": "COMPLETED",
    "StatusMessage": "",
    "RecordsProcessed": "1200",
    "PercentageComplete": "100",
    "Replayable": "true",
    "ResultUri": "/Mediapartners/IRsandbox/Jobs/4711/Download",
    "Uri": "/Mediapartners/IRsandbox/Jobs/4711",
}


def lists(
    sandbox: Sandbox, clock: FakeClock, *streams: str, state: Any = None, **config: Any
) -> Run:
    """Sync these lists and no report."""
    config = config_for(sandbox, **config)
    catalog = discover(config, clock)
    sandbox.requests.clear()
    for entry in catalog["streams"]:
        for item in entry["metadata"]:
            if not item["breadcrumb"]:
                item["metadata"]["selected"] = entry["tap_stream_id"] in streams
    return sync(config, clock, catalog=catalog, state=state)


def say_jobs(sandbox: Sandbox, *jobs: Any) -> None:
    """Answer with these jobs from now on."""
    content = json.dumps({"Jobs": jobs}).encode()
    sandbox.faults.add("GET .*/Jobs$", body(content, "application/json"), times=None)


def jobs_of(sandbox: Sandbox, clock: FakeClock, *jobs: Any) -> list[dict[str, Any]]:
    say_jobs(sandbox, *jobs)
    return lists(sandbox, clock, "jobs").ok().records("jobs")


def say_reports(sandbox: Sandbox, *reports: dict[str, Any]) -> None:
    """Answer with these reports from now on."""
    content = json.dumps({"Reports": reports, "@nextpageuri": ""}).encode()
    sandbox.faults.add("GET .*/Reports$", body(content, "application/json"), times=None)


def created_after(sandbox: Sandbox) -> str:
    """Return since when jobs were asked for."""
    (request,) = [r for r in sandbox.requests if r.path.endswith("/Jobs")]
    return request.first("CreatedAfter")


class TestJobs:
    def test_values_have_their_types(self, sandbox: Sandbox, clock: FakeClock) -> None:
        (record,) = jobs_of(sandbox, clock, JOB)
        record.pop("_unparsed", None)
        assert record == {
            "_account": "IRsandbox",
            "Id": "4711",
            "Type": "ApiReport",
            "ProgramId": "10487",
            "CreatedBy": "IRsandbox",
            "CreatedDate": "2026-11-19T02:30:00Z",
            "StartedDate": "2026-11-19T02:30:05.250Z",
            "CompletedDate": "2026-11-19T02:31:00Z",
            "AbandonedDate": None,
            "CancelledDate": None,
            "FailedDate": None,
            "LastProgressUpdateDate": "2026-11-19T02:31:00Z",
            "Status": "COMPLETED",
            "StatusMessage": None,
            "RecordsProcessed": 1200,
            "PercentageComplete": 100,
            "Replayable": True,
            "ResultUri": "/Mediapartners/IRsandbox/Jobs/4711/Download",
        }

    def test_the_schema_tells_the_types(self, sandbox: Sandbox, clock: FakeClock) -> None:
        say_jobs(sandbox, JOB)
        told = lists(sandbox, clock, "jobs").ok().schema("jobs")
        assert told["key_properties"] == ["_account", "Id"]
        types = {
            name: (p["type"][0], p.get("format"))
            for name, p in told["schema"]["properties"].items()
        }
        assert types["CreatedDate"] == ("string", "date-time")
        assert types["RecordsProcessed"] == ("integer", None)
        assert types["Replayable"] == ("boolean", None)

    def test_values_may_have_json_types_already(self, sandbox: Sandbox, clock: FakeClock) -> None:
        (record,) = jobs_of(
            sandbox,
            clock,
            {**JOB, "Id": 4711, "RecordsProcessed": 7, "Replayable": False, "FailedDate": None},
        )
        assert (record["Id"], record["RecordsProcessed"], record["Replayable"]) == (
            "4711",
            7,
            False,
        )
        assert record["FailedDate"] is None

    def test_empty_text_is_null_in_every_column(self, sandbox: Sandbox, clock: FakeClock) -> None:
        kept = {"Id", "CreatedDate"}
        (record,) = jobs_of(sandbox, clock, {n: v if n in kept else "" for n, v in JOB.items()})
        assert {name for name, value in record.items() if value is not None} == {"_account", *kept}

    def test_what_does_not_fit_its_type_is_kept_as_text(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        (record,) = jobs_of(
            sandbox, clock, {**JOB, "RecordsProcessed": "many", "FailedDate": "yesterday"}
        )
        assert (record["RecordsProcessed"], record["FailedDate"]) == (None, None)
        assert record["_unparsed"] == '{"FailedDate":"yesterday","RecordsProcessed":"many"}'

    def test_a_job_without_an_id_is_left_out_with_a_warning(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        say_jobs(sandbox, {**JOB, "Id": ""}, JOB)
        run = lists(sandbox, clock, "jobs").ok()
        assert [record["Id"] for record in run.records("jobs")] == ["4711"]
        assert run.said(NO_ID % ("jobs", "job"), logging.WARNING)

    def test_a_job_without_a_date_of_creation_does_not_stop_the_others(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        say_jobs(sandbox, {**JOB, "Id": "1", "CreatedDate": ""}, JOB, {**JOB, "Id": "2"})
        run = lists(sandbox, clock, "jobs").ok()
        assert [record["Id"] for record in run.records("jobs")] == ["1", "4711", "2"]
        assert run.bookmark("jobs") == "2026-11-19T02:30:00Z"

    def test_a_bare_array_is_a_list_of_jobs(self, sandbox: Sandbox, clock: FakeClock) -> None:
        sandbox.faults.add("GET .*/Jobs$", body(json.dumps([JOB]).encode()))
        (record,) = lists(sandbox, clock, "jobs").ok().records("jobs")
        assert record["Id"] == "4711"

    @pytest.mark.parametrize("page_size", [None, 1, 2])
    def test_every_page_is_read(
        self, page_size: int | None, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        sync(config_for(sandbox, reports=[BY_DAY]), clock).ok()
        assert len(sandbox.impact.jobs) == 3
        sandbox.impact.jobs_paged = page_size
        run = lists(sandbox, clock, "jobs").ok()
        assert {record["Id"] for record in run.records("jobs")} == sandbox.impact.jobs.keys()

    def test_no_jobs_are_no_error(self, sandbox: Sandbox, clock: FakeClock) -> None:
        assert jobs_of(sandbox, clock) == []

    def test_an_answer_that_is_no_list_is_an_error(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        sandbox.faults.add("GET .*/Jobs$", body(b'{"Job": []}'), times=None)
        run = lists(sandbox, clock, "jobs")
        assert "Jobs" in str(run.error)
        assert type(run.error).__module__ == "tap_affiliate_reports.errors"

    @pytest.mark.parametrize("answer", [b"5", b'"Jobs"', b'{"Jobs": {}}', b'{"Jobs": 5}'])
    def test_an_answer_of_any_other_shape_is_an_error_too(
        self, answer: bytes, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        sandbox.faults.add("GET .*/Jobs$", body(answer), times=None)
        run = lists(sandbox, clock, "jobs")
        assert type(run.error).__module__ == "tap_affiliate_reports.errors"

    def test_the_first_sync_asks_since_the_start_date(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        lists(sandbox, clock, "jobs", START_DATE="2025-01-10").ok()
        assert created_after(sandbox) in {"2025-01-09", "2025-01-10"}

    def test_the_bookmark_is_the_newest_date_of_creation(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        older = {**JOB, "Id": "1", "CreatedDate": "2026-11-01T00:00:00-05:00"}
        say_jobs(sandbox, JOB, older)
        run = lists(sandbox, clock, "jobs").ok()
        assert run.bookmark("jobs") == "2026-11-19T02:30:00Z"

    @pytest.mark.parametrize(
        ("bookmark", "days"),
        [("2026-11-19T02:30:00Z", 90), ("2026-10-01T00:00:00Z", 90), ("2026-01-15T00:00:00Z", 308)],
    )
    def test_the_last_ninety_days_are_read_again_and_all_since_the_bookmark(
        self, bookmark: str, days: int, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        state = {
            "bookmarks": {
                "jobs": {"replication_key": "CreatedDate", "replication_key_value": bookmark}
            }
        }
        lists(sandbox, clock, "jobs", START_DATE="2024-01-01", state=state).ok()
        asked = (NOW.date() - type(NOW.date()).fromisoformat(created_after(sandbox))).days
        assert days <= asked <= days + 1

    def test_a_job_that_was_replayed_comes_again(self, sandbox: Sandbox, clock: FakeClock) -> None:
        first = lists(sandbox, clock, "jobs").ok()
        sync(config_for(sandbox, reports=[BY_DAY]), clock).ok()
        second = lists(sandbox, clock, "jobs", state=first.state).ok()
        job = min(sandbox.impact.jobs.values(), key=lambda job: job.id)
        clock.advance(days=5)
        sandbox.impact.replay(job)
        clock.advance(minutes=1)
        third = lists(sandbox, clock, "jobs", state=second.state).ok()
        before, after = (
            next(record for record in run.records("jobs") if record["Id"] == job.id)
            for run in (second, third)
        )
        assert before["CreatedDate"] == after["CreatedDate"]
        assert before["CompletedDate"] < after["CompletedDate"]
        assert third.bookmark("jobs") == second.bookmark("jobs")

    def test_a_list_that_breaks_off_does_not_move_the_bookmark(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        sync(config_for(sandbox, reports=[BY_DAY]), clock).ok()
        sandbox.impact.jobs_paged = 1
        sandbox.faults.add("Jobs.*Page=2", status(500), times=None)
        run = lists(sandbox, clock, "jobs")
        assert "500" in str(run.error)
        assert (run.state.get("bookmarks") or {}).get("jobs", {}).get(
            "replication_key_value"
        ) is None

    def test_a_list_that_can_not_be_had_does_not_stop_the_reports(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        sandbox.impact.forbidden = {"JobList"}
        run = sync(config_for(sandbox, reports=[BY_DAY]), clock)
        assert "jobs" in str(run.error)
        assert "403" in str(run.error)
        assert run.bookmark(BY_DAY) == "2026-11-18"

    def test_a_list_that_is_not_selected_is_not_read(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        lists(sandbox, clock, "reports").ok()
        assert not [r for r in sandbox.requests if r.path.endswith(("/Jobs", "/MetaData"))]


class TestReports:
    def test_every_report_is_listed_those_of_the_web_app_too(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        records = lists(sandbox, clock, "reports").ok().records("reports")
        assert [r["Name"] for r in records] == [r.name for r in sandbox.impact.reports.values()]
        closed = {r["Id"]: r for r in records if r["ApiAccessible"] is False}
        assert "mp_contract_overview" in closed
        (dashboard,) = [r for r in records if r["Name"] == "Partner Insights"]
        assert dashboard["Id"] == dashboard["RunUri"]
        assert dashboard["Category"] is None
        assert {r["ApiAccessible"] for r in records} == {True, False}

    def test_the_id_falls_back_to_the_link_and_then_to_the_name(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        web = {"ApiAccessible": "false", "Description": "", "Category": ""}
        say_reports(
            sandbox,
            {**web, "Name": "A", "RunUri": "/web/a"},
            {**web, "Id": "", "Name": "B", "RunUri": ""},
            {**web, "Id": None, "Name": "C", "RunUri": "/web/c"},
            {**web, "Id": 12172, "Name": "D"},
        )
        records = lists(sandbox, clock, "reports").ok().records("reports")
        assert [record["Id"] for record in records] == ["/web/a", "B", "/web/c", "12172"]
        assert [record["ApiAccessible"] for record in records] == [False] * 4
        assert {record["Description"] for record in records} == {None}

    def test_a_report_without_any_name_is_left_out_with_a_warning(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        nothing = {"Id": "", "RunUri": None, "Name": "\0", "Description": "of nothing"}
        say_reports(sandbox, nothing, {"Name": "a"})
        run = lists(sandbox, clock, "reports").ok()
        assert run.schema("reports")["key_properties"] == ["_account", "Id"]
        assert [record["Id"] for record in run.records("reports")] == ["a"]
        assert run.said(NO_ID % ("reports", "report"), logging.WARNING)

    def test_what_does_not_fit_its_type_spoils_nothing(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        say_reports(sandbox, {"Id": "a", "Name": "A", "ApiAccessible": "perhaps"})
        run = lists(sandbox, clock, "reports").ok()
        (record,) = run.records("reports")
        assert record["ApiAccessible"] is None
        assert record.keys() <= run.schema("reports")["schema"]["properties"].keys()


class TestReportMetadata:
    def test_each_report_of_the_api_is_told_with_its_filters_and_attributes(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        sandbox.impact.add(
            Report(
                "sales",
                "Sales",
                columns=[Attribute("Amount", "Decimal", "In dollars"), Attribute("Note")],
                filters=[("Status", "String")],
                description="What was sold",
            )
        )
        run = lists(sandbox, clock, "report_metadata").ok()
        records = {record["Id"]: record for record in run.records("report_metadata")}
        assert records.keys() == {r.id for r in sandbox.impact.reports.values() if r.api_accessible}
        assert run.schema("report_metadata")["key_properties"] == ["_account", "Id"]
        sales = records["sales"]
        assert (sales["_account"], sales["Name"]) == ("IRsandbox", "Sales")
        assert sales["Filters"] == [{"Name": "Status", "DataType": "String", "Format": None}]
        assert sales["Attributes"] == [
            {"Name": "Amount", "DataType": "Decimal", "Description": "In dollars"},
            {"Name": "Note", "DataType": "String", "Description": None},
        ]

    def test_the_key_is_the_id_of_the_list(self, sandbox: Sandbox, clock: FakeClock) -> None:
        nameless = {"Name": "By Day", "Attributes": [{"Name": "Clicks", "DataType": "Integer"}]}
        sandbox.faults.add(f"{BY_DAY}/MetaData", body(json.dumps(nameless).encode()), times=None)
        records = lists(sandbox, clock, "report_metadata").ok().records("report_metadata")
        (by_day,) = [record for record in records if record["Name"] == "By Day"]
        assert by_day["Id"] == BY_DAY

    @pytest.mark.parametrize("code", [403, 404])
    def test_metadata_that_can_not_be_had_is_left_out_with_a_warning(
        self, code: int, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        sandbox.faults.add(f"{BY_DAY}/MetaData", status(code), times=None)
        run = lists(sandbox, clock, "report_metadata").ok()
        assert BY_DAY not in {record["Id"] for record in run.records("report_metadata")}
        assert len(run.records("report_metadata")) == 8
        assert run.said(BY_DAY, logging.WARNING)
