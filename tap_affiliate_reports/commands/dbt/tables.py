"""The tables that a loader creates for the selected streams."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

from singer_sdk.mapper import RemoveRecordTransform

from tap_affiliate_reports.errors import SettingsError
from tap_affiliate_reports.streams import AffiliateStream, ReportStream

if TYPE_CHECKING:
    from tap_affiliate_reports.tap import TapAffiliateReports

DELETED_AT = "_sdc_deleted_at"
REFRESHED_AT = "_refreshed_at"


SAME_NAME = (
    "--dbt: the tables %s and %s would have one model. Deselect one, or rename it by its map"
)


@dataclass(frozen=True)
class Table:
    """A table of the warehouse, as its SCHEMA message has it: `columns` are JSON Schemas by name.

    `marks_vanished` is false for a report whose vanished rows are not marked as deleted, because
    the setting primary_keys gives it keys of its own.
    """

    name: str
    description: str
    columns: Mapping[str, Mapping[str, Any]]
    keys: Sequence[str]
    marks_vanished: bool = True

    @property
    def slug(self) -> str:
        """The name as a part of a file's name."""
        return re.sub(r"\W", "_", self.name, flags=re.ASCII).lower()

    @property
    def marks_deleted(self) -> bool:
        """Whether rows that no longer count have the time of it in a column."""
        return DELETED_AT in self.columns


def tables(tap: TapAffiliateReports) -> list[Table]:
    """Return the tables of the selected streams, by name."""
    found = [
        table
        for stream in tap.sync.streams
        if isinstance(stream, AffiliateStream) and stream.selected
        for table in _tables_of(stream)
    ]
    found.sort(key=lambda table: table.name)
    for first, second in combinations(found, 2):
        if first.slug == second.slug:
            raise SettingsError(SAME_NAME % (first.name, second.name))
    return found


def _tables_of(stream: AffiliateStream) -> Iterator[Table]:
    """Yield one table for each stream map; without a map, the stream's own."""
    for stream_map in stream.stream_maps:
        if not isinstance(stream_map, RemoveRecordTransform):
            yield Table(
                name=stream_map.stream_alias,
                description=stream.description,
                columns=stream_map.transformed_schema["properties"],
                keys=tuple(stream_map.transformed_key_properties or ()),
                marks_vanished=not (isinstance(stream, ReportStream) and stream.rules.own_keys),
            )
