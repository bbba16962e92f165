"""Values of the settings that a JSON schema reads as plain text: days, reloads, time zones."""

from __future__ import annotations

from datetime import date, tzinfo
from typing import Any

import pendulum

from tap_affiliate_reports.errors import SettingsError
from tap_affiliate_reports.windows import Reload
from tap_affiliate_reports.zones import iana_zone


def parse_day(name: str, text: Any) -> date:
    """Return the day of a date or date-time setting; raises SettingsError for any other text."""
    try:
        moment = pendulum.parse(str(text), exact=True)
    except (ValueError, OverflowError):
        moment = None
    if not isinstance(moment, pendulum.Date):  # a pendulum DateTime is a Date too
        msg = f"{name}: {text!r} is not a date (YYYY-MM-DD)"
        raise SettingsError(msg)
    return date(moment.year, moment.month, moment.day)


def parse_reload(text: str) -> Reload:
    """Return the value of the setting `reload`: `all`, one day, or START/END."""
    if text.strip().lower() == "all":
        return Reload("all")
    parts = text.split("/")
    try:
        first, last = parse_day("reload", parts[0]), parse_day("reload", parts[-1])
    except SettingsError:
        first, last, parts = date.max, date.min, []
    if len(parts) > 2 or last < first:
        msg = f"reload: {text!r} is neither `all` nor days (2026-03-01/2026-04-30 or 2026-03-01)"
        raise SettingsError(msg)
    return Reload(f"{first}/{last}", first, last)


def parse_zone(name: str, text: str) -> tzinfo:
    """Return the zone of an IANA name; raises SettingsError for any other text."""
    try:
        return iana_zone(text)
    except ValueError:
        msg = f"{name}: {text!r} is not an IANA time zone (such as America/New_York)"
        raise SettingsError(msg) from None
