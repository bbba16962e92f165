"""Singer messages on their way to stdout: whole lines only, whatever interrupts."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from singer_sdk.contrib.msgspec import MsgSpecWriter, serialize_jsonl
from singer_sdk.helpers._state import StateWriter
from singer_sdk.singerlib import Message, RecordMessage, StateMessage
from typing_extensions import override

from tap_affiliate_reports.errors import LoaderGone

if TYPE_CHECKING:
    from singer_sdk.helpers.types import TapState

BLOCK = 64 * 1024


class StateLineWriter(StateWriter):
    """Writes STATE messages, but not the last one again: encodes each once and copies no state."""

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
        # The records before it must go out, also where the state did not change.
        self._writer.flush()


class LineWriter(MsgSpecWriter):
    """Writes lines in blocks; anything but a record goes out at once, with all before it.

    While a block is being written, `busy` is true and `after_write` is called when it is done: a
    signal can wait for the line's end.
    """

    def __init__(self) -> None:
        super().__init__()
        self._block = bytearray()
        self.busy = False
        self.after_write: Callable[[], None] = lambda: None

    def serialize_message(self, message: Message) -> bytearray:
        """Return a message as a line."""
        if isinstance(message, StateMessage):
            # The framework would copy the whole state for each one.
            return serialize_jsonl({"type": "STATE", "value": message.value})
        return super().serialize_message(message)

    def write_message(self, message: Message) -> None:
        """Write a message, a record's line perhaps later."""
        self._block += self.format_message(message)
        if len(self._block) >= BLOCK or not isinstance(message, RecordMessage):
            self.flush()

    def write_lines(self, lines: bytes) -> None:
        """Write whole lines, perhaps later."""
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
                # Unbuffered, stdout is raw and a signal can shorten a write.
                view = view[out.write(view) :]
            out.flush()
        except BrokenPipeError:
            msg = "the loader closed its input: its own log tells why"
            raise LoaderGone(msg) from None
        finally:
            self.busy = False
        self.after_write()
