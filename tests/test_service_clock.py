"""The service's clock: which Date headers are used, and the effects of wrong ones."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

import pytest
from harness import NOW, FakeClock, Run, Warehouse, config_for, listening, sync
from hienergy_instal import REPORT, add, check_files, check_report, config_of, put_all
from hypothesis import given
from hypothesis import strategies as st
from small_source import SmallSource, check_exact

from tap_affiliate_reports.http.backoff import requested_pause
from tap_affiliate_reports.http.service_clock import MAX_OFFSET, ServiceClock, http_date
from tap_affiliate_reports.sandbox import Response, Sandbox

START = date(2026, 11, 1)
WEEK = timedelta(days=7)
FAR = {
    "1970": "Thu, 01 Jan 1970 00:00:00 GMT",
    "2099": "Fri, 02 Jan 2099 00:00:00 GMT",
    "9999": "Fri, 31 Dec 9999 23:59:59 GMT",
    "9999, west": "Fri, 31 Dec 9999 23:59:59 -0500",
    "0001": "Mon, 01 Jan 0001 00:00:00 GMT",
    "too large": "Thu, 01 Jan 99999999999999999999 00:00:00 GMT",
    "no zone": "Thu, 01 Jan 1970 00:00:00",
    "eight days ago": format_datetime(NOW - timedelta(days=8), usegmt=True),
    "eight days on": format_datetime(NOW + timedelta(days=8), usegmt=True),
}
UNREADABLE = {"too large", "9999, west"}


def dated(*dates: str) -> Callable[[Callable[[], Response]], Response]:
    """Send these Date headers in turn; "" is the correct one."""
    turns = [0]

    def act(real: Callable[[], Response]) -> Response:
        answer = real()
        day = dates[turns[0] % len(dates)]
        turns[0] += 1
        if day:
            answer.headers["Date"] = day
        return answer

    return act


def warnings(run: Run) -> list[str]:
    return [
        r.getMessage() for r in run.log if r.levelno >= logging.WARNING and "Date" in r.getMessage()
    ]


def run_impact(sandbox: Sandbox, clock: FakeClock, state: Any = None) -> Run:
    config = config_for(sandbox, START_DATE=START.isoformat(), reports=["sales"])
    return sync(config, clock, state=state).ok()


@pytest.mark.parametrize("name", FAR)
def test_a_date_far_from_our_clock_is_ignored_with_one_warning(
    sandbox: Sandbox, clock: FakeClock, name: str
) -> None:
    source = SmallSource(sandbox, clock, ["sales"])
    sandbox.faults.add("", dated(FAR[name]), None)
    run = run_impact(sandbox, clock)
    warehouse = Warehouse()
    warehouse.load(run.messages)
    check_exact(source, warehouse, "sales", START, date(2026, 11, 18))
    assert len(warnings(run)) == (0 if name in UNREADABLE else 1)
    again = run_impact(sandbox, clock, run.state)
    assert not again.records("sales"), "nothing is loaded twice"


@pytest.mark.parametrize(
    "dates", [(FAR["1970"], ""), ("", FAR["2099"]), (FAR["2099"], FAR["1970"])]
)
def test_dates_that_alternate_lose_nothing(
    sandbox: Sandbox, clock: FakeClock, dates: tuple[str, ...]
) -> None:
    source = SmallSource(sandbox, clock, ["sales"])
    sandbox.faults.add("", dated(*dates), None)
    run = run_impact(sandbox, clock)
    warehouse = Warehouse()
    warehouse.load(run.messages)
    check_exact(source, warehouse, "sales", START, date(2026, 11, 18))
    assert len(warnings(run)) == 1


@pytest.mark.parametrize("name", ["1970", "2099"])
def test_each_source_ignores_a_wrong_date_by_itself(
    sandbox: Sandbox, clock: FakeClock, name: str
) -> None:
    sandbox.hienergy.clear()
    add(sandbox, "advertisers_csv", "one", completed_at=clock.now() - timedelta(days=2))
    put_all(sandbox, START, 18)
    sandbox.faults.add("/api/v1/", dated(FAR[name]), None)
    run = sync(config_of(sandbox, START, hienergy={}, instal={}), clock).ok()
    warehouse = Warehouse()
    warehouse.load(run.messages)
    check_files(sandbox, warehouse, START)
    check_report(sandbox, warehouse, START, date(2026, 11, 18))
    assert run.records(REPORT)
    assert len(warnings(run)) == 2


def test_a_wrong_date_of_the_storage_host_is_not_even_a_warning(
    sandbox: Sandbox, clock: FakeClock
) -> None:
    SmallSource(sandbox, clock, ["sales"])
    sandbox.faults.add("GET /storage/", dated(FAR["1970"]), None)
    run = run_impact(sandbox, clock)
    assert run.records("sales")
    assert not warnings(run)


moments = st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31)).map(
    lambda moment: moment.replace(microsecond=0, tzinfo=timezone.utc)
)


@given(st.lists(moments | st.timedeltas(-2 * WEEK, 2 * WEEK).map(lambda t: NOW + t), max_size=8))
def test_the_clock_is_that_of_the_last_date_that_can_be_right(dates: list[datetime]) -> None:
    dates = [moment.replace(microsecond=0) for moment in dates]
    service = ServiceClock(FakeClock(), "api.example.com")
    with listening() as log:
        for moment in dates:
            service.note(format_datetime(moment, usegmt=True))
    near = [moment for moment in dates if abs(moment - NOW) <= WEEK]
    assert service.now() == (near[-1] if near else NOW)
    assert len(log) == (len(near) < len(dates))


@given(st.text(max_size=60) | st.from_regex(r"\w{3}, \d{1,9} Jan \d{1,30} \d\d:\d\d:\d\d [-+]\d+"))
def test_any_header_is_a_date_in_utc_or_none(text: str) -> None:
    moment = http_date(text)
    assert moment is None or moment.tzinfo is timezone.utc
    service = ServiceClock(FakeClock(), "api.example.com")
    service.note(text)
    assert abs(service.now() - NOW) <= MAX_OFFSET
    pause = requested_pause({"Retry-After": text, "Date": text}, NOW)
    assert pause is None or not pause < 0


def test_a_date_without_a_zone_is_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    assert http_date("Thu, 19 Nov 2026 15:00:00") == NOW
    assert http_date("Thu, 19 Nov 2026 15:00:00 -0000") == NOW
    # Two headers are joined with a comma.
    assert http_date("Thu, 19 Nov 2026 15:00:00 GMT, Thu, 01 Jan 1970 00:00:00 GMT") == NOW
    assert requested_pause({"Retry-After": "Thu, 19 Nov 2026 15:00:40"}, NOW) == 40


@pytest.mark.parametrize("there", [NOW, datetime(2099, 1, 2, tzinfo=timezone.utc)])
@pytest.mark.parametrize("header", ["Retry-After", "RateLimit-Reset"])
def test_a_wait_until_a_moment_is_counted_by_the_clock_that_named_it(
    there: datetime, header: str
) -> None:
    until = there + timedelta(seconds=40)
    named = str(until.timestamp()) if "Reset" in header else format_datetime(until, usegmt=True)
    headers = {header: named, "Date": format_datetime(there, usegmt=True)}
    assert requested_pause(headers, NOW) == 40
    # A proxy wrote the Date header, and the service the moment.
    wrong = {**headers, "Date": FAR["1970"]}
    assert there != NOW or requested_pause(wrong, NOW) == 40
