"""The table of settings: names, types, what they mean, which are secret."""

from __future__ import annotations

from typing import Any

from singer_sdk import typing as th

from tap_affiliate_reports.windows import SIZES

# YAML reads a purely numeric id as a number.
TEXT_OR_NUMBER = th.CustomType({"type": ["string", "integer"]})
# In place of a URL: the embedded fake of the service.
SANDBOX = "sandbox"
MODES = ("export", "run")

FLOW = (
    th.Property(
        "max_concurrent_jobs",
        th.IntegerType(minimum=1),
        description="Jobs in flight at once, over all streams (default 5).",
    ),
    th.Property(
        "poll_interval_seconds",
        th.NumberType(minimum=0),
        description="Shortest pause between two polls (default 2).",
    ),
    th.Property(
        "job_timeout_seconds",
        th.NumberType(minimum=0),
        description="A job not done by then is an error (default 5400).",
    ),
    th.Property(
        "max_wait_seconds",
        th.NumberType(minimum=0),
        description="The longest sleep for a rate limit; beyond it the tap stops (default 300).",
    ),
)

WINDOW = th.Property(
    "window",
    th.StringType(allowed_values=list(SIZES)),
    description="The calendar slots, one export each (default month); none: a snapshot.",
)
LOOKBACK = th.Property(
    "lookback_days",
    th.IntegerType(minimum=0, maximum=36_500),
    description="How long after its last day a window may still change (default 60).",
)

RESULT_MAX_AGE = th.Property(
    "result_max_age_hours",
    th.NumberType(minimum=0, maximum=876_000),
    description="A younger file of an unsettled window is left alone (default 20).",
)

REPORT_OPTIONS = th.ObjectType(
    WINDOW,
    LOOKBACK,
    th.Property(
        "filters",
        th.ObjectType(additional_properties=True),
        description="Filter name -> value or list of values, passed through as given.",
    ),
    th.Property(
        "primary_keys",
        th.ArrayType(th.StringType),
        description="Columns that identify a row, in place of the window and row number.",
    ),
    th.Property(
        "mode",
        th.StringType(allowed_values=list(MODES)),
        description="export: by a job (default); run: the synchronous endpoint.",
    ),
    additional_properties=False,
)

IMPACT = th.ObjectType(
    th.Property("account_sid", th.StringType, description="Account SID of the API token."),
    th.Property("auth_token", th.StringType, secret=True, description="Auth token."),
    th.Property(
        "api_url",
        th.StringType,
        description="Base URL (default https://api.impact.com); `sandbox`: invented data.",
    ),
    th.Property(
        "api_version",
        TEXT_OR_NUMBER,
        description="API version, sent as IR-Version (default 16).",
    ),
    th.Property(
        "timezone",
        th.StringType,
        description="IANA zone of the account's days (default: the account's own).",
    ),
    th.Property(
        "reports",
        th.ArrayType(TEXT_OR_NUMBER),
        description="Report ids or globs to sync (`*` = all); not set: the catalog decides.",
    ),
    th.Property(
        "program_ids",
        th.ArrayType(TEXT_OR_NUMBER),
        description="Programs to export one by one (default: all in one export).",
    ),
    WINDOW,
    LOOKBACK,
    RESULT_MAX_AGE,
    th.Property(
        "max_exports",
        th.IntegerType(minimum=0),
        description="Exports that one run may spend (default 90 of the account's 100 a day).",
    ),
    th.Property(
        "report_options",
        th.ObjectType(additional_properties=REPORT_OPTIONS),
        description="Per report id: window, lookback_days, filters, primary_keys, mode.",
    ),
    *FLOW,
    additional_properties=False,
)

ACCOUNT = th.Property(
    "account",
    th.StringType,
    description="Label of the rows in _account (default `default`).",
)
HIENERGY_REPORT_TYPES = (
    "advertisers_csv",
    "deals_excel",
    "hot_advertisers_excel",
    "clicks_details_excel",
)
HIENERGY = th.ObjectType(
    th.Property("api_key", th.StringType, secret=True, description="API key."),
    th.Property(
        "api_url",
        th.StringType,
        description="Base URL (default https://app.hienergy.ai/api/v1); `sandbox`: invented data.",
    ),
    ACCOUNT,
    th.Property(
        "create",
        th.ArrayType(
            th.ObjectType(
                th.Property(
                    "report_type",
                    th.StringType(allowed_values=list(HIENERGY_REPORT_TYPES)),
                    required=True,
                    description="The kind of export.",
                ),
                th.Property(
                    "search_params",
                    th.ObjectType(additional_properties=True),
                    description="Passed through as given.",
                ),
                th.Property(
                    "index_params",
                    th.ObjectType(additional_properties=True),
                    description="Passed through as given.",
                ),
                additional_properties=False,
            )
        ),
        description="Exports to ask for in each sync: report_type, search_params, index_params.",
    ),
    *FLOW,
    additional_properties=False,
)
INTERVALS = ("hourly", "daily", "monthly")
# The windows that a month's row fits into.
MONTHS = ("month", "quarter", "year")
INSTAL = th.ObjectType(
    th.Property("auth_token", th.StringType, secret=True, description="Auth token."),
    th.Property(
        "api_url",
        th.StringType,
        description=(
            "URL of the exports (default https://dashboard.instal.com/advertiser/api/v1/reports/"
            "exports/); `sandbox`: invented data."
        ),
    ),
    ACCOUNT,
    th.Property(
        "interval",
        th.StringType(allowed_values=list(INTERVALS)),
        description="The time that a row stands for (default daily).",
    ),
    th.Property("sorting", th.StringType, description="The order of the rows (default time)."),
    th.Property(
        "window",
        th.StringType(allowed_values=[size for size in SIZES if size != "none"]),
        description="The calendar slots, one export each (default month).",
    ),
    th.Property(
        "lookback_days",
        th.IntegerType(minimum=0, maximum=36_500),
        description="How long after its last day a window may still change (default 30).",
    ),
    RESULT_MAX_AGE,
    th.Property(
        "timezone", th.StringType, description="IANA zone of the account's days (default UTC)."
    ),
    *FLOW,
    additional_properties=False,
)

SOURCES: dict[str, th.ObjectType] = {"impact": IMPACT, "hienergy": HIENERGY, "instal": INSTAL}
REQUIRED: dict[str, tuple[str, ...]] = {
    "impact": ("account_sid", "auth_token"),
    "hienergy": ("api_key",),
    "instal": ("auth_token",),
}

CONFIG_SCHEMA: dict[str, Any] = th.PropertiesList(
    th.Property(
        "start_date",
        th.StringType,
        required=True,
        description="First day to fetch (date or date-time).",
    ),
    th.Property(
        "end_date",
        th.StringType,
        description="Last day to fetch, inclusive (default: the last day that ended 6 hours ago).",
    ),
    th.Property(
        "reload",
        th.StringType,
        description=(
            "Windows to load again: days (2026-03-01/2026-04-30, or one day), or `all`, also "
            "after a change of the settings that define a window. Remove it after the run."
        ),
    ),
    th.Property(
        "user_agent",
        th.StringType,
        description="User-Agent header (default tap-affiliate-reports/<version>).",
    ),
    th.Property(
        "use_singer_decimal",
        th.BooleanType,
        default=False,
        description="Decimals as x-singer.decimal strings, where `number` would be a float.",
    ),
    th.Property(
        "on_quota",
        th.StringType(allowed_values=["fail", "warn"]),
        default="fail",
        description="Exit status when the export quota stopped the sync: fail or warn (exit 0).",
    ),
    th.Property(
        "emit_activate_version_messages",
        th.BooleanType,
        default=True,
        description="Whether a full refresh retires what is left from before.",
    ),
    th.Property("impact", IMPACT, description="impact.com Partner Reports and Jobs."),
    th.Property("hienergy", HIENERGY, description="Hi Energy AI export reports."),
    th.Property("instal", INSTAL, description="Instal.com Advertiser Report."),
).to_dict()
