"""The rows of the invented account's reports, as of any time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta

from tap_affiliate_reports.sandbox.data import ATTO, PROGRAMS, Account, Action, days, money
from tap_affiliate_reports.sandbox.impact.report import Filters

Cell = Callable[[Action, float], str]
"""A column's text for an action as of a time (POSIX seconds)."""

Row = list[str]
Source = Callable[[datetime, date, date, str | None, Filters], Iterator[Row]]
"""The rows of some days (inclusive) and a program (None: all), as of a time."""

AsOf = Callable[[datetime, date | None, date | None, str | None, Filters], Iterator[Row]]


def dated(account: Account, source: Source) -> AsOf:
    """Return a report's `rows_as_of`; without dates it returns the last 30 days."""

    def rows(
        moment: datetime,
        start: date | None,
        end: date | None,
        program: str | None,
        requested: Filters,
    ) -> Iterator[Row]:
        last = end or account.today(moment)
        return source(moment, start or last - timedelta(days=29), last, program, requested)

    return rows


def listing(account: Account, cells: list[Cell]) -> Source:
    """Give a row for each action; the filter SUPERSTATUS_MS names the states wanted."""

    def rows(
        moment: datetime, start: date, end: date, program: str | None, requested: Filters
    ) -> Iterator[Row]:
        seen = moment.timestamp()
        statuses = requested.get("SUPERSTATUS_MS")
        for action in account.actions(start, end, program, moment):
            if not statuses or action.status(seen) in statuses:
                yield [cell(action, seen) for cell in cells]

    return rows


def nothing(*_: object) -> Iterator[Row]:
    """Return no row."""
    return iter(())


class AccountRows:
    """The other reports' rows; each method is a `Source`."""

    def __init__(self, account: Account) -> None:
        self.account = account

    def skus(
        self, moment: datetime, start: date, end: date, program: str | None, _: Filters
    ) -> Iterator[Row]:
        """Give a row for each line of an order."""
        seen = moment.timestamp()
        for action in self.account.actions(start, end, program, moment):
            payout = action.payout_at(seen)
            for line, item in enumerate(action.items, start=1):
                yield [
                    action.id,
                    str(line),
                    action.program.id,
                    action.happened.isoformat(),
                    action.status(seen),
                    item.sku,
                    item.name,
                    item.category,
                    str(item.quantity),
                    money(item.sale),
                    money(payout * item.sale // action.sale),
                ]

    def by_day(
        self, moment: datetime, start: date, end: date, program: str | None, _: Filters
    ) -> Iterator[Row]:
        """Give a row for each day with clicks or actions."""
        for day in days(start, min(end, self.account.today(moment))):
            clicks, *numbers = self._totals(moment, day, day, program)
            if clicks != "0" or numbers[0] != "0":
                yield [f"{day:%b} {day.day}, {day.year}", clicks, *numbers]

    def by_program(
        self, moment: datetime, start: date, end: date, program: str | None, _: Filters
    ) -> Iterator[Row]:
        """Give a row for each program with clicks or actions."""
        for brand in PROGRAMS:
            if program in {None, brand.id}:
                clicks, *numbers = self._totals(moment, start, end, brand.id)
                if clicks != "0" or numbers[0] != "0":
                    yield [brand.name, brand.id, clicks, *numbers]

    def custom(
        self, moment: datetime, start: date, end: date, program: str | None, requested: Filters
    ) -> Iterator[Row]:
        """Give a row for each program, with columns that differ only by case."""
        for _, brand, clicks, _, sale, _ in self.by_program(moment, start, end, program, requested):
            yield [brand, clicks, f"{int(clicks) / 7:.4f}", sale, sale.rstrip("0")]

    def paystubs(
        self, moment: datetime, start: date, end: date, program: str | None, _: Filters
    ) -> Iterator[Row]:
        """Give a row for each approved action past its locking date."""
        seen = moment.timestamp()
        for action in self.account.actions(start, end, program, moment):
            if action.locks.timestamp() <= seen and action.status(seen) == "APPROVED":
                yield [
                    f"{action.locks:%Y%m}",
                    action.id,
                    action.happened.isoformat(),
                    action.locks.isoformat(),
                    money(action.payout_at(seen)),
                ]

    def audit(
        self, moment: datetime, start: date, end: date, _program: str | None, _: Filters
    ) -> Iterator[Row]:
        """Give a row for each day that is over; some values do not fit their types."""
        for day in days(start, min(end, self.account.today(moment) - timedelta(days=1))):
            number = day.toordinal()
            yield [
                str(number),
                f"{day}T04:15:00Z" if number % 2 else f"{day}T04:15:00",
                str(day),
                f"USD {number % 1000}.50",
                money((number % 9 - 4) * ATTO // 3),
                f"{number % 12}.000",
                str(2**63 + number) if number % 5 == 0 else str(2**63 - number),
                ("true", "FALSE", "1", "0", "")[number % 5],
                "n/a" if number % 7 == 0 else str(number % 100),
            ]

    def tracking(
        self, moment: datetime, _start: date, _end: date, _program: str | None, _: Filters
    ) -> Iterator[Row]:
        """Return the same list for all dates; it changes once a day."""
        last = self.account.today(moment) - timedelta(days=1)
        for brand in PROGRAMS:
            for number in range(8):
                clicks = self.account.clicks(last - timedelta(days=number), brand)
                yield [f"page-{number:03d}", "SubId1", brand.id, str(clicks * 30)]

    def _totals(self, moment: datetime, start: date, end: date, program: str | None) -> Row:
        seen = moment.timestamp()
        found = list(self.account.actions(start, end, program, moment))
        clicks = sum(
            self.account.clicks(day, brand)
            for brand in PROGRAMS
            if program in {None, brand.id}
            for day in days(start, min(end, self.account.today(moment)))
        )
        sale = sum(action.sale for action in found if action.status(seen) != "REVERSED")
        payout = sum(action.payout_at(seen) for action in found)
        return [str(clicks), str(len(found)), money(sale), money(payout)]
