"""Stream maps: a mistake is one line before any export; a bad row fails only its stream."""

from __future__ import annotations

import json
import subprocess
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
from forks import run_command
from harness import FakeClock, Run, config_for, discover, sync
from hienergy_instal import CSV, FILES, REPORT, add, config_of, put_all
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from singer_sdk.mapper import PluginMapper
from test_output import only

from tap_affiliate_reports.errors import SettingsError, SyncFailed, TapError
from tap_affiliate_reports.sandbox import Attribute, Report, Sandbox

if TYPE_CHECKING:
    from pathlib import Path

START = date(2026, 10, 20)
BY_ME = {"*": {"by": "'me'"}}


def add_report(
    sandbox: Sandbox, name: str, rows: list[list[str]] | None = None, **options: Any
) -> None:
    given_rows = rows if rows is not None else [["1", "5"], ["2", "7"]]
    columns = [Attribute("Id"), Attribute("Amount", "Integer")]
    sandbox.impact.add(Report(name, name, columns, lambda *_: given_rows, **options))


@pytest.fixture
def config(sandbox: Sandbox) -> dict[str, Any]:
    for report in list(sandbox.impact.reports):
        sandbox.impact.remove(report)
    for report in ("orders", "sales"):
        add_report(sandbox, report)
    return config_for(sandbox, reports=["orders", "sales"], START_DATE=START.isoformat())


def run(config: dict[str, Any], clock: FakeClock, maps: dict[str, Any], **options: Any) -> Run:
    return sync(config | {"stream_maps": maps}, clock, **options)


# Streams that are not selected


@pytest.mark.parametrize(
    "maps",
    [
        BY_ME,
        {"orders": {"Copy": "Id"}},
        {"orders": {"Copy": "not python"}},
        {"orders": {"__alias__": "1 +"}},
        {"orders": {"__key_properties__": ["Nope"]}},
        {"orders": 5},
    ],
    ids=str,
)
def test_a_map_of_a_report_that_is_not_named_does_not_matter(
    sandbox: Sandbox, clock: FakeClock, config: dict[str, Any], maps: dict[str, Any]
) -> None:
    config["impact"]["reports"] = ["sales"]
    done = run(config, clock, maps).ok()
    assert len(done.records("sales")) == 4
    assert not done.records("orders")
    assert all(row.get("by", "me") == "me" for row in done.records("sales"))


@pytest.mark.parametrize("left_out", ["sales", "report_windows", "jobs"])
def test_a_map_of_a_stream_that_a_catalog_deselects_does_not_matter(
    sandbox: Sandbox, clock: FakeClock, config: dict[str, Any], left_out: str
) -> None:
    catalog = discover(config, clock)
    names = {stream["tap_stream_id"] for stream in catalog["streams"]} - {left_out}
    maps = BY_ME | {left_out: {"Copy": "1 +"}}
    done = run(config, clock, maps, catalog=only(catalog, *names)).ok()
    assert {row["by"] for row in done.records("orders")} == {"me"}
    assert not done.records(left_out)


def test_the_maps_for_duckdb_load_every_source_with_deselected_streams(
    sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
) -> None:
    sandbox.hienergy.clear()
    add(sandbox, CSV, CSV, completed_at=clock.now() - timedelta(days=3))
    put_all(sandbox, START, 60)
    config |= config_of(sandbox, START, hienergy={}, instal={})
    maps = {
        "sales": {"_program_id": "_program_id or 'all'"},
        REPORT: {"_program_id": "_program_id or 'all'"},
        "report_windows": {"program": "program or 'all'"},
    }
    whole = run(config, clock, maps).ok()
    assert {row["_program_id"] for row in whole.records("sales")} == {"all"}
    catalog = only(discover(config, clock), "orders", CSV)
    assert run(config, clock, maps, catalog=catalog).ok().records("orders")


def test_an_entry_of_a_catalog_without_a_stream_does_not_matter(
    sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
) -> None:
    catalog = only(discover(config, clock), "sales")
    sandbox.impact.remove("orders")
    config["impact"]["reports"] = ["sales"]
    assert run(config, clock, BY_ME, catalog=catalog).ok().records("sales")


def test_a_test_of_the_connection_works_with_a_map_of_an_unselected_report(
    sandbox: Sandbox, config: dict[str, Any], tmp_path: Path
) -> None:
    config["impact"]["reports"] = ["sales"]
    for option in ("--test", "--test=schema"):
        done = command_line(tmp_path, config | {"stream_maps": BY_ME}, option)
        assert done.returncode == 0, done.stderr
    assert not sandbox.impact.exports


# Mistakes


def command_line(
    folder: Path, config: dict[str, Any], *options: str
) -> subprocess.CompletedProcess[str]:
    path = folder / "config.json"
    path.write_text(json.dumps(config))
    return run_command(["--config", str(path), *options], folder)


MISTAKES: list[tuple[Any, list[str]]] = [
    # A definition, and the texts in the error.
    ({"Twice": "Amount *"}, ["Twice", "Amount *"]),
    ({"Twice": ""}, ["Twice"]),
    ({"Twice": " Amount"}, ["Twice", " Amount"]),
    ({"Twice": "Amount; Id"}, ["Twice", "Amount; Id"]),
    ({"Twice": "x = Amount"}, ["Twice", "x = Amount"]),
    ({"Twice": "# Amount"}, ["Twice"]),
    ({"Twice": "nosuch(Amount)"}, ["Twice", "nosuch"]),
    ({"Twice": "lambda: 1"}, ["Twice", "Lambda"]),
    ({"Twice": "Amount @ 2"}, ["Twice", "MatMult"]),
    ({"Twice": 5}, ["Twice", "5"]),
    ({"Twice": ["Amount"]}, ["Twice", "Amount"]),
    ({"Twice": {"a": "b"}}, ["Twice"]),
    ({"Twice": True}, ["Twice"]),
    ({"__filter__": "Amount >"}, ["__filter__", "Amount >"]),
    ({"__filter__": ""}, ["__filter__"]),
    ({"__filter__": True}, ["__filter__"]),
    ({"__filter__": "nosuch(Id)"}, ["__filter__", "nosuch"]),
    ({"__fliter__": "Amount > 1"}, ["__fliter__"]),
    ({"__alias__": "a b"}, ["sales"]),
    ({"__alias__": ""}, ["sales"]),
    ({"__alias__": 5}, ["__alias__"]),
    ({"__alias__": "5"}, ["sales", "5"]),
    ({"__alias__": "orders"}, ["orders"]),
    ({"__alias__": "'ORDERS'"}, ["orders"]),
    ({"__key_properties__": ["Nope"]}, ["Nope"]),
    ({"__key_properties__": "Id"}, ["__key_properties__", "Id"]),
    ({"__key_properties__": [1]}, ["__key_properties__"]),
    ({"_account": None}, ["_account"]),
    ({"_account": "__NULL__"}, ["_account"]),
    ({"__else__": "keep"}, ["__else__"]),
    ("Amount", ["Amount"]),
    (5, ["int"]),
    ([], ["list"]),
]


@pytest.mark.parametrize(("definition", "named"), MISTAKES, ids=str)
def test_a_mistake_in_a_map_is_one_line_before_any_export(
    sandbox: Sandbox,
    clock: FakeClock,
    config: dict[str, Any],
    definition: Any,
    named: list[str],
) -> None:
    done = run(config, clock, {"sales": definition})
    assert isinstance(done.error, SettingsError), repr(done.error)
    assert "\n" not in str(done.error)
    for text in ("sales", *named):
        assert text in str(done.error)
    assert not done.messages
    assert not sandbox.impact.exports


@pytest.mark.parametrize(
    "maps",
    [
        {"copy": {"__source__": 5}},
        {"copy": {"__source__": "sales", "__alias__": "x"}},
        {"orders": {"__source__": "sales"}},
        {"copy": {"__source__": "*"}},
        {"sales": {"__alias__": "copy"}, "copy": {"__source__": "sales"}},
        {"*": {"__alias__": "all"}},
        {"__else__": "drop"},
        {"__filter__": "x"},
        {"__else__": []},
    ],
    ids=str,
)
def test_a_mistake_in_the_names_of_streams_is_one_line_before_any_export(
    sandbox: Sandbox, clock: FakeClock, config: dict[str, Any], maps: dict[str, Any]
) -> None:
    done = run(config, clock, maps)
    assert isinstance(done.error, SettingsError), repr(done.error)
    assert "stream_maps" in str(done.error)
    assert not done.messages
    assert not sandbox.impact.exports


@pytest.mark.parametrize(
    "map_of_sales",
    [{"Twice": "Amuont * 2"}, {"__filter__": "Amuont > 2"}, {"Twice": "self * Amuont"}],
    ids=str,
)
def test_a_column_that_is_not_there_fails_its_stream_before_its_exports(
    sandbox: Sandbox, clock: FakeClock, config: dict[str, Any], map_of_sales: dict[str, Any]
) -> None:
    done = run(config, clock, {"sales": map_of_sales})
    assert isinstance(done.error, SyncFailed)
    for text in ("sales", *map_of_sales, *map_of_sales.values()):
        assert text in str(done.error)
    assert len(done.records("orders")) == 4
    assert {export.report_id for export in sandbox.impact.exports} == {"orders"}
    assert "replication_key_value" not in done.state["bookmarks"].get("sales", {})


@pytest.mark.parametrize(
    "expression",
    [
        "Amount * 2 if Amount else None",
        "[x for x in [Amount, 1]][0]",
        "record.get('Nope') or _['Id']",
        "f'{Id}-{__stream_name__}'",
        "config['salt']",
        "{**record}['Id']",
        "datetime.datetime.fromisoformat('2026-01-01').year",
        "json.dumps({'a': Id})",
        "-Amount ** 2 if not (Id in ['x', *['y']]) else None",
        "Id[0:1]",
    ],
)
def test_what_the_framework_can_evaluate_is_no_mistake(
    sandbox: Sandbox, clock: FakeClock, config: dict[str, Any], expression: str
) -> None:
    config["stream_map_config"] = {"salt": "pepper"}
    done = run(config, clock, {"sales": {"New": expression, "Amount": "self"}}).ok()
    assert len(done.records("sales")) == 4
    assert all(row["New"] is not None for row in done.records("sales"))


def test_a_column_that_only_files_have_may_be_named_once_it_is_known(
    sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
) -> None:
    add_report(sandbox, "sales", [["1", "2", "x"]], header=["Id", "Amount", "Extra"])
    first = run(config, clock, {"sales": {"New": "record.get('Extra')"}}).ok()
    assert {row["New"] for row in first.records("sales")} == {"x"}
    clock.advance(days=1)
    again = run(config, clock, {"sales": {"New": "Extra"}}, state=first.state).ok()
    assert {row["New"] for row in again.records("sales")} == {"x"}


def test_a_stream_that_does_not_exist_is_a_warning(
    clock: FakeClock, config: dict[str, Any]
) -> None:
    done = run(config, clock, {"salse": {"Id": "md5(Id)"}}).ok()
    assert done.said("'salse'")
    assert not run(config, clock, {"report_[0-9]*": {"Id": None}}).ok().said("there is no stream")


TEXT = st.text(st.sampled_from("Id Amount()[]{}'\"+*-.,:=_%12|&@\\\n"), max_size=12)


@settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@example(definition={"New": "a\0"})
@example(definition={"New": "1 / 0"})
@example(definition={"__filter__": "__NULL__"})
@given(
    definition=st.dictionaries(
        st.sampled_from(["New", "Id", "__filter__", "__alias__", "__key_properties__"]),
        TEXT | st.none() | st.integers() | st.booleans() | st.lists(TEXT, max_size=2),
        min_size=1,
    )
)
def test_whatever_a_map_is_the_run_ends_well_or_by_one_line(
    sandbox: Sandbox, clock: FakeClock, config: dict[str, Any], definition: dict[str, Any]
) -> None:
    sandbox.impact.jobs.clear()
    sandbox.impact.exports.clear()
    config = config | {"impact": config["impact"] | {"window": "year"}}
    done = run(config, clock, {"sales": definition})
    assert done.error is None or isinstance(done.error, TapError), repr(done.error)
    if isinstance(done.error, SettingsError):
        assert not sandbox.impact.exports
    else:
        assert len(done.records("orders")) == 2


# Rows


FAILING = {"Twice": "10 / (Amount - 7)"}


@pytest.mark.parametrize(
    "rules",
    [
        FAILING,
        {"__filter__": FAILING["Twice"]},
        {"Twice": "int(Id + 'x') if Amount == 7 else 1"},
        {"Twice": "config['nothing'] if Amount == 7 else 1"},
        {"Twice": "Id.nothing if Amount == 7 else 1"},
    ],
    ids=str,
)
def test_a_row_that_fails_fails_its_stream_alone_and_its_window_is_loaded_later(
    sandbox: Sandbox, clock: FakeClock, config: dict[str, Any], rules: dict[str, str]
) -> None:
    done = run(config, clock, {"orders": rules})
    assert isinstance(done.error, SyncFailed)
    assert "orders" in str(done.error)
    ((column, expression),) = rules.items()
    assert column in str(done.error)
    assert repr(expression) in str(done.error)
    assert len(done.records("sales")) == 4
    assert done.records("jobs")
    assert done.bookmark("orders") is None
    assert done.bookmark("sales") == "2026-11-18"
    spent = len(sandbox.impact.exports)
    again = run(config, clock, {}, state=done.state).ok()
    assert len(again.records("orders")) == 4
    assert again.bookmark("orders") == "2026-11-18"
    assert len(sandbox.impact.exports) == spent, "the jobs that were made are in the state"


@pytest.mark.parametrize("kind", FILES)
def test_a_row_of_hi_energy_that_fails_holds_its_files_back(
    sandbox: Sandbox, clock: FakeClock, kind: str
) -> None:
    sandbox.hienergy.clear()
    for number in (1, 2):
        for one in FILES:
            at = clock.now() - timedelta(days=number)
            add(sandbox, one, f"{one}-{number}", completed_at=at)
    config = config_of(sandbox, START, hienergy={})
    done = run(config, clock, {kind: {"Amount": "1 / (Amount - 3)"}})
    assert isinstance(done.error, SyncFailed)
    assert "Amount" in str(done.error)
    for other in set(FILES) - {kind}:
        assert len(done.records(other)) == 6
    again = sync(config, clock, state=done.state).ok()
    assert len(again.records(kind)) == 6
    for other in set(FILES) - {kind}:
        assert not again.records(other)


def test_a_row_of_instal_that_fails_leaves_its_window_to_the_next_run(
    sandbox: Sandbox, clock: FakeClock
) -> None:
    put_all(sandbox, START, 60)
    config = config_of(sandbox, START, instal={})
    done = run(config, clock, {REPORT: {"cost_aggr": "1 / (clicks_aggr - 1)"}})
    assert isinstance(done.error, SyncFailed)
    assert done.bookmark(REPORT) is None
    assert sync(config, clock, state=done.state).ok().bookmark(REPORT) == "2026-11-18"


@pytest.mark.parametrize("stream", ["reports", "report_metadata", "jobs"])
@pytest.mark.parametrize("rule", [{"New": "1 / 0"}, {"__filter__": "1 / 0"}])
def test_a_row_of_a_list_that_fails_fails_the_list_alone(
    clock: FakeClock, config: dict[str, Any], stream: str, rule: dict[str, str]
) -> None:
    sync(config, clock).ok()  # there are jobs to list
    done = run(config, clock, {stream: rule})
    assert isinstance(done.error, SyncFailed)
    assert stream in str(done.error)
    assert "sales" not in str(done.error)
    assert len(done.records("sales")) == 4
    assert not done.records(stream)


def test_a_list_that_breaks_off_keeps_its_bookmark(sandbox: Sandbox, clock: FakeClock) -> None:
    """Rows that Hi Energy AI lists after the failing row are read again."""
    sandbox.hienergy.clear()
    for days in (9, 6, 3):
        add(sandbox, CSV, f"{days}", completed_at=clock.now() - timedelta(days=days))
    config = config_of(sandbox, START, hienergy={})
    ids = [export.id for export in sandbox.hienergy.exports.values()]
    # The newest is listed first.
    done = run(config, clock, {"exports": {"New": f"1 / (id - {ids[0]})"}})
    assert isinstance(done.error, SyncFailed)
    assert len(done.records("exports")) == 2
    again = sync(config, clock, state=done.state).ok()
    assert {row["id"] for row in again.records("exports")} == set(ids)


def test_a_row_of_the_audit_that_fails_fails_the_audit_alone(
    clock: FakeClock, config: dict[str, Any]
) -> None:
    done = run(config, clock, {"report_windows": {"New": "1 / 0"}})
    assert isinstance(done.error, SyncFailed)
    assert "report_windows" in str(done.error)
    assert "sales" not in str(done.error)
    for report in ("orders", "sales"):
        assert len(done.records(report)) == 4
        assert done.bookmark(report) == "2026-11-18"


def test_a_row_that_vanished_is_retired_though_its_nulls_fit_no_expression(
    sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
) -> None:
    rows = [["1", "5"], ["2", "7"]]
    add_report(sandbox, "sales", rows)
    maps = {"sales": {"Twice": "Amount * 2", "_program_id": "_program_id or 'all'"}}
    first = run(config, clock, maps).ok()
    rows.pop()
    clock.advance(days=1)
    again = run(config, clock, maps, state=first.state).ok()
    retired = [row for row in again.records("sales") if row["_deleted"]]
    assert len(retired) == 2
    assert {(row["Twice"], row["_program_id"], row["_row_number"]) for row in retired} == {
        (None, "all", 2)
    }


def test_a_column_of_a_file_that_a_map_can_t_take_fails_its_stream_alone(
    sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
) -> None:
    add_report(sandbox, "sales", [["1", "5", "x"]], header=["Id", "Amount", "Extra"])
    register = PluginMapper.register_raw_stream_schema

    def refuse(self: PluginMapper, name: str, schema: dict[str, Any], keys: Any) -> None:
        if "Extra" in schema["properties"]:
            msg = "Duplicate column name produced in schema: Extra"
            raise ValueError(msg)
        register(self, name, schema, keys)

    with mock.patch.object(PluginMapper, "register_raw_stream_schema", refuse):
        done = run(config, clock, {})
    assert isinstance(done.error, SyncFailed)
    assert "Extra" in str(done.error)
    assert len(done.records("orders")) == 4
    assert done.bookmark("sales") is None
    assert sync(config, clock, state=done.state).ok().records("sales")


@pytest.mark.kill
@pytest.mark.parametrize("rule", [{"New": "1 / 0"}, {"New": "1 /"}, {"New": "Amuont"}], ids=str)
def test_a_map_that_fails_is_no_traceback_and_exit_status_1(
    tmp_path: Path, rule: dict[str, str]
) -> None:
    with Sandbox(job_seconds=0.02) as sandbox:
        config = config_for(sandbox, reports=["partner_performance_by_day"])
        config["start_date"] = (date.today() - timedelta(days=20)).isoformat()
        maps = {"partner_performance_by_day": rule}
        done = command_line(tmp_path, config | {"stream_maps": maps})
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert "partner_performance_by_day" in done.stderr.splitlines()[-1]
        assert rule["New"] in done.stderr.splitlines()[-1]
        assert (len(sandbox.impact.exports) > 0) == (rule["New"] == "1 / 0")
