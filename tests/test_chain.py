"""The whole chain: sandbox -> tap -> real loader -> real database, by `meltano run`, twice."""

from __future__ import annotations

import csv
import io
import json
import re
import runpy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from databases import Postgres, duckdb_rows
from meltano_project import Meltano

from tap_affiliate_reports.sandbox import Attribute, Report, Sandbox

pytestmark = pytest.mark.chain

REPORTS = [
    "mp_action_listing_fast",
    "mp_action_listing_sku",
    "partner_performance_by_program",
    "12172",
    "tracking_value_list",
]
TABLES = {report: f"report_{report}" if report.isdigit() else report for report in REPORTS}
TABLES_WITH_CLICKS = {**TABLES, "clicks": "clicks"}
# ClickExport has no MetaData; all other columns are texts.
KINDS_OF_CLICKS = {
    "EventDate": "Date",
    "CpcBid": "Decimal",
    "Payout": "Decimal",
    "UniqueClick": "Boolean",
}


class Days:
    """The sandbox's clock: the real one, some days ahead."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(timezone.utc) + self.ahead


@contextmanager
def running(days: Days) -> Iterator[Sandbox]:
    with Sandbox(now=days.now, job_seconds=0.1, rows_per_day=12) as sandbox:
        yield sandbox


def environment(prefix: str, sandbox: Sandbox) -> dict[str, str]:
    start = (datetime.now(timezone.utc) - timedelta(days=70)).date().isoformat()
    return {
        f"{prefix}START_DATE": start,
        f"{prefix}IMPACT_API_URL": sandbox.url,
        f"{prefix}IMPACT_ACCOUNT_SID": "IRsandbox",
        f"{prefix}IMPACT_AUTH_TOKEN": "sandbox-token",
        f"{prefix}IMPACT_REPORTS": json.dumps(REPORTS),
        f"{prefix}IMPACT_POLL_INTERVAL_SECONDS": "0.1",
    }


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(timezone.utc).replace(tzinfo=None)


# DataType prefix -> what PostgreSQL holds of a text of the report.
POSTGRES: Mapping[str, Callable[[str], Any]] = {
    "Decimal": Decimal,
    "Integer": int,
    "Boolean": lambda text: text == "true",
    "Date": utc,
    "String": str,
}


# DuckDB's loader stores these decimals as text, with every digit.
DUCKDB = {**POSTGRES, "Decimal": str}


def attributes_of(sandbox: Sandbox, report: str) -> Sequence[Attribute]:
    """Return the columns of a report, or of the clicks, with their types."""
    if report != "clicks":
        return sandbox.impact.reports[report].columns
    names = [column.name for column in sandbox.impact.clicks.columns]
    return [Attribute(name, KINDS_OF_CLICKS.get(name, "String")) for name in names]


def newest_files(sandbox: Sandbox, report: str) -> dict[str, list[list[str]]]:
    """Return the rows of each window's newest file, as the service made them, by start date."""
    files: dict[str, tuple[str, bytes]] = {}
    for job in sandbox.impact.jobs.values():
        file = job.file(sandbox.now()) if job.report_id == report else None
        if file is not None:
            start = str(job.params.get("START_DATE") or job.params.get("Date"))
            end = str(job.params.get("END_DATE"))
            if start not in files or files[start][0] < end:
                files[start] = (end, file.content)
    return {
        start: list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))[1:]
        for start, (_, content) in files.items()
    }


def expected(
    sandbox: Sandbox, report: str, values: Mapping[str, Callable[[str], Any]], null: str | None
) -> list[tuple[Any, ...]]:
    """Return the report's rows, typed as the warehouse has them, in the order of the key."""
    columns = attributes_of(sandbox, report)
    parsers = [values[column.data_type.split(" ")[0]] for column in columns]
    rows = []
    for _, window in sorted(newest_files(sandbox, report).items()):
        for number, row in enumerate(window, 1):
            typed = [
                parse(text) if text else None for parse, text in zip(parsers, row, strict=True)
            ]
            rows.append((number, *[null if value == "" else value for value in typed]))
    return rows


def loaded(rows: list[dict[str, Any]], report: str, sandbox: Sandbox) -> list[tuple[Any, ...]]:
    """Return what a table holds, as `expected` does; DuckDB's loader lowers the names."""
    attributes = [column.name for column in attributes_of(sandbox, report)]
    # Report 12172 has names that differ only in case: the second one has a suffix.
    names, seen = [], set()
    for name in attributes:
        names.append(f"{name}_2" if name.lower() in seen else name)
        seen.add(name.lower())
    lowered = [{key.lower(): value for key, value in row.items()} for row in rows]
    lowered.sort(key=lambda row: (str(row["_window_start"]), row["_row_number"]))
    return [
        (row["_row_number"], *[row[name.lower()] for name in names])
        for row in lowered
        if row["_sdc_deleted_at"] is None
    ]


def test_what_lands_in_postgres_is_what_the_service_has_and_a_second_night_adds_only_what_is_new(
    meltano: Meltano, postgres_server: Postgres
) -> None:
    days = Days()
    with running(days) as sandbox:
        variables = environment("TAP_AFFILIATE_REPORTS_", sandbox) | {
            "TAP_AFFILIATE_REPORTS_IMPACT_CLICKS": "true",
            "TARGET_POSTGRES_SQLALCHEMY_URL": postgres_server.sqlalchemy_url,
        }
        run = ("run", "--no-install", "tap-affiliate-reports", "target-postgres")
        exports, windows, left = [], [], []
        for night in range(2):
            before = len(sandbox.impact.exports)
            said = meltano(*run, **variables)
            exports.append(len(sandbox.impact.exports) - before)
            assert len(sandbox.impact.click_exports) == 9 * (night + 1)
            left.append(int(re.findall(r"clicks: (\d+) windows not loaded", said)[0]))
            for report, table in TABLES_WITH_CLICKS.items():
                rows = postgres_server.rows(table)
                assert loaded(rows, report, sandbox) == expected(sandbox, report, POSTGRES, "")
                keys = [(row["_window_start"], row["_row_number"]) for row in rows]
                assert len(keys) == len(set(keys))
            table = postgres_server.rows("mp_action_listing_fast")
            windows.append({(row["_window_start"], row["_window_end"]) for row in table})
            days.ahead += timedelta(days=1)
        # The second night asks for the open slot of each of the four dated reports, no more.
        assert exports[1] == 4 < exports[0]
        # It loads nine more days of clicks, and there is one day more.
        assert left[1] == left[0] - 8
        assert max(windows[0])[1] < max(windows[1])[1]
        types = postgres_server.types("mp_action_listing_fast")
        assert types["Payout"] == "numeric"
        assert types["_unparsed"] in {"text", "character varying"}
        check_lists(sandbox, postgres_server)


def check_lists(sandbox: Sandbox, server: Postgres) -> None:
    """Check that the lists landed, too, with their objects."""
    assert len({row["Id"] for row in server.rows("reports")}) == len(sandbox.impact.reports)
    metadata = {row["Id"]: row for row in server.rows("report_metadata")}
    assert len(metadata["12172"]["Attributes"]) == len(sandbox.impact.reports["12172"].columns)
    jobs = {row["Id"] for row in server.rows("jobs")}
    assert jobs <= set(sandbox.impact.jobs)
    assert jobs


def test_what_lands_in_duckdb_is_what_the_service_has_and_a_second_night_adds_only_what_is_new(
    meltano: Meltano, tmp_path: Path
) -> None:
    days = Days()
    warehouse = tmp_path / "warehouse.duckdb"
    with running(days) as sandbox:
        variables = environment("TAP_AFFILIATE_REPORTS__DEMO_", sandbox) | {
            "TARGET_DUCKDB_PATH": str(warehouse)
        }
        run = ("run", "--no-install", "demo", "--state-id-suffix", "chain")
        exports = []
        for _night in range(2):
            before = len(sandbox.impact.exports)
            # The job of README's first command, which ends with its result.
            said = meltano(*run, **variables)
            exports.append(len(sandbox.impact.exports) - before)
            for report, table in TABLES_WITH_CLICKS.items():
                rows = duckdb_rows(warehouse, table)
                assert loaded(rows, report, sandbox) == expected(sandbox, report, DUCKDB, None)
            days.ahead += timedelta(days=1)
        assert exports[1] == 4 < exports[0]
        check_demo_result(said, meltano, warehouse, variables)


def check_demo_result(
    said: str, meltano: Meltano, warehouse: Path, variables: Mapping[str, str]
) -> None:
    """Check that a demo ends with the exact sums of the live rows, and with a command that runs."""
    lines = re.findall(r"demo-result +(.*)", said)
    assert str(warehouse) in lines[0]
    assert lines[1].split() == ["month", "status", "actions", "USD", "EUR", "JPY"]
    sums: dict[tuple[str, str], list[Decimal]] = {}
    for row in duckdb_rows(warehouse, "mp_action_listing_fast"):
        if row["_sdc_deleted_at"] is None:
            of = sums.setdefault((row["_window_start"][:7], row["status"]), [Decimal(0)] * 4)
            of[0] += 1
            of[["USD", "EUR", "JPY"].index(row["currency"]) + 1] += Decimal(row["payout"])
    assert {status for _, status in sums} == {"APPROVED", "PENDING", "REVERSED"}
    cent = Decimal("0.01")
    # The path of the sync report is between the table and the next command.
    table = [line for line in lines[2:] if re.match(r"\d{4}-\d\d ", line)]
    assert [tuple(line.split()) for line in table] == [
        (*key, str(count), *(str(payout.quantize(cent, ROUND_HALF_UP)) for payout in payouts))
        for key, (count, *payouts) in sorted(sums.items())
    ]
    (command,) = re.findall(r"^Next: uv run meltano (.*)$", lines[-1])
    columns = meltano(*command.split(), **variables)
    assert all(name in columns for name in ("Action_Id", "Identifier of the action", "APPROVED"))


def test_each_demo_ends_with_its_result_and_a_command_that_there_is() -> None:
    root = Path(__file__).parents[1]
    project = yaml.safe_load((root / "meltano.yml").read_text())
    plugins = {plugin["name"]: plugin for kind in project["plugins"].values() for plugin in kind}
    following = runpy.run_path(str(root / "demo" / "show.py"))["NEXT"]
    for job in project["jobs"][:3]:
        *_, last = job["tasks"]
        _, network = last.split(":")
        assert plugins["demo-result"]["commands"][network].split()[:2] == [
            "$MELTANO_PROJECT_ROOT/demo/show.py",
            network,
        ]
        plugin, command = following[network].split()[0].split(":")
        assert plugin == job["tasks"][0].split()[0]
        assert command in plugins["tap-affiliate-reports"]["commands"]
        assert (root / "demo" / f"{network}.sql").exists()


def test_meltano_tests_the_configuration_without_an_export(meltano: Meltano) -> None:
    with running(Days()) as sandbox:
        said = meltano(
            "config", "test", "tap-affiliate-reports",
            **environment("TAP_AFFILIATE_REPORTS_", sandbox),
        )  # fmt: skip
        assert "Plugin configuration is valid" in said
        assert sandbox.impact.exports == []


def test_postgres_follows_a_source_that_loses_rows_and_a_full_refresh_of_another_shape(
    meltano: Meltano, postgres_server: Postgres
) -> None:
    """The columns that Meltano deselects stay out of it all the time."""
    rows = [[f"2026-{number:03}", f"{number}.000000000000000001"] for number in range(30)]
    names = ("Id", "Customer_City", "Customer_Name")
    report = Report(
        "orders",
        columns=[*map(Attribute, names), Attribute("Amount", "Decimal")],
        rows=lambda start, *_: [[f"{start}-{key}", "Oslo", "Ada", amount] for key, amount in rows],
    )
    days = Days()
    with running(days) as sandbox:
        sandbox.impact.add(report)
        variables = environment("TAP_AFFILIATE_REPORTS_", sandbox) | {
            "TAP_AFFILIATE_REPORTS_IMPACT_REPORTS": '["orders"]',
            "TAP_AFFILIATE_REPORTS__SELECT": '["*.*", "!orders.Customer_*", "!orders._account"]',
            "TARGET_POSTGRES_SQLALCHEMY_URL": postgres_server.sqlalchemy_url,
            "TARGET_POSTGRES_DEFAULT_TARGET_SCHEMA": "changes",
        }
        run = ("run", "--no-install", "--state-id-suffix", "changes")
        steps = ("tap-affiliate-reports", "target-postgres")

        def check() -> int:
            """Compare what is live with the newest files; return how many rows are not."""
            table = postgres_server.rows("orders", "changes")
            live = [row for row in table if row["_sdc_deleted_at"] is None]
            assert not [row for row in live if row["_deleted"]]
            newest = newest_files(sandbox, "orders")
            assert sorted((row["Id"], row["Amount"]) for row in live) == sorted(
                (key, Decimal(amount)) for window in newest.values() for key, *_, amount in window
            )
            assert not {*names[1:]} & table[0].keys(), "deselected"
            assert table[0]["_account"] == "IRsandbox", "a part of the key is always selected"
            return len(table) - len(live)

        meltano(*run, *steps, **variables)
        assert check() == 0
        del rows[7:25:2]
        days.ahead += timedelta(days=1)
        meltano(*run, *steps, **variables)
        windows = len(newest_files(sandbox, "orders"))
        assert check() == 9 * windows
        sandbox.impact.jobs.clear()
        meltano(
            *run, "--full-refresh", *steps, TAP_AFFILIATE_REPORTS_IMPACT_WINDOW="week", **variables
        )
        assert check() > 0
