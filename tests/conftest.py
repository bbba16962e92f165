"""Fixtures that most tests use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from harness import FakeClock

from tap_affiliate_reports.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator


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
