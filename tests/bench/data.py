"""The files that are measured: CSV of every type a report has, made once and kept on disk."""

from __future__ import annotations

import csv
from pathlib import Path

from tap_affiliate_reports.sandbox import Attribute

# The type in MetaData, and a row's text of it.
KINDS = (
    ("String", lambda n: f"value {n % 977}, of a column"),
    ("Decimal", lambda n: f"{n % 1000}.{n % 10**9:018d}"),
    ("Integer", lambda n: str(n)),
    (
        "Date (yyyy-MM-dd'T'HH:mm:ssZZ)",
        lambda n: f"2026-08-{n % 28 + 1:02d}T{n % 24:02d}:{n % 60:02d}:15-04:00",
    ),
    ("Boolean", lambda n: "true" if n % 2 else "false"),
)
# A larger file repeats these rows: no way of reading remembers rows, and writing them takes long.
DISTINCT_ROWS = 100_000


def columns(count: int) -> list[Attribute]:
    """Return the columns of a file of so many, as MetaData has them."""
    return [Attribute(f"Column_{n}", KINDS[n % len(KINDS)][0]) for n in range(count)]


def file_of(folder: Path, rows: int, columns: int) -> Path:
    """Return the file of so many rows and columns, made where it is not there yet."""
    path = folder / f"{rows}x{columns}.csv"
    if path.exists():
        return path
    if rows > DISTINCT_ROWS:
        part = file_of(folder, DISTINCT_ROWS, columns).read_bytes().splitlines(keepends=True)
        with path.open("wb") as file:
            file.write(part[0])
            for _ in range(rows // DISTINCT_ROWS):
                file.writelines(part[1:])
            file.writelines(part[1 : 1 + rows % DISTINCT_ROWS])
        return path
    texts = [KINDS[n % len(KINDS)][1] for n in range(columns)]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([f"Column_{n}" for n in range(columns)])
        for row in range(rows):
            writer.writerow([text(row + place) for place, text in enumerate(texts)])
    return path
