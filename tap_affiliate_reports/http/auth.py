"""Authentication, and the origins to which credentials may be sent."""

from __future__ import annotations

import contextlib
import ipaddress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from requests import PreparedRequest
from requests.auth import AuthBase
from typing_extensions import override


@dataclass(frozen=True)
class HeaderAuth(AuthBase):
    """Sends a credential in a custom header."""

    name: str
    value: str = field(repr=False)

    @override
    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        request.headers[self.name] = self.value
        return request


class NoAuth(AuthBase):
    """Sends no credentials, not even those that requests would find in a .netrc file."""

    @override
    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        return request


def origin(url: str) -> tuple[str, str | None, int | None]:
    """Return the scheme, host and port of a URL; raises ValueError for an invalid one."""
    parts = urlsplit(url)
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    return parts.scheme, parts.hostname, port


def same_origin(first: str, second: str) -> bool:
    """Return whether two URLs have the same origin, so that credentials may be sent to both."""
    return origin(first) == origin(second)


def is_safe(url: str) -> bool:
    """Return whether a link may be followed: it is https or leads to this machine."""
    scheme, host, _port = origin(url)
    return scheme == "https" or (scheme == "http" and is_loopback(host))


def is_loopback(host: str | None) -> bool:
    """Return whether a URL's host is this machine."""
    if host is None:
        return False
    with contextlib.suppress(ValueError):  # a host name is not an address
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"
