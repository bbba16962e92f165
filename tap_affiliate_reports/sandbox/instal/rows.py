"""The rows of the invented advertiser: any day as of any time.

The clicks of a day no longer change once its hours are over. Conversions and their costs grow for
two weeks, and a few rows come late or vanish; after that a day never changes.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from random import Random

from tap_affiliate_reports.sandbox.data import OPENED, days

COLUMNS = (
    "aff_sub_id",
    "time",
    "clicks_aggr",
    "campaign",
    "country",
    "creative_id",
    "app_id",
    "campaign_id",
    "cost_aggr",
    "cr",
    "conversions_aggr",
    "name_os",
    "version_os",
    "lang",
    "publisher_id",
)
INTERVALS = {"hourly": "%Y-%m-%d %H:00", "daily": "%Y-%m-%d 00:00", "monthly": "%Y-%m-01 00:00"}
"""How the time of a row is cut."""

SETTLES = timedelta(days=14)
CAMPAIGNS = (
    (4101, "Pocket Orchard", "com.example.orchard", "Android"),
    (4102, "Pocket Orchard iOS", "id1002003004", "iOS"),
    (4177, 'Tram Tycoon, "Deluxe"', "com.example.tram", "Android"),
    (4230, "雲の地図", "com.example.kumo", "Android"),
)
VERSIONS = {"Android": ("4.4.2", "9", "13", "14.0"), "iOS": ("12.5.7", "16.4", "17.10")}
COUNTRIES = (("US", "en"), ("BR", "pt"), ("DE", "de"), ("JP", "ja"), ("", ""))
CREATIVES = ("banner_320x50", "video-15s", "007", "")

Row = dict[str, str]
"""One row: text by column."""


@dataclass(frozen=True)
class Hit:
    """The results of one publisher in an hour; money in thousandths, times in POSIX seconds."""

    happened: datetime
    facts: tuple[tuple[str, str], ...]
    clicks: int
    conversions: int
    price: int
    appears: float
    vanishes: float

    def conversions_at(self, moment: datetime) -> int:
        """Return the conversions reported by then."""
        settled = min(1.0, (moment - self.happened) / SETTLES)
        return int(self.conversions * (0.7 + 0.3 * settled))


class Advertiser:
    """The hits of one advertiser; each day is created once and cached."""

    def __init__(self, rows_per_day: int) -> None:
        self.rows_per_day = rows_per_day
        self._days: dict[date, tuple[Hit, ...]] = {}

    def rows(
        self, start: date, stop: date, interval: str, moment: datetime, skip: Container[date] = ()
    ) -> list[Row]:
        """Return the rows of these days (UTC, inclusive), without `skip`, as of `moment`."""
        form = INTERVALS[interval]
        sums: dict[tuple[tuple[str, str], ...], list[int]] = {}
        for hit in self._hits(start, stop, moment, skip):
            total = sums.setdefault((("time", hit.happened.strftime(form)), *hit.facts), [0, 0, 0])
            conversions = hit.conversions_at(moment)
            for index, number in enumerate((hit.clicks, conversions, conversions * hit.price)):
                total[index] += number
        return [_row(key, *total) for key, total in sums.items()]

    def _hits(
        self, start: date, stop: date, moment: datetime, skip: Container[date]
    ) -> Iterator[Hit]:
        seen = moment.timestamp()
        today = moment.astimezone(timezone.utc).date()
        for day in days(max(start, OPENED), min(stop, today)):
            if day in skip:
                continue
            if day not in self._days:
                rng = Random(f"hits {day}")  # noqa: S311 - invented data, not a secret
                count = round(self.rows_per_day * rng.uniform(0.7, 1.3))
                self._days[day] = tuple(_invent(rng, day) for _ in range(count))
            yield from (hit for hit in self._days[day] if hit.appears <= seen < hit.vanishes)


def _invent(rng: Random, day: date) -> Hit:
    happened = datetime.combine(day, time(rng.randrange(24)), timezone.utc)
    campaign_id, campaign, app_id, system = rng.choice(CAMPAIGNS)
    country, lang = rng.choice(COUNTRIES)
    publisher = rng.randint(1, 9)
    clicks = rng.randint(1, 400)
    facts = {
        "aff_sub_id": rng.choice(("", f"{publisher:04d}", f"sub-{rng.randint(1, 5)}")),
        "campaign": campaign,
        "country": country,
        "creative_id": rng.choice(CREATIVES),
        "app_id": app_id,
        "campaign_id": str(campaign_id),
        "name_os": system,
        "version_os": rng.choice(VERSIONS[system]),
        "lang": lang,
        "publisher_id": str(8800 + publisher),
    }
    over = (happened + timedelta(hours=1)).timestamp()
    weeks = SETTLES.total_seconds()
    return Hit(
        happened,
        tuple(facts.items()),
        clicks,
        rng.randint(0, clicks // 3),
        rng.randint(150, 4_000),
        appears=over + (rng.uniform(0, weeks) if rng.random() < 0.03 else 0),
        vanishes=over + rng.uniform(0, weeks) if rng.random() < 0.02 else float("inf"),
    )


def _row(key: tuple[tuple[str, str], ...], clicks: int, conversions: int, thousandths: int) -> Row:
    facts = dict(key)
    numbers = {
        "clicks_aggr": str(clicks),
        "cost_aggr": f"{thousandths // 1000}.{thousandths % 1000:03d}",
        "cr": f"{conversions / clicks:.6f}",
        "conversions_aggr": str(conversions),
    }
    return {column: (facts | numbers)[column] for column in COLUMNS}
