"""Gzip, recognized by its first bytes, because headers and file names are often wrong."""

from __future__ import annotations

import gzip
import io
import zlib

GZIP = b"\x1f\x8b"
LAYERS = 2
"""How often a file may be compressed: a server may compress a gzip file once more."""

BROKEN_GZIP = (EOFError, gzip.BadGzipFile, zlib.error)
"""The errors of reading a gzip stream that is cut short or changed."""


def unpacked(stream: io.BufferedReader) -> io.BufferedReader | gzip.GzipFile:
    """Return the decompressed content of a gzip stream; any other stream unchanged."""
    content: io.BufferedReader | gzip.GzipFile = stream
    for _ in range(LAYERS):
        if content.peek(2)[:2] != GZIP:
            break
        content = gzip.GzipFile(fileobj=content, mode="rb")
    return content
