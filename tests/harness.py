"""What tests share: a clock that never waits, a sync in this process, a model warehouse."""

from __future__ import annotations

import json
import logging
import signal
import threading
from collections import defaultdict
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
from hypothesis import settings

from tap_affiliate_reports.errors import TapError
from tap_affiliate_reports.messages import LineWriter
from tap_affiliate_reports.sandbox import Sandbox
from tap_affiliate_reports.tap import TapAffiliateReports

if TYPE_CHECKING:
    from collections.abc import Iterator

    from singer_sdk.singerlib import Message


def examples(count: int) -> int:
    """Return how many examples a property gets: `count` in the profile `full`."""
    return max(1, count * settings().max_examples // 100)


# A Thursday; New York is on winter time, and the day of the 18th is over for long.
NOW = datetime(2026, 11, 19, 15, 0, tzinfo=timezone.utc)


class FakeClock:
    """A clock whose pauses cost nothing; `slept` has them all."""

    def __init__(self, now: datetime = NOW) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._monotonic = 0.0
        self.slept: list[float] = []

    def now(self) -> datetime:
        with self._lock:
            return self._now

    def monotonic(self) -> float:
        with self._lock:
            return self._monotonic

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.slept.append(seconds)
            self._now += timedelta(seconds=seconds)
            self._monotonic += seconds

    def advance(self, **duration: float) -> None:
        """Let time pass: days=1, hours=3."""
        with self._lock:
            self._now += timedelta(**duration)
            self._monotonic += timedelta(**duration).total_seconds()


# A sync writes thousands of lines; `json` takes six times as long for one.
DECODER = msgspec.json.Decoder(float_hook=Decimal)


class Collector(LineWriter):
    """Keeps the messages, each as it would be read from its line."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[dict[str, Any]] = []

    def write_message(self, message: Message) -> None:
        self.write_lines(bytes(self.format_message(message)))

    def write_lines(self, lines: bytes) -> None:
        self.messages.extend(DECODER.decode(line) for line in lines.split(b"\n") if line)


@dataclass
class Run:
    """What one sync emitted, and how it ended."""

    messages: list[dict[str, Any]]
    error: BaseException | None
    tap: TapAffiliateReports
    log: list[logging.LogRecord] = field(default_factory=list)

    def records(self, stream: str) -> list[dict[str, Any]]:
        return [
            m["record"] for m in self.messages if m["type"] == "RECORD" and m["stream"] == stream
        ]

    def schema(self, stream: str) -> dict[str, Any]:
        """Return the stream's last SCHEMA message."""
        return [m for m in self.messages if m["type"] == "SCHEMA" and m["stream"] == stream][-1]

    @property
    def streams(self) -> set[str]:
        return {m["stream"] for m in self.messages if m["type"] == "SCHEMA"}

    @property
    def states(self) -> list[dict[str, Any]]:
        return [m["value"] for m in self.messages if m["type"] == "STATE"]

    @property
    def state(self) -> dict[str, Any]:
        """The last STATE, as a next sync would be given it."""
        return json.loads(json.dumps(self.states[-1])) if self.states else {}

    def windows(self, stream: str) -> dict[str, dict[str, Any]]:
        """Return the ledger of windows in the last STATE, by slot."""
        return windows_of(self.state["bookmarks"][stream])

    def bookmark(self, stream: str) -> str | None:
        return self.state["bookmarks"].get(stream, {}).get("replication_key_value")

    def said(self, text: str, level: int = logging.NOTSET) -> bool:
        return any(text in r.getMessage() for r in self.log if r.levelno >= level)

    def ok(self) -> Run:
        """Return this run, having checked that it ended well."""
        if self.error is not None:
            raise self.error
        return self


def windows_of(state: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the ledger of windows in a stream's, or a partition's, state, by slot."""
    return {entry["slot"]: entry for entry in state.get("windows", ())}


class _Handler(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@contextmanager
def listening() -> Iterator[list[logging.LogRecord]]:
    """Collect everything that is logged, at every level."""
    handler, root = _Handler(), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield handler.records
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


def config_for(sandbox: Sandbox, **impact: Any) -> dict[str, Any]:
    """Return a configuration for a running sandbox; top-level settings in upper case."""
    top = {key.lower(): impact.pop(key) for key in list(impact) if key.isupper()}
    return {
        "start_date": "2026-09-10",
        **top,
        "impact": {
            "account_sid": "IRsandbox",
            "auth_token": "sandbox-token",
            "api_url": sandbox.url,
            **impact,
        },
    }


def sync(
    config: Mapping[str, Any],
    clock: FakeClock,
    *,
    state: Mapping[str, Any] | None = None,
    catalog: dict[str, Any] | None = None,
    writer: LineWriter | None = None,
) -> Run:
    """Run one sync in this process and return what came of it; expected errors are kept.

    With a writer of one's own, the messages go there.
    """
    collector = Collector()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    error: BaseException | None = None
    tap: TapAffiliateReports | None = None
    with listening() as log:
        try:
            tap = TapAffiliateReports(
                config=json.loads(json.dumps(config)),
                state=json.loads(json.dumps(state or {})),
                catalog=catalog,
                clock=clock,
                message_writer=writer or collector,
            )
            tap.sync_all()
        except (TapError, Exception) as raised:  # what is raised is a result
            error = raised
        finally:
            if tap is not None:
                tap.close()
            for number, handler in handlers.items():
                signal.signal(number, handler)
    return Run(collector.messages, error, tap, log)  # type: ignore[arg-type]


def discover(config: Mapping[str, Any], clock: FakeClock) -> dict[str, Any]:
    """Return the catalog that discovery finds."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    tap: TapAffiliateReports | None = None
    try:
        tap = TapAffiliateReports(
            config=json.loads(json.dumps(config)), clock=clock, setup_mapper=False
        )
        return json.loads(tap.catalog_json_text)
    finally:
        if tap is not None:
            tap.close()
        for number, handler in handlers.items():
            signal.signal(number, handler)


class Warehouse:
    """What a well-behaved target holds: upserts by key, versions, all messages in their order."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[tuple[Any, ...], dict[str, Any]]] = defaultdict(dict)
        self.versions: dict[str, dict[tuple[Any, ...], int]] = defaultdict(dict)
        self.keys: dict[str, list[str]] = {}
        self.state: dict[str, Any] = {}

    def load(self, messages: list[dict[str, Any]]) -> None:
        for message in messages:
            stream = message.get("stream", "")
            if message["type"] == "SCHEMA":
                self.keys[stream] = message["key_properties"]
            elif message["type"] == "RECORD":
                record = message["record"]
                key = tuple(record[name] for name in self.keys[stream])
                assert not {None, ""} & set(key), f"{stream}: a null or empty key in {record}"
                if "_deleted" in record:
                    assert record["_deleted"] == (record["_sdc_deleted_at"] is not None), record
                self.tables[stream][key] = record
                self.versions[stream][key] = message.get("version", 0)
            elif message["type"] == "ACTIVATE_VERSION":
                for key, version in list(self.versions[stream].items()):
                    if version < message["version"]:
                        del self.versions[stream][key], self.tables[stream][key]
            elif message["type"] == "STATE":
                self.state = message["value"]

    def live(self, stream: str) -> list[dict[str, Any]]:
        """Return the rows that count: not retired, of their window's newest load."""
        newest: dict[tuple[Any, ...], str] = {}
        rows = list(self.tables[stream].values())
        for row in rows:
            window = (row["_program_id"], row["_window_start"])
            newest[window] = max(newest.get(window, ""), row["_refreshed_at"])
        return [
            row
            for row in rows
            if row["_sdc_deleted_at"] is None
            and row["_refreshed_at"] == newest[row["_program_id"], row["_window_start"]]
        ]
