"""The display and the log above it, and when there is one."""

from __future__ import annotations

import io
import logging
import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from tap_affiliate_reports import progress
from tap_affiliate_reports.progress.display import Display

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Show: TypeAlias = "Callable[[Any], Display]"
SHOW, HIDE = "\x1b[?25h", "\x1b[?25l"
# Longer than any terminal is wide.
LONG = "the job of sales failed: " + "word " * 60 + "end"


class Terminal(io.StringIO):
    """A terminal that keeps what is written to it."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A terminal of 80 columns."""
    own = [name for name in os.environ if name.startswith(("MELTANO_", "TTY_"))]
    for name in (*own, "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    return Terminal()


@pytest.fixture
def show(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], Display]:
    """Make displays on the terminal; pytest has a stderr and a level for each phase of a test."""

    def make(shown: Any) -> Display:
        monkeypatch.setattr(sys, "stderr", terminal)
        logging.getLogger().setLevel(logging.INFO)
        return Display(shown)

    return make


@pytest.fixture
def log(terminal: Terminal) -> Iterator[logging.Logger]:
    """The root logger with a handler of the terminal, as the SDK sets it up."""
    root, handler = logging.getLogger(), logging.StreamHandler(terminal)
    handler.setFormatter(logging.Formatter("%(levelname)s | %(message)s"))
    root.addHandler(handler)
    yield root
    root.removeHandler(handler)


class Broken:
    """Renders a few times, then fails."""

    def __init__(self, times: int) -> None:
        self.left = times

    def __rich__(self) -> str:
        self.left -= 1
        if self.left < 0:
            raise ZeroDivisionError("no reports")
        return "progress"


def until(condition: Any) -> None:
    """Wait for the display's thread."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_warnings_are_whole_above_the_display(
    terminal: Terminal, log: logging.Logger, show: Show
) -> None:
    with show("progress"):
        log.warning(LONG)
        log.error("[red]no markup[/red] :smile: \x07")
        log.info("a heartbeat")
        until(lambda: "no markup" in terminal.getvalue())
    text = terminal.getvalue()
    assert f"WARNING | {LONG}\n" in text
    assert "ERROR | [red]no markup[/red] :smile: \n" in text
    assert "heartbeat" not in text
    assert text.count(HIDE) == text.count(SHOW) == 1
    assert text.rindex("progress") < text.index(SHOW)
    log.info("after it")
    assert terminal.getvalue().endswith("INFO | after it\n")


def test_other_lines_are_shown_at_the_level_debug(
    terminal: Terminal, log: logging.Logger, show: Show
) -> None:
    with show("progress"):
        log.setLevel(logging.DEBUG)
        log.info("a heartbeat")
        log.debug("a request")
    assert "INFO | a heartbeat\nDEBUG | a request\n" in terminal.getvalue()


def test_what_else_is_written_to_stderr_is_above_it(terminal: Terminal, show: Show) -> None:
    with show("progress"):
        print("some library", "is old", sep=" of Python ", file=sys.stderr)
    assert "\x1b[2Ksome library of Python is old\nprogress" in terminal.getvalue()
    assert sys.stderr is terminal


def test_a_log_file_keeps_every_line(
    terminal: Terminal, log: logging.Logger, show: Show, tmp_path: Any
) -> None:
    file = logging.FileHandler(tmp_path / "log")
    log.addHandler(file)
    with show("progress"):
        log.info("a heartbeat")
    log.removeHandler(file)
    file.close()
    assert (tmp_path / "log").read_text() == "a heartbeat\n"


@pytest.mark.parametrize("times", [0, 1, 2])
def test_a_display_that_fails_ends_and_the_log_goes_on(
    times: int, terminal: Terminal, log: logging.Logger, show: Show
) -> None:
    with show(Broken(times)) as shown:
        until(lambda: "display failed" in terminal.getvalue())
        assert not shown.is_live
        log.info("loaded sales")
    text = terminal.getvalue()
    assert text.count(HIDE) == text.count(SHOW)
    assert "WARNING | the progress display failed, log lines replace it: ZeroDivisionError" in text
    assert text.endswith("INFO | loaded sales\n")
    assert sys.stderr is terminal


def test_a_failure_of_the_sync_ends_it(terminal: Terminal, log: logging.Logger, show: Show) -> None:
    def sync() -> None:
        with show("progress"):
            log.warning("before")
            raise KeyError

    with pytest.raises(KeyError):
        sync()
    assert terminal.getvalue().endswith(SHOW)
    assert [h.stream for h in log.handlers if type(h) is logging.StreamHandler] == [terminal]
    assert "progress" not in {thread.name for thread in threading.enumerate()}


def test_it_can_be_stopped_before_it_began_and_again(
    terminal: Terminal, log: logging.Logger, show: Show
) -> None:
    shown = show("progress")
    shown.stop()
    with shown:
        shown.stop()
        log.info("direct")
        shown.stop()
    assert terminal.getvalue().endswith("INFO | direct\n")
    assert terminal.getvalue().count(SHOW) == 1


@pytest.mark.parametrize(
    ("environment", "stdout", "expected"),
    [
        ({}, io.StringIO(), True),
        ({"NO_COLOR": "1"}, io.StringIO(), True),
        ({}, Terminal(), False),
        ({"MELTANO_PROJECT_ROOT": "/"}, io.StringIO(), False),
        ({"MELTANO_EXTRACTOR_NAME": "tap"}, io.StringIO(), False),
        ({"TERM": "dumb"}, io.StringIO(), False),
        ({"TTY_INTERACTIVE": "0"}, io.StringIO(), False),
    ],
)
def test_a_display_is_for_a_terminal_that_has_nothing_else(
    environment: dict[str, str],
    stdout: io.StringIO,
    expected: bool,
    terminal: Terminal,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(sys, "stdout", stdout)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert progress.is_watched() is expected


def test_a_pipe_has_log_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert not progress.is_watched()
