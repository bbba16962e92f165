"""How long slow jobs take together, and how often the service is asked for them."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from math import ceil
from statistics import median

from tap_process import config_of, sync

from tap_affiliate_reports.sandbox import Attribute, Report, Sandbox

CONCURRENT = 5
MONTHS_12 = {"START_DATE": "2025-09-01", "END_DATE": "2026-08-31"}
POLL = re.compile(r"GET /Mediapartners/[^/]+/Jobs(/[^/]+)?$")


def _add(sandbox: Sandbox, count: int) -> list[str]:
    def rows(start: date | None, *_: object) -> list[list[str]]:
        return [[str(start)]]

    names = [f"bench_{number}" for number in range(count)]
    for name in names:
        sandbox.impact.add(Report(name, name, [Attribute("Id")], rows))
    return names


def slow_jobs(seconds: float, runs: int, tell: Callable[[str], None]) -> None:
    """Print the wall time of many slow jobs beside the ideal."""
    with Sandbox(job_seconds=seconds, exports_per_day=1000) as sandbox:
        for reports, windows in ((5, 1), (1, 12), (30, 1), (5, 12)):
            dates = MONTHS_12 if windows == 12 else {}
            config = config_of(sandbox, _add(sandbox, reports), **dates)
            wall = median(sync(sandbox, config).seconds for _ in range(runs))
            ideal = ceil(reports * windows / CONCURRENT) * seconds
            tell(
                f"{reports} reports x {windows} windows, jobs of {seconds:g} s, {CONCURRENT} at "
                f"once: {wall:.2f} s, ideal {ideal:g} s, ratio {wall / ideal:.2f}"
            )


def polls(seconds: float, runs: int, tell: Callable[[str], None]) -> None:
    """Print how many polls jobs in flight cost, few and many."""
    with Sandbox(job_seconds=seconds, exports_per_day=1000) as sandbox:
        told = []
        for jobs in (CONCURRENT, 60):
            config = config_of(sandbox, _add(sandbox, jobs), max_concurrent_jobs=jobs)
            counts = []
            for _ in range(runs):
                sync(sandbox, config)
                asked = (f"{request.method} {request.path}" for request in sandbox.requests)
                counts.append(sum(POLL.match(line) is not None for line in asked))
            told.append(f"{median(counts):g} polls for {jobs} jobs")
    tell(f"in flight at once, jobs of {seconds:g} s: {', '.join(told)}")
