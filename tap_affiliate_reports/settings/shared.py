"""The settings that several networks share."""

from __future__ import annotations

from typing import Any

from singer_sdk import typing as th

from tap_affiliate_reports.windows import SIZES

# YAML reads a purely numeric id as a number.
TEXT_OR_NUMBER = th.CustomType({"type": ["string", "integer"]})
SANDBOX = "sandbox"
"""The value of `api_url` that starts the embedded fake of the service."""

FLOW = (
    th.Property(
        "max_concurrent_jobs",
        th.IntegerType(minimum=1),
        default=5,
        description="Export jobs that may run at the same time, over all streams of the network.",
    ),
    th.Property(
        "poll_interval_seconds",
        th.NumberType(minimum=0),
        default=2,
        description="Shortest pause in seconds between two polls of the running jobs.",
    ),
    th.Property(
        "job_timeout_seconds",
        th.NumberType(minimum=0),
        default=5400,
        description="Seconds after which an unfinished job is an error.",
    ),
    th.Property(
        "max_wait_seconds",
        th.NumberType(minimum=0),
        default=300,
        description=(
            "Longest wait in seconds for the rate limits of one request, all pauses together. A "
            "request fails if the service requires a longer one."
        ),
    ),
)
"""How many jobs run at once and how long the tap waits for them."""

RESULT_MAX_AGE = th.Property(
    "result_max_age_hours",
    th.NumberType(minimum=0, maximum=876_000),
    default=20,
    description=(
        "Age in hours below which the file of a window that may still change is not refreshed."
    ),
)

ACCOUNT = th.Property(
    "account",
    th.StringType,
    description="Label of the account in the column `_account`. By default the word `default`.",
)


def secret(name: str, description: str) -> th.Property[Any]:
    """Return a setting that holds a credential."""
    return th.Property(name, th.StringType, secret=True, description=description)


def api_url(default: str) -> th.Property[Any]:
    """Return the setting of a service's base URL."""
    return th.Property(
        "api_url",
        th.StringType,
        default=default,
        description=f"Base URL of the API. The word `{SANDBOX}` serves invented data instead.",
    )


def window(
    description: str, *, default: str | None = None, snapshot: bool = False
) -> th.Property[Any]:
    """Return the setting of the window size; `snapshot` allows `none`."""
    sizes = [size for size in SIZES if snapshot or size != "none"]
    return th.Property(
        "window", th.StringType(allowed_values=sizes), default=default, description=description
    )


def lookback(default: int | None, more: str = "") -> th.Property[Any]:
    """Return the setting of the days for which a window is refreshed."""
    return th.Property(
        "lookback_days",
        th.IntegerType(minimum=0, maximum=36_500),
        default=default,
        description=f"Days after its last day during which a window may still change.{more}",
    )


def defaults(settings: th.ObjectType) -> dict[str, Any]:
    """Return the default of each property that has one."""
    properties = settings.to_dict()["properties"]
    return {name: one["default"] for name, one in properties.items() if "default" in one}
