"""Proxies that the environment sets: which one a request takes, and what may be said of it."""

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
# A shorter user name would replace letters of other words in a message.
LEAST_SECRET = 3


@dataclass(frozen=True)
class Proxy:
    """A proxy; its text is the host and the variable that names it, fit for a message."""

    url: str = field(repr=False)
    host: str
    variable: str

    def __str__(self) -> str:
        return f"{self.host} ({self.variable})"


def proxy_for(url: str) -> Proxy | None:
    """Return the proxy for a URL; None for this machine's own hosts, and where none is set.

    Raises SettingsError where the environment names a proxy that can't be used.
    """
    parts = urlsplit(url)
    if is_loopback(parts.hostname):
        return None
    proxies = get_environ_proxies(url)
    key = next((key for key in (parts.scheme, "all") if proxies.get(key)), "")
    return _proxy(f"{key.upper()}_PROXY", proxies[key]) if key else None


def proxy_secrets() -> Iterator[str]:
    """Yield what no message may hold: the user and the password of each proxy, in every form."""
    for value in getproxies().values():
        parsed = _parse(value)
        if parsed is not None and parsed.auth:
            user, _, password = map(unquote, parsed.auth.partition(":"))
            written = parsed.auth.split(":", 1)
            pair = b64encode(f"{user}:{password}".encode()).decode()
            words = {pair, password, user, *written}
            yield from (w for w in sorted(words, key=len, reverse=True) if len(w) >= LEAST_SECRET)


def _proxy(variable: str, value: str) -> Proxy:
    parsed = _parse(value)
    if parsed is None:
        msg = (
            f"{variable} is no proxy's URL. Set it to scheme://host:port; a scheme is one of "
            f"{', '.join(sorted(SCHEMES))}. Special characters in a password must be quoted"
        )
        raise SettingsError(msg)
    host = f"{parsed.host}:{parsed.port}" if parsed.port else str(parsed.host)
    if parsed.scheme in SOCKS and find_spec("socks") is None:
        msg = (
            f"{variable} names the SOCKS proxy {host}, which needs the package PySocks: install "
            "it beside the tap (pip install PySocks), or set an HTTP proxy"
        )
        raise SettingsError(msg)
    return Proxy(parsed.url, host, variable)


def _parse(value: str) -> Url | None:
    """Return a proxy's URL, of http where it has no scheme; None for what is none."""
    try:
        parsed = parse_url(value if "://" in value else f"http://{value}")
    except LocationParseError:
        return None
    # An unquoted "/" in a password makes a part of it the host, and the rest a path.
    is_origin = parsed.path in {None, "", "/"} and parsed.query is None and parsed.fragment is None
    return parsed if parsed.host and parsed.scheme in SCHEMES and is_origin else None
