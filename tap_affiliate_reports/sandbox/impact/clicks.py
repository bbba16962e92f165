"""The invented account's clicks: the rows of any day, as of any time.

A click appears a few hours after it happened, a few clicks up to two days later; a few others are
invalid traffic and vanish within two days. After that a day never changes, and has as many clicks
as `Account.clicks` says.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from hashlib import sha256
from random import Random

from tap_affiliate_reports.sandbox.data import (
    ATTO,
    DAY,
    HOUR,
    NETWORKS,
    PLACES,
    PROGRAMS,
    Account,
    Program,
    money,
)
from tap_affiliate_reports.sandbox.impact.report import Attribute, Filters, Report

Row = tuple[str, ...]

COLUMNS = (
    "Id",
    "ProgramId",
    "ProgramName",
    "ProfileId",
    "IpAddress",
    "EventDate",
    "MediaId",
    "MediaName",
    "AdId",
    "AdName",
    "AdType",
    "ProductSku",
    "AdCampaign",
    "AdGroup",
    "Keyword",
    "MatchType",
    "Channel",
    "DealName",
    "DealType",
    "DealScope",
    "CustomerArea",
    "CustomerCity",
    "CustomerRegion",
    "CustomerCountry",
    "DeviceType",
    "DeviceFamily",
    "Browser",
    "Os",
    "ReferringUrl",
    "ReferringDomain",
    "LandingPageUrl",
    "TrafficCategory",
    "TrafficSource",
    "BidKeyword",
    "SearchText",
    "SharedId",
    "SubId1",
    "SubId2",
    "SubId3",
    "CpcBid",
    "Payout",
    "UniqueClick",
)
"""The documented columns, in their order."""

FILTERS = {
    "ProgramId": "ProgramId",
    "AdId": "AdId",
    "SubId": "SubId1",
    "UniqueClick": "UniqueClick",
}
"""The parameters that filter rows, each with its column."""

POOLS: dict[tuple[str, ...], tuple[Row, ...]] = {
    ("MediaId", "MediaName"): (("2290011", "Trail Notes"), ("2290012", 'The "Deal" Page, weekly')),
    ("AdId", "AdName", "AdType"): (
        ("1180501", "Spring Sale, 20 % off", "BANNER"),
        ("1180502", "Text link", "TEXT_LINK"),
        ("0042", 'Banner "Fjord"', "Banner"),
        ("", "", ""),
    ),
    ("ProductSku",): (("",), ("",), ("007113",), ("BK-77/XL",), ("1E5",)),
    ("AdCampaign", "AdGroup"): (("", ""), ("", ""), ("Été 2026", "first line\nsecond line")),
    ("Keyword", "MatchType", "BidKeyword"): (
        ("", "", ""),
        ("", "", ""),
        ("wool socks, warm", "EXACT", "wool socks"),
        ("rain jacket", "Broad", "jacket"),
    ),
    ("Channel",): (("CONTENT",), ("EMAIL",), ("Social, paid",), ("",)),
    ("DealName", "DealType", "DealScope"): (("", "", ""), ("Summer, public", "PUBLIC", "ENTIRE")),
    ("CustomerCity", "CustomerRegion", "CustomerCountry"): tuple(place[:3] for place in PLACES),
    ("CustomerArea",): (("n/a",), ("501",), ("819",), ("",)),
    ("DeviceType", "DeviceFamily", "Browser", "Os"): (
        ("MOBILE", "iPhone", "Safari", "iOS"),
        ("MOBILE", "Pixel 8", "CHROME", "ANDROID"),
        ("DESKTOP", "Other", "CHROME", "WINDOWS"),
        ("DESKTOP", "Mac", "Safari", "Mac OS X"),
        ("Tablet", "iPad", "", "iOS"),
        ("OTHER", "", "UNKNOWN", "UNKNOWN"),
    ),
    ("ReferringUrl", "ReferringDomain"): (
        ("", ""),
        ("https://trails.example/socks?utm_source=mail&utm_term=wool,warm", "trails.example"),
        ("https://search.example/?q=%22rain+jacket%22&hl=en#top", "search.example"),
        ('https://deals.example/?note="new"&next=https://x.example/?a=1', "deals.example"),
    ),
    ("LandingPageUrl",): (
        ("https://shop.example/?utm_campaign=a%2Cb&id=7",),
        ("https://shop.example/",),
    ),
    ("TrafficCategory", "TrafficSource"): (("WEBSITE", "trails.example"), ("Mobile App", "")),
    ("SearchText",): (("",), ("",), ("",), ('said "wool",\nthen left',), ("naïve 雲",)),
    ("SharedId",): (("",), ("",), ("newsletter-12",)),
    ("SubId1",): (("page-001",), ("page-002",), ("007",), ("null",), ("",)),
    ("SubId2",): (("",), ("top",), ("null",)),
    ("SubId3",): (("",), ("",), ("NA",)),
    ("CpcBid",): (("",), (money(0),), (money(ATTO * 2 // 7),), (money(1),)),
    ("Payout",): ((money(0),), (money(0),), (money(ATTO * 17 // 13),), (money(ATTO // 3),)),
    ("UniqueClick",): (("true",), ("true",), ("false",)),
}
"""The values of columns that belong together; a value that stands twice is twice as likely."""

HASHED_ADDRESSES = tuple(
    sha256(f"{network}.{host}".encode()).hexdigest() for network in NETWORKS for host in range(256)
)

SECOND_DEAL = ("Loyalty tier", "PRIVATE", "CATEGORY")
"""What the second row of a click has in place of its deal."""

KINDS_OF_VISITS = 300
"""How many combinations of values a day has, so that a large day is invented quickly."""

DAYS_KEPT = 32
"""How many days the cache holds."""


@dataclass(frozen=True)
class Click:
    """One click, in one row or two; times are POSIX seconds."""

    appears: float
    vanishes: float
    rows: tuple[Row, ...]


class Clicks:
    """The clicks of each day of an account."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.of_day = lru_cache(DAYS_KEPT)(self._invent)

    def rows(
        self,
        moment: datetime,
        start: date | None,
        _end: date | None,
        _program: str | None,
        filters: Filters,
    ) -> Iterator[Row]:
        """Yield the rows of a day that existed at `moment`, oldest first."""
        seen = moment.timestamp()
        wanted = [
            (COLUMNS.index(FILTERS[name]), _spelt(name, values))
            for name, values in filters.items()
            if name in FILTERS
        ]
        for click in self.of_day(start or self.account.today(moment)):
            if click.appears <= seen < click.vanishes:
                for row in click.rows:
                    if all(row[index] in values for index, values in wanted):
                        yield row

    def _invent(self, day: date) -> list[Click]:
        rng = Random(f"rows of clicks {day}")  # noqa: S311 - invented data, not a secret
        account = self.account
        valid = [(brand, True) for brand in PROGRAMS for _ in range(account.clicks(day, brand))]
        if not valid:
            return []
        invalid = [(brand, False) for brand, _ in rng.choices(valid, k=round(len(valid) * 0.02))]
        visits = [*valid, *invalid]
        rng.shuffle(visits)
        midnight = datetime.combine(day, time(), account.zone)
        seconds = sorted(rng.choices(range(DAY), k=len(visits)))
        happened = [midnight + timedelta(seconds=second) for second in seconds]
        addresses = rng.choices(HASHED_ADDRESSES, k=len(visits))
        circumstances = rng.choices(_circumstances(rng), k=len(visits))
        return [
            _click(rng, brand, moment, address, others, is_valid=is_valid)
            for (brand, is_valid), moment, address, others in zip(
                visits, happened, addresses, circumstances, strict=True
            )
        ]


def invented_clicks(account: Account) -> Report:
    """Return the account's clicks as the report that ClickExport returns."""
    columns = [Attribute(name) for name in COLUMNS]
    return Report("clicks", "Clicks", columns=columns, rows_as_of=Clicks(account).rows)


_DEAL = COLUMNS.index("DealName")


def _circumstances(rng: Random) -> list[Row]:
    """Return the columns after EventDate, for each kind of visit."""
    columns: dict[str, tuple[str, ...]] = {}
    for names, pool in POOLS.items():
        chosen = rng.choices(pool, k=KINDS_OF_VISITS)
        columns |= dict(zip(names, zip(*chosen, strict=True), strict=True))
    return list(zip(*(columns[name] for name in COLUMNS[6:]), strict=True))


def _click(
    rng: Random, brand: Program, happened: datetime, address: str, others: Row, *, is_valid: bool
) -> Click:
    at = happened.timestamp()
    is_late = is_valid and rng.random() < 0.02
    appears = at + (rng.uniform(6 * HOUR, 2 * DAY) if is_late else rng.uniform(0, 4 * HOUR))
    vanishes = float("inf") if is_valid else at + rng.uniform(6 * HOUR, 2 * DAY)
    key = f"{rng.getrandbits(96):024x}"
    row = (key, brand.id, brand.name, f"5{brand.id}", address, happened.isoformat(), *others)
    if rng.random() >= 1 / 40:
        return Click(appears, vanishes, (row,))
    second = (*row[:_DEAL], *SECOND_DEAL, *row[_DEAL + len(SECOND_DEAL) :])
    return Click(appears, vanishes, (row, second))


def _spelt(name: str, values: list[str]) -> set[str]:
    """Return the values of a filter as the rows have them."""
    return {value.lower() for value in values} if name == "UniqueClick" else set(values)
