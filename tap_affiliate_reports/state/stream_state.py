"""The state of one report, with all its keys."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from typing import Any

from tap_affiliate_reports.errors import StreamError
from tap_affiliate_reports.schema import Kind
from tap_affiliate_reports.state import former, version_0_1
from tap_affiliate_reports.state.former import FormerWindow
from tap_affiliate_reports.state.ledger import Ledger, bookmark_of

FORM = 2


class StreamState:
    """Reads the state of one report in either form; `adopt` writes the present form in place.

    `is_old_form` is whether version 0.1.0 wrote it. `ledgers`, by program, are set by `adopt`.
    """

    def __init__(self, raw: MutableMapping[str, Any]) -> None:
        self.raw = raw
        self.is_old_form = bool(raw) and version_0_1.is_old(raw)
        self.ledgers: dict[str, Ledger] = {}
        try:
            own = version_0_1.converted(raw, dump_fingerprint) if self.is_old_form else raw
            self._windows: list[Any] = list(own.get("windows") or ())
            self._partitions: dict[str, Mapping[str, Any]] = {
                str(part["context"]["_program_id"]): part for part in own.get("partitions") or ()
            }
            self._bookmark = own.get("replication_key_value")
            self.columns = {str(name): Kind(kind) for name, kind in own.get("columns") or ()}
            self._fingerprint = str(own.get("fingerprint") or "")
            self.fingerprint: dict[str, Any] | None = (
                json.loads(self._fingerprint) if self._fingerprint else None
            )
            if not isinstance(self.fingerprint or {}, dict):
                raise TypeError("the fingerprint is not an object")  # noqa: TRY301 # caught below
            self._version: int | None = own.get("version")
            self._version_pending = bool(own.get("version_pending"))
            self._reload: str | None = own.get("reload")
            self._former = former.read(own.get("former") or ())
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            msg = f"the state can't be read: {error!r}"
            raise StreamError(msg) from None

    @property
    def has_windows(self) -> bool:
        """Whether any window was loaded or begun."""
        return bool(self._windows or self._partitions)

    @property
    def has_bookmark(self) -> bool:
        """Whether a bookmark is set, by a sync or by a user."""
        return any(map(bookmark_of, self._parts()))

    def ledgers_before(self) -> dict[str, Ledger]:
        """Return copies of the ledgers before `adopt`, by program, "" without partitions."""
        # After a merge by Meltano, a state may have both partitions and windows.
        parts = {**self._partitions, **({"": self._part(None)} if self._windows else {})}
        return {program: Ledger(dict(part), None) for program, part in parts.items()}

    def forget_windows(self) -> None:
        """Remove all windows and bookmarks: nothing counts as loaded."""
        self._windows, self._partitions, self._bookmark = [], {}, None

    def adopt(
        self,
        fingerprint: Mapping[str, Any],
        replication_key: str | None,
        programs: Sequence[str],
    ) -> None:
        """Write the state for these settings, in the present form, with every key.

        `programs` has one program for each partition, or only "" without partitions.
        """
        self.fingerprint = dict(fingerprint)
        self._fingerprint = dump_fingerprint(fingerprint)
        parts: dict[str, dict[str, Any]] = {
            program: {"context": {"_program_id": program}, **self._part(program)}
            for program in programs
            if program
        }
        self.raw.clear()
        self.raw.update(
            form=FORM,
            fingerprint=self._fingerprint,
            columns=[[name, kind.value] for name, kind in self.columns.items()],
            version=self._version,
            version_pending=self._version_pending,
            reload=self._reload,
            replication_key=replication_key,
            replication_key_value=None,
            windows=[],
            former=[],
            partitions=list(parts.values()),
        )
        if not parts:
            self.raw.update(self._part(None))
        self.former = self._former
        self.ledgers = {
            program: Ledger(parts[program] if program else self.raw, replication_key)
            for program in programs
        }

    def _part(self, program: str | None) -> dict[str, Any]:
        if program is None:
            return {"replication_key_value": self._bookmark, "windows": self._windows}
        found = self._partitions.get(program, {})
        return {
            "replication_key_value": found.get("replication_key_value"),
            "windows": list(found.get("windows") or ()),
        }

    def _parts(self) -> Iterable[Mapping[str, Any]]:
        return self._partitions.values() or (self._part(None),)

    # Valid after `adopt`

    @property
    def version(self) -> int | None:
        """The version of the stream's records; None where they have none."""
        return self._version

    @property
    def version_pending(self) -> bool:
        """Whether ACTIVATE_VERSION has not been sent yet."""
        return self._version_pending

    def begin_version(self, version: int) -> None:
        """Set a new version of the records, which is activated once all windows are loaded."""
        self.raw["version"] = self._version = version
        self.raw["version_pending"] = self._version_pending = True

    def end_version(self) -> None:
        """Record that ACTIVATE_VERSION was sent."""
        self.raw["version_pending"] = self._version_pending = False

    @property
    def reload(self) -> str | None:
        """The unfinished reload, as the text of the setting; None if there is none."""
        return self._reload

    @reload.setter
    def reload(self, text: str | None) -> None:
        self.raw["reload"] = self._reload = text

    @property
    def former(self) -> list[FormerWindow]:
        """The windows of old settings whose rows are still live."""
        return self._former

    @former.setter
    def former(self, windows: Iterable[FormerWindow]) -> None:
        self._former = former.joined(windows)
        self.raw["former"] = former.write(self._former)


def dump_fingerprint(settings: Mapping[str, Any]) -> str:
    """Return a fingerprint as JSON text, because Meltano would merge an object key by key."""
    return json.dumps(settings, sort_keys=True)


def column_kinds(raw: Mapping[str, Any]) -> dict[str, Kind]:
    """Return the type of each column in a stream's state of either form."""
    kept = raw.get("columns") or ()
    return {str(name): Kind(kind) for name, kind in (
        kept.items() if isinstance(kept, Mapping) else kept
    )}  # fmt: skip
