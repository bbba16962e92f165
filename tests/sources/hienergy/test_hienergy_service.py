"""Links that expire, limits, and keys that are refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from harness import FakeClock, discover, sync
from hienergy_case import (
    DEALS,
    KEY,
    add,
    deals,
    error_of,
    having,
    only,
)

from tap_affiliate_reports.errors import Unauthorized
from tap_affiliate_reports.sandbox import Sandbox, body, status


class TestLinks:
    def test_no_key_goes_to_the_storage_and_no_link_is_used_that_expired(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        add(sandbox, "a")
        catalog = discover(config, clock)
        sandbox.requests.clear()
        sandbox.faults.add("storage", status(403))
        run = sync(config, clock, catalog=catalog).ok()
        assert deals(run) == ["a"]
        files = [request for request in sandbox.requests if request.origin == "storage"]
        assert [request.status for request in files] == [403, 200]
        assert files[0].path != files[1].path, "a fresh link"
        assert not [r for r in files if "X-Api-Key" in r.headers or "Authorization" in r.headers]

    def test_a_link_that_is_always_refused_is_an_error(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        add(sandbox, "a")
        sandbox.faults.add("storage", status(403), times=None)
        run = sync(config, clock)
        assert "403" in error_of(run)
        assert "X-Signature" not in "".join(r.getMessage() for r in run.log)
        assert run.bookmark(DEALS) is None

    def test_a_file_that_is_not_ready_is_waited_for(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        add(sandbox, "a")
        catalog = discover(config, clock)
        sandbox.faults.add("storage", status(202, body=b"{}"), times=2)
        assert deals(sync(config, clock, catalog=catalog).ok()) == ["a"]
        assert sum(clock.slept) > 0
        sandbox.faults.add("storage", status(202, body=b"{}"), times=None)
        run = sync(having(config, job_timeout_seconds=60), clock, catalog=catalog)
        assert "was not finished after 60 s" in error_of(run)

    def test_a_file_that_is_not_ready_has_no_columns_yet(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        add(sandbox, "a")
        sandbox.faults.add("storage", status(202, body=b"{}"))
        assert deals(sync(config, clock).ok()) == ["a"]


class TestRateLimits:
    @pytest.mark.parametrize("spared", range(4))
    def test_what_a_limit_leaves_is_loaded_next_time(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any], spared: int
    ) -> None:
        names = ["a", "b", "c", "d"]
        for number, name in enumerate(names):
            add(sandbox, name, ago=9 - 2 * number)
        catalog = only(discover(config, clock), DEALS)
        limit = status(429, {"Retry-After": "3600"})
        sandbox.faults.add("hienergy read", limit, times=1, after=spared)
        run = sync(having(config, max_concurrent_jobs=1), clock, catalog=catalog)
        assert "rate limit" in error_of(run).lower()
        emitted = deals(run)
        assert names[spared] not in emitted
        run = sync(config, clock, catalog=catalog, state=run.state).ok()
        assert sorted(emitted + deals(run)) == names

    def test_what_is_loaded_after_one_that_is_left_does_not_pass_it_over(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        _, left, _ = (add(sandbox, name, ago=ago) for name, ago in (("a", 9), ("b", 6), ("c", 3)))
        catalog = only(discover(config, clock), DEALS)
        running = json.dumps({"export": {"id": left.id, "status": "processing"}}).encode()
        one = f"GET /api/v1/exports/{left.id}"
        sandbox.faults.add(one, body(running, "application/json"))
        sandbox.faults.add(one, status(429, {"Retry-After": "3600"}))
        run = sync(config, clock, catalog=catalog)
        assert "rate limit" in error_of(run).lower()
        assert (deals(run), run.bookmark(DEALS)) == (["a", "c"], "2026-11-13T15:00:00Z")
        run = sync(config, clock, catalog=catalog, state=run.state).ok()
        assert deals(run) == ["b"]
        assert sync(config, clock, catalog=catalog, state=run.state).ok().records(DEALS) == []

    def test_a_short_pause_is_made(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        add(sandbox, "a")
        sandbox.faults.add("hienergy list", status(429, {"X-RateLimit-Reset": "77"}))
        assert deals(sync(config, clock).ok()) == ["a"]
        assert 77 in clock.slept


class TestCredentials:
    def test_a_bad_key_is_one_clear_error(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any]
    ) -> None:
        run = sync(having(config, api_key="another-key"), clock)
        assert isinstance(run.error, Unauthorized)
        assert "another-key" not in error_of(run)
        assert run.states == [] or DEALS not in run.state.get("bookmarks", {})

    @pytest.mark.parametrize("code", [401, 503])
    def test_an_account_that_can_not_be_read_does_not_stop_another_source(
        self, sandbox: Sandbox, clock: FakeClock, config: dict[str, Any], code: int
    ) -> None:
        add(sandbox, "a")
        instal = {"auth_token": "sandbox-token", "api_url": sandbox.base_url("instal")}
        both = {**config, "start_date": "2026-11-17", "instal": instal}
        state = sync(both, clock).ok().state
        catalog = discover(both, clock)
        sandbox.faults.add("hienergy list", status(code), times=None)
        clock.advance(days=1)
        for chosen in (None, catalog):
            run = sync(both, clock, state=state, catalog=chosen)
            assert f"HTTP {code}" in error_of(run)
            assert run.bookmark("advertiser_report") == "2026-11-19"
            assert run.state["bookmarks"][DEALS] == state["bookmarks"][DEALS]

    @pytest.mark.parametrize(
        ("own", "named"),
        [
            ({"api_key": None}, "hienergy.api_key"),
            ({"api_key": ""}, "hienergy.api_key"),
            ({"create": [{"report_type": "coupons_excel"}]}, "hienergy.create.0.report_type"),
            ({"create": [{"search_params": {}}]}, "hienergy.create.0.report_type"),
            ({"create": [{"report_type": DEALS, "q": 1}]}, "hienergy.create.0.q"),
            ({"create": {"report_type": DEALS}}, "hienergy.create"),
            ({"create": [{"report_type": DEALS, "search_params": [1]}]}, "search_params"),
            ({"reports": ["*"]}, "hienergy.reports"),
            ({"max_exports": 5}, "hienergy.max_exports"),
        ],
    )
    def test_a_wrong_setting_is_refused_by_one_line_that_names_it(
        self,
        sandbox: Sandbox,
        clock: FakeClock,
        config: dict[str, Any],
        own: dict[str, Any],
        named: str,
    ) -> None:
        run = sync(having(config, **own), clock)
        (line,) = getattr(run.error, "errors", [])
        assert named in line
        assert KEY not in line
        assert not sandbox.requests
