from __future__ import annotations

import codecs
import contextlib
import csv
import gzip
import io
import tracemalloc
from itertools import dropwhile, islice
from pathlib import Path
from unittest import mock

import pytest
from harness import examples
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from tap_affiliate_reports.errors import DamagedFile
from tap_affiliate_reports.formats.csv import fast, joined, lines, reference

NUL = "\U0010fffe"
CELLS = st.text(st.sampled_from('a,"\r\n\0 é€😀'), max_size=6) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters=NUL), max_size=10
)


@st.composite
def tables(draw: st.DrawFn) -> list[list[str]]:
    """Draw a header and rows of one width; a single empty value would be a blank line."""
    width = draw(st.integers(1, 4))
    cells = CELLS if width > 1 else CELLS.filter(lambda text: text.replace("\0", ""))
    rows = st.lists(cells, min_size=width, max_size=width)
    return draw(st.lists(rows, min_size=1, max_size=6).filter(lambda rows: is_header(rows[0])))


def is_header(row: list[str]) -> bool:
    """Return whether a row may be a header: not only whitespace, no other separator, no HTML."""
    names = [name.replace("\0", "") for name in row]
    if names[0].lstrip().lower().startswith(("<html", "<!doctype html")):
        return False
    return not all(map(str.isspace, names)) and (len(row) > 1 or not set(names[0]) & set(";\t|"))


@pytest.fixture(scope="module")
def spool(tmp_path_factory):
    """Return a function that writes bytes to a file."""
    path = tmp_path_factory.mktemp("spool") / "result"

    def put(content: bytes) -> Path:
        path.write_bytes(content)
        return path

    return put


def as_csv(rows, lineterminator="\r\n", quoting=csv.QUOTE_MINIMAL) -> str:
    text = io.StringIO()
    # Python 3.10 can't write U+0000.
    safe = [[value.replace("\0", NUL) for value in row] for row in rows]
    csv.writer(text, lineterminator=lineterminator, quoting=quoting).writerows(safe)
    return text.getvalue().replace(NUL, "\0")


def in_rows(block):
    """Return the counts and the rows of a block."""
    return block.rows, block.lines, [list(row) for row in zip(*block.columns, strict=True)]


def read(path):
    summary = reference.inspect(path)
    rows = list(reference.read_rows(path, summary.header))
    assert len(rows) == summary.rows
    return [summary.header, *rows] if summary.header else rows


def without_nul(rows):
    return [[text.replace("\0", "") for text in row] for row in rows]


ENCODE = {
    "utf-8": str.encode,
    "utf-8-sig": lambda text: text.encode("utf-8-sig"),
    "utf-16": lambda text: text.encode("utf-16"),
    "utf-16-be": lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
    "gzip": lambda text: gzip.compress(text.encode()),
    "gzip in two members": lambda text: (
        gzip.compress(text.encode()[:9]) + gzip.compress(text.encode()[9:])
    ),
}


@given(tables(), st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]), st.sampled_from(list(ENCODE)))
def test_rows_are_read_as_they_were_written(spool, table, quoting, encoding):
    path = spool(ENCODE[encoding](as_csv(table, quoting=quoting)))
    assert read(path) == without_nul(table)
    assert reference.inspect(path).terminated


def by_parser(text):
    """Return the rows that csv.reader reads; None if it fails or their widths differ."""
    try:
        lines = (line.replace("\0", "") for line in io.StringIO(text, newline=""))
        rows = list(csv.reader(lines, strict=True))
    except csv.Error:
        return None
    filled = [row for row in rows if row]
    if text and not (filled and is_header(filled[0])):
        return None
    if len({len(row) for row in filled}) > 1:
        return None
    if filled and len(filled[0]) == 1:
        begun = dropwhile(lambda row: not row, reversed(rows))
        return [row or [""] for row in dropwhile(lambda row: not row, reversed(list(begun)))]
    return filled


# fmt: off
LINES = st.sampled_from([
    "a,b", '"a",b', 'a,"b"', '"a,b",""', '"a""b",c', '"a\nb",c', '"a\r",c', ",", '"",""', "", '""',
    'a"b,c', '"a"b,c', 'a,"b', '"a,b', '"', '"""', '""","', "a", "a,b,c", '"a" ,b', '\0"a",b\0',
    "\u2028,b", 'é\x0b,"\x85"', '"a""b","""c"""', "a,\r", '"\r\n",b',
])
# fmt: on


@example('a,b\n,\r,\n""', 2)
@example('a,b\r\n"a\r",c\r\n""', 3)
@settings(max_examples=examples(1000))
@given(
    st.lists(LINES | st.text('a,"\r\n', max_size=7), max_size=8).map("\n".join)
    | st.lists(LINES, max_size=6).map("\r\n".join)
    | st.text('a,"\r\n\0', max_size=30),
    st.integers(1, 20) | st.just(lines.BLOCK),
)
def test_rows_are_those_of_a_parser_alone_wherever_a_block_ends(spool, text, block):
    # Much U+0000 among few letters looks like UTF-16, of which other tests are.
    assume(lines.encoding_of(text.encode(), is_complete=True) == "utf-8-sig")
    path = spool(text.encode())
    expected = by_parser(text)
    with mock.patch.object(lines, "BLOCK", block):
        if expected is None:
            with pytest.raises(DamagedFile) as counted:
                reference.inspect(path)
            with pytest.raises(DamagedFile) as raised:
                list(reference.read_rows(path))
            assert str(counted.value) == str(raised.value)
        else:
            assert read(path) == expected
            summary = reference.inspect(path)
            assert summary.terminated == (not text or text.endswith(("\n", "\r")))


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(
    "block",
    ["1,2#,#3,#", '"1,x",2#"","3"#', '"""1""","say ""2"""#1,"2"#', '1,"2\r\n3"#"4\n",5#', "é,€#"],
)
def test_an_ordinary_block_is_read_at_once(block, end):
    """No other test would notice a slow reader."""
    block = block.replace("#", end)
    rows = by_parser(block)
    lines_of_it = len(list(io.StringIO(block, newline="")))
    assert in_rows(fast.plain_columns(block, 2))[:3] == (len(rows), lines_of_it, rows)
    assert fast.plain_count(block, 2)[:3] == (len(rows), lines_of_it, ())


@settings(max_examples=examples(1000))
@given(st.lists(LINES, min_size=1, max_size=4).map("\n".join), st.sampled_from(["\n", "\r\n", ""]))
def test_a_block_is_never_read_as_anything_else(text, end):
    block = text + end
    rows = by_parser(block)
    for found in (fast.plain_columns(block, 2), fast.plain_count(block, 2)):
        if found is not None:
            assert rows is not None
            assert {len(row) for row in rows} == {2}
            assert in_rows(found)[2] == (rows if found.columns else [])
            assert found[:2] == (len(rows), len(list(io.StringIO(block, newline=""))))


@given(st.text("a\r\n\x0b\x1c\x85\u2028é", max_size=12))
def test_lines_end_at_the_line_ends_of_a_file(text):
    assert lines.split_lines(text) == list(io.StringIO(text, newline=""))


@pytest.mark.kill
@pytest.mark.parametrize("odd", ["1", "1,2,3", '1,"2'])
def test_an_error_far_into_a_file_names_its_line(spool, odd):
    rows = '1,2\r\n"3","4\r\n"\r\n' * 30_000
    path = spool(f"a,b\r\n{rows}{odd}\r\n{rows}".encode())
    with pytest.raises(DamagedFile, match=r"line 9000[24] ") as counted:
        reference.inspect(path)
    with pytest.raises(DamagedFile) as raised:
        list(reference.read_rows(path))
    assert str(counted.value) == str(raised.value)


@pytest.mark.parametrize("lineterminator", ["\n", "\r\n", "\r"])
def test_any_line_end_will_do(spool, lineterminator):
    table = [["a", "b"], ["1", "x\ny"], ["", ""]]
    assert read(spool(as_csv(table, lineterminator, csv.QUOTE_ALL).encode())) == table


@given(tables(), st.data())
def test_a_file_cut_short_is_damaged_or_has_the_first_rows(spool, table, data):
    """A cut within the last value of a row is only recognized by the missing line end."""
    content = as_csv(table).encode()
    cut = data.draw(st.integers(0, len(content) - 1))
    path = spool(content[:cut])
    try:
        rows = read(path)
    except DamagedFile:
        return
    whole = without_nul(table)
    assert rows[:-1] == whole[: len(rows[:-1])]
    if rows and rows[-1] != whole[len(rows) - 1]:
        *values, last = whole[len(rows) - 1]
        if len(rows) > 1:
            assert rows[-1][:-1] == values
            assert last.startswith(rows[-1][-1])
        assert not reference.inspect(path).terminated


def test_a_text_of_utf_8_with_nul_cut_within_a_character_is_damaged(spool):
    """Its last bytes are not UTF-8, but that does not make it UTF-16."""
    table = [["", "a,", 'aa"€😀😀'], ["\0", "000\x1f\x80", ""]]
    with pytest.raises(DamagedFile, match="unreadable text"):
        read(spool(as_csv(table).encode()[:32]))


@given(tables(), st.data())
def test_a_gzip_file_cut_short_is_damaged(spool, table, data):
    content = gzip.compress(as_csv(table).encode())
    path = spool(content[: data.draw(st.integers(2, len(content) - 1))])
    with pytest.raises(DamagedFile, match="gzip"):
        reference.inspect(path)


@pytest.mark.parametrize("place", [2, 12, -6, -1])
def test_a_gzip_file_with_a_changed_byte_is_damaged(spool, place):
    content = bytearray(gzip.compress(b"a,b\n" + b"1,2\n" * 1000))
    content[place] ^= 0xFF
    with pytest.raises(DamagedFile, match="gzip"):
        reference.inspect(spool(bytes(content)))


@pytest.mark.parametrize(
    "content",
    [b"", gzip.compress(b"", mtime=0)],
    ids=["no byte", "gzip"],
)
def test_a_file_of_nothing_is_an_empty_report(spool, content):
    summary = reference.inspect(spool(content))
    assert (summary.header, summary.rows, summary.terminated) == ([], 0, True)
    assert list(reference.read_rows(spool(content))) == []


@pytest.mark.parametrize(
    "text", ["", "\n", "\r\n\n", " ", "\t\n \n", "\0\n", "\u2003", " , \n"], ids=repr
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "gzip"])
def test_bytes_without_a_header_are_a_damaged_file(spool, text, encoding):
    content = gzip.compress(text.encode()) if encoding == "gzip" else text.encode(encoding)
    path = spool(content)
    if not text and encoding in {"utf-8", "gzip"}:
        assert reference.inspect(path).header == []
        return
    with pytest.raises(DamagedFile, match="no header"):
        reference.inspect(path)
    with pytest.raises(DamagedFile, match="no header"):
        list(reference.read_rows(path))


@pytest.mark.parametrize("header", ["a;b", "a\tb", "a|b", '"a;b"', "a;b;c"])
@pytest.mark.parametrize("rest", ["", "\r\n", "\n1;2\n", "\n1\t2\n"])
def test_a_file_with_another_separator_is_refused(spool, header, rest):
    path = spool((header + rest).encode())
    with pytest.raises(DamagedFile, match="not comma-separated"):
        reference.inspect(path)
    with pytest.raises(DamagedFile, match="not comma-separated"):
        list(reference.read_rows(path))


def test_another_separator_within_a_field_is_text(spool):
    assert read(spool(b"a;b,c\n1;2,3\t4\n")) == [["a;b", "c"], ["1;2", "3\t4"]]
    assert read(spool(b"a\n1;2|3\n")) == [["a"], ["1;2|3"]]


WIDE = ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
SCRIPTS = st.text(
    st.sampled_from('aé,"\r\n Аннаж雲中国語本名עבřŁ€😀ਅЊĀ一')
    | st.characters(exclude_categories=["C"]),
    max_size=8,
)


@example([["id", "name"], ["1", "Анна"]], "utf-16-le", False)
@example([["id", "name"], ["1", "中名"]], "utf-16-le", False)
@settings(max_examples=examples(600))
@given(
    st.lists(st.tuples(SCRIPTS, SCRIPTS).map(list), max_size=5).map(
        lambda rows: [["id", "name"], *rows]
    ),
    st.sampled_from([*WIDE, "utf-8"]),
    st.booleans(),
)
def test_a_text_is_read_right_in_any_encoding(spool, table, encoding, mark):
    text = "\ufeff" * mark + as_csv(table)
    assert read(spool(text.encode(encoding))) == table


@settings(max_examples=examples(400))
@given(tables(), st.sampled_from(WIDE), st.booleans())
def test_a_wide_text_without_a_mark_is_read_right_or_refused(spool, table, encoding, is_packed):
    """The header may be any text with enough characters to detect the encoding."""
    table[0][0] += "header"
    content = as_csv(table).encode(encoding)
    with contextlib.suppress(DamagedFile):
        assert read(spool(gzip.compress(content) if is_packed else content)) == without_nul(table)


@pytest.mark.parametrize("encoding", WIDE)
def test_the_last_line_may_lack_its_end_in_any_encoding(spool, encoding):
    assert read(spool("Имя".encode(encoding))) == [["Имя"]]
    assert read(spool("id,name\n1,Анна".encode(encoding))) == [["id", "name"], ["1", "Анна"]]
    rows = [["id", "name"], *([str(n), "Анна 雲"] for n in range(20_000))]
    assert read(spool(as_csv(rows).encode(encoding))) == rows


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        (b"a,b\n1\0,2\n", [["a", "b"], ["1", "2"]]),
        (b"\0a,b\n\0\0\0,2\n\0", [["a", "b"], ["", "2"]]),
        (b"a,b\n1,2\n" + b"\0" * 512, [["a", "b"], ["1", "2"]]),
        (b"a,b\n1,\x01\x02 text\0\0\n", [["a", "b"], ["1", "\x01\x02 text"]]),
        (b"ab\0\0\0\0,cd\0\0\n" * 9, [["ab", "cd"]] * 9),
        (b"ab\0\0\0,cd\0\0\0\r\n" * 9, [["ab", "cd"]] * 9),
        ("a,b\nЖ,\0Б\n".encode(), [["a", "b"], ["Ж", "Б"]]),
    ],
)
def test_nuls_in_a_text_of_utf_8_are_removed(spool, content, rows):
    assert read(spool(content)) == rows


def test_blank_lines_are_no_rows(spool):
    assert read(spool(b"\na,b\n\n1,2\n\r\n3,4\n\n")) == [["a", "b"], ["1", "2"], ["3", "4"]]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"a,b\n1,2\n3\n", "line 3 has 1 fields, but the header has 2"),
        (b'a,b\n"1\n",2\n3,4,5\n', "line 4 has 3 fields, but the header has 2"),
        (b'a,b\n1,"2\n3,4\n', "line 3 is not CSV"),
        (b'a,b\n1,"2"x\n', "line 2 is not CSV"),
        (b"a,b\n1,\xff\n", "unreadable text"),
        (b"a,b\n1,\xc3", "unreadable text"),
        (codecs.BOM_UTF16_LE + b"a\0\n", "unreadable text"),
        (b"\n <!DOCTYPE html><p>Sign in", "HTML page"),
        (b"<html><p>Sign in", "HTML page"),
        (codecs.BOM_UTF8 + b"<HTML lang='en'>", "HTML page"),
        (b"a\n" + b"x" * (reference.MAX_FIELD + 1), "field limit"),
    ],
)
def test_a_damaged_file_is_refused_with_the_reason(spool, content, reason):
    path = spool(content)
    with pytest.raises(DamagedFile, match=reason):
        reference.inspect(path)
    with pytest.raises(DamagedFile, match=reason):
        list(reference.read_rows(path))


@pytest.mark.kill
def test_a_field_may_be_as_long_as_the_limit(spool):
    field = "x" * reference.MAX_FIELD
    assert read(spool(f"a,b\n1,{field}\n".encode())) == [["a", "b"], ["1", field]]


def test_a_record_over_many_long_lines_is_refused_before_it_fills_the_memory(spool, monkeypatch):
    for module in (reference, lines, fast):
        monkeypatch.setattr(module, "MAX_RECORD", 10_000)
    fields = ",".join('"' + "x" * 900 + '\n"' for _ in range(20))
    with pytest.raises(DamagedFile, match="more than 10000 characters"):
        reference.inspect(spool(fields.encode()))
    with pytest.raises(DamagedFile, match="more than 10000 characters"):
        reference.inspect(spool(gzip.compress(b"," * 1_000_000)))
    assert reference.inspect(spool(b"a,b\n" + b"1,2\n" * 10_000)).rows == 10_000


@pytest.mark.kill
def test_a_hundred_thousand_columns_can_be_read(spool):
    table = [[f"column {n}" for n in range(100_000)], ["1"] * 100_000]
    assert read(spool(as_csv(table).encode())) == table


def test_memory_does_not_grow_with_the_file(spool):
    path = spool(gzip.compress(b"a,b\n" + b"some text,more text\n" * 200_000))
    tracemalloc.start()
    try:
        rows = reference.inspect(path).rows
        first = list(islice(reference.read_rows(path), 3))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (rows, len(first)) == (200_000, 3)
    assert peak < 2_000_000


@pytest.mark.kill
@pytest.mark.parametrize("text", ["x" * 1_000 + "\ny", "x" * lines.BLOCK + "\n", "\n" * 300])
def test_memory_does_not_grow_with_a_file_whose_blocks_end_within_a_record(spool, text):
    record = as_csv([[text, "1"]]).encode()
    count = 10_000_000 // len(record)
    path = spool(b"a,b\n" + record * count)
    tracemalloc.start()
    try:
        rows = reference.inspect(path).rows
        read = sum(row == [text, "1"] for row in reference.read_rows(path))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert rows == read == count
    assert peak < 6_000_000


@pytest.mark.parametrize("name", ["plain_columns", "plain_count"])
def test_a_block_that_ends_within_a_record_is_read_at_once_with_its_rest(spool, monkeypatch, name):
    """No other test would notice a slow reader."""
    at_once, function = [], getattr(reference, name)

    def note(block, width):
        found = function(block, width)
        at_once.append(found.rows if found else 0)
        return found

    monkeypatch.setattr(reference, name, note)
    path = spool(as_csv([["a", "b"], *[["one line\nand\nanother", "1"]] * 20_000]).encode())
    assert reference.inspect(path).rows == len(list(reference.read_rows(path))) == 20_000
    # All rows but those of the first block, which has the header.
    assert sum(at_once) > 15_000


@pytest.mark.kill
def test_a_field_may_have_any_number_of_escaped_quotes(spool):
    many = '"' * 1_000_000
    rows = [["1", "2"]] * 40_000 + [["1", many], ["3", many + "x"]]
    assert read(spool(as_csv([["a", "b"], *rows]).encode()))[1:] == rows


def test_a_gzip_file_in_odd_pieces_is_read_as_it_was_checked(spool):
    content = "a,b\n1,é\n".encode("utf-16")
    for cut in range(4):
        packed = gzip.compress(content[:cut]) + gzip.compress(content[cut:])
        assert read(spool(packed)) == [["a", "b"], ["1", "é"]]


def test_the_digest_is_that_of_the_content_however_it_was_packed(spool):
    plain = reference.inspect(spool(b"a\n1\n"))
    packed = reference.inspect(spool(gzip.compress(b"a\n1\n")))
    assert plain.digest == packed.digest != reference.inspect(spool(b"a\n2\n")).digest
    assert plain.size == 4
    assert packed.size == len(gzip.compress(b"a\n1\n"))


def test_a_file_whose_header_is_no_longer_the_one_checked_is_refused(spool):
    with pytest.raises(DamagedFile, match="header"):
        list(reference.read_rows(spool(b"a,b\n1,2\n"), ["b", "a"]))


def test_a_blank_line_is_a_null_in_a_report_of_one_column(tmp_path: Path) -> None:
    file = tmp_path / "one"
    file.write_bytes(b"\r\nName\r\n\r\nx\r\n\r\n\r\ny\r\n\r\n")
    summary = reference.inspect(file)
    assert (summary.header, summary.rows) == (["Name"], 5)
    rows = list(reference.read_rows(file, summary.header))
    assert rows == [[""], ["x"], [""], [""], ["y"]]


class TestJoinedParts:
    """A row equal to the header begins another part."""

    @settings(max_examples=300)
    @given(tables(), st.data(), st.integers(1, 40) | st.just(lines.BLOCK), st.booleans())
    def test_each_row_but_the_header_is_read(self, spool, table, data, block, quoted):
        header, *rows = table
        rows = data.draw(st.lists(st.sampled_from([header, *rows]), max_size=12))
        quoting = csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL
        content = as_csv([header, *rows], quoting=quoting).encode()
        # A file that is mostly U+0000 may be one of UTF-16.
        assume(lines.encoding_of(content, is_complete=True) == "utf-8-sig")
        path = spool(content)
        header, *rows = without_nul([header, *rows])
        expected = [row for row in rows if row != header]
        with mock.patch.object(lines, "BLOCK", block):
            summary = joined.inspect(path)
            assert summary.header == header
            assert list(joined.read_rows(path, summary.header)) == expected
        assert summary.rows == len(expected)

    @pytest.mark.parametrize("mark", ["", "\ufeff"])
    @pytest.mark.parametrize("end", ["\n", "\r\n"])
    def test_parts_of_any_length_are_one_table(self, spool, caplog, mark, end):
        parts = [
            [["id", "a name"], *([f"{part}-{n}", 'with id, "a name"'] for n in range(9_000))]
            for part in range(3)
        ]
        text = "".join(mark + as_csv(part, end) for part in parts)
        path = spool(text.encode())
        expected = [row for part in parts for row in part[1:]]
        assert joined.inspect(path).rows == len(expected)
        assert list(joined.read_rows(path)) == expected
        assert reference.SKIPPED_HEADERS % 2 in caplog.text

    def test_of_two_gzip_files_one_after_the_other_too(self, spool):
        packed = gzip.compress(b"a,b\n1,2\n") + gzip.compress(b"a,b\n3,4\n")
        path = spool(packed)
        assert joined.inspect(path).rows == 2
        assert list(joined.read_rows(path)) == [["1", "2"], ["3", "4"]]

    def test_a_row_that_is_almost_the_header_is_data(self, spool):
        path = spool(b"a,b\na,c\nb,a\nA,b\n,b\n")
        assert joined.inspect(path).rows == 4

    def test_elsewhere_a_row_equal_to_the_header_is_data(self, spool):
        assert read(spool(b"a,b\na,b\n")) == [["a", "b"], ["a", "b"]]

    def test_a_part_of_other_columns_is_refused(self, spool):
        with pytest.raises(DamagedFile, match="line 3 has 3 fields"):
            joined.inspect(spool(b"a,b\n1,2\na,b,c\n1,2,3\n"))
