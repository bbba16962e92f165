"""Documents in impact.com's form: paged envelopes and errors, as XML unless JSON is requested."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from urllib.parse import urlencode
from xml.sax.saxutils import escape, quoteattr

from tap_affiliate_reports.sandbox.message import LoggedRequest, Response


class Refused(Exception):
    """Raised by a route to answer with an error body; bad input may have the HTTP status 200."""

    def __init__(self, status: int, message: str, field: str = "", *, bad_input: bool = False):
        super().__init__(message)
        self.status = status
        self.field = field
        self.bad_input = bad_input


def answer(request: LoggedRequest, document: object, status: int = 200) -> Response:
    """Answer with the document in the format the request accepts."""
    if "application/json" in (request.headers.get("Accept") or ""):
        return Response(status, json.dumps(document).encode(), "application/json")
    return Response(status, to_xml(document), "application/xml")


def error(message: str, field: str = "") -> dict[str, object]:
    """Return the body of a refusal; `field` is the wrong parameter."""
    errors = [{"Field": field, "Message": message}] if field else []
    return {"Status": "ERROR", "Message": message, "Errors": errors}


def page(
    request: LoggedRequest, name: str, entries: Sequence[object], size: int
) -> dict[str, object]:
    """Return the requested page of a list, in an envelope of text and relative links."""
    number = max(1, int(request.first("Page") or 1))
    total = len(entries)
    shown = entries[(number - 1) * size : number * size]
    pages = max(1, -(-total // size))

    def link(to: int) -> str:
        if not 1 <= to <= pages:
            return ""
        query = {**request.query, "PageSize": [str(size)], "Page": [str(to)]}
        return f"{request.path}?{urlencode(query, doseq=True)}"

    return {
        "@page": str(number),
        "@numpages": str(pages),
        "@pagesize": str(size),
        "@total": str(total),
        "@start": str((number - 1) * size),
        "@end": str((number - 1) * size + len(shown)),
        "@uri": request.path,
        "@firstpageuri": link(1),
        "@previouspageuri": link(number - 1),
        "@nextpageuri": link(number + 1),
        "@lastpageuri": link(pages),
        name: shown,
    }


def to_xml(document: object) -> bytes:
    """Render plainly: keys are elements, `@` keys attributes, lists repeat the singular."""
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{_element("Response", document)}'.encode()


def _element(name: str, value: object) -> str:
    name = re.sub(r"[^\w.-]|^(?=[\d.-])", "_", name)
    if isinstance(value, Mapping):
        attributes = "".join(
            f" {key[1:]}={quoteattr(str(item))}" for key, item in value.items() if key[:1] == "@"
        )
        children = "".join(_element(key, item) for key, item in value.items() if key[:1] != "@")
        return f"<{name}{attributes}>{children}</{name}>"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"<{name}>{''.join(_element(_singular(name), item) for item in value)}</{name}>"
    text = str(value).lower() if isinstance(value, bool) else str("" if value is None else value)
    return f"<{name}>{escape(text)}</{name}>"


def _singular(name: str) -> str:
    return name[:-1] if name.endswith("s") else f"{name}Item"
