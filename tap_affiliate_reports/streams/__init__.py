"""The streams: lists of an API, reports made by exports, and the rows of finished exports."""

from __future__ import annotations

from tap_affiliate_reports.streams.audit import ReportWindowsStream
from tap_affiliate_reports.streams.base import AffiliateStream, ListStream
from tap_affiliate_reports.streams.files import FilesStream, newest_columns
from tap_affiliate_reports.streams.report import ReportStream
from tap_affiliate_reports.streams.table import DateRange, TableStream

__all__ = [
    "AffiliateStream",
    "DateRange",
    "FilesStream",
    "ListStream",
    "ReportStream",
    "ReportWindowsStream",
    "TableStream",
    "newest_columns",
]
