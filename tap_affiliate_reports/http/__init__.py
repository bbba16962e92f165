"""One client for every vendor: auth, time-outs, retries, rate limits, redaction, downloads."""

from __future__ import annotations

from tap_affiliate_reports.http.bodies import disk
from tap_affiliate_reports.http.client import ApiClient, NotReady, Timeouts
from tap_affiliate_reports.http.origin import HeaderAuth
from tap_affiliate_reports.http.patience import ATTEMPTS, backoff, remaining

__all__ = [
    "ATTEMPTS",
    "ApiClient",
    "HeaderAuth",
    "NotReady",
    "Timeouts",
    "backoff",
    "disk",
    "remaining",
]
