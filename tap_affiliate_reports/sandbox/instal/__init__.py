"""A fake of Instal.com's advertiser report export: tasks and their CSV files."""

from __future__ import annotations

from tap_affiliate_reports.sandbox.instal.rows import COLUMNS
from tap_affiliate_reports.sandbox.instal.service import InstalSandbox
from tap_affiliate_reports.sandbox.instal.task import Task

__all__ = ["COLUMNS", "InstalSandbox", "Task"]
