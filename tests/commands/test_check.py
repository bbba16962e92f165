"""`--check`: what a sync needs, tried one by one; each problem is one line with what to do."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

import pytest
from command_case import command
from harness import FakeClock, config_for
from hienergy_instal import config_of

from tap_affiliate_reports import configuration
from tap_affiliate_reports.commands import check, text
from tap_affiliate_reports.errors import SettingsError
from tap_affiliate_reports.sandbox import Sandbox, status

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

NAMES = ["credentials", "reports", "metadata", "jobs", "timezone", "clock", "quota"]
BY_DAY = "partner_performance_by_day"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def sandbox(clock: FakeClock) -> Iterator[Sandbox]:
    with Sandbox(now=clock.now) as sandbox:
        yield sandbox


def checked(config: Mapping[str, Any], clock: FakeClock) -> tuple[bool, dict[str, dict[str, Any]]]:
    """Return whether all is well, and the checks by name."""
    document = command("check", config, clock)
    (source,) = document["sources"]
    return document["ok"], {one["name"]: one for one in source["checks"]}


def failed(checks: Mapping[str, Mapping[str, Any]]) -> set[str]:
    return {name for name, one in checks.items() if not one["ok"]}


def test_all_is_well(sandbox: Sandbox, clock: FakeClock) -> None:
    is_ok, checks = checked(config_for(sandbox, reports=[BY_DAY]), clock)
    assert (is_ok, list(checks), failed(checks)) == (True, NAMES, set())
    assert {one["fix"] for one in checks.values()} == {""}
    assert checks["reports"]["detail"] == "1 selected of 9 exportable"
    assert checks["timezone"]["detail"].startswith("America/New_York, from the account's Timezone")
    assert checks["clock"]["detail"] == "the service and this machine have the same time"
    assert "a run may spend 90 (max_exports)" in checks["quota"]["detail"]


def test_it_requests_no_export(sandbox: Sandbox, clock: FakeClock) -> None:
    checked(config_for(sandbox, reports=["*"], clicks=True), clock)
    assert not sandbox.impact.jobs


def test_each_kind_of_export_has_its_limit(sandbox: Sandbox, clock: FakeClock) -> None:
    config = config_for(sandbox, reports=[BY_DAY], clicks=True)
    is_ok, checks = checked(config, clock)
    assert (is_ok, failed(checks)) == (True, set())
    assert checks["quota"]["detail"].endswith(
        "a run may spend 90 (max_exports) and 9 click exports (max_click_exports)"
    )
    assert checks["metadata"]["detail"].endswith(f"columns of {BY_DAY}, clicks")
    config["impact"]["max_click_exports"] = 0
    is_ok, checks = checked(config, clock)
    assert (is_ok, failed(checks)) == (True, {"quota"})
    assert checks["quota"]["detail"] == "a run may spend no click exports"
    assert checks["quota"]["fix"] == "set impact.max_click_exports to more"
    assert not [one for one in sandbox.requests if one.method != "GET"]


@pytest.mark.parametrize("source", ["hienergy", "instal"])
def test_the_other_networks_have_the_same_checks(
    source: str, sandbox: Sandbox, clock: FakeClock
) -> None:
    config = config_of(sandbox, clock.now().date(), **{source: {}})
    is_ok, checks = checked(config, clock)
    assert (is_ok, list(checks), failed(checks)) == (True, NAMES, set())
    assert checks["quota"]["detail"] == "the network has no known limit of exports"


class TestWhatIsWrong:
    def test_a_wrong_token(self, sandbox: Sandbox, clock: FakeClock) -> None:
        is_ok, checks = checked(config_for(sandbox, auth_token="wrong-0815"), clock)
        assert not is_ok
        assert failed(checks) == {"credentials", "reports", "metadata", "jobs", "timezone"}
        assert "HTTP 401" in checks["credentials"]["detail"]
        assert checks["credentials"]["fix"] == "correct impact.account_sid and impact.auth_token"
        assert {checks[name]["detail"] for name in ("reports", "metadata", "jobs")} == {"not tried"}

    @pytest.mark.parametrize("source", ["hienergy", "instal"])
    def test_a_wrong_token_of_another_network(
        self, source: str, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        key = {"hienergy": "api_key", "instal": "auth_token"}[source]
        config = config_of(sandbox, clock.now().date(), **{source: {key: "wrong-0815"}})
        is_ok, checks = checked(config, clock)
        assert not is_ok
        assert checks["credentials"]["fix"] == f"correct {source}.{key}"

    def test_a_token_without_the_scope_of_jobs(self, sandbox: Sandbox, clock: FakeClock) -> None:
        sandbox.impact.forbidden.add("Jobs")
        is_ok, checks = checked(config_for(sandbox, reports=[BY_DAY]), clock)
        assert (is_ok, failed(checks)) == (False, {"jobs"})
        assert "HTTP 403" in checks["jobs"]["detail"]
        assert checks["jobs"]["fix"].startswith("give the token the scope")

    def test_a_token_without_the_scope_of_reports_has_right_credentials(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        sandbox.impact.forbidden.add("ReportList")
        is_ok, checks = checked(config_for(sandbox, reports=[BY_DAY]), clock)
        assert (is_ok, failed(checks)) == (False, {"reports", "metadata"})
        assert checks["credentials"]["detail"] == "accepted, but the token lacks a scope"

    def test_a_service_that_is_down(self, clock: FakeClock) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{taken.getsockname()[1]}"
            config = {
                "start_date": "2026-10-01",
                "impact": {"account_sid": "IRx", "auth_token": "t", "api_url": url},
            }
            is_ok, checks = checked(config, clock)
        assert not is_ok
        assert "ConnectionError" in checks["credentials"]["detail"]
        assert checks["credentials"]["fix"] == (
            "check the network and impact.api_url, then try again"
        )
        assert not checks["clock"]["ok"]

    def test_a_dead_proxy(self, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HTTP_PROXY", "http://user:p4ssword@127.0.0.1:9")
        config = {
            "start_date": "2026-10-01",
            "impact": {"account_sid": "IRx", "auth_token": "t", "api_url": "http://api.example"},
        }
        _, checks = checked(config, clock)
        assert "through the proxy 127.0.0.1:9 (HTTP_PROXY)" in checks["credentials"]["detail"]
        assert checks["credentials"]["fix"].startswith("check the proxy (HTTPS_PROXY, HTTP_PROXY")
        assert "p4ssword" not in str(checks)

    @pytest.mark.parametrize(("days", "shown"), [(2, "2 days, 0:00:00 behind"), (-30, "30 days")])
    def test_a_clock_that_is_days_off_is_no_reason_to_fail(
        self, days: int, shown: str, sandbox: Sandbox
    ) -> None:
        here = FakeClock()
        here.advance(days=days)
        is_ok, checks = checked(config_for(sandbox, reports=[BY_DAY]), here)
        assert (is_ok, failed(checks)) == (True, {"clock"})
        assert shown in checks["clock"]["detail"]
        assert checks["clock"]["fix"] == "set this machine's clock (by NTP)"

    @pytest.mark.parametrize(("minutes", "is_ok"), [(4, True), (5, False), (-4, True), (-5, False)])
    def test_five_minutes_are_too_many(self, minutes: int, is_ok: bool, sandbox: Sandbox) -> None:
        here = FakeClock()
        here.advance(minutes=minutes)
        _, checks = checked(config_for(sandbox, reports=[BY_DAY]), here)
        assert checks["clock"]["ok"] is is_ok

    @pytest.mark.parametrize(
        ("label", "detail"),
        [
            ("(GMT +05:00) Nowhere", "its name is unknown, so summer time is ignored"),
            ("somewhere", "'somewhere' is not a known time zone"),
            (None, "the account has no Timezone"),
        ],
    )
    def test_a_label_that_is_no_zone(
        self, label: str | None, detail: str, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        sandbox.impact.company_timezone = label
        is_ok, checks = checked(config_for(sandbox, reports=[BY_DAY]), clock)
        assert (is_ok, failed(checks)) == (True, {"timezone"})
        assert detail in checks["timezone"]["detail"]
        assert checks["timezone"]["fix"].startswith("set impact.timezone to the account's IANA")

    @pytest.mark.parametrize("code", [401, 400])
    def test_a_zone_that_can_t_be_read_fails_as_in_a_sync(
        self, code: int, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        sandbox.faults.add("CompanyInformation", status(code), times=None)
        is_ok, checks = checked(config_for(sandbox, reports=[BY_DAY]), clock)
        assert (is_ok, failed(checks)) == (False, {"timezone"})
        assert f"HTTP {code}" in checks["timezone"]["detail"]

    def test_an_account_that_does_not_exist(self, sandbox: Sandbox, clock: FakeClock) -> None:
        sandbox.faults.add("GET .*/Reports$", status(404), times=None)
        is_ok, checks = checked(config_for(sandbox, reports=[BY_DAY]), clock)
        assert not is_ok
        assert checks["credentials"]["fix"].startswith("check impact.api_url")

    def test_a_misspelt_report(self, sandbox: Sandbox, clock: FakeClock) -> None:
        is_ok, checks = checked(config_for(sandbox, reports=["partner_performance_by_dya"]), clock)
        assert (is_ok, failed(checks)) == (False, {"reports", "metadata"})
        assert f"similar ids: {BY_DAY}" in checks["reports"]["detail"]
        assert checks["reports"]["fix"] == "correct the setting"

    def test_a_key_that_is_no_column(self, sandbox: Sandbox, clock: FakeClock) -> None:
        options = {BY_DAY: {"primary_keys": ["no_such_column"]}}
        config = config_for(sandbox, reports=[BY_DAY], report_options=options)
        is_ok, checks = checked(config, clock)
        assert (is_ok, failed(checks)) == (False, {"metadata"})
        assert "no_such_column" in checks["metadata"]["detail"]

    def test_no_export_may_be_spent(self, sandbox: Sandbox, clock: FakeClock) -> None:
        is_ok, checks = checked(config_for(sandbox, reports=[BY_DAY], max_exports=0), clock)
        assert (is_ok, failed(checks)) == (True, {"quota"})

    def test_without_reports_the_catalog_decides(self, sandbox: Sandbox, clock: FakeClock) -> None:
        is_ok, checks = checked(config_for(sandbox), clock)
        assert is_ok
        assert checks["reports"]["detail"].endswith("is not set: the catalog selects")
        assert checks["metadata"]["ok"]


class TestTheAccount:
    def test_it_is_masked(self, sandbox: Sandbox, clock: FakeClock) -> None:
        document = command("check", config_for(sandbox, reports=[BY_DAY]), clock)
        assert document["sources"][0]["account"] == "IR***ox"
        assert "IRsandbox" not in json.dumps(document)

    @pytest.mark.parametrize("account", ["", "a", "default", "IR12345"])
    def test_a_short_one_is_masked_whole(self, account: str) -> None:
        assert check.masked(account) == "***"


def settings_of(config: Mapping[str, Any], *, env: bool = False) -> dict[str, tuple[str, str]]:
    return {
        one["setting"]: (one["value"], one["from"])
        for one in configuration.given(config, from_environment=env)
    }


class TestTheSettings:
    def test_each_says_where_its_value_comes_from(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TAP_AFFILIATE_REPORTS_IMPACT_MAX_EXPORTS", "7")
        monkeypatch.setenv("TAP_AFFILIATE_REPORTS_IMPACT_AUTH_TOKEN", "s3cret")
        found = settings_of({"start_date": "2026-01-01", "impact": {"window": "week"}}, env=True)
        assert found["start_date"] == ("2026-01-01", "config file")
        assert found["impact.window"] == ("week", "config file")
        assert found["impact.lookback_days"] == ("60", "default")
        assert found["impact.max_exports"] == (
            "7", "environment variable TAP_AFFILIATE_REPORTS_IMPACT_MAX_EXPORTS",
        )  # fmt: skip
        assert found["impact.auth_token"][0] == "***"
        assert "hienergy.api_url" not in found

    def test_the_environment_counts_only_where_it_is_read(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TAP_AFFILIATE_REPORTS_IMPACT_MAX_EXPORTS", "7")
        assert settings_of({"impact": {"window": "week"}})["impact.max_exports"] == (
            "90", "default",
        )  # fmt: skip

    def test_no_secret_is_shown(self) -> None:
        url = "https://user:s3cret@api.example/Reports/x.json?A=1"
        found = settings_of(
            {
                "impact": {
                    "account_sid": "IRs3cret",
                    "auth_token": "s3cret",
                    "auth_tokne": "s3cret",
                    "api_url": url,
                    "reports": [url],
                },
                "hienergy": {"api_key": "s3cret"},
            }
        )
        assert "s3cret" not in str(found)
        assert found["impact.auth_tokne"][0] == "***"
        assert found["impact.reports"][0] == '["***"]'
        assert found["impact.api_url"][0].startswith("https://***@api.example")

    def test_no_secret_that_stands_where_it_does_not_belong(self) -> None:
        found = settings_of(
            {
                "auth_token": "s3cret",
                "impcat": {"auth_token": "s3cret"},
                "impact": {"window": "day"},
                "batch_config": {"storage": {"params": {"secret": "s3cret"}}},
                "stream_map_config": {"hash_seed": "s3cret"},
            }
        )
        assert "s3cret" not in str(found)
        assert {name for name, (value, _) in found.items() if value == "***"} == {
            "auth_token", "impcat", "batch_config", "stream_map_config",
        }  # fmt: skip

    def test_a_variable_that_can_t_be_read_is_an_error(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TAP_AFFILIATE_REPORTS_IMPACT_MAX_EXPORTS", "many")
        with pytest.raises(SettingsError, match="IMPACT_MAX_EXPORTS"):
            settings_of({"impact": {}}, env=True)


def test_the_text_has_a_line_for_each_check_and_no_line_over_100_columns(
    sandbox: Sandbox, clock: FakeClock, capsys: pytest.CaptureFixture[str]
) -> None:
    sandbox.impact.forbidden.add("Jobs")
    config = config_for(
        sandbox,
        reports=[BY_DAY],
        report_options={BY_DAY: {"filters": {f"FILTER_{number}": "value" for number in range(20)}}},
    )
    document = command("check", config, clock)
    document["settings"] = configuration.given(config, from_environment=False)
    text.show("check", document)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 100
    marks = {line.split()[1]: line.split()[0] for line in lines[1:15] if line[2:4] in {"ok", "FI"}}
    assert marks == dict.fromkeys(NAMES, "ok") | {"jobs": "FIX"}
    assert not [line for line in lines if line.endswith(" ")]
    assert "-> give the token the scope of this endpoint" in " ".join(map(str.strip, lines))
