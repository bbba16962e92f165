"""What all ways make of the file: the tap's own columns, and a type for each of the file's."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

# What the tap adds to each row, but for its number.
ADDED = {
    "_account": "IRsandbox",
    "_program_id": "all",
    "_window_start": "2026-08-01",
    "_window_end": "2026-08-31",
    "_refreshed_at": "2026-11-20T03:04:05Z",
    "_deleted": False,
    "_sdc_deleted_at": None,
    "_unparsed": None,
}
# The types come in turn; date-times are left as they are.
CONVERTERS: tuple[Callable[[str], Any], ...] = (str, Decimal, int, str, "true".__eq__)


def converter(place: int) -> Callable[[str], Any]:
    """Return what makes a value of the texts of a column."""
    return CONVERTERS[place % len(CONVERTERS)]
