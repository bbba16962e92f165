"""A file's header against the columns we know, and the function that reads the file's rows."""

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

# Unicode's punctuation, symbols, separators and control characters; marks belong to letters.
_PUNCTUATION = "PSZC"
# What only separates words: connectors, dashes, brackets and quotes, spaces and control
# characters, and these. Every other punctuation or symbol, such as %, $, # or +, is a sign.
_SEPARATORS = {"Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Zs", "Zl", "Zp", "Cc", "Cf", "Cs", "Co", "Cn"}
_SEPARATING = frozenset(".,:;/\\'\"·…")
_MINUS = frozenset("-\N{MINUS SIGN}")


@dataclass
class HeaderMatch:
    """Which column of the file, by index from 0, is which column of the report."""

    found: list[tuple[int, Column]]
    missing: list[Column]
    unknown: list[tuple[int, str]]


def match_header(header: Sequence[str], columns: Sequence[Column]) -> HeaderMatch:
    """Match a file's header to columns by source name, then by letters and signs, then by letters.

    An exact match wins; each name of the file and each column is used at most once, equal ones
    in their order. Names that differ in case or separators match where only one column and one
    name are left that do. A sign on one side only is ignored where no other column and no other
    name has the same letters; two different signs never match.
    """
    pairs = dict(_equal_names(header, columns))
    if len(pairs) < min(len(header), len(columns)):
        pairs.update(_alike_names(header, columns, pairs))
    taken = set(pairs.values())
    return HeaderMatch(
        found=[(index, columns[pairs[index]]) for index in sorted(pairs)],
        missing=[column for number, column in enumerate(columns) if number not in taken],
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
    """Return the function that makes (record, unparsed) of a row as wide as the file's header.

    The record has every column found, added or missing (null), those `selected` when given;
    `unparsed` has the text of the values that are Unreadable or don't fit their column, or is None.
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
    places: list[tuple[int, str]] = []
    for index, column in [*match.found, *zip(indexes, added, strict=False)]:
        if selected is not None and column.name not in selected:
            continue
        nulls[column.name] = None
        places.append((index, column.name))
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
    # No warehouse takes U+0000.
    return [text.replace("\0", "") if "\0" in text else text for text in row]


def _with_unreadable(
    texts: Sequence[str], places: Sequence[tuple[int, str]], misfits: dict[str, str]
) -> dict[str, str] | None:
    """Return the misfits of a row and what it has in place of unreadable values, in its order."""
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
    """Return the pairs of index and number that are left once the equal ones are known."""
    pairs = dict(equal)
    names = [_Name.of(name) for name in header]
    sources = [_Name.of(column.source) for column in columns]
    taken = set(pairs.values())
    open_names = _places(names, pairs)
    open_sources = _places(sources, taken)
    for key in open_names.keys() & open_sources.keys():
        places, numbers = open_names[key], open_sources[key]
        # Different names that are alike could be matched in any order, so none is.
        if len({header[p] for p in places}) == len({columns[n].source for n in numbers}) == 1:
            pairs.update(zip(places, numbers, strict=False))
    taken = set(pairs.values())
    with_letters = _by_letters(names)
    for letters, numbers in _by_letters(sources).items():
        places = with_letters.get(letters, [])
        if len(places) == len(numbers) == 1:
            (place,), (number,) = places, numbers
            is_one_sided = not names[place].signs or not sources[number].signs
            if is_one_sided and place not in pairs and number not in taken:
                pairs[place] = number
    return pairs


def _places(names: Sequence[_Name], taken: Container[int]) -> dict[_Name, list[int]]:
    """Return the places of each name, without those that are taken."""
    places: defaultdict[_Name, list[int]] = defaultdict(list)
    for place, name in enumerate(names):
        if place not in taken and name != _NOTHING:
            places[name].append(place)
    return places


def _by_letters(names: Sequence[_Name]) -> dict[str, list[int]]:
    """Return the places of all names with the same letters."""
    places: defaultdict[str, list[int]] = defaultdict(list)
    for place, name in enumerate(names):
        if name.letters:
            places[name.letters].append(place)
    return places


class _Name(NamedTuple):
    """What a name says: its letters and digits without case, and its signs in their order."""

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
            # Without what is between two digits, "Tier 1.5" would be "Tier 15".
            if between and letters and letters[-1].isdigit() and character.isdigit():
                letters.append(_WORD_BREAK.sub(" ", between))
            letters.append(character)
            between = ""
        return cls("".join(letters), "".join(signs))


_NOTHING = _Name("", "")
# Between two digits these are the same; a point, a comma or a colon is not.
_WORD_BREAK = re.compile(r"[\s_-]+")


def _is_sign(character: str) -> bool:
    return character not in _SEPARATING and unicodedata.category(character) not in _SEPARATORS


def _is_minus(name: str, place: int, worded: Sequence[int]) -> bool:
    """Return whether the dash is a minus; `worded` are the places of letters and digits."""
    # Between two words it is a hyphen.
    if not worded or not worded[0] < place < worded[-1]:
        return True
    return not name[place - 1].isalnum() and name[place + 1].isdigit()
