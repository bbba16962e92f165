"""A tap in a process of its own, on a clock that never waits: what the tests of kills kill."""

from __future__ import annotations

import json
import os
import signal
import tempfile
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forks import redirect
from harness import FakeClock

from tap_affiliate_reports import messages
from tap_affiliate_reports.clock import SystemClock
from tap_affiliate_reports.errors import TapError
from tap_affiliate_reports.tap import TapAffiliateReports

if TYPE_CHECKING:
    from singer_sdk.singerlib import Message


@dataclass
class Job:
    """What a child is to do; `die_after` counts messages, and `block` is the writer's block."""

    config: dict[str, Any]
    state: dict[str, Any]
    folder: Path
    now: datetime
    die_after: int | None = None
    block: int = 0
    real_clock: bool = False
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def out(self) -> Path:
        return self.folder / "out.jsonl"

    def messages(self) -> list[dict[str, Any]]:
        """Return the messages that arrived whole: a last line without an end is dropped."""
        return whole_lines(self.out.read_bytes() if self.out.exists() else b"")


def whole_lines(content: bytes) -> list[dict[str, Any]]:
    """Decode the lines that have an end."""
    return [json.loads(line, parse_float=Decimal) for line in content.split(b"\n")[:-1]]


class DyingWriter(messages.LineWriter):
    """Dies by SIGKILL once it has taken so many messages."""

    def __init__(self, die_after: int | None) -> None:
        super().__init__()
        self.left = die_after

    def write_lines(self, lines: bytes) -> None:
        for line in lines.splitlines(keepends=True):
            super().write_lines(line)
            self._count()

    def write_message(self, message: Message) -> None:
        super().write_message(message)
        self._count()

    def _count(self) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


def run(job: Job) -> None:
    """Sync, with stdout, stderr and temporary files in the job's folder."""
    for number, path in ((1, job.out), (2, job.folder / "err.log")):
        redirect(number, path, append=True)
    temporary = job.folder / "tmp"
    temporary.mkdir(exist_ok=True)
    tempfile.tempdir = str(temporary)
    messages.BLOCK = job.block
    tap = TapAffiliateReports(
        config=job.config,
        state=job.state,
        clock=SystemClock() if job.real_clock else FakeClock(job.now),
        message_writer=DyingWriter(job.die_after),
    )
    try:
        tap.sync_all()
    except TapError as error:
        os.write(2, f"{error}\n".encode())
        raise SystemExit(1) from None
    finally:
        tap.close()
