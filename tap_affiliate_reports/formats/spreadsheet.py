"""Reads the sheets of an XLSX package as rows of values, one row at a time.

Only the parts with values are read, not fonts, fills, themes, names, links or validations, so that
errors in those do not make a workbook unreadable. Styles are read because they make a number a
date. "Strict Open XML Spreadsheet" is the same format with other XML namespaces.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any, NamedTuple
from xml.etree.ElementTree import Element, SubElement

from openpyxl.packaging.relationship import get_dependents, get_rels_path
from openpyxl.styles.numbers import builtin_format_code, is_date_format, is_timedelta_format
from openpyxl.utils.datetime import CALENDAR_MAC_1904, CALENDAR_WINDOWS_1900
from openpyxl.worksheet._reader import (
    FORMULA_TAG,
    INLINE_STRING,
    ROW_TAG,
    VALUE_TAG,
    WorkSheetParser,
)
from openpyxl.worksheet.cell_range import CellRange
from openpyxl.xml.constants import (
    ARC_ROOT_RELS,
    ARC_SHARED_STRINGS,
    ARC_STYLE,
    ARC_WORKBOOK,
    SHEET_MAIN_NS,
)
from openpyxl.xml.functions import iterparse

from tap_affiliate_reports.errors import DamagedFile
from tap_affiliate_reports.schema import Unreadable

if TYPE_CHECKING:
    from zipfile import ZipFile

_MAIN = f"{{{SHEET_MAIN_NS}}}"
_STRICT = "{http://purl.oclc.org/ooxml/spreadsheetml/main}"


class Package:
    """A workbook: its shared texts and styles, and its sheets in their order."""

    def __init__(self, archive: ZipFile) -> None:
        self._archive = archive
        self._parts = set(archive.namelist())
        main = dict(self._related(ARC_ROOT_RELS).values()).get("officeDocument", ARC_WORKBOOK)
        workbook = self._tree(main)
        targets = self._related(get_rels_path(main))  # type: ignore[no-untyped-call]
        related = dict(targets.values())
        properties = workbook.find(f"{_MAIN}workbookPr")
        is_1904 = properties is not None and properties.get("date1904") in {"1", "true"}
        self._epoch = CALENDAR_MAC_1904 if is_1904 else CALENDAR_WINDOWS_1900
        self._strings = list(self._texts(related.get("sharedStrings", ARC_SHARED_STRINGS)))
        self._dates, self._durations = self._date_styles(related.get("styles", ARC_STYLE))
        self._sheets = [
            (sheet.get("name", ""), targets[reference])
            for sheet in workbook.iterfind(f"{_MAIN}sheets/{_MAIN}sheet")
            # The strict form has a different namespace.
            if (reference := next((v for k, v in sheet.items() if k.endswith("}id")), ""))
        ]

    def sheets(self) -> Iterator[tuple[str, Iterator[tuple[int, list[Any]]]]]:
        """Yield the title of each worksheet and its rows as (row number, values)."""
        for title, (kind, part) in self._sheets:
            if kind != "chartsheet":
                yield title, self._rows(part)

    def _rows(self, part: str) -> Iterator[tuple[int, list[Any]]]:
        cells = _Cells(
            None,
            self._strings,
            data_only=True,
            epoch=self._epoch,
            date_formats=self._dates,
            timedelta_formats=self._durations,
        )
        with self._archive.open(part) as source:
            for element in _elements(source):
                if element.tag == ROW_TAG:
                    yield cells.row(element)
                    element.clear()
        if element.tag.endswith("}worksheet") and not element.tag.startswith(_MAIN):
            msg = f"the sheet {part} has an unknown XML namespace: {element.tag[:80]}"
            raise DamagedFile(msg)

    def _related(self, part: str) -> dict[str, tuple[str, str]]:
        """Return the (type, name) of each part in a file of relationships, by id."""
        related = get_dependents(self._archive, part) if part in self._parts else ()
        return {r.Id or "": (r.Type.rpartition("/")[2], r.target) for r in related}

    def _tree(self, part: str) -> Element:
        with self._archive.open(part) as source:
            *_, root = _elements(source)
        return root

    def _texts(self, part: str) -> Iterator[str]:
        """Yield the shared texts of cells."""
        if part in self._parts:
            with self._archive.open(part) as source:
                for element in _elements(source):
                    if element.tag == f"{_MAIN}si":
                        # Remove the escape of an underscore.
                        yield _text_of(element).replace("x005F_", "")
                        element.clear()

    def _date_styles(self, part: str) -> tuple[set[int], set[int]]:
        """Return the numbers of the cell styles for dates, and of those for durations.

        Only the number format of a style is used.
        """
        dates, durations = set(), set()
        if part in self._parts:
            root = self._tree(part)
            codes = {
                format_.get("numFmtId"): format_.get("formatCode")
                for format_ in root.iterfind(f"{_MAIN}numFmts/{_MAIN}numFmt")
            }
            for number, style in enumerate(root.iterfind(f"{_MAIN}cellXfs/{_MAIN}xf")):
                format_id = style.get("numFmtId", "")
                code = codes.get(format_id)
                if code is None and format_id.isdecimal():
                    code = builtin_format_code(int(format_id))
                if is_date_format(code):
                    dates.add(number)
                if is_timedelta_format(code):
                    durations.add(number)
        return dates, durations


class _Array(NamedTuple):
    """The range of cells that one formula without a stored value fills."""

    left: int
    top: int
    right: int
    bottom: int
    formula: Unreadable


class _Cells(WorkSheetParser):
    """Reads cells as openpyxl does; a formula without a stored value is Unreadable."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._arrays: list[_Array] = []

    def row(self, element: Element) -> tuple[int, list[Any]]:
        """Return the row's number and its values, each at the place of its column."""
        number, cells = self.parse_row(element)  # type: ignore[arg-type]
        # The parser would keep the heights of all rows in memory.
        self.row_dimensions.clear()
        values: list[Any] = [None] * max((cell["column"] for cell in cells), default=0)
        for cell in cells:
            values[cell["column"] - 1] = cell["value"]
        self._arrays = [array for array in self._arrays if number <= array.bottom]
        for array in self._arrays:
            if array.top <= number:
                values.extend([None] * (array.right - len(values)))
                for column in range(array.left - 1, array.right):
                    if values[column] is None:
                        values[column] = array.formula
        return number, values

    def parse_cell(self, element: Element) -> dict[str, Any]:
        _flatten_inline_text(element)
        cell: dict[str, Any] = super().parse_cell(element)
        formula = element.find(FORMULA_TAG)
        if formula is None:
            return cell
        value = element.find(VALUE_TAG)
        # Only the stored value of a text may be empty.
        is_stored = cell["value"] is not None or (value is not None and element.get("t") == "str")
        if not is_stored:
            cell["value"] = unreadable = Unreadable(self._formula_of(element, formula))
            reference = formula.get("ref", "")
            if formula.get("t") in {"array", "dataTable"} and ":" in reference:
                array = CellRange(reference)
                self._arrays.append(
                    _Array(array.min_col, array.min_row, array.max_col, array.max_row, unreadable)
                )
        elif formula.get("t") == "shared" and formula.text:
            # Another cell may share this formula and have no value.
            self._formula_of(element, formula)
        return cell

    def _formula_of(self, element: Element, formula: Element) -> str:
        """Return the text of a formula as spreadsheet programs display it."""
        if formula.get("t") == "dataTable":
            return f"=TABLE({formula.get('r1', '')},{formula.get('r2', '')})"
        with contextlib.suppress(Exception):  # a formula that can't be translated is kept
            found = self.parse_formula(element)  # type: ignore[no-untyped-call]
            return str(getattr(found, "text", found))
        return f"={formula.text or ''}"


def _elements(source: IO[bytes]) -> Iterator[Element]:
    """Yield each element at its end; those of the strict form get their usual names."""
    for _, element in iterparse(source):
        if element.tag.startswith(_STRICT):
            element.tag = _MAIN + element.tag[len(_STRICT) :]
        yield element


def _flatten_inline_text(cell: Element) -> None:
    """Store an inline text as the value of its cell, without its fonts."""
    if cell.get("t") == "inlineStr" and (inline := cell.find(INLINE_STRING)) is not None:
        cell.set("t", "str")
        for value in cell.findall(VALUE_TAG):
            cell.remove(value)
        SubElement(cell, VALUE_TAG).text = _text_of(inline)


def _text_of(element: Element) -> str:
    """Return the text of all runs, without their fonts and without phonetic hints."""
    runs = (run for run in element if run.tag in {f"{_MAIN}t", f"{_MAIN}r"})
    texts = (run if run.tag == f"{_MAIN}t" else run.find(f"{_MAIN}t") for run in runs)
    return "".join(text.text or "" for text in texts if text is not None)
