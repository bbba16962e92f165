"""The settings of Instal.com."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from singer_sdk import typing as th

from tap_affiliate_reports.settings.shared import (
    ACCOUNT,
    FLOW,
    RESULT_MAX_AGE,
    api_url,
    lookback,
    secret,
    window,
)

INTERVALS = ("hourly", "daily", "monthly")
# The windows that are made of complete months.
MONTHS = ("month", "quarter", "year")

SETTINGS = th.ObjectType(
    secret("auth_token", "Auth token."),
    api_url("https://dashboard.instal.com/advertiser/api/v1/reports/exports/"),
    ACCOUNT,
    th.Property(
        "interval",
        th.StringType(allowed_values=list(INTERVALS)),
        default="daily",
        description="Period of time that one row covers.",
    ),
    th.Property(
        "sorting",
        th.StringType,
        default="time",
        description="Column by which the service sorts the rows.",
    ),
    window("Calendar period of one export.", default="month"),
    lookback(30),
    RESULT_MAX_AGE,
    th.Property(
        "timezone",
        th.StringType,
        default="UTC",
        description="IANA time zone of the account's days.",
    ),
    *FLOW,
    additional_properties=False,
)
REQUIRED = ("auth_token",)


def check(settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield an error if a monthly row does not fit into a window."""
    if settings["interval"] == "monthly" and settings["window"] not in MONTHS:
        yield f"interval: monthly needs one of these windows: {', '.join(MONTHS)}"
