"""Proxies from environment variables: which one a request uses, and what may be logged of it."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies

from requests.utils import get_environ_proxies
from urllib3.exceptions import LocationParseError
from urllib3.util import Url, parse_url

from tap_affiliate_reports.errors import SettingsError
from tap_affiliate_reports.http.auth import is_loopback

SOCKS = frozenset({"socks4", "socks4a", "socks5", "socks5h"})
SCHEMES = frozenset({"http", "https"}) | SOCKS
# Redacting a shorter user name would garble the other words of a message.
MIN_SECRET_LENGTH = 3


@dataclass(frozen=True)
class Proxy:
    """A proxy; its text is the host and the environment variable, fit for a message."""

    url: str = field(repr=False)
    host: str
    variable: str

    def __str__(self) -> str:
        return f"{self.host} ({self.variable})"


def proxy_for(url: str) -> Proxy | None:
    """Return the proxy for a URL; None for this machine's own hosts, and if none is set.

    Raises SettingsError if the environment names a proxy that can't be used.
    """
    parts = urlsplit(url)
    if is_loopback(parts.hostname):
        return None
    proxies = get_environ_proxies(url)
    key = next((key for key in (parts.scheme, "all") if proxies.get(key)), "")
    return _proxy(f"{key.upper()}_PROXY", proxies[key]) if key else None


def proxy_secrets() -> Iterator[str]:
    """Yield the user and the password of each proxy, plain, quoted and as in a Basic header."""
    for value in getproxies().values():
        parsed = _parse(value)
        if parsed is not None and parsed.auth:
            user, _, password = map(unquote, parsed.auth.partition(":"))
            written = parsed.auth.split(":", 1)
            pair = b64encode(f"{user}:{password}".encode()).decode()
            secrets = sorted({pair, password, user, *written}, key=len, reverse=True)
            yield from (secret for secret in secrets if len(secret) >= MIN_SECRET_LENGTH)


def _proxy(variable: str, value: str) -> Proxy:
    parsed = _parse(value)
    if parsed is None:
        msg = (
            f"{variable} is not the URL of a proxy. Set it to scheme://host:port; the scheme is "
            f"one of {', '.join(sorted(SCHEMES))}. Special characters in a password must be quoted"
        )
        raise SettingsError(msg)
    host = f"{parsed.host}:{parsed.port}" if parsed.port else str(parsed.host)
    if parsed.scheme in SOCKS and find_spec("socks") is None:
        msg = (
            f"{variable} names the SOCKS proxy {host}, which needs the package PySocks: install "
            "it with the tap (pip install PySocks), or set an HTTP proxy"
        )
        raise SettingsError(msg)
    return Proxy(parsed.url, host, variable)


def _parse(value: str) -> Url | None:
    """Return a proxy's parsed URL, with http as the default scheme; None if it is not valid."""
    try:
        parsed = parse_url(value if "://" in value else f"http://{value}")
    except LocationParseError:
        return None
    # With an unquoted "/" in the password, a part of the password is parsed as host or path.
    is_origin = parsed.path in {None, "", "/"} and parsed.query is None and parsed.fragment is None
    return parsed if parsed.host and parsed.scheme in SCHEMES and is_origin else None
