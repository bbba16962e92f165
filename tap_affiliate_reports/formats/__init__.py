"""Result files as they lie on disk: checked whole first, then read row by row as text.

Each module here is a ResultFormat; none of them knows where a file came from.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from tap_affiliate_reports.schema import Kind

MAX_RECORD = 64 * 1024 * 1024
"""The longest record that is read, in characters or bytes; more is no report."""

BLOCK_ROWS = 500
"""The most rows that are taken at once: a block should stay in the processor's cache."""

Columns = Sequence[Sequence[str]]
"""A block of rows, from one to BLOCK_ROWS: the texts of each column."""


@dataclass(frozen=True)
class Summary:
    """What one pass over a file found.

    `rows` are those after the header; `size` is in bytes, as stored, and `digest` that of the
    bytes after decompression. `terminated` is false when the last line has no line end: its last
    value may have been cut short, which a delimited file can't show otherwise. `kinds` are those
    of the columns, where the cells have types of their own.
    """

    header: list[str]
    rows: int
    size: int
    digest: str
    terminated: bool
    kinds: Sequence[Kind] = ()


class ResultFormat(Protocol):
    """What the modules of this package offer."""

    def inspect(self, path: Path) -> Summary:
        """Read the whole file in constant memory; raise DamagedFile if it can't be taken."""

    def read_rows(self, path: Path, header: Sequence[str]) -> Iterator[list[str]]:
        """Yield the rows, each as wide as the header that `inspect` found; null is ""."""

    def read_columns(self, path: Path, header: Sequence[str]) -> Iterator[Columns]:
        """Yield the same rows as blocks of columns."""


def in_columns(rows: Iterator[list[str]]) -> Iterator[Columns]:
    """Yield rows as blocks of columns."""
    while block := list(islice(rows, BLOCK_ROWS)):
        yield list(zip(*block, strict=True))
