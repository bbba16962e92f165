"""A fake of Hi Energy AI's API; every attribute may be changed while it runs."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from math import ceil

from tap_affiliate_reports.sandbox.data import Account
from tap_affiliate_reports.sandbox.hienergy.export import (
    COMPLETED,
    FAILED,
    IN_FLIGHT,
    PENDING,
    SandboxExport,
)
from tap_affiliate_reports.sandbox.hienergy.exports import ExportBoard
from tap_affiliate_reports.sandbox.hienergy.invented import FILES
from tap_affiliate_reports.sandbox.message import Clock, LoggedRequest, Response, as_json
from tap_affiliate_reports.sandbox.service import Service, Setup
from tap_affiliate_reports.sandbox.storage import Storage


class _Refused(Exception):
    """Raised by a route to answer with an error body."""

    def __init__(self, status: int, code: str, message: str, export: SandboxExport | None = None):
        super().__init__(message)
        self.status = status
        self.code = code
        self.export = export


class HiEnergySandbox(ExportBoard, Service):
    """The export reports of one account, behind an `X-Api-Key`.

    `max_limit` caps the limit of a list, `link_seconds` is how long a download link works,
    `hourly_limit` is in the headers of every answer and enforced if `enforce_limit` is true.
    """

    path = "/api/v1"
    CREDENTIALS = ("api_key",)
    STEPS = {  # noqa: RUF012 # declared as a ClassVar by Service
        "list": "^GET /api/v1/exports$",
        "create": "^POST /api/v1/exports$",
        "read": "^GET /api/v1/exports/[^/?]+$",
    }

    def __init__(
        self,
        now: Clock,
        storage: Storage,
        account: Account,
        *,
        api_key: str = "sandbox-key",
        job_seconds: float | Callable[[SandboxExport], float] = 0.2,
    ) -> None:
        super().__init__(now, account, job_seconds)
        self.storage = storage
        self.api_key = api_key
        self.default_limit = 50
        self.max_limit: int | None = None
        self.link_seconds = 900
        self.hourly_limit = 1000
        self.enforce_limit = False

        self._hour: datetime | None = None
        self._used = 0

    @classmethod
    def create(cls, setup: Setup) -> HiEnergySandbox:
        """Create the user with the exports of the last days."""
        return cls(setup.now, setup.storage, setup.account, job_seconds=setup.seconds)

    def __call__(self, request: LoggedRequest) -> Response | None:
        """Answer, or return None for a path of another service."""
        match request.method, request.segments:
            case "GET", ["api", "v1", "exports"]:
                route = self._list
            case "POST", ["api", "v1", "exports"]:
                route = self._create
            case "GET", ["api", "v1", "exports", _]:
                route = self._read
            case _:
                return None
        try:
            self._admit(request)
            response = route(request)
        except _Refused as refusal:
            response = self._refuse(refusal)
        response.headers = {**self._limits(), **response.headers}
        return response

    def _admit(self, request: LoggedRequest) -> None:
        hour = self.now().replace(minute=0, second=0, microsecond=0)
        with self.lock:
            self._used = self._used + 1 if hour == self._hour else 1
            self._hour = hour
        if request.headers.get("X-Api-Key") != self.api_key:
            raise _Refused(401, "unauthorized", "The API key is missing or wrong")
        if self.enforce_limit and self._used > self.hourly_limit:
            raise _Refused(429, "rate_limited", "Too many requests this hour")

    def document(self, export: SandboxExport) -> dict[str, object]:
        """Return the document of an export, with a new link if it has a file."""
        now = self.now()
        status = export.status(now)
        ready = status == COMPLETED and export.has_file
        link = self.storage.sign(export.filename, export.file, self.link_seconds) if ready else None
        done = sum(part.status(now) == COMPLETED for part in export.parts)
        progress = {"parts_ready": done, "total_parts": len(export.parts)}
        return {
            "id": export.id,
            "report_type": export.report_type,
            "display_name": export.report_type.replace("_", " ").title(),
            "status": status,
            "status_display": status.capitalize(),
            "parameters": {
                "search_params": export.search_params,
                "index_params": export.index_params,
            },
            "filename": export.filename if ready else None,
            "download_url": link,
            "download_expires_in_seconds": self.link_seconds if ready else None,
            "error_message": export.error_message if status == FAILED else None,
            "progress": progress if export.parts else None,
            "parent_report_id": export.parent,
            "chunked_export": bool(export.parts),
            "created_at": _iso(export.created),
            "updated_at": _iso(export.updated(now)),
            "started_at": None if status == PENDING else _iso(export.started),
            "completed_at": _iso(export.completed) if status == COMPLETED else None,
            "status_url": f"{self.url}/api/v1/exports/{export.id}",
            **export.shown,
        }

    def _list(self, request: LoggedRequest) -> Response:
        requested = request.first("limit") or str(self.default_limit)
        if not requested.isdecimal() or int(requested) < 1:
            raise _Refused(422, "invalid_parameter", "limit must be a positive number")
        limit = min(int(requested), self.max_limit or int(requested))
        shown = [self.document(export) for export in self.newest()[:limit]]
        return as_json({"exports": shown, "meta": {"count": len(shown), "limit": limit}})

    def _read(self, request: LoggedRequest) -> Response:
        export_id = request.segments[-1]
        export = self.exports.get(int(export_id)) if export_id.isdecimal() else None
        if export is None:
            raise _Refused(404, "not_found", "There is no such report")
        return as_json({"export": self.document(export)})

    def _create(self, request: LoggedRequest) -> Response:
        try:
            requested = json.loads(request.body)
        except ValueError:
            raise _Refused(400, "invalid_json", "The body is not JSON") from None
        report_type = requested.get("report_type") if isinstance(requested, dict) else None
        if not isinstance(report_type, str) or report_type not in FILES:
            raise _Refused(422, "invalid_parameter", f"There is no report type {report_type}")
        params = [requested.get(name) or {} for name in ("search_params", "index_params")]
        if not all(isinstance(given, dict) for given in params):
            raise _Refused(422, "invalid_parameter", "Parameters must be objects")
        export, is_new = self.request(report_type, *params)
        if is_new:
            return as_json({"export": self.document(export)}, 201)
        if export.status(self.now()) in IN_FLIGHT:
            raise _Refused(409, "conflict", "The same report is being made", export)
        # The place of this field in the real answer is not documented.
        return as_json({"export": self.document(export), "deduped": True})

    def _refuse(self, refusal: _Refused) -> Response:
        facts = {"code": refusal.code, "message": str(refusal), "request_id": str(uuid.uuid4())}
        body: dict[str, object] = {"error": facts}
        if refusal.export is not None:
            body["export"] = self.document(refusal.export)
        return as_json(body, refusal.status)

    def _limits(self) -> dict[str, str]:
        now = self.now()
        end = now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
        return {
            "X-RateLimit-Limit": str(self.hourly_limit),
            "X-RateLimit-Remaining": str(max(0, self.hourly_limit - self._used)),
            "X-RateLimit-Reset": str(ceil((end - now).total_seconds())),
        }


def _iso(moment: datetime) -> str:
    utc = moment.astimezone(timezone.utc).replace(tzinfo=None)
    return f"{utc.isoformat(timespec='milliseconds')}Z"
