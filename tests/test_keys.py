"""Key columns: never null and never "", in every stream of every source."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

import pytest
from harness import FakeClock, Run, Warehouse, config_for, discover, examples, sync
from hienergy_instal import config_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_settings import refusal, run_with

from tap_affiliate_reports.sandbox import Attribute, Report, Sandbox, body
from tap_affiliate_reports.sources.hienergy import NO_ID
from tap_affiliate_reports.sources.impact.lists import NO_ID as IMPACT_NO_ID

pytestmark = pytest.mark.chain

START = date(2026, 9, 10)
BY_DAY = "partner_performance_by_day"
WARNING = logging.WARNING

SYNCS = {
    "impact": lambda sandbox: config_for(sandbox, reports=["*"]),
    "impact, by program": lambda sandbox: config_for(
        sandbox, reports=[BY_DAY], program_ids=[10211, "10487"]
    ),
    "impact, a snapshot": lambda sandbox: config_for(sandbox, reports=[BY_DAY], window="none"),
    "impact, keys of its own": lambda sandbox: config_for(
        sandbox,
        reports=["mp_action_listing_fast"],
        report_options={"mp_action_listing_fast": {"primary_keys": ["Action_Id"]}},
    ),
    "hienergy": lambda sandbox: config_of(sandbox, START, hienergy={}),
    "hienergy, an empty account": lambda sandbox: config_of(
        sandbox, START, hienergy={"account": ""}
    ),
    "instal": lambda sandbox: config_of(sandbox, START, instal={}),
    "instal, an empty account": lambda sandbox: config_of(sandbox, START, instal={"account": " "}),
}


def check_keys(run: Run) -> set[str]:
    """Check the keys of all records; return the streams that have records."""
    keys = {m["stream"]: m["key_properties"] for m in run.messages if m["type"] == "SCHEMA"}
    records = [(m["stream"], m["record"]) for m in run.messages if m["type"] == "RECORD"]
    for stream, record in records:
        values = [record[name] for name in keys[stream]]
        assert values
        assert not {None, ""} & set(values), f"{stream}: {keys[stream]} = {values}"
    return {stream for stream, _ in records}


def objects_without_properties(schema: Mapping[str, Any], path: str) -> Iterator[str]:
    """Yield where a schema has an object whose columns a typed loader can't know."""
    if "object" in schema.get("type", ()) and not schema.get("properties"):
        yield path
    for name, nested in schema.get("properties", {}).items():
        yield from objects_without_properties(nested, f"{path}.{name}")
    if "items" in schema:
        yield from objects_without_properties(schema["items"], f"{path}[]")


@pytest.fixture(params=SYNCS)
def everything(request: pytest.FixtureRequest, sandbox: Sandbox, clock: FakeClock) -> Run:
    """Return a sync of all streams of a source, with these settings."""
    return sync(SYNCS[request.param](sandbox), clock).ok()


def test_no_key_is_null_or_empty(everything: Run) -> None:
    assert len(check_keys(everything)) > 1
    for message in everything.messages:
        if message["type"] == "SCHEMA":
            types = message["schema"]["properties"]
            assert all("null" not in types[key]["type"] for key in message["key_properties"][:1])


def test_every_object_of_a_schema_names_its_properties(everything: Run) -> None:
    for message in everything.messages:
        if message["type"] == "SCHEMA":
            assert not list(objects_without_properties(message["schema"], message["stream"]))
            unparsed = message["schema"]["properties"].get("_unparsed")
            assert unparsed is None or unparsed["type"] == ["string", "null"]


# _program_id


def test_rows_of_all_programs_are_those_of_the_program_all(
    sandbox: Sandbox, clock: FakeClock
) -> None:
    run = run_with(sandbox, clock, reports=[BY_DAY]).ok()
    assert {row["_program_id"] for row in run.records(BY_DAY)} == {"all"}
    assert {row["program"] for row in run.records("report_windows")} == {"all"}
    assert sandbox.impact.exports
    assert not any("SUBAID" in export.params for export in sandbox.impact.exports)


def test_rows_that_vanish_keep_the_program_all(sandbox: Sandbox, clock: FakeClock) -> None:
    rows = [["a"], ["b"], ["c"]]
    sandbox.impact.add(Report("sales", columns=[Attribute("Id")], rows=lambda *_: rows))
    warehouse = Warehouse()
    first = sync(config_for(sandbox, reports=["sales"]), clock).ok()
    warehouse.load(first.messages)
    del rows[1:]
    clock.advance(days=1)
    second = sync(config_for(sandbox, reports=["sales"]), clock, state=first.state).ok()
    warehouse.load(second.messages)
    table = warehouse.tables["sales"].values()
    assert {row["_program_id"] for row in table} == {"all"}
    gone = [row["_row_number"] for row in table if row["_sdc_deleted_at"] is not None]
    assert sorted(gone) == [2, 2, 2, 3, 3, 3]


@pytest.mark.parametrize("program", ["", " ", "all", "ALL", " all "])
def test_a_program_that_is_none_is_refused(
    program: str, sandbox: Sandbox, clock: FakeClock
) -> None:
    line = refusal(run_with(sandbox, clock, reports=[BY_DAY], program_ids=["10487", program]))
    assert f"impact.program_ids: {program!r}" in line
    assert not sandbox.impact.exports


# _account


@pytest.mark.parametrize("own", [{}, {"account": ""}, {"account": None}, {"account": "  "}])
@pytest.mark.parametrize("source", ["hienergy", "instal"])
def test_the_account_is_default_where_it_is_not_set(
    source: str, own: dict[str, Any], sandbox: Sandbox, clock: FakeClock
) -> None:
    run = sync(config_of(sandbox, START, **{source: own}), clock).ok()
    records = [m["record"] for m in run.messages if m["type"] == "RECORD"]
    assert {record["_account"] for record in records} == {"default"}


def test_an_empty_variable_is_no_account(
    sandbox: Sandbox, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAP_AFFILIATE_REPORTS_INSTAL_ACCOUNT", "")
    run = sync(config_of(sandbox, START, instal={}), clock).ok()
    assert {row["_account"] for row in run.records("report_windows")} == {"default"}


# Keys that a report's options name


@pytest.mark.parametrize("column", ["_unparsed", "_sdc_deleted_at"])
def test_a_column_of_the_tap_that_may_be_null_is_no_key(
    column: str, sandbox: Sandbox, clock: FakeClock
) -> None:
    options = {BY_DAY: {"primary_keys": ["_window_start", column]}}
    line = refusal(run_with(sandbox, clock, reports=[BY_DAY], report_options=options))
    assert f"impact.report_options.{BY_DAY}.primary_keys: {column}" in line
    assert not sandbox.impact.exports


@pytest.mark.parametrize("text", ["", "\0"])
def test_an_empty_value_of_a_key_is_an_error(text: str, sandbox: Sandbox, clock: FakeClock) -> None:
    columns = [Attribute("Id"), Attribute("Day", "DATE")]
    rows = [["a", "2026-11-01"], [text, "2026-11-01"]]
    sandbox.impact.add(Report("sales", columns=columns, rows=lambda *_: rows))
    options = {"sales": {"primary_keys": ["Id", "_window_start"]}}
    run = run_with(sandbox, clock, reports=["sales"], report_options=options)
    assert "null in row 2" in str(run.error)
    assert not run.records("sales")


# Lists: each document is a record with a key, or a warning

NAMES = st.sampled_from(["", "a", "\0", "b\0", " ", "7"]) | st.none() | st.integers(0, 9)
REPORTS = st.lists(
    st.fixed_dictionaries(
        {"Category": st.integers(0, 99)},
        optional={"Id": NAMES, "RunUri": NAMES, "Name": NAMES},
    ),
    max_size=5,
)
JOBS = st.lists(st.fixed_dictionaries({"Type": st.text(max_size=3)}, optional={"Id": NAMES}))
EXPORT_IDS = st.none() | st.sampled_from(["", "\0", "7", "7.0", "x", "1e2", True]) | st.integers()
FEW = settings(
    max_examples=examples(25),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    deadline=None,
)


def list_run(sandbox: Sandbox, clock: FakeClock, config: dict[str, Any], *streams: str) -> Run:
    """Return a sync of these lists alone."""
    catalog = discover(config, clock)
    for entry in catalog["streams"]:
        for item in entry["metadata"]:
            if not item["breadcrumb"]:
                item["metadata"]["selected"] = entry["tap_stream_id"] in streams
    return sync(config, clock, catalog=catalog).ok()


def warnings_of(run: Run, text: str) -> int:
    return sum(text in r.getMessage() for r in run.log if r.levelno == WARNING)


@pytest.mark.property
@FEW
@given(reports=REPORTS, jobs=JOBS)
def test_a_listed_report_or_job_is_a_record_with_a_key_or_a_warning(
    sandbox: Sandbox, clock: FakeClock, reports: list[dict[str, Any]], jobs: list[dict[str, Any]]
) -> None:
    sandbox.faults.script.clear()
    for name, documents in (("Reports", reports), ("Jobs", jobs)):
        content = json.dumps({name: documents, "@nextpageuri": ""}).encode()
        sandbox.faults.add(f"GET .*/{name}$", body(content, "application/json"), times=None)
    config = config_for(sandbox)
    run = list_run(sandbox, clock, config, "reports", "report_metadata", "jobs")
    check_keys(run)
    for stream, documents in (("reports", reports), ("jobs", jobs)):
        left_out = warnings_of(run, IMPACT_NO_ID % (stream, stream[:-1]))
        assert len(run.records(stream)) + left_out == len(documents)


def test_the_key_of_a_report_s_metadata_has_no_nul(sandbox: Sandbox, clock: FakeClock) -> None:
    documents = [
        {"Id": BY_DAY + "\0", "Name": "by day", "ApiAccessible": True},
        {"Id": "\0", "Name": "nothing", "ApiAccessible": True},
    ]
    content = json.dumps({"Reports": documents, "@nextpageuri": ""}).encode()
    sandbox.faults.add("GET .*/Reports$", body(content, "application/json"), times=None)
    run = list_run(sandbox, clock, config_for(sandbox), "reports", "report_metadata")
    check_keys(run)
    assert [row["Id"] for row in run.records("report_metadata")] == [BY_DAY]
    assert [row["Id"] for row in run.records("reports")] == [BY_DAY, "nothing"]


@pytest.mark.property
@FEW
@given(ids=st.lists(EXPORT_IDS, max_size=5))
def test_a_listed_export_is_a_record_with_a_key_or_a_warning(
    sandbox: Sandbox, clock: FakeClock, ids: list[Any]
) -> None:
    sandbox.faults.script.clear()
    documents = [{"id": one, "report_type": "other", "status": "completed"} for one in ids]
    content = json.dumps({"exports": documents, "meta": {"count": len(ids)}}).encode()
    sandbox.faults.add("hienergy list", body(content, "application/json"), times=None)
    run = list_run(sandbox, clock, config_of(sandbox, START, hienergy={}), "exports")
    check_keys(run)
    left_out = warnings_of(run, NO_ID)
    assert len(run.records("exports")) + left_out == len(documents)


@pytest.mark.parametrize(
    ("source", "stream", "column"),
    [("impact", "jobs", "_unparsed"), ("hienergy", "exports", "parameters")],
)
def test_a_catalog_of_an_earlier_version_does_not_bring_back_its_types(
    source: str, stream: str, column: str, sandbox: Sandbox, clock: FakeClock
) -> None:
    sources = {"impact": config_for(sandbox), "hienergy": config_of(sandbox, START, hienergy={})}
    config = sources[source]
    catalog = discover(config, clock)
    for entry in catalog["streams"]:
        selected = entry["tap_stream_id"] == stream
        entry["metadata"][-1]["metadata"]["selected"] = selected
        assert entry["metadata"][-1]["breadcrumb"] == []
        if selected:
            entry["schema"]["properties"][column] = {"type": ["object", "null"]}
    run = sync(config, clock, catalog=catalog).ok()
    assert run.streams == {stream}
    assert run.schema(stream)["schema"]["properties"][column]["type"] == ["string", "null"]


def test_a_column_that_a_catalog_does_not_know_is_emitted(
    sandbox: Sandbox, clock: FakeClock
) -> None:
    config = config_of(sandbox, START, hienergy={})
    catalog = discover(config, clock)
    (entry,) = [e for e in catalog["streams"] if e["tap_stream_id"] == "exports"]
    del entry["schema"]["properties"]["parameters"]
    entry["metadata"] = [m for m in entry["metadata"] if m["breadcrumb"][-1:] != ["parameters"]]
    run = sync(config, clock, catalog=catalog).ok()
    assert "parameters" in run.schema("exports")["schema"]["properties"]
    assert any(record["parameters"] for record in run.records("exports"))


def test_a_column_of_a_list_can_still_be_left_out(sandbox: Sandbox, clock: FakeClock) -> None:
    config = config_of(sandbox, START, hienergy={})
    catalog = discover(config, clock)
    (entry,) = [e for e in catalog["streams"] if e["tap_stream_id"] == "exports"]
    for item in entry["metadata"]:
        if item["breadcrumb"][-1:] == ["parameters"]:
            item["metadata"]["selected"] = False
    run = sync(config, clock, catalog=catalog).ok()
    assert "parameters" not in run.schema("exports")["schema"]["properties"]
    assert run.records("exports")
    assert not any("parameters" in record for record in run.records("exports"))
