"""The same file through the SDK as it comes: typed values, and every default of its own."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from shared import ADDED, converter
from singer_sdk import Stream, Tap
from singer_sdk import typing as th

TYPES: tuple[th.JSONTypeHelper[Any], ...] = (
    th.StringType(),
    th.NumberType(),
    th.IntegerType(),
    th.DateTimeType(),
    th.BooleanType(),
)
ADDED_TYPES: dict[str, th.JSONTypeHelper[Any]] = {
    "_row_number": th.IntegerType(),
    "_window_start": th.DateType(),
    "_window_end": th.DateType(),
    "_refreshed_at": th.DateTimeType(),
    "_deleted": th.BooleanType(),
    "_sdc_deleted_at": th.DateTimeType(),
    "_unparsed": th.StringType(),
}


class Rows(Stream):
    name = "bench"
    primary_keys = ("_account", "_program_id", "_window_start", "_row_number")
    replication_key = "_window_end"

    def get_records(self, context: Any) -> Iterable[dict[str, Any]]:
        del context
        with Path(self.config["path"]).open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            converters = {
                name: converter(place) for place, name in enumerate(reader.fieldnames or ())
            }
            for number, row in enumerate(reader, 1):
                values = {
                    name: converters[name](text) if text else None for name, text in row.items()
                }
                yield {**ADDED, "_row_number": number, **values}


class DefaultTap(Tap):
    name = "tap-bench"
    config_jsonschema = th.PropertiesList(th.Property("path", th.StringType())).to_dict()

    def discover_streams(self) -> list[Stream]:
        names = _header(self.config["path"])
        added = [
            th.Property(name, ADDED_TYPES.get(name, th.StringType()))
            for name in ("_row_number", *ADDED)
        ]
        typed = [th.Property(name, TYPES[n % len(TYPES)]) for n, name in enumerate(names)]
        return [Rows(self, schema=th.PropertiesList(*added, *typed).to_dict())]


def _header(path: str) -> list[str]:
    with Path(path).open(encoding="utf-8", newline="") as file:
        return next(csv.reader(file))


if __name__ == "__main__":
    DefaultTap(config={"path": sys.argv[1]}).sync_all()
