"""All three sources at once: each fails alone, and none of them silently."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from fault_matrix import nobody
from forks import run_command
from harness import FakeClock, Run, Warehouse, config_for, discover, sync
from hienergy_instal import (
    CSV,
    DEALS,
    FILES,
    REPORT,
    add,
    check_files,
    check_report,
    config_of,
    put_all,
)
from small_source import SmallSource, check_exact

from tap_affiliate_reports.errors import SyncFailed, TapError
from tap_affiliate_reports.sandbox import Attribute, Report, Sandbox, status
from tap_affiliate_reports.sandbox.faults import STEPS
from tap_affiliate_reports.sandbox.impact import Job
from tap_affiliate_reports.selection import NO_REPORTS_IN_CATALOG

pytestmark = pytest.mark.kill

if TYPE_CHECKING:
    from pathlib import Path

START = date(2026, 10, 20)
YESTERDAY = date(2026, 11, 18)
NAMES = ("impact", "hienergy", "instal")
SECRET = {"impact": "auth_token", "hienergy": "api_key", "instal": "auth_token"}


@dataclass
class World:
    """A few rows at each of the three services, and a warehouse for all of them."""

    sandbox: Sandbox
    clock: FakeClock
    source: SmallSource
    warehouse: Warehouse = field(default_factory=Warehouse)

    def config(self, **changes: dict[str, Any]) -> dict[str, Any]:
        config = {
            **config_for(self.sandbox, reports=["sales"], START_DATE=START.isoformat()),
            **config_of(self.sandbox, START, hienergy={}, instal={}),
        }
        for name, change in changes.items():
            config[name] = {**config[name], "job_timeout_seconds": 120, **change}
        return config

    def sync(self, config: dict[str, Any], **options: Any) -> Run:
        run = sync(config, self.clock, **options)
        self.warehouse = Warehouse()
        self.warehouse.load(run.messages)
        return run

    def check(self, *names: str) -> None:
        """Check that these sources are in the warehouse exactly."""
        if "impact" in names:
            check_exact(self.source, self.warehouse, "sales", START, YESTERDAY)
            assert self.warehouse.tables["jobs"]
        if "hienergy" in names:
            check_files(self.sandbox, self.warehouse, START)
            assert len(self.warehouse.tables["exports"]) == 2
        if "instal" in names:
            check_report(self.sandbox, self.warehouse, START, YESTERDAY)


def others(name: str) -> list[str]:
    return [other for other in NAMES if other != name]


@pytest.fixture
def world(sandbox: Sandbox, clock: FakeClock) -> World:
    source = SmallSource(sandbox, clock, ["sales"])
    sandbox.hienergy.clear()
    for kind in (CSV, DEALS):
        add(sandbox, kind, kind, completed_at=clock.now() - timedelta(days=3))
    put_all(sandbox, START, 60)
    return World(sandbox, clock, source)


def test_all_three_are_loaded_at_once(world: World) -> None:
    run = world.sync(world.config()).ok()
    world.check(*NAMES)
    again = sync(world.config(), world.clock, state=run.state).ok()
    for stream in ("sales", REPORT, *FILES):
        assert not again.records(stream)


@pytest.mark.parametrize("name", NAMES)
def test_a_source_that_refuses_its_credentials_does_not_stop_the_others(
    world: World, name: str
) -> None:
    run = world.sync(world.config(**{name: {SECRET[name]: "wrong"}}))
    assert isinstance(run.error, SyncFailed)
    assert f"{name}: " in str(run.error)
    assert "401" in str(run.error)
    for other in others(name):
        assert f"{other}: " not in str(run.error)
    world.check(*others(name))
    bookmarks = run.state["bookmarks"]
    for stream in {"impact": ["sales"], "hienergy": FILES, "instal": [REPORT]}[name]:
        assert "replication_key_value" not in bookmarks.get(stream, {})
    world.sync(world.config(), state=run.state).ok()


@pytest.mark.parametrize("name", NAMES)
def test_a_source_that_is_away_does_not_stop_the_others(world: World, name: str) -> None:
    away = nobody() + world.sandbox.base_url(name).removeprefix(world.sandbox.url)
    run = world.sync(world.config(**{name: {"api_url": away}}))
    assert isinstance(run.error, SyncFailed)
    told = str(run.error)
    assert f"{name}: " in told or f"{REPORT}: " in told
    world.check(*others(name))


LATER = {
    "impact": ("/ReportExport/", "sales"),
    "hienergy": ("GET /api/v1/exports(/|[?]limit=100$)", CSV),
    "instal": (STEPS["instal post"], REPORT),
}


@pytest.mark.parametrize("code", [401, 503])
@pytest.mark.parametrize("name", NAMES)
def test_a_source_that_fails_in_the_midst_of_a_sync_does_not_stop_the_others(
    world: World, name: str, code: int
) -> None:
    pattern, stream = LATER[name]
    known = sync(world.config(), world.clock).ok()  # the columns are known, nothing is to be found
    assert known.streams >= {stream}
    first = world.config()
    catalog = discover(first, world.clock)
    select_all(catalog)
    fault = world.sandbox.faults.add(pattern, status(code), None)
    run = world.sync(first, catalog=catalog)
    assert fault.hits > 0
    assert isinstance(run.error, SyncFailed)
    assert (f"{name}: " if code == 401 else stream) in str(run.error)
    world.check(*others(name))


def select_all(catalog: dict[str, Any]) -> None:
    for stream in catalog["streams"]:
        for entry in stream["metadata"]:
            if entry["breadcrumb"] == []:
                entry["metadata"]["selected"] = True


def test_a_kind_of_files_that_fails_does_not_stop_another(world: World) -> None:
    world.sandbox.hienergy.add(CSV, shown={"download_url": None, "filename": "x"})
    run = world.sync(world.config())
    assert CSV in str(run.error)
    assert DEALS not in str(run.error)
    world.check("impact", "instal")
    assert len(run.records(DEALS)) == 3


@pytest.mark.parametrize("name", NAMES)
def test_a_source_alone_that_refuses_its_credentials_ends_the_run_by_one_line(
    world: World, name: str, tmp_path: Path
) -> None:
    config = {k: v for k, v in world.config().items() if k not in others(name)}
    config[name][SECRET[name]] = "wrong"
    (tmp_path / "config.json").write_text(json.dumps(config))
    for option in ([], ["--discover"] if name != "instal" else []):
        done = run_command(["--config", str(tmp_path / "config.json"), *option], tmp_path)
        assert done.returncode == 1
        errors = [line for line in done.stderr.splitlines() if "ERROR" in line]
        assert len(errors) == 1, done.stderr
        assert "401" in errors[0]
        assert "Traceback" not in done.stderr
        assert '"RECORD"' not in done.stdout


@pytest.mark.parametrize("name", NAMES)
def test_jobs_of_one_source_go_on_while_another_waits(world: World, name: str) -> None:
    """What waits is the slow source; the others' jobs are all asked for long before it is done."""
    asked: dict[str, list[float]] = {other: [] for other in NAMES}
    begin = world.clock.now()
    places: dict[str, Callable[[str], bool]] = {
        "impact": lambda line: "/ReportExport/" in line,
        "hienergy": lambda line: line.startswith("GET /api/v1/exports/"),
        "instal": lambda line: line.startswith("POST /advertiser/"),
    }

    def on_request(request: Any) -> None:
        for other, is_job in places.items():
            if is_job(f"{request.method} {request.path}"):
                asked[other].append((world.clock.now() - begin).total_seconds())

    slow = 900

    def seconds(_: Job) -> float:
        return slow

    if name == "impact":
        world.sandbox.impact.job_seconds = seconds
    elif name == "instal":
        world.sandbox.instal.job_seconds = slow
    else:
        world.sandbox.hienergy.job_seconds = slow
    create = [{"report_type": "clicks_details_excel"}] if name == "hienergy" else []
    world.sandbox.on_request = on_request
    config = world.config(hienergy={"create": create})
    for own in NAMES:
        config[own]["job_timeout_seconds"] = 3600
    world.sync(config).ok()
    for other in others(name):
        assert asked[other], other
        assert min(asked[other]) < slow / 2, other
    assert (world.clock.now() - begin).total_seconds() < 2 * slow


# Names

TAKEN = [REPORT, REPORT.title(), "exports", "Exports", DEALS, "report_windows"]


@pytest.mark.parametrize("taken", TAKEN)
def test_two_streams_of_one_name_are_an_error_if_both_are_wanted(world: World, taken: str) -> None:
    world.sandbox.impact.add(Report(taken, taken, columns=[Attribute("X")]))
    config = world.config()
    config["impact"]["reports"] = ["sales", taken]
    run = world.sync(config)
    assert isinstance(run.error, TapError)
    assert repr(taken) in str(run.error)
    assert "one stream name" in str(run.error)
    assert not run.messages


@pytest.mark.parametrize("taken", ["exports", "Exports", DEALS, "report_windows"])
def test_two_streams_of_one_name_are_a_warning_if_the_report_is_not_wanted(
    world: World, taken: str
) -> None:
    world.sandbox.impact.add(Report(taken, taken, columns=[Attribute("X")]))
    run = world.sync(world.config()).ok()
    assert run.said("one stream name")
    world.check(*NAMES)


# Discovery


@pytest.mark.parametrize("name", ["impact", "hienergy"])
@pytest.mark.parametrize("how", ["refused", "away"])
def test_discovery_gives_the_streams_of_the_others_and_half_a_catalog_is_not_silent(
    world: World, name: str, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    away = nobody() + world.sandbox.base_url(name).removeprefix(world.sandbox.url)
    change = {SECRET[name]: "wrong"} if how == "refused" else {"api_url": away}
    caplog.clear()
    catalog = discover(world.config(**{name: change}), world.clock)
    assert any(r.levelname == "WARNING" and name in r.getMessage() for r in caplog.records)
    streams = {stream["tap_stream_id"] for stream in catalog["streams"]}
    wanted = {"impact": {"sales"}, "hienergy": {CSV, DEALS}, "instal": {REPORT}}
    for other in others(name):
        assert streams >= wanted[other]
    select_all(catalog)
    # The service is back, but the catalog is what it is.
    run = world.sync(world.config(), catalog=catalog)
    if run.error is None:
        world.check(*NAMES)
    else:
        assert name == "impact"
        assert NO_REPORTS_IN_CATALOG % name in str(run.error)
        world.check("hienergy", "instal")
