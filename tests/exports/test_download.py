"""A downloaded file is there for whoever takes it, at whatever moment, and for nobody else."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from tap_affiliate_reports.exports.download import Downloads
from tap_affiliate_reports.exports.export import Export, Step
from tap_affiliate_reports.exports.job import ExportJob, ExportRequest, JobState
from tap_affiliate_reports.formats import csv
from tap_affiliate_reports.http import NotReady

JOB = ExportJob("1", JobState.READY)


class Source:
    """Stores the same content each time, or says that there is none yet."""

    def __init__(self, content: bytes | None) -> None:
        self.content = content

    def download(self, _request: Any, _job: Any, target: Path) -> NotReady | None:
        target.write_bytes(self.content or b"half")
        return None if self.content else NotReady(None)

    def format_of(self, _request: Any) -> Any:
        return csv


class Prompt(Export):
    """An export that is taken, or given up, at the moment its file has landed."""

    then = Step.READY

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name == "landed" and value is not None:
            super().__setattr__("step", self.then)


def download(spool: Path, content: bytes | None, then: Step) -> list[Path]:
    """Return the files that are there once the thread has ended."""
    export = Prompt("sales", "2026-10", ExportRequest("sales"))
    export.then, export.step = then, Step.DOWNLOADING  # type: ignore[misc]
    Downloads(Source(content), spool, "x").begin(export, JOB)  # type: ignore[arg-type]
    for thread in threading.enumerate():
        if thread.name.startswith("download"):
            thread.join(10)
    assert export.step is then
    return list(spool.iterdir())


def test_a_file_that_is_taken_at_once_stays(tmp_path: Path) -> None:
    assert len(download(tmp_path, b"a\n1\n", Step.READY)) == 1


@pytest.mark.parametrize("then", [Step.DONE, Step.LEFT, Step.FAILED])
def test_a_file_that_nobody_waits_for_any_longer_goes(tmp_path: Path, then: Step) -> None:
    assert download(tmp_path, b"a\n1\n", then) == []


@pytest.mark.parametrize("content", [None, b"a,b\n1\n"], ids=["not ready", "damaged"])
def test_what_is_no_file_goes(tmp_path: Path, content: bytes | None) -> None:
    assert download(tmp_path, content, Step.RUNNING) == []
