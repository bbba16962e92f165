"""The sources of dbt: the selected streams as tables, and a model for each report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tap_affiliate_reports.commands.dbt.folder import write_files
from tap_affiliate_reports.commands.dbt.models import models
from tap_affiliate_reports.commands.dbt.tables import tables
from tap_affiliate_reports.errors import SyncFailed
from tap_affiliate_reports.run import with_stream

if TYPE_CHECKING:
    from tap_affiliate_reports.tap import TapAffiliateReports

SOURCES = "sources.yml"


def document(tap: TapAffiliateReports, value: str) -> dict[str, Any]:
    """Return the YAML, and write it and the models into the folder `value`, unless that is ""."""
    # A sync must not wait for the import of PyYAML.
    from tap_affiliate_reports.commands.dbt.sources import sources_yaml

    # A plan refuses what a sync would refuse.
    tap.plan()
    if failures := tap.run.failures:
        raise SyncFailed("; ".join(with_stream(name, error) for name, error in failures.items()))
    found = tables(tap)
    yaml = sources_yaml(found)
    if not value:
        return {"sources": yaml}
    written, outdated = write_files(Path(value), {SOURCES: yaml, **models(found)})
    return {"sources": yaml, "folder": value, "files": written, "outdated": outdated}
