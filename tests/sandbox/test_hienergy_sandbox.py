"""The sandbox behaves as Hi Energy AI is known to, over real sockets and on a clock of our own."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import openpyxl
import pytest
import requests
from harness import FakeClock

from tap_affiliate_reports.sandbox import Sandbox, html_login, status

TYPES = ["advertisers_csv", "deals_excel", "hot_advertisers_excel", "clicks_details_excel"]
HEADER = ["Id", "Amount"]
ROWS = [["007", Decimal("1.50")], ["8", None]]


class Client:
    """Plain requests with the key a tap would send."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.session = requests.Session()
        self.session.headers["X-Api-Key"] = "sandbox-key"

    def get(self, path: str, **options: Any) -> requests.Response:
        url = f"{self.sandbox.base_url('hienergy')}{path}"
        return self.session.get(url, **{"timeout": 10, **options})

    def list(self, limit: int | None = None) -> list[dict[str, Any]]:
        query = "" if limit is None else f"?limit={limit}"
        return list(self.get(f"/exports{query}").json()["exports"])

    def read(self, export_id: int) -> dict[str, Any]:
        answer = self.get(f"/exports/{export_id}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json()["export"])

    def post(self, report_type: str = "deals_excel", **params: object) -> requests.Response:
        url = f"{self.sandbox.base_url('hienergy')}/exports"
        body = {"report_type": report_type, "search_params": params}
        return self.session.post(url, json=body, timeout=10)

    def create(self, report_type: str = "deals_excel", **params: object) -> dict[str, Any]:
        answer = self.post(report_type, **params)
        assert answer.status_code == 201, answer.text
        return dict(answer.json()["export"])


def fetch(link: str) -> bytes:
    answer = requests.get(link, timeout=10)
    assert answer.status_code == 200, answer.text
    return answer.content


def workbook(content: bytes) -> list[list[Any]]:
    book = openpyxl.load_workbook(io.BytesIO(content))
    return [list(row) for row in book.worksheets[0].iter_rows(values_only=True)]


@pytest.fixture
def sandbox(clock: FakeClock) -> Iterator[Sandbox]:
    """One account whose exports take a minute, with none there at the start."""
    with Sandbox(now=clock.now, job_seconds=60) as sandbox:
        sandbox.hienergy.clear()
        yield sandbox


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[Client]:
    client = Client(sandbox)
    yield client
    client.session.close()


class TestRequests:
    def test_a_wrong_or_missing_key_is_401_in_the_shape_of_all_errors(self, client: Client) -> None:
        for key in (None, "guess"):
            answer = client.get("/exports", headers={"X-Api-Key": key})
            assert answer.status_code == 401
            assert answer.json().keys() == {"error"}
            assert answer.json()["error"].keys() == {"code", "message", "request_id"}

    @pytest.mark.parametrize("path", ["/exports/12", "/exports/latest"])
    def test_an_unknown_export_is_404(self, client: Client, path: str) -> None:
        answer = client.get(path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")

    @pytest.mark.parametrize("limit", ["0", "-1", "many"])
    def test_a_bad_limit_is_422(self, client: Client, limit: str) -> None:
        assert client.get(f"/exports?limit={limit}").status_code == 422

    def test_a_bad_type_is_422_and_makes_nothing(self, sandbox: Sandbox, client: Client) -> None:
        for bad in ("pivot_excel", ["deals_excel"], None):
            assert client.post(bad).status_code == 422
        assert sandbox.hienergy.exports == {}

    def test_every_answer_tells_the_rate_limit_which_is_kept_on_request(
        self, sandbox: Sandbox, client: Client, clock: FakeClock
    ) -> None:
        sandbox.hienergy.hourly_limit = 2
        headers = [client.get(path).headers for path in ("/exports", "/exports/1", "/exports")]
        assert [h["X-RateLimit-Remaining"] for h in headers] == ["1", "0", "0"]
        assert (headers[0]["X-RateLimit-Limit"], headers[0]["X-RateLimit-Reset"]) == ("2", "3600")
        sandbox.hienergy.enforce_limit = True
        answer = client.get("/exports")
        assert (answer.status_code, answer.json()["error"]["code"]) == (429, "rate_limited")
        clock.advance(hours=1)
        assert client.get("/exports").status_code == 200


class TestList:
    def test_the_newest_come_first_up_to_the_limit(
        self, sandbox: Sandbox, client: Client, clock: FakeClock
    ) -> None:
        ago = [clock.now() - timedelta(days=days) for days in (3, 1, 2)]
        ids = [sandbox.hienergy.add("deals_excel", completed_at=moment).id for moment in ago]
        answer = client.get("/exports?limit=2").json()
        assert [export["id"] for export in answer["exports"]] == [ids[1], ids[2]]
        assert answer["meta"] == {"count": 2, "limit": 2}
        assert client.get("/exports").json()["meta"] == {"count": 3, "limit": 50}

    def test_the_service_may_cap_the_limit_and_tells_so(
        self, sandbox: Sandbox, client: Client
    ) -> None:
        sandbox.hienergy.max_limit = 2
        for _ in range(3):
            sandbox.hienergy.add("deals_excel")
        assert client.get("/exports?limit=500").json()["meta"] == {"count": 2, "limit": 2}

    def test_every_documented_field_is_told(
        self, sandbox: Sandbox, client: Client, clock: FakeClock
    ) -> None:
        export = sandbox.hienergy.add("deals_excel", HEADER, ROWS, search_params={"q": "a"})
        (told,) = client.list()
        assert told.pop("download_url").startswith(f"{sandbox.storage_url}/storage/")
        assert told == {
            "id": export.id,
            "report_type": "deals_excel",
            "display_name": "Deals Excel",
            "status": "completed",
            "status_display": "Completed",
            "parameters": {"search_params": {"q": "a"}, "index_params": {}},
            "filename": f"deals_excel_{export.id}.xlsx",
            "download_expires_in_seconds": 900,
            "error_message": None,
            "progress": None,
            "parent_report_id": None,
            "chunked_export": False,
            "created_at": "2026-11-19T14:59:00.000Z",
            "updated_at": "2026-11-19T15:00:00.000Z",
            "started_at": "2026-11-19T14:59:06.000Z",
            "completed_at": "2026-11-19T15:00:00.000Z",
            "status_url": f"{sandbox.base_url('hienergy')}/exports/{export.id}",
        }

    def test_an_export_may_be_changed_and_forgotten(
        self, sandbox: Sandbox, client: Client, clock: FakeClock
    ) -> None:
        export = sandbox.hienergy.add("advertisers_csv", HEADER, ROWS)
        old = client.read(export.id)
        clock.advance(hours=2)
        sandbox.hienergy.update(export, rows=[["9", 2]], shown={"filename": None})
        new = client.read(export.id)
        assert (new["completed_at"], new["filename"]) == (old["completed_at"], None)
        assert new["updated_at"] == "2026-11-19T17:00:00.000Z"
        assert fetch(new["download_url"]) == b"Id,Amount\n9,2\n"
        sandbox.hienergy.forget(export)
        assert client.list() == []
        assert client.get(f"/exports/{export.id}").status_code == 404

    def test_an_export_stays_in_flight_until_the_test_ends_it(
        self, sandbox: Sandbox, client: Client, clock: FakeClock
    ) -> None:
        waiting = sandbox.hienergy.add("deals_excel", HEADER, ROWS, status="pending")
        running = sandbox.hienergy.add("deals_excel", HEADER, ROWS, status="processing")
        clock.advance(days=1)
        assert [told["status"] for told in client.list()] == ["processing", "pending"]
        assert [bool(told["started_at"]) for told in client.list()] == [True, False]
        sandbox.hienergy.update(waiting, status="completed")
        sandbox.hienergy.update(running, status="failed", error_message="too big")
        failed, done = client.list()
        assert done["completed_at"] == "2026-11-20T15:00:00.000Z"
        assert done["download_url"]
        assert (failed["status"], failed["error_message"]) == ("failed", "too big")
        assert (failed["download_url"], failed["completed_at"]) == (None, None)


class TestCreate:
    def test_an_export_is_pending_then_processing_then_completed(
        self, client: Client, clock: FakeClock
    ) -> None:
        told = client.create(q="shoes")
        assert (told["status"], told["started_at"], told["filename"]) == ("pending", None, None)
        assert told["download_url"] is told["download_expires_in_seconds"] is None
        clock.advance(seconds=6)
        assert client.read(told["id"])["status"] == "processing"
        assert client.read(told["id"])["download_url"] is None
        clock.advance(seconds=54)
        done = client.read(told["id"])
        assert (done["status"], done["completed_at"]) == ("completed", "2026-11-19T15:01:00.000Z")
        assert done["parameters"]["search_params"] == {"q": "shoes"}
        assert workbook(fetch(done["download_url"]))[0][0] == "Deal ID"

    def test_the_same_parameters_are_409_in_flight_and_deduped_when_done(
        self, client: Client, clock: FakeClock
    ) -> None:
        first = client.create(q="shoes")
        again = client.post(q="shoes")
        assert (again.status_code, again.json()["export"]["id"]) == (409, first["id"])
        assert again.json()["error"].keys() == {"code", "message", "request_id"}
        assert client.create(q="hats")["id"] != first["id"]
        assert client.create("hot_advertisers_excel", q="shoes")["id"] != first["id"]
        clock.advance(days=30)
        again = client.post(q="shoes")
        assert (again.status_code, again.json()["deduped"]) == (200, True)
        assert again.json()["export"]["id"] == first["id"]
        assert again.json()["export"]["download_url"]

    def test_an_export_fails_as_scripted_and_is_then_made_anew(
        self, sandbox: Sandbox, client: Client, clock: FakeClock
    ) -> None:
        sandbox.hienergy.fail_next("no memory", report_type="deals_excel")
        other, first = client.create("advertisers_csv"), client.create("deals_excel")
        clock.advance(minutes=1)
        assert client.read(other["id"])["status"] == "completed"
        told = client.read(first["id"])
        assert (told["status"], told["error_message"]) == ("failed", "no memory")
        assert client.create("deals_excel")["id"] != first["id"]

    def test_an_export_may_never_end(
        self, sandbox: Sandbox, client: Client, clock: FakeClock
    ) -> None:
        sandbox.hienergy.fail_next(status="processing")
        told = client.create()
        clock.advance(days=3)
        assert client.read(told["id"])["status"] == "processing"
        assert client.post().status_code == 409

    def test_each_export_may_take_its_own_time_and_rows(
        self, sandbox: Sandbox, client: Client, clock: FakeClock
    ) -> None:
        sandbox.hienergy.job_seconds = lambda export: 5 if export.search_params else 100
        sandbox.hienergy.tables["advertisers_csv"] = lambda _export: (HEADER, ROWS)
        slow, quick = client.create("advertisers_csv"), client.create("advertisers_csv", q=1)
        clock.advance(seconds=5)
        assert client.read(slow["id"])["status"] == "pending"
        done = client.read(quick["id"])
        assert fetch(done["download_url"]) == b"Id,Amount\n007,1.50\n8,\n"
        assert sandbox.hienergy.table(quick["id"]) == (HEADER, [["007", "1.50"], ["8", ""]])

    def test_ids_are_not_given_again_by_a_later_sandbox(
        self, client: Client, clock: FakeClock
    ) -> None:
        first = client.create()
        clock.advance(minutes=5)
        with Sandbox(now=clock.now) as other:
            stranger = Client(other)
            assert stranger.create()["id"] > first["id"]
            stranger.session.close()


class TestChunks:
    def test_a_parent_counts_its_parts_and_gets_the_whole_file(
        self, sandbox: Sandbox, client: Client, clock: FakeClock
    ) -> None:
        sandbox.hienergy.parts = 2
        sandbox.hienergy.tables["deals_excel"] = lambda _export: (HEADER, ROWS)
        parent = client.create()
        assert parent["chunked_export"] is True
        clock.advance(seconds=30)
        told = client.read(parent["id"])
        assert told["progress"] == {"parts_ready": 1, "total_parts": 2}
        assert (told["status"], told["download_url"]) == ("processing", None)
        assert told["updated_at"] == "2026-11-19T15:00:30.000Z"
        clock.advance(seconds=30)
        second, first, whole = client.list()
        assert [part["parent_report_id"] for part in (first, second)] == [parent["id"]] * 2
        assert whole["progress"] == {"parts_ready": 2, "total_parts": 2}
        files = [workbook(fetch(told["download_url"])) for told in (whole, first, second)]
        assert files == [
            [HEADER, ["007", 1.5], ["8", None]],
            [HEADER, ["007", 1.5]],
            [HEADER, ["8", None]],
        ]

    def test_a_parent_may_have_no_file_of_its_own(self, sandbox: Sandbox, client: Client) -> None:
        parent = sandbox.hienergy.add("deals_excel")
        sandbox.hienergy.add("deals_excel", HEADER, ROWS, parent=parent)
        child, told = client.list()
        assert (told["status"], told["chunked_export"]) == ("completed", True)
        assert told["download_url"] is None
        assert (child["parent_report_id"], bool(child["download_url"])) == (parent.id, True)
        sandbox.hienergy.forget(parent)
        assert client.list() == []


class TestFiles:
    def test_a_link_is_fresh_each_time_expires_and_takes_no_key(
        self, sandbox: Sandbox, client: Client, clock: FakeClock
    ) -> None:
        export = sandbox.hienergy.add("deals_excel", HEADER, ROWS)
        sandbox.hienergy.link_seconds = 30
        links = [client.read(export.id)["download_url"] for _ in range(2)]
        assert links[0] != links[1]
        assert client.session.get(links[0], timeout=10).status_code == 400
        assert fetch(links[0]) == fetch(links[1])
        clock.advance(seconds=30)
        assert requests.get(links[0], timeout=10).status_code == 403
        assert fetch(client.read(export.id)["download_url"])

    def test_a_workbook_has_typed_cells_and_the_same_bytes_each_time(
        self, sandbox: Sandbox, client: Client, clock: FakeClock
    ) -> None:
        moment = datetime(2026, 3, 1, 12, 30)
        row = [7, Decimal("12.345"), 0.5, True, moment, date(2026, 3, 2), "=1+1", "#N/A", None]
        made = [sandbox.hienergy.add("deals_excel", list("abcdefghi"), [row]) for _ in range(2)]
        first = made[0].file()
        clock.advance(days=1)
        assert made[1].file() == first
        (_, found) = workbook(fetch(client.read(made[0].id)["download_url"]))
        assert found == [7, 12.345, 0.5, True, moment, datetime(2026, 3, 2), "=1+1", "#N/A", None]
        assert found[3] is True
        (cell,) = openpyxl.load_workbook(io.BytesIO(first)).worksheets[0]["G2:G2"][0]
        assert cell.data_type == "s"

    def test_a_csv_file_is_all_text(self, sandbox: Sandbox) -> None:
        row = [7, Decimal("1.50"), True, datetime(2026, 3, 1, 12), 'a "b", c', None]
        export = sandbox.hienergy.add("advertisers_csv", list("abcdef"), [row])
        _, rows = sandbox.hienergy.table(export.id)
        assert rows == [["7", "1.50", "true", "2026-03-01T12:00:00", 'a "b", c', ""]]
        assert list(csv.reader(io.StringIO(export.file().decode())))[1:] == rows

    def test_the_bytes_may_be_any(self, sandbox: Sandbox, client: Client) -> None:
        for content in (b"", b"PK not a workbook"):
            export = sandbox.hienergy.add("deals_excel", file=content)
            assert fetch(client.read(export.id)["download_url"]) == content


class TestInventedExports:
    def test_five_days_of_every_type_are_there_one_failed_and_one_in_parts(
        self, clock: FakeClock
    ) -> None:
        with Sandbox(now=clock.now) as sandbox:
            client = Client(sandbox)
            found = client.list(100)
            client.session.close()
            whole = [told for told in found if told["parent_report_id"] is None]
            assert [told["report_type"] for told in whole] == TYPES[::-1] * 5
            assert len({told["created_at"][:10] for told in whole}) == 5
            assert all(told["completed_at"] or told["error_message"] for told in whole)
            assert [told["status"] for told in found].count("failed") == 1
            assert [told["chunked_export"] for told in found].count(True) == 1
            assert len(found) - len(whole) == 2
            for told in [told for told in whole if told["filename"]][:4]:
                header, rows = sandbox.hienergy.table(told["id"])
                content = fetch(told["download_url"])
                if told["filename"].endswith(".csv"):
                    assert list(csv.reader(io.StringIO(content.decode()))) == [header, *rows]
                else:
                    assert workbook(content) == [header, *([_read(v) for v in r] for r in rows)]

    def test_an_export_of_a_day_is_the_same_in_every_sandbox(self, clock: FakeClock) -> None:
        def look() -> dict[int, bytes]:
            exports = Sandbox(now=clock.now).hienergy.exports
            return {key: export.file() for key, export in exports.items()}

        old = look()
        clock.advance(days=1)
        new = look()
        both = old.keys() & new.keys()
        assert len(both) >= 16
        assert all(old[key] == new[key] for key in both)

    def test_the_rows_hold_every_kind_of_cell(self, clock: FakeClock) -> None:
        exports = Sandbox(now=clock.now).hienergy.newest()
        tables = [export.table()[1] for export in exports]
        kinds = {type(value) for row in itertools.chain(*tables) for value in row}
        assert kinds >= {int, Decimal, bool, datetime, str, type(None)}


def _read(value: Any) -> Any:
    """A cell as a workbook's reader gives it."""
    return float(value) if isinstance(value, Decimal) else value


class TestFaults:
    def test_each_step_can_be_faulted_by_its_name(
        self, sandbox: Sandbox, client: Client, clock: FakeClock
    ) -> None:
        export = sandbox.hienergy.add("deals_excel", HEADER, ROWS)
        for step in ("hienergy list", "hienergy create", "hienergy read", "storage"):
            sandbox.faults.add(step, status(503))
        assert client.post().status_code == 503
        assert [client.get("/exports?limit=9").status_code for _ in range(2)] == [503, 200]
        assert [client.get(f"/exports/{export.id}").status_code for _ in range(2)] == [503, 200]
        link = client.read(export.id)["download_url"]
        assert [requests.get(link, timeout=10).status_code for _ in range(2)] == [503, 200]
        assert [fault.hits for fault in sandbox.faults.script] == [1, 1, 1, 1]
        assert client.post().json()["deduped"] is True

    def test_a_creation_may_be_handled_and_its_answer_lost(
        self, sandbox: Sandbox, client: Client
    ) -> None:
        sandbox.faults.add("hienergy create", status(502, handled=True))
        sandbox.faults.add("hienergy list", html_login())
        assert client.post().status_code == 502
        assert len(sandbox.hienergy.exports) == 1
        assert client.post().status_code == 409
        assert client.get("/exports").headers["Content-Type"].startswith("text/html")
