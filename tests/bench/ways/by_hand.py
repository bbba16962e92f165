"""The same file by hand: csv.reader, each column typed, msgspec structs, blocks of lines.

Nothing is checked: a value that does not fit ends it. Date-times are left as they are.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

BLOCK = 500
CONVERTERS: tuple[Callable[[str], Any], ...] = (str, Decimal, int, str, "true".__eq__)


class Message(msgspec.Struct, gc=False):
    type: str
    stream: str
    record: Any


def typed(place: int, texts: Iterable[str]) -> list[Any]:
    convert = CONVERTERS[place % len(CONVERTERS)]
    if convert is str:
        return [text or None for text in texts]
    return [convert(text) if text else None for text in texts]


def main(path: Path) -> None:
    encoder = msgspec.json.Encoder(decimal_format="number")
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.reader(file)
        record: Callable[..., Any] = msgspec.defstruct(
            "Record", [(name, Any) for name in next(reader)], gc=False
        )
        block: Sequence[Sequence[str]]
        while block := list(islice(reader, BLOCK)):
            columns = [typed(*column) for column in enumerate(zip(*block, strict=True))]
            lines = [Message("RECORD", "bench", one) for one in map(record, *columns)]
            sys.stdout.buffer.write(encoder.encode_lines(lines))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
