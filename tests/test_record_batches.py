"""Arrow record batches have the values of rows that are parsed individually."""

from __future__ import annotations

import csv
import io
import json
import tracemalloc
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from harness import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from test_record_lines import CLOCK, DIGITS, ODD, ODD_TEXTS, OFFSETS, USUAL, files

from tap_affiliate_reports import record_batches
from tap_affiliate_reports.errors import DamagedFile
from tap_affiliate_reports.formats import BLOCK_ROWS, Columns, PlainText
from tap_affiliate_reports.formats import csv as csv_format
from tap_affiliate_reports.formats.csv import joined, lines
from tap_affiliate_reports.record_batches import RecordBatches, open_batches
from tap_affiliate_reports.schema import (
    ADDED,
    Column,
    HeaderMatch,
    Kind,
    Unreadable,
    kind_of_property,
    match_header,
    row_parser,
)

NEW_YORK = ZoneInfo("America/New_York")
ZONES = [timezone.utc, NEW_YORK, ZoneInfo("Asia/Kathmandu")]
CONSTANTS = {
    "_account": 'IR "sandbox"',
    "_program_id": "",
    "_window_start": "2026-08-01",
    "_window_end": "2026-08-31",
    "_row_number": 0,
    "_refreshed_at": "2026-09-01T02:03:04Z",
    "_deleted": False,
    "_sdc_deleted_at": None,
    "_unparsed": None,
    "_sdc_table_version": 1786000000000,
}
KINDS = {name: kind_of_property(schema) for name, schema in ADDED.items()} | {
    "_sdc_table_version": Kind.INTEGER
}
TYPED = {
    **CONSTANTS,
    "_window_start": date(2026, 8, 1),
    "_window_end": date(2026, 8, 31),
    "_refreshed_at": datetime(2026, 9, 1, 2, 3, 4, tzinfo=timezone.utc),
}


def column(name: str, kind: Kind = Kind.STRING) -> Column:
    return Column(name, name, kind)


def typed(kind: Kind, value: Any) -> Any:
    """Return what Arrow has for the value of a record; ValueError if that does not fit."""
    if value is None or kind in {Kind.STRING, Kind.INTEGER, Kind.BOOLEAN}:
        return value
    if kind is Kind.DATE:
        return date.fromisoformat(value)
    if kind is Kind.DECIMAL:
        return Decimal(value)
    seconds, _, fraction = value.removesuffix("Z").partition(".")
    if fraction[6:].strip("0"):
        raise ValueError("less than a microsecond")
    return datetime.fromisoformat(f"{seconds}.{fraction[:6]:0<6}+00:00")


def one_by_one(
    rows: Sequence[Sequence[str]],
    match: HeaderMatch,
    added: Sequence[Column] = (),
    **options: Any,
) -> tuple[list[dict[str, Any]], Counter[str]]:
    """Return the records of rows, parsed individually, and the number of misfits by column."""
    parse = row_parser(match, added, singer_decimal=True, **options)
    kinds = {c.name: c.kind for c in [*(c for _, c in match.found), *match.missing, *added]}
    records, unparsed = [], Counter[str]()
    for number, row in enumerate(rows, 1):
        values, misfits = parse(row)
        misfits = dict(misfits or {})
        present = match.project(added, options.get("selected")).present
        for index, known in present:
            try:
                values[known.name] = typed(kinds[known.name], values[known.name])
            except ValueError:
                values[known.name] = None
                misfits[known.name] = row[index].replace("\0", "")
        ordered = {c.name: misfits[c.name] for _, c in present if c.name in misfits}
        unparsed.update(ordered.keys())
        records.append(
            {**TYPED, **values, "_row_number": number, "_unparsed": list(ordered.items()) or None}
        )
    return records, unparsed


def in_batches(
    blocks: Sequence[Columns | PlainText],
    match: HeaderMatch,
    added: Sequence[Column] = (),
    **options: Any,
) -> tuple[list[dict[str, Any]], Counter[str]]:
    """Return the same of blocks, as an Arrow file has them."""
    encoded = RecordBatches(match, added, constants=CONSTANTS, kinds=KINDS, **options)
    file = io.BytesIO()
    with open_batches(file, encoded.schema) as writer:
        for batch in encoded.batches(blocks):
            batch.validate(full=True)
            writer.write(batch)
    with pa.ipc.open_file(pa.BufferReader(file.getvalue())) as reader:
        records = reader.read_all().to_pylist()
    for record in records:
        record["_unparsed"] = record["_unparsed"] and list(json.loads(record["_unparsed"]).items())
    return records, encoded.unparsed


def blocks_of(rows: Sequence[Sequence[str]], size: int) -> Iterator[Columns]:
    for start in range(0, len(rows), size):
        yield list(zip(*rows[start : start + size], strict=True))


def as_csv(rows: Sequence[Sequence[str]], quoting: int) -> str:
    text = io.StringIO()
    # Python 3.10 can't write U+0000.
    safe = [[cell.replace("\0", "\ue000") for cell in row] for row in rows]
    csv.writer(text, quoting=quoting).writerows(safe)
    return text.getvalue().replace("\ue000", "\0")


@settings(max_examples=examples(400))
@given(files(), st.sampled_from(ZONES), st.integers(1, 6))
def test_blocks_of_columns_have_the_records_of_their_rows(file, zone, size) -> None:
    rows, match, added, selected = file
    options = {"timezone": zone, "selected": selected}
    assert in_batches(list(blocks_of(rows, size)), match, added, **options) == one_by_one(
        rows, match, added, **options
    )


@settings(max_examples=examples(300))
@given(
    files(),
    st.sampled_from(ZONES),
    st.integers(5, 60),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    st.booleans(),
)
def test_a_file_has_the_records_of_its_rows(
    tmp_path_factory, file, zone, block, quoting, is_joined
) -> None:
    """The texts are read from a real file, in blocks of any size: plain text or columns."""
    rows, match, added, selected = file
    width = len(match.found) + len(match.unknown)
    header = [f"h{index}" for index in range(width)]
    if is_joined:
        rows = [*rows, header, *rows]
    path = tmp_path_factory.mktemp("arrow") / "file.csv"
    path.write_text(as_csv([header, *rows], quoting), encoding="utf-8", newline="")
    reader = joined if is_joined else csv_format
    options = {"timezone": zone, "selected": selected}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "BLOCK", block)
        expected = one_by_one(list(reader.read_rows(path, header)), match, added, **options)
        blocks = reader.read_blocks(path, reader.inspect(path))
        found = in_batches(blocks, match, added, **options)
    assert found == expected


@pytest.mark.parametrize("kind", Kind)
@given(data=st.data())
def test_a_column_has_the_values_of_its_texts(kind: Kind, data: st.DataObject) -> None:
    texts = data.draw(st.lists(USUAL[kind], max_size=20) | st.lists(USUAL[kind] | ODD, max_size=20))
    match = match_header(["c"], [column("c", kind)])
    rows = [[text] for text in texts]
    options = {"timezone": NEW_YORK}
    found = in_batches(list(blocks_of(rows, 30)), match, **options)
    assert found == one_by_one(rows, match, **options)


def assert_same_beside_usual_texts(kind: Kind, text: str) -> None:
    usual = {
        Kind.INTEGER: "5",
        Kind.DECIMAL: "5.5",
        Kind.DATETIME: "2026-08-03T14:05:07-04:00",
        Kind.DATE: "2026-08-03",
        Kind.BOOLEAN: "true",
    }.get(kind, "x")
    match = match_header(["c"], [column("c", kind)])
    for rows in ([[usual], [text], [usual]], [[text]], [[usual]] * 8 + [[text]]):
        found = in_batches(list(blocks_of(rows, 30)), match, timezone=NEW_YORK)
        assert found == one_by_one(rows, match, timezone=NEW_YORK)


@pytest.mark.parametrize("kind", Kind)
@given(
    text=st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
    | DIGITS
    | st.builds(str.__add__, CLOCK, OFFSETS)
)
def test_a_text_has_the_same_value_among_usual_ones(kind: Kind, text: str) -> None:
    """The form is decided for a complete column: each text of another form must be recognized."""
    assert_same_beside_usual_texts(kind, text)


# What Arrow's casts read in another way than this tap, or in none.
ARROW = [
    "0x1F", "0X1f", "1e30", "1e18", "1e-18", "1e-19", "5.", ".5", "-.5", "+1.5", "-", "--1",
    "9" * 20, "9" * 21, "9" * 38, "9" * 39, "1" + "0" * 60, "9" * 20 + "." + "9" * 18,
    "9" * 21 + ".5", "0." + "0" * 18 + "1", "0." + "0" * 40, "1." + "0" * 19, "0" * 50 + "1.5",
    "0." + "1" * 60, "1" * 19 + "." + "1" * 40, "1e-400", "1e400", "0.1e21", "1e19", "9.9e19",
    "99999999999999999999.999999999999999999", "NaN", "inf", "-Infinity", "1e", "1d5", "1f",
    "1.2.3", "12345678901234567890123.4567890123456789", str(2**63 - 1), str(-(2**63)),
    "0000-01-01", "0001-01-01", "9999-12-31", "0000-01-01T00:00:00Z", "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59-01:00", "2026-08-03T05", "2026-08-03T05-04:00", "2026-08-03T05:07-04:00",
    "2026-08-03T05:07:09.5-04:00", "2026-08-03T05:07:09.123456Z", "2026-08-03T05:07:09.1234567Z",
    "2026-08-03T05:07:09.1234560000Z", "2026-08-03T24:00:00Z", "2026-08-03T05:07:09+24:00",
    "2026-08-03T05:07:09+14:00", "2026-08-03 05:07:09 -04:00", "2026-08-03T05:07:09 UTC",
    "2026-03-08T02:30:00", "2026-11-01T01:30:00", "2026-08-03T05:07:09Zx", "1850-01-01T00:00:00",
    "2026-1-1", "tRue", "T", "01", "24927092102648301988.4787799195143031326", "1e-57", "1e00005",
    "0e-500", "1." + "0" * 128, "1" + "0" * 128 + "e-128", "0" * 400 + "5",
    "2026-08-03T05:07:09Z" + " " * 400,
]  # fmt: skip


@pytest.mark.parametrize("kind", Kind)
def test_an_odd_text_has_the_same_value_among_usual_ones(kind: Kind) -> None:
    for text in [*ODD_TEXTS, *ARROW]:
        assert_same_beside_usual_texts(kind, text)


@settings(max_examples=examples(400))
@given(st.from_regex(r"[+-]?[0-9]{0,25}(\.[0-9]{0,45}0{0,140})?(e-?[0-9]{1,3})?", fullmatch=True))
def test_a_decimal_of_any_length_is_exact_or_does_not_fit(text: str) -> None:
    assert_same_beside_usual_texts(Kind.DECIMAL, text)


def test_each_kind_has_its_type() -> None:
    columns = [column(kind.value, kind) for kind in Kind]
    gone = column("gone", Kind.DECIMAL)
    match = match_header([c.name for c in columns], [*columns, gone])
    encoded = RecordBatches(match, timezone=NEW_YORK, constants=CONSTANTS, kinds=KINDS)
    assert {field.name: str(field.type) for field in encoded.schema} == {
        "_account": "string",
        "_program_id": "string",
        "_window_start": "date32[day]",
        "_window_end": "date32[day]",
        "_row_number": "int64",
        "_refreshed_at": "timestamp[us, tz=UTC]",
        "_deleted": "bool",
        "_sdc_deleted_at": "timestamp[us, tz=UTC]",
        "_unparsed": "string",
        "_sdc_table_version": "int64",
        "string": "string",
        "integer": "int64",
        "decimal": "decimal128(38, 18)",
        "boolean": "bool",
        "date": "date32[day]",
        "date-time": "timestamp[us, tz=UTC]",
        "gone": "decimal128(38, 18)",
    }


@pytest.mark.parametrize("kind", Kind)
def test_what_stands_for_an_unreadable_value_is_kept_as_text(kind: Kind) -> None:
    match = match_header(["c"], [column("c", kind)])
    for texts in (["", Unreadable("=A1")], [Unreadable("=A1")], ["?", "", Unreadable("=A1")]):
        records, unparsed = in_batches([[texts]], match, timezone=NEW_YORK)
        assert (records[-1]["c"], records[-1]["_unparsed"]) == (None, [("c", "=A1")])
        assert unparsed["c"] == (1 if kind is Kind.STRING or texts[0] != "?" else 2)


def test_rows_are_numbered_over_plain_text_and_columns_in_turn() -> None:
    match = match_header(["a", "b"], [column("a"), column("b", Kind.INTEGER)])
    blocks: list[Any] = [[["x"], ["1"]], PlainText(2, 'y,2\n"z,z",\n'), PlainText(1, "w,4\r\n")]
    blocks += [[["v"] * BLOCK_ROWS, [""] * BLOCK_ROWS]]
    records, _ = in_batches(blocks, match, timezone=NEW_YORK)
    assert [r["_row_number"] for r in records] == list(range(1, BLOCK_ROWS + 5))
    assert [(r["a"], r["b"]) for r in records[:5]] == [
        ("x", 1), ("y", 2), ("z,z", None), ("w", 4), ("v", None),
    ]  # fmt: skip


def test_text_that_arrow_splits_into_other_rows_is_an_error() -> None:
    match = match_header(["a", "b"], [column("a"), column("b")])
    with pytest.raises(DamagedFile, match="finds 2 rows where there are 3"):
        in_batches([PlainText(3, "1,2\n3,4\n")], match, timezone=NEW_YORK)


def test_a_large_file_is_read_as_plain_text(tmp_path: Path) -> None:
    """Else all of these tests would pass by way of columns alone."""
    path = tmp_path / "file.csv"
    rows = [[str(n), f'"{n}"\r\n', ""] for n in range(30_000)]
    path.write_text(as_csv([["a", "b", "c"], *rows], csv.QUOTE_ALL), newline="")
    blocks = list(csv_format.read_blocks(path, csv_format.inspect(path)))
    plain = sum(block.rows for block in blocks if isinstance(block, PlainText))
    assert plain > 0.9 * len(rows)
    match = match_header(["a", "b", "c"], [column("a", Kind.INTEGER), column("b"), column("c")])
    records, unparsed = in_batches(blocks, match, timezone=NEW_YORK)
    assert [[str(r["a"]), r["b"], r["c"] or ""] for r in records] == rows
    assert not unparsed


@pytest.mark.kill
def test_memory_does_not_grow_with_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_batches, "_TEXT_LENGTH", 10_000)
    kinds = [Kind.DECIMAL, Kind.DATETIME, Kind.STRING, Kind.INTEGER]
    columns = [column(kind.value, kind) for kind in kinds]
    match = match_header([c.name for c in columns], columns)
    encoded = RecordBatches(match, timezone=NEW_YORK, constants=CONSTANTS, kinds=KINDS)
    row = "1.5,2026-08-03T05:07:09-04:00,text,7\n"
    held = []
    tracemalloc.start()
    try:
        for number, _ in enumerate(encoded.batches(PlainText(100, row * 100) for _ in range(2000))):
            if number in {50, 600}:
                held.append((tracemalloc.get_traced_memory()[0], pa.total_allocated_bytes()))
    finally:
        tracemalloc.stop()
    (objects, arrays), (more_objects, more_arrays) = held
    assert more_objects < objects + 100_000
    assert more_arrays < arrays + 1_000_000
