"""A fake of the invented network: exports of one sale a day."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from tap_affiliate_reports.sandbox.data import days
from tap_affiliate_reports.sandbox.message import LoggedRequest, Response, as_json
from tap_affiliate_reports.sandbox.service import Service, Setup


@dataclass
class Export:
    """One export, which is done at a given time."""

    id: str
    start: date
    end: date
    finished_at: datetime


class AcmeSandbox(Service):
    """The exports of one account, behind a bearer token."""

    path = "/acme/v2"
    CREDENTIALS = ("token",)

    def __init__(self, setup: Setup) -> None:
        self.now = setup.now
        self.job_seconds = setup.seconds
        self.token = "acme-token"
        self.exports: dict[str, Export] = {}

    @classmethod
    def create(cls, setup: Setup) -> AcmeSandbox:
        return cls(setup)

    def __call__(self, request: LoggedRequest) -> Response | None:
        match request.method, request.segments:
            case _, ["acme", "v2", *_] if not self._is_known(request):
                return as_json({"message": "The token is wrong"}, 401)
            case "GET", ["acme", "v2", "me"]:
                return as_json({"id": 1})
            case "POST", ["acme", "v2", "exports"]:
                return self._create(json.loads(request.body))
            case "GET", ["acme", "v2", "exports", export_id] if export_id in self.exports:
                return self._show(self.exports[export_id])
            case "GET", ["acme", "v2", "exports", export_id, "file"] if export_id in self.exports:
                return self._file(self.exports[export_id])
            case _:
                return None

    def _is_known(self, request: LoggedRequest) -> bool:
        return request.headers.get("Authorization") == f"Bearer {self.token}"

    def _create(self, asked: dict[str, str]) -> Response:
        start, end = (date.fromisoformat(asked[name]) for name in ("from", "to"))
        finished_at = self.now() + timedelta(seconds=self.job_seconds)
        export = Export(f"e-{len(self.exports) + 1}", start, end, finished_at)
        self.exports[export.id] = export
        return self._show(export, 201)

    def _show(self, export: Export, status: int = 200) -> Response:
        is_done = self.now() >= export.finished_at
        document = {"id": export.id, "state": "done" if is_done else "working"}
        if is_done:
            document["finished_at"] = export.finished_at.isoformat()
        return as_json(document, status)

    def _file(self, export: Export) -> Response:
        rows = [f"{day:%Y%m%d},{day},1.25" for day in days(export.start, export.end)]
        return Response(200, "\n".join(["sale_id,day,payout", *rows, ""]).encode(), "text/csv")
