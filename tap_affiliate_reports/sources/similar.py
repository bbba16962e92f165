"""Names that are close to a misspelt one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def similar(name: str, known: Iterable[str]) -> str:
    """Return the end of an error about an unknown id, with the known ids that are close to it."""
    folded = {one.casefold(): one for one in known}
    near = difflib.get_close_matches(name.casefold(), folded, n=3, cutoff=0.5)
    return f"; similar ids: {', '.join(folded[one] for one in near)}" if near else ""
