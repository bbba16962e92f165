"""What all streams share, and the streams that an API answers at once."""

from __future__ import annotations

import logging
import sys
from collections.abc import Generator, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from singer_sdk import Stream
from singer_sdk.helpers._state import reset_state_progress_markers
from singer_sdk.mapper import SameRecordTransform, StreamMap
from singer_sdk.singerlib import RecordMessage, StreamMetadata

from tap_affiliate_reports.errors import ENDS_THE_RUN, SettingsError, TapError, Unauthorized
from tap_affiliate_reports.sources.source import ListSpec, Source
from tap_affiliate_reports.state import ListState
from tap_affiliate_reports.stream_maps import row_error
from tap_affiliate_reports.windows import Reload

if sys.version_info >= (3, 12):
    from typing import override
else:
    from typing_extensions import override

if TYPE_CHECKING:
    from singer_sdk.helpers.types import Context, Record
    from singer_sdk.singerlib import Catalog, CatalogEntry

    from tap_affiliate_reports.tap import TapAffiliateReports


FULL_TABLE = "FULL_TABLE"


class AffiliateStream(Stream):
    """A stream whose expected errors are told to the tap and do not stop the other streams."""

    _tap: TapAffiliateReports

    def __init__(
        self, tap: TapAffiliateReports, source: Source | None, name: str, schema: dict[str, Any]
    ) -> None:
        self.source = source
        super().__init__(tap, schema=schema, name=name)

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
        # The catalog decides what is selected. Its types may be those of an earlier version.
        self._input_schema = None

    def _check_keys(self, entry: CatalogEntry) -> None:
        """Log keys of a catalog that are not used, and refuse a replication key that can't be."""
        if not entry.metadata.resolve_selection().get((), True):
            return
        root = entry.metadata.get((), StreamMetadata())
        keys = entry.key_properties or getattr(root, "table_key_properties", None)
        if keys and set(keys) != set(self.primary_keys):
            self.logger.warning(
                "%s: key_properties %s of the catalog are not used; the keys are %s",
                self.name, list(keys), list(self.primary_keys),
            )  # fmt: skip
        key = entry.replication_key or getattr(root, "replication_key", None)
        # A column of the tap's own is from before a setting changed.
        if key and key != self.replication_key and not key.startswith("_"):
            msg = (
                f"--catalog: stream {self.name!r} has the replication key {key!r}, which it can't "
                f"be replicated by: remove it, or set it to {self.replication_key!r}"
            )
            raise SettingsError(msg)

    @property
    @override
    def emit_activate_version_messages(self) -> bool:
        # The SDK would retire the old rows before the first new one is there.
        return False

    @property
    def emits_versions(self) -> bool:
        """Whether rows from before may be retired by ACTIVATE_VERSION."""
        return bool(self.config.get("emit_activate_version_messages", True))

    @override
    def get_batch_config(self, config: Mapping[str, Any]) -> None:
        # The framework's own batches have the columns that are not selected too.
        return None

    @property
    @override
    def stream_maps(self) -> list[StreamMap]:
        if self.name not in self._tap.mapper.stream_maps:
            # A test of the connection selects all streams.
            self._tap.register(self)
        return super().stream_maps

    @property
    def is_mapped(self) -> bool:
        """Whether a stream map of the user's, or flattening, must see each record."""
        (first, *more) = self.stream_maps
        return bool(more) or type(first) is not SameRecordTransform or first.flattening_enabled

    @override
    def log(self, message: str, *args: Any, level: int = logging.INFO, **kwargs: Any) -> None:
        # The tap tells what ended a stream, and that a test of the connection ends is no error.
        if not message.startswith("An unhandled error occurred"):
            super().log(message, *args, level=level, **kwargs)

    @override
    def _sync_records(
        self, context: Context | None = None, *, write_messages: bool = True
    ) -> Generator[dict[str, Any], None, None]:
        try:
            self._tap.run.prepare()
            if not self._tap.run.is_failed(self):
                yield from self._records(context, write_messages=write_messages)
        except ENDS_THE_RUN:
            raise
        except Unauthorized as error:
            self._tap.run.refused(self.source, error)
        except TapError as error:
            self._tap.run.failed(self.name, error)
        finally:
            # No STATE need follow that would write the buffered records.
            self._tap.message_writer.flush()

    def _records(
        self, context: Context | None, *, write_messages: bool
    ) -> Iterator[dict[str, Any]]:
        yield from super()._sync_records(context, write_messages=write_messages)

    @override
    def _write_record_message(self, record: Record) -> None:
        try:
            super()._write_record_message(record)
        except TapError:
            raise
        except Exception as error:
            if not self.is_mapped:
                raise
            raise row_error(self.name, error) from None

    @override
    def log_sync_costs(self) -> None:
        super().log_sync_costs()
        # The framework calls this for each stream once all of them are through.
        if self._tap.run.is_last(self):
            self._tap.run.finish()


class ListStream(AffiliateStream):
    """A list that the API answers at once."""

    def __init__(self, tap: TapAffiliateReports, source: Source, spec: ListSpec) -> None:
        self._spec = spec
        self._is_written = False
        super().__init__(tap, source, spec.name, spec.schema)
        self.primary_keys = spec.primary_keys
        self.replication_key = spec.replication_key
        self._state: ListState | None = None
        self._bookmark: str | None = None

    def plan(self, reload: Reload | None) -> None:
        """Decide from where on the list is read in this sync."""
        if self.replication_key is None:
            return
        state = self._state = ListState(self.stream_state, self.replication_key)
        if self.replication_method == FULL_TABLE:
            state.forget()
        if reload is None:
            state.end_reload()
        else:
            state.request_reload(reload)
        self._bookmark = state.bookmark

    @property
    def reload(self) -> str | None:
        """The reload under way, as the setting named it."""
        text: str | None = self.stream_state.get("reload")
        return text

    def is_reloaded(self) -> bool:
        """Return whether all that the reload requests is loaded: the bookmark is back then."""
        return True

    def end_reload(self) -> None:
        """Record that no reload is under way."""
        if self._state is not None:
            self._state.end_reload()

    @override
    def _records(
        self, context: Context | None, *, write_messages: bool
    ) -> Iterator[dict[str, Any]]:
        try:
            yield from super()._records(context, write_messages=write_messages)
        except Exception:
            # The bookmark must not move past records that were not written.
            reset_state_progress_markers(self.stream_state)
            raise
        self._tap.message_writer.flush()
        if self._is_written:
            self._tap.run.list_written()

    @override
    def _generate_record_messages(self, record: Record) -> Generator[RecordMessage, None, None]:
        for message in super()._generate_record_messages(record):
            self._is_written = True
            yield message

    @override
    def get_records(self, context: Context | None) -> Iterable[Record]:
        if self.replication_key is None and self.emits_versions:
            self._stream_version = self._tap.initialized_at
        yield from self._spec.records(self._bookmark)
        if self._stream_version is not None:
            # What is no longer in the list is retired, once the whole list is there.
            self._write_activate_version_message(self._stream_version)
