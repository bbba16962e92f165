"""CSV files, plain or gzip, in UTF-8, UTF-16 or UTF-32. The package is a ResultFormat.

`reference` defines how a file is read, by Python's csv reader. `fast` reads blocks of common text
many times faster and returns None for any other text, which `reference` then reads line by line.
`joined` is the ResultFormat of concatenated files, with a header in each part.
"""

from __future__ import annotations

from tap_affiliate_reports.formats.csv.reference import (
    inspect,
    read_blocks,
    read_columns,
    read_rows,
)

__all__ = ["inspect", "read_blocks", "read_columns", "read_rows"]
