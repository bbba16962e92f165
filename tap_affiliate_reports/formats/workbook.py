"""XLSX, read as a stream: the first sheet with rows, and those after it with the same header.

The type of a cell decides its kind. Numbers in a spreadsheet are doubles; each becomes the shortest
decimal that rounds to the same double.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import tempfile
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from typing import IO, TYPE_CHECKING, Any

from tap_affiliate_reports.errors import DamagedFile
from tap_affiliate_reports.formats import MAX_RECORD, Summary, in_columns
from tap_affiliate_reports.packed import BROKEN_GZIP, unpacked
from tap_affiliate_reports.schema import Kind, Unreadable

if TYPE_CHECKING:
    from pathlib import Path

    from tap_affiliate_reports.formats import Columns

# The limit of the format; a larger row number is an error.
MAX_ROWS = 1_048_576
# All parts but the sheets are read into memory, above all the shared texts.
MAX_HELD = 256 * 1024 * 1024
# A workbook is compressed already, so its gzip file is hardly smaller.
MAX_UNPACKED = 1024 * 1024 * 1024
CHUNK = 1024 * 1024

SKIPPED_SHEET = "skipped the sheet %r: its header differs from the first sheet's"

logger = logging.getLogger(__name__)


def inspect(path: Path) -> Summary:
    """Read the complete file; raise DamagedFile if it can't be used."""
    digest = hashlib.sha256()
    with _content(path) as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    header: list[str] = []
    kinds: list[set[Kind]] = []
    rows = 0
    for number, cells in enumerate(_rows(path, logging.WARNING)):
        if number == 0:
            header = [_text(cell) for cell in cells]
            kinds = [set() for _ in header]
            continue
        rows += 1
        # Cells beyond the header belong to columns without a name.
        header.extend([""] * (len(cells) - len(header)))
        kinds.extend(set() for _ in range(len(cells) - len(kinds)))
        for index, cell in enumerate(cells):
            if cell is not None and cell != "":
                kinds[index].add(_kind(cell))
    return Summary(
        header=header,
        rows=rows,
        size=path.stat().st_size,
        digest=digest.hexdigest(),
        terminated=True,
        kinds=tuple(found.pop() if len(found) == 1 else Kind.STRING for found in kinds),
    )


def read_rows(path: Path, header: Sequence[str]) -> Iterator[list[str]]:
    """Yield the rows after the header as text, each as wide as the header that `inspect` found."""
    for number, cells in enumerate(_rows(path)):
        if number:
            yield [*map(_text, cells), *[""] * (len(header) - len(cells))]


def read_columns(path: Path, header: Sequence[str]) -> Iterator[Columns]:
    """Yield the same rows as blocks of columns."""
    return in_columns(read_rows(path, header))


def read_blocks(path: Path, summary: Summary) -> Iterator[Columns]:
    """Yield the same rows as blocks of columns."""
    return read_columns(path, summary.header)


def _rows(path: Path, level: int = logging.DEBUG) -> Iterator[list[Any]]:
    """Yield the header and the rows that have a value, without the empty cells at their end.

    Skipped sheets are logged at this level.
    """
    # Importing openpyxl is slow, and few syncs read a workbook.
    from tap_affiliate_reports.formats.spreadsheet import Package

    # openpyxl warns of dates that are out of range.
    warnings.filterwarnings("ignore", module="openpyxl")
    header: list[Any] | None = None
    try:
        with contextlib.ExitStack() as stack:
            file = stack.enter_context(_content(path))
            if not file.read(1):
                return
            archive = stack.enter_context(zipfile.ZipFile(file))
            _check_size(archive)
            for title, sheet in Package(archive).sheets():
                rows = _filled(sheet)
                own = next(rows, None)
                if own is None:
                    continue
                own = [c.text if isinstance(c, Unreadable) else c for c in own]
                if header is not None and own != header:
                    logger.log(level, SKIPPED_SHEET, title)
                    continue
                if header is None:
                    header = own
                    yield own
                yield from rows
    except DamagedFile:
        raise
    except Exception as error:  # openpyxl raises many types of errors for broken files
        msg = f"not a workbook, or a damaged one: {type(error).__name__}: {error}"
        raise DamagedFile(msg) from error
    if header is None or not any(_text(name).strip() for name in header):
        raise DamagedFile("the workbook has no header: all cells of its sheets are empty")


def _check_size(archive: zipfile.ZipFile) -> None:
    held = (p for p in archive.infolist() if not p.filename.startswith("xl/worksheets/"))
    if sum(part.file_size for part in held) > MAX_HELD:
        msg = f"the parts of a workbook besides its sheets have more than {MAX_HELD} bytes"
        raise DamagedFile(msg)


@contextlib.contextmanager
def _content(path: Path) -> Iterator[IO[bytes]]:
    """Open the file, or the decompressed copy of a gzip file: reading a workbook needs seeking."""
    with path.open("rb") as file, tempfile.TemporaryFile(dir=path.parent) as copy:
        try:
            stream = unpacked(file)
            if stream is file:
                yield file
                return
            while chunk := stream.read(CHUNK):
                copy.write(chunk)
                if copy.tell() > MAX_UNPACKED:
                    msg = f"the decompressed workbook has more than {MAX_UNPACKED} bytes"
                    raise DamagedFile(msg)
        except BROKEN_GZIP as error:
            msg = f"unreadable gzip: {error}"
            raise DamagedFile(msg) from error
        copy.seek(0)
        yield copy


def _filled(rows: Iterable[tuple[int, list[Any]]]) -> Iterator[list[Any]]:
    for number, row in rows:
        if number > MAX_ROWS:
            msg = f"more than {MAX_ROWS} rows in a sheet"
            raise DamagedFile(msg)
        while row and row[-1] in {None, ""} and not isinstance(row[-1], Unreadable):
            row.pop()
        if row:
            yield row


def _kind(cell: Any) -> Kind:
    if isinstance(cell, bool):
        return Kind.BOOLEAN
    if isinstance(cell, (int, float)):
        return Kind.DECIMAL
    return Kind.DATETIME if isinstance(cell, date) else Kind.STRING  # a datetime is a date too


def _text(cell: Any) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, float):
        return repr(cell)
    if isinstance(cell, Unreadable):
        return cell
    text = cell.isoformat() if isinstance(cell, (date, datetime)) else str(cell)
    if len(text) > MAX_RECORD:
        msg = f"a cell of more than {MAX_RECORD} characters"
        raise DamagedFile(msg)
    return text.replace("\0", "")
