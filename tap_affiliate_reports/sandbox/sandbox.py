"""The sandbox: an API origin, a storage origin, and the services behind them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from types import TracebackType
from typing import Any

from tap_affiliate_reports.sandbox.data import ROWS_PER_DAY, Account
from tap_affiliate_reports.sandbox.registry import SERVICES
from tap_affiliate_reports.sandbox.server import Origin, Recorder
from tap_affiliate_reports.sandbox.service import JOB_SECONDS, Setup
from tap_affiliate_reports.sandbox.storage import Storage


def _real_now() -> datetime:
    return datetime.now(timezone.utc)


class Sandbox(Recorder):
    """The fake services, listening on 127.0.0.1 between `start` and `stop`.

    All time comes from `now` (aware datetimes); `port` 0 is any free one. `url` and `storage_url`
    are the two origins, without a slash at the end. `timezone` is the account's, `rows_per_day`
    its mean number of actions a day. `job_seconds` is how long an export takes; a function of a
    job is for impact.com alone, as are `account_sid` and `auth_token`. Each service is an
    attribute by its key in the tap's settings, such as `sandbox.impact`.
    """

    def __init__(
        self,
        now: Callable[[], datetime] = _real_now,
        port: int = 0,
        *,
        account_sid: str = "IRsandbox",
        auth_token: str = "sandbox-token",  # noqa: S107 - the invented account's, no secret
        job_seconds: float | Callable[[Any], float] = JOB_SECONDS,
        exports_per_day: int = 100,
        timezone: str = "America/New_York",
        rows_per_day: int = ROWS_PER_DAY,
    ) -> None:
        super().__init__(now)
        self.port = port
        self.storage = Storage(now)
        self.account = Account(timezone, rows_per_day)
        setup = Setup(
            now=now,
            storage=self.storage,
            account=self.account,
            job_seconds=job_seconds,
            exports_per_day=exports_per_day,
            rows_per_day=rows_per_day,
            timezone=timezone,
        )
        self.services = {name: service.create(setup) for name, service in SERVICES.items()}
        self.admit("impact", {"account_sid": account_sid, "auth_token": auth_token})
        self.url = ""
        self.storage_url = ""
        self._origins: list[Origin] = []

    def start(self) -> Sandbox:
        """Listen; jobs and counters of an earlier start are kept."""
        if not self._origins:
            api = Origin("api", self.port, self, list(self.services.values()))
            storage = Origin("storage", 0, self, [self.storage])
            self._origins = [api, storage]
            self.url = api.url
            for service in self.services.values():
                service.url = api.url
            self.storage_url = self.storage.url = storage.url
        return self

    def __getattr__(self, name: str) -> Any:
        # Only for names that are no attribute: each service by its key.
        try:
            return self.__dict__["services"][name]
        except KeyError:
            raise AttributeError(name) from None

    def base_url(self, name: str) -> str:
        """Return the base URL of a service."""
        return f"{self.url}{self.services[name].path}"

    def admit(self, name: str, settings: Mapping[str, Any]) -> None:
        """Accept the credentials in a network's settings."""
        self.services[name].admit(settings)

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
