"""Response bodies, read as they were sent.

Content-Encoding headers are often wrong, so gzip is recognized by the first bytes instead.
"""

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
# Values of Content-Encoding that need no decoder besides gzip.
HARMLESS = frozenset({"", "gzip", "x-gzip", "identity", "aws-chunked"})
# The first bytes of readable files that are not UTF-8: gzip, XLSX and UTF-16.
STARTS = (GZIP, b"PK", codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class TooLarge(Exception):
    """Raised when a text is larger than the number of bytes in its argument."""


def undecoded(response: requests.Response) -> requests.Response:
    """Return an unread response whose body will not be decoded."""
    # Reading `response.raw` instead would raise the errors of urllib3, not those of requests.
    response.raw.headers.discard("Content-Encoding")
    return response


def text_of(response: requests.Response) -> str:
    """Return a body as text, decompressed if it is gzip; raise TooLarge."""
    body = _bounded(response.iter_content(CHUNK))
    if not body.startswith(GZIP):
        return _text(body)
    with contextlib.suppress(*BROKEN_GZIP):  # broken gzip is not JSON, so the caller retries
        content = unpacked(io.BufferedReader(io.BytesIO(body)))
        body = _bounded(iter(partial(content.read, CHUNK), b""))
    return _text(body)


def store(response: requests.Response, target: Path) -> None:
    """Write a body to a file, as it was sent."""
    with disk(target), target.open("wb") as file:
        for chunk in response.iter_content(CHUNK):
            file.write(chunk)


@contextlib.contextmanager
def disk(target: Path) -> Iterator[None]:
    """Turn an OSError of the disk into a FileError."""
    try:
        yield
    except requests.RequestException:  # a subclass of OSError
        raise
    except OSError as error:
        msg = f"can't store a result file in {target.parent}: {error.strerror or error}"
        raise FileError(msg) from None


def not_requested(headers: Mapping[str, str]) -> str:
    """Return the encodings in Content-Encoding that were not requested; "" if all were."""
    announced = (part.strip() for part in headers.get("Content-Encoding", "").split(","))
    return ", ".join(part for part in announced if part.lower() not in HARMLESS)


def is_readable(path: Path) -> bool:
    """Return whether the first bytes of a file are those of text, a workbook or gzip."""
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
