"""Who is behind, by the plan of an account."""

from __future__ import annotations

import runpy
from datetime import date
from pathlib import Path
from typing import Any

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "airflow" / "accounts.py"
behind = runpy.run_path(str(EXAMPLE))["behind"]
LATEST = date(2026, 11, 16)


def window(start: str, end: str | None = None) -> dict[str, Any]:
    return {"start": start, "end": end or start}


MONTH, TODAY = window("2026-11-01", "2026-11-19"), window("2026-11-19")


def plan(name: str, until: str | None, *new: dict[str, Any], errors: Any = ()) -> dict[str, Any]:
    stream = {"stream": name, "complete_until": until, "new": list(new)}
    return {"sources": [{"streams": [stream]}], "errors": list(errors)}


@pytest.mark.parametrize(
    ("found", "lacks"),
    [
        (plan("sales", "2026-11-18"), []),
        # The month goes on each day.
        (plan("sales", "2026-11-16", MONTH), []),
        (plan("sales", "2026-11-15", MONTH), ["sales lacks 2026-11-01"]),
        (plan("sales", None, window("2026-10-05", "2026-10-31")), ["sales lacks 2026-10-05"]),
        # A report without dates is loaded in every sync.
        (plan("links", None, {"start": None, "end": None}), []),
        # Older days of clicks follow, newer ones are still to come.
        (plan("clicks", None, TODAY, window("2026-10-01")), []),
        (plan("clicks", None, TODAY, window("2026-11-16")), ["clicks lacks 2026-11-16"]),
        (plan("sales", "2026-11-18", errors=["impact: HTTP 401"]), ["impact: HTTP 401"]),
    ],
)
def test_an_account_is_behind_if_a_day_of_before_yesterday_is_missing(
    found: dict[str, Any], lacks: list[str]
) -> None:
    assert behind(found, LATEST) == lacks


def test_what_kept_a_plan_from_being_made_is_named() -> None:
    assert behind({"ok": False, "sources": [], "errors": ["no token"]}, LATEST) == ["no token"]
