"""The streams: lists of an API, and reports made by exports."""

from __future__ import annotations

from tap_affiliate_reports.streams.audit import ReportWindowsStream
from tap_affiliate_reports.streams.base import ListStream
from tap_affiliate_reports.streams.planning import Span
from tap_affiliate_reports.streams.report import ReportStream

__all__ = ["ListStream", "ReportStream", "ReportWindowsStream", "Span"]
