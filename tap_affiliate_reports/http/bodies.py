"""Bodies as they were sent: a Content-Encoding may be false, so nothing is decoded by it."""

from __future__ import annotations

import codecs
import contextlib
import io
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import requests

from tap_affiliate_reports.errors import FileError
from tap_affiliate_reports.packed import BROKEN_GZIP, GZIP, unpacked

CHUNK = 256 * 1024
MAX_TEXT_BYTES = 256 * 1024 * 1024
ACCEPT_ENCODING = "gzip"
# What is announced of a body that is plain or gzip, whichever its first bytes show.
HARMLESS = frozenset({"", "gzip", "x-gzip", "identity", "aws-chunked"})
# How a file may begin that is no UTF-8 text.
STARTS = (GZIP, b"PK", codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class TooLarge(Exception):
    """Raised by a text of more bytes than its argument says."""


def undecoded(response: requests.Response) -> requests.Response:
    """Make an unread response give its body as it was sent."""
    # This keeps the exceptions of requests, which `response.raw.stream()` does not raise.
    response.raw.headers.discard("Content-Encoding")
    return response


def text_of(response: requests.Response) -> str:
    """Read a body as text, out of the gzip that it may be in; raise TooLarge."""
    body = _bounded(response.iter_content(CHUNK))
    if not body.startswith(GZIP):
        return _text(body)
    with contextlib.suppress(*BROKEN_GZIP):  # it stays no JSON, so it is requested again
        content = unpacked(io.BufferedReader(io.BytesIO(body)))
        body = _bounded(iter(partial(content.read, CHUNK), b""))
    return _text(body)


def store(response: requests.Response, target: Path) -> None:
    """Store a body as it was sent."""
    with disk(target), target.open("wb") as file:
        for chunk in response.iter_content(CHUNK):
            file.write(chunk)


@contextlib.contextmanager
def disk(target: Path) -> Iterator[None]:
    """Turn what goes wrong with storing a file into a FileError."""
    try:
        yield
    except requests.RequestException:  # an OSError too, but of the network
        raise
    except OSError as error:
        msg = f"can't store a result file in {target.parent}: {error.strerror or error}"
        raise FileError(msg) from None


def not_requested(headers: Mapping[str, str]) -> str:
    """Return the announced encodings that no Accept-Encoding allowed; "" without any."""
    announced = (part.strip() for part in headers.get("Content-Encoding", "").split(","))
    return ", ".join(part for part in announced if part.lower() not in HARMLESS)


def is_readable(path: Path) -> bool:
    """Tell by a file's beginning whether it is text, a workbook or gzip."""
    with disk(path), path.open("rb") as file:
        start = file.read(CHUNK)
    if start.startswith(STARTS):
        return True
    try:
        codecs.getincrementaldecoder("utf-8")().decode(start)
    except UnicodeDecodeError:
        return False
    return True


def _text(body: bytearray) -> str:
    return body.decode("utf-8", errors="replace").lstrip("\ufeff")


def _bounded(chunks: Iterator[bytes]) -> bytearray:
    body = bytearray()
    for chunk in chunks:
        body += chunk
        if len(body) > MAX_TEXT_BYTES:
            raise TooLarge(MAX_TEXT_BYTES)
    return body
