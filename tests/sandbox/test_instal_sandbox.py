"""The sandbox behaves as Instal.com is known to, over real sockets and on a clock of our own."""

from __future__ import annotations

import csv
import io
import re
import uuid
from collections.abc import Iterator
from datetime import date
from decimal import Decimal

import pytest
import requests
from harness import FakeClock

from tap_affiliate_reports.sandbox import Sandbox, status

OCTOBER = {"start_date": "2026-10-01", "stop_date": "2026-10-31"}
DAY = date(2026, 10, 5)
COLUMNS = [
    "aff_sub_id",
    "time",
    "clicks_aggr",
    "campaign",
    "country",
    "creative_id",
    "app_id",
    "campaign_id",
    "cost_aggr",
    "cr",
    "conversions_aggr",
    "name_os",
    "version_os",
    "lang",
    "publisher_id",
]


class Client:
    """Plain requests with the token a tap would send."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.session = requests.Session()
        self.session.headers["Authorization"] = "Token sandbox-token"

    def post(self, **body: object) -> requests.Response:
        url = self.sandbox.base_url("instal")
        return self.session.post(url, json=body or OCTOBER, timeout=10)

    def queue(self, **body: object) -> str:
        answer = self.post(**body)
        assert answer.status_code == 200, answer.text
        assert answer.json()["result"] == "QUEUED"
        return str(answer.json()["task_id"])

    def poll(self, task: str) -> tuple[str, str | None]:
        answer = self.session.get(f"{self.sandbox.base_url('instal')}{task}", timeout=10)
        assert answer.status_code == 200, answer.text
        assert answer.json().keys() == {"state", "result"}
        return answer.json()["state"], answer.json()["result"]

    def text(self, **body: object) -> str:
        """The file of an export of a service whose tasks take no time."""
        state, link = self.poll(self.queue(**body))
        assert state == "SUCCESS"
        return fetch(str(link)).decode()

    def table(self, **body: object) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(self.text(**body))))


def fetch(link: str) -> bytes:
    answer = requests.get(link, timeout=10)
    assert answer.status_code == 200, answer.text
    return answer.content


@pytest.fixture
def sandbox(clock: FakeClock) -> Iterator[Sandbox]:
    """One advertiser whose tasks take a minute."""
    with Sandbox(now=clock.now, job_seconds=60) as sandbox:
        yield sandbox


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[Client]:
    client = Client(sandbox)
    yield client
    client.session.close()


class TestRequests:
    @pytest.mark.parametrize("header", [None, "sandbox-token", "Bearer sandbox-token", "Token x"])
    def test_a_wrong_or_missing_token_is_401(
        self, sandbox: Sandbox, client: Client, header: str | None
    ) -> None:
        client.session.headers["Authorization"] = header
        answer = client.post()
        assert (answer.status_code, answer.json().keys()) == (401, {"detail"})
        url = f"{sandbox.base_url('instal')}some-task"
        assert client.session.get(url, timeout=10).status_code == 401

    def test_without_the_slash_at_the_end_there_is_no_such_path(
        self, sandbox: Sandbox, client: Client
    ) -> None:
        url = sandbox.base_url("instal").rstrip("/")
        assert client.session.post(url, json=OCTOBER, timeout=10).status_code == 404
        assert [request.path for request in sandbox.unmatched] == [
            "/advertiser/api/v1/reports/exports"
        ]

    @pytest.mark.parametrize(
        "wrong",
        [
            {"start_date": None},
            {"start_date": "yesterday"},
            {"stop_date": "2026-09-30"},
            {"interval": "weekly"},
            {"sorting": "colour"},
            {"format": "xlsx"},
            {"csv_headers": "yes"},
        ],
    )
    def test_bad_input_is_400_or_a_200_that_says_error(
        self, sandbox: Sandbox, client: Client, wrong: dict[str, object]
    ) -> None:
        answer = client.post(**{**OCTOBER, **wrong})
        assert (answer.status_code, answer.json()["result"]) == (400, "ERROR")
        sandbox.instal.error_as_200 = True
        answer = client.post(**{**OCTOBER, **wrong})
        assert (answer.status_code, answer.json()["result"]) == (200, "ERROR")
        assert answer.json()["task_id"] is None
        assert sandbox.instal.tasks == {}


class TestTasks:
    def test_a_task_is_pending_until_its_time_has_come(
        self, sandbox: Sandbox, client: Client, clock: FakeClock
    ) -> None:
        task = client.queue()
        assert str(uuid.UUID(task)) == task
        clock.advance(seconds=59)
        assert client.poll(task) == ("PENDING", None)
        clock.advance(seconds=1)
        state, link = client.poll(task)
        assert (state, sandbox.instal.polls) == ("SUCCESS", 2)
        assert str(link).startswith(f"{sandbox.storage_url}/storage/")

    def test_the_same_request_is_a_new_task_each_time(self, client: Client) -> None:
        assert client.queue() != client.queue()

    def test_an_unknown_task_is_pending_for_ever(self, client: Client, clock: FakeClock) -> None:
        for _ in range(2):
            assert client.poll(str(uuid.uuid4())) == ("PENDING", None)
            clock.advance(days=30)

    @pytest.mark.parametrize("word", ["FAILURE", "REVOKED", "STARTED", "RETRY", "PENDING", "ODD"])
    def test_a_task_may_end_in_any_word(
        self, sandbox: Sandbox, client: Client, clock: FakeClock, word: str
    ) -> None:
        sandbox.instal.end_next(word, result="a reason")
        task = client.queue()
        assert client.poll(task) == ("PENDING", None)
        clock.advance(minutes=1)
        assert client.poll(task) == (word, "a reason")
        assert client.session.get(f"{_api(sandbox)}{task}/file", timeout=10).status_code == 404
        other = client.queue()
        clock.advance(minutes=1)
        assert client.poll(other)[0] == "SUCCESS"

    def test_a_running_task_may_be_told_in_another_word(
        self, sandbox: Sandbox, client: Client, clock: FakeClock
    ) -> None:
        sandbox.instal.running = "STARTED"
        task = client.queue()
        assert client.poll(task) == ("STARTED", None)
        clock.advance(minutes=1)
        assert client.poll(task)[0] == "SUCCESS"

    def test_each_task_may_take_its_own_time(
        self, sandbox: Sandbox, client: Client, clock: FakeClock
    ) -> None:
        sandbox.instal.job_seconds = lambda task: 5 if task.query.start.month == 9 else 50
        slow = client.queue()
        quick = client.queue(start_date="2026-09-01", stop_date="2026-09-30")
        clock.advance(seconds=5)
        assert [client.poll(task)[0] for task in (slow, quick)] == ["PENDING", "SUCCESS"]


def _api(sandbox: Sandbox) -> str:
    return sandbox.base_url("instal")


class TestDownload:
    @pytest.fixture
    def task(self, client: Client, clock: FakeClock) -> str:
        task = client.queue()
        clock.advance(minutes=1)
        return task

    def test_a_link_is_fresh_each_time_expires_and_takes_no_token(
        self, client: Client, clock: FakeClock, task: str
    ) -> None:
        links = [str(client.poll(task)[1]) for _ in range(2)]
        assert links[0] != links[1]
        assert client.session.get(links[0], timeout=10).status_code == 400
        assert fetch(links[0]) == fetch(links[1])
        clock.advance(minutes=1)
        assert requests.get(links[0], timeout=10).status_code == 403
        assert fetch(str(client.poll(task)[1]))

    def test_a_link_may_be_one_of_the_api_that_needs_the_token(
        self, sandbox: Sandbox, client: Client, task: str
    ) -> None:
        stored = fetch(str(client.poll(task)[1]))
        sandbox.instal.links_on_api = True
        link = str(client.poll(task)[1])
        assert link == f"{_api(sandbox)}{task}/file"
        assert requests.get(link, timeout=10).status_code == 401
        assert client.session.get(link, timeout=10).content == stored

    def test_the_file_is_the_data_of_the_moment_the_task_completes(
        self, sandbox: Sandbox, client: Client, clock: FakeClock
    ) -> None:
        days = {"start_date": "2026-11-17", "stop_date": "2026-11-18"}
        task = client.queue(**days)
        clock.advance(days=3)
        sandbox.instal.job_seconds = 0
        old = fetch(str(client.poll(task)[1])).decode()
        assert old != client.text(**days)
        clock.advance(days=1)
        assert fetch(str(client.poll(task)[1])).decode() == old

    def test_the_file_may_have_no_header_and_other_columns_or_be_any_bytes(
        self, sandbox: Sandbox, client: Client
    ) -> None:
        instal = sandbox.instal
        instal.job_seconds = 0
        row = {"campaign": "A", "clicks_aggr": "3", "extra": "x"}
        instal.set_rows(DAY, [row])
        day = {"start_date": "2026-10-05", "stop_date": "2026-10-05"}
        instal.columns = ["campaign", "time", "extra"]
        line = "A,2026-10-05 00:00,x\n"
        assert client.text(**day) == f"campaign,time,extra\n{line}"
        assert client.text(**day, csv_headers=False) == line
        instal.header = ["Campaign", "", "time"]
        assert client.text(**day) == f"Campaign,,time\n{line}"
        instal.csv_header = False
        assert client.text(**day) == line
        instal.raw = lambda task: str(task.query.interval).encode()
        assert client.text(**day) == "daily"


class TestRows:
    @pytest.fixture(autouse=True)
    def _at_once(self, sandbox: Sandbox) -> None:
        sandbox.instal.job_seconds = 0

    def test_the_columns_are_the_documented_ones(self, client: Client) -> None:
        rows = client.table()
        assert list(rows[0]) == COLUMNS
        assert all(re.fullmatch(r"2026-10-\d\d 00:00", row["time"]) for row in rows)
        assert {row["time"][8:10] for row in rows} == {f"{day:02}" for day in range(1, 32)}
        assert "4.4.2" in {row["version_os"] for row in rows}
        for row in rows:
            share = Decimal(row["conversions_aggr"]) / Decimal(row["clicks_aggr"])
            assert abs(Decimal(row["cr"]) - share) < Decimal("0.000001")
            assert "." in row["cost_aggr"]

    def test_the_file_holds_the_rows_told_to_tests(self, sandbox: Sandbox, client: Client) -> None:
        told = sandbox.instal.rows(date(2026, 10, 1), date(2026, 10, 31))
        found = client.table()
        assert sorted(found, key=str) == sorted(told, key=str)
        assert found == sorted(found, key=lambda row: row["campaign_id"])
        found = client.table(**OCTOBER, sorting="time")
        assert found == sorted(found, key=lambda row: row["time"])

    def test_every_interval_has_the_same_totals(self, client: Client) -> None:
        tables = {i: client.table(**OCTOBER, interval=i) for i in ("hourly", "daily", "monthly")}
        totals = [sum(int(row["clicks_aggr"]) for row in rows) for rows in tables.values()]
        assert len(set(totals)) == 1
        assert {row["time"] for row in tables["monthly"]} == {"2026-10-01 00:00"}
        assert len({row["time"][11:] for row in tables["hourly"]}) == 24

    def test_a_day_changes_for_two_weeks_and_never_after(
        self, client: Client, clock: FakeClock
    ) -> None:
        day = {"start_date": "2026-11-10", "stop_date": "2026-11-18"}
        early = client.text(**day)
        clock.advance(hours=20)
        later = client.text(**day)
        assert later != early
        clock.advance(days=29)
        settled = client.text(**day)
        clock.advance(days=30)
        assert early != settled == client.text(**day)

    def test_today_holds_the_hours_that_are_over_and_tomorrow_nothing(self, client: Client) -> None:
        day = {"start_date": "2026-11-19", "stop_date": "2026-11-21"}
        times = {row["time"] for row in client.table(**day, interval="hourly")}
        assert times
        assert max(times) <= "2026-11-19 14:00"

    def test_the_rows_of_a_day_may_be_set_and_given_back(self, sandbox: Sandbox) -> None:
        instal = sandbox.instal
        before = instal.rows(date(2026, 10, 4), date(2026, 10, 6))
        instal.set_rows(DAY, [{"campaign": "A"}, {"campaign": "A"}])
        rows = instal.rows(date(2026, 10, 4), date(2026, 10, 6))
        assert [row for row in rows if row["time"] == "2026-10-05 00:00"] == [
            dict.fromkeys(COLUMNS, "") | {"time": "2026-10-05 00:00", "campaign": "A"}
        ] * 2
        assert {row["time"][:10] for row in rows} == {"2026-10-04", "2026-10-05", "2026-10-06"}
        instal.set_rows(DAY, [])
        assert instal.rows(DAY, DAY) == []
        instal.set_rows(DAY, None)
        assert instal.rows(date(2026, 10, 4), date(2026, 10, 6)) == before

    def test_a_day_is_the_same_in_every_sandbox(self, sandbox: Sandbox, clock: FakeClock) -> None:
        other = Sandbox(now=clock.now)
        assert other.instal.rows(DAY, DAY) == sandbox.instal.rows(DAY, DAY) != []


class TestFaults:
    def test_each_step_can_be_faulted_by_its_name(self, sandbox: Sandbox, client: Client) -> None:
        sandbox.instal.job_seconds = 0
        sandbox.instal.links_on_api = True
        for step in ("instal post", "instal poll", "instal file"):
            sandbox.faults.add(step, status(503))
        assert client.post().status_code == 503
        url = f"{_api(sandbox)}{client.queue()}"
        assert [client.session.get(url, timeout=10).status_code for _ in range(2)] == [503, 200]
        file = f"{url}/file"
        assert [client.session.get(file, timeout=10).status_code for _ in range(2)] == [503, 200]
        assert [fault.hits for fault in sandbox.faults.script] == [1, 1, 1]

    def test_a_task_may_be_queued_and_its_answer_lost(
        self, sandbox: Sandbox, client: Client
    ) -> None:
        sandbox.faults.add("instal post", status(502, handled=True))
        assert client.post().status_code == 502
        assert len(sandbox.instal.tasks) == 1


def test_services_share_the_clock_and_the_seconds_of_a_job(clock: FakeClock) -> None:
    sandbox = Sandbox(now=clock.now, job_seconds=7)
    assert sandbox.impact.job_seconds == sandbox.hienergy.job_seconds == 7
    assert sandbox.instal.job_seconds == 7
    told_of_each = Sandbox(now=clock.now, job_seconds=lambda _job: 7)
    assert told_of_each.hienergy.job_seconds == told_of_each.instal.job_seconds == 0.2
