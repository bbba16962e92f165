"""Encodes the rows of a file as Arrow record batches, for BATCH files.

The values are those of `row_parser`, but for decimals of more than 38 digits and date-times of less
than a microsecond, which do not fit Arrow's types. Plain CSV is split by Arrow's own reader, in
threads, because Arrow does not hold the interpreter's lock.
"""

from __future__ import annotations

from collections import Counter, deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
from pyarrow import csv, ipc

from tap_affiliate_reports.errors import DamagedFile
from tap_affiliate_reports.formats import PlainText
from tap_affiliate_reports.schema import json_text
from tap_affiliate_reports.schema.arrays import TYPES, ArrayCells, array_encoder, texts_of
from tap_affiliate_reports.schema.columns import NUMBER, UNPARSED, Kind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from datetime import tzinfo

    from tap_affiliate_reports.formats import Columns
    from tap_affiliate_reports.schema import Column, HeaderMatch

# Each call of Arrow has a fixed cost, so that blocks should be large.
_TEXT_LENGTH = 4 * 1024 * 1024
_THREADS = 2


class RecordBatches:
    """Encodes the rows of one file, all of the same columns, as record batches of one schema.

    The arguments up to `selected` are those of `row_parser`. `constants` are the columns with one
    value for all rows, which precede those of the file, and `kinds` are their types; they include
    `_row_number` and `_unparsed`, whose values are replaced.
    """

    def __init__(
        self,
        match: HeaderMatch,
        added: Sequence[Column] = (),
        *,
        timezone: tzinfo,
        selected: Collection[str] | None = None,
        constants: Mapping[str, Any],
        kinds: Mapping[str, Kind],
    ) -> None:
        self.unparsed: Counter[str] = Counter()
        """The number of values that did not fit, by column."""
        encoders = {kind: array_encoder(kind, timezone=timezone) for kind in Kind}
        present, missing = match.project(added, selected)
        self._width = len(match.found) + len(match.unknown)
        self._columns = [(index, column.name, encoders[column.kind]) for index, column in present]
        types = {name: TYPES[kinds[name]] for name in constants}
        types.update((column.name, TYPES[column.kind]) for _, column in present)
        types.update((c.name, TYPES[c.kind]) for c in match.missing if c.name in missing)
        self.schema = pa.schema(list(types.items()))
        """The columns of the batches, with their Arrow types."""
        self._constants = {
            name: pa.scalar(value).cast(types[name])
            for name, value in constants.items()
            if value is not None
        }

    def batches(self, blocks: Iterable[Columns | PlainText]) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a file's blocks, in their order."""
        first_number = 1
        for rows, cells in self._converted(_joined(blocks)):
            yield self._batch(rows, cells, first_number)
            first_number += rows

    def _converted(self, blocks: Iterable[Columns | PlainText]) -> Iterator[_Converted]:
        waiting: deque[Future[_Converted]] = deque()
        with ThreadPoolExecutor(_THREADS, "arrow") as threads:
            for block in blocks:
                waiting.append(threads.submit(self._convert, block))
                if len(waiting) > _THREADS:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

    def _convert(self, block: Columns | PlainText) -> _Converted:
        if isinstance(block, PlainText):
            arrays = _split(block, self._width, [index for index, *_ in self._columns])
            cells = [encode(arrays[index]) for index, _, encode in self._columns]
            return _Converted(block.rows, cells)
        cells = []
        for index, _, encode in self._columns:
            texts, unreadable = texts_of(block[index])
            column = encode(texts)
            cells.append(ArrayCells(column.values, [*column.misfits, *unreadable]))
        return _Converted(len(block[0]), cells)

    def _batch(self, rows: int, cells: Sequence[ArrayCells], first_number: int) -> pa.RecordBatch:
        arrays = {
            name: pa.repeat(self._constants[name], rows)
            if name in self._constants
            else pa.nulls(rows, self.schema.field(name).type)
            for name in self.schema.names
        }
        arrays[NUMBER] = pa.array(range(first_number, first_number + rows), pa.int64())
        misfits: dict[int, dict[str, str]] = {}
        for (_, name, _), column in zip(self._columns, cells, strict=True):
            arrays[name] = column.values
            if column.misfits:
                self.unparsed[name] += len(column.misfits)
                for place, text in column.misfits:
                    misfits.setdefault(place, {})[name] = text
        if misfits:
            texts = [json_text(misfits[n]) if n in misfits else None for n in range(rows)]
            arrays[UNPARSED] = pa.array(texts, pa.string())
        return pa.record_batch(list(arrays.values()), schema=self.schema)


class _Converted(NamedTuple):
    """The columns of a file of one block, as arrays."""

    rows: int
    cells: Sequence[ArrayCells]


def _joined(blocks: Iterable[Columns | PlainText]) -> Iterator[Columns | PlainText]:
    """Yield blocks with as many blocks of plain text joined as Arrow needs to be fast."""
    texts: list[str] = []
    rows = length = 0
    for block in blocks:
        if isinstance(block, PlainText):
            texts.append(block.text)
            rows, length = rows + block.rows, length + len(block.text)
            if length < _TEXT_LENGTH:
                continue
        if texts:
            yield PlainText(rows, "".join(texts))
            texts, rows, length = [], 0, 0
        if not isinstance(block, PlainText):
            yield block
    if texts:
        yield PlainText(rows, "".join(texts))


def _split(block: PlainText, width: int, indexes: Sequence[int]) -> dict[int, pa.Array]:
    """Return the texts of some columns of plain CSV; an empty text is null."""
    content = block.text.encode()
    table = csv.read_csv(
        pa.BufferReader(content),
        csv.ReadOptions(
            use_threads=False,
            block_size=len(content) + 1,
            column_names=[str(index) for index in range(width)],
        ),
        csv.ParseOptions(newlines_in_values=True),
        csv.ConvertOptions(
            column_types={str(index): pa.string() for index in range(width)},
            include_columns=[str(index) for index in indexes],
            null_values=[""],
            strings_can_be_null=True,
        ),
    )
    if table.num_rows != block.rows:
        msg = f"Arrow's CSV reader finds {table.num_rows} rows where there are {block.rows}"
        raise DamagedFile(msg)
    return {index: table.column(str(index)).combine_chunks() for index in indexes}


def open_batches(file: IO[bytes], schema: pa.Schema) -> ipc.RecordBatchFileWriter:
    """Return a writer of record batches into an Arrow IPC file."""
    return ipc.new_file(file, schema)
