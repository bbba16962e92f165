"""The invented clicks of the sandbox look like those of a partner, and settle in two days."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime, timedelta, timezone
from statistics import mean, median

import pytest
from impact_client import Client, Clock

from tap_affiliate_reports.sandbox import Sandbox
from tap_affiliate_reports.sandbox.data import PROGRAMS, Account, days
from tap_affiliate_reports.sandbox.impact.clicks import COLUMNS, Clicks

DAY = {"Date": "2026-08-09"}
QUIET, LARGE = date(2026, 7, 10), date(2026, 7, 30)
"""Days of the invented account without a click, and with ten times as many as usual."""


ACCOUNT = Account("America/New_York")
CLICKS = Clicks(ACCOUNT)
LONG_AFTER = datetime(2027, 1, 1, tzinfo=timezone.utc)


def rows_of(day: date, moment: datetime) -> list[tuple[str, ...]]:
    return list(CLICKS.rows(moment, day, day, None, {}))


@pytest.fixture
def clock() -> Clock:
    return Clock()


class TestInventedClicks:
    """Over HTTP where it is about the service, else the module alone."""

    @pytest.fixture
    def invented(self, clock: Clock) -> Iterator[Client]:
        with Sandbox(now=clock, job_seconds=0) as sandbox:
            client = Client(sandbox)
            yield client
            client.session.close()

    def test_the_header_has_the_documented_columns(self, invented: Client) -> None:
        answer = invented.get(f"/Jobs/{invented.export_clicks(**DAY)}/Download")
        assert answer.content.decode().partition("\r\n")[0] == ",".join(COLUMNS)
        assert (len(COLUMNS), COLUMNS[0], COLUMNS[-1]) == (42, "Id", "UniqueClick")

    def test_filters_narrow_the_rows(self, invented: Client) -> None:
        invented.sandbox.impact.click_exports_per_day = 100
        rows = invented.rows(invented.export_clicks(**DAY))
        for column, name, values in (
            ("ProgramId", "ProgramId", ["10487", "13370"]),
            ("AdId", "AdId", ["0042"]),
            ("SubId1", "SubId", ["007", "null"]),
            ("UniqueClick", "UniqueClick", ["FALSE"]),
        ):
            found = invented.rows(invented.export_clicks(**DAY, **{name: values}))
            kept = {value.lower() for value in values}
            assert found == [row for row in rows if row[column] in kept], name
            assert 0 < len(found) < len(rows), name

    def test_a_day_is_the_same_in_every_sandbox(self, invented: Client, clock: Clock) -> None:
        rows = invented.rows(invented.export_clicks(**DAY))
        assert [tuple(row.values()) for row in rows] == rows_of(date(2026, 8, 9), clock.now)

    def test_totals_agree_once_the_day_no_longer_changes(
        self, invented: Client, clock: Clock
    ) -> None:
        clock.forward(days=3)
        window = {"START_DATE": DAY["Date"], "END_DATE": DAY["Date"]}
        (total,) = invented.table("partner_performance_by_day", **window)
        programs = invented.table("partner_performance_by_program", **window)
        rows = invented.rows(invented.export_clicks(**DAY))
        ids = {row["Id"]: row["ProgramId"] for row in rows}
        assert len(ids) == int(total["Clicks"])
        assert Counter(ids.values()) == {
            row["Program_Id"]: int(row["Clicks"]) for row in programs if row["Clicks"] != "0"
        }

    def test_days_differ_much_in_size(self) -> None:
        year = days(date(2026, 1, 1), date(2026, 12, 31))
        sizes = {day: sum(ACCOUNT.clicks(day, brand) for brand in PROGRAMS) for day in year}
        assert (sizes[QUIET], sizes[LARGE] > 5000) == (0, True)
        assert 400 < mean(sizes.values()) < 600
        usual = median(sizes.values())
        assert usual < 400
        assert 5 <= sum(size == 0 for size in sizes.values()) <= 30
        assert 5 <= sum(size > 8 * usual for size in sizes.values()) <= 30

    def test_a_day_without_clicks_is_an_empty_file_and_still_has_its_actions(
        self, invented: Client
    ) -> None:
        job = invented.export_clicks(Date=str(QUIET))
        assert invented.rows(job) == []
        assert invented.job(job)["RecordsProcessed"] == "0"
        window = {"START_DATE": str(QUIET), "END_DATE": str(QUIET)}
        (total,) = invented.table("partner_performance_by_day", **window)
        actions = invented.table("mp_action_listing_fast", **window)
        assert (total["Clicks"], total["Actions"]) == ("0", str(len(actions)))

    def test_today_has_the_clicks_so_far_and_tomorrow_none(self, clock: Clock) -> None:
        today, tomorrow = date(2026, 8, 10), date(2026, 8, 11)
        rows = rows_of(today, clock.now)
        assert rows
        assert max(row[COLUMNS.index("EventDate")] for row in rows) < "2026-08-10T12:00:00"
        assert len(rows) < len(rows_of(today, clock.now + timedelta(days=1)))
        assert rows_of(tomorrow, clock.now) == []

    def test_a_few_clicks_come_late_a_few_vanish_and_two_days_later_none(self) -> None:
        end = datetime(2026, 7, 31, 4, tzinfo=timezone.utc)
        early, settled, later = (
            rows_of(LARGE, end + wait)
            for wait in (timedelta(hours=6), timedelta(days=2), timedelta(days=400))
        )
        assert settled == later
        first, last = {row[0] for row in early}, {row[0] for row in settled}
        assert 0.005 < len(last - first) / len(last) < 0.03, "late"
        assert 0.005 < len(first - last) / len(last) < 0.03, "vanished"

    def test_one_id_in_forty_has_a_second_row(self) -> None:
        rows = rows_of(LARGE, LONG_AFTER)
        counts = Counter(row[0] for row in rows)
        assert set(counts.values()) == {1, 2}
        assert 1 / 60 < sum(count == 2 for count in counts.values()) / len(counts) < 1 / 30
        assert len(set(rows)) == len(rows)

    def test_the_rows_hold_the_traps_of_real_ones(self) -> None:
        rows = rows_of(LARGE, LONG_AFTER)
        columns = dict(zip(COLUMNS, map(set, zip(*rows, strict=True)), strict=True))
        assert {"Safari", "CHROME"} <= columns["Browser"]
        assert "iOS" in columns["Os"]
        assert "n/a" in columns["CustomerArea"]
        assert {"", "null", "007"} <= columns["SubId1"]
        assert columns["UniqueClick"] == {"true", "false"}
        assert all(re.fullmatch(r"[0-9a-f]{64}", value) for value in columns["IpAddress"])
        for value in columns["CpcBid"] | columns["Payout"]:
            assert re.fullmatch(r"(\d+\.\d{18})?", value)
        for value in columns["EventDate"]:
            assert re.fullmatch(r"2026-07-30T\d\d:\d\d:\d\d-04:00", value)
        texts = [value for values in columns.values() for value in values]
        assert all(any(mark in text for text in texts) for mark in (",", '"', "\n"))
        assert any("?" in value and "=" in value for value in columns["ReferringUrl"])
