"""The bytes of a CSV file after decompression, each read observed for the digest."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from tap_affiliate_reports.errors import DamagedFile
from tap_affiliate_reports.packed import BROKEN_GZIP, unpacked

if TYPE_CHECKING:
    import gzip
    from collections.abc import Callable

    from _typeshed import WriteableBuffer

BUFFER = 64 * 1024


def unpacked_content(
    file: io.BufferedReader, on_read: Callable[[memoryview], object] = lambda _: None
) -> io.BufferedReader:
    """Return the decompressed content of a file; `on_read` is called with all bytes read."""
    try:
        stream = unpacked(file)
    except BROKEN_GZIP as error:
        raise DamagedFile(f"unreadable gzip at its start: {error}") from error
    return io.BufferedReader(_ObservedStream(stream, on_read), BUFFER)


class _ObservedStream(io.RawIOBase):
    """A stream that calls a function with the bytes of each read."""

    def __init__(
        self, stream: io.BufferedReader | gzip.GzipFile, on_read: Callable[[memoryview], object]
    ) -> None:
        self._stream, self._on_read = stream, on_read

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        count = self._stream.readinto(buffer)
        self._on_read(memoryview(buffer)[:count])
        return count

    def close(self) -> None:
        self._stream.close()
        super().close()
