"""What all streams share: one stream's failure does not end the others."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from singer_sdk.mapper import SameRecordTransform, StreamMap
from singer_sdk.singerlib import StreamMetadata
from typing_extensions import override

from tap_affiliate_reports import stream_maps
from tap_affiliate_reports.clock import Clock
from tap_affiliate_reports.errors import (
    ENDS_THE_RUN,
    SettingsError,
    StreamError,
    TapError,
    Unauthorized,
)
from tap_affiliate_reports.run import Run
from tap_affiliate_reports.sdk import UNHANDLED_ERROR, SdkStream, get_selected_schema
from tap_affiliate_reports.sources.source import Source

if TYPE_CHECKING:
    from singer_sdk import Tap
    from singer_sdk.helpers.types import Context, Record
    from singer_sdk.singerlib import Catalog, CatalogEntry

FULL_TABLE = "FULL_TABLE"

# What the settings of stream maps begin with.
MAP_SETTINGS = ("stream_map", "faker", "flattening")

KEYS_NOT_USED = "%s: key_properties %s of the catalog are not used; the keys are %s"


class AffiliateStream(SdkStream):
    """A stream whose expected errors are recorded in the run. `source` is None for the audit."""

    description = ""
    """What a row of the stream is, in a sentence; "" if the network does not say."""

    def __init__(
        self, tap: Tap, run: Run, source: Source | None, name: str, schema: dict[str, Any]
    ) -> None:
        self.run = run
        self.source = source
        super().__init__(tap, schema=schema, name=name)

    @property
    def clock(self) -> Clock:
        """The clock of the run."""
        return self.run.clock

    # The catalog

    @override
    def apply_catalog(self, catalog: Catalog) -> None:
        keys, replication_key = self.primary_keys, self.replication_key
        if entry := catalog.get_stream(self.name):
            self._check_keys(entry)
        super().apply_catalog(catalog)
        # Rows keep their keys, because with others the loader would double or merge them.
        self.primary_keys, self.replication_key = keys, replication_key
        if replication_key is None:
            self.forced_replication_method = None
        self.forget_catalog_schema()

    def _check_keys(self, entry: CatalogEntry) -> None:
        """Warn about keys of a catalog that are not used; refuse an unusable replication key."""
        if not entry.metadata.resolve_selection().get((), True):
            return
        root = entry.metadata.get((), StreamMetadata())
        keys = entry.key_properties or getattr(root, "table_key_properties", None)
        if keys and set(keys) != set(self.primary_keys):
            self.logger.warning(KEYS_NOT_USED, self.name, list(keys), list(self.primary_keys))
        key = entry.replication_key or getattr(root, "replication_key", None)
        # One of the tap's own columns is from before a setting changed.
        if key and key != self.replication_key and not key.startswith("_"):
            msg = (
                f"--catalog: stream {self.name!r} can't be replicated by the replication key "
                f"{key!r}: remove it, or set it to {self.replication_key!r}"
            )
            raise SettingsError(msg)

    # Versions and batches

    @property
    @override
    def emit_activate_version_messages(self) -> bool:
        # The SDK would retire the old rows before the first new row is written.
        return False

    @property
    def emits_versions(self) -> bool:
        """Whether ACTIVATE_VERSION may retire earlier rows."""
        return bool(self.config.get("emit_activate_version_messages", True))

    @override
    def get_batch_config(self, config: Mapping[str, Any]) -> None:
        # The SDK's own batches include deselected columns.
        return None

    # Stream maps

    def register(self) -> None:
        """Register the present schema with the mapper.

        Raises SettingsError if a stream map can't be used with it; once the sync has begun,
        StreamError, because a schema that changes in the middle concerns this stream only.
        """
        schema = get_selected_schema(self.name, self.effective_schema, self.mask)
        try:
            stream_maps.register(self.tap.mapper, self.name, schema, self.primary_keys)
        except stream_maps.MapError as error:
            raise (StreamError if self.run.has_begun else SettingsError)(str(error)) from None

    def check_stream_map(self, columns: Collection[str]) -> None:
        """Raise StreamError for a map that names a column the stream does not have.

        `columns` are those that earlier files had.
        """
        if self.name in self.tap.mapper.stream_maps:
            stream_maps.check_names(self.tap.mapper, self.name, columns)

    @property
    @override
    def stream_maps(self) -> list[StreamMap]:
        if self.name not in self.tap.mapper.stream_maps:
            # A test of the connection selects all streams.
            self.register()
        return super().stream_maps

    def map_settings(self) -> dict[str, Any]:
        """Return the settings that decide how a record is mapped; none if it is not."""
        if not self.is_mapped:
            return {}
        names = sorted(name for name in self.config if name.startswith(MAP_SETTINGS))
        return {name: self.config[name] for name in names}

    @property
    def keeps_its_keys(self) -> bool:
        """Whether no map gives the records another stream name or other key columns.

        With these, rows of another window, or of another stream, may replace rows of this one.
        """
        return all(
            one.stream_alias == self.name
            and list(one.transformed_key_properties or ()) == list(self.primary_keys)
            for one in self.stream_maps
        )

    @property
    def is_mapped(self) -> bool:
        """Whether a stream map, or flattening, must see each record."""
        (first, *more) = self.stream_maps
        return bool(more) or type(first) is not SameRecordTransform or first.flattening_enabled

    # The sync

    @override
    def sync_records(
        self, context: Context | None, *, write_messages: bool
    ) -> Iterator[dict[str, Any]]:
        try:
            self.run.before_first()
            if not self.run.has_failed(self.name, self.source):
                yield from self.emit(context, write_messages=write_messages)
        except ENDS_THE_RUN:
            raise
        except Unauthorized as error:
            self.run.source_failed(self.source, error)
        except TapError as error:
            self.run.record_failure(self.name, error)
        finally:
            # No STATE message may follow that would flush the buffered records.
            self.run.writer.flush()

    def emit(self, context: Context | None, *, write_messages: bool) -> Iterator[dict[str, Any]]:
        """Write the records, and yield them."""
        yield from super().sync_records(context, write_messages=write_messages)

    @override
    def write_record(self, record: Record) -> None:
        try:
            super().write_record(record)
        except TapError:
            raise
        except Exception as error:
            if not self.is_mapped:
                raise
            raise stream_maps.row_error(self.name, error) from None

    def write_state(self) -> None:
        """Write a STATE message, unless nothing changed since the last one."""
        self.tap.state_writer.write_state(self.tap.state)

    @override
    def log(self, message: str, *args: Any, level: int = logging.INFO, **kwargs: Any) -> None:
        # The run logs what ended a stream, and the end of a connection test is no error.
        if not message.startswith(UNHANDLED_ERROR):
            super().log(message, *args, level=level, **kwargs)

    @override
    def log_sync_costs(self) -> None:
        super().log_sync_costs()
        # The SDK calls this for each stream once all of them are done.
        self.run.stream_done(self.name)
