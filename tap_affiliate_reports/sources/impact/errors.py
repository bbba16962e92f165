"""How impact.com reports an error in a JSON document."""

from __future__ import annotations

from typing import Any

from tap_affiliate_reports.http import ErrorFormat, message_of


def is_error(document: Any) -> bool:
    """Return whether a document that came with HTTP 200 is an error.

    The state of a job may be ERROR too, but the document of a job names its job.
    """
    return (
        isinstance(document, dict)
        and str(document.get("Status", "")).strip().upper() == "ERROR"
        and not (document.get("Id") or document.get("QueuedUri"))
    )


def message(document: Any) -> str:
    """Return the message of an error document and of each refused field."""
    errors = document.get("Errors") if isinstance(document, dict) else None
    fields = (
        f"{error.get('Field', '')}: {error.get('Message', '')}".strip(": ")
        for error in (errors if isinstance(errors, list) else ())
        if isinstance(error, dict)
    )
    return "; ".join(filter(None, (message_of(document), *fields)))


ERRORS = ErrorFormat(is_error, message)
