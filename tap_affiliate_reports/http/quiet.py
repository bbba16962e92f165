"""Keeps urllib3 from logging URLs."""

from __future__ import annotations

import logging

LOGGERS = (
    "urllib3.connection",
    "urllib3.connectionpool",
    "urllib3.poolmanager",
    "urllib3.response",
    "urllib3.util.retry",
)


def silence_urllib3() -> None:
    """Filter out all that urllib3 logs; calling it again changes nothing."""
    for name in LOGGERS:
        logging.getLogger(name).addFilter(_drop)


def _drop(_record: logging.LogRecord) -> bool:
    # It logs whole URLs, signed ones too; what goes wrong it raises as well.
    return False
