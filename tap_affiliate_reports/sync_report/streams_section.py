"""The part of the page about streams: rows per day, windows, files and lists."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from xml.etree.ElementTree import Element

from tap_affiliate_reports.sync_report.charts import axis_labels, rows_chart, windows_strip
from tap_affiliate_reports.sync_report.days import DayAxis, axis
from tap_affiliate_reports.sync_report.facts import (
    FileFacts,
    ProgramFacts,
    StreamFacts,
    WindowFacts,
    WindowState,
)
from tap_affiliate_reports.sync_report.markup import element, isolated
from tap_affiliate_reports.sync_report.text import count, rows_text, window_text

MOST_FILES = 24
MOST_PROGRAMS = 6
LEGEND = (
    ("now", "rows loaded in this sync"),
    ("earlier", "rows loaded before"),
    ("settled", "complete"),
    ("complete", "complete, may still change"),
    ("open", "open"),
    ("missing", "missing"),
    ("failed", "failed"),
)
NOTE = (
    "Rows per day: the rows of each window, divided evenly over its days; each stream has a scale "
    "of its own. Below, the windows: an open one goes on after its last day, or is due to be "
    "loaded again."
)
# The worst first.
ORDER = tuple(WindowState)


def sections(streams: Sequence[StreamFacts]) -> Iterator[Element]:
    """Yield the section about streams, unless there are none."""
    if not streams:
        return
    tables = [stream for stream in streams if stream.unit]
    lists = [stream for stream in streams if not stream.unit]
    days = axis(window for stream in tables for window in stream.windows)
    rows = [_stream(stream, days) for stream in tables]
    if days is not None:
        rows.append(_axis_row(days))
    yield element(
        "section",
        element(
            "div",
            element("h2", "Streams"),
            element(
                "p",
                *(element("span", text, style=f"--swatch: var(--{name})") for name, text in LEGEND),
                class_="legend",
            )
            if days is not None
            else None,
            class_="head",
        ),
        element("div", *rows, *_lists(lists), class_="card"),
        element("p", NOTE, _bars(days), class_="note below") if days is not None else None,
    )


def _bars(days: DayAxis) -> str | None:
    return f" One bar is {days.days_a_bar} days." if days.days_a_bar > 1 else None


def _stream(stream: StreamFacts, days: DayAxis | None) -> Element:
    worst = next((state for state in ORDER if stream.count(state)), WindowState.COMPLETE)
    if stream.has_failed:
        worst = WindowState.FAILED
    swatch = "settled" if worst in {WindowState.COMPLETE, WindowState.OPEN} else worst.value
    more = [
        text
        for number, text in (
            (stream.exports, count(stream.exports, "export spent", "exports spent")),
            (stream.vanished, f"{stream.vanished:,} deleted"),
            (stream.unparsed, f"{stream.unparsed:,} unparsed"),
        )
        if number
    ]
    is_snapshot = any(window.days is None for window in stream.windows)
    until = "snapshot" if is_snapshot else "nothing complete yet"
    return element(
        "div",
        element(
            "div",
            element(
                "h3",
                element("span", class_="dot", style=f"--swatch: var(--{swatch})"),
                isolated(stream.name),
            ),
            element(
                "p",
                f"{stream.network} · ",
                *(
                    ("complete up to ", element("span", stream.bookmark[:10], class_="day"))
                    if stream.bookmark
                    else (until,)
                ),
                class_="note",
            ),
            class_="names",
        ),
        element("div", *_middle(stream, days), class_="middle"),
        element(
            "div",
            element("b", f"{stream.rows:,}"),
            " row" if stream.rows == 1 else " rows",
            *(element("p", text, class_="note") for text in more),
            class_="figure",
        ),
        class_="stream",
    )


def _middle(stream: StreamFacts, days: DayAxis | None) -> Iterator[Element]:
    dated = [window for window in stream.windows if window.days is not None]
    if days is not None and dated:
        if any(window.rows for window in dated):
            yield rows_chart(stream.name, days, dated)
        for program in _merged(stream.programs):
            yield _program(stream, program, days)
    if stream.unit == "files":
        yield from _files(stream)
    else:
        yield element("p", _states(stream, dated), class_="note states")


def _program(stream: StreamFacts, program: ProgramFacts, days: DayAxis) -> Element:
    name = f"{stream.name}, program {program.program}" if program.program else stream.name
    return element(
        "div",
        isolated(program.program, class_="note") if program.program else None,
        windows_strip(name, days, program.windows),
        class_="program",
    )


def _merged(programs: Sequence[ProgramFacts]) -> Sequence[ProgramFacts]:
    """Return few programs as they are, many as one, with the rows and the worst state of all."""
    if len(programs) <= MOST_PROGRAMS:
        return programs
    worst: dict[object, WindowFacts] = {}
    for program in programs:
        for window in program.windows:
            other = worst.get(window.days, replace(window, rows=0))
            first = min(other, window, key=lambda one: ORDER.index(one.state))
            worst[window.days] = replace(first, rows=other.rows + window.rows)
    name = f"worst of {len(programs)}"
    windows = sorted(worst.values(), key=lambda window: window.days or ())
    return [ProgramFacts(name, windows)]


def _states(stream: StreamFacts, dated: Sequence[WindowFacts]) -> str:
    if not stream.windows:
        return "no window is planned"
    if not dated:
        return "; ".join(window_text(window) for window in stream.windows)
    parts = [
        f"{stream.count(state):,} {state.value}" for state in reversed(ORDER) if stream.count(state)
    ]
    loaded = f"{stream.loaded:,} loaded in this sync"
    return f"{count(len(stream.windows), 'window', 'windows')}: {', '.join(parts)} · {loaded}"


def _files(stream: StreamFacts) -> Iterator[Element]:
    parts = [
        count(stream.loaded, "file loaded", "files loaded"),
        *(
            f"{number:,} {text}"
            for number, text in (
                (stream.count(WindowState.MISSING), "not loaded"),
                (stream.count(WindowState.FAILED), "failed"),
                (stream.waiting, "waiting at the service"),
                (stream.unchanged, "loaded before"),
            )
            if number
        ),
    ]
    files = sorted(stream.files, key=lambda file: ORDER.index(file.state))
    items = [element("li", isolated(file.name), _file_text(file)) for file in files]
    hidden = len(items) - MOST_FILES
    if hidden > 0:
        items[MOST_FILES:] = [element("li", f"{hidden:,} more")]
    if items:
        yield element("ul", *items, class_="files")
    yield element("p", " · ".join(parts), class_="note states")


def _file_text(file: FileFacts) -> str:
    if file.rows is not None:
        return f": {rows_text(file.rows)}"
    state = "failed" if file.state is WindowState.FAILED else "not loaded"
    return f": {state}, {file.reason}" if file.reason else f": {state}"


def _lists(lists: Sequence[StreamFacts]) -> Iterator[Element]:
    if lists:
        items = (
            element(
                "li",
                isolated(one.name),
                f" {rows_text(one.rows)}" + (", failed" if one.has_failed else ""),
            )
            for one in lists
        )
        yield element("div", element("ul", *items, class_="lists"), class_="stream-lists")


def _axis_row(days: DayAxis) -> Element:
    return element(
        "div",
        element("span"),
        element("div", axis_labels(days.ticks()), class_="middle"),
        element("span"),
        class_="stream axis-row",
    )
