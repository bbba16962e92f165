"""What the display shows: a line for each stream with work, and one for all of them."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import zip_longest

from rich.console import Console, ConsoleOptions, OverflowMethod, RenderResult
from rich.table import Table
from rich.text import Text

from tap_affiliate_reports.exports.export import Export, Step
from tap_affiliate_reports.exports.quota import Quota
from tap_affiliate_reports.run import Run
from tap_affiliate_reports.streams import TableStream
from tap_affiliate_reports.streams.totals import SUMMARY_HEADER

# From this width on, there is room for the days of the window in hand.
WIDE = 110
# The header, the line of all streams, the count of those not shown, and some lines of the log.
OTHER_LINES = 8
HEADER = ("stream", "done", "window", "state", "rows", "exports")
# The columns of texts, with a width at which they do not move with what they hold.
TEXTS = {"stream": None, "window": 22, "state": 21, "bookmark": None}

UNDER_WAY = {
    Step.RETRYING: "retried by service",
    Step.PAUSED: "replay due",
    Step.FINISHED: "download due",
    Step.DOWNLOADING: "downloading",
    Step.READY: "ready",
}
# A tuple, because it is searched for each of many exports, and the hash of an Enum is slow.
NOT_IN_HAND = (Step.QUEUED, Step.DONE, Step.SKIPPED, Step.FAILED)


class Phase(IntEnum):
    """What a stream is doing; the first ones are shown where there is no room for all."""

    ACTIVE = 0
    FAILED = 1
    SHORT = 2
    QUEUED = 3
    DONE = 4


STYLES = {
    Phase.ACTIVE: "cyan",
    Phase.FAILED: "red",
    Phase.SHORT: "yellow",
    Phase.QUEUED: "dim",
    Phase.DONE: "green",
}


@dataclass(frozen=True)
class StreamProgress:
    """How far a stream is; `window` and `state` are those of the window in hand."""

    name: str
    phase: Phase
    state: str
    window: str
    done: int
    planned: int
    rows: int
    to_spend: int

    def cells(self, *, with_window: bool) -> list[str]:
        """Return the columns of HEADER."""
        exports = f"{self.to_spend} left" if self.to_spend else ""
        window = [self.window] if with_window else []
        done = f"{self.done}/{self.planned}"
        return [self.name, done, *window, self.state, f"{self.rows:,}", exports]


def stream_progress(stream: TableStream, *, failed: bool) -> StreamProgress:
    """Return how far a stream is, at this moment."""
    # The sync goes on in another thread, so what changes is read once.
    exports, totals = list(stream.exports), stream.totals
    steps = [export.step for export in exports]
    in_hand = [
        (export, step)
        for export, step in zip(exports, steps, strict=True)
        if step not in NOT_IN_HAND
    ]
    left = len(exports) - totals.loaded
    window = ""
    if failed or (Step.FAILED in steps and not in_hand):
        phase, state = Phase.FAILED, "failed"
    elif in_hand:
        # Programs take turns, so the window that is being written need not be the first.
        written = (one for one in in_hand if one[0].rows_began is not None)
        export, step = next(written, in_hand[0])
        phase, window = Phase.ACTIVE, export.order.window
        state = _state(export, step, totals.rows_of_file)
        state += f" +{len(in_hand) - 1}" if len(in_hand) > 1 else ""
    elif Step.QUEUED in steps:
        phase, state = Phase.QUEUED, "queued"
    elif left:
        phase, state = Phase.SHORT, f"{left} not loaded"
    else:
        phase, state = Phase.DONE, "done"
    return StreamProgress(
        name=stream.name,
        phase=phase,
        state=state,
        window=window,
        done=totals.loaded,
        planned=len(exports),
        rows=totals.rows + (totals.rows_of_file or 0),
        to_spend=0 if failed else sum(export.needs_export for export in exports),
    )


def _state(export: Export, step: Step, rows_of_file: int | None) -> str:
    """Return the state of a window in hand; `rows_of_file` is that of its stream."""
    job, result = export.job, export.result
    if step is Step.RUNNING:
        if job is None or not job.percent:
            return job.word.lower() if job and job.word else "running"
        return f"running {job.percent} %"
    if step is Step.READY and result is not None and rows_of_file is not None:
        percent = 100 * rows_of_file // max(1, result.summary.rows)
        return f"loading {percent} %"
    return UNDER_WAY[step]


class ProgressTable:
    """Renders the present state of the streams; `now` counts the seconds of the sync."""

    def __init__(self, streams: Sequence[TableStream], run: Run, now: Callable[[], float]) -> None:
        self.streams = [stream for stream in streams if stream.exports]
        self.run = run
        self.now = now
        self.started = now()
        self.summary: Sequence[Sequence[str]] | None = None
        """The rows of the table at the end of a sync, which then takes the place of this one."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render what fits into the terminal; the table at the end of a sync is whole."""
        found = [
            stream_progress(one, failed=self.run.has_failed(one.name, one.source))
            for one in self.streams
        ]
        if self.summary is None:
            yield from self._lines(found, options)
        elif self.summary:
            # Names are whole here, on two lines where there is no room.
            gap = 2 if options.max_width >= WIDE else 1
            yield _table(SUMMARY_HEADER, self.summary, [], overflow="fold", gap=gap)
        yield Text(", ".join(self._totals(found)), "bold", no_wrap=True, overflow="ellipsis")

    def _lines(self, found: Sequence[StreamProgress], options: ConsoleOptions) -> RenderResult:
        room = max(1, options.size.height - OTHER_LINES)
        kept = sorted(range(len(found)), key=lambda place: found[place].phase)[:room]
        shown = [found[place] for place in sorted(kept)]
        is_wide = options.max_width >= WIDE
        header = HEADER if is_wide else [name for name in HEADER if name != "window"]
        rows = [one.cells(with_window=is_wide) for one in shown]
        if rows:
            yield _table(header, rows, [STYLES[one.phase] for one in shown])
        if hidden := Counter(one.phase for one in found) - Counter(one.phase for one in shown):
            counts = ", ".join(f"{hidden[p]} {p.name.lower()}" for p in Phase if hidden[p])
            yield Text(f"and {hidden.total()} more: {counts}", "dim", no_wrap=True)

    def _totals(self, found: Sequence[StreamProgress]) -> Iterator[str]:
        yield _duration(self.now() - self.started)
        yield f"{sum(one.done for one in found)}/{sum(one.planned for one in found)} done"
        yield f"{sum(one.rows for one in found):,} rows"
        quotas: defaultdict[str, list[Quota]] = defaultdict(list)
        for source in {one.source.name: one.source for one in self.streams}.values():
            for kind in source.policy.kinds:
                quotas[kind.noun].append(self.run.quota(source, kind))
        for noun, same in quotas.items():
            left = [quota.remaining for quota in same if quota.remaining < math.inf]
            exports = f"{sum(quota.spent for quota in same)} {noun} spent"
            yield f"{exports}, {sum(left):.0f} left" if left else exports


def _table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    styles: Sequence[str],
    overflow: OverflowMethod = "ellipsis",
    gap: int = 2,
) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0), header_style="bold")
    for name in header:
        # A stream's name has what room there is; everything else is whole.
        table.add_column(
            name,
            justify="left" if name in TEXTS else "right",
            no_wrap=name != "stream",
            overflow=overflow,
            min_width=TEXTS.get(name),
        )
    for row, style in zip_longest(rows, styles):
        table.add_row(*row, style=style)
    return table


def _duration(seconds: float) -> str:
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}"
