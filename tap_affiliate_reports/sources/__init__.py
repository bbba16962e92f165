"""The registry of sources: the only place that knows every vendor."""

from __future__ import annotations

from collections.abc import Mapping

from tap_affiliate_reports.sources.hienergy import HiEnergySource
from tap_affiliate_reports.sources.impact import ImpactSource
from tap_affiliate_reports.sources.instal import InstalSource

SOURCES: Mapping[str, type[ImpactSource | HiEnergySource | InstalSource]] = {
    "impact": ImpactSource,
    "hienergy": HiEnergySource,
    "instal": InstalSource,
}
