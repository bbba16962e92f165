"""The report of real syncs in a real browser: what it shows, and what it asks for."""

from __future__ import annotations

import json
import re
import shutil
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
from harness import NOW, FakeClock, config_for
from hienergy_instal import config_of, put_all
from reporting import named, reported, stream_of
from small_source import SmallSource

from tap_affiliate_reports.sandbox import Sandbox, status
from tap_affiliate_reports.sync_report.page import page

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from selenium.webdriver import Chrome

    from tap_affiliate_reports.sync_report.facts import SyncFacts

BROWSER = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
DRIVER = shutil.which("chromedriver")
pytestmark = [
    pytest.mark.chain,
    pytest.mark.skipif(
        not (BROWSER and DRIVER), reason="no Chromium: apt-get install chromium chromium-driver"
    ),
]

WIDTHS = (390, 1280)
SCHEMES = ("light", "dark")
# How bright a colour is, from 0 to 255.
BRIGHTNESS = """
const [r, g, b] = getComputedStyle(document.body)[arguments[0]].match(/\\d+/g).map(Number);
return 0.3 * r + 0.6 * g + 0.1 * b;
"""


@pytest.fixture(scope="module")
def facts() -> SyncFacts:
    """The facts of a second sync of all networks, in which one report fails and another waits."""
    clock = FakeClock(NOW)
    with Sandbox(now=clock.now, job_seconds=5) as sandbox:
        SmallSource(sandbox, clock, ["sales", "orders", "calls"])
        put_all(sandbox, date(2026, 10, 1), 60)
        config = config_for(
            sandbox, START_DATE="2026-10-01", reports=["calls", "sales"], lookback_days=10
        )
        config |= config_of(sandbox, date(2026, 10, 1), instal={}, hienergy={})
        first = reported(config, clock)[1].ok()
        clock.advance(days=1)
        config["impact"] |= {"reports": ["calls", "orders", "sales"], "max_exports": 3}
        sandbox.faults.add("ReportExport/calls", status(403), times=None)
        return reported(config, clock, state=first.state)[0]


@pytest.fixture(scope="module")
def browser() -> Iterator[Chrome]:
    """A headless browser that logs what it requests."""
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    # As root, in a container, there is no sandbox for it.
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def address(facts: SyncFacts, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of the page."""
    path: Path = tmp_path_factory.mktemp("report") / "sync.html"
    path.write_bytes(page(facts))
    return path.as_uri()


def texts(browser: Chrome, selector: str) -> list[str]:
    found = browser.find_elements("css selector", selector)
    return [" ".join(one.text.split()) for one in found]


def entries(browser: Chrome, name: str) -> list[Any]:
    return browser.get_log(name)  # type: ignore[no-any-return, no-untyped-call]


def test_it_requests_nothing_and_the_console_is_empty(browser: Chrome, address: str) -> None:
    for name in ("browser", "performance"):
        entries(browser, name)
    browser.get(address)
    messages = [
        json.loads(entry["message"])["message"] for entry in entries(browser, "performance")
    ]
    requests = [
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    ]
    assert [url for url in requests if not url.startswith("data:")] == [address]
    assert entries(browser, "browser") == []


def test_its_numbers_are_those_of_the_sync(browser: Chrome, address: str, facts: SyncFacts) -> None:
    browser.get(address)
    rows, windows, exports, streams = texts(browser, ".tile .value")
    tables = [stream for stream in facts.streams if stream.unit]
    assert int(rows.replace(",", "")) == sum(stream.rows for stream in tables) > 0
    assert int(windows) == sum(one.loaded for one in tables if one.unit == "windows") > 0
    assert int(exports) == sum(network.spent for network in facts.networks) > 0
    assert streams == f"{sum(one.is_done for one in facts.streams)} of {len(facts.streams)}"
    assert texts(browser, "h1") == ["1 stream failed"]
    assert texts(browser, ".problems h3") == ["calls", "sales"]
    assert texts(browser, ".stream h3") == [stream.name for stream in tables]


def test_its_charts_are_drawn_by_the_rows_and_windows_of_the_sync(
    browser: Chrome, address: str, facts: SyncFacts
) -> None:
    browser.get(address)
    calls = stream_of(facts, "calls")
    script = """
        const one = [...document.querySelectorAll('.stream')].find(
            (stream) => stream.querySelector('h3').textContent === 'calls');
        const box = (mark) => mark.getBoundingClientRect();
        const chart = box(one.querySelector('.rows'));
        return {
            height: box(one.querySelector('.earlier')).height / chart.height,
            marks: [...one.querySelectorAll('.strip rect')].map((mark) => [
                mark.getAttribute('class'), mark.querySelector('title').textContent,
                box(mark).width / chart.width]),
        };"""
    drawn = browser.execute_script(script)
    # The day with most rows reaches the top.
    assert drawn["height"] == pytest.approx(1, abs=0.05)
    assert len(drawn["marks"]) == len(calls.windows) == 2
    days = max(
        window.days[1] for stream in facts.streams for window in stream.windows if window.days
    )
    total = (days - date(2026, 10, 1)).days + 1
    for (kind, title, width), window in zip(drawn["marks"], calls.windows, strict=True):
        assert window.days is not None
        assert kind.split()[0] == window.state.value
        assert f"{window.rows:,} rows" in title
        share = ((window.days[1] - window.days[0]).days + 1) / total
        assert width == pytest.approx(share, abs=0.02)
    assert [kind for kind, _, _ in drawn["marks"]] == ["complete settled", "failed"]


def test_each_chart_has_a_name_for_a_screen_reader(browser: Chrome, address: str) -> None:
    browser.get(address)
    charts = browser.find_elements("css selector", "svg")
    assert len(charts) > 5
    assert all(chart.accessible_name for chart in charts)
    assert {chart.aria_role for chart in charts} <= {"img", "image"}


def show(browser: Chrome, address: str, width: int, scheme: str = "light") -> None:
    """Open a page on a screen of this width."""
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {"features": [{"name": "prefers-color-scheme", "value": scheme}]},
    )
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500},
    )
    browser.get(address)
    assert browser.execute_script("return innerWidth") == width


def check_fits(browser: Chrome, width: int) -> None:
    """Check that nothing is beyond the edge, with a scroll bar or cut off."""
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    over = browser.execute_script(
        "return [...document.querySelectorAll('main *')].filter("
        "(one) => one.getBoundingClientRect().right > innerWidth + 1).map((one) => one.outerHTML)"
    )
    assert [re.sub(r"\s+", " ", one)[:80] for one in over] == []


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_it_fits_the_screen_in_both_schemes(
    browser: Chrome, address: str, width: int, scheme: str
) -> None:
    show(browser, address, width, scheme)
    check_fits(browser, width)
    background = browser.execute_script(BRIGHTNESS, "backgroundColor")
    ink = browser.execute_script(BRIGHTNESS, "color")
    assert (background > 200 and ink < 60) if scheme == "light" else (background < 60 and ink > 200)


@pytest.mark.parametrize("width", WIDTHS)
def test_long_names_fit_too(browser: Chrome, tmp_path: Path, width: int) -> None:
    path = tmp_path / "long.html"
    path.write_bytes(page(named("W" * 60)))
    show(browser, path.as_uri(), width)
    check_fits(browser, width)
