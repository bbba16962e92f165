"""The settings: what every network shares, how values are read, and what is refused."""

from __future__ import annotations

from tap_affiliate_reports.settings.environment import complete
from tap_affiliate_reports.settings.values import parse_day, parse_reload, parse_zone

__all__ = ["complete", "parse_day", "parse_reload", "parse_zone"]
