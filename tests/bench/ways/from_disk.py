"""This tap's record path alone: from a file that is spooled and checked to lines on stdout."""

from __future__ import annotations

import sys
from pathlib import Path
from zoneinfo import ZoneInfo

from shared import ADDED

from tap_affiliate_reports.formats.csv.reference import read_columns
from tap_affiliate_reports.messages import LineWriter
from tap_affiliate_reports.record_lines import RecordLines
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
    writer, number = LineWriter(), 1
    for block in read_columns(path, header):
        writer.write_lines(lines.encode(block, number))
        number += len(block[0])
    writer.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
