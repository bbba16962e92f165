"""The storage host: files behind short-lived signed links, in the manner of S3."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

from tap_affiliate_reports.sandbox.message import Clock, LoggedRequest, Response

Content = bytes | Path | Callable[[], bytes]
"""The bytes of a file, its path on disk, or a function that creates them on first use."""


def stored(name: str, content: bytes | Path) -> Response:
    """Answer with a file; a file on disk is streamed."""
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    response = Response(200, content_type="application/octet-stream", headers=headers)
    if isinstance(content, Path):
        response.file = content
    else:
        response.body = content
    return response


class Storage:
    """Serves each signed file until its link expires, to requests without credentials only."""

    def __init__(self, now: Clock) -> None:
        self.now = now
        self.url = ""
        self._key = secrets.token_bytes(32)
        self._files: dict[str, tuple[float, str, Content]] = {}
        self._tidy_at = 64
        self._lock = threading.Lock()

    def sign(self, name: str, content: Content, seconds: float) -> str:
        """Return an absolute link to a file that works for `seconds` of the sandbox's clock."""
        now = self.now().timestamp()
        token, until = secrets.token_urlsafe(16), int(now + seconds)
        with self._lock:
            # Rarely, because a long list signs a link for each of its exports.
            if len(self._files) >= self._tidy_at:
                self._files = {key: file for key, file in self._files.items() if now < file[0]}
                self._tidy_at = 2 * len(self._files) + 64
            self._files[token] = (until, name, content)
        expires = str(until)
        query = urlencode({"X-Signature": self._signature(token, expires), "Expires": expires})
        return f"{self.url}/storage/{token}?{query}"

    def __call__(self, request: LoggedRequest) -> Response | None:
        """Answer with the file, or return None for a path of another application."""
        match request.method, request.segments:
            case "GET", ["storage", token]:
                return self._get(request, token)
            case _:
                return None

    def _get(self, request: LoggedRequest, token: str) -> Response:
        expires = request.first("Expires")
        signature = self._signature(token, expires)
        if "Authorization" in request.headers or "X-Api-Key" in request.headers:
            return _refuse(400, "InvalidArgument", "Only one auth mechanism allowed")
        if request.first("X-Signature") != signature:
            return _refuse(403, "SignatureDoesNotMatch", "The signature does not match")
        if token not in self._files or self.now().timestamp() >= float(expires):
            return _refuse(403, "AccessDenied", "Request has expired")
        _, name, content = self._files[token]
        return stored(name, content() if callable(content) else content)

    def _signature(self, token: str, expires: str) -> str:
        return hmac.new(self._key, f"{token} {expires}".encode(), hashlib.sha256).hexdigest()


def _refuse(status: int, code: str, message: str) -> Response:
    xml = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    )
    return Response(status, xml.encode(), "application/xml")
