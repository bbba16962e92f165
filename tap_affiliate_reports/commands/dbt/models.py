"""The models of dbt: for each report, the rows that count."""

from __future__ import annotations

from collections.abc import Sequence

from tap_affiliate_reports.commands.dbt.folder import MARK
from tap_affiliate_reports.commands.dbt.tables import Table

# The name of a model must be unique in a dbt project, so it says where the table is from.
PREFIX = "stg_affiliate__"

LIVE = """\
select * from {{ source('affiliate', 'TABLE') }}
where _sdc_deleted_at is null
"""
# Rows that vanished from such a report are not marked: they are older than their window's newest.
NEWEST = """\
with live as (
    select * from {{ source('affiliate', 'TABLE') }}
    where _sdc_deleted_at is null
),
newest as (
    select _account, _program_id, _window_start, max(_refreshed_at) as _refreshed_at
    from live
    group by _account, _program_id, _window_start
)
select live.* from live
inner join newest
    on live._account = newest._account
    and live._program_id = newest._program_id
    and live._window_start = newest._window_start
    and live._refreshed_at = newest._refreshed_at
"""


def models(tables: Sequence[Table]) -> dict[str, str]:
    """Return the SQL of each report by the name of its file."""
    found = {}
    for table in tables:
        if table.marks_deleted:
            sql = LIVE if table.marks_vanished else NEWEST
            text = f"-- {MARK}\n" + sql.replace("TABLE", table.name)
            found[f"{PREFIX}{table.slug}.sql"] = text
    return found
