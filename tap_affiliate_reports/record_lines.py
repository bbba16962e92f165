"""Rows of a file -> RECORD lines, a block at a time: what `row_parser` says, column by column.

Between the values of a block stand the same few texts in every row. So the block is one list of
texts, in which each column is put into every n-th place, and one join makes all lines of it.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from singer_sdk.contrib.msgspec import MsgSpecWriter, encoder
from singer_sdk.singerlib import RecordMessage

from tap_affiliate_reports.schema.cells import Cells, column_encoder
from tap_affiliate_reports.schema.columns import Column, Kind

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime, tzinfo

    from tap_affiliate_reports.formats import Columns
    from tap_affiliate_reports.schema.header import HeaderMatch

NUMBER = "_row_number"
UNPARSED = "_unparsed"


class RecordLines:
    """Encodes the rows of one file, all of the same columns, as lines of RECORD messages.

    `match` and the settings up to `selected` are those of `row_parser`; `constants` are the
    columns that all rows share and go before the file's, `_row_number` and `_unparsed` among them.
    With `bare`, a line is the record alone, as in a BATCH file.
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
        """How many values did not fit, by column."""
        if added and len(added) != len(match.unknown):
            raise ValueError("one column is needed for each unknown name")
        encoders = {
            kind: column_encoder(kind, timezone=timezone, singer_decimal=singer_decimal)
            for kind in Kind
        }
        found = [*match.found, *zip((index for index, _ in match.unknown), added, strict=False)]
        self._columns = [
            (index, column.name, encoders[column.kind])
            for index, column in found
            if selected is None or column.name in selected
        ]
        missing = [c.name for c in match.missing if selected is None or c.name in selected]
        names = [*constants, *(name for _, name, _ in self._columns), *missing]
        if len(set(names)) < len(names) or not {NUMBER, UNPARSED} <= constants.keys():
            raise ValueError("each column needs a name of its own, and the tap's must be there")
        frame = MsgSpecWriter().format_message(
            RecordMessage(stream=stream, record={}, version=version, time_extracted=time_extracted)
        )
        # No quote of a name is without its backslash, so this is the record's place.
        before, _, after = frame.decode().partition('"record":{}')
        before, after = ("", "\n") if bare else (before + '"record":', after)
        fixed = {name: None if name in missing else constants.get(name) for name in names}
        varying = {NUMBER, UNPARSED, *(name for _, name, _ in self._columns)}
        # What stands before each value that varies, and after the last.
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
        """Return the lines of a block's rows, of which the first has this `_row_number`."""
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
            # Python itself refuses a column that is not as long as the block.
            texts[2 * place + 1 :: len(row)] = json
        return "".join(texts)


def _json(value: Any) -> str:
    return encoder.encode(value).decode()
