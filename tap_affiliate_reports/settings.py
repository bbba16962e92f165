"""The settings: their JSON Schema, their place in the environment, and what is refused."""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Callable, Collection, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from datetime import date, timedelta, tzinfo
from typing import Any
from urllib.parse import urlsplit

import pendulum
from singer_sdk import typing as th
from singer_sdk.typing import DEFAULT_JSONSCHEMA_VALIDATOR

from tap_affiliate_reports.errors import SettingsError
from tap_affiliate_reports.windows import SIZES

# YAML reads a purely numeric id as a number.
TEXT_OR_NUMBER = th.CustomType({"type": ["string", "integer"]})
# In place of a URL: the embedded fake of the service.
SANDBOX = "sandbox"
PREFIX = "TAP_AFFILIATE_REPORTS_"
MODES = ("export", "run")

FLOW = (
    th.Property(
        "max_concurrent_jobs",
        th.IntegerType(minimum=1),
        description="Jobs in flight at once, over all streams (default 5).",
    ),
    th.Property(
        "poll_interval_seconds",
        th.NumberType(minimum=0),
        description="Shortest pause between two polls (default 2).",
    ),
    th.Property(
        "job_timeout_seconds",
        th.NumberType(minimum=0),
        description="A job not done by then is an error (default 3600).",
    ),
    th.Property(
        "max_wait_seconds",
        th.NumberType(minimum=0),
        description="The longest sleep for a rate limit; beyond it the tap stops (default 300).",
    ),
)

WINDOW = th.Property(
    "window",
    th.StringType(allowed_values=list(SIZES)),
    description="The calendar slots, one export each (default month); none: a snapshot.",
)
LOOKBACK = th.Property(
    "lookback_days",
    th.IntegerType(minimum=0, maximum=36_500),
    description="How long after its last day a window may still change (default 60).",
)

REPORT_OPTIONS = th.ObjectType(
    WINDOW,
    LOOKBACK,
    th.Property(
        "filters",
        th.ObjectType(additional_properties=True),
        description="Filter name -> value or list of values, passed through as given.",
    ),
    th.Property(
        "primary_keys",
        th.ArrayType(th.StringType),
        description="Columns that identify a row, in place of the window and row number.",
    ),
    th.Property(
        "mode",
        th.StringType(allowed_values=list(MODES)),
        description="export: by a job (default); run: the synchronous endpoint.",
    ),
    additional_properties=False,
)

IMPACT = th.ObjectType(
    th.Property("account_sid", th.StringType, description="Account SID of the API token."),
    th.Property("auth_token", th.StringType, secret=True, description="Auth token."),
    th.Property(
        "api_url",
        th.StringType,
        description="Base URL (default https://api.impact.com); `sandbox`: invented data.",
    ),
    th.Property(
        "api_version",
        TEXT_OR_NUMBER,
        description="API version, sent as IR-Version (default 16).",
    ),
    th.Property(
        "timezone",
        th.StringType,
        description="IANA zone of the account's days (default: the account's own).",
    ),
    th.Property(
        "reports",
        th.ArrayType(TEXT_OR_NUMBER),
        description="Report ids or globs to sync (`*` = all); not set: the catalog decides.",
    ),
    th.Property(
        "program_ids",
        th.ArrayType(TEXT_OR_NUMBER),
        description="Programs to export one by one (default: all in one export).",
    ),
    WINDOW,
    LOOKBACK,
    th.Property(
        "result_max_age_hours",
        th.NumberType(minimum=0, maximum=876_000),
        description="A younger file of an unsettled window is left alone (default 20).",
    ),
    th.Property(
        "max_exports",
        th.IntegerType(minimum=0),
        description="Exports that one run may spend (default 90 of the account's 100 a day).",
    ),
    th.Property(
        "report_options",
        th.ObjectType(additional_properties=REPORT_OPTIONS),
        description="Per report id: window, lookback_days, filters, primary_keys, mode.",
    ),
    *FLOW,
    additional_properties=False,
)

SOURCES: dict[str, th.ObjectType] = {"impact": IMPACT}
REQUIRED: dict[str, tuple[str, ...]] = {"impact": ("account_sid", "auth_token")}

CONFIG_SCHEMA: dict[str, Any] = th.PropertiesList(
    th.Property(
        "start_date",
        th.StringType,
        required=True,
        description="First day to fetch (date or date-time).",
    ),
    th.Property(
        "end_date",
        th.StringType,
        description="Last day to fetch, inclusive (default: the last day that ended 6 hours ago).",
    ),
    th.Property(
        "user_agent",
        th.StringType,
        description="User-Agent header (default tap-affiliate-reports/<version>).",
    ),
    th.Property(
        "use_singer_decimal",
        th.BooleanType,
        default=False,
        description="Decimals as strings in format x-singer.decimal, for Snowflake.",
    ),
    th.Property(
        "on_quota",
        th.StringType(allowed_values=["fail", "warn"]),
        default="fail",
        description="Exit status when the export quota stopped the sync: fail or warn (exit 0).",
    ),
    th.Property(
        "emit_activate_version_messages",
        th.BooleanType,
        default=True,
        description="Whether a full refresh retires what is left from before.",
    ),
    th.Property("impact", IMPACT, description="impact.com Partner Reports and Jobs."),
).to_dict()


@dataclass(frozen=True)
class ReportOptions:
    """What holds for one report: its own options, else its source's settings."""

    window: str | None = None
    lookback: timedelta = timedelta(days=60)
    filters: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    primary_keys: tuple[str, ...] = ()
    mode: str = "export"


def parse_day(name: str, text: Any) -> date:
    """Return the day of a date or date-time setting."""
    try:
        moment = pendulum.parse(str(text), exact=True)
    except (ValueError, OverflowError):
        moment = None
    if not isinstance(moment, pendulum.Date):  # a DateTime is one too
        msg = f"{name}: {text!r} is not a date (YYYY-MM-DD)"
        raise SettingsError(msg)
    return date(moment.year, moment.month, moment.day)


def parse_zone(name: str, text: str) -> tzinfo:
    """Return the zone of an IANA name."""
    try:
        return pendulum.timezone(text)
    except (ValueError, OSError):  # zoneinfo's "not found" is a KeyError in a ValueError's clothes
        msg = f"{name}: {text!r} is not an IANA time zone (such as America/New_York)"
        raise SettingsError(msg) from None


def complete(config: MutableMapping[str, Any], *, from_environment: bool) -> dict[str, Any]:
    """Return the configuration without nulls, completed by nested environment names."""
    result: dict[str, Any] = {}
    for key, value in config.items():
        if value is None:
            continue
        result[key] = _without_nulls(value) if key in SOURCES else value
    if from_environment:
        for path, value in _environment():
            target = result
            for part in path[:-1]:
                target = target.setdefault(part, {})
            if isinstance(target, dict):
                target[path[-1]] = value
    for key in SOURCES:
        if result.get(key) == {}:
            del result[key]
        elif isinstance(result.get(key), dict):
            result[key] = _numbers(result[key], CONFIG_SCHEMA["properties"][key]["properties"])
    return result


def _numbers(own: dict[str, Any], properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return a source's settings with numbers read that came as text, as Meltano may give them."""
    read = dict(own)
    for name, value in own.items():
        kinds = properties.get(name, {}).get("type", [])
        for kind in ("integer", "number"):
            if isinstance(value, str) and kind in kinds and "string" not in kinds:
                with contextlib.suppress(ValueError):
                    read[name] = _PARSERS[kind](value)
    return read


def _without_nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return value


def _environment() -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, schema in CONFIG_SCHEMA["properties"].items():
        nested = schema.get("properties", {}) if name in SOURCES else {}
        if not nested:
            nested = {"": schema}
        for key, property_schema in nested.items():
            path = (name, key) if key else (name,)
            variable = PREFIX + "_".join(path).upper()
            if variable in os.environ:
                yield path, _from_text(variable, os.environ[variable], property_schema)


def _list_of(text: str) -> Any:
    return (
        json.loads(text)
        if text.lstrip().startswith("[")
        else [part.strip() for part in text.split(",") if part.strip()]
    )


def _boolean(text: str) -> bool:
    words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    return words[text.strip().lower()]


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError
    return number


_PARSERS: dict[str, Callable[[str], Any]] = {
    "integer": int,
    "number": _finite,
    "boolean": _boolean,
    "array": _list_of,
    "object": json.loads,
}


def _from_text(variable: str, text: str, schema: Mapping[str, Any]) -> Any:
    for kind, parse in _PARSERS.items():
        if kind in schema["type"] and "string" not in schema["type"]:
            try:
                return parse(text)
            except (ValueError, KeyError):
                msg = f"{variable}: {text!r} is not of type {kind}"
                raise SettingsError(msg) from None
    return text


def check(config: Mapping[str, Any], known: Collection[str]) -> tuple[list[str], list[str]]:
    """Return the errors and the warnings of a configuration, each naming the setting.

    `known` are the names allowed at top level.
    """
    errors = [
        _line(error) for error in DEFAULT_JSONSCHEMA_VALIDATOR(CONFIG_SCHEMA).iter_errors(config)
    ]
    warnings = [f"unknown setting {key!r} is ignored" for key in config if key not in known]
    configured = [key for key in SOURCES if key in config]
    if not configured:
        errors.append(f"no source is configured: set one of {', '.join(SOURCES)}")
    errors.extend(
        f"{key}.{name}: is required"
        for key in configured
        if isinstance(config[key], Mapping)
        for name in REQUIRED[key]
        if not config[key].get(name)
    )
    days: dict[str, date] = {}
    for name in ("start_date", "end_date"):
        if isinstance(config.get(name), str):
            try:
                days[name] = parse_day(name, config[name])
            except SettingsError as error:
                errors.append(str(error))
    if len(days) == 2 and days["end_date"] < days["start_date"]:
        errors.append(f"end_date: {days['end_date']} is before start_date {days['start_date']}")
    for key in configured if not errors else []:
        errors.extend(_source_errors(key, config[key]))
    return errors, warnings


def _source_errors(source: str, own: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with a source's settings that a JSON Schema can't tell."""
    try:
        if own.get("timezone"):
            parse_zone(f"{source}.timezone", own["timezone"])
    except SettingsError as error:
        yield str(error)
    url = own.get("api_url")
    if url is not None and url != SANDBOX and not _is_url(url):
        yield f"{source}.api_url: {url!r} is neither an http(s) URL nor the word {SANDBOX}"
    for name, value in own.items():
        if isinstance(value, float) and not math.isfinite(value):
            yield f"{source}.{name}: {value!r} is not a number"


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _line(error: Any) -> str:
    name = ".".join(str(part) for part in error.absolute_path)
    if error.validator == "required":
        missing = [key for key in error.validator_value if key not in error.instance]
        return "; ".join(f"{'.'.join(filter(None, (name, key)))}: is required" for key in missing)
    if error.validator == "additionalProperties":
        unknown = [key for key in error.instance if key not in error.schema.get("properties", {})]
        return "; ".join(f"{name}.{key}: is not a setting" for key in unknown)
    if error.validator == "enum":
        return f"{name}: {error.instance!r} is not one of {', '.join(error.validator_value)}"
    # The value itself may be a secret of the wrong type.
    told = "" if error.schema.get("secret") or name in SOURCES else f"{error.instance!r} "
    if error.validator == "type":
        allowed = [kind for kind in error.validator_value if kind != "null"]
        return f"{name}: {told}is not of type {' or '.join(allowed)}"
    return f"{name}: {told}is refused: {error.validator} {error.validator_value}"
