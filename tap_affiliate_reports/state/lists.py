"""The state of a list that is read from its bookmark on."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from tap_affiliate_reports.state.stream_state import FORM
from tap_affiliate_reports.windows import Reload


class ListState:
    """Reads and writes the state of one list in place; the SDK advances its bookmark."""

    def __init__(self, raw: MutableMapping[str, Any], replication_key: str) -> None:
        self.raw = raw
        value = raw.get("replication_key_value")
        raw.update(
            form=FORM,
            reload=raw.get("reload"),
            replication_key=replication_key,
            replication_key_value=str(value) if value else None,
        )

    @property
    def bookmark(self) -> str | None:
        """The replication key's largest value; None before the first sync."""
        value: str | None = self.raw["replication_key_value"]
        return value

    def forget(self) -> None:
        """Remove the bookmark: the list is read from its beginning."""
        self.raw["replication_key_value"] = None

    def request_reload(self, wanted: Reload) -> None:
        """Move the bookmark back to the first day requested, once for each reload."""
        if self.raw["reload"] == wanted.text:
            return
        self.raw["reload"] = wanted.text
        if wanted.first is None:
            self.forget()
        elif self.bookmark:
            self.raw["replication_key_value"] = min(self.bookmark, wanted.first.isoformat())

    def end_reload(self) -> None:
        """Record that the reload is finished."""
        self.raw["reload"] = None
