"""What is counted is on stdout: nothing that is held back outlives the run, or waits for a line."""

from __future__ import annotations

import copy
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fault_matrix import nobody
from harness import FakeClock, config_for, discover, listening
from hienergy_instal import CSV, FILES, REPORT, add, config_of, put_all
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from singer_sdk.singerlib import RecordMessage, SchemaMessage

from tap_affiliate_reports.errors import TapError
from tap_affiliate_reports.messages import LineWriter, StateLineWriter
from tap_affiliate_reports.record_lines import RecordLines
from tap_affiliate_reports.sandbox import Attribute, Report, Sandbox, status
from tap_affiliate_reports.streams import ListStream
from tap_affiliate_reports.tap import TapAffiliateReports

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.chain

START = date(2026, 10, 20)
LISTS = ("reports", "report_metadata", "jobs")
STREAMS = [
    *(("impact", stream) for stream in (*LISTS, "sales", "report_windows")),
    *(("hienergy", stream) for stream in ("exports", *FILES)),
    ("instal", REPORT),
]
Capture = pytest.CaptureFixture[bytes]


def only(catalog: dict[str, Any], *names: str) -> dict[str, Any]:
    """Return a catalog that selects these streams and no others."""
    chosen = copy.deepcopy(catalog)
    for stream in chosen["streams"]:
        for entry in stream["metadata"]:
            if entry["breadcrumb"] == []:
                entry["metadata"]["selected"] = stream["tap_stream_id"] in names
    return chosen


@contextmanager
def own_signals() -> Iterator[None]:
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def printed(
    capture: Capture, config: dict[str, Any], clock: FakeClock, **options: Any
) -> tuple[list[dict[str, Any]], Counter[str], BaseException | None]:
    """Sync as the command line does; return the lines on stdout, the metrics and the error."""
    capture.readouterr()
    error: BaseException | None = None
    with own_signals(), listening() as log:
        tap = TapAffiliateReports(config=copy.deepcopy(config), clock=clock, **options)
        try:
            tap.sync_all()
        except Exception as raised:  # what is raised is a result
            error = raised
        finally:
            tap.close()
    counts: Counter[str] = Counter()
    for record in log:
        kind, _, text = record.getMessage().partition("METRIC: ")
        point = json.loads(text) if text and not kind else {}
        if point.get("metric") == "record_count":
            counts[point["tags"]["stream"]] += point["value"]
    return [json.loads(line) for line in capture.readouterr().out.splitlines()], counts, error


def records(lines: list[dict[str, Any]]) -> Counter[str]:
    return Counter(line["stream"] for line in lines if line["type"] == "RECORD")


def add_sales(sandbox: Sandbox, rows: int = 2) -> None:
    sandbox.impact.add(
        Report("sales", "sales", [Attribute("Id")], lambda *_: [[str(n)] for n in range(rows)])
    )


@pytest.fixture
def world(sandbox: Sandbox, clock: FakeClock) -> Callable[[str], dict[str, Any]]:
    """Give each service something to load; return the settings of one of them."""
    for report in list(sandbox.impact.reports):
        sandbox.impact.remove(report)
    add_sales(sandbox)
    sandbox.hienergy.clear()
    for kind in FILES:
        add(sandbox, kind, kind, completed_at=clock.now() - timedelta(days=3))
    put_all(sandbox, START, 60)

    def config(source: str) -> dict[str, Any]:
        if source == "impact":
            return config_for(sandbox, reports=["sales"], START_DATE=START.isoformat())
        return config_of(sandbox, START, **{source: {}})

    return config


@pytest.mark.parametrize(("source", "stream"), STREAMS)
def test_each_stream_alone_writes_what_it_counts_three_nights_in_a_row(
    world: Callable[[str], dict[str, Any]],
    sandbox: Sandbox,
    clock: FakeClock,
    capfdbinary: Capture,
    source: str,
    stream: str,
) -> None:
    config, state = world(source), {}
    # A colleague's job, which is still running during the first night.
    first = printed(capfdbinary, world("impact"), clock)
    assert first[2] is None
    for job in sandbox.impact.jobs.values():
        job.seconds = 30
    catalog = only(discover(config, clock), stream)
    for night in range(3):
        lines, counts, error = printed(capfdbinary, config, clock, catalog=catalog, state=state)
        assert error is None
        assert records(lines)[stream] == counts[stream]
        assert set(records(lines)) <= {stream}
        if stream in LISTS or (night == 0 and stream != "report_windows"):
            assert counts[stream] > 0
        state = [line["value"] for line in lines if line["type"] == "STATE"][-1]
        clock.advance(days=1)


def test_all_streams_at_once_write_what_they_count(
    world: Callable[[str], dict[str, Any]], clock: FakeClock, capfdbinary: Capture
) -> None:
    config = world("impact") | world("hienergy") | world("instal")
    state: dict[str, Any] = {}
    for _night in range(3):
        lines, counts, error = printed(capfdbinary, config, clock, state=state)
        assert error is None
        assert records(lines) == +counts
        state = lines[-1]["value"]
        clock.advance(days=1)


def test_a_job_that_ends_is_written_though_no_job_is_newer(
    world: Callable[[str], dict[str, Any]],
    sandbox: Sandbox,
    clock: FakeClock,
    capfdbinary: Capture,
) -> None:
    config = world("impact")
    printed(capfdbinary, config, clock)
    catalog = only(discover(config, clock), "jobs")
    (job, *_) = sandbox.impact.jobs.values()
    job.seconds = 3600
    clock.advance(minutes=20)
    lines, *_ = printed(capfdbinary, config, clock, catalog=catalog)
    assert "RUNNING" in {line["record"]["Status"] for line in lines if line["type"] == "RECORD"}
    clock.advance(days=1)
    again, counts, _ = printed(
        capfdbinary, config, clock, catalog=catalog, state=lines[-1]["value"]
    )
    assert records(again)["jobs"] == counts["jobs"] == len(sandbox.impact.jobs)
    assert {line["record"]["Status"] for line in again if line["type"] == "RECORD"} == {"COMPLETED"}


@pytest.mark.parametrize("how", ["an expected error", "a traceback", "quota"])
def test_what_was_counted_is_written_however_the_run_ends(
    world: Callable[[str], dict[str, Any]],
    sandbox: Sandbox,
    clock: FakeClock,
    capfdbinary: Capture,
    monkeypatch: pytest.MonkeyPatch,
    how: str,
) -> None:
    config = world("impact")
    if how == "quota":
        config["impact"]["max_exports"] = 0
    elif how == "an expected error":
        sandbox.faults.add("/ReportExport/", status(403), None)
    else:
        whole = ListStream.get_records

        def broken(self: ListStream, context: Any) -> Any:
            for record in whole(self, context):
                yield record
                raise ZeroDivisionError

        monkeypatch.setattr(ListStream, "get_records", broken)
    # Nothing of the state changes that a STATE line could tell.
    monkeypatch.setattr(LineWriter, "serialize_message", _same_state(LineWriter.serialize_message))
    lines, counts, error = printed(capfdbinary, config, clock)
    assert isinstance(error, ZeroDivisionError if how == "a traceback" else TapError)
    assert counts["reports"] > 0
    assert records(lines) == +counts


def test_a_batch_file_that_is_open_when_its_stream_fails_is_announced(
    world: Callable[[str], dict[str, Any]],
    clock: FakeClock,
    capfdbinary: Capture,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    config = world("instal") | {
        "batch_config": {
            "encoding": {"format": "jsonl", "compression": "none"},
            "storage": {"root": f"file://{tmp_path}"},
        }
    }
    encode, calls = RecordLines.encode, []

    def broken(self: RecordLines, *arguments: Any) -> bytes:
        calls.append(1)
        if len(calls) > 1:
            raise ZeroDivisionError
        return encode(self, *arguments)

    monkeypatch.setattr(RecordLines, "encode", broken)
    monkeypatch.setattr("tap_affiliate_reports.formats.csv.reference.BLOCK_ROWS", 1)
    lines, counts, error = printed(capfdbinary, config, clock)
    assert isinstance(error, ZeroDivisionError)
    files = [
        Path(url.removeprefix("file://"))
        for line in lines
        if line["type"] == "BATCH"
        for url in line["manifest"]
    ]
    written = sum(len(file.read_text().splitlines()) for file in files)
    assert written == counts[REPORT] > 0


def _same_state(serialize: Callable[..., bytearray]) -> Callable[..., bytearray]:
    def serialized(self: LineWriter, message: Any) -> bytearray:
        if type(message).__name__ == "StateMessage":
            return bytearray(b'{"type":"STATE","value":{}}\n')
        return serialize(self, message)

    return serialized


def test_a_list_is_written_before_the_wait_for_a_job(
    world: Callable[[str], dict[str, Any]],
    sandbox: Sandbox,
    clock: FakeClock,
    capfdbinary: Capture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever the writer was given is on stdout when the tap sleeps."""
    given_lines: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    waits: list[bool] = []
    write = LineWriter.write_message

    def noted(self: LineWriter, message: Any) -> None:
        if isinstance(message, RecordMessage):
            given_lines[message.stream] += 1
        write(self, message)

    monkeypatch.setattr(LineWriter, "write_message", noted)
    sleep = clock.sleep

    def look(seconds: float) -> None:
        seen.update(records([json.loads(x) for x in capfdbinary.readouterr().out.splitlines()]))
        waits.append(seen == given_lines)
        sleep(seconds)

    monkeypatch.setattr(clock, "sleep", look)
    sandbox.impact.job_seconds = 60
    # A stream map makes the rows go one by one, so each is noted.
    config = world("impact") | {"stream_maps": {"sales": {"Copy": "Id"}}}
    assert printed(capfdbinary, config, clock)[2] is None
    assert len(waits) > 3
    assert all(waits)
    assert seen["reports"] > 0


WORDS = st.lists(st.sampled_from(["record", "record", "lines", "state", "new state", "schema"]))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=WORDS)
def test_after_each_state_and_schema_all_before_it_is_on_stdout(
    capfdbinary: Capture, words: list[str]
) -> None:
    capfdbinary.readouterr()
    writer = LineWriter()
    states, state, written, held = StateLineWriter(writer), {"number": 0}, 0, 0
    for word in words:
        if word == "record":
            writer.write_message(RecordMessage(stream="a", record={"Id": "1"}))
            held += 1
        elif word == "lines":
            writer.write_lines(b'{"type":"RECORD","stream":"a"}\n' * 3)
            held += 3
        else:
            if word == "schema":
                writer.write_message(SchemaMessage("a", {"properties": {}}, ["Id"]))
            else:
                state["number"] += word == "new state"
                states.write_state(state)
            written += capfdbinary.readouterr().out.count(b'"RECORD"')
            assert written == held


# The first record comes before the first export


SPENDS: dict[str, Callable[[Any], bool]] = {
    "impact": lambda r: "/ReportExport/" in r.path,
    "hienergy": lambda r: r.method == "POST" and r.path.endswith("/exports"),
    "instal": lambda r: r.method == "POST",
}
CREATE = [{"report_type": CSV, "search_params": {"days": 7}}]


def watched(
    sandbox: Sandbox, capture: Capture, spends: Callable[[Any], bool]
) -> list[list[dict[str, Any]]]:
    """Note what is on stdout since the last look, at each request that spends an export."""
    seen: list[list[dict[str, Any]]] = []

    def look(request: Any) -> None:
        if spends(request):
            seen.append([json.loads(x) for x in capture.readouterr().out.splitlines()])

    sandbox.on_request = look
    return seen


@pytest.mark.parametrize("names", [["reports"], ["report_metadata"], ["jobs"], list(LISTS)])
@pytest.mark.parametrize("report", ["sales", "Sales", "zales"])
def test_a_list_of_impact_is_written_before_the_first_export(
    world: Callable[[str], dict[str, Any]],
    sandbox: Sandbox,
    clock: FakeClock,
    capfdbinary: Capture,
    names: list[str],
    report: str,
) -> None:
    config = world("impact")
    printed(capfdbinary, config, clock)  # so that there is a job to list
    sandbox.impact.remove("sales")
    sandbox.impact.add(Report(report, report, [Attribute("Id")], lambda *_: [["1"]]))
    config["impact"]["reports"] = [report]
    catalog = only(discover(config, clock), report, *names)
    seen = watched(sandbox, capfdbinary, SPENDS["impact"])
    _, _, error = printed(capfdbinary, config, clock, catalog=catalog)
    assert error is None
    assert seen, "exports are requested at all"
    assert set(records(seen[0])) == {names[0]}


def test_jobs_run_while_the_other_lists_are_read(
    world: Callable[[str], dict[str, Any]], sandbox: Sandbox, clock: FakeClock
) -> None:
    with own_signals():
        tap = TapAffiliateReports(config=world("impact"), clock=clock)
        tap.sync_all()
        tap.close()
    paths = [r.path for r in sandbox.requests]
    first = next(n for n, path in enumerate(paths) if "/ReportExport/" in path)
    listing = next(n for n, path in enumerate(paths) if path.endswith("/Jobs"))
    assert first < listing


def test_the_list_of_hi_energy_is_written_before_an_export_is_created(
    world: Callable[[str], dict[str, Any]],
    sandbox: Sandbox,
    clock: FakeClock,
    capfdbinary: Capture,
) -> None:
    config = world("hienergy")
    config["hienergy"]["create"] = CREATE
    seen = watched(sandbox, capfdbinary, SPENDS["hienergy"])
    assert printed(capfdbinary, config, clock)[2] is None
    assert len(seen) == 1
    assert set(records(seen[0])) == {"exports"}


def test_with_all_sources_a_list_is_written_before_any_export(
    world: Callable[[str], dict[str, Any]],
    sandbox: Sandbox,
    clock: FakeClock,
    capfdbinary: Capture,
) -> None:
    config = world("impact") | world("hienergy") | world("instal")
    config["hienergy"]["create"] = CREATE
    seen = watched(sandbox, capfdbinary, lambda r: any(spends(r) for spends in SPENDS.values()))
    assert printed(capfdbinary, config, clock)[2] is None
    assert len(seen) > 2
    assert set(records(seen[0])) == {"reports"}


@pytest.mark.parametrize("how", ["empty", "fails", "filtered"])
def test_exports_begin_though_no_list_has_a_record(
    world: Callable[[str], dict[str, Any]],
    sandbox: Sandbox,
    clock: FakeClock,
    capfdbinary: Capture,
    how: str,
) -> None:
    config = world("impact")
    catalog = only(discover(config, clock), "jobs", "sales")
    if how == "fails":
        sandbox.faults.add(r"/Jobs\?CreatedAfter", status(403), None)
    elif how == "filtered":
        printed(capfdbinary, config, clock)
        config["stream_maps"] = {"jobs": {"__filter__": "False"}}
    lines, _, error = printed(capfdbinary, config, clock, catalog=catalog)
    assert (error is None) == (how != "fails")
    assert set(records(lines)) == {"sales"}


def test_a_source_that_is_away_holds_up_no_export_of_another(
    world: Callable[[str], dict[str, Any]],
    sandbox: Sandbox,
    clock: FakeClock,
    capfdbinary: Capture,
) -> None:
    config = world("impact") | world("instal")
    config["impact"]["api_url"] = nobody()
    config["instal"]["job_timeout_seconds"] = 120
    lines, _, error = printed(capfdbinary, config, clock)
    assert isinstance(error, TapError)
    assert records(lines)[REPORT] > 0


@pytest.mark.kill
def test_who_stops_at_the_first_record_has_spent_no_export(tmp_path: Any) -> None:
    """As `meltano config ... test` does it: read a line, look, and tell the tap to stop."""
    with Sandbox(job_seconds=0.05) as sandbox:
        start = (date.today() - timedelta(days=40)).isoformat()
        config = config_for(sandbox, reports=["partner_performance_by_day"], START_DATE=start)
        path = tmp_path / "config.json"
        path.write_text(json.dumps(config))
        process = subprocess.Popen(
            [sys.executable, "-m", "tap_affiliate_reports", "--config", str(path)],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env={k: v for k, v in os.environ.items() if not k.startswith("TAP_")},
        )  # fmt: skip
        assert process.stdout is not None
        for line in process.stdout:
            if json.loads(line)["type"] == "RECORD":
                process.terminate()
                break
        process.communicate(timeout=60)
        assert process.returncode == 128 + 15
        assert sandbox.impact.exports == []
