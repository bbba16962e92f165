"""The sandbox: an API origin, a storage origin, and the services behind them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from types import TracebackType
from typing import Any

from tap_affiliate_reports.sandbox.data import ROWS_PER_DAY, Account
from tap_affiliate_reports.sandbox.hienergy import HiEnergySandbox
from tap_affiliate_reports.sandbox.impact import ImpactSandbox, Job, invented_reports
from tap_affiliate_reports.sandbox.instal import InstalSandbox
from tap_affiliate_reports.sandbox.server import Origin, Recorder
from tap_affiliate_reports.sandbox.storage import Storage

JOB_SECONDS = 0.2
PATHS = {"impact": "", "hienergy": "/api/v1", "instal": "/advertiser/api/v1/reports/exports/"}
"""The path of each service's base URL, by its key in the tap's settings."""


def _real_now() -> datetime:
    return datetime.now(timezone.utc)


class Sandbox(Recorder):
    """The fake services, listening on 127.0.0.1 between `start` and `stop`.

    All time comes from `now` (aware datetimes); `port` 0 is any free one. `url` and `storage_url`
    are the two origins, without a slash at the end. `timezone` is the account's, `rows_per_day`
    its mean number of actions a day. `job_seconds` is for all three services; told of each job, it
    is for impact.com's alone.
    """

    def __init__(
        self,
        now: Callable[[], datetime] = _real_now,
        port: int = 0,
        *,
        account_sid: str = "IRsandbox",
        auth_token: str = "sandbox-token",  # noqa: S107 - the invented account's, no secret
        job_seconds: float | Callable[[Job], float] = JOB_SECONDS,
        exports_per_day: int = 100,
        timezone: str = "America/New_York",
        rows_per_day: int = ROWS_PER_DAY,
    ) -> None:
        super().__init__(now)
        self.port = port
        self.storage = Storage(now)
        self.account = Account(timezone, rows_per_day)
        self.impact = ImpactSandbox(
            now,
            self.storage,
            account_sid=account_sid,
            auth_token=auth_token,
            job_seconds=job_seconds,
            exports_per_day=exports_per_day,
            timezone=timezone,
        )
        seconds = JOB_SECONDS if callable(job_seconds) else job_seconds
        self.hienergy = HiEnergySandbox(now, self.storage, self.account, job_seconds=seconds)
        self.instal = InstalSandbox(
            now, self.storage, job_seconds=seconds, rows_per_day=rows_per_day
        )
        for report in invented_reports(self.account):
            self.impact.add(report)
        self.url = ""
        self.storage_url = ""
        self._origins: list[Origin] = []

    def start(self) -> Sandbox:
        """Listen; jobs and counters of an earlier start are kept."""
        if not self._origins:
            api = Origin("api", self.port, self, [self.impact, self.hienergy, self.instal])
            storage = Origin("storage", 0, self, [self.storage])
            self._origins = [api, storage]
            self.url = self.hienergy.url = self.instal.url = api.url
            self.storage_url = self.storage.url = storage.url
        return self

    def base_url(self, name: str) -> str:
        """Return the base URL of "impact", "hienergy" or "instal"."""
        return f"{self.url}{PATHS[name]}"

    def admit(self, name: str, settings: Mapping[str, Any]) -> None:
        """Take the credentials in a source's settings for good ones."""
        if name == "impact":
            self.impact.account_sid = str(settings["account_sid"])
            self.impact.auth_token = str(settings["auth_token"])
        elif name == "hienergy":
            self.hienergy.api_key = str(settings["api_key"])
        else:
            self.instal.auth_token = str(settings["auth_token"])

    def stop(self) -> None:
        """Stop listening and end every open connection."""
        for origin in self._origins:
            origin.stop()
        self._origins = []

    def __enter__(self) -> Sandbox:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
