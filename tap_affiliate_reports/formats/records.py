"""JSON records, one object per line, as the synchronous mode spools them.

Values become the texts that a CSV file would have: numbers keep all their digits, nested values
are compact JSON.
"""

from __future__ import annotations

import hashlib
from typing import IO, TYPE_CHECKING, Any

import msgspec

from tap_affiliate_reports.errors import DamagedFile
from tap_affiliate_reports.formats import MAX_RECORD, Summary, in_columns

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from tap_affiliate_reports.formats import Columns

# Values stay raw, because a float would round long numbers.
_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_string = msgspec.json.Decoder(str).decode
_encode = msgspec.json.Encoder(decimal_format="number").encode


def write_records(file: IO[bytes], records: Iterable[Mapping[str, Any]]) -> int:
    """Write each record as a line and return their number; values may be msgspec.Raw."""
    count = 0
    for record in records:
        file.write(_encode(record) + b"\n")
        count += 1
    return count


def inspect(path: Path) -> Summary:
    """Read the complete file in constant memory; raise DamagedFile if it can't be used.

    The header has the names of all records, in the order of their first occurrence.
    """
    header: dict[str, None] = {}
    rows, line = 0, b"\n"
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for number, line in enumerate(_lines(file), 1):
            digest.update(line)
            record = _texts(line, number)
            if record is not None:
                header.update(dict.fromkeys(record))
                rows += 1
    size = path.stat().st_size
    if size and not rows:
        raise DamagedFile("the file has no record, only blank lines")
    return Summary(
        header=list(header),
        rows=rows,
        size=size,
        digest=digest.hexdigest(),
        terminated=line.endswith(b"\n"),
    )


def read_rows(path: Path, header: Sequence[str]) -> Iterator[list[str]]:
    """Yield each record's values in the header's order; a missing value is ""."""
    with path.open("rb") as file:
        for number, line in enumerate(_lines(file), 1):
            record = _texts(line, number)
            if record is not None:
                yield [record.get(name, "") for name in header]


def read_columns(path: Path, header: Sequence[str]) -> Iterator[Columns]:
    """Yield the same rows as blocks of columns."""
    return in_columns(read_rows(path, header))


def read_blocks(path: Path, summary: Summary) -> Iterator[Columns]:
    """Yield the same rows as blocks of columns."""
    return read_columns(path, summary.header)


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    while line := file.readline(MAX_RECORD + 1):
        if len(line) > MAX_RECORD:
            raise DamagedFile(f"a record of more than {MAX_RECORD} bytes")
        yield line


def _texts(line: bytes, number: int) -> dict[str, str] | None:
    """Return the values of one line as text; None for a blank one."""
    if line.isspace():
        return None
    try:
        return {name: _text(bytes(value)) for name, value in _decode(line).items()}
    except (ValueError, RecursionError) as error:
        raise DamagedFile(f"line {number} is not a JSON record: {error}") from error


def _text(value: bytes) -> str:
    if value.startswith(b'"'):
        return _decode_string(value)
    if value.startswith((b"{", b"[")):
        return msgspec.json.format(value, indent=-1).decode()
    return "" if value == b"null" else value.decode()
