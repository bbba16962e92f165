"""The three networks, described alike for the tests that hold for each of them."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from hienergy_instal import CLICKS, CREATE, CSV, FILES, REPORT, add, put_all
from small_source import SmallSource

from tap_affiliate_reports.sandbox.faults import STEPS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from harness import FakeClock

    from tap_affiliate_reports.sandbox import Sandbox

START = date(2026, 11, 1)
SID = "IRsid42secretive"


@dataclass(frozen=True)
class Network:
    """What a test has to know of a network to sync something small from it."""

    name: str
    secret: str
    """Setting that holds the credential."""
    credential: Callable[[str], tuple[str, str]]
    """Header that carries a credential, and its value."""
    stream: str
    """A stream with rows of a file."""
    steps: Mapping[str, str]
    """Pattern of the requests of each step of a sync, as for `Faults.add`."""
    redirects: tuple[str, ...]
    """Steps whose answer is a document of the API, never a redirect."""
    own: Mapping[str, Any]
    """Settings, besides the credential, that a small sync needs."""
    fill: Callable[[Sandbox, FakeClock, str], None]
    """Put a few rows into the sandbox, and make it accept a credential."""
    fail: Callable[[Sandbox, str, str], None]
    """Let all jobs from now on end in a state, with a message."""

    def config(self, sandbox: Sandbox, credential: object, **own: Any) -> dict[str, Any]:
        """Return a configuration of a small sync."""
        return {
            "start_date": START.isoformat(),
            self.name: {
                **self.own,
                self.secret: credential,
                "api_url": sandbox.base_url(self.name),
                **own,
            },
        }


def _fill_impact(sandbox: Sandbox, clock: FakeClock, token: str) -> None:
    sandbox.impact.account_sid, sandbox.impact.auth_token = SID, token
    SmallSource(sandbox, clock, ["sales"])


def _fill_hienergy(sandbox: Sandbox, clock: FakeClock, token: str) -> None:
    sandbox.hienergy.api_key = token
    sandbox.hienergy.clear()
    for kind in FILES:
        if kind != CLICKS:
            add(sandbox, kind, kind, completed_at=clock.now() - timedelta(days=3))


def _fill_instal(sandbox: Sandbox, _clock: FakeClock, token: str) -> None:
    sandbox.instal.auth_token = token
    put_all(sandbox, START, 30)


def basic(token: str) -> str:
    """Return impact.com's credential as HTTP Basic has it."""
    return base64.b64encode(f"{SID}:{token}".encode()).decode()


IMPACT = Network(
    name="impact",
    secret="auth_token",
    credential=lambda token: ("Authorization", f"Basic {basic(token)}"),
    stream="sales",
    steps={
        "list": "GET [^?]*/Reports(\\?|$)",
        "metadata": "/MetaData",
        "company": "/CompanyInformation",
        "schedule": "/ReportExport/",
        "poll": "GET .*/Jobs/[^/?]+(\\?|$)",
        "jobs": "GET .*/Jobs\\?",
        "download": "/Download",
        "storage": STEPS["storage"],
    },
    redirects=("list", "metadata", "schedule", "poll"),
    own={"account_sid": SID, "reports": ["sales"], "job_timeout_seconds": 60},
    fill=_fill_impact,
    fail=lambda sandbox, word, words: sandbox.impact.fail_next(word, words, 9),
)
HIENERGY = Network(
    name="hienergy",
    secret="api_key",
    credential=lambda key: ("X-Api-Key", key),
    stream=CSV,
    steps={
        "list": STEPS["hienergy list"],
        "create": STEPS["hienergy create"],
        "read": STEPS["hienergy read"],
        "storage": STEPS["storage"],
    },
    redirects=("list", "create", "read"),
    own={"create": [CREATE], "job_timeout_seconds": 20},
    fill=_fill_hienergy,
    fail=lambda sandbox, word, words: sandbox.hienergy.fail_next(words, 9, status=word),
)
INSTAL = Network(
    name="instal",
    secret="auth_token",
    credential=lambda token: ("Authorization", f"Token {token}"),
    stream=REPORT,
    steps={
        "post": STEPS["instal post"],
        "poll": STEPS["instal poll"],
        "storage": STEPS["storage"],
    },
    redirects=("post", "poll"),
    own={"job_timeout_seconds": 20},
    fill=_fill_instal,
    fail=lambda sandbox, word, words: sandbox.instal.end_next(word, words, 9),
)
NETWORKS = (IMPACT, HIENERGY, INSTAL)
