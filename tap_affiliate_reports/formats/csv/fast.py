"""Splits or counts the rows of a block of plain CSV lines with a few calls.

A block begins at the start of a record. Both functions return None for a block that is not plain,
which may be unusual or damaged; `reference` reads it line by line and decides.
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
# Replaces each quoted text while the lines are split; a plain block does not contain it.
_MARK = "\0"


class Block(NamedTuple):
    """The rows of a block: their columns, or their text; neither if they were only counted."""

    rows: int
    lines: int
    columns: Columns = ()
    text: str = ""


def plain_count(block: str, width: int) -> Block | None:
    """Count the rows of a block if each has `width` fields, more than one; None if not plain."""
    if not _may_be_plain(block):
        return None
    outside, quoted = _apart(block) if '"' in block else (block, "")
    if "\r" in outside:
        returns = outside.split("\r")[1:]
        if not all(returns) or not set(map(_FIRST, returns)) <= {"\n"}:
            return None
    # Only the commas and the end of each line remain.
    rest = outside.encode().translate(None, _OTHER_BYTES)
    rows = len(rest) // width
    if not rows or rest != (b"," * (width - 1) + b"\n") * rows:
        return None
    return Block(rows, rows + _line_ends(quoted))


def plain_columns(block: str, width: int) -> Block | None:
    """Split a block if each row has `width` fields, more than one; None if not plain."""
    if not _may_be_plain(block):
        return None
    parts = block.split('"')
    outside, quoted = _MARK.join(parts[::2]), parts[1::2]
    rows, end = outside.count("\n"), "\r\n" if "\r" in outside else "\n"
    # Only the last field of a row keeps a line end.
    fields = outside.replace("\n", "\n,").split(",")
    if fields.pop() or len(fields) != rows * width or len(parts) % 2 == 0:
        return None
    last = fields[width - 1 :: width]
    if {text[-len(end) :] for text in last} != {end} or outside.count("\r") not in {0, rows}:
        return None
    fields[width - 1 :: width] = [text[: -len(end)] for text in last]
    # Usually a column is quoted in all rows or in none.
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
    """Put each quoted text in its place; return whether these fields had nothing but marks."""
    commas = (between.count(",") + between.count("\n") for between in outside.split(_MARK))
    texts_at: dict[int, list[str]] = {}
    for place, text in zip(accumulate(commas), quoted, strict=False):
        texts_at.setdefault(place, []).append(text)
    for place, texts in texts_at.items():
        if fields[place].strip(_MARK):
            return False
        # Two texts in one field were separated by an escaped quote.
        fields[place] = '"'.join(texts)
    return True


def _may_be_plain(block: str) -> bool:
    # A block within the limits of a field and a record has no field or record beyond them.
    return (
        block.endswith("\n") and "\0" not in block and len(block) <= min(MAX_FIELD, MAX_RECORD)
    )  # fmt: skip


def _line_ends(quoted: str) -> int:
    # Splitting is slow, and few quoted texts have line ends.
    return len(split_lines(quoted + '"')) - 1 if "\n" in quoted or "\r" in quoted else 0


def _apart(block: str) -> tuple[str, str]:
    """Return the texts outside and inside quoted fields; empty if a quote is not at a field's edge.

    Escaped quotes within a field are allowed.
    """
    parts = block.split('"')
    outside = parts[::2]
    # Two quotes in a row are an escaped quote, which does not end the field.
    between = list(filter(None, outside[1:-1]))
    is_plain = (
        len(parts) % 2 == 1
        and outside[0][-1:] in {"", ",", "\n"}
        and outside[-1][:1] in {",", "\r", "\n"}
        and set(map(_FIRST, between)) <= {",", "\r", "\n"}
        and set(map(_LAST, between)) <= {",", "\n"}
    )
    return ("".join(outside), '"'.join(parts[1::2])) if is_plain else ("", "")
