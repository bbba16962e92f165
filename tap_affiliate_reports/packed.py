"""Gzip, known by its first bytes: what headers and names say of it is often wrong."""

from __future__ import annotations

import gzip
import io
import zlib

GZIP = b"\x1f\x8b"
LAYERS = 2
"""A gzip file may be compressed once more on its way; deeper nesting has no end."""

BROKEN_GZIP = (EOFError, gzip.BadGzipFile, zlib.error)
"""What reading an unpacked stream raises where the gzip is cut short or changed."""


def unpacked(stream: io.BufferedReader) -> io.BufferedReader | gzip.GzipFile:
    """Return the content of a gzip stream, of gzip within gzip too; any other stream as it is."""
    content: io.BufferedReader | gzip.GzipFile = stream
    for _ in range(LAYERS):
        if content.peek(2)[:2] != GZIP:
            break
        content = gzip.GzipFile(fileobj=content, mode="rb")
    return content
