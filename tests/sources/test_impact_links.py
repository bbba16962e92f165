"""Links of the web app as entries of `impact.reports`: their filters reach the service."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import pytest
from harness import FakeClock, config_for, sync
from hypothesis import given
from hypothesis import strategies as st

from tap_affiliate_reports import configuration
from tap_affiliate_reports.errors import SettingsError
from tap_affiliate_reports.sandbox import Sandbox
from tap_affiliate_reports.settings import complete
from tap_affiliate_reports.settings.masking import without_users
from tap_affiliate_reports.sources import SOURCES
from tap_affiliate_reports.sources.impact.links import (
    DROPPED,
    Link,
    check,
    is_link,
    read_link,
    resolved,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

SID = "IRother"
BASE = f"https://api.impact.com/Mediapartners/{SID}/Reports"
LISTING = "mp_action_listing_fast"
SEEN = (
    f"{BASE}/{LISTING}.json?SUPERSTATUS_MS=APPROVED&SUPERSTATUS_MS=PENDING&MODIFIED_Y_N=0"
    "&SHOW_STATUS_DETAIL=1&START_DATE=2019-02-01&END_DATE=2019-12-07&timeRange=CUSTOM"
    "&compareEnabled=false"
)
FILTERS = {
    "SUPERSTATUS_MS": ["APPROVED", "PENDING"],
    "MODIFIED_Y_N": ["0"],
    "SHOW_STATUS_DETAIL": ["1"],
}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def sandbox(clock: FakeClock) -> Iterator[Sandbox]:
    with Sandbox(now=clock.now) as sandbox:
        yield sandbox


class TestReading:
    def test_the_link_of_the_button(self) -> None:
        assert read_link(SEEN) == Link(LISTING, FILTERS)

    @pytest.mark.parametrize(
        ("path", "report"),
        [
            ("Reports/sales", "sales"),
            ("Reports/sales.csv?A=1", "sales"),
            ("ReportExport/12172.json", "12172"),
            ("Reports/a%20b.json", "a b"),
            ("Reports/sales/", "sales"),
            ("Reports/v1.5", "v1.5"),
        ],
    )
    def test_the_report(self, path: str, report: str) -> None:
        link = read_link(f"https://api.impact.com/Mediapartners/{SID}/{path}")
        assert link is not None
        assert link.report == report

    @pytest.mark.parametrize(
        "entry",
        [
            "https://api.impact.com/",
            f"{BASE}?A=1",
            f"{BASE}/a/MetaData",
            "https://[x",
            "/Mediapartners/x",
        ],
    )
    def test_no_report(self, entry: str) -> None:
        assert read_link(entry) is None
        (line,) = check(["sales", entry])
        assert line.startswith("reports: entry 2 is a link without a report")

    @given(
        filters=st.dictionaries(
            st.text(min_size=1).filter(lambda name: name.lower() not in DROPPED),
            st.lists(st.text(), min_size=1, max_size=3),
            max_size=4,
        ),
        report=st.from_regex(r"[A-Za-z0-9_]{1,12}", fullmatch=True),
    )
    def test_all_names_and_values_are_kept(
        self, filters: dict[str, list[str]], report: str
    ) -> None:
        query = urlencode(filters, doseq=True)
        assert read_link(f"{BASE}/{report}.json?{query}") == Link(report, filters)


@pytest.mark.parametrize("report", ["a b/c", "a@b", "a:b", "12172", "x.json", "?", "*"])
def test_an_id_is_no_link(report: str) -> None:
    assert not is_link(report)
    assert not list(check([report]))


class TestWhatStandsAroundALink:
    def test_the_signs_of_a_page_s_source(self) -> None:
        assert read_link(SEEN.replace("&", "&amp;")) == read_link(SEEN)
        assert read_link(f"  {SEEN}\n") == read_link(SEEN)

    @pytest.mark.parametrize("entry", [f'"{SEEN}"', f"<{SEEN}>", f"'{SEEN}'", f"curl {SEEN}"])
    def test_a_link_that_is_not_alone_is_refused(self, entry: str) -> None:
        (line,) = check(["other", entry])
        assert line.startswith("reports: entry 2 is a link with quotes, brackets or blanks")

    def test_a_program_in_it_is_refused_beside_program_ids(self) -> None:
        link = f"{BASE}/sales?SUBAID=10211"
        assert not list(check([link]))
        assert not list(check([f"{BASE}/sales?SUBAID="], has_programs=True))
        (line,) = check([link], has_programs=True)
        assert "program_ids" in line

    def test_what_only_compares_is_dropped(self) -> None:
        link = read_link(f"{BASE}/sales?compareEnabled=true&compareStartDate=2026-01-01&A=1")
        assert link == Link("sales", {"A": ["1"]})


@pytest.mark.parametrize("text", [SEEN, f"{SEEN},other", f'["{SEEN}", "other"]'])
def test_links_in_a_variable(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAP_AFFILIATE_REPORTS_IMPACT_REPORTS", text)
    properties = configuration.config_schema()["properties"]
    if text.endswith("other"):
        # A comma may be a part of the link.
        with pytest.raises(SettingsError, match="is not of type array"):
            complete({}, properties, SOURCES, from_environment=True)
        return
    found = complete({}, properties, SOURCES, from_environment=True)["impact"]["reports"]
    assert found == (json.loads(text) if text.startswith("[") else [SEEN])


class TestTheSettings:
    def test_the_filters_become_those_of_the_report(self) -> None:
        settings = resolved({"reports": ["other", SEEN]})
        assert settings["reports"] == ["other", LISTING]
        assert settings["report_options"] == {LISTING: {"filters": FILTERS}}

    def test_report_options_come_before_the_link(self) -> None:
        options = {LISTING: {"window": "day", "filters": {"MODIFIED_Y_N": "1"}}}
        settings = resolved({"reports": [SEEN], "report_options": options})
        assert settings["report_options"][LISTING] == {
            "window": "day", "filters": FILTERS | {"MODIFIED_Y_N": "1"},
        }  # fmt: skip
        assert options[LISTING]["filters"] == {"MODIFIED_Y_N": "1"}

    def test_settings_without_a_link_stay_the_same(self) -> None:
        for settings in ({}, {"reports": ["a", 7]}, {"report_options": {"a": {"window": "day"}}}):
            assert resolved(settings) == settings

    def test_two_links_of_one_report(self) -> None:
        assert not list(check([SEEN, SEEN, LISTING]))
        (line,) = check([SEEN, f"{BASE}/{LISTING}?A=1"])
        assert (
            line == f"reports: {LISTING!r} has two links with different filters; keep one of them"
        )

    def test_a_link_is_no_key_of_report_options(self) -> None:
        own = {"account_sid": "IRx", "auth_token": "t", "report_options": {SEEN: {}}}
        errors, _ = configuration.check(
            {"start_date": "2026-01-01", "impact": own}, configuration.config_schema()
        )
        assert errors == ["impact.report_options: key 1 is a link; use the report's id"]


PASSWORD = "p4ss%word?of/this=account"
WITH_USER = [
    f"https://{SID}:{PASSWORD}@api.impact.com/Mediapartners/{SID}/Reports/sales.json?A=1",
    f"https://{SID}:{quote(PASSWORD, safe='')}@api.impact.com/Mediapartners/x/Reports/sales",
    f"{SID}:p4ssword@api.impact.com/Mediapartners/{SID}/Reports/sales.json",
    "https://p4ss@api.impact.com/Mediapartners/x/Reports/sales.json",
    "p4ss@api.impact.com/Mediapartners/x/Reports/sales.json",
    "https://u:p4ss%40api.impact.com/Mediapartners/x/Reports/sales.json",
    quote(f"https://u:p4ss@api.impact.com/Mediapartners/{SID}/Reports/sales", safe=""),
    "https://u:p4 ss'\"@api.impact.com/Mediapartners/x/Reports/sales",
    "https://api.impact.com/Mediapartners/x/Reports/sales?AuthToken=p4ss",
]


class TestAUserInALink:
    @pytest.mark.parametrize("link", WITH_USER)
    def test_it_is_refused_and_appears_nowhere(
        self, link: str, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        config = config_for(sandbox, reports=[LISTING, link])
        run = sync(config, clock)
        assert "impact.reports: entry 2 is a link" in "; ".join(run.error.errors)  # type: ignore[union-attr]
        said = [record.getMessage() for record in run.log] + run.error.errors  # type: ignore[union-attr]
        shown = configuration.given(config, from_environment=False)
        assert "p4ss" not in json.dumps([said, shown])
        assert not sandbox.requests

    @pytest.mark.parametrize("link", WITH_USER)
    @pytest.mark.parametrize("value", [lambda link: link, lambda link: [[link]]])
    def test_not_where_the_setting_has_another_type(self, link: str, value: Any) -> None:
        own = {"account_sid": "IRx", "auth_token": "t", "reports": value(link)}
        errors, _ = configuration.check(
            {"start_date": "2026-01-01", "impact": own}, configuration.config_schema()
        )
        assert errors
        assert "p4ss" not in str(errors)

    @pytest.mark.parametrize("link", WITH_USER[:4])
    def test_not_in_a_variable_that_is_no_list(
        self, link: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TAP_AFFILIATE_REPORTS_IMPACT_REPORTS", f'["{link}"')
        properties = configuration.config_schema()["properties"]
        with pytest.raises(SettingsError) as error:
            complete({}, properties, SOURCES, from_environment=True)
        assert "p4ss" not in str(error.value)

    @pytest.mark.parametrize("url", ["ftp://u:p4ss@h", "http://u:p4ss+of/this@host"])
    def test_not_in_an_error_about_a_url(self, url: str) -> None:
        config = {
            "start_date": "2026-01-01",
            "impact": {"account_sid": "IRx", "auth_token": "t", "api_url": url},
            "batch_config": {"encoding": {}, "storage": {"root": f"{url}?x"}},
        }
        errors, _ = configuration.check(config, configuration.config_schema())
        assert errors
        assert "p4ss" not in str(errors)

    @pytest.mark.parametrize(
        "text", ["sales", "me@example.com", "https://api.impact.com/x?A=1", "2026-01-01T00:00:00"]
    )
    def test_a_text_without_a_user_is_shown(self, text: str) -> None:
        assert without_users(text) == text


class TestASync:
    def test_the_words_of_the_link_reach_the_service(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        run = sync(config_for(sandbox, reports=[SEEN], window="quarter"), clock).ok()
        (first, *_) = sandbox.impact.exports
        assert (first.report_id, first.params) == (
            LISTING,
            {
                **FILTERS,
                "START_DATE": ["2026-09-10"],
                "END_DATE": ["2026-09-30"],
                "ResultFormat": ["CSV"],
            },
        )
        assert run.records(LISTING)

    def test_a_link_of_a_report_that_does_not_exist_names_near_ids(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        run = sync(config_for(sandbox, reports=[f"{BASE}/mp_action_listing_fats.json?A=1"]), clock)
        assert f"similar ids: {LISTING}" in str(run.error)
