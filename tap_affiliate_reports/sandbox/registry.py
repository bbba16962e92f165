"""The registry of fake services: the only module that knows all of them."""

from __future__ import annotations

from tap_affiliate_reports.sandbox.hienergy import HiEnergySandbox
from tap_affiliate_reports.sandbox.impact import ImpactSandbox
from tap_affiliate_reports.sandbox.instal import InstalSandbox
from tap_affiliate_reports.sandbox.service import Service

SERVICES: dict[str, type[Service]] = {
    "impact": ImpactSandbox,
    "hienergy": HiEnergySandbox,
    "instal": InstalSandbox,
}
"""By the network's key in the tap's settings, each service."""
