"""Proxies of the environment: which requests use them, and which errors name them."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import subprocess
import sys
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from fault_matrix import nobody
from harness import FakeClock, Run, config_for, listening, sync
from hienergy_instal import KEYS, config_of
from small_source import SmallSource

from tap_affiliate_reports.errors import SettingsError
from tap_affiliate_reports.http import proxies
from tap_affiliate_reports.http.proxies import proxy_for
from tap_affiliate_reports.sandbox import Sandbox, status
from tap_affiliate_reports.sandbox.registry import SERVICES

pytestmark = pytest.mark.kill

USER, PASSWORD = "proxy-user", "p@ss/w:rd+of=proxy"
QUOTED = "p%40ss%2Fw%3Ard%2Bof%3Dproxy"
PAIR = b64encode(f"{USER}:{PASSWORD}".encode()).decode()
START = date(2026, 11, 1)
SOURCES = ("impact", "hienergy", "instal")
REAL = "http://api.example.com"


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


def settings_of(source: str, origin: str) -> dict[str, Any]:
    """Return a configuration of one source whose API is at this origin."""
    credentials = {"account_sid": "IRsandbox", "auth_token": "sandbox-token"}
    own = {**KEYS.get(source, credentials), "api_url": f"{origin}{SERVICES[source].path}"}
    if source == "impact":
        own["reports"] = ["sales"]
    return {"start_date": START.isoformat(), source: own}


def with_user(origin: str) -> str:
    return origin.replace("//", f"//{USER}:{QUOTED}@")


def said(run: Run) -> str:
    return "\n".join([str(run.error), *(record.getMessage() for record in run.log)])


def check_no_secret(text: str) -> None:
    for secret in (USER, PASSWORD, QUOTED, PAIR, "p@ss", "p%40ss"):
        assert secret not in text


DEAD = {
    "HTTP_PROXY": "http://127.0.0.1:9",
    "http_proxy": "http://127.0.0.1:9",
    "ALL_PROXY": "http://127.0.0.1:9",
    "all_proxy": "socks5://127.0.0.1:9",
    "http_proxy, malformed": "http://",
    "ALL_PROXY, malformed": "http://[::1",
}


@pytest.mark.parametrize("name", DEAD)
@pytest.mark.parametrize("source", SOURCES)
def test_this_machine_is_never_reached_through_a_proxy(
    sandbox: Sandbox, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, name: str, source: str
) -> None:
    monkeypatch.setenv(name.partition(",")[0], DEAD[name])
    SmallSource(sandbox, clock, ["sales"])
    run = sync(settings_of(source, sandbox.url), clock).ok()
    assert [m for m in run.messages if m["type"] == "RECORD"]
    assert [r for r in sandbox.requests if r.origin == "storage"], "a download too"
    assert not run.said("proxy")


def test_the_sandbox_of_the_demo_is_not_reached_through_a_proxy(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for source in SOURCES:
        config = settings_of(source, "")
        config[source]["api_url"] = "sandbox"
        if source == "impact":
            config[source]["reports"] = ["partner_performance_by_day"]
        run = sync({**config, "start_date": "2026-11-16"}, clock).ok()
        assert [m for m in run.messages if m["type"] == "RECORD"]


@pytest.mark.kill
def test_the_demo_s_process_needs_no_proxy(tmp_path: Path) -> None:
    own = {"api_url": "sandbox", "auth_token": "any", "poll_interval_seconds": 0.05}
    start = (date.today() - timedelta(days=3)).isoformat()
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"start_date": start, "instal": own}))
    dead = dict.fromkeys(("HTTP_PROXY", "https_proxy", "ALL_PROXY"), "http://127.0.0.1:9")
    done = subprocess.run(
        [sys.executable, "-m", "tap_affiliate_reports", "--config", str(config)],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | dead,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert '"type":"RECORD","stream":"advertiser_report"' in done.stdout


@pytest.mark.parametrize(
    ("source", "name", "form"),
    [
        ("impact", "HTTP_PROXY", "http"),
        ("hienergy", "ALL_PROXY", "http"),
        ("hienergy", "http_proxy", "schemeless"),
        ("instal", "http_proxy", "upper"),
    ],
)
def test_another_origin_is_reached_through_the_proxy(
    sandbox: Sandbox,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
    source: str,
    name: str,
    form: str,
) -> None:
    SmallSource(sandbox, clock, ["sales"])
    proxy = with_user(sandbox.url)
    if form != "http":
        proxy = proxy.replace("http://", "" if form == "schemeless" else "HTTP://")
    monkeypatch.setenv(name, proxy)
    run = sync(settings_of(source, REAL), clock).ok()
    assert [m for m in run.messages if m["type"] == "RECORD"]
    api = [r for r in sandbox.requests if r.origin == "api"]
    assert {r.headers["Host"] for r in api} == {"api.example.com"}
    assert {r.headers["Proxy-Authorization"] for r in api} == {f"Basic {PAIR}"}
    stored = [r for r in sandbox.requests if r.origin == "storage"]
    assert stored
    assert not [r for r in stored if r.headers["Proxy-Authorization"]]
    check_no_secret(said(run))


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("name", ["HTTP_PROXY", "ALL_PROXY"])
@pytest.mark.parametrize("source", SOURCES)
def test_a_dead_proxy_is_named_without_its_user(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch, source: str, name: str, scheme: str
) -> None:
    name = name.replace("HTTP", scheme.upper())
    dead = nobody()
    monkeypatch.setenv(name, with_user(dead))
    run = sync(settings_of(source, f"{scheme}://api.example.com"), clock)
    assert f"through the proxy {dead.removeprefix('http://')} ({name})" in str(run.error)
    assert str(run.error).isprintable()
    check_no_secret(said(run))
    assert len(clock.slept) == 5


@pytest.fixture
def refusing() -> Iterator[Callable[[bytes], str]]:
    """Run a proxy that answers each request with these bytes; return its origin."""
    servers: list[socket.socket] = []

    def serve(server: socket.socket, answer: bytes) -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

    def start(answer: bytes) -> str:
        server = socket.create_server(("127.0.0.1", 0))
        servers.append(server)
        threading.Thread(target=serve, args=(server, answer), daemon=True).start()
        return f"http://127.0.0.1:{server.getsockname()[1]}"

    yield start
    for server in servers:
        server.shutdown(socket.SHUT_RDWR)
        server.close()


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_requests_credentials_is_used_once(
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
    refusing: Callable[[bytes], str],
    scheme: str,
) -> None:
    page = f"<p>{USER} {PASSWORD} Proxy-Authorization: Basic {PAIR}</p>".encode()
    head = "HTTP/1.1 407 Proxy Authentication Required\r\nConnection: close\r\n"
    origin = refusing(f"{head}Content-Length: {len(page)}\r\n\r\n".encode() + page)
    monkeypatch.setenv(f"{scheme.upper()}_PROXY", with_user(origin))
    run = sync(settings_of("impact", f"{scheme}://api.example.com"), clock)
    assert f"the proxy {origin.removeprefix('http://')} ({scheme.upper()}_PROXY)" in str(run.error)
    assert "407" in str(run.error)
    assert clock.slept == []
    check_no_secret(said(run))


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 502 Bad\r\n\r\n", b"nonsense\r\n\r\n"])
def test_a_proxy_that_makes_no_tunnel_is_named(
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
    refusing: Callable[[bytes], str],
    answer: bytes,
) -> None:
    origin = refusing(answer)
    monkeypatch.setenv("https_proxy", with_user(origin))
    run = sync(settings_of("hienergy", "https://api.example.com"), clock)
    assert f"through the proxy {origin.removeprefix('http://')} (HTTPS_PROXY)" in str(run.error)
    check_no_secret(said(run))


@pytest.mark.parametrize("code", [200, 400, 403, 500, 502])
def test_a_proxy_that_prints_its_user_does_not_make_us_do_so(
    sandbox: Sandbox, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setenv("HTTP_PROXY", with_user(sandbox.url))
    page = f"<p>denied: {USER}, {PASSWORD}, {QUOTED}, {PAIR}, {with_user(sandbox.url)}</p>"
    sandbox.faults.add("", status(code, body=page.encode(), content_type="text/html"), None)
    run = sync(settings_of("impact", REAL), clock)
    assert "denied" in str(run.error)
    check_no_secret(said(run))


@pytest.mark.parametrize(
    ("source", "name", "scheme"),
    [
        ("impact", "ALL_PROXY", "socks5"),
        ("hienergy", "all_proxy", "socks5h"),
        ("instal", "HTTPS_PROXY", "socks4"),
        ("instal", "https_proxy", "SOCKS4a"),
    ],
)
def test_a_socks_proxy_without_its_package_is_one_line(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch, source: str, name: str, scheme: str
) -> None:
    monkeypatch.setattr(proxies, "find_spec", lambda _: None)
    monkeypatch.setenv(name, with_user(f"{scheme}://proxy.example:1080"))
    run = sync(settings_of(source, "https://api.example.com"), clock)
    assert isinstance(run.error, SettingsError)
    assert "PySocks" in str(run.error)
    assert f"{name.upper()}" in str(run.error)
    assert "proxy.example:1080" in str(run.error)
    assert clock.slept == []
    check_no_secret(said(run))


def test_a_socks_proxy_with_its_package_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxies, "find_spec", lambda name: name == "socks" or None)
    monkeypatch.setenv("ALL_PROXY", "socks5h://proxy.example:1080")
    proxy = proxy_for("https://api.example.com/x")
    assert proxy is not None
    assert proxy.url == "socks5h://proxy.example:1080"


@pytest.mark.skipif(importlib.util.find_spec("socks") is not None, reason="PySocks is there")
def test_a_socks_proxy_is_refused_by_the_libraries_at_hand(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    run = sync(settings_of("instal", "https://api.example.com"), clock)
    assert "PySocks" in str(run.error)


MALFORMED = [
    "http://",
    "http:///x",
    "http://[::1",
    "http://proxy.example:port",
    "http://proxy.example:99999",
    "ftp://proxy.example",
    "socks://proxy.example:1080",
    "socks6://proxy.example:1080",
    f"http://{USER}:p@ss/w:rd@proxy.example:1",
    f"{USER}:p@ss/w:rd@proxy.example:1",
    f"http://{USER}:p@ss?w:rd@proxy.example:1",
    f"http://{USER}:p@ss#w:rd@proxy.example:1",
    f"http://{USER}:p@ss\\w:rd@proxy.example:1",
    f"http://{USER}:p@ss w:rd@proxy.example:1/#",
    "://",
    "http:proxy.example:3128",
    "http://a proxy:1",
]


@pytest.mark.parametrize("value", MALFORMED)
@pytest.mark.parametrize("name", ["HTTPS_PROXY", "all_proxy"])
def test_a_proxy_that_is_no_url_is_one_line(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    run = sync(settings_of("impact", "https://api.example.com"), clock)
    assert isinstance(run.error, SettingsError)
    assert name.upper() in str(run.error)
    assert str(run.error).isprintable()
    assert clock.slept == []
    check_no_secret(said(run))


@pytest.mark.parametrize(
    ("url", "no_proxy", "used"),
    [
        ("https://api.example.com/x", "", True),
        ("https://api.example.com/x", "example.com", False),
        ("https://api.example.com/x", ".example.com", False),
        ("https://api.example.com/x", "*", False),
        ("https://api.example.com/x", "other.example.com, ,", True),
        ("https://storage.example.org/x", "example.com", True),
        ("https://127.0.0.1:1/x", "", False),
        ("https://127.9.9.9/x", "", False),
        ("https://[::1]:1/x", "", False),
        ("https://localhost/x", "", False),
        ("https://localhost.example.com/x", "", True),
        ("https://10.0.0.1/x", "", True),
        ("https://10.0.0.1/x", "10.0.0.0/8", False),
        ("https://10.0.0.1/x", "10.0.0.0/99", True),
    ],
)
@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
def test_who_is_reached_through_the_proxy(
    monkeypatch: pytest.MonkeyPatch, name: str, url: str, no_proxy: str, used: bool
) -> None:
    monkeypatch.setenv(name, no_proxy)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("HTTP_PROXY", "http://other.example:3128")
    proxy = proxy_for(url)
    assert (proxy is not None) == used
    assert proxy is None or str(proxy) == "proxy.example:3128 (HTTPS_PROXY)"


def test_the_proxy_s_own_scheme_comes_before_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://all.example:1")
    assert str(proxy_for("https://a.example/")) == "all.example:1 (ALL_PROXY)"
    monkeypatch.setenv("HTTPS_PROXY", "http://one.example")
    assert str(proxy_for("https://a.example/")) == "one.example (HTTPS_PROXY)"
    monkeypatch.setenv("HTTPS_PROXY", "")
    assert str(proxy_for("https://a.example/")) == "all.example:1 (ALL_PROXY)"


def test_the_proxy_shows_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", with_user("http://proxy.example:1"))
    proxy = proxy_for("https://a.example/")
    assert proxy is not None
    assert PASSWORD not in repr(proxy) + str(proxy)
    assert QUOTED not in repr(proxy) + str(proxy)


def test_a_storage_host_beyond_a_dead_proxy_is_an_error_that_names_it(
    sandbox: Sandbox, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    SmallSource(sandbox, clock, ["sales"])
    dead = nobody()
    monkeypatch.setenv("HTTPS_PROXY", with_user(dead))
    link = "https://storage.example.com/file?X-Signature=abcdef"
    sandbox.faults.add("/Download", status(302, {"Location": link}), None)
    with listening():
        run = sync(
            config_for(sandbox, START_DATE="2026-11-01", reports=["sales"], job_timeout_seconds=60),
            clock,
        )
    assert f"through the proxy {dead.removeprefix('http://')}" in str(run.error)
    assert "sales 2026-11-01" in str(run.error)
    assert "X-Signature" not in said(run)
    check_no_secret(said(run))


def test_sources_of_two_kinds_go_their_own_ways(
    sandbox: Sandbox, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.hienergy.clear()
    dead = nobody()
    monkeypatch.setenv("HTTP_PROXY", dead)
    config = config_of(sandbox, START, instal={}) | {
        "hienergy": {"api_key": "sandbox-key", "api_url": f"{REAL}/api/v1"}
    }
    run = sync(config, clock)
    assert dead.removeprefix("http://") in str(run.error)
    assert run.records("advertiser_report")
