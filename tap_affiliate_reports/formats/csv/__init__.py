"""CSV files, plain or gzip, in UTF-8, UTF-16 or UTF-32. The package is a ResultFormat.

`reference` is the truth: Python's csv reader decides what a file says. `fast` handles blocks of
common text many times faster and returns nothing for any other, which `reference` then reads.
`joined` is the ResultFormat of files that were concatenated, with a header in each part.
"""

from __future__ import annotations

from tap_affiliate_reports.formats.csv.reference import inspect, read_columns, read_rows

__all__ = ["inspect", "read_columns", "read_rows"]
