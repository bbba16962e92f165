"""The facts of a sync, from its run, its streams and the lines it logged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import groupby, pairwise
from typing import TypeAlias

from tap_affiliate_reports.errors import SyncFailed, TapError
from tap_affiliate_reports.exports.export import Export, Step
from tap_affiliate_reports.log_lines import LogLines
from tap_affiliate_reports.run import FAILED, Run, with_stream
from tap_affiliate_reports.streams import (
    AffiliateStream,
    FilesStream,
    ListStream,
    ReportStream,
    ReportWindowsStream,
    TableStream,
)
from tap_affiliate_reports.sync import Sync
from tap_affiliate_reports.sync_report.facts import (
    FileFacts,
    JobFacts,
    NetworkFacts,
    Outcome,
    Phase,
    Problem,
    Span,
    StreamFacts,
    SyncFacts,
    WindowState,
)
from tap_affiliate_reports.sync_report.window_states import has_failed, programs

PHASES = {
    Step.QUEUED: Phase.QUEUED,
    Step.RUNNING: Phase.RUNNING,
    Step.RETRYING: Phase.RUNNING,
    Step.PAUSED: Phase.RUNNING,
    Step.FINISHED: Phase.RUNNING,
    Step.DOWNLOADING: Phase.DOWNLOAD,
    Step.READY: Phase.WAITING,
}
STOPPED = (
    "The sync was stopped by signal %d. Run again: it continues at the first unfinished window"
)
INTERNAL_ERROR = "internal error: %s. The log has its traceback"

# By the wall clock, and by the monotonic one.
Moment: TypeAlias = tuple[datetime, float]


def gather(
    run: Run | None,
    sync: Sync | None,
    lines: LogLines,
    *,
    version: str,
    began: Moment,
    ended: Moment,
    error: BaseException | None = None,
    signum: int | None = None,
) -> SyncFacts:
    """Return the facts of a sync that has ended: well, by an error, or by a signal.

    `run` and `sync` are None if it ended before there were any.
    """
    selected = [stream for stream in (sync.streams if sync else ()) if stream.selected]
    found = _problems(run, selected, error, lines)
    if signum is not None:
        found.insert(0, Problem("", STOPPED % signum, is_failure=False))
    return SyncFacts(
        version=version,
        began=began[0],
        ended=ended[0],
        outcome=Outcome.STOPPED if signum is not None else _outcome(selected, found),
        streams=tuple(_streams(run, selected)) if run else (),
        jobs=tuple(_jobs(run, selected, began[1], ended[1])) if run else (),
        networks=tuple(_networks(run)) if run else (),
        problems=tuple(found),
        warnings=tuple(lines.warnings),
    )


def _outcome(streams: Sequence[AffiliateStream], problems: Sequence[Problem]) -> Outcome:
    if any(problem.is_failure for problem in problems):
        return Outcome.FAILED
    is_short = any(
        isinstance(stream, TableStream)
        and stream.totals.skipped_for_quota
        and not stream.may_be_short()
        for stream in streams
    )
    # With on_quota: warn, what the quota kept back is no problem.
    return Outcome.INCOMPLETE if problems or is_short else Outcome.FINISHED


# Streams


def _streams(run: Run, selected: Sequence[AffiliateStream]) -> Iterator[StreamFacts]:
    """Yield the facts of the selected streams."""
    for stream in selected:
        network = stream.source.name if stream.source else ""
        if isinstance(stream, TableStream):
            yield _table(run, stream)
        elif isinstance(stream, ListStream | ReportWindowsStream):
            failed = run.has_failed(stream.name, stream.source)
            yield StreamFacts(stream.name, network, unit="", rows=stream.written, has_failed=failed)


def _table(run: Run, stream: TableStream) -> StreamFacts:
    totals, failed = stream.totals, run.has_failed(stream.name, stream.source)
    return StreamFacts(
        stream.name,
        stream.source.name,
        unit=stream.UNIT,
        rows=totals.rows,
        loaded=totals.loaded,
        left=len(stream.exports) - totals.loaded,
        later=totals.skipped_for_quota if stream.may_be_short() else 0,
        unchanged=totals.unchanged,
        vanished=totals.vanished,
        unparsed=totals.unparsed,
        exports=sum(export.exports_spent for export in stream.exports),
        bookmark=stream.bookmark(),
        has_failed=failed and not _is_quota(stream, run.failures.get(stream.name)),
        programs=tuple(programs(stream, run.clock.now(), stream.name in run.failures))
        if isinstance(stream, ReportStream)
        else (),
        files=tuple(_file(export, stream.name in run.failures) for export in stream.exports)
        if isinstance(stream, FilesStream)
        else (),
        waiting=stream.waiting if isinstance(stream, FilesStream) else 0,
    )


def _is_quota(stream: AffiliateStream | None, error: TapError | None) -> bool:
    """Return whether a stream is reported as failed for the spent quota alone."""
    return (
        isinstance(stream, TableStream) and error is not None and str(error) == stream.quota_line()
    )


def _file(export: Export, stream_failed: bool) -> FileFacts:
    if export.rows_ended is not None and export.result is not None:
        return FileFacts(export.order.window, WindowState.COMPLETE, export.result.summary.rows)
    failed = has_failed(export, stream_failed=stream_failed)
    state = WindowState.FAILED if failed else WindowState.MISSING
    return FileFacts(export.order.window, state, reason=export.skip_reason)


# Exports


def _jobs(
    run: Run, streams: Sequence[AffiliateStream], began: float, ended: float
) -> Iterator[JobFacts]:
    """Yield the exports that left the queue, between two moments of the monotonic clock."""
    for stream in streams:
        for export in stream.exports if isinstance(stream, TableStream) else ():
            spans = [
                Span(phase, first - began, last - began)
                for (phase, first), (_, last) in pairwise(_moments(export, ended))
            ]
            if any(span.phase is not Phase.QUEUED for span in spans):
                job = export.job.id if export.job else ""
                result = _result(export, stream_failed=stream.name in run.failures)
                yield JobFacts(stream.name, export.order.window, job, spans, result)


def _moments(export: Export, ended: float) -> Iterator[tuple[Phase, float]]:
    """Yield when each phase of an export began, and at last when its last one ended."""
    if not export.history:
        return
    phases = [(PHASES[step], moment) for step, moment in export.history if step in PHASES]
    end = next((moment for step, moment in export.history if step not in PHASES), ended)
    has_begun = len(export.history) > 1
    if has_begun and phases[0][1] <= export.started_at <= export.history[1][1]:
        # A job is first requested, and its step is known then. One that is lost later starts again.
        phases.insert(1, (Phase.RUNNING, export.started_at))
    if export.rows_began is not None:
        phases.append((Phase.EMITTED, export.rows_began))
    for phase, group in groupby(phases, key=lambda one: one[0]):
        _, moment = next(group)
        yield phase, moment
    yield phase, end


def _result(export: Export, *, stream_failed: bool) -> str:
    if export.rows_ended is not None:
        return "unchanged" if export.is_unchanged else "loaded"
    if has_failed(export, stream_failed=stream_failed):
        return "failed"
    return f"not loaded: {export.skip_reason}" if export.skip_reason else "not loaded"


def _networks(run: Run) -> Iterator[NetworkFacts]:
    """Yield what the exports of each network cost."""
    for source in run.sources:
        for kind in source.policy.kinds:
            quota, is_only = run.quota(source, kind), len(source.policy.kinds) == 1
            name = source.name if is_only else f"{source.name}, {kind.noun}"
            yield NetworkFacts(name, quota.spent, kind.limit, quota.service_remaining)


# What went wrong


def _problems(
    run: Run | None,
    streams: Sequence[AffiliateStream],
    error: BaseException | None,
    lines: LogLines,
) -> list[Problem]:
    """Return what went wrong, each error once: what ended the sync comes first."""
    found: dict[str, Problem] = {}
    if error is not None and not isinstance(error, SyncFailed):
        # Only the text of an expected error is known to have no secret.
        is_expected = isinstance(error, TapError)
        text = str(error) if is_expected else INTERNAL_ERROR % type(error).__name__
        found[text] = Problem("", text)
    by_name = {stream.name: stream for stream in streams}
    for name, failure in (run.failures if run else {}).items():
        text = with_stream(name, failure)
        found[text] = Problem(name, text, not _is_quota(by_name.get(name), failure))
    prefix = FAILED % ""
    for line in lines.errors:
        text = line.removeprefix(prefix)
        name = max((name for name in by_name if text.startswith(name)), key=len, default="")
        found.setdefault(text, Problem(name, text))
    return list(found.values())
