"""Concatenated CSV files: a row equal to the header begins another part and is not data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_affiliate_reports.formats import csv

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tap_affiliate_reports.formats import Columns, PlainText, Summary


def inspect(path: Path) -> Summary:
    """Read the complete file in constant memory; raise DamagedFile if it can't be used."""
    return csv.inspect(path, joined=True)


def read_rows(path: Path, header: Sequence[str] | None = None) -> Iterator[list[str]]:
    """Yield the rows that are not equal to the header, in constant memory."""
    return csv.read_rows(path, header, joined=True)


def read_columns(path: Path, header: Sequence[str] | None = None) -> Iterator[Columns]:
    """Yield the same rows as blocks of columns."""
    return csv.read_columns(path, header, joined=True)


def read_blocks(path: Path, summary: Summary) -> Iterator[Columns | PlainText]:
    """Yield the same rows as blocks of columns, or as text where the file is plain CSV."""
    return csv.read_blocks(path, summary, joined=True)
