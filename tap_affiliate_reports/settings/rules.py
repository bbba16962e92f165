"""Rules of the settings that hold for every network; each error is one line that names a setting.

An error never quotes a value that may be a secret.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import fields
from datetime import date
from typing import Any
from urllib.parse import urlsplit

from singer_sdk.typing import DEFAULT_JSONSCHEMA_VALIDATOR, extend_validator_with_defaults

from tap_affiliate_reports.batches import ARROW, EXTENSIONS, JSONL
from tap_affiliate_reports.errors import SettingsError
from tap_affiliate_reports.sdk import BaseBatchFileEncoding, BatchConfig, StorageTarget
from tap_affiliate_reports.settings.masking import quoted, without_urls
from tap_affiliate_reports.settings.shared import SANDBOX
from tap_affiliate_reports.settings.values import parse_day, parse_reload, parse_zone

ARROW_NEEDS_PYARROW = "arrow needs pyarrow: install the extra arrow of this package"

FILLING_VALIDATOR = extend_validator_with_defaults(DEFAULT_JSONSCHEMA_VALIDATOR)


def schema_errors(
    config: dict[str, Any], schema: Mapping[str, Any], sources: Collection[str]
) -> list[str]:
    """Return what the JSON schema refuses; if the types are right, fill in its defaults in place.

    A network that is not configured stays so. `sources` are the settings whose value may hold a
    secret.
    """
    # The framework's schema of stream_maps is invalid; each map is checked with its stream.
    rest = {key: value for key, value in config.items() if key != "stream_maps"}
    errors = list(DEFAULT_JSONSCHEMA_VALIDATOR(schema).iter_errors(rest))
    if not any(error.validator == "type" for error in errors):
        # It raises if a value of another type stands for an object, so the types are checked first.
        list(FILLING_VALIDATOR(schema).iter_errors(rest))
        config.update(rest)
    return [_line(error, sources) for error in errors]


def general_errors(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the settings outside of the networks' objects."""
    maps = config.get("stream_maps")
    if maps is not None and not isinstance(maps, Mapping):
        yield f"stream_maps: {maps!r} is not of type object"
    days: dict[str, date] = {}
    for name in ("start_date", "end_date"):
        if isinstance(config.get(name), str):
            try:
                days[name] = parse_day(name, config[name])
            except SettingsError as error:
                yield str(error)
    if len(days) == 2 and days["end_date"] < days["start_date"]:
        yield f"end_date: {days['end_date']} is before start_date {days['start_date']}"
    if isinstance(config.get("reload"), str) and config["reload"]:
        try:
            parse_reload(config["reload"])
        except SettingsError as error:
            yield str(error)
    yield from _batch_errors(config.get("batch_config"))
    if not _may_be_sent(config.get("user_agent", "")):
        yield "user_agent: has a character that no header can carry"


def missing(own: Any, required: Collection[str]) -> Iterator[str]:
    """Yield an error for each required setting of a network that is absent or empty."""
    if isinstance(own, Mapping):
        yield from (f"{name}: is required" for name in required if not own.get(name))


def source_errors(own: Mapping[str, Any], required: Collection[str]) -> Iterator[str]:
    """Yield what is wrong with the settings that several networks share."""
    try:
        if own.get("timezone"):
            parse_zone("timezone", own["timezone"])
    except SettingsError as error:
        yield str(error)
    url = own["api_url"]
    if url != SANDBOX and not _is_url(url):
        yield f"api_url: {quoted(url)} is neither an http(s) URL nor the word {SANDBOX}"
    for name in required:
        if not _may_be_sent(own.get(name)):
            yield f"{name}: has a character that no header can carry"
    for name, value in own.items():
        if isinstance(value, float) and not math.isfinite(value):
            yield f"{name}: {value!r} is not a number"


def _batch_errors(batch: Any) -> Iterator[str]:
    """Yield what is wrong with `batch_config`, of which the framework checks the types only."""
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
    yield from _encoding_errors(parts["encoding"])
    root = parts["storage"].get("root")
    if not root:
        yield "batch_config.storage.root: is required"
    elif not isinstance(root, str) or not _is_root(root):
        yield f"batch_config.storage.root: {quoted(root)} is neither a path nor a URL (file:///...)"
    if not isinstance(parts["storage"].get("params", {}), Mapping):
        yield "batch_config.storage.params: is not an object"


def _encoding_errors(encoding: Mapping[str, Any]) -> Iterator[str]:
    kind, compression = encoding.get("format", JSONL), encoding.get("compression")
    known = [one for form, one in EXTENSIONS if form == kind]
    if known and compression not in {None, *known}:
        choice = " or ".join(known)
        yield f"batch_config.encoding.compression: {compression!r} is not {choice} with {kind}"
    elif kind == ARROW and importlib.util.find_spec("pyarrow") is None:
        yield f"batch_config.encoding.format: {ARROW_NEEDS_PYARROW}"


def _is_root(text: str) -> bool:
    # These characters have a meaning of their own to the libraries that open a root.
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


def _line(error: Any, sources: Collection[str]) -> str:
    """Return a validation error as one line, without the value where that may be a secret."""
    name = ".".join(str(part) for part in error.absolute_path)
    if error.validator == "required":
        missing = [key for key in error.validator_value if key not in error.instance]
        return "; ".join(f"{'.'.join(filter(None, (name, key)))}: is required" for key in missing)
    if error.validator == "additionalProperties":
        unknown = [key for key in error.instance if key not in error.schema.get("properties", {})]
        return "; ".join(f"{name}.{key}: is not a setting" for key in unknown)
    text = repr(without_urls(error.instance))
    if error.validator == "enum":
        return f"{name}: {text} is not one of {', '.join(error.validator_value)}"
    is_hidden = error.schema.get("secret") or name in sources
    value = "" if is_hidden else f"{text} "
    if error.validator == "type":
        kinds = error.validator_value
        allowed = [
            kind for kind in ([kinds] if isinstance(kinds, str) else kinds) if kind != "null"
        ]
        return f"{name}: {value}is not of type {' or '.join(allowed)}"
    return f"{name}: {value}is refused: {error.validator} {error.validator_value}"
