"""The other networks' chain: sandbox -> tap -> real loader -> real database, by `meltano run`."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from databases import Postgres, duckdb_rows
from meltano_project import Meltano
from test_chain import Days

from tap_affiliate_reports.sandbox import Sandbox, SandboxExport

pytestmark = pytest.mark.chain

KINDS = ("advertisers_csv", "deals_excel", "hot_advertisers_excel", "clicks_details_excel")
Table = Callable[[str], list[dict[str, Any]]]


def lowered(row: dict[str, Any]) -> dict[str, Any]:
    return {name.lower(): value for name, value in row.items()}


def in_postgres(value: Any) -> Any:
    """Return a cell as PostgreSQL has it: "" is null, numbers exact, date-times without a zone."""
    if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
        return Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    return None if value == "" else value


def in_duckdb(value: Any) -> Any:
    """Return a cell as DuckDB has it, whose loader makes a DOUBLE of `number`."""
    exact = in_postgres(value)
    return float(exact) if isinstance(exact, Decimal) else exact


# The chain into DuckDB is tested with impact.com, too.
@pytest.fixture(params=["target-postgres", pytest.param("target-duckdb", marks=pytest.mark.slow)])
def loader(
    request: pytest.FixtureRequest, tmp_path: Path
) -> tuple[str, dict[str, str], Callable[[Any], Any], Table]:
    """A loader: its name, its settings, what it makes of a cell, and how its tables are read."""
    if request.param == "target-duckdb":
        path = tmp_path / "warehouse.duckdb"
        return (
            request.param,
            {"TARGET_DUCKDB_PATH": str(path)},
            in_duckdb,
            lambda table: [lowered(row) for row in duckdb_rows(path, table)],
        )
    server: Postgres = request.getfixturevalue("postgres_server")
    server.drop("networks")
    return (
        request.param,
        {
            "TARGET_POSTGRES_SQLALCHEMY_URL": server.sqlalchemy_url,
            "TARGET_POSTGRES_DEFAULT_TARGET_SCHEMA": "networks",
        },
        in_postgres,
        lambda table: [lowered(row) for row in server.rows(table, "networks")],
    )


def start_date() -> str:
    return (datetime.now(timezone.utc) - timedelta(days=40)).date().isoformat()


def downloads(sandbox: Sandbox) -> int:
    return sum(request.origin == "storage" for request in sandbox.requests)


def demo_rows(network: str, variables: dict[str, str]) -> list[tuple[Any, ...]]:
    """Return what the query of a demo finds in DuckDB; nothing of another loader's tables."""
    if "TARGET_DUCKDB_PATH" not in variables:
        return []
    query = (Path(__file__).parents[1] / "demo" / f"{network}.sql").read_text()
    with duckdb.connect(variables["TARGET_DUCKDB_PATH"], read_only=True) as connection:
        return connection.execute(query).fetchall()


def is_whole(export: SandboxExport, sandbox: Sandbox) -> bool:
    """Tell whether an export's rows belong in the warehouse: it is finished and no one's part."""
    return export.status(sandbox.now()) == "completed" and export.parent is None


def test_the_files_of_hienergy_land_and_a_second_night_downloads_only_the_new_one(
    meltano: Meltano,
    loader: tuple[str, dict[str, str], Callable[[Any], Any], Table],
) -> None:
    target, variables, cell, table = loader
    prefix = "TAP_AFFILIATE_REPORTS__HIENERGY_"
    with Sandbox(now=(days := Days()).now, job_seconds=0.1) as sandbox:
        environment = variables | {
            f"{prefix}START_DATE": start_date(),
            f"{prefix}HIENERGY_API_URL": sandbox.base_url("hienergy"),
            f"{prefix}HIENERGY_API_KEY": "sandbox-key",
            f"{prefix}HIENERGY_ACCOUNT": "publisher",
            f"{prefix}HIENERGY_POLL_INTERVAL_SECONDS": "0.1",
            f"{prefix}HIENERGY_CREATE": json.dumps(
                [{"report_type": "deals_excel", "search_params": {"country": "US"}}]
            ),
        }
        run = ("run", "--no-install", "--state-id-suffix", target)
        for night in range(2):
            if night:
                # One new file a night, of a wider table; what the tap created is there already.
                sandbox.hienergy.add("advertisers_csv", ["id", "tier"], [["9", "gold"]])
            before = downloads(sandbox)
            # The list is read before the tap creates an export.
            created = set(sandbox.hienergy.exports)
            meltano(*run, "tap-affiliate-reports--hienergy", target, **environment)
            # Discovery looks into the newest file of each kind.
            if night:
                assert downloads(sandbox) - before == len(KINDS) + 1
            exports = sandbox.hienergy.exports.values()
            for kind in KINDS:
                expected = {}
                for export in exports:
                    if export.report_type == kind and is_whole(export, sandbox):
                        header, rows = sandbox.hienergy.table(export.id)
                        for number, row in enumerate(rows, 1):
                            values = zip(header, map(cell, row), strict=True)
                            expected[export.id, number] = {n.lower(): v for n, v in values}
                landed = {(row["_export_id"], row["_row_number"]): row for row in table(kind)}
                assert len(table(kind)) == len(landed) > 0
                assert landed.keys() == expected.keys()
                for key, values in expected.items():
                    assert {name: landed[key][name] for name in values} == values
                    assert landed[key]["_account"] == "publisher"
                    assert landed[key]["_unparsed"] is None
            listed = {row["id"]: row["status"] for row in table("exports")}
            assert listed.keys() == created
            for name, count in demo_rows("hienergy", variables):
                assert count == len(table(name)) > 0
            days.ahead += timedelta(days=1)


def test_the_report_of_instal_lands_and_a_second_run_downloads_nothing(
    meltano: Meltano,
    loader: tuple[str, dict[str, str], Callable[[Any], Any], Table],
) -> None:
    target, variables, cell, table = loader
    prefix = "TAP_AFFILIATE_REPORTS__INSTAL_"
    plugin = "tap-affiliate-reports--instal"
    integers = ("clicks_aggr", "campaign_id", "conversions_aggr", "publisher_id")
    kinds: dict[str, Callable[[str], Any]] = dict.fromkeys(integers, int)
    kinds |= dict.fromkeys(("cost_aggr", "cr"), lambda text: cell(Decimal(text)))
    with Sandbox(now=(days := Days()).now, job_seconds=0.1, rows_per_day=12) as sandbox:
        environment = variables | {
            f"{prefix}START_DATE": start_date(),
            f"{prefix}INSTAL_API_URL": sandbox.base_url("instal"),
            f"{prefix}INSTAL_AUTH_TOKEN": "sandbox-token",
            f"{prefix}INSTAL_ACCOUNT": "advertiser",
            f"{prefix}INSTAL_POLL_INTERVAL_SECONDS": "0.1",
        }
        run = ("run", "--no-install", "--state-id-suffix", target)
        for _night in range(2):
            meltano(*run, plugin, target, **environment)
            rows = [row for row in table("advertiser_report") if not row["_sdc_deleted_at"]]
            keys = {(row["_window_start"], row["_row_number"]) for row in rows}
            assert len(keys) == len(rows) > 0
            newest = {task.query.start: task for task in sandbox.instal.tasks.values()}
            expected = [
                row
                for task in newest.values()
                for row in sandbox.instal.rows(
                    task.query.start, task.query.stop, moment=task.completed
                )
            ]
            names = sorted(expected[0])
            typed = [
                tuple(kinds.get(name, str)(row[name]) if row[name] else None for name in names)
                for row in expected
            ]
            landed = [tuple(row[name] for name in names) for row in rows]
            assert sorted(landed, key=str) == sorted(typed, key=str)
            if months := demo_rows("instal", variables):
                assert sum(month[1] for month in months) == len(rows)
                assert sum(month[2] for month in months) == sum(r["clicks_aggr"] for r in rows)
            days.ahead += timedelta(days=1)
        # The second night again.
        days.ahead -= timedelta(days=1)
        before = downloads(sandbox)
        meltano(*run, plugin, target, **environment)
        assert downloads(sandbox) == before
