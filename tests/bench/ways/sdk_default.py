"""The same file through the SDK as it comes: typed values, and every default of its own."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

from singer_sdk import Stream, Tap
from singer_sdk import typing as th

TYPES: tuple[tuple[th.JSONTypeHelper[Any], Callable[[str], Any]], ...] = (
    (th.StringType(), str),
    (th.NumberType(), Decimal),
    (th.IntegerType(), int),
    (th.DateTimeType(), str),
    (th.BooleanType(), "true".__eq__),
)


class Rows(Stream):
    name = "bench"

    def get_records(self, context: Any) -> Iterable[dict[str, Any]]:
        del context
        with Path(self.config["path"]).open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            converters = {
                name: TYPES[n % len(TYPES)][1] for n, name in enumerate(reader.fieldnames or ())
            }
            for row in reader:
                yield {name: converters[name](text) if text else None for name, text in row.items()}


class DefaultTap(Tap):
    name = "tap-bench"
    config_jsonschema = th.PropertiesList(th.Property("path", th.StringType())).to_dict()

    def discover_streams(self) -> list[Stream]:
        names = _header(self.config["path"])
        typed = [th.Property(name, TYPES[n % len(TYPES)][0]) for n, name in enumerate(names)]
        return [Rows(self, schema=th.PropertiesList(*typed).to_dict())]


def _header(path: str) -> list[str]:
    with Path(path).open(encoding="utf-8", newline="") as file:
        return next(csv.reader(file))


if __name__ == "__main__":
    DefaultTap(config={"path": sys.argv[1]}).sync_all()
