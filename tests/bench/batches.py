"""BATCH files against RECORD lines in a file: the whole tap, over the same report.

Beside them, the RECORD lines that the SDK makes of the file alone.
"""

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
from process import ENVIRONMENT
from rows import DEFAULT, SCRIPTS, WAYS
from tap_process import config_of

from tap_affiliate_reports.sandbox import Report, Sandbox

SDK = "SDK"
LABELS = {
    "RECORD": "RECORD",
    "BATCH gzip": "BATCH, gzip",
    "BATCH none": "BATCH, plain",
    SDK: "SDK default, RECORD",
}
# One file for the whole report, as RECORD has one.
BATCH_SIZE = 10_000_000


def against_records(
    folder: Path, rows: int, columns: int, runs: int, tell: Callable[[str], None]
) -> None:
    """Print how long each way takes into files, without what an empty report takes."""
    taken: dict[str, list[float]] = {}
    sizes: dict[str, int] = {}
    counts = {way: rows // 2 if way == SDK else rows for way in LABELS}
    with Sandbox(job_seconds=0, exports_per_day=100_000) as sandbox:
        for _ in range(runs):
            for way, count in counts.items():
                start, _ = _once(sandbox, way, data.file_of(folder, 0, columns), columns)
                file = data.file_of(folder, count, columns)
                whole, sizes[way] = _once(sandbox, way, file, columns)
                taken.setdefault(way, []).append(whole - start)
    pace = {way: count / median(taken[way]) for way, count in counts.items()}
    tell(f"into files, {rows} rows of {columns} columns")
    for way, label in LABELS.items():
        tell(
            f"  {label:20} {pace[way]:>8.0f} rows/s {sizes[way] / counts[way]:>5.0f} bytes a row   "
            f"{pace[way] / pace['RECORD']:.2f} times RECORD, {pace[way] / pace[SDK]:.1f} the SDK's"
        )


def _once(sandbox: Sandbox, way: str, file: Path, columns: int) -> tuple[float, int]:
    """Return the seconds of one sync and the bytes in its files."""
    sandbox.impact.jobs.clear()
    sandbox.impact.add(Report("bench", "bench", data.columns(columns), raw=lambda *_: file))
    config: dict[str, Any] = config_of(sandbox, ["bench"])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if way.startswith("BATCH"):
            config["batch_config"] = {
                "encoding": {"format": "jsonl", "compression": way.split()[1]},
                "storage": {"root": folder.as_uri()},
                "batch_size": BATCH_SIZE,
            }
        settings = folder / "config"
        settings.write_text(json.dumps(config))
        own = ["-m", "tap_affiliate_reports", "--config", str(settings)]
        arguments = [str(WAYS / SCRIPTS[DEFAULT]), str(file)] if way == SDK else own
        with (folder / "out").open("wb") as out:
            began = time.perf_counter()
            subprocess.run(
                [sys.executable, *arguments],
                stdout=out,
                stderr=subprocess.DEVNULL,
                check=True,
                env=ENVIRONMENT,
            )
            seconds = time.perf_counter() - began
        return seconds, sum(path.stat().st_size for path in folder.iterdir())
