"""The command line: the Singer options, the commands beside them, and how an error is reported."""

from __future__ import annotations

import json
import logging
import os
import sys
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import IO, TYPE_CHECKING, Any

import click
from singer_sdk import Tap
from singer_sdk.exceptions import ConfigValidationError
from singer_sdk.tap_base import CliTestOptionValue
from typing_extensions import Self, override

from tap_affiliate_reports import configuration
from tap_affiliate_reports.catalog import read_catalog_file
from tap_affiliate_reports.clock import SystemClock
from tap_affiliate_reports.commands import check, dbt, options, plan, preview
from tap_affiliate_reports.errors import LoaderGone, SettingsError, TapError
from tap_affiliate_reports.log_lines import LogLines
from tap_affiliate_reports.progress import is_watched
from tap_affiliate_reports.sdk import ConfigInput
from tap_affiliate_reports.settings import complete
from tap_affiliate_reports.state_file import read_state_file
from tap_affiliate_reports.tap import TapAffiliateReports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tap_affiliate_reports.progress.display import Display
    from tap_affiliate_reports.sync_report import ReportFile

# What a command that failed has in its document.
NOTHING_FOUND: dict[str, dict[str, Any]] = {
    "check": {"sources": [], "settings": []},
    "plan": {"sources": []},
}
JSON_ALONE = "--json needs a command: --check, --plan, --preview or --dbt"

# By the name of its option, what returns a command's document from a tap and the option's value.
COMMANDS: dict[str, Callable[[TapAffiliateReports, str], dict[str, Any]]] = {
    "check": lambda tap, _: check.document(tap),
    "plan": lambda tap, _: plan.document(tap),
    "preview": preview.document,
    "dbt": dbt.document,
}

# A check must not need what it checks, and a preview reads the columns of one report only.
NO_DISCOVERY = {"check", "preview"}


class _UnreadableConfig(ConfigInput):
    """A configuration that can't be read; a command reports it in its own form."""

    def __init__(self, line: str) -> None:
        self._line = line
        super().__init__()

    @property
    def config(self) -> dict[str, Any]:
        raise SettingsError(self._line)

    @config.setter
    def config(self, config: dict[str, Any]) -> None:
        """Ignore the empty configuration of the constructor."""


class CommandLine(TapAffiliateReports):
    """Loads affiliate-network reports, which services export by jobs, incrementally by date."""

    _display: Display | None = None

    @classmethod
    @override
    def get_singer_command(cls) -> click.Command:
        command = super().get_singer_command()
        command.params.extend(options.OPTIONS)
        return command

    @classmethod
    @override
    def cb_config(
        cls, ctx: click.Context, param: click.Option, value: tuple[str, ...]
    ) -> ConfigInput:
        try:
            return super().cb_config(ctx, param, value)
        except (OSError, ValueError, TypeError) as error:
            return _UnreadableConfig(f"--config: not a readable JSON object: {error}")

    @classmethod
    @override
    def cb_discover(cls, ctx: click.Context, param: click.Option, value: bool) -> None:
        if value:
            options.refuse_several(options.with_commands("discover", ctx))
        super().cb_discover(ctx, param, value)

    @classmethod
    @override
    def cb_test(cls, ctx: click.Context, param: click.Option, value: str) -> None:
        if value != CliTestOptionValue.Disabled.value:
            options.refuse_several(options.with_commands("test", ctx))
        super().cb_test(ctx, param, value)

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
        chosen = {name: value for name, value in commands.items() if value is not None}
        options.refuse_several([*chosen, *(["about"] if about else [])])
        if as_json and not chosen:
            raise SettingsError(JSON_ALONE)
        super(Tap, cls).invoke(about=about, about_format=about_format)
        config = config or ConfigInput()
        for name, value in chosen.items():
            is_json = value == options.JSON and name in options.HAS_FORMS
            document = cls._run_command(name, "" if is_json else value, config, state, catalog)
            _print(name, document, as_json=as_json or is_json)
            sys.exit(0 if document["ok"] else 1)
        cls.print_version(print_fn=cls.logger.info)
        with cls._report_file(config) as report:
            # A signal may come while the streams are discovered.
            more = {} if report is None else {"before_exit": report.stopped}
            try:
                tap = cls._build(config, state, catalog, **more)
            except ConfigValidationError as error:
                # The SDK would add a line of its own.
                raise SettingsError("; ".join(error.errors)) from None
            if report is not None:
                report.follow(tap.run, tap.sync)
            # An error that concerns all streams is raised before the first message.
            tap.plan()
            with tap.progress():
                tap.begin()
                tap.sync_all()

    @classmethod
    def _report_file(cls, config: ConfigInput) -> AbstractContextManager[ReportFile | None]:
        """Return the context in which the sync runs; at its end it writes the sync report.

        The setting is read before all others are checked, so that an error in these is reported.
        """
        settings = {"report_file": cls.config_jsonschema["properties"]["report_file"]}
        own = {name: config.config.get(name) for name in settings}
        path = complete(own, settings, (), from_environment=config.parse_env).get("report_file")
        if not path or not isinstance(path, str):
            return nullcontext()
        # It is needed for a report alone.
        from tap_affiliate_reports.sync_report import ReportFile

        return ReportFile(path, cls.plugin_version, SystemClock())

    @contextmanager
    def progress(self) -> Iterator[None]:
        """Show the progress of the planned sync, where somebody watches it."""
        if not is_watched():
            yield
            return
        # rich is needed for a terminal alone.
        from tap_affiliate_reports.progress.display import Display
        from tap_affiliate_reports.progress.table import ProgressTable

        table = ProgressTable(self.sync.tables, self.run, self.clock.monotonic)
        self._display = display = Display(table)
        report = self.run.after_last

        def after_last() -> None:
            table.summary = self.sync.summary()
            report()

        self.run.after_last = after_last
        with display:
            yield

    @override
    def terminate(self, signum: int) -> None:
        if self._display is not None:
            self._display.stop()
        super().terminate(signum)

    @classmethod
    def _build(
        cls,
        config: ConfigInput,
        state: IO[str] | None,
        catalog: IO[str] | None,
        **more: Any,
    ) -> Self:
        return cls(
            config=config.config,
            parse_env_config=config.parse_env,
            state=read_state_file(state),
            catalog=read_catalog_file(catalog),
            **more,
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
        document: dict[str, Any] = {"ok": True, **NOTHING_FOUND.get(name, {})}
        with _log_kept() as lines:
            try:
                if name == "check":
                    given = configuration.given(config.config, from_environment=config.parse_env)
                    document["settings"] = given
                tap = cls._build(config, state, catalog, setup_mapper=name not in NO_DISCOVERY)
                try:
                    document |= COMMANDS[name](tap, value)
                finally:
                    tap.close()
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
