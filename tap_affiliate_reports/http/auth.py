"""Where credentials may go: origins, and what is sent to which."""

from __future__ import annotations

import contextlib
import ipaddress
import sys
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from requests import PreparedRequest
from requests.auth import AuthBase

if sys.version_info >= (3, 12):
    from typing import override
else:
    from typing_extensions import override


@dataclass(frozen=True)
class HeaderAuth(AuthBase):
    """Sends a credential in a header of its own."""

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
    """Return what decides whether credentials may be sent: scheme, host and port."""
    parts = urlsplit(url)
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    return parts.scheme, parts.hostname, port


def is_safe(url: str) -> bool:
    """Tell whether a link may be followed: https, or this machine."""
    scheme, host, _port = origin(url)
    return scheme == "https" or (scheme == "http" and is_loopback(host))


def is_loopback(host: str | None) -> bool:
    """Tell whether a URL's host is this machine."""
    if host is None:
        return False
    with contextlib.suppress(ValueError):  # a name, no address
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"
