"""The settings: their table, how they are given, what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from tap_affiliate_reports.settings.checks import check, parse_day, parse_reload, parse_zone
from tap_affiliate_reports.settings.environment import complete
from tap_affiliate_reports.settings.table import CONFIG_SCHEMA, SANDBOX

__all__ = [
    "CONFIG_SCHEMA",
    "SANDBOX",
    "ReportOptions",
    "check",
    "complete",
    "parse_day",
    "parse_reload",
    "parse_zone",
]


@dataclass(frozen=True)
class ReportOptions:
    """What holds for one report: its own options, else its source's settings.

    `interval` is the time that a row stands for, "" where that can't be chosen.
    """

    window: str | None = None
    lookback: timedelta = timedelta(days=60)
    filters: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    primary_keys: tuple[str, ...] = ()
    mode: str = "export"
    interval: str = ""
