"""The file of a finished job, downloaded until it is whole."""

from __future__ import annotations

import logging
import threading
from itertools import count
from pathlib import Path

from tap_affiliate_reports.errors import DamagedFile, TapError
from tap_affiliate_reports.exports.export import Export, Landed
from tap_affiliate_reports.exports.job import ExportJob, ExportSource
from tap_affiliate_reports.formats import Summary
from tap_affiliate_reports.http import NotReady

MAX_DOWNLOADS = 3

logger = logging.getLogger(__name__)


class Downloads:
    """Downloads files beside the flow, each in a thread of its own; `landed` is set at each end."""

    def __init__(self, source: ExportSource, spool: Path, name: str) -> None:
        self.source = source
        self.landed = threading.Event()
        self._targets = (spool / f"{name}-{number}.part" for number in count(1))

    def begin(self, export: Export, job: ExportJob) -> None:
        """Start to store a job's file; what comes of it is put into the export."""
        target = next(self._targets)

        def download() -> None:
            try:
                found: Landed = download_whole(self.source, export, job, target)
            except TapError as error:
                found = error
            except Exception as error:  # raised where the export is taken
                found = TapError(f"{export}: {error!r}")
            if not isinstance(found, tuple):
                target.unlink(missing_ok=True)
            export.landed = found
            if export.is_given_up:
                target.unlink(missing_ok=True)
            self.landed.set()

        # A daemon, because a sync that is told to stop does not wait for a download.
        threading.Thread(target=download, name=f"download {export}", daemon=True).start()


def download_whole(
    source: ExportSource, export: Export, job: ExportJob, target: Path
) -> tuple[Path, Summary] | NotReady:
    """Store a job's file and check it; a file that seems damaged is downloaded three times in all.

    A file of another number of rows than the service says is taken if it is the same each time.
    """
    kept: list[Summary] = []
    damage: DamagedFile | None = None
    for _ in range(MAX_DOWNLOADS):
        try:
            not_ready = source.download(export.request, job, target)
            if not_ready is not None:
                return not_ready
            summary = source.format_of(export.request).inspect(target)
            export.check(target, summary)
        except DamagedFile as error:
            damage = error
            logger.warning("%s: %s; downloading it again", export, error)
            continue
        if not summary.terminated and job.records is not None and summary.rows < job.records:
            msg = f"it ends within a line, with {summary.rows} of {job.records} rows"
            damage = DamagedFile(msg)
            logger.warning("%s: %s; downloading it again", export, damage)
            continue
        # A last line without an end may be cut short, or the vendor's way, and an empty file a slip
        # or an empty report: twice the same is whole.
        # Without a header a file is empty, whatever bytes it is stored as.
        seems_whole = summary.terminated and (bool(summary.header) or job.records == 0)
        whole = seems_whole or summary.digest in {other.digest for other in kept}
        kept.append(summary)
        if whole and job.records in {None, summary.rows}:
            return target, summary
    if damage is not None:
        msg = f"{export}: the file of job {job.id or 'none'} can't be taken: {damage}"
        raise DamagedFile(msg)
    if len({(summary.rows, summary.terminated or summary.digest) for summary in kept}) > 1:
        msg = (
            f"{export}: the file of job {job.id or 'none'} is another one at each download, with "
            f"{[summary.rows for summary in kept]} rows; the service says {job.records}"
        )
        raise DamagedFile(msg)
    logger.warning(
        "%s: the file of job %s has %d rows each time; the service says %s",
        export, job.id or "none", kept[0].rows, job.records,
    )  # fmt: skip
    return target, kept[-1]
