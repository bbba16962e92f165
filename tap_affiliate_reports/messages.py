"""Writes Singer messages to stdout, in complete lines also when a signal interrupts."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from singer_sdk.contrib.msgspec import MsgSpecWriter, serialize_jsonl
from singer_sdk.singerlib import Message, RecordMessage, StateMessage
from typing_extensions import override

from tap_affiliate_reports.errors import LoaderGone
from tap_affiliate_reports.sdk import StateWriter

if TYPE_CHECKING:
    from singer_sdk.helpers.types import TapState

BLOCK = 64 * 1024
LOADER_CLOSED = "the loader closed its input"


class StateLineWriter(StateWriter):
    """Writes STATE messages, skipping repeated ones; encodes each state once, without a copy."""

    def __init__(self, writer: LineWriter) -> None:
        super().__init__(writer)
        self._writer = writer
        self._last = b""

    @override
    def write_state(self, state: TapState) -> None:
        line = bytes(self._writer.format_message(StateMessage(value=state)))
        if line != self._last:
            self._last = line
            self._writer.write_lines(line)
        # The buffered records must be written even if the state did not change.
        self._writer.flush()


class LineWriter(MsgSpecWriter):
    """Writes lines in blocks; a message other than a record flushes the buffer.

    `busy` is True while a block is written, and `after_write` is called afterwards, so that the
    handler of a signal can wait for the end of a line.
    """

    def __init__(self) -> None:
        super().__init__()
        self._block = bytearray()
        self.busy = False
        self.after_write: Callable[[], None] = lambda: None

    def serialize_message(self, message: Message) -> bytearray:
        """Return a message as a line."""
        if isinstance(message, StateMessage):
            # The SDK would copy the complete state for each message.
            return serialize_jsonl({"type": "STATE", "value": message.value})
        return super().serialize_message(message)

    def write_message(self, message: Message) -> None:
        """Write a message; records are buffered."""
        self._block += self.format_message(message)
        if len(self._block) >= BLOCK or not isinstance(message, RecordMessage):
            self.flush()

    def write_lines(self, lines: bytes) -> None:
        """Write complete lines; they are buffered."""
        self._block += lines
        if len(self._block) >= BLOCK:
            self.flush()

    def flush(self) -> None:
        """Write all buffered lines."""
        if not self._block:
            return
        self.busy = True
        try:
            block, self._block = self._block, bytearray()
            view = memoryview(block)
            out = sys.stdout.buffer
            while view:
                # An unbuffered stdout is raw, so a signal may interrupt a write after some bytes.
                view = view[out.write(view) :]
            out.flush()
        except BrokenPipeError:
            raise LoaderGone(f"{LOADER_CLOSED}: see its log for the reason") from None
        finally:
            self.busy = False
        self.after_write()
