"""The ledger of the finished files of one stream."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from datetime import datetime, timedelta
from typing import Any

from tap_affiliate_reports.errors import StreamError
from tap_affiliate_reports.state import version_0_1
from tap_affiliate_reports.state.stream_state import FORM, column_kinds
from tap_affiliate_reports.state.timestamps import from_optional, to_optional, to_timestamp

# A file may be listed some time after it was finished, so the last day is checked again.
OVERLAP = timedelta(days=1)


class FileLedger:
    """Records which finished files are loaded; `adopt` writes it into the state of one stream.

    All files finished from `covered_from` to the bookmark are loaded. `loaded` has the ids and
    dates of other loaded files: those later than OVERLAP before the bookmark, and those before
    `covered_from`, so that no file is loaded twice or missed. Files finished between `reload_from`
    and `reload_until` count as loaded only if they are in `reloaded`. Only files finished from
    `start` on are wanted; a list must be read from `since` on.
    """

    def __init__(
        self, state: MutableMapping[str, Any], start: datetime, old_account: str | None = None
    ) -> None:
        self.state = state
        self.start = start
        # The `_account` of rows that version 0.1.0 loaded; null if there are none.
        is_old = bool(state.get("loaded")) and version_0_1.is_old(state)
        self.old_account = old_account if is_old else state.get("old_account")
        try:
            loaded = _pairs(state.get("loaded"))
            self.bookmark = from_optional(_text(state, "replication_key_value"))
            self.loaded = {str(key): _moment(at) for key, at in loaded or ()}
            self.covered_from = from_optional(_text(state, "start")) or start
            self.reload_from = from_optional(_text(state, "reload_from"))
            self.reload_until = from_optional(_text(state, "reload_until"))
            self.reloaded = set(map(str, state.get("reloaded") or ()))
        except (ValueError, TypeError, AttributeError) as error:
            msg = f"the state's ledger of files can't be read: {error!r}"
            raise StreamError(msg) from None
        # Without a list of loaded files, a user has set the bookmark, which is then exact.
        self._is_listed = loaded is not None
        if self.bookmark and start > self.bookmark:
            self.covered_from = start  # no file between the bookmark and `start` is wanted
        self._update_since()

    def _update_since(self) -> None:
        overlap = OVERLAP if self._is_listed else timedelta(0)
        self._loaded_to = self.bookmark - overlap if self.bookmark else self.covered_from
        since = self.start if self.start < self.covered_from else max(self.start, self._loaded_to)
        if self.reload_from:
            since = min(since, max(self.start, self.reload_from))
        self.since = since

    def adopt(self) -> None:
        """Write the ledger into the state, with every key of the present form."""
        columns = [[name, kind.value] for name, kind in column_kinds(self.state).items()]
        reload = self.state.get("reload")
        self.state.clear()
        self.state.update(form=FORM, columns=columns, reload=reload, old_account=self.old_account)
        self._write()

    def forget(self) -> None:
        """Count no file as loaded."""
        self.bookmark, self.loaded, self.covered_from = None, {}, self.start
        self.reload_from, self.reload_until, self.reloaded = None, None, set()
        self._update_since()

    def request_reload(self, since: datetime, until: datetime) -> None:
        """Count the files finished from `since` on and before `until` as not loaded.

        An unfinished reload is extended to these; files between the two ranges are loaded too.
        """
        self.reload_from = min(since, self.reload_from or since)
        self.reload_until = max(until, self.reload_until or until)
        self.reloaded = set()
        self._update_since()

    def end_reload(self) -> None:
        """Record that the reload is finished."""
        self.reload_from, self.reload_until, self.reloaded = None, None, set()
        self._write()

    @property
    def is_reloading(self) -> bool:
        """Whether a reload is unfinished."""
        return self.reload_from is not None

    def is_reloaded_but(self, held_back: datetime | None) -> bool:
        """Return whether a reload is unfinished and none of its files are held back.

        Files finished from `held_back` on are; None if there are none.
        """
        return self.reload_until is not None and (
            held_back is None or held_back >= self.reload_until
        )

    def is_loaded(self, export: str, finished_at: datetime) -> bool:
        """Return whether a finished file is loaded."""
        if self._is_to_reload(finished_at):
            return export in self.reloaded
        return export in self.loaded or self.covered_from <= finished_at < self._loaded_to

    def is_due(self, export: str, finished_at: datetime) -> bool:
        """Return whether a finished file must be loaded."""
        return finished_at >= self.start and not self.is_loaded(export, finished_at)

    def record(self, export: str, finished_at: datetime, not_past: datetime | None) -> None:
        """Record a file as loaded, and move the bookmark to it, but not beyond `not_past`."""
        if self._is_to_reload(finished_at):
            self.reloaded.add(export)
        self.loaded[export] = finished_at
        self._is_listed = True
        reached = finished_at if not_past is None else min(finished_at, not_past)
        self.bookmark = reached if self.bookmark is None else max(self.bookmark, reached)
        self._write()

    def mark_covered(self) -> bool:
        """Record that all files from an earlier `start` on are loaded.

        Returns whether that changed the state.
        """
        if self.bookmark is None or self.start >= self.covered_from:
            return False
        self.covered_from = self.start
        self._write()
        return True

    def _is_to_reload(self, finished_at: datetime) -> bool:
        return (
            self.reload_from is not None
            and self.reload_until is not None
            and self.reload_from <= finished_at < self.reload_until
        )

    def _write(self) -> None:
        since = self.bookmark - OVERLAP if self.bookmark else None
        self.state.update(
            replication_key="_completed_at",
            replication_key_value=to_optional(self.bookmark),
            # Without a loaded file, the next sync uses its own start.
            start=to_timestamp(self.covered_from) if self.bookmark else None,
            loaded=[
                [key, to_timestamp(at)]
                for key, at in self.loaded.items()
                if since is None or at >= since or at < self.covered_from
            ]
            if self._is_listed
            else None,
            reload_from=to_optional(self.reload_from),
            reload_until=to_optional(self.reload_until),
            reloaded=sorted(self.reloaded),
        )


def _pairs(loaded: Any) -> list[tuple[Any, Any]] | None:
    """Return the ids and dates of files; version 0.1.0 stored them in an object."""
    if loaded is None:
        return None
    return [(key, at) for key, at in (loaded.items() if isinstance(loaded, Mapping) else loaded)]


def _moment(text: Any) -> datetime:
    moment = from_optional(text)
    if moment is None:
        msg = f"not a date-time: {text!r}"
        raise ValueError(msg)
    return moment


def _text(state: Mapping[str, Any], name: str) -> str | None:
    value = state.get(name)
    return str(value) if value else None
