"""A fake of Hi Energy AI's API: export reports, their life and their files."""

from __future__ import annotations

from tap_affiliate_reports.sandbox.hienergy.export import SandboxExport
from tap_affiliate_reports.sandbox.hienergy.service import HiEnergySandbox

__all__ = ["HiEnergySandbox", "SandboxExport"]
