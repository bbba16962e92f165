"""The SDK's own standard tests, and Singer's own check of the output, against the sandbox."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest
import uv
from singer_sdk.testing import SuiteConfig, get_tap_test_class

from tap_affiliate_reports.tap import TapAffiliateReports

pytestmark = pytest.mark.chain

if TYPE_CHECKING:
    from pathlib import Path

START = (datetime.now(timezone.utc) - timedelta(days=150)).date().isoformat()
CONFIG = {
    "start_date": START,
    "impact": {
        "account_sid": "IRsandbox",
        "auth_token": "sandbox-token",
        "api_url": "sandbox",
        "reports": ["*"],
        "clicks": True,
        # Two days are like all of them.
        "max_click_exports": 2,
        "poll_interval_seconds": 0.05,
    },
}

HIENERGY = {
    "start_date": START,
    "hienergy": {
        "api_key": "sandbox-key",
        "api_url": "sandbox",
        "create": [{"report_type": "clicks_details_excel", "search_params": {"days": 7}}],
        "poll_interval_seconds": 0.05,
    },
}
INSTAL = {
    "start_date": START,
    "instal": {
        "auth_token": "sandbox-token",
        "api_url": "sandbox",
        "poll_interval_seconds": 0.05,
    },
}

# Columns that are null in every row of a well-behaved account have no values to test.
nulls_are_right = pytest.mark.filterwarnings("ignore:No records were available to test")

TestStandard = get_tap_test_class(
    TapAffiliateReports,
    config=CONFIG,
    suite_config=SuiteConfig(
        # The whole of each window is read: a limit would end a stream in the midst of one.
        max_records_limit=None,
        # The account has had no transfers; its jobs are made by the very sync that lists them.
        ignore_no_records_for_streams=["partner_funds_transfer_listing", "jobs"],
    ),
)
nulls_are_right(TestStandard)

TestHiEnergy = get_tap_test_class(
    TapAffiliateReports,
    config=HIENERGY,
    # It has reports of its own only.
    suite_config=SuiteConfig(
        max_records_limit=None, ignore_no_records_for_streams=["report_windows"]
    ),
)
nulls_are_right(TestHiEnergy)

TestInstal = get_tap_test_class(
    TapAffiliateReports, config=INSTAL, suite_config=SuiteConfig(max_records_limit=None)
)
nulls_are_right(TestInstal)


def test_singer_s_own_check_finds_the_output_valid(tmp_path: Path) -> None:
    """Every stream of all sources, as it is written to a loader."""
    start = (datetime.now(timezone.utc) - timedelta(days=40)).date().isoformat()
    config = tmp_path / "config.json"
    config.write_text(json.dumps({**CONFIG, **HIENERGY, **INSTAL, "start_date": start}))
    command = [sys.executable, "-m", "tap_affiliate_reports", "--config", str(config)]
    check = [uv.find_uv_bin(), "tool", "run", "--from", "singer-tools==0.4.1", "singer-check-tap"]
    output = tmp_path / "output.jsonl"
    with output.open("wb") as out:
        subprocess.run(command, stdout=out, check=True, timeout=60)
    with output.open("rb") as lines:
        done = subprocess.run(
            check, stdin=lines, capture_output=True, text=True, timeout=120, check=False
        )
    assert done.returncode == 0, done.stderr
    assert "The output is valid" in done.stdout
    for stream in ("mp_action_listing_fast", "clicks_details_excel", "advertiser_report"):
        assert f"| {stream} " in done.stdout
