"""This tap's record path alone: from a file that is spooled and checked to lines on stdout."""

from __future__ import annotations

import sys
from itertools import islice
from pathlib import Path
from zoneinfo import ZoneInfo

from shared import ADDED

from tap_affiliate_reports.formats.delimited import read_rows
from tap_affiliate_reports.messages import LineWriter
from tap_affiliate_reports.record_lines import BLOCK_ROWS, RecordLines
from tap_affiliate_reports.schema import Column, Kind, match_header

KINDS = (Kind.STRING, Kind.DECIMAL, Kind.INTEGER, Kind.DATETIME, Kind.BOOLEAN)


def main(path: Path) -> None:
    with path.open(encoding="utf-8") as file:
        header = file.readline().rstrip().split(",")
    columns = [Column(name, name, KINDS[n % len(KINDS)]) for n, name in enumerate(header)]
    lines = RecordLines(
        match_header(header, columns),
        timezone=ZoneInfo("America/New_York"),
        stream="bench",
        constants={**ADDED, "_row_number": 0},
    )
    writer, rows, number = LineWriter(), read_rows(path, header), 1
    while block := list(islice(rows, BLOCK_ROWS)):
        writer.write_lines(lines.encode(block, number))
        number += len(block)
    writer.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
