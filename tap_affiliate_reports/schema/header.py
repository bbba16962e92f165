"""Matches a file's header to the columns of a report, and parses rows into records."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from tap_affiliate_reports.schema.columns import Column, Kind
from tap_affiliate_reports.schema.values import Unreadable, parser

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Container, Iterator, Mapping, Sequence
    from datetime import tzinfo

    RowParser = Callable[[Sequence[str]], tuple[dict[str, Any], dict[str, str] | None]]

# Unicode's punctuation, symbols, separators and control characters. Marks are parts of letters.
_PUNCTUATION = "PSZC"
# Characters that only separate words: connectors, dashes, brackets, quotes, spaces, control
# characters, and these. Every other punctuation or symbol, such as %, $, # or +, is a sign.
_SEPARATORS = {"Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Zs", "Zl", "Zp", "Cc", "Cf", "Cs", "Co", "Cn"}
_SEPARATING = frozenset(".,:;/\\'\"·…")
_MINUS = frozenset("-\N{MINUS SIGN}")


class Projection(NamedTuple):
    """The selected columns of a file's records.

    `present` has the index in the file, from 0, and the column; `missing` are the names of the
    columns that the file does not have, which are null.
    """

    present: list[tuple[int, Column]]
    missing: list[str]


@dataclass
class HeaderMatch:
    """Which column of the file, by index from 0, is which column of the report."""

    found: list[tuple[int, Column]]
    missing: list[Column]
    unknown: list[tuple[int, str]]

    def project(
        self, added: Sequence[Column] = (), selected: Collection[str] | None = None
    ) -> Projection:
        """Return the columns of the records: found, added and missing, those `selected` if given.

        `added` are the columns for `unknown`, in its order; without them those are skipped.
        """
        if added and len(added) != len(self.unknown):
            raise ValueError("one column is needed for each unknown name")
        new = zip((index for index, _ in self.unknown), added, strict=False)
        return Projection(
            [
                (index, column)
                for index, column in (*self.found, *new)
                if selected is None or column.name in selected
            ],
            [c.name for c in self.missing if selected is None or c.name in selected],
        )


def match_header(header: Sequence[str], columns: Sequence[Column]) -> HeaderMatch:
    """Match a file's header to columns by source name, then by letters and signs, then by letters.

    An exact match wins; each name of the file and each column is used at most once, equal ones
    in their order. Names that differ in case or separators match if only one column and one name
    with these letters and signs remain. A sign on one side only is ignored if no other column and
    no other name has the same letters; two different signs never match.
    """
    pairs = dict(_equal_names(header, columns))
    if len(pairs) < min(len(header), len(columns)):
        pairs.update(_alike_names(header, columns, pairs))
    matched = set(pairs.values())
    return HeaderMatch(
        found=[(index, columns[pairs[index]]) for index in sorted(pairs)],
        missing=[column for number, column in enumerate(columns) if number not in matched],
        unknown=[(index, name) for index, name in enumerate(header) if index not in pairs],
    )


def row_parser(
    match: HeaderMatch,
    added: Sequence[Column] = (),
    *,
    timezone: tzinfo,
    singer_decimal: bool = False,
    selected: Collection[str] | None = None,
) -> RowParser:
    """Return a function from a row, as wide as the file's header, to (record, unparsed).

    The record has the columns of `match.project(added, selected)`; `unparsed` has the texts of the
    values that are Unreadable or don't fit their column, by column name, or is None.
    """
    present, missing = match.project(added, selected)
    parsers = {
        kind: parser(kind, timezone=timezone, singer_decimal=singer_decimal) for kind in Kind
    }
    places = [(index, column.name) for index, column in present]
    nulls: dict[str, Any] = dict.fromkeys([*(name for _, name in places), *missing])
    strings = [(index, column.name) for index, column in present if column.kind is Kind.STRING]
    typed = [
        (index, column.name, parsers[column.kind])
        for index, column in present
        if column.kind is not Kind.STRING
    ]

    def parse(row: Sequence[str]) -> tuple[dict[str, Any], dict[str, str] | None]:
        texts = _without_nul(row) if "\0" in "".join(row) else row
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
        if Unreadable in map(type, texts):
            unparsed = _with_unreadable(texts, places, unparsed or {})
        return record, unparsed

    return parse


def _without_nul(row: Sequence[str]) -> Sequence[str]:
    # No warehouse accepts U+0000.
    return [text.replace("\0", "") if "\0" in text else text for text in row]


def _with_unreadable(
    texts: Sequence[str], places: Sequence[tuple[int, str]], misfits: dict[str, str]
) -> dict[str, str] | None:
    """Return the misfits and the texts of unreadable values, in the order of the columns."""
    unparsed = {}
    for index, name in places:
        if name in misfits:
            unparsed[name] = misfits[name]
        elif isinstance(text := texts[index], Unreadable):
            unparsed[name] = text.text
    return unparsed or None


def _equal_names(header: Sequence[str], columns: Sequence[Column]) -> Iterator[tuple[int, int]]:
    """Yield (index in the header, number of the column) of equal names, in their order."""
    waiting: defaultdict[str, deque[int]] = defaultdict(deque)
    for number, column in enumerate(columns):
        waiting[column.source].append(number)
    for index, name in enumerate(header):
        if numbers := waiting.get(name):
            yield index, numbers.popleft()


def _alike_names(
    header: Sequence[str], columns: Sequence[Column], equal: Mapping[int, int]
) -> dict[int, int]:
    """Return the `equal` pairs of index and number, and those of names that are alike."""
    pairs = dict(equal)
    names = [_Name.of(name) for name in header]
    sources = [_Name.of(column.source) for column in columns]
    open_names = _places(names, pairs)
    open_sources = _places(sources, set(pairs.values()))
    for key in open_names.keys() & open_sources.keys():
        places, numbers = open_names[key], open_sources[key]
        # Different names that are alike could be matched in any order, so they are not matched.
        if len({header[p] for p in places}) == len({columns[n].source for n in numbers}) == 1:
            pairs.update(zip(places, numbers, strict=False))
    matched = set(pairs.values())
    with_letters = _by_letters(names)
    for letters, numbers in _by_letters(sources).items():
        places = with_letters.get(letters, [])
        if len(places) == len(numbers) == 1:
            (place,), (number,) = places, numbers
            is_one_sided = not names[place].signs or not sources[number].signs
            if is_one_sided and place not in pairs and number not in matched:
                pairs[place] = number
    return pairs


def _places(names: Sequence[_Name], matched: Container[int]) -> dict[_Name, list[int]]:
    """Return the places of each name, without the places that are matched already."""
    places: defaultdict[_Name, list[int]] = defaultdict(list)
    for place, name in enumerate(names):
        if place not in matched and name != _EMPTY:
            places[name].append(place)
    return places


def _by_letters(names: Sequence[_Name]) -> dict[str, list[int]]:
    """Return the places of the names with the same letters, by these letters."""
    places: defaultdict[str, list[int]] = defaultdict(list)
    for place, name in enumerate(names):
        if name.letters:
            places[name.letters].append(place)
    return places


class _Name(NamedTuple):
    """The normal form of a name: its letters and digits in lower case, and its signs."""

    letters: str
    signs: str

    @classmethod
    def of(cls, name: str) -> _Name:
        letters: list[str] = []
        signs: list[str] = []
        between = ""
        folded = name.casefold()
        if folded.isalnum():
            return cls(folded, "")
        worded = [place for place, character in enumerate(folded) if character.isalnum()]
        for place, character in enumerate(folded):
            if unicodedata.category(character)[0] in _PUNCTUATION:
                between += character
                if _is_minus(folded, place, worded) if character in _MINUS else _is_sign(character):
                    signs.append(character)
                continue
            # Without the characters between two digits, "Tier 1.5" would equal "Tier 15".
            if between and letters and letters[-1].isdigit() and character.isdigit():
                letters.append(_WORD_BREAK.sub(" ", between))
            letters.append(character)
            between = ""
        return cls("".join(letters), "".join(signs))


_EMPTY = _Name("", "")
# Between two digits these are equivalent; a point, a comma or a colon is different.
_WORD_BREAK = re.compile(r"[\s_-]+")


def _is_sign(character: str) -> bool:
    return character not in _SEPARATING and unicodedata.category(character) not in _SEPARATORS


def _is_minus(name: str, place: int, worded: Sequence[int]) -> bool:
    """Return whether a dash is a minus; `worded` are the places of letters and digits."""
    # A dash between two words is a hyphen.
    if not worded or not worded[0] < place < worded[-1]:
        return True
    return not name[place - 1].isalnum() and name[place + 1].isdigit()
