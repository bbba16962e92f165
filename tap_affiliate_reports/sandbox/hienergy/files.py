"""Header and rows to the bytes of a CSV file or of a workbook, the same each time."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.writer.excel import ExcelWriter

from tap_affiliate_reports.sandbox.data import NO_ESCAPE

Cell = str | int | float | Decimal | bool | datetime | date | None
"""A value as a workbook holds it; None is an empty cell."""

Table = tuple[Sequence[str], Iterable[Sequence[Cell]]]
"""A header and the rows below it."""

EPOCH = datetime(2020, 1, 1)


def text(value: Cell) -> str:
    """Return a cell as CSV has it: nothing for an empty one, ISO for a date."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, date):
        return value.isoformat()
    return "" if value is None else str(value)


def csv_file(header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> bytes:
    """Write a CSV file in UTF-8 with line ends as on Unix."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n", escapechar=NO_ESCAPE)
    writer.writerow(header)
    writer.writerows([text(value) for value in row] for row in rows)
    return buffer.getvalue().encode()


def xlsx_file(header: Sequence[str], rows: Iterable[Sequence[Cell]], title: str) -> bytes:
    """Write a workbook of one sheet with typed cells; equal input results in equal bytes."""
    book = Workbook(write_only=True)
    book.properties.created = book.properties.modified = EPOCH
    sheet = book.create_sheet(title)

    def cell(value: Cell) -> object:
        if not isinstance(value, str):
            return value
        # Text stays text: openpyxl would write "=1" as a formula and "#N/A" as an error.
        made = WriteOnlyCell(sheet, value)
        made.data_type = "s"
        return made

    for row in (header, *rows):
        sheet.append([cell(value) for value in row])
    raw = io.BytesIO()
    # Not Workbook.save(), which writes the present moment into the file.
    ExcelWriter(book, ZipFile(raw, "w")).save()
    return _undated(raw)


def _undated(raw: io.BytesIO) -> bytes:
    """Pack the members of a ZIP file again, all of one date."""
    packed = io.BytesIO()
    with ZipFile(raw) as old, ZipFile(packed, "w") as new:
        for name in old.namelist():
            new.writestr(ZipInfo(name, EPOCH.timetuple()[:6]), old.read(name), ZIP_DEFLATED)
    return packed.getvalue()
