"""BATCH files against RECORD lines in a file: the whole tap, over the same report.

Beside them, the RECORD lines that the SDK makes of the file alone.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import data
from process import Cost, run
from rows import DEFAULT, SCRIPTS, WAYS
from tap_process import config_of

from tap_affiliate_reports.sandbox import Report, Sandbox

SDK = "SDK"
# The encoding of the files of each way.
ENCODINGS = {
    "BATCH arrow": {"format": "arrow"},
    "BATCH gzip": {"format": "jsonl", "compression": "gzip"},
    "BATCH none": {"format": "jsonl", "compression": "none"},
}
LABELS = {
    "RECORD": "RECORD",
    "BATCH gzip": "BATCH, jsonl gzip",
    "BATCH none": "BATCH, jsonl plain",
    "BATCH arrow": "BATCH, arrow",
    SDK: "SDK default, RECORD",
}
# One file for the whole report, as RECORD has one.
BATCH_SIZE = 10_000_000
# The SDK's own path would take minutes over more.
SDK_ROWS = 50_000


def against_records(
    folder: Path, rows: int, columns: int, runs: int, tell: Callable[[str], None]
) -> None:
    """Print how long each way takes into files, without what an empty report takes."""
    taken: dict[str, list[float]] = {}
    peaks: dict[str, float] = {}
    sizes: dict[str, int] = {}
    counts = {way: min(rows, SDK_ROWS) if way == SDK else rows for way in LABELS}
    with Sandbox(job_seconds=0, exports_per_day=100_000) as sandbox:
        for _ in range(runs):
            for way, count in counts.items():
                start, _ = _once(sandbox, way, data.file_of(folder, 0, columns), columns)
                file = data.file_of(folder, count, columns)
                whole, sizes[way] = _once(sandbox, way, file, columns)
                taken.setdefault(way, []).append(whole.seconds - start.seconds)
                peaks[way] = max(peaks.get(way, 0), whole.megabytes)
    pace = {way: count / median(taken[way]) for way, count in counts.items()}
    tell(f"into files, {rows} rows of {columns} columns, medians of {runs} runs")
    for way, label in LABELS.items():
        tell(
            f"  {label:20} {pace[way]:>8.0f} rows/s {sizes[way] / counts[way]:>5.0f} bytes a row "
            f"{peaks[way]:>4.0f} MB   {pace[way] / pace['RECORD']:.2f} times RECORD, "
            f"{pace[way] / pace['BATCH gzip']:.2f} jsonl gzip, "
            f"{pace[way] / pace[SDK]:.1f} the SDK's"
        )


def from_disk(
    folder: Path, rows: int, columns: int, runs: int, tell: Callable[[str], None]
) -> None:
    """Print how long the files alone take, from the checked file, beside the SDK's own path."""
    file, empty = data.file_of(folder, rows, columns), data.file_of(folder, 0, columns)
    few = data.file_of(folder, min(rows, SDK_ROWS), columns)
    paces: dict[str, list[float]] = {"jsonl": [], "arrow": [], SDK: []}
    for _ in range(runs):
        for form in ("jsonl", "arrow"):
            with tempfile.TemporaryDirectory() as name, tempfile.TemporaryFile() as out:
                run([WAYS / "files_from_disk.py", form, file, name], out)
                out.seek(0)
                paces[form].append(rows / float(out.read()))
        script = WAYS / SCRIPTS[DEFAULT]
        seconds = run([script, few]).seconds - run([script, empty]).seconds
        paces[SDK].append(min(rows, SDK_ROWS) / seconds)
    pace = {way: median(found) for way, found in paces.items()}
    tell(f"from the checked file into files, {rows} rows of {columns} columns")
    for way, label in (("jsonl", "jsonl gzip"), ("arrow", "arrow"), (SDK, LABELS[SDK])):
        tell(
            f"  {label:20} {pace[way]:>8.0f} rows/s   {pace[way] / pace['jsonl']:.2f} jsonl gzip, "
            f"{pace[way] / pace[SDK]:.1f} the SDK's"
        )


def arrow_memory(folder: Path, rows: int, columns: int, tell: Callable[[str], None]) -> None:
    """Print the peak of Arrow files of a large report."""
    with Sandbox(job_seconds=0) as sandbox:
        cost, _ = _once(sandbox, "BATCH arrow", data.file_of(folder, rows, columns), columns)
    tell(
        f"  BATCH, arrow, {rows} rows: {cost.megabytes:.0f} MB, {cost.seconds:.1f} s with start-up"
    )


def _once(sandbox: Sandbox, way: str, file: Path, columns: int) -> tuple[Cost, int]:
    """Return the cost of one sync and the bytes in its files."""
    sandbox.impact.jobs.clear()
    sandbox.impact.add(Report("bench", "bench", data.columns(columns), raw=lambda *_: file))
    config: dict[str, Any] = config_of(sandbox, ["bench"])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if way in ENCODINGS:
            config["batch_config"] = {
                "encoding": ENCODINGS[way],
                "storage": {"root": folder.as_uri()},
                "batch_size": BATCH_SIZE,
            }
        settings = folder / "config"
        settings.write_text(json.dumps(config))
        own: list[str | Path] = ["-m", "tap_affiliate_reports", "--config", settings]
        with (folder / "out").open("wb") as out:
            cost = run([WAYS / SCRIPTS[DEFAULT], file] if way == SDK else own, out)
        return cost, sum(path.stat().st_size for path in folder.iterdir())
