"""Run the sandbox alone: `python -m tap_affiliate_reports.sandbox --port 8765`."""

from __future__ import annotations

import argparse
import sys
import threading

from tap_affiliate_reports.sandbox.data import ROWS_PER_DAY
from tap_affiliate_reports.sandbox.sandbox import Sandbox


def main() -> None:
    """Serve until Ctrl-C; the first lines on stdout are the settings that reach the services."""
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
        for name, service in sandbox.services.items():
            settings = {f"{name}.{key}": value for key, value in service.settings.items()}
            sys.stdout.writelines(f"{key:<20}{value}\n" for key, value in settings.items())
        sys.stdout.flush()
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main()
