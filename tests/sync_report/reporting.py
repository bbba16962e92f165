"""What the tests of the sync report share: the facts of a sync, and a page taken apart."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta, timezone
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

from harness import sync

from tap_affiliate_reports.log_lines import LogLines
from tap_affiliate_reports.sync_report.facts import (
    FileFacts,
    JobFacts,
    NetworkFacts,
    Outcome,
    Phase,
    Problem,
    ProgramFacts,
    Span,
    StreamFacts,
    SyncFacts,
    WindowFacts,
    WindowState,
)
from tap_affiliate_reports.sync_report.gather import gather

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness import FakeClock, Run

BEGAN = datetime(2026, 11, 19, 15, 0, tzinfo=timezone.utc)
VOID = {"meta", "link", "wbr"}


def reported(
    config: Mapping[str, Any], clock: FakeClock, *, signum: int | None = None, **options: Any
) -> tuple[SyncFacts, Run]:
    """Sync, and return the facts of it."""
    began = (clock.now(), clock.monotonic())
    with LogLines() as lines:
        run = sync(config, clock, **options)
    tap = run.tap
    facts = gather(
        tap.run if tap else None,
        tap.sync if tap else None,
        lines,
        version="1.2.3",
        began=began,
        ended=(clock.now(), clock.monotonic()),
        error=run.error,
        signum=signum,
    )
    return facts, run


def stream_of(facts: SyncFacts, name: str) -> StreamFacts:
    (found,) = (one for one in facts.streams if one.name == name)
    return found


def states(stream: StreamFacts) -> list[str]:
    """Return the states of a stream's windows, in the order of their days."""
    return [window.state.value for window in stream.windows]


# Facts that no sync stands behind


def month(number: int, state: WindowState, rows: int = 300, **more: Any) -> WindowFacts:
    """Return a window of thirty days."""
    first = date(2026, 1, 1) + timedelta(days=30 * number)
    return WindowFacts((first, first + timedelta(days=29)), rows, state, **more)


def facts_of(*streams: StreamFacts, **more: Any) -> SyncFacts:
    values: dict[str, Any] = {
        "version": "1.2.3",
        "began": BEGAN,
        "ended": BEGAN + timedelta(seconds=95),
        "outcome": Outcome.FINISHED,
        **more,
    }
    return SyncFacts(streams=streams, **values)


def sales(name: str = "sales", **more: Any) -> StreamFacts:
    """Return a report with a window in each state."""
    windows = [
        month(0, WindowState.COMPLETE, is_settled=True),
        month(1, WindowState.COMPLETE, 600, in_this_sync=True),
        month(2, WindowState.FAILED, 0),
        month(3, WindowState.MISSING, 0, reason="no exports left"),
        month(4, WindowState.OPEN, 31),
    ]
    values: dict[str, Any] = {
        "network": "impact",
        "unit": "windows",
        "rows": 600,
        "loaded": 1,
        "left": 2,
        "exports": 2,
        "bookmark": "2026-03-01",
        "programs": [ProgramFacts("", windows)],
        **more,
    }
    return StreamFacts(name, **values)


def job(stream: str = "sales", result: str = "loaded", job_id: str = "j1") -> JobFacts:
    spans = [
        Span(Phase.QUEUED, 1, 3),
        Span(Phase.RUNNING, 3, 60),
        Span(Phase.DOWNLOAD, 60, 61),
        Span(Phase.WAITING, 61, 70),
        Span(Phase.EMITTED, 70, 70.5),
    ]
    return JobFacts(stream, "2026-01-01..2026-01-30", job_id, spans, result)


IMPACT = NetworkFacts("impact", spent=2, allowed=90, left=88)

LISTED = StreamFacts("reports", "impact", unit="", rows=11)
FILES = StreamFacts(
    "deals_excel",
    "hienergy",
    unit="files",
    rows=3,
    loaded=1,
    left=2,
    files=[
        FileFacts("export 7", WindowState.COMPLETE, 3),
        FileFacts("export 8", WindowState.MISSING, reason="already running"),
        FileFacts("export 9", WindowState.FAILED),
    ],
    waiting=2,
)


def named(text: str) -> SyncFacts:
    """Return facts that have this text wherever a service's text goes."""
    window = month(3, WindowState.MISSING, reason=text)
    return facts_of(
        sales(text, programs=[ProgramFacts(text, [window])]),
        replace(FILES, name=text, files=[FileFacts(text, WindowState.FAILED, reason=text)]),
        replace(LISTED, name=text),
        jobs=[replace(job(text, result=text, job_id=text), window=text)],
        networks=[IMPACT],
        problems=[Problem(text, text)],
        warnings=[text],
        outcome=Outcome.FAILED,
    )


# A page


@dataclass
class Page(HTMLParser):
    """The elements of a page, with their attributes, and its text."""

    source: str
    elements: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    titles: list[str] = field(default_factory=list)
    _open: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.source)
        assert self._open == [], "an element is not closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "title":
            self.titles.append(data)
        elif self._open and self._open[-1] != "style":
            self.texts.append(data)

    @property
    def tags(self) -> list[str]:
        return [tag for tag, _ in self.elements]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def marks(self, *names: str) -> int:
        """Return how many marks of a chart have exactly these classes."""
        return sum(
            tag == "rect" and (attributes.get("class") or "").split() == list(names)
            for tag, attributes in self.elements
        )
