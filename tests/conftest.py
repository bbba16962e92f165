"""Fixtures that most tests use, the order of the tests, and hypothesis' profiles."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

import pytest
from databases import Postgres, postgres
from fault_matrix import HANGING, READ_TIMEOUT
from harness import FakeClock
from hypothesis import settings
from meltano_project import Meltano

from tap_affiliate_reports.http import Timeouts
from tap_affiliate_reports.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

# `max_examples` scales the counts of `harness.examples`. No deadline: a busy machine is slow. In CI
# the examples are the same each time, so that a red run is a change's own fault.
settings.register_profile("quick", deadline=None, max_examples=10)
settings.register_profile("full", deadline=None, max_examples=100, derandomize="CI" in os.environ)
settings.register_profile("nightly", deadline=None, max_examples=500)
settings.load_profile("full")

# The longest first, so that no worker is left with them at the end.
FIRST = ("chain", "kill", "property")


def pytest_configure(config: pytest.Config) -> None:
    """Give the fast tests, which leave out `kill`, few examples, unless a profile is chosen."""
    is_fast = "not kill" in config.getoption("markexpr")
    if is_fast and not config.getoption("--hypothesis-profile"):
        settings.load_profile("quick")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        marked = (n for n, name in enumerate(FIRST) if item.get_closest_marker(name))
        return next(marked, len(FIRST))

    items.sort(key=place)


@pytest.fixture
def clock() -> FakeClock:
    """A clock that never waits, shared by the tap and the sandbox."""
    return FakeClock()


@pytest.fixture
def sandbox(clock: FakeClock) -> Iterator[Sandbox]:
    """The fake services on real sockets; requests that no route answers fail the test."""
    with Sandbox(now=clock.now, job_seconds=5) as running:
        yield running
        assert not running.unmatched


@pytest.fixture(autouse=True)
def _short_timeouts(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Shorten the client's timeouts in tests marked `hangs`, and end what hangs afterwards."""
    if request.node.get_closest_marker("hangs") is None:
        yield
        return
    monkeypatch.setattr(Timeouts.__init__, "__defaults__", (1.0, READ_TIMEOUT))
    HANGING.clear()
    yield
    HANGING.set()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """A PostgreSQL of the tests' own."""
    with postgres() as server:
        yield server


@pytest.fixture(scope="session")
def meltano(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Meltano:
    """Meltano with the plugins installed, once a run."""
    own = tmp_path_factory.getbasetemp()
    # The parent of the workers' folders is the run's own.
    shared = (own if worker_id == "master" else own.parent) / "plugins"
    shared.mkdir(exist_ok=True)
    with (shared / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        installed = shared / "installed"
        if not installed.exists():
            install = Meltano(shared)
            install("install", "extractors", "tap-affiliate-reports")
            install("install", "loaders", "target-duckdb", "target-postgres")
            install("install", "utilities", "demo-result")
            installed.touch()
    return Meltano(own / "meltano", plugins=shared)
