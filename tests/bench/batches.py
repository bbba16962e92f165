"""BATCH files against RECORD lines in a file: the whole tap, over the same report."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import data
from tap_process import config_of

from tap_affiliate_reports.sandbox import Report, Sandbox

# One file for the whole report, as RECORD has one.
BATCH_SIZE = 10_000_000


def against_records(
    folder: Path, rows: int, columns: int, runs: int, tell: Callable[[str], None]
) -> None:
    """Print how long each way takes into files, without what an empty report takes."""
    full, empty = (data.file_of(folder, count, columns) for count in (rows, 0))
    taken: dict[str, list[float]] = {}
    sizes: dict[str, int] = {}
    with Sandbox(job_seconds=0, exports_per_day=100_000) as sandbox:
        for _ in range(runs):
            for way in ("RECORD", "gzip", "none"):
                start, _ = _once(sandbox, way, empty, columns)
                whole, sizes[way] = _once(sandbox, way, full, columns)
                taken.setdefault(way, []).append(whole - start)
    records = median(taken["RECORD"])
    tell(f"into files, {rows} rows of {columns} columns")
    for way, label in {"RECORD": "RECORD", "gzip": "BATCH, gzip", "none": "BATCH, plain"}.items():
        seconds = median(taken[way])
        tell(
            f"  {label:12} {rows / seconds:>8.0f} rows/s {sizes[way] / 1e6:>7.0f} MB"
            f"   {records / seconds:.2f} times RECORD"
        )


def _once(sandbox: Sandbox, way: str, file: Path, columns: int) -> tuple[float, int]:
    """Return the seconds of one sync and the bytes in its files."""
    sandbox.impact.jobs.clear()
    sandbox.impact.add(Report("bench", "bench", data.columns(columns), raw=lambda *_: file))
    config: dict[str, Any] = config_of(sandbox, ["bench"])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if way != "RECORD":
            config["batch_config"] = {
                "encoding": {"format": "jsonl", "compression": way},
                "storage": {"root": folder.as_uri()},
                "batch_size": BATCH_SIZE,
            }
        settings = folder / "config"
        settings.write_text(json.dumps(config))
        with (folder / "out").open("wb") as out:
            began = time.perf_counter()
            subprocess.run(
                [sys.executable, "-m", "tap_affiliate_reports", "--config", str(settings)],
                stdout=out,
                stderr=subprocess.DEVNULL,
                check=True,
            )
            seconds = time.perf_counter() - began
        return seconds, sum(path.stat().st_size for path in folder.iterdir())
