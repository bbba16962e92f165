"""Full refreshes and reloads by `meltano run` into real databases, stopped half-way and resumed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from databases import Postgres, duckdb_rows
from meltano_project import Meltano
from test_chain import Days, environment, running

from tap_affiliate_reports.sandbox import Attribute, Report, Sandbox

pytestmark = pytest.mark.chain

COLUMNS = [Attribute("Id"), Attribute("Day", "Date"), Attribute("Amount", "Decimal")]


def rows_of(start: date, end: date) -> Iterator[list[str]]:
    """Yield three rows for each day."""
    day = start
    while day <= end:
        for number in range(3):
            yield [f"{day}-{number}", day.isoformat(), f"{day.day}.{number:018}"]
        day += timedelta(days=1)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with running(Days()) as sandbox:
        report = Report("orders", columns=COLUMNS, rows=lambda start, end, *_: rows_of(start, end))
        sandbox.impact.add(report)
        yield sandbox


def live(rows: list[dict[str, Any]]) -> Counter[tuple[str, Decimal]]:
    lowered = ({key.lower(): value for key, value in row.items()} for row in rows)
    return Counter(
        (row["id"], Decimal(row["amount"])) for row in lowered if row["_sdc_deleted_at"] is None
    )


def there(start: str, last: date) -> Counter[tuple[str, Decimal]]:
    return Counter(
        (key, Decimal(amount)) for key, _, amount in rows_of(date.fromisoformat(start), last)
    )


def last_day(sandbox: Sandbox) -> date:
    """Return the last day asked for by an export of the report."""
    requests = [job.params for job in sandbox.impact.jobs.values() if job.report_id == "orders"]
    return max(date.fromisoformat(params["END_DATE"][0]) for params in requests)


def test_a_full_refresh_that_the_quota_stops_is_resumed_by_ordinary_runs_in_postgres(
    meltano: Meltano, postgres_server: Postgres, sandbox: Sandbox
) -> None:
    variables = environment("TAP_AFFILIATE_REPORTS_", sandbox) | {
        "TAP_AFFILIATE_REPORTS_IMPACT_REPORTS": '["orders"]',
        "TAP_AFFILIATE_REPORTS_IMPACT_WINDOW": "week",
        "TAP_AFFILIATE_REPORTS_ON_QUOTA": "warn",
        "TARGET_POSTGRES_SQLALCHEMY_URL": postgres_server.sqlalchemy_url,
        "TARGET_POSTGRES_DEFAULT_TARGET_SCHEMA": "stopped",
    }
    run = ("run", "--no-install", "--state-id-suffix", "stopped")
    steps = ("tap-affiliate-reports", "target-postgres")
    start = variables["TAP_AFFILIATE_REPORTS_START_DATE"]

    def exports(*arguments: str, **more: str) -> int:
        before = len(sandbox.impact.exports)
        meltano(*run, *arguments, *steps, **variables | more)
        return len(sandbox.impact.exports) - before

    def shown() -> Counter[tuple[str, Decimal]]:
        return live(postgres_server.rows("orders", "stopped"))

    windows = exports()
    assert windows in {11, 12}
    expected = there(start, last_day(sandbox))
    assert shown() == expected
    assert exports("--full-refresh", TAP_AFFILIATE_REPORTS_IMPACT_MAX_EXPORTS="4") == 4
    assert shown() == expected, "nothing is retired before all is loaded"
    assert exports(TAP_AFFILIATE_REPORTS_IMPACT_MAX_EXPORTS="5") == 5
    assert exports() == windows - 9
    assert shown() == expected
    assert exports() == 0
    assert shown() == expected


def test_a_reload_of_weeks_in_place_of_months_is_killed_and_resumed_in_duckdb(
    meltano: Meltano, sandbox: Sandbox, tmp_path: Path
) -> None:
    warehouse = tmp_path / "warehouse.duckdb"
    prefix = "TAP_AFFILIATE_REPORTS__DEMO_"
    variables = environment(prefix, sandbox) | {
        f"{prefix}IMPACT_REPORTS": '["orders"]',
        f"{prefix}IMPACT_CLICKS": "false",
        "TARGET_DUCKDB_PATH": str(warehouse),
    }
    run = ("run", "--no-install", "--state-id-suffix", "reload")
    steps = ("tap-affiliate-reports--demo", "target-duckdb")
    start = variables[f"{prefix}START_DATE"]
    meltano(*run, *steps, **variables)
    expected = there(start, last_day(sandbox))
    assert live(duckdb_rows(warehouse, "orders")) == expected
    months = len(sandbox.impact.exports)

    weekly = variables | {f"{prefix}IMPACT_WINDOW": "week"}
    command = [Path(sys.executable).with_name("meltano"), *run, *steps]
    sandbox.impact.job_seconds = 1
    killed = subprocess.Popen(
        command,
        cwd=Path(__file__).parents[1],
        env=meltano.environment | weekly | {f"{prefix}RELOAD": "all"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    # Two windows are on their way to the loader, and the rest is not.
    deadline = time.monotonic() + 120
    while _downloads(sandbox) < months + 3 and time.monotonic() < deadline:
        assert killed.poll() is None, killed.communicate()[0].decode()
        time.sleep(0.05)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    exported = len(sandbox.impact.exports)
    sandbox.impact.job_seconds = 0.1

    # Meltano believes for a while that the killed run goes on.
    meltano(*run, "--force", *steps, **weekly | {f"{prefix}RELOAD": "all"})
    assert live(duckdb_rows(warehouse, "orders")) == expected
    windows = len({tuple(sorted(map(str, dict(job.params).items()))) for job in
                   sandbox.impact.jobs.values()}) - months  # fmt: skip
    assert windows in {11, 12}
    # The loader was killed before it gave back a STATE, or after: then some windows are done.
    assert len(sandbox.impact.exports) - exported <= windows
    spent = len(sandbox.impact.exports)
    meltano(*run, "--force", *steps, **weekly)
    assert live(duckdb_rows(warehouse, "orders")) == expected
    assert len(sandbox.impact.exports) == spent


def _downloads(sandbox: Sandbox) -> int:
    return sum(request.path.endswith("/Download") for request in sandbox.requests)
