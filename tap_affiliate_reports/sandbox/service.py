"""The contract of a fake service, and the facts that the services of one sandbox share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from tap_affiliate_reports.sandbox.data import Account
from tap_affiliate_reports.sandbox.message import Clock, LoggedRequest, Response
from tap_affiliate_reports.sandbox.storage import Storage

JOB_SECONDS = 0.2
"""How long an export takes by default."""


@dataclass(frozen=True)
class Setup:
    """What a fake service is created from.

    `job_seconds` is how long an export takes, or a function of impact.com's job.
    """

    now: Clock
    storage: Storage
    account: Account
    job_seconds: float | Callable[[Any], float]
    exports_per_day: int
    rows_per_day: int
    timezone: str

    @property
    def seconds(self) -> float:
        """How long an export of a service other than impact.com takes."""
        return JOB_SECONDS if callable(self.job_seconds) else self.job_seconds


class Service(ABC):
    """One fake service. `url` is the origin at which it is served, without a slash at the end."""

    path: ClassVar[str] = ""
    """The path of its base URL."""
    CREDENTIALS: ClassVar[Sequence[str]]
    """The settings that are credentials; the attribute of that name has the accepted value."""
    STEPS: ClassVar[Mapping[str, str]] = {}
    """Names for the steps of an export, each with an expression for `Faults.add`."""

    url: str = ""

    @classmethod
    @abstractmethod
    def create(cls, setup: Setup) -> Service:
        """Create the service with its invented data."""

    @abstractmethod
    def __call__(self, request: LoggedRequest) -> Response | None:
        """Answer, or return None for a path of another service."""

    @property
    def settings(self) -> dict[str, str]:
        """The settings with which the tap reaches this service."""
        own = {name: str(getattr(self, name)) for name in self.CREDENTIALS}
        return {"api_url": f"{self.url}{self.path}", **own}

    def admit(self, settings: Mapping[str, Any]) -> None:
        """Accept the credentials of these settings."""
        for name in self.CREDENTIALS:
            setattr(self, name, str(settings[name]))
