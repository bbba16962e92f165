"""The tap on a pseudo-terminal, as a user runs it: the display, the log and the end."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tap_affiliate_reports.sandbox import Attribute, Report, Sandbox, status

pytestmark = pytest.mark.kill

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SHOW, HIDE = "\x1b[?25h", "\x1b[?25l"
MESSAGES = {"SCHEMA", "RECORD", "STATE", "ACTIVATE_VERSION"}
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
UNPARSED = "2 values of Amount do not fit its type and are kept in _unparsed"
ALWAYS = {"TERM": "xterm-256color"}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """Two reports, one with amounts that are none."""
    with Sandbox(job_seconds=0.4) as running:
        for report in list(running.impact.reports):
            running.impact.remove(report)
        columns = [Attribute("Id"), Attribute("Amount", "Decimal")]
        rows = [["a", "1.5"], ["b", "much"], ["c", "little"]]
        for name in ("orders", "sales"):
            running.impact.add(Report(name, columns=columns, rows=lambda *_: rows))
        yield running


@dataclass
class Terminal:
    """A tap whose stdin and stderr are a terminal of 80 columns, and its stdout a pipe."""

    process: subprocess.Popen[bytes]
    master: int
    shown: str = ""
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def __post_init__(self) -> None:
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        # Linux reports the end of a pseudo-terminal as an error.
        with contextlib.suppress(OSError):
            while block := os.read(self.master, 65536):
                with self._changed:
                    self.shown += block.decode().replace("\r\n", "\n")
                    self._changed.notify_all()

    def wait_for(self, text: str) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: text in self.shown, 30), self.shown

    def end(self) -> list[dict[str, Any]]:
        """Wait for the tap; return its messages, each of a whole line."""
        out, _ = self.process.communicate(timeout=60)
        self._reader.join(10)
        found = [json.loads(line) for line in out.splitlines()]
        assert {message["type"] for message in found} <= MESSAGES
        return found

    @property
    def text(self) -> str:
        """What was shown, without colours and the movements of the cursor."""
        return ESCAPES.sub("", self.shown).replace("\r", "")

    def has_cursor(self) -> bool:
        return self.shown.count(HIDE) == 1 and self.shown.rindex(SHOW) > self.shown.rindex(HIDE)


@pytest.fixture
def run(sandbox: Sandbox, tmp_path: Path) -> Iterator[Any]:
    """Run the tap on a terminal."""
    terminals: list[Terminal] = []

    def start(*, on_stdout: bool = False, **environment: str) -> Terminal:
        start_date = (date.today() - timedelta(days=40)).isoformat()
        impact = {
            "account_sid": "IRsandbox",
            "auth_token": "sandbox-token",
            "api_url": sandbox.url,
            "reports": ["*"],
            "poll_interval_seconds": 0.05,
        }
        path = tmp_path / "config.json"
        path.write_text(json.dumps({"start_date": start_date, "impact": impact}))
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        own = ("TAP_", "LOGLEVEL", "MELTANO_", "NO_COLOR", "COLUMNS", "LINES", "TTY_")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(own)}
        process = subprocess.Popen(
            [sys.executable, "-m", "tap_affiliate_reports", "--config", str(path)],
            stdin=slave,
            stdout=slave if on_stdout else subprocess.PIPE,
            stderr=slave,
            env=kept | ALWAYS | environment,
            start_new_session=True,
        )
        os.close(slave)
        terminals.append(Terminal(process, master))
        return terminals[-1]

    yield start
    for one in terminals:
        one.process.kill()
        one.process.wait(10)
        os.close(one.master)


def test_a_sync_has_a_display_with_whole_warnings_above_it_and_a_table_at_its_end(
    run: Any,
) -> None:
    terminal = run()
    records = [message for message in terminal.end() if message["type"] == "RECORD"]
    assert terminal.process.returncode == 0
    assert {record["stream"] for record in records} >= {"orders", "sales"}
    assert terminal.has_cursor()
    lines = terminal.text.splitlines()
    assert sum(line.endswith(UNPARSED) and "WARNING" in line for line in lines) == len(
        {(r["stream"], r["record"]["_window_start"]) for r in records if "Amount" in r["record"]}
    )
    assert "plan of impact" in terminal.text
    assert re.search(r"\norders +[01]/[23] +running \d+ %", terminal.text)
    shown = terminal.shown[terminal.shown.index(HIDE) :]
    assert not re.search(r"METRIC|Beginning|requested|\| INFO", shown)
    assert re.search(r"stream +done +left +rows +vanished", terminal.text)
    assert terminal.text.splitlines()[-1].startswith("0:00:0")


def test_a_stream_that_fails_is_a_whole_line(run: Any, sandbox: Sandbox) -> None:
    sandbox.faults.add("ReportExport/orders", status(403), times=None)
    terminal = run()
    assert {m["stream"] for m in terminal.end() if m["type"] == "RECORD"} >= {"sales"}
    assert terminal.process.returncode == 1
    assert terminal.has_cursor()
    (failed,) = re.findall(r"ERROR .* failed: orders .*", terminal.text)
    assert failed.endswith("The token lacks the scope for this endpoint")
    assert re.search(r"\norders +0/[23] +failed", terminal.text)
    assert "1 stream failed, the others are done." in terminal.text.splitlines()[-1]
    assert "Traceback" not in terminal.text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_display_first(
    number: signal.Signals, run: Any, sandbox: Sandbox
) -> None:
    sandbox.impact.job_seconds = 60
    terminal = run()
    terminal.wait_for("exports spent, 8")
    terminal.process.send_signal(number)
    assert terminal.end()[-1]["type"] == "STATE"
    assert terminal.process.returncode == 128 + number
    assert terminal.has_cursor()
    *_, total, line = terminal.text.splitlines()
    assert "exports spent" in total
    assert line.endswith(
        f"received signal {number}, stopping; finished windows are saved in the state"
    )


def test_a_loader_that_went_away_ends_the_display(run: Any, sandbox: Sandbox) -> None:
    rows = [["x" * 1000]] * 5000
    sandbox.impact.add(Report("wide", columns=[Attribute("Text")], rows=lambda *_: rows))
    terminal = run()
    terminal.process.stdout.readline()
    terminal.process.stdout.close()
    assert terminal.process.wait(60) == 1
    terminal._reader.join(10)
    assert terminal.has_cursor()
    assert "the loader closed its input" in terminal.text.splitlines()[-1]
    assert "Traceback" not in terminal.text


@pytest.mark.parametrize(
    "environment", [{"TERM": "dumb"}, {"MELTANO_EXTRACTOR_NAME": "tap-affiliate-reports"}]
)
def test_log_lines_alone(environment: dict[str, str], run: Any) -> None:
    terminal = run(**environment)
    terminal.end()
    assert terminal.process.returncode == 0
    assert "\x1b" not in terminal.shown
    assert "loaded sales" in terminal.shown
    assert "summary: stream" in terminal.shown


def test_no_color(run: Any) -> None:
    terminal = run(NO_COLOR="1")
    terminal.end()
    assert terminal.has_cursor()
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", terminal.shown)


def test_records_on_the_terminal(run: Any) -> None:
    terminal = run(on_stdout=True)
    assert terminal.process.wait(60) == 0
    terminal._reader.join(10)
    assert "\x1b" not in terminal.shown
    assert '{"type":"RECORD"' in terminal.shown
