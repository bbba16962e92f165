"""What a step of an export leads to. The flow acts on it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from tap_affiliate_reports.exports.export import ResultFile, Step


@dataclass(frozen=True)
class Wait:
    """Try again at a moment of the monotonic clock; the export has this step until then."""

    step: Step
    until: float


@dataclass(frozen=True)
class Skip:
    """Do not load the window in this run."""

    reason: str
    for_quota: bool = False


@dataclass(frozen=True)
class Ready:
    """The file is complete and checked."""

    result: ResultFile


class Next(Enum):
    """A step that follows at once."""

    REQUEST = "request a new export"
    REPLAY = "replay the job"
    FETCH = "download the file"


Outcome: TypeAlias = Wait | Skip | Ready | Next
