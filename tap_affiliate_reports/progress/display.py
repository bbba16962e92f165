"""A live display on the terminal, with the log above it.

Only the display's own thread writes to the terminal while it lasts: the handler of a signal runs in
the main thread, in the middle of whatever that does, and must neither wait for a lock nor find a
line half written.
"""

from __future__ import annotations

import io
import logging
import sys
import time
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Thread
from types import TracebackType
from typing import TextIO, cast

from rich.console import Console, RenderableType
from rich.live import Live
from typing_extensions import Self, override

INTERVAL = 0.2
# A table of many streams is rendered less often, because that takes time from the rows.
SHARE = 1 / 20
# The display ends at once, unless the terminal is stopped by Ctrl-S.
SECONDS_TO_END = 2.0

DISPLAY_FAILED = "the progress display failed, log lines replace it: %r"

logger = logging.getLogger(__name__)


class Display:
    """Renders again and again until `stop`; a failure ends the display, and nothing else.

    Log lines of level WARNING and above are written above it, those below only if the log level is
    DEBUG.
    """

    def __init__(self, shown: RenderableType) -> None:
        self.terminal: TextIO = sys.stderr
        self._console = Console(file=self.terminal)
        self._live = Live(
            shown,
            console=self._console,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
            vertical_overflow="crop",
        )
        self._lines: SimpleQueue[str | None] = SimpleQueue()
        self._thread = Thread(target=self._render, name="progress", daemon=True)
        self._above = cast("TextIO", _Above(self))
        self._handlers: list[logging.StreamHandler[TextIO]] = []
        self._interval = INTERVAL
        self.is_live = False

    # The log

    def __enter__(self) -> Self:
        self._handlers = _handlers_of(self.terminal)
        self.is_live = True
        for handler in self._handlers:
            handler.setStream(self._above)
            handler.addFilter(self._is_shown)
        sys.stderr = self._above
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End the display, and leave its last state on the terminal.

        Further calls have no effect, also from the handler of a signal that interrupts a call.
        """
        if self._thread.is_alive():
            self._lines.put(None)
            self._thread.join(SECONDS_TO_END)
        self.is_live = False
        sys.stderr = self.terminal
        for handler in self._handlers:
            handler.setStream(self.terminal)
            handler.removeFilter(self._is_shown)
        if not self._thread.is_alive():
            self._write_rest()

    def write(self, line: str) -> None:
        """Write a line above the display, or in its place once it has ended."""
        if self.is_live:
            self._lines.put(line)
        else:
            self.terminal.write(f"{line}\n")
            self.terminal.flush()

    def _is_shown(self, record: logging.LogRecord) -> bool:
        is_debugging = logging.getLogger().level <= logging.DEBUG
        return not self.is_live or is_debugging or record.levelno >= logging.WARNING

    # The thread

    def _render(self) -> None:
        failure: Exception | None = None
        try:
            with self._live:
                while (lines := self._next_lines()) is not None:
                    if lines:
                        self._console.out("\n".join(lines), highlight=False)
                    else:
                        self._refresh()
        except Exception as error:  # the sync goes on, whatever happened to its display
            failure = error
        self.is_live = False
        self._write_rest()
        if failure is not None:
            logger.warning(DISPLAY_FAILED, failure)

    def _refresh(self) -> None:
        began = time.monotonic()
        self._live.refresh()
        self._interval = max(INTERVAL, (time.monotonic() - began) / SHARE)

    def _next_lines(self) -> list[str] | None:
        """Return the lines that are due, none after an interval, and None at the end."""
        lines = []
        try:
            text = self._lines.get(timeout=self._interval)
            while text is not None:
                lines.append(text)
                text = self._lines.get_nowait()
        except Empty:
            return lines
        if not lines:
            return None
        self._lines.put(None)
        return lines

    def _write_rest(self) -> None:
        """Write the lines that came too late for the display."""
        with suppress(Empty):
            while True:
                if (line := self._lines.get_nowait()) is not None:
                    self.write(line)


class _Above(io.TextIOBase):
    """What stands in for stderr: whole lines go above the display."""

    def __init__(self, display: Display) -> None:
        self._display = display
        self._rest = ""

    @override
    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._display.write(line)
        return len(text)


def _handlers_of(stream: TextIO) -> list[logging.StreamHandler[TextIO]]:
    """Return the handlers of all loggers that write to a stream."""
    loggers = [logging.getLogger(), *logging.Logger.manager.loggerDict.values()]
    handlers = {
        handler
        for one in loggers
        if isinstance(one, logging.Logger)
        for handler in one.handlers
        if isinstance(handler, logging.StreamHandler) and handler.stream is stream
    }
    return list(handlers)
