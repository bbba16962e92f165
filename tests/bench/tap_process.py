"""This tap in a process of its own, against the sandbox in this one."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from process import Cost, run

from tap_affiliate_reports.sandbox import Sandbox


def config_of(sandbox: Sandbox, reports: Sequence[str], **impact: Any) -> dict[str, Any]:
    """Return a configuration of one window; settings in upper case are top-level ones."""
    top = {key.lower(): impact.pop(key) for key in list(impact) if key.isupper()}
    return {
        "start_date": "2026-08-01",
        "end_date": "2026-08-31",
        **top,
        "impact": {
            "account_sid": "IRsandbox",
            "auth_token": "sandbox-token",
            "api_url": sandbox.url,
            "reports": list(reports),
            "poll_interval_seconds": 0.1,
            **impact,
        },
    }


def sync(sandbox: Sandbox, config: Mapping[str, Any], *options: str | Path) -> Cost:
    """Sync once, as if nobody had asked the sandbox for anything before."""
    sandbox.impact.jobs.clear()
    sandbox.requests.clear()
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(config, file)
        file.flush()
        return run(["-m", "tap_affiliate_reports", "--config", file.name, *options])
