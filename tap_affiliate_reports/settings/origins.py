"""Where the value of each setting comes from, for people; secrets are masked."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from tap_affiliate_reports.settings.environment import complete, variable_of
from tap_affiliate_reports.settings.masking import HIDDEN, shown

CONFIG_FILE, DEFAULT = "config file", "default"


def given(
    config: Mapping[str, Any],
    properties: Mapping[str, Any],
    sources: Collection[str],
    *,
    from_environment: bool,
    hidden: Collection[str],
) -> list[dict[str, str]]:
    """Return each setting that has a value, the value as text, and where it comes from.

    `properties` and `sources` are those of `environment.complete`; `hidden` names settings whose
    value is not shown, besides those that are secret.
    """
    known = complete(dict(config), properties, sources, from_environment=from_environment)
    found = []
    for path, value, schema in _values(known, properties, sources):
        variable = variable_of(path)
        if from_environment and variable in os.environ:
            origin = f"environment variable {variable}"
        else:
            origin = DEFAULT if value is None else CONFIG_FILE
        effective = schema.get("default") if value is None else value
        if effective is not None:
            name = ".".join(path)
            is_hidden = schema.get("secret") or name in hidden
            text = HIDDEN if is_hidden else shown(effective)
            found.append({"setting": name, "value": text, "from": origin})
    return found


def _values(
    known: Mapping[str, Any], properties: Mapping[str, Any], sources: Collection[str]
) -> Iterator[tuple[tuple[str, ...], Any, Mapping[str, Any]]]:
    """Yield the path, the given value and the schema of each setting, unknown ones too."""
    for name in (*properties, *(name for name in known if name not in properties)):
        # What is misspelt may hold what a secret setting should.
        schema, value = properties.get(name, {"secret": True}), known.get(name)
        if name not in sources:
            yield (name,), value, schema
        elif isinstance(value, Mapping):
            own = schema["properties"]
            for key in (*own, *(key for key in value if key not in own)):
                yield (name, key), value.get(key), own.get(key, {"secret": True})
