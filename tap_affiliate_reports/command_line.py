"""The command line: the Singer options, the commands beside them, and how an error is reported."""

from __future__ import annotations

import json
import logging
import os
import sys
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

import click
from singer_sdk import Tap
from singer_sdk.exceptions import ConfigValidationError
from typing_extensions import override

from tap_affiliate_reports.catalog import read_catalog_file
from tap_affiliate_reports.commands import dbt, preview
from tap_affiliate_reports.errors import LoaderGone, SettingsError, TapError
from tap_affiliate_reports.log_lines import LogLines
from tap_affiliate_reports.sdk import ConfigInput
from tap_affiliate_reports.state_file import read_state_file
from tap_affiliate_reports.tap import TapAffiliateReports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

JSON, TEXT = "json", "text"
ONE_COMMAND = "use one of %s at a time"

# By the name of its option, what returns a command's document from a tap and the option's value.
COMMANDS: dict[str, Callable[[TapAffiliateReports, str], dict[str, Any]]] = {
    "preview": preview.document,
    "dbt": dbt.document,
}

# A check must not need what it checks, and a preview reads the columns of one report only.
NO_DISCOVERY = {"check", "preview"}


def _form(name: str, text: str) -> click.Option:
    """Return an option that may have the form of its output as value: `--check=json`."""
    return click.Option(
        [f"--{name}"], type=click.Choice([TEXT, JSON]), is_flag=False, flag_value=TEXT, help=text
    )


OPTIONS = (
    _form("check", "Try what a sync needs, and print what to do. Requests no export."),
    _form("plan", "Print what a sync would load and what it would cost. Requests no export."),
    click.Option(
        ["--preview"], metavar="REPORT", help="Print a report's columns and a few of its rows."
    ),
    click.Option(
        ["--dbt"],
        metavar="[DIR]",
        is_flag=False,
        flag_value="",
        help="Print dbt sources of the selected streams, or write them and models into a folder.",
    ),
    click.Option(["--json", "as_json"], is_flag=True, help="Print a command's result as JSON."),
)


class CommandLine(TapAffiliateReports):
    """Loads affiliate-network reports, which services export by jobs, incrementally by date."""

    @classmethod
    @override
    def get_singer_command(cls) -> click.Command:
        command = super().get_singer_command()
        command.params.extend(OPTIONS)
        return command

    @classmethod
    @override
    def cb_config(
        cls, ctx: click.Context, param: click.Option, value: tuple[str, ...]
    ) -> ConfigInput:
        try:
            return super().cb_config(ctx, param, value)
        except (OSError, ValueError, TypeError) as error:
            msg = f"--config: not a readable JSON object: {error}"
            raise SettingsError(msg) from None

    @classmethod
    @override
    def invoke(
        cls,
        *,
        about: bool = False,
        about_format: str | None = None,
        config: ConfigInput | None = None,
        state: IO[str] | None = None,
        catalog: IO[str] | None = None,
        as_json: bool = False,
        **commands: str | None,
    ) -> None:
        super(Tap, cls).invoke(about=about, about_format=about_format)
        config = config or ConfigInput()
        chosen = [(name, value) for name, value in commands.items() if value is not None]
        if len(chosen) > 1:
            raise SettingsError(ONE_COMMAND % " and ".join(f"--{name}" for name, _ in chosen))
        for name, value in chosen:
            document = cls._run_command(name, value or "", config, state, catalog)
            _print(name, document, as_json=as_json or value == JSON)
            sys.exit(0 if document["ok"] else 1)
        cls.print_version(print_fn=cls.logger.info)
        try:
            tap = cls._build(config, state, catalog)
        except ConfigValidationError as error:
            # The SDK would add a line of its own.
            raise SettingsError("; ".join(error.errors)) from None
        # An error that concerns all streams is raised before the first message.
        tap.begin()
        tap.sync_all()

    @classmethod
    def _build(
        cls,
        config: ConfigInput,
        state: IO[str] | None,
        catalog: IO[str] | None,
        **options: Any,
    ) -> TapAffiliateReports:
        return cls(
            config=config.config,
            parse_env_config=config.parse_env,
            state=read_state_file(state),
            catalog=read_catalog_file(catalog),
            **options,
        )

    @classmethod
    def _run_command(
        cls,
        name: str,
        value: str,
        config: ConfigInput,
        state: IO[str] | None,
        catalog: IO[str] | None,
    ) -> dict[str, Any]:
        """Return a command's document, also where the command fails."""
        document: dict[str, Any] = {"ok": True}
        with _log_kept() as lines:
            try:
                tap = cls._build(config, state, catalog, setup_mapper=name not in NO_DISCOVERY)
                document |= COMMANDS[name](tap, value)
            except ConfigValidationError as error:
                document |= {"ok": False, "errors": list(error.errors)}
            except TapError as error:
                document |= {"ok": False, "errors": [str(error)]}
        if name != "dbt":
            document["warnings"] = lines.warnings
        return document


@contextmanager
def _log_kept() -> Iterator[LogLines]:
    """Keep the log off stderr: what a command has to say is in its output."""
    handlers = {handler: handler.level for handler in logging.getLogger().handlers}
    with LogLines() as lines:
        try:
            for handler in handlers:
                handler.setLevel(logging.CRITICAL)
            yield lines
        finally:
            for handler, level in handlers.items():
                handler.setLevel(level)


def _print(name: str, document: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
        return
    # rich is needed for a terminal alone.
    from tap_affiliate_reports.commands import text

    text.show(name, document)


def main() -> None:
    """Run the command line; an expected error is one line and exit status 1."""
    try:
        CommandLine.cli()
    except ConfigValidationError as error:
        lines = list(error.errors)
    except TapError as error:
        lines = [str(error)]
        if isinstance(error, LoaderGone):
            # What is still buffered can't be written either.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    else:
        return
    for line in lines:
        CommandLine.logger.error(line)
    sys.exit(1)
