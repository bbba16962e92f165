"""JSON documents of a service: exact numbers, errors and their messages."""

from __future__ import annotations

import re
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


def service_message(document: Any, text: str) -> str:
    """Return the message of an error document, or the text of an HTML page without its tags."""
    if isinstance(document, dict):
        nested = document.get("error")
        if isinstance(nested, dict):
            document = {"Message": nested.get("message"), "Errors": nested.get("code")}
        messages = [str(document.get("Message") or document.get("message") or "")]
        errors = document.get("Errors")
        messages.extend(
            f"{error.get('Field', '')}: {error.get('Message', '')}".strip(": ")
            for error in (errors if isinstance(errors, list) else [])
            if isinstance(error, dict)
        )
        joined = "; ".join(filter(None, messages))
        if joined:
            return joined
    return re.sub(r"<(script|style)\b.*?</\1>|<[^>]*>", " ", text, flags=re.DOTALL | re.IGNORECASE)


def one_line(text: str) -> str:
    """Return the text as one line without control characters."""
    return "".join(c for c in " ".join(text.split()) if c.isprintable())


def is_error_document(document: Any) -> bool:
    """Return whether a document is an error, not a job in the state ERROR, which has an Id."""
    return (
        isinstance(document, dict)
        and str(document.get("Status", "")).strip().upper() == "ERROR"
        and not (document.get("Id") or document.get("QueuedUri"))
    )
