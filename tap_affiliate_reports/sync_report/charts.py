"""The charts, as SVG that stretches to the width it is given. Their text is HTML beside them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from xml.etree.ElementTree import Element

from tap_affiliate_reports.sync_report.days import DayAxis
from tap_affiliate_reports.sync_report.facts import JobFacts, Phase, WindowFacts, WindowState
from tap_affiliate_reports.sync_report.markup import element
from tap_affiliate_reports.sync_report.text import rows_text, seconds_text, window_text

HEIGHT = 100
# Beyond it, a label does not fit on the right of its place.
LAST_PLACE = 0.9
# Beyond this many windows in a strip, neighbours of one state are drawn as one.
MOST_WINDOWS = 120
# Windows that lack rows are lower, so that the state shows without colours too.
TOPS = {WindowState.MISSING: 60, WindowState.OPEN: 30}
# The phases in which an export waits for others.
IDLE = {Phase.QUEUED, Phase.WAITING}


def _chart(title: str, width: float, *marks: Element, class_: str) -> Element:
    return element(
        "svg",
        element("title", title),
        *marks,
        class_=class_,
        role="img",
        viewBox=f"0 0 {_number(width)} {HEIGHT}",
        preserveAspectRatio="none",
    )


def rows_chart(name: str, axis: DayAxis, windows: Sequence[WindowFacts]) -> Element:
    """Return the rows per day of a stream; those that this sync loaded stand out."""
    everything = axis.rows(windows)
    earlier = axis.rows([window for window in windows if not window.in_this_sync])
    top = max(everything, default=0.0)
    title = (
        f"{name}: rows per day from {axis.first} to {axis.last}, at most "
        f"{rows_text(top)}; of all {rows_text(sum(window.rows for window in windows))}, "
        f"{rows_text(sum(window.rows for window in windows if window.in_this_sync))} "
        "were loaded in this sync"
    )
    ticks = "".join(f"M{_number(place * axis.bars)} 0V{HEIGHT}" for place, _ in axis.ticks())
    return _chart(
        title,
        axis.bars,
        element("path", class_="grid", d=ticks),
        element("path", class_="now", d=_area(everything, top)),
        element("path", class_="earlier", d=_area(earlier, top)),
        class_="rows",
    )


def _area(bars: Sequence[float], top: float) -> str:
    """Return the path of bars side by side; equal neighbours are one."""
    path, place = f"M0 {HEIGHT}", 0
    for value, same in groupby(bars):
        place += len(list(same))
        level = HEIGHT - (value / top * HEIGHT if top else 0)
        path += f"V{_number(level)}H{place}"
    return f"{path}V{HEIGHT}Z"


def windows_strip(name: str, axis: DayAxis, windows: Sequence[WindowFacts]) -> Element:
    """Return the states of windows, each at its days."""
    states = ", ".join(
        f"{number:,} {state.value}"
        for state in WindowState
        if (number := sum(window.state is state for window in windows))
    )
    return _chart(f"windows of {name}: {states}", axis.bars, *_marks(axis, windows), class_="strip")


def _marks(axis: DayAxis, windows: Sequence[WindowFacts]) -> Iterator[Element]:
    for window, number in _joined(windows):
        if window.days is None:
            continue
        first, last = axis.place(window.days[0]), axis.place(window.days[1])
        width = last - first + 1 / axis.days_a_bar
        top = TOPS.get(window.state, 0)
        settled = " settled" if window.is_settled and window.state is WindowState.COMPLETE else ""
        yield element(
            "rect",
            element("title", window_text(window, number)),
            class_=window.state.value + settled,
            x=_number(first),
            y=top,
            width=_number(width),
            height=HEIGHT - top,
        )


def _joined(windows: Sequence[WindowFacts]) -> Iterator[tuple[WindowFacts, int]]:
    """Yield what is drawn as one mark, and the number of windows in it."""
    if len(windows) <= MOST_WINDOWS:
        yield from ((window, 1) for window in windows)
        return
    for _, group in groupby(
        windows, key=lambda one: (one.state, one.is_settled, one.in_this_sync, one.reason)
    ):
        same = [window for window in group if window.days]
        days = [day for window in same for day in window.days or ()]
        if same:
            rows = sum(window.rows for window in same)
            yield replace(same[0], days=(min(days), max(days)), rows=rows), len(same)


def job_bar(job: JobFacts, seconds: float, ticks: Sequence[float]) -> Element:
    """Return the phases of one export on the time line of the sync."""
    longest = max(seconds, 1e-9)
    phases = ", ".join(
        f"{span.phase.value} {seconds_text(span.ended - span.began)}" for span in job.spans
    )
    name = f"{job.stream} {job.window}{f', job {job.job}' if job.job else ''}"
    lines = "".join(f"M{_number(tick / longest * 1000)} 0V{HEIGHT}" for tick in ticks)
    return _chart(
        f"{name}, {job.result}: {phases}",
        1000,
        element("path", class_="grid", d=lines),
        *(
            element(
                "rect",
                class_=span.phase.name.lower(),
                x=_number(span.began / longest * 1000),
                y=35 if span.phase in IDLE else 10,
                width=_number(max((span.ended - span.began) / longest * 1000, 1.5)),
                height=30 if span.phase in IDLE else 80,
            )
            for span in job.spans
        ),
        class_="job",
    )


def axis_labels(ticks: Iterable[tuple[float, str]]) -> Element:
    """Return the labels of an axis, each at its place from 0 to 1; the last ones end there."""
    labels = (
        element(
            "span",
            text,
            style=f"right: {1 - place:.2%}" if place > LAST_PLACE else f"left: {place:.2%}",
        )
        for place, text in ticks
    )
    return element("div", *labels, class_="axis")


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
