"""The invented account: its programs, and the actions of any day as of any time.

Everything is a pure function of the day and of the time of the request. An action appears a few
hours after it happened (so today has the actions recorded so far), a few of them days later. Until
its locking date, at most 60 days after the day, it may be approved, reversed, corrected or vanish;
after that it never changes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from random import Random
from zoneinfo import ZoneInfo

# A character that UTF-8 can't encode. Before Python 3.11 a CSV writer without an escape character
# uses U+0000.
NO_ESCAPE = "\udfff"
ROWS_PER_DAY = 30
OPENED = date(2021, 1, 1)
"""The first day with any actions."""

HOUR = 3600
DAY = 24 * HOUR
ATTO = 10**18
"""Money is counted in units of 1e-18, the service's 18 decimals."""


@dataclass(frozen=True)
class Program:
    """One brand; `rate` is the commission as a fraction, `lock_days` the wait before payment."""

    id: str
    name: str
    currency: str
    rate: tuple[int, int]
    lock_days: int
    weight: int


PROGRAMS = (
    Program("10211", "Blue Kite Outfitters", "USD", (7, 100), 45, 8),
    Program("10487", 'Harbor & Pine, "Home" Goods', "USD", (1, 12), 60, 6),
    Program("11902", "Café Soleil", "EUR", (5, 100), 30, 4),
    Program("12055", "Ölmühle Nord", "EUR", (2, 17), 40, 3),
    Program("13370", "雲の本棚 Books", "JPY", (3, 100), 30, 2),
)

PLACES = (
    ("Springfield", "Illinois", "US", "62704"),
    ("Cambridge", "Massachusetts", "US", "02139"),
    ("Lyon", "Auvergne-Rhône-Alpes", "FR", "69002"),
    ("Köln", "Nordrhein-Westfalen", "DE", "50667"),
    ("São Paulo", "SP", "BR", "01310-100"),
    ("", "", "", ""),
)
DEVICES = ("Desktop", "Mobile", "Tablet")
NETWORKS = ("192.0.2", "198.51.100", "203.0.113")  # RFC 5737: for documentation
NOTES = (
    "",
    "",
    "",
    "",
    "",
    "NA",
    'said "thanks", twice',
    "first line\nsecond line",
    "naïve, 100 %",
)
ITEMS = (
    ("007113", "Wool Socks, 2 pairs", "Clothing"),
    ("0815", "Enamel Mug", "Home"),
    ("BK-77/XL", 'Rain Jacket "Fjord"', "Clothing"),
    ("4006381333931", "Notebook A5", "Stationery"),
    ("1E5", "Trail Map", "Outdoor"),
)


@dataclass(frozen=True)
class Item:
    """One line of an order; `sale` in 1e-18 units."""

    sku: str
    name: str
    category: str
    quantity: int
    sale: int


@dataclass(frozen=True)
class Action:
    """One order and its future; times are POSIX seconds, money is in units of 1e-18."""

    id: str
    program: Program
    day: date
    happened: datetime
    locks: datetime
    appears: float
    vanishes: float
    decided: float
    verdict: str
    corrected: float
    payout: int
    corrected_payout: int
    sale: int
    items: tuple[Item, ...]
    device: str
    ip_address: str
    place: tuple[str, str, str, str]
    new_customer: bool
    promo_code: str
    sub_ids: tuple[str, str, str]
    note: str

    def status(self, moment: float) -> str:
        """PENDING, APPROVED or REVERSED."""
        return "PENDING" if moment < self.decided else self.verdict

    def payout_at(self, moment: float) -> int:
        """Return the commission, which is nothing once the action is reversed."""
        if self.status(moment) == "REVERSED":
            return 0
        return self.payout if moment < self.corrected else self.corrected_payout


class Account:
    """The actions and clicks of one invented account; each day is created once and cached."""

    def __init__(self, timezone: str, rows_per_day: int = ROWS_PER_DAY) -> None:
        self.zone = ZoneInfo(timezone)
        self.rows_per_day = rows_per_day
        self._days: dict[date, tuple[Action, ...]] = {}

    def today(self, moment: datetime) -> date:
        """Return the day it is in the account's zone."""
        return moment.astimezone(self.zone).date()

    def actions(
        self, start: date, end: date, program: str | None, moment: datetime
    ) -> Iterator[Action]:
        """Yield the actions of these days (inclusive) that existed at `moment`, oldest first."""
        seen = moment.timestamp()
        for day in days(max(start, OPENED), min(end, self.today(moment))):
            for action in self._actions_of(day):
                if action.appears <= seen < action.vanishes and (
                    program is None or action.program.id == program
                ):
                    yield action

    def clicks(self, day: date, program: Program) -> int:
        """How often the account's links to a program were followed on a day.

        At the default `rows_per_day` that is about 500 a day over all programs, on average.
        """
        if day < OPENED:
            return 0
        mean = 0.75 * self.rows_per_day * program.weight * _traffic(day)
        share = Random(f"clicks {day} {program.id}").uniform(0.5, 1.5)  # noqa: S311
        return round(mean * share)

    def _actions_of(self, day: date) -> tuple[Action, ...]:
        if day not in self._days:
            rng = Random(f"actions {day}")  # noqa: S311 - invented data, not a secret
            count = round(self.rows_per_day * rng.uniform(0.7, 1.3))
            seconds = sorted(rng.randrange(DAY) for _ in range(count))
            self._days[day] = tuple(
                self._invent(rng, day, index, second) for index, second in enumerate(seconds)
            )
        return self._days[day]

    def _invent(self, rng: Random, day: date, index: int, second: int) -> Action:
        chance = rng.random
        program = rng.choices(PROGRAMS, _WEIGHTS)[0]
        midnight = datetime.combine(day, time(), self.zone)
        happened = midnight + timedelta(seconds=second)
        locks = midnight + timedelta(days=program.lock_days)
        at, last = happened.timestamp(), locks.timestamp()

        def before_lock(likely: float) -> float:
            moment = rng.uniform(at + 6 * HOUR, last)
            return moment if chance() < likely else float("inf")

        items = tuple(
            Item(*rng.choice(ITEMS), quantity := rng.randint(1, 4), quantity * _price(rng))
            for _ in range(rng.choices((1, 2, 3), (7, 2, 1))[0])
        )
        sale = sum(item.sale for item in items)
        payout = sale * program.rate[0] // program.rate[1]
        return Action(
            id=f"{program.id}.{day.toordinal() % 10_000}.{index + 1:06d}",
            program=program,
            day=day,
            happened=happened,
            locks=locks,
            appears=at
            + (rng.uniform(DAY, 5 * DAY) if chance() < 0.02 else rng.uniform(0, 4 * HOUR)),
            vanishes=before_lock(0.02),
            decided=rng.uniform(at + 2 * DAY, last),
            verdict="APPROVED" if chance() < 0.85 else "REVERSED",
            corrected=before_lock(0.05),
            payout=payout,
            corrected_payout=payout * rng.randint(50, 120) // 100,
            sale=sale,
            items=items,
            device=rng.choice(DEVICES),
            ip_address=f"{rng.choice(NETWORKS)}.{rng.randrange(256)}",
            place=rng.choice(PLACES),
            new_customer=chance() < 0.4,
            promo_code="SPRING,10" if chance() < 0.1 else "",
            sub_ids=(f"page-{rng.randrange(40):03d}", rng.choice(("", "top", "null")), ""),
            note=rng.choice(NOTES),
        )


_WEIGHTS = [program.weight for program in PROGRAMS]


def _traffic(day: date) -> float:
    """How busy a day is: now and then not at all, mostly 0.2 to 1.2, a few times ten times that."""
    rng = Random(f"traffic {day}")  # noqa: S311 - invented data, not a secret
    quiet, ordinary, busy = 0.0, rng.uniform(0.2, 1.2), rng.uniform(5, 9)
    return rng.choices((quiet, ordinary, busy), (4, 91, 5))[0]


def _price(rng: Random) -> int:
    return rng.randint(199, 14_999) * (ATTO // 100)


def days(start: date, end: date) -> Iterator[date]:
    """Each day from `start` to `end`, both included."""
    for offset in range((end - start).days + 1):
        yield start + timedelta(days=offset)


def money(units: int) -> str:
    """1e-18 units as the service writes money: `"12.340000000000000000"`."""
    sign, units = ("-", -units) if units < 0 else ("", units)
    return f"{sign}{units // ATTO}.{units % ATTO:018d}"
