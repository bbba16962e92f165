"""Any bytes from the network: correct rows or a clear error, bounded memory, never a hang."""

from __future__ import annotations

import csv
import gzip
import io
import json
import multiprocessing
import resource
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from harness import FakeClock, Run, Warehouse, config_for, examples, sync
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tap_affiliate_reports.errors import TapError
from tap_affiliate_reports.sandbox import Attribute, Report, Response, Sandbox, body
from tap_affiliate_reports.sandbox.data import NO_ESCAPE
from tap_affiliate_reports.sandbox.faults import Action

pytestmark = pytest.mark.kill

COLUMNS = [
    Attribute("Id"),
    Attribute("Count", "Integer"),
    Attribute("Payout", "Decimal"),
    Attribute("Ok", "Boolean"),
    Attribute("Day", "Date"),
    Attribute("At", "Date (yyyy-MM-dd'T'HH:mm:ssZZ)"),
]
HEADER = [column.name for column in COLUMNS]
ROWS = [
    ["007", "5.000", "0.100000000000000001", "TRUE", "2026-11-03", "2026-11-03T04:05:06-05:00"],
    ['ü, "quoted"\r\nline', "-3", "12", "0", "", ""],
]
GOOD = b'{"Status":"COMPLETED","Id":"x","CompletedDate":"2026-11-19T15:00:01Z"}'
# Enough for a busy machine; a hang would never end.
TOO_LONG = 20.0

FUZZ = settings(
    max_examples=examples(60),
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


class Service:
    """A sandbox with one report, whose file and responses a test may corrupt."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.sandbox = Sandbox(now=self.clock.now, job_seconds=1, exports_per_day=10**9).start()
        for report in list(self.sandbox.impact.reports):
            self.sandbox.impact.remove(report)
        self.report = Report("sales", "Sales", columns=COLUMNS, rows=lambda *_: ROWS)
        self.sandbox.impact.add(self.report)
        self.config = config_for(
            self.sandbox, START_DATE="2026-11-01", reports=["sales"], job_timeout_seconds=30
        )

    def sync(self, **impact: Any) -> Run:
        config = {**self.config, "impact": {**self.config["impact"], **impact}}
        self.sandbox.impact.jobs.clear()
        self.sandbox.requests.clear()
        began = time.monotonic()
        run = sync(config, self.clock)
        assert time.monotonic() - began < TOO_LONG
        check_clear(run)
        return run

    def with_file(self, content: bytes) -> Run:
        self.report.raw = lambda *_: content
        try:
            return self.sync()
        finally:
            self.report.raw = None

    def with_answer(self, match: str, action: Action, times: int | None = None) -> Run:
        self.sandbox.faults.clear()
        self.sandbox.faults.add(match, action, times)
        try:
            return self.sync()
        finally:
            self.sandbox.faults.clear()


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    service = Service()
    yield service
    service.sandbox.stop()


def check_clear(run: Run) -> None:
    """Check that a sync succeeded or failed with a readable error, and has complete keys."""
    if run.error is not None:
        assert isinstance(run.error, TapError), f"not an expected error: {run.error!r}"
        message = str(run.error)
        assert message
        for sign in ("Error(", "Exception(", "Operation(", "Traceback", "object at 0x"):
            assert sign not in message, f"a bare repr: {message[:500]}"
        assert len(message) < 5000
    Warehouse().load(run.messages)
    numbers = [record["_row_number"] for record in run.records("sales")]
    assert numbers == list(range(1, len(numbers) + 1))
    json.dumps(run.messages, default=str).encode()


def table(rows: list[list[str]], header: list[str] | None = None) -> bytes:
    text = io.StringIO()
    csv.writer(text, escapechar=NO_ESCAPE).writerows([header or HEADER, *rows])
    return text.getvalue().encode()


FIRST_LINE = table([])


def ids(run: Run) -> list[Any]:
    return [record["Id"] for record in run.ok().records("sales")]


# Files


cells = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        ["", "\0", "null", "NA", "1e999999999", "-", "+1", "٣", "9" * 500, "0x1F", "NaN",
         "Infinity", "9999-12-31T23:59:59-23:59", "0000-00-00", "2026-02-30", "\ufeff",
         "2026-11-01T02:30:00", "\u2028", "\x85", "🜚", "1,5", "true ", "1E-400",
         "2026-11-03T24:00:00Z", "12:00"]
    ),
)  # fmt: skip
good_rows = st.lists(st.lists(cells, min_size=len(HEADER), max_size=len(HEADER)), max_size=6)


@pytest.mark.property
@FUZZ
@given(rows=good_rows)
def test_every_row_of_a_wellformed_file_arrives_with_no_value_lost(
    service: Service, rows: list[list[str]]
) -> None:
    run = service.with_file(table(rows)).ok()
    records = run.records("sales")
    assert len(records) == len(rows)
    for row, record in zip(rows, records, strict=True):
        assert record["Id"] == (row[0].replace("\0", "") or None)
        for name, text in zip(HEADER[1:], row[1:], strict=True):
            kept = text.replace("\0", "")
            if kept and record[name] is None:
                assert json.loads(record["_unparsed"])[name] == kept
            elif kept:
                assert name not in json.loads(record["_unparsed"] or "{}")


mangled = st.one_of(
    st.binary(max_size=300),
    st.tuples(st.integers(0, 200), st.binary(max_size=6)).map(
        lambda cut: table(ROWS)[: cut[0]] + cut[1] + table(ROWS)[cut[0] :]
    ),
    st.integers(0, 300).map(lambda length: table(ROWS)[:length]),
    st.text(max_size=200).map(lambda text: FIRST_LINE + text.encode("utf-8", "replace")),
    st.sampled_from(["utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp037", "utf-7"]).map(
        lambda name: table(ROWS).decode().encode(name)
    ),
    st.binary(max_size=60).map(lambda tail: gzip.compress(table(ROWS)) + tail),
    st.integers(0, 150).map(lambda length: gzip.compress(table(ROWS))[:length]),
    st.binary(max_size=40).map(lambda tail: b"\x1f\x8b" + tail),
    st.binary(max_size=40).map(lambda tail: b"\xff\xfe" + tail),
)  # fmt: skip


@pytest.mark.property
@FUZZ
@given(content=mangled)
@example(content=b"\x1f\x8b")
@example(content=b"\xff\xfe\x00")
@example(content=b"\xef\xbb\xbf")
@example(content=b'"')
@example(content=b"\0" * 100)
@example(content=b"Id\0,Count\r\r\n1,2\r")
@example(content=b"\n\n\n")
@example(content=table(ROWS).replace(b"Id", b"\xf0\x9f"))
def test_a_mangled_file_is_rows_or_a_clear_error(service: Service, content: bytes) -> None:
    run = service.with_file(content)
    if run.error is not None:
        assert "sales 2026-11-01..2026-11-18" in str(run.error)


def test_a_gzip_file_of_many_members_is_read_completely(service: Service) -> None:
    lines = table(ROWS * 50).splitlines(keepends=True)
    packed = b"".join(gzip.compress(line) for line in lines)
    assert ids(service.with_file(packed)) == [ROWS[0][0], ROWS[1][0]] * 50


def test_a_gzip_file_whose_last_member_is_cut_is_an_error(service: Service) -> None:
    packed = gzip.compress(table(ROWS)) + gzip.compress(table(ROWS * 9))[:-12]
    assert service.with_file(packed).error is not None


def test_a_utf_16_file_is_read(service: Service) -> None:
    assert ids(service.with_file(table(ROWS).decode().encode("utf-16"))) == ["007", ROWS[1][0]]


def test_nuls_are_removed_and_nothing_else(service: Service) -> None:
    rows = [["a\0b", "\x001", "", "", "", ""], ["\0", "", "", "", "", ""]]
    run = service.with_file(table(rows)).ok()
    assert [(r["Id"], r["Count"]) for r in run.records("sales")] == [("ab", 1), (None, None)]


def test_a_giant_field_is_a_row_or_a_clear_error(service: Service) -> None:
    for length in (1_000_000, 5_000_000):
        run = service.with_file(table([["x" * length, "1", "", "", "", ""]]))
        if run.error is None:
            assert len(run.records("sales")[0]["Id"]) == length
        else:
            assert "sales 2026-11-01..2026-11-18" in str(run.error)


def test_a_hundred_thousand_columns_are_rows_or_a_clear_error(service: Service) -> None:
    header = [*HEADER, *(f"c{number}" for number in range(100_000))]
    run = service.with_file(table([["1"] * len(header)] * 2, header))
    if run.error is None:
        records = run.records("sales")
        assert len(records) == 2
        assert records[0]["c99999"] == "1"
    else:
        assert "sales 2026-11-01..2026-11-18" in str(run.error)


def test_metadata_of_twenty_thousand_columns_is_a_stream_or_a_clear_error(
    service: Service,
) -> None:
    attributes = [{"Name": name, "DataType": "String"} for name in HEADER]
    attributes += [{"Name": f"c{number}", "DataType": "Decimal"} for number in range(20_000)]
    document = json.dumps({"Attributes": attributes}).encode()
    service.with_answer("/MetaData", body(document))


# Memory, in a separate process


def _peak(content: bytes, where: str, results: Any) -> None:
    service = Service()
    service.sync()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if where == "file":
        run = service.with_file(content)
    else:
        packed = Response(200, content, headers={"Content-Encoding": "gzip"})
        run = service.with_answer(where, lambda real: (real(), packed)[1])
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    results.put(((after - before) / 1024, "" if run.error is None else str(run.error)))
    service.sandbox.stop()


def peak(content: bytes, where: str) -> tuple[float, str]:
    """Return the megabytes that a sync used beyond an ordinary one, and its error."""
    context = multiprocessing.get_context("forkserver")
    results = context.Queue()
    process = context.Process(target=_peak, args=(content, where, results))
    process.start()
    try:
        return results.get(timeout=100)
    finally:
        process.join(10)
        results.close()
        results.join_thread()


def bomb(start: bytes, filler: bytes, megabytes: int) -> bytes:
    """Return the gzip of a text with this length."""
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=1) as file:
        file.write(start)
        block = filler * (1024 * 1024 // len(filler))
        for _ in range(megabytes):
            file.write(block)
    return packed.getvalue()


@pytest.mark.parametrize(
    ("start", "filler", "megabytes", "fits"),
    [
        (FIRST_LINE, b"x", 200, False),
        (FIRST_LINE + b'"', b"x" * 63 + b"\n", 80, False),
        (b"", b",", 80, False),
        (FIRST_LINE, b"\n", 4, True),
        (FIRST_LINE, b'a"', 80, False),
    ],
    ids=["one endless field", "an open quote", "an endless header", "blank lines", "stray quotes"],
)
def test_a_gzip_bomb_in_place_of_a_file_takes_little_memory(
    start: bytes, filler: bytes, megabytes: int, fits: bool
) -> None:
    megabytes_taken, error = peak(bomb(start, filler, megabytes), "file")
    assert bool(error) != fits
    assert fits or "sales 2026-11-01..2026-11-18" in error
    assert megabytes_taken < 600


@pytest.mark.parametrize(
    ("start", "filler"),
    [(b'{"Status":"', b"R"), (b"[", b"[],"), (b'{"Jobs":[', b"0,"), (b"", b" ")],
    ids=["an endless word", "many lists", "many numbers", "blanks"],
)
def test_a_gzip_bomb_in_place_of_a_job_takes_little_memory(start: bytes, filler: bytes) -> None:
    megabytes_taken, error = peak(bomb(start, filler * 3, 400), "GET .*/Jobs/")
    assert error
    assert megabytes_taken < 600


# JSON


WORDS = ["Status", "Id", "CompletedDate", "RecordsProcessed", "QueuedUri", "Reports", "Jobs",
         "Attributes", "Name", "DataType", "Filters", "ApiAccessible", "Timezone", "@nextpageuri",
         "@total", "Message", "Errors", "PercentageComplete", "StatusMessage", "error"]  # fmt: skip
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=10),
    st.sampled_from(
        ["COMPLETED", "QUEUED", "FAILED", "ERROR", "x" * 3000, "\0", "..", "../..", "/", "a b",
         "%00", "http://[", "http://x:99999/", "//", "?", "#", "ftp://x/", "☃",
         "http://127.0.0.1:1/", "2026-11-19T15:00:01Z", "9999-99-99", "America", "Europe/Nowhere",
         "../../etc/passwd", "sales", "true", "/Mediapartners/IRsandbox/Reports", "\ud83d\ude00",
         "1e99999"]
    ),
)  # fmt: skip
documents = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.sampled_from(WORDS), inner, max_size=6)
    ),
    max_leaves=20,
)
PLACES = {
    "list": "GET [^?]*/Reports(\\?|$)",
    "metadata": "/MetaData",
    "company": "/CompanyInformation",
    "schedule": "/ReportExport/",
    "poll": "GET .*/Jobs/[^/?]+(\\?|$)",
    "jobs": "GET .*/Jobs\\?",
    "download": "/Download",
}
ODD = [
    b"", b"null", b"5", b'"text"', b"[]", b"{}", b"[[]]", b"[1, null, {}]", b"NaN", b"{" * 100_000,
    b"[" * 100_000 + b"]" * 100_000, b'{"Status": 1e99999999999999999999}', b"1e-99999999999999999",
    b'{"Status": "COMPLETED", "Id": {"a": 1}}', b'{"Status": "COMPLETED", "Id": "../../x"}',
    b'{"Status": "COMPLETED", "RecordsProcessed": 1e400}', b"\xff\xfe{\0}\0", b'{"a": "\xff"}',
    b'{"Status": "QUEUED", "QueuedUri": "http://[bad"}', b'{"Status": "x", "QueuedUri": 5}',
    b'{"Status": "x", "QueuedUri": "/"}', b'{"Status": "x", "QueuedUri": "/Jobs/.."}',
    b'{"Reports": [null, 5, "x", [], {}, {"Id": null}, {"Id": "sales"}]}',
    b'{"Reports": {"Id": 1}}',
    b'{"Reports": [{"Id": "sales", "ApiAccessible": "true"}], "@nextpageuri": "http://[bad"}',
    b'{"Reports": [{"Id": "sales", "ApiAccessible": true}], "@nextpageuri": "http://x:99999/"}',
    b'{"Reports": [{"Id": "sales", "ApiAccessible": true}], "@nextpageuri": {"a": []}}',
    b'{"Reports": [{"Id": "\\u0000", "ApiAccessible": true}]}',
    b'{"Reports": [{"MetaDataUri": "/Reports/%00", "ApiAccessible": true}]}',
    b'{"Attributes": [null, 5, {}, {"Name": null}, {"Name": {}}], "Filters": 5}',
    b'{"Attributes": [], "Filters": true}', b'{"Attributes": {}, "Filters": [5]}',
    b'{"Attributes": [{"Name": "Id", "DataType": 5}], "Filters": {"a": 1}}',
    b'{"Timezone": "America"}', b'{"Timezone": "\\u0000"}', b'{"Timezone": ["x"]}',
    b'{"Timezone": "' + b"x" * 5000 + b'"}', b'{"Timezone": "../../../etc/passwd"}',
    b'{"Jobs": [null, 5, {"Id": "\\u0000"}, {"Id": 5, "CreatedDate": "x"}, {"Id": [1]}]}',
    b'{"Jobs": [], "@nextpageuri": "?Page=1"}', b'{"Jobs": null, "@total": "0"}',
    b'{"Status": "FAILED", "StatusMessage": ' + json.dumps("x" * 100_000).encode() + b"}",
    b'{"Status": "' + b"W" * 100_000 + b'"}',
]  # fmt: skip


@pytest.mark.parametrize("place", list(PLACES))
def test_an_odd_document_is_at_worst_a_clear_error(service: Service, place: str) -> None:
    bad = []
    for document in ODD:
        try:
            service.with_answer(PLACES[place], body(document, "application/json"))
        except AssertionError as error:
            bad.append(f"{document[:80]!r}: {str(error).splitlines()[0][:200]}")
    assert not bad, "\n".join(bad)


@pytest.mark.property
@pytest.mark.parametrize("place", list(PLACES))
@settings(FUZZ, max_examples=examples(25))
@given(document=documents)
def test_any_document_is_at_worst_a_clear_error(
    service: Service, place: str, document: object
) -> None:
    content = json.dumps(document).encode()
    service.with_answer(PLACES[place], body(content, "application/json"), None)


@pytest.mark.property
@pytest.mark.parametrize("place", list(PLACES))
@settings(FUZZ, max_examples=examples(10))
@given(data=st.data())
def test_a_mangled_response_is_at_worst_a_clear_error(
    service: Service, place: str, data: st.DataObject
) -> None:
    def mangle(real: Callable[[], Response]) -> Response:
        answer = real()
        answer.body = answer.body[:at] + junk + answer.body[at + len(junk) :]
        return answer

    at, junk = data.draw(st.integers(0, 400)), data.draw(st.binary(min_size=1, max_size=8))
    service.with_answer(PLACES[place], mangle, None)


@pytest.mark.parametrize(
    "records",
    [b"5", b"[5]", b'["x"]', b"[null]", b"[[]]", b'[{"Id": {"a": [1]}}]', b'[{"Id": 1e400}]',
     b'[{"Id": 1e99999999999999999999}]', b'[{"": 1}]', b'{"a": 1}', b'[{"Id": "\\u0000"}]'],
)  # fmt: skip
def test_odd_records_of_a_run_give_a_clear_error_or_rows(service: Service, records: bytes) -> None:
    service.sandbox.faults.clear()
    service.sandbox.faults.add(
        "/Reports/sales\\?", body(b'{"Records": ' + records + b"}", "application/json"), None
    )
    try:
        service.sync(report_options={"sales": {"mode": "run"}})
    finally:
        service.sandbox.faults.clear()


@pytest.mark.parametrize(
    "location",
    ["http://[", "http://x:99999/", "https://", "//", "ftp://x/y", "javascript:1", "file:///etc/passwd",
     "http://127.0.0.1:1/x", "x" * 5000, "http://a b/", "https://\u00fc..x/", "?", "http://%00/"],
)  # fmt: skip
def test_an_odd_redirect_is_a_clear_error(service: Service, location: str) -> None:
    headers = {"Location": location.encode().decode("latin-1")}
    run = service.with_answer("/Download", lambda _: Response(302, headers=headers))
    assert run.error is not None
    assert "sales 2026-11-01..2026-11-18" in str(run.error)


@pytest.mark.parametrize(
    ("name", "value"),
    [("Retry-After", "x"), ("Retry-After", "-5"), ("Retry-After", "nan"), ("Retry-After", "inf"),
     ("Retry-After", "1e400"), ("Retry-After", "Wed, 99 Foo 9999"), ("RateLimit-Reset", "nan"),
     ("RateLimit-Reset", "9" * 400), ("Date", "yesterday"),
     ("Date", "Fri, 31 Dec 9999 23:59:59 GMT"),
     ("Retry-After", "Fri, 31 Dec 9999 23:59:59 GMT"), ("Retry-After", "Thu, 19 Nov 2026 15:00:09"),
     ("X-RateLimit-Remaining-hour", "many"), ("X-RateLimit-Remaining-hour", "-" + "9" * 400),
     ("Content-Type", "\x80"), ("Content-Encoding", "gzip")],
)  # fmt: skip
@pytest.mark.parametrize("code", [200, 429, 503])
def test_an_odd_header_is_a_clear_error_or_rows(
    service: Service, name: str, value: str, code: int
) -> None:
    def spoil(real: Callable[[], Response]) -> Response:
        answer = real()
        answer.status, answer.headers[name] = code, value
        return answer

    for times in (1, None):
        clock = service.clock.now()
        service.with_answer("/ReportExport/|GET .*/Jobs/[^/]+$|/Download|/storage/", spoil, times)
        assert (service.clock.now() - clock).total_seconds() < 4000


def test_a_list_that_links_to_itself_for_ever_ends(service: Service) -> None:
    pages = [0]

    def more(real: Callable[[], Response]) -> Response:
        answer, pages[0] = real(), pages[0] + 1
        document = json.loads(answer.body)
        document["@nextpageuri"] = f"/Mediapartners/IRsandbox/Reports?Page=1&n={pages[0]}"
        answer.body = json.dumps(document).encode()
        return answer

    stop = threading.Timer(4, service.sandbox.faults.clear)
    stop.start()
    run = service.with_answer(PLACES["list"], more)
    stop.cancel()
    assert run.error is not None, f"{pages[0]} pages of one report were read"
