"""Reads the state for a sync: a state object, a STATE message, or a state of Meltano."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import IO, Any

from tap_affiliate_reports.errors import SettingsError
from tap_affiliate_reports.sdk import load_json

STATE_IS_EMPTY = "--state: the state is empty: all windows are new"

logger = logging.getLogger(__name__)

ACCEPTED = (
    "pass a state object with bookmarks, a STATE message, or the output of `meltano state get`"
)


def read_state_file(file: IO[str] | None) -> dict[str, Any] | None:
    """Return the state of the option --state; None without a file. Raises SettingsError."""
    if file is None:
        return None
    try:
        state = read_state(file.read())
    except ValueError as error:  # the file is not text
        msg = f"--state: not readable JSON: {error}"
        raise SettingsError(msg) from None
    except SettingsError as error:
        msg = f"--state: {error}"
        raise SettingsError(msg) from None
    if not state.get("bookmarks"):
        logger.warning(STATE_IS_EMPTY)
    return state


def read_state(text: str) -> dict[str, Any]:
    """Return the state in the text of a file; the last one if each line is a state."""
    text = text.removeprefix("\ufeff")
    lines = [line for line in text.split("\n") if line.strip()]
    if not lines:
        msg = "the state file is empty. Omit --state to start without a state"
        raise SettingsError(msg)
    if len(lines) == 1 or not all(line.lstrip().startswith("{") for line in lines):
        return unwrap(_parse(text))
    states = []
    for number, line in enumerate(lines, 1):
        try:
            states.append(unwrap(_parse(line)))
        except SettingsError as error:
            msg = f"line {number} of the state file: {error}"
            raise SettingsError(msg) from None
    logger.info("the state file has %d states, one per line: using the last one", len(states))
    return states[-1]


def unwrap(document: Any) -> dict[str, Any]:
    """Return the state without the objects that tools wrap it in.

    Raises SettingsError if the document is not a state. An empty object is an empty state.
    """
    if not isinstance(document, dict):
        msg = f"the state is not a JSON object: {ACCEPTED}"
        raise SettingsError(msg)
    if not document:
        return {}
    found = []
    if "bookmarks" in document:
        found.append(_state(document))
    if document.get("type") == "STATE" and "value" in document:
        found.append(unwrap(document["value"]))
    if "singer_state" in document:
        found.append(unwrap(document["singer_state"]))
    if "completed" in document or "partial" in document:
        found.append(unwrap(_stored(document.get("completed"), document.get("partial"))))
    if len(found) == 1:
        return found[0]
    names = ", ".join(str(key)[:40] for key in list(document)[:5])
    what = "contains more than one state" if found else "has no bookmarks"
    msg = f"the state {what} (its keys: {names}): {ACCEPTED}"
    raise SettingsError(msg.replace("\n", " "))


def _parse(text: str) -> Any:
    try:
        return load_json(text)
    except (ValueError, RecursionError) as error:
        msg = f"the state is not valid JSON: {error}"
        raise SettingsError(msg) from None


def _state(document: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(document["bookmarks"], dict):
        msg = f"the bookmarks of the state are not a JSON object: {ACCEPTED}"
        raise SettingsError(msg)
    return document


def _stored(completed: Any, partial: Any) -> Any:
    """Return the state that Meltano's next run would use from a state in its backend."""
    parts = [part for part in (completed, partial) if part is not None]
    if not parts or not all(isinstance(part, dict) for part in parts):
        msg = f"the completed and partial states are not JSON objects: {ACCEPTED}"
        raise SettingsError(msg)
    return parts[0] if len(parts) == 1 else _merge(parts[0], parts[1])


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Merge objects key by key, as Meltano does; other values of `above` replace the old ones."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.setdefault(key, {} if isinstance(value, dict) else value)
        if isinstance(value, dict) and isinstance(old, dict):
            merged[key] = _merge(old, value)
        elif value != {}:  # Meltano does not replace a value with an empty object
            merged[key] = value
    return merged
