"""Decodes bytes of any encoding into lines of text, in blocks and in constant memory."""

from __future__ import annotations

import codecs
import io
import unicodedata
from operator import itemgetter
from typing import TYPE_CHECKING

from tap_affiliate_reports.errors import DamagedFile
from tap_affiliate_reports.formats import MAX_RECORD

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCK = 64 * 1024
"""The characters read at once, which should fit into the processor's cache."""

# How many bytes are used to detect the encoding.
_START = 64 * 1024

_LAST = itemgetter(-1)
_ENDS = ("\n", "\r")
# UTF-32 comes first, because its byte order mark begins with that of UTF-16.
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_WIDE = {"utf-32-le": 4, "utf-32-be": 4, "utf-16-le": 2, "utf-16-be": 2}
# Fewer NUL bytes than this may be errors in a text of UTF-8.
_MANY_NULS = 6
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\r"))


class Lines:
    """The lines of a stream as text, with their line ends, without U+0000.

    `remaining` is the number of characters that the present record may still have; the caller
    resets it after each record. `number` counts the lines. `has_bytes` is valid after the first
    line or block was read, `terminated` after the last one.
    """

    def __init__(self, stream: io.BufferedReader) -> None:
        self.remaining = MAX_RECORD
        self.number = 0
        self.terminated = True
        self.has_bytes = False
        self._blocks = self._read(stream)
        # Either a block of unread lines, or the unread lines of a block in reverse order.
        self._block = ""
        self._pending: list[str] = []

    def next_block(self) -> str:
        """Return the next block of lines; "" if lines of the last one are unread, and at the end.

        The block remains unread until `skip_block`.
        """
        if not self._pending and not self._block:
            self._block = next(self._blocks, "")
        return self._block

    def extended_block(self) -> str:
        """Return the same block with the rest of its last record, up to twice its size."""
        more: list[str] = []
        remaining = 2 * BLOCK - len(self._block)
        while remaining > 0 and (line := self._text.readline(MAX_RECORD + 1)):
            more.append(line)
            remaining -= len(line)
            if line.count('"') % 2:
                break
        if more:
            self.terminated = more[-1].endswith(_ENDS)
            self._block += "".join(more)
        return self._block

    def skip_block(self, lines: int) -> None:
        """Mark the block, which has this many lines, as read."""
        self.number += lines
        self._block = ""

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if not self._pending:
            self._pending = split_lines(self.next_block())[::-1]
            self._block = ""
            if not self._pending:
                raise StopIteration
        line = self._pending.pop()
        self.remaining -= len(line)
        if self.remaining < 0:
            raise DamagedFile(f"a record of more than {MAX_RECORD} characters")
        self.number += 1
        return line.replace("\0", "") if "\0" in line else line

    def _read(self, stream: io.BufferedReader) -> Iterator[str]:
        start = stream.peek(_START)[:_START]
        self.has_bytes = bool(start)
        encoding = encoding_of(start, is_complete=len(start) < _START)
        with io.TextIOWrapper(stream, encoding, newline="") as self._text:
            # A block ends with a complete line; `__next__` refuses a line that is too long.
            while block := self._text.read(BLOCK) + self._text.readline(MAX_RECORD + 1):
                self.terminated = block.endswith(_ENDS)
                yield block


def encoding_of(start: bytes, *, is_complete: bool) -> str:
    """Return the encoding of a text file by its first bytes.

    Without a byte order mark it is UTF-8, unless a large part of the text would then be control
    characters and UTF-16 or UTF-32 has fewer. `is_complete` says that the file has no more bytes.
    """
    for mark, encoding in _MARKS.items():
        # A UTF-16 text may begin with U+0000.
        if start.startswith(mark) and (
            encoding == "utf-16" or _decoded(start, encoding, is_complete=is_complete) is not None
        ):
            return encoding
    controls = len(start) - len(start.translate(None, _CONTROLS))
    if not controls:
        return "utf-8-sig"
    nuls = start.count(b"\0")
    # A file that was cut within its last character is UTF-8 too, and damaged.
    is_utf_8 = _decoded(start, "utf-8", is_complete=False) is not None
    best, least = "utf-8-sig", (controls, 0)
    for encoding, width in _WIDE.items():
        text = _decoded(start, encoding, is_complete=is_complete)
        if text is None or (b"\n" in start and "\n" not in text):
            continue
        # In UTF-16 and UTF-32 each ASCII character has at least one NUL byte.
        is_likely = 2 * controls > len(start) // width and (nuls < controls or nuls >= _MANY_NULS)
        if not is_likely and (is_utf_8 or not nuls):
            continue
        # With the wrong byte order, the letters of one alphabet are spread over many.
        odd = sum(unicodedata.category(c) in {"Cc", "Cn", "Co"} for c in text if c not in "\t\n\r")
        oddness = odd, len({ord(character) >> 8 for character in text})
        # NUL bytes that pad a text of UTF-8 would be NUL characters here too.
        if 4 * text.count("\0") <= controls and oddness < least:
            best, least = encoding, oddness
    return best


def _decoded(start: bytes, encoding: str, *, is_complete: bool) -> str | None:
    try:
        return codecs.getincrementaldecoder(encoding)().decode(start, final=is_complete)
    except UnicodeError:
        return None


def split_lines(text: str) -> list[str]:
    """Return the lines of a text with their line ends: CR, LF or both."""
    lines = text.splitlines(keepends=True)
    if set(map(_LAST, lines[:-1])) <= {"\n"}:
        return lines
    # The text has a lone CR, or a character that ends a line in Unicode only.
    return io.StringIO(text, newline="").readlines()
