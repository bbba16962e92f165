"""A service, a warehouse and a state, around a tap in a process of its own that is killed."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing import connection
from pathlib import Path
from typing import Any, Protocol

import kill_child
import pytest
from forks import FORKS
from harness import FakeClock, Warehouse

from tap_affiliate_reports.sandbox import LoggedRequest, Sandbox

MAX_JOBS = 2


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

    # Of each kind of source

    @property
    def config(self) -> dict[str, Any]:
        raise NotImplementedError

    def night(self) -> None:
        """Load everything once, and let the source change and a night pass."""
        raise NotImplementedError

    @property
    def spent(self) -> int:
        """How many jobs the service made."""
        raise NotImplementedError

    def resume(self, state: dict[str, Any], *, is_last: bool = True) -> None:
        """Sync from a state, and check that the warehouse has exactly what the source has."""
        raise NotImplementedError

    # Of all

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


class Worlds(Protocol):
    """Makes worlds, each with a folder and sockets of its own."""

    def __call__(self, *, night: bool) -> Killing: ...


def undisturbed(worlds: Worlds, *, night: bool) -> tuple[list[str], list[dict[str, Any]], int]:
    """Return the requests, the messages and what was spent in a sync that nobody kills."""
    world = worlds(night=night)
    job, before, spent = world.job(), len(world.sandbox.requests), world.spent
    assert world.child(job, lambda _: False) == 0
    requests = [f"{r.method} {r.path}" for r in world.sandbox.requests[before:]]
    return requests, job.messages(), world.spent - spent


def kill_at_each_request(worlds: Worlds, *, night: bool) -> str:
    """Kill a sync at each of its requests and resume it; return all requests, for a look."""
    requests, _, spent = undisturbed(worlds, night=night)
    for number in range(1, len(requests) + 1):
        world = worlds(night=night)
        left, job, before = [number], world.job(), world.spent

        def is_due(_: LoggedRequest, left: list[int] = left) -> bool:
            left[0] -= 1
            return left[0] == 0

        if world.child(job, is_due) != -signal.SIGKILL:
            assert number > len(requests) - 4, "polls vary with the threads, but not by much"
            continue
        messages = job.messages()
        world.warehouse.load(messages)
        world.resume(last_state(world, messages))
        more = world.spent - before - spent
        assert more <= MAX_JOBS, f"killed at request {number}: {requests[number - 1]}"
    return " ".join(requests)


def kill_after_messages(worlds: Worlds, *, night: bool, older: int) -> list[str]:
    """Kill a sync after its messages and resume it from a STATE so many before the last.

    Returns the kinds of all messages, for a look.
    """
    _, messages, spent = undisturbed(worlds, night=night)
    for number in moments(messages)[older :: 1 + older]:
        world = worlds(night=night)
        job, before = world.job(die_after=number), world.spent
        assert world.child(job, lambda _: False) == -signal.SIGKILL
        arrived = job.messages()
        assert len(arrived) == number
        world.warehouse.load(arrived)
        world.resume(last_state(world, arrived, older), is_last=not older)
        if not older:
            assert world.spent - before <= spent + MAX_JOBS
    return [message["type"] for message in messages]


NIGHTS = pytest.mark.parametrize("night", [False, True], ids=["the first sync", "the next night"])
STATES = pytest.mark.parametrize(
    ("night", "older"),
    [(False, 0), (True, 0), (True, 1), (True, 3)],
    ids=["the first sync", "the next night", "given the STATE before", "given an old STATE"],
)


def moments(messages: list[dict[str, Any]]) -> list[int]:
    """Return after how many messages to kill: around all that is no record, and in between.

    A SCHEMA leaves the warehouse and the state as the message before it did.
    """
    turns = {n for n, m in enumerate(messages, 1) if m["type"] not in {"RECORD", "SCHEMA"}}
    before = {n - 1 for n in turns} - {0}
    return sorted(turns | before | set(range(1, len(messages), 9)))


def last_state(world: Killing, messages: list[dict[str, Any]], older: int = 0) -> dict[str, Any]:
    states = [world.state, *(m["value"] for m in messages if m["type"] == "STATE")]
    return states[max(0, len(states) - 1 - older)]
