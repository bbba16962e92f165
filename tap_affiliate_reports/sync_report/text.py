"""Numbers, durations and windows in words."""

from __future__ import annotations

from datetime import datetime

from tap_affiliate_reports.sync_report.facts import WindowFacts

MINUTE, HOUR = 60, 3600
# Below this many seconds, their tenths matter.
SHORT = 10


def count(number: int, noun: str, plural: str) -> str:
    """Return a number with its noun."""
    return f"{number:,} {noun if number == 1 else plural}"


def rows_text(rows: float) -> str:
    """Return a number of rows, which may be a mean."""
    text = f"{rows:,.0f}" if rows == int(rows) or rows >= SHORT else f"{rows:,.1f}"
    return f"{text} {'row' if text == '1' else 'rows'}"


def seconds_text(seconds: float) -> str:
    """Return a duration."""
    if round(seconds, 1) < SHORT:
        return f"{seconds:.1f} s".replace(".0 s", " s")
    whole = round(seconds)
    if whole < MINUTE:
        return f"{whole} s"
    if whole < HOUR:
        minutes, rest = divmod(whole, MINUTE)
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(round(seconds / MINUTE), MINUTE)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def moment_text(moment: datetime) -> str:
    """Return a day and a time."""
    return f"{moment.day} {moment:%B %Y, %H:%M:%S}"


def window_text(window: WindowFacts, number: int = 1) -> str:
    """Return what is known of a window, or of neighbours that are drawn as one."""
    days = "snapshot" if window.days is None else f"{window.days[0]} to {window.days[1]}"
    parts = [f"{days}: {window.state.value}", rows_text(window.rows)]
    if number > 1:
        parts.append(f"{number} windows")
    if window.in_this_sync:
        parts.append("loaded in this sync")
    if window.reason:
        parts.append(window.reason)
    return ", ".join(parts)
