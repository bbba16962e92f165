"""impact.com's `Timezone`, a display label such as `(GMT -05:00) Eastern Time (US & Canada)`.

The name decides, because the GMT part follows summer time. The GMT part only chooses between zones
of the same name, and is the zone of a label whose name is unknown.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone, tzinfo
from functools import cache
from html import unescape
from zoneinfo import available_timezones

from tap_affiliate_reports.sources.impact.zone_names import NAMES, SECOND_ZONES
from tap_affiliate_reports.zones import NOT_IANA, fixed_zone, iana_zone

_OFFSET = r"(?P<sign>[+±-])\s*(?P<hours>\d{1,2})(?::?(?P<minutes>\d\d))?(?![\d.:])"
# (GMT -05:00), [UTC+1], (+0530), (GMT); then GMT-5 or +05:30 without brackets.
_GMT_PARTS = (
    re.compile(rf"[(\[]\s*(?:GMT|UTC)?\s*{_OFFSET}\s*[)\]]", re.ASCII | re.IGNORECASE),
    re.compile(r"[(\[]\s*(?:GMT|UTC)\s*[)\]]", re.IGNORECASE),
    re.compile(rf"(?:(?<![\w/])(?:GMT|UTC)\s*|(?<!\S)){_OFFSET}", re.ASCII | re.IGNORECASE),
)
_FARTHEST = timedelta(hours=14)
# Other spellings of names such as "Saint Pierre and Miquelon" and "Solomon Is.".
_SAME_WORDS = {
    "and": "",
    "is": "islands",
    "island": "islands",
    "saint": "st",
    "daylight": "standard",
}
# Areas of the IANA names that end in a city.
_AREAS = {
    "Africa", "America", "Antarctica", "Arctic", "Asia",
    "Atlantic", "Australia", "Europe", "Indian", "Pacific",
}  # fmt: skip
# Short names of states, which are parts of other labels too.
_NO_CITIES = {"north", "south", "west", "victoria", "center", "act", "lhi", "nsw"}


@dataclass(frozen=True)
class Match:
    """The zone of a label; `doubt` is why it may be another one, "" without a doubt."""

    zone: tzinfo
    doubt: str = ""


def match_label(label: str, year: int) -> Match | None:
    """Return the zone of a label; None if neither its name nor its offset is known.

    `year` is the present one, of which the GMT part is an offset.
    """
    text = unicodedata.normalize("NFKC", unescape(unescape(label)))
    text = re.sub("[\N{HYPHEN}-\N{HORIZONTAL BAR}\N{MINUS SIGN}]", "-", text).strip()
    if text in _available():
        return Match(iana_zone(text))
    # "UTC-11" is a name too, but "(UTC-11:00)" is an offset alone.
    if text[:1] not in ("(", "[") and (zones := _zones_of(text)):
        return Match(zones[0])
    offset, words = _split(text)
    zones = _zones_of(words) or list(_zones_of_places(words, offset, year))
    for zone in zones:
        if offset is None or offset in _offsets(zone, year):
            return Match(zone)
    if zones:
        return Match(zones[0], "its GMT part is not an offset of this zone in the present year")
    if offset is None:
        return None
    return Match(fixed_zone(offset), "its name is unknown, so summer time is ignored")


def _split(text: str) -> tuple[timedelta | None, str]:
    """Return the offset of a label's GMT part, and the text around it."""
    for pattern in _GMT_PARTS:
        if match := pattern.search(text):
            found = {"sign": "+", "hours": "0", "minutes": None} | match.groupdict()
            hours, minutes = int(found["hours"] or 0), int(found["minutes"] or 0)
            offset = timedelta(hours=hours, minutes=minutes)
            words = f"{text[: match.start()]} {text[match.end() :]}".strip(" ,;:-")
            if minutes >= 60 or offset > _FARTHEST:
                return None, words
            return (-offset if found["sign"] == "-" else offset), words
    return None, text


def _zones_of_places(words: str, offset: timedelta | None, year: int) -> Iterator[tzinfo]:
    """Yield the zones of the places that are named in a label, in order."""
    for part in re.split(r"[,;:]|\s/\s", words):
        # The part after a dash is more exact: "Central Time - Mexico City".
        for place in reversed([part, *re.split(r"\s-\s", part)]):
            if zones := _zones_of(place):
                yield from zones
                break
            city = _cities().get(_key(place))
            # A city of that name may be in another country.
            if city and (offset is None or offset in _offsets(iana_zone(city), year)):
                yield iana_zone(city)
                break


def _zones_of(name: str) -> list[tzinfo]:
    """Return the zones of a complete name, the most common one first."""
    key = _key(name)
    names = _table().get(key) or (_iana_names().get(key, ""),)
    return [iana_zone(zone) for zone in names if zone in _available()]


def _offsets(zone: tzinfo, year: int) -> set[timedelta | None]:
    """Return the UTC offsets that a zone has in a year."""
    first = datetime(year, 1, 1, tzinfo=timezone.utc)
    weeks = (first + timedelta(weeks=number) for number in range(53))
    return {moment.astimezone(zone).utcoffset() for moment in weeks}


def _key(name: str) -> str:
    """Return a name without case, accents and punctuation, but with the sign of a number."""
    text = unicodedata.normalize("NFKD", name).casefold()
    text = re.sub("[.'`\N{RIGHT SINGLE QUOTATION MARK}]", "", text)
    text = "".join(c for c in text if not unicodedata.combining(c))
    words = re.sub(r"[^\w+-]|_|-(?!\d)|\+(?!\d)", " ", text).split()
    return " ".join(filter(None, (_SAME_WORDS.get(word, word) for word in words)))


@cache
def _table() -> dict[str, tuple[str, ...]]:
    table: dict[str, tuple[str, ...]] = {
        _key(name): (zone,) for zone, names in NAMES.items() for name in names
    }
    for name, second in SECOND_ZONES.items():
        table[_key(name)] += (second,)
    return table


@cache
def _available() -> frozenset[str]:
    return frozenset(name for name in available_timezones() if not NOT_IANA.fullmatch(name))


@cache
def _iana_names() -> dict[str, str]:
    return {_key(name): name for name in sorted(_available())}


@cache
def _cities() -> dict[str, str]:
    """Return the IANA name of each city that ends exactly one name."""
    found: dict[str, list[str]] = {}
    for name in sorted(_available()):
        area, _, city = name.rpartition("/")
        if area.split("/")[0] in _AREAS:
            found.setdefault(_key(city), []).append(name)
    return {
        city: names[0]
        for city, names in found.items()
        if len(names) == 1 and city not in _NO_CITIES
    }
