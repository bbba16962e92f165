"""Fixtures that most tests use."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from databases import Postgres, postgres
from faulty import HANGING, READ_TIMEOUT
from harness import FakeClock
from hypothesis import settings

from tap_affiliate_reports.http import Timeouts
from tap_affiliate_reports.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# A busy machine is slow at times; in CI the examples are the same each time.
settings.register_profile("suite", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("suite")


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


@pytest.fixture
def short_timeouts(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Let a client wait a fraction of a second for an answer where one hangs; let it go at the end.

    Elsewhere a busy machine may take its time.
    """
    if any(hangs in request.node.name for hangs in ("timeout", "bad headers")):
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
def meltano(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Run `meltano ...` on this project; its plugins and state are in a folder of the tests."""
    folder = tmp_path_factory.mktemp("meltano")
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("TAP_", "TARGET_", "MELTANO_"))
    }

    def run(*arguments: str, **environment: str) -> str:
        done = subprocess.run(
            [Path(sys.executable).with_name("meltano"), *arguments],
            cwd=Path(__file__).parents[1],
            env=kept | {"MELTANO_SYS_DIR_ROOT": str(folder), "NO_COLOR": "1"} | environment,
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    run.environment = kept | {"MELTANO_SYS_DIR_ROOT": str(folder)}  # for a process of one's own
    run("install", "extractors", "tap-affiliate-reports")
    run("install", "loaders", "target-duckdb", "target-postgres")
    return run
