"""Sends single requests: session, credentials, proxy and redirects."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import urljoin

import requests
from requests.auth import AuthBase
from urllib3.exceptions import HTTPError

from tap_affiliate_reports.errors import ApiError, Rejected
from tap_affiliate_reports.http import bodies
from tap_affiliate_reports.http.auth import NoAuth, is_safe, origin, same_origin
from tap_affiliate_reports.http.proxies import Proxy, proxy_for
from tap_affiliate_reports.http.redaction import Redaction
from tap_affiliate_reports.http.retry import Retryable

MAX_REDIRECTS = 5
REDIRECTS = frozenset({301, 302, 303, 307, 308})
NOT_HTTPS = "which is not https"

# What requests raises when a connection fails or a body ends early.
CONNECTION_ERRORS = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.ContentDecodingError,
)


@dataclass(frozen=True)
class Timeouts:
    """Seconds to wait for a connection, and between two bytes of a response."""

    connect: float = 10.0
    read: float = 60.0


@dataclass
class Transport:
    """Sends requests; the credentials and `headers` go to the origin of `base_url` only.

    `on_date` is called with the Date header of each response of that origin.
    """

    base_url: str
    auth: AuthBase = field(repr=False)
    headers: Mapping[str, str]
    timeouts: Timeouts
    redaction: Redaction
    on_date: Callable[[str], None] = field(repr=False)
    _local: threading.local = field(init=False, repr=False, default_factory=threading.local)

    def is_own(self, url: str) -> bool:
        """Return whether a URL has the origin of the API."""
        return same_origin(url, self.base_url)

    def url(self, link: str, page: str = "") -> str:
        """Return the absolute URL of a path, or of a link in a response from `page`."""
        try:
            url = urljoin(page or self.base_url, link)
            origin(url)
        except ValueError:
            msg = "the service sent a link that is not a URL"
            raise Rejected(msg) from None
        return url

    def send(self, method: str, url: str, **options: Any) -> requests.Response:
        """Return the response to one request, its body unread; redirects are not followed."""
        own = self.is_own(url)
        headers = dict(self.headers) if own else {"Accept": "*/*"}
        headers["Accept-Encoding"] = bodies.ACCEPT_ENCODING
        headers.setdefault("User-Agent", self.headers.get("User-Agent", ""))
        proxy = proxy_for(url)
        what = f"{method} {self.redaction.url(url)}"
        try:
            response = self._session().request(
                method,
                url,
                auth=self.auth if own else NoAuth(),
                headers=headers | options.pop("extra_headers", {}),
                timeout=(self.timeouts.connect, self.timeouts.read),
                allow_redirects=False,
                stream=True,
                # Without a value, requests would use the proxy of the environment.
                proxies=dict.fromkeys(("http", "https"), proxy.url if proxy else ""),
                **options,
            )
        except CONNECTION_ERRORS as error:
            if proxy is None:
                raise
            if "Tunnel connection failed: 407" in str(error):
                raise _proxy_refused(what, proxy) from None
            msg = f"{what}: {type(error).__name__} through the proxy {proxy}"
            raise Retryable(msg) from None
        except requests.RequestException:
            raise
        except ValueError:  # requests parses Location even with redirects off
            msg = f"{what}: the response redirects to an invalid URL"
            raise Rejected(msg) from None
        if proxy is not None and response.status_code == 407:
            response.close()
            raise _proxy_refused(what, proxy)
        if own:
            self.on_date(response.headers.get("Date", ""))
        return bodies.undecoded(response)

    @contextlib.contextmanager
    def follow(self, url: str) -> Iterator[requests.Response]:
        """Send a GET, follow its redirects, and close the response at the end of the block."""
        accept = {"Accept": "application/json, */*;q=0.5"}
        for _ in range(MAX_REDIRECTS):
            own = self.is_own(url)
            if not (own or is_safe(url)):
                msg = f"the download redirects to {self.redaction.url(url)}, {NOT_HTTPS}"
                raise Rejected(msg)
            with self.send("GET", url, extra_headers=accept if own else {}) as response:
                if response.status_code not in REDIRECTS or "Location" not in response.headers:
                    yield response
                    return
                url = self.url(response.headers["Location"], response.url)
        msg = f"the download was redirected more than {MAX_REDIRECTS} times"
        raise Rejected(msg)

    def _session(self) -> requests.Session:
        # requests does not document that a session may be shared between threads.
        session = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = requests.Session()
            # No API needs cookies, and a cookie would be sent to any port of its host.
            session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        return session


@contextlib.contextmanager
def api_errors(what: str) -> Iterator[None]:
    """Turn the errors of requests and urllib3 into Retryable or ApiError; `what` is the request."""
    # Only the type of an error is shown, because its text contains the complete URL.
    try:
        yield
    except (*CONNECTION_ERRORS, HTTPError) as error:
        msg = f"{what}: {type(error).__name__}"
        raise Retryable(msg) from None
    except requests.RequestException as error:
        msg = f"{what}: {type(error).__name__}"
        raise ApiError(msg) from None


def _proxy_refused(what: str, proxy: Proxy) -> Rejected:
    return Rejected(
        f"{what}: HTTP 407: the proxy {proxy} rejected its user name and password. Correct them "
        "in the URL of the proxy"
    )
