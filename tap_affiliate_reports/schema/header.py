"""A file's header against the columns we know, and the function that reads the file's rows."""

from __future__ import annotations

import unicodedata
from collections import defaultdict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tap_affiliate_reports.schema.columns import Column, Kind
from tap_affiliate_reports.schema.values import parser

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from datetime import tzinfo

    RowParser = Callable[[Sequence[str]], tuple[dict[str, Any], dict[str, str] | None]]

# Unicode's punctuation, symbols, separators and control characters; marks belong to letters.
_PUNCTUATION = "PSZC"


@dataclass
class HeaderMatch:
    """Which column of the file, by index from 0, is which column of the report."""

    found: list[tuple[int, Column]]
    missing: list[Column]
    unknown: list[tuple[int, str]]


def match_header(header: Sequence[str], columns: Sequence[Column]) -> HeaderMatch:
    """Match a file's header to columns by source name, then without case and punctuation.

    An exact match wins; each name of the file and each column is used at most once, equal ones
    in their order.
    """
    found: dict[int, Column] = {}
    missing = list(range(len(columns)))
    for same in (str, _bare):
        waiting: defaultdict[str, deque[int]] = defaultdict(deque)
        for number in missing:
            waiting[same(columns[number].source)].append(number)
        for index, name in enumerate(header):
            numbers = waiting.get(same(name))
            if index not in found and numbers:
                found[index] = columns[numbers.popleft()]
        missing = sorted(number for numbers in waiting.values() for number in numbers)
    return HeaderMatch(
        found=sorted(found.items(), key=lambda pair: pair[0]),
        missing=[columns[number] for number in missing],
        unknown=[(index, name) for index, name in enumerate(header) if index not in found],
    )


def row_parser(
    match: HeaderMatch,
    added: Sequence[Column] = (),
    *,
    timezone: tzinfo,
    singer_decimal: bool = False,
    selected: Collection[str] | None = None,
) -> RowParser:
    """Return the function that makes (record, unparsed) of a row as wide as the file's header.

    The record has every column found, added or missing (null), those `selected` when given;
    `unparsed` has the text of the values that don't fit their column, or is None.
    `added` are the columns for `match.unknown`, in its order; without them those are left out.
    """
    indexes = [index for index, _ in match.unknown]
    if added and len(added) != len(indexes):
        raise ValueError("one column is needed for each unknown name")
    parsers = {
        kind: parser(kind, timezone=timezone, singer_decimal=singer_decimal) for kind in Kind
    }
    nulls: dict[str, Any] = {}
    strings: list[tuple[int, str]] = []
    typed: list[tuple[int, str, Callable[[str], Any]]] = []
    for index, column in [*match.found, *zip(indexes, added, strict=False)]:
        if selected is not None and column.name not in selected:
            continue
        nulls[column.name] = None
        if column.kind is Kind.STRING:
            strings.append((index, column.name))
        else:
            typed.append((index, column.name, parsers[column.kind]))
    nulls.update(
        (column.name, None)
        for column in match.missing
        if selected is None or column.name in selected
    )

    def parse(row: Sequence[str]) -> tuple[dict[str, Any], dict[str, str] | None]:
        # No warehouse takes U+0000.
        texts = [text.replace("\0", "") for text in row] if "\0" in "".join(row) else row
        record = nulls.copy()
        unparsed: dict[str, str] | None = None
        for index, name in strings:
            if text := texts[index]:
                record[name] = text
        for index, name, value_of in typed:
            if text := texts[index]:
                try:
                    record[name] = value_of(text)
                except ValueError:
                    unparsed = unparsed or {}
                    unparsed[name] = text
        return record, unparsed

    return parse


def _bare(name: str) -> str:
    """Return the name without case and punctuation; one of nothing else ("%") as it is."""
    kept = [c for c in name.casefold() if unicodedata.category(c)[0] not in _PUNCTUATION]
    return "".join(kept) or name
