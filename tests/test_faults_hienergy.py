"""The fault matrix of Hi Energy AI: survived with exact data, or failed loudly."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

import pytest
from fault_matrix import (
    LOUD,
    Case,
    FaultWorld,
    Requests,
    cases,
    check_complete,
    common_cases,
    nobody,
    parameters,
    times_of,
)
from harness import FakeClock, Run, Warehouse, sync
from hienergy_instal import (
    CLICKS,
    CREATE,
    CSV,
    DEALS,
    FILES,
    HEADER,
    HOT,
    add,
    add_parent,
    check_files,
    check_kind,
    check_mark,
    config_of,
    rows_of,
    wanted_exports,
)

from tap_affiliate_reports.sandbox import Response, Sandbox, SandboxExport, body, reset, status
from tap_affiliate_reports.sandbox.faults import STEPS as FAULT_STEPS
from tap_affiliate_reports.sandbox.faults import Action
from tap_affiliate_reports.sources.hienergy.exports import LOOK_AT
from tap_affiliate_reports.streams.files import EMPTY_FILE

pytestmark = pytest.mark.kill

START = date(2026, 10, 20)


class Step(NamedTuple):
    """Where a fault strikes, and which stream fails by it; "" for all of them."""

    pattern: str
    stream: str


STEPS = {
    "list": Step(FAULT_STEPS["hienergy list"], ""),
    "create": Step(FAULT_STEPS["hienergy create"], CLICKS),
    "poll": Step("^GET /api/v1/exports/([^/?]+)$", CLICKS),
    "read": Step("^GET /api/v1/exports/([^/?]+)$", CSV),
    "CSV": Step("^GET /storage/([^/?]+)", CSV),
    "XLSX": Step("^GET /storage/([^/?]+)", DEALS),
}
JSON_STEPS = ("list", "create", "poll", "read")
FILE_STEPS = ("CSV", "XLSX")


@dataclass(kw_only=True)
class World(FaultWorld):
    """Exports of every kind, loaded once; a night has passed and there are new ones."""

    marks: dict[str, str] = field(default_factory=dict)

    def place(self, step: str) -> Requests:
        """Return where a step's faults strike: at the requests about one kind of export."""
        pattern, stream = STEPS[step]

        def is_struck(of: str) -> bool:
            export = self.sandbox.hienergy.exports.get(int(of) if of.isdecimal() else 0)
            if export is not None:
                return export.report_type == stream
            return self.sandbox.storage._files[of][1].startswith(stream)

        return Requests(pattern, is_struck if "([" in pattern else None)

    def prepare(self, step: str) -> None:
        bookmarks = self.state["bookmarks"]
        self.marks = {CLICKS: "None", **{k: self.mark(k) for k in FILES if k in bookmarks}}

    def sync(self, **own: Any) -> Run:
        own = {"job_timeout_seconds": 120, "create": [CREATE], **own}
        run = sync(config_of(self.sandbox, START, hienergy=own), self.clock, state=self.state)
        self.warehouse.load(run.messages)
        self.state = run.state or self.state
        check_mark(self.sandbox, self.warehouse, self.state, START)
        return run

    def check(self) -> None:
        check_files(self.sandbox, self.warehouse, START)

    def is_exact(self, kind: str) -> bool:
        try:
            check_kind(self.sandbox, self.warehouse, kind, START)
        except AssertionError:
            return False
        return True

    def mark(self, kind: str) -> str:
        return str(self.state["bookmarks"][kind].get("replication_key_value"))

    def check_loud(self, run: Run, case: Case) -> None:
        told, stream = str(run.error), STEPS[case.step].stream
        assert len(created(self)) <= 1
        if not stream:
            assert "GET" in told or all(kind in told for kind in (CSV, DEALS, HOT))
            return
        assert stream in told
        if "files not loaded" not in told:
            assert f"{stream} export " in told or f"{stream} create 1" in told, told
        for kind in FILES:
            if kind != stream and "files not loaded" not in told:
                assert self.is_exact(kind)
        assert run.records("exports")
        if case.step != "create" and self.mark(stream) != self.marks[stream]:
            held = {row["_export_id"] for row in self.warehouse.tables[stream].values()}
            wanted = wanted_exports(self.sandbox, stream, START)
            missing = [export.completed for key, export in wanted.items() if key not in held]
            assert datetime.fromisoformat(self.mark(stream).replace("Z", "+00:00")) <= min(missing)

    def check_refused(self, run: Run, step: str) -> None:
        assert STEPS[step].stream in str(run.error)


@pytest.fixture
def world(sandbox: Sandbox, clock: FakeClock) -> World:
    service = sandbox.hienergy
    service.clear()
    service.tables[CLICKS] = lambda export: (HEADER, rows_of(f"clicks {export.id}"))
    for kind in (CSV, DEALS, HOT):
        add(sandbox, kind, f"old {kind}", completed_at=clock.now() - timedelta(days=3))
    world = World(sandbox=sandbox, clock=clock)
    world.sync(create=[]).ok()
    clock.advance(days=1)
    for kind in (CSV, DEALS, HOT):
        add(sandbox, kind, f"new {kind}", completed_at=clock.now() - timedelta(hours=9))
        add_parent(sandbox, kind, f"cut {kind}", completed_at=clock.now() - timedelta(hours=8))
    add(sandbox, CSV, "failed", status="failed", error_message="no room")
    sandbox.requests.clear()
    return world


def edited(change: Callable[[dict[str, Any]], None]) -> Action:
    """Change each export that the real answer tells of."""

    def act(real: Callable[[], Response]) -> Response:
        answer = real()
        document = json.loads(answer.body)
        for export in document.get("exports", [document.get("export")]):
            change(export)
        answer.body = json.dumps(document).encode()
        return answer

    return act


def said(**fields: Any) -> Callable[[], Action]:
    return lambda: edited(lambda export: export.update(fields))


def linked_to_nobody() -> Action:
    link = f"{nobody()}/storage/x?X-Signature=y"
    return edited(lambda export: export.update(download_url=link))


def error_document() -> Action:
    words = {"error": {"code": "boom", "message": "the shelf fell", "request_id": "r"}}
    return status(200, body=json.dumps(words).encode())


def _cases() -> Iterator[Case]:
    yield from common_cases(tuple(STEPS), (*JSON_STEPS, *FILE_STEPS))
    yield from cases("answer lost", ("create",), lambda: reset(handled=True))
    yield from cases("refused by storage", ("read", "poll"), linked_to_nobody)
    yield from cases("link expired", FILE_STEPS, lambda: status(403, body=b"<Error/>"))
    yield from cases("202 that lasts", FILE_STEPS, lambda: status(202, body=b"{}"))
    yield from cases("no such file", FILE_STEPS, lambda: status(404, body=b"<Error/>"))
    unknown = ("list", "create", "poll", "read")
    yield from cases("unknown word", unknown, said(status="archived"), once=LOUD)
    yield from cases("no word", unknown, said(status=None), once=LOUD)
    yield from cases("failed", ("create", "poll"), said(status="failed"), once=LOUD)
    yield from cases("failed", ("read",), said(status="failed"), once=LOUD)
    yield from cases("no link", ("read",), said(download_url=None))
    yield from cases("stuck", ("poll", "read"), said(status="processing"))
    yield from cases("error document", JSON_STEPS, error_document, once=LOUD)
    yield from cases(
        "400", JSON_STEPS, lambda: status(400, body=b'{"error":{"message":"no"}}'), once=LOUD
    )
    yield from cases("403", JSON_STEPS, lambda: status(403, body=b"{}"), once=LOUD)
    yield from cases("409 of nothing", ("create",), lambda: status(409, body=b"{}"), once=LOUD)


CASES = list(_cases())


@pytest.mark.parametrize("case", parameters(CASES))
def test_a_fault_is_survived_with_exact_data_or_fails_loudly(world: World, case: Case) -> None:
    if case.step in {"poll", "read"}:
        # One look at the list would show what a look at each export does not.
        nothing = body(b'{"exports": [], "meta": {}}')
        world.sandbox.faults.add(f"GET /api/v1/exports\\?limit={LOOK_AT}$", nothing, times=None)
    world.meet(case)
    assert len(created(world)) == 1


def created(world: World) -> list[SandboxExport]:
    return [e for e in world.sandbox.hienergy.exports.values() if e.report_type == CLICKS]


@pytest.mark.parametrize("name", list(STEPS))
@pytest.mark.parametrize("how", ["once", "always"])
def test_a_refused_connection_is_survived_with_exact_data_or_fails_loudly(
    world: World, monkeypatch: pytest.MonkeyPatch, name: str, how: str
) -> None:
    world.meet_refusal(monkeypatch, name, how)


def test_the_fault_matrix_is_complete() -> None:
    check_complete(CASES, STEPS)


# What the table does not say


FALSE = {"login page", "cut, unseen", "reset", "error document", "unknown word", "link expired"}


@pytest.mark.parametrize(
    "case", parameters(c for c in CASES if c.step in {"list", "CSV"} and c.fault in FALSE)
)
def test_a_fault_in_the_first_sync_gives_no_false_columns(
    sandbox: Sandbox, clock: FakeClock, case: Case
) -> None:
    """Nothing is known of a kind's columns before its first file."""
    sandbox.hienergy.clear()
    for kind in (CSV, DEALS):
        add(sandbox, kind, f"old {kind}", completed_at=clock.now() - timedelta(days=3))
    world = World(sandbox=sandbox, clock=clock)
    times = times_of(case)
    # Discovery meets it, and then the sync.
    for again in range(2):
        world.strike(case.step, case.action(), times and times * (again + 1))
    run = world.sync(create=[])
    if run.error is None:
        check_files(sandbox, world.warehouse, START)
    for name in run.streams & set(FILES):
        names = {n for n in run.schema(name)["schema"]["properties"] if not n.startswith("_")}
        assert names <= set(HEADER), names
    sandbox.faults.clear()
    world.clock.advance(hours=1)
    world.sync(create=[]).ok()
    check_files(sandbox, world.warehouse, START)


@pytest.mark.parametrize("name", FILE_STEPS)
def test_an_empty_file_is_believed_once_it_came_twice(world: World, name: str) -> None:
    world.strike(name, body(b""), 1)
    run = world.sync().ok()
    check_files(world.sandbox, world.warehouse, START)
    assert not run.said(EMPTY_FILE.removeprefix("%s"))
    add(world.sandbox, CSV, "hollow")
    add(world.sandbox, DEALS, "hollow")
    world.strike(name, body(b""), 2)
    assert world.sync().ok().said(EMPTY_FILE.removeprefix("%s"))


def test_the_words_of_a_409_that_names_no_export_are_told(world: World) -> None:
    words = b'{"error":{"code":"busy","message":"two at a time are enough"}}'
    world.strike("create", status(409, body=words), None)
    run = world.sync()
    assert "two at a time are enough" in str(run.error)
    assert f"{CLICKS} create 1" in str(run.error)


def test_an_export_that_never_ends_is_told_of_and_loaded_once_it_does(world: World) -> None:
    world.sandbox.hienergy.fail_next(status="processing")
    run = world.sync()
    assert "job_timeout_seconds" in str(run.error)
    assert f"{CLICKS} create 1" in str(run.error)
    for kind in (CSV, DEALS, HOT):
        assert world.is_exact(kind)
    world.sandbox.hienergy.update(created(world)[0], status="completed")
    world.sync().ok()
    assert len(created(world)) == 1
    check_files(world.sandbox, world.warehouse, START)


def test_the_words_of_an_export_that_failed_are_told(world: World) -> None:
    world.sandbox.hienergy.fail_next("no such clicks")
    run = world.sync()
    assert "no such clicks" in str(run.error)
    assert run.said("no room")
    world.sync().ok()
    check_files(world.sandbox, world.warehouse, START)


def test_the_next_sync_downloads_nothing_again(world: World) -> None:
    world.sync().ok()
    for days in (0, 1, 3, 30):
        world.clock.advance(days=days)
        world.sandbox.requests.clear()
        run = world.sync().ok()
        assert not [r for r in world.sandbox.requests if r.origin == "storage"], days
        assert not any(run.records(kind) for kind in FILES)
    check_files(world.sandbox, world.warehouse, START)


def test_a_created_export_from_before_start_date_is_loaded_once(
    sandbox: Sandbox, clock: FakeClock
) -> None:
    sandbox.hienergy.clear()
    old = sandbox.hienergy.add(
        CLICKS, HEADER, rows_of("old"), completed_at=clock.now() - timedelta(days=90),
        search_params=CREATE["search_params"],
    )  # fmt: skip
    world = World(sandbox=sandbox, clock=clock)
    first = world.sync().ok()
    assert {row["_export_id"] for row in first.records(CLICKS)} == {old.id}
    add(sandbox, CLICKS, "another")
    for _ in range(3):
        clock.advance(days=2)
        run = world.sync().ok()
        assert old.id not in {row["_export_id"] for row in run.records(CLICKS)}


def test_what_end_date_leaves_out_is_not_passed_over(world: World) -> None:
    """A created export is finished today; others were finished between end_date and today."""
    config = config_of(world.sandbox, START, hienergy={"create": [CREATE]})
    add(world.sandbox, CLICKS, "late", completed_at=world.clock.now() - timedelta(days=2))
    run = sync({**config, "end_date": "2026-11-15"}, world.clock).ok()
    world.warehouse = Warehouse()
    world.warehouse.load(run.messages)
    world.state = run.state
    world.clock.advance(days=1)
    world.sync().ok()
    check_files(world.sandbox, world.warehouse, START)
