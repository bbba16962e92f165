"""A fake of Instal.com's report export; every attribute may be changed while it runs."""

from __future__ import annotations

import csv
import io
import json
import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from tap_affiliate_reports.sandbox.data import NO_ESCAPE
from tap_affiliate_reports.sandbox.instal.rows import COLUMNS, INTERVALS, Advertiser, Row
from tap_affiliate_reports.sandbox.instal.task import PENDING, SUCCESS, Query, Task
from tap_affiliate_reports.sandbox.message import Clock, LoggedRequest, Response, as_json
from tap_affiliate_reports.sandbox.service import Service, Setup
from tap_affiliate_reports.sandbox.storage import Storage

BASE = "/advertiser/api/v1/reports/exports/"
SORTINGS = {"time", "campaign", "aff_sub_id", "cr", "campaign_id"}


class _Refused(Exception):
    """Raised for a request with wrong parameters."""


class InstalSandbox(Service):
    """The export tasks of one advertiser, behind a token.

    With `links_on_api` download links are of the API's own origin, which needs the token. `running`
    is the state of an unfinished task. `columns` are those of the file, `header` overrides their
    names, `csv_header` False omits the header even if it is requested, and `raw` overrides the
    complete file.
    """

    path = BASE
    CREDENTIALS = ("auth_token",)
    STEPS = {  # noqa: RUF012 # declared as a ClassVar by Service
        "post": f"^POST {BASE}$",
        "poll": f"^GET {BASE}[^/?]+$",
        "file": f"^GET {BASE}[^/?]+/file$",
    }

    def __init__(
        self,
        now: Clock,
        storage: Storage,
        *,
        auth_token: str = "sandbox-token",  # noqa: S107 - the invented account's, no secret
        job_seconds: float | Callable[[Task], float] = 0.2,
        rows_per_day: int,
    ) -> None:
        self.now = now
        self.storage = storage
        self.auth_token = auth_token
        self.job_seconds = job_seconds
        self.advertiser = Advertiser(rows_per_day)

        self.links_on_api = False
        self.link_seconds: float = 60
        self.error_as_200 = False
        self.running = PENDING
        self.columns: Sequence[str] = COLUMNS
        self.header: Sequence[str] | None = None
        self.csv_header = True
        self.raw: Callable[[Task], bytes] | None = None

        self.tasks: dict[str, Task] = {}
        self.polls = 0
        self._lock = threading.Lock()
        self._set: dict[date, list[Row]] = {}
        self._outcomes: deque[tuple[str, str | None]] = deque()

    @classmethod
    def create(cls, setup: Setup) -> InstalSandbox:
        """Create the advertiser with its invented rows."""
        return cls(
            setup.now,
            setup.storage,
            job_seconds=setup.seconds,
            rows_per_day=setup.rows_per_day,
        )

    def set_rows(self, day: date, rows: Iterable[Mapping[str, str]] | None) -> None:
        """Set the rows of a day, for every interval; None restores the invented ones.

        A column that a row does not name is empty, its time is the day's midnight.
        """
        if rows is None:
            self._set.pop(day, None)
        else:
            empty = dict.fromkeys(COLUMNS, "") | {"time": f"{day} 00:00"}
            self._set[day] = [{**empty, **row} for row in rows]

    def rows(
        self, start: date, end: date, interval: str = "daily", moment: datetime | None = None
    ) -> list[Row]:
        """Return the rows of these days (inclusive) as of a time, by default now, in no order."""
        seen = moment or self.now()
        fixed = [day for day in sorted(self._set) if start <= day <= end]
        found = [row for day in fixed for row in self._set[day]]
        return found + self.advertiser.rows(start, end, interval, seen, self._set)

    def end_next(self, state: str, result: str | None = None, times: int = 1) -> None:
        """End the next tasks in this state, with this result."""
        self._outcomes.extend([(state, result)] * times)

    def __call__(self, request: LoggedRequest) -> Response | None:
        """Answer, or return None for a path of another service."""
        if not request.path.startswith(BASE):
            return None
        match request.method, request.path.removeprefix(BASE).split("/"):
            case "POST", [""]:
                answer = self._post
            case "GET", [task_id] if task_id:
                answer = self._poll
            case "GET", [task_id, "file"] if task_id:
                answer = self._file
            case _:
                return None
        if request.headers.get("Authorization") != f"Token {self.auth_token}":
            return as_json({"detail": "The token is missing or wrong."}, 401)
        return answer(request)

    def _post(self, request: LoggedRequest) -> Response:
        try:
            query = _query(request.body)
        except _Refused as refusal:
            document = {"result": "ERROR", "task_id": None, "detail": str(refusal)}
            return as_json(document, 200 if self.error_as_200 else 400)
        task = Task(str(uuid.uuid4()), query, self.now(), self._bytes)
        seconds = self.job_seconds
        task.seconds = seconds(task) if callable(seconds) else seconds
        with self._lock:
            if self._outcomes:
                task.ends, task.result = self._outcomes.popleft()
            self.tasks[task.id] = task
        return as_json({"result": "QUEUED", "task_id": task.id})

    def _poll(self, request: LoggedRequest) -> Response:
        with self._lock:
            self.polls += 1
        task = self.tasks.get(request.segments[-1])
        now = self.now()
        if task is None:
            return as_json({"state": PENDING, "result": None})
        if now < task.completed:
            return as_json({"state": self.running, "result": None})
        result = task.result
        if task.ends == SUCCESS and result is None:
            result = self._link(task)
        return as_json({"state": task.ends, "result": result})

    def _link(self, task: Task) -> str:
        if self.links_on_api:
            return f"{self.url}{BASE}{task.id}/file"
        return self.storage.sign(_name(task), task.file, self.link_seconds)

    def _file(self, request: LoggedRequest) -> Response:
        task = self.tasks.get(request.segments[-2])
        if task is None or task.state(self.now()) != SUCCESS:
            return as_json({"detail": "Not found."}, 404)
        disposition = {"Content-Disposition": f'attachment; filename="{_name(task)}"'}
        return Response(200, task.file(), "text/csv", disposition)

    def _bytes(self, task: Task) -> bytes:
        if self.raw:
            return self.raw(task)
        query = task.query
        rows = self.rows(query.start, query.stop, query.interval, task.completed)
        buffer = io.StringIO(newline="")
        writer = csv.writer(buffer, lineterminator="\n", escapechar=NO_ESCAPE)
        if query.csv_headers and self.csv_header:
            writer.writerow(self.header or self.columns)
        for row in sorted(rows, key=lambda row: row[query.sorting]):
            writer.writerow([row.get(column, "") for column in self.columns])
        return buffer.getvalue().encode()


def _name(task: Task) -> str:
    return f"report_{task.query.start}_{task.query.stop}.csv"


def _query(body: bytes) -> Query:
    try:
        requested: Any = json.loads(body)
        start, stop = (date.fromisoformat(requested[name]) for name in ("start_date", "stop_date"))
    except (ValueError, KeyError, TypeError):
        raise _Refused("start_date and stop_date are days in the format YYYY-MM-DD") from None
    query = Query(
        start,
        stop,
        str(requested.get("sorting", "campaign_id")),
        str(requested.get("interval", "daily")),
        requested.get("csv_headers", True),
    )
    if start > stop:
        raise _Refused("stop_date is before start_date")
    if query.sorting not in SORTINGS or query.interval not in INTERVALS:
        raise _Refused("There is no such sorting or interval")
    if not isinstance(query.csv_headers, bool) or requested.get("format", "csv") != "csv":
        raise _Refused("csv_headers is true or false and format is csv")
    return query
