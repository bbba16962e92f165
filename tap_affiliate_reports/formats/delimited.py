"""CSV: UTF-8, or UTF-16 with a byte order mark; plain or gzip.

A file that was cut shows it by an open quote or a short row. A cut inside the last value of the
last row can't be seen, but for the missing line end.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import zlib
from itertools import repeat
from typing import TYPE_CHECKING

from tap_affiliate_reports.errors import DamagedFile
from tap_affiliate_reports.formats import MAX_RECORD, Summary
from tap_affiliate_reports.formats.lines import Lines
from tap_affiliate_reports.formats.plain import MAX_FIELD, plain_count, plain_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from _typeshed import WriteableBuffer

    from tap_affiliate_reports.formats.lines import Stream

_GZIP = b"\x1f\x8b"
_HTML = ("<!doctype html", "<html")


def inspect(path: Path) -> Summary:
    """Read the whole file in constant memory; raise DamagedFile if it can't be taken."""
    with path.open("rb") as file:
        content = _Hashed(_decompressed(file))
        lines = Lines(io.BufferedReader(content))
        rows = _rows(lines, is_count=True)
        header = next(rows, [])
        return Summary(
            header=header,
            rows=sum(1 for _ in rows),
            size=path.stat().st_size,
            digest=content.digest.hexdigest(),
            terminated=lines.terminated,
        )


def read_rows(path: Path, header: Sequence[str] | None = None) -> Iterator[list[str]]:
    """Yield the rows after the header, in constant memory.

    Raises DamagedFile where `inspect` does, and when `header` is given and not the file's.
    """
    with path.open("rb") as file:
        rows = _rows(Lines(_decompressed(file)))
        own = next(rows, [])
        if header is not None and own != list(header):
            raise DamagedFile("its header is not the one that was checked")
        yield from rows


def _rows(lines: Lines, *, is_count: bool = False) -> Iterator[list[str]]:
    """Yield the header and the rows, all of one width; blank lines are no rows.

    With `is_count`, the header may stand for a row.
    """
    csv.field_size_limit(MAX_FIELD)  # one for the process, hence not set at import
    held: list[str] = []
    reader = csv.reader(_after(held, lines), strict=True)
    width = blank = 0
    is_begun = False
    header: list[str] = []
    try:
        while True:
            if width > 1 and (block := lines.whole_block()):
                plain = (plain_count if is_count else plain_rows)(block, width)
                if plain is not None:
                    lines.skip_block(plain.lines)
                    yield from plain.rows or repeat(header, plain.size)
                    continue
            line = next(lines, None)
            if line is None:
                return
            if '"' in line or len(line) > MAX_FIELD:
                held.append(line)
                row = next(reader)
            else:
                bare = line.rstrip("\r\n")
                row = bare.split(",") if bare else []
            lines.left = MAX_RECORD
            if len(row) != width and row:
                _refuse(row, width, lines.number)
                header, width = row, len(row)
            if not row:
                # A null in a report of one column; the last ones of a file are none.
                blank += width == 1 and is_begun
                continue
            yield from ([""] for _ in range(blank))
            blank, is_begun = 0, True
            yield row
    except csv.Error as error:
        raise DamagedFile(f"line {lines.number} is not CSV: {error}") from error
    except UnicodeError as error:
        raise DamagedFile(f"unreadable text after line {lines.number}: {error}") from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DamagedFile(f"unreadable gzip after line {lines.number}: {error}") from error


def _refuse(row: list[str], width: int, number: int) -> None:
    """Raise DamagedFile unless the row can be a header, of which there is none yet."""
    if width:
        raise DamagedFile(f"line {number} has {len(row)} fields where the header has {width}")
    if row[0].lstrip().lower().startswith(_HTML):
        raise DamagedFile("an HTML page in place of a file")


def _after(held: list[str], texts: Iterator[str]) -> Iterator[str]:
    """Yield what is held at that moment, else the next text."""
    while True:
        text = held.pop() if held else next(texts, None)
        if text is None:
            return
        yield text


def _decompressed(file: io.BufferedReader) -> Stream:
    return gzip.GzipFile(fileobj=file) if file.peek(2)[:2] == _GZIP else file


class _Hashed(io.RawIOBase):
    """A stream that digests what is read from it."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.digest = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        count = self._stream.readinto(buffer)
        self.digest.update(memoryview(buffer)[:count])
        return count

    def close(self) -> None:
        self._stream.close()
        super().close()
