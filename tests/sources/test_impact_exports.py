"""How impact.com's answers about exports and jobs are read, without a service."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pendulum
import pytest
from harness import NOW

from tap_affiliate_reports.errors import Rejected, UnknownJobState
from tap_affiliate_reports.exports.job import ExportJob, ExportRequest, JobState
from tap_affiliate_reports.sources.impact.exports import RUN_PAGE_ROWS, ImpactExports

OCTOBER = ExportRequest(
    "sales", date(2026, 10, 1), date(2026, 10, 31), "7", {"SUPERSTATUS_MS": ("APPROVED", "PENDING")}
)


@dataclass
class Api:
    """Answers with the documents it is given, and keeps the parameters of each request."""

    documents: list[Any] = field(default_factory=list)
    pages_of: list[list[Any]] = field(default_factory=list)
    headers: Mapping[str, str] = field(default_factory=dict)
    sent: list[tuple[str, Any]] = field(default_factory=list)
    zone = pendulum.timezone("America/New_York")

    @property
    def client(self) -> Any:
        return SimpleNamespace(json=self.json, server_now=lambda: NOW, safe_message=str)

    def path(self, *parts: str) -> str:
        return "/".join(parts)

    def json(self, path: str, params: Any = None, **_: Any) -> Any:
        self.sent.append((path, params))
        document = self.documents.pop(0)
        if isinstance(document, Exception):
            raise document
        return SimpleNamespace(document=document, headers=self.headers)

    def pages(self, path: str, _key: str, params: Any, **_: Any) -> Iterator[Sequence[Any]]:
        for page in self.pages_of:
            self.sent.append((path, params))
            yield page


def exports(*documents: Any, **options: Any) -> Any:
    return ImpactExports(Api(list(documents), **options))  # type: ignore[arg-type]


class TestSchedule:
    @pytest.mark.parametrize(
        "uri",
        [
            "/Mediapartners/IR1/Jobs/b2345",
            "/Mediapartners/IR1/Jobs/b2345/",
            "https://api.impact.com/Mediapartners/IR1/Jobs/b2345?x=1#top",
            "b2345",
        ],
    )
    def test_the_job_is_the_last_part_of_its_link(self, uri: str) -> None:
        job = exports({"Status": "QUEUED", "QueuedUri": uri}).schedule(OCTOBER, lambda: True)
        assert (job.id, job.state, job.word) == ("b2345", JobState.RUNNING, "QUEUED")

    @pytest.mark.parametrize("answer", [{}, {"QueuedUri": ""}, {"QueuedUri": "/Jobs/.."}, [], None])
    def test_an_answer_without_a_job_is_an_error(self, answer: Any) -> None:
        with pytest.raises(Rejected, match="names no job"):
            exports(answer).schedule(OCTOBER, lambda: True)

    def test_days_program_and_filters_are_sent_as_they_are(self) -> None:
        own = exports({"QueuedUri": "/Jobs/1"})
        own.schedule(OCTOBER, lambda: True)
        ((path, params),) = own.api.sent
        assert path == "ReportExport/sales"
        assert params == {
            "SUPERSTATUS_MS": ["APPROVED", "PENDING"], "START_DATE": "2026-10-01",
            "END_DATE": "2026-10-31", "SUBAID": "7", "ResultFormat": "CSV",
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("headers", "remaining"),
        [
            ({}, None),
            ({"X-RateLimit-Remaining-hour": "41"}, 41),
            ({"RateLimit-Remaining": "a few"}, None),
        ],
    )
    def test_the_headers_say_what_remains(self, headers: Any, remaining: int | None) -> None:
        own = exports({"QueuedUri": "/Jobs/1"}, headers=headers)
        assert own.schedule(OCTOBER, lambda: True).exports_left == remaining

    def test_a_refusal_says_that_the_range_may_be_too_long(self) -> None:
        with pytest.raises(Rejected, match="set a smaller window"):
            exports(Rejected("HTTP 400: range")).schedule(OCTOBER, lambda: True)

    def test_a_synchronous_request_needs_no_job(self) -> None:
        own = exports()
        job = own.schedule(ExportRequest("sales", synchronous=True), lambda: True)
        assert (job.id, job.state, own.api.sent) == ("", JobState.READY, [])


class TestPoll:
    @pytest.mark.parametrize(
        ("word", "state"),
        [
            ("QUEUED", JobState.RUNNING), ("Running", JobState.RUNNING),
            (" COMPLETED ", JobState.READY), ("FAILED", JobState.FAILED),
            ("ERROR", JobState.RETRYING), ("Cancelled", JobState.FAILED),
        ],
    )  # fmt: skip
    def test_each_word_has_a_state(self, word: str, state: JobState) -> None:
        assert exports({"Id": "1", "Status": word}).poll("1").state is state

    @pytest.mark.parametrize("document", [{"Status": "ARCHIVED"}, {}, None, []])
    def test_any_other_word_is_an_error(self, document: Any) -> None:
        with pytest.raises(UnknownJobState, match="job 1"):
            exports(document).poll("1")

    def test_dates_without_an_offset_are_in_the_zone_of_the_account(self) -> None:
        job = exports(
            {
                "Status": "COMPLETED",
                "CompletedDate": "2026-11-18T10:00:00",
                "RecordsProcessed": "27",
            }
        ).poll("1")
        assert job.finished_at == datetime(2026, 11, 18, 15, tzinfo=timezone.utc)
        assert (job.id, job.records, job.percent) == ("1", 27, None)


class TestTheList:
    def job(self, number: int, days_ago: int = 0) -> ExportJob:
        return ExportJob(str(number), JobState.RUNNING, created_at=NOW - timedelta(days=days_ago))

    def test_it_is_read_from_the_day_before_the_oldest_job(self) -> None:
        own = exports(pages_of=[[]])
        own.poll_all([self.job(1, 3), self.job(2)])
        assert own.api.sent[0][1] == {"CreatedAfter": "2026-11-15"}

    def test_no_more_pages_are_read_than_polling_each_job_costs(self) -> None:
        own = exports(pages_of=[[{"Id": str(n), "Status": "RUNNING"}] for n in range(9)])
        own.poll_all([self.job(98), self.job(99)])
        assert len(own.api.sent) == 1

    def test_it_ends_once_every_job_is_shown_and_unknown_words_are_left_to_their_poll(self) -> None:
        page = [
            "no object", {"Id": "3", "Status": "RUNNING"}, {"Id": "1", "Status": "RUNNING"},
            {"Id": "2", "Status": "ARCHIVED"},
        ]  # fmt: skip
        own = exports(pages_of=[page, [{"Id": "2", "Status": "COMPLETED"}], page])
        shown = own.poll_all([self.job(1), self.job(2), self.job(4)])
        assert {key: job.state for key, job in shown.items()} == {
            "1": JobState.RUNNING, "2": JobState.READY,
        }  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "job_id"),
    [({}, "1"), (None, "1"), ({"Id": "2"}, "2"), ({"Id": "2", "Status": "RUNNING"}, "2")],
)
def test_a_replay_without_a_state_is_polled(answer: Any, job_id: str) -> None:
    job = exports(answer).replay("1")
    assert (job.id, job.state) == (job_id, JobState.RUNNING)


@pytest.mark.parametrize("rows", [RUN_PAGE_ROWS, RUN_PAGE_ROWS + 1])
def test_a_full_last_page_of_the_synchronous_endpoint_is_an_error(rows: int, tmp_path: Any) -> None:
    request = ExportRequest("sales", synchronous=True)
    job = ExportJob("", JobState.READY)
    own = exports(pages_of=[[{"a": "1"}] * rows])
    with pytest.raises(Rejected, match="use mode: export"):
        own.download(request, job, tmp_path / "file")
    own = exports(pages_of=[[{"a": "1"}] * rows, [{"a": "1"}]])
    assert own.download(request, job, tmp_path / "file") is None
