"""`mode: run` asks the synchronous endpoint: all pages, exact values, never a page cut short."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from harness import FakeClock, config_for, sync

from tap_affiliate_reports.errors import TapError
from tap_affiliate_reports.sandbox import Attribute, Report, Sandbox, body, status

RUN = "GET .*/Reports/sales$"


@pytest.fixture
def report(sandbox: Sandbox) -> Report:
    return sandbox.impact.add(
        Report(
            "sales",
            "Sales",
            columns=[Attribute("Id"), Attribute("N", "Integer"), Attribute("Amount", "Decimal")],
            rows=lambda start, *_: [[f"{start:%m}-{n}", str(n), "1.50"] for n in range(7)],
        )
    )


@pytest.fixture
def config(sandbox: Sandbox, report: Report) -> dict[str, Any]:
    return config_for(sandbox, reports=["sales"], report_options={"sales": {"mode": "run"}})


def of_one_window(config: dict[str, Any]) -> dict[str, Any]:
    return {**config, "end_date": "2026-09-30"}


def answering(sandbox: Sandbox, records: str, **envelope: str) -> None:
    """Make the endpoint answer with these records, as JSON text."""
    text = json.dumps({"@page": "1", "@nextpageuri": "", **envelope})[:-1]
    sandbox.faults.add(RUN, body(f'{text}, "Records": {records}}}'.encode(), "application/json"),
                       times=None)  # fmt: skip


def test_all_pages_are_followed_and_no_export_is_spent(
    sandbox: Sandbox, config: dict[str, Any], clock: FakeClock
) -> None:
    sandbox.impact.run_page_size = 2
    run = sync(config, clock).ok()
    expected = [f"{month}-{n}" for month in ("09", "10", "11") for n in range(7)]
    assert [row["Id"] for row in run.records("sales")] == expected
    assert (sandbox.impact.exports, sandbox.impact.jobs) == ([], {})
    assert run.bookmark("sales") == "2026-11-18"
    assert not [e for e in run.windows("sales").values() if e["job"]]


@pytest.mark.kill
def test_a_window_of_more_than_20_000_rows_is_whole(
    sandbox: Sandbox, report: Report, config: dict[str, Any], clock: FakeClock
) -> None:
    report.rows = lambda *_: [[str(n), str(n), "0.1"] for n in range(20_001)]
    run = sync(of_one_window(config), clock).ok()
    assert [row["N"] for row in run.records("sales")] == list(range(20_001))


def test_a_page_cut_at_20_000_with_no_next_page_is_an_error_that_names_the_other_mode(
    sandbox: Sandbox, report: Report, config: dict[str, Any], clock: FakeClock
) -> None:
    report.rows = lambda *_: [[str(n), "", ""] for n in range(20_500)]
    sandbox.impact.run_offers_next_page = False
    run = sync(of_one_window(config), clock)
    assert isinstance(run.error, TapError)
    assert "mode: export" in str(run.error)
    assert run.records("sales") == []
    assert run.bookmark("sales") is None


def test_the_error_of_a_cut_page_names_the_window(
    sandbox: Sandbox, report: Report, config: dict[str, Any], clock: FakeClock
) -> None:
    report.rows = lambda *_: [[str(n), "", ""] for n in range(20_000)]
    sandbox.impact.run_offers_next_page = False
    run = sync(of_one_window(config), clock)
    assert "2026-09-10..2026-09-30" in str(run.error)


def test_numbers_and_nulls_in_json_are_exact(
    sandbox: Sandbox, config: dict[str, Any], clock: FakeClock
) -> None:
    answering(
        sandbox,
        '[{"Id": null, "N": 9223372036854775807, "Amount": 0.123456789012345678},'
        ' {"Id": "007", "N": "5.000", "Amount": "0.000000000000000001"},'
        ' {"Id": 12345678901234567890, "N": 92233720368547758070, "Amount": 1e2},'
        ' {"Id": true, "N": "", "Amount": null}, {"Id": "only"}]',
    )
    rows = sync(of_one_window(config), clock).ok().records("sales")
    assert [(row["Id"], row["N"], row["Amount"]) for row in rows] == [
        (None, 9223372036854775807, Decimal("0.123456789012345678")),
        ("007", 5, Decimal("0.000000000000000001")),
        ("12345678901234567890", None, Decimal(100)),
        ("true", None, None),
        ("only", None, None),
    ]
    assert rows[2]["_unparsed"] == '{"N":"92233720368547758070"}'


def test_a_name_that_only_a_later_record_has_is_a_column_too(
    sandbox: Sandbox, config: dict[str, Any], clock: FakeClock
) -> None:
    answering(sandbox, '[{"Id": "1"}, {"Id": "2", "Extra": "x"}]')
    run = sync(of_one_window(config), clock).ok()
    assert [row["Extra"] for row in run.records("sales")] == [None, "x"]
    assert "Extra" in run.schema("sales")["schema"]["properties"]


def test_an_empty_answer_is_an_empty_report(
    sandbox: Sandbox, report: Report, config: dict[str, Any], clock: FakeClock
) -> None:
    report.rows = lambda *_: []
    run = sync(config, clock).ok()
    assert (run.records("sales"), run.bookmark("sales")) == ([], "2026-11-18")


def test_an_error_told_with_200_fails_the_stream_by_the_services_words(
    sandbox: Sandbox, config: dict[str, Any], clock: FakeClock
) -> None:
    told = b'{"Status": "ERROR", "Message": "The range is too wide"}'
    sandbox.faults.add(RUN, body(told, "application/json"), times=None)
    run = sync(config, clock)
    assert isinstance(run.error, TapError)
    assert "The range is too wide" in str(run.error)
    assert "2026-09-10..2026-09-30" in str(run.error)


def test_a_list_that_breaks_off_is_asked_for_again_or_fails_but_is_never_half(
    sandbox: Sandbox, config: dict[str, Any], clock: FakeClock
) -> None:
    sandbox.impact.run_page_size = 2
    sandbox.faults.add("/Reports/sales.*Page=3", status(503), times=2)
    run = sync(of_one_window(config), clock).ok()
    assert len(run.records("sales")) == 7
    sandbox.faults.add("/Reports/sales.*Page=3", status(503), times=None)
    run = sync(of_one_window(config), clock)
    assert isinstance(run.error, TapError)
    assert run.records("sales") == []


def test_rows_that_are_gone_on_the_next_night_are_retired(
    sandbox: Sandbox, report: Report, config: dict[str, Any], clock: FakeClock
) -> None:
    state = sync(of_one_window(config), clock).ok().state
    report.rows = lambda *_: [["x", "1", "1"]]
    clock.advance(days=1)
    run = sync(of_one_window(config), clock, state=state).ok()
    rows = run.records("sales")
    assert [row["_row_number"] for row in rows] == list(range(1, 8))
    assert [row["_deleted"] for row in rows] == [False] + [True] * 6


@pytest.fixture(autouse=True)
def _no_export(sandbox: Sandbox) -> Iterator[None]:
    """No test of this mode may spend an export."""
    yield
    assert sandbox.impact.exports == []
