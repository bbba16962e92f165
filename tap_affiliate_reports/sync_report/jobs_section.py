"""The part of the page about exports on the time line of the sync."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from xml.etree.ElementTree import Element

from tap_affiliate_reports.sync_report.charts import axis_labels, job_bar
from tap_affiliate_reports.sync_report.facts import JobFacts, Phase, SyncFacts
from tap_affiliate_reports.sync_report.markup import element
from tap_affiliate_reports.sync_report.text import seconds_text

MOST_JOBS = 60
# Seconds between two labels of the time line.
STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400)
MOST_LABELS = 6


def sections(facts: SyncFacts) -> Iterator[Element]:
    """Yield the section about exports, unless no export left the queue."""
    if not facts.jobs:
        return
    seconds = max(facts.seconds, *(span.ended for job in facts.jobs for span in job.spans))
    step = next((step for step in STEPS if seconds / step <= MOST_LABELS), STEPS[-1])
    ticks = [step * number for number in range(int(seconds / step) + 1)]
    labels = axis_labels((tick / max(seconds, 1e-9), seconds_text(tick)) for tick in ticks)
    shown = _chosen(facts.jobs)
    hidden = len(facts.jobs) - len(shown)
    yield element(
        "section",
        element(
            "div",
            element("h2", "Exports on a time line"),
            element(
                "p",
                *(
                    element("span", phase.value, style=f"--swatch: var(--{phase.name.lower()})")
                    for phase in Phase
                ),
                class_="legend",
            ),
            class_="head",
        ),
        element(
            "div",
            *(_job(job, seconds, ticks) for job in shown),
            element(
                "div",
                element("span"),
                labels,
                element("span"),
                class_="row axis-row",
            ),
            class_="jobs card",
        ),
        element(
            "p",
            "The time of an export is from its request to its last row.",
            f" {hidden:,} more exports, which took less time, are not shown." if hidden else None,
            class_="note below",
        ),
    )


def _took(job: JobFacts) -> float:
    return sum(span.ended - span.began for span in job.spans if span.phase is not Phase.QUEUED)


def _chosen(jobs: Sequence[JobFacts]) -> list[JobFacts]:
    """Return the exports that are shown, as they began: those not loaded, then the longest."""
    important = sorted(jobs, key=lambda job: (job.result == "loaded", -_took(job)))
    return sorted(
        important[:MOST_JOBS],
        key=lambda job: next(span.began for span in job.spans if span.phase is not Phase.QUEUED),
    )


def _job(job: JobFacts, seconds: float, ticks: Sequence[float]) -> Element:
    is_loaded = job.result == "loaded"
    # A narrow screen shows the first day alone.
    first, dots, rest = job.window.partition("..")
    return element(
        "div",
        element(
            "span",
            element("bdi", job.stream),
            element("span", first, element("span", dots + rest, class_="rest"), class_="muted"),
            class_="label",
        ),
        job_bar(job, seconds, ticks),
        element(
            "span",
            seconds_text(_took(job)) if is_loaded else job.result.partition(":")[0],
            class_="took bad" if job.result == "failed" else "took",
        ),
        class_="row",
    )
