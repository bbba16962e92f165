"""Exports that are asked for, and those that come in parts."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from harness import FakeClock, sync
from hienergy_case import (
    DEALS,
    HEADER,
    KEY,
    WARNING,
    add,
    asked,
    creating,
    deals,
    downloads,
    error_of,
    exports_of,
    having,
    params,
)

from tap_affiliate_reports.exports.steps import JOB_TIMED_OUT
from tap_affiliate_reports.sandbox import Sandbox, html_login, status
from tap_affiliate_reports.sandbox.hienergy import SandboxExport

pytestmark = pytest.mark.chain


class TestCreate:
    def test_what_is_set_is_asked_for_waited_for_and_loaded(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        create = {"search_params": {"q": "shoes", "ids": [1]}, "index_params": {"page": 2}}
        run = sync(creating(config, create), clock).ok()
        (post,) = asked(sandbox, "POST")
        assert json.loads(post.body) == {"report_type": DEALS, **create}
        assert post.headers["X-Api-Key"] == KEY
        (row,) = run.records(DEALS)
        assert (row["Deal ID"], row["_completed_at"]) == ("shoes", "2026-11-19T15:01:00Z")
        assert sum(clock.slept) >= 60
        assert run.bookmark(DEALS) == "2026-11-19T15:01:00Z"

    @pytest.mark.parametrize("days", [0, 5, 50])
    def test_the_same_export_again_is_not_loaded_again(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any], days: int
    ) -> None:
        config = creating(config, params("shoes"))
        run = sync(config, clock).ok()
        assert len(exports_of(run)) == 1
        for _ in range(3):
            clock.advance(days=days)
            add(sandbox, "other", ago=0)
            downloads(sandbox)
            run = sync(config, clock, state=run.state).ok()
            assert (downloads(sandbox), deals(run)) == (1, ["other"])
            assert run.said("already loaded", WARNING)

    @pytest.mark.parametrize("ago", [2, 40])
    def test_a_finished_export_that_is_not_loaded_is_loaded_once(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any], ago: float
    ) -> None:
        made = add(sandbox, "a", ago=ago, search_params={"q": "shoes"})
        config = creating(config, params("shoes"))
        run = sync(config, clock).ok()
        assert exports_of(run) == [made.id], "in the list, or before start_date and asked for"
        assert len(run.records(DEALS)) == 1
        for _ in range(3):
            clock.advance(days=3)
            add(sandbox, "other", ago=0)
            run = sync(config, clock, state=run.state).ok()
            assert deals(run) == ["other"]

    def test_an_export_in_flight_is_adopted(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        theirs, _ = sandbox.hienergy.request(DEALS, {"q": "q"}, {})
        run = sync(creating(config, params("q")), clock).ok()
        assert exports_of(run) == [theirs.id]
        (post,) = asked(sandbox, "POST")
        assert post.status == 409

    def test_an_answer_that_was_lost_makes_no_second_export(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        sandbox.faults.add("hienergy create", status(502, handled=True))
        run = sync(creating(config, params("q")), clock).ok()
        assert exports_of(run) == list(sandbox.hienergy.exports)

    def test_a_conflict_without_an_export_is_an_error_in_the_service_s_words(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        words = json.dumps({"error": {"code": "conflict", "message": "frozen account"}})
        sandbox.faults.add("hienergy create", status(409, body=words.encode()))
        assert "frozen account" in error_of(sync(creating(config, params("q")), clock))

    def test_two_entries_of_one_export_load_it_once(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        run = sync(creating(config, params("q"), params("q")), clock).ok()
        assert len(exports_of(run)) == 1
        assert len({r["_row_number"] for r in run.records(DEALS)}) == len(run.records(DEALS))
        assert run.said("create 2", WARNING)

    def test_one_that_fails_is_an_error_and_holds_back_neither_the_list_nor_the_others(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        sandbox.hienergy.fail_next("out of memory", report_type=DEALS)
        add(sandbox, "listed")
        create = [params("first"), params("second")]
        run = sync(creating(config, *create), clock)
        assert "out of memory" in error_of(run)
        assert "create 1" in error_of(run)
        assert len(asked(sandbox, "POST")) == 2, "it is not made again by itself"
        assert deals(run) == ["listed", "second"]

    def test_one_whose_file_is_damaged_is_not_passed_over(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        sandbox.hienergy.job_seconds = lambda export: (
            60 if export.search_params["q"] == "first" else 200_000
        )
        sandbox.faults.add("storage", html_login(), times=3)
        config = creating(config, params("first"), params("second"))
        run = sync(having(config, job_timeout_seconds=10**6, poll_interval_seconds=5000), clock)
        assert "create 1" in error_of(run)
        assert deals(run) == ["second"]
        run = sync(having(config, create=[]), clock, state=run.state).ok()
        assert deals(run) == ["first"], "finished more than a day before the other"

    def test_one_that_is_never_done_is_an_error_that_names_it(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        sandbox.hienergy.fail_next(status="processing")
        add(sandbox, "listed")
        run = sync(creating(config, params("q"), job_timeout_seconds=100), clock)
        (made,) = (e.id for e in sandbox.hienergy.exports.values() if e.ends == "processing")
        assert JOB_TIMED_OUT % (made, 100) in error_of(run)
        assert deals(run) == ["listed"]
        sandbox.hienergy.update(sandbox.hienergy.exports[made], status="completed")
        run = sync(creating(config, params("q")), clock, state=run.state).ok()
        assert exports_of(run) == [made]

    def test_a_word_that_no_table_has_is_an_error_that_names_it(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        sandbox.hienergy.fail_next(status="archived")
        assert "'archived'" in error_of(sync(creating(config, params("q")), clock))

    def test_one_that_vanishes_is_an_error_and_not_made_again(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        sandbox.faults.add("hienergy read", status(404), times=None)
        run = sync(creating(config, params("q")), clock)
        assert "no longer exists" in error_of(run)
        assert len(asked(sandbox, "POST")) == 1

    def test_the_parts_of_one_in_parts_are_not_loaded(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        sandbox.hienergy.parts = 3
        run = sync(creating(config, params("q")), clock).ok()
        (parent,) = exports_of(run)
        assert sandbox.hienergy.exports[parent].parts
        assert run.said("%)"), "its progress is told while it is waited for"
        run = sync(having(config, create=[]), clock, state=run.state).ok()
        assert run.records(DEALS) == []

    def test_a_null_in_the_settings_is_not_sent(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        sync(creating(config, {"search_params": None}), clock).ok()
        (post,) = asked(sandbox, "POST")
        assert json.loads(post.body) == {"report_type": DEALS}


class TestChunks:
    @pytest.mark.parametrize("days", [0, 3])
    def test_a_parent_whose_parts_are_loaded_is_not_loaded_too(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any], days: int
    ) -> None:
        parent = add(sandbox, header=(), rows=None, ago=2)
        for name in "ab":
            add(sandbox, name, ago=2.5, parent=parent)
        run = sync(config, clock).ok()
        assert deals(run) == ["a", "b"]
        clock.advance(days=days)
        sandbox.hienergy.update(parent, HEADER, [["a", 1], ["b", 1]], completed_at=sandbox.now())
        run = sync(config, clock, state=run.state).ok()
        assert deals(run) == []
        assert run.said("its parts are loaded", WARNING)

    def test_a_created_parent_without_a_file_leaves_its_rows_to_its_parts(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        parent = add(sandbox, header=(), rows=None, ago=1, **params("shoes"))
        add(sandbox, "a", ago=1.5, parent=parent)
        run = sync(creating(config, params("shoes")), clock).ok()
        assert deals(run) == ["a"]

    def parent(self, sandbox: Sandbox, **facts: Any) -> tuple[SandboxExport, list[SandboxExport]]:
        """A parent still in the making, two of its parts finished."""
        facts = {"status": "processing", "created_at": sandbox.now() - timedelta(days=1), **facts}
        parent = add(sandbox, "a", "b", ago=0, **facts)
        parts = [add(sandbox, name, ago=0.5, parent=parent) for name in "ab"]
        return parent, parts

    def test_parts_wait_for_their_parent_and_the_bookmark_waits_with_them(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        add(sandbox, "before", ago=2)
        self.parent(sandbox)
        add(sandbox, "after", ago=0.1)
        run = sync(config, clock).ok()
        assert deals(run) == ["before", "after"]
        assert run.bookmark(DEALS) == "2026-11-19T03:00:00Z", "that of the first part"
        downloads(sandbox)
        sync(config, clock, state=run.state).ok()
        assert downloads(sandbox) == 0

    @pytest.mark.parametrize("days", [1, 40])
    @pytest.mark.parametrize("end", ["completed", "failed", "no file", "forgotten"])
    def test_nothing_is_lost_or_loaded_twice_however_the_parent_ends(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any], end: str, days: int
    ) -> None:
        parent, parts = self.parent(sandbox)
        add(sandbox, "other", ago=0.1)
        run = sync(config, clock).ok()
        emitted, seen = deals(run), exports_of(run)
        clock.advance(days=days / 2)
        add(sandbox, "another", ago=0)
        run = sync(config, clock, state=run.state).ok()
        emitted += deals(run)
        clock.advance(days=days / 2)
        if end == "forgotten":
            del sandbox.hienergy.exports[parent.id]
        else:
            status_word = "failed" if end == "failed" else "completed"
            sandbox.hienergy.update(parent, status=status_word)
        if end == "no file":
            parent.make = None
        for _ in range(2):
            run = sync(config, clock, state=run.state).ok()
            emitted += deals(run)
            seen += exports_of(run)
        assert sorted(emitted) == ["a", "another", "b", "other"]
        whole = [parent.id] if end == "completed" else [part.id for part in parts]
        assert [one for one in seen if one in {parent.id, *(part.id for part in parts)}] == whole

    def test_parts_of_a_parent_that_is_whole_are_passed_over(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        parent, _ = self.parent(sandbox, status="completed")
        assert exports_of(sync(config, clock).ok()) == [parent.id]

    def test_a_parent_that_the_list_no_longer_has_is_asked_for(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        parent, _ = self.parent(sandbox, created_at=clock.now() - timedelta(days=60))
        sandbox.hienergy.max_limit = 2
        run = sync(config | {"start_date": "2026-11-19"}, clock)
        assert run.records(DEALS) == []
        assert asked(sandbox, "GET", f"/{parent.id}")

    def test_a_parent_without_a_file_is_known_by_its_progress_alone(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        self.parent(sandbox, status="completed", header=(), rows=None,
                    shown={"chunked_export": None})  # fmt: skip
        assert deals(sync(config, clock).ok()) == ["a", "b"]
