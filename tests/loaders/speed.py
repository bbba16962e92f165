"""How fast a loader is, by the time of its processor: other processes slow it down by the clock."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from harness import FakeClock, config_for, sync
from nasty_report import DATE_TIME
from nights import FileWriter

from tap_affiliate_reports.sandbox import Attribute, Report, Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from started import Started

KINDS = ["Decimal"] * 8 + ["Integer"] * 4 + ["Boolean"] * 2 + ["Date"] * 3 + [DATE_TIME] * 2
COLUMNS = 30
FEW = 10


def rows_per_second(started: Started, rows: int) -> float:
    """Return the rows that a loader loads in a second, without its start."""
    path = started.folder / "messages.jsonl"
    seconds = []
    for count in (FEW, rows):
        write_messages(path, count, started.variant.settings(started.folder))
        seconds.append(started.load(path).processor)
    few, many = seconds
    return (rows - FEW) / (many - few)


def write_messages(path: Path, rows: int, tap: Mapping[str, Any]) -> None:
    """Write what the tap emits of a report of 30 columns."""
    kinds = KINDS + ["String"] * (COLUMNS - len(KINDS))
    report = Report("speed", "speed", rows=lambda *_: _rows(kinds, rows))
    report.columns = [Attribute(f"Column_{place}", kind) for place, kind in enumerate(kinds)]
    clock = FakeClock()
    with Sandbox(now=clock.now, job_seconds=1) as sandbox:
        sandbox.impact.reports.clear()
        sandbox.impact.add(report)
        days = {"START_DATE": "2026-08-01", "END_DATE": "2026-08-31"}
        settings = {name.upper(): value for name, value in tap.items()}
        config = config_for(sandbox, reports=["speed"], **days, **settings)
        sync(config, clock, writer=FileWriter(path)).ok()


def _rows(kinds: list[str], rows: int) -> Iterator[list[str]]:
    for number in range(rows):
        day = date(2026, 8, 1 + number % 31).isoformat()
        values = {
            "Decimal": f"{number % 977}.{number:018}",
            "Integer": str(number),
            "Boolean": "true" if number % 2 else "false",
            "Date": day,
            DATE_TIME: f"{day}T10:{number % 60:02}:00-04:00",
            "String": f"text {number % 1000} of the report",
        }
        yield [values[kind] for kind in kinds]
