"""The invented account's exports: the rows of their files, and the exports of the last days."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from random import Random

from tap_affiliate_reports.sandbox.data import DAY, DEVICES, NOTES, PLACES, PROGRAMS, days
from tap_affiliate_reports.sandbox.hienergy.files import Cell, Table

ADVERTISERS = 40
DEALS = 25
HOT = 15
FIRST = ("Amber", "Cedar", "Granite", "Juniper", "Lantern", "Meadow", "Opal", "Willow")
SECOND = ("Books", "Cycles", "Garden", "Optics", "Pets", "Travel")
CATEGORIES = ("Clothing", "Home", "Outdoor", "Stationery", "Travel")

ADVERTISER_COLUMNS = (
    "id",
    "name",
    "domain",
    "category",
    "network",
    "commission_rate",
    "epc_7_days",
    "active",
    "joined_at",
    "note",
)
DEAL_COLUMNS = (
    "Deal ID",
    "Advertiser ID",
    "Advertiser",
    "Title",
    "Code",
    "Discount",
    "Exclusive",
    "Starts At",
    "Ends At",
)
HOT_COLUMNS = ("Rank", "Advertiser ID", "Advertiser", "Clicks", "EPC", "Change", "New", "As Of")
CLICK_COLUMNS = (
    "Click ID",
    "Clicked At",
    "Advertiser ID",
    "Advertiser",
    "Sub ID",
    "Device",
    "Country",
    "Converted",
    "Sale Amount",
    "Payout",
    "Note",
)
Row = list[Cell]


@dataclass(frozen=True)
class Advertiser:
    """The facts of one brand that never change."""

    id: int
    name: str
    category: str
    network: str
    joined: datetime


def _advertisers() -> list[Advertiser]:
    rng = Random("advertisers")  # noqa: S311 - invented data, not a secret
    names = [program.name for program in PROGRAMS]
    names += [f"{first} {second}" for second in SECOND for first in FIRST]
    return [
        Advertiser(
            2000 + 7 * number,
            name,
            rng.choice(CATEGORIES),
            rng.choice(("impact", "direct", "Instal")),
            datetime(2023, 1, 1) + timedelta(seconds=rng.randrange(700 * DAY)),
        )
        for number, name in enumerate(names[:ADVERTISERS])
    ]


BRANDS = _advertisers()


def advertisers(day: date, _rows: int) -> Iterator[Row]:
    """Yield a row for each advertiser."""
    for brand in BRANDS:
        rng = Random(f"advertiser {brand.id} {day}")  # noqa: S311
        domain = "".join(c for c in brand.name.lower() if c.isascii() and c.isalnum())
        yield [
            brand.id,
            brand.name,
            f"{domain}.example",
            brand.category,
            brand.network,
            _hundredths(rng, 100, 1500),
            _hundredths(rng, 5, 900) if rng.random() < 0.9 else None,
            rng.random() < 0.95,
            brand.joined,
            rng.choice(NOTES) or None,
        ]


def deals(day: date, _rows: int) -> Iterator[Row]:
    """Yield a row for each deal of the day."""
    rng = Random(f"deals {day}")  # noqa: S311
    for number in range(DEALS):
        brand = rng.choice(BRANDS)
        percent = rng.randrange(5, 65, 5)
        starts = _midnight(day) + timedelta(hours=rng.randrange(-200, 100))
        yield [
            day.toordinal() * 100 + number,
            brand.id,
            brand.name,
            f"{percent} % off {brand.category.lower()}",
            f"{brand.category[:4].upper()}{percent}" if rng.random() < 0.6 else None,
            Decimal(percent) / 100,
            rng.random() < 0.3,
            starts,
            starts + timedelta(days=rng.randint(2, 30)) if rng.random() < 0.8 else None,
        ]


def hot_advertisers(day: date, rows: int) -> Iterator[Row]:
    """Yield the advertisers with the most clicks of the day, best first."""
    rng = Random(f"hot {day}")  # noqa: S311
    clicks = sorted((rng.randint(1, 20 + 10 * rows) for _ in range(HOT)), reverse=True)
    for rank, (brand, count) in enumerate(zip(rng.sample(BRANDS, HOT), clicks, strict=True), 1):
        change = _hundredths(rng, -5000, 9000) if rng.random() < 0.9 else None
        epc = _hundredths(rng, 5, 900)
        yield [rank, brand.id, brand.name, count, epc, change, change is None, _midnight(day)]


def clicks_details(day: date, rows: int) -> Iterator[Row]:
    """Yield a row for each click of the day, oldest first."""
    rng = Random(f"click details {day}")  # noqa: S311
    for second in sorted(rng.randrange(DAY) for _ in range(rows)):
        brand, place = rng.choice(BRANDS), rng.choice(PLACES)
        sale = _hundredths(rng, 500, 30_000) if rng.random() < 0.2 else None
        yield [
            f"{rng.getrandbits(48):012x}",
            _midnight(day) + timedelta(seconds=second),
            brand.id,
            brand.name,
            f"{rng.randrange(40):03d}",
            rng.choice(DEVICES),
            place[2] or None,
            sale is not None,
            sale,
            None if sale is None else round(sale * rng.randint(3, 15) / 100, 4),
            rng.choice(NOTES) or None,
        ]


FILES: dict[str, tuple[tuple[str, ...], Callable[[date, int], Iterator[Row]]]] = {
    "advertisers_csv": (ADVERTISER_COLUMNS, advertisers),
    "deals_excel": (DEAL_COLUMNS, deals),
    "hot_advertisers_excel": (HOT_COLUMNS, hot_advertisers),
    "clicks_details_excel": (CLICK_COLUMNS, clicks_details),
}
"""By report type, the columns and rows of its file as of a day."""


def invented_table(report_type: str, day: date, rows: int) -> Table:
    """Return header and rows of a day's file; `rows` is the account's number of clicks a day."""
    header, make = FILES[report_type]
    return header, make(day, rows)


@dataclass(frozen=True)
class Past:
    """One export of the last days."""

    report_type: str
    created: datetime
    day: date
    error_message: str | None
    parts: int


def past_exports(now: datetime) -> Iterator[Past]:
    """Yield one export of each type for each of the last five days, oldest first.

    Of any five days one has a failed clicks export and one a deals export in two parts.
    """
    today = now.astimezone(timezone.utc).date()
    for day in days(today - timedelta(days=5), today - timedelta(days=1)):
        for number, report_type in enumerate(FILES):
            created = datetime.combine(day, time(1, 10 * number), timezone.utc)
            fails = report_type == "clicks_details_excel" and day.toordinal() % 5 == 2
            parted = report_type == "deals_excel" and day.toordinal() % 5 == 4
            message = "The export took too long and was stopped" if fails else None
            yield Past(report_type, created, day - timedelta(days=1), message, 2 if parted else 0)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time())


def _hundredths(rng: Random, low: int, high: int) -> Decimal:
    return Decimal(rng.randint(low, high)) / 100
