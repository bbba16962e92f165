from __future__ import annotations

import json
import tracemalloc
from collections import Counter
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from harness import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from singer_sdk.contrib.msgspec import MsgSpecWriter
from singer_sdk.singerlib import RecordMessage

from tap_affiliate_reports.record_lines import RecordLines
from tap_affiliate_reports.schema import (
    Column,
    Kind,
    Unreadable,
    cells,
    match_header,
    row_parser,
    unknown_columns,
)

UTC = timezone.utc
NEW_YORK = ZoneInfo("America/New_York")
NOW = datetime(2026, 8, 20, 4, 5, 6, 789, tzinfo=timezone(timedelta(hours=2)))
CONSTANTS = {
    "_account": 'IR "sandbox"',
    "_program_id": "",
    "_row_number": 0,
    "_deleted": False,
    "_sdc_deleted_at": None,
    "_unparsed": None,
}


def column(name: str, kind: Kind = Kind.STRING) -> Column:
    return Column(name, name, kind)


def one_by_one(rows, match, added=(), *, first=1, stream="r", version=None, at=None, **options):
    """Return the lines of these rows, encoded individually, and the number of misfits by column."""
    parse = row_parser(match, added, **options)
    lines, unparsed = [], Counter()
    for number, row in enumerate(rows, first):
        values, misfits = parse(row)
        record = {**CONSTANTS, **values, "_row_number": number}
        if misfits:
            record["_unparsed"] = json.dumps(misfits, ensure_ascii=False, separators=(",", ":"))
            unparsed.update(misfits.keys())
        message = RecordMessage(stream=stream, record=record, version=version, time_extracted=at)
        lines.append(bytes(MsgSpecWriter().format_message(message)))
    return b"".join(lines), unparsed


def in_blocks(rows, match, added=(), *, first=1, size=250, stream="r", version=None, at=None, **o):
    lines = RecordLines(
        match, added, stream=stream, constants=CONSTANTS, version=version, time_extracted=at, **o
    )
    blocks = [
        lines.encode(list(zip(*rows[start : start + size], strict=True)), first + start)
        for start in range(0, len(rows), size)
    ]
    return b"".join(blocks), lines.unparsed


def messages(lines: bytes) -> list[object]:
    """Return the parsed lines: names in their order, and numbers with all digits."""
    assert lines.endswith(b"\n") or not lines
    return [
        json.loads(
            line,
            object_pairs_hook=list,
            parse_float=Decimal,
            parse_constant=pytest.fail,
        )
        for line in lines.splitlines()
    ]


def assert_same(rows, match, added=(), *, size=250, **options):
    expected, misfits = one_by_one(rows, match, added, **options)
    found, unparsed = in_blocks(rows, match, added, size=size, **options)
    assert messages(found) == messages(expected)
    assert unparsed == misfits
    return found


# --- Any file

DIGITS = st.from_regex(r"[+-]?[0-9]{0,22}(\.[0-9]{0,20})?([eE][+-]?[0-9]{1,3})?", fullmatch=True)
CLOCK = st.datetimes(datetime(2026, 3, 7), datetime(2026, 3, 9)).map(
    lambda moment: moment.replace(microsecond=0).isoformat()
)
OFFSETS = st.sampled_from(["", "Z", "-04:00", "-0500", "+05:30", " +02", "-04:00Z", ".5Z", "-4"])
# fmt: off
ODD_TEXTS = [
    "", "", "\0", "1\x002", "null", "NaN", "-", "-0", "00", "007", "007.50", "+5", ".5", "5.",
    "5.000", "1,2", "1\n", "\t1", " 1 ", "1_0", "[1", "1]", "[]", "٣", "1" * 18, "1" * 19,
    "1" * 301, "1" * 302,
    str(2**63), "0." + "0" * 17 + "1", "9" * 20, "1E+5", "1e301", "0e5", "-0.000",
    '"', "\\", '","', "\n", "\r\n", "a\\", "\\u0000", "\x7f\x1f", "\u2028", "é€😀", " ", "x" * 500,
    "TRUE", "false", "1 ", "yes", "2026-08-03", "2026-02-30", "2026-08-03 00:00:00", "0001-01-01",
    "2026-08-03T14:05", "2026-08-03T14", " 2026-08-03T14:05:06-04:00", "2026-08-03T14:05:06-04:00 ",
    "0001-01-01T00:30:00+01:00", "2026-08-03T10:00:60Z", "2026-08-03T10:00:00." + "0" * 300,
]
# fmt: on
ODD = st.sampled_from(ODD_TEXTS)
UNREADABLE = st.just("") | st.sampled_from(["=A1", '"', "é"]).map(Unreadable)
USUAL = {
    Kind.STRING: st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    Kind.INTEGER: st.integers(-(2**63), 2**63 - 1).map(str),
    Kind.DECIMAL: st.decimals(-1000, 1000, places=2).map(str) | DIGITS,
    Kind.BOOLEAN: st.sampled_from(["true", "false"]),
    Kind.DATE: st.dates().map(str),
    Kind.DATETIME: CLOCK.map(lambda clock: f"{clock}-04:00")
    | st.builds(str.__add__, CLOCK, OFFSETS),
}
NAMES = st.text(st.sampled_from('aA"\\ _%é'), max_size=3)


@st.composite
def files(draw: st.DrawFn):
    """Draw columns, the header of a file that has some of them, and rows that mostly fit."""
    sources = draw(st.lists(NAMES, min_size=1, max_size=5))
    kinds = draw(st.lists(st.sampled_from(Kind), min_size=len(sources), max_size=len(sources)))
    names = unknown_columns(enumerate(sources), ())
    columns = [
        Column(name.name, source, kind)
        for name, source, kind in zip(names, sources, kinds, strict=True)
    ]
    header = draw(st.permutations(sources + draw(st.lists(NAMES, max_size=2))))
    header = header[draw(st.integers(0, len(header) - 1)) :]
    match = match_header(header, columns)
    added = unknown_columns(match.unknown, [c.name for c in columns]) if draw(st.booleans()) else ()
    kind_at = {index: column.kind for index, column in match.found}
    # All texts of a column are usual, or all but a few, or they are arbitrary.
    texts = []
    for index in range(len(header)):
        usual = USUAL[kind_at.get(index, Kind.STRING)]
        some = [
            usual,
            usual | st.just(""),
            usual | ODD,
            DIGITS | ODD,
            usual | UNREADABLE,
            UNREADABLE,
        ]
        texts.append(draw(st.sampled_from(some)))
    rows = draw(st.lists(st.tuples(*texts).map(list), max_size=12))
    known = [column.name for column in [*columns, *added]]
    selected = draw(st.none() | st.sets(st.sampled_from(known)))
    return rows, match, added, selected


@settings(max_examples=examples(400))
@given(
    files(),
    st.sampled_from([UTC, NEW_YORK, ZoneInfo("Asia/Kathmandu")]),
    st.booleans(),
    st.integers(1, 6),
    st.sampled_from([(None, None), (1786000000, NOW)]),
)
def test_a_block_has_the_records_of_its_rows(file, zone, singer_decimal, size, envelope):
    rows, match, added, selected = file
    version, at = envelope
    assert_same(
        rows, match, added, size=size, first=7, stream='s "record":{}', version=version, at=at,
        timezone=zone, singer_decimal=singer_decimal, selected=selected,
    )  # fmt: skip


@pytest.mark.parametrize("singer_decimal", [False, True])
@pytest.mark.parametrize("kind", Kind)
@given(data=st.data())
def test_a_column_has_the_values_of_its_texts(kind, singer_decimal, data):
    texts = data.draw(st.lists(USUAL[kind], max_size=20) | st.lists(USUAL[kind] | ODD, max_size=20))
    match = match_header(["c"], [column("c", kind)])
    rows = [[text] for text in texts]
    assert_same(rows, match, timezone=NEW_YORK, singer_decimal=singer_decimal)


def assert_same_beside_usual_texts(kind, text):
    usual = {Kind.INTEGER: "5", Kind.DECIMAL: "5.5", Kind.DATETIME: "2026-08-03T14:05:07-04:00"}
    match = match_header(["c"], [column("c", kind)])
    rows = [[usual.get(kind, "true")], [text], [usual.get(kind, "x")]]
    for singer_decimal in (False, True):
        assert_same(rows, match, timezone=NEW_YORK, singer_decimal=singer_decimal)


@pytest.mark.parametrize("kind", Kind)
@given(text=st.text(max_size=30) | DIGITS | st.builds(str.__add__, CLOCK, OFFSETS))
def test_a_text_has_the_same_value_among_usual_ones(kind, text):
    """The form is decided for a complete column: each text of another form must be recognized."""
    assert_same_beside_usual_texts(kind, text)


@pytest.mark.parametrize("kind", Kind)
def test_an_odd_text_has_the_same_value_among_usual_ones(kind):
    for text in ODD_TEXTS:
        assert_same_beside_usual_texts(kind, text)


# --- Examples


def record_of(texts, kind, **options):
    match = match_header(["c"], [column("c", kind)])
    lines, _ = in_blocks([[text] for text in texts], match, **{"timezone": UTC, **options})
    return [json.loads(line, parse_float=Decimal)["record"] for line in lines.splitlines()]


def test_the_line_of_a_usual_row_is_the_same_to_the_byte():
    columns = [column("id"), column("n", Kind.INTEGER), column("d", Kind.DECIMAL)]
    columns += [column("b", Kind.BOOLEAN), column("at", Kind.DATETIME), column("gone")]
    rows = [["x y", "5", "1.50", "TRUE", "2026-08-03T22:05:06-04:00"], ["", "", "", "", ""]] * 3
    match = match_header(["id", "n", "d", "b", "at"], columns)
    options = {"timezone": UTC, "version": 3, "at": NOW, "first": 10}
    assert in_blocks(rows, match, **options)[0] == one_by_one(rows, match, **options)[0]
    assert in_blocks(rows[:1], match, **options)[0] == (
        b'{"type":"RECORD","stream":"r","record":{"_account":"IR \\"sandbox\\"","_program_id":"",'
        b'"_row_number":10,"_deleted":false,"_sdc_deleted_at":null,"_unparsed":null,"id":"x y",'
        b'"n":5,"d":1.50,"b":true,"at":"2026-08-04T02:05:06Z","gone":null},"version":3,'
        b'"time_extracted":"2026-08-20T02:05:06.000789Z"}\n'
    )


def test_a_decimal_keeps_every_digit_and_is_json_however_it_was_written():
    texts = ["0.000000000000000001", "123456789012345678901.123456789012345678", "-0.10"]
    assert [r["c"] for r in record_of(texts, Kind.DECIMAL)] == [Decimal(text) for text in texts]
    odd = ["1E+5", "007.50", "+5", ".5", "5.", " 5 ", "-00.5"]
    assert [r["c"] for r in record_of(odd, Kind.DECIMAL)] == [Decimal(text) for text in odd]
    assert [r["_unparsed"] for r in record_of(["1", "NaN"], Kind.DECIMAL)] == [None, '{"c":"NaN"}']


def test_a_number_too_long_for_its_column_is_kept_as_text():
    for kind, fits, misfit in [
        (Kind.INTEGER, str(2**63 - 1), str(2**63)),
        (Kind.DECIMAL, "1" * 301, "1" * 302),
    ]:
        first, second = record_of([fits, misfit], kind)
        assert (first["c"], first["_unparsed"]) == (int(fits), None)
        assert (second["c"], second["_unparsed"]) == (None, f'{{"c":"{misfit}"}}')
    long = "0." + "1" * 19
    row = record_of(["1.5", long], Kind.DECIMAL, singer_decimal=True)[1]
    assert row["_unparsed"] == f'{{"c":"{long}"}}'


@pytest.mark.parametrize("kind", Kind)
def test_what_stands_for_an_unreadable_value_is_kept_as_text(kind):
    for texts in (["", Unreadable("=A1")], [Unreadable("=A1")], ["?", "", Unreadable("=A1")]):
        record = record_of(texts, kind)[-1]
        assert (record["c"], record["_unparsed"]) == (None, '{"c":"=A1"}')
        assert_same(
            [[text] for text in texts], match_header(["c"], [column("c", kind)]), timezone=UTC
        )


def test_misfits_are_counted_over_all_blocks():
    match = match_header(["a", "b"], [column("a", Kind.INTEGER), column("b", Kind.DATE)])
    rows = [["x", "soon"], ["1", "2026-08-03"], ["y", ""]] * 2
    assert in_blocks(rows, match, size=3, timezone=UTC)[1] == {"a": 4, "b": 2}


def test_a_text_that_no_line_can_have_is_an_error_as_it_is_row_by_row():
    match = match_header(["c"], [column("c")])
    for texts in (["x", "\ud800"], ["\0", "\ud800"]):
        for way in (one_by_one, in_blocks):
            with pytest.raises(UnicodeEncodeError):
                way([[text] for text in texts], match, timezone=UTC)


def test_columns_of_unlike_length_are_refused():
    match = match_header(["a", "b"], [column("a"), column("b")])
    lines = RecordLines(match, timezone=UTC, stream="r", constants=CONSTANTS)
    with pytest.raises(ValueError, match="size"):
        lines.encode([["1", "2"], ["1"]], 1)


def test_columns_that_would_share_a_name_are_refused():
    match = match_header(["a"], [column("_account")])
    twice = match_header(["a", "a"], [column("a"), column("a")])
    for wrong, constants in ((match, CONSTANTS), (twice, CONSTANTS), (match, {"_account": ""})):
        with pytest.raises(ValueError, match="must be unique"):
            RecordLines(wrong, timezone=UTC, stream="r", constants=constants)
    with pytest.raises(ValueError, match="each unknown"):
        RecordLines(
            match_header(["a", "b"], []), [column("a")],
            timezone=UTC, stream="r", constants=CONSTANTS,
        )  # fmt: skip


@pytest.mark.kill
def test_memory_does_not_grow_with_the_rows(monkeypatch):
    monkeypatch.setattr(cells, "_MEMORY", 500)
    monkeypatch.setattr(cells, "hour_in_utc", cells.hour_in_utc.__wrapped__)
    columns = [column("d", Kind.DATE), column("t", Kind.DATETIME), column("n", Kind.INTEGER)]
    lines = RecordLines(
        match_header(["d", "t", "n"], columns), timezone=UTC, stream="r", constants=CONSTANTS
    )
    start = datetime(1000, 1, 1)

    def encode(first: int, last: int) -> None:
        for number in range(first, last, 10):
            hours = [start + timedelta(hours=hour) for hour in range(number, number + 10)]
            # Texts that are cached completely, in halves, and not at all.
            rows = [[f"{hour:%H}{hour}", str(hour), f"{hour}" + "." * 10_000] for hour in hours]
            lines.encode(list(zip(*rows, strict=True)), number)

    encode(0, 1_000)
    tracemalloc.start()
    try:
        encode(1_000, 21_000)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1_500_000


def test_a_giant_text_in_a_column_takes_little_more_memory_than_itself():
    giant = "2026-08-03T14:05:06" + "0" * 1_000_000
    for kind in Kind:
        match = match_header(["c"], [column("c", kind)])
        lines = RecordLines(match, timezone=UTC, stream="r", constants=CONSTANTS)
        tracemalloc.start()
        try:
            lines.encode([[giant]], 1)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 10_000_000
