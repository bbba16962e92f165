"""The command --dbt: sources of the selected streams, and models of the rows that count."""

from __future__ import annotations

import json
import subprocess
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import duckdb
import jinja2
import pytest
import yaml
from forks import run_command
from harness import FakeClock, Warehouse, config_for, discover, examples, sync
from hypothesis import example, given, settings
from hypothesis import strategies as st
from networks import NETWORKS, Network
from opened_tap import opened
from small_source import FIRST, SmallSource

from tap_affiliate_reports.commands import dbt
from tap_affiliate_reports.commands.dbt.folder import MARK
from tap_affiliate_reports.commands.dbt.sources import literal, sources_yaml
from tap_affiliate_reports.commands.dbt.tables import Table
from tap_affiliate_reports.errors import SettingsError, SyncFailed

if TYPE_CHECKING:
    from pathlib import Path

    from tap_affiliate_reports.sandbox import Sandbox

LISTING = "mp_action_listing_fast"
LIVE = {"where": "_sdc_deleted_at is null"}
ANY_TEXT = st.text(st.characters(exclude_categories=()))


def tables_of(text: str) -> dict[str, dict[str, Any]]:
    """Return the tables of a sources.yml by name."""
    (source,) = yaml.safe_load(text)["sources"]
    return {table["name"]: table for table in source["tables"]}


def columns_of(table: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {column["name"]: column for column in table["columns"]}


def test_the_sources_have_descriptions_tests_of_the_key_and_freshness(
    sandbox: Sandbox, clock: FakeClock
) -> None:
    with opened(config_for(sandbox, reports=[LISTING]), clock) as tap:
        document = dbt.document(tap, "")
    tables = tables_of(document["sources"])
    assert tables.keys() == {"jobs", "report_metadata", "report_windows", "reports", LISTING}
    table, report = tables[LISTING], sandbox.impact.reports[LISTING]
    assert table["description"] == report.description
    columns = columns_of(table)
    for attribute in report.columns:
        assert columns[attribute.name]["description"] == attribute.description
    assert table["config"]["loaded_at_field"] == "_refreshed_at"
    assert table["config"]["freshness"]["warn_after"] == {"count": 36, "period": "hour"}
    (test,) = table["data_tests"]
    expression = "concat(_account, '|', _program_id, '|', _window_start, '|', _row_number)"
    assert test["unique"]["arguments"] == {"column_name": expression}
    assert test["unique"]["config"] == LIVE
    keys = {name for name, column in columns.items() if "data_tests" in column}
    assert keys == {"_account", "_program_id", "_window_start", "_row_number"}
    assert not sandbox.impact.exports


def test_keys_of_the_report_are_quoted_as_each_loader_creates_them(
    sandbox: Sandbox, clock: FakeClock
) -> None:
    options = {LISTING: {"primary_keys": ["Action_Id"]}}
    config = config_for(sandbox, reports=[LISTING], report_options=options)
    with opened(config, clock) as tap:
        table = tables_of(dbt.document(tap, "")["sources"])[LISTING]
    tests = {
        test["unique"]["config"]["enabled"]: test["unique"]["arguments"]["column_name"]
        for test in table["data_tests"]
    }
    assert tests == {
        "{{ target.type != 'snowflake' }}": "concat(_account, '|', \"Action_Id\")",
        "{{ target.type == 'snowflake' }}": "concat(_account, '|', Action_Id)",
    }
    column = columns_of(table)["Action_Id"]
    assert column["quote"] == "{{ target.type != 'snowflake' }}"
    assert column["data_tests"] == [{"not_null": {"config": LIVE}}]


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)
def test_each_network_has_sources_without_an_export(
    sandbox: Sandbox, clock: FakeClock, network: Network, tmp_path: Path
) -> None:
    network.fill(sandbox, clock, "secret")
    with opened(network.config(sandbox, "secret"), clock) as tap:
        catalog = {entry["tap_stream_id"]: entry for entry in tap.catalog_dict["streams"]}
        document = dbt.document(tap, str(tmp_path / "models"))
    tables = tables_of(document["sources"])
    assert network.stream in tables
    for name, table in tables.items():
        assert table["description"]
        schema = catalog[name]["schema"]["properties"]
        assert columns_of(table).keys() == schema.keys()
        keys = {key for key, column in columns_of(table).items() if "data_tests" in column}
        assert keys == set(catalog[name]["key_properties"])
    models = {path.name for path in (tmp_path / "models").glob("*.sql")}
    reports = [name for name in tables if "_sdc_deleted_at" in columns_of(tables[name])]
    assert models == {f"stg_affiliate__{name}.sql" for name in reports}
    assert not [r for r in sandbox.requests if r.method == "POST" or "ReportExport" in r.path]


def test_what_a_catalog_and_a_map_leave_out_is_in_no_table(
    sandbox: Sandbox, clock: FakeClock
) -> None:
    config = config_for(sandbox, reports=[LISTING])
    config["stream_maps"] = {
        LISTING: {"__alias__": "'actions'", "Note": None},
        "report_windows": "__NULL__",
    }
    catalog = discover(config_for(sandbox, reports=[LISTING]), clock)
    for stream in catalog["streams"]:
        for entry in stream["metadata"]:
            where = (stream["tap_stream_id"], *entry["breadcrumb"])
            if where in {("jobs",), (LISTING, "properties", "Ip_Address")}:
                entry["metadata"]["selected"] = False
    with opened(config, clock, catalog=catalog) as tap:
        tables = tables_of(dbt.document(tap, "")["sources"])
    assert tables.keys() == {"report_metadata", "reports", "actions"}
    columns = columns_of(tables["actions"])
    assert {"Note", "Ip_Address"}.isdisjoint(columns)
    assert {"Action_Id", "_account"} <= columns.keys()


def test_without_a_choice_of_reports_it_is_the_error_of_a_sync(
    sandbox: Sandbox, clock: FakeClock
) -> None:
    config = config_for(sandbox)
    refused = sync(config, clock).error
    with opened(config, clock) as tap, pytest.raises(SettingsError) as raised:
        dbt.document(tap, "")
    assert str(raised.value) == str(refused)
    assert "impact.reports is not set" in str(refused)


def test_a_report_whose_columns_cannot_be_read_is_an_error_not_a_missing_table(
    sandbox: Sandbox, clock: FakeClock
) -> None:
    sandbox.impact.forbidden.add("MetaData")
    with (
        opened(config_for(sandbox, reports=[LISTING]), clock) as tap,
        pytest.raises(SyncFailed, match=f"^{LISTING}: "),
    ):
        dbt.document(tap, "")


# The YAML


@given(ANY_TEXT, ANY_TEXT)
@settings(max_examples=examples(300))
@example("{{ doc('x') }} {% set a = 1 %} {# note #} {{{", "a: b # c")
@example("\0\x85\u2028\ud800\N{PILE OF POO}\r\n: - 'x' \"y\"", "- *a &b")
def test_every_description_survives(description: str, name: str) -> None:
    columns = {name: {"description": description}}
    text = sources_yaml([Table("one", description, columns, [])])
    text.encode()
    table = tables_of(text)["one"]
    assert table.get("description", "") == literal(description)
    assert table["columns"][0]["name"] == literal(name)
    assert table["columns"][0].get("description", "") == literal(description)


@given(st.text(st.sampled_from("{}%#-+ ab'\"\n")))
@settings(max_examples=examples(300))
def test_jinja_evaluates_nothing_in_a_description(text: str) -> None:
    environment = jinja2.Environment(keep_trailing_newline=True)
    assert environment.from_string(literal(text)).render() == text


# The models


@pytest.mark.parametrize("keys", [(), ("Action_Id",)], ids=["numbered", "own keys"])
def test_a_model_keeps_the_rows_that_count(
    sandbox: Sandbox, clock: FakeClock, tmp_path: Path, keys: tuple[str, ...]
) -> None:
    source = SmallSource(sandbox, clock, ["sales"])
    options = {"sales": {"primary_keys": list(keys)}} if keys else {}
    config = config_for(
        sandbox, reports=["sales"], report_options=options, START_DATE=FIRST.isoformat()
    )
    warehouse = Warehouse()
    warehouse.load(sync(config, clock).ok().messages)
    for number in range(3):
        source.put("sales", FIRST + timedelta(days=number), ["7"] if number else [])
    clock.advance(days=1)
    warehouse.load(sync(config, clock, state=warehouse.state).ok().messages)
    rows = list(warehouse.tables["sales"].values())
    live = warehouse.live("sales")
    assert len(live) < len(rows)
    with opened(config, clock) as tap:
        dbt.document(tap, str(tmp_path))
    model = (tmp_path / "stg_affiliate__sales.sql").read_text()
    query = jinja2.Template(model).render(source=lambda name, table: f"{name}.{table}")
    file = tmp_path / "rows.json"
    file.write_text(json.dumps(rows, default=str))
    with duckdb.connect() as database:
        database.execute("CREATE SCHEMA affiliate")
        database.execute(f"CREATE TABLE affiliate.sales AS FROM read_json('{file}')")
        kept = database.execute(f"SELECT Action_Id FROM ({query})").fetchall()
    assert sorted(kept) == sorted((row["Action_Id"],) for row in live)


# The folder


def test_only_its_own_files_are_overwritten(
    sandbox: Sandbox, clock: FakeClock, tmp_path: Path
) -> None:
    folder = tmp_path / "models" / "affiliate"
    with opened(config_for(sandbox, reports=[LISTING]), clock) as tap:
        first = dbt.document(tap, str(folder))
    assert first["files"] == [
        str(folder / "sources.yml"), str(folder / f"stg_affiliate__{LISTING}.sql")
    ]  # fmt: skip
    (folder / "mine.sql").write_text("select 1")
    (folder / "sources.yml").write_text(f"# {MARK}\nold: true\n")
    with opened(config_for(sandbox, reports=["PaystubActions"]), clock) as tap:
        second = dbt.document(tap, str(folder))
        assert second["outdated"] == [str(folder / f"stg_affiliate__{LISTING}.sql")]
        assert (folder / "sources.yml").read_text() == second["sources"]
        assert (folder / "mine.sql").read_text() == "select 1"
        model = folder / "stg_affiliate__paystubactions.sql"
        model.write_text("select 2")
        (folder / "sources.yml").write_text(f"# {MARK}\n")
        with pytest.raises(SettingsError, match="was not written by this command") as raised:
            dbt.document(tap, str(folder))
    assert str(model) in str(raised.value)
    assert model.read_text() == "select 2"
    assert (folder / "sources.yml").read_text() == f"# {MARK}\n"


def test_a_folder_that_cannot_be_written_to_is_one_line(
    sandbox: Sandbox, clock: FakeClock, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with (
        opened(config_for(sandbox, reports=[LISTING]), clock) as tap,
        pytest.raises(SettingsError, match=r"^--dbt: can't write into .*file.*: [^\n]*$"),
    ):
        dbt.document(tap, str(tmp_path / "file"))


# The command line


@pytest.mark.kill
def test_the_yaml_alone_goes_to_stdout_and_an_error_to_stderr(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    def run(config: dict[str, Any], *options: str) -> subprocess.CompletedProcess[str]:
        file = tmp_path / "config.json"
        file.write_text(json.dumps(config))
        return run_command(["--config", str(file), *options], tmp_path)

    config = config_for(sandbox, reports=[LISTING])
    shown = run(config, "--dbt")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert LISTING in tables_of(shown.stdout)
    document = json.loads(run(config, "--dbt", "--json").stdout)
    assert document == {"ok": True, "sources": shown.stdout}
    written = run(config, f"--dbt={tmp_path / 'out'}")
    assert written.stdout.splitlines()[0] == f"wrote {tmp_path / 'out' / 'sources.yml'}"
    assert (tmp_path / "out" / "sources.yml").read_text() == shown.stdout
    refused = run(config_for(sandbox), "--dbt")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "impact.reports is not set" in refused.stderr
