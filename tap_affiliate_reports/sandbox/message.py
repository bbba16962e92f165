"""Requests and answers of the sandbox."""

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
    """One received request; `status` is 0 before the answer, and if the connection is dropped.

    `path` is as sent (still quoted); `headers` ignore case.
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
    """One answer. `framing` and `drop` let a fault break the transfer, not only the content.

    framing: "length" sends Content-Length (`length`, else the body's own), "close" ends the body
    by closing, "chunked" sends one chunk and never the last one. drop: "close" or "reset" ends
    the connection without an answer. `file` is sent in place of the body and never read into
    memory, so faults that change the body do not change it.
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
"""Answers a request; None for the path of another application."""


def as_json(document: object, status: int = 200) -> Response:
    """Answer with the document as JSON."""
    return Response(status, json.dumps(document).encode())
