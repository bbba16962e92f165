"""What the streams of one sync share. It knows sources and their queues, but no stream."""

from __future__ import annotations

import atexit
import logging
import shutil
import tempfile
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

from tap_affiliate_reports.clock import Clock
from tap_affiliate_reports.errors import SettingsError, TapError, Unauthorized
from tap_affiliate_reports.exports.flow import ExportFlow
from tap_affiliate_reports.exports.job import ExportKind
from tap_affiliate_reports.exports.quota import Quota
from tap_affiliate_reports.messages import LineWriter
from tap_affiliate_reports.sources.source import Source

# Long enough for a reader of stdout to see the first RECORD and stop the tap.
SECONDS_TO_STOP = 0.5

FAILED = "failed: %s"

logger = logging.getLogger(__name__)


class Run:
    """The clock, the writer, the queues, the temporary folder and the failures of one sync.

    The SDK has no hook before the first stream and none after the last one, so a stream calls
    `before_first` when its records begin and `after_last` when the last stream is done. The tap
    sets both, and `last_stream`.
    """

    def __init__(
        self, name: str, *, clock: Clock, writer: LineWriter, sources: Sequence[Source]
    ) -> None:
        self.name = name
        self.clock = clock
        self.writer = writer
        self.sources = sources
        self.before_first: Callable[[], None] = lambda: None
        self.after_last: Callable[[], None] = lambda: None
        self.last_stream = ""
        self.has_begun = False
        """Whether streams are planned; an error in a schema then concerns its own stream only."""
        self.is_test = False
        """Whether the SDK tests the connection, or makes a dry run."""
        self.failures: dict[str, TapError] = {}
        """The error of each stream, or source, that failed."""
        self._flows: dict[str, ExportFlow] = {}
        self._has_requested = False

    # The queues

    def flow(self, source: Source) -> ExportFlow:
        """Return the queue of a source's exports."""
        if source.name not in self._flows:
            self._flows[source.name] = ExportFlow(
                source.exports,
                self.clock,
                self.spool,
                source.policy.limits,
                name=source.name,
                while_waiting=lambda: self._while_waiting(source),
            )
        return self._flows[source.name]

    @cached_property
    def spool(self) -> Path:
        """The temporary folder of result files."""
        atexit.register(self.close)
        try:
            return Path(tempfile.mkdtemp(prefix=f"{self.name}-"))
        except OSError as error:
            msg = (
                f"can't create a temporary folder: {error.strerror or error}. Set TMPDIR to a "
                "folder that can be written to"
            )
            raise SettingsError(msg) from None

    def quota(self, source: Source, kind: ExportKind) -> Quota:
        """Return what a source's exports of one kind cost."""
        flow = self._flows.get(source.name)
        return flow.quotas.of(kind) if flow else Quota(kind)

    def advance(self, but: Source | None = None) -> None:
        """Do what is due in the queue of every source, but one, without waiting."""
        for source in self.sources:
            if source is but or source.name not in self._flows or source.name in self.failures:
                continue
            try:
                self.flow(source).advance()
            except Unauthorized as error:
                self.source_failed(source, error)

    def list_written(self) -> None:
        """Request the first exports, once the records of a list are on stdout.

        `meltano config ... test` stops the tap at the first RECORD, which must cost no export.
        """
        if not self._has_requested:
            self._has_requested = True
            if any(flow.needs_exports for flow in self._flows.values()):
                self.clock.sleep(SECONDS_TO_STOP)
        self.advance()

    def _while_waiting(self, source: Source) -> None:
        # A job may take an hour, and a loader commits only what it has received.
        self.writer.flush()
        self.advance(but=source)

    # Failures

    def record_failure(self, stream: str, error: TapError, *, quiet: bool = False) -> None:
        """Record that a stream failed; the others go on, unless the connection is tested."""
        if self.is_test:
            raise error
        if not quiet:
            logger.error(FAILED, with_stream(stream, error))
        self.failures.setdefault(stream, error)

    def source_failed(self, source: Source | None, error: TapError) -> None:
        """Record that a source failed; raise the error if no other source can go on."""
        if source is None or len(self.sources) == 1:
            raise error
        self.record_failure(source.name, error)

    def has_failed(self, stream: str, source: Source | None) -> bool:
        """Return whether a stream, or its source, failed."""
        return stream in self.failures or (source is not None and source.name in self.failures)

    # The end

    def stream_done(self, stream: str) -> None:
        """Call `after_last` if this stream is the last one."""
        if stream == self.last_stream:
            self.after_last()

    def close(self) -> None:
        """Remove temporary files."""
        atexit.unregister(self.close)
        if "spool" in self.__dict__:
            shutil.rmtree(self.spool, ignore_errors=True)


def with_stream(stream: str, error: TapError) -> str:
    """Return the text of an error that begins with the stream's name."""
    text = str(error)
    return text if text.startswith(stream) else f"{stream}: {text}"
