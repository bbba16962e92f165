"""The command `--plan`: what a sync would load, why, and what it would cost.

The sync's own code decides; only the jobs that are known are polled on top of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tap_affiliate_reports.errors import RateLimited, TapError, Unauthorized
from tap_affiliate_reports.exports.export import Export
from tap_affiliate_reports.exports.forecast import Forecast, forecast
from tap_affiliate_reports.exports.job import ExportKind
from tap_affiliate_reports.run import with_stream
from tap_affiliate_reports.sources.source import Source
from tap_affiliate_reports.streams import TableStream
from tap_affiliate_reports.streams.rules import program_id
from tap_affiliate_reports.tap import TapAffiliateReports

IN_A_LATER_RUN = "%s; in a later run: %s"
NO_QUOTA_LEFT = "its job no longer exists, and this run may spend no more exports"


def document(tap: TapAffiliateReports) -> dict[str, Any]:
    """Return the plan of every source; `ok` is false if a stream would fail."""
    tap.plan()
    errors = dict(tap.run.failures)
    sources = [_source(tap, source, errors) for source in tap.sources]
    lines = [with_stream(name, error) for name, error in errors.items()]
    return {"ok": not lines, "sources": sources, "errors": lines}


def _source(
    tap: TapAffiliateReports, source: Source, errors: dict[str, TapError]
) -> dict[str, Any]:
    """Return the plan of one source, and add what would fail to `errors`."""
    tables = [one for one in tap.sync.tables if one.source is source and one.selected]
    planned = [one for one in tables if not tap.run.has_failed(one.name, source)]
    try:
        cost = forecast(tap.run.flow(source))
    except (Unauthorized, RateLimited) as error:
        cost = Forecast()
        errors[source.name] = error
    for export, export_error in cost.errors.items():
        errors.setdefault(export.order.stream, export_error)
    costs: dict[str, int | None] = {}
    for kind in source.policy.kinds:
        costs |= _costs(kind, planned, cost)
    return {
        "source": source.name,
        **costs,
        "streams": [_stream(stream, cost) for stream in planned],
    }


def _costs(
    kind: ExportKind, planned: Sequence[TableStream], cost: Forecast
) -> dict[str, int | None]:
    """Return how many exports of one kind are needed, allowed and spent, and in how many runs."""
    streams = [one for one in planned if any(_is_of(kind, export) for export in one.exports)]
    orders = [export for one in streams for export in one.exports if _is_of(kind, export)]
    needed = sum(export.order.needs_export or export in cost.lost for export in orders)
    # A backfill that takes several nights has a new day to load in each of them.
    daily = sum(one.adds_a_day for one in streams)
    is_default = kind.name == ExportKind.name
    return {
        f"{kind.name}_needed": needed,
        f"{kind.name}_allowed": kind.limit,
        f"{kind.name}_to_spend": len(cost.spent.intersection(orders)),
        "nights" if is_default else f"{kind.name}_nights": _nights(needed, kind.limit, daily),
    }


def _is_of(kind: ExportKind, export: Export) -> bool:
    return export.order.request.kind == kind


def _nights(needed: int, allowed: int | None, daily: int = 0) -> int | None:
    """Return how many runs spend all exports; None if no number of runs does.

    `daily` is how many more are needed for the days that go by between the runs.
    """
    if not needed or allowed is None:
        return min(needed, 1)
    if needed <= allowed:
        return 1
    return 1 + math.ceil((needed - allowed) / (allowed - daily)) if allowed > daily else None


def _stream(stream: TableStream, cost: Forecast) -> dict[str, Any]:
    new = [export for export in stream.exports if not export.order.is_refresh]
    refresh = [export for export in stream.exports if export.order.is_refresh]
    return {
        "stream": stream.name,
        "complete_until": stream.bookmark() or None,
        "new": [_window(export, cost) for export in new],
        "refresh": [_window(export, cost) for export in refresh],
        "unchanged": stream.totals.unchanged,
        "exports": len(cost.spent.intersection(stream.exports)),
        "replays": len(cost.replayed.intersection(stream.exports)),
    }


def _window(export: Export, cost: Forecast) -> dict[str, Any]:
    request, why = export.order.request, export.order.why
    if export.is_skipped:
        why = IN_A_LATER_RUN % (why, export.skip_reason)
    elif export in cost.late:
        why = IN_A_LATER_RUN % (why, NO_QUOTA_LEFT)
    return {
        "start": request.start.isoformat() if request.start else None,
        "end": request.end.isoformat() if request.end else None,
        "program": program_id(request.program),
        "why": why,
    }
