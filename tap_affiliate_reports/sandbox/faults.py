"""Scripted faults: what goes wrong, on which request, how often.

An action accepts a function that creates the real answer and returns the answer that is sent
instead. With `handled` the real answer is created first (a job is scheduled, for example) and lost.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal
from urllib.parse import urlencode

from tap_affiliate_reports.sandbox.message import LoggedRequest, Response
from tap_affiliate_reports.sandbox.registry import SERVICES

Action = Callable[[Callable[[], Response]], Response]

STEPS = {
    **{
        f"{name} {step}": expression
        for name, service in SERVICES.items()
        for step, expression in service.STEPS.items()
    },
    "storage": "^GET /storage/",
}
"""Names for the steps of an export, accepted by `Faults.add` in place of an expression."""


@dataclass
class Fault:
    """One line of the script; `hits` counts the requests it has changed."""

    match: re.Pattern[str]
    action: Action
    times: int | None
    after: int
    hits: int = 0


class Faults:
    """An ordered script: of the faults that match a request, the first one not used up acts."""

    def __init__(self) -> None:
        self.script: list[Fault] = []
        self._lock = threading.Lock()

    def add(
        self,
        match: str | re.Pattern[str],
        action: Action,
        times: int | None = 1,
        after: int = 0,
    ) -> Fault:
        """Add a fault for requests in whose "METHOD path" or "METHOD path?query" `match` is found.

        `match` is a regular expression or one of the STEPS, `times` None is always, `after` spares
        the first matches.
        """
        pattern = STEPS.get(match, match) if isinstance(match, str) else match
        fault = Fault(re.compile(pattern), action, times, after)
        with self._lock:
            self.script.append(fault)
        return fault

    def clear(self) -> None:
        """Forget the script."""
        with self._lock:
            self.script.clear()

    def take(self, request: LoggedRequest) -> Action | None:
        """Return the action for this request, if one is due, and count the match."""
        line = f"{request.method} {request.path}"
        full = f"{line}?{urlencode(request.query, doseq=True)}"
        with self._lock:
            for fault in self.script:
                if not (fault.match.search(line) or fault.match.search(full)):
                    continue
                if fault.times is not None and fault.hits >= fault.times:
                    continue
                if fault.after > 0:
                    fault.after -= 1
                    continue
                fault.hits += 1
                return fault.action
        return None


def status(
    code: int,
    headers: dict[str, str] | None = None,
    body: bytes = b"",
    *,
    content_type: str = "application/json",
    handled: bool = False,
) -> Action:
    """Answer with this status."""

    def act(real: Callable[[], Response]) -> Response:
        if handled:
            real()
        return Response(code, body, content_type, dict(headers or {}))

    return act


def body(content: bytes, content_type: str = "application/octet-stream") -> Action:
    """Answer 200 with this body."""
    return status(200, body=content, content_type=content_type)


def encoded(announced: str, pack: Callable[[bytes], bytes] = bytes) -> Action:
    """Send the real body, packed by `pack`, with a Content-Encoding that may be wrong."""

    def act(real: Callable[[], Response]) -> Response:
        response = real()
        headers = {**response.headers, **({"Content-Encoding": announced} if announced else {})}
        return replace(response, body=pack(response.body), headers=headers)

    return act


def html_login() -> Action:
    """Answer 200 with a login page."""
    page = b"<!DOCTYPE html><html><head><title>Log in</title></head><body>Log in</body></html>\n"
    return body(page, "text/html; charset=utf-8")


def reset(*, handled: bool = False) -> Action:
    """End the connection with an RST."""
    return _drop("reset", handled=handled)


def close(*, handled: bool = False) -> Action:
    """End the connection without an answer."""
    return _drop("close", handled=handled)


def cut(fraction: float, *, content_length: bool = True, chunked: bool = False) -> Action:
    """Send the first part of the real body, then close.

    With the real Content-Length, or as an unfinished chunked body, a client can see the cut; with
    neither (`content_length=False`) it can't.
    """

    def act(real: Callable[[], Response]) -> Response:
        response = real()
        part = response.body[: int(len(response.body) * fraction)]
        if chunked:
            return replace(response, body=part, framing="chunked")
        if content_length:
            return replace(response, body=part, length=len(response.body))
        return replace(response, body=part, framing="close")

    return act


def delay(seconds: float) -> Action:
    """Send the real answer after a pause by the real clock."""

    def act(real: Callable[[], Response]) -> Response:
        time.sleep(seconds)
        return real()

    return act


def hang(event: threading.Event) -> Action:
    """Send the real answer once `event` is set."""

    def act(real: Callable[[], Response]) -> Response:
        event.wait()
        return real()

    return act


def _drop(how: Literal["close", "reset"], *, handled: bool) -> Action:
    def act(real: Callable[[], Response]) -> Response:
        if handled:
            real()
        return Response(drop=how)

    return act
