"""The ledger of finished files that are loaded."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from datetime import datetime, timedelta
from typing import Any

from tap_affiliate_reports.errors import StreamError
from tap_affiliate_reports.state import version_0_1
from tap_affiliate_reports.state.stream_state import FORM, column_kinds
from tap_affiliate_reports.state.timestamps import from_optional, to_optional, to_timestamp

# A file may be listed a while after it was finished, so this much is looked at again.
OVERLAP = timedelta(days=1)


class FileLedger:
    """Knows which finished files are loaded; `adopt` writes it into the state of one stream.

    The bookmark is the date of the newest one before which none is missing, from `covered` on.
    `loaded` holds the ids of all others: those that are not well before the bookmark, and those
    from before `covered`, so that no file is loaded twice or passed over. Files finished between
    `reload_from` and `reload_until` count as loaded only if they are in `reloaded`.
    """

    def __init__(
        self, state: MutableMapping[str, Any], start: datetime, old_account: str | None = None
    ) -> None:
        self.state = state
        self.start = start
        # The label of rows that version 0.1.0 loaded; null where there are none.
        is_old = bool(state.get("loaded")) and version_0_1.is_old(state)
        self.old_account = old_account if is_old else state.get("old_account")
        try:
            loaded = _pairs(state.get("loaded"))
            self.bookmark = from_optional(_text(state, "replication_key_value"))
            self.loaded = {str(key): _moment(at) for key, at in loaded or ()}
            # From here on all is loaded up to the bookmark.
            self.covered = from_optional(_text(state, "start")) or start
            self.reload_from = from_optional(_text(state, "reload_from"))
            self.reload_until = from_optional(_text(state, "reload_until"))
            self.reloaded = set(map(str, state.get("reloaded") or ()))
        except (ValueError, TypeError, AttributeError) as error:
            msg = f"the state's ledger of files can't be read: {error!r}"
            raise StreamError(msg) from None
        # Without a list of what is loaded, a bookmark set by a user is taken as it is.
        self._is_listed = loaded is not None
        if self.bookmark and start > self.bookmark:
            self.covered = start  # what lies between the two is passed over
        self._look()

    def _look(self) -> None:
        overlap = OVERLAP if self._is_listed else timedelta(0)
        self._passed = self.bookmark - overlap if self.bookmark else self.covered
        since = self.start if self.start < self.covered else max(self.start, self._passed)
        if self.reload_from:
            since = min(since, max(self.start, self.reload_from))
        self.since = since

    def adopt(self) -> None:
        """Write the ledger into the state, with every key of the present form."""
        columns = [[name, kind.value] for name, kind in column_kinds(self.state).items()]
        under_way = self.state.get("reload")
        self.state.clear()
        self.state.update(
            form=FORM, columns=columns, reload=under_way, old_account=self.old_account
        )
        self._write()

    def forget(self) -> None:
        """Count no file as loaded."""
        self.bookmark, self.loaded, self.covered = None, {}, self.start
        self.reload_from, self.reload_until, self.reloaded = None, None, set()
        self._look()

    def request_reload(self, since: datetime, until: datetime) -> None:
        """Count the files finished from one moment on, and before another, as not loaded.

        A reload that is under way goes on with these: what lies between the two is loaded too.
        """
        self.reload_from = min(since, self.reload_from or since)
        self.reload_until = max(until, self.reload_until or until)
        self.reloaded = set()
        self._look()

    def end_reload(self) -> None:
        """Record that all files to reload are loaded again."""
        self.reload_from, self.reload_until, self.reloaded = None, None, set()
        self._write()

    @property
    def is_reloading(self) -> bool:
        """Whether files are to be loaded again."""
        return self.reload_from is not None

    def is_reloaded_but(self, held_back: datetime | None) -> bool:
        """Whether a reload has nothing left to load but what is held back from a moment on."""
        return self.reload_until is not None and (
            held_back is None or held_back >= self.reload_until
        )

    def is_loaded(self, export: str, finished_at: datetime) -> bool:
        """Whether a finished file is loaded; one from before `covered` only if it is recorded."""
        if self._is_reloaded(finished_at):
            return export in self.reloaded
        return export in self.loaded or self.covered <= finished_at < self._passed

    def is_due(self, export: str, finished_at: datetime) -> bool:
        """Whether a finished file that is listed is still to be loaded."""
        return finished_at >= self.start and not self.is_loaded(export, finished_at)

    def record(self, export: str, finished_at: datetime, not_past: datetime | None) -> None:
        """Record a file as loaded; the bookmark moves up to it, but not past a given moment."""
        if self._is_reloaded(finished_at):
            self.reloaded.add(export)
        self.loaded[export] = finished_at
        self._is_listed = True
        reached = finished_at if not_past is None else min(finished_at, not_past)
        self.bookmark = reached if self.bookmark is None else max(self.bookmark, reached)
        self._write()

    def mark_covered(self) -> bool:
        """Record that all files from an earlier start on are loaded; return whether that is new."""
        if self.bookmark is None or self.start >= self.covered:
            return False
        self.covered = self.start
        self._write()
        return True

    def _is_reloaded(self, finished_at: datetime) -> bool:
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
            # With no file loaded, the next sync's own start decides.
            start=to_timestamp(self.covered) if self.bookmark else None,
            loaded=[
                [key, to_timestamp(at)]
                for key, at in self.loaded.items()
                if since is None or at >= since or at < self.covered
            ]
            if self._is_listed
            else None,
            reload_from=to_optional(self.reload_from),
            reload_until=to_optional(self.reload_until),
            reloaded=sorted(self.reloaded),
        )


def _pairs(loaded: Any) -> list[tuple[Any, Any]] | None:
    """Return the ids and dates of files; version 0.1.0 had them in an object."""
    if loaded is None:
        return None
    return [(key, at) for key, at in (loaded.items() if isinstance(loaded, Mapping) else loaded)]


def _moment(text: Any) -> datetime:
    moment = from_optional(text)
    if moment is None:
        msg = f"not a moment: {text!r}"
        raise ValueError(msg)
    return moment


def _text(state: Mapping[str, Any], name: str) -> str | None:
    value = state.get(name)
    return str(value) if value else None
