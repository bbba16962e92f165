"""A request as it came in and an answer as it goes out."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from http.client import HTTPMessage
from pathlib import Path
from typing import Literal
from urllib.parse import unquote

Clock = Callable[[], datetime]


@dataclass
class LoggedRequest:
    """One request as it came in; `status` is 0 until there is an answer, and when there is none.

    `path` is as sent (still quoted), `headers` are looked up in any case.
    """

    origin: str
    method: str
    path: str
    query: dict[str, list[str]]
    headers: HTTPMessage
    body: bytes = b""
    status: int = 0

    @property
    def segments(self) -> list[str]:
        """The parts of the path between slashes, unquoted."""
        return [unquote(part) for part in self.path.split("/")[1:]]

    def first(self, name: str) -> str:
        """Return the first value of a query parameter, "" without one."""
        return self.query.get(name, [""])[0]


@dataclass
class Response:
    """One answer. `framing` and `drop` let a fault break the wire, not only the words.

    framing: "length" sends Content-Length (`length`, else the body's own), "close" ends the body
    by closing, "chunked" sends one chunk and never the last one. drop: "close" or "reset" ends
    the connection with no answer at all. `file` is sent in place of the body, and never read whole:
    what would alter the body leaves it alone.
    """

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    framing: Literal["length", "close", "chunked"] = "length"
    length: int | None = None
    drop: Literal["", "close", "reset"] = ""
    file: Path | None = None


Application = Callable[[LoggedRequest], "Response | None"]
"""Answers a request, or None where it knows no such path."""


def as_json(document: object, status: int = 200) -> Response:
    """Answer with the document as JSON."""
    return Response(status, json.dumps(document).encode())
