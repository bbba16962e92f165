"""The parameters of requests, or a refusal that names the wrong one."""

from __future__ import annotations

from contextlib import suppress
from datetime import date, datetime
from zoneinfo import ZoneInfo

from tap_affiliate_reports.sandbox.impact.report import Query
from tap_affiliate_reports.sandbox.impact.wire import Refused
from tap_affiliate_reports.sandbox.message import LoggedRequest

QUERY_WORDS = {"START_DATE", "END_DATE", "SUBAID", "ResultFormat", "RQueryIDx", "Page", "PageSize"}


def report_query(request: LoggedRequest) -> Query:
    """Return the parameters of a run or an export; any other parameter is a filter."""
    start, end = _day(request, "START_DATE"), _day(request, "END_DATE")
    if start and end and start > end:
        raise Refused(400, "END_DATE is before START_DATE", "END_DATE", bad_input=True)
    filters = {key: value for key, value in request.query.items() if key not in QUERY_WORDS}
    return Query(start, end, request.first("SUBAID") or None, filters, _file_format(request))


def click_query(request: LoggedRequest, today: date) -> Query:
    """Return the parameters of a ClickExport; unknown ones are ignored."""
    day = _day(request, "Date") or today
    filters = {}
    for name in ("ProgramId", "AdId", "SubId"):
        if values := [value for value in request.query.get(name, []) if value]:
            filters[name] = values
    if unique := request.first("UniqueClick").upper():
        if unique not in {"TRUE", "FALSE"}:
            message = "UniqueClick must be TRUE or FALSE"
            raise Refused(400, message, "UniqueClick", bad_input=True)
        filters["UniqueClick"] = [unique]
    return Query(day, day, None, filters, _file_format(request))


def moment(request: LoggedRequest, name: str, zone: ZoneInfo) -> datetime | None:
    """Return a date or date-time, in `zone` if it has no offset; None without one."""
    text = request.first(name)
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise Refused(400, f"{name} must be yyyy-MM-dd", name, bad_input=True) from None
    return found if found.tzinfo else found.replace(tzinfo=zone)


def _day(request: LoggedRequest, name: str) -> date | None:
    text = request.first(name)
    if not text:
        return None
    with suppress(ValueError):
        day = date.fromisoformat(text)
        # Python 3.11 and later also accept the other forms of ISO 8601.
        if day.isoformat() == text:
            return day
    raise Refused(400, f"{name} must be yyyy-MM-dd", name, bad_input=True)


def _file_format(request: LoggedRequest) -> str:
    file_format = (request.first("ResultFormat") or "CSV").upper()
    if file_format not in {"CSV", "JSON", "XML"}:
        raise Refused(400, "No such format", "ResultFormat", bad_input=True)
    return file_format
