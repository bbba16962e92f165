"""An account of Hi Energy AI."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from harness import FakeClock
from hienergy_case import (
    DEALS,
    KEY,
    made,
)

from tap_affiliate_reports.sandbox import Sandbox


@pytest.fixture
def sandbox(clock: FakeClock) -> Iterator[Sandbox]:
    """An account whose exports take a minute, with none there at the start."""
    with Sandbox(now=clock.now, job_seconds=60) as running:
        running.hienergy.clear()
        running.hienergy.tables[DEALS] = made
        yield running
        assert not running.unmatched


@pytest.fixture
def config(sandbox: Sandbox) -> dict[str, Any]:
    return {
        "start_date": "2026-11-01",
        "hienergy": {"api_key": KEY, "api_url": sandbox.base_url("hienergy")},
    }
