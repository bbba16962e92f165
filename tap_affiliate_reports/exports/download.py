"""The file of a finished job, downloaded until it is complete."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import Future
from itertools import count
from pathlib import Path

from tap_affiliate_reports.errors import DamagedFile, TapError
from tap_affiliate_reports.exports.export import DownloadOutcome, StoredFile
from tap_affiliate_reports.exports.job import ExportJob, ExportSource
from tap_affiliate_reports.exports.order import ExportOrder
from tap_affiliate_reports.formats import Summary

MAX_DOWNLOADS = 3

logger = logging.getLogger(__name__)

DOWNLOAD_AGAIN = "%s: %s; downloading it again"
OTHER_ROW_COUNT = "%s: every download of job %s has %d rows; the service says %s"


class Downloads:
    """Downloads files in the background, each in a thread; `ended` is set whenever one ends."""

    def __init__(self, source: ExportSource, spool: Path, name: str) -> None:
        self.source = source
        self.ended = threading.Event()
        self._targets = (spool / f"{name}-{number}.part" for number in count(1))

    def begin(self, order: ExportOrder, job: ExportJob) -> Future[DownloadOutcome]:
        """Start to download a job's file; the future has a TapError where that fails."""
        target = next(self._targets)
        future: Future[DownloadOutcome] = Future()

        def download() -> None:
            try:
                outcome = download_complete(self.source, order, job, target)
            except Exception as error:  # it is raised where the flow reads the future
                target.unlink(missing_ok=True)
                is_expected = isinstance(error, TapError)
                future.set_exception(error if is_expected else TapError(f"{order}: {error!r}"))
            else:
                if not isinstance(outcome, StoredFile):
                    target.unlink(missing_ok=True)
                future.set_result(outcome)
            self.ended.set()

        # A daemon, unlike the threads of an executor: a process that stops does not wait for it.
        threading.Thread(target=download, name=f"download {order}", daemon=True).start()
        return future


def download_complete(
    source: ExportSource, order: ExportOrder, job: ExportJob, target: Path
) -> DownloadOutcome:
    """Store a job's file and check it; a file that seems damaged is downloaded up to three times.

    A file with another number of rows than the service reports is accepted if every download is
    the same.
    """
    kept: list[Summary] = []
    damage: DamagedFile | None = None
    for _ in range(MAX_DOWNLOADS):
        try:
            not_ready = source.download(order.request, job, target)
            if not_ready is not None:
                return not_ready
            summary = source.format_of(order.request).inspect(target)
            order.judge.check(target, summary)
        except DamagedFile as error:
            damage = error
            logger.warning(DOWNLOAD_AGAIN, order, error)
            continue
        if not summary.terminated and job.records is not None and summary.rows < job.records:
            msg = f"the file ends within a line, with {summary.rows} of {job.records} rows"
            damage = DamagedFile(msg)
            logger.warning(DOWNLOAD_AGAIN, order, damage)
            continue
        # A last line without a line end may be cut short or the vendor's habit, and a file without
        # a header a fault or an empty report: such a file is complete if a second one is the same.
        seems_complete = summary.terminated and (bool(summary.header) or job.records == 0)
        is_complete = seems_complete or summary.digest in {other.digest for other in kept}
        kept.append(summary)
        if is_complete and job.records in {None, summary.rows}:
            return StoredFile(target, summary)
    if damage is not None:
        msg = f"{order}: the file of job {job.id or 'none'} can't be used: {damage}"
        raise DamagedFile(msg)
    if len({(summary.rows, summary.terminated or summary.digest) for summary in kept}) > 1:
        msg = (
            f"{order}: the file of job {job.id or 'none'} differs on every download: it had "
            f"{[summary.rows for summary in kept]} rows, and the service says {job.records}. "
            "Run again later"
        )
        raise DamagedFile(msg)
    logger.warning(OTHER_ROW_COUNT, order, job.id or "none", kept[0].rows, job.records)
    return StoredFile(target, kept[-1])
