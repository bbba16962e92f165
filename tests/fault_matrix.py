"""What the fault matrices share: the faults, the two outcomes, and how a sync meets a fault."""

from __future__ import annotations

import itertools
import re
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import pytest
from harness import FakeClock, Run, Warehouse

from tap_affiliate_reports.errors import TapError
from tap_affiliate_reports.sandbox import (
    LoggedRequest,
    Sandbox,
    close,
    cut,
    hang,
    html_login,
    reset,
    status,
)
from tap_affiliate_reports.sandbox.faults import Fault

if TYPE_CHECKING:
    from tap_affiliate_reports.sandbox.faults import Action

READ_TIMEOUT = 0.15
HTML = b"<html><head><title>Oops</title></head><body><h1>Bad gateway</h1></body></html>"
EXACT, LOUD = "exact", "loud"
HANGING = threading.Event()


class Case(NamedTuple):
    fault: str
    step: str
    how: str
    action: Callable[[], Action]
    expected: str
    hangs: bool = False


class Place(Protocol):
    """Finds the requests that a fault strikes, by "METHOD path"."""

    def search(self, line: str) -> object: ...


def cases(
    fault: str,
    steps: Sequence[str],
    action: Callable[[], Action],
    *,
    once: str = EXACT,
    always: str = LOUD,
    hangs: bool = False,
) -> Iterator[Case]:
    """Return the cells of one line of a matrix."""
    for step in steps:
        yield Case(fault, step, "once", action, once, hangs)
        yield Case(fault, step, "always", action, always, hangs)


def common_cases(steps: Sequence[str], cut_steps: Sequence[str]) -> Iterator[Case]:
    """Return the lines of what may befall any request; `cut_steps` have a body to cut."""
    yield from cases("429, Retry-After 7", steps, lambda: status(429, {"Retry-After": "7"}))
    yield from cases("429", steps, lambda: status(429))
    yield from cases("500, 502, 503 HTML", steps, bad_gateways)
    yield from cases("reset", steps, reset)
    yield from cases("close", steps, close)
    yield from cases("login page", steps, html_login)
    yield from cases("read timeout", steps, lambda: hang(HANGING), hangs=True)
    yield from cases("cut, length told", cut_steps, lambda: cut(0.6))
    yield from cases("cut, chunked", cut_steps, lambda: cut(0.6, chunked=True))
    yield from cases("cut, unseen", cut_steps, lambda: cut(0.6, content_length=False))


def times_of(case: Case) -> int | None:
    """Return how often a fault strikes; one that comes by turns strikes with each of its turns."""
    if case.how == "always":
        return None
    return 3 if "503" in case.fault else 1


def bad_gateways() -> Action:
    """Answer with the three errors by turns, each a page for people."""
    codes = itertools.cycle((500, 502, 503))
    return lambda real: status(next(codes), body=HTML, content_type="text/html")(real)


def nobody() -> str:
    """Return the origin of a port where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def redirect_to_nobody() -> Action:
    """Send the client to a port where nobody listens."""
    return status(302, {"Location": f"{nobody()}/storage/x?X-Signature=y"})


def be_away(
    sandbox: Sandbox,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
    place: Place,
    sleeps: int | None,
) -> None:
    """Stop listening at the first request of a step, for as many sleeps (None: for good)."""
    sandbox.port = int(sandbox.url.rsplit(":", 1)[1])
    left, lock, sleep = [sleeps], threading.Lock(), clock.sleep
    leaving, away = threading.Event(), threading.Event()

    def on_request(request: LoggedRequest) -> None:
        if leaving.is_set():
            away.wait(10)  # no other answer may slip out while the origins stop
        elif place.search(f"{request.method} {request.path}"):
            leaving.set()
            sandbox.stop()
            away.set()

    def sleep_and_start(seconds: float) -> None:
        sleep(seconds)
        if leaving.is_set():
            away.wait(10)
        with lock:
            if sandbox._origins or left[0] is None:
                return
            left[0] -= 1
            if left[0] <= 0:
                sandbox.start()

    sandbox.on_request = on_request
    monkeypatch.setattr(clock, "sleep", sleep_and_start)


def parameters(cases: Iterable[Case]) -> list[Any]:
    """Return the cells of a matrix for `pytest.mark.parametrize`."""
    return [
        pytest.param(
            case,
            id=f"{case.fault}-{case.step}-{case.how}",
            marks=pytest.mark.hangs if case.hangs else (),
        )
        for case in cases
    ]


COMMON = {"429, Retry-After 7", "429", "500, 502, 503 HTML", "reset", "close", "login page"}


def check_complete(cases: Sequence[Case], steps: Iterable[str]) -> None:
    """Check that each common fault strikes at every step, and each fault once and always."""
    cells = {(case.fault, case.step, case.how) for case in cases}
    assert len(cells) == len(cases), "a cell occurs twice"
    for fault, step in {(fault, step) for fault, step, _ in cells}:
        assert {(fault, step, "once"), (fault, step, "always")} <= cells
    for step in steps:
        assert {fault for fault, of, _ in cells if of == step} >= COMMON | {"read timeout"}
    assert {case.step for case in cases} <= set(steps)
    assert {case.expected for case in cases} == {EXACT, LOUD}


class Requests:
    """Finds requests whose line matches; where it names something, what `is_struck` says of it."""

    def __init__(self, pattern: str, is_struck: Callable[[str], bool] | None = None) -> None:
        self.pattern, self.is_struck = re.compile(pattern), is_struck

    def search(self, line: str) -> bool:
        found = self.pattern.search(line)
        return bool(found) and (self.is_struck is None or self.is_struck(found[1]))


@dataclass(kw_only=True)
class FaultWorld:
    """A service that was loaded once and has changed since; each network has its own kind."""

    sandbox: Sandbox
    clock: FakeClock
    warehouse: Warehouse = field(default_factory=Warehouse)
    state: dict[str, Any] = field(default_factory=dict)

    # Of each network

    def place(self, step: str) -> Place:
        """Return where the faults of a step strike."""
        raise NotImplementedError

    def prepare(self, step: str) -> None:
        """Let the requests of a step occur, and remember what a failure must keep."""

    def sync(self, **own: Any) -> Run:
        """Sync with these settings of the network, and load what the sync emitted."""
        raise NotImplementedError

    def check(self) -> None:
        """Check that the warehouse has exactly what the service has."""
        raise NotImplementedError

    def check_loud(self, run: Run, case: Case) -> None:
        """Check that a failure names what failed, kept the bookmark, and let the others finish."""
        raise NotImplementedError

    def check_refused(self, run: Run, step: str) -> None:
        """Check the same after refused connections, for which all of a network's streams fail."""
        raise NotImplementedError

    # Of all

    def strike(self, step: str, action: Action, times: int | None) -> Fault:
        """Script a fault, which strikes so many times (None: always)."""
        fault = Fault(self.place(step), action, times, 0)  # type: ignore[arg-type]
        self.sandbox.faults.script.append(fault)
        return fault

    def outcome(self, run: Run) -> str:
        """Judge how a sync ended; nothing but the two outcomes may happen."""
        if run.error is None:
            self.check()
            return EXACT
        assert isinstance(run.error, TapError), f"not an expected error: {run.error!r}"
        assert "Error(" not in str(run.error), f"a bare repr: {run.error}"
        return LOUD

    def meet(self, case: Case) -> None:
        """Sync over a fault: it is survived with exact data, or fails loudly and is mended."""
        self.prepare(case.step)
        fault = self.strike(case.step, case.action(), times_of(case))
        run = self.sync()
        assert fault.hits > 0, "the fault never struck"
        result = self.outcome(run)
        assert result == case.expected, str(run.error)
        if result == LOUD:
            self.check_loud(run, case)
            self.sandbox.faults.clear()
            self.mend()

    def meet_refusal(self, monkeypatch: pytest.MonkeyPatch, step: str, how: str) -> None:
        """Sync while the service is away from a step on, for three sleeps or for good."""
        self.prepare(step)
        sleeps = 3 if how == "once" else None
        be_away(self.sandbox, self.clock, monkeypatch, self.place(step), sleeps)
        run = self.sync()
        assert self.outcome(run) == (EXACT if how == "once" else LOUD), str(run.error)
        if how == "always":
            self.check_refused(run, step)
            self.sandbox.start()
            self.mend()

    def mend(self) -> None:
        """Sync an hour later, and check that all is exact then."""
        self.clock.advance(hours=1)
        self.sync().ok()
        self.check()
