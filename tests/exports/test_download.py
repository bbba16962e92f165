"""A downloaded file stays for the stream that ordered it, and is removed where nobody waits."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from tap_affiliate_reports.errors import TapError
from tap_affiliate_reports.exports.download import Downloads
from tap_affiliate_reports.exports.export import Export, StoredFile
from tap_affiliate_reports.exports.job import ExportJob, ExportRequest, JobState
from tap_affiliate_reports.exports.order import ExportOrder
from tap_affiliate_reports.formats import csv
from tap_affiliate_reports.http import NotReady

JOB = ExportJob("1", JobState.READY)
FILE = b"a\n1\n"
DAMAGED = b"a,b\n1\n"


class Source:
    """Stores the same content each time, or says that there is none yet; `opened` lets it go on."""

    def __init__(self, content: bytes | None) -> None:
        self.content = content
        self.opened = threading.Event()

    def download(self, _request: Any, _job: Any, target: Path) -> NotReady | None:
        assert self.opened.wait(10)
        target.write_bytes(self.content or b"half")
        return None if self.content else NotReady(None)

    def format_of(self, _request: Any) -> Any:
        return csv


class Download:
    """One download that has begun and waits for its source."""

    def __init__(self, spool: Path, content: bytes | None) -> None:
        self.spool, self.source = spool, Source(content)
        self.downloads = Downloads(self.source, spool, "x")  # type: ignore[arg-type]
        self.export = Export(ExportOrder("sales", "2026-10", ExportRequest("sales")))
        self.export.download = self.downloads.begin(self.export.order, JOB)

    def end(self) -> list[Path]:
        """Let the download end and return the files that are there then."""
        self.source.opened.set()
        for thread in threading.enumerate():
            if thread.name.startswith("download"):
                thread.join(10)
        assert self.downloads.ended.is_set()
        return list(self.spool.iterdir())


def test_a_complete_file_stays(tmp_path: Path) -> None:
    download = Download(tmp_path, FILE)
    (path,) = download.end()
    assert download.export.download is not None
    assert isinstance(stored := download.export.download.result(), StoredFile)
    assert (stored.path, stored.summary.rows) == (path, 1)


@pytest.mark.parametrize("content", [FILE, None, DAMAGED], ids=["complete", "not ready", "damaged"])
def test_a_file_that_is_discarded_during_its_download_goes(
    tmp_path: Path, content: bytes | None
) -> None:
    download = Download(tmp_path, content)
    download.export.discard()
    assert download.end() == []


def test_a_file_that_is_discarded_after_its_download_goes(tmp_path: Path) -> None:
    download = Download(tmp_path, FILE)
    assert len(download.end()) == 1
    download.export.discard()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [None, DAMAGED], ids=["not ready", "damaged"])
def test_an_incomplete_file_goes(tmp_path: Path, content: bytes | None) -> None:
    assert Download(tmp_path, content).end() == []


def test_an_error_of_the_download_is_raised_where_its_result_is_read(tmp_path: Path) -> None:
    download = Download(tmp_path, DAMAGED)
    download.end()
    assert download.export.download is not None
    with pytest.raises(TapError, match="sales 2026-10"):
        download.export.download.result()
