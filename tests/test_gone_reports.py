"""A report that the account no longer has: a warning, a non-zero end, and all others synced."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from harness import FakeClock, config_for, discover, sync

from tap_affiliate_reports.errors import TapError
from tap_affiliate_reports.sandbox import Attribute, Report, Sandbox


@pytest.fixture
def config(sandbox: Sandbox) -> dict[str, Any]:
    for name in ("orders", "sales"):
        sandbox.impact.add(Report(name, columns=[Attribute("Id")], rows=lambda *_: [["1"]]))
    return config_for(sandbox, reports=["orders", "s*les"])


@pytest.mark.parametrize("known_by", ["bookmark", "catalog"])
def test_a_report_that_is_gone_is_told_and_the_others_are_synced(
    sandbox: Sandbox, clock: FakeClock, config: dict[str, Any], known_by: str
) -> None:
    catalog = discover(config, clock) if known_by == "catalog" else None
    state = sync(config, clock).ok().state if known_by == "bookmark" else {}
    sandbox.impact.remove("sales")
    config["impact"]["reports"] = ["orders"]
    clock.advance(days=1)
    run = sync(config, clock, state=state, catalog=catalog)
    assert isinstance(run.error, TapError)
    assert "sales" in str(run.error)
    assert "orders" not in str(run.error)
    assert run.said("sales", logging.WARNING)
    assert run.records("orders")
    assert run.bookmark("orders") == ("2026-11-19")


def test_a_report_that_no_one_asks_for_may_go(
    sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
) -> None:
    config["impact"]["reports"] = ["orders"]
    state = sync(config, clock).ok().state
    sandbox.impact.remove("sales")
    assert sync(config, clock, state=state).ok().bookmark("orders") == "2026-11-18"
