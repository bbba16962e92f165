"""The registry of sources: the only place that knows every vendor."""

from __future__ import annotations

from collections.abc import Mapping

from tap_affiliate_reports.sources.impact import ImpactSource

SOURCES: Mapping[str, type[ImpactSource]] = {"impact": ImpactSource}
