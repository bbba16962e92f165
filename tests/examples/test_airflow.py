"""The example for Airflow: many accounts, one of them with a bad token, in one PostgreSQL."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from databases import Postgres, get_server

from tap_affiliate_reports.sandbox import LoggedRequest, Response, Sandbox
from tap_affiliate_reports.sandbox.impact import ImpactSandbox, invented_reports

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
EXAMPLE = Path("examples", "airflow")
ACCOUNTS = ("acme", "birch", "cedar", "delta", "ember")
BAD = "delta"
REPORT = "mp_action_listing_fast"


class OneAccount(ImpactSandbox):
    """An account that leaves requests of others to other services."""

    def __call__(self, request: LoggedRequest) -> Response | None:
        is_mine = request.segments[1:2] == [self.account_sid]
        return super().__call__(request) if is_mine else None


@dataclass
class Agency:
    """Five accounts behind one address, by their names; their clock may be ahead."""

    ahead: timedelta = timedelta(0)

    def __post_init__(self) -> None:
        self.sandbox = Sandbox(now=self.now, rows_per_day=12)
        self.accounts = {name: self._account(name) for name in ACCOUNTS}
        self.sandbox.services = dict(self.accounts)

    def _account(self, name: str) -> OneAccount:
        account = OneAccount(
            self.now,
            self.sandbox.storage,
            account_sid=f"IR{name.upper()}",
            auth_token="another" if name == BAD else f"token-of-{name.upper()}",
            job_seconds=0.2,
            exports_per_day=100,
            timezone="America/New_York",
        )
        for report in invented_reports(self.sandbox.account):
            account.add(report)
        return account

    def now(self) -> datetime:
        return datetime.now(timezone.utc) + self.ahead

    @property
    def exports(self) -> dict[str, int]:
        return {name: len(account.exports) for name, account in self.accounts.items()}

    def rows(self, name: str) -> list[tuple[str, str]]:
        """Return the key and the payout of each row of an account's newest files."""
        newest: dict[str, bytes] = {}
        account = self.accounts[name]
        for job in sorted(account.jobs.values(), key=lambda job: job.queued):
            file = job.file(self.now())
            if file is not None:
                newest[job.params["START_DATE"][0]] = file.content
        found = []
        for content in newest.values():
            text = io.StringIO(content.decode("utf-8-sig"), newline="")
            found += [(row["Action_Id"], row["Payout"]) for row in csv.DictReader(text)]
        return sorted(found)


@pytest.fixture
def agency() -> Iterator[Agency]:
    found = Agency()
    with found.sandbox:
        yield found


# The page


def blocks() -> list[str]:
    """Return the commands of the page, block by block."""
    page = (ROOT / EXAMPLE / "README.md").read_text()
    return re.findall(r"```sh\n(.*?)```", page, re.DOTALL)


INSTALL, SETTINGS, AIRFLOW, SHELL = blocks()
*PREPARE, DAGS_TEST = AIRFLOW.strip().splitlines()


def bash(project: Path, *scripts: str, check: bool = True, **environment: str) -> str:
    """Run scripts one after the other, in one shell; return what they printed."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("TAP_", "TARGET_", "MELTANO_", "AIRFLOW", "VIRTUAL_ENV"))
    }
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(scripts)],
        cwd=project,
        env=kept | {"NO_COLOR": "1", **environment},
        capture_output=True,
        text=True,
        timeout=900,
    )
    said = done.stdout + done.stderr
    assert not check or done.returncode == 0, said[-5000:]
    return said


@pytest.fixture(scope="module")
def project() -> Iterator[Path]:
    """A clean clone in which the page's first commands ran."""
    # Not a folder of pytest: only its owner may enter these, and a PostgreSQL of root is another's.
    folder = Path(tempfile.mkdtemp(prefix="airflow-"))
    subprocess.run(["git", "clone", "--quiet", ROOT, folder], check=True)
    bash(folder, INSTALL)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def loaded(server: Postgres) -> dict[str, list[tuple[str, str]]]:
    """Return the key and the payout of each live row, by account."""
    found: dict[str, list[tuple[str, str]]] = {}
    for row in server.rows(REPORT):
        if row["_sdc_deleted_at"] is None:
            payout = f"{row['Payout']:.18f}"
            found.setdefault(row["_account"], []).append((row["Action_Id"], payout))
    return {account: sorted(rows) for account, rows in found.items()}


def test_each_command_of_the_page_runs(project: Path) -> None:
    said = bash(project, SETTINGS, AIRFLOW, SHELL, "echo URL=$TARGET_POSTGRES_SQLALCHEMY_URL")
    (url,) = re.findall(r"^URL=(.*)$", said, re.MULTILINE)
    server = Postgres(url.replace("+psycopg", ""), url)
    try:
        assert set(loaded(server)) == {f"IR{name.upper()}" for name in ACCOUNTS}
    finally:
        get_server(project / ".meltano" / "postgres", cleanup_mode="stop").cleanup()


def test_one_account_that_fails_stops_no_other_and_a_second_run_adds_what_is_new(
    project: Path, agency: Agency, postgres_server: Postgres
) -> None:
    postgres_server.drop()
    own = {
        "TARGET_POSTGRES_SQLALCHEMY_URL": postgres_server.sqlalchemy_url,
        "TAP_AFFILIATE_REPORTS_IMPACT_API_URL": agency.sandbox.url,
        # One second between the retries.
        "AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY": "1",
        "MELTANO_STATE_BACKEND_URI": f"file://{project}/.meltano/states-of-the-agency",
    }
    assignments = "\n".join(f"export {name}={value}" for name, value in own.items())
    exports = []
    for _night in range(2):
        before = agency.exports
        said = bash(project, SETTINGS, assignments, *PREPARE, DAGS_TEST, check=False)
        exports.append({n: count - before[n] for n, count in agency.exports.items()})
        assert states_of(project) == {
            "plan": ["success"],
            "load": ["failed" if name == BAD else "success" for name in ACCOUNTS],
            "behind": ["failed"],
        }
        assert re.search(rf"{BAD} is behind: .*HTTP 401", said)
        assert loaded(postgres_server) == {
            account.account_sid: agency.rows(name)
            for name, account in agency.accounts.items()
            if name != BAD
        }
        agency.ahead += timedelta(days=1)
    assert exports[1] == {name: int(name != BAD) for name in ACCOUNTS}
    assert all(exports[0][name] > 1 for name in ACCOUNTS if name != BAD)


def states_of(project: Path) -> dict[str, list[str]]:
    """Return the states of the tasks of the newest run, those of mapped ones in their order."""

    def listed(command: str) -> list[dict[str, str]]:
        said = bash(project, *PREPARE[:2], f".airflow/bin/airflow {command} -o json 2>/dev/null")
        # Airflow logs to stdout, too.
        return json.loads(said.splitlines()[-1])

    newest = max(run["run_id"] for run in listed("dags list-runs affiliate_reports"))
    tasks = listed(f"tasks states-for-dag-run affiliate_reports '{newest}'")
    found: dict[str, list[str]] = {}
    for task in sorted(tasks, key=lambda task: int(task.get("map_index") or -1)):
        found.setdefault(task["task_id"], []).append(task["state"])
    return found
