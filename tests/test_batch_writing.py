"""A BATCH file has its name only when it is complete, whatever fails."""

from __future__ import annotations

import errno
import gzip
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from batch_files import batched, each_encoding
from fsspec.implementations.local import LocalFileOpener, LocalFileSystem
from singer_sdk.helpers._batch import StorageTarget

from tap_affiliate_reports.batches import CANT_WRITE, BatchFiles, batch_config
from tap_affiliate_reports.errors import FileError
from tap_affiliate_reports.record_batches import open_batches


@each_encoding
def test_a_disk_that_is_full_is_a_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: Mapping[str, str]
) -> None:
    found = batch_config(batched({}, tmp_path / "root", encoding=encoding))
    assert found is not None
    opened = StorageTarget.open

    @contextmanager
    def on_full_disk(storage: StorageTarget, name: str, mode: str) -> Iterator[Any]:
        with opened(storage, name, mode) as file, Path("/dev/full").open("wb") as full:
            file.write(b"a part")
            yield full

    monkeypatch.setattr(StorageTarget, "open", on_full_disk)
    spool, announced = tmp_path / "spool", list[str]()
    spool.mkdir()
    block: Any = b'{"n":1}\n' * 50_000
    open_writer = None
    if encoding["format"] == "arrow":
        block = pa.record_batch({"n": pa.array(range(50_000))})
        open_writer = partial(open_batches, schema=block.schema)
    files = BatchFiles(found, "x", spool, announced.append, open_writer)
    with pytest.raises(FileError, match=CANT_WRITE):
        files.write(block, 50_000)
    assert announced == []
    assert list((tmp_path / "root").iterdir()) == [], "no part is put in its place"


@contextmanager
def commits_whatever_happens(storage: StorageTarget) -> Iterator[Any]:
    """Commit the part of a failed file too, as singer-sdk 0.55 does."""
    fs = storage._root_path.fs
    fs.start_transaction()
    storage._root_path.mkdir(parents=True, exist_ok=True)
    try:
        yield fs
    finally:
        fs.end_transaction()


@pytest.mark.parametrize("compression", ["gzip", "none"])
@pytest.mark.parametrize("commits", [False, True], ids=["as installed", "as in 0.55"])
@pytest.mark.parametrize("failure", ["write", "commit", "move"])
def test_a_failed_write_leaves_no_file_that_looks_complete(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    failure: str,
    commits: bool,
    compression: str,
) -> None:
    if commits:
        monkeypatch.setattr(StorageTarget, "_fs", commits_whatever_happens)
    encoding = {"format": "jsonl", "compression": compression}
    found = batch_config(batched({}, tmp_path / "root", encoding=encoding))
    assert found is not None
    spool, announced = tmp_path / "spool", list[str]()
    spool.mkdir()
    files = BatchFiles(found, "x", spool, announced.append)
    files.write(b'{"n":1}\n', 1)
    files.finish()
    (whole,) = announced

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    files.write(b'{"n":2}\n' * 9000, 9000)
    if failure == "write":
        monkeypatch.setattr(files._file, "write", full)
    elif failure == "commit":
        monkeypatch.setattr(LocalFileOpener, "commit", full)
    else:
        monkeypatch.setattr(LocalFileSystem, "mv", full)

    def finish() -> None:
        files.write(b'{"n":3}\n', 1)
        files.finish()

    with pytest.raises(FileError, match=f"{CANT_WRITE}.*No space left"):
        finish()
    assert announced == [whole]
    assert [path.as_uri() for path in (tmp_path / "root").iterdir()] == [whole]


def test_a_file_has_its_name_only_when_it_is_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A move to another disk is a copy, so the file has another name until it is complete."""
    found = batch_config(batched({}, tmp_path / "root"))
    assert found is not None
    move, seen = LocalFileSystem.mv, list[list[str]]()

    def look(self: Any, source: str, target: str, **options: Any) -> None:
        seen.append([path.suffix for path in (tmp_path / "root").iterdir()])
        assert gzip.decompress(Path(source).read_bytes()) == b'{"n":1}\n'
        move(self, source, target, **options)

    monkeypatch.setattr(LocalFileSystem, "mv", look)
    spool, announced = tmp_path / "spool", list[str]()
    spool.mkdir()
    files = BatchFiles(found, "x", spool, announced.append)
    files.write(b'{"n":1}\n', 1)
    files.finish()
    assert seen == [[".part"]]
    assert [path.as_uri() for path in (tmp_path / "root").iterdir()] == announced


def test_a_file_is_in_the_spool_until_it_is_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal removes the spool, so no file may remain elsewhere."""
    spool, root, temporary = (tmp_path / name for name in ("spool", "root", "tmp"))
    spool.mkdir()
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    found = batch_config(batched({}, root))
    assert found is not None
    files = BatchFiles(found, "x", spool, lambda _: None)
    files.write(b'{"n":1}\n', 1)
    assert (len(list(spool.iterdir())), list(root.iterdir())) == (1, [])
    assert list(temporary.iterdir()) == []
    files.finish()
    assert (list(spool.iterdir()), len(list(root.iterdir()))) == ([], 1)
