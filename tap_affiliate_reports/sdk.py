"""Every private name of the Singer SDK that this tap uses, each with its reason.

Nothing else in the package imports a private module of the SDK or reads a private attribute of its
classes, so a new version of the SDK is checked against this one file.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from singer_sdk import Stream, Tap
from singer_sdk.helpers import _state

# The types of the setting batch_config, and the message that announces a file: not exported.
from singer_sdk.helpers._batch import (
    BaseBatchFileEncoding,
    BatchConfig,
    SDKBatchMessage,
    StorageTarget,
)

# The schema of the selected columns, as the SDK registers it with its mapper.
from singer_sdk.helpers._catalog import get_selected_schema

# The base class of `Tap.state_writer`: not exported.
from singer_sdk.helpers._state import StateWriter

# Reads JSON with exact decimals, as the SDK reads its own files.
from singer_sdk.helpers._util import load_json
from singer_sdk.mapper import CustomStreamMap, StreamMap

# The type of the argument that `Tap.invoke` and `Tap.cb_config` exchange.
from singer_sdk.plugin_base import _ConfigInput as ConfigInput
from typing_extensions import override

if TYPE_CHECKING:
    from types import FrameType

    from singer_sdk.helpers.types import Context, Record
    from singer_sdk.singerlib import RecordMessage

__all__ = [
    "UNHANDLED_ERROR",
    "BaseBatchFileEncoding",
    "BatchConfig",
    "ConfigInput",
    "SDKBatchMessage",
    "SdkStream",
    "SdkTap",
    "StateWriter",
    "StorageTarget",
    "batch_root",
    "get_selected_schema",
    "load_json",
    "silence_unsorted",
    "transform_unfiltered",
    "wrap_evaluation",
]

UNHANDLED_ERROR = "An unhandled error occurred"
"""How the SDK's log line about an error that ended a stream begins."""
UNSORTED = "Stream is assumed to be unsorted"
"""How the SDK's log line about a list without an order begins."""


def batch_root(storage: StorageTarget) -> Any:
    """Return the root folder of batch files, because the public methods can't rename a file."""
    return storage._root_path


def silence_unsorted() -> None:
    """Drop the SDK's WARNING about each list: it is read again from its bookmark in any case."""
    logging.getLogger("singer_sdk").addFilter(_is_not_unsorted)


def _is_not_unsorted(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(UNSORTED)


def wrap_evaluation(stream_map: CustomStreamMap, wrap: Callable[..., Any]) -> None:
    """Replace how a map evaluates expressions, because its errors name no column.

    `wrap` is called in place of the SDK's function, with that function as its first argument.
    """
    stream_map._eval = partial(wrap, stream_map._eval)  # type: ignore[method-assign]


def transform_unfiltered(stream_map: StreamMap, record: dict[str, Any]) -> dict[str, Any] | None:
    """Return a record as a stream map transforms it, whatever the map's filter says.

    A map has no way to skip its filter, and a copy of it would call the filter of the original.
    """
    if not isinstance(stream_map, CustomStreamMap):
        return stream_map.transform(record)
    kept = stream_map.get_filter_result
    stream_map.get_filter_result = lambda record: True  # type: ignore[method-assign] # noqa: ARG005
    try:
        return stream_map.transform(record)
    finally:
        stream_map.get_filter_result = kept  # type: ignore[method-assign]


class SdkTap(Tap):
    """The SDK's tap with public names for what this tap replaces."""

    def use_state_writer(self, writer: StateWriter) -> None:
        """Replace the writer of STATE messages, because the SDK's copies the state each time."""
        self._state_writer = writer

    @property
    def mutable_config(self) -> dict[str, Any]:
        """The settings, to be filled with defaults; `config` is a read-only view of them."""
        return self._config

    @property
    def has_mapper(self) -> bool:
        """Whether the mapper is set up; reading `mapper` before then raises."""
        return self._mapper is not None

    def order_streams(self, place: Callable[[Stream], float]) -> None:
        """Sort the streams, because the SDK syncs them in the order of their names."""
        streams = sorted(super().streams.values(), key=place)
        self._streams = {stream.name: stream for stream in streams}

    @property
    def has_streams(self) -> bool:
        """Whether the streams were discovered."""
        return self._streams is not None

    def check_config(self, *, raise_errors: bool) -> list[str]:
        """Return the errors of the settings, or raise them."""
        return super()._validate_config(raise_errors=raise_errors)

    def terminate(self, signum: int) -> None:
        """End the process on a signal."""
        super()._handle_termination(signum, None)

    @override
    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        # The SDK's messages do not name the setting.
        return self.check_config(raise_errors=raise_errors)

    @override
    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:
        # The SDK's handler may write a STATE message into the middle of a line.
        self.terminate(signum)


class SdkStream(Stream):
    """The SDK's stream with public names for what this tap calls or replaces."""

    # What this tap calls

    @property
    def tap(self) -> Tap:
        """The tap, for its mapper and its state."""
        return self._tap

    @property
    def version(self) -> int | None:
        """The version of the records; None if they have none."""
        return self._stream_version

    @version.setter
    def version(self, version: int | None) -> None:
        # The SDK would begin a new version in every sync.
        self._stream_version = version

    def write_schema(self) -> None:
        """Write a SCHEMA message, because columns and keys can change in the middle of a sync."""
        self._write_schema_message()

    def write_activate_version(self, version: int) -> None:
        """Write ACTIVATE_VERSION, because the SDK's own follows any sync, a partial one too."""
        self._write_activate_version_message(version)

    def replace_schema(self, schema: dict[str, Any]) -> None:
        """Replace the schema; `schema` has no setter. The stream maps are read again."""
        self._schema = schema
        self._stream_maps = None

    def reset_selection(self, *, with_metadata: bool = False) -> None:
        """Have the selection computed again, and the metadata with it."""
        self._mask = None
        if with_metadata:
            self._metadata = None

    def select(self, value: bool | None) -> None:
        """Select or deselect the stream, as the setter of `selected` does."""
        self.metadata.root.selected = value
        self._mask = self.metadata.resolve_selection()

    def forget_catalog_schema(self) -> None:
        """Use the stream's own schema, because a catalog's types may be of an earlier version."""
        self._input_schema = None

    def check_record_limit(self, index: int) -> None:
        """End a test of the connection, or a dry run, after its number of records."""
        self._check_max_record_limit(current_record_index=index)

    def reset_progress_markers(self) -> None:
        """Undo the bookmark that the SDK moved during this sync."""
        _state.reset_state_progress_markers(self.stream_state)

    # What this tap replaces

    def sync_records(
        self, context: Context | None, *, write_messages: bool
    ) -> Iterator[dict[str, Any]]:
        """Write the records of a stream or a partition, and yield them."""
        yield from super()._sync_records(context, write_messages=write_messages)

    def write_record(self, record: Record) -> None:
        """Write the RECORD message of a record, as its stream maps transform it."""
        super()._write_record_message(record)

    def record_messages(self, record: Record) -> Iterable[RecordMessage]:
        """Return the RECORD messages of a record."""
        return super()._generate_record_messages(record)

    @override
    def _sync_records(
        self, context: Context | None = None, *, write_messages: bool = True
    ) -> Generator[dict[str, Any], None, None]:
        # One stream's error would end the sync, and a block of rows is no record.
        yield from self.sync_records(context, write_messages=write_messages)

    @override
    def _write_record_message(self, record: Record) -> None:
        # Values have their types already, and tombstones pass every filter.
        self.write_record(record)

    @override
    def _generate_record_messages(self, record: Record) -> Iterable[RecordMessage]:  # type: ignore[override] # a generator too
        # Shows whether a list wrote a record.
        yield from self.record_messages(record)
