"""The tap: its settings, its streams, and how a sync begins and ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import IO, TYPE_CHECKING, Any

from singer_sdk import Stream, Tap
from singer_sdk.exceptions import ConfigValidationError
from singer_sdk.helpers._catalog import get_selected_schema
from singer_sdk.helpers._util import load_json
from singer_sdk.helpers.capabilities import PluginCapabilities, TapCapabilities
from singer_sdk.plugin_base import _ConfigInput
from singer_sdk.singerlib import StateMessage

from tap_affiliate_reports import configuration, settings, stream_maps
from tap_affiliate_reports.catalog import read_catalog
from tap_affiliate_reports.clock import Clock, SystemClock
from tap_affiliate_reports.discovery import Discovery
from tap_affiliate_reports.errors import LoaderGone, SettingsError, StreamError, TapError
from tap_affiliate_reports.messages import LineWriter, StateLineWriter
from tap_affiliate_reports.settings.shared import SANDBOX
from tap_affiliate_reports.sources import SOURCES
from tap_affiliate_reports.sources.source import Source
from tap_affiliate_reports.state import check as state_check
from tap_affiliate_reports.state_file import read_state, unwrap
from tap_affiliate_reports.streams import TableStream
from tap_affiliate_reports.sync import Sync

if sys.version_info >= (3, 12):
    from typing import override
else:
    from typing_extensions import override

if TYPE_CHECKING:
    from types import FrameType

    from click import Context, Option

    from tap_affiliate_reports.sandbox import Sandbox


class TapAffiliateReports(Tap):
    """Loads affiliate-network reports, made by export jobs, incrementally by date."""

    name = "tap-affiliate-reports"
    config_jsonschema = configuration.config_schema()
    dynamic_catalog = True
    message_writer_class = LineWriter
    message_writer: LineWriter
    capabilities = [  # noqa: RUF012 # the SDK reads it from the class
        TapCapabilities.CATALOG,
        TapCapabilities.STATE,
        TapCapabilities.DISCOVER,
        PluginCapabilities.ACTIVATE_VERSION,
        PluginCapabilities.BATCH,
        PluginCapabilities.ABOUT,
        PluginCapabilities.STREAM_MAPS,
        PluginCapabilities.FLATTENING,
        PluginCapabilities.STRUCTURED_LOGGING,
    ]

    def __init__(
        self,
        *,
        config: Any = None,
        parse_env_config: bool = False,
        catalog: Any = None,
        clock: Clock | None = None,
        **options: Any,
    ) -> None:
        self.clock: Clock = clock or SystemClock()
        self._sandbox: Sandbox | None = None
        self.append_builtin_config(self.config_jsonschema)
        completed = settings.complete(
            config or {},
            self.config_jsonschema["properties"],
            SOURCES,
            from_environment=parse_env_config,
        )
        given = options.pop("state", None)
        self._given_state = {} if given is None else unwrap(given)
        state_check(self._given_state)
        super().__init__(
            config=completed, catalog=read_catalog(catalog), state=self._given_state, **options
        )
        # The framework's would copy the whole state for each message, to know it again.
        self._state_writer = StateLineWriter(self.message_writer)

    @property
    def has_given_state(self) -> bool:
        """Whether this sync goes on from the state of an earlier one."""
        return bool(self._given_state.get("bookmarks"))

    # Settings

    @override
    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        errors, warnings = configuration.check(self._config, self.config_jsonschema)
        for line in warnings:
            self.logger.warning(line)
        if errors and raise_errors:
            msg = "Config validation failed"
            raise ConfigValidationError(msg, errors=errors, schema=self.config_jsonschema)
        return errors

    @cached_property
    def sources(self) -> Sequence[Source]:
        """The configured sources."""
        start = settings.parse_day("start_date", self.config["start_date"])
        version = self.plugin_version
        agent = self.config.get("user_agent") or f"{self.name}/{version}"
        found: list[Source] = []
        for name, make in SOURCES.items():
            if name in self.config:
                own = self._with_sandbox(name, self.config[name])
                found.append(make(own, start=start, clock=self.clock, user_agent=agent))
        return found

    def _with_sandbox(self, name: str, own: Mapping[str, Any]) -> Mapping[str, Any]:
        if own["api_url"] != SANDBOX:
            return own
        # Nothing else imports the sandbox.
        from tap_affiliate_reports.sandbox import Sandbox

        if self._sandbox is None:
            self._sandbox = Sandbox(now=self.clock.now).start()
        self._sandbox.admit(name, own)
        self.logger.warning("%s.api_url is 'sandbox': all of its data is invented", name)
        return {**own, "api_url": self._sandbox.base_url(name)}

    # Streams

    @cached_property
    def discovery(self) -> Discovery:
        """What the sources offer, and what of it is to be synced."""
        return Discovery(self, self._given_state)

    @override
    def discover_streams(self) -> Sequence[Stream]:
        return self.discovery.streams()

    @override
    def setup_mapper(self) -> None:
        # The framework would register the catalog's streams: those too that are not selected, of
        # which no column is left for a map, and with a schema that may lack new columns.
        try:
            super(Tap, self).setup_mapper()
        except ConfigValidationError:
            raise
        except Exception as error:  # the framework raises many kinds
            msg = f"stream_maps: {error}"
            raise SettingsError(msg) from None
        selected = [stream for stream in self.streams.values() if stream.selected]
        for stream in selected:
            self.register(stream)
        if self.mapper.stream_maps_dict:
            stream_maps.check_aliases(self.mapper, [stream.name for stream in selected])
            known = {*self.streams, *self.discovery.known}
            for name in stream_maps.unknown_streams(self.mapper, known):
                self.logger.warning("stream_maps: there is no stream %r", name)

    @property
    @override
    def streams(self) -> dict[str, Stream]:
        if self._streams is None:
            # Lists cost nothing, so they come first, in the order of their source.
            names = [spec.name for source in self.sources for spec in source.lists()]
            order = {name: place for place, name in enumerate(names)}
            found = super().streams
            self._streams = {
                name: found[name] for name in sorted(found, key=lambda n: order.get(n, len(order)))
            }
        return self._streams

    @property
    def table_streams(self) -> list[TableStream]:
        """The streams whose rows come from result files."""
        return [stream for stream in self.streams.values() if isinstance(stream, TableStream)]

    def register(self, stream: Stream) -> None:
        """Make the mapper know a stream's schema as it is now."""
        schema = get_selected_schema(stream.name, stream.effective_schema, stream.mask)
        try:
            stream_maps.register(self.mapper, stream.name, schema, stream.primary_keys)
        except stream_maps.MapError as error:
            # A schema that changes in the middle of a sync concerns its own stream only.
            raise (StreamError if self.run.prepared else SettingsError)(str(error)) from None

    @override
    def load_state(self, state: dict[str, Any]) -> None:
        super().load_state(unwrap(state))
        if self._mapper is not None:
            for stream in self.table_streams:
                stream.keep_types()

    # A sync

    @cached_property
    def run(self) -> Sync:
        """The sync that this process makes."""
        return Sync(self)

    def write_state(self) -> None:
        """Write a STATE message, unless it would be the last one again."""
        self._state_writer.write_state(self.state)

    def close(self) -> None:
        """Remove temporary files and stop the sandbox."""
        self.run.close()
        if self._sandbox is not None:
            self._sandbox.stop()
            self._sandbox = None

    # The command line

    @classmethod
    @override
    def cb_config(cls, ctx: Context, param: Option, value: tuple[str, ...]) -> _ConfigInput:
        try:
            return super().cb_config(ctx, param, value)
        except (OSError, ValueError, TypeError) as error:
            msg = f"--config: not a readable JSON object: {error}"
            raise SettingsError(msg) from None

    @classmethod
    @override
    def invoke(  # type: ignore[override] # as the SDK's own
        cls,
        *,
        about: bool = False,
        about_format: str | None = None,
        config: _ConfigInput | None = None,
        state: IO[str] | None = None,
        catalog: IO[str] | None = None,
    ) -> None:
        super(Tap, cls).invoke(about=about, about_format=about_format)
        cls.print_version(print_fn=cls.logger.info)
        given = config or _ConfigInput()
        try:
            tap = cls(
                config=given.config,
                parse_env_config=given.parse_env,
                state=_state(state),
                catalog=_json_object("--catalog", catalog),
            )
        except ConfigValidationError as error:
            # The framework would add a line of its own.
            raise SettingsError("; ".join(error.errors)) from None
        # What is wrong for all streams is told before the first one begins.
        tap.run.prepare()
        tap.sync_all()

    # Ending

    @override
    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:
        if self.message_writer.busy:
            self.message_writer.after_write = lambda: self._terminate(signum)
        else:
            self._terminate(signum)

    def _terminate(self, signum: int) -> None:
        try:
            self.logger.warning("told to stop by signal %d: what is complete is kept", signum)
            if self.run.has_planned:
                self.run.note_jobs()
                self.message_writer.after_write = lambda: None
                self.message_writer.write_message(StateMessage(value=self.state))
            self.close()
            sys.stderr.flush()
        finally:
            # Downloads and the sandbox have threads that an ordinary exit would wait for.
            os._exit(128 + signum)


def _state(file: IO[str] | None) -> dict[str, Any] | None:
    if file is None:
        return None
    try:
        state = read_state(file.read())
    except ValueError as error:  # the file is not text
        msg = f"--state: not readable JSON: {error}"
        raise SettingsError(msg) from None
    except SettingsError as error:
        msg = f"--state: {error}"
        raise SettingsError(msg) from None
    if not state.get("bookmarks"):
        TapAffiliateReports.logger.warning("--state: the state is empty: all windows are new")
    return state


def _json_object(option: str, file: IO[str] | None) -> dict[str, Any] | None:
    try:
        document: Any = None if file is None else load_json(file.read())
    except ValueError as error:
        msg = f"{option}: not readable JSON: {error}"
        raise SettingsError(msg) from None
    if document is not None and not isinstance(document, dict):
        msg = f"{option}: not a JSON object"
        raise SettingsError(msg)
    return document


def main() -> None:
    """Run the command line; an expected error is one line and exit status 1."""
    try:
        TapAffiliateReports.cli()
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
        TapAffiliateReports.logger.error(line)
    sys.exit(1)
