from __future__ import annotations

import contextlib
import io
import json
import re
import time as clock
import tracemalloc
import zipfile
from collections import Counter
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from harness import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl.cell import WriteOnlyCell

from tap_affiliate_reports.errors import DamagedFile
from tap_affiliate_reports.formats import workbook
from tap_affiliate_reports.record_lines import RecordLines
from tap_affiliate_reports.schema import Column, Kind, match_header, row_parser

# Characters that XML allows and Excel does not escape; a line end is read as "\n".
TEXTS = st.text(
    st.characters(
        codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="_\ufffe\uffff"
    ),
    max_size=8,
).filter(lambda text: text == text.strip())
MOMENTS = st.datetimes(datetime(1901, 1, 1), datetime(2200, 1, 1)).map(
    lambda moment: moment.replace(microsecond=0)
)
TEXT = '<c t="str"><v>{}</v></c>'
# Namespaces of the usual form and of "Strict Open XML Spreadsheet".
STRICT = {
    "http://schemas.openxmlformats.org/spreadsheetml/2006/main": (
        "http://purl.oclc.org/ooxml/spreadsheetml/main"
    ),
    "http://schemas.openxmlformats.org/officeDocument/2006/": (
        "http://purl.oclc.org/ooxml/officeDocument/"
    ),
}
CELLS = {
    Kind.STRING: TEXTS,
    Kind.DECIMAL: st.integers(-(10**14), 10**14) | st.floats(-1e300, 1e300),
    Kind.BOOLEAN: st.booleans(),
    Kind.DATETIME: MOMENTS,
}
Table = tuple[list[str], list[Kind], list[list[Any]]]
SHEET = "xl/worksheets/sheet1.xml"
SHARED = "xl/sharedStrings.xml"


@st.composite
def tables(draw: st.DrawFn) -> Table:
    """Draw a header, a kind for each column, and rows of that width, none of them blank."""
    header = draw(st.lists(TEXTS.filter(bool), min_size=1, max_size=4))
    kinds = [draw(st.sampled_from(list(CELLS))) for _ in header]
    row = st.tuples(*(st.none() | CELLS[kind] for kind in kinds)).map(list)
    rows = draw(st.lists(row.filter(lambda cells: any(c not in {None, ""} for c in cells)),
                         max_size=5))  # fmt: skip
    return header, kinds, rows


@pytest.fixture(scope="module")
def spool(tmp_path_factory):
    """Return a function that writes bytes to a file."""
    path = tmp_path_factory.mktemp("spool") / "result"

    def put(content: bytes) -> Path:
        path.write_bytes(content)
        return path

    return put


def xlsx(*sheets: list[list[Any]], titles: tuple[str, ...] = ()) -> bytes:
    """Return a workbook; texts stay texts even if they look like numbers."""
    book = openpyxl.Workbook(write_only=True)
    for number, rows in enumerate(sheets):
        sheet = book.create_sheet(titles[number] if titles else f"Sheet {number}")
        for row in rows:
            cells = []
            for value in row:
                cell = WriteOnlyCell(sheet, value)
                if isinstance(value, str):
                    cell.data_type = "s"
                cells.append(cell if isinstance(value, str) else value)
            sheet.append(cells)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def edited(content: bytes, part: str, edit: Any) -> bytes:
    """Return a workbook with one of its parts changed."""
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(packed, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            new.writestr(name, edit(data) if name == part else data, zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def without(content: bytes, part: str) -> bytes:
    """Return a workbook without one of its parts."""
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(packed, "w") as new:
        for name in old.namelist():
            if name != part:
                new.writestr(name, old.read(name))
    return packed.getvalue()


def with_sheet(data: str) -> bytes:
    """Return a workbook whose sheet has these rows, as XML."""
    return edited(
        xlsx([["a"]]),
        SHEET,
        lambda old: re.sub(
            rb"<sheetData>.*</sheetData>", f"<sheetData>{data}</sheetData>".encode(), old
        ),
    )


def with_shared(texts: list[str], data: str) -> bytes:
    """Return a workbook with these shared texts, as most programs write them."""
    items = "".join(f"<si><t>{text}</t></si>" for text in texts)
    space = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"
    override = f'<Override PartName="/{SHARED}" ContentType="{kind}"/></Types>'
    content = edited(
        with_sheet(data),
        "[Content_Types].xml",
        lambda old: old.replace(b"</Types>", override.encode()),
    )
    packed = io.BytesIO(content)
    with zipfile.ZipFile(packed, "a") as archive:
        archive.writestr(SHARED, f'<sst xmlns="{space}">{items}</sst>')
    return packed.getvalue()


def read(path: Path) -> list[list[str]]:
    """Return header and rows as text."""
    summary = workbook.inspect(path)
    rows = list(workbook.read_rows(path, summary.header))
    assert len(rows) == summary.rows
    assert {len(row) for row in rows} <= {len(summary.header)}
    assert len(summary.kinds) == len(summary.header)
    return [summary.header, *rows] if summary.header else rows


def text_of(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return value.isoformat() if isinstance(value, datetime) else str(value)


@given(tables())
def test_every_cell_comes_back_as_text_and_every_column_as_its_kind(spool, table: Table) -> None:
    header, kinds, rows = table
    path = spool(xlsx([header, *rows]))
    summary = workbook.inspect(path)
    assert summary.header == header
    found = list(workbook.read_rows(path, summary.header))
    assert len(found) == summary.rows == len(rows)
    for cells, texts in zip(rows, found, strict=True):
        for kind, value, text in zip(kinds, cells, texts, strict=True):
            if kind is Kind.DECIMAL and value is not None:
                assert float(text) == pytest.approx(float(value), rel=1e-15, abs=0)
            else:
                assert text == text_of(value)
    for column, kind in enumerate(kinds):
        values = [row[column] for row in rows if row[column] not in {None, ""}]
        assert summary.kinds[column] is (kind if values else Kind.STRING)


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53))
def test_a_number_is_the_shortest_decimal_of_its_double(spool, number: float) -> None:
    content = with_sheet(f'<row><c t="str"><v>n</v></c></row><row><c><v>{number!r}</v></c></row>')
    (_, (text,)) = read(spool(content))
    assert Decimal(text) == Decimal(repr(number))


def test_what_a_cell_is_decides_its_text_and_kind(spool) -> None:
    cells: dict[str, tuple[str, str, Kind]] = {
        "bool": ('t="b"><v>1</v>', "true", Kind.BOOLEAN),
        "int": ("><v>7</v>", "7", Kind.DECIMAL),
        "float": ("><v>0.1</v>", "0.1", Kind.DECIMAL),
        "exponent": ("><v>1.5E-7</v>", "1.5e-07", Kind.DECIMAL),
        "text": ('t="inlineStr"><is><t>007</t></is>', "007", Kind.STRING),
        "rich": ('t="inlineStr"><is><r><t>a</t></r><r><t>b</t></r></is>', "ab", Kind.STRING),
        "error": ('t="e"><v>#N/A</v>', "#N/A", Kind.STRING),
        "iso": ('t="d"><v>2026-03-01T12:30:00</v>', "2026-03-01T12:30:00", Kind.DATETIME),
        "formula": ("><f>1+1</f><v>2</v>", "2", Kind.DECIMAL),
        "formula of text": ('t="str"><f>"x"</f><v>x</v>', "x", Kind.STRING),
        "formula never calculated": ("><f>1+1</f>", "", Kind.STRING),
        "empty": ("><v></v>", "", Kind.STRING),
        "last": ("><v>1</v>", "1", Kind.DECIMAL),
    }
    header = "".join(f'<c t="str"><v>{name}</v></c>' for name in cells)
    row = "".join(f"<c {inside}</c>" for inside, _, _ in cells.values())
    path = spool(with_sheet(f"<row>{header}</row><row>{row}</row>"))
    summary = workbook.inspect(path)
    (found,) = workbook.read_rows(path, summary.header)
    assert dict(zip(cells, found, strict=True)) == {n: text for n, (_, text, _) in cells.items()}
    assert dict(zip(cells, summary.kinds, strict=True)) == {n: k for n, (*_, k) in cells.items()}


def test_dates_times_and_lengths(spool) -> None:
    row = [date(2026, 3, 1), datetime(2026, 3, 1, 23, 59, 59), time(12, 30), timedelta(hours=30)]
    path = spool(xlsx([["date", "moment", "time", "length"], row]))
    summary = workbook.inspect(path)
    assert list(workbook.read_rows(path, summary.header)) == [
        ["2026-03-01T00:00:00", "2026-03-01T23:59:59", "12:30:00", "1 day, 6:00:00"]
    ]
    assert summary.kinds == (Kind.DATETIME, Kind.DATETIME, Kind.STRING, Kind.STRING)


def test_a_date_beyond_all_dates_is_an_error_cell(spool) -> None:
    content = xlsx([["when"], [date(2026, 3, 1)]])
    path = spool(edited(content, SHEET, lambda old: re.sub(rb"<v>4\d+</v>", b"<v>1E12</v>", old)))
    assert read(path) == [["when"], ["#VALUE!"]]


def test_cells_of_several_kinds_make_a_column_of_text(spool) -> None:
    path = spool(xlsx([["a", "b"], [1, True], ["x", 0], [1.5, None]]))
    summary = workbook.inspect(path)
    assert summary.kinds == (Kind.STRING, Kind.STRING)
    assert list(workbook.read_rows(path, summary.header)) == [
        ["1", "true"],
        ["x", "0"],
        ["1.5", ""],
    ]


def test_all_sheets_of_one_header_are_one_table(spool, caplog) -> None:
    sheets = [[], [["a", "b"], [1, 2]], [["a", "b"], [3, 4]], [["x"], [9]], [[], ["a", "b"], [5]]]
    assert read(spool(xlsx(*sheets))) == [["a", "b"], ["1", "2"], ["3", "4"], ["5", ""]]
    assert [r.getMessage() for r in caplog.records] == [workbook.SKIPPED_SHEET % "Sheet 3"]


def test_blank_rows_and_cells_are_none_wherever_they_stand(spool) -> None:
    rows = [[], [None, ""], ["a", "b", None], [], [1, None, ""], [None], [None, 2], ["", ""]]
    assert read(spool(xlsx(rows))) == [["a", "b"], ["1", ""], ["", "2"]]


def test_rows_wider_than_the_header_give_it_nameless_columns(spool) -> None:
    path = spool(xlsx([["a", None, "c"], [1], [1, 2, 3, None, True]]))
    summary = workbook.inspect(path)
    assert summary.header == ["a", "", "c", "", ""]
    assert summary.kinds[3:] == (Kind.STRING, Kind.BOOLEAN)
    assert read(path)[1:] == [["1", "", "", "", ""], ["1", "2", "3", "", "true"]]


@pytest.mark.parametrize("tag", ["A1", "A1:A1", "A1:XFD1048576", "C3:D4"])
def test_a_sheet_with_a_wrong_size_is_read_completely(spool, tag: str) -> None:
    content = edited(
        xlsx([["a", "b"], [1, 2], [3, 4]]),
        SHEET,
        lambda old: old.replace(b"<sheetData>", f'<dimension ref="{tag}"/><sheetData>'.encode()),
    )
    assert read(spool(content)) == [["a", "b"], ["1", "2"], ["3", "4"]]


def test_rows_and_cells_without_a_place_of_their_own_are_in_order(spool) -> None:
    cell = '<c t="inlineStr"><is><t>{}</t></is></c>'
    rows = "".join(f"<row>{cell.format(a)}{cell.format(b)}</row>" for a, b in ("ab", "12", "34"))
    assert read(spool(with_sheet(rows))) == [["a", "b"], ["1", "2"], ["3", "4"]]


def test_gaps_between_places_are_empty(spool) -> None:
    rows = '<row r="2"><c r="A2"><v>1</v></c><c r="C2"><v>2</v></c></row>'
    rows += '<row r="9"><c r="B9"><v>3</v></c></row>'
    assert read(spool(with_sheet(rows))) == [["1", "", "2"], ["", "3", ""]]


def test_texts_that_cells_share_are_read(spool) -> None:
    cell = '<c t="s"><v>{}</v></c>'
    rows = "".join(f"<row>{cell.format(a)}{cell.format(b)}</row>" for a, b in ((0, 1), (2, 2)))
    path = spool(with_shared(["a", "b", " x &lt;雲&gt; "], rows))
    assert read(path) == [["a", "b"], [" x <雲> ", " x <雲> "]]
    with pytest.raises(DamagedFile):
        read(spool(with_shared(["a"], rows)))


def test_no_byte_is_an_empty_report(spool) -> None:
    path = spool(b"")
    assert workbook.inspect(path).header == list(workbook.read_rows(path, [])) == []


def test_a_header_alone_has_no_rows(spool) -> None:
    assert read(spool(xlsx([["a", "b"]]))) == [["a", "b"]]


@pytest.mark.parametrize(
    "content",
    [
        b"<!DOCTYPE html><p>Sign in",
        b"a,b\n1,2\n",
        b"PK",
        b"PK\3\4 not a zip",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 an old workbook",
    ],
)
def test_what_is_no_workbook_is_refused(spool, content: bytes) -> None:
    path = spool(content)
    with pytest.raises(DamagedFile, match="not a workbook"):
        workbook.inspect(path)
    with pytest.raises(DamagedFile, match="not a workbook"):
        list(workbook.read_rows(path, []))


def test_a_zip_of_something_else_is_refused(spool) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("report.csv", "a,b\n1,2\n")
    with pytest.raises(DamagedFile):
        workbook.inspect(spool(file.getvalue()))


GOOD = xlsx([["a", "b"], *([n, f"text {n}"] for n in range(200))])


@given(st.integers(0, len(GOOD) - 1))
def test_a_file_cut_anywhere_is_refused(spool, length: int) -> None:
    if length:
        with pytest.raises(DamagedFile):
            workbook.inspect(spool(GOOD[:length]))


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_a_damaged_file_is_refused_or_read_as_it_was(spool, place: int, flip: int) -> None:
    content = bytearray(GOOD)
    content[place] ^= flip
    found = None
    with contextlib.suppress(DamagedFile):
        found = read(spool(bytes(content)))
    assert found in (None, [["a", "b"], *([str(n), f"text {n}"] for n in range(200))])


class TestBombs:
    def refused(self, path: Path, seconds: float = 30) -> None:
        began = clock.monotonic()
        with pytest.raises(DamagedFile):
            workbook.inspect(path)
        assert clock.monotonic() - began < seconds

    @pytest.mark.parametrize("row", ["1048577", "99999999999999", "1e300", "x"])
    def test_a_row_beyond_all_sheets_is_refused_at_once(self, spool, row: str) -> None:
        self.refused(spool(with_sheet(f'<row r="1"><c><v>1</v></c></row>'
                                      f'<row r="{row}"><c><v>1</v></c></row>')))  # fmt: skip

    @pytest.mark.parametrize("place", ["ZZZZZZ1", "A"])
    def test_a_column_beyond_all_sheets_is_refused_at_once(self, spool, place: str) -> None:
        self.refused(spool(with_sheet(f'<row r="1"><c r="{place}"><v>1</v></c></row>')))

    def test_the_last_row_and_column_of_a_sheet_may_be_filled(self, spool) -> None:
        last = '<row r="1"><c r="A1"><v>1</v></c></row>'
        last += '<row r="1048576"><c r="XFD1048576"><v>2</v></c></row>'
        header, row = read(spool(with_sheet(last)))
        assert (len(header), row[-1]) == (16_384, "2")

    @pytest.mark.parametrize("part", [SHARED, "xl/styles.xml", "xl/workbook.xml"])
    def test_a_part_that_would_fill_the_memory_is_refused_before_it_is_read(
        self, spool, monkeypatch, part: str
    ) -> None:
        monkeypatch.setattr(workbook, "MAX_HELD", 1_000_000)
        content = edited(with_shared(["a"], ""), part, lambda old: old + b" " * 2_000_000)
        with pytest.raises(DamagedFile, match="more than 1000000 bytes"):
            workbook.inspect(spool(content))

    def test_entities_that_multiply_are_refused(self, spool) -> None:
        doctype = '<!DOCTYPE x [<!ENTITY a0 "aaaaaaaaaa">' + "".join(
            f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10)
        )
        content = edited(
            with_sheet('<row><c t="inlineStr"><is><t>&a9;</t></is></c></row>'),
            SHEET,
            lambda old: f"{doctype}]>".encode() + re.sub(rb"^<\?xml[^>]*>", b"", old),
        )
        self.refused(spool(content))

    def test_a_cell_that_is_too_long_is_refused(self, spool, monkeypatch) -> None:
        monkeypatch.setattr(workbook, "MAX_RECORD", 100)
        with pytest.raises(DamagedFile, match="more than 100 characters"):
            list(workbook.read_rows(spool(xlsx([["a"], ["x" * 101]])), ["a"]))
        assert read(spool(xlsx([["a"], ["x" * 100]])))


@pytest.mark.kill
def test_memory_stays_bounded_by_the_rows_not_by_what_they_hold(spool) -> None:
    text = "some text that is longer than most, " * 5
    cell = f'<c t="inlineStr"><is><t>{text}</t></is></c>'
    path = spool(with_sheet(f"<row>{cell * 4}</row>" * 8_000))
    tracemalloc.start()
    try:
        rows = workbook.inspect(path).rows
        first = list(islice(workbook.read_rows(path, [""] * 4), 3))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (rows, len(first)) == (7_999, 3)
    assert peak < 2_500_000, "the file has 6 million characters"


def test_the_digest_is_that_of_the_bytes(spool) -> None:
    one, two = (workbook.inspect(spool(xlsx([["a"], [n]]))) for n in (1, 2))
    assert one.digest != two.digest
    assert one.terminated


def records_of(path: Path, **options: Any) -> list[dict[str, Any]]:
    """Return the records of a file; both row paths must return the same."""
    summary = workbook.inspect(path)
    columns = [Column(n, n, k) for n, k in zip(summary.header, summary.kinds, strict=True)]
    match = match_header(summary.header, columns)
    parse = row_parser(match, timezone=timezone.utc, **options)
    one_by_one = []
    for number, row in enumerate(workbook.read_rows(path, summary.header), 1):
        values, unparsed = parse(row)
        one_by_one.append({"_row_number": number, "_unparsed": unparsed, **values})
    constants = {"_row_number": 0, "_unparsed": None}
    lines = RecordLines(
        match, timezone=timezone.utc, stream="r", constants=constants, bare=True, **options
    )
    blocks = workbook.read_columns(path, summary.header)
    text = b"".join(lines.encode(block, 1) for block in blocks)
    found = [json.loads(line, parse_float=Decimal) for line in text.splitlines()]
    for record in found:
        record["_unparsed"] = json.loads(record["_unparsed"] or "null")
    assert found == one_by_one
    assert lines.unparsed == Counter(n for r in found for n in r["_unparsed"] or ())
    return found


class TestFormulasWithoutAValue:
    def test_the_formula_is_unparsed_and_the_row_keeps_its_number(self, spool) -> None:
        book = openpyxl.Workbook()
        for row in (["a", "b"], [1, "=A2*2"], ["=A2", "=A3"], [None, None], [4, 8]):
            book.active.append(row)
        file = io.BytesIO()
        book.save(file)
        assert records_of(spool(file.getvalue())) == [
            {"_row_number": 1, "_unparsed": {"b": "=A2*2"}, "a": 1, "b": None},
            {"_row_number": 2, "_unparsed": {"a": "=A2", "b": "=A3"}, "a": None, "b": None},
            {"_row_number": 3, "_unparsed": None, "a": 4, "b": 8},
        ]

    @pytest.mark.parametrize(
        ("cell", "formula"),
        [
            ("<c><f>1+1</f></c>", "=1+1"),
            ("<c><f>1+1</f><v/></c>", "=1+1"),
            ('<c t="b"><f>TRUE()</f><v></v></c>', "=TRUE()"),
            ('<c t="e"><f>NA()</f><v></v></c>', "=NA()"),
            ('<c t="str"><f>"x"</f></c>', '="x"'),
            ('<c t="s"><f>"x"</f></c>', '="x"'),
            ('<c t="inlineStr"><f>"x"</f></c>', '="x"'),
            ("<c><f/></c>", "="),
            ('<c><f t="array" ref="A2">SUM(B1:B2)</f></c>', "=SUM(B1:B2)"),
            ('<c><f t="dataTable" ref="A2" r1="B1" odd="x"/></c>', "=TABLE(B1,)"),
            ('<c><f t="shared" si="9"/></c>', "="),
            ('<c t="str"><f>""</f><v></v></c>', None),
            ('<c t="str"><f>"x"</f><v>x</v></c>', None),
            ("<c><f>0</f><v>0</v></c>", None),
            ("<c/>", None),
        ],
    )
    def test_every_kind_of_formula(self, spool, cell: str, formula: str | None) -> None:
        rows = f"<row>{TEXT.format('a')}{TEXT.format('b')}</row><row>{cell}{TEXT.format('x')}</row>"
        (record,) = records_of(spool(with_sheet(rows)))
        assert record["_unparsed"] == ({"a": formula} if formula else None)
        assert record["b"] == "x"
        assert formula is None or record["a"] is None

    def test_a_shared_formula_is_that_of_its_own_cell(self, spool) -> None:
        rows = f'<row r="1">{TEXT.format("a")}</row>' + "".join(
            f'<row r="{n}"><c r="A{n}"><f t="shared" ref="A2:A4" si="0">{text}</f>{value}</c></row>'
            for n, text, value in ((2, "B2+$C$1", "<v>5</v>"), (3, "", ""), (4, "", ""))
        )
        records = records_of(spool(with_sheet(rows)))
        assert [record["_unparsed"] for record in records] == [
            None,
            {"a": "=B3+$C$1"},
            {"a": "=B4+$C$1"},
        ]

    def test_cells_that_an_array_formula_fills_have_no_value_either(self, spool) -> None:
        rows = "".join(
            f'<row r="{n}"><c r="A{n}"><v>{n}</v></c>{cell}</row>'
            for n, cell in (
                (1, '<c r="B1"><v>0</v></c>'),
                (2, '<c r="B2"><f t="array" ref="B2:C3">A2:A3*2</f></c>'),
                (3, '<c r="B3"/>'),
                (4, ""),
            )
        )
        records = records_of(spool(with_sheet(rows)))
        array = "=A2:A3*2"
        assert [r["_unparsed"] for r in records] == [
            {"0": array, "": array},
            {"0": array, "": array},
            None,
        ]

    def test_a_formula_does_not_decide_a_column_s_kind_or_name(self, spool) -> None:
        head = f"<row>{TEXT.format('a')}<c><f>A9</f></c></row>"
        path = spool(with_sheet(f"{head}<row><c><f>1</f></c></row><row><c><v>1.5</v></c></row>"))
        summary = workbook.inspect(path)
        assert (summary.header, summary.kinds) == (["a", "=A9"], (Kind.DECIMAL, Kind.STRING))

    @settings(max_examples=examples(50))
    @given(
        st.lists(
            st.lists(st.none() | st.integers(0, 9) | st.booleans() | st.just("=1+A1"),
                     min_size=2, max_size=2),
            max_size=8,
        ),
        st.booleans(),
    )  # fmt: skip
    def test_no_cell_and_no_row_is_lost(
        self, spool, rows: list[list[Any]], singer_decimal: bool
    ) -> None:
        book = openpyxl.Workbook()
        for row in (["a", "b"], *rows):
            book.active.append(row)
        file = io.BytesIO()
        book.save(file)
        filled = [row for row in rows if row != [None, None]]
        records = records_of(spool(file.getvalue()), singer_decimal=singer_decimal)
        assert len(records) == len(filled)
        for record, row in zip(records, filled, strict=True):
            unparsed = record["_unparsed"] or {}
            assert unparsed == {
                name: cell for name, cell in zip("ab", row, strict=True) if isinstance(cell, str)
            }
            assert [(record[name] is None) for name in "ab"] == [
                cell is None or isinstance(cell, str) for cell in row
            ]


class TestNothingFound:
    @pytest.mark.parametrize(
        "content",
        [
            xlsx([]),
            xlsx([[], [None]], [["", " "]]),
            with_sheet(""),
            edited(xlsx([["a"], [1]]), SHEET, lambda old: old.replace(b"spreadsheetml", b"other")),
            edited(
                xlsx([["a"], [1]]),
                "xl/workbook.xml",
                lambda old: re.sub(rb"<sheets>.*</sheets>", b"<sheets/>", old),
            ),
        ],
        ids=["no row", "blank rows", "no cell", "another namespace", "no sheet"],
    )
    def test_a_workbook_without_a_header_is_damaged(self, spool, content: bytes) -> None:
        path = spool(content)
        with pytest.raises(DamagedFile):
            workbook.inspect(path)
        with pytest.raises(DamagedFile):
            list(workbook.read_rows(path, []))

    def test_a_sheet_whose_part_is_missing_is_damage(self, spool) -> None:
        content = without(xlsx([["a"], [1]], [["a"], [2]]), "xl/worksheets/sheet2.xml")
        with pytest.raises(DamagedFile):
            workbook.inspect(spool(content))

    @pytest.mark.parametrize("shared", [True, False])
    def test_the_strict_form_is_read(self, spool, shared: bool) -> None:
        when = datetime(2026, 3, 1, 12, 30)
        cells = '<row><c t="s"><v>0</v></c></row><row><c t="s"><v>1</v></c></row>'
        content = (
            with_shared(["a", "x"], cells) if shared else xlsx([["a", "when"], ["x", when]] * 1)
        )
        plain = read(spool(content))
        for space, strict in STRICT.items():
            for part in zipfile.ZipFile(io.BytesIO(content)).namelist():
                content = edited(
                    content,
                    part,
                    lambda old, a=space, b=strict: old.replace(a.encode(), b.encode()),
                )
        assert read(spool(content)) == plain
        assert len(plain) == 2

    def test_a_date_of_the_strict_form_is_read(self, spool) -> None:
        rows = (
            f'<row>{TEXT.format("a")}</row><row><c t="d" s="1"><v>2026-03-01T12:30:00</v></c></row>'
        )
        content = edited(
            with_sheet(rows),
            SHEET,
            lambda old: old.replace(*(text.encode() for text in next(iter(STRICT.items())))),
        )
        summary = workbook.inspect(spool(content))
        assert summary.kinds == (Kind.DATETIME,)
        assert read(spool(content))[1] == ["2026-03-01T12:30:00"]


class TestOddParts:
    """Parts without values may be unusual, as long as a spreadsheet program opens the file."""

    ROWS = (["when", "n"], [datetime(2026, 3, 1, 12, 30), 1.5])
    READ = (["when", "n"], ["2026-03-01T12:30:00", "1.5"])

    @pytest.mark.parametrize(
        ("part", "old", "new"),
        [
            ("xl/styles.xml", r"<fill>.*?</fill>", "<fill/>"),
            ("xl/styles.xml", r"<fonts.*</fonts>", "<fonts><font><odd/></font></fonts>"),
            (
                "xl/styles.xml",
                r"<borders.*</borders>",
                "<borders><border><odd/></border></borders>",
            ),
            ("xl/styles.xml", r"<cellStyleXfs.*</cellStyleXfs>", ""),
            ("xl/styles.xml", r"</cellXfs>", "<xf numFmtId='x' odd='1'><odd/></xf></cellXfs>"),
            (
                "xl/styles.xml",
                r"<cellStyles.*</cellStyles>",
                "<cellStyles><cellStyle xfId='77'/></cellStyles>",
            ),
            ("xl/styles.xml", r"<numFmts([^>]*)>", r"<numFmts\1><numFmt/>"),
            ("xl/styles.xml", r"</styleSheet>", "<dxfs><dxf><odd/></dxf></dxfs></styleSheet>"),
            ("xl/theme/theme1.xml", r"^.*$", "broken"),
            ("docProps/core.xml", r"^.*$", "broken"),
            ("xl/workbook.xml", r"</workbook>", "<definedNames><odd/></definedNames></workbook>"),
            (
                "xl/workbook.xml",
                r"</workbook>",
                "<externalReferences><odd/></externalReferences></workbook>",
            ),
            ("xl/workbook.xml", r"<bookViews.*</bookViews>", "<bookViews><odd/></bookViews>"),
            ("xl/workbook.xml", r"<calcPr", "<calcPr odd='x'"),
            (SHEET, r"</sheetData>", "</sheetData><dataValidations><odd/></dataValidations>"),
            (SHEET, r"</sheetData>", "</sheetData><mergeCells><mergeCell ref='odd'/></mergeCells>"),
            (SHEET, r"</sheetData>", "</sheetData><hyperlinks><odd/></hyperlinks>"),
            (SHEET, r"<sheetData>", "<sheetViews><odd/></sheetViews><sheetData>"),
        ],
    )
    def test_an_odd_part_does_not_matter(self, spool, part: str, old: str, new: str) -> None:
        content = edited(
            xlsx(list(self.ROWS)),
            part,
            lambda data: re.sub(old, new, data.decode(), count=1, flags=re.DOTALL).encode(),
        )
        assert content != xlsx(list(self.ROWS))
        assert read(spool(content)) == list(self.READ)

    @pytest.mark.parametrize("format_", ["yyyy-mm-dd", "dd/mm/yyyy hh:mm", "[$-409]d-mmm;@"])
    def test_number_formats_of_an_odd_style_sheet_make_dates(self, spool, format_: str) -> None:
        book = openpyxl.Workbook(write_only=True)
        sheet = book.create_sheet()
        sheet.append(["when", "n"])
        cell = WriteOnlyCell(sheet, 46082.5)
        cell.number_format = format_
        sheet.append([cell, 46082.5])
        file = io.BytesIO()
        book.save(file)
        odd = edited(
            file.getvalue(), "xl/styles.xml",
            lambda data: re.sub(rb"<fill>.*?</fill>", b"<fill/>", data, count=1),
        )  # fmt: skip
        assert read(spool(odd)) == [["when", "n"], ["2026-03-01T12:00:00", "46082.5"]]

    @pytest.mark.parametrize("part", ["xl/styles.xml", "xl/theme/theme1.xml", "docProps/app.xml"])
    def test_a_missing_part_does_not_matter(self, spool, part: str) -> None:
        assert read(spool(without(xlsx([["a"], [1]]), part))) == [["a"], ["1"]]

    def test_fonts_within_a_text_do_not_matter(self, spool) -> None:
        run = "<r><rPr><family val='99'/><odd/></rPr><t>a</t></r><r><t>b</t></r><rPh><t>c</t></rPh>"
        assert read(spool(with_sheet(f'<row><c t="inlineStr"><is>{run}</is></c></row>'))) == [
            ["ab"]
        ]

    def test_rows_and_cells_out_of_order_are_not_lost(self, spool) -> None:
        rows = '<row r="1"><c r="A1"><v>0</v></c></row><row r="5"><c r="B5"><v>5</v></c>'
        rows += '<c r="A5"><v>4</v></c></row><row r="3"><c r="A3"><v>3</v></c></row>'
        assert read(spool(with_sheet(rows))) == [["0", ""], ["4", "5"], ["3", ""]]
