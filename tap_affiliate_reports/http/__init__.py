"""The HTTP client of all vendors: credentials, time-outs, retries, rate limits, redaction."""

from __future__ import annotations

from tap_affiliate_reports.http.auth import HeaderAuth
from tap_affiliate_reports.http.backoff import ATTEMPTS, backoff
from tap_affiliate_reports.http.bodies import disk
from tap_affiliate_reports.http.client import ApiClient, NotReady
from tap_affiliate_reports.http.documents import ErrorFormat, message_of
from tap_affiliate_reports.http.transport import Timeouts

__all__ = [
    "ATTEMPTS",
    "ApiClient",
    "ErrorFormat",
    "HeaderAuth",
    "NotReady",
    "Timeouts",
    "backoff",
    "disk",
    "message_of",
]
