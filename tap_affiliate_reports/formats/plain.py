"""Blocks of CSV lines without anything odd: their rows, or only how many, all at once.

A block begins where a record does. What is odd, or wrong, is not told here: it is for whoever reads
line by line, so None says that it may be either.
"""

from __future__ import annotations

import csv
from operator import itemgetter

from tap_affiliate_reports.formats import MAX_RECORD
from tap_affiliate_reports.formats.lines import split_lines

MAX_FIELD = 16 * 1024 * 1024
"""The longest field that is read, in characters."""

_OTHER_BYTES = bytes(set(range(256)) - set(b",\n"))
_FIRST, _LAST = itemgetter(0), itemgetter(-1)


def plain_count(block: str, width: int) -> int | None:
    """Return how many rows of this many fields, more than one, the block has."""
    if not _may_be_plain(block):
        return None
    outside = _outside_quotes(block) if '"' in block else block
    returns = outside.split("\r")[1:]
    if not all(returns) or not set(map(_FIRST, returns)) <= {"\n"}:
        return None
    # Of each line its commas are left, and its end.
    rest = outside.encode().translate(None, _OTHER_BYTES)
    rows = len(rest) // width
    return rows if rest == (b"," * (width - 1) + b"\n") * rows != b"" else None


def plain_rows(block: str, width: int) -> list[list[str]] | None:
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
    return rows if set(map(len, rows)) == {width} else None


def _may_be_plain(block: str) -> bool:
    # No longer than a field or a record may be, so that neither limit is passed.
    return (
        block.endswith("\n") and "\0" not in block and len(block) <= min(MAX_FIELD, MAX_RECORD)
    )  # fmt: skip


def _outside_quotes(block: str) -> str:
    """Return what stands outside of quoted fields; "" where a quote is not the edge of a field."""
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
    return "".join(outside) if is_plain else ""
