"""The sync report: one HTML page about a sync, written when it ends."""

from __future__ import annotations

from tap_affiliate_reports.sync_report.file import ReportFile

__all__ = ["ReportFile"]
