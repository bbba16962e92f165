"""A client of the impact.com sandbox, and a clock of our own."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

import requests

from tap_affiliate_reports.sandbox import Sandbox

JULY = {"START_DATE": "2026-07-01", "END_DATE": "2026-07-31"}
NOON = datetime(2026, 8, 10, 16, tzinfo=timezone.utc)  # 12:00 in New York


@dataclass
class Clock:
    now: datetime = NOON

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **delta: float) -> None:
        self.now += timedelta(**delta)


class Client:
    """Plain requests with the credentials a tap would send."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.session = requests.Session()
        self.session.auth = ("IRsandbox", "sandbox-token")
        self.session.headers["Accept"] = "application/json"

    def get(self, path: str, method: str = "GET", **options: object) -> requests.Response:
        if path.startswith("/") and not path.startswith(("/Mediapartners", "/storage")):
            path = f"/Mediapartners/IRsandbox{path}"
        url = path if path.startswith("http") else f"{self.sandbox.url}{path}"
        return self.session.request(method, url, **{"timeout": 10, **options})

    def put(self, path: str) -> requests.Response:
        return self.get(path, "PUT")

    def export(self, report: str = "sales", **params: object) -> str:
        return self._scheduled(f"/ReportExport/{report}", params or JULY)

    def export_clicks(self, **params: object) -> str:
        return self._scheduled("/ClickExport", params)

    def _scheduled(self, path: str, params: dict[str, object]) -> str:
        answer = self.get(path, params=params)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["QueuedUri"].rsplit("/", 1)[1])

    def job(self, job_id: str) -> dict[str, str]:
        return dict(self.get(f"/Jobs/{job_id}").json())

    def link(self, job_id: str) -> str:
        answer = self.get(f"/Jobs/{job_id}/Download", allow_redirects=False)
        assert answer.status_code == 302, answer.text
        return answer.headers["Location"]

    def table(self, report: str, **params: object) -> list[dict[str, str]]:
        return self.rows(self.export(report, **params))

    def rows(self, job_id: str) -> list[dict[str, str]]:
        answer = self.get(f"/Jobs/{job_id}/Download")
        assert answer.status_code == 200, answer.text
        return list(csv.DictReader(io.StringIO(answer.content.decode(), newline="")))
