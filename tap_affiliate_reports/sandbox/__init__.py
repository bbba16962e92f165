"""A fake of the reporting services over real HTTP on loopback, for the demo and the tests."""

from __future__ import annotations

from tap_affiliate_reports.sandbox.faults import (
    body,
    close,
    cut,
    delay,
    encoded,
    hang,
    html_login,
    reset,
    status,
)
from tap_affiliate_reports.sandbox.hienergy import HiEnergySandbox, SandboxExport
from tap_affiliate_reports.sandbox.impact import IANA_ACCOUNT, Attribute, Job, Report
from tap_affiliate_reports.sandbox.instal import InstalSandbox, Task
from tap_affiliate_reports.sandbox.message import LoggedRequest, Response
from tap_affiliate_reports.sandbox.sandbox import Sandbox

__all__ = [
    "IANA_ACCOUNT",
    "Attribute",
    "HiEnergySandbox",
    "InstalSandbox",
    "Job",
    "LoggedRequest",
    "Report",
    "Response",
    "Sandbox",
    "SandboxExport",
    "Task",
    "body",
    "close",
    "cut",
    "delay",
    "encoded",
    "hang",
    "html_login",
    "reset",
    "status",
]
