"""Checks a STATE before a sync requests anything."""

from __future__ import annotations

import copy
from datetime import datetime, timezone
from typing import Any

import pendulum

from tap_affiliate_reports.errors import StreamError
from tap_affiliate_reports.state.files import FileLedger
from tap_affiliate_reports.state.stream_state import StreamState, column_kinds

REPAIR = "Correct its entry in bookmarks, or remove it to load the stream from the beginning"


def check(state: Any) -> None:
    """Raise StreamError for a STATE that this tap can't read."""
    bookmarks = state.get("bookmarks", {}) if isinstance(state, dict) else None
    if not isinstance(bookmarks, dict):
        msg = "the state is not a JSON object with an object of bookmarks"
        raise StreamError(msg)
    for stream, own in bookmarks.items():
        if not isinstance(own, dict):
            msg = f"the state of {stream} can't be read: it is not an object. {REPAIR}"
            raise StreamError(msg)
        try:
            value = own.get("replication_key_value")
            if value:
                pendulum.parse(str(value))
            column_kinds(own)
            for ledger in StreamState(copy.copy(own)).ledgers_before().values():
                _ = ledger.bookmark
            FileLedger(copy.copy(own), datetime.min.replace(tzinfo=timezone.utc))
        except (StreamError, ValueError, TypeError, AttributeError) as error:
            msg = f"the state of {stream} can't be read: {error}. {REPAIR}"
            raise StreamError(msg) from None
