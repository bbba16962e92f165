"""What the exports of a plan will cost: known jobs are polled, and nothing is requested."""

from __future__ import annotations

from dataclasses import dataclass, field

from tap_affiliate_reports.errors import RateLimited, TapError, Unauthorized
from tap_affiliate_reports.exports.export import Export, Step
from tap_affiliate_reports.exports.flow import ExportFlow
from tap_affiliate_reports.exports.outcomes import Next, Wait


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
    found = Forecast()
    left = flow.exports_beyond_plan
    for export in flow.queued:
        if export.needs_export:
            found.spent.add(export)
        elif export.order.previous_job:
            try:
                outcome = flow.first_step(export)
            except (Unauthorized, RateLimited):
                raise
            except TapError as error:
                found.errors[export] = error
                continue
            if outcome is Next.REQUEST:
                found.lost.add(export)
                left -= 1
                (found.spent if left >= 0 else found.late).add(export)
            elif outcome is Next.REPLAY or (
                isinstance(outcome, Wait) and outcome.step is Step.PAUSED
            ):
                found.replayed.add(export)
    return found
