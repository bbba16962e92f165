"""What a loader is here: how it is installed and started, and how its rows are read back."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from environments import Environments

Row = dict[str, Any]


@dataclass(frozen=True)
class Place:
    """Where a loader loads to, while it exists."""

    config: Mapping[str, Any]
    """The settings that name it."""
    rows: Callable[[str], list[Row]]
    """Returns the rows of a stream; those of a log in the order in which they were loaded."""
    arguments: Sequence[str] = ()
    """What the loader's program is started with, before its options."""


@dataclass(frozen=True)
class Variant:
    """Settings to try: of the loader, of its environment and of the tap."""

    config: Mapping[str, Any] = field(default_factory=dict)
    tap: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    shipped: bool = False
    """Whether these are the settings of `meltano.yml`."""
    batches: str = ""
    """The format of BATCH files; without one, rows are RECORDs."""

    def settings(self, folder: Path) -> dict[str, Any]:
        """Return the settings of the tap; `folder` is for BATCH files."""
        if not self.batches:
            return dict(self.tap)
        storage = {"root": str(folder / "batches")}
        batch_config = {"encoding": {"format": self.batches}, "storage": storage}
        return {**self.tap, "batch_config": batch_config}

    def __str__(self) -> str:
        settings = {**({} if self.shipped else self.config), **self.tap}.items()
        words = ["as shipped"] * self.shipped
        words += [f"BATCH, {self.batches}"] if self.batches else []
        words += [f"`{name}: {json.dumps(value)}`" for name, value in settings]
        return ", ".join(words) or "defaults"


@dataclass(frozen=True)
class Loader:
    """A loader, and the settings that it is tried with.

    `place` makes an empty place, in a folder of the caller's. In a `log` each load adds rows, so
    that the last row of each key counts.
    """

    name: str
    packages: Sequence[str]
    """Requirements of pip; the first one is the loader."""
    place: Callable[[Path, Environments], AbstractContextManager[Place]]
    variants: Sequence[Variant]
    executable: str
    log: bool = False
    program: Path | None = None
    """A script that is started in place of the executable."""

    def command(self, environment: Path) -> list[str]:
        """Return how it is started, from where it is installed."""
        if self.program is not None:
            return [str(environment / "bin" / "python"), str(self.program)]
        return [str(environment / "bin" / self.executable)]
