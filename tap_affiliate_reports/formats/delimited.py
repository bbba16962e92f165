"""CSV: UTF-8, or UTF-16 with a byte order mark; plain or gzip.

A file that was cut shows it by an open quote or a short row. A cut inside the last value of the
last row can't be seen, but for the missing line end.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import hashlib
import io
import zlib
from typing import IO, TYPE_CHECKING, cast

from tap_affiliate_reports.errors import DamagedFile
from tap_affiliate_reports.formats import MAX_RECORD, Summary

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from _typeshed import WriteableBuffer

    _Bytes = io.BufferedReader | gzip.GzipFile

MAX_FIELD = 16 * 1024 * 1024
"""The longest field that is read, in characters."""

_GZIP = b"\x1f\x8b"
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_HTML = ("<!doctype html", "<html")


def inspect(path: Path) -> Summary:
    """Read the whole file in constant memory; raise DamagedFile if it can't be taken."""
    with path.open("rb") as file:
        content = _Hashed(_decompressed(file))
        lines = _Lines(io.BufferedReader(content))
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
        rows = _rows(_Lines(_decompressed(file)))
        own = next(rows, [])
        if header is not None and own != list(header):
            raise DamagedFile("its header is not the one that was checked")
        yield from rows


def _rows(lines: _Lines, *, is_count: bool = False) -> Iterator[list[str]]:
    """Yield the header and the rows, all of one width; blank lines are no rows.

    With `is_count`, the header may stand for a row.
    """
    csv.field_size_limit(MAX_FIELD)  # one for the process, hence not set at import
    texts = iter(lines)
    held: list[str] = []
    reader = csv.reader(_after(held, texts), strict=True)
    width = blank = 0
    is_begun = False
    header: list[str] = []
    try:
        for line in texts:
            # Without a quote, a line is a row and each comma ends a field: no need of a parser.
            if is_count and width > 1 and _fields(line) == width:
                row = header
            elif '"' in line or len(line) > MAX_FIELD:
                held.append(line)
                row = next(reader)
            else:
                bare = line.rstrip("\r\n")
                row = bare.split(",") if bare else []
            lines.left = MAX_RECORD
            if len(row) != width and row:
                if width:
                    raise DamagedFile(
                        f"line {lines.number} has {len(row)} fields where the header has {width}"
                    )
                if row[0].lstrip().lower().startswith(_HTML):
                    raise DamagedFile("an HTML page in place of a file")
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


def _fields(line: str) -> int:
    """Return how many fields a line has that is a record of its own; 0 if only a parser can tell.

    A blank line has one here.
    """
    if len(line) > MAX_FIELD:
        return 0
    if '"' not in line:
        return line.count(",") + 1
    # Each part between two quotes is left out, and one quote stands for it: it must be a field.
    parts = line.split('"')
    outside = '"'.join(parts[::2]).rstrip("\r\n")
    quoted = f",{outside},".replace(",", ",,").count(',",')
    return outside.count(",") + 1 if quoted == len(parts) // 2 else 0


def _after(held: list[str], texts: Iterator[str]) -> Iterator[str]:
    """Yield what is held at that moment, else the next text."""
    while True:
        text = held.pop() if held else next(texts, None)
        if text is None:
            return
        yield text


def _decompressed(file: io.BufferedReader) -> _Bytes:
    return gzip.GzipFile(fileobj=file) if file.peek(2)[:2] == _GZIP else file


class _Lines:
    """The lines of a stream as text, with the line ends they have, without U+0000.

    `left` is how many characters may still come; whoever reads records sets it back after each.
    `number` is how many lines there have been.
    """

    def __init__(self, stream: _Bytes) -> None:
        self._stream = stream
        self.left = MAX_RECORD
        self.number = 0
        self.terminated = True

    def __iter__(self) -> Iterator[str]:
        encoding = "utf-16" if self._stream.peek(2)[:2] in _UTF_16 else "utf-8-sig"
        last = "\n"
        with io.TextIOWrapper(cast("IO[bytes]", self._stream), encoding, newline="") as text:
            while line := text.readline(MAX_RECORD + 1):
                self.left -= len(line)
                if self.left < 0:
                    raise DamagedFile(f"a record of more than {MAX_RECORD} characters")
                last = line
                self.number += 1
                yield line.replace("\0", "") if "\0" in line else line
        self.terminated = last.endswith(("\n", "\r"))


class _Hashed(io.RawIOBase):
    """A stream that digests what is read from it."""

    def __init__(self, stream: _Bytes) -> None:
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
