"""The tap: its settings, its streams, and how a sync begins and ends."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from singer_sdk import Stream, Tap
from singer_sdk.exceptions import ConfigValidationError
from singer_sdk.helpers.capabilities import PluginCapabilities, TapCapabilities
from singer_sdk.singerlib import StateMessage
from typing_extensions import override

from tap_affiliate_reports import configuration, settings, stream_maps
from tap_affiliate_reports.catalog import read_catalog
from tap_affiliate_reports.clock import Clock, SystemClock
from tap_affiliate_reports.discovery import Discovery
from tap_affiliate_reports.errors import LoaderGone, SettingsError
from tap_affiliate_reports.messages import LineWriter, StateLineWriter
from tap_affiliate_reports.run import Run
from tap_affiliate_reports.sdk import SdkTap
from tap_affiliate_reports.selection import Selection
from tap_affiliate_reports.settings.shared import SANDBOX
from tap_affiliate_reports.sources import SOURCES
from tap_affiliate_reports.sources.source import Source
from tap_affiliate_reports.state import check as state_check
from tap_affiliate_reports.state_file import unwrap
from tap_affiliate_reports.streams import AffiliateStream, ReportStream, TableStream, audit
from tap_affiliate_reports.sync import Sync

if TYPE_CHECKING:
    from tap_affiliate_reports.sandbox import Sandbox

INVENTED_DATA = "%s.api_url is 'sandbox': all of its data is invented"
NO_SUCH_STREAM = "stream_maps: there is no stream %r; this map is not used"
STOPPING = "received signal %d, stopping; finished windows are saved in the state"


class TapAffiliateReports(SdkTap):
    """Loads affiliate-network reports, which services export by jobs, incrementally by date."""

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
        before_exit: Callable[[int], None] = lambda signum: None,  # noqa: ARG005
        **options: Any,
    ) -> None:
        self.clock: Clock = clock or SystemClock()
        self._sandbox: Sandbox | None = None
        # Called with the signal that ends the sync, once its STATE is written.
        self.before_exit = before_exit
        self.append_builtin_config(self.config_jsonschema)
        completed = settings.complete(
            config or {},
            self.config_jsonschema["properties"],
            SOURCES,
            from_environment=parse_env_config,
        )
        state = options.pop("state", None)
        self._initial_state = {} if state is None else unwrap(state)
        state_check(self._initial_state)
        super().__init__(
            config=completed, catalog=read_catalog(catalog), state=self._initial_state, **options
        )
        self.use_state_writer(StateLineWriter(self.message_writer))

    @classmethod
    @override
    @cache
    def get_plugin_version(cls) -> str:
        # The SDK reads the metadata of the installed package at each of many uses.
        return super().get_plugin_version()

    # Settings

    @override
    def check_config(self, *, raise_errors: bool) -> list[str]:
        errors, warnings = configuration.check(self.mutable_config, self.config_jsonschema)
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
        agent = self.config.get("user_agent") or f"{self.name}/{self.plugin_version}"
        found: list[Source] = []
        for name, build in SOURCES.items():
            if name in self.config:
                own = self._with_sandbox(name, self.config[name])
                found.append(build(own, start=start, clock=self.clock, user_agent=agent))
        return found

    def _with_sandbox(self, name: str, own: Mapping[str, Any]) -> Mapping[str, Any]:
        if own["api_url"] != SANDBOX:
            return own
        # Nothing else imports the sandbox.
        from tap_affiliate_reports.sandbox import Sandbox

        if self._sandbox is None:
            self._sandbox = Sandbox(now=self.clock.now).start()
        self._sandbox.admit(name, own)
        self.logger.warning(INVENTED_DATA, name)
        return {**own, "api_url": self._sandbox.base_url(name)}

    # The parts of a sync. The SDK's constructor reads the streams, so each is built when needed.

    @cached_property
    def run(self) -> Run:
        """What the streams of this sync share."""
        run = Run(self.name, clock=self.clock, writer=self.message_writer, sources=self.sources)
        run.before_first = self.begin
        run.after_last = lambda: self.sync.report()
        return run

    @cached_property
    def selection(self) -> Selection:
        """The reports that the settings and the catalog select."""
        return Selection(self.input_catalog)

    @cached_property
    def discovery(self) -> Discovery:
        """The streams of the sources."""
        return Discovery(
            self.run,
            self.selection,
            self._initial_state.get("bookmarks", {}),
            singer_decimal=bool(self.config.get("use_singer_decimal")),
        )

    @cached_property
    def sync(self) -> Sync:
        """The plan and the result of this sync."""
        return Sync(
            self.run,
            self.discovery,
            self.selection,
            self.config,
            is_first=not self._initial_state.get("bookmarks"),
            write_state=lambda: self.state_writer.write_state(self.state),
        )

    def plan(self) -> None:
        """Plan what all selected streams load, once."""
        self.sync.plan(self._affiliate_streams, self.state.get("bookmarks", {}))

    def begin(self) -> None:
        """Plan the sync and begin it, once."""
        self.plan()
        self.sync.begin()

    # Streams

    @override
    def discover_streams(self) -> Sequence[Stream]:
        return self.discovery.streams(self)

    @property
    @override
    def streams(self) -> dict[str, Stream]:
        if not self.has_streams:
            # Lists cost no export, so they come first, in the order of their source. What takes
            # nights to be complete gives way to the rest. The audit of all others comes last.
            names = [spec.name for source in self.sources for spec in source.lists()]
            places = {name: place for place, name in enumerate(names)} | {audit.NAME: math.inf}

            def place(stream: Stream) -> float:
                gives_way = isinstance(stream, ReportStream) and stream.rules.newest_first
                return places.get(stream.name, len(names) + gives_way)

            self.order_streams(place)
            self.run.last_stream = next(reversed(super().streams), "")
        return super().streams

    @property
    def _affiliate_streams(self) -> list[AffiliateStream]:
        return [one for one in self.streams.values() if isinstance(one, AffiliateStream)]

    @override
    def setup_mapper(self) -> None:
        # The SDK would register the schemas of the catalog: those of deselected streams too, which
        # have no column for a map, and without columns that are new.
        try:
            super(Tap, self).setup_mapper()
        except ConfigValidationError:
            raise
        except Exception as error:  # the SDK raises many kinds
            msg = f"stream_maps: {error}"
            raise SettingsError(msg) from None
        selected = [stream for stream in self._affiliate_streams if stream.selected]
        for stream in selected:
            stream.register()
        if self.mapper.stream_maps_dict:
            stream_maps.check_aliases(self.mapper, [stream.name for stream in selected])
            known = {*self.streams, *self.discovery.known}
            for name in stream_maps.unknown_streams(self.mapper, known):
                self.logger.warning(NO_SUCH_STREAM, name)

    @override
    def load_state(self, state: dict[str, Any]) -> None:
        super().load_state(unwrap(state))
        if self.has_mapper:
            for stream in self._affiliate_streams:
                if isinstance(stream, TableStream):
                    stream.keep_types()

    # Ending

    @override
    def terminate(self, signum: int) -> None:
        if self.message_writer.busy:
            self.message_writer.after_write = lambda: self._end(signum)
        else:
            self._end(signum)

    def _end(self, signum: int) -> None:
        try:
            self.logger.warning(STOPPING, signum)
            if self.sync.has_planned:
                self.sync.note_jobs()
                self.message_writer.after_write = lambda: None
                with suppress(LoaderGone):  # the rest of the end must follow
                    self.message_writer.write_message(StateMessage(value=self.state))
            self.before_exit(signum)
            self.close()
            sys.stderr.flush()
        finally:
            # An ordinary exit would wait for the threads of downloads and of the sandbox.
            os._exit(128 + signum)

    def close(self) -> None:
        """Remove temporary files and stop the sandbox."""
        self.run.close()
        if self._sandbox is not None:
            self._sandbox.stop()
            self._sandbox = None
