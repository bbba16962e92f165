"""What each network's error documents say, whatever their shape."""

from __future__ import annotations

from typing import Any

import pytest

from tap_affiliate_reports.http import ErrorFormat
from tap_affiliate_reports.sources.hienergy.api import ERRORS as HIENERGY
from tap_affiliate_reports.sources.impact.errors import ERRORS as IMPACT


@pytest.mark.parametrize(
    ("error_format", "document", "message"),
    [
        (IMPACT, {"Message": "No way", "Errors": [{"Field": "END_DATE", "Message": "too far"}]},
         "No way; END_DATE: too far"),
        (IMPACT, {"Errors": [{"Message": "too far"}, {"Field": "A"}]}, "too far; A"),
        (IMPACT, {"Errors": {"a": 1}}, ""),
        (IMPACT, {"Errors": [1, None]}, ""),
        (IMPACT, {"Message": ["a"]}, "['a']"),
        (IMPACT, [], ""),
        (HIENERGY, {"error": {"code": "bad", "message": "Not today"}}, "Not today"),
        (HIENERGY, {"error": "words", "message": "Not today"}, "Not today"),
        (HIENERGY, {"error": None}, ""),
        (HIENERGY, "words", ""),
    ],
)  # fmt: skip
def test_the_message_of_an_error(error_format: ErrorFormat, document: Any, message: str) -> None:
    assert error_format.message(document) == message


@pytest.mark.parametrize(
    ("document", "is_error"),
    [
        ({"Status": "ERROR", "Message": "Bad START_DATE", "Errors": []}, True),
        ({"Status": " error "}, True),
        ({"Id": "1", "Status": "ERROR", "StatusMessage": "out of memory"}, False),
        ({"QueuedUri": "/Jobs/1", "Status": "ERROR"}, False),
        ({"Status": "QUEUED"}, False),
        ([], False),
    ],
)
def test_an_impact_job_in_state_error_is_an_answer(document: Any, is_error: bool) -> None:
    assert IMPACT.is_error(document) is is_error
