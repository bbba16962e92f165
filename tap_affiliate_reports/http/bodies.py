"""Bodies as they were sent: a Content-Encoding may be false, so nothing is decoded by it."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator, Mapping

import requests

from tap_affiliate_reports.packed import GZIP, unpacked

CHUNK = 256 * 1024
ACCEPT_ENCODING = "gzip"
# What is announced of a body that is plain or gzip, whichever its first bytes show.
HARMLESS = frozenset({"", "gzip", "x-gzip", "identity", "aws-chunked"})
# How a file may begin that is no UTF-8 text.
STARTS = (GZIP, b"PK", codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def undecoded(response: requests.Response) -> requests.Response:
    """Make an unread response give its body as it was sent."""
    # This keeps the exceptions of requests, which `response.raw.stream()` does not raise.
    response.raw.headers.discard("Content-Encoding")
    return response


def chunks_of(body: bytes | bytearray) -> Iterator[bytes]:
    """Yield a body's content, without the gzip that it may be in."""
    content = unpacked(io.BufferedReader(io.BytesIO(body)))
    while chunk := content.read(CHUNK):
        yield chunk


def not_requested(headers: Mapping[str, str]) -> str:
    """Return the announced encodings that no Accept-Encoding allowed; "" without any."""
    announced = (part.strip() for part in headers.get("Content-Encoding", "").split(","))
    return ", ".join(part for part in announced if part.lower() not in HARMLESS)


def is_readable(start: bytes) -> bool:
    """Tell whether a file that begins so is text, a workbook or gzip."""
    if start.startswith(STARTS):
        return True
    try:
        codecs.getincrementaldecoder("utf-8")().decode(start)
    except UnicodeDecodeError:
        return False
    return True
