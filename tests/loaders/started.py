"""A loader in a process of its own."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from environments import Environments
    from loader import Loader, Place, Variant


class LoaderStoppedError(Exception):
    """The loader ended with an error; the text is its last line."""


@dataclass(frozen=True)
class Load:
    """What one load took of the processor, and the last state that the loader gave back."""

    processor: float
    state: dict[str, Any] | None


@dataclass(frozen=True)
class Started:
    """A loader with its settings and an empty place."""

    command: Sequence[str]
    variant: Variant
    place: Place
    folder: Path

    def load(self, messages: Path) -> Load:
        """Load the messages of a file."""
        config = self.folder / "config.json"
        config.write_text(json.dumps({**self.variant.config, **self.place.config}))
        before = _processor_seconds()
        with messages.open("rb") as stdin:
            done = subprocess.run(
                [*self.command, "--config", str(config)],
                stdin=stdin,
                capture_output=True,
                text=True,
                cwd=self.folder,
                env=os.environ | dict(self.variant.environment),
                timeout=600,
            )
        processor = _processor_seconds() - before
        if done.returncode:
            raise LoaderStoppedError(last_words(done.stderr))
        states = [line for line in done.stdout.splitlines() if line.startswith("{")]
        return Load(processor, json.loads(states[-1]) if states else None)


@contextmanager
def started(loader: Loader, variant: Variant, environments: Environments) -> Iterator[Started]:
    """Install the loader and make an empty place for it."""
    environment = environments.install(loader.name, loader.packages)
    with (
        tempfile.TemporaryDirectory() as temporary,
        loader.place(Path(temporary), environments) as place,
    ):
        command = [*loader.command(environment), *place.arguments]
        yield Started(command, variant, place, Path(temporary))


def _processor_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def last_words(log: str) -> str:
    """Return the line of a log that says what went wrong."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [
        line for line in lines if re.match(r"[\w.]*(Error|Exception|Failure)\b|[\w.]+: ", line)
    ]
    return (errors or lines or ["no word of it"])[-1][:200]
