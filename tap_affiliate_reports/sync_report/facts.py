"""What the page shows: counts, names and moments, as plain values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum


class Outcome(Enum):
    """How a sync ended.

    INCOMPLETE: nothing failed, but the export quota stopped it short. STOPPED: by a signal.
    """

    FINISHED = "finished"
    INCOMPLETE = "incomplete"
    FAILED = "failed"
    STOPPED = "stopped"


class WindowState(Enum):
    """The state of a window, or of a file, when the sync ended.

    FAILED: this sync tried to load it, and its job, its file or its rows were in error. MISSING:
    some of its requested days are not loaded, because this sync did not get to it or was stopped.
    OPEN: all of its requested days are loaded, but its calendar slot goes on, its last day was not
    over when the file was made, or it is due to be loaded again. COMPLETE: all of its
    requested days up to the end of its slot are loaded, and nothing is due.
    """

    FAILED = "failed"
    MISSING = "missing"
    OPEN = "open"
    COMPLETE = "complete"


@dataclass(frozen=True)
class WindowFacts:
    """One window of a report: its days, both inclusive, and the rows in the ledger of the state.

    A snapshot has no days. A COMPLETE window that is not `is_settled` may still change.
    """

    days: tuple[date, date] | None
    rows: int
    state: WindowState
    is_settled: bool = False
    in_this_sync: bool = False
    reason: str = ""


@dataclass(frozen=True)
class ProgramFacts:
    """The windows of one program, "" for all programs, in the order of their days."""

    program: str
    windows: Sequence[WindowFacts]


@dataclass(frozen=True)
class FileFacts:
    """One file that this sync planned to load; `rows` is None if it was not loaded."""

    name: str
    state: WindowState
    rows: int | None = None
    reason: str = ""


@dataclass(frozen=True)
class StreamFacts:
    """What became of one stream.

    The counts are of this sync; `loaded` counts windows or files, as `unit` says, "" for a list,
    and `left` those that were planned and not loaded, refreshes included; `later` are those of them
    that later syncs are to load. `waiting` is how many finished exports can't be loaded yet.
    """

    name: str
    network: str
    unit: str
    rows: int = 0
    loaded: int = 0
    left: int = 0
    later: int = 0
    unchanged: int = 0
    vanished: int = 0
    unparsed: int = 0
    exports: int = 0
    bookmark: str = ""
    has_failed: bool = False
    programs: Sequence[ProgramFacts] = ()
    files: Sequence[FileFacts] = ()
    waiting: int = 0

    @property
    def windows(self) -> list[WindowFacts]:
        """The windows of all programs."""
        return [window for program in self.programs for window in program.windows]

    def count(self, state: WindowState) -> int:
        """Return how many windows, or files, are in a state."""
        windows = sum(window.state is state for window in self.windows)
        return windows + sum(file.state is state for file in self.files)

    @property
    def is_done(self) -> bool:
        """Whether the stream has all that this sync was to load."""
        return not (self.has_failed or self.left > self.later)


class Phase(Enum):
    """What an export was doing for a while. WAITING: its file is on disk, not yet emitted."""

    QUEUED = "queued"
    RUNNING = "running"
    DOWNLOAD = "download"
    WAITING = "on disk"
    EMITTED = "emitted"


@dataclass(frozen=True)
class Span:
    """A phase of an export, in seconds since the sync began."""

    phase: Phase
    began: float
    ended: float


@dataclass(frozen=True)
class JobFacts:
    """One export that left the queue; `job` is the service's id, "" without a job."""

    stream: str
    window: str
    job: str
    spans: Sequence[Span]
    result: str


@dataclass(frozen=True)
class NetworkFacts:
    """The exports of one kind: spent in this sync, allowed for one, and left as it says."""

    name: str
    spent: int = 0
    allowed: int | None = None
    left: int | None = None


@dataclass(frozen=True)
class Problem:
    """What kept a stream, "" for the whole sync, from being complete, and what to do.

    A spent quota and a signal are no failures: the next sync goes on.
    """

    stream: str
    text: str
    is_failure: bool = True


@dataclass(frozen=True)
class SyncFacts:
    """One sync that has ended. Moments are aware, in UTC."""

    version: str
    began: datetime
    ended: datetime
    outcome: Outcome
    streams: Sequence[StreamFacts] = ()
    jobs: Sequence[JobFacts] = ()
    networks: Sequence[NetworkFacts] = ()
    problems: Sequence[Problem] = ()
    warnings: Sequence[str] = ()

    @property
    def seconds(self) -> float:
        """How long the sync took."""
        return (self.ended - self.began).total_seconds()
