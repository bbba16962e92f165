"""The registry of networks: the only module that knows all of them."""

from __future__ import annotations

from tap_affiliate_reports.sources.hienergy import HiEnergySource
from tap_affiliate_reports.sources.impact import ImpactSource
from tap_affiliate_reports.sources.instal import InstalSource
from tap_affiliate_reports.sources.source import Source

SOURCES: dict[str, type[Source]] = {
    "impact": ImpactSource,
    "hienergy": HiEnergySource,
    "instal": InstalSource,
}
"""By the key in the settings, each network."""
