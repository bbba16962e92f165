"""The page, from the facts of a sync alone. It requests nothing, and runs no script."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from xml.etree.ElementTree import Element

from tap_affiliate_reports.sync_report import jobs_section, streams_section
from tap_affiliate_reports.sync_report.facts import (
    NetworkFacts,
    Outcome,
    Problem,
    SyncFacts,
    WindowState,
)
from tap_affiliate_reports.sync_report.markup import document, element, isolated
from tap_affiliate_reports.sync_report.style import STYLE
from tap_affiliate_reports.sync_report.text import count, moment_text, seconds_text

# The page can't load anything, whatever a name or a message contains.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
MARKS = {
    Outcome.FINISHED: "M11 18.5l5 5 9-11",
    Outcome.INCOMPLETE: "M18 10v10M18 25.5v.1",
    Outcome.FAILED: "M12.5 12.5l11 11M23.5 12.5l-11 11",
    Outcome.STOPPED: "M14 12v12M22 12v12",
}
MOST_WARNINGS = 8


def page(facts: SyncFacts) -> bytes:
    """Return the page as HTML in UTF-8."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("link", rel="icon", href="data:,"),
        element("title", f"Sync report: {facts.outcome.value}, {moment_text(facts.ended)} UTC"),
        element("style", STYLE),
    )
    main = element(
        "main",
        _header(facts),
        _tiles(facts) if facts.streams else None,
        *_problems(facts.problems),
        *streams_section.sections(facts.streams),
        *jobs_section.sections(facts),
        *_warnings(facts.warnings),
        element(
            "footer",
            "Counts and names only: this page has no values of rows, and requests nothing. ",
            f"Written by tap-affiliate-reports {facts.version}.",
        ),
        class_=facts.outcome.value,
    )
    return document(element("html", head, element("body", main), lang="en"))


# What comes first

LOADED = "Everything that is due is loaded"


def headline(facts: SyncFacts) -> str:
    """Return in a few words how the sync ended."""
    failed = {problem.stream for problem in facts.problems if problem.is_failure}
    # A network that failed stands for its streams, unless none of them is known.
    failed -= {stream.network for stream in facts.streams if stream.has_failed}
    failed |= {stream.name for stream in facts.streams if stream.has_failed}
    if facts.outcome is Outcome.STOPPED:
        return "The sync was stopped"
    if facts.outcome is Outcome.FAILED and failed == {""}:
        return "The sync failed" if facts.streams else "The sync could not begin"
    if facts.outcome is Outcome.FAILED:
        names = count(len(failed - {""}), "stream", "streams")
        others = [stream for stream in facts.streams if stream.name not in failed]
        is_done = others and all(stream.is_done for stream in others)
        return f"{names} failed, the others are done" if is_done else f"{names} failed"
    if facts.outcome is Outcome.INCOMPLETE:
        return "The export quota stopped this sync early"
    if not all(stream.is_done for stream in facts.streams):
        return "The sync finished, but some windows could not be refreshed"
    if names := ", ".join(stream.name for stream in facts.streams if stream.later):
        return f"{LOADED}, older days of {names} follow"
    return LOADED if facts.streams else "Nothing was to be loaded"


def _header(facts: SyncFacts) -> Element:
    end = f"{facts.ended:%H:%M:%S}"
    if facts.began.date() != facts.ended.date():
        end = moment_text(facts.ended)
    return element(
        "header",
        element(
            "svg",
            element("title", facts.outcome.value),
            element("circle", cx=18, cy=18, r=18),
            element("path", d=MARKS[facts.outcome]),
            class_="mark",
            role="img",
            viewBox="0 0 36 36",
        ),
        element(
            "div",
            element("h1", headline(facts)),
            element(
                "p",
                f"{moment_text(facts.began)} to {end} UTC · {seconds_text(facts.seconds)}",
                class_="muted",
            ),
        ),
    )


def _tiles(facts: SyncFacts) -> Element:
    streams = facts.streams
    listed = sum(one.rows for one in streams if not one.unit)
    done = sum(one.is_done for one in streams)
    windows, files = (
        sum(one.loaded for one in streams if one.unit == unit) for unit in ("windows", "files")
    )
    rest = {
        state: sum(one.count(state) for one in streams)
        for state in (WindowState.MISSING, WindowState.FAILED)
    }
    vanished = sum(one.vanished for one in streams)
    unparsed = sum(one.unparsed for one in streams)
    return element(
        "dl",
        _tile(
            "Rows loaded",
            f"{sum(one.rows for one in streams if one.unit):,}",
            _joined(
                listed and count(listed, "row", "rows") + " of lists",
                vanished and f"{vanished:,} marked as deleted",
                unparsed and count(unparsed, "value unparsed", "values unparsed"),
            ),
        ),
        _tile(
            "Files loaded" if files and not windows else "Windows loaded",
            f"{files if files and not windows else windows:,}",
            _joined(
                files and windows and count(files, "file", "files"),
                *(number and f"{number:,} {state.value}" for state, number in rest.items()),
            ),
        ),
        _tile(
            "Exports spent",
            f"{sum(one.spent for one in facts.networks):,}",
            *(part for network in facts.networks for part in _network(network)),
        ),
        _tile(
            "Streams done",
            f"{done} of {len(streams)}",
            count(len(facts.warnings), "warning", "warnings") if facts.warnings else "",
        ),
        class_="tiles",
    )


def _tile(name: str, value: str, *notes: Element | str) -> Element:
    parts = (
        note if isinstance(note, Element) else element("p", note, class_="note") for note in notes
    )
    return element(
        "div",
        element("dt", name),
        element("dd", element("p", value, class_="value"), *parts),
        class_="tile",
    )


def _joined(*parts: object) -> str:
    return " · ".join(str(part) for part in parts if part)


def _network(network: NetworkFacts) -> Iterator[Element | str]:
    if network.allowed:
        share = min(network.spent / network.allowed, 1)
        yield element(
            "div", element("span", style=f"width: {share:.1%}"), class_="meter", aria_hidden="true"
        )
    of = f" of at most {network.allowed:,}" if network.allowed is not None else ", no limit"
    left = "" if network.left is None else f" · {network.left:,} left today"
    yield f"{network.name}: {network.spent:,}{of}{left}"


def _problems(problems: Sequence[Problem]) -> Iterator[Element]:
    if not problems:
        return
    # What many streams share, such as refused credentials, is shown once.
    names: dict[tuple[str, bool], list[str]] = {}
    for problem in problems:
        names.setdefault((_without_name(problem), problem.is_failure), []).append(problem.stream)
    items = (
        element(
            "li",
            element("h3", isolated(", ".join(streams))) if any(streams) else None,
            element("p", text),
            class_=None if is_failure else "left",
        )
        for (text, is_failure), streams in names.items()
    )
    yield element(
        "section",
        element("div", element("h2", "What went wrong, and what to do"), class_="head"),
        element("ul", *items, class_="problems card"),
    )


def _without_name(problem: Problem) -> str:
    if not problem.stream:
        return problem.text
    return problem.text.removeprefix(problem.stream).lstrip(": ") or problem.text


def _warnings(warnings: Sequence[str]) -> Iterator[Element]:
    if not warnings:
        return
    first, rest = warnings[:MOST_WARNINGS], warnings[MOST_WARNINGS:]
    yield element(
        "section",
        element("div", element("h2", "Warnings"), class_="head"),
        element(
            "div",
            element("ul", *(element("li", line) for line in first)),
            element(
                "details",
                element("summary", f"{len(rest):,} more"),
                element("ul", *(element("li", line) for line in rest)),
            )
            if rest
            else None,
            class_="warnings card",
        ),
    )
