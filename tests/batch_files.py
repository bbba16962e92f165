"""Settings of BATCH files, and their content as a loader reads it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pytest
from harness import Warehouse

VERSION = "_sdc_table_version"


ENCODINGS = [
    {"format": "jsonl", "compression": "gzip"},
    {"format": "jsonl", "compression": "none"},
    {"format": "arrow"},
]
each_encoding = pytest.mark.parametrize(
    "encoding", ENCODINGS, ids=lambda one: "-".join(one.values())
)


def batched(config: Mapping[str, Any], root: Path, **options: Any) -> dict[str, Any]:
    """Return the configuration with BATCH files in a folder."""
    storage = {"root": root.as_uri(), "prefix": "night-"}
    batch = {"encoding": {"format": "jsonl"}, "storage": storage, **options}
    return {**config, "batch_config": batch}


def content(batch: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Read the records of a BATCH message's files."""
    records = []
    for url in batch["manifest"]:
        raw = Path(unquote(urlsplit(url).path)).read_bytes()
        if batch["encoding"]["format"] == "arrow":
            with pa.ipc.open_file(pa.BufferReader(raw)) as reader:
                records += map(as_json, reader.read_all().to_pylist())
            continue
        text = gzip.decompress(raw) if batch["encoding"]["compression"] == "gzip" else raw
        records += [json.loads(line, parse_float=Decimal) for line in text.splitlines()]
    return records


def as_json(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record of an Arrow file with the values of a RECORD message."""
    texts = {
        name: value.strftime("%Y-%m-%dT%H:%M:%SZ") if hasattr(value, "hour") else str(value)
        for name, value in record.items()
        if isinstance(value, date)
    }
    return {**record, **texts}


def as_records(messages: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield messages with the records of each BATCH in its place."""
    for message in messages:
        if message["type"] != "BATCH":
            yield dict(message)
            continue
        for record in content(message):
            version = record.pop(VERSION)
            assert version == message["version"]
            stream = message["stream"]
            yield {"type": "RECORD", "stream": stream, "record": record, "version": version}


class BatchWarehouse(Warehouse):
    """The model warehouse of a loader that reads BATCH files."""

    def load(self, messages: Any) -> None:
        super().load(list(as_records(messages)))
