"""The same file by hand, the plain way: csv.reader, a typed dict of each row, msgspec."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import msgspec
from shared import ADDED, converter


def main(path: Path) -> None:
    encoder = msgspec.json.Encoder(decimal_format="number")
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.reader(file)
        columns = [(name, converter(place)) for place, name in enumerate(next(reader))]
        for number, row in enumerate(reader, 1):
            record = {**ADDED, "_row_number": number}
            for (name, convert), text in zip(columns, row, strict=True):
                record[name] = convert(text) if text else None
            message = {"type": "RECORD", "stream": "bench", "record": record}
            sys.stdout.buffer.write(encoder.encode(message) + b"\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
