"""A fake of impact.com's partner API; every attribute may be changed while it runs."""

from __future__ import annotations

import base64
from collections.abc import Callable
from zoneinfo import ZoneInfo

from tap_affiliate_reports.sandbox.impact.catalog import invented_reports
from tap_affiliate_reports.sandbox.impact.clicks import invented_clicks
from tap_affiliate_reports.sandbox.impact.job import Job
from tap_affiliate_reports.sandbox.impact.jobs import JobBoard, identity
from tap_affiliate_reports.sandbox.impact.limits import CLICK_EXPORT, REPORT_EXPORT
from tap_affiliate_reports.sandbox.impact.queries import click_query, moment, report_query
from tap_affiliate_reports.sandbox.impact.report import Report
from tap_affiliate_reports.sandbox.impact.wire import Refused, answer, error, page
from tap_affiliate_reports.sandbox.message import Clock, LoggedRequest, Response
from tap_affiliate_reports.sandbox.service import Service, Setup
from tap_affiliate_reports.sandbox.storage import Storage, stored

AS_LABEL = "a label"
"""As `company_timezone`: the display label of the account's zone."""
IANA_ACCOUNT = "IRsandboxIANA"
"""The SID of the account whose zone is answered as an IANA name."""
LABELS = {
    "America/New_York": "Eastern Time (US & Canada)",
    "America/Chicago": "Central Time (US & Canada)",
    "America/Denver": "Mountain Time (US & Canada)",
    "America/Los_Angeles": "Pacific Time (US & Canada); Tijuana",
    "Europe/London": "Greenwich Mean Time : Dublin, Edinburgh, Lisbon, London",
    "Europe/Berlin": "Amsterdam, Berlin, Bern, Rome, Stockholm, Vienna",
    "Asia/Kolkata": "Chennai, Kolkata, Mumbai, New Delhi",
    "Asia/Tokyo": "Osaka, Sapporo, Tokyo",
    "Australia/Sydney": "Canberra, Melbourne, Sydney",
}


class ImpactSandbox(JobBoard, Service):
    """Reports, jobs and quota of one account, behind HTTP Basic.

    `timezone` is the account's zone. CompanyInformation returns it as a display label whose GMT
    part follows summer time, `(GMT -05:00) Eastern Time (US & Canada)`; for the account
    IANA_ACCOUNT, and for zones without a label here, as the IANA name. Another `company_timezone`
    is returned instead (None: no zone).
    `forbidden` holds parts of paths ("Jobs", "CompanyInformation", "Replay", ...; "JobList" and
    "ReportList" for the lists alone) that answer 403. `download_mode` "redirect" redirects to the
    storage host, "stream" answers with the bytes.
    """

    CREDENTIALS = ("account_sid", "auth_token")

    def __init__(
        self,
        now: Clock,
        storage: Storage,
        *,
        account_sid: str = "IRsandbox",
        auth_token: str = "sandbox-token",  # noqa: S107 - the invented account's, no secret
        job_seconds: float | Callable[[Job], float],
        exports_per_day: int,
        timezone: str,
    ) -> None:
        super().__init__(now, ZoneInfo(timezone), account_sid, job_seconds, exports_per_day)
        self.storage = storage
        self.auth_token = auth_token

        self.forbidden: set[str] = set()
        self.jobs_paged: int | None = None
        self.bare_jobs_array = False
        self.reports_page_size = 5
        self.run_page_size = 20_000
        self.run_offers_next_page = True
        self.company_timezone: str | None = AS_LABEL
        self.download_mode = "redirect"
        self.link_seconds: float = 60
        self.error_as_200 = False

        self.polls = 0
        self.downloads = 0
        self._runs: dict[tuple[object, ...], list[dict[str, str]]] = {}

    @classmethod
    def create(cls, setup: Setup) -> ImpactSandbox:
        """Create the account with its invented reports and clicks."""
        service = cls(
            setup.now,
            setup.storage,
            job_seconds=setup.job_seconds,
            exports_per_day=setup.exports_per_day,
            timezone=setup.timezone,
        )
        for report in invented_reports(setup.account):
            service.add(report)
        service.clicks = invented_clicks(setup.account)
        return service

    def add(self, report: Report) -> Report:
        """Add a report, or replace the one of its id (of its name, without an id)."""
        self.reports[report.id or report.name] = report
        return report

    def remove(self, report_id: str) -> None:
        """Remove a report; its jobs remain."""
        del self.reports[report_id]

    def __call__(self, request: LoggedRequest) -> Response | None:
        """Answer, or return None for a path of another service."""
        match request.segments:
            case ["Mediapartners", sid, *rest] if rest:
                pass
            case _:
                return None
        endpoint, route = self._route(request, rest)
        if not route:
            return None
        try:
            self._admit(request, sid, endpoint, rest)
            response = route()
        except Refused as refusal:
            status = 200 if refusal.bad_input and self.error_as_200 else refusal.status
            response = answer(request, error(str(refusal), refusal.field), status)
        headers = self.limits.headers(endpoint)
        if response.status == 429:
            headers["Retry-After"] = headers["RateLimit-Reset"]
        if response.status == 401:
            headers["WWW-Authenticate"] = 'Basic realm="impact"'
        response.headers = {**headers, **response.headers}
        return response

    def _route(
        self, request: LoggedRequest, rest: list[str]
    ) -> tuple[str, Callable[[], Response] | None]:
        match request.method, rest:
            case "GET", ["CompanyInformation"]:
                return "CompanyInformation", lambda: self._company(request)
            case "GET", ["Reports"]:
                return "ReportList", lambda: self._list_reports(request)
            case "GET", ["Reports", report_id, "MetaData"]:
                return "MetaData", lambda: self._metadata(request, report_id)
            case "GET", ["Reports", report_id]:
                return "Run", lambda: self._run(request, report_id)
            case "GET", ["ReportExport", report_id]:
                return REPORT_EXPORT, lambda: self._export(request, report_id)
            case "GET", ["ClickExport"]:
                return CLICK_EXPORT, lambda: self._export_clicks(request)
            case "GET", ["Jobs"]:
                return "JobList", lambda: self._list_jobs(request)
            case "GET", ["Jobs", job_id]:
                return "Job", lambda: self._poll(request, job_id)
            case "GET", ["Jobs", job_id, "Download"]:
                return "Download", lambda: self._download(request, job_id)
            case "PUT", ["Jobs", job_id, "Replay"]:
                return "Replay", lambda: self._replay(request, job_id)
            case _:
                return "", None

    def _admit(self, request: LoggedRequest, sid: str, endpoint: str, rest: list[str]) -> None:
        credentials = f"{self.account_sid}:{self.auth_token}".encode()
        expected = f"Basic {base64.b64encode(credentials).decode()}"
        if request.headers.get("Authorization") != expected:
            raise Refused(401, "Authentication failed")
        if sid != self.account_sid or {endpoint, *rest} & self.forbidden:
            raise Refused(403, "The token may not use this endpoint")
        with self.lock:
            self.limits.count(endpoint)
        if self.limits.exceeded(endpoint):
            raise Refused(429, "Rate limit exceeded")

    @property
    def _base(self) -> str:
        return f"/Mediapartners/{self.account_sid}"

    def _company(self, request: LoggedRequest) -> Response:
        document = {
            "Id": self.account_sid,
            "CompanyName": "Sandbox Media",
            "Currency": "USD",
            "Country": "US",
        }
        if self.company_timezone is not None:
            is_label = self.company_timezone == AS_LABEL
            document["Timezone"] = self._label() if is_label else self.company_timezone
        return answer(request, document)

    def _label(self) -> str:
        words = LABELS.get(self.zone.key)
        if words is None or self.account_sid == IANA_ACCOUNT:
            return self.zone.key
        offset = self.now().astimezone(self.zone).strftime("%z")
        return f"(GMT {offset[:3]}:{offset[3:]}) {words}"

    # Reports

    def _list_reports(self, request: LoggedRequest) -> Response:
        entries = [report.listed(self.base) for report in self.reports.values()]
        requested = int(request.first("PageSize") or self.reports_page_size)
        return answer(
            request, page(request, "Reports", entries, min(requested, self.reports_page_size))
        )

    def _report(self, report_id: str) -> Report:
        report = self.reports.get(report_id)
        if report is None or not report.api_accessible or report.id is None:
            raise Refused(404, f"There is no report {report_id}", bad_input=True)
        return report

    def _metadata(self, request: LoggedRequest, report_id: str) -> Response:
        return answer(request, self._report(report_id).metadata(self.base))

    def _run(self, request: LoggedRequest, report_id: str) -> Response:
        report, query = self._report(report_id), report_query(request)
        key = identity(report_id, request.query, ignore={"Page", "PageSize"})
        if key not in self._runs or int(request.first("Page") or 1) == 1:
            self._runs[key] = report.records(report.rows_at(self.now(), query))
        document = page(request, "Records", self._runs[key], self.run_page_size)
        if not self.run_offers_next_page:
            del document["@nextpageuri"]
        return answer(request, document)

    # Exports and jobs

    def _export(self, request: LoggedRequest, report_id: str) -> Response:
        report, query = self._report(report_id), report_query(request)
        return self._accepted(request, self.export(report, request.query, query))

    def _export_clicks(self, request: LoggedRequest) -> Response:
        today = self.now().astimezone(self.zone).date()
        return self._accepted(request, self.export_clicks(click_query(request, today)))

    def _accepted(self, request: LoggedRequest, job: Job) -> Response:
        uri = f"{self.base}/Jobs/{job.id}"
        return answer(
            request,
            {
                "Status": self.word(job, self.now()),
                "QueuedUri": uri,
                "ResultUri": f"{uri}/Download",
                "ReplayUri": f"{uri}/Replay",
            },
        )

    def _list_jobs(self, request: LoggedRequest) -> Response:
        after = moment(request, "CreatedAfter", self.zone)
        before = moment(request, "CreatedBefore", self.zone)
        now = self.now()
        jobs = list(self.jobs.values())
        jobs.sort(key=lambda job: job.created, reverse=True)
        entries = [
            self.document(job)
            for job in jobs
            if not job.expired(now)
            and (not after or job.created >= after)
            and (not before or job.created < before)
        ]
        if self.bare_jobs_array:
            return answer(request, entries)
        if self.jobs_paged:
            return answer(request, page(request, "Jobs", entries, self.jobs_paged))
        return answer(request, {"Jobs": entries})

    def _poll(self, request: LoggedRequest, job_id: str) -> Response:
        job = self.job(job_id)
        with self.lock:
            self.polls += 1
        return answer(request, self.document(job))

    def _download(self, request: LoggedRequest, job_id: str) -> Response:
        job = self.job(job_id, gone=410)
        now = self.now()
        if not job.done(now):
            return answer(request, self.document(job), 202)
        file = job.file(now)
        if file is None:
            raise Refused(404, f"Job {job_id} has no result: {job.outcome.status}")
        with self.lock:
            self.downloads += 1
        if self.download_mode == "stream" or request.first("Mode") == "Stream":
            return stored(file.name, file.content)
        link = self.storage.sign(file.name, file.content, self.link_seconds)
        return Response(302, headers={"Location": link})

    def _replay(self, request: LoggedRequest, job_id: str) -> Response:
        return answer(request, self.document(self.replay(self.job(job_id))))
