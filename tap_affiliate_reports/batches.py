"""BATCH files: records in files for the loader, as the SDK's setting batch_config defines."""

from __future__ import annotations

import contextlib
import gzip
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Protocol
from uuid import uuid4

from typing_extensions import Self

from tap_affiliate_reports.errors import FileError, SettingsError
from tap_affiliate_reports.sdk import BatchConfig, batch_root

# Records are so repetitive that higher levels are slower without smaller files.
GZIP_LEVEL = 1
JSONL, ARROW = "jsonl", "arrow"
# By format and compression; there are no other formats.
EXTENSIONS = {(JSONL, "gzip"): ".json.gz", (JSONL, "none"): ".json", (ARROW, "none"): ".arrow"}
# The suffix of a file's name until the file is complete.
PART = ".part"
CANT_WRITE = "can't write a batch file"
CANT_WRITE_TO = "batch_config.storage: can't write to"


def batch_config(config: Mapping[str, Any]) -> BatchConfig | None:
    """Return the configuration of BATCH files; None if batch_config is not set."""
    raw = config.get("batch_config")
    if not raw:
        return None
    encoding = {"format": JSONL, **raw.get("encoding", {})}
    encoding.setdefault("compression", "gzip" if encoding["format"] == JSONL else "none")
    storage = {**raw["storage"]}
    if not re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", storage["root"]):
        # The SDK would quote spaces of a path in BATCH messages, but not when it reads files.
        storage["root"] = f"file://{Path(storage['root']).expanduser().absolute()}"
    return BatchConfig.from_dict({**raw, "encoding": encoding, "storage": storage})


def make_folders(config: BatchConfig) -> None:
    """Create the folders of BATCH files; raise SettingsError if they are not writable.

    This is called before a sync requests rows, which would be lost without a folder.
    """
    root = config.storage.root
    msg = f"{CANT_WRITE_TO} {root}"
    try:
        path = batch_root(config.storage)
        (path / f"{config.storage.prefix or ''}x").parent.mkdir(parents=True, exist_ok=True)
        is_writable = not root.startswith("file:") or os.access(path.path, os.W_OK)
    except ImportError as error:
        hint = "; install the extra s3 of this package" if root.startswith("s3:") else ""
        raise SettingsError(f"{msg}: {error}{hint}") from None
    except Exception as error:  # the types of errors depend on the storage
        raise SettingsError(f"{msg}: {type(error).__name__} {error}") from None
    if not is_writable:
        raise SettingsError(msg)


class BlockWriter(Protocol):
    """Writes blocks of records into one file; closing it completes the file."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *error: Any) -> Any: ...
    def write(self, block: Any, /) -> Any:
        """Write a block of records."""


class BatchFiles:
    """Writes blocks of records into files, which end with the block that reaches `batch_size`.

    A file is written in `spool`, moved to the storage with the suffix `.part`, and renamed when it
    is complete. Then `announce` is called with its URL. `open_writer` returns the writer of blocks
    into an open file; without it blocks are lines.
    """

    def __init__(
        self,
        config: BatchConfig,
        name: str,
        spool: Path,
        announce: Callable[[str], None],
        open_writer: Callable[[IO[bytes]], BlockWriter] | None = None,
    ) -> None:
        self._config = config
        self._spool = spool
        self._name = f"{config.storage.prefix or ''}{name}-{uuid4()}"
        self._announce = announce
        self._open_writer = open_writer or self._open_lines
        self._count = 0
        self._number = 0
        self._open = contextlib.ExitStack()
        self._file: BlockWriter | None = None

    @property
    def room(self) -> int:
        """How many records the present file may still have."""
        return self._config.batch_size - self._count

    def write(self, block: Any, count: int) -> None:
        """Write a block of `count` records."""
        with self._storage():
            if self._file is None:
                self._file = self._begin()
            self._file.write(block)
        self._count += count
        if self._count >= self._config.batch_size:
            self.finish()

    def finish(self) -> None:
        """Close the open file, if any, and announce it."""
        if self._file is not None:
            with self._storage():
                self._open.close()
                # Renaming marks a complete file, because some storages also commit failed ones.
                self._filesystem.mv(self._path(PART), self._path())
            self._file, self._count = None, 0
            self._announce(self._config.storage.get_url(self._filename))

    @property
    def _filename(self) -> str:
        encoding = self._config.encoding
        extension = EXTENSIONS[encoding.format, encoding.compression or "none"]
        return f"{self._name}-{self._number}{extension}"

    @property
    def _filesystem(self) -> Any:
        return batch_root(self._config.storage).fs

    def _path(self, suffix: str = "") -> str:
        """Return the file's path in the file system of the storage."""
        return str(batch_root(self._config.storage).joinpath(self._filename + suffix).path)

    def _begin(self) -> BlockWriter:
        self._number += 1
        with _temporary_files_in(self._spool):
            file = self._open.enter_context(self._config.storage.open(self._filename + PART, "wb"))
        return self._open.enter_context(self._open_writer(file))

    def _open_lines(self, file: IO[bytes]) -> BlockWriter:
        if self._config.encoding.compression != "gzip":
            return file
        return gzip.GzipFile(fileobj=file, mode="wb", compresslevel=GZIP_LEVEL)

    @contextlib.contextmanager
    def _storage(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # the types of errors depend on the storage
            self._file = None
            # Without the error, closing would commit the part.
            with contextlib.suppress(Exception):  # it raises the same error again
                self._open.__exit__(type(error), error, error.__traceback__)
            with contextlib.suppress(Exception):  # usually the part does not exist
                self._filesystem.rm_file(self._path(PART))
            msg = f"{CANT_WRITE} to {self._config.storage.root}: {error}"
            raise FileError(msg) from None


@contextlib.contextmanager
def _temporary_files_in(folder: Path) -> Iterator[None]:
    # The storage creates temporary files, and only the spool is deleted if this process is killed.
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before
