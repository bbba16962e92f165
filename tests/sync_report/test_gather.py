"""The facts of real syncs: counts, windows and their states, exports, and what went wrong."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from harness import config_for, windows_of
from hienergy_instal import CSV, REPORT, add, config_of, put_all
from networks import NETWORKS, Network
from reporting import reported, states, stream_of
from small_source import SmallSource

from tap_affiliate_reports.exports.export import Export, Step
from tap_affiliate_reports.exports.job import ExportRequest
from tap_affiliate_reports.exports.order import ExportOrder
from tap_affiliate_reports.sandbox import Sandbox, html_login, status
from tap_affiliate_reports.sync_report.facts import NetworkFacts, Outcome, Phase, WindowState
from tap_affiliate_reports.sync_report.gather import _moments

if TYPE_CHECKING:
    from harness import FakeClock, Run

    from tap_affiliate_reports.sync_report.facts import SyncFacts

SECRET = "a-credential-that-nobody-else-has"


def small(sandbox: Sandbox, clock: FakeClock, *reports: str, **own: Any) -> dict[str, Any]:
    """Put small reports into the sandbox; return a configuration that syncs them."""
    SmallSource(sandbox, clock, reports)
    return config_for(sandbox, **{"START_DATE": "2026-10-01", "reports": list(reports), **own})


def counted(run: Run, stream: str) -> int:
    return sum(not record["_deleted"] for record in run.records(stream))


def check_spans(facts: SyncFacts) -> None:
    """Check that the phases of each job follow each other, within the sync."""
    for job in facts.jobs:
        ends = [0.0, *(moment for span in job.spans for moment in (span.began, span.ended))]
        assert ends == sorted(ends), job
        assert ends[-1] <= facts.seconds


class TestCounts:
    def test_they_are_those_of_the_messages_and_the_ledger(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        facts, run = reported(small(sandbox, clock, "sales", "orders"), clock)
        assert facts.outcome is Outcome.FINISHED
        assert facts.problems == ()
        for name in ("sales", "orders"):
            stream, ledger = stream_of(facts, name), windows_of(run.state["bookmarks"][name])
            assert (stream.unit, stream.network, stream.loaded) == ("windows", "impact", 2)
            assert stream.rows == counted(run, name) > 0
            assert stream.bookmark == run.bookmark(name)
            assert [
                (window.days, window.rows, window.in_this_sync) for window in stream.windows
            ] == [
                (
                    (date.fromisoformat(one["start"]), date.fromisoformat(one["end"])),
                    one["rows"],
                    True,
                )
                for one in ledger.values()
            ]
        assert stream_of(facts, "reports").rows == len(run.records("reports"))
        assert stream_of(facts, "report_windows").rows == 4
        (network,) = facts.networks
        requests = [r for r in sandbox.requests if "/ReportExport/" in r.path]
        assert (network.spent, network.allowed, network.left) == (len(requests), 90, 96)

    def test_a_second_sync_shows_what_it_loaded_and_what_was_there(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        config = small(sandbox, clock, "sales", START_DATE="2026-08-01", lookback_days=10)
        first = reported(config, clock)[1].ok()
        clock.advance(days=1)
        facts, _ = reported(config, clock, state=first.state)
        stream = stream_of(facts, "sales")
        assert states(stream) == ["complete"] * 3 + ["open"]
        assert [window.is_settled for window in stream.windows] == [True, True, True, False]
        assert [window.in_this_sync for window in stream.windows] == [False] * 3 + [True]
        assert (stream.loaded, stream.unchanged) == (1, 3)

    def test_programs_have_windows_of_their_own(self, sandbox: Sandbox, clock: FakeClock) -> None:
        config = small(sandbox, clock, "sales", program_ids=["11", "22"])
        (first, second) = stream_of(reported(config, clock)[0], "sales").programs
        assert (first.program, second.program) == ("11", "22")
        assert len(first.windows) == len(second.windows) == 2

    def test_a_list_that_is_not_selected_is_no_fact(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        facts, _ = reported(small(sandbox, clock, "sales"), clock)
        assert "orders" not in {stream.name for stream in facts.streams}


class TestWindows:
    def test_what_the_quota_kept_back_is_missing(self, sandbox: Sandbox, clock: FakeClock) -> None:
        config = small(sandbox, clock, "sales", max_exports=1)
        facts, _ = reported(config, clock)
        stream = stream_of(facts, "sales")
        assert states(stream) == ["complete", "missing"]
        assert stream.windows[1].reason == "this run may spend 1 exports (max_exports)"
        assert facts.outcome is Outcome.INCOMPLETE
        assert [problem.is_failure for problem in facts.problems] == [False]
        assert not stream.has_failed
        assert not stream.is_done

    def test_days_of_clicks_that_follow_are_missing_but_the_sync_is_finished(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        config = small(sandbox, clock, "sales", START_DATE="2026-11-01", clicks=True)
        facts, run = reported(config, clock)
        run.ok()
        stream = stream_of(facts, "clicks")
        assert states(stream) == ["missing"] * 9 + ["complete"] * 9
        assert (stream.left, stream.later, stream.is_done) == (9, 9, True)
        assert (facts.outcome, facts.problems) == (Outcome.FINISHED, ())
        assert facts.networks == (
            NetworkFacts("impact, exports", 1, 90, 99),
            NetworkFacts("impact, click exports", 9, 9, 1),
        )
        config["impact"]["max_click_exports"] = 0
        facts, _ = reported(config, clock)
        assert facts.outcome is Outcome.INCOMPLETE
        assert not stream_of(facts, "clicks").is_done

    def test_a_refresh_that_the_quota_kept_back_is_open_and_the_stream_is_not_done(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        config = small(sandbox, clock, "sales", END_DATE="2026-10-31")
        first = reported(config, clock)[1].ok()
        clock.advance(days=1)
        sandbox.impact.jobs.clear()
        config["impact"]["max_exports"] = 0
        facts, _ = reported(config, clock, state=first.state)
        stream = stream_of(facts, "sales")
        assert states(stream) == ["open"]
        assert (stream.left, stream.is_done) == (1, False)
        assert facts.outcome is Outcome.INCOMPLETE

    def test_a_snapshot_that_the_quota_kept_back_is_open_with_its_old_rows(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        config = config_for(sandbox, reports=["tracking_value_list"])
        first = reported(config, clock)[1].ok()
        clock.advance(days=1)
        sandbox.impact.jobs.clear()
        config["impact"]["max_exports"] = 0
        stream = stream_of(reported(config, clock, state=first.state)[0], "tracking_value_list")
        assert states(stream) == ["open"]
        assert stream.windows[0].rows > 0
        assert not stream.is_done

    def test_a_file_that_loses_rows_has_failed_in_both_charts(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        config = small(sandbox, clock, "sales", END_DATE="2026-10-31")
        first = reported(config, clock)[1].ok()
        clock.advance(days=1)
        sandbox.impact.reports["sales"].rows = lambda *_: []
        sandbox.impact.reports["sales"].records_processed = lambda _: None
        facts, _ = reported(config, clock, state=first.state)
        assert states(stream_of(facts, "sales")) == ["failed"]
        assert [job.result for job in facts.jobs] == ["failed"]

    def test_with_on_quota_warn_it_is_missing_too(self, sandbox: Sandbox, clock: FakeClock) -> None:
        config = small(sandbox, clock, "sales", max_exports=1, ON_QUOTA="warn")
        facts, run = reported(config, clock)
        run.ok()
        assert (facts.outcome, facts.problems) == (Outcome.INCOMPLETE, ())
        assert any("not loaded" in line for line in facts.warnings)

    def test_the_window_whose_job_fails_has_failed_and_those_after_it_are_missing(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        config = small(sandbox, clock, "sales", "orders", START_DATE="2026-08-01")
        sandbox.impact.fail_next("FAILED", "too many rows", 3)
        config["impact"]["max_concurrent_jobs"] = 1
        facts, _ = reported(config, clock)
        failed, other = stream_of(facts, "orders"), stream_of(facts, "sales")
        assert states(failed) == ["failed", "missing", "missing", "missing"]
        assert failed.has_failed
        assert states(other) == ["complete"] * 3 + ["open"]
        assert facts.outcome is Outcome.FAILED
        (problem,) = facts.problems
        assert problem.stream == "orders"
        assert "too many rows" in problem.text
        assert "set a smaller window" in problem.text
        results = Counter(job.result for job in facts.jobs)
        assert (results["loaded"], results["failed"]) == (4, 1)
        check_spans(facts)

    def test_a_file_that_is_refused_fails_its_window_and_keeps_its_rows(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        config = small(sandbox, clock, "sales", END_DATE="2026-10-31")
        first = reported(config, clock)[1].ok()
        rows = windows_of(first.state["bookmarks"]["sales"])["2026-10-01"]["rows"]
        clock.advance(days=1)
        sandbox.faults.add("storage", html_login(), times=None)
        facts, _ = reported(config, clock, state=first.state)
        stream = stream_of(facts, "sales")
        (window,) = stream.windows
        assert (window.state, window.rows) == (WindowState.FAILED, rows)
        assert not window.in_this_sync

    def test_a_snapshot_has_no_days(self, sandbox: Sandbox, clock: FakeClock) -> None:
        config = config_for(sandbox, reports=["tracking_value_list"])
        facts, run = reported(config, clock)
        (window,) = stream_of(facts, "tracking_value_list").windows
        assert (window.days, window.state) == (None, WindowState.COMPLETE)
        assert window.rows == counted(run, "tracking_value_list")

    def test_today_is_open_though_its_slot_is_loaded(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        config = small(
            sandbox, clock, "sales", window="day", START_DATE="2026-11-18", END_DATE="2026-11-19"
        )
        assert states(stream_of(reported(config, clock)[0], "sales")) == ["complete", "open"]


class TestJobs:
    def test_each_export_has_its_phases(self, sandbox: Sandbox, clock: FakeClock) -> None:
        config = small(sandbox, clock, "sales", START_DATE="2026-07-01", max_concurrent_jobs=1)
        facts, _ = reported(config, clock)
        check_spans(facts)
        assert len(facts.jobs) == stream_of(facts, "sales").loaded == 5
        assert {job.result for job in facts.jobs} == {"loaded"}
        assert len({job.job for job in facts.jobs}) == 5
        spent = Counter(span.phase for job in facts.jobs for span in job.spans)
        assert spent[Phase.RUNNING] == spent[Phase.EMITTED] == 5
        # A job takes five seconds, and each waits for those before it.
        running = [span for job in facts.jobs for span in job.spans if span.phase is Phase.RUNNING]
        assert all(span.ended - span.began >= 5 for span in running)
        assert all(one.ended <= other.began for one, other in pairwise(running))

    def test_one_that_never_left_the_queue_is_no_job(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        config = small(sandbox, clock, "sales", START_DATE="2026-07-01", max_concurrent_jobs=1)
        sandbox.impact.fail_next("FAILED", "too many rows", 3)
        facts, _ = reported(config, clock)
        # The slot of the job that failed went to the next window.
        assert [job.result for job in facts.jobs] == ["failed", "not loaded"]
        assert states(stream_of(facts, "sales")) == ["failed", *["missing"] * 4]

    def test_one_whose_job_was_lost_starts_again(self) -> None:
        export = Export(ExportOrder("sales", "October", ExportRequest("sales")), started_at=20)
        export.history = [
            (Step.QUEUED, 0), (Step.RUNNING, 1), (Step.QUEUED, 5), (Step.RUNNING, 20),
            (Step.DONE, 30),
        ]  # fmt: skip
        moments = [moment for _, moment in _moments(export, ended=40)]
        assert moments == [0, 1, 5, 20, 30]


class TestEnds:
    def test_refused_credentials_are_all_there_is(self, sandbox: Sandbox, clock: FakeClock) -> None:
        config = config_for(sandbox, auth_token=SECRET)
        facts, _ = reported(config, clock)
        assert (facts.outcome, facts.streams, facts.jobs) == (Outcome.FAILED, (), ())
        (problem,) = facts.problems
        assert problem.stream == ""
        assert "check them" in problem.text
        assert SECRET not in repr(facts)

    def test_an_unexpected_error_shows_its_kind_alone(
        self, sandbox: Sandbox, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(*_: object) -> None:
            raise KeyError(SECRET)

        config = small(sandbox, clock, "sales")
        monkeypatch.setattr("tap_affiliate_reports.sync.Sync.report", broken)
        facts, _ = reported(config, clock)
        assert [problem.text for problem in facts.problems] == [
            "internal error: KeyError. The log has its traceback"
        ]
        assert SECRET not in repr(facts)

    def test_a_signal_is_no_failure(self, sandbox: Sandbox, clock: FakeClock) -> None:
        facts, _ = reported(small(sandbox, clock, "sales"), clock, signum=15)
        assert facts.outcome is Outcome.STOPPED
        assert not facts.problems[0].is_failure

    def test_one_network_fails_and_the_others_have_their_facts(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        put_all(sandbox, date(2026, 11, 1), 30)
        config = small(sandbox, clock, "sales")
        config |= config_of(sandbox, date(2026, 11, 1), instal={}, hienergy={})
        config["instal"]["auth_token"] = SECRET
        facts, _ = reported(config, clock)
        assert facts.outcome is Outcome.FAILED
        assert {network.name for network in facts.networks} == {"impact", "hienergy", "instal"}
        assert {problem.stream for problem in facts.problems} == {"instal"}
        assert stream_of(facts, "sales").is_done
        assert stream_of(facts, REPORT).has_failed
        assert SECRET not in repr(facts)


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
def test_each_network_has_its_rows(network: Network, sandbox: Sandbox, clock: FakeClock) -> None:
    network.fill(sandbox, clock, "secret")
    facts, run = reported(network.config(sandbox, "secret"), clock)
    run.ok()
    stream = stream_of(facts, network.stream)
    assert (stream.network, stream.rows) == (network.name, len(run.records(network.stream)))
    assert stream.is_done
    assert facts.jobs
    check_spans(facts)
    assert sum(one.exports for one in facts.streams) == facts.networks[0].spent


def test_files_are_loaded_or_failed_or_wait(sandbox: Sandbox, clock: FakeClock) -> None:
    sandbox.hienergy.clear()
    loaded, gone = (
        add(sandbox, CSV, label, completed_at=clock.now() - timedelta(days=ago))
        for label, ago in (("good", 3), ("bad", 2))
    )
    parent = add(sandbox, CSV, "parent", status="processing")
    add(sandbox, CSV, "part", parent=parent, completed_at=clock.now() - timedelta(days=1))
    sandbox.faults.add(f"GET /api/v1/exports/{gone.id}", status(404), times=None)
    facts, _ = reported(config_of(sandbox, date(2026, 11, 1), hienergy={}), clock)
    stream = stream_of(facts, CSV)
    assert [(file.name, file.state, file.rows) for file in stream.files] == [
        (f"export {loaded.id}", WindowState.COMPLETE, 3),
        (f"export {gone.id}", WindowState.FAILED, None),
    ]
    assert stream.has_failed
    assert (stream.rows, stream.waiting) == (3, 1)
