"""Run the sandbox by itself: `python -m tap_affiliate_reports.sandbox --port 8765`."""

from __future__ import annotations

import argparse
import sys
import threading

from tap_affiliate_reports.sandbox.data import ROWS_PER_DAY
from tap_affiliate_reports.sandbox.sandbox import Sandbox


def main() -> None:
    """Serve until Ctrl-C; the first lines on stdout say where and with which credentials."""
    parser = argparse.ArgumentParser(
        prog="python -m tap_affiliate_reports.sandbox",
        description="A fake of the reporting services on 127.0.0.1; all data is invented.",
    )
    parser.add_argument("--port", type=int, default=8765, help="0 is any free port")
    parser.add_argument("--job-seconds", type=float, default=2.0, help="how long an export takes")
    parser.add_argument("--rows-per-day", type=int, default=ROWS_PER_DAY, help="actions a day")
    parser.add_argument("--exports-per-day", type=int, default=100, help="the account's quota")
    parser.add_argument("--timezone", default="America/New_York", help="the account's zone")
    options = vars(parser.parse_args())
    with Sandbox(**options) as sandbox:
        settings = {
            "impact.api_url": sandbox.base_url("impact"),
            "impact.account_sid": sandbox.impact.account_sid,
            "impact.auth_token": sandbox.impact.auth_token,
            "hienergy.api_url": sandbox.base_url("hienergy"),
            "hienergy.api_key": sandbox.hienergy.api_key,
            "instal.api_url": sandbox.base_url("instal"),
            "instal.auth_token": sandbox.instal.auth_token,
        }
        sys.stdout.writelines(f"{name:<20}{value}\n" for name, value in settings.items())
        sys.stdout.flush()
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main()
