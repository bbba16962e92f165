"""The settings of Hi Energy AI."""

from __future__ import annotations

from singer_sdk import typing as th

from tap_affiliate_reports.settings.shared import ACCOUNT, FLOW, api_url, secret

REPORT_TYPES = (
    "advertisers_csv",
    "deals_excel",
    "hot_advertisers_excel",
    "clicks_details_excel",
)

CREATE = th.ObjectType(
    th.Property(
        "report_type",
        th.StringType(allowed_values=list(REPORT_TYPES)),
        required=True,
        description="Type of the export.",
    ),
    th.Property(
        "search_params",
        th.ObjectType(additional_properties=True),
        description="Search parameters of the export, sent unchanged.",
    ),
    th.Property(
        "index_params",
        th.ObjectType(additional_properties=True),
        description="Index parameters of the export, sent unchanged.",
    ),
    additional_properties=False,
)

SETTINGS = th.ObjectType(
    secret("api_key", "API key."),
    api_url("https://app.hienergy.ai/api/v1"),
    ACCOUNT,
    th.Property(
        "create",
        th.ArrayType(CREATE),
        description=(
            "Exports to request in each sync, each with `report_type`, `search_params` and "
            "`index_params`."
        ),
    ),
    *FLOW,
    additional_properties=False,
)
REQUIRED = ("api_key",)
