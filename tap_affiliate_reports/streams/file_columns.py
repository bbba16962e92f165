"""The columns of finished exports, read from the newest files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tap_affiliate_reports.exports.download import download_complete
from tap_affiliate_reports.exports.export import StoredFile
from tap_affiliate_reports.exports.job import ExportJob, ExportRequest
from tap_affiliate_reports.exports.order import ExportOrder
from tap_affiliate_reports.schema import ADDED_TO_FILES, Column, unknown_columns
from tap_affiliate_reports.sources.source import FileSpec, Source

# How many recent files to look at for column types: the first that has a row decides.
NEWEST = 3


def newest_columns(
    source: Source, spec: FileSpec, jobs: Sequence[ExportJob], spool: Path
) -> Sequence[Column]:
    """Return the columns of the newest of these finished files, none if there is no file."""
    newest: Sequence[Column] = ()
    for job in reversed(jobs[-NEWEST:]):
        target = spool / f"{spec.name}.part"
        order = ExportOrder(spec.name, f"export {job.id}", ExportRequest(spec.name))
        stored = download_complete(source.exports, order, job, target)
        if not isinstance(stored, StoredFile):
            continue
        target.unlink()
        summary = stored.summary
        named = unknown_columns(enumerate(summary.header), ADDED_TO_FILES, summary.kinds)
        # The header's own name is not kept in the state, so the column's name is its source.
        columns = [Column(c.name, c.name, c.kind) for c in named]
        if summary.rows:
            return columns
        newest = newest or columns
    return newest
