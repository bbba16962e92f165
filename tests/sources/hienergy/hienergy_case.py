"""What the tests of Hi Energy AI share: an account, exports in it, and ways to look at a run."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from harness import Run

from tap_affiliate_reports.errors import TapError
from tap_affiliate_reports.sandbox import Sandbox
from tap_affiliate_reports.sandbox.hienergy import SandboxExport

WARNING, ERROR = 30, 40
FILES = ("advertisers_csv", "deals_excel", "hot_advertisers_excel", "clicks_details_excel")
DEALS = "deals_excel"
HEADER = ["Deal ID", "Amount"]
KEY = "sandbox-key"


def made(export: SandboxExport) -> tuple[list[str], list[list[Any]]]:
    """Return the file of an export that was asked for: one row that tells what for."""
    return HEADER, [[export.search_params.get("q", "made"), 1]]


def having(config: dict[str, Any], **own: Any) -> dict[str, Any]:
    """Return the configuration with more settings of the source."""
    return {**config, "hienergy": {**config["hienergy"], **own}}


def creating(config: dict[str, Any], *create: dict[str, Any], **own: Any) -> dict[str, Any]:
    return having(config, create=[{"report_type": DEALS, **one} for one in create], **own)


def params(q: str) -> dict[str, Any]:
    """Return parameters that no export of `add` was made with."""
    return {"search_params": {"q": q}}


def add(sandbox: Sandbox, *ids: str, ago: float = 1, **facts: Any) -> SandboxExport:
    """Add an export of deals that was finished some days ago."""
    rows = [[name, Decimal("1.5")] for name in ids]
    at = sandbox.now() - timedelta(days=ago)
    return sandbox.hienergy.add(
        DEALS, **{"header": HEADER, "rows": rows, "completed_at": at, **facts}
    )


def downloads(sandbox: Sandbox) -> int:
    """Count the requests of files, and forget all requests."""
    count = sum(request.origin == "storage" for request in sandbox.requests)
    sandbox.requests.clear()
    return count


def asked(sandbox: Sandbox, method: str, path: str = "") -> list[Any]:
    return [r for r in sandbox.requests if r.method == method and r.path.endswith(path)]


def deals(run: Run) -> list[str]:
    return [row["Deal ID"] for row in run.records(DEALS)]


def exports_of(run: Run, stream: str = DEALS) -> list[int]:
    """Return the exports whose rows were emitted, in their order."""
    return list(dict.fromkeys(row["_export_id"] for row in run.records(stream)))


def error_of(run: Run) -> str:
    """Return the line of a sync that failed as expected."""
    assert isinstance(run.error, TapError), repr(run.error)
    assert "\n" not in str(run.error)
    return str(run.error)


def only(catalog: dict[str, Any], *streams: str) -> dict[str, Any]:
    """Return the catalog with just these streams selected."""
    for entry in catalog["streams"]:
        metadata_of(catalog, entry["tap_stream_id"])["selected"] = entry["tap_stream_id"] in streams
    return catalog


def metadata_of(catalog: dict[str, Any], stream: str, column: str | None = None) -> dict[str, Any]:
    (entry,) = (e for e in catalog["streams"] if e["tap_stream_id"] == stream)
    wanted = ["properties", column] if column else []
    return next(m["metadata"] for m in entry["metadata"] if m["breadcrumb"] == wanted)


def properties(run: Run, stream: str = DEALS) -> dict[str, Any]:
    return run.schema(stream)["schema"]["properties"]
