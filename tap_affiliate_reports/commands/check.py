"""The command `--check`: what a sync needs, tried one by one, with what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from tap_affiliate_reports.errors import (
    Forbidden,
    NotFound,
    RateLimited,
    SettingsError,
    TapError,
    Unauthorized,
    Unavailable,
)
from tap_affiliate_reports.selection import Selection
from tap_affiliate_reports.sources.source import ReportSpec, Source
from tap_affiliate_reports.streams.rules import ReportRules
from tap_affiliate_reports.tap import TapAffiliateReports

REQUIRED = ("credentials", "reports", "metadata", "jobs")
"""The checks without which a sync fails; the others are advice, unless they can't be tried."""
FARTHEST = timedelta(minutes=5)
SAME_CLOCK = "the service and this machine have the same time"
NOT_TRIED, SEE_CREDENTIALS = "not tried", "see credentials"
PROXY = "the proxy (HTTPS_PROXY, HTTP_PROXY, NO_PROXY), "
NOT_THERE = "check {source}.api_url, and that the account exists"
UNREACHABLE = "check {proxy}the network and {source}.api_url, then try again"
CATALOG_SELECTS = "{count} exportable; {source}.reports is not set: the catalog selects"
NONE_ALLOWED = "a run may spend no %s"
NO_LIMIT = "the network has no known limit of exports"
LIMIT = "the service says how many exports are left only in its answer to one; a run may spend %s"


@dataclass(frozen=True)
class Check:
    """One thing that a sync needs; `fix` is what to do, "" if it is ok.

    `is_tried` is false if it could not be tried, so that a sync fails at the same place.
    """

    name: str
    ok: bool
    detail: str
    fix: str = ""
    is_tried: bool = True

    @property
    def is_fatal(self) -> bool:
        """Whether a sync fails because of it."""
        return not self.ok and (self.name in REQUIRED or not self.is_tried)

    def document(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {"name": self.name, "ok": self.ok, "detail": self.detail, "fix": self.fix}


def document(tap: TapAffiliateReports) -> dict[str, Any]:
    """Return the checks of every source; `ok` is false if a required one failed."""
    checks = {source: list(_checks(source, tap.selection)) for source in tap.sources}
    sources = [
        {
            "source": source.name,
            "account": masked(source.account),
            "checks": [check.document() for check in found],
        }
        for source, found in checks.items()
    ]
    is_ok = not any(check.is_fatal for found in checks.values() for check in found)
    return {"ok": is_ok, "sources": sources}


def masked(account: str) -> str:
    """Return an account of which only the ends can be read."""
    return f"{account[:2]}***{account[-2:]}" if len(account) >= 8 else "***"


def _checks(source: Source, selection: Selection) -> Iterator[Check]:
    trials: dict[str, Callable[[], str]] = {
        "credentials": lambda: _credentials(source),
        "reports": lambda: _reports(source, selection),
        "metadata": lambda: _metadata(source, selection),
        "jobs": lambda: _jobs(source),
    }
    is_reachable = True
    for name, trial in trials.items():
        if not is_reachable:
            yield Check(name, ok=False, detail=NOT_TRIED, fix=SEE_CREDENTIALS)
            continue
        try:
            yield Check(name, ok=True, detail=trial())
        except TapError as error:
            yield Check(name, ok=False, detail=str(error), fix=_fix(error, source))
            is_reachable = name != "credentials"
    yield (
        _timezone(source)
        if is_reachable
        else Check("timezone", ok=False, detail=NOT_TRIED, fix=SEE_CREDENTIALS, is_tried=False)
    )
    yield _clock(source)
    yield _quota(source)


def _fix(error: TapError, source: Source) -> str:
    """Return what to do about an error, where its own text does not say it."""
    if isinstance(error, Unauthorized):
        names = " and ".join(f"{source.name}.{name}" for name in source.REQUIRED)
        return f"correct {names}"
    if isinstance(error, Forbidden):
        return "give the token the scope of this endpoint, or use another token"
    if isinstance(error, NotFound):
        return NOT_THERE.format(source=source.name)
    if isinstance(error, RateLimited):
        return "wait until the rate limit resets"
    if isinstance(error, Unavailable):
        proxy = PROXY if "proxy" in str(error) else ""
        return UNREACHABLE.format(proxy=proxy, source=source.name)
    if isinstance(error, SettingsError):
        return "correct the setting"
    return "see docs/troubleshooting.md"


# The required checks: each returns what was found, or raises a TapError


def _credentials(source: Source) -> str:
    try:
        source.check_credentials()
    except Forbidden:
        # The service knows the token; which scope it lacks is seen below.
        return "accepted, but the token lacks a scope"
    return "accepted"


def _reports(source: Source, selection: Selection) -> str:
    reports = source.reports()
    if not reports:
        files = source.files()
        count = sum(len(spec.finished(None).jobs) for spec in files)
        return f"{count} finished exports of {len(files)} types"
    if source.policy.catalog_decides and selection.catalog is None:
        return CATALOG_SELECTS.format(count=len(reports), source=source.name)
    return f"{len(_selected(source, selection))} selected of {len(reports)} exportable"


def _selected(source: Source, selection: Selection) -> list[ReportSpec]:
    return [one for one in source.reports() if selection.is_selected(one)]


def _metadata(source: Source, selection: Selection) -> str:
    reports = _selected(source, selection) or list(source.reports()[:1])
    if not reports:
        return "not needed: the columns are those of the files"
    source.prefetch(reports)
    count = 0
    for report in reports:
        columns = report.columns(report.id)
        ReportRules(source, report).check_keys(columns)
        count += len(columns)
    return f"{count} columns of {', '.join(report.id for report in reports[:3])}" + (
        f" and {len(reports) - 3} more" if len(reports) > 3 else ""
    )


def _jobs(source: Source) -> str:
    source.check_jobs()
    return "can be read"


# The other checks


def _timezone(source: Source) -> Check:
    try:
        choice = source.zone_choice
    except TapError as error:
        return Check("timezone", False, str(error), _fix(error, source), is_tried=False)
    if not choice.doubt:
        return Check("timezone", ok=True, detail=str(choice))
    fix = f"set {source.name}.timezone to the account's IANA zone, such as America/New_York"
    return Check("timezone", ok=False, detail=f"{choice}: {choice.doubt}", fix=fix)


def _clock(source: Source) -> Check:
    offset = source.client.clock_offset
    if offset is None:
        return Check("clock", ok=False, detail="the service sent no Date", fix=SEE_CREDENTIALS)
    apart = timedelta(seconds=round(abs(offset).total_seconds()))
    order = "ahead of" if offset > timedelta(0) else "behind"
    detail = f"the service's clock is {apart} {order} this machine's" if apart else SAME_CLOCK
    if apart < FARTHEST:
        return Check("clock", ok=True, detail=detail)
    return Check("clock", ok=False, detail=detail, fix="set this machine's clock (by NTP)")


def _quota(source: Source) -> Check:
    limited = [kind for kind in source.policy.kinds if kind.limit is not None]
    if not limited:
        return Check("quota", ok=True, detail=NO_LIMIT)
    for kind in limited:
        if not kind.limit:
            fix = f"set {source.name}.{kind.setting} to more"
            return Check("quota", ok=False, detail=NONE_ALLOWED % kind.noun, fix=fix)
    first, *others = limited
    counts = [f"{first.limit} ({first.setting})"]
    counts += [f"{kind.limit} {kind.noun} ({kind.setting})" for kind in others]
    return Check("quota", ok=True, detail=LIMIT % " and ".join(counts))
