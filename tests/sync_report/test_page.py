"""The page, from facts alone: its numbers, what it escapes, and that it requests nothing."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from harness import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from reporting import FILES, IMPACT, LISTED, Page, facts_of, job, month, named, sales

from tap_affiliate_reports.sync_report.facts import (
    NetworkFacts,
    Outcome,
    Problem,
    ProgramFacts,
    SyncFacts,
    WindowFacts,
    WindowState,
)
from tap_affiliate_reports.sync_report.page import page

FULL: dict[str, Any] = {
    "jobs": [job(), job(result="failed")],
    "networks": [IMPACT],
    "outcome": Outcome.FAILED,
    "problems": [Problem("sales", "sales 2026-03: the job failed. Set a smaller window")],
    "warnings": ["sales: new columns: Extra"],
}


def shown(facts: SyncFacts) -> Page:
    return Page(page(facts).decode())


class TestNumbers:
    def test_the_totals(self) -> None:
        text = shown(facts_of(sales(vanished=4, unparsed=1), LISTED, **FULL)).text
        assert "1 stream failed, the others are done" in text
        assert "Rows loaded 600 11 rows of lists · 4 marked as deleted · 1 value unparsed" in text
        assert "Windows loaded 1 1 missing · 1 failed" in text
        assert "Exports spent 2 impact: 2 of at most 90 · 88 left today" in text
        assert "Streams done 1 of 2 1 warning" in text
        assert "15:00:00 to 15:01:35 UTC · 1 min 35 s" in text

    def test_each_window_has_its_mark(self) -> None:
        found = shown(facts_of(sales(), **FULL))
        for names in (("complete", "settled"), ("complete",), ("open",), ("missing",), ("failed",)):
            assert found.marks(*names) == 1, names
        assert "5 windows: 2 complete, 1 open, 1 missing, 1 failed · 1 loaded in this sync" in (
            found.text
        )
        assert "windows of sales: 1 failed, 1 missing, 1 open, 2 complete" in found.titles
        missing = "2026-04-01 to 2026-04-30: missing, 0 rows, no exports left"
        assert missing in found.titles

    def test_the_chart_says_its_numbers_in_words(self) -> None:
        (title,) = [one for one in shown(facts_of(sales())).titles if "rows per day" in one]
        assert title == (
            "sales: rows per day from 2026-01-01 to 2026-05-30, at most 20 rows; of all 931 rows, "
            "600 rows were loaded in this sync"
        )

    def test_each_job_has_its_phases(self) -> None:
        found = shown(facts_of(sales(), **FULL))
        title = (
            "sales 2026-01-01..2026-01-30, job j1, loaded: queued 2 s, running 57 s, download 1 s, "
            "on disk 9 s, emitted 0.5 s"
        )
        assert title in found.titles
        assert found.marks("running") == found.marks("emitted") == 2

    def test_files_and_lists(self) -> None:
        text = shown(facts_of(FILES, LISTED)).text
        assert "export 9 : failed export 8 : not loaded, already running export 7 : 3 rows" in text
        assert "1 file loaded · 1 not loaded · 1 failed · 2 waiting at the service" in text
        assert "reports 11 rows" in text

    def test_networks_without_a_limit(self) -> None:
        networks = [NetworkFacts("hienergy", 3), NetworkFacts("instal")]
        text = shown(facts_of(sales(), networks=networks)).text
        assert "Exports spent 3 hienergy: 3, no limit instal: 0, no limit" in text


class TestMuch:
    def test_many_windows_are_few_marks(self) -> None:
        days = [date(2020, 1, 1) + timedelta(days=number) for number in range(2000)]
        windows = [WindowFacts((day, day), 5, WindowState.COMPLETE) for day in days]
        windows[7] = replace(windows[7], state=WindowState.FAILED)
        content = page(facts_of(sales(programs=[ProgramFacts("", windows)])))
        found = Page(content.decode())
        assert (found.marks("complete"), found.marks("failed")) == (2, 1)
        assert "2020-01-09 to 2025-06-22: complete, 9,960 rows, 1992 windows" in found.titles
        assert "One bar is 5 days" in found.text
        assert len(content) < 30_000

    def test_many_programs_are_one_strip_of_the_worst(self) -> None:
        programs = [ProgramFacts(str(number), [month(0, WindowState.OPEN)]) for number in range(9)]
        programs[5] = ProgramFacts("5", [month(0, WindowState.FAILED)])
        found = shown(facts_of(sales(programs=programs)))
        assert (found.marks("failed"), found.marks("open")) == (1, 0)
        assert "worst of 9" in found.text
        assert "2026-01-01 to 2026-01-30: failed, 2,700 rows" in found.titles
        assert "9 windows: 8 open, 1 failed" in found.text

    def test_of_many_jobs_those_that_failed_are_shown(self) -> None:
        jobs = [job(job_id=f"j{number}") for number in range(200)] + [job(result="failed")]
        found = shown(facts_of(sales(), jobs=jobs))
        assert found.marks("running") == 60
        assert "141 more exports, which took less time, are not shown" in found.text
        assert "failed" in found.text

    def test_one_error_of_many_streams_is_shown_once(self) -> None:
        problems = [Problem(name, f"{name}: refused. Check them") for name in ("sales", "orders")]
        text = shown(facts_of(sales(), outcome=Outcome.FAILED, problems=problems)).text
        assert text.count("refused. Check them") == 1
        assert "sales, orders" in text

    def test_many_warnings_are_folded(self) -> None:
        found = shown(facts_of(sales(), warnings=[f"warning {number}" for number in range(30)]))
        assert "22 more" in found.text
        assert found.tags.count("details") == 1


@pytest.mark.parametrize(
    ("facts", "headline"),
    [
        (facts_of(), "Nothing was to be loaded"),
        (facts_of(sales(left=0)), "Everything that is due is loaded"),
        (facts_of(sales()), "The sync finished, but some windows could not be refreshed"),
        (
            facts_of(sales(left=9, later=9)),
            "Everything that is due is loaded, older days of sales follow",
        ),
        (
            facts_of(sales(), outcome=Outcome.INCOMPLETE),
            "The export quota stopped this sync early",
        ),
        (facts_of(sales(), outcome=Outcome.STOPPED), "The sync was stopped"),
        (
            facts_of(outcome=Outcome.FAILED, problems=[Problem("", "refused")]),
            "The sync could not begin",
        ),
        (
            facts_of(sales(), outcome=Outcome.FAILED, problems=[Problem("", "refused")]),
            "The sync failed",
        ),
        (facts_of(sales(), **FULL), "1 stream failed"),
        (
            facts_of(
                sales(has_failed=True),
                sales("orders", has_failed=True),
                LISTED,
                networks=[IMPACT],
                outcome=Outcome.FAILED,
                problems=[Problem("impact", "impact: refused")],
            ),
            "2 streams failed, the others are done",
        ),
        (
            facts_of(
                sales(left=0),
                networks=[IMPACT, NetworkFacts("instal")],
                outcome=Outcome.FAILED,
                problems=[Problem("instal", "instal: refused")],
            ),
            "1 stream failed, the others are done",
        ),
    ],
)
def test_the_headline_says_how_it_ended(facts: SyncFacts, headline: str) -> None:
    found = shown(facts)
    assert headline in found.text
    assert f"Sync report: {facts.outcome.value}" in found.titles[0]


# What a service may name its reports, or write into its errors
TEXT = st.text(st.characters(exclude_categories=()), min_size=1, max_size=30)
HOSTILE = "<script>alert(1)</script>&\"' onload=x </title></style>]]> \udcff \0 \u202e"


def skeleton(facts: SyncFacts) -> list[tuple[str, list[str]]]:
    """Return the elements of a page and the names of their attributes, but for breaks of words."""
    found = shown(facts)
    return [(tag, sorted(names)) for tag, names in found.elements if tag != "wbr"]


@given(TEXT)
@settings(max_examples=examples(100))
def test_no_text_of_a_service_becomes_an_element(text: str) -> None:
    assert skeleton(named(text)) == skeleton(named("sales"))


def test_a_hostile_text_is_shown_as_it_is() -> None:
    assert skeleton(named(HOSTILE)) == skeleton(named("sales"))
    assert "<script>alert(1)</script>" in shown(named(HOSTILE)).text
    assert b"<script" not in page(named(HOSTILE))


def test_nothing_is_requested_from_anywhere() -> None:
    content = page(facts_of(sales(), FILES, LISTED, **FULL)).decode()
    found = Page(content)
    assert {"script", "img", "iframe", "object", "a", "image", "use"} & set(found.tags) == set()
    links = [
        value
        for _, attributes in found.elements
        for name, value in attributes.items()
        if name in {"href", "src", "srcset", "action"}
    ]
    assert links == ["data:,"]
    assert not re.search(r"https?:|//|url\(|@import", content)


def test_each_chart_has_a_title() -> None:
    content = page(facts_of(sales(), FILES, **FULL)).decode()
    charts = re.findall(r"<svg[^>]*>(<title>[^<]+</title>)?", content)
    assert len(charts) > 3
    assert all(charts)
