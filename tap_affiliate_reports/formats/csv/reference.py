"""CSV in UTF-8, UTF-16 or UTF-32, plain or gzip.

A file that was cut has an open quote or a short row. A cut within the last value of the last row
can only be recognized by the missing line end.
"""

from __future__ import annotations

import csv
import hashlib
import logging
from typing import TYPE_CHECKING

from tap_affiliate_reports.errors import DamagedFile
from tap_affiliate_reports.formats import BLOCK_ROWS, MAX_RECORD, PlainText, Summary
from tap_affiliate_reports.formats.csv.content import unpacked_content
from tap_affiliate_reports.formats.csv.fast import MAX_FIELD, Block, plain_columns, plain_count
from tap_affiliate_reports.formats.csv.lines import BLOCK, Lines
from tap_affiliate_reports.packed import BROKEN_GZIP

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from tap_affiliate_reports.formats import Columns

SKIPPED_HEADERS = "skipped %d rows equal to the header: the file was concatenated"

_OTHER_SEPARATORS = ";\t|"
_HTML = ("<!doctype html", "<html")

logger = logging.getLogger(__name__)


def inspect(path: Path, *, joined: bool = False) -> Summary:
    """Read the complete file in constant memory; raise DamagedFile if it can't be used.

    With `joined`, rows equal to the header do not count.
    """
    header: list[str] = []
    plain: list[tuple[int, int] | None] = []

    def count(block: str, width: int) -> Block | None:
        may_repeat = joined and _may_repeat(header, block)
        found = (plain_columns if may_repeat else plain_count)(block, width)
        plain.append(found and (found.rows, found.lines))
        return found

    with path.open("rb") as file:
        digest = hashlib.sha256()
        lines = Lines(unpacked_content(file, digest.update))
        blocks = _blocks(lines, count)
        header += _header(lines, blocks)
        rows = repeated = 0
        for block in blocks:
            kept = _without(header, block).rows if joined else block.rows
            rows += kept
            repeated += block.rows - kept
        if repeated:
            logger.warning(SKIPPED_HEADERS, repeated)
        return Summary(
            header=header,
            rows=rows,
            size=path.stat().st_size,
            digest=digest.hexdigest(),
            terminated=lines.terminated,
            plain=plain,
        )


def read_rows(
    path: Path, header: Sequence[str] | None = None, *, joined: bool = False
) -> Iterator[list[str]]:
    """Yield the rows after the header, in constant memory.

    Raises DamagedFile like `inspect`, and if `header` is given and differs from the file's.
    """
    for columns in read_columns(path, header, joined=joined):
        yield from map(list, zip(*columns, strict=True))


def read_columns(
    path: Path, header: Sequence[str] | None = None, *, joined: bool = False
) -> Iterator[Columns]:
    """Yield the same rows as blocks of columns."""
    for block in _checked_blocks(path, header, plain_columns, joined=joined):
        yield from _columns(block)


def read_blocks(
    path: Path, summary: Summary, *, joined: bool = False
) -> Iterator[Columns | PlainText]:
    """Yield the same rows as blocks of columns, or as text where the file is plain CSV."""
    counted = iter(summary.plain)

    def plain(block: str, width: int) -> Block | None:
        known = next(counted, None)
        # A reader may take a byte order mark at the start of a text for no part of it.
        if block.startswith("\ufeff") or (joined and _may_repeat(summary.header, block)):
            return plain_columns(block, width)
        return known and Block(*known, text=block)

    for block in _checked_blocks(path, summary.header, plain, joined=joined):
        if block.text:
            yield PlainText(block.rows, block.text)
        else:
            yield from _columns(block)


def _checked_blocks(
    path: Path,
    header: Sequence[str] | None,
    plain: Callable[[str, int], Block | None],
    *,
    joined: bool,
) -> Iterator[Block]:
    """Yield the blocks after the header; raise DamagedFile if `header` differs from the file's."""
    with path.open("rb") as file:
        lines = Lines(unpacked_content(file))
        blocks = _blocks(lines, plain)
        own = _header(lines, blocks)
        if header is not None and own != list(header):
            raise DamagedFile("its header is not the one that was checked")
        for block in blocks:
            yield _without(own, block) if joined else block


def _columns(block: Block) -> Iterator[Columns]:
    for start in range(0, block.rows, BLOCK_ROWS):
        yield [column[start : start + BLOCK_ROWS] for column in block.columns]


def _may_repeat(header: Sequence[str], block: str) -> bool:
    """Return whether a row of a block may be equal to the header."""
    return all(name in block for name in header if '"' not in name)


def _header(lines: Lines, blocks: Iterator[Block]) -> list[str]:
    header = [name for (name,) in next(blocks, Block(0, 0)).columns]
    if lines.has_bytes and all(map(str.isspace, header)):
        raise DamagedFile("the file has no header, only whitespace")
    if len(header) == 1 and any(separator in header[0] for separator in _OTHER_SEPARATORS):
        msg = f"the file is not comma-separated: its header is one field, {header[0][:60]!r}"
        raise DamagedFile(msg)
    return header


def _without(header: Sequence[str], block: Block) -> Block:
    """Return the block without the rows equal to the header."""
    if not block.columns:
        return block
    # Each part may begin with a byte order mark.
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
    """Yield the header and then the rows, all of one width, without blank lines.

    Blocks that `plain` returns None for are read line by line.
    """
    next_row = _parsed_rows(lines).__next__
    width = blank = characters = 0
    rows: list[list[str]] = []
    try:
        while True:
            block = lines.next_block()
            if block or characters >= BLOCK:
                yield from _block(rows)
                rows, characters = [], 0
            if block and (found := _plain_block(lines, block, width, plain)):
                yield found
                continue
            row = next_row()
            characters += MAX_RECORD - lines.remaining
            lines.remaining = MAX_RECORD
            if not row:
                # A blank line is a null in a report of one column, except at the end of a file.
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
    """Yield this number of empty rows of one column."""
    for start in range(0, count, BLOCK_ROWS):
        rows = min(BLOCK_ROWS, count - start)
        yield Block(rows, 0, [[""] * rows])


def _refuse(row: list[str], width: int, number: int) -> None:
    """Raise DamagedFile unless the row is the first one and can be a header."""
    if width:
        raise DamagedFile(f"line {number} has {len(row)} fields, but the header has {width}")
    if row[0].lstrip().lower().startswith(_HTML):
        raise DamagedFile("the file is an HTML page")


def _plain_block(
    lines: Lines, block: str, width: int, plain: Callable[[str, int], Block | None]
) -> Block | None:
    found = plain(block, width) if width > 1 else None
    if found is None and block.count('"') % 2:
        # The block ends within a record, so the next one would begin within it.
        block = lines.extended_block()
        found = plain(block, width) if width > 1 else None
    if found is not None:
        lines.skip_block(found.lines)
    return found


def _parsed_rows(lines: Lines) -> Iterator[list[str]]:
    """Yield the row that begins in each line; a blank line is an empty row."""
    csv.field_size_limit(MAX_FIELD)  # the limit is global to the process, so not set at import
    pushed_back: list[str] = []
    reader = csv.reader(_after(pushed_back, lines), strict=True)
    for line in lines:
        if '"' in line or len(line) > MAX_FIELD:
            pushed_back.append(line)
            yield next(reader)
        else:
            bare = line.rstrip("\r\n")
            yield bare.split(",") if bare else []


def _after(pushed_back: list[str], texts: Iterator[str]) -> Iterator[str]:
    """Yield the texts that are pushed back at each step, else the next text."""
    while True:
        text = pushed_back.pop() if pushed_back else next(texts, None)
        if text is None:
            return
        yield text
