"""The export flow: how many at once, in which order, how patiently, and how it ends badly."""

from __future__ import annotations

import json
import re
import tempfile
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import requests
from harness import Collector, FakeClock, config_for, sync, windows_of

from tap_affiliate_reports.errors import TapError
from tap_affiliate_reports.formats import BLOCK_ROWS, Summary, csv
from tap_affiliate_reports.sandbox import (
    Attribute,
    Job,
    LoggedRequest,
    Report,
    Response,
    Sandbox,
    body,
    cut,
    reset,
    status,
)

pytestmark = pytest.mark.kill

Action = Callable[[Callable[[], Response]], Response]
WARNING = 30
INFO = 20
SEPTEMBER = "2026-09-10..2026-09-30"
POLL = "GET .*/Jobs/[^/]+$"
HEADER = b"Id,Amount\r\n"
# A file of several blocks.
SPOOLED_ROWS = 4 * BLOCK_ROWS
OLD = HEADER + b"old,1\r\n" * 4


def add_report(sandbox: Sandbox, name: str, rows: int = 4) -> Report:
    """Add a report with so many rows in each month."""

    def make(start: date, *_: object) -> list[list[str]]:
        return [[f"{start:%m}-{number}", f"{number}.50"] for number in range(rows)]

    columns = [Attribute("Id"), Attribute("Amount", "Decimal")]
    return sandbox.impact.add(Report(name, name, columns=columns, rows=make))


@pytest.fixture
def report(sandbox: Sandbox) -> Report:
    return add_report(sandbox, "sales")


@pytest.fixture
def config(sandbox: Sandbox, report: Report) -> dict[str, Any]:
    return config_for(sandbox, reports=["sales"])


@pytest.fixture
def one_window(config: dict[str, Any]) -> dict[str, Any]:
    return {**config, "end_date": "2026-09-30"}


@pytest.fixture
def two_reports(sandbox: Sandbox, report: Report) -> dict[str, Any]:
    """A configuration for `orders` and `sales`, each of three windows."""
    add_report(sandbox, "orders")
    return config_for(sandbox, reports=["orders", "sales"])


@pytest.fixture
def emitted(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What has been emitted so far, while a sync goes on."""
    seen: list[dict[str, Any]] = []
    write = Collector.write_lines

    def tell(self: Collector, lines: bytes) -> None:
        before = len(self.messages)
        write(self, lines)
        seen.extend(self.messages[before:])

    monkeypatch.setattr(Collector, "write_lines", tell)
    return seen


def impact(config: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {**config, "impact": {**config["impact"], **more}}


def windows_loaded(messages: list[dict[str, Any]]) -> int:
    """Count the windows that the last STATE has as whole."""
    states = [m["value"]["bookmarks"] for m in messages if m["type"] == "STATE"]
    entries = [
        entry
        for stream in (states[-1] if states else {}).values()
        for entry in windows_of(stream).values()
    ]
    return sum(not entry["unfinished"] for entry in entries)


def requests_at(sandbox: Sandbox, clock: FakeClock, pattern: str) -> list[float]:
    """Note when requests come that match; the list grows while a sync goes on."""
    times: list[float] = []

    def note(request: LoggedRequest) -> None:
        if re.search(pattern, f"{request.method} {request.path}"):
            times.append(clock.monotonic())

    sandbox.on_request = note
    return times


class TestSideBySide:
    @pytest.mark.parametrize("limit", [1, 2, 5])
    def test_no_more_than_the_limit_are_in_flight_or_spooled_over_all_streams(
        self,
        sandbox: Sandbox,
        clock: FakeClock,
        two_reports: dict[str, Any],
        emitted: list[dict[str, Any]],
        limit: int,
    ) -> None:
        held: list[int] = []

        def note(request: LoggedRequest) -> None:
            if "ReportExport" in request.path:
                held.append(len(sandbox.impact.exports) - windows_loaded(emitted))

        sandbox.on_request = note
        sync(impact(two_reports, max_concurrent_jobs=limit), clock).ok()
        assert len(held) == 6
        assert max(held) == limit

    def test_jobs_run_side_by_side(
        self, sandbox: Sandbox, clock: FakeClock, two_reports: dict[str, Any]
    ) -> None:
        sandbox.impact.job_seconds = 100
        sync(impact(two_reports, max_concurrent_jobs=6), clock).ok()
        assert 100 <= clock.monotonic() < 120

    def test_windows_are_emitted_in_order_whichever_job_ends_first(
        self, sandbox: Sandbox, clock: FakeClock, two_reports: dict[str, Any]
    ) -> None:
        order = iter((500, 300, 100, 80, 20, 10))
        sandbox.impact.job_seconds = lambda _job: next(order)
        run = sync(impact(two_reports, max_concurrent_jobs=6), clock).ok()
        seen = [
            (m["stream"], m["record"]["_window_start"])
            for m in run.messages
            if m["type"] == "RECORD" and m["stream"] in {"orders", "sales"}
        ]
        slots = ("2026-09-01", "2026-10-01", "2026-11-01")
        assert list(dict.fromkeys(seen)) == [(s, w) for s in ("orders", "sales") for w in slots]

    def test_ready_files_of_a_later_stream_never_hold_up_the_one_being_emitted(
        self, sandbox: Sandbox, clock: FakeClock, two_reports: dict[str, Any]
    ) -> None:
        def seconds(job: Job) -> float:
            return 200 if job.report_id == "orders" else 1

        sandbox.impact.job_seconds = seconds
        run = sync(impact(two_reports, max_concurrent_jobs=2), clock).ok()
        assert (len(run.records("orders")), len(run.records("sales"))) == (12, 12)
        assert clock.monotonic() < 2 * 200 + 100

    def test_spooled_files_are_few_and_none_is_left(
        self,
        sandbox: Sandbox,
        clock: FakeClock,
        two_reports: dict[str, Any],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        most: list[int] = []
        sandbox.on_request = lambda _: most.append(len(list(tmp_path.rglob("*.part"))))
        emit = Collector.write_lines

        def write(writer: Collector, lines: bytes) -> None:
            most.append(len(list(tmp_path.rglob("*.part"))))
            emit(writer, lines)

        monkeypatch.setattr(Collector, "write_lines", write)
        sync(impact(two_reports, max_concurrent_jobs=2), clock).ok()
        assert 1 <= max(most) <= 2
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("fault", ["keys repeat", "no table"])
    def test_the_files_of_exports_that_failed_are_gone_at_once(
        self,
        sandbox: Sandbox,
        clock: FakeClock,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        fault: str,
    ) -> None:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        reports = [f"bad_{number}" for number in range(8)]
        for name in reports:
            columns = [Attribute("Id"), Attribute("Amount", "Decimal")]
            html = (lambda *_: b"<html></html>\n") if fault == "no table" else None
            sandbox.impact.add(
                Report(name, name, columns, rows=lambda *_: [["1", "2"]] * 2, raw=html)
            )
        options = {name: {"primary_keys": ["Id", "_window_start"]} for name in reports}
        most: list[int] = []
        inspect = csv.inspect

        def count_and_inspect(path: Path) -> Summary:
            most.append(len(list(tmp_path.rglob("*.part"))))
            return inspect(path)

        monkeypatch.setattr(csv, "inspect", count_and_inspect)
        config = config_for(sandbox, reports=reports, report_options=options, max_concurrent_jobs=2)
        run = sync(config, clock)
        assert isinstance(run.error, TapError)
        assert 1 <= max(most) <= 2

    def test_the_next_file_is_on_disk_when_the_last_is_emitted(
        self,
        sandbox: Sandbox,
        clock: FakeClock,
        two_reports: dict[str, Any],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Also where its job ends only while the rows before it are on their way."""
        add_report(sandbox, "orders", SPOOLED_ROWS)
        add_report(sandbox, "sales", SPOOLED_ROWS)
        ends = iter((5, 50, 50, 50, 50, 50))
        sandbox.impact.job_seconds = lambda _job: next(ends)
        checked = [threading.Event() for _ in range(6)]
        inspect, files = csv.inspect, iter(checked)
        emit, seen = Collector.write_lines, []

        def look(path: Path) -> Summary:
            found = inspect(path)
            next(files).set()
            return found

        def write(writer: Collector, lines: bytes) -> None:
            before = len(writer.messages)
            emit(writer, lines)
            if any(m["type"] == "RECORD" and m["stream"] in ("orders", "sales")
                   for m in writer.messages[before:]):  # fmt: skip
                if not seen:
                    clock.sleep(60)
                seen.append(len(lines))
            elif len(seen) > 1:
                # The rows of the first window are out: nothing but a download is waited for.
                assert all(event.wait(20) for event in checked[1:5])

        monkeypatch.setattr(csv, "inspect", look)
        monkeypatch.setattr(Collector, "write_lines", write)
        run = sync(impact(two_reports, max_concurrent_jobs=5), clock).ok()
        assert len(run.records("sales")) == len(run.records("orders")) == 3 * SPOOLED_ROWS
        assert len(seen) > 6


class TestPatience:
    @pytest.mark.parametrize("interval", [2, 7])
    def test_the_pause_is_a_tenth_of_the_wait_within_its_bounds(
        self, sandbox: Sandbox, clock: FakeClock, one_window: dict[str, Any], interval: int
    ) -> None:
        sandbox.impact.job_seconds = 1500
        times = requests_at(sandbox, clock, POLL)
        sync(impact(one_window, poll_interval_seconds=interval), clock).ok()
        pauses = [later - earlier for earlier, later in pairwise(times)]
        assert pauses[0] == pytest.approx(interval)
        assert max(pauses) == pytest.approx(30)
        for at, pause in zip(times, pauses, strict=False):
            waited = at - times[0]
            tenth = max(interval, min(waited / 10, 30))
            assert pause <= tenth + 0.001
            if waited < 1500 * 0.79:
                assert pause == pytest.approx(tenth)
        # Near the end, by the service's own percentage, it is looked at sooner.
        assert min(pauses[-3:]) < 15

    def test_a_heartbeat_tells_every_half_minute_what_is_waited_for(
        self, sandbox: Sandbox, clock: FakeClock, one_window: dict[str, Any]
    ) -> None:
        sandbox.impact.job_seconds = 300
        run = sync(one_window, clock).ok()
        told = [r for r in run.log if r.levelno == INFO and "waiting" in r.getMessage()]
        assert 5 <= len(told) <= 10
        assert "sales" in told[-1].getMessage()

    def test_a_job_that_is_not_done_by_the_deadline_is_an_error_that_tells_all(
        self, sandbox: Sandbox, clock: FakeClock, two_reports: dict[str, Any]
    ) -> None:
        sandbox.impact.fail_next("STUCK", report="orders")
        run = sync(impact(two_reports, job_timeout_seconds=600), clock)
        assert isinstance(run.error, TapError)
        job = next(j for j in sandbox.impact.jobs.values() if j.outcome.status == "STUCK")
        for words in ("orders", SEPTEMBER, job.id, "job_timeout_seconds", "RUNNING"):
            assert words in str(run.error)
        assert 600 <= clock.monotonic() < 640
        assert (run.records("orders"), run.bookmark("orders")) == ([], None)
        assert run.bookmark("sales") == "2026-11-18"

    def test_a_job_done_just_before_the_deadline_is_taken(
        self, sandbox: Sandbox, clock: FakeClock, one_window: dict[str, Any]
    ) -> None:
        sandbox.impact.job_seconds = 35
        config = impact(one_window, poll_interval_seconds=30, job_timeout_seconds=40)
        assert len(sync(config, clock).ok().records("sales")) == 4

    def test_errors_of_polling_do_not_fail_a_job(
        self, sandbox: Sandbox, clock: FakeClock, one_window: dict[str, Any]
    ) -> None:
        sandbox.faults.add(POLL, status(503), times=15)
        sandbox.faults.add(POLL, reset(), times=3)
        run = sync(one_window, clock).ok()
        assert len(run.records("sales")) == 4
        assert len(sandbox.impact.exports) == 1

    def test_a_download_that_comes_too_early_is_waited_for(
        self, sandbox: Sandbox, clock: FakeClock, one_window: dict[str, Any]
    ) -> None:
        fault = sandbox.faults.add("GET .*/Download", status(202, body=b"{}"), times=4)
        run = sync(one_window, clock).ok()
        assert (len(run.records("sales")), fault.hits) == (4, 4)

    def test_a_202_that_lasts_ends_at_the_deadline(
        self, sandbox: Sandbox, clock: FakeClock, one_window: dict[str, Any]
    ) -> None:
        sandbox.faults.add("GET .*/Download", status(202, body=b"{}"), times=None)
        run = sync(impact(one_window, job_timeout_seconds=300), clock)
        assert isinstance(run.error, TapError)
        assert SEPTEMBER in str(run.error)
        assert "job_timeout_seconds" in str(run.error)
        assert 300 <= clock.monotonic() < 400


class TestFailures:
    @pytest.mark.parametrize("word", ["FAILED", "CANCELLED"])
    def test_a_failed_job_is_replayed_twice_with_pauses(
        self, sandbox: Sandbox, clock: FakeClock, one_window: dict[str, Any], word: str
    ) -> None:
        times = requests_at(sandbox, clock, "PUT .*/Replay")
        sandbox.impact.fail_next(word, "Out of memory", times=2)
        run = sync(one_window, clock).ok()
        assert len(run.records("sales")) == 4
        assert (len(sandbox.impact.exports), sandbox.impact.replays) == (1, 2)
        assert times[0] > 5
        assert times[1] > times[0] + 5

    @pytest.mark.parametrize("word", ["FAILED", "CANCELLED"])
    def test_the_third_failure_is_an_error_with_the_services_words(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any], word: str
    ) -> None:
        sandbox.impact.job_seconds = lambda job: 5 if "09" in job.params["START_DATE"][0] else 500
        sandbox.impact.fail_next(word, "The range is too wide")
        config = impact(config, max_concurrent_jobs=1)

        def again(request: LoggedRequest) -> None:
            if request.method == "PUT":
                (job,) = sandbox.impact.jobs.values()
                job.outcome = replace(job.outcome, status=word, message="The range is too wide")

        sandbox.on_request = again
        run = sync(config, clock)
        assert isinstance(run.error, TapError)
        for words in ("sales", SEPTEMBER, word, "The range is too wide", "smaller window"):
            assert words in str(run.error)
        assert sandbox.impact.replays == 2
        assert (run.records("sales"), run.bookmark("sales")) == ([], None)

    def test_a_failed_job_that_the_state_knows_is_tried_again_by_the_next_sync(
        self, sandbox: Sandbox, clock: FakeClock, one_window: dict[str, Any]
    ) -> None:
        sandbox.impact.fail_next("FAILED", "Out of memory", times=3)
        run = sync(one_window, clock)
        assert isinstance(run.error, TapError)
        again = sync(one_window, clock, state=run.state).ok()
        assert len(again.records("sales")) == 4
        assert len(sandbox.impact.jobs) == 1

    @pytest.mark.parametrize("word", ["ODD", "COMPLETED_WITH_ERRORS"])
    def test_an_unknown_state_is_an_error_that_names_the_word_and_the_window(
        self, sandbox: Sandbox, clock: FakeClock, two_reports: dict[str, Any], word: str
    ) -> None:
        sandbox.impact.fail_next(word, report="orders")
        run = sync(two_reports, clock)
        assert isinstance(run.error, TapError)
        assert word in str(run.error)
        assert SEPTEMBER in str(run.error)
        assert run.records("orders") == []
        assert len(run.records("sales")) == 12

    def test_state_words_are_known_in_any_case(
        self, sandbox: Sandbox, clock: FakeClock, one_window: dict[str, Any]
    ) -> None:
        sandbox.impact.job_words = {"QUEUED": "Queued", "RUNNING": "running", "COMPLETED": "done"}
        assert "'done'" in str(sync(one_window, clock).error)
        sandbox.impact.job_words["COMPLETED"] = "Completed"
        assert len(sync(one_window, clock).ok().records("sales")) == 4

    @pytest.mark.parametrize("as_200", [False, True])
    def test_a_refused_request_fails_its_report_alone_naming_window_and_words(
        self, sandbox: Sandbox, clock: FakeClock, two_reports: dict[str, Any], *, as_200: bool
    ) -> None:
        told = b'{"Status": "ERROR", "Message": "Date range exceeds 31 days"}'
        answer = (
            body(told, "application/json")
            if as_200
            else status(400, body=told, content_type="application/json")
        )
        sandbox.faults.add("ReportExport/orders", answer, times=None)
        run = sync(two_reports, clock)
        assert isinstance(run.error, TapError)
        for words in ("orders", SEPTEMBER, "Date range exceeds 31 days"):
            assert words in str(run.error)
        assert run.records("orders") == []
        assert len(run.records("sales")) == 12
        assert run.bookmark("sales") == "2026-11-18"

    def test_every_failed_report_is_named_at_the_end(
        self, sandbox: Sandbox, clock: FakeClock, two_reports: dict[str, Any]
    ) -> None:
        sandbox.impact.fail_next("FAILED", "No orders today", times=9, report="orders")
        sandbox.impact.fail_next("FAILED", "No sales today", times=9, report="sales")
        run = sync(two_reports, clock)
        (line,) = str(run.error).splitlines()
        for words in ("orders", "No orders today", "sales", "No sales today"):
            assert words in line

    def test_a_later_window_that_fails_keeps_the_earlier_ones(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        sandbox.faults.add("START_DATE=2026-10-01", status(400), times=None)
        run = sync(config, clock)
        assert isinstance(run.error, TapError)
        assert "2026-10-01..2026-10-31" in str(run.error)
        assert len(run.records("sales")) == 4
        assert run.bookmark("sales") == "2026-09-30"

    def test_credentials_that_are_refused_end_the_run(
        self, sandbox: Sandbox, clock: FakeClock, two_reports: dict[str, Any]
    ) -> None:
        fault = sandbox.faults.add("ReportExport", status(401), times=None)
        run = sync(two_reports, clock)
        assert isinstance(run.error, TapError)
        assert "credentials" in str(run.error)
        assert fault.hits == 1
        assert run.records("sales") == []


class TestQuota:
    @pytest.mark.parametrize("how", ["max_exports", "service"])
    @pytest.mark.parametrize("on_quota", ["fail", "warn"])
    def test_a_spent_quota_keeps_what_is_complete_and_says_what_is_left(
        self,
        sandbox: Sandbox,
        clock: FakeClock,
        two_reports: dict[str, Any],
        how: str,
        on_quota: str,
    ) -> None:
        config = {**two_reports, "on_quota": on_quota}
        if how == "max_exports":
            config = impact(config, max_exports=4)
        else:
            sandbox.impact.exports_per_day = 4
        run = sync(config, clock)
        assert (run.error is None) is (on_quota == "warn")
        assert len(run.records("orders")) == 12
        assert len(run.records("sales")) == 4
        assert run.bookmark("sales") == "2026-09-30"
        assert len(sandbox.impact.exports) == 4
        told = str(run.error or "") + "\n".join(
            r.getMessage() for r in run.log if r.levelno >= WARNING
        )
        assert "sales: 2 windows not loaded" in told
        assert "tomorrow" in told

        sandbox.impact.exports_per_day = 100
        clock.advance(days=1)
        resumed = sync(two_reports, clock, state=run.state).ok()
        assert resumed.bookmark("sales") == "2026-11-19"

    def test_the_services_own_limit_does_not_stop_replays_and_downloads(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        first = sync({**config, "end_date": "2026-11-10"}, clock).ok()
        clock.advance(days=1)
        sandbox.impact.exports_per_day = 0
        run = sync(config, clock, state=first.state)
        assert isinstance(run.error, TapError)
        slots = {row["slot"] for row in run.records("report_windows")}
        assert slots == {"2026-09-01", "2026-10-01"}
        assert sandbox.impact.replays == 2

    def test_a_short_wait_for_the_quota_is_waited_out(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        sandbox.faults.add("ReportExport", status(429, {"Retry-After": "120"}), times=2)
        run = sync(config, clock).ok()
        assert len(run.records("sales")) == 12
        assert [pause for pause in clock.slept if pause >= 120]

    def test_a_wait_longer_than_allowed_stops_cleanly(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        sandbox.faults.add("ReportExport", status(429, {"Retry-After": "120"}), times=None)
        run = sync(impact(config, max_wait_seconds=60), clock)
        assert isinstance(run.error, TapError)
        assert clock.monotonic() < 60

    @pytest.mark.parametrize("how", ["max_exports", "service"])
    def test_new_windows_have_the_quota_before_a_refresh_that_turns_out_to_need_one(
        self, sandbox: Sandbox, clock: FakeClock, two_reports: dict[str, Any], how: str
    ) -> None:
        config = {**two_reports, "end_date": "2026-09-30"}
        first = sync(impact(config, reports=["orders"]), clock).ok()
        sandbox.impact.jobs.clear()
        clock.advance(days=1)
        if how == "max_exports":
            config = impact(config, max_exports=1)
        else:
            sandbox.impact.exports_per_day = 1
        run = sync(config, clock, state=first.state)
        assert isinstance(run.error, TapError)
        assert len(run.records("sales")) == 4, "never loaded before"
        assert run.records("orders") == []

    def test_no_exports_at_all_may_be_spent(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        run = sync(impact(config, max_exports=0), clock)
        assert isinstance(run.error, TapError)
        assert "max_exports" in str(run.error)
        assert sandbox.impact.exports == []


def cut_by(count: int) -> Callable[[Callable[[], Response]], Response]:
    """Leave out the last bytes of a file with no sign of it."""

    def act(real: Callable[[], Response]) -> Response:
        whole = real()
        return replace(whole, body=whole.body[:-count], framing="close")

    return act


class TestFiles:
    def test_a_file_of_another_length_than_told_is_taken_if_it_is_so_each_time(
        self, sandbox: Sandbox, clock: FakeClock, report: Report, one_window: dict[str, Any]
    ) -> None:
        report.records_processed = lambda count: (count or 0) + 1
        run = sync(one_window, clock).ok()
        assert len(run.records("sales")) == 4
        assert sandbox.impact.downloads == 3
        assert run.said(SEPTEMBER, WARNING)
        assert run.bookmark("sales") == "2026-09-30"

    def test_a_file_of_another_length_at_each_download_is_an_error(
        self, sandbox: Sandbox, clock: FakeClock, one_window: dict[str, Any]
    ) -> None:
        for count in (1, 2, 3):
            sandbox.faults.add("GET /storage/", body(HEADER + b"x,1\r\n" * count))
        run = sync(one_window, clock)
        assert isinstance(run.error, TapError)
        assert SEPTEMBER in str(run.error)
        assert run.records("sales") == []
        assert run.bookmark("sales") is None

    @pytest.mark.parametrize("told", [None, ""])
    def test_a_file_whose_length_is_not_told_is_taken_at_once(
        self,
        sandbox: Sandbox,
        clock: FakeClock,
        report: Report,
        one_window: dict[str, Any],
        told: str | None,
    ) -> None:
        report.records_processed = lambda _count: told
        sync(one_window, clock).ok()
        assert sandbox.impact.downloads == 1

    @pytest.mark.parametrize("count", [1, 2, 3, 4, 6, 12])
    @pytest.mark.parametrize("is_told", [True, False])
    def test_a_file_cut_short_with_no_sign_of_it_is_downloaded_again(
        self,
        sandbox: Sandbox,
        clock: FakeClock,
        report: Report,
        one_window: dict[str, Any],
        count: int,
        *,
        is_told: bool,
    ) -> None:
        if not is_told and count == 12:
            return  # cut between two rows: nothing but the count could tell
        if not is_told:
            report.records_processed = lambda _count: None
        sandbox.faults.add("GET /storage/", cut_by(count))
        run = sync(one_window, clock).ok()
        assert [str(row["Amount"]) for row in run.records("sales")] == [
            "0.50",
            "1.50",
            "2.50",
            "3.50",
        ]

    @pytest.mark.parametrize("how", [{"content_length": False}, {}, {"chunked": True}], ids=str)
    def test_a_file_cut_twice_is_whole_the_third_time(
        self,
        sandbox: Sandbox,
        clock: FakeClock,
        one_window: dict[str, Any],
        how: dict[str, bool],
    ) -> None:
        sandbox.faults.add("GET /storage/", cut(0.5, **how), times=2)
        run = sync(one_window, clock).ok()
        assert len(run.records("sales")) == 4

    @pytest.mark.parametrize("how", [{"content_length": False}, {}], ids=str)
    def test_a_file_that_is_always_cut_is_an_error_that_names_the_window_and_no_row(
        self,
        sandbox: Sandbox,
        clock: FakeClock,
        one_window: dict[str, Any],
        how: dict[str, bool],
    ) -> None:
        sandbox.faults.add("GET /storage/", cut(0.55, **how), times=None)
        run = sync(one_window, clock)
        assert isinstance(run.error, TapError)
        assert SEPTEMBER in str(run.error)
        assert (run.records("sales"), run.bookmark("sales")) == ([], None)

    def test_a_file_that_can_not_be_taken_fails_its_stream_alone(
        self, sandbox: Sandbox, clock: FakeClock, two_reports: dict[str, Any]
    ) -> None:
        sandbox.impact.reports["orders"].raw = lambda *_: HEADER + b"1,2\r\n3\r\n"
        run = sync(two_reports, clock)
        assert isinstance(run.error, TapError)
        assert "orders" in str(run.error)
        assert run.records("orders") == []
        assert len(run.records("sales")) == 12

    def test_a_link_that_expired_is_asked_for_afresh(
        self, sandbox: Sandbox, clock: FakeClock, one_window: dict[str, Any]
    ) -> None:
        fault = sandbox.faults.add("GET /storage/", status(403, body=b"expired"), times=2)
        run = sync(one_window, clock).ok()
        assert (len(run.records("sales")), fault.hits) == (4, 2)
        assert sandbox.impact.downloads == 3


class TestReplayThatIsSlowToShow:
    @pytest.fixture
    def loaded(
        self, sandbox: Sandbox, clock: FakeClock, report: Report, one_window: dict[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """The state of a first night, and the job as the service shows it before its replay."""
        state = sync(one_window, clock).ok().state
        clock.advance(days=1)
        (job,) = sandbox.impact.jobs
        shown = requests.get(
            f"{sandbox.url}/Mediapartners/IRsandbox/Jobs/{job}",
            headers={"Accept": "application/json"},
            auth=("IRsandbox", "sandbox-token"),
            timeout=5,
        ).json()
        report.rows = lambda *_: [["new", "1"]]
        return state, shown

    @pytest.mark.parametrize("answer", [b"", b"{}", b'{"Status": "QUEUED"}', b"the job"])
    def test_the_old_file_is_not_taken_for_the_new_one(
        self,
        sandbox: Sandbox,
        clock: FakeClock,
        one_window: dict[str, Any],
        loaded: tuple[dict[str, Any], dict[str, Any]],
        answer: bytes,
    ) -> None:
        state, shown = loaded
        old = json.dumps(shown).encode()

        def replay(real: Callable[[], Response]) -> Response:
            return replace(real(), body=old if answer == b"the job" else answer)

        def download(real: Callable[[], Response]) -> Response:
            answer = real()  # 202 while the replay runs
            return replace(answer, status=200, body=OLD) if answer.status == 202 else answer

        sandbox.faults.add("PUT .*/Replay", replay)
        sandbox.faults.add("GET .*/Download", download, times=None)
        sandbox.faults.add(POLL, body(old, "application/json"), times=3, after=1)
        run = sync(one_window, clock, state=state).ok()
        live = [record["Id"] for record in run.records("sales") if not record["_sdc_deleted_at"]]
        assert live == ["new"]
        assert sandbox.impact.replays == 1


class TestJobsThatAreGone:
    @pytest.fixture
    def night(
        self, sandbox: Sandbox, clock: FakeClock, two_reports: dict[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """A night on which the job of `orders` is gone and `sales` was never loaded."""
        config = {**two_reports, "end_date": "2026-09-30"}
        first = sync(impact(config, reports=["orders"]), clock).ok()
        sandbox.impact.jobs.clear()
        clock.advance(days=1)
        return config, first.state

    @pytest.mark.parametrize("concurrency", [1, 5])
    def test_a_job_that_goes_while_it_runs_is_exported_anew(
        self,
        sandbox: Sandbox,
        clock: FakeClock,
        night: tuple[dict[str, Any], dict[str, Any]],
        concurrency: int,
    ) -> None:
        config, state = night
        running = {"Id": "x", "Status": "RUNNING", "RecordsProcessed": "", "CompletedDate": ""}
        sandbox.faults.add(POLL, body(json.dumps(running).encode(), "application/json"))
        run = sync(impact(config, max_concurrent_jobs=concurrency), clock, state=state).ok()
        read = {row["stream"]: row["rows_in_file"] for row in run.records("report_windows")}
        assert read == {"orders": 4, "sales": 4}

    @pytest.mark.parametrize(
        "answer", [status(400, body=b'{"Status": "ERROR", "Message": "Invalid job id"}'),
                   body(b'{"Status": "ERROR", "Message": "Invalid job id"}', "application/json")],
        ids=["400", "200"],
    )  # fmt: skip
    def test_a_job_id_that_is_refused_as_bad_input_is_gone_too(
        self,
        sandbox: Sandbox,
        clock: FakeClock,
        night: tuple[dict[str, Any], dict[str, Any]],
        answer: Any,
    ) -> None:
        config, state = night
        sandbox.faults.add(POLL, answer)
        run = sync(impact(config, reports=["orders"]), clock, state=state).ok()
        assert {row["rows_in_file"] for row in run.records("report_windows")} == {4}


class TestSpending:
    def test_a_request_that_is_sent_again_is_counted_again(
        self, sandbox: Sandbox, clock: FakeClock, one_window: dict[str, Any]
    ) -> None:
        sandbox.faults.add("ReportExport", reset(handled=True), times=None)
        run = sync(impact(one_window, max_exports=2), clock)
        assert isinstance(run.error, TapError)
        assert len(sandbox.impact.exports) == 2

    @pytest.mark.parametrize("how", ["rate limit", "deadline"])
    def test_a_job_that_gave_no_file_is_known_to_the_next_sync(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any], how: str
    ) -> None:
        if how == "rate limit":
            for look in (POLL, "GET .*/Jobs$"):
                sandbox.faults.add(look, status(429, {"Retry-After": "4000"}), times=None)
        else:
            sandbox.impact.job_seconds = 400
            config = impact(config, job_timeout_seconds=50)
        run = sync(config, clock)
        assert isinstance(run.error, TapError)
        assert run.records("sales") == []
        spent = len(sandbox.impact.exports)
        sandbox.faults.clear()
        clock.advance(hours=1)
        again = sync(config, clock, state=run.state).ok()
        assert len(again.records("sales")) == 12
        windows = 3
        assert len(sandbox.impact.exports) == max(spent, windows)


def test_a_range_that_is_refused_is_told_with_what_to_do(
    sandbox: Sandbox, clock: FakeClock, one_window: dict[str, Any]
) -> None:
    refusal = b'{"Status": "ERROR", "Message": "The range is too wide"}'
    sandbox.faults.add("ReportExport", body(refusal, "application/json"))
    run = sync(one_window, clock)
    assert isinstance(run.error, TapError)
    for words in ("sales", SEPTEMBER, "The range is too wide", "smaller window"):
        assert words in str(run.error)


def test_filters_reach_the_service_as_they_are_given(
    sandbox: Sandbox, clock: FakeClock, one_window: dict[str, Any]
) -> None:
    filters = {"SUPERSTATUS_MS": ["APPROVED", "REVERSED"], "SHOW_X": 1, "FLAG": True}
    sync(impact(one_window, report_options={"sales": {"filters": filters}}), clock).ok()
    params = sandbox.impact.exports[0].params
    assert params["SUPERSTATUS_MS"] == ["APPROVED", "REVERSED"]
    assert (params["SHOW_X"], params["FLAG"]) == (["1"], ["true"])


def test_reversed_actions_come_when_the_filter_asks_for_them(
    sandbox: Sandbox, clock: FakeClock
) -> None:
    filters = {"SUPERSTATUS_MS": ["REVERSED"]}
    listing = "mp_action_listing_fast"
    config = config_for(sandbox, reports=[listing], report_options={listing: {"filters": filters}})
    assert {row["Status"] for row in sync(config, clock).ok().records(listing)} == {"REVERSED"}
