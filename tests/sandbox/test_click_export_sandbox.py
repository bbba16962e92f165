"""ClickExport of the sandbox behaves as impact.com's is known to, and its clicks as real ones."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime, timedelta, timezone
from statistics import mean, median
from xml.etree import ElementTree as ET

import pytest
from impact_client import JULY, Client, Clock

from tap_affiliate_reports.sandbox import Attribute, Report, Sandbox
from tap_affiliate_reports.sandbox.data import PROGRAMS, Account, days
from tap_affiliate_reports.sandbox.impact.clicks import COLUMNS, Clicks

DAY = {"Date": "2026-08-09"}
QUIET, LARGE = date(2026, 7, 10), date(2026, 7, 30)
"""Days of the invented account without a click, and with ten times as many as usual."""


ACCOUNT = Account("America/New_York")
CLICKS = Clicks(ACCOUNT)
LONG_AFTER = datetime(2027, 1, 1, tzinfo=timezone.utc)


def rows_of(day: date, moment: datetime) -> list[tuple[str, ...]]:
    return list(CLICKS.rows(moment, day, day, None, {}))


def small_clicks(*rows: str) -> Report:
    return Report("clicks", columns=[Attribute("Id")], rows=lambda *_: [[row] for row in rows])


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sandbox(clock: Clock) -> Iterator[Sandbox]:
    """One account whose jobs take a minute, with two small reports of our own."""
    with Sandbox(now=clock, job_seconds=60) as sandbox:
        sandbox.impact.add(
            Report("sales", columns=[Attribute("Id")], rows=lambda *_: [["1"], ["2"], ["3"]])
        )
        sandbox.impact.clicks = small_clicks("7", "7")
        yield sandbox


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[Client]:
    client = Client(sandbox)
    yield client
    client.session.close()


class TestRequest:
    def test_it_is_answered_like_an_export_of_a_report(self, client: Client) -> None:
        answer = client.get("/ClickExport", params=DAY).json()
        job = answer["QueuedUri"].removeprefix("/Mediapartners/IRsandbox/Jobs/")
        assert answer == {
            "Status": "QUEUED",
            "QueuedUri": f"/Mediapartners/IRsandbox/Jobs/{job}",
            "ResultUri": f"/Mediapartners/IRsandbox/Jobs/{job}/Download",
            "ReplayUri": f"/Mediapartners/IRsandbox/Jobs/{job}/Replay",
        }
        assert client.job(job)["Id"] == job

    def test_the_job_has_a_type_of_its_own_and_the_first_program(self, client: Client) -> None:
        clicks = client.job(client.export_clicks(**DAY, ProgramId=["10487", "10211"]))
        report = client.job(client.export("sales", **JULY, SUBAID="11902", ProgramId="10211"))
        assert (clicks["Type"], clicks["ProgramId"]) == ("ClickExport", "10487")
        assert (report["Type"], report["ProgramId"]) == ("ApiReport", "11902")
        listed = client.get("/Jobs").json()["Jobs"]
        assert {job["Type"] for job in listed} == {"ClickExport", "ApiReport"}

    def test_rows_get_the_day_twice_no_program_and_the_filters(
        self, sandbox: Sandbox, client: Client
    ) -> None:
        received: list[object] = []
        sandbox.impact.clicks.rows = lambda *given: (received.append(given), [])[1]
        sandbox.impact.job_seconds = 0
        filters = {"ProgramId": ["10487", "10211"], "AdId": ["0042"], "SubId": ["007", "null"]}
        client.rows(
            client.export_clicks(**DAY, **filters, UniqueClick="true", Page="2", SUBAID="1")
        )
        day = date(2026, 8, 9)
        assert received == [(day, day, None, {**filters, "UniqueClick": ["TRUE"]})]

    def test_without_a_date_it_is_today_in_the_zone_of_the_account(
        self, sandbox: Sandbox, client: Client, clock: Clock
    ) -> None:
        clock.now = datetime(2026, 8, 11, 3, tzinfo=timezone.utc)  # 23:00 in New York
        first = client.export_clicks()
        assert client.export_clicks(Date="2026-08-10") == first
        clock.forward(hours=1)
        assert client.export_clicks() != first
        dates = [export.params["Date"] for export in sandbox.impact.click_exports]
        assert dates == [["2026-08-10"], ["2026-08-10"], ["2026-08-11"]]

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("Date", "yesterday"),
            ("Date", "20260809"),
            ("Date", "2026-08-09T00:00:00Z"),
            ("UniqueClick", "yes"),
            ("ResultFormat", "XLSX"),
        ],
    )
    def test_a_bad_value_is_refused_and_named_and_costs_nothing(
        self, sandbox: Sandbox, client: Client, name: str, value: str
    ) -> None:
        answer = client.get("/ClickExport", params={name: value})
        assert (answer.status_code, answer.json()["Errors"][0]["Field"]) == (400, name)
        sandbox.impact.error_as_200 = True
        answer = client.get("/ClickExport", params={name: value})
        assert (answer.status_code, answer.json()["Status"]) == (200, "ERROR")
        assert (sandbox.impact.click_exports, sandbox.impact.click_exports_today) == ([], 0)

    def test_it_may_be_forbidden_alone(self, sandbox: Sandbox, client: Client) -> None:
        sandbox.impact.forbidden = {"ClickExport"}
        assert client.get("/ClickExport").status_code == 403
        assert client.get(f"/Jobs/{client.export()}").status_code == 200
        sandbox.impact.forbidden = {"ReportExport"}
        assert client.get(f"/Jobs/{client.export_clicks()}").status_code == 200

    def test_clicks_are_no_report(self, sandbox: Sandbox, client: Client) -> None:
        sandbox.impact.reports_page_size = 100
        reports = client.get("/Reports").json()["Reports"]
        assert "clicks" not in {report.get("Id") for report in reports}
        for path in ("/Reports/clicks", "/Reports/clicks/MetaData", "/ReportExport/clicks"):
            assert client.get(path).status_code == 404

    def test_a_report_of_the_same_id_is_another(
        self, sandbox: Sandbox, client: Client, clock: Clock
    ) -> None:
        report = Report("clicks", columns=[Attribute("Name")], rows=lambda *_: [["a"]])
        sandbox.impact.add(report).records_processed = lambda _: 5
        params = {**DAY, "ResultFormat": "CSV"}
        jobs = client.export("clicks", **params), client.export_clicks(**params)
        clock.forward(minutes=1)
        assert [client.rows(job) for job in jobs] == [[{"Name": "a"}], [{"Id": "7"}, {"Id": "7"}]]
        assert [client.job(job)["RecordsProcessed"] for job in jobs] == ["5", "2"]


class TestLimit:
    def test_it_is_ten_a_day_apart_from_the_reports(
        self, sandbox: Sandbox, client: Client, clock: Clock
    ) -> None:
        assert sandbox.impact.click_exports_per_day == 10
        for number in range(1, 10):
            client.export_clicks(Date=f"2026-08-0{number}")
        answer = client.get("/ClickExport", params=DAY)
        assert answer.headers["X-RateLimit-Limit-hour"] == "10"
        assert answer.headers["X-RateLimit-Remaining-hour"] == "0"
        for _ in range(2):
            answer = client.get("/ClickExport", params=DAY)
            assert answer.status_code == 429
            assert answer.headers["Retry-After"] == answer.headers["RateLimit-Reset"] == "43200"
        assert [export.scheduled for export in sandbox.impact.click_exports] == [True] * 9 + [False]
        assert sandbox.impact.click_exports_today == 10
        assert (sandbox.impact.exports, sandbox.impact.exports_today) == ([], 0)
        answer = client.get("/ReportExport/sales", params=JULY)
        assert answer.headers["X-RateLimit-Remaining-hour"] == "99"
        clock.forward(hours=12)
        client.export_clicks(**DAY)
        assert sandbox.impact.click_exports_today == 1

    def test_each_limit_may_be_set_and_leaves_the_other_alone(
        self, sandbox: Sandbox, client: Client
    ) -> None:
        sandbox.impact.click_exports_per_day = 1
        sandbox.impact.exports_per_day = 2
        client.export_clicks(**DAY)
        assert client.get("/ClickExport", params=DAY).status_code == 429
        client.export()
        client.export()
        assert client.get("/ReportExport/sales", params=JULY).status_code == 429
        assert (sandbox.impact.exports_today, sandbox.impact.click_exports_today) == (2, 1)


class TestJobs:
    def test_an_identical_request_gets_the_old_job(self, sandbox: Sandbox, client: Client) -> None:
        job = client.export_clicks(**DAY, UniqueClick="TRUE", AdId=["1", "2"])
        same = {"AdId": ["1", "2"], "UniqueClick": "True", "ResultFormat": "csv", "Unknown": "1"}
        assert client.export_clicks(**same, **DAY) == job
        assert client.export_clicks(**same, Date="2026-08-08") != job
        (export, *_) = sandbox.impact.click_exports
        assert (export.report_id, export.job_id) == ("clicks", job)

    def test_a_replay_has_the_clicks_of_its_end(
        self, sandbox: Sandbox, client: Client, clock: Clock
    ) -> None:
        job = client.export_clicks(**DAY)
        clock.forward(minutes=1)
        assert client.rows(job) == [{"Id": "7"}, {"Id": "7"}]
        sandbox.impact.clicks = small_clicks("8")
        assert client.rows(job) == [{"Id": "7"}, {"Id": "7"}]
        assert client.put(f"/Jobs/{job}/Replay").json()["Id"] == job
        clock.forward(minutes=1)
        assert client.rows(client.export_clicks(**DAY)) == [{"Id": "8"}]
        assert sandbox.impact.click_exports_today == 2, "a replay is no export"

    def test_a_replay_may_name_a_new_job_or_be_refused(
        self, sandbox: Sandbox, client: Client, clock: Clock
    ) -> None:
        sandbox.impact.replay_new_id = True
        job = client.export_clicks(**DAY, ProgramId="10211")
        clock.forward(minutes=1)
        successor = client.put(f"/Jobs/{job}/Replay").json()
        assert successor["Id"] != job
        assert (successor["Type"], successor["ProgramId"]) == ("ClickExport", "10211")
        assert client.export_clicks(**DAY, ProgramId="10211") == successor["Id"]
        sandbox.impact.replay_forbidden = lambda job: job.report_id == "clicks"
        assert client.put(f"/Jobs/{job}/Replay").status_code == 403

    def test_a_job_fails_as_scripted(self, sandbox: Sandbox, client: Client, clock: Clock) -> None:
        sandbox.impact.fail_next("FAILED", "too many clicks", report="clicks")
        other, job = client.export(), client.export_clicks(**DAY)
        clock.forward(minutes=1)
        assert client.job(other)["Status"] == "COMPLETED"
        shown = client.job(job)
        assert (shown["Status"], shown["StatusMessage"]) == ("FAILED", "too many clicks")

    def test_records_processed_and_the_time_of_a_job_may_be_set(
        self, sandbox: Sandbox, client: Client, clock: Clock
    ) -> None:
        sandbox.impact.job_seconds = lambda job: 5 if job.params["Date"] == ["2026-08-09"] else 500
        sandbox.impact.clicks.records_processed = lambda count: (count or 0) + 1
        fast, slow = client.export_clicks(**DAY), client.export_clicks(Date="2026-08-08")
        clock.forward(seconds=5)
        assert client.job(fast)["RecordsProcessed"] == "3"
        assert client.job(slow)["Status"] == "QUEUED"

    def test_a_file_may_be_json_or_xml(self, sandbox: Sandbox, client: Client) -> None:
        sandbox.impact.job_seconds = 0
        job = client.export_clicks(**DAY, ResultFormat="json")
        answer = client.get(f"/Jobs/{job}/Download")
        assert answer.json() == {"Records": [{"Id": "7"}, {"Id": "7"}]}
        job = client.export_clicks(**DAY, ResultFormat="XML")
        answer = client.get(f"/Jobs/{job}/Download")
        assert [id_.text for id_ in ET.fromstring(answer.content).iter("Id")] == ["7", "7"]


class TestInventedClicks:
    """Over HTTP where it is about the service, else the module alone."""

    @pytest.fixture
    def invented(self, clock: Clock) -> Iterator[Client]:
        with Sandbox(now=clock, job_seconds=0) as sandbox:
            client = Client(sandbox)
            yield client
            client.session.close()

    def test_the_header_has_the_documented_columns(self, invented: Client) -> None:
        answer = invented.get(f"/Jobs/{invented.export_clicks(**DAY)}/Download")
        assert answer.content.decode().partition("\r\n")[0] == ",".join(COLUMNS)
        assert (len(COLUMNS), COLUMNS[0], COLUMNS[-1]) == (42, "Id", "UniqueClick")

    def test_filters_narrow_the_rows(self, invented: Client) -> None:
        invented.sandbox.impact.click_exports_per_day = 100
        rows = invented.rows(invented.export_clicks(**DAY))
        for column, name, values in (
            ("ProgramId", "ProgramId", ["10487", "13370"]),
            ("AdId", "AdId", ["0042"]),
            ("SubId1", "SubId", ["007", "null"]),
            ("UniqueClick", "UniqueClick", ["FALSE"]),
        ):
            found = invented.rows(invented.export_clicks(**DAY, **{name: values}))
            kept = {value.lower() for value in values}
            assert found == [row for row in rows if row[column] in kept], name
            assert 0 < len(found) < len(rows), name

    def test_a_day_is_the_same_in_every_sandbox(self, invented: Client, clock: Clock) -> None:
        rows = invented.rows(invented.export_clicks(**DAY))
        assert [tuple(row.values()) for row in rows] == rows_of(date(2026, 8, 9), clock.now)

    def test_totals_agree_once_the_day_no_longer_changes(
        self, invented: Client, clock: Clock
    ) -> None:
        clock.forward(days=3)
        window = {"START_DATE": DAY["Date"], "END_DATE": DAY["Date"]}
        (total,) = invented.table("partner_performance_by_day", **window)
        programs = invented.table("partner_performance_by_program", **window)
        rows = invented.rows(invented.export_clicks(**DAY))
        ids = {row["Id"]: row["ProgramId"] for row in rows}
        assert len(ids) == int(total["Clicks"])
        assert Counter(ids.values()) == {
            row["Program_Id"]: int(row["Clicks"]) for row in programs if row["Clicks"] != "0"
        }

    def test_days_differ_much_in_size(self) -> None:
        year = days(date(2026, 1, 1), date(2026, 12, 31))
        sizes = {day: sum(ACCOUNT.clicks(day, brand) for brand in PROGRAMS) for day in year}
        assert (sizes[QUIET], sizes[LARGE] > 5000) == (0, True)
        assert 400 < mean(sizes.values()) < 600
        usual = median(sizes.values())
        assert usual < 400
        assert 5 <= sum(size == 0 for size in sizes.values()) <= 30
        assert 5 <= sum(size > 8 * usual for size in sizes.values()) <= 30

    def test_a_day_without_clicks_is_an_empty_file_and_still_has_its_actions(
        self, invented: Client
    ) -> None:
        job = invented.export_clicks(Date=str(QUIET))
        assert invented.rows(job) == []
        assert invented.job(job)["RecordsProcessed"] == "0"
        window = {"START_DATE": str(QUIET), "END_DATE": str(QUIET)}
        (total,) = invented.table("partner_performance_by_day", **window)
        actions = invented.table("mp_action_listing_fast", **window)
        assert (total["Clicks"], total["Actions"]) == ("0", str(len(actions)))

    def test_today_has_the_clicks_so_far_and_tomorrow_none(self, clock: Clock) -> None:
        today, tomorrow = date(2026, 8, 10), date(2026, 8, 11)
        rows = rows_of(today, clock.now)
        assert rows
        assert max(row[COLUMNS.index("EventDate")] for row in rows) < "2026-08-10T12:00:00"
        assert len(rows) < len(rows_of(today, clock.now + timedelta(days=1)))
        assert rows_of(tomorrow, clock.now) == []

    def test_a_few_clicks_come_late_a_few_vanish_and_two_days_later_none(self) -> None:
        end = datetime(2026, 7, 31, 4, tzinfo=timezone.utc)
        early, settled, later = (
            rows_of(LARGE, end + wait)
            for wait in (timedelta(hours=6), timedelta(days=2), timedelta(days=400))
        )
        assert settled == later
        first, last = {row[0] for row in early}, {row[0] for row in settled}
        assert 0.005 < len(last - first) / len(last) < 0.03, "late"
        assert 0.005 < len(first - last) / len(last) < 0.03, "vanished"

    def test_one_id_in_forty_has_a_second_row(self) -> None:
        rows = rows_of(LARGE, LONG_AFTER)
        counts = Counter(row[0] for row in rows)
        assert set(counts.values()) == {1, 2}
        assert 1 / 60 < sum(count == 2 for count in counts.values()) / len(counts) < 1 / 30
        assert len(set(rows)) == len(rows)

    def test_the_rows_hold_the_traps_of_real_ones(self) -> None:
        rows = rows_of(LARGE, LONG_AFTER)
        columns = dict(zip(COLUMNS, map(set, zip(*rows, strict=True)), strict=True))
        assert {"Safari", "CHROME"} <= columns["Browser"]
        assert "iOS" in columns["Os"]
        assert "n/a" in columns["CustomerArea"]
        assert {"", "null", "007"} <= columns["SubId1"]
        assert columns["UniqueClick"] == {"true", "false"}
        assert all(re.fullmatch(r"[0-9a-f]{64}", value) for value in columns["IpAddress"])
        for value in columns["CpcBid"] | columns["Payout"]:
            assert re.fullmatch(r"(\d+\.\d{18})?", value)
        for value in columns["EventDate"]:
            assert re.fullmatch(r"2026-07-30T\d\d:\d\d:\d\d-04:00", value)
        texts = [value for values in columns.values() for value in values]
        assert all(any(mark in text for text in texts) for mark in (",", '"', "\n"))
        assert any("?" in value and "=" in value for value in columns["ReferringUrl"])
