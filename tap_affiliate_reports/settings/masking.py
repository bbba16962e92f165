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
    (re.compile(r"//[^\s\"']*@"), f"//{HIDDEN}@"),
    (re.compile(r"//[^/\s\"']*%[^/\s\"']*"), f"//{HIDDEN}"),
    (re.compile(r"[^\s\"'/,\[]+:(?!//)[^\s\"']*@"), f"{HIDDEN}@"),
)


def without_users(text: str) -> str:
    """Return a text in which what stands before the host of a URL is masked."""
    for pattern, replacement in _USERS:
        text = pattern.sub(replacement, text)
    return text


def shown(value: Any) -> str:
    """Return the value of a setting as text."""
    is_text = isinstance(value, str | Decimal)
    text = str(value) if is_text else json.dumps(value, ensure_ascii=False, default=str)
    return without_users(text)
