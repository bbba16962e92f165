"""JSON documents of a service: exact numbers, and how it reports an error."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec


def exact(number: str) -> Decimal | str:
    """Return a number with all its digits, which a float would round."""
    try:
        return Decimal(number)
    except InvalidOperation:  # the exponent is out of range
        return number


_decoder = msgspec.json.Decoder(float_hook=exact)


def decode(text: str) -> Any:
    """Return a JSON document; None if the text is not JSON."""
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return None


def message_of(document: Any) -> str:
    """Return the `message` of a JSON error document; "" without one."""
    if not isinstance(document, dict):
        return ""
    return str(document.get("Message") or document.get("message") or "")


@dataclass(frozen=True)
class ErrorFormat:
    """How one service reports an error in a JSON document.

    `is_error` returns whether a document that came with HTTP 200 is an error, `message` returns
    the service's own message in an error document, "" without one.
    """

    is_error: Callable[[Any], bool] = lambda _: False
    message: Callable[[Any], str] = message_of


def without_tags(text: str) -> str:
    """Return the text of an HTML page; a text without tags is returned unchanged."""
    return re.sub(r"<(script|style)\b.*?</\1>|<[^>]*>", " ", text, flags=re.DOTALL | re.IGNORECASE)


def one_line(text: str) -> str:
    """Return the text as one line without control characters."""
    return "".join(c for c in " ".join(text.split()) if c.isprintable())
