"""The client of an API: JSON requests and downloads, with retries and readable errors."""

from __future__ import annotations

import random
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn, TypeVar
from urllib.parse import urlsplit

import requests
from requests.auth import AuthBase

from tap_affiliate_reports.clock import Clock
from tap_affiliate_reports.errors import (
    DamagedFile,
    Forbidden,
    NotFound,
    RateLimited,
    Rejected,
    Unauthorized,
)
from tap_affiliate_reports.http import bodies
from tap_affiliate_reports.http.backoff import ATTEMPTS, requested_pause
from tap_affiliate_reports.http.documents import ErrorFormat, decode, without_tags
from tap_affiliate_reports.http.proxies import proxy_secrets
from tap_affiliate_reports.http.quiet import silence_urllib3
from tap_affiliate_reports.http.redaction import Redaction
from tap_affiliate_reports.http.retry import Retries, Retryable
from tap_affiliate_reports.http.service_clock import ServiceClock
from tap_affiliate_reports.http.transport import Timeouts, Transport, api_errors

NOT_REQUESTED = "which was not requested"

Query = Mapping[str, Any]
T = TypeVar("T")


@dataclass(frozen=True)
class JsonResponse:
    """The response to a JSON request, its body read and decoded."""

    status: int
    headers: Mapping[str, str]
    document: Any


@dataclass(frozen=True)
class NotReady:
    """The response to a download whose file does not exist yet: the document about its job."""

    document: Any


@dataclass
class ApiClient:
    """Sends requests to one API; its credentials go to no other origin.

    `secrets` never appear in a message: each is replaced by `***`, the account SID in URLs too.
    Every call repeats requests that fail with 429, 5xx, a time-out or a reset connection, and
    raises an ApiError after the last attempt.
    """

    base_url: str
    auth: AuthBase = field(repr=False)
    headers: Mapping[str, str]
    clock: Clock
    max_wait_seconds: float
    secrets: tuple[str, ...] = field(default=(), repr=False)
    error_format: ErrorFormat = field(default_factory=ErrorFormat)
    timeouts: Timeouts = field(default_factory=Timeouts)
    random_unit: Callable[[], float] = random.random
    _service_clock: ServiceClock = field(init=False, repr=False)
    _redaction: Redaction = field(init=False, repr=False)
    _transport: Transport = field(init=False, repr=False)
    _retries: Retries = field(init=False, repr=False)

    def __post_init__(self) -> None:
        silence_urllib3()
        self._service_clock = ServiceClock(self.clock, urlsplit(self.base_url).hostname or "")
        self._redaction = Redaction(self.base_url, (*self.secrets, *proxy_secrets()))
        self._transport = Transport(
            self.base_url,
            self.auth,
            self.headers,
            self.timeouts,
            self._redaction,
            on_date=self._service_clock.note,
        )
        self._retries = Retries(self.clock, self.max_wait_seconds, self.random_unit)

    def server_now(self) -> datetime:
        """Return the present moment by the service's clock, as its Date headers show it."""
        return self._service_clock.now()

    @property
    def clock_offset(self) -> timedelta | None:
        """How far the service's clock is ahead of this machine's; None before a response."""
        return self._service_clock.seen_offset

    def json(
        self,
        path: str,
        params: Query | None = None,
        *,
        method: str = "GET",
        body: Any = None,
        may_repeat: Callable[[], bool] = lambda: True,
        also: Container[int] = (),
        attempts: int = ATTEMPTS,
    ) -> JsonResponse:
        """Send a request below the base URL and return its JSON response.

        The document is None if the response to a request other than GET has no body. After a
        failure that may have taken effect, the request is repeated only if `may_repeat` returns
        True. A status in `also` is accepted like 200.
        """
        url = self.url(path)
        what = f"{method} {self.redact(url)}"

        def attempt() -> JsonResponse:
            with self._transport.send(method, url, params=params, json=body) as response:
                text = self._read(response)
                document = decode(text)
                if response.status_code not in also:
                    self._check(what, response, document, text)
                if document is None and (method == "GET" or text.strip()):
                    raise self._not_json(what, response, text)
                return JsonResponse(response.status_code, response.headers, document)

        return self._run(what, attempt, may_repeat, attempts)

    def download(self, path: str | Callable[[], str], target: Path) -> NotReady | None:
        """Store the file behind a path in `target`, following redirects to storage.

        `path` may be a function that requests a link from the service. It is called for each
        attempt, because links expire. Credentials are sent to the API's own origin only.
        """
        what = "GET the result file" if callable(path) else f"GET {self.redact(self.url(path))}"

        def attempt() -> NotReady | None:
            with self._transport.follow(self.url(path() if callable(path) else path)) as response:
                if response.status_code == 202:
                    return NotReady(decode(self._read(response)))
                # 204 is an empty file.
                if response.status_code not in {200, 204}:
                    self._refuse_file(what, response, is_link=callable(path))
                bodies.store(response, target)
                encoding = self.safe_message(bodies.not_requested(response.headers))
                if encoding and not bodies.is_readable(target):
                    msg = f"it has the Content-Encoding {encoding}, {NOT_REQUESTED}"
                    raise DamagedFile(msg)
                return None

        return self._run(what, attempt)

    def url(self, path: str, page: str = "") -> str:
        """Return the absolute URL of a path, or of a link on a page of the API."""
        return self._transport.url(path, page)

    def redact(self, url: str) -> str:
        """Return a URL fit for a log: no query, no user, and no secret in its path."""
        return self._redaction.url(url)

    def safe_message(self, message: str) -> str:
        """Return a service's message fit for a log: one line, no secrets, not too long."""
        return self._redaction.message(message)

    def _run(
        self,
        what: str,
        attempt: Callable[[], T],
        may_repeat: Callable[[], bool] = lambda: True,
        attempts: int = ATTEMPTS,
    ) -> T:
        def translated() -> T:
            with api_errors(what):
                return attempt()

        return self._retries.run(translated, attempts=attempts, may_repeat=may_repeat)

    def _read(self, response: requests.Response) -> str:
        try:
            return bodies.text_of(response)
        except bodies.TooLarge as error:
            msg = f"{self.redact(response.url)}: the response is larger than {error} bytes"
            raise Rejected(msg) from None

    def _not_json(self, what: str, response: requests.Response, text: str) -> Retryable:
        if encoding := bodies.not_requested(response.headers):
            encoding = self.safe_message(encoding)
            msg = f"{what}: the response has the Content-Encoding {encoding}, {NOT_REQUESTED}"
            return Retryable(msg)
        message = self.safe_message(without_tags(text))
        return Retryable(f"{what}: the response is not JSON: {message}")

    def _refuse_file(self, what: str, response: requests.Response, *, is_link: bool) -> NoReturn:
        """Raise the error of a response that is not a file."""
        status = response.status_code
        text = self._read(response)
        is_storage = not self._transport.is_own(response.url)
        # A link may have expired: the next attempt requests a new one.
        expired = range(400, 500) if is_storage else (403, 404, 410)
        if (is_storage or is_link) and status in expired:
            msg = f"{what}: the storage rejected the link ({status})"
            raise Retryable(msg)
        self._check(what, response, decode(text), text)
        msg = f"{what}: unexpected status {status}"
        raise Rejected(msg)

    def _check(self, what: str, response: requests.Response, document: Any, text: str) -> None:
        """Raise the error of a response that has an error status or an error document."""
        status = response.status_code
        if status < 300 and not self.error_format.is_error(document):
            return
        message = self.safe_message(self.error_format.message(document) or without_tags(text))
        line = f"{what}: HTTP {status}" + (f": {message}" if message else "")
        if status == 401:
            raise Unauthorized(f"{line}. The service rejected the credentials: check them")
        if status == 403:
            raise Forbidden(f"{line}. The token lacks the scope for this endpoint")
        if status in {404, 410}:
            raise NotFound(line)
        pause = requested_pause(response.headers, self.server_now())
        if status == 429:
            wait = f"; the service requests a pause of {pause:.0f} s" if pause else ""
            wait += " (max_wait_seconds)" if pause else ""
            raise RateLimited(f"{line}. The rate limit is reached{wait}", pause)
        if status in {408, 425} or status >= 500:
            raise Retryable(line, pause)
        raise Rejected(line)
