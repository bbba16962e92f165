"""Two nights, two reloads and a full refresh: from the sandbox by the tap into a loader."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import verdicts
from harness import FakeClock, config_for, sync
from nasty_report import ADDED, FIRST, REPORT, NastyReport
from started import LoaderStoppedError

from tap_affiliate_reports.messages import LineWriter
from tap_affiliate_reports.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Mapping

    from loader import Row
    from singer_sdk.singerlib import Message
    from started import Started

KEYS = ("_account", "_program_id", "_window_start", "_row_number")


class FileWriter(LineWriter):
    """Writes the messages into a file, as stdout would have them."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        path.write_bytes(b"")

    def write_message(self, message: Message) -> None:
        self.write_lines(bytes(self.format_message(message)))

    def write_lines(self, lines: bytes) -> None:
        with self._path.open("ab") as file:
            file.write(lines)


@dataclass
class Outcome:
    """The words of the table's cells, by column; `stopped` is why the rest is not known."""

    words: dict[str, str] = field(default_factory=dict)
    stopped: str = ""


class Nights:
    """The source, the tap and one loader, from night to night."""

    def __init__(self, started: Started, *, log: bool) -> None:
        self.started, self.log = started, log
        self.clock, self.nasty, self.outcome = FakeClock(), NastyReport(), Outcome()
        self.state: dict[str, Any] | None = None

    def run(self) -> Outcome:
        """Run all of them, or as many as the loader can."""
        with Sandbox(now=self.clock.now, job_seconds=5) as self.sandbox:
            self.sandbox.impact.add(self.nasty.report)
            try:
                self._run()
            except LoaderStoppedError as stopped:
                self.outcome.stopped = str(stopped)
        return self.outcome

    def _run(self) -> None:
        words, nasty = self.outcome.words, self.nasty
        words["first night"] = self._sync_and_load()
        words |= verdicts.values_words(nasty.expected(), self._live())
        words["new column"] = verdicts.column_word(nasty.added(), self._live(), ADDED)

        self.clock.advance(days=1)
        before = self._newest()
        nasty.change(date(2026, 11, 10))
        nasty.remove(date(2026, 11, 12))
        words["second night"] = self._sync_and_load()
        words["vanished"] = verdicts.gone_word(before, self._newest(), KEYS)

        nasty.change(date(2026, 9, 12))
        nasty.remove(date(2026, 9, 20))
        words["reload"] = self._sync_and_load(RELOAD="2026-09-10/2026-09-30")

        self.clock.advance(days=1)
        nasty.change(date(2026, 10, 3))
        nasty.remove(date(2026, 10, 5))
        words["reload all"] = self._sync_and_load(RELOAD="all", window="week")

        # Without state the finished files of settled windows would be used again.
        self.sandbox.impact.jobs.clear()
        self.state = None
        nasty.change(date(2026, 9, 15))
        nasty.remove(date(2026, 9, 16))
        words["full refresh"] = self._sync_and_load(window="week")

    def _sync_and_load(self, **settings: Any) -> str:
        """Sync with the state that the loader gave back, and load; compare the rows."""
        messages = self.started.folder / "messages.jsonl"
        config = config_for(
            self.sandbox,
            reports=[REPORT],
            START_DATE=FIRST.isoformat(),
            **{
                name.upper(): value
                for name, value in self.started.variant.settings(self.started.folder).items()
            },
            **settings,
        )
        sync(config, self.clock, state=self.state, writer=FileWriter(messages)).ok()
        emitted = [
            json.loads(line)["value"]
            for line in messages.read_bytes().split(b"\n")
            if b'"STATE"' in line[:40]
        ]
        state = self.started.load(messages).state
        if _of_report(state) != _of_report(emitted[-1]):
            self.outcome.words["state"] = "older" if state else "none"
        self.outcome.words.setdefault("state", "newest")
        self.state = state or self.state
        return verdicts.rows_word(self.nasty.expected(), self._live())

    def _newest(self) -> list[Row]:
        """Return the rows, one of each key."""
        rows = verdicts.lowered(self.started.place.rows(REPORT))
        return verdicts.newest(rows, KEYS) if self.log else rows

    def _live(self) -> list[Row]:
        return verdicts.live(self._newest())


def _of_report(state: Mapping[str, Any] | None) -> object:
    return ((state or {}).get("bookmarks") or {}).get(REPORT)
