"""The plan as text: a table for each source, then the windows of each stream and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, TypeAlias

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

WIDE = 90
"""From this width on there is room between the columns."""
NO_DATES = "all dates"
KINDS = (("exports", "export", "nights"), ("clicks", "click export", "clicks_nights"))
"""The kinds of exports: their keys in the plan, what they are called, the key of their runs."""
NUMBERS = ("new", "refresh", "unchanged", "exports", "replays")

# The days, the number and the reason of windows that are one line.
Folded: TypeAlias = tuple[str, int, str]


def show(document: Mapping[str, Any], console: Console) -> None:
    """Print the plan of each source."""
    for source in document["sources"]:
        cost, *others = [_cost(source, *kind) for kind in KINDS if f"{kind[0]}_needed" in source]
        console.print(Text(source["source"], style="bold"), cost)
        for other in others:
            console.print(Padding(other, (0, 0, 0, 2)))
        if source["streams"]:
            gap = 2 if console.width >= WIDE else 1
            table = _table(source["streams"], gap)
            console.print(Padding(table, (0, 0, 1, 2), expand=False))
        for names, windows in _grouped(source["streams"]):
            console.print(Padding(Text(names, "bold"), (0, 0, 0, 2)))
            console.print(Padding(_windows(windows), (0, 0, 1, 4), expand=False))


def _grouped(streams: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, list[Folded]]]:
    """Yield the windows of streams, once for all streams that load the same ones."""
    found: dict[tuple[Folded, ...], list[str]] = {}
    for stream in streams:
        windows = tuple(_folded([*stream["new"], *stream["refresh"]]))
        if windows:
            found.setdefault(windows, []).append(stream["stream"])
    for windows, names in found.items():
        yield ", ".join(names), list(windows)


def _cost(source: Mapping[str, Any], kind: str, noun: str, nights_key: str) -> str:
    needed, allowed, spent = (
        source[f"{kind}_{name}"] for name in ("needed", "allowed", "to_spend")
    )
    nights = source[nights_key]
    if not needed:
        return f"needs no {noun}"
    limit = "" if allowed is None else f" (at most {allowed} a run)"
    if nights == 1:
        return f"spends {_plural(spent, noun)}{limit}"
    runs = "no number of runs" if nights is None else _plural(nights, "run")
    return f"spends {spent} of the {_plural(needed, noun)} needed{limit}: {runs} for all"


def _table(streams: Sequence[Mapping[str, Any]], gap: int) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0), header_style="dim")
    table.add_column("stream", overflow="fold")
    # How far the stream is complete.
    table.add_column("until", no_wrap=True)
    for name in NUMBERS:
        table.add_column(name, justify="right", no_wrap=True)
    for stream in streams:
        counts = [
            len(count) if isinstance(count := stream[name], list) else count for name in NUMBERS
        ]
        table.add_row(Text(stream["stream"]), stream["complete_until"] or "-", *map(str, counts))
    return table


def _windows(windows: Iterable[Folded]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for days, count, why in windows:
        table.add_row(days, _plural(count, "window") if count > 1 else "", Text(why))
    return table


def _folded(windows: Sequence[Mapping[str, Any]]) -> Iterator[Folded]:
    """Yield windows of one reason that follow each other as one."""
    for (program, why), group in groupby(windows, lambda one: (one["program"], one["why"])):
        found = list(group)
        starts = [one["start"] for one in found if one["start"]]
        days = f"{min(starts)}..{max(one['end'] for one in found)}" if starts else NO_DATES
        yield days if program == "all" else f"{days} of program {program}", len(found), why


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
