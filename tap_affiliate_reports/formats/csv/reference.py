"""CSV: UTF-8, UTF-16 or UTF-32; plain or gzip.

A file that was cut shows it by an open quote or a short row. A cut inside the last value of the
last row can't be seen, but for the missing line end.
"""

from __future__ import annotations

import csv
import hashlib
import io
import logging
from typing import TYPE_CHECKING

from tap_affiliate_reports.errors import DamagedFile
from tap_affiliate_reports.formats import BLOCK_ROWS, MAX_RECORD, Summary
from tap_affiliate_reports.formats.csv.fast import MAX_FIELD, Block, plain_columns, plain_count
from tap_affiliate_reports.formats.csv.lines import BLOCK, Lines
from tap_affiliate_reports.packed import BROKEN_GZIP, unpacked

if TYPE_CHECKING:
    import gzip
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from _typeshed import WriteableBuffer

    from tap_affiliate_reports.formats import Columns

_OTHER_SEPARATORS = ";\t|"
logger = logging.getLogger(__name__)

_HTML = ("<!doctype html", "<html")


def inspect(path: Path, *, joined: bool = False) -> Summary:
    """Read the whole file in constant memory; raise DamagedFile if it can't be taken.

    With `joined`, a row equal to the header is none.
    """
    header: list[str] = []

    def count(block: str, width: int) -> Block | None:
        # The columns are needed only where a row may be the header.
        may_repeat = joined and all(name in block for name in header if '"' not in name)
        return (plain_columns if may_repeat else plain_count)(block, width)

    with path.open("rb") as file:
        digest = hashlib.sha256()
        lines = Lines(_content(file, digest.update))
        blocks = _blocks(lines, count)
        header += _header(lines, blocks)
        rows = repeated = 0
        for block in blocks:
            kept = _without(header, block).rows if joined else block.rows
            rows += kept
            repeated += block.rows - kept
        if repeated:
            logger.warning("skipped %d rows equal to the header: the file was joined", repeated)
        return Summary(
            header=header,
            rows=rows,
            size=path.stat().st_size,
            digest=digest.hexdigest(),
            terminated=lines.terminated,
        )


def read_rows(
    path: Path, header: Sequence[str] | None = None, *, joined: bool = False
) -> Iterator[list[str]]:
    """Yield the rows after the header, in constant memory.

    Raises DamagedFile where `inspect` does, and when `header` is given and not the file's.
    """
    for columns in read_columns(path, header, joined=joined):
        yield from map(list, zip(*columns, strict=True))


def read_columns(
    path: Path, header: Sequence[str] | None = None, *, joined: bool = False
) -> Iterator[Columns]:
    """Yield the same rows as blocks of columns."""
    with path.open("rb") as file:
        lines = Lines(_content(file))
        blocks = _blocks(lines, plain_columns)
        own = _header(lines, blocks)
        if header is not None and own != list(header):
            raise DamagedFile("its header is not the one that was checked")
        for block in blocks:
            if joined:
                block = _without(own, block)
            for start in range(0, block.rows, BLOCK_ROWS):
                yield [column[start : start + BLOCK_ROWS] for column in block.columns]


def _header(lines: Lines, blocks: Iterator[Block]) -> list[str]:
    header = [name for (name,) in next(blocks, Block(0, 0)).columns]
    if lines.has_bytes and all(map(str.isspace, header)):
        raise DamagedFile("the file has no header, only white space")
    if len(header) == 1 and any(separator in header[0] for separator in _OTHER_SEPARATORS):
        msg = f"the file is not comma-separated: its header is one field, {header[0][:60]!r}"
        raise DamagedFile(msg)
    return header


def _without(header: Sequence[str], block: Block) -> Block:
    """Return the block without the rows that are the header."""
    if not block.columns:
        return block
    # A part may begin with a byte order mark of its own.
    first, *others = header
    repeated = {
        place
        for place, text in enumerate(block.columns[0])
        if text.removeprefix("\ufeff") == first
        and [column[place] for column in block.columns[1:]] == others
    }
    if not repeated:
        return block
    columns = [
        [text for place, text in enumerate(column) if place not in repeated]
        for column in block.columns
    ]
    return Block(block.rows - len(repeated), 0, columns)


def _blocks(lines: Lines, plain: Callable[[str, int], Block | None]) -> Iterator[Block]:
    """Yield the header and then the rows, all of one width; blank lines are no rows.

    What can be read at once is given to `plain`; the rest is read line by line.
    """
    next_row = _one_by_one(lines).__next__
    width = blank = taken = 0
    rows: list[list[str]] = []
    try:
        while True:
            block = lines.whole_block()
            if block or taken >= BLOCK:
                yield from _block(rows)
                rows, taken = [], 0
            if block and (found := _at_once(lines, block, width, plain)):
                yield found
                continue
            row = next_row()
            taken += MAX_RECORD - lines.left
            lines.left = MAX_RECORD
            if not row:
                # A null in a report of one column; the last ones of a file are none.
                blank += width == 1
                continue
            if len(row) != width:
                _refuse(row, width, lines.number)
                yield from _block([row])
                width = len(row)
                continue
            if blank:
                yield from _block(rows)
                yield from _nulls(blank)
                rows, blank = [], 0
            rows.append(row)
    except StopIteration:
        yield from _block(rows)
    except csv.Error as error:
        raise DamagedFile(f"line {lines.number} is not CSV: {error}") from error
    except UnicodeError as error:
        raise DamagedFile(f"unreadable text after line {lines.number}: {error}") from error
    except BROKEN_GZIP as error:
        raise DamagedFile(f"unreadable gzip after line {lines.number}: {error}") from error


def _block(rows: Sequence[list[str]]) -> Iterator[Block]:
    if rows:
        yield Block(len(rows), 0, list(zip(*rows, strict=True)))


def _nulls(count: int) -> Iterator[Block]:
    """Yield so many rows of one column."""
    for start in range(0, count, BLOCK_ROWS):
        rows = min(BLOCK_ROWS, count - start)
        yield Block(rows, 0, [[""] * rows])


def _refuse(row: list[str], width: int, number: int) -> None:
    """Raise DamagedFile unless the row can be a header, of which there is none yet."""
    if width:
        raise DamagedFile(f"line {number} has {len(row)} fields where the header has {width}")
    if row[0].lstrip().lower().startswith(_HTML):
        raise DamagedFile("an HTML page in place of a file")


def _at_once(
    lines: Lines, block: str, width: int, plain: Callable[[str, int], Block | None]
) -> Block | None:
    found = plain(block, width) if width > 1 else None
    if found is None and block.count('"') % 2:
        # It ends within a record, and the next block would begin within it.
        block = lines.longer_block()
        found = plain(block, width) if width > 1 else None
    if found is not None:
        lines.skip_block(found.lines)
    return found


def _one_by_one(lines: Lines) -> Iterator[list[str]]:
    """Yield each row that begins in the next line; a blank line is an empty one."""
    csv.field_size_limit(MAX_FIELD)  # one for the process, hence not set at import
    held: list[str] = []
    reader = csv.reader(_after(held, lines), strict=True)
    for line in lines:
        if '"' in line or len(line) > MAX_FIELD:
            held.append(line)
            yield next(reader)
        else:
            bare = line.rstrip("\r\n")
            yield bare.split(",") if bare else []


def _after(held: list[str], texts: Iterator[str]) -> Iterator[str]:
    """Yield what is held at that moment, else the next text."""
    while True:
        text = held.pop() if held else next(texts, None)
        if text is None:
            return
        yield text


def _content(
    file: io.BufferedReader, tell: Callable[[memoryview], object] = lambda _: None
) -> io.BufferedReader:
    """Return the file's bytes, decompressed; each that is read is told."""
    try:
        stream = unpacked(file)
    except BROKEN_GZIP as error:
        raise DamagedFile(f"unreadable gzip at its start: {error}") from error
    return io.BufferedReader(_Told(stream, tell), BLOCK)


class _Told(io.RawIOBase):
    """A stream that tells what is read from it."""

    def __init__(
        self, stream: io.BufferedReader | gzip.GzipFile, tell: Callable[[memoryview], object]
    ) -> None:
        self._stream, self._tell = stream, tell

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        count = self._stream.readinto(buffer)
        self._tell(memoryview(buffer)[:count])
        return count

    def close(self) -> None:
        self._stream.close()
        super().close()
