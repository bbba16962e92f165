"""Encodes the rows of a file as RECORD lines, a block of columns at a time.

The lines are equal to those of `row_parser` and the SDK's writer. All rows of a block have the same
texts between their values. So the block is built as one list of texts, in which each column fills
every n-th place, and one join returns all its lines.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from singer_sdk.contrib.msgspec import MsgSpecWriter, encoder
from singer_sdk.singerlib import RecordMessage

from tap_affiliate_reports.schema.cells import Cells, column_encoder
from tap_affiliate_reports.schema.columns import NUMBER, UNPARSED, Column, Kind

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime, tzinfo

    from tap_affiliate_reports.formats import Columns
    from tap_affiliate_reports.schema.header import HeaderMatch


class RecordLines:
    """Encodes the rows of one file, all of the same columns, as lines of RECORD messages.

    The arguments up to `selected` are those of `row_parser`. `constants` are the columns with one
    value for all rows, which precede those of the file; they include `_row_number` and `_unparsed`,
    whose values are replaced. With `bare`, a line is the record alone, as in a BATCH file.
    """

    def __init__(
        self,
        match: HeaderMatch,
        added: Sequence[Column] = (),
        *,
        timezone: tzinfo,
        singer_decimal: bool = False,
        selected: Collection[str] | None = None,
        stream: str,
        constants: Mapping[str, Any],
        version: int | None = None,
        time_extracted: datetime | None = None,
        bare: bool = False,
    ) -> None:
        self.unparsed: Counter[str] = Counter()
        """The number of values that did not fit, by column."""
        encoders = {
            kind: column_encoder(kind, timezone=timezone, singer_decimal=singer_decimal)
            for kind in Kind
        }
        present, missing = match.project(added, selected)
        self._columns = [(index, column.name, encoders[column.kind]) for index, column in present]
        names = [*constants, *(name for _, name, _ in self._columns), *missing]
        if len(set(names)) < len(names) or not {NUMBER, UNPARSED} <= constants.keys():
            raise ValueError("names must be unique, and `constants` needs the tap's columns")
        frame = MsgSpecWriter().format_message(
            RecordMessage(stream=stream, record={}, version=version, time_extracted=time_extracted)
        )
        # Quotes in a stream's name are escaped, so this text occurs only at the record.
        before, _, after = frame.decode().partition('"record":{}')
        before, after = ("", "\n") if bare else (before + '"record":', after)
        fixed = {name: None if name in missing else constants.get(name) for name in names}
        varying = {NUMBER, UNPARSED, *(name for _, name, _ in self._columns)}
        # The text before each value that varies, with the column's name.
        self._before: list[tuple[str, str]] = []
        text = before + "{"
        for place, name in enumerate(names):
            text += f"{',' if place else ''}{_json(name)}:"
            if name in varying:
                self._before.append((text, name))
                text = ""
            else:
                text += _json(fixed[name])
        self._end = text + "}" + after

    def encode(self, columns: Columns, first_number: int) -> bytes:
        """Return the lines of a block's rows; the first row has this `_row_number`."""
        rows = len(columns[0])
        cells: dict[str, Cells | None] = {
            NUMBER: Cells(list(map(str, range(first_number, first_number + rows))))
        }
        misfits: dict[int, dict[str, str]] = {}
        for index, name, encode in self._columns:
            cells[name] = found = encode(columns[index])
            if found and found.misfits:
                self.unparsed[name] += len(found.misfits)
                for place, text in found.misfits:
                    misfits.setdefault(place, {})[name] = text
        if misfits:
            texts = (_json(misfits[n]) if n in misfits else None for n in range(rows))
            cells[UNPARSED] = Cells([_json(text) for text in texts])
        return self._joined(cells, rows).encode()

    def _joined(self, cells: Mapping[str, Cells | None], rows: int) -> str:
        row: list[str] = []
        varying: list[Sequence[str]] = []
        text = ""
        for before, name in self._before:
            text += before
            column = cells.get(name)
            if column is None:
                text += "null"
            else:
                row += (text + column.quote, "")
                varying.append(column.json)
                text = column.quote
        row.append(text + self._end)
        texts = row * rows
        for place, json in enumerate(varying):
            # Python raises ValueError if a column is not as long as the block.
            texts[2 * place + 1 :: len(row)] = json
        return "".join(texts)


def _json(value: Any) -> str:
    return encoder.encode(value).decode()
