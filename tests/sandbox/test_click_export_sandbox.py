"""ClickExport of the sandbox behaves as impact.com's is known to."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timezone
from xml.etree import ElementTree as ET

import pytest
from impact_client import JULY, Client, Clock

from tap_affiliate_reports.sandbox import Attribute, Report, Sandbox

DAY = {"Date": "2026-08-09"}


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
