"""A service, a warehouse and a state, around a tap in a process of its own that is killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing import connection
from pathlib import Path
from typing import Any

import kill_child
from harness import FakeClock, Warehouse

from tap_affiliate_reports.sandbox import LoggedRequest, Sandbox

FORKS = multiprocessing.get_context("forkserver")
# What takes long to import; the tests' own folder is not on the path of the server.
FORKS.set_forkserver_preload(["hypothesis", "tap_affiliate_reports.tap"])


@dataclass(kw_only=True)
class Killing:
    """What a sync is killed over: the service, what the warehouse has, the last state."""

    folder: Path
    clock: FakeClock
    sandbox: Sandbox
    warehouse: Warehouse = field(default_factory=Warehouse)
    state: dict[str, Any] = field(default_factory=dict)
    # In the path of a request that asks how far a job is.
    poll = "/Jobs"

    @property
    def config(self) -> dict[str, Any]:
        raise NotImplementedError

    def job(self, **options: Any) -> kill_child.Job:
        return kill_child.Job(self.config, self.state, self.folder, self.clock.now(), **options)

    def tick(self, request: LoggedRequest) -> None:
        """Let the child's polls pass the time of the sandbox, whose clock it does not share."""
        if request.method == "GET" and self.poll in request.path:
            self.clock.advance(seconds=1)

    def child(self, job: kill_child.Job, kill: Callable[[LoggedRequest], bool]) -> int:
        """Run a child and kill it at the first request that `kill` is true of."""
        process = FORKS.Process(target=kill_child.run, args=(job,))
        started = threading.Event()

        def on_request(request: LoggedRequest) -> None:
            self.tick(request)
            if kill(request):
                started.wait(10)
                os.kill(process.pid or 0, signal.SIGKILL)
                connection.wait([process.sentinel], 10)

        self.sandbox.on_request = on_request
        process.start()
        started.set()
        process.join(30)
        self.sandbox.on_request = None
        assert process.exitcode is not None, "the child hangs"
        return process.exitcode


def moments(messages: list[dict[str, Any]]) -> list[int]:
    """Return after how many messages to kill: around all that is no record, and in between."""
    turns = {n for n, m in enumerate(messages, 1) if m["type"] != "RECORD"}
    before = {n - 1 for n in turns} - {0}
    return sorted(turns | before | set(range(1, len(messages), 9)))


def last_state(world: Killing, messages: list[dict[str, Any]], older: int = 0) -> dict[str, Any]:
    states = [world.state, *(m["value"] for m in messages if m["type"] == "STATE")]
    return states[max(0, len(states) - 1 - older)]
