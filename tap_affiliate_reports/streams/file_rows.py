"""The rows of one file on their way out: as lines, in BATCH files, or as single records."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

from tap_affiliate_reports.batches import ARROW, BatchFiles, BlockWriter, batch_config
from tap_affiliate_reports.exports.export import Export, ResultFile
from tap_affiliate_reports.formats import BLOCK_ROWS
from tap_affiliate_reports.record_lines import RecordLines
from tap_affiliate_reports.schema import (
    Column,
    Kind,
    json_text,
    kind_of_property,
    match_header,
    row_parser,
    unknown_columns,
)
from tap_affiliate_reports.sdk import BatchConfig, SDKBatchMessage
from tap_affiliate_reports.zones import zone_name

if TYPE_CHECKING:
    from tap_affiliate_reports.streams.table import TableStream

VERSION = "_sdc_table_version"
# Half of a SHA-256: the state has one for each window that may still change.
CONTENT_LENGTH = 32
VALUES_UNPARSED = "%s: %d values of %s do not fit its type and are kept in _unparsed"


class FileRows:
    """The rows of a file; `constants` are the columns that the tap adds to each.

    After `records`, `unparsed` is how many values did not fit their column's type.
    """

    def __init__(
        self,
        stream: TableStream,
        export: Export,
        result: ResultFile,
        constants: Mapping[str, Any],
    ) -> None:
        self.stream = stream
        self.export = export
        self.constants = constants
        self.unparsed = 0
        summary = result.summary
        self._format = stream.source.exports.format_of(export.order.request)
        self._path, self._header = result.path, summary.header
        self._summary = summary
        self._match = match_header(stream.names_of(summary.header), stream.columns)
        self._new: Sequence[Column] = ()
        # Only blocks can go into BATCH files; a map must see each row.
        self._in_blocks = stream.writes_blocks and not stream.is_mapped
        self._batches = batch_config(stream.config) if self._in_blocks else None

    @property
    def _is_arrow(self) -> bool:
        """Whether the rows go into Arrow files, in which fewer values fit."""
        return self._batches is not None and self._batches.encoding.format == ARROW

    def content(self) -> str:
        """Return a digest of all that the records depend on, but the date of the file."""
        stream, summary = self.stream, self._summary
        new = unknown_columns(self._match.unknown, stream.schema["properties"], summary.kinds)
        mask = stream.mask
        selected = {c.name for c in (*stream.columns, *new) if mask[("properties", c.name)]}
        present, _ = self._match.project(new, selected)
        constants = {k: v for k, v in self.constants.items() if k != "_refreshed_at"}
        parts = [
            # Another version may read a value in another way.
            stream.tap.plugin_version,
            summary.digest,
            [[index, column.name, column.kind.value] for index, column in present],
            stream.singer_decimal,
            zone_name(stream.source.zone),
            constants,
            stream.map_settings(),
            self._is_arrow,
        ]
        return hashlib.sha256(json_text(parts).encode()).hexdigest()[:CONTENT_LENGTH]

    def records(self) -> Iterator[dict[str, Any]]:
        """Write the rows in blocks; yield them as records only where a map must see each."""
        if self._header:
            self.stream.warn_of_missing(self.export, self._match.missing)
        if self._match.unknown and self._summary.rows:
            unknown, kinds = self._match.unknown, self._summary.kinds
            self._new = self.stream.add_columns(self.export, unknown, kinds)
        self.stream.totals.rows_of_file = 0
        if not self._in_blocks:
            unparsed = yield from self._one_by_one()
        elif self._batches is None:
            unparsed = self._as_lines()
        elif self._is_arrow:
            unparsed = self._as_arrow(self._batches)
        else:
            unparsed = self._as_batches(self._batches)
        for name, count in unparsed.items():
            self.stream.logger.warning(VALUES_UNPARSED, self.export, count, name)
        self.unparsed = unparsed.total()

    def _as_lines(self) -> Counter[str]:
        lines = self._lines(self.constants)
        for block, rows in self._encoded(lines):
            self.stream.run.writer.write_lines(block)
            self._count(rows)
        return lines.unparsed

    def _as_batches(self, config: BatchConfig) -> Counter[str]:
        lines = self._lines(self._with_version(), bare=True)
        with self._files(config) as files:
            for block, rows in self._encoded(lines):
                files.write(block, rows)
                self._count(rows)
        return lines.unparsed

    def _as_arrow(self, config: BatchConfig) -> Counter[str]:
        # Importing pyarrow is slow, and it is an extra of this package.
        from tap_affiliate_reports.record_batches import RecordBatches, open_batches

        kinds = {name: kind_of_property(schema) for name, schema in self.stream.added.items()}
        encoded = RecordBatches(
            self._match,
            self._new,
            timezone=self.stream.source.zone,
            selected=self.stream.selected_columns,
            constants=self._with_version(),
            kinds={**kinds, VERSION: Kind.INTEGER},
        )
        blocks = self._format.read_blocks(self._path, self._summary)
        with self._files(config, lambda file: open_batches(file, encoded.schema)) as files:
            for batch in encoded.batches(blocks):
                rest = batch
                while rest.num_rows:
                    part = rest.slice(0, files.room)
                    files.write(part, part.num_rows)
                    rest = rest.slice(part.num_rows)
                self._count(batch.num_rows)
        return encoded.unparsed

    def _with_version(self) -> Mapping[str, Any]:
        # A loader adds the version of a RECORD message itself. Without it, the next
        # ACTIVATE_VERSION would retire the row.
        return {**self.constants, VERSION: self.stream.version}

    @contextmanager
    def _files(
        self,
        config: BatchConfig,
        open_writer: Callable[[IO[bytes]], BlockWriter] | None = None,
    ) -> Iterator[BatchFiles]:
        version, writer = self.stream.version, self.stream.run.writer

        def announce(url: str) -> None:
            message = SDKBatchMessage(self.stream.name, config.encoding, [url], version)
            writer.write_message(message)

        name = f"{self.stream.tap_name}--{self.stream.name}"
        files = BatchFiles(config, name, self.stream.run.spool, announce, open_writer)
        try:
            yield files
        finally:
            # Its records are counted, so they are announced even if the rest can't be read.
            files.finish()

    def _lines(self, constants: Mapping[str, Any], *, bare: bool = False) -> RecordLines:
        return RecordLines(
            self._match,
            self._new,
            timezone=self.stream.source.zone,
            singer_decimal=self.stream.singer_decimal,
            selected=self.stream.selected_columns,
            stream=self.stream.name,
            constants=constants,
            version=self.stream.version,
            time_extracted=self.stream.extracted_at,
            bare=bare,
        )

    def _encoded(self, lines: RecordLines) -> Iterator[tuple[bytes, int]]:
        number = 1
        for columns in self._format.read_columns(self._path, self._header):
            yield lines.encode(columns, number), len(columns[0])
            number += len(columns[0])

    def _count(self, rows: int) -> None:
        """Count rows that are written, and do what is due in the queues."""
        self.stream.count_rows(rows)
        self.stream.totals.rows_of_file = (self.stream.totals.rows_of_file or 0) + rows
        self.stream.run.advance()

    def _one_by_one(self) -> Generator[dict[str, Any], None, Counter[str]]:
        parse = row_parser(
            self._match,
            self._new,
            timezone=self.stream.source.zone,
            singer_decimal=self.stream.singer_decimal,
            selected=self.stream.selected_columns,
        )
        unparsed: Counter[str] = Counter()
        rows = self._format.read_rows(self._path, self._header)
        for number, row in enumerate(rows, 1):
            values, misfits = parse(row)
            record = {**self.constants, **values}
            record["_row_number"] = number
            if misfits:
                record["_unparsed"] = json_text(misfits)
                unparsed.update(misfits.keys())
            yield record
            if number % BLOCK_ROWS == 0:
                self.stream.totals.rows_of_file = number
                self.stream.run.advance()
        return unparsed
