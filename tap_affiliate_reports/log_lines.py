"""Keeps the log lines of a run that say that something may be wrong."""

from __future__ import annotations

import logging
from types import TracebackType

from typing_extensions import Self


class LogLines(logging.Handler):
    """Keeps the WARNING and ERROR lines that are logged while it is entered, each once."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._kept: dict[tuple[int, str], None] = {}

    @property
    def warnings(self) -> list[str]:
        """The WARNING lines."""
        return [line for level, line in self._lines() if level < logging.ERROR]

    @property
    def errors(self) -> list[str]:
        """The ERROR lines."""
        return [line for level, line in self._lines() if level >= logging.ERROR]

    def _lines(self) -> list[tuple[int, str]]:
        # Other threads may log meanwhile.
        return list(self._kept)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        try:
            self._kept[record.levelno, record.getMessage()] = None
        except Exception:  # a library's line with wrong arguments must not end the sync
            self.handleError(record)

    def __enter__(self) -> Self:
        logging.getLogger().addHandler(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        logging.getLogger().removeHandler(self)
