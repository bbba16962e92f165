"""Bytes of any encoding -> lines of text, read a block at a time, in constant memory."""

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
"""How many characters are read at once: they should stay in the processor's cache."""

# How many bytes tell the encoding.
_START = 64 * 1024

_LAST = itemgetter(-1)
_ENDS = ("\n", "\r")
# The byte order mark of UTF-32 begins as that of UTF-16 does.
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_WIDE = {"utf-32-le": 4, "utf-32-be": 4, "utf-16-le": 2, "utf-16-be": 2}
# So many of them are no slip in a text of UTF-8.
_MANY_NULS = 6
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\r"))


class Lines:
    """The lines of a stream as text, with the line ends they have, without U+0000.

    `left` is how many characters may still come; whoever reads records sets it back after each.
    `number` is how many lines there have been, and `has_bytes` is right once one was asked for.
    `terminated` is right once the last was given.
    """

    def __init__(self, stream: io.BufferedReader) -> None:
        self.left = MAX_RECORD
        self.number = 0
        self.terminated = True
        self.has_bytes = False
        self._blocks = self._read(stream)
        # A block of which no line was given, or those of its lines that were not, the last first.
        self._block = ""
        self._pending: list[str] = []

    def whole_block(self) -> str:
        """Return the lines that come next, many of them; "" within a block and at the end."""
        if not self._pending and not self._block:
            self._block = next(self._blocks, "")
        return self._block

    def longer_block(self) -> str:
        """Return the same block with the rest of its last record, where that is not much more."""
        more: list[str] = []
        left = 2 * BLOCK - len(self._block)
        while left > 0 and (line := self._text.readline(MAX_RECORD + 1)):
            more.append(line)
            left -= len(line)
            if line.count('"') % 2:
                break
        if more:
            self.terminated = more[-1].endswith(_ENDS)
            self._block += "".join(more)
        return self._block

    def skip_block(self, lines: int) -> None:
        """Take the block for given; it has this many lines."""
        self.number += lines
        self._block = ""

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if not self._pending:
            self._pending = split_lines(self.whole_block())[::-1]
            self._block = ""
            if not self._pending:
                raise StopIteration
        line = self._pending.pop()
        self.left -= len(line)
        if self.left < 0:
            raise DamagedFile(f"a record of more than {MAX_RECORD} characters")
        self.number += 1
        return line.replace("\0", "") if "\0" in line else line

    def _read(self, stream: io.BufferedReader) -> Iterator[str]:
        start = stream.peek(_START)[:_START]
        self.has_bytes = bool(start)
        encoding = encoding_of(start, is_whole=len(start) < _START)
        with io.TextIOWrapper(stream, encoding, newline="") as self._text:
            # A block ends with a line: one that is too long is refused when it is given.
            while block := self._text.read(BLOCK) + self._text.readline(MAX_RECORD + 1):
                self.terminated = block.endswith(_ENDS)
                yield block


def encoding_of(start: bytes, *, is_whole: bool) -> str:
    """Return the encoding of a file of lines by its first bytes.

    Without a byte order mark it is UTF-8, unless that would make control characters of much of the
    text and UTF-16 or UTF-32 does not.
    """
    for mark, encoding in _MARKS.items():
        # A UTF-16 text may begin with U+0000.
        if start.startswith(mark) and (
            encoding == "utf-16" or _decoded(start, encoding, is_whole=is_whole) is not None
        ):
            return encoding
    controls = len(start) - len(start.translate(None, _CONTROLS))
    if not controls:
        return "utf-8-sig"
    nuls = start.count(b"\0")
    # A file that was cut within its last character is UTF-8 too, and damaged.
    is_utf_8 = _decoded(start, "utf-8", is_whole=False) is not None
    best, least = "utf-8-sig", (controls, 0)
    for encoding, width in _WIDE.items():
        text = _decoded(start, encoding, is_whole=is_whole)
        if text is None or (b"\n" in start and "\n" not in text):
            continue
        # Each ASCII character of the text has a NUL byte or more.
        is_likely = 2 * controls > len(start) // width and (nuls < controls or nuls >= _MANY_NULS)
        if not is_likely and (is_utf_8 or not nuls):
            continue
        # Read in the wrong order, the letters of one alphabet are spread over many.
        odd = sum(unicodedata.category(c) in {"Cc", "Cn", "Co"} for c in text if c not in "\t\n\r")
        oddness = odd, len({ord(character) >> 8 for character in text})
        # NUL bytes that fill up a text of UTF-8 are NUL characters here too.
        if 4 * text.count("\0") <= controls and oddness < least:
            best, least = encoding, oddness
    return best


def _decoded(start: bytes, encoding: str, *, is_whole: bool) -> str | None:
    try:
        return codecs.getincrementaldecoder(encoding)().decode(start, final=is_whole)
    except UnicodeError:
        return None


def split_lines(text: str) -> list[str]:
    """Return the lines of a text, each with the end it has: CR, LF or both."""
    lines = text.splitlines(keepends=True)
    if set(map(_LAST, lines[:-1])) <= {"\n"}:
        return lines
    # A lone CR, or what is a line's end to Unicode only.
    return io.StringIO(text, newline="").readlines()
