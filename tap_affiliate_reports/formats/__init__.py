"""Formats of result files, which are first checked completely and then read as text.

Each module or package here is a ResultFormat; none of them knows the source of a file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from tap_affiliate_reports.schema import Kind

MAX_RECORD = 64 * 1024 * 1024
"""The longest record that is read, in characters or bytes; no report has longer ones."""

BLOCK_ROWS = 500
"""The maximum number of rows in a block, which should fit into the processor's cache."""

Columns = Sequence[Sequence[str]]
"""A block of 1 to BLOCK_ROWS rows: the texts of each column."""


class PlainText(NamedTuple):
    """Complete rows of plain CSV, which any reader splits in the same way: no header, no U+0000."""

    rows: int
    text: str


@dataclass(frozen=True)
class Summary:
    """The result of one pass over a file.

    `rows` counts those after the header. `size` is in bytes, as stored; `digest` is the SHA-256 of
    the bytes after decompression. `terminated` is False if the last line has no line end: only this
    shows that a delimited file may have been cut within its last value. `kinds` are the types of
    the columns, if the format has typed cells. `plain` has the (rows, lines) of each block of text
    in turn, None for one that is not plain CSV, so that `read_blocks` need not count again.
    """

    header: list[str]
    rows: int
    size: int
    digest: str
    terminated: bool
    kinds: Sequence[Kind] = ()
    plain: Sequence[tuple[int, int] | None] = field(default=(), repr=False, compare=False)


class ResultFormat(Protocol):
    """The functions of each module of this package."""

    def inspect(self, path: Path) -> Summary:
        """Read the complete file in constant memory; raise DamagedFile if it can't be used."""

    def read_rows(self, path: Path, header: Sequence[str]) -> Iterator[list[str]]:
        """Yield the rows, each as wide as the header that `inspect` found; null is ""."""

    def read_columns(self, path: Path, header: Sequence[str]) -> Iterator[Columns]:
        """Yield the same rows as blocks of columns."""

    def read_blocks(self, path: Path, summary: Summary) -> Iterator[Columns | PlainText]:
        """Yield the same rows as blocks of columns, or as text where the file is plain CSV."""


def in_columns(rows: Iterator[list[str]]) -> Iterator[Columns]:
    """Yield rows as blocks of columns."""
    while block := list(islice(rows, BLOCK_ROWS)):
        yield list(zip(*block, strict=True))
