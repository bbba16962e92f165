"""What the display shows, from states made by hand and from a sync."""

from __future__ import annotations

import io
import math
from datetime import timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from harness import Collector, FakeClock, config_for
from rich.console import Console

from tap_affiliate_reports.errors import TapError
from tap_affiliate_reports.exports.export import Export, ResultFile, Step
from tap_affiliate_reports.exports.job import ExportJob, ExportKind, ExportRequest, JobState
from tap_affiliate_reports.exports.order import ExportOrder
from tap_affiliate_reports.progress.table import Phase, ProgressTable, stream_progress
from tap_affiliate_reports.run import Run
from tap_affiliate_reports.sandbox import Attribute, Report, Sandbox, status
from tap_affiliate_reports.streams.totals import StreamTotals
from tap_affiliate_reports.tap import TapAffiliateReports

if TYPE_CHECKING:
    from collections.abc import Sequence

MONTHS = [f"2026-{month:02}-01..2026-{month:02}-28" for month in range(1, 13)]
RUNNING, RETRYING = JobState.RUNNING, JobState.RETRYING


def export(step: Step, window: str = MONTHS[0], **more: Any) -> Export:
    return Export(ExportOrder("sales", window, ExportRequest("sales")), step=step, **more)


def job(state: JobState, word: str = "", percent: int | None = None) -> ExportJob:
    return ExportJob("7", state, word, percent=percent)


def result(rows: int) -> ResultFile:
    return SimpleNamespace(summary=SimpleNamespace(rows=rows))  # type: ignore[return-value]


class Stream(SimpleNamespace):
    """What the display reads of a stream."""

    def __init__(self, name: str, exports: Sequence[Export], left: float = 65, **totals: Any):
        super().__init__(
            name=name,
            exports=list(exports),
            totals=StreamTotals(**totals),
            source=SimpleNamespace(
                name=f"network with {left} left",
                policy=SimpleNamespace(
                    kinds=(ExportKind(limit=None if left == math.inf else int(left)),)
                ),
            ),
        )


class Screen:
    """A table of these streams on a terminal of this size."""

    def __init__(self, *streams: Any, failed: Sequence[str] = (), seconds: float = 3723) -> None:
        run = Run("tap", clock=FakeClock(), writer=Collector(), sources=())
        spent = sum(one.exports_spent for stream in streams for one in stream.exports)

        def quota(_source: object, kind: ExportKind) -> Any:
            remaining = math.inf if kind.limit is None else kind.limit
            return SimpleNamespace(spent=spent, remaining=remaining)

        run.quota = quota  # type: ignore[method-assign]
        run.failures = dict.fromkeys(failed, TapError("gone"))
        moments = iter([0.0])
        self.table = ProgressTable(streams, run, lambda: next(moments, seconds))

    def lines(self, width: int, height: int = 24) -> list[str]:
        console = Console(file=io.StringIO(), width=width, height=height, record=True)
        console.print(self.table)
        lines = console.export_text().splitlines()
        assert max(map(len, lines)) <= width
        return [line.rstrip() for line in lines]


STATES = {
    "queued": [export(Step.QUEUED)],
    "queued by the service": [export(Step.RUNNING, job=job(RUNNING, "QUEUED", 0))],
    "running": [export(Step.RUNNING, job=job(RUNNING, "RUNNING"))],
    "running 40 %": [export(Step.RUNNING, job=job(RUNNING, "RUNNING", 40))],
    "retried by service": [export(Step.RETRYING, job=job(RETRYING, "ERROR", 99))],
    "replay due": [export(Step.PAUSED)],
    "download due": [export(Step.FINISHED)],
    "downloading": [export(Step.DOWNLOADING)],
    "ready": [export(Step.READY, result=result(10))],
    "running 40 % +2": [
        export(Step.DONE), export(Step.RUNNING, job=job(RUNNING, "", 40)), export(Step.READY),
        export(Step.RUNNING), export(Step.QUEUED),
    ],
    "failed": [export(Step.FAILED), export(Step.QUEUED)],
    "done": [export(Step.DONE)],
    "2 not loaded": [export(Step.DONE), export(Step.SKIPPED), export(Step.SKIPPED)],
}  # fmt: skip


@pytest.mark.parametrize("state", STATES)
def test_each_state_has_its_words(state: str) -> None:
    stream: Any = Stream("sales", STATES[state], loaded=int(STATES[state][0].step is Step.DONE))
    shown = stream_progress(stream, failed=False)
    assert shown.state == state.removesuffix(" by the service")
    assert stream_progress(stream, failed=True).state == "failed"


@pytest.mark.parametrize(("rows", "of", "percent"), [(0, 10, 0), (5, 10, 50), (0, 0, 0)])
def test_a_file_that_is_read_has_its_percentage(rows: int, of: int, percent: int) -> None:
    stream: Any = Stream(
        "sales", [export(Step.READY, result=result(of))], rows=100, rows_of_file=rows
    )
    shown = stream_progress(stream, failed=False)
    assert (shown.state, shown.rows) == (f"loading {percent} %", 100 + rows)


def test_the_window_that_is_being_written_is_shown_before_one_that_waits() -> None:
    waiting = export(Step.READY, MONTHS[1], result=result(1000))
    written = export(Step.READY, MONTHS[0], result=result(10), rows_began=1.0)
    stream: Any = Stream("sales", [waiting, written], rows_of_file=5)
    shown = stream_progress(stream, failed=False)
    assert (shown.window, shown.state) == (MONTHS[0], "loading 50 % +1")


class Moving:
    """A step that the sync's thread changes between two looks at it."""

    def __init__(self, *steps: Step) -> None:
        self.steps = iter(steps)

    def __get__(self, instance: object, owner: object) -> Step:
        return next(self.steps, Step.DONE)


@pytest.mark.parametrize("step", [Step.RUNNING, Step.DOWNLOADING, Step.READY])
def test_a_step_that_changes_at_the_moment_it_is_read_is_no_error(step: Step) -> None:
    moving = SimpleNamespace(**vars(export(step)), needs_export=False)
    kind = type("MovingExport", (SimpleNamespace,), {"step": Moving(step)})
    del moving.step
    stream: Any = Stream("sales", [kind(**vars(moving))])
    assert stream_progress(stream, failed=False).window == MONTHS[0]


def test_a_stream_that_failed_has_nothing_more_to_spend() -> None:
    stream: Any = Stream("sales", [export(Step.DONE), export(Step.QUEUED)])
    shown = stream_progress(stream, failed=True)
    assert (shown.phase, shown.state, shown.to_spend) == (Phase.FAILED, "failed", 0)


def usual() -> tuple[Stream, ...]:
    running = export(Step.RUNNING, MONTHS[2], job=job(RUNNING, "RUNNING", 40), exports_spent=1)
    done = [export(Step.DONE, exports_spent=1), export(Step.DONE, exports_spent=1)]
    queued = [export(Step.QUEUED)] * 3
    return (
        Stream("clicks_by_day", done, loaded=2, rows=1_234_567),
        Stream("mp_action_listing_fast", [*done, running, *queued], loaded=2, rows=54_321),
        Stream("orders", queued),
        Stream("partner_performance_by_program_and_sub_id", queued),
        Stream("unchanged", []),
        Stream("sales", queued),
    )


def test_80_columns() -> None:
    assert Screen(*usual(), failed=["sales"]).lines(80) == [
        "stream                           done  state                       rows  exports",
        "clicks_by_day                     2/2  done                   1,234,567",
        "mp_action_listing_fast            2/6  running 40 %              54,321   3 left",
        "orders                            0/3  queued                         0   3 left",
        "partner_performance_by_program…   0/3  queued                         0   3 left",
        "sales                             0/3  failed                         0",
        "1:02:03, 4/17 done, 1,288,888 rows, 5 exports spent, 65 left",
    ]


WIDE = """\
stream                  done  window                  state                       rows  exports
clicks_by_day            2/2                          done                   1,234,567
mp_action_listing_fast   2/6  2026-03-01..2026-03-28  running 40 %              54,321   3 left
orders                   0/3                          queued                         0   3 left
0:00:59, 4/11 done, 1,288,888 rows, 5 exports spent, 65 left
"""


def test_120_columns_have_the_window_in_hand() -> None:
    assert Screen(*usual()[:3], seconds=59).lines(120) == WIDE.splitlines()


def test_120_columns_have_room_for_long_names() -> None:
    assert Screen(*usual()).lines(120)[4].startswith("partner_performance_by_program_and_sub_id ")


def test_a_long_list_folds_to_what_is_under_way_and_counts() -> None:
    streams = [
        *(Stream(f"done_{n:02}", [export(Step.DONE)], loaded=1) for n in range(20)),
        Stream("broken", [export(Step.QUEUED)]),
        *(Stream(f"queued_{n:02}", [export(Step.QUEUED)]) for n in range(20)),
        *(Stream(f"running_{n}", [export(Step.RUNNING)]) for n in range(3)),
    ]
    lines = Screen(*streams, failed=["broken"]).lines(80, height=16)
    assert len(lines) == 11
    assert [line.split()[0] for line in lines[1:-2]] == [
        "broken", *(f"queued_{n:02}" for n in range(4)), "running_0", "running_1", "running_2",
    ]  # fmt: skip
    assert lines[-2] == "and 36 more: 16 queued, 20 done"


@pytest.mark.parametrize("height", [1, 5, 24])
@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_a_terminal_of_any_size_is_not_overrun(width: int, height: int) -> None:
    many = [
        Stream(f"a_report_with_a_name_of_46_characters_or_so_{n}", [export(Step.RUNNING)] * 1000,
               rows=999_999_999)
        for n in range(30)
    ]  # fmt: skip
    assert len(Screen(*many).lines(width, height)) <= max(height, 4)


def test_exports_without_a_limit_are_only_counted() -> None:
    (*_, total) = Screen(Stream("sales", [export(Step.QUEUED)], left=math.inf)).lines(80)
    assert total == "1:02:03, 0/1 done, 0 rows, 0 exports spent"


def test_the_limits_of_two_networks_add_up() -> None:
    (*_, total) = Screen(Stream("a", [export(Step.QUEUED)], 7), Stream("b", [], 9)).lines(80)
    assert total.endswith("0 exports spent, 7 left")
    sales, orders = (Stream(name, [export(Step.QUEUED)], 7) for name in ("sales", "orders"))
    (*_, total) = Screen(sales, orders).lines(80)
    assert total.endswith("0 exports spent, 7 left")


def test_a_sync_without_work_has_no_table() -> None:
    screen = Screen(Stream("unchanged", []))
    assert screen.lines(80) == ["1:02:03, 0/0 done, 0 rows"]
    screen.table.summary = []
    assert len(screen.lines(80)) == 1


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_at_the_end_takes_its_place_with_whole_names(width: int) -> None:
    screen = Screen(*usual())
    names = [stream.name for stream in usual()]
    screen.table.summary = [
        StreamTotals(loaded=2).summary(name, 3, 2, "2026-10-31") for name in names
    ]
    header, *lines, total = screen.lines(width, height=4)
    assert header.split() == [
        "stream", "done", "left", "rows", "vanished", "unparsed", "exports", "bookmark",
    ]  # fmt: skip
    assert "".join(line[:20].split()[0] for line in lines if line).startswith("clicks_by_day")
    text = "".join(line.split()[0] for line in lines)
    assert all(name in text for name in names)
    assert total.startswith("1:02:03")


class Watching(FakeClock):
    """A clock at whose pauses a terminal is looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.screen: ProgressTable | None = None
        self.frames: list[list[str]] = []

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        if self.screen is not None:
            console = Console(file=io.StringIO(), width=80, height=24, record=True)
            console.print(self.screen)
            self.frames.append(console.export_text().splitlines())


def test_a_sync_shows_how_far_it_is() -> None:
    clock = Watching()
    with Sandbox(now=clock.now, job_seconds=60) as sandbox:
        rows = [[str(number)] for number in range(1200)]
        for name in ("broken", "sales"):
            sandbox.impact.add(Report(name, columns=[Attribute("Id")], rows=lambda *_: rows))
        sandbox.faults.add("ReportExport/broken", status(403), times=None)
        tap = TapAffiliateReports(
            config=config_for(sandbox, reports=["broken", "sales"], max_concurrent_jobs=2),
            clock=clock,
            message_writer=Collector(),
        )
        tap.plan()
        clock.screen = ProgressTable(tap.sync.tables, tap.run, clock.monotonic)
        before = clock.now()
        with pytest.raises(TapError):
            tap.sync_all()
        tap.close()
    sales = [line.split() for frame in clock.frames for line in frame if line.startswith("sales")]
    done = [line[1] for line in sales]
    assert done == sorted(done)
    assert {"0/3", "2/3"} <= set(done)
    percents = [int(line[3]) for line in sales if line[2] == "running"]
    assert len(set(percents)) > 10
    assert {line[2] for line in sales} >= {"queued", "running"}
    assert any("+1" in line for line in sales)
    assert any(line.split()[2] == "failed" for line in clock.frames[-1] if "broken" in line)
    last = clock.frames[-1][-1]
    assert ", 2/6 done, 2,400 rows, " in last
    elapsed = clock.now() - before
    assert last.startswith(str(elapsed - timedelta(microseconds=elapsed.microseconds)))
