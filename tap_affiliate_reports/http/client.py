"""One client for every vendor: auth, time-outs, retries, rate limits, redaction, downloads."""

from __future__ import annotations

import contextlib
import logging
import random
import re
import threading
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

import requests
from requests.auth import AuthBase
from urllib3.exceptions import HTTPError

from tap_affiliate_reports.clock import Clock
from tap_affiliate_reports.errors import (
    ApiError,
    DamagedFile,
    Forbidden,
    NotFound,
    RateLimited,
    Rejected,
    Unauthorized,
    Unavailable,
)
from tap_affiliate_reports.http import bodies
from tap_affiliate_reports.http.auth import NoAuth, is_safe, origin
from tap_affiliate_reports.http.backoff import ATTEMPTS, backoff, pause_asked_for
from tap_affiliate_reports.http.documents import ErrorFormat, decode, one_line, without_tags
from tap_affiliate_reports.http.proxies import Proxy, proxy_for, proxy_secrets
from tap_affiliate_reports.http.quiet import silence_urllib3
from tap_affiliate_reports.http.service_clock import ServiceClock

MAX_REDIRECTS = 5
MAX_WORDS = 300
REDIRECTS = frozenset({301, 302, 303, 307, 308})

# What requests and urllib3 raise when a connection fails or a body stops short.
CONNECTION_ERRORS = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.ContentDecodingError,
)

logger = logging.getLogger(__name__)
Query = Mapping[str, Any]
T = TypeVar("T")


@dataclass(frozen=True)
class Timeouts:
    """Seconds to wait for a connection, and between two bytes of an answer."""

    connect: float = 10.0
    read: float = 60.0


@dataclass(frozen=True)
class Answer:
    """One answer of the service, its body read and its JSON decoded."""

    status: int
    headers: Mapping[str, str]
    document: Any


@dataclass(frozen=True)
class NotReady:
    """The service's answer to a download that came too early: its document about the job."""

    document: Any


class _TryAgain(ApiError):
    def __init__(self, message: str, pause: float | None = None) -> None:
        super().__init__(message)
        self.pause = pause


@dataclass
class ApiClient:
    """Speaks to one API origin and sends its credentials nowhere else.

    `secrets` never appear in a message: each is replaced by `***`, the account SID in URLs too.
    Every call retries 429, 5xx, time-outs and resets, and raises an ApiError when that is over.
    """

    base_url: str
    auth: AuthBase = field(repr=False)
    headers: Mapping[str, str]
    clock: Clock
    secrets: tuple[str, ...] = field(default=(), repr=False)
    max_wait_seconds: float = 300.0
    error_format: ErrorFormat = field(default_factory=ErrorFormat)
    timeouts: Timeouts = field(default_factory=Timeouts)
    random_unit: Callable[[], float] = random.random
    _local: threading.local = field(default_factory=threading.local, repr=False)
    _service_clock: ServiceClock = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.secrets = (*self.secrets, *proxy_secrets())
        self._service_clock = ServiceClock(self.clock, urlsplit(self.base_url).hostname or "")
        silence_urllib3()

    # What callers use

    def server_now(self) -> datetime:
        """Return the present moment by the service's clock, as its Date headers tell it."""
        return self._service_clock.now()

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
    ) -> Answer:
        """Send one request below the base URL and return its JSON answer.

        The document is None where a request that is not a GET is answered without a body. After a
        fault that may have taken effect, `may_repeat` is asked before the request is sent again.
        A status in `also` is an answer like 200.
        """
        url = self.url(path)
        what = f"{method} {self.redact(url)}"

        def attempt() -> Answer:
            with self._send(method, url, params=params, json=body) as response:
                text = self._read(response)
                document = decode(text)
                if response.status_code not in also:
                    self._check(what, response, document, text)
                if document is None and (method == "GET" or text.strip()):
                    words = self.safe_message(without_tags(text))
                    msg = f"{what}: the answer is not JSON: {words}"
                    if foreign := bodies.not_requested(response.headers):
                        foreign = self.safe_message(foreign)
                        msg = f"{what}: the answer has the Content-Encoding {foreign}, "
                        msg += "which was not requested"
                    raise _TryAgain(msg)
                return Answer(response.status_code, response.headers, document)

        return self._retry(what, attempt, may_repeat, attempts)

    def download(self, path: str | Callable[[], str], target: Path) -> NotReady | None:
        """Store the file behind a path in `target`, following redirects to storage.

        `path` may be a function that asks the service for a link: each attempt begins with a fresh
        one, because links expire. Credentials are sent to the API's own origin only.
        """
        what = "GET the result file" if callable(path) else f"GET {self.redact(self.url(path))}"

        def attempt() -> NotReady | None:
            with self._follow(self.url(path() if callable(path) else path)) as response:
                if response.status_code == 202:
                    return NotReady(decode(self._read(response)))
                # 204 is an empty file.
                if response.status_code not in {200, 204}:
                    text = self._read(response)
                    alien = origin(response.url) != origin(self.base_url)
                    refused = range(400, 500) if alien else (403, 404, 410)
                    if (alien or callable(path)) and response.status_code in refused:
                        msg = f"{what}: the storage link was refused ({response.status_code})"
                        raise _TryAgain(msg)
                    self._check(what, response, decode(text), text)
                    msg = f"{what}: unexpected status {response.status_code}"
                    raise Rejected(msg)
                bodies.store(response, target)
                foreign = self.safe_message(bodies.not_requested(response.headers))
                if foreign and not bodies.is_readable(target):
                    msg = f"it has the Content-Encoding {foreign}, which was not requested"
                    raise DamagedFile(msg)
                return None

        return self._retry(what, attempt)

    def url(self, path: str, page: str = "") -> str:
        """Return the absolute URL of a path, or of a link on a page of the API."""
        return self._joined(page or self.base_url, path)

    def _joined(self, base: str, link: str) -> str:
        try:
            url = urljoin(base, link)
            origin(url)
        except ValueError:
            msg = "the service gave a link that is not a URL"
            raise Rejected(msg) from None
        return url

    def redact(self, url: str) -> str:
        """Return a URL fit for a log: no query, no user, and no secret in its path."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        own = origin(url) == origin(self.base_url)
        return self.scrub(parts.path if own else f"{parts.scheme}://{host}/...")

    def scrub(self, text: str) -> str:
        """Return the text with every secret of this client replaced."""
        for secret in self.secrets:
            if secret:
                text = text.replace(secret, "***")
        text = re.sub(r"(Authorization\W+\w+\s+)\S+", r"\1***", text)
        return re.sub(r"(\b\w{1,12}://[^\s?\"'<>]+)\?[^\s\"'<>]*", r"\1?***", text)

    def safe_message(self, words: str) -> str:
        """Return the service's own words fit for a message: one line, no secret, not too long."""
        # Cut only after scrubbing: half a secret is one too.
        return self.scrub(one_line(words[: 100 * MAX_WORDS]))[:MAX_WORDS]

    # How it is done

    def _session(self) -> requests.Session:
        # A session is not promised to be safe to share between threads.
        session = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = requests.Session()
            # No cookie is needed, and one of the API would go to any port of its host.
            session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        return session

    def _send(self, method: str, url: str, **options: Any) -> requests.Response:
        own = origin(url) == origin(self.base_url)
        headers = dict(self.headers) if own else {"Accept": "*/*"}
        headers["Accept-Encoding"] = bodies.ACCEPT_ENCODING
        headers.setdefault("User-Agent", self.headers.get("User-Agent", ""))
        proxy = proxy_for(url)
        try:
            response = self._session().request(
                method,
                url,
                auth=self.auth if own else NoAuth(),
                headers=headers | options.pop("extra_headers", {}),
                timeout=(self.timeouts.connect, self.timeouts.read),
                allow_redirects=False,
                stream=True,
                # An empty one keeps requests from taking that of the environment.
                proxies=dict.fromkeys(("http", "https"), proxy.url if proxy else ""),
                **options,
            )
        except CONNECTION_ERRORS as error:
            if proxy is None:
                raise
            if "Tunnel connection failed: 407" in str(error):
                raise self._proxy_refused(method, url, proxy) from None
            msg = f"{method} {self.redact(url)}: {type(error).__name__} through the proxy {proxy}"
            raise _TryAgain(msg) from None
        except requests.RequestException:
            raise
        except ValueError:  # it looks at the Location that it does not follow
            msg = f"{method} {self.redact(url)}: the answer redirects to what is not a URL"
            raise Rejected(msg) from None
        if proxy is not None and response.status_code == 407:
            response.close()
            raise self._proxy_refused(method, url, proxy)
        if own:
            self._service_clock.note(response.headers.get("Date", ""))
        return bodies.undecoded(response)

    def _proxy_refused(self, method: str, url: str, proxy: Proxy) -> Rejected:
        return Rejected(
            f"{method} {self.redact(url)}: HTTP 407: the proxy {proxy} refuses its user and "
            "password: correct them in its URL"
        )

    @contextlib.contextmanager
    def _follow(self, url: str) -> Iterator[requests.Response]:
        accept = {"Accept": "application/json, */*;q=0.5"}
        for _ in range(MAX_REDIRECTS):
            own = origin(url) == origin(self.base_url)
            if not (own or is_safe(url)):
                msg = f"the download leads to {self.redact(url)}, which is not https"
                raise Rejected(msg)
            with self._send("GET", url, extra_headers=accept if own else {}) as answer:
                if answer.status_code not in REDIRECTS or "Location" not in answer.headers:
                    yield answer
                    return
                url = self._joined(answer.url, answer.headers["Location"])
        msg = f"the download was redirected more than {MAX_REDIRECTS} times"
        raise Rejected(msg)

    def _read(self, response: requests.Response) -> str:
        try:
            return bodies.text_of(response)
        except bodies.TooLarge as error:
            msg = f"{self.redact(response.url)}: the answer is larger than {error} bytes"
            raise Rejected(msg) from None

    def _check(self, what: str, response: requests.Response, document: Any, text: str) -> None:
        status = response.status_code
        if status < 300 and not self.error_format.is_error(document):
            return
        words = self.safe_message(self.error_format.message(document) or without_tags(text))
        line = f"{what}: HTTP {status}" + (f": {words}" if words else "")
        if status == 401:
            raise Unauthorized(f"{line}. The service refuses the credentials: check them")
        if status == 403:
            raise Forbidden(f"{line}. The token lacks the scope for this endpoint")
        if status in {404, 410}:
            raise NotFound(line)
        asked = pause_asked_for(response.headers, self.server_now())
        if status == 429:
            wait = f"; it asks to wait {asked:.0f} s (max_wait_seconds)" if asked else ""
            raise RateLimited(f"{line}. The rate limit is reached{wait}", asked)
        if status in {408, 425} or status >= 500:
            raise _TryAgain(line, asked)
        raise Rejected(line)

    def _retry(
        self,
        what: str,
        attempt: Callable[[], T],
        may_repeat: Callable[[], bool] = lambda: True,
        attempts: int = ATTEMPTS,
    ) -> T:
        waited = 0.0
        for number in range(attempts):
            pause, was_limited = backoff(number, self.random_unit()), False
            try:
                return attempt()
            except RateLimited as error:
                pause = max(error.retry_after or 0.0, pause if not error.retry_after else 0.0)
                if number == attempts - 1 or waited + pause > self.max_wait_seconds:
                    raise
                reason, was_limited = str(error), True
            except _TryAgain as error:
                reason = str(error)
                pause = max(pause, error.pause or 0.0)
                if error.pause and waited + pause > self.max_wait_seconds:
                    msg = f"{reason}: the service asks to wait {pause:.0f} s (max_wait_seconds)"
                    raise Unavailable(msg) from None
            except (*CONNECTION_ERRORS, HTTPError) as error:
                # Their texts hold whole URLs, so only the kind of error is told.
                reason = f"{what}: {type(error).__name__}"
            except requests.RequestException as error:
                msg = f"{what}: {type(error).__name__}"
                raise ApiError(msg) from None
            if number == attempts - 1 or not (was_limited or may_repeat()):
                break
            waited += pause
            logger.info("%s; trying again in %.1f s", reason, pause)
            self.clock.sleep(pause)
        msg = f"{reason} (tried {number + 1} times)"
        raise Unavailable(msg)
