"""The documents of the commands as text of at most 100 columns, coloured on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from tap_affiliate_reports.commands.text import check, dbt, plan, preview

WIDTH = 100

SHOWN: dict[str, Callable[[Mapping[str, Any], Console], None]] = {
    "check": check.show,
    "plan": plan.show,
    "preview": preview.show,
    "dbt": dbt.show,
}
# The text of these is a file, in which an error must not end up.
FILES = {"dbt"}


def show(name: str, document: Mapping[str, Any]) -> None:
    """Print a command's document on stdout."""
    # Names of reports and of programs may have any signs.
    console = Console(highlight=False, markup=False)
    console.width = min(console.width, WIDTH) if console.is_terminal else WIDTH
    with console.capture() as captured:
        if name in SHOWN:
            SHOWN[name](document, console)
    _echo(captured.get())
    with console.capture() as captured:
        for word, style in (("error", "red"), ("warning", "yellow")):
            for line in document.get(f"{word}s", ()):
                console.print(Text(f"{word}: {line}", style))
    _echo(captured.get(), err=name in FILES)


def _echo(text: str, *, err: bool = False) -> None:
    """Print a text without the spaces that fill its lines."""
    for line in text.splitlines():
        click.echo(line.rstrip(), err=err)
