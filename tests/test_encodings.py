"""Bodies with a wrong Content-Encoding, bodies cut short, and responses without a body."""

from __future__ import annotations

import gzip
import logging
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from harness import FakeClock, Run, Warehouse, config_for, sync
from hienergy_instal import CSV, DEALS, add, check_files, check_report, config_of, put_all
from hypothesis import given
from hypothesis import strategies as st
from small_source import SmallSource, check_exact

from tap_affiliate_reports.errors import DamagedFile, TapError
from tap_affiliate_reports.formats import csv, workbook
from tap_affiliate_reports.sandbox import Response, Sandbox, cut, encoded, status
from tap_affiliate_reports.sandbox.faults import Action

pytestmark = pytest.mark.kill

START, YESTERDAY = date(2026, 11, 1), date(2026, 11, 18)
Pack = Callable[[bytes], bytes]


def plain(body: bytes) -> bytes:
    return body


def twice(body: bytes) -> bytes:
    return gzip.compress(gzip.compress(body))


# The announced encoding, and the function that encodes the body.
LIES: list[tuple[str, Pack]] = [
    ("gzip", plain),
    ("gzip", gzip.compress),
    ("gzip", twice),
    ("gzip, gzip", twice),
    ("gzip,aws-chunked", gzip.compress),
    ("aws-chunked, gzip", gzip.compress),
    ("gzip,aws-chunked", plain),
    ("aws-chunked,gzip", plain),
    ("aws-chunked", plain),
    ("aws-chunked", gzip.compress),
    ("identity", plain),
    ("identity", gzip.compress),
    ("", gzip.compress),
    ("GZIP", gzip.compress),
    ("x-gzip", gzip.compress),
    ("br", plain),
    ("zstd", plain),
    ("deflate", plain),
    ("br", gzip.compress),
    ("gzip, deflate, br, zstd", plain),
    (", ,", plain),
]
NAMES = [f"{announced or 'nothing'}-{pack.__name__}" for announced, pack in LIES]


class World:
    """A few rows of each source, and the rows that a warehouse must have of them."""

    def __init__(self, sandbox: Sandbox, clock: FakeClock) -> None:
        self.sandbox, self.clock = sandbox, clock
        self.impact = SmallSource(sandbox, clock, ["sales"])
        sandbox.hienergy.clear()
        for kind in (CSV, DEALS):
            add(sandbox, kind, f"new {kind}", completed_at=clock.now() - timedelta(days=2))
        put_all(sandbox, START, 18)

    def sync(self, *sources: str, state: Any = None) -> Run:
        config: dict[str, Any] = {"start_date": START.isoformat()}
        for source in sources:
            if source == "impact":
                impact = config_for(self.sandbox, reports=["sales"], job_timeout_seconds=60)
                config["impact"] = impact["impact"]
            else:
                config[source] = config_of(self.sandbox, START, **{source: {}})[source]
                config[source]["job_timeout_seconds"] = 60
        return sync(config, self.clock, state=state)

    def check(self, source: str, run: Run) -> None:
        warehouse = Warehouse()
        warehouse.load(run.ok().messages)
        if source == "impact":
            check_exact(self.impact, warehouse, "sales", START, YESTERDAY)
        elif source == "hienergy":
            check_files(self.sandbox, warehouse, START)
        else:
            check_report(self.sandbox, warehouse, START, YESTERDAY)


@pytest.fixture
def world(sandbox: Sandbox, clock: FakeClock) -> World:
    return World(sandbox, clock)


SOURCES = ("impact", "hienergy", "instal")


@pytest.mark.parametrize(("announced", "pack"), LIES, ids=NAMES)
def test_rows_are_exact_whatever_encoding_is_announced(
    world: World, announced: str, pack: Pack
) -> None:
    fault = world.sandbox.faults.add("", encoded(announced, pack), None)
    for source in SOURCES:
        before = fault.hits
        world.check(source, world.sync(source))
        assert fault.hits > before
    assert not world.clock.slept or max(world.clock.slept) <= 2, "nothing is tried again"


@pytest.mark.parametrize("mode", ["redirect", "stream"])
@pytest.mark.parametrize(("announced", "pack"), LIES[:7], ids=NAMES[:7])
def test_a_job_s_file_is_read_whichever_host_sends_it(
    world: World, announced: str, pack: Pack, mode: str
) -> None:
    world.sandbox.impact.download_mode = mode
    where = "GET /storage/" if mode == "redirect" else "/Download"
    fault = world.sandbox.faults.add(where, encoded(announced, pack), None)
    world.check("impact", world.sync("impact"))
    assert fault.hits == 1


def both(first: Action, then: Action) -> Action:
    """Apply one function to the real response, and then the other."""
    return lambda real: then(lambda: first(real))


CUTS = {
    "with a length": cut(0.6),
    "chunked": cut(0.6, chunked=True),
    "unseen": cut(0.6, content_length=False),
}


@pytest.mark.parametrize("how", CUTS)
@pytest.mark.parametrize("announced", ["gzip", "gzip,aws-chunked", ""])
@pytest.mark.parametrize("place", ["GET /storage/", ""], ids=["storage", "everywhere"])
def test_a_compressed_body_cut_short_is_requested_again(
    world: World, announced: str, how: str, place: str
) -> None:
    for source in SOURCES:
        world.sandbox.faults.clear()
        # The response to a POST is cut after the export was created: it may be requested again.
        fault = world.sandbox.faults.add(
            place, both(encoded(announced, gzip.compress), CUTS[how]), 2
        )
        world.check(source, world.sync(source))
        assert fault.hits == 2


@pytest.mark.parametrize("announced", ["deflate", "br"])
@pytest.mark.parametrize("place", ["GET /storage/", "/ReportExport/"])
def test_an_encoding_that_was_not_requested_is_an_error_that_names_it(
    world: World, announced: str, place: str
) -> None:
    world.sandbox.faults.add(place, encoded(announced, zlib.compress), None)
    run = world.sync("impact")
    assert isinstance(run.error, TapError)
    assert f"Content-Encoding {announced}" in str(run.error)
    assert "sales 2026-11-01" in str(run.error)
    assert str(run.error).isprintable()
    assert not run.records("sales")


def test_only_gzip_is_accepted(world: World) -> None:
    for source in SOURCES:
        world.sync(source).ok()
    assert {request.headers["Accept-Encoding"] for request in world.sandbox.requests} == {"gzip"}


def test_a_redirect_whose_encoding_lies_is_followed(world: World) -> None:
    def lie(real: Callable[[], Response]) -> Response:
        answer = real()
        return replace(
            answer, body=b"Found", headers={**answer.headers, "Content-Encoding": "gzip"}
        )

    fault = world.sandbox.faults.add("/Download", lie, None)
    world.check("impact", world.sync("impact"))
    assert fault.hits == 1


# No body


FILES = {"impact": "GET /storage/", "hienergy": "GET /storage/", "instal": "GET /storage/"}


def empties() -> dict[str, Action]:
    return {
        "204": status(204),
        "200": status(200),
        "200, gzip of nothing": encoded("gzip", lambda _: gzip.compress(b"")),
    }


@pytest.mark.parametrize("name", empties())
@pytest.mark.parametrize("mode", ["redirect", "stream"])
def test_an_empty_file_once_is_a_slip(world: World, name: str, mode: str) -> None:
    world.sandbox.impact.download_mode = mode
    where = "GET /storage/" if mode == "redirect" else "/Download"
    fault = world.sandbox.faults.add(where, empties()[name], 1)
    world.check("impact", world.sync("impact"))
    assert fault.hits == 1
    for source in ("hienergy", "instal"):
        fault = world.sandbox.faults.add("GET /storage/", empties()[name], 1)
        world.check(source, world.sync(source))
        assert fault.hits == 1


@pytest.mark.parametrize("name", empties())
def test_an_empty_file_twice_is_an_empty_report(world: World, name: str) -> None:
    for source in ("hienergy", "instal"):
        world.sandbox.faults.clear()
        fault = world.sandbox.faults.add("GET /storage/", empties()[name], None)
        run = world.sync(source).ok()
        assert not [
            m for m in run.messages if m["type"] == "RECORD" and "_row_number" in m["record"]
        ]
        # Discovery reads the two files of Hi Energy AI too.
        assert fault.hits == 2 * {"hienergy": 2 * 2, "instal": 1}[source]


@pytest.mark.parametrize("name", empties())
def test_an_empty_file_of_a_job_with_rows_is_not_silent(world: World, name: str) -> None:
    fault = world.sandbox.faults.add("GET /storage/", empties()[name], None)
    run = world.sync("impact").ok()
    assert not run.records("sales")
    assert fault.hits == 3
    assert run.said("has 0 rows; the service says 27", logging.WARNING)


@pytest.mark.parametrize("name", empties())
def test_an_empty_file_takes_no_rows_from_the_warehouse(world: World, name: str) -> None:
    first = world.sync("impact").ok()
    world.clock.advance(days=1)
    world.sandbox.faults.add("GET /storage/", empties()[name], None)
    run = world.sync("impact", state=first.state)
    assert "is empty where 27 rows were" in str(run.error)
    warehouse = Warehouse()
    warehouse.load([*first.messages, *run.messages])
    check_exact(world.impact, warehouse, "sales", START, YESTERDAY)


@pytest.mark.parametrize("name", empties())
def test_an_empty_file_of_a_job_without_rows_is_downloaded_once(world: World, name: str) -> None:
    for number in range(18):
        world.impact.put("sales", START + timedelta(days=number), [])
    fault = world.sandbox.faults.add("GET /storage/", empties()[name], None)
    run = world.sync("impact").ok()
    assert not run.records("sales")
    assert run.bookmark("sales") == YESTERDAY.isoformat()
    assert fault.hits == 1


@pytest.mark.parametrize("code", [205, 206, 304])
def test_a_status_without_a_complete_file_is_an_error(world: World, code: int) -> None:
    world.sandbox.faults.add("GET /storage/", status(code), None)
    run = world.sync("impact")
    assert str(code) in str(run.error)
    assert not run.bookmark("sales")


# Files


def wrapped(content: bytes, layers: int) -> bytes:
    for _ in range(layers):
        content = gzip.compress(content)
    return content


@given(st.lists(st.lists(st.integers(0, 99), min_size=2, max_size=2)), st.integers(0, 2))
def test_a_csv_file_is_the_same_in_any_gzip(rows: list[list[int]], layers: int) -> None:
    content = b"a,b\r\n" + b"".join(b"%d,%d\r\n" % tuple(row) for row in rows)
    with tempfile.NamedTemporaryFile() as file:
        path = Path(file.name)
        path.write_bytes(wrapped(content, layers))
        summary = csv.inspect(path)
        assert (summary.header, summary.rows) == (["a", "b"], len(rows))
        assert summary.size == path.stat().st_size
        found = list(csv.read_rows(path, ["a", "b"]))
    assert found == [[str(cell) for cell in row] for row in rows]


@pytest.mark.parametrize("layers", [0, 1, 2])
def test_a_workbook_is_the_same_in_any_gzip(world: World, tmp_path: Path, layers: int) -> None:
    export = next(e for e in world.sandbox.hienergy.exports.values() if e.report_type == DEALS)
    path, bare = tmp_path / "file", tmp_path / "bare"
    bare.write_bytes(export.file())
    path.write_bytes(wrapped(bare.read_bytes(), layers))
    summary, wanted = workbook.inspect(path), workbook.inspect(bare)
    assert wanted.rows == 3
    assert replace(summary, size=0) == replace(wanted, size=0)
    assert list(workbook.read_rows(path, summary.header)) == list(
        workbook.read_rows(bare, wanted.header)
    )


@pytest.mark.parametrize("module", [csv, workbook], ids=["CSV", "XLSX"])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("keep", [3, 12, 25, -9, -1])
def test_a_gzip_file_cut_anywhere_is_damaged(
    tmp_path: Path, module: Any, layers: int, keep: int
) -> None:
    path = tmp_path / "file"
    path.write_bytes(wrapped(b"a,b\r\n" + b"1,2\r\n" * 50, layers)[:keep])
    with pytest.raises(DamagedFile):
        module.inspect(path)


@pytest.mark.parametrize("layers", [1, 2])
def test_an_empty_file_is_empty_in_any_gzip(tmp_path: Path, layers: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(wrapped(b"", layers))
    for module in (csv, workbook):
        summary = module.inspect(path)
        assert (summary.header, summary.rows) == ([], 0)
        assert list(module.read_rows(path, [])) == []


def test_a_gzip_file_that_holds_itself_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(wrapped(b"a,b\r\n", 40))
    for module in (csv, workbook):
        with pytest.raises(DamagedFile):
            module.inspect(path)


def test_nothing_is_logged_of_an_encoding_that_does_no_harm(world: World) -> None:
    world.sandbox.faults.add("", encoded("gzip,aws-chunked", gzip.compress), None)
    run = world.sync("impact").ok()
    own = [record for record in run.log if record.name.startswith("tap")]
    assert own
    assert not [record for record in own if record.levelno >= logging.WARNING]
