"""Read the settings from a configuration and from the environment, whose values are text."""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping, MutableMapping, Sequence
from typing import Any

import pendulum

from tap_affiliate_reports.errors import SettingsError
from tap_affiliate_reports.settings.masking import quoted

PREFIX = "TAP_AFFILIATE_REPORTS_"
DATES = {("start_date",), ("end_date",)}
_AGO = re.compile(r"(\d+) (day|week|month|year)s? ago")


def complete(
    config: MutableMapping[str, Any],
    properties: Mapping[str, Any],
    sources: Collection[str],
    *,
    from_environment: bool,
) -> dict[str, Any]:
    """Return the configuration without nulls, completed from the environment if requested.

    `properties` are the JSON schemas of all settings, the framework's included; `sources` names
    the settings that are a network's object, whose own settings have variables too.
    """
    result: dict[str, Any] = {}
    for key, value in config.items():
        if value is None:
            continue
        result[key] = _without_nulls(value) if key in sources else value
    if from_environment:
        for path, value in _environment(properties, sources):
            target = result
            for part in path[:-1]:
                target = target.setdefault(part, {})
            if isinstance(target, dict):
                # In a stream map a null removes a column.
                target[path[-1]] = _without_nulls(value) if path[0] in sources else value
    for key in sources:
        if result.get(key) == {}:
            del result[key]
        elif isinstance(result.get(key), dict):
            result[key] = _numbers(result[key], properties[key]["properties"])
    return result


def _numbers(own: dict[str, Any], properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return a network's settings with numeric text parsed: Meltano may pass numbers as text."""
    read = dict(own)
    for name, value in own.items():
        kinds = properties.get(name, {}).get("type", [])
        for kind in ("integer", "number"):
            if isinstance(value, str) and kind in kinds and "string" not in kinds:
                with contextlib.suppress(ValueError):  # the check of the settings refuses it
                    read[name] = _PARSERS[kind](value)
    return read


def _without_nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return value


def variable_of(path: Sequence[str]) -> str:
    """Return the name of a setting's environment variable."""
    return PREFIX + "_".join(path).upper()


def _environment(
    properties: Mapping[str, Any], sources: Collection[str]
) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, schema in properties.items():
        nested = schema.get("properties", {}) if name in sources else {}
        if not nested:
            nested = {"": schema}
        for key, property_schema in nested.items():
            path = (name, key) if key else (name,)
            variable = variable_of(path)
            if variable in os.environ:
                text = os.environ[variable]
                if path in DATES:
                    text = _absolute(text)
                yield path, _from_text(variable, text, property_schema)


def _absolute(text: str) -> str:
    """Return a relative date, such as `3 months ago`, as a date, and any other text unchanged.

    Meltano converts relative dates in the file of a sync, but not in the environment of a plugin's
    command.
    """
    match = _AGO.fullmatch(text.strip())
    if match is None:
        return text
    with contextlib.suppress(ValueError, OverflowError):  # before the first year: not a date
        day = pendulum.today("UTC").subtract(**{f"{match[2]}s": int(match[1])})
        return day.to_date_string()
    return text


def _list_of(text: str) -> Any:
    if text.lstrip().startswith("["):
        return json.loads(text)
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if len(parts) > 1 and "/" in text and "://" in text:
        raise ValueError  # a comma may be a part of a URL
    return parts


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
                msg = f"{variable}: {quoted(text)} is not of type {kind}"
                raise SettingsError(msg) from None
    return text
