"""The streams.

`base.AffiliateStream` is what all of them share. `lists.ListStream` is a list that an API answers
at once. `table.TableStream` is what the streams share whose rows come from result files:
`report.ReportStream`, whose pages are windows, and `files.FilesStream`, each of whose files is
loaded once. `audit.ReportWindowsStream` has a row for each loaded window.
"""

from __future__ import annotations

from tap_affiliate_reports.streams.audit import ReportWindowsStream
from tap_affiliate_reports.streams.base import AffiliateStream
from tap_affiliate_reports.streams.file_columns import newest_columns
from tap_affiliate_reports.streams.files import FilesStream
from tap_affiliate_reports.streams.lists import ListStream
from tap_affiliate_reports.streams.report import ReportStream
from tap_affiliate_reports.streams.table import TableStream

__all__ = [
    "AffiliateStream",
    "FilesStream",
    "ListStream",
    "ReportStream",
    "ReportWindowsStream",
    "TableStream",
    "newest_columns",
]
