"""Run the tap: `python -m tap_affiliate_reports`."""

from __future__ import annotations

from tap_affiliate_reports.command_line import main

if __name__ == "__main__":
    main()
