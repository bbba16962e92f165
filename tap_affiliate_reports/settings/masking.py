"""Values of settings as text for people, without a user or a password in a URL."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

HIDDEN = "***"
# By its replacement, what stands before the host of a URL: https://user:password@host, the same
# escaped, user:password@host.
_USERS = (
    (re.compile(r"//.*@"), f"//{HIDDEN}@"),
    (re.compile(r"//[^/\s]*%[^/\s]*"), f"//{HIDDEN}"),
    (re.compile(r"[^\s\"'/,\[]+:(?!//).*@"), f"{HIDDEN}@"),
)
# In a list a URL may hold anything: an entry of `reports` is a link that somebody copied.
_URL_SIGNS = re.compile(r"://|@|%3A|%40", re.IGNORECASE)


def without_users(text: str) -> str:
    """Return a text in which what stands before the host of a URL is masked."""
    for pattern, replacement in _USERS:
        text = pattern.sub(replacement, text)
    return text


def quoted(value: Any) -> str:
    """Return the value of a setting as an error quotes it."""
    return repr(without_users(value) if isinstance(value, str) else without_urls(value))


def shown(value: Any) -> str:
    """Return the value of a setting as text."""
    if isinstance(value, str | Decimal):
        return without_users(str(value))
    return json.dumps(without_urls(value), ensure_ascii=False, default=str)


def without_urls(value: Any) -> Any:
    """Return a list or an object with each text in it masked that may be a URL."""
    if isinstance(value, list):
        return [without_urls(one) for one in value]
    if isinstance(value, dict):
        return {without_urls(key): without_urls(one) for key, one in value.items()}
    return HIDDEN if isinstance(value, str) and _URL_SIGNS.search(value) else value
