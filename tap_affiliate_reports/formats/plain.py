"""Blocks of CSV lines without anything odd: their rows, or only how many, all at once.

A block begins where a record does. What is odd, or wrong, is not told here: it is for whoever reads
line by line, so None says that it may be either.
"""

from __future__ import annotations

import csv
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from tap_affiliate_reports.formats import MAX_RECORD
from tap_affiliate_reports.formats.lines import split_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_FIELD = 16 * 1024 * 1024
"""The longest field that is read, in characters."""

_OTHER_BYTES = bytes(set(range(256)) - set(b",\n"))
_FIRST, _LAST = itemgetter(0), itemgetter(-1)


class Plain(NamedTuple):
    """What a block has; `rows` are not there where they were only counted."""

    size: int
    lines: int
    rows: Sequence[list[str]] = ()


def plain_count(block: str, width: int) -> Plain | None:
    """Count the rows of the block, if all have this many fields, more than one."""
    if not _may_be_plain(block):
        return None
    outside, quoted = _apart(block) if '"' in block else (block, "")
    returns = outside.split("\r")[1:]
    if not all(returns) or not set(map(_FIRST, returns)) <= {"\n"}:
        return None
    # Of each line its commas are left, and its end.
    rest = outside.encode().translate(None, _OTHER_BYTES)
    rows = len(rest) // width
    if not rows or rest != (b"," * (width - 1) + b"\n") * rows:
        return None
    # Counting takes long, and there are seldom any.
    more = len(split_lines(quoted + '"')) - 1 if "\n" in quoted or "\r" in quoted else 0
    return Plain(rows, rows + more)


def plain_rows(block: str, width: int) -> Plain | None:
    """Return the rows of the block, if all have this many fields, more than one."""
    if not _may_be_plain(block):
        return None
    lines = split_lines(block)
    quoted = [line for line in lines if '"' in line] if '"' in block else []
    few = len(quoted) * 2 < len(lines)
    try:
        rows = list(csv.reader(quoted if few else lines, strict=True))
    except csv.Error:
        return None
    if few:
        if len(rows) != len(quoted):
            return None  # a record of several lines
        rest = iter(rows)
        rows = [next(rest) if '"' in line else line.rstrip("\r\n").split(",") for line in lines]
    return Plain(len(rows), len(lines), rows) if set(map(len, rows)) == {width} else None


def _may_be_plain(block: str) -> bool:
    # No longer than a field or a record may be, so that neither limit is passed.
    return (
        block.endswith("\n") and "\0" not in block and len(block) <= min(MAX_FIELD, MAX_RECORD)
    )  # fmt: skip


def _apart(block: str) -> tuple[str, str]:
    """Return what is outside and inside of quoted fields; nothing where a quote edges no field."""
    parts = block.split('"')
    outside = parts[::2]
    # Nothing between two quotes is an escaped one: the field goes on.
    between = list(filter(None, outside[1:-1]))
    is_plain = (
        len(parts) % 2 == 1
        and outside[0][-1:] in {"", ",", "\n"}
        and outside[-1][:1] in {",", "\r", "\n"}
        and set(map(_FIRST, between)) <= {",", "\r", "\n"}
        and set(map(_LAST, between)) <= {",", "\n"}
    )
    return ("".join(outside), '"'.join(parts[1::2])) if is_plain else ("", "")
