"""A fake of impact.com's partner API: reports, exports and their jobs."""

from __future__ import annotations

from tap_affiliate_reports.sandbox.impact.catalog import invented_reports
from tap_affiliate_reports.sandbox.impact.job import Job
from tap_affiliate_reports.sandbox.impact.report import Attribute, Report
from tap_affiliate_reports.sandbox.impact.service import IANA_ACCOUNT, ImpactSandbox

__all__ = ["IANA_ACCOUNT", "Attribute", "ImpactSandbox", "Job", "Report", "invented_reports"]
