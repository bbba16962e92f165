"""One window: its order, when a file is new enough, and the ledger around its rows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from report_case import COLUMNS, NOW, dates, planned, result, rules

from tap_affiliate_reports.errors import DamagedFile, FileError, KeyViolation
from tap_affiliate_reports.exports.export import Step
from tap_affiliate_reports.exports.job import ExportJob, JobState
from tap_affiliate_reports.formats import Summary
from tap_affiliate_reports.state.former import FormerWindow
from tap_affiliate_reports.streams.file_check import FileCheck
from tap_affiliate_reports.streams.rules import ReportRules
from tap_affiliate_reports.streams.window_load import WindowLoad
from tap_affiliate_reports.windows import Reload

OCTOBER = dates("2026-10-01", "2026-10-31")


def load(own: ReportRules, raw: dict[str, Any], **options: Any) -> WindowLoad:
    """Return the load of the first window of a plan."""
    plan = planned(own, raw, options.pop("days", OCTOBER), **options)
    check = FileCheck(own, lambda: COLUMNS, singer_decimal=False)
    return WindowLoad(own, plan.windows[0], check)


def loaded(rows: int, own: ReportRules | None = None) -> dict[str, Any]:
    """Return a STATE in which October was loaded on its last day, and is due again."""
    raw: dict[str, Any] = {}
    first = load(own or rules(), raw)
    file = result(rows, datetime(2026, 10, 31, 12, tzinfo=timezone.utc))
    first.begin(file)
    first.finish(file, "c")
    return raw


def test_a_new_window_is_ordered_without_a_previous_job() -> None:
    order = load(rules(), {}).export.order
    assert (order.request.start, order.request.end) == (date(2026, 10, 1), date(2026, 10, 31))
    assert (order.previous_job, order.has_rows, order.is_refresh) == ("", False, False)
    assert order.needs_export


def test_a_refresh_knows_its_job_if_the_network_keeps_jobs() -> None:
    assert load(rules(), loaded(3)).export.order.previous_job == "j1"
    own = rules(keeps_jobs=False)
    assert load(own, loaded(3, own)).export.order.previous_job == ""


def test_a_window_that_grew_needs_another_job() -> None:
    raw = loaded(3)
    raw["windows"][0]["end"] = "2026-10-20"
    order = load(rules(), raw).export.order
    assert (order.previous_job, order.has_rows) == ("", True)


def test_an_older_file_never_replaces_a_newer_one() -> None:
    raw = loaded(3)
    raw["windows"][0]["refreshed_at"] = "2026-11-02T00:00:00Z"
    raw["windows"][0]["unfinished"] = True
    window = load(rules(), raw)
    assert not window.is_fresh(datetime(2026, 11, 1, 23, tzinfo=timezone.utc), NOW)
    assert window.is_fresh(NOW - timedelta(hours=1), NOW)


def test_the_ledger_says_that_a_load_has_begun_and_then_that_it_is_finished() -> None:
    raw = loaded(5)
    window = load(rules(), raw)
    window.begin(result(2))
    (entry,) = raw["windows"]
    assert (entry["rows"], entry["unfinished"]) == (5, True)
    window.finish(result(2), "c")
    (entry,) = raw["windows"]
    assert (entry["rows"], entry["unfinished"], entry["job"]) == (2, False, "j1")
    assert raw["replication_key_value"] == "2026-10-31"


@pytest.mark.parametrize(
    ("before", "now", "numbers"), [(5, 2, [3, 4, 5]), (2, 5, []), (3, 3, []), (2, 0, [1, 2])]
)
def test_rows_beyond_the_file_have_vanished(before: int, now: int, numbers: list[int]) -> None:
    window = load(rules(), loaded(before))
    assert list(window.vanished_numbers(result(now))) == numbers


def test_rows_with_keys_of_the_users_are_not_addressed_by_number() -> None:
    own = rules(primary_keys=("Id",))
    window = load(own, loaded(5, own))
    assert (window.rows_in_warehouse, list(window.vanished_numbers(result(1)))) == (0, [])


def former(rows: int) -> list[FormerWindow]:
    day = date(2026, 10, 5)
    return [FormerWindow("A1", "all", day, day, day + timedelta(days=6), rows)]


@pytest.mark.parametrize(
    ("raw", "records", "old", "reload", "is_refused"),
    [
        (loaded(3), None, (), None, True),
        (loaded(3), 0, (), None, False),  # the service itself says that there are none
        (loaded(0), None, (), None, False),
        ({}, None, (), None, False),
        ({}, None, former(2), None, True),
        (loaded(3), None, (), Reload("d", date(2026, 10, 31), date(2026, 10, 31)), False),
        (loaded(3), None, (), Reload("d", date(2026, 11, 1), date(2026, 11, 1)), True),
        (loaded(3), None, (), Reload("all"), True),
    ],
)
def test_an_empty_file_is_refused_where_rows_are_loaded(
    raw: dict[str, Any],
    records: int | None,
    old: Sequence[FormerWindow],
    reload: Reload | None,
    is_refused: bool,
) -> None:
    window = load(rules(), raw)
    file = result(0, records=records)
    if not is_refused:
        window.refuse_loss(file, old, reload)
        return
    with pytest.raises(FileError, match="is empty where"):
        window.refuse_loss(file, old, reload)


def test_the_job_of_a_window_that_is_not_loaded_is_noted_once_it_has_one() -> None:
    raw: dict[str, Any] = {}
    window = load(rules(), raw)
    window.note_job()
    assert raw["windows"] == []
    window.export.job = ExportJob("j9", JobState.RUNNING)
    window.note_job()
    (entry,) = raw["windows"]
    assert (entry["job"], entry["unfinished"], entry["refreshed_at"]) == ("j9", True, None)


def test_a_job_is_not_noted_once_the_window_is_done_or_if_it_is_a_refresh() -> None:
    raw: dict[str, Any] = {}
    window = load(rules(), raw)
    window.export.job, window.export.step = ExportJob("j9", JobState.READY), Step.DONE
    window.note_job()
    assert raw["windows"] == []
    raw = loaded(3)
    window = load(rules(), raw)
    window.export.job = ExportJob("j9", JobState.RUNNING)
    window.note_job()
    assert raw["windows"][0]["job"] == "j1"


def test_the_constants_of_a_snapshot_end_on_the_day_of_its_file() -> None:
    window = load(rules(window="none", zone="Asia/Tokyo"), {})
    constants = window.constants(result(1, datetime(2026, 11, 18, 20, tzinfo=timezone.utc)))
    assert (constants["_window_start"], constants["_window_end"]) == ("1970-01-01", "2026-11-19")
    assert (constants["_account"], constants["_program_id"]) == ("A1", "all")


def test_a_file_that_is_identical_to_the_one_loaded_is_known_by_its_content() -> None:
    raw = loaded(3)
    del raw["windows"][0]["content"]
    assert not load(rules(), raw).is_loaded("c"), "a state of before has no contents"
    first = load(rules(), raw)
    first.begin(result(3))
    assert not load(rules(), raw).is_loaded("c")
    first.finish(result(3, NOW - timedelta(days=3)), "c")
    window = load(rules(), raw)
    assert (window.is_loaded("c"), window.is_loaded("d")) == (True, False)
    window.note_unchanged(result(3, NOW - timedelta(days=1)), "c")
    (entry,) = raw["windows"]
    assert (entry["refreshed_at"], entry["loaded_at"]) == (
        "2026-11-18T15:00:00Z",
        "2026-11-16T15:00:00Z",
    )
    for changed in ({"unfinished": True}, {"reload_after": "2026-11-19T15:00:00Z"}):
        assert not load(rules(), {**raw, "windows": [{**entry, **changed}]}).is_loaded("c")
    row = window.audit_row(result(3), seconds=1.0, unchanged=True)
    assert (row["unchanged"], row["rows_in_file"], row["rows_emitted"]) == (True, 3, 0)


def test_the_audit_counts_what_was_written() -> None:
    window = load(rules(programs=("7",)), {})
    row = window.audit_row(result(4), vanished=2, unparsed=1, seconds=1.23456)
    assert (row["program"], row["rows_in_file"], row["rows_emitted"]) == ("7", 4, 6)
    assert (row["previous_rows"], row["vanished"], row["seconds"]) == (0, 2, 1.235)


def check(own: ReportRules, path: Path, text: str) -> None:
    path.write_text(text)
    header = text.split("\n", maxsplit=1)[0].split(",")
    summary = Summary(header, text.count("\n") - 1, len(text), "digest", terminated=True)
    load(own, {}).check(path, summary)


def test_a_file_of_another_report_is_damaged(tmp_path: Path) -> None:
    with pytest.raises(DamagedFile, match="no column of the file"):
        check(rules(), tmp_path / "file", "Other,Names\n1,2\n")
    with pytest.raises(DamagedFile, match="only 1 columns"):
        check(rules(least_columns=2), tmp_path / "file", "Id,Names\n1,2\n")
    check(rules(least_columns=2), tmp_path / "file", "Id,Amount\n1,2\n")


@pytest.mark.parametrize(
    ("rows", "problem"), [("1,5\n1,6\n", "not unique in row 2: Id=1"), (",5\n", "null in row 1")]
)
def test_keys_of_the_users_are_neither_null_nor_repeated(
    tmp_path: Path, rows: str, problem: str
) -> None:
    own = rules_with_key()
    with pytest.raises(KeyViolation, match=problem):
        check(own, tmp_path / "file", f"Id,Amount\n{rows}")
    check(own, tmp_path / "file", "Id,Amount\n1,5\n2,5\n")


def rules_with_key() -> ReportRules:
    return rules(primary_keys=("Id",))
