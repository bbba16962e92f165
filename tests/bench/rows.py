"""From a file to lines on stdout: rows a second, megabytes a second, memory."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import data
from process import Cost, run
from tap_process import config_of, sync

from tap_affiliate_reports.sandbox import Report, Sandbox

WAYS = Path(__file__).parent / "ways"
TAP, DISK = "this tap", "its record path"
DEFAULT, COLUMNAR = "SDK default", "polars, floats"
HAND, COLUMNS = "by hand", "by hand, blocks"
SCRIPTS = {
    DISK: "from_disk.py",
    DEFAULT: "sdk_default.py",
    HAND: "by_hand_rows.py",
    COLUMNS: "by_hand_blocks.py",
    COLUMNAR: "columnar.py",
}
# The SDK's own path would take minutes over more.
DEFAULT_CELLS = 1_500_000


class Pace(NamedTuple):
    """One run of one way over one file, without what it takes over an empty one."""

    seconds: float
    processor: float
    megabytes: float


class Bench:
    """Files in a folder, a sandbox that serves them, and each way of reading them."""

    def __init__(self, folder: Path, sandbox: Sandbox) -> None:
        self.folder, self.sandbox = folder, sandbox
        self.ways = [TAP, DISK, DEFAULT, HAND, COLUMNS]
        if importlib.util.find_spec("polars") is not None:
            self.ways.append(COLUMNAR)

    def rows_of(self, way: str, rows: int, columns: int) -> int:
        """Return how many rows of a file a way is measured over."""
        return min(rows, DEFAULT_CELLS // columns) if way == DEFAULT else rows

    def paces(self, rows: int, columns: int, runs: int) -> dict[str, list[Pace]]:
        """Measure all ways over one file, in turn, several times."""
        empty = data.file_of(self.folder, 0, columns)
        files = {
            way: data.file_of(self.folder, self.rows_of(way, rows, columns), columns)
            for way in self.ways
        }
        taken: dict[str, list[Pace]] = {way: [] for way in self.ways}
        for _ in range(runs):
            for way in self.ways:
                start, whole = self._once(way, empty, columns), self._once(way, files[way], columns)
                taken[way].append(
                    Pace(
                        whole.seconds - start.seconds,
                        whole.processor - start.processor,
                        whole.megabytes,
                    )
                )
        return taken

    def _once(self, way: str, file: Path, columns: int) -> Cost:
        if way != TAP:
            return run([WAYS / SCRIPTS[way], file])
        attributes = data.columns(columns)
        self.sandbox.impact.add(Report("bench", "bench", attributes, raw=lambda *_: file))
        return sync(self.sandbox, config_of(self.sandbox, ["bench"]))


def table(
    bench: Bench, sizes: Sequence[tuple[int, int]], runs: int, tell: Callable[[str], None]
) -> None:
    """Print a line for each way over each size, and the tap's rows/s as multiples of it."""
    tell(
        "multiples, of rows/s and in brackets of rows per second of the processors: of the whole "
        "tap (request, download, check, records), and of its record path alone (file to stdout)"
    )
    tell(
        f"{'rows':>9} {'columns':>7}  {'way':15} {'rows/s':>8} {'MB/s':>6} {'rows/cpu-s':>10} "
        f"{'peak MB':>7}   {'whole tap':>14} {'record path':>14}"
    )
    if COLUMNAR not in bench.ways:
        tell(f"{'':17}  {COLUMNAR}: not installed (uv run --with polars python tests/bench)")
    peaks: dict[int, list[str]] = {}
    for rows, columns in sizes:
        paces = bench.paces(rows, columns, runs)
        for way, taken in paces.items():
            count = bench.rows_of(way, rows, columns)
            size = data.file_of(bench.folder, count, columns).stat().st_size
            seconds, processor, megabytes = map(median, zip(*taken, strict=True))
            told = f"only {count} rows" if count < rows else ""
            multiples = [_multiple(rows, paces[own], count, taken) for own in (TAP, DISK)]
            tell(
                f"{rows:>9} {columns:>7}  {way:15} {count / seconds:>8.0f} "
                f"{size / seconds / 1e6:>6.1f} {count / processor:>10.0f} {megabytes:>7.0f}   "
                f"{multiples[0]:>14} {multiples[1]:>14}  {told}".rstrip()
            )
            if way == TAP:
                peaks.setdefault(columns, []).append(f"{megabytes:.0f} MB at {rows} rows")
    for columns, told_of in peaks.items():
        tell(f"peak of the tap at {columns} columns: {', '.join(told_of)}")


def _multiple(rows: int, own: Sequence[Pace], count: int, others: Sequence[Pace]) -> str:
    """Return how many times as quick, by the wall and by the processors."""
    # Each run is compared with the tap's of the same turn: the machine wobbles.
    wall, processor = (
        median(
            rows / one[place] / (count / other[place])
            for one, other in zip(own, others, strict=True)
        )
        for place in (0, 1)
    )
    return f"{wall:.2f} ({processor:.2f})"
