"""The options of the commands, of which one may be given at a time."""

from __future__ import annotations

from collections.abc import Sequence

import click

from tap_affiliate_reports.errors import SettingsError

JSON, TEXT = "json", "text"
NAMES = ("check", "plan", "preview", "dbt")
ONE_COMMAND = "use one of %s at a time"
# The commands whose option may have the form of the output as value.
HAS_FORMS = {"check", "plan", "dbt"}


def refuse_several(names: Sequence[str]) -> None:
    """Raise SettingsError if several options are given of which each is a command."""
    if len(names) > 1:
        raise SettingsError(ONE_COMMAND % " and ".join(f"--{name}" for name in names))


def with_commands(name: str, ctx: click.Context) -> list[str]:
    """Return the name of an option and the commands beside it."""
    return [*(one for one in NAMES if ctx.params.get(one) is not None), name]


def _form(name: str, text: str) -> click.Option:
    """Return an option that may have the form of its output as value: `--check=json`."""
    return click.Option(
        [f"--{name}"],
        type=click.Choice([TEXT, JSON]),
        is_flag=False,
        flag_value=TEXT,
        # Read before --discover and --test, which end the program.
        is_eager=True,
        help=text,
    )


OPTIONS = (
    _form("check", "Try what a sync needs, and print what to do. Requests no export."),
    _form("plan", "Print what a sync would load and what it would cost. Requests no export."),
    click.Option(
        ["--preview"],
        metavar="REPORT",
        is_eager=True,
        help="Print a report's columns and a few of its rows.",
    ),
    click.Option(
        ["--dbt"],
        metavar="[DIR]",
        is_eager=True,
        is_flag=False,
        flag_value="",
        help="Print dbt sources of the selected streams, or write them and models into a folder.",
    ),
    click.Option(["--json", "as_json"], is_flag=True, help="Print a command's result as JSON."),
)
