"""Model loaders: what each kind of target holds, and what Meltano makes of the state."""

from __future__ import annotations

import copy
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from meltano.core.utils import merge

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Loader:
    """A target that finds a row by the key columns of the last SCHEMA, as an SQL upsert does.

    `honours_versions` is whether ACTIVATE_VERSION retires rows; with `hard_delete` a retired row
    is removed, else it is marked by `_sdc_deleted_at`.
    """

    def __init__(
        self,
        *,
        honours_versions: bool = True,
        hard_delete: bool = False,
        allows_empty_keys: bool = False,
    ) -> None:
        self.honours_versions = honours_versions
        self.hard_delete = hard_delete
        self.allows_empty_keys = allows_empty_keys
        self.tables: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self._keys: dict[str, Sequence[str]] = {}
        # Position of each row by its key, for the key columns at hand.
        self._places: dict[str, dict[tuple[Any, ...], int]] = {}

    def load(self, messages: Sequence[Mapping[str, Any]]) -> None:
        for message in messages:
            stream = message.get("stream", "")
            if message["type"] == "SCHEMA":
                self._index(stream, message["key_properties"])
            elif message["type"] == "RECORD":
                self._upsert(stream, message["record"], message.get("version"))
            elif message["type"] == "ACTIVATE_VERSION" and self.honours_versions:
                for row in self.tables[stream]:
                    if (row["_version"] or 0) < message["version"]:
                        row["_sdc_deleted_at"] = row["_sdc_deleted_at"] or "by version"
                self._purge(stream)

    def live(self, stream: str) -> list[dict[str, Any]]:
        """Return the rows that count."""
        return [row for row in self.tables[stream] if row["_sdc_deleted_at"] is None]

    def _index(self, stream: str, keys: Sequence[str]) -> None:
        self._keys[stream] = keys
        self._places[stream] = {
            tuple(row.get(key) for key in keys): place
            for place, row in enumerate(self.tables[stream])
        }

    def _upsert(self, stream: str, record: Mapping[str, Any], version: int | None) -> None:
        row = {"_sdc_deleted_at": None, **record, "_version": version}
        key = tuple(row[name] for name in self._keys[stream])
        refused = {None} if self.allows_empty_keys else {None, ""}
        assert not refused & set(key), f"{stream}: an empty key in {record}"
        place = self._places[stream].get(key)
        if place is None:
            self._places[stream][key] = len(self.tables[stream])
            self.tables[stream].append(row)
        else:
            self.tables[stream][place] = row
        if self.hard_delete and row["_sdc_deleted_at"]:
            self._purge(stream)

    def _purge(self, stream: str) -> None:
        if self.hard_delete:
            self.tables[stream] = self.live(stream)
            self._index(stream, self._keys[stream])


def merged(states: Sequence[Mapping[str, Any]], before: Mapping[str, Any]) -> dict[str, Any]:
    """Return what Meltano keeps after a full refresh that emitted these states."""
    partial: dict[str, Any] = {}
    for state in states:
        merge(copy.deepcopy(state), partial)
    kept: dict[str, Any] = merge(copy.deepcopy(partial), copy.deepcopy(dict(before)))
    return kept


def counted(rows: Sequence[Mapping[str, Any]], *names: str) -> Counter[tuple[Any, ...]]:
    """Return how often each combination of these columns occurs."""
    return Counter(tuple(row[name] for name in names) for row in rows)
