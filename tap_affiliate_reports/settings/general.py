"""The settings of the tap itself, which hold for all networks."""

from __future__ import annotations

from singer_sdk import typing as th

from tap_affiliate_reports.batches import ARROW, JSONL

GENERAL = (
    th.Property(
        "start_date",
        th.StringType,
        required=True,
        description="First day to load, as a date or a date-time.",
    ),
    th.Property(
        "end_date",
        th.StringType,
        description=(
            "Last day to load, inclusive. By default the last day that ended at least 6 hours ago."
        ),
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
        "report_file",
        th.StringType,
        description=(
            "File of the sync report, an HTML page that is written at the end of each sync, also "
            "of one that failed."
        ),
    ),
    th.Property(
        "user_agent",
        th.StringType,
        description=(
            "User-Agent header of every request. By default tap-affiliate-reports/<version>."
        ),
    ),
    th.Property(
        "use_singer_decimal",
        th.BooleanType,
        default=False,
        description=(
            "Whether decimals are strings in the format x-singer.decimal, for loaders that store "
            "`number` as a FLOAT or DOUBLE."
        ),
    ),
    th.Property(
        "on_quota",
        th.StringType(allowed_values=["fail", "warn"]),
        default="fail",
        description=(
            "Exit status of a sync that the export quota stopped: `fail` exits with 1, `warn` "
            "logs a warning and exits with 0."
        ),
    ),
    th.Property(
        "batch_config",
        th.ObjectType(
            th.Property(
                "encoding",
                th.ObjectType(
                    th.Property("format", th.StringType(allowed_values=[JSONL, ARROW])),
                    th.Property("compression", th.StringType(allowed_values=["gzip", "none"])),
                ),
            ),
            th.Property(
                "storage",
                th.ObjectType(
                    th.Property("root", th.StringType),
                    th.Property("prefix", th.StringType),
                    th.Property("params", th.ObjectType()),
                ),
            ),
            th.Property("batch_size", th.IntegerType(minimum=1)),
        ),
        description=(
            "Encoding (jsonl or arrow) and storage (root, prefix) of BATCH files, and the records "
            "of each (batch_size). If it is not set, rows are RECORDs."
        ),
    ),
    th.Property(
        "emit_activate_version_messages",
        th.BooleanType,
        default=True,
        description="Whether a full refresh retires the rows of earlier loads.",
    ),
)
