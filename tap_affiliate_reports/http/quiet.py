"""Silences urllib3, whose log lines contain complete URLs."""

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
    """Drop all log records of urllib3; further calls have no effect."""
    for name in LOGGERS:
        logging.getLogger(name).addFilter(_drop)


def _drop(_record: logging.LogRecord) -> bool:
    # Signed URLs are secrets. No information is lost, because urllib3 raises its errors too.
    return False
