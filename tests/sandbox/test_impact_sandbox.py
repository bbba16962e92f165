"""The sandbox behaves as impact.com is known to, over real sockets and on a clock of our own."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from email.utils import parsedate_to_datetime
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import requests
from impact_client import JULY, Client, Clock

from tap_affiliate_reports.sandbox import (
    IANA_ACCOUNT,
    Attribute,
    Report,
    Sandbox,
    body,
    close,
    cut,
    hang,
    html_login,
    reset,
    status,
)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sandbox(clock: Clock) -> Iterator[Sandbox]:
    """One account whose jobs take a minute, with one small report of our own."""
    with Sandbox(now=clock, job_seconds=60) as sandbox:
        sandbox.impact.add(
            Report(
                "sales",
                "Sales",
                columns=[Attribute("Id"), Attribute("Amount", "Decimal", "In dollars")],
                rows=lambda *_: [["007", "1.50"], ["8", ""]],
            )
        )
        yield sandbox


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[Client]:
    client = Client(sandbox)
    yield client
    client.session.close()


class TestPlumbing:
    def test_wrong_credentials_are_401_and_another_account_is_403(self, client: Client) -> None:
        assert client.get("/Jobs", auth=("IRsandbox", "guess")).status_code == 401
        assert client.get("/Mediapartners/IRother/Jobs").status_code == 403

    def test_an_endpoint_the_token_may_not_use_is_403_while_others_work(
        self, sandbox: Sandbox, client: Client
    ) -> None:
        sandbox.impact.forbidden = {"CompanyInformation", "JobList"}
        assert client.get("/CompanyInformation").status_code == 403
        assert client.get("/Jobs").status_code == 403
        assert client.get(f"/Jobs/{client.export()}").status_code == 200

    def test_a_path_no_service_has_is_404_and_kept(self, sandbox: Sandbox, client: Client) -> None:
        assert client.get("/Tickets").status_code == 404
        assert client.get("/Jobs/1/Replay").status_code == 404, "Replay is a PUT"
        assert [request.path for request in sandbox.unmatched] == [
            "/Mediapartners/IRsandbox/Tickets",
            "/Mediapartners/IRsandbox/Jobs/1/Replay",
        ]

    def test_answers_are_xml_unless_json_is_asked_for(self, client: Client) -> None:
        answer = client.get("/Reports", headers={"Accept": "*/*"})
        assert answer.headers["Content-Type"] == "application/xml"
        document = ET.fromstring(answer.content)
        assert document.get("numpages") == "3"
        assert document.findtext("Reports/Report/Id") == "mp_action_listing_fast"

    def test_every_answer_carries_the_date_of_the_sandbox_clock(
        self, client: Client, clock: Clock
    ) -> None:
        clock.forward(days=400)
        answer = client.get("/CompanyInformation")
        assert parsedate_to_datetime(answer.headers["Date"]) == clock.now

    def test_requests_are_logged_with_headers_query_and_status(
        self, sandbox: Sandbox, client: Client
    ) -> None:
        client.get("/Jobs?CreatedAfter=2026-01-01", headers={"IR-Version": "16"})
        (logged,) = sandbox.requests
        assert (logged.origin, logged.method, logged.status) == ("api", "GET", 200)
        assert logged.path == "/Mediapartners/IRsandbox/Jobs"
        assert logged.query == {"CreatedAfter": ["2026-01-01"]}
        assert logged.headers["ir-version"] == "16"

    def test_a_hook_sees_each_request_before_it_is_answered(
        self, sandbox: Sandbox, client: Client
    ) -> None:
        seen = []
        sandbox.on_request = lambda request: seen.append((request.path, request.status))
        client.get("/Jobs")
        assert seen == [("/Mediapartners/IRsandbox/Jobs", 200)]

    def test_company_information_has_a_label_that_follows_summer_time(
        self, sandbox: Sandbox, client: Client, clock: Clock
    ) -> None:
        label = client.get("/CompanyInformation").json()["Timezone"]
        assert label == "(GMT -04:00) Eastern Time (US & Canada)"
        clock.forward(days=120)
        label = client.get("/CompanyInformation").json()["Timezone"]
        assert label == "(GMT -05:00) Eastern Time (US & Canada)"

    def test_company_information_of_one_account_has_an_iana_name(self, clock: Clock) -> None:
        with Sandbox(now=clock, account_sid=IANA_ACCOUNT) as sandbox:
            answer = requests.get(
                f"{sandbox.url}/Mediapartners/{IANA_ACCOUNT}/CompanyInformation",
                auth=(IANA_ACCOUNT, sandbox.impact.auth_token),
                headers={"Accept": "application/json"},
                timeout=10,
            )
        assert answer.json()["Timezone"] == "America/New_York"

    @pytest.mark.parametrize("zone", ["America/Sao_Paulo", "Etc/GMT+5"])
    def test_a_zone_without_a_label_is_answered_by_its_name(self, clock: Clock, zone: str) -> None:
        with Sandbox(now=clock, timezone=zone) as sandbox:
            client = Client(sandbox)
            with client.session:
                assert client.get("/CompanyInformation").json()["Timezone"] == zone

    def test_company_information_has_another_text_or_none_on_request(
        self, sandbox: Sandbox, client: Client
    ) -> None:
        sandbox.impact.company_timezone = "Atlantis"
        assert client.get("/CompanyInformation").json()["Timezone"] == "Atlantis"
        sandbox.impact.company_timezone = None
        assert "Timezone" not in client.get("/CompanyInformation").json()

    def test_a_sandbox_that_was_stopped_can_be_started_again(
        self, sandbox: Sandbox, client: Client
    ) -> None:
        job = client.export()
        sandbox.stop()
        with pytest.raises(requests.ConnectionError):
            client.get("/Jobs")
        sandbox.start()
        assert client.job(job)["Id"] == job


class TestReports:
    def test_the_list_is_paged_by_relative_links_and_counts_in_text(self, client: Client) -> None:
        reports, path, pages = [], "/Reports", 0
        while path:
            envelope = client.get(path).json()
            reports += envelope["Reports"]
            path, pages = envelope["@nextpageuri"], pages + 1
        assert (envelope["@page"], envelope["@numpages"], pages) == ("3", "3", 3)
        assert int(envelope["@total"]) == len(reports) == 12

    def test_some_reports_lack_an_id_or_a_category_or_are_not_for_the_api(
        self, sandbox: Sandbox, client: Client
    ) -> None:
        sandbox.impact.reports_page_size = 100
        reports = client.get("/Reports").json()["Reports"]
        assert [r["Name"] for r in reports if "Id" not in r] == ["Partner Insights"]
        assert [r["Name"] for r in reports if "Category" not in r] == ["Partner Insights"]
        closed = [r for r in reports if not r["ApiAccessible"]]
        assert [r.get("Id") for r in closed] == [None, "mp_contract_overview"]
        assert all("RunUri" in r and "ApiRunUri" not in r for r in closed)
        for path in ("Reports/{}", "Reports/{}/MetaData", "ReportExport/{}"):
            assert client.get("/" + path.format("mp_contract_overview")).status_code == 404

    def test_metadata_lists_filters_and_attributes(self, client: Client) -> None:
        metadata = client.get("/Reports/sales/MetaData").json()
        assert metadata["Attributes"][1] == {
            "Name": "Amount",
            "DataType": "Decimal",
            "Description": "In dollars",
        }
        assert metadata["Filters"][0]["DataType"] == "Date (yyyy-MM-dd'T'HH:mm:ssZZ)"
        dateless = client.get("/Reports/tracking_value_list/MetaData").json()["Filters"]
        assert dateless
        assert not any("date" in (f["Name"] + f["DataType"]).lower() for f in dateless)

    def test_a_run_gives_records_of_text_in_pages(self, sandbox: Sandbox, client: Client) -> None:
        sandbox.impact.run_page_size = 1
        first = client.get("/Reports/sales", params=JULY).json()
        assert first["Records"] == [{"Id": "007", "Amount": "1.50"}]
        second = client.get(first["@nextpageuri"]).json()
        assert second["Records"] == [{"Id": "8", "Amount": ""}]
        assert second["@nextpageuri"] == ""
        sandbox.impact.run_offers_next_page = False
        assert "@nextpageuri" not in client.get("/Reports/sales", params=JULY).json()

    def test_bad_input_is_400_or_404_or_a_200_that_says_error(
        self, sandbox: Sandbox, client: Client
    ) -> None:
        bad_day = {"START_DATE": "July", "END_DATE": "2026-07-31"}
        answer = client.get("/ReportExport/sales", params=bad_day)
        assert answer.status_code == 400
        assert answer.json()["Errors"][0]["Field"] == "START_DATE"
        assert client.get("/ReportExport/nope", params=JULY).status_code == 404
        sandbox.impact.error_as_200 = True
        answer = client.get("/ReportExport/nope", params=JULY)
        assert (answer.status_code, answer.json()["Status"]) == (200, "ERROR")
        assert sandbox.impact.exports == []

    def test_rows_get_dates_program_and_filters_and_the_file_may_be_overridden(
        self, sandbox: Sandbox, client: Client
    ) -> None:
        asked: list[object] = []
        report = sandbox.impact.reports["sales"]
        report.rows = lambda *given: (asked.append(given), [])[1]
        report.header = ["id", "extra"]
        sandbox.impact.job_seconds = 0
        params = {**JULY, "SUBAID": "10211", "SUPERSTATUS_MS": ["APPROVED", "PENDING"]}
        job = client.export("sales", **params)
        assert client.get(client.link(job), auth=_anonymous).content == b"id,extra\r\n"
        filters = {"SUPERSTATUS_MS": ["APPROVED", "PENDING"]}
        assert asked == [(date(2026, 7, 1), date(2026, 7, 31), "10211", filters)]
        report.raw = lambda *_: b""
        report.records_processed = lambda _count: 3
        job = client.export("sales", **JULY)
        assert client.get(client.link(job), auth=_anonymous).content == b""
        assert client.job(job)["RecordsProcessed"] == "3"


class TestJobs:
    def test_a_job_is_queued_then_runs_then_is_complete(self, client: Client, clock: Clock) -> None:
        answer = client.get("/ReportExport/sales", params=JULY).json()
        assert answer["Status"] == "QUEUED"
        job_id = answer["QueuedUri"].rsplit("/", 1)[1]
        assert answer["ResultUri"] == f"/Mediapartners/IRsandbox/Jobs/{job_id}/Download"
        clock.forward(seconds=30)
        job = client.job(job_id)
        assert (job["Status"], job["PercentageComplete"]) == ("RUNNING", "50")
        assert job["CompletedDate"] == ""
        clock.forward(seconds=30)
        job = client.job(job_id)
        assert (job["Status"], job["PercentageComplete"]) == ("COMPLETED", "100")
        assert (job["RecordsProcessed"], job["Replayable"]) == ("2", "true")
        assert job["CreatedDate"] == "2026-08-10T12:00:00-04:00"
        assert job["CompletedDate"] == "2026-08-10T12:01:00-04:00"
        assert job["FailedDate"] == ""

    def test_the_file_is_the_data_of_the_moment_the_job_completes(
        self, sandbox: Sandbox, client: Client, clock: Clock
    ) -> None:
        window = {"START_DATE": "2026-07-01", "END_DATE": "2026-08-09"}
        sandbox.impact.job_seconds = 0
        table = client.table("mp_action_listing_fast", **window)
        clock.forward(days=1)
        assert client.table("mp_action_listing_fast", **window) == table
        job = client.export("mp_action_listing_fast", **window)
        client.put(f"/Jobs/{job}/Replay")
        assert client.table("mp_action_listing_fast", **window) != table

    def test_an_identical_request_gets_the_old_job_and_still_counts(
        self, sandbox: Sandbox, client: Client
    ) -> None:
        first = client.export(**JULY)
        assert client.export(**dict(reversed(JULY.items()))) == first
        assert client.export(**JULY, SUBAID="10211") != first
        assert [export.scheduled for export in sandbox.impact.exports] == [True, False, True]
        assert sandbox.impact.exports_today == 3

    def test_the_export_past_the_quota_is_429_until_the_next_day_of_the_account(
        self, sandbox: Sandbox, client: Client, clock: Clock
    ) -> None:
        sandbox.impact.exports_per_day = 2
        client.export()
        answer = client.get("/ReportExport/sales", params=JULY)
        assert answer.headers["X-RateLimit-Remaining-hour"] == "0"
        answer = client.get("/ReportExport/sales", params=JULY)
        assert answer.status_code == 429
        assert answer.headers["Retry-After"] == answer.headers["RateLimit-Reset"] == "43200"
        assert client.get("/Jobs").status_code == 200
        clock.forward(hours=12)
        client.export()
        assert sandbox.impact.exports_today == 1

    def test_hourly_limits_are_told_always_and_enforced_on_request(
        self, sandbox: Sandbox, client: Client, clock: Clock
    ) -> None:
        answer = client.get("/Jobs")
        assert answer.headers["X-RateLimit-Limit-hour"] == "1000"
        assert answer.headers["X-RateLimit-Remaining-hour"] == "999"
        sandbox.impact.limits.hourly["Run"] = 1
        sandbox.impact.limits.enforce_hourly = True
        clock.forward(minutes=59)
        assert client.get("/Reports/sales", params=JULY).status_code == 200
        answer = client.get("/Reports/sales", params=JULY)
        assert (answer.status_code, answer.headers["Retry-After"]) == (429, "60")

    def test_job_ids_are_never_those_of_an_earlier_sandbox(self, client: Client) -> None:
        job = client.export()
        with Sandbox() as other:
            stranger = Client(other)
            assert stranger.get(f"/Jobs/{job}").status_code == 404
            assert stranger.put(f"/Jobs/{job}/Replay").status_code == 404
            stranger.session.close()

    def test_a_replay_keeps_the_id_and_the_old_date_until_it_is_done(
        self, sandbox: Sandbox, client: Client, clock: Clock
    ) -> None:
        job = client.export()
        assert client.put(f"/Jobs/{job}/Replay").status_code == 403, "it still runs"
        clock.forward(hours=1)
        assert client.put(f"/Jobs/{job}/Replay").json()["Id"] == job
        told = client.job(job)
        assert (told["Status"], told["CompletedDate"]) == ("QUEUED", "2026-08-10T12:01:00-04:00")
        assert client.get(f"/Jobs/{job}/Download").status_code == 202
        clock.forward(minutes=1)
        assert client.job(job)["CompletedDate"] == "2026-08-10T13:01:00-04:00"
        assert (sandbox.impact.replays, sandbox.impact.jobs[job].replays) == (1, 1)
        assert sandbox.impact.exports_today == 1, "a replay is no export"

    def test_a_replay_may_name_a_new_job(
        self, sandbox: Sandbox, client: Client, clock: Clock
    ) -> None:
        sandbox.impact.replay_new_id = True
        job = client.export()
        clock.forward(hours=1)
        successor = client.put(f"/Jobs/{job}/Replay").json()["Id"]
        assert successor != job
        assert client.job(job)["Status"] == "COMPLETED"
        assert client.export() == successor

    def test_a_replay_may_be_refused(self, sandbox: Sandbox, client: Client, clock: Clock) -> None:
        job = client.export()
        clock.forward(hours=1)
        sandbox.impact.replay_forbidden = lambda _job: True
        assert client.put(f"/Jobs/{job}/Replay").status_code == 403
        sandbox.impact.replay_forbidden = False
        sandbox.impact.jobs[job].replayable = False
        assert client.put(f"/Jobs/{job}/Replay").status_code == 403
        assert client.put("/Jobs/unknown/Replay").status_code == 404

    def test_a_job_fails_as_scripted_and_a_replay_mends_it(
        self, sandbox: Sandbox, client: Client, clock: Clock
    ) -> None:
        sandbox.impact.fail_next("FAILED", "too much data", report="sales")
        other = client.export("12172", **JULY)
        job = client.export("sales", **JULY)
        clock.forward(minutes=2)
        told = client.job(job)
        assert (told["Status"], told["StatusMessage"]) == ("FAILED", "too much data")
        assert (told["CompletedDate"], told["FailedDate"]) == ("", "2026-08-10T12:01:00-04:00")
        assert client.get(f"/Jobs/{job}/Download").status_code == 404
        assert client.job(other)["Status"] == "COMPLETED"
        client.put(f"/Jobs/{job}/Replay")
        clock.forward(minutes=2)
        assert client.job(job)["Status"] == "COMPLETED"

    @pytest.mark.parametrize("heals_after", range(1, 6))
    def test_a_job_in_error_runs_again_every_15_minutes_until_it_heals(
        self, sandbox: Sandbox, client: Client, clock: Clock, heals_after: int
    ) -> None:
        sandbox.impact.fail_next("ERROR", "no memory", heals_after=heals_after)
        job = client.export()
        for number in range(heals_after):
            clock.forward(seconds=60)
            shown = client.job(job)
            assert (shown["Status"], shown["StatusMessage"]) == ("ERROR", "no memory"), number
            assert (shown["CompletedDate"], shown["RecordsProcessed"]) == ("", "0")
            assert shown["FailedDate"] != ""
            clock.forward(minutes=14, seconds=59)
            assert client.job(job)["Status"] == "ERROR"
            clock.forward(seconds=1)
            assert client.job(job)["Status"] == "QUEUED"
            clock.forward(seconds=6)
            assert client.job(job)["Status"] == "RUNNING"
            clock.forward(seconds=-6)
        clock.forward(seconds=60)
        shown = client.job(job)
        assert (shown["Status"], shown["StatusMessage"]) == ("COMPLETED", "")
        assert (shown["FailedDate"], shown["RecordsProcessed"]) == ("", "2")
        assert client.link(job)

    def test_a_job_in_error_fails_after_its_fifth_retry(
        self, sandbox: Sandbox, client: Client, clock: Clock
    ) -> None:
        sandbox.impact.fail_next("ERROR", "no memory", heals_after=None)
        job = client.export()
        clock.forward(minutes=5 * 16, seconds=59)
        assert client.job(job)["Status"] == "RUNNING"
        clock.forward(seconds=1)
        shown = client.job(job)
        assert (shown["Status"], shown["StatusMessage"]) == ("FAILED", "no memory")
        clock.forward(days=1)
        assert client.job(job)["Status"] == "FAILED"
        client.put(f"/Jobs/{job}/Replay")
        clock.forward(seconds=60)
        assert client.job(job)["Status"] == "COMPLETED"

    def test_a_job_in_error_can_not_be_replayed_or_downloaded(
        self, sandbox: Sandbox, client: Client, clock: Clock
    ) -> None:
        job = client.export()
        clock.forward(seconds=60)
        first = client.job(job)["CompletedDate"]
        sandbox.impact.fail_next("ERROR")
        client.put(f"/Jobs/{job}/Replay")
        clock.forward(seconds=60)
        assert client.put(f"/Jobs/{job}/Replay").status_code == 403
        assert client.get(f"/Jobs/{job}/Download").status_code == 202
        assert client.job(job)["CompletedDate"] == first
        answer = client.get("/ReportExport/sales", params=JULY).json()
        assert (answer["Status"], answer["QueuedUri"].rsplit("/", 1)[1]) == ("ERROR", job)
        assert sandbox.impact.replays == 1

    @pytest.mark.parametrize(
        ("word", "told"), [("STUCK", "RUNNING"), ("CANCELLED", "CANCELLED"), ("ODD", "ODD")]
    )
    def test_a_job_may_run_for_ever_or_end_in_any_word(
        self, sandbox: Sandbox, client: Client, clock: Clock, word: str, told: str
    ) -> None:
        sandbox.impact.fail_next(word)
        job = client.export()
        clock.forward(days=1)
        assert client.job(job)["Status"] == told

    def test_state_words_may_be_renamed(
        self, sandbox: Sandbox, client: Client, clock: Clock
    ) -> None:
        sandbox.impact.job_words = {"COMPLETED": "Done"}
        job = client.export()
        clock.forward(minutes=1)
        assert client.job(job)["Status"] == "Done"
        assert client.link(job)

    def test_a_result_is_kept_ninety_days(
        self, sandbox: Sandbox, client: Client, clock: Clock
    ) -> None:
        job = client.export()
        clock.forward(days=89)
        assert client.link(job)
        clock.forward(days=2)
        assert client.get(f"/Jobs/{job}").status_code == 404
        assert client.get(f"/Jobs/{job}/Download").status_code == 410
        assert client.put(f"/Jobs/{job}/Replay").status_code == 404
        assert client.get("/Jobs").json() == {"Jobs": []}
        assert client.export() != job

    def test_jobs_are_listed_newest_first_whole_paged_or_bare(
        self, sandbox: Sandbox, client: Client, clock: Clock
    ) -> None:
        old = client.export()
        clock.forward(days=1)
        new = client.export("12172", **JULY)
        assert [job["Id"] for job in client.get("/Jobs").json()["Jobs"]] == [new, old]
        after = client.get("/Jobs?CreatedAfter=2026-08-11").json()["Jobs"]
        before = client.get("/Jobs?CreatedBefore=2026-08-11").json()["Jobs"]
        assert ([job["Id"] for job in after], [job["Id"] for job in before]) == ([new], [old])
        sandbox.impact.jobs_paged = 1
        envelope = client.get("/Jobs").json()
        assert client.get(envelope["@nextpageuri"]).json()["Jobs"][0]["Id"] == old
        sandbox.impact.bare_jobs_array = True
        assert [job["Id"] for job in client.get("/Jobs").json()] == [new, old]


def _anonymous(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


class TestDownload:
    @pytest.fixture
    def job(self, client: Client, clock: Clock) -> str:
        job = client.export()
        clock.forward(minutes=2)
        return job

    def test_a_download_goes_to_another_origin_that_refuses_credentials(
        self, sandbox: Sandbox, client: Client, job: str
    ) -> None:
        link = client.link(job)
        assert link.startswith(f"{sandbox.storage_url}/storage/")
        assert sandbox.storage_url != sandbox.url
        assert client.get(link).status_code == 400
        answer = client.get(link, auth=_anonymous)
        assert answer.content == b"Id,Amount\r\n007,1.50\r\n8,\r\n"
        assert [request.origin for request in sandbox.requests[-2:]] == ["storage", "storage"]
        assert sandbox.impact.downloads == 1

    def test_a_link_expires_and_can_not_be_forged(
        self, client: Client, clock: Clock, job: str
    ) -> None:
        link = client.link(job)
        forged = re.sub(r"Expires=\d+", "Expires=99999999999", link)
        assert b"SignatureDoesNotMatch" in client.get(forged, auth=_anonymous).content
        clock.forward(seconds=59)
        assert client.get(link, auth=_anonymous).status_code == 200
        clock.forward(seconds=1)
        answer = client.get(link, auth=_anonymous)
        assert (answer.status_code, b"expired" in answer.content) == (403, True)
        assert client.get(client.link(job), auth=_anonymous).status_code == 200

    def test_the_bytes_come_at_once_when_streamed(
        self, sandbox: Sandbox, client: Client, job: str
    ) -> None:
        asked = client.get(f"/Jobs/{job}/Download?Mode=Stream", allow_redirects=False)
        sandbox.impact.download_mode = "stream"
        always = client.get(f"/Jobs/{job}/Download", allow_redirects=False)
        assert asked.content == always.content == b"Id,Amount\r\n007,1.50\r\n8,\r\n"

    def test_a_job_that_is_not_done_is_told_with_202(self, client: Client) -> None:
        job = client.export("12172", **JULY)
        answer = client.get(f"/Jobs/{job}/Download", allow_redirects=False)
        assert (answer.status_code, answer.json()["Status"]) == (202, "QUEUED")

    def test_a_file_is_made_once_however_often_it_is_asked_for(
        self, sandbox: Sandbox, client: Client, clock: Clock
    ) -> None:
        made = []
        sandbox.impact.reports["sales"].rows = lambda *_: made.append(1) or [["1", "2"]]
        job = client.export("sales", **JULY)
        clock.forward(minutes=2)
        for _ in range(3):
            client.job(job)
            client.link(job)
        assert made == [1]

    @pytest.mark.parametrize("mode", ["redirect", "stream"])
    def test_a_large_file_is_sent_from_disk(
        self, sandbox: Sandbox, client: Client, clock: Clock, tmp_path: Path, mode: str
    ) -> None:
        stored = tmp_path / "sales.csv"
        stored.write_bytes(b"Id,Amount\r\n" + b"1,2\r\n" * 100_000)
        empty = tmp_path / "empty.csv"
        empty.touch()
        files = iter([stored, empty])
        sandbox.impact.reports["sales"].raw = lambda *_: next(files)
        sandbox.impact.download_mode = mode
        for path, day in ((stored, "2026-07-01"), (empty, "2026-07-02")):
            job = client.export("sales", START_DATE=day)
            clock.forward(minutes=2)
            for _ in range(2):
                answer = client.get(f"/Jobs/{job}/Download")
                assert answer.content == path.read_bytes()
                assert answer.headers["Content-Length"] == str(path.stat().st_size)
                assert "sales.csv" in answer.headers["Content-Disposition"]

    def test_a_file_may_be_json(self, sandbox: Sandbox, client: Client) -> None:
        sandbox.impact.job_seconds = 0
        job = client.export("sales", **JULY, ResultFormat="JSON")
        records = client.get(client.link(job), auth=_anonymous).json()["Records"]
        assert records == [{"Id": "007", "Amount": "1.50"}, {"Id": "8", "Amount": ""}]


class TestFaults:
    def test_faults_play_in_order_and_then_the_service_answers(
        self, sandbox: Sandbox, client: Client
    ) -> None:
        sandbox.faults.add("GET .*/Jobs$", status(503, {"Retry-After": "7"}), times=2)
        sandbox.faults.add("GET .*/Jobs$", html_login())
        answers = [client.get("/Jobs") for _ in range(4)]
        assert [answer.status_code for answer in answers] == [503, 503, 200, 200]
        assert answers[0].headers["Retry-After"] == "7"
        assert answers[2].headers["Content-Type"].startswith("text/html")
        assert answers[3].json() == {"Jobs": []}

    def test_a_fault_may_spare_the_first_requests_and_match_a_query(
        self, sandbox: Sandbox, client: Client
    ) -> None:
        fault = sandbox.faults.add("START_DATE=2026-07", status(500), times=None, after=1)
        codes = [client.get("/Reports/sales", params=JULY).status_code for _ in range(3)]
        assert (codes, fault.hits) == ([200, 500, 500], 2)
        sandbox.faults.clear()
        assert client.get("/Reports/sales", params=JULY).status_code == 200

    @pytest.mark.parametrize("broken", [reset, close])
    def test_a_connection_may_end_without_an_answer(
        self, sandbox: Sandbox, client: Client, broken: object
    ) -> None:
        sandbox.faults.add("ReportExport", broken(handled=True))
        with pytest.raises(requests.ConnectionError):
            client.get("/ReportExport/sales", params=JULY)
        assert sandbox.requests[-1].status == 0
        assert len(sandbox.impact.exports) == 1, "the request was handled all the same"
        assert client.get("/Jobs").status_code == 200

    def test_a_body_may_be_cut_with_and_without_a_sign_of_it(
        self, sandbox: Sandbox, client: Client
    ) -> None:
        sandbox.impact.job_seconds = 0
        link = client.link(client.export())
        whole = client.get(link, auth=_anonymous).content
        for action in (cut(0.5), cut(0.5, chunked=True)):
            sandbox.faults.add("GET /storage/", action)
            with pytest.raises(
                (requests.ConnectionError, requests.exceptions.ChunkedEncodingError)
            ):
                client.get(link, auth=_anonymous)
        sandbox.faults.add("GET /storage/", cut(0.5, content_length=False))
        assert client.get(link, auth=_anonymous).content == whole[: len(whole) // 2]
        sandbox.faults.add("GET /storage/", body(b"other"))
        assert client.get(link, auth=_anonymous).content == b"other"

    def test_a_request_may_hang_until_the_test_lets_it_go(
        self, sandbox: Sandbox, client: Client
    ) -> None:
        release = threading.Event()
        sandbox.faults.add("GET .*/Jobs$", hang(release))
        with pytest.raises(requests.ReadTimeout):
            client.get("/Jobs", timeout=0.05)
        assert client.get("/CompanyInformation").status_code == 200
        release.set()


class TestInventedAccount:
    @pytest.fixture(autouse=True)
    def _at_once(self, sandbox: Sandbox) -> None:
        sandbox.impact.job_seconds = 0

    def test_a_day_is_the_same_in_every_sandbox(self, client: Client, clock: Clock) -> None:
        window = {"START_DATE": "2026-07-03", "END_DATE": "2026-07-03"}
        table = client.table("mp_action_listing_fast", **window)
        with Sandbox(now=clock, job_seconds=0) as other:
            stranger = Client(other)
            assert stranger.table("mp_action_listing_fast", **window) == table
            stranger.session.close()

    def test_actions_change_until_they_lock_and_never_after(
        self, client: Client, clock: Clock
    ) -> None:
        window = {"START_DATE": "2026-07-15", "END_DATE": "2026-08-09"}

        def look() -> dict[str, dict[str, str]]:
            job = client.export("mp_action_listing_fast", **window)
            client.put(f"/Jobs/{job}/Replay")
            rows = client.table("mp_action_listing_fast", **window)
            assert len({row["Action_Id"] for row in rows}) == len(rows)
            return {row["Action_Id"]: row for row in rows}

        early = look()
        clock.forward(days=61)
        locked = look()
        clock.forward(days=25)
        assert look() == locked
        assert {row["Status"] for row in early.values()} == {"PENDING", "APPROVED", "REVERSED"}
        assert {row["Status"] for row in locked.values()} == {"APPROVED", "REVERSED"}
        assert early.keys() - locked.keys(), "some vanish"
        assert locked.keys() - early.keys(), "some come late"
        assert any(
            Decimal(early[key]["Payout"]) != Decimal(row["Payout"]) > 0
            for key, row in locked.items()
            if key in early
        ), "some are corrected"

    def test_every_action_of_a_window_lies_within_its_days(self, client: Client) -> None:
        rows = client.table("mp_action_listing_fast", **JULY)
        assert {row["Event_Date"][:7] for row in rows} == {"2026-07"}
        assert {row["Event_Date"][:10] for row in rows} >= {"2026-07-01", "2026-07-31"}
        assert all(re.fullmatch(r"\d+\.\d{18}", row["Payout"]) for row in rows)
        assert any("\n" in row["Note"] for row in rows)
        assert any(row["Note"] == "NA" for row in rows)

    def test_today_holds_what_has_happened_and_tomorrow_nothing(self, client: Client) -> None:
        today = {"START_DATE": "2026-08-10", "END_DATE": "2026-08-12"}
        rows = client.table("mp_action_listing_fast", **today)
        assert 0 < len(rows) < 40
        assert max(row["Event_Date"] for row in rows) < "2026-08-10T12:00:00"

    def test_a_program_and_a_status_narrow_the_listing_and_unknown_filters_do_nothing(
        self, client: Client
    ) -> None:
        everything = client.table("mp_action_listing_fast", **JULY)
        assert client.table("mp_action_listing_fast", **JULY, Nonsense="1") == everything
        one = client.table("mp_action_listing_fast", **JULY, SUBAID="10487")
        assert one == [row for row in everything if row["Campaign_Id"] == "10487"]
        statuses = ["APPROVED", "REVERSED"]
        some = client.table("mp_action_listing_fast", **JULY, SUPERSTATUS_MS=statuses)
        assert some == [row for row in everything if row["Status"] in statuses]

    def test_a_report_without_dates_is_the_same_whatever_dates_are_asked_for(
        self, client: Client
    ) -> None:
        june = {"START_DATE": "2026-06-01", "END_DATE": "2026-06-30"}
        table = client.table("tracking_value_list", **JULY)
        assert table
        assert client.table("tracking_value_list", **june) == table

    def test_the_reports_hold_the_traps_of_real_ones(self, client: Client) -> None:
        assert client.table("partner_funds_transfer_listing", **JULY) == []
        by_day = client.table("partner_performance_by_day", **JULY)
        assert by_day[0]["date_display"] == "Jul 1, 2026"
        custom = client.table("12172", **JULY)
        assert {"Clicks", "clicks", "Sale_zzzAmount", "sale_zzzamount"} <= custom[0].keys()
        skus = client.table("mp_action_listing_sku", **JULY)
        assert {"0815", "1E5"} <= {row["Sku"] for row in skus}
        odd = client.table("mp_account_audit_log", **JULY)
        assert any(int(row["Checksum"]) >= 2**63 for row in odd)
        assert any(row["Score"] == "n/a" for row in odd)
        assert all(row["Units"].endswith(".000") for row in odd)

    def test_totals_agree_with_the_listing(self, client: Client) -> None:
        rows = client.table("mp_action_listing_fast", **JULY)
        programs = client.table("partner_performance_by_program", **JULY)
        assert sum(int(row["Actions"]) for row in programs) == len(rows)
        assert sum(Decimal(row["Total_Payout"]) for row in programs) == sum(
            Decimal(row["Payout"]) for row in rows
        )
