"""What the streams of a sync share: queues, failures, the temporary folder, the two hooks."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from harness import Collector, FakeClock

from tap_affiliate_reports.errors import SettingsError, TapError, Unauthorized
from tap_affiliate_reports.run import SECONDS_TO_STOP, Run, with_stream

FAULT = TapError("sales October: the job failed")


def source(name: str) -> Any:
    return SimpleNamespace(name=name, exports=None, policy=SimpleNamespace(limits=None))


def run_of(*names: str) -> Run:
    sources = [source(name) for name in names]
    return Run("tap", clock=FakeClock(), writer=Collector(), sources=sources)


class Flow:
    """A queue that counts how often it is moved."""

    needs_exports = True

    def __init__(self, error: Exception | None = None) -> None:
        self.advanced = 0
        self.error = error

    def advance(self) -> None:
        self.advanced += 1
        if self.error is not None:
            raise self.error


def with_flows(run: Run, *flows: Flow) -> None:
    run._flows.update(zip((one.name for one in run.sources), flows, strict=True))  # type: ignore[arg-type]


class TestFailures:
    def test_the_first_error_of_a_stream_is_kept(self) -> None:
        run = run_of("impact")
        run.record_failure("sales", FAULT)
        run.record_failure("sales", TapError("another one"))
        assert run.failures == {"sales": FAULT}
        assert run.has_failed("sales", None)
        assert not run.has_failed("orders", run.sources[0])

    def test_a_failed_source_fails_its_streams_where_others_can_go_on(self) -> None:
        run = run_of("impact", "instal")
        run.source_failed(run.sources[0], FAULT)
        assert run.has_failed("sales", run.sources[0])
        assert not run.has_failed("advertiser_report", run.sources[1])

    def test_the_only_source_ends_the_run(self) -> None:
        run = run_of("impact")
        with pytest.raises(TapError):
            run.source_failed(run.sources[0], FAULT)

    def test_a_test_of_the_connection_ends_at_the_first_error(self) -> None:
        run = run_of("impact", "instal")
        run.is_test = True
        with pytest.raises(TapError):
            run.record_failure("sales", FAULT)

    def test_an_error_names_its_stream_once(self) -> None:
        assert with_stream("sales", FAULT) == "sales October: the job failed"
        assert with_stream("orders", FAULT) == "orders: sales October: the job failed"


class TestQueues:
    def test_every_queue_is_moved_but_one_and_those_of_failed_sources(self) -> None:
        run = run_of("a", "b", "c")
        flows = Flow(), Flow(), Flow()
        with_flows(run, *flows)
        run.record_failure("c", FAULT)
        run.advance(but=run.sources[0])
        assert [flow.advanced for flow in flows] == [0, 1, 0]

    def test_refused_credentials_fail_their_source_alone(self) -> None:
        run = run_of("a", "b")
        flows = Flow(Unauthorized("no")), Flow()
        with_flows(run, *flows)
        run.advance()
        run.advance()
        assert (flows[0].advanced, flows[1].advanced, list(run.failures)) == (1, 2, ["a"])

    def test_the_first_list_leaves_time_to_stop_before_an_export_is_requested(self) -> None:
        run = run_of("a")
        with_flows(run, Flow())
        run.list_written()
        run.list_written()
        assert run.clock.slept == [SECONDS_TO_STOP]  # type: ignore[attr-defined]


def test_the_last_stream_ends_the_run() -> None:
    ended: list[str] = []
    run = run_of("a")
    run.last_stream, run.after_last = "sales", lambda: ended.append("report")
    run.stream_done("orders")
    assert ended == []
    run.stream_done("sales")
    assert ended == ["report"]


def test_the_temporary_folder_is_removed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    run = run_of("a")
    run.close()
    (run.spool / "file").write_text("rows")
    run.close()
    assert list(tmp_path.iterdir()) == []


def test_a_temporary_folder_that_can_not_be_created_is_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    with pytest.raises(SettingsError, match="Set TMPDIR"):
        _ = run_of("a").spool
