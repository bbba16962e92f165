"""Time zones by name: IANA zones, fixed offsets, and whether two zones have the same rules."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone, tzinfo
from functools import lru_cache

import pendulum

# The IANA database is accurate from this year on only.
FIRST_YEAR = 1970
# The interval at which two zones are compared; clocks change at full or half hours only.
STEP = timedelta(minutes=30)
# Names that zoneinfo opens but IANA does not define: this machine's zone, a placeholder, and copies
# of the database, one of which counts leap seconds.
NOT_IANA = re.compile(r"localtime|posixrules|Factory|(?:posix|right)/.*")


@dataclass(frozen=True)
class ZoneChoice:
    """A zone and where it comes from; `doubt` is why it may be another one, "" without a doubt."""

    zone: tzinfo
    origin: str
    doubt: str = ""

    def __str__(self) -> str:
        return f"{zone_name(self.zone)}, {self.origin}"


def iana_zone(name: str) -> tzinfo:
    """Return the zone of an IANA name; raises ValueError for any other text."""
    if NOT_IANA.fullmatch(name):
        msg = f"{name!r} is not an IANA time zone"
        raise ValueError(msg)
    try:
        return pendulum.timezone(name)
    except OSError as error:  # a folder of zones, or a name that is too long for a file
        msg = f"{name!r} is not an IANA time zone"
        raise ValueError(msg) from error


def is_iana(name: str) -> bool:
    """Return whether a text is an IANA name."""
    try:
        iana_zone(name)
    except ValueError:
        return False
    return True


def fixed_zone(offset: timedelta) -> tzinfo:
    """Return the zone with this constant offset from UTC, with a name like `+05:30`."""
    return pendulum.timezone(int(offset.total_seconds()))


def zone_name(zone: tzinfo) -> str:
    """Return the name by which `read_zone` finds the zone again."""
    return str(getattr(zone, "name", zone))


def read_zone(name: str) -> tzinfo:
    """Return the zone of a name from `zone_name`; raises ValueError for any other text."""
    match = re.fullmatch(r"([+-])(\d\d):(\d\d)", name, re.ASCII)
    if match is None:
        return iana_zone(name)
    sign, hours, minutes = match.groups()
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    if offset >= timedelta(days=1):
        msg = f"{name!r} is not an offset from UTC"
        raise ValueError(msg)
    return fixed_zone(-offset if sign == "-" else offset)


def same_rules(first: object, second: object, start: date, end: date) -> bool:
    """Return whether two zone names have the same UTC offsets over the years synced.

    These are the years from `start` to one after `end`. An unknown name, such as one from an edited
    state, equals only itself.
    """
    if first == second:
        return True
    if not isinstance(first, str) or not isinstance(second, str):
        return False
    return _same_rules(first, second, max(start.year, FIRST_YEAR), end.year + 1)


@lru_cache(maxsize=16)  # every stream of a source compares the same zones
def _same_rules(first: str, second: str, first_year: int, last_year: int) -> bool:
    try:
        one, other = read_zone(first), read_zone(second)
    except ValueError:
        return False
    moment = datetime(first_year, 1, 1, tzinfo=timezone.utc)
    until = datetime(last_year + 1, 1, 1, tzinfo=timezone.utc)
    while moment < until:
        if moment.astimezone(one).utcoffset() != moment.astimezone(other).utcoffset():
            return False
        moment += STEP
    return True
