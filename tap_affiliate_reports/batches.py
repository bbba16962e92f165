"""BATCH: records in files that the loader reads by itself, as the framework's batch_config says."""

from __future__ import annotations

import contextlib
import gzip
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

from singer_sdk.helpers._batch import BatchConfig

from tap_affiliate_reports.errors import FileError, SettingsError

# Records repeat themselves so much that more effort gains little.
GZIP_LEVEL = 1
EXTENSIONS = {"gzip": ".json.gz", "none": ".json"}
# The end of a file's name until the file is complete.
PART = ".part"


def batch_config(config: Mapping[str, Any]) -> BatchConfig | None:
    """Return how records are batched; None where they are not."""
    raw = config.get("batch_config")
    if not raw:
        return None
    encoding = {"format": "jsonl", "compression": "gzip", **raw.get("encoding", {})}
    storage = {**raw["storage"]}
    if not re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", storage["root"]):
        # The framework would announce a path with its spaces quoted, and read it as it stands.
        storage["root"] = f"file://{Path(storage['root']).expanduser().absolute()}"
    return BatchConfig.from_dict({**raw, "encoding": encoding, "storage": storage})


def make_folders(config: BatchConfig) -> None:
    """Make the folders of batch files, or raise SettingsError, before anything is spent on rows."""
    root = config.storage.root
    msg = f"batch_config.storage: can't write to {root}"
    try:
        # The framework has no public way to its root.
        path = config.storage._root_path
        (path / f"{config.storage.prefix or ''}x").parent.mkdir(parents=True, exist_ok=True)
        is_writable = not root.startswith("file:") or os.access(path.path, os.W_OK)
    except ImportError as error:
        hint = "; install the extra s3 of this package" if root.startswith("s3:") else ""
        raise SettingsError(f"{msg}: {error}{hint}") from None
    except Exception as error:  # each kind of storage has its own
        raise SettingsError(f"{msg}: {type(error).__name__} {error}") from None
    if not is_writable:
        raise SettingsError(msg)


class BatchFiles:
    """Writes lines of records into files, each of at most `batch_size` records and one block.

    A file is written in `spool`, put into the storage as a `.part`, and renamed once it is
    complete; then `announce` is called with its URL.
    """

    def __init__(
        self, config: BatchConfig, name: str, spool: Path, announce: Callable[[str], None]
    ) -> None:
        self._config = config
        self._spool = spool
        self._name = f"{config.storage.prefix or ''}{name}-{uuid4()}"
        self._announce = announce
        self._count = 0
        self._number = 0
        self._open = contextlib.ExitStack()
        self._file: IO[bytes] | gzip.GzipFile | None = None

    def write(self, lines: bytes, count: int) -> None:
        """Write the lines of so many records."""
        with self._storage():
            if self._file is None:
                self._file = self._begin()
            self._file.write(lines)
        self._count += count
        if self._count >= self._config.batch_size:
            self.finish()

    def finish(self) -> None:
        """Close the file that is open, and announce it."""
        if self._file is not None:
            with self._storage():
                self._open.close()
                # The storage commits a file in its own way, even a failed one in some versions.
                self._filesystem.mv(self._path(PART), self._path())
            self._file, self._count = None, 0
            self._announce(self._config.storage.get_url(self._filename))

    @property
    def _filename(self) -> str:
        extension = EXTENSIONS[self._config.encoding.compression or "none"]
        return f"{self._name}-{self._number}{extension}"

    @property
    def _filesystem(self) -> Any:
        return self._config.storage._root_path.fs

    def _path(self, suffix: str = "") -> str:
        """Return the file's path, as its file system has it."""
        return str(self._config.storage._root_path.joinpath(self._filename + suffix).path)

    def _begin(self) -> IO[bytes] | gzip.GzipFile:
        self._number += 1
        with _temporary_files_in(self._spool):
            file = self._open.enter_context(self._config.storage.open(self._filename + PART, "wb"))
        if self._config.encoding.compression != "gzip":
            return file
        return self._open.enter_context(
            gzip.GzipFile(fileobj=file, mode="wb", compresslevel=GZIP_LEVEL)
        )

    @contextlib.contextmanager
    def _storage(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # each kind of storage has its own
            self._file = None
            # Closed as usual, the part would be committed.
            with contextlib.suppress(Exception):  # the error itself comes out of it again
                self._open.__exit__(type(error), error, error.__traceback__)
            with contextlib.suppress(Exception):  # most often there is none
                self._filesystem.rm_file(self._path(PART))
            msg = f"can't write a batch file to {self._config.storage.root}: {error}"
            raise FileError(msg) from None


@contextlib.contextmanager
def _temporary_files_in(folder: Path) -> Iterator[None]:
    # The storage begins a file there, and who ends this process clears only the spool.
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before
