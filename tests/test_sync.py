"""The result of a sync: what is reported, and when a reload is over."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest
from harness import Collector, FakeClock

from tap_affiliate_reports.errors import SyncFailed, TapError
from tap_affiliate_reports.exports.job import ExportKind
from tap_affiliate_reports.run import Run
from tap_affiliate_reports.streams import ListStream, TableStream
from tap_affiliate_reports.streams.totals import StreamTotals
from tap_affiliate_reports.sync import Sync

QUOTA = "this run may spend 4 exports (max_exports)"


class Table(TableStream):
    """A stream of files that has only what the end of a sync reads."""

    selected = True
    name = ""
    exports: Any = ()
    reload = None  # type: ignore[assignment]

    def __init__(self, name: str, *, reload: str | None = None, is_reloaded: bool = True) -> None:
        self.name, self.reload, self._is_reloaded = name, reload, is_reloaded  # type: ignore[misc]
        self.totals = StreamTotals()
        kinds = (ExportKind(limit=90),)
        self.source: Any = SimpleNamespace(policy=SimpleNamespace(kinds=kinds))

    def _keys(self) -> Any: ...
    def get_records(self, context: Any) -> Any: ...
    def plan(self, dates: Any) -> Any: ...

    def bookmark(self) -> str:
        return "2026-10-31"

    def is_reloaded(self) -> bool:
        return self._is_reloaded

    def end_reload(self) -> None:
        self.reload = None


class Listed(ListStream):
    selected = True
    reload = "all"  # type: ignore[assignment]

    def __init__(self) -> None:
        self.reload = "all"  # type: ignore[misc]

    def end_reload(self) -> None:
        self.reload = None  # type: ignore[misc]


class Case:
    """A sync that has ended, of these streams."""

    def __init__(self, *streams: Any, **config: Any) -> None:
        self.run = Run("tap", clock=FakeClock(), writer=Collector(), sources=())
        self.states = 0
        self.sync = Sync(
            self.run,
            discovery=None,  # type: ignore[arg-type]
            selection=None,  # type: ignore[arg-type]
            config=config,
            is_first=False,
            write_state=self.write_state,
        )
        self.sync.streams = streams

    def write_state(self) -> None:
        self.states += 1


def skipped(name: str, count: int = 2) -> Table:
    stream = Table(name)
    stream.totals.skipped = stream.totals.skipped_for_quota = count
    stream.totals.quota_reason = QUOTA
    return stream


def test_a_sync_in_which_nothing_failed_ends_well() -> None:
    case = Case(Table("sales"))
    case.sync.report()
    assert (case.run.failures, case.states) == ({}, 0)


def test_each_line_of_the_summary_is_a_log_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    sales, idle = Table("sales"), Table("idle")
    sales.totals.unchanged = 3
    Case(sales, idle).sync.report()
    assert [one.getMessage() for one in caplog.records] == [
        "summary: stream  done  left  rows  vanished  unparsed  exports  bookmark",
        "summary: sales      0     0     0         0         0        0  2026-10-31",
    ]


def test_what_the_quota_kept_back_fails_the_sync_with_what_to_do() -> None:
    line = (
        f"sales: 2 windows not loaded ({QUOTA}). Finished ones are saved. Run again tomorrow, when "
        "the quota resets"
    )
    with pytest.raises(SyncFailed) as failed:
        Case(skipped("sales")).sync.report()
    assert str(failed.value) == f"1 stream failed, the others are done. {line}"


def test_on_quota_warn_makes_it_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    Case(skipped("sales"), on_quota="warn").sync.report()
    (record,) = [one for one in caplog.records if one.levelno >= logging.WARNING]
    assert "2 windows not loaded" in record.getMessage()


def test_each_failure_is_named_by_its_stream() -> None:
    case = Case(Table("sales"))
    case.run.record_failure("sales", TapError("sales October: the job failed"))
    case.run.record_failure("orders", TapError("gone"))
    with pytest.raises(SyncFailed) as failed:
        case.sync.report()
    assert str(failed.value) == (
        "2 streams failed, the others are done. sales October: the job failed; orders: gone"
    )


class TestTheEndOfAReload:
    def test_it_ends_once_every_stream_has_reloaded(self) -> None:
        sales, jobs, other = Table("sales", reload="all"), Listed(), Table("other")
        case = Case(sales, jobs, other)
        case.sync.report()
        assert (sales.reload, jobs.reload, case.states) == (None, None, 1)

    def test_it_goes_on_for_all_while_one_stream_is_not_through(self) -> None:
        sales, orders = Table("sales", reload="all"), Table("orders", reload="all")
        orders._is_reloaded = False
        case = Case(sales, orders)
        case.sync.report()
        assert (sales.reload, orders.reload, case.states) == ("all", "all", 0)

    def test_it_goes_on_after_a_failure(self) -> None:
        sales = Table("sales", reload="all")
        case = Case(sales)
        case.run.record_failure("orders", TapError("gone"))
        with pytest.raises(SyncFailed):
            case.sync.report()
        assert sales.reload == "all"
