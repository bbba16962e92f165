"""Settings: each wrong one is refused by one line that names it and tells no secret."""

from __future__ import annotations

import json
import logging
import signal
from typing import TYPE_CHECKING, Any

import pendulum
import pytest
from harness import FakeClock, Run, config_for, listening, sync
from singer_sdk.exceptions import ConfigValidationError

from tap_affiliate_reports.configuration import config_schema
from tap_affiliate_reports.errors import TapError
from tap_affiliate_reports.sandbox import Attribute, Report, status
from tap_affiliate_reports.tap import TapAffiliateReports

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tap_affiliate_reports.sandbox import Sandbox

TOKEN = "s3cret-t0ken-of-mine"
NOWHERE = "http://127.0.0.1:9"
ENV = "TAP_AFFILIATE_REPORTS_"


def settings(impact: Any = (), **top: Any) -> dict[str, Any]:
    """Return settings that are right but for what is given; None takes one away."""
    own = {"account_sid": "IRmine", "auth_token": TOKEN, "api_url": NOWHERE}
    whole = {"start_date": "2026-09-10", "impact": own, **top}
    if isinstance(impact, dict):
        own.update(impact)
        whole["impact"] = {key: value for key, value in own.items() if value is not None}
    elif impact != ():
        whole["impact"] = impact
    return {key: value for key, value in whole.items() if value is not None}


def lines_of(error: BaseException | None) -> list[str]:
    """Return the lines that an expected error prints."""
    if isinstance(error, ConfigValidationError):
        return list(error.errors)
    assert type(error).__module__ == "tap_affiliate_reports.errors", repr(error)
    return str(error).splitlines()


def refusal(run: Run) -> str:
    """Return the one line that refuses the settings."""
    lines = lines_of(run.error)
    assert len(lines) == 1, lines
    assert not [message for message in run.messages if message["type"] == "RECORD"]
    return lines[0]


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """The environment, to be changed, and the signal handlers as they were."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield monkeypatch
    for number, handler in handlers.items():
        signal.signal(number, handler)


def from_env(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration as it is with --config=ENV beside a file."""
    tap = TapAffiliateReports(
        config=dict(config), parse_env_config=True, clock=FakeClock(), setup_mapper=False
    )
    return dict(tap.config)


def given(config: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Return a source's settings without those that have their default."""
    properties = config_schema()["properties"][source]["properties"]
    absent = object()
    return {
        name: value
        for name, value in config[source].items()
        if value != properties[name].get("default", absent)
    }


def other(source: str, **own: Any) -> dict[str, Any]:
    """Return settings of another source that are right but for what is given."""
    secret = "api_key" if source == "hienergy" else "auth_token"
    return {"start_date": "2026-09-10", source: {secret: TOKEN, "api_url": NOWHERE, **own}}


WRONG = {
    "hienergy": {"start_date": "2026-09-10", "hienergy": [TOKEN]},
    "hienergy.api_key": other("hienergy", api_key=None),
    "hienergy.api_key is empty": other("hienergy", api_key=""),
    "hienergy.api_key is a list": other("hienergy", api_key=[TOKEN]),
    "hienergy.api_key of no header": other("hienergy", api_key="schlüssel"),
    "instal.auth_token of two lines": other("instal", auth_token="to\nken"),
    "hienergy.api_url": other("hienergy", api_url="app.hienergy.ai"),
    "hienergy.account": other("hienergy", account=5),
    "hienergy.create": other("hienergy", create="deals_excel"),
    "hienergy.create.0.report_type": other("hienergy", create=[{"report_type": "deals"}]),
    "hienergy.window": other("hienergy", window="month"),
    "hienergy.max_concurrent_jobs": other("hienergy", max_concurrent_jobs=0),
    "instal.auth_token": other("instal", auth_token=None),
    "instal.auth_token is an object": other("instal", auth_token={"value": TOKEN}),
    "instal.interval": other("instal", interval="weekly"),
    "instal.interval of months in weeks": other("instal", interval="monthly", window="week"),
    "instal.window": other("instal", window="none"),
    "instal.timezone": other("instal", timezone="Mars/Olympus"),
    "instal.lookback_days": other("instal", lookback_days=1.5),
    "instal.program_ids": other("instal", program_ids=[1]),
    "start_date": settings(start_date="yesterday"),
    "start_date of no month": settings(start_date="2026-13-01"),
    "start_date of no day": settings(start_date="2026-02-30"),
    "start_date is a time": settings(start_date="12:30"),
    "start_date is a length": settings(start_date="P1D"),
    "start_date is a range": settings(start_date="2026-09-10/2026-09-20"),
    "start_date is a number": settings(start_date=20260910),
    "start_date is not there": settings(start_date=None),
    "end_date": settings(end_date="2026-09-31"),
    "end_date before start_date": settings(end_date="2026-09-09"),
    "user_agent": settings(user_agent=5),
    "user_agent no header has": settings(user_agent="a\nb"),
    "user_agent is not ASCII": settings(user_agent="tap-ü"),
    "use_singer_decimal": settings(use_singer_decimal="yes"),
    "on_quota": settings(on_quota="explode"),
    "impact": settings("everything"),
    "impact.account_sid": settings({"account_sid": None}),
    "impact.account_sid is empty": settings({"account_sid": ""}),
    "impact.auth_token": settings({"auth_token": None}),
    "impact.auth_token is empty": settings({"auth_token": ""}),
    "impact.api_url without a scheme": settings({"api_url": "api.impact.com"}),
    "impact.api_url with a port of no number": settings({"api_url": "http://127.0.0.1:port"}),
    "impact.timezone": settings({"timezone": "Mars/Olympus"}),
    "impact.timezone is a folder": settings({"timezone": "Europe"}),
    "impact.timezone is a path": settings({"timezone": "../../../etc/passwd"}),
    "impact.reports": settings({"reports": "mp_invoice_history"}),
    "impact.reports.0": settings({"reports": [1.5]}),
    "impact.program_ids": settings({"program_ids": 10487}),
    "impact.window": settings({"window": "fortnight"}),
    "impact.lookback_days": settings({"lookback_days": -1}),
    "impact.lookback_days is text": settings({"lookback_days": "sixty"}),
    "impact.lookback_days beyond all dates": settings({"lookback_days": 10**10}),
    "impact.result_max_age_hours": settings({"result_max_age_hours": -0.5}),
    "impact.result_max_age_hours beyond all dates": settings({"result_max_age_hours": 1e15}),
    "impact.max_exports": settings({"max_exports": True}),
    "impact.max_concurrent_jobs": settings({"max_concurrent_jobs": 0}),
    "impact.poll_interval_seconds": settings({"poll_interval_seconds": "soon"}),
    "impact.job_timeout_seconds": settings({"job_timeout_seconds": -1}),
    "impact.max_wait_seconds": settings({"max_wait_seconds": []}),
    "impact.report_options": settings({"report_options": ["sales"]}),
    "impact.report_options.sales": settings({"report_options": {"sales": "month"}}),
    "impact.report_options.sales.mode": settings({"report_options": {"sales": {"mode": "no"}}}),
    "impact.report_options.sales.windw": settings({"report_options": {"sales": {"windw": "day"}}}),
    "impact.reprots": settings({"reprots": ["sales"]}),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_setting_is_refused_by_one_line_that_names_it(what: str, clock: FakeClock) -> None:
    line = refusal(sync(WRONG[what], clock))
    assert what.split(" ", maxsplit=1)[0] in line
    assert TOKEN not in line


def test_no_source_is_refused(clock: FakeClock) -> None:
    unset = {"account_sid": None, "auth_token": None, "reports": None}
    for impact in (None, {}, unset):
        config = {"start_date": "2026-09-10", "impact": impact}
        assert "no source" in refusal(sync(config, clock))


def test_every_wrong_setting_is_told_at_once(clock: FakeClock) -> None:
    config = settings({"window": "fortnight", "reprots": []}, on_quota="explode")
    told = "\n".join(lines_of(sync(config, clock).error))
    assert all(name in told for name in ("impact.window", "impact.reprots", "on_quota"))


@pytest.mark.parametrize(
    "impact",
    [
        {"auth_token": [TOKEN]},
        {"auth_token": {"value": TOKEN}},
        f'{{"account_sid": "IRmine", "auth_token": "{TOKEN}"}}',
        [{"auth_token": TOKEN}],
        {"auth_tokn": TOKEN, "auth_token": None},
        {"window": "fortnight"},
    ],
)
def test_a_refusal_never_tells_a_secret(impact: Any, clock: FakeClock) -> None:
    with listening() as log:
        run = sync(settings(impact), clock)
    assert run.error is not None
    told = "\n".join([str(run.error), *lines_of(run.error), *(r.getMessage() for r in log)])
    assert "impact" in told
    assert TOKEN not in told


def test_defaults_are_filled_in_even_if_another_setting_is_wrong(clock: FakeClock) -> None:
    config = settings({"typo": 1, "lookback_days": -1})
    tap = TapAffiliateReports(config=config, clock=clock, validate_config=False, setup_mapper=False)
    assert tap.config["impact"]["max_concurrent_jobs"] == 5
    assert [source.name for source in tap.sources] == ["impact"]


def test_an_unknown_setting_at_top_level_is_a_warning(sandbox: Sandbox, clock: FakeClock) -> None:
    config = config_for(sandbox, reports=["partner_performance_by_day"]) | {"strat_date": "x"}
    run = sync(config, clock).ok()
    assert run.said("strat_date", logging.WARNING)


def test_a_start_after_the_last_day_is_a_warning(sandbox: Sandbox, clock: FakeClock) -> None:
    config = config_for(sandbox, reports=["partner_performance_by_day"], START_DATE="2030-01-01")
    run = sync(config, clock).ok()
    assert run.said("start_date: 2030-01-01 is after the last day", logging.WARNING)


def test_settings_of_the_framework_are_known(sandbox: Sandbox, clock: FakeClock) -> None:
    config = config_for(sandbox, reports=["partner_performance_by_day"])
    run = sync(config | {"stream_maps": {}, "flattening_enabled": False}, clock).ok()
    assert not run.said("unknown setting", logging.WARNING)


# Settings that only the account can tell are wrong


def run_with(sandbox: Sandbox, clock: FakeClock, **impact: Any) -> Run:
    return sync(config_for(sandbox, **impact), clock)


def test_a_glob_that_matches_no_report_is_refused(sandbox: Sandbox, clock: FakeClock) -> None:
    line = refusal(run_with(sandbox, clock, reports=["partner_*", "invoice_*"]))
    assert "impact.reports" in line
    assert "invoice_*" in line


def test_a_report_that_does_not_exist_is_refused_with_near_ids(
    sandbox: Sandbox, clock: FakeClock
) -> None:
    line = refusal(run_with(sandbox, clock, reports=["mp_action_listing"]))
    assert "impact.reports" in line
    assert "mp_action_listing_fast" in line
    assert "mp_action_listing_sku" in line


def test_a_report_of_other_case_is_near(sandbox: Sandbox, clock: FakeClock) -> None:
    line = refusal(run_with(sandbox, clock, reports=["MP_ACTION_LISTING_FAST"]))
    assert "mp_action_listing_fast" in line


@pytest.mark.parametrize("report", ["mp_contract_overview", "mp_contract_*"])
def test_a_report_of_the_web_app_alone_is_refused(
    report: str, sandbox: Sandbox, clock: FakeClock
) -> None:
    line = refusal(run_with(sandbox, clock, reports=[report]))
    assert "impact.reports" in line
    assert report in line


def test_options_of_a_report_that_does_not_exist_are_refused(
    sandbox: Sandbox, clock: FakeClock
) -> None:
    options = {"partner_performance_by_dya": {"window": "day"}}
    line = refusal(run_with(sandbox, clock, reports=["*"], report_options=options))
    assert "impact.report_options" in line
    assert "partner_performance_by_day" in line


def test_a_primary_key_that_is_no_column_is_refused(sandbox: Sandbox, clock: FakeClock) -> None:
    options = {"mp_action_listing_fast": {"primary_keys": ["ActionId"]}}
    run = run_with(sandbox, clock, reports=["mp_action_listing_fast"], report_options=options)
    line = refusal(run)
    assert "mp_action_listing_fast.primary_keys" in line
    assert "ActionId" in line


# What is right


def test_numeric_ids_may_be_numbers(sandbox: Sandbox, clock: FakeClock) -> None:
    run = run_with(sandbox, clock, reports=[12172], program_ids=[10487]).ok()
    assert "report_12172" in run.streams
    assert {row["_program_id"] for row in run.records("report_12172")} == {"10487"}
    assert {export.params["SUBAID"][0] for export in sandbox.impact.exports} == {"10487"}


def test_a_program_named_twice_is_exported_once(sandbox: Sandbox, clock: FakeClock) -> None:
    run_with(sandbox, clock, reports=["12172"], program_ids=[10487, "10487", " 10487 "]).ok()
    assert len(sandbox.impact.exports) == len(sandbox.impact.jobs) == 3


def test_nulls_are_settings_that_are_not_set(sandbox: Sandbox, clock: FakeClock) -> None:
    nulls = dict.fromkeys(
        ("window", "timezone", "program_ids", "lookback_days", "max_exports", "report_options",
         "api_version", "result_max_age_hours", "poll_interval_seconds")
    )  # fmt: skip
    config = config_for(sandbox, reports=["partner_performance_by_day"], **nulls)
    run = sync(config | {"end_date": None, "user_agent": None, "on_quota": None}, clock).ok()
    assert run.bookmark("partner_performance_by_day") == "2026-11-18"
    assert not run.said("unknown setting", logging.WARNING)


def test_nulls_in_report_options_are_not_set(sandbox: Sandbox, clock: FakeClock) -> None:
    report = "partner_performance_by_day"
    options = {report: dict.fromkeys(("window", "lookback_days", "filters", "primary_keys"))}
    assert run_with(sandbox, clock, reports=[report], report_options=options).ok().records(report)


def test_reports_as_null_is_not_every_report(sandbox: Sandbox, clock: FakeClock) -> None:
    assert "impact.reports" in refusal(run_with(sandbox, clock, reports=None))


def test_dates_may_be_date_times(sandbox: Sandbox, clock: FakeClock) -> None:
    config = config_for(
        sandbox,
        reports=["partner_performance_by_day"],
        START_DATE="2026-11-03T10:00:00Z",
        END_DATE="2026-11-05T00:00:00+00:00",
    )
    sync(config, clock).ok()
    (export,) = sandbox.impact.exports
    assert (export.params["START_DATE"], export.params["END_DATE"]) == (
        ["2026-11-03"],
        ["2026-11-05"],
    )


def test_the_user_agent_and_the_api_version_are_sent(sandbox: Sandbox, clock: FakeClock) -> None:
    run_with(sandbox, clock, reports=["partner_performance_by_day"]).ok()
    assert {r.headers["User-Agent"].split("/")[0] for r in sandbox.requests} == {
        "tap-affiliate-reports"
    }
    api = [request for request in sandbox.requests if request.origin == "api"]
    assert {request.headers["IR-Version"] for request in api} == {"16"}
    sandbox.requests.clear()
    config = config_for(sandbox, reports=["12172"], api_version=17, USER_AGENT="we/1")
    sync(config, clock).ok()
    api = [request for request in sandbox.requests if request.origin == "api"]
    assert {request.headers["IR-Version"] for request in api} == {"17"}
    assert {request.headers["User-Agent"] for request in sandbox.requests} == {"we/1"}


def test_an_empty_list_of_programs_is_all_of_them(sandbox: Sandbox, clock: FakeClock) -> None:
    report = "partner_performance_by_day"
    run = run_with(sandbox, clock, reports=[report], program_ids=[]).ok()
    assert {row["_program_id"] for row in run.records(report)} == {"all"}


# The account's time zone


def days_end(run: Run, report: str = "partner_performance_by_day") -> str | None:
    return run.bookmark(report)


def test_the_day_boundary_is_the_account_s_own(sandbox: Sandbox, clock: FakeClock) -> None:
    # 13:00 in Tokyo: the 19th is over there for 6 hours only at 21:00 UTC.
    clock.advance(hours=7)
    sandbox.impact.company_timezone = "Asia/Tokyo"
    run = run_with(sandbox, clock, reports=["partner_performance_by_day"]).ok()
    assert days_end(run) == "2026-11-19"
    run = run_with(
        sandbox, clock, reports=["partner_performance_by_day"], timezone="America/New_York"
    ).ok()
    assert days_end(run) == "2026-11-18"


@pytest.mark.parametrize("code", [403, 404])
def test_an_account_that_hides_its_zone_is_taken_in_utc_with_a_warning(
    code: int, sandbox: Sandbox, clock: FakeClock
) -> None:
    sandbox.faults.add("CompanyInformation", status(code), times=None)
    run = run_with(sandbox, clock, reports=["partner_performance_by_day"]).ok()
    assert run.said("UTC", logging.WARNING)


def test_an_unknown_zone_of_the_account_is_taken_as_utc_with_a_warning(
    sandbox: Sandbox, clock: FakeClock
) -> None:
    sandbox.impact.company_timezone = "Eastern Standard Time (US)"
    run = run_with(sandbox, clock, reports=["partner_performance_by_day"]).ok()
    assert run.said("UTC", logging.WARNING)
    assert run.said("Eastern Standard Time (US)", logging.WARNING)


def test_an_account_whose_zone_can_not_be_had_for_now_is_no_utc_account(
    sandbox: Sandbox, clock: FakeClock
) -> None:
    sandbox.faults.add("CompanyInformation", status(503), times=None)
    run = run_with(sandbox, clock, reports=["partner_performance_by_day"])
    assert "CompanyInformation" in str(run.error)
    assert not sandbox.impact.exports


def test_a_zone_that_is_set_is_not_asked_for(sandbox: Sandbox, clock: FakeClock) -> None:
    run_with(sandbox, clock, reports=["partner_performance_by_day"], timezone="Asia/Tokyo").ok()
    assert not [r for r in sandbox.requests if "CompanyInformation" in r.path]


# The environment


def test_nested_settings_come_from_the_environment(environment: pytest.MonkeyPatch) -> None:
    for name, text in {
        "START_DATE": "2026-09-10",
        "USE_SINGER_DECIMAL": "true",
        "IMPACT_ACCOUNT_SID": "IRmine",
        "IMPACT_AUTH_TOKEN": TOKEN,
        "IMPACT_API_URL": NOWHERE,
        "IMPACT_REPORTS": '["mp_*", "12172"]',
        "IMPACT_PROGRAM_IDS": "10487, 11873",
        "IMPACT_REPORT_OPTIONS": '{"12172": {"window": "none", "filters": {"A": ["1", "2"]}}}',
        "IMPACT_MAX_EXPORTS": "7",
        "IMPACT_POLL_INTERVAL_SECONDS": "0.5",
    }.items():
        environment.setenv(ENV + name, text)
    config = from_env({})
    assert given(config, "impact") == {
        "account_sid": "IRmine",
        "auth_token": TOKEN,
        "api_url": NOWHERE,
        "reports": ["mp_*", "12172"],
        "program_ids": ["10487", "11873"],
        "report_options": {
            "12172": {"window": "none", "filters": {"A": ["1", "2"]}, "mode": "export"}
        },
        "max_exports": 7,
        "poll_interval_seconds": 0.5,
    }
    assert (config["start_date"], config["use_singer_decimal"]) == ("2026-09-10", True)


@pytest.mark.parametrize(
    ("text", "ago"),
    [("3 months ago", {"months": 3}), (" 1 day ago", {"days": 1}), ("2 years ago", {"years": 2})],
)
def test_a_relative_date_of_meltano_comes_from_the_environment(
    environment: pytest.MonkeyPatch, text: str, ago: dict[str, int]
) -> None:
    environment.setenv(ENV + "START_DATE", text)
    environment.setenv(ENV + "IMPACT_ACCOUNT_SID", "IRmine")
    environment.setenv(ENV + "IMPACT_AUTH_TOKEN", TOKEN)
    environment.setenv(ENV + "IMPACT_API_URL", NOWHERE)
    before = pendulum.today("UTC")
    start = from_env({})["start_date"]
    assert start in {
        day.subtract(**ago).to_date_string() for day in (before, pendulum.today("UTC"))
    }


@pytest.mark.parametrize("text", ["99999 years ago", "3 moons ago", "1 month"])
def test_another_text_in_place_of_a_date_is_refused(
    environment: pytest.MonkeyPatch, text: str
) -> None:
    environment.setenv(ENV + "START_DATE", text)
    environment.setenv(ENV + "IMPACT_ACCOUNT_SID", "IRmine")
    environment.setenv(ENV + "IMPACT_AUTH_TOKEN", TOKEN)
    with pytest.raises(ConfigValidationError) as refused:
        from_env({})
    assert f"start_date: {text!r} is not a date" in str(refused.value.errors)


def test_nulls_in_the_environment_are_not_set(environment: pytest.MonkeyPatch) -> None:
    options = {"sales": {"lookback_days": None, "window": "week", "filters": {"X": None}}}
    environment.setenv(f"{ENV}START_DATE", "2026-09-10")
    environment.setenv(f"{ENV}IMPACT_ACCOUNT_SID", "IRmine")
    environment.setenv(f"{ENV}IMPACT_AUTH_TOKEN", TOKEN)
    environment.setenv(f"{ENV}IMPACT_REPORT_OPTIONS", json.dumps(options))
    tap = TapAffiliateReports(parse_env_config=True, setup_mapper=False)
    own = tap.config["impact"]["report_options"]["sales"]
    assert (own["window"], own["filters"], "lookback_days" in own) == ("week", {}, False)


def test_the_framework_s_own_settings_come_from_the_environment_too(
    environment: pytest.MonkeyPatch,
) -> None:
    batch = {"encoding": {"format": "jsonl"}, "storage": {"root": "/x"}}
    environment.setenv(f"{ENV}BATCH_CONFIG", json.dumps(batch))
    environment.setenv(f"{ENV}STREAM_MAPS", '{"sales": {"Day": null}}')
    environment.setenv(f"{ENV}FLATTENING_ENABLED", "true")
    config = from_env({"start_date": "2026-09-10", "instal": {"auth_token": TOKEN}})
    assert config["batch_config"] == batch
    assert config["stream_maps"] == {"sales": {"Day": None}}
    assert config["flattening_enabled"] is True


def test_nested_settings_of_the_other_sources_come_from_the_environment(
    environment: pytest.MonkeyPatch,
) -> None:
    for name, text in {
        "HIENERGY_API_KEY": TOKEN,
        "HIENERGY_CREATE": '[{"report_type": "deals_excel", "search_params": {"q": [1]}}]',
        "HIENERGY_ACCOUNT": "007",
        "INSTAL_AUTH_TOKEN": TOKEN,
        "INSTAL_LOOKBACK_DAYS": "45",
        "INSTAL_RESULT_MAX_AGE_HOURS": "0",
        "INSTAL_INTERVAL": "hourly",
    }.items():
        environment.setenv(ENV + name, text)
    config = from_env({"start_date": "2026-09-10"})
    assert given(config, "hienergy") == {
        "api_key": TOKEN,
        "create": [{"report_type": "deals_excel", "search_params": {"q": [1]}}],
        "account": "007",
    }
    assert given(config, "instal") == {
        "auth_token": TOKEN,
        "lookback_days": 45,
        "result_max_age_hours": 0.0,
        "interval": "hourly",
    }


def test_a_file_and_the_environment_make_one_configuration(
    environment: pytest.MonkeyPatch,
) -> None:
    environment.setenv(f"{ENV}IMPACT_AUTH_TOKEN", TOKEN)
    environment.setenv(f"{ENV}END_DATE", "2026-10-01")
    file = settings({"auth_token": None, "window": "week"})
    config = from_env(file)
    assert given(config, "impact") == {**file["impact"], "auth_token": TOKEN}
    assert (config["start_date"], config["end_date"]) == ("2026-09-10", "2026-10-01")
    assert "auth_token" not in file["impact"], "the file's own settings are unchanged"


def test_without_config_env_the_environment_is_not_read(
    environment: pytest.MonkeyPatch, clock: FakeClock
) -> None:
    environment.setenv(f"{ENV}IMPACT_AUTH_TOKEN", TOKEN)
    assert "impact.auth_token" in refusal(sync(settings({"auth_token": None}), clock))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("IMPACT_MAX_EXPORTS", "seven"),
        ("IMPACT_MAX_EXPORTS", "7.5"),
        ("IMPACT_MAX_EXPORTS", "-1"),
        ("IMPACT_POLL_INTERVAL_SECONDS", "soon"),
        ("IMPACT_POLL_INTERVAL_SECONDS", "nan"),
        ("IMPACT_REPORTS", '["mp_*"'),
        ("IMPACT_REPORT_OPTIONS", "{window: day}"),
        ("IMPACT_REPORT_OPTIONS", "[]"),
        ("USE_SINGER_DECIMAL", "maybe"),
        ("IMPACT_WINDOW", "fortnight"),
        ("HIENERGY_CREATE", '[{"report_type": "deals_excel"'),
        ("INSTAL_LOOKBACK_DAYS", "a month"),
    ],
)
def test_a_wrong_value_in_the_environment_is_refused_by_one_line_that_names_it(
    name: str, text: str, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv(ENV + name, text)
    with pytest.raises((TapError, ConfigValidationError)) as raised:
        from_env(settings())
    (line,) = lines_of(raised.value)
    assert name.lower() in line.lower().replace("impact.", "impact_")


def test_the_api_version_in_the_environment_may_be_any_text(
    environment: pytest.MonkeyPatch,
) -> None:
    environment.setenv(f"{ENV}IMPACT_API_VERSION", "v17")
    assert from_env(settings())["impact"]["api_version"] == "v17"


def test_a_source_that_is_no_object_is_refused_also_beside_the_environment(
    environment: pytest.MonkeyPatch,
) -> None:
    environment.setenv(f"{ENV}IMPACT_AUTH_TOKEN", TOKEN)
    with pytest.raises((TapError, ConfigValidationError)) as raised:
        from_env(settings("everything"))
    (line,) = lines_of(raised.value)
    assert "impact" in line
    assert TOKEN not in line


def test_a_report_may_be_named_by_a_glob_sign_of_its_own(
    sandbox: Sandbox, clock: FakeClock
) -> None:
    sandbox.impact.add(Report("sales[1]", "Sales", [Attribute("Id")], rows=lambda *_: []))
    run = run_with(sandbox, clock, reports=["sales[1]"]).ok()
    assert "sales_1_" in run.streams


# Defaults


def test_a_default_is_filled_in_from_the_schema(clock: FakeClock) -> None:
    config = settings({"report_options": {"sales": {"window": "day"}}})
    tap = TapAffiliateReports(config=config, clock=clock, setup_mapper=False)
    impact = tap.config["impact"]
    assert (impact["max_exports"], impact["lookback_days"], impact["api_version"]) == (90, 60, "16")
    assert impact["report_options"] == {"sales": {"window": "day", "mode": "export"}}
    assert (tap.config["on_quota"], tap.config["use_singer_decimal"]) == ("fail", False)
    assert "max_exports" not in config["impact"]


def test_a_default_configures_no_source(clock: FakeClock) -> None:
    tap = TapAffiliateReports(config=settings(), clock=clock, setup_mapper=False)
    assert not {"hienergy", "instal"} & tap.config.keys()
    assert [source.name for source in tap.sources] == ["impact"]
