"""Measure the tap beside something else, on this machine: `uv run python tests/bench`.

Two tables: how long slow jobs take side by side and one after another, and how quickly and in how
much memory a large report goes from the service to stdout, beside reading the same file by hand.
Figures are medians; only the ratios mean something on another machine.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import msgspec

from tap_affiliate_reports.sandbox import Attribute, Report, Sandbox

KINDS = {
    "String": lambda n: f"value {n % 977}, of a column",
    "Decimal": lambda n: f"{n % 1000}.{n % 10**9:018d}",
    "Integer": lambda n: str(n),
    "Date (yyyy-MM-dd'T'HH:mm:ssZZ)": lambda n: (
        f"2026-08-{n % 28 + 1:02d}T{n % 24:02d}:30:15-04:00"
    ),
    "Boolean": lambda n: "true" if n % 2 else "false",
}


def run(config: Mapping[str, Any]) -> tuple[float, float]:
    """Sync once in a process of its own; return seconds and peak megabytes."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(config, file)
        file.flush()
        began = time.perf_counter()
        child = subprocess.Popen(
            [sys.executable, "-m", "tap_affiliate_reports", "--config", file.name],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        peak = 0.0
        while child.poll() is None:
            peak = peak_megabytes(child.pid) or peak
            time.sleep(0.02)
        seconds = time.perf_counter() - began
    if child.returncode:
        sys.exit(f"the sync ended with {child.returncode}")
    return seconds, peak


def peak_megabytes(process: int) -> float:
    """Return a process's peak memory; rusage would count this process's own before the exec."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0.0
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else 0.0


def config_of(sandbox: Sandbox, reports: list[str], **impact: Any) -> dict[str, Any]:
    return {
        "start_date": "2026-08-01",
        "end_date": "2026-08-31",
        "impact": {
            "account_sid": "IRsandbox",
            "auth_token": "sandbox-token",
            "api_url": sandbox.url,
            "reports": reports,
            "poll_interval_seconds": 0.1,
            **impact,
        },
    }


def slow_jobs(seconds: float, runs: int) -> None:
    """Five reports of one window each, side by side and one after another."""
    row = [["1"]]

    def rows(_start: date | None, _end: date | None, _program: str | None, _filters: Any) -> Any:
        return row

    with Sandbox(job_seconds=seconds) as sandbox:
        names = [f"bench_{number}" for number in range(5)]
        for name in names:
            sandbox.impact.add(Report(name, name, [Attribute("Id", "Integer")], rows))
        figures = {}
        for concurrency in (5, 1):
            taken = []
            for _ in range(runs):
                sandbox.impact.jobs.clear()
                config = config_of(sandbox, names, max_concurrent_jobs=concurrency)
                taken.append(run(config)[0])
            figures[concurrency] = statistics.median(taken)
    print(f"five reports, one window each, jobs of {seconds:g} s")
    print(f"  side by side          {figures[5]:7.2f} s")
    print(f"  one after another     {figures[1]:7.2f} s   ratio {figures[1] / figures[5]:.2f}")


def large_report(rows: int, columns: int, runs: int) -> None:
    """One report of many rows, to /dev/null, beside csv.reader and msgspec by hand."""
    kinds = [list(KINDS)[number % len(KINDS)] for number in range(columns)]
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow([f"Column_{number}" for number in range(columns)])
    for n in range(rows):
        writer.writerow([KINDS[kind](n + position) for position, kind in enumerate(kinds)])
    content = text.getvalue().encode()
    report = Report(
        "bench_large",
        "bench_large",
        [Attribute(f"Column_{number}", kind) for number, kind in enumerate(kinds)],
        raw=lambda *_: content,
    )
    with Sandbox(job_seconds=0) as sandbox:
        sandbox.impact.add(report)
        sandbox.impact.add(Report("bench_empty", "bench_empty", report.columns, raw=lambda *_: b""))
        figures = []
        for _ in range(runs):
            sandbox.impact.jobs.clear()
            start, _ = run(config_of(sandbox, ["bench_empty"]))
            sandbox.impact.jobs.clear()
            seconds, megabytes = run(config_of(sandbox, ["bench_large"]))
            figures.append((seconds - start, megabytes, by_hand(content)))
    sync, memory, floor = (statistics.median(column) for column in zip(*figures, strict=True))
    print(f"{rows} rows of {columns} columns, {len(content) / 1e6:.0f} MB, to /dev/null")
    print(f"  this tap              {rows / sync:9.0f} rows/s, {memory:.0f} MB at its peak")
    print(f"  csv.reader + msgspec  {rows / floor:9.0f} rows/s   ratio {floor / sync:.2f}")


def by_hand(content: bytes) -> float:
    """Return the seconds that untyped JSON lines of the same file take."""
    encoder = msgspec.json.Encoder()
    began = time.perf_counter()
    with Path(os.devnull).open("wb") as sink:
        reader = csv.reader(io.TextIOWrapper(io.BytesIO(content), encoding="utf-8", newline=""))
        names = next(reader)
        for row in reader:
            record = dict(zip(names, row, strict=True))
            sink.write(encoder.encode({"type": "RECORD", "record": record}))
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--columns", type=int, default=30)
    parser.add_argument("--job-seconds", type=float, default=3.0)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    slow_jobs(options.job_seconds, options.runs)
    large_report(options.rows, options.columns, options.runs)


if __name__ == "__main__":
    main()
