"""HTTP on loopback: logs requests, plays faults and lets applications answer."""

from __future__ import annotations

import socket
import struct
import sys
import threading
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime, timezone
from email.utils import format_datetime
from http import HTTPStatus
from http.client import HTTPMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

from tap_affiliate_reports.sandbox.faults import Faults
from tap_affiliate_reports.sandbox.message import Application, Clock, LoggedRequest, Response


class Recorder:
    """The clock, the request log and the script of faults that all origins of a sandbox share.

    `on_request` is called after the answer is created (`status` is set) and before it is sent.
    """

    def __init__(self, now: Clock) -> None:
        self.now = now
        self.faults = Faults()
        self.requests: list[LoggedRequest] = []
        self.unmatched: list[LoggedRequest] = []
        self.on_request: Callable[[LoggedRequest], None] | None = None

    def answer(self, request: LoggedRequest, applications: Iterable[Application]) -> Response:
        """Answer a request by the first application that knows its path, or by a fault."""
        self.requests.append(request)

        def real() -> Response:
            for application in applications:
                if (response := application(request)) is not None:
                    return response
            self.unmatched.append(request)
            return Response(404, b"no such path\n", "text/plain")

        action = self.faults.take(request)
        response = action(real) if action else real()
        request.status = 0 if response.drop else response.status
        if self.on_request:
            self.on_request(request)
        return response


class Origin(ThreadingHTTPServer):
    """One listening port on 127.0.0.1 whose requests go to the applications."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self, name: str, port: int, recorder: Recorder, applications: list[Application]
    ) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.name = name
        self.recorder = recorder
        self.applications = applications
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self._open: set[socket.socket] = set()
        self._resetting: set[socket.socket] = set()
        self._thread = threading.Thread(target=self.serve_forever, daemon=True)
        self._thread.start()

    def server_bind(self) -> None:
        """Bind without http.server's reverse look-up of the host's name, which can be slow."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]

    def stop(self) -> None:
        """Stop listening and end every open connection."""
        # Wakes the thread, which else looks only twice a second whether to stop. Not all systems
        # allow it for a listening socket; there a stop takes until the next look.
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.shutdown()
        self._thread.join()
        self.server_close()
        for connection in list(self._open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue

    def reset(self, connection: socket.socket) -> None:
        """End this connection with an RST."""
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._resetting.add(connection)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Record the connection, so that `stop` can end it."""
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """End a connection, with an RST instead of a FIN if one is scripted."""
        self._open.discard(request)
        if request in self._resetting:
            self._resetting.discard(request)
            self.close_request(request)
        else:
            super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log no client that went away, because tests kill their taps."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """Reads requests of one connection and writes the answers, each in one packet if small."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def _exchange(self) -> None:
        origin = cast("Origin", self.server)
        url = urlsplit(self.path)
        request = LoggedRequest(
            origin.name,
            self.command,
            url.path,
            parse_qs(url.query, keep_blank_values=True),
            cast("HTTPMessage", self.headers),
            self.rfile.read(int(self.headers.get("Content-Length") or 0)),
        )
        try:
            response = origin.recorder.answer(request, origin.applications)
        except Exception:  # an error of the sandbox itself: log it and answer 500
            sys.stderr.write(traceback.format_exc())
            response = Response(500, traceback.format_exc().encode(), "text/plain")
        if response.drop:
            self.close_connection = True
            if response.drop == "reset":
                origin.reset(self.connection)
        elif response.file is not None:
            self._send_file(origin.recorder.now(), response, response.file)
        else:
            self._send(origin.recorder.now(), response)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _exchange  # noqa: N815 - http.server's

    def _send_file(self, now: datetime, response: Response, path: Path) -> None:
        with path.open("rb") as file:
            self.wfile.write(self._head(now, response, path.stat().st_size, is_whole=True))
            if self.command != "HEAD":
                self.connection.sendfile(file)

    def _send(self, now: datetime, response: Response) -> None:
        body = response.body
        length = len(body) if response.length is None else response.length
        head = self._head(now, response, length, is_whole=length == len(body))
        if response.framing == "chunked":
            body = b"%x\r\n%b\r\n" % (len(body), body)
        if self.command == "HEAD":
            body = b""
        if len(body) < 65_536:
            self.wfile.write(head + body)
        else:
            self.wfile.write(head)
            self.wfile.write(body)

    def _head(self, now: datetime, response: Response, length: int, *, is_whole: bool) -> bytes:
        headers = {
            "Date": format_datetime(now.astimezone(timezone.utc), usegmt=True),
            "Content-Type": response.content_type,
            **response.headers,
        }
        if response.framing == "length":
            headers["Content-Length"] = str(length)
        elif response.framing == "chunked":
            headers["Transfer-Encoding"] = "chunked"
        if response.framing != "length" or not is_whole:
            headers["Connection"] = "close"
            self.close_connection = True
        lines = [f"HTTP/1.1 {response.status} {_phrase(response.status)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        """Write no access log; `Sandbox.requests` is the log."""


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
