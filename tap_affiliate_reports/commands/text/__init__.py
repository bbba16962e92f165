"""The documents of the commands as text of at most 100 columns, coloured on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Console

from tap_affiliate_reports.commands.text import dbt, preview

WIDTH = 100

SHOWN: dict[str, Callable[[Mapping[str, Any], Console], None]] = {
    "preview": preview.show,
    "dbt": dbt.show,
}
# The text of these is a file, in which an error must not end up.
FILES = {"dbt"}


def show(name: str, document: Mapping[str, Any]) -> None:
    """Print a command's document on stdout."""
    console = Console(highlight=False, soft_wrap=False)
    console.width = min(console.width, WIDTH) if console.is_terminal else WIDTH
    if name in SHOWN:
        SHOWN[name](document, console)
    console.stderr = name in FILES
    for line in document.get("errors", ()):
        console.print(f"error: {line}", style="red", markup=False)
    for line in document.get("warnings", ()):
        console.print(f"warning: {line}", style="yellow", markup=False)
