"""Measure the tap beside other ways, on this machine: `uv run python tests/bench`.

Figures are medians of several runs; only the ratios mean something on another machine. With
`uv run --with polars python tests/bench` a columnar engine is measured too. `--full` takes an
hour; without it, the larger files are left out but one.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import batches
import programs
import rows
import start
import waiting

from tap_affiliate_reports.sandbox import Sandbox

SECTIONS = ("start", "rows", "batches", "waiting", "programs", "warehouse")
QUICK = ((100_000, 5), (100_000, 30), (100_000, 100))
FULL = (*QUICK, (1_000_000, 5), (1_000_000, 30), (1_000_000, 100))
LARGE = (1_000_000, 30)
FILES = (150_000, 30)
WAREHOUSE = (40_000, 30)


def tell(line: str) -> None:
    print(line, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="all sizes, five runs of each")
    parser.add_argument("--runs", type=int, help="runs of each (3, with --full 5)")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=SECTIONS)
    parser.add_argument("--sizes", nargs="+", metavar="ROWSxCOLUMNS", help="these files only")
    parser.add_argument("--folder", type=Path, help="keep the files here, for the next time")
    options = parser.parse_args()
    runs = options.runs or (5 if options.full else 3)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if "start" in options.only:
            start.first_request(runs + 2, tell)
            start.imports(runs, tell)
        if "rows" in options.only:
            measure_rows(options, folder, runs)
        if "batches" in options.only:
            batches.against_records(folder, *FILES, runs, tell)
            batches.from_disk(folder, *FILES, runs, tell)
            batches.arrow_memory(folder, *LARGE, tell)
        if "waiting" in options.only:
            waiting.slow_jobs(3.0, runs if options.full else 1, tell)
            waiting.polls(3.0, runs if options.full else 1, tell)
        if "programs" in options.only:
            programs.small_windows((100, 1000), 1, tell)
            programs.loaded_before(1000, 200, folder, 1, tell)
        if "warehouse" in options.only:
            # Its environments need the package index, and they are large.
            import warehouse

            warehouse.into_databases(folder, *WAREHOUSE, runs, tell)


def measure_rows(options: argparse.Namespace, folder: Path, runs: int) -> None:
    """Print the tables of rows a second and of memory."""
    sizes = [tuple(map(int, size.split("x"))) for size in options.sizes or ()]
    with Sandbox(job_seconds=0, exports_per_day=100_000) as sandbox:
        bench = rows.Bench(folder, sandbox)
        if sizes or options.full:
            rows.table(bench, sizes or FULL, runs, tell)
        else:
            rows.table(bench, QUICK, runs, tell)
            rows.table(bench, [LARGE], 1, tell)


if __name__ == "__main__":
    main()
