"""The settings of impact.com."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from singer_sdk import typing as th

from tap_affiliate_reports.schema import ADDED, ALL_PROGRAMS
from tap_affiliate_reports.settings.shared import (
    FLOW,
    RESULT_MAX_AGE,
    TEXT_OR_NUMBER,
    api_url,
    defaults,
    lookback,
    secret,
    window,
)
from tap_affiliate_reports.sources.impact import clicks, links

MODES = ("export", "run")
NULLABLE = {name for name, schema in ADDED.items() if "null" in schema["type"]}
CLICKS_OPTION = (
    "report_options.clicks.%s: clicks are exported by the day and have no key of their own; their "
    "options are lookback_days and filters"
)
KEY_IS_LINK = "report_options: key %d is a link; use the report's id"

REPORT_OPTIONS = th.ObjectType(
    window(
        "Calendar period of one export of this report. By default that of impact.window.",
        snapshot=True,
    ),
    lookback(None, " By default impact.lookback_days."),
    th.Property(
        "filters",
        th.ObjectType(additional_properties=True),
        description="Filters of the report: each name with a value or a list, sent unchanged.",
    ),
    th.Property(
        "primary_keys",
        th.ArrayType(th.StringType),
        description="Columns that identify a row. By default its window and its row number.",
    ),
    th.Property(
        "mode",
        th.StringType(allowed_values=list(MODES)),
        default="export",
        description="`export` loads the file of an export job, `run` the synchronous endpoint.",
    ),
    additional_properties=False,
)

# The SDK fills them in.
DEFAULTS = defaults(REPORT_OPTIONS)

SETTINGS = th.ObjectType(
    th.Property("account_sid", th.StringType, description="Account SID of the API token."),
    secret("auth_token", "Auth token of the API token."),
    api_url("https://api.impact.com"),
    th.Property(
        "api_version",
        TEXT_OR_NUMBER,
        default="16",
        description="Version of the API, sent in the header IR-Version.",
    ),
    th.Property(
        "timezone",
        th.StringType,
        description="IANA time zone of the account's days. By default the account's own.",
    ),
    th.Property(
        "reports",
        th.ArrayType(TEXT_OR_NUMBER),
        description=(
            "Report ids or globs to load; `*` is every report. An entry may also be a link of the "
            'web app\'s button "retrieve via API", with its filters. If it is not set, the catalog '
            "selects the reports."
        ),
    ),
    th.Property(
        "program_ids",
        th.ArrayType(TEXT_OR_NUMBER),
        description="Programs to export separately. By default one export has all programs.",
    ),
    window(
        "Calendar period of one export; `none` loads a report without dates, as a snapshot. By "
        "default `month`, and `none` for a report that does not accept dates.",
        snapshot=True,
    ),
    lookback(60),
    RESULT_MAX_AGE,
    th.Property(
        "max_exports",
        th.IntegerType(minimum=0),
        default=90,
        description="Exports that one run may request; an account has 100 a day.",
    ),
    th.Property(
        clicks.NAME,
        th.BooleanType,
        default=False,
        description=(
            "Whether to load the stream `clicks`: every click of the account, one export a day."
        ),
    ),
    th.Property(
        clicks.SETTING,
        th.IntegerType(minimum=0),
        default=9,
        description="Exports of clicks that one run may request; an account has 10 a day.",
    ),
    th.Property(
        "report_options",
        th.ObjectType(additional_properties=REPORT_OPTIONS),
        description=(
            "Options by report id: `window`, `lookback_days`, `filters`, `primary_keys`, `mode`. "
            "Those of `clicks` are `lookback_days` (3 by default) and `filters`."
        ),
    ),
    *FLOW,
    additional_properties=False,
)
REQUIRED = ("account_sid", "auth_token")


def check(settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield the links that are refused, and what would make a key null, empty or ambiguous."""
    has_programs = bool(settings.get("program_ids"))
    yield from links.check(settings.get("reports") or [], has_programs=has_programs)
    for number, report in enumerate(settings.get("report_options") or {}, 1):
        if links.is_link(report):
            yield KEY_IS_LINK % number
    for program in settings.get("program_ids") or ():
        if str(program).strip().casefold() in {"", ALL_PROGRAMS}:
            yield (
                f"program_ids: {program!r} is not a program id; leave program_ids out to export "
                "all programs"
            )
    for report, options in (settings.get("report_options") or {}).items():
        if settings.get(clicks.NAME) and report == clicks.NAME:
            given = {name for name, value in options.items() if value != DEFAULTS.get(name)}
            for name in sorted(given - {*clicks.OPTIONS}):
                yield CLICKS_OPTION % name
        for key in sorted({*(options.get("primary_keys") or ())} & NULLABLE):
            yield (
                f"report_options.{report}.primary_keys: {key} is null in most rows, so it is not "
                "a key; name columns of the report"
            )
