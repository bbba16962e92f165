"""Bytes of any encoding -> lines of text, read a block at a time, in constant memory."""

from __future__ import annotations

import codecs
import io
from operator import itemgetter
from typing import TYPE_CHECKING

from tap_affiliate_reports.errors import DamagedFile
from tap_affiliate_reports.formats import MAX_RECORD

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCK = 64 * 1024
"""How many characters are read at once: they should stay in the processor's cache."""

_LAST = itemgetter(-1)
_ENDS = ("\n", "\r")
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class Lines:
    """The lines of a stream as text, with the line ends they have, without U+0000.

    `left` is how many characters may still come; whoever reads records sets it back after each.
    `number` is how many lines there have been. `terminated` is right once the last was given.
    """

    def __init__(self, stream: io.BufferedReader) -> None:
        self.left = MAX_RECORD
        self.number = 0
        self.terminated = True
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
        encoding = "utf-16" if stream.peek(2)[:2] in _UTF_16 else "utf-8-sig"
        with io.TextIOWrapper(stream, encoding, newline="") as self._text:
            # A block ends with a line: one that is too long is refused when it is given.
            while block := self._text.read(BLOCK) + self._text.readline(MAX_RECORD + 1):
                self.terminated = block.endswith(_ENDS)
                yield block


def split_lines(text: str) -> list[str]:
    """Return the lines of a text, each with the end it has: CR, LF or both."""
    lines = text.splitlines(keepends=True)
    if set(map(_LAST, lines[:-1])) <= {"\n"}:
        return lines
    # A lone CR, or what is a line's end to Unicode only.
    return io.StringIO(text, newline="").readlines()
