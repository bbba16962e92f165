"""What --dbt writes, in dbt itself: its tests pass on a warehouse that Meltano loaded, or fail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest
from meltano_project import Meltano
from test_chain import REPORTS, Days, environment, running

pytestmark = [pytest.mark.slow, pytest.mark.chain]

# dbt-core 1.12 needs a package that downloads its binary from elsewhere than the package index.
PACKAGES = ("dbt-duckdb>=1.9,<2", "dbt-core>=1.11,<1.12")
LISTING = "mp_action_listing_fast"
OPTIONS = {LISTING: {"primary_keys": ["Action_Id"]}}
PROJECT = {"name": "shop", "version": "1.0", "profile": "shop"}


class Dbt:
    """dbt in an environment of its own, and a project whose models are in `models`."""

    def __init__(self, folder: Path, warehouse: Path) -> None:
        self.folder = folder
        self.models = folder / "models" / "affiliate"
        uv = Path(sys.executable).with_name("uv")
        subprocess.run([uv, "venv", "--quiet", folder / "venv"], check=True)
        python = folder / "venv" / "bin" / "python"
        subprocess.run([uv, "pip", "install", "--quiet", "--python", python, *PACKAGES], check=True)
        output = {"type": "duckdb", "path": str(warehouse)}
        profiles = {"shop": {"target": "dev", "outputs": {"dev": output}}}
        # JSON is YAML.
        (folder / "dbt_project.yml").write_text(json.dumps(PROJECT))
        (folder / "profiles.yml").write_text(json.dumps(profiles))

    def __call__(self, *arguments: str, fails: bool = False) -> dict[str, str]:
        """Run dbt; return the status of each node by its name."""
        done = subprocess.run(
            [self.folder / "venv" / "bin" / "dbt", *arguments, "--show-all-deprecations"],
            cwd=self.folder,
            env=os.environ | {"DBT_SEND_ANONYMOUS_USAGE_STATS": "false"},
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == fails, done.stdout
        assert "deprecat" not in done.stdout.lower(), done.stdout
        name = "sources" if arguments[0] == "source" else "run_results"
        results = json.loads((self.folder / "target" / f"{name}.json").read_text())["results"]
        return {result["unique_id"].split(".", 2)[2]: result["status"] for result in results}


def statuses(results: dict[str, str], prefix: str) -> dict[str, str]:
    return {name: status for name, status in results.items() if name.startswith(prefix)}


def test_dbt_builds_the_warehouse_and_finds_a_duplicate_key(
    meltano: Meltano, tmp_path: Path
) -> None:
    warehouse = tmp_path / "warehouse.duckdb"
    dbt = Dbt(tmp_path, warehouse)
    options = {"REPORT_OPTIONS": json.dumps(OPTIONS)}
    with running(Days()) as sandbox:

        def variables(prefix: str) -> dict[str, Any]:
            own = {f"{prefix}IMPACT_{name}": value for name, value in options.items()}
            return environment(prefix, sandbox) | own

        meltano(
            "run", "--no-install", "--state-id-suffix", "dbt",
            "tap-affiliate-reports--demo", "target-duckdb",
            TARGET_DUCKDB_PATH=str(warehouse),
            **variables("TAP_AFFILIATE_REPORTS__DEMO_"),
        )  # fmt: skip
        subprocess.run(
            [sys.executable, "-m", "tap_affiliate_reports", "--config=ENV", f"--dbt={dbt.models}"],
            env=os.environ | variables("TAP_AFFILIATE_REPORTS_"),
            check=True,
            timeout=60,
        )
    results = dbt("build")
    assert set(results.values()) == {"pass", "success"}
    assert len(statuses(results, "stg_affiliate__")) == len(REPORTS)
    assert len(statuses(results, "unique_affiliate_")) == len(REPORTS) + 4
    assert not statuses(results, "unique_affiliate_jobs_key_in_snowflake")
    assert len(statuses(results, "source_not_null_")) > 3 * len(REPORTS)
    fresh = dbt("source", "freshness")
    assert len(fresh) == len(REPORTS)
    assert set(fresh.values()) == {"pass"}
    dbt("compile", "--vars", "affiliate_schema: raw_affiliate")
    compiled = next(dbt.folder.glob(f"target/compiled/**/stg_affiliate__{LISTING}.sql"))
    assert '"raw_affiliate"' in compiled.read_text()
    with duckdb.connect(str(warehouse)) as connection:
        models = "main.stg_affiliate__"
        live = f"FROM affiliate.{LISTING} WHERE _sdc_deleted_at IS NULL"
        (counts,) = connection.execute(
            f"SELECT (SELECT count(*) {live}), (SELECT count(*) FROM {models}{LISTING})"
        ).fetchall()
        assert counts[0] == counts[1] > 0
        # The loader's table has a primary key, which would refuse the row.
        for table in (LISTING, "report_12172"):
            connection.execute(f"CREATE TABLE copy AS FROM affiliate.{table}")
            connection.execute(f"INSERT INTO copy FROM affiliate.{table} LIMIT 1")
            connection.execute(f"DROP TABLE affiliate.{table}")
            connection.execute(f"CREATE TABLE affiliate.{table} AS FROM copy")
            connection.execute("DROP TABLE copy")
    failed = dbt("build", fails=True)
    assert {name for name, status in failed.items() if status == "fail"} == {
        name for name in failed if name.startswith(
            (f"unique_affiliate_{LISTING}_key.", "unique_affiliate_report_12172_key.")
        )
    }  # fmt: skip
