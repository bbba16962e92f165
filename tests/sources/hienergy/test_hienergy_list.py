"""The list of exports."""

from __future__ import annotations

import json
from typing import Any

import pytest
from harness import FakeClock, sync
from hienergy_case import (
    DEALS,
    add,
    asked,
    deals,
    error_of,
    having,
)
from jsonschema import Draft7Validator

from tap_affiliate_reports.sandbox import Sandbox, body
from tap_affiliate_reports.sources.hienergy import api


class TestExports:
    def test_each_export_is_a_typed_record_without_its_link(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        asked_for = {"q": "shoes\0", "rate": 1.5, "deep": {"ids": [1, 2]}, "none": None}
        export = add(sandbox, "a", ago=1, search_params=asked_for)
        run = sync(having(config, account="mine"), clock).ok()
        (record,) = run.records("exports")
        assert record == {
            "_account": "mine",
            "_unparsed": None,
            "id": export.id,
            "report_type": DEALS,
            "display_name": "Deals Excel",
            "status": "completed",
            "status_display": "Completed",
            "parameters": (
                '{"search_params":{"q":"shoes","rate":1.5,"deep":{"ids":[1,2]},"none":null},'
                '"index_params":{}}'
            ),
            "filename": f"deals_excel_{export.id}.xlsx",
            "download_expires_in_seconds": 900,
            "error_message": None,
            "progress": None,
            "parent_report_id": None,
            "chunked_export": False,
            "created_at": "2026-11-18T14:59:00.000Z",
            "updated_at": "2026-11-18T15:00:00.000Z",
            "started_at": "2026-11-18T14:59:06.000Z",
            "completed_at": "2026-11-18T15:00:00.000Z",
            "status_url": f"{sandbox.base_url('hienergy')}/exports/{export.id}",
        }  # fmt: skip
        schema = run.schema("exports")
        assert schema["key_properties"] == ["_account", "id"]
        assert schema["bookmark_properties"] == ["updated_at"]
        Draft7Validator(schema["schema"]).validate(json.loads(json.dumps(record, default=float)))
        assert "download_url" not in json.dumps(run.messages, default=str)

    @pytest.mark.parametrize(
        ("parameters", "told"),
        [
            ({}, "{}"),
            ({"q": '\u96f2 "x"'}, '{"q":"\u96f2 \\"x\\""}'),
            ([1, {"a": None}], '[1,{"a":null}]'),
            ("none", "none"),
            ("", None),
            (None, None),
            (7, "7"),
        ],
    )
    def test_parameters_are_text_whatever_they_are(
        self,
        sandbox: Sandbox,
        clock: FakeClock,
        config: dict[str, Any],
        parameters: Any,
        told: str | None,
    ) -> None:
        add(sandbox, shown={"parameters": parameters})
        (record,) = sync(config, clock).ok().records("exports")
        assert record["parameters"] == told
        assert record["_unparsed"] is None

    def test_progress_is_an_object_and_junk_goes_to_unparsed(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        add(sandbox, shown={"created_at": "lately", "parameters": "none", "chunked_export": "true"})
        sandbox.hienergy.parts = 3
        sandbox.hienergy.request(DEALS, {"q": "parts"}, {})
        clock.advance(seconds=30)
        *others, odd = sync(config, clock).ok().records("exports")
        assert odd["progress"] is None
        assert (odd["parameters"], odd["chunked_export"]) == ("none", True)
        assert odd["_unparsed"] == '{"created_at":"lately"}'
        parents = [record for record in others if record["chunked_export"]]
        assert [r["progress"] for r in parents] == [{"parts_ready": 1, "total_parts": 3}]

    def test_only_what_was_updated_since_the_bookmark_comes_again(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        old, new = add(sandbox, ago=3), add(sandbox, ago=1)
        before_start = add(sandbox, ago=30)
        run = sync(config, clock).ok()
        assert {record["id"] for record in run.records("exports")} == {old.id, new.id}
        assert run.bookmark("exports") == "2026-11-18T15:00:00.000Z"
        sandbox.hienergy.update(before_start, shown={"filename": None})
        run = sync(config, clock, state=run.state).ok()
        ids = {record["id"] for record in run.records("exports")}
        assert ids == {new.id, before_start.id}, "the tie at the bookmark and what changed"

    def test_an_export_without_a_date_of_update_comes_each_time(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        add(sandbox, ago=1)
        odd = add(sandbox, ago=2, shown={"updated_at": None})
        run = sync(config, clock).ok()
        assert run.bookmark("exports") == "2026-11-18T15:00:00.000Z"
        run = sync(config, clock, state=run.state).ok()
        assert odd.id in {record["id"] for record in run.records("exports")}

    def test_a_finished_export_without_any_date_is_told(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        dates = dict.fromkeys(("completed_at", "updated_at", "created_at"))
        odd = add(sandbox, "odd", shown=dates)
        add(sandbox, "even", ago=2)
        run = sync(config, clock)
        assert api.NO_DATE % odd.id in error_of(run)
        assert deals(run) == ["even"]

    @pytest.mark.parametrize("zone", [" UTC", " GMT", "Z", "+00:00"])
    def test_dates_may_name_their_zone(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any], zone: str
    ) -> None:
        add(sandbox, shown={"completed_at": f"2026-11-18 12:00:00{zone}"})
        assert sync(config, clock).ok().bookmark(DEALS) == "2026-11-18T12:00:00Z"


class TestLongLists:
    def test_all_of_a_list_is_read_however_long_it_is(
        self,
        sandbox: Sandbox,
        clock: FakeClock,
        config: dict[str, Any],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(api, "FIRST_LIMIT", 3)
        for number in range(14):
            add(sandbox, str(number), ago=14 - number)
        run = sync(config, clock).ok()
        assert deals(run) == [str(number) for number in range(14)]
        assert len(run.records("exports")) == 14
        limits = [int(r.first("limit")) for r in asked(sandbox, "GET", "/exports")]
        assert limits[:3] == [3, 12, 48]

    @pytest.mark.parametrize("first", [2, 3, 500])
    def test_a_list_cut_short_is_an_error_only_where_rows_may_be_missing(
        self,
        sandbox: Sandbox,
        clock: FakeClock,
        config: dict[str, Any],
        first: int,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(api, "FIRST_LIMIT", first)
        sandbox.hienergy.max_limit = 3
        for number in range(4):
            add(sandbox, str(number), ago=4 * (4 - number))
        run = sync(config, clock)
        assert "no more than 3 exports" in error_of(run)
        assert "start_date" in error_of(run)
        assert run.records(DEALS) == []
        run = sync(config | {"start_date": "2026-11-08"}, clock).ok()
        assert deals(run) == ["2", "3"]
        assert len(run.records("exports")) == 2

    def test_a_list_that_is_shorter_than_its_cap_is_whole(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        sandbox.hienergy.max_limit = 3
        add(sandbox, "a", ago=2)
        add(sandbox, "b", ago=1)
        assert deals(sync(config, clock).ok()) == ["a", "b"]

    def test_an_answer_that_is_no_list_is_an_error(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        sandbox.faults.add("hienergy list", body(b'{"reports": []}'), times=None)
        assert "no list of exports" in error_of(sync(config, clock))
