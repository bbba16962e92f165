"""The streams that an API answers at once, without an export."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from tap_affiliate_reports.run import Run
from tap_affiliate_reports.sdk import silence_unsorted
from tap_affiliate_reports.sources.source import ListSpec, Source
from tap_affiliate_reports.state import ListState
from tap_affiliate_reports.streams.base import FULL_TABLE, AffiliateStream
from tap_affiliate_reports.windows import Reload

if TYPE_CHECKING:
    from singer_sdk import Tap
    from singer_sdk.helpers.types import Context, Record
    from singer_sdk.singerlib import RecordMessage


class ListStream(AffiliateStream):
    """A list of the API."""

    def __init__(self, tap: Tap, run: Run, source: Source, spec: ListSpec) -> None:
        self._spec = spec
        self.written = 0
        """The number of records written."""
        self.description = spec.description
        silence_unsorted()
        super().__init__(tap, run, source, spec.name, spec.schema)
        self.primary_keys = spec.primary_keys
        self.replication_key = spec.replication_key
        self._state: ListState | None = None
        self._bookmark: str | None = None

    def plan(self, reload: Reload | None) -> None:
        """Decide from which bookmark this sync reads the list."""
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
        """The text of the reload under way."""
        text: str | None = self.stream_state.get("reload")
        return text

    def is_reloaded(self) -> bool:
        """Return whether the reload is complete; it is once the bookmark was moved back."""
        return True

    def end_reload(self) -> None:
        """Record that no reload is under way."""
        if self._state is not None:
            self._state.end_reload()

    @override
    def emit(self, context: Context | None, *, write_messages: bool) -> Iterator[dict[str, Any]]:
        try:
            yield from super().emit(context, write_messages=write_messages)
        except Exception:
            # The bookmark must not move past records that were not written.
            self.reset_progress_markers()
            raise
        self.run.writer.flush()
        if self.written:
            self.run.list_written()

    @override
    def record_messages(self, record: Record) -> Iterable[RecordMessage]:
        for message in super().record_messages(record):
            self.written += 1
            yield message

    @override
    def get_records(self, context: Context | None) -> Iterable[Record]:
        if self.replication_key is None and self.emits_versions:
            self.version = self.tap.initialized_at
        yield from self._spec.records(self._bookmark)
        if self.version is not None:
            # What the list no longer has is retired, once the whole list is written.
            self.write_activate_version(self.version)
