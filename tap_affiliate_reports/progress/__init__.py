"""The progress of a sync on a terminal.

It reads the state of the streams and their exports a few times a second; they do not know of it.
rich is imported only where somebody watches.
"""

from __future__ import annotations

import os
import sys


def is_watched() -> bool:
    """Return whether a person watches stderr, on a terminal that can show a live display.

    Records on the same terminal would run into it, and Meltano prints the log itself.
    """
    if not sys.stderr.isatty() or sys.stdout.isatty():
        return False
    if any(name.startswith("MELTANO_") for name in os.environ):
        return False
    from rich.console import Console

    return Console(stderr=True).is_interactive
