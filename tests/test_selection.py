"""Which reports are synced, by the settings and by the catalog."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from singer_sdk.singerlib import Catalog

from tap_affiliate_reports.errors import SettingsError, StreamError
from tap_affiliate_reports.selection import NO_REPORTS_IN_CATALOG, Selection


def source(
    *reports: str,
    decides: bool = False,
    not_allowed: tuple[str, ...] = (),
    by_setting: tuple[str, ...] = (),
) -> Any:
    return SimpleNamespace(
        name="impact",
        policy=SimpleNamespace(catalog_decides=decides),
        lists=lambda: [SimpleNamespace(name="jobs")],
        reports=lambda: [
            SimpleNamespace(
                id=name,
                stream=name,
                allowed=name not in not_allowed,
                selected_by_default=name not in not_allowed and not decides,
                selected_if_omitted=name in by_setting,
            )
            for name in reports
        ],
    )


def selection(**streams: bool) -> Selection:
    """Return a selection by a catalog in which these streams are selected, or not."""
    entries = [
        {
            "tap_stream_id": name,
            "schema": {"properties": {}},
            "metadata": [{"breadcrumb": [], "metadata": {"selected": selected}}],
        }
        for name, selected in streams.items()
    ]
    return Selection(Catalog.from_dict({"streams": entries}))


def selected(choice: Selection, own: Any) -> list[str]:
    return [one.id for one in own.reports() if choice.is_selected(one)]


def test_without_a_catalog_the_settings_decide() -> None:
    own = source("sales", "orders", not_allowed=("orders",))
    assert selected(Selection(None), own) == ["sales"]
    assert selected(Selection(None), source("sales", decides=True)) == []
    assert all(Selection(None).is_discovered(one) for one in own.reports())


def test_a_catalog_chooses_among_the_reports_that_the_settings_allow() -> None:
    own = source("sales", "orders", "clicks", not_allowed=("orders",))
    choice = selection(sales=True, orders=True)
    assert selected(choice, own) == ["sales"]
    assert choice.streams == {"sales", "orders"}
    assert [one.id for one in own.reports() if choice.is_discovered(one)] == ["sales"]


@pytest.mark.parametrize(
    ("choice", "is_refused"),
    [
        (Selection(None), True),
        (selection(a=True, b=True, c=True), True),
        (selection(a=True, b=True, c=False), False),
        # Discovery skipped one, or it is new: that is no choice of the others.
        (selection(a=True, b=True), True),
        # Most are absent, so the catalog was made by hand.
        (selection(a=True), False),
        (selection(), False),
    ],
)
def test_all_reports_by_accident_are_refused(choice: Selection, is_refused: bool) -> None:
    own = source("a", "b", "c", decides=True)
    if not is_refused:
        choice.check_all_reports(own)
        return
    with pytest.raises(SettingsError, match=r"impact\.reports is not set.*a, b, c"):
        choice.check_all_reports(own)


def test_reports_that_the_settings_name_may_be_all() -> None:
    selection(a=True).check_all_reports(source("a"))


def test_a_catalog_with_lists_but_no_reports_is_refused() -> None:
    with pytest.raises(StreamError, match=NO_REPORTS_IN_CATALOG % "impact"):
        selection(jobs=True).check_catalog_of(source("sales"))
    selection(jobs=True, sales=False).check_catalog_of(source("sales"))
    selection(advertiser_report=True).check_catalog_of(source("sales"))
    Selection(None).check_catalog_of(source("sales"))
