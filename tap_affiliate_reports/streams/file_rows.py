"""The rows of one file on their way out: as lines, in BATCH files, or as single records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tap_affiliate_reports.batches import BatchFiles, batch_config
from tap_affiliate_reports.exports.export import Export, ResultFile
from tap_affiliate_reports.formats import BLOCK_ROWS
from tap_affiliate_reports.record_lines import RecordLines
from tap_affiliate_reports.schema import Column, json_text, match_header, row_parser
from tap_affiliate_reports.sdk import BatchConfig, SDKBatchMessage

if TYPE_CHECKING:
    from tap_affiliate_reports.streams.table import TableStream

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
        self._match = match_header(stream.names_of(summary.header), stream.columns)
        if summary.header:
            stream.warn_of_missing(export, self._match.missing)
        self._new: Sequence[Column] = ()
        if self._match.unknown and summary.rows:
            self._new = stream.add_columns(export, self._match.unknown, summary.kinds)

    def records(self) -> Iterator[dict[str, Any]]:
        """Write the rows in blocks; yield them as records only where a map must see each."""
        self.stream.totals.rows_of_file = 0
        if self.stream.is_mapped or not self.stream.writes_blocks:
            unparsed = yield from self._one_by_one()
        elif (config := batch_config(self.stream.config)) is None:
            unparsed = self._as_lines()
        else:
            unparsed = self._as_batches(config)
        for name, count in unparsed.items():
            self.stream.logger.warning(VALUES_UNPARSED, self.export, count, name)
        self.unparsed = unparsed.total()

    def _as_lines(self) -> Counter[str]:
        lines = self._lines(self.constants)
        writer = self.stream.run.writer
        self._in_blocks(lines, lambda block, _: writer.write_lines(block))
        return lines.unparsed

    def _as_batches(self, config: BatchConfig) -> Counter[str]:
        version, writer = self.stream.version, self.stream.run.writer

        def announce(url: str) -> None:
            message = SDKBatchMessage(self.stream.name, config.encoding, [url], version)
            writer.write_message(message)

        # A loader adds the version of a RECORD message itself. Without it, the next
        # ACTIVATE_VERSION would retire the row.
        lines = self._lines({**self.constants, "_sdc_table_version": version}, bare=True)
        name = f"{self.stream.tap_name}--{self.stream.name}"
        files = BatchFiles(config, name, self.stream.run.spool, announce)
        try:
            self._in_blocks(lines, files.write)
        finally:
            # Its records are counted, so they are announced even if the rest can't be read.
            files.finish()
        return lines.unparsed

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

    def _in_blocks(self, lines: RecordLines, write: Callable[[bytes, int], None]) -> None:
        number = 1
        for columns in self._format.read_columns(self._path, self._header):
            rows = len(columns[0])
            write(lines.encode(columns, number), rows)
            number += rows
            self.stream.count_rows(rows)
            self.stream.totals.rows_of_file = number - 1
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
