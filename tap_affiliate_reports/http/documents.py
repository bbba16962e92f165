"""The documents of an answer: exact numbers, errors, and the service's own words for them."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec


def exact(number: str) -> Decimal | str:
    """Return a number of an answer as it is written; no float has its digits."""
    try:
        return Decimal(number)
    except InvalidOperation:  # an exponent beyond all bounds
        return number


_decoder = msgspec.json.Decoder(float_hook=exact)


def decode(text: str) -> Any:
    """Return a JSON document; None for what is none."""
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return None


def service_words(document: Any, text: str) -> str:
    """Return what the service itself says of an error."""
    if isinstance(document, dict):
        nested = document.get("error")
        if isinstance(nested, dict):
            document = {"Message": nested.get("message"), "Errors": nested.get("code")}
        words = [str(document.get("Message") or document.get("message") or "")]
        errors = document.get("Errors")
        words.extend(
            f"{error.get('Field', '')}: {error.get('Message', '')}".strip(": ")
            for error in (errors if isinstance(errors, list) else [])
            if isinstance(error, dict)
        )
        said = "; ".join(word for word in words if word)
        if said:
            return said
    return re.sub(r"<(script|style)\b.*?</\1>|<[^>]*>", " ", text, flags=re.DOTALL | re.IGNORECASE)


def one_line(text: str) -> str:
    """Return the text as one line that a terminal can take."""
    return "".join(c for c in " ".join(text.split()) if c.isprintable())


def is_error_document(document: Any) -> bool:
    """Tell an error that came with HTTP 200 from a job whose own state is ERROR: it is named."""
    return (
        isinstance(document, dict)
        and str(document.get("Status", "")).strip().upper() == "ERROR"
        and not (document.get("Id") or document.get("QueuedUri"))
    )
