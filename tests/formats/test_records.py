from __future__ import annotations

import io
import json
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_affiliate_reports.errors import DamagedFile
from tap_affiliate_reports.formats import records

VALUES = st.text() | st.integers() | st.booleans() | st.none()
RECORDS = st.lists(st.dictionaries(st.text(max_size=5), VALUES, max_size=5), max_size=6)


@pytest.fixture(scope="module")
def spool(tmp_path_factory):
    """Return a function that writes bytes or records to a file."""
    path = tmp_path_factory.mktemp("spool") / "result"

    def put(content):
        if not isinstance(content, bytes):
            file = io.BytesIO()
            assert records.write_records(file, content) == len(content)
            content = file.getvalue()
        path.write_bytes(content)
        return path

    return put


def read(path):
    summary = records.inspect(path)
    rows = list(records.read_rows(path, summary.header))
    assert len(rows) == summary.rows
    return [summary.header, *rows]


def as_text(value):
    return value if isinstance(value, str) else "" if value is None else json.dumps(value)


@given(RECORDS)
def test_every_value_comes_back_as_text(spool, table):
    header, *rows = read(spool(table))
    assert header == list(dict.fromkeys(name for record in table for name in record))
    assert rows == [[as_text(record.get(name)) for name in header] for record in table]


def test_numbers_keep_their_digits_and_nested_values_become_compact_json(spool):
    line = b'{"a": 0.000000000000000000, "b": 1e999999999, "c": [1.50, {"x": null}], "d": true}\n'
    assert read(spool(line))[1] == [
        "0.000000000000000000",
        "1e999999999",
        '[1.50,{"x":null}]',
        "true",
    ]


def test_a_page_read_as_raw_values_is_written_digit_by_digit(spool):
    page = msgspec.json.decode(b'[{"a":1.10,"b":"x"}]', type=list[dict[str, msgspec.Raw]])
    assert read(spool(page)) == [["a", "b"], ["1.10", "x"]]
    assert read(spool([{"a": Decimal("1.10"), "b": [Decimal("1.10")]}]))[1] == ["1.10", "[1.10]"]


def test_the_header_is_every_name_in_the_order_of_its_first_record(spool):
    path = spool([{"b": "1"}, {"a": "2", "b": "3"}, {}])
    assert read(path) == [["b", "a"], ["1", ""], ["3", "2"], ["", ""]]


def test_a_file_of_nothing_is_an_empty_report(spool):
    summary = records.inspect(spool(b""))
    assert (summary.header, summary.rows, summary.size, summary.terminated) == ([], 0, 0, True)


@pytest.mark.parametrize("content", [b"\n", b" \n\n", b"\r\n"])
def test_bytes_without_a_record_are_a_damaged_file(spool, content):
    with pytest.raises(DamagedFile, match="no record"):
        records.inspect(spool(content))


@given(RECORDS.filter(bool), st.data())
def test_a_file_cut_short_is_damaged_or_has_the_first_rows(spool, table, data):
    content = spool(table).read_bytes()
    cut = data.draw(st.integers(0, len(content) - 1))
    whole = records.inspect(spool(content))
    wanted = list(records.read_rows(spool(content), whole.header))
    path = spool(content[:cut])
    try:
        summary = records.inspect(path)
    except DamagedFile:
        return
    assert list(records.read_rows(path, whole.header)) == wanted[: summary.rows]
    assert summary.rows == content[: cut + 1].count(b"\n")


@pytest.mark.parametrize(
    "line",
    [
        b'{"a": ',
        b"[1]",
        b"null",
        b'{"a": 1} {"b": 2}',
        b'{"a": NaN}',
        b'{"a": "\xff"}',
        b'{"a": "\\ud800"}',
        b"<html>",
        b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_a_line_that_is_no_record_is_refused_by_its_number(spool, line):
    path = spool(b'{"a": 1}\n\n' + line + b"\n")
    with pytest.raises(DamagedFile, match="line 3 is not a JSON record"):
        records.inspect(path)
    with pytest.raises(DamagedFile, match="line 3 is not a JSON record"):
        list(records.read_rows(path, ["a"]))


def test_a_record_that_is_too_long_is_refused(spool, monkeypatch):
    monkeypatch.setattr(records, "MAX_RECORD", 100)
    with pytest.raises(DamagedFile, match="more than 100 bytes"):
        records.inspect(spool([{"a": "x" * 200}]))
