"""What is refused, each time by a line that names the setting."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import fields
from datetime import date, tzinfo
from typing import Any
from urllib.parse import urlsplit

import pendulum
from singer_sdk.helpers._batch import BaseBatchFileEncoding, BatchConfig, StorageTarget
from singer_sdk.typing import DEFAULT_JSONSCHEMA_VALIDATOR

from tap_affiliate_reports.errors import SettingsError
from tap_affiliate_reports.schema import ADDED, ALL_PROGRAMS
from tap_affiliate_reports.settings.table import CONFIG_SCHEMA, MONTHS, REQUIRED, SANDBOX, SOURCES
from tap_affiliate_reports.windows import Reload
from tap_affiliate_reports.zones import iana_zone

NULLABLE = {name for name, schema in ADDED.items() if "null" in schema["type"]}


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


def parse_reload(text: str) -> Reload:
    """Return what the setting `reload` requests: `all`, one day, or START/END."""
    if text.strip().lower() == "all":
        return Reload("all")
    parts = text.split("/")
    try:
        first, last = parse_day("reload", parts[0]), parse_day("reload", parts[-1])
    except SettingsError:
        first, last, parts = date.max, date.min, []
    if len(parts) > 2 or last < first:
        msg = f"reload: {text!r} is neither `all` nor days (2026-03-01/2026-04-30 or 2026-03-01)"
        raise SettingsError(msg)
    return Reload(f"{first}/{last}", first, last)


def parse_zone(name: str, text: str) -> tzinfo:
    """Return the zone of an IANA name."""
    try:
        return iana_zone(text)
    except ValueError:
        msg = f"{name}: {text!r} is not an IANA time zone (such as America/New_York)"
        raise SettingsError(msg) from None


def check(config: Mapping[str, Any], known: Collection[str]) -> tuple[list[str], list[str]]:
    """Return the errors and the warnings of a configuration, each naming the setting.

    `known` are the names allowed at top level.
    """
    # The framework's schema of stream_maps is invalid; each map is checked with its stream.
    rest = {key: value for key, value in config.items() if key != "stream_maps"}
    errors = [
        _line(error) for error in DEFAULT_JSONSCHEMA_VALIDATOR(CONFIG_SCHEMA).iter_errors(rest)
    ]
    maps = config.get("stream_maps")
    if maps is not None and not isinstance(maps, Mapping):
        errors.append(f"stream_maps: {maps!r} is not of type object")
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
    if isinstance(config.get("reload"), str) and config["reload"]:
        try:
            parse_reload(config["reload"])
        except SettingsError as error:
            errors.append(str(error))
    errors.extend(_batch_errors(config.get("batch_config")))
    if not _may_be_sent(config.get("user_agent", "")):
        errors.append("user_agent: has a character that no header can carry")
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
    for name in REQUIRED[source]:
        if not _may_be_sent(own.get(name)):
            yield f"{source}.{name}: has a character that no header can carry"
    yield from _key_errors(source, own)
    if own.get("interval") == "monthly" and own.get("window", "month") not in MONTHS:
        yield f"{source}.interval: monthly needs one of these windows: {', '.join(MONTHS)}"
    for name, value in own.items():
        if isinstance(value, float) and not math.isfinite(value):
            yield f"{source}.{name}: {value!r} is not a number"


def _key_errors(source: str, own: Mapping[str, Any]) -> Iterator[str]:
    """Yield the settings that would make a key column null, empty or ambiguous."""
    for program in own.get("program_ids", ()):
        if str(program).strip().casefold() in {"", ALL_PROGRAMS}:
            yield (
                f"{source}.program_ids: {program!r} is not a program id; leave program_ids out to "
                "export all programs"
            )
    for report, options in own.get("report_options", {}).items():
        for key in sorted({*options.get("primary_keys", ())} & NULLABLE):
            yield (
                f"{source}.report_options.{report}.primary_keys: {key} is null in most rows, so it "
                "is no key; name columns of the report"
            )


def _batch_errors(batch: Any) -> Iterator[str]:
    """Yield what is wrong with the framework's own setting, which it checks by its types only."""
    if batch is None:
        return
    names = {"encoding": BaseBatchFileEncoding, "storage": StorageTarget}
    parts = {name: batch.get(name, {}) for name in names} if isinstance(batch, Mapping) else {}
    if not parts or not all(isinstance(part, Mapping) for part in parts.values()):
        yield "batch_config: needs the objects encoding and storage"
        return
    for kind, name, part in (
        (BatchConfig, "batch_config", batch),
        *((kind, f"batch_config.{name}", parts[name]) for name, kind in names.items()),
    ):
        unknown = set(part) - {field.name for field in fields(kind)}
        yield from (f"{name}.{key}: is not a setting" for key in sorted(unknown))
    if parts["encoding"].get("format", "jsonl") != "jsonl":
        yield f"batch_config.encoding.format: {parts['encoding']['format']!r} is not jsonl"
    root = parts["storage"].get("root")
    if not root:
        yield "batch_config.storage.root: is required"
    elif not isinstance(root, str) or not _is_root(root):
        yield f"batch_config.storage.root: {root!r} is neither a path nor a URL (file:///...)"
    if not isinstance(parts["storage"].get("params", {}), Mapping):
        yield "batch_config.storage.params: is not an object"
    size = batch.get("batch_size")
    if size is not None and (type(size) is not int or size < 1):
        yield f"batch_config.batch_size: {size!r} is not a number of records"


def _is_root(text: str) -> bool:
    # Other marks mean something to the libraries that open it.
    return (
        bool(text.strip())
        and text.isprintable()
        and not any(mark in text for mark in ("?", "::"))
        and (text.startswith("file:///") or not text.lower().startswith("file:"))
    )


def _may_be_sent(value: Any) -> bool:
    return str(value).isprintable() and str(value).isascii()


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
