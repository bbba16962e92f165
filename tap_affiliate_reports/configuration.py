"""The tap's configuration: the schema of all settings, and the check of a given one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from singer_sdk import typing as th

from tap_affiliate_reports.settings import origins
from tap_affiliate_reports.settings.general import GENERAL
from tap_affiliate_reports.settings.rules import (
    general_errors,
    missing,
    schema_errors,
    source_errors,
)
from tap_affiliate_reports.sources import SOURCES

# Settings of the framework: the parameters of a storage, the seeds of hashes.
MAY_HOLD_SECRETS = {"batch_config", "stream_map_config"}


def config_schema() -> dict[str, Any]:
    """Return the JSON schema of the settings: the tap's own and each network's object."""
    networks = (
        th.Property(name, source.SETTINGS, description=source.DESCRIPTION)
        for name, source in SOURCES.items()
    )
    return th.PropertiesList(*GENERAL, *networks).to_dict()


def check(config: dict[str, Any], schema: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Return the errors and the warnings of a configuration, each naming the setting.

    Fill in the defaults of `schema` in place, which may have settings of the framework too.
    """
    warnings = [
        f"unknown setting {key!r} is ignored" for key in config if key not in schema["properties"]
    ]
    errors = schema_errors(config, schema, SOURCES)
    configured = [name for name in SOURCES if name in config]
    if not configured:
        errors.append(f"no source is configured: set one of {', '.join(SOURCES)}")
    errors.extend(
        f"{name}.{line}"
        for name in configured
        for line in missing(config[name], SOURCES[name].REQUIRED)
    )
    errors.extend(general_errors(config))
    for name in configured if not errors else []:
        source, own = SOURCES[name], config[name]
        errors.extend(f"{name}.{line}" for line in source_errors(own, source.REQUIRED))
        errors.extend(f"{name}.{line}" for line in source.check(own))
    return errors, warnings


def given(config: Mapping[str, Any], *, from_environment: bool) -> list[dict[str, str]]:
    """Return where the value of each of the tap's own settings comes from."""
    properties = {**config_schema()["properties"], **{name: {} for name in MAY_HOLD_SECRETS}}
    required = {f"{name}.{one}" for name, source in SOURCES.items() for one in source.REQUIRED}
    return origins.given(
        config,
        properties,
        SOURCES,
        from_environment=from_environment,
        hidden=required | MAY_HOLD_SECRETS,
    )
