"""What holds for every network of the registry, and for an invented one that is added to it."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from fourth_network.acme import AcmeSource
from fourth_network.acme_sandbox import AcmeSandbox
from harness import FakeClock, sync
from jsonschema import Draft7Validator

from tap_affiliate_reports.configuration import check, config_schema
from tap_affiliate_reports.errors import Unauthorized, UnknownJobState
from tap_affiliate_reports.exports.job import ExportRequest
from tap_affiliate_reports.sandbox import Sandbox
from tap_affiliate_reports.sandbox.registry import SERVICES
from tap_affiliate_reports.settings.shared import defaults
from tap_affiliate_reports.sources import SOURCES
from tap_affiliate_reports.tap import TapAffiliateReports
from tap_affiliate_reports.windows import SIZES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tap_affiliate_reports.sandbox import Response
    from tap_affiliate_reports.sources.source import Source

START = "2026-11-01"
# Without these a sync would refuse to export every report of the account.
TO_SYNC = {"impact": {"reports": ["partner_performance_by_day", "mp_action_listing_fast"]}}
GENERAL_FINGERPRINT = {"window", "timezone", "program_ids", "filters", "mode", "primary_keys"}


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register the invented network, as one line in each of the two registries would."""
    monkeypatch.setitem(SOURCES, "acme", AcmeSource)
    monkeypatch.setitem(SERVICES, "acme", AcmeSandbox)
    # It is built from the registry when the tap's module is imported.
    monkeypatch.setattr(TapAffiliateReports, "config_jsonschema", config_schema())


@pytest.fixture(params=[*SOURCES, "acme"])
def network(request: pytest.FixtureRequest, registered: None) -> str:
    """The key of a network in the settings."""
    return request.param


@pytest.fixture
def sandbox(clock: FakeClock, registered: None) -> Iterator[Sandbox]:
    with Sandbox(now=clock.now, job_seconds=5) as running:
        yield running
        assert not running.unmatched


@pytest.fixture
def config(network: str, sandbox: Sandbox) -> dict[str, Any]:
    """The settings without which the network can't be used, and the URL of its fake."""
    own = sandbox.services[network].settings
    return {
        "start_date": START,
        network: {name: own[name] for name in (*SOURCES[network].REQUIRED, "api_url")},
    }


def source_of(config: dict[str, Any], clock: FakeClock) -> Source:
    tap = TapAffiliateReports(config=config, clock=clock, setup_mapper=False)
    (source,) = tap.sources
    return source


@pytest.fixture
def source(config: dict[str, Any], clock: FakeClock) -> Source:
    return source_of(config, clock)


def properties_of(network: str) -> dict[str, Any]:
    return SOURCES[network].SETTINGS.to_dict()["properties"]


class TestSettings:
    def test_every_setting_has_a_description(self, network: str) -> None:
        nested = [("", SOURCES[network].SETTINGS.to_dict())]
        while nested:
            path, schema = nested.pop()
            for name, one in schema.get("properties", {}).items():
                description = one.get("description", "")
                assert description.strip().endswith("."), f"{path}.{name}"
                assert "(default" not in description, f"{path}.{name}: its default is in the schema"
                nested.append((f"{path}.{name}", one))
                nested.extend(
                    (f"{path}.{name}", one[part])
                    for part in ("items", "additionalProperties")
                    if isinstance(one.get(part), dict)
                )

    def test_the_registry_has_the_name_of_the_network(self, network: str) -> None:
        assert SOURCES[network].name == network
        assert SOURCES[network].DESCRIPTION.endswith(".")

    def test_a_network_has_a_secret_and_requires_it(self, network: str) -> None:
        secrets = {name for name, one in properties_of(network).items() if one.get("secret")}
        assert secrets
        assert secrets <= set(SOURCES[network].REQUIRED) <= properties_of(network).keys()

    def test_a_network_has_the_settings_of_all_networks(self, network: str) -> None:
        shared = {"api_url", "max_concurrent_jobs", "poll_interval_seconds", "max_wait_seconds"}
        assert shared <= properties_of(network).keys()
        assert SOURCES[network].SETTINGS.to_dict()["additionalProperties"] is False

    def test_the_defaults_are_valid(self, network: str) -> None:
        schema = SOURCES[network].SETTINGS.to_dict()
        Draft7Validator(schema).validate(defaults(SOURCES[network].SETTINGS))

    def test_a_required_setting_has_no_default(self, network: str) -> None:
        assert not defaults(SOURCES[network].SETTINGS).keys() & {*SOURCES[network].REQUIRED}

    def test_the_required_settings_are_enough(self, network: str) -> None:
        own = dict.fromkeys(SOURCES[network].REQUIRED, "x")
        config = {"start_date": START, network: own}
        assert check(config, config_schema()) == ([], [])
        assert own == {**defaults(SOURCES[network].SETTINGS), **own}

    @pytest.mark.parametrize("empty", ["", None])
    def test_a_required_setting_is_named_if_it_is_missing(
        self, network: str, empty: str | None
    ) -> None:
        for name in SOURCES[network].REQUIRED:
            own = {**dict.fromkeys(SOURCES[network].REQUIRED, "x"), name: empty}
            errors, _ = check({"start_date": START, network: own}, config_schema())
            assert f"{network}.{name}: is required" in errors

    def test_meltano_has_every_setting_and_no_value(self, network: str) -> None:
        if network == "acme":
            pytest.skip("meltano.yml is of the project's own networks")
        for name, schema in properties_of(network).items():
            one = meltano_settings()[f"{network}.{name}"]
            assert one["description"] == schema["description"], name
            assert one.get("sensitive", False) is schema.get("secret", False), name
            # One value would configure the network in every project.
            assert "value" not in one, name

    def test_meltano_has_the_general_settings(self) -> None:
        for name, schema in config_schema()["properties"].items():
            if name not in SOURCES:
                assert meltano_settings()[name]["description"] == schema["description"]
                assert "value" not in meltano_settings()[name]


@cache
def meltano_settings() -> dict[str, Any]:
    project = yaml.safe_load((Path(__file__).parents[2] / "meltano.yml").read_text())
    return {one["name"]: one for one in project["plugins"]["extractors"][0]["settings"]}


class TestSource:
    def test_good_credentials_are_accepted(self, source: Source) -> None:
        source.check_credentials()

    def test_wrong_credentials_are_unauthorized(
        self, network: str, config: dict[str, Any], clock: FakeClock
    ) -> None:
        for name, one in properties_of(network).items():
            if one.get("secret"):
                wrong = {**config, network: {**config[network], name: "wrong"}}
                with pytest.raises(Unauthorized):
                    source_of(wrong, clock).check_credentials()

    def test_no_secret_is_in_its_text(self, network: str, source: Source, sandbox: Sandbox) -> None:
        shown = repr([source, source.exports, vars(source.exports), source.policy])
        for name, one in properties_of(network).items():
            if one.get("secret"):
                assert sandbox.services[network].settings[name] not in shown

    def test_stream_names_are_unique(self, sandbox: Sandbox, clock: FakeClock) -> None:
        config = {name: service.settings for name, service in sandbox.services.items()}
        tap = TapAffiliateReports(
            config={"start_date": START, **config}, clock=clock, setup_mapper=False
        )
        assert [source.name for source in tap.sources] == [*SOURCES]
        names = [name for source in tap.sources for name in stream_names(source)]
        assert len(names) == len(set(names)) > len(SOURCES)

    def test_its_streams_are_well_formed(self, source: Source) -> None:
        for spec in source.lists():
            assert {*spec.primary_keys} <= spec.schema["properties"].keys()
            assert spec.replication_key in {None, *spec.schema["properties"]}
            Draft7Validator.check_schema(spec.schema)
        for report in source.reports():
            assert report.options.window in {None, *SIZES}
            assert not GENERAL_FINGERPRINT & report.options.window_settings.keys()
            names = [column.name for column in report.columns(report.id)]
            assert len(names) == len(set(names)) >= report.least_columns
        for file in source.files():
            assert all(isinstance(request, ExportRequest) for request in file.create)
        assert stream_names(source)

    def test_the_service_s_clock_is_known(self, source: Source, clock: FakeClock) -> None:
        assert abs((source.exports.server_now() - clock.now()).total_seconds()) < 2
        assert clock.now().astimezone(source.zone).utcoffset() is not None

    def test_an_unknown_state_of_a_job_is_an_error(self, source: Source, sandbox: Sandbox) -> None:
        day = date(2026, 11, 1)
        requests = [
            *(ExportRequest(report.id, day, day) for report in source.reports()),
            *(ExportRequest(file.name) for file in source.files()),
        ]
        job = source.exports.schedule(requests[0], lambda: False)
        sandbox.faults.add("^GET ", renamed, times=None)
        with pytest.raises(UnknownJobState, match=r"BANANAS.*known are"):
            source.exports.poll(job.id)


def stream_names(source: Source) -> list[str]:
    return [
        *(spec.name for spec in source.lists()),
        *(report.stream for report in source.reports()),
        *(file.name for file in source.files()),
    ]


def renamed(real: Callable[[], Response]) -> Response:
    """Return the real answer with another word for the state of a job."""
    response = real()
    words = re.sub(
        rb'("(?:state|status)": )"[^"]*"', rb'\1"BANANAS"', response.body, flags=re.IGNORECASE
    )
    return replace(response, body=words)


def test_a_second_sync_adds_nothing(network: str, config: dict[str, Any], clock: FakeClock) -> None:
    config = {**config, network: {**config[network], **TO_SYNC.get(network, {})}}
    first = sync(config, clock).ok()
    source = first.tap.sources[0]
    names = [*(r.stream for r in source.reports() if r.allowed), *(f.name for f in source.files())]
    assert any(first.records(name) for name in names)
    second = sync(config, clock, state=first.state).ok()
    assert not [name for name in names if second.records(name)]
    assert second.state["bookmarks"].keys() == first.state["bookmarks"].keys()
