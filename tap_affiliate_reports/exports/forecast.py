"""What the exports of a plan will cost: known jobs are polled, and nothing is requested."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

from tap_affiliate_reports.errors import RateLimited, TapError, Unauthorized
from tap_affiliate_reports.exports.export import Export, Step
from tap_affiliate_reports.exports.flow import ExportFlow
from tap_affiliate_reports.exports.job import ExportKind
from tap_affiliate_reports.exports.outcomes import Next, Outcome, Wait

POLLS = 5
"""How many jobs are polled at once."""


@dataclass
class Forecast:
    """The exports that a sync will spend, the jobs it will replay, and the errors it will meet.

    `lost` are the exports that are needed because a job no longer exists, `late` those of them for
    which the quota of this run does not suffice. A request may be answered with an old job, whose
    replay is not foreseen; it costs no export.
    """

    spent: set[Export] = field(default_factory=set)
    replayed: set[Export] = field(default_factory=set)
    lost: set[Export] = field(default_factory=set)
    late: set[Export] = field(default_factory=set)
    errors: dict[Export, TapError] = field(default_factory=dict)


def forecast(flow: ExportFlow) -> Forecast:
    """Return what the queued exports will cost, by the first step of each.

    Raises Unauthorized, and RateLimited if the service requires a longer pause than allowed.
    """
    found = Forecast(spent={export for export in flow.queued if export.needs_export})
    known = [export for export in flow.queued if export.order.previous_job]
    lost: Counter[ExportKind] = Counter()
    with ThreadPoolExecutor(POLLS) as pool:
        outcomes = pool.map(partial(_first_step, flow), known)
        for export, outcome in zip(known, outcomes, strict=True):
            if isinstance(outcome, TapError):
                found.errors[export] = outcome
            elif outcome is Next.REQUEST:
                found.lost.add(export)
                kind = export.order.request.kind
                lost[kind] += 1
                is_late = lost[kind] > flow.exports_beyond_plan(kind)
                (found.late if is_late else found.spent).add(export)
            elif outcome is Next.REPLAY or _is_pause(outcome):
                found.replayed.add(export)
    return found


def _first_step(flow: ExportFlow, export: Export) -> Outcome | TapError:
    try:
        return flow.first_step(export)
    except (Unauthorized, RateLimited):
        raise
    except TapError as error:
        return error


def _is_pause(outcome: Outcome) -> bool:
    """Return whether a job failed, so that it is replayed after a pause."""
    return isinstance(outcome, Wait) and outcome.step is Step.PAUSED
