"""Instal.com: one report by windows, each a task of its own run; what is not documented is met."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from harness import FakeClock, Run, Warehouse, discover, sync
from jsonschema import Draft7Validator

from tap_affiliate_reports.errors import TapError, Unauthorized
from tap_affiliate_reports.exports.steps import JOB_TIMED_OUT
from tap_affiliate_reports.sandbox import Sandbox, body, html_login, status
from tap_affiliate_reports.schema import ADDED

WARNING = 30
REPORT = "advertiser_report"
TOKEN = "sandbox-token"
COLUMNS = {
    "aff_sub_id": "string",
    "time": "string",
    "clicks_aggr": "integer",
    "campaign": "string",
    "country": "string",
    "creative_id": "string",
    "app_id": "string",
    "campaign_id": "integer",
    "cost_aggr": "number",
    "cr": "number",
    "conversions_aggr": "integer",
    "name_os": "string",
    "version_os": "string",
    "lang": "string",
    "publisher_id": "integer",
}
SEPTEMBER, OCTOBER, NOVEMBER = "2026-09-01", "2026-10-01", "2026-11-01"


@pytest.fixture
def sandbox(clock: FakeClock) -> Iterator[Sandbox]:
    """An advertiser with one row on the 5th of each month, whose tasks take five seconds."""
    with Sandbox(now=clock.now, job_seconds=5, rows_per_day=0) as running:
        for month in (9, 10, 11):
            put(running, f"2026-{month:02}-05", f"{month}a")
        yield running
        assert not running.unmatched


@pytest.fixture
def config(sandbox: Sandbox) -> dict[str, Any]:
    return {
        "start_date": "2026-09-10",
        "instal": {"auth_token": TOKEN, "api_url": sandbox.base_url("instal")},
    }


@pytest.fixture
def november(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration of one open window."""
    return {**config, "start_date": NOVEMBER}


def having(config: dict[str, Any], **own: Any) -> dict[str, Any]:
    return {**config, "instal": {**config["instal"], **own}}


def put(sandbox: Sandbox, day: str, *campaigns: str, **more: str) -> None:
    """Give a day these rows."""
    rows = [{"campaign": campaign, **more} for campaign in campaigns]
    sandbox.instal.set_rows(date.fromisoformat(day), rows)


def requests_of(sandbox: Sandbox, method: str) -> list[Any]:
    return [r for r in sandbox.requests if r.method == method and r.origin == "api"]


def posts(sandbox: Sandbox) -> list[dict[str, Any]]:
    """Return the bodies of the requests for a task, and forget all requests."""
    bodies = [json.loads(request.body) for request in requests_of(sandbox, "POST")]
    sandbox.requests.clear()
    return bodies


def months(sandbox: Sandbox) -> list[str]:
    return [body["start_date"][:7] for body in posts(sandbox)]


def campaigns(run: Run) -> list[str]:
    return [row["campaign"] for row in run.records(REPORT)]


def ledger(run: Run) -> dict[str, Any]:
    return run.windows(REPORT)


def error_of(run: Run) -> str:
    assert isinstance(run.error, TapError), repr(run.error)
    assert "\n" not in str(run.error)
    return str(run.error)


def as_csv(*rows: Sequence[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


class TestRequests:
    def test_a_window_is_asked_for_as_it_is_documented(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        sync(config, clock).ok()
        for request in requests_of(sandbox, "POST"):
            assert request.path == "/advertiser/api/v1/reports/exports/"
            assert request.headers["Authorization"] == f"Token {TOKEN}"
            assert request.headers["Content-Type"] == "application/json"
        same = {"sorting": "time", "format": "csv", "csv_headers": True, "interval": "daily"}
        assert posts(sandbox) == [
            {"start_date": "2026-09-10", "stop_date": "2026-09-30", **same},
            {"start_date": "2026-10-01", "stop_date": "2026-10-31", **same},
            {"start_date": "2026-11-01", "stop_date": "2026-11-18", **same},
        ]

    def test_interval_sorting_and_windows_are_passed_on(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        config = having(config, interval="hourly", sorting="cr", window="week")
        sync({**config, "start_date": "2026-11-10"}, clock).ok()
        asked = posts(sandbox)
        assert {(one["interval"], one["sorting"]) for one in asked} == {("hourly", "cr")}
        assert [(one["start_date"], one["stop_date"]) for one in asked] == [
            ("2026-11-10", "2026-11-15"),
            ("2026-11-16", "2026-11-18"),
        ]

    def test_discovery_and_a_test_of_the_connection_ask_for_no_task(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        catalog = discover(config, clock)
        assert {e["tap_stream_id"] for e in catalog["streams"]} == {REPORT, "report_windows"}
        assert posts(sandbox) == []


class TestRows:
    def test_the_columns_are_the_documented_ones_and_time_is_text(
        self, sandbox: Sandbox, clock: FakeClock, november: dict[str, Any]
    ) -> None:
        row = {
            "aff_sub_id": "0012",
            "time": "2026-11-05 00:00",
            "clicks_aggr": "7",
            "country": "NA",
            "creative_id": "007",
            "app_id": "id100",
            "campaign_id": "4101",
            "cost_aggr": "12.345678901234567891",
            "cr": "1e-7",
            "conversions_aggr": "3.000",
            "name_os": "Android",
            "version_os": "4.4.2",
            "lang": "",
            "publisher_id": "8801",
        }
        put(sandbox, "2026-11-05", '雲, "x"', **row)
        run = sync(having(november, account="mine"), clock).ok()
        (record,) = run.records(REPORT)
        own = {name: value for name, value in record.items() if name not in ADDED}
        assert own == {
            **row,
            "campaign": '雲, "x"',
            "clicks_aggr": 7,
            "campaign_id": 4101,
            "cost_aggr": Decimal("12.345678901234567891"),
            "cr": Decimal("1e-7"),
            "conversions_aggr": 3,
            "lang": None,
            "publisher_id": 8801,
        }
        assert (record["_account"], record["_program_id"]) == ("mine", "all")
        assert (record["_window_start"], record["_window_end"]) == (NOVEMBER, "2026-11-18")
        schema = run.schema(REPORT)
        assert schema["key_properties"] == [
            "_account", "_program_id", "_window_start", "_row_number"
        ]  # fmt: skip
        properties = schema["schema"]["properties"]
        assert {n: s["type"] for n, s in properties.items() if n not in ADDED} == {
            name: [kind, "null"] for name, kind in COLUMNS.items()
        }
        assert "format" not in properties["time"]
        Draft7Validator(schema["schema"]).validate(json.loads(json.dumps(record, default=float)))

    def test_a_value_that_does_not_fit_its_type_is_kept(
        self, sandbox: Sandbox, clock: FakeClock, november: dict[str, Any]
    ) -> None:
        put(sandbox, "2026-11-05", "x", clicks_aggr="many", version_os="9")
        (row,) = sync(november, clock).ok().records(REPORT)
        assert (row["clicks_aggr"], row["_unparsed"]) == (None, '{"clicks_aggr":"many"}')
        assert row["version_os"] == "9"

    @pytest.mark.parametrize("interval", ["hourly", "daily", "monthly"])
    def test_every_row_of_the_service_comes_once(self, clock: FakeClock, interval: str) -> None:
        with Sandbox(now=clock.now, job_seconds=5, rows_per_day=5) as sandbox:
            config = {
                "start_date": "2026-10-20",
                "instal": {
                    "auth_token": TOKEN,
                    "api_url": sandbox.base_url("instal"),
                    "interval": interval,
                },
            }
            run = sync(config, clock).ok()
            moments = sorted({row["_refreshed_at"] for row in run.records(REPORT)})
            assert moments
            told = [
                row
                for start, end in (("2026-10-20", "2026-10-31"), (NOVEMBER, "2026-11-18"))
                for row in sandbox.instal.rows(
                    date.fromisoformat(start), date.fromisoformat(end), interval
                )
            ]
            assert sorted((r["time"], r["clicks_aggr"]) for r in run.records(REPORT)) == sorted(
                (row["time"], int(row["clicks_aggr"])) for row in told
            )

    def test_an_empty_window_and_a_file_of_no_byte_are_loaded(
        self, sandbox: Sandbox, clock: FakeClock, november: dict[str, Any]
    ) -> None:
        for raw in (None, lambda _task: b""):
            put(sandbox, "2026-11-05")
            sandbox.instal.raw = raw
            run = sync(november, clock).ok()
            assert (run.records(REPORT), run.bookmark(REPORT)) == ([], "2026-11-18")


class TestHeaders:
    @pytest.mark.parametrize("value", ["cr", "time", "lang"])
    def test_a_file_without_a_header_is_refused_whatever_its_first_row_says(
        self, sandbox: Sandbox, clock: FakeClock, november: dict[str, Any], value: str
    ) -> None:
        sandbox.instal.csv_header = False
        row = {"country": value, "lang": "cr", "creative_id": "country", "app_id": "time"}
        put(sandbox, "2026-11-05", "campaign", **row)
        run = sync(november, clock)
        assert "of the file can be one of the report's" in error_of(run)
        assert (run.records(REPORT), run.bookmark(REPORT)) == ([], None)
        assert sum(request.origin == "storage" for request in sandbox.requests) == 3

    def test_a_missing_column_is_null_and_another_one_is_added(
        self, sandbox: Sandbox, clock: FakeClock, november: dict[str, Any]
    ) -> None:
        kept = [name for name in COLUMNS if name not in {"lang", "cr"}]
        sandbox.instal.columns = [*kept, "revenue"]
        put(sandbox, "2026-11-05", "x", revenue="1.5", lang="pt", clicks_aggr="3")
        run = sync(november, clock).ok()
        (row,) = run.records(REPORT)
        assert (row["lang"], row["cr"], row["revenue"], row["clicks_aggr"]) == (
            None, None, "1.5", 3
        )  # fmt: skip
        assert run.said("null: cr, lang", WARNING)
        assert run.said("new columns: revenue", WARNING)
        assert "revenue" in run.schema(REPORT)["schema"]["properties"]

    def test_columns_may_stand_in_another_order_and_spelling(
        self, sandbox: Sandbox, clock: FakeClock, november: dict[str, Any]
    ) -> None:
        sandbox.instal.columns = list(COLUMNS)[::-1]
        sandbox.instal.header = [name.replace("_", " ").title() for name in COLUMNS][::-1]
        put(sandbox, "2026-11-05", "x", publisher_id="5")
        run = sync(november, clock).ok()
        (row,) = run.records(REPORT)
        assert (row["campaign"], row["publisher_id"]) == ("x", 5)
        assert not run.said("new columns", WARNING)

    @pytest.mark.parametrize(
        "content",
        [
            b'{"detail": "not found"}\n',
            b"<!DOCTYPE html><p>Sign in",
            as_csv(list(COLUMNS), ["a", "b"]),
            as_csv(list(COLUMNS)[:7], ["x"] * 7),
        ],
    )
    def test_what_is_no_report_is_an_error_after_three_downloads(
        self, sandbox: Sandbox, clock: FakeClock, november: dict[str, Any], content: bytes
    ) -> None:
        sandbox.instal.raw = lambda _task: content
        run = sync(november, clock)
        assert REPORT in error_of(run)
        assert sum(request.origin == "storage" for request in sandbox.requests) == 3
        assert (run.records(REPORT), run.bookmark(REPORT)) == ([], None)

    def test_a_web_page_once_is_downloaded_again(
        self, sandbox: Sandbox, clock: FakeClock, november: dict[str, Any]
    ) -> None:
        sandbox.faults.add("storage", html_login(), times=2)
        assert campaigns(sync(november, clock).ok()) == ["11a"]


class TestWindows:
    def test_state_holds_each_window_and_the_last_complete_day(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        run = sync(config, clock).ok()
        assert campaigns(run) == ["10a", "11a"], "the 5th of September is before the start"
        assert run.bookmark(REPORT) == "2026-11-18"
        windows = ledger(run)
        assert {slot: (w["end"], w["rows"]) for slot, w in windows.items()} == {
            SEPTEMBER: ("2026-09-30", 0),
            OCTOBER: ("2026-10-31", 1),
            NOVEMBER: ("2026-11-18", 1),
        }
        assert not any(window["job"] for window in windows.values()), "a task is never resumed"
        assert "http" not in json.dumps(run.states)
        assert TOKEN not in json.dumps(run.states)

    def test_unsettled_windows_are_refreshed_by_tasks_of_their_own(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        run = sync(config, clock).ok()
        warehouse = Warehouse()
        warehouse.load(run.messages)
        assert months(sandbox) == ["2026-09", "2026-10", "2026-11"]
        put(sandbox, "2026-10-05", "10b", "10c")
        put(sandbox, "2026-11-19", "new")
        before = set(sandbox.instal.tasks)

        clock.advance(days=1)
        run = sync(config, clock, state=run.state).ok()
        polled = {r.path.rsplit("/", 1)[1] for r in requests_of(sandbox, "GET")}
        assert not polled & before, "a task of an earlier run may never end"
        assert months(sandbox) == ["2026-11", "2026-10"], "the open one first"
        assert campaigns(run) == ["11a", "new", "10b", "10c"]
        warehouse.load(run.messages)
        assert {row["campaign"] for row in warehouse.live(REPORT)} == {"10b", "10c", "11a", "new"}

        clock.advance(days=60)
        sync({**config, "end_date": "2026-11-19"}, clock, state=run.state).ok()
        assert sorted(months(sandbox)) == ["2026-10", "2026-11"]

    def test_settled_windows_and_young_files_are_left_alone(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        run = sync(having(config, lookback_days=10), clock).ok()
        months(sandbox)
        clock.advance(hours=1)
        sync(having(config, lookback_days=10), clock, state=run.state).ok()
        assert months(sandbox) == []
        clock.advance(days=1)
        sync(having(config, lookback_days=10), clock, state=run.state).ok()
        assert months(sandbox) == ["2026-11"]

    def test_no_age_at_all_refreshes_every_unsettled_window_each_time(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        config = having(config, result_max_age_hours=0)
        run = sync(config, clock).ok()
        months(sandbox)
        run = sync(config, clock, state=run.state).ok()
        assert sorted(months(sandbox)) == ["2026-10", "2026-11"]
        assert [row["unchanged"] for row in run.records("report_windows")] == [True, True]

    def test_ages_are_counted_by_the_clock_of_the_service(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        ours = FakeClock(clock.now() + timedelta(days=3))
        sandbox.instal.job_seconds = 0
        run = sync(config, ours).ok()
        assert run.bookmark(REPORT) == "2026-11-18"
        assert {row["_refreshed_at"][:10] for row in run.records(REPORT)} == {"2026-11-19"}
        months(sandbox)
        ours.advance(days=1)
        sync(config, ours, state=run.state).ok()
        assert months(sandbox) == []

    def test_rows_that_vanished_are_retired(
        self, sandbox: Sandbox, clock: FakeClock, november: dict[str, Any]
    ) -> None:
        put(sandbox, "2026-11-05", "a", "b", "c")
        run = sync(november, clock).ok()
        put(sandbox, "2026-11-05", "b")
        clock.advance(days=1)
        rows = sync(november, clock, state=run.state).ok().records(REPORT)
        assert [(r["_row_number"], r["campaign"], r["_deleted"]) for r in rows] == [
            (1, "b", False),
            (2, None, True),
            (3, None, True),
        ]

    def test_no_row_where_there_were_some_is_an_error(
        self, sandbox: Sandbox, clock: FakeClock, november: dict[str, Any]
    ) -> None:
        run = sync(november, clock).ok()
        put(sandbox, "2026-11-05")
        clock.advance(days=1)
        told = error_of(sync(november, clock, state=run.state))
        assert "is empty where 1 rows were" in told
        assert "reload: 2026-11-01/2026-11-19" in told

    def test_no_row_where_there_were_some_is_accepted_in_a_reload_of_these_days(
        self, sandbox: Sandbox, clock: FakeClock, november: dict[str, Any]
    ) -> None:
        warehouse = Warehouse()
        run = sync(november, clock).ok()
        warehouse.load(run.messages)
        put(sandbox, "2026-11-05")
        clock.advance(days=1)
        reload = {**november, "reload": "2026-11-01/2026-11-18"}
        run = sync(reload, clock, state=run.state).ok()
        warehouse.load(run.messages)
        assert warehouse.live(REPORT) == []

    def test_a_refresh_that_fails_does_not_keep_back_the_others(
        self, sandbox: Sandbox, clock: FakeClock, november: dict[str, Any]
    ) -> None:
        daily = having(november, window="day")
        put(sandbox, "2026-11-05", "gone")
        put(sandbox, "2026-11-06", "before")
        run = sync(daily, clock).ok()
        put(sandbox, "2026-11-05")
        for night in range(2):
            put(sandbox, "2026-11-06", f"night {night}")
            clock.advance(days=1)
            run = sync(daily, clock, state=run.state)
            assert "2026-11-05..2026-11-05" in error_of(run)
            assert f"night {night}" in {row["campaign"] for row in run.records(REPORT)}

    def test_the_plan_counts_a_request_for_each_refresh(
        self, sandbox: Sandbox, clock: FakeClock, november: dict[str, Any]
    ) -> None:
        run = sync(november, clock).ok()
        assert not any(window["job"] for window in ledger(run).values())
        clock.advance(days=1)
        run = sync(november, clock, state=run.state).ok()
        assert run.said("1 exports to spend")
        assert not run.said("exported anew")

    @pytest.mark.parametrize(
        "own", [{"interval": "hourly"}, {"window": "week"}, {"timezone": "Asia/Tokyo"}]
    )
    def test_a_setting_that_changes_what_a_window_is_asks_for_a_full_refresh(
        self, sandbox: Sandbox, clock: FakeClock, november: dict[str, Any], own: dict[str, Any]
    ) -> None:
        run = sync(november, clock).ok()
        months(sandbox)
        run = sync(having(november, **own), clock, state=run.state)
        assert "reload: all" in error_of(run)
        assert next(iter(own)) in error_of(run)
        assert months(sandbox) == []

    def test_another_order_of_the_rows_asks_for_none(
        self, sandbox: Sandbox, clock: FakeClock, november: dict[str, Any]
    ) -> None:
        run = sync(november, clock).ok()
        sync(having(november, sorting="cr"), clock, state=run.state).ok()

    @pytest.mark.parametrize(
        ("before", "after"), [(None, "Etc/UTC"), ("US/Eastern", "America/New_York")]
    )
    def test_another_name_of_the_same_zone_asks_for_none(
        self, sandbox: Sandbox, clock: FakeClock, november: dict[str, Any],
        before: str | None, after: str,
    ) -> None:  # fmt: skip
        own = having(november, timezone=before) if before else november
        run = sync(own, clock).ok()
        again = sync(having(november, timezone=after), clock, state=run.state).ok()
        assert again.bookmark(REPORT) == run.bookmark(REPORT)

    def test_the_day_boundary_is_that_of_the_zone_that_is_set(
        self, sandbox: Sandbox, clock: FakeClock, november: dict[str, Any]
    ) -> None:
        clock.advance(hours=7)  # 07:00 of the 20th in Tokyo
        assert sync(november, clock).ok().bookmark(REPORT) == "2026-11-18"
        run = sync(having(november, timezone="Asia/Tokyo"), clock).ok()
        assert run.bookmark(REPORT) == "2026-11-19"

    @pytest.mark.kill
    def test_a_sync_cut_anywhere_resumes_to_what_the_service_holds(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        first = sync({**config, "end_date": "2026-10-31"}, clock).ok()
        put(sandbox, "2026-10-05")
        put(sandbox, "2026-10-06", "10b", "10c")
        clock.advance(days=1)
        whole = sync(config, clock, state=first.state).ok()
        for cut in range(len(whole.messages) + 1):
            warehouse = Warehouse()
            warehouse.load(first.messages)
            warehouse.load(whole.messages[:cut])
            warehouse.load(sync(config, clock, state=warehouse.state).ok().messages)
            held = [row["campaign"] for row in warehouse.live(REPORT)]
            assert sorted(held) == ["10b", "10c", "11a"], f"cut before message {cut}"


class TestTasks:
    def test_a_task_that_never_ends_is_an_error_that_names_it(
        self, sandbox: Sandbox, clock: FakeClock, november: dict[str, Any]
    ) -> None:
        sandbox.instal.end_next("PENDING")
        run = sync(having(november, job_timeout_seconds=600), clock)
        (task,) = sandbox.instal.tasks
        assert JOB_TIMED_OUT % (task, 600) in error_of(run)
        assert "PENDING" in error_of(run)
        assert 600 <= sum(clock.slept) < 700
        assert campaigns(sync(november, clock, state=run.state).ok()) == ["11a"]

    @pytest.mark.parametrize("word", ["STARTED", "RETRY", "QUEUED", "started"])
    def test_other_words_for_a_task_under_way_are_waited_for(
        self, sandbox: Sandbox, clock: FakeClock, november: dict[str, Any], word: str
    ) -> None:
        sandbox.instal.running = word
        assert campaigns(sync(november, clock).ok()) == ["11a"]

    @pytest.mark.parametrize("word", ["FAILURE", "REVOKED"])
    @pytest.mark.parametrize("times", [2, 3])
    def test_a_task_that_failed_is_asked_for_anew_twice(
        self, sandbox: Sandbox, clock: FakeClock, november: dict[str, Any], word: str, times: int
    ) -> None:
        sandbox.instal.end_next(word, times=times)
        run = sync(november, clock)
        asked = posts(sandbox)
        assert len(asked) == len(sandbox.instal.tasks) == 3
        assert all(one == asked[0] for one in asked)
        if times == 2:
            assert campaigns(run.ok()) == ["11a"]
        else:
            assert word in error_of(run)
            assert "smaller window" in error_of(run)
            assert run.bookmark(REPORT) is None

    def test_a_word_that_no_table_has_is_an_error_that_names_it(
        self, sandbox: Sandbox, clock: FakeClock, november: dict[str, Any]
    ) -> None:
        sandbox.instal.end_next("ARCHIVED")
        run = sync(november, clock)
        assert "'ARCHIVED'" in error_of(run)
        assert len(sandbox.instal.tasks) == 1

    def test_success_without_a_link_is_waited_for_until_the_deadline(
        self, sandbox: Sandbox, clock: FakeClock, november: dict[str, Any]
    ) -> None:
        answer = body(b'{"state": "SUCCESS", "result": null}', "application/json")
        poll = r"^GET /advertiser/api/v1/reports/exports/(?!0000)[^/?]+$"
        sandbox.faults.add(poll, answer, times=2)
        assert campaigns(sync(november, clock).ok()) == ["11a"]
        sandbox.faults.add(poll, answer, times=None)
        run = sync(having(november, job_timeout_seconds=60), clock)
        assert "SUCCESS without a link" in error_of(run)
        assert "60 s" in error_of(run)

    @pytest.mark.parametrize("as_200", [True, False])
    def test_a_request_that_is_refused_is_an_error_in_the_service_s_words(
        self, sandbox: Sandbox, clock: FakeClock, november: dict[str, Any], as_200: bool
    ) -> None:
        sandbox.instal.error_as_200 = as_200
        run = sync(having(november, sorting="colour"), clock)
        assert "no such sorting" in error_of(run)
        assert len(posts(sandbox)) == 1
        assert run.records(REPORT) == []

    @pytest.mark.parametrize(
        "answer", [{"result": "QUEUED"}, {"task_id": "x"}, {"result": "LATER", "task_id": "x"}, []]
    )
    def test_an_answer_without_a_task_is_an_error(
        self, sandbox: Sandbox, clock: FakeClock, november: dict[str, Any], answer: Any
    ) -> None:
        sandbox.faults.add("instal post", body(json.dumps(answer).encode(), "application/json"))
        run = sync(november, clock)
        assert "is refused" in error_of(run)
        assert run.records(REPORT) == []

    def test_one_window_that_fails_leaves_those_before_it_as_they_are_loaded(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        sandbox.instal.end_next("SUCCESS", times=2)
        sandbox.instal.end_next("FAILURE", times=9)
        run = sync(having(config, max_concurrent_jobs=1), clock)
        assert "2026-11" in error_of(run)
        assert (campaigns(run), run.bookmark(REPORT)) == (["10a"], "2026-10-31")

    def test_a_request_whose_answer_was_lost_is_made_again(
        self, sandbox: Sandbox, clock: FakeClock, november: dict[str, Any]
    ) -> None:
        sandbox.faults.add("instal post", status(502, handled=True))
        sandbox.faults.add("instal poll", status(503), times=3, after=1)
        assert campaigns(sync(november, clock).ok()) == ["11a"]
        assert len(posts(sandbox)) == 2


class TestLinks:
    def files(self, sandbox: Sandbox) -> list[Any]:
        return [r for r in sandbox.requests if r.origin == "storage" or r.path.endswith("/file")]

    def test_a_link_on_the_api_s_own_origin_gets_the_token(
        self, sandbox: Sandbox, clock: FakeClock, november: dict[str, Any]
    ) -> None:
        sandbox.instal.links_on_api = True
        assert campaigns(sync(november, clock).ok()) == ["11a"]
        (file,) = self.files(sandbox)
        assert (file.origin, file.headers["Authorization"]) == ("api", f"Token {TOKEN}")

    def test_a_link_on_another_host_gets_none(
        self, sandbox: Sandbox, clock: FakeClock, november: dict[str, Any]
    ) -> None:
        run = sync(november, clock).ok()
        (file,) = self.files(sandbox)
        assert file.origin == "storage"
        assert "Authorization" not in file.headers
        assert not run.said("X-Signature")

    @pytest.mark.parametrize("on_api", [True, False])
    def test_a_link_that_expired_is_asked_for_again(
        self, sandbox: Sandbox, clock: FakeClock, november: dict[str, Any], on_api: bool
    ) -> None:
        sandbox.instal.links_on_api = on_api
        sandbox.faults.add("instal file" if on_api else "storage", status(403))
        assert campaigns(sync(november, clock).ok()) == ["11a"]
        links = [file.path for file in self.files(sandbox)]
        assert len(links) == 2
        assert (links[0] == links[1]) is on_api
        assert len(posts(sandbox)) == 1

    def test_a_file_that_is_gone_is_asked_for_by_a_new_task(
        self, sandbox: Sandbox, clock: FakeClock, november: dict[str, Any]
    ) -> None:
        sandbox.faults.add("storage", status(403))
        pending = body(b'{"state": "PENDING", "result": null}', "application/json")

        def forget(request: Any) -> None:
            if request.origin == "storage" and request.status == 403:
                sandbox.faults.add("instal poll", pending)

        sandbox.on_request = forget
        assert campaigns(sync(november, clock).ok()) == ["11a"]
        assert len(posts(sandbox)) == 2


class TestCredentials:
    def test_a_bad_token_is_one_clear_error_before_any_task(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        run = sync(having(config, auth_token="another-token"), clock)
        assert isinstance(run.error, Unauthorized)
        assert "another-token" not in error_of(run)
        assert "another-token" not in "".join(record.getMessage() for record in run.log)
        assert posts(sandbox) == []

    def test_a_token_that_ends_half_way_ends_the_run(
        self, sandbox: Sandbox, clock: FakeClock, november: dict[str, Any]
    ) -> None:
        sandbox.faults.add("instal poll", status(401), times=None, after=1)
        assert isinstance(sync(november, clock).error, Unauthorized)

    @pytest.mark.parametrize(
        ("own", "named"),
        [
            ({"auth_token": None}, "instal.auth_token"),
            ({"interval": "monthly", "window": "day"}, "instal.interval"),
            ({"interval": "monthly", "window": "week"}, "instal.interval"),
            ({"interval": "weekly"}, "instal.interval"),
            ({"window": "none"}, "instal.window"),
            ({"timezone": "Mars/Olympus"}, "instal.timezone"),
            ({"create": []}, "instal.create"),
            ({"lookback_days": -1}, "instal.lookback_days"),
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
        assert TOKEN not in line
        assert not sandbox.requests
