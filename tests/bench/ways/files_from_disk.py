"""This tap's BATCH files alone, from a file that is spooled and checked: FORMAT, FILE, FOLDER.

It prints the seconds, without what the check of the file takes.
"""

from __future__ import annotations

import sys
import time
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

from from_disk import KINDS
from shared import ADDED

from tap_affiliate_reports.batches import ARROW, BatchFiles, batch_config
from tap_affiliate_reports.formats import csv
from tap_affiliate_reports.record_batches import RecordBatches, open_batches
from tap_affiliate_reports.record_lines import RecordLines
from tap_affiliate_reports.schema import ADDED as ADDED_SCHEMAS
from tap_affiliate_reports.schema import Column, kind_of_property, match_header


def main(form: str, path: Path, folder: Path) -> None:
    summary = csv.inspect(path)
    kinds = zip(summary.header, KINDS * len(summary.header), strict=False)
    match = match_header(summary.header, [Column(name, name, kind) for name, kind in kinds])
    own = {"encoding": {"format": form}, "storage": {"root": str(folder)}, "batch_size": 10_000_000}
    config = batch_config({"batch_config": own})
    assert config is not None
    constants = {**ADDED, "_row_number": 0}
    zone = ZoneInfo("America/New_York")
    began = time.perf_counter()
    if form == ARROW:
        added = {name: kind_of_property(schema) for name, schema in ADDED_SCHEMAS.items()}
        batches = RecordBatches(match, timezone=zone, constants=constants, kinds=added)
        open_writer = partial(open_batches, schema=batches.schema)
        files = BatchFiles(config, "bench", folder, lambda _: None, open_writer)
        for batch in batches.batches(csv.read_blocks(path, summary)):
            files.write(batch, batch.num_rows)
    else:
        lines = RecordLines(match, timezone=zone, stream="bench", constants=constants, bare=True)
        files, number = BatchFiles(config, "bench", folder, lambda _: None), 1
        for block in csv.read_columns(path, summary.header):
            files.write(lines.encode(block, number), len(block[0]))
            number += len(block[0])
    files.finish()
    print(time.perf_counter() - began)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
