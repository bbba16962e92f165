"""What many programs cost: a STATE after each of their windows, and a plan of all of them."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import data
from tap_process import config_of, sync

from tap_affiliate_reports.sandbox import Attribute, Report, Sandbox

LAST = date(2026, 8, 31)


def small_windows(counts: tuple[int, ...], runs: int, tell: Callable[[str], None]) -> None:
    """Print what one small window of each of so many programs takes."""
    with Sandbox(job_seconds=0, exports_per_day=100_000) as sandbox:
        sandbox.impact.add(
            Report("bench", "bench", [Attribute("Id")], lambda *_: [["1"], ["2"], ["3"]])
        )
        for count in counts:
            config = _config(sandbox, count)
            wall = median(sync(sandbox, config).seconds for _ in range(runs))
            tell(f"{count} programs x 1 window of 3 rows: {wall:.2f} s, "
                 f"{wall / count * 1000:.1f} ms a window")  # fmt: skip


def loaded_before(
    programs: int, windows: int, folder: Path, runs: int, tell: Callable[[str], None]
) -> None:
    """Print a sync whose state has many windows: of nothing new, and of one large one."""
    file = data.file_of(folder, 100_000, 5)
    with Sandbox(job_seconds=0) as sandbox, tempfile.TemporaryDirectory() as temporary:
        sandbox.impact.add(Report("bench", "bench", data.columns(5), raw=lambda *_: file))
        first = LAST - timedelta(days=windows - 1)
        config = _config(sandbox, programs, START_DATE=str(first), window="day")
        state = _state(sandbox, config, programs, first, windows)
        path = Path(temporary) / "state.json"
        walls = []
        for left in (0, 1):
            if left:
                # The last day of the last program was not loaded.
                del state["bookmarks"]["bench"]["partitions"][-1]["windows"][-1]
            path.write_text(json.dumps(state))
            walls.append(
                median(sync(sandbox, config, "--state", path).seconds for _ in range(runs))
            )
        tell(f"{programs} programs x {windows} windows loaded before, a state of "
             f"{path.stat().st_size / 1e6:.0f} MB: nothing new {walls[0]:.2f} s")  # fmt: skip
        alone = _config(sandbox, 1)
        wall = median(sync(sandbox, alone).seconds for _ in range(runs))
        tell(f"  100000 rows of 5 columns: beside them {walls[1] - walls[0]:.2f} s, alone with "
             f"start-up {wall:.2f} s")  # fmt: skip


def _config(sandbox: Sandbox, programs: int, **options: Any) -> dict[str, Any]:
    ids = [str(10_000 + number) for number in range(programs)]
    start = {"START_DATE": str(LAST)}
    return config_of(
        sandbox, ["bench"], program_ids=ids, max_exports=100_000, **{**start, **options}
    )


def _state(
    sandbox: Sandbox, config: dict[str, Any], programs: int, first: date, windows: int
) -> dict[str, Any]:
    del sandbox
    days = [str(first + timedelta(days=number)) for number in range(windows)]
    return {
        "bookmarks": {
            "bench": {
                "form": 2,
                "fingerprint": json.dumps(
                    {
                        "window": "day",
                        "timezone": "America/New_York",
                        "program_ids": config["impact"]["program_ids"],
                    }
                ),
                "partitions": [
                    {
                        "context": {"_program_id": program},
                        "replication_key": "_window_end",
                        "replication_key_value": str(LAST),
                        "windows": [
                            {
                                "slot": day,
                                "start": day,
                                "end": day,
                                "rows": 3,
                                "refreshed_at": "2026-11-20T03:04:05Z",
                                "job": f"{program}-{day}",
                                "unfinished": False,
                                "reload_after": None,
                            }
                            for day in days
                        ],
                    }
                    for program in config["impact"]["program_ids"]
                ],
            }
        }
    }
