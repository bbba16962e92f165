"""The exports that a run may still spend, by its own limit and by the service's answers."""

from __future__ import annotations

import logging
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_affiliate_reports.exports.job import ExportKind
from tap_affiliate_reports.exports.quota import EXPORTS_REMAINING, Quota, Quotas


@given(st.none() | st.integers(0, 5), st.lists(st.none() | st.integers(0, 5), max_size=8))
def test_what_remains_is_the_smaller_of_both_limits(
    limit: int | None, answers: list[int | None]
) -> None:
    quota, spent, service = Quota(ExportKind(limit=limit)), 0, math.inf
    for answer in answers:
        may = quota.spend()
        assert may is (limit is None or spent < limit)
        spent += may
        quota.update(answer)
        service = math.inf if answer is None else answer
    own = math.inf if limit is None else limit - spent
    assert quota.remaining == min(own, service)
    assert quota.is_known is (spent > 0)


def test_a_refusal_uncounts_the_export_and_ends_all_others() -> None:
    quota = Quota(ExportKind(limit=5))
    assert quota.spend()
    quota.refuse("HTTP 429: 100 exports a day")
    assert (quota.spent, quota.remaining, quota.spend()) == (0, 0, False)
    assert quota.reason == "HTTP 429: 100 exports a day"
    assert quota.is_known


def test_the_reason_names_the_limit_that_is_reached() -> None:
    quota = Quota(ExportKind(limit=5))
    quota.update(3)
    assert quota.reason == "the service has 3 exports left today"
    quota.update(None)
    assert quota.reason == "this run may spend 5 exports (max_exports)"


@pytest.mark.parametrize(("needed", "level"), [(4, logging.WARNING), (3, logging.INFO)])
def test_what_the_service_says_is_logged_once(
    caplog: pytest.LogCaptureFixture, needed: int, level: int
) -> None:
    quota = Quota(ExportKind(limit=5))
    with caplog.at_level(logging.INFO):
        quota.report(needed)
        quota.update(3)
        quota.report(needed)
        quota.report(needed)
    (record,) = caplog.records
    assert (record.levelno, record.getMessage()) == (
        level,
        EXPORTS_REMAINING % (3, "exports", needed),
    )


def test_each_kind_of_export_has_a_quota_of_its_own() -> None:
    quotas = Quotas()
    clicks = ExportKind("clicks", "click exports", "max_click_exports", limit=1)
    assert quotas.of(clicks).spend()
    assert not quotas.of(ExportKind(**vars(clicks))).spend()
    assert quotas.of(clicks).reason == "this run may spend 1 click exports (max_click_exports)"
    assert quotas.of(ExportKind(limit=1)).spend()
    quotas.of(clicks).update(0)
    assert quotas.of(ExportKind(limit=2)).remaining == 2
