"""Blocks of CSV lines without anything odd: their columns, or only how many rows, all at once.

A block begins where a record does. What is odd, or wrong, is not told here: it is for whoever reads
line by line, so None says that it may be either.
"""

from __future__ import annotations

from itertools import accumulate
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from tap_affiliate_reports.formats import MAX_RECORD
from tap_affiliate_reports.formats.csv.lines import split_lines

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tap_affiliate_reports.formats import Columns

MAX_FIELD = 16 * 1024 * 1024
"""The longest field that is read, in characters."""

_OTHER_BYTES = bytes(set(range(256)) - set(b",\n"))
_FIRST, _LAST = itemgetter(0), itemgetter(-1)
# Stands for a quoted text while the lines are split; a plain block has none of its own.
_MARK = "\0"


class Block(NamedTuple):
    """What a block has; `columns` are not there where its rows were only counted."""

    rows: int
    lines: int
    columns: Columns = ()


def plain_count(block: str, width: int) -> Block | None:
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
    return Block(rows, rows + _line_ends(quoted))


def plain_columns(block: str, width: int) -> Block | None:
    """Return the columns of the block, if all rows have this many fields, more than one."""
    if not _may_be_plain(block):
        return None
    parts = block.split('"')
    outside, quoted = _MARK.join(parts[::2]), parts[1::2]
    rows, end = outside.count("\n"), "\r\n" if "\r" in outside else "\n"
    # The last field of a row keeps the line end, and no other has one.
    fields = outside.replace("\n", "\n,").split(",")
    if fields.pop() or len(fields) != rows * width or len(parts) % 2 == 0:
        return None
    last = fields[width - 1 :: width]
    if {text[-len(end) :] for text in last} != {end} or outside.count("\r") not in {0, rows}:
        return None
    fields[width - 1 :: width] = [text[: -len(end)] for text in last]
    # Most often a column is quoted in all rows or in none.
    marked = [place for place, text in enumerate(fields[:width]) if text == _MARK]
    is_even = len(quoted) == len(marked) * rows and all(
        fields[place::width].count(_MARK) == rows for place in marked
    )
    if is_even:
        for order, place in enumerate(marked):
            fields[place::width] = quoted[order :: len(marked)]
    elif not _fill(fields, outside, quoted):
        return None
    return Block(
        rows,
        rows + _line_ends('"'.join(quoted)),
        [fields[place::width] for place in range(width)],
    )


def _fill(fields: list[str], outside: str, quoted: Iterable[str]) -> bool:
    """Put each quoted text in its place; return whether marks were all that each place had."""
    commas = (between.count(",") + between.count("\n") for between in outside.split(_MARK))
    texts_at: dict[int, list[str]] = {}
    for place, text in zip(accumulate(commas), quoted, strict=False):
        texts_at.setdefault(place, []).append(text)
    for place, texts in texts_at.items():
        if fields[place].strip(_MARK):
            return False
        # Between two texts was an escaped quote.
        fields[place] = '"'.join(texts)
    return True


def _may_be_plain(block: str) -> bool:
    # No longer than a field or a record may be, so that neither limit is passed.
    return (
        block.endswith("\n") and "\0" not in block and len(block) <= min(MAX_FIELD, MAX_RECORD)
    )  # fmt: skip


def _line_ends(quoted: str) -> int:
    # Counting takes long, and there are seldom any.
    return len(split_lines(quoted + '"')) - 1 if "\n" in quoted or "\r" in quoted else 0


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
