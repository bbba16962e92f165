"""The account's `Timezone`: a display label, turned into the zone of its words."""

from __future__ import annotations

import logging
import re
from datetime import date, datetime, timedelta, timezone
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, available_timezones

import pytest
from harness import FakeClock, config_for, sync
from hypothesis import example, given
from hypothesis import strategies as st

from tap_affiliate_reports.sandbox import Attribute, Report, status
from tap_affiliate_reports.sources.impact.timezones import match_label
from tap_affiliate_reports.sources.impact.zone_names import NAMES, SECOND_ZONES
from tap_affiliate_reports.zones import same_rules, zone_name

if TYPE_CHECKING:
    from tap_affiliate_reports.sandbox import Sandbox

YEAR = 2026
ROWS = [(name, zone) for zone, names in NAMES.items() for name in names]
RAILS = """
American Samoa, Hawaii, Alaska, Tijuana, Arizona, Chihuahua, Mazatlan, Saskatchewan,
Guadalajara, Mexico City, Monterrey, Central America, Indiana (East), Bogota, Lima, Quito,
Atlantic Time (Canada), Caracas, La Paz, Santiago, Newfoundland, Brasilia, Buenos Aires,
Montevideo, Georgetown, Puerto Rico, Greenland, Mid-Atlantic, Azores, Cape Verde Is., Dublin,
Edinburgh, Lisbon, London, Casablanca, Monrovia, UTC, Belgrade, Bratislava, Budapest, Ljubljana,
Prague, Sarajevo, Skopje, Warsaw, Zagreb, Brussels, Copenhagen, Madrid, Paris, Amsterdam,
Berlin, Bern, Zurich, Rome, Stockholm, Vienna, West Central Africa, Bucharest, Cairo, Helsinki,
Kyiv, Riga, Sofia, Tallinn, Vilnius, Athens, Istanbul, Minsk, Jerusalem, Harare, Pretoria,
Kaliningrad, Moscow, St. Petersburg, Volgograd, Samara, Kuwait, Riyadh, Nairobi, Baghdad,
Tehran, Abu Dhabi, Muscat, Baku, Tbilisi, Yerevan, Kabul, Ekaterinburg, Islamabad, Karachi,
Tashkent, Chennai, Kolkata, Mumbai, New Delhi, Kathmandu, Astana, Dhaka, Sri Jayawardenepura,
Almaty, Novosibirsk, Rangoon, Bangkok, Hanoi, Jakarta, Krasnoyarsk, Beijing, Chongqing, Hong
Kong, Urumqi, Kuala Lumpur, Singapore, Taipei, Perth, Irkutsk, Ulaanbaatar, Seoul, Osaka,
Sapporo, Tokyo, Yakutsk, Darwin, Adelaide, Canberra, Melbourne, Sydney, Brisbane, Hobart,
Vladivostok, Guam, Port Moresby, Magadan, Srednekolymsk, Solomon Is., New Caledonia, Fiji,
Kamchatka, Marshall Is., Auckland, Wellington, Nuku'alofa, Tokelau Is., Chatham Is., Samoa,
Midway Island, International Date Line West
"""
# Places that only the Windows lists have
WINDOWS = """
Havana, Haiti, Turks and Caicos, Asuncion, Cuiaba, Araguaina, Punta Arenas, Saint Pierre and
Miquelon, Salvador, Sao Tome, Amman, Beirut, Chisinau, Damascus, Gaza, Khartoum, Tripoli,
Windhoek, Izhevsk, Port Louis, Saratov, Qyzylorda, Omsk, Barnaul, Hovd, Tomsk, Eucla, Chita,
Pyongyang, Lord Howe Island, Bougainville Island, Chokurdakh, Norfolk Island, Sakhalin, Anadyr,
Chetumal, Chatham Islands, Kiritimati Island, Easter Island, Yukon, Juba
"""


def found(label: str) -> str | None:
    """Return the name of the zone of a label; None where it is unknown."""
    match = match_label(label, YEAR)
    return zone_name(match.zone) if match else None


def offset_in(zone: str, month: int) -> timedelta:
    offset = datetime(YEAR, month, 15, tzinfo=timezone.utc).astimezone(ZoneInfo(zone)).utcoffset()
    assert offset is not None
    return offset


@pytest.mark.parametrize(
    ("label", "zone"),
    [
        # As documented: the GMT part follows summer time.
        ("(GMT -07:00) Pacific Time (US & Canada); Tijuana", "America/Los_Angeles"),
        ("(GMT -08:00) Pacific Time (US & Canada); Tijuana", "America/Los_Angeles"),
        ("(GMT-08:00) Pacific Time (US & Canada)", "America/Los_Angeles"),
        ("(GMT-08:00) Pacific Time (US and Canada); Tijuana", "America/Los_Angeles"),
        ("(GMT-08:00) Pacific Time (US &amp; Canada)", "America/Los_Angeles"),
        ("(GMT-08:00) Pacific Time (US &amp;amp; Canada)", "America/Los_Angeles"),
        ("(UTC-05:00) Eastern Time (US & Canada)", "America/New_York"),
        ("(UTC -04:00)Eastern  Time (U.S. & Canada)", "America/New_York"),
        ("[gmt-5] EASTERN TIME (us & canada)", "America/New_York"),
        ("Eastern Time (US & Canada) (GMT-05:00)", "America/New_York"),
        ("GMT-05:00 Eastern Time (US & Canada)", "America/New_York"),
        ("Central Time (US & Canada)", "America/Chicago"),
        ("(GMT-07:00) Mountain Time (US & Canada)", "America/Denver"),
        ("(GMT-07:00) Arizona", "America/Phoenix"),
        ("(GMT) Greenwich Mean Time : Dublin, Edinburgh, Lisbon, London", "Europe/London"),
        ("(GMT+01:00) Greenwich Mean Time; Dublin, Edinburgh; Lisbon; London", "Europe/London"),
        ("(UTC+00:00) Dublin, Edinburgh, Lisbon, London", "Europe/London"),
        ("(GMT) London", "Europe/London"),
        ("(GMT +01:00) Amsterdam, Berlin, Bern, Rome, Stockholm, Vienna", "Europe/Berlin"),
        ("(GMT+02:00) Madrid", "Europe/Madrid"),
        ("(GMT +05:30) Chennai, Kolkata, Mumbai, New Delhi", "Asia/Kolkata"),
        ("Calcutta, Chennai, Mumbai, New Delhi", "Asia/Kolkata"),
        ("(GMT+10:00) Canberra, Melbourne, Sydney", "Australia/Sydney"),
        ("(GMT+11:00) Melbourne", "Australia/Melbourne"),
        ("(GMT+09:00) Osaka, Sapporo, Tokyo", "Asia/Tokyo"),
        ("(GMT+02:00) Harare", "Africa/Harare"),
        ("(GMT-03:00) Bras\u00edlia", "America/Sao_Paulo"),
        ("(GMT+13:00) Nuku\u2019alofa", "Pacific/Tongatapu"),
        ("(GMT+12:00) Solomon Islands", "Pacific/Guadalcanal"),
        # Windows' ids
        ("Pacific Standard Time", "America/Los_Angeles"),
        ("W. Europe Standard Time", "Europe/Berlin"),
        ("Central Standard Time (Mexico)", "America/Mexico_City"),
        # IANA names
        ("America/New_York", "America/New_York"),
        ("US/Eastern", "US/Eastern"),
        ("us/eastern", "US/Eastern"),
        ("(GMT -05:00) America/New_York", "America/New_York"),
        ("EST", "EST"),
        ("UTC", "UTC"),
        ("Etc/UTC", "Etc/UTC"),
        ("Etc/GMT+5", "Etc/GMT+5"),
        # Cities of the IANA names
        ("Kolkata", "Asia/Kolkata"),
        ("(GMT-05:00) New York", "America/New_York"),
        ("(GMT -06:00) Central Time - Mexico City", "America/Mexico_City"),
        # Two zones of one name
        ("(GMT-04:00) Georgetown", "America/Guyana"),
        ("(GMT-03:00) Georgetown", "America/Cayenne"),
        ("(GMT-04:00) La Paz", "America/La_Paz"),
        ("(GMT-07:00) La Paz", "America/Mazatlan"),
        ("(GMT-07:00) Chihuahua, La Paz, Mazatlan", "America/Mazatlan"),
        ("(GMT+13:00) Samoa", "Pacific/Apia"),
        ("(GMT-11:00) Samoa", "Pacific/Pago_Pago"),
        ("(GMT-11:00) Midway Island, Samoa", "Pacific/Midway"),
        ("(GMT-04:00) San Juan", "America/Puerto_Rico"),
        # Places that no list has together: the first that is known and possible
        ("(GMT +02:00) London, Berlin", "Europe/Berlin"),
        ("(GMT +01:00) Atlantis, London, Berlin", "Europe/London"),
        # Words that are not known
        ("(GMT +05:30) Atlantis", "+05:30"),
        ("(GMT+0530) Atlantis", "+05:30"),
        ("(GMT \u221207:00) Atlantis", "-07:00"),
        ("(GMT \u201307:00)", "-07:00"),
        ("GMT+5", "+05:00"),
        ("Atlantis +0330", "+03:30"),
        ("(GMT)", "+00:00"),
        ("(UTC)", "+00:00"),
        ("(GMT-08:00) Victoria", "-08:00"),
        ("(GMT-05:00) Melbourne, Atlantis", "Australia/Melbourne"),
        ("(GMT+99:00) Atlantis", None),
        ("(GMT+05:75) Atlantis", None),
        ("(GMT+5.5) Atlantis", None),
        ("Etc/GMT+99", None),
        ("Etc/GMT+13", None),  # an IANA name like it would have the other sign
        ("Atlantis", None),
        ("", None),
        ("localtime", None),
        ("posixrules", None),
        ("Factory", None),
        ("Greenwich Mean Time", None),  # London's, or without summer time
    ],
)
def test_a_label_names_its_zone(label: str, zone: str | None) -> None:
    assert found(label) == zone


@pytest.mark.parametrize(
    "label", ["(GMT -07:00)", "(UTC)", "(GMT)", "GMT+5", "(GMT +05:30) Atlantis", "(GMT) Atlantis"]
)
def test_a_fixed_offset_is_in_doubt(label: str) -> None:
    match = match_label(label, YEAR)
    assert match is not None
    assert "summer time" in match.doubt


@pytest.mark.parametrize("label", ["(GMT+09:00) Eastern Time (US & Canada)", "(GMT -05:00) UTC"])
def test_words_win_over_an_impossible_offset_with_a_doubt(label: str) -> None:
    match = match_label(label, YEAR)
    assert match is not None
    assert zone_name(match.zone) in {"America/New_York", "UTC"}
    assert "GMT part" in match.doubt


def test_every_zone_of_the_table_exists() -> None:
    assert not {*NAMES, *SECOND_ZONES.values()} - available_timezones()


def test_every_name_stands_once() -> None:
    names = [name for name, _ in ROWS]
    assert len(names) == len({name.casefold() for name in names})
    assert set(SECOND_ZONES) <= set(names)


@pytest.mark.parametrize(
    "name", re.split(r",\s+", RAILS.strip()) + re.split(r",\s+", WINDOWS.strip())
)
def test_each_name_of_the_lists_is_known_by_itself(name: str) -> None:
    match = match_label(name, YEAR)
    assert match is not None
    assert not match.doubt
    alone = match_label(f"(GMT -09:30) Atlantis, {name}", YEAR)
    assert alone is not None
    assert same_rules(zone_name(alone.zone), zone_name(match.zone), *2 * [date(YEAR, 1, 1)])


# Any label


def gmt_parts(offset: timedelta) -> st.SearchStrategy[str]:
    """Return the ways to write an offset in front of a label."""
    total = int(offset.total_seconds()) // 60
    sign = "-" if total < 0 else "+"
    hours, minutes = divmod(abs(total), 60)
    numbers = [f"{hours:02}:{minutes:02}", f"{hours}:{minutes:02}", f"{hours:02}{minutes:02}"]
    if minutes == 0:
        numbers += [f"{hours:02}", str(hours)]
    signs = [sign, "\u2212", "\u2013"] if sign == "-" else [sign]
    written = [
        form.format(word=word, sign=s, number=number)
        for form in ("({word}{sign}{number}) ", "({word} {sign}{number}) ", "{word}{sign}{number} ",
                     "( {word} {sign} {number} )", "[{word}{sign}{number}] ")
        for word in ("GMT", "UTC", "gmt")
        for s in signs
        for number in numbers
    ]  # fmt: skip
    return st.sampled_from(["", *written, *(["(GMT) ", "(UTC) "] if total == 0 else [])])


@st.composite
def labels(draw: st.DrawFn) -> tuple[str, str]:
    """Draw a label of a row of the table, written in some way, and the row's zone."""
    name, zone = draw(st.sampled_from(ROWS))
    part = draw(gmt_parts(offset_in(zone, draw(st.integers(1, 12)))))
    words = draw(st.sampled_from([name, name.upper(), name.lower(), name.replace("&", "&amp;"),
                                  name.replace(", ", ","), name.replace(", ", "; "),
                                  name.replace(" ", "  ")]))  # fmt: skip
    return f"{draw(st.sampled_from(['', ' ']))}{part}{words} ", zone


@given(labels())
def test_a_label_of_any_row_in_any_form_gives_the_zone_of_the_row(row: tuple[str, str]) -> None:
    label, zone = row
    match = match_label(label, YEAR)
    assert match is not None
    assert (zone_name(match.zone), match.doubt) == (zone, "")


@given(st.sampled_from(ROWS), st.integers(-12, 14))
def test_the_gmt_part_never_decides_where_the_words_are_known(
    row: tuple[str, str], hours: int
) -> None:
    name, zone = row
    assert found(f"(GMT {hours:+03}:00) {name}") in {zone, SECOND_ZONES.get(name, zone)}


@given(
    st.text(max_size=60)
    | st.text("GMTUC()+-:0123456789 ,;/EST", max_size=30)
    | st.from_regex(r"\A\((GMT|UTC) ?[+-]\d{1,2}(:?\d\d)?\) .{0,20}\Z")
)
@example("(GMT+00:00) Atlantis")
@example("\u2100 (GMT+\u0665)")
@example("(GMT-00:00)")
def test_any_other_text_gives_no_utc_without_a_doubt(label: str) -> None:
    match = match_label(label, YEAR)
    if match is None:  # UTC with a warning
        return
    if same_rules(zone_name(match.zone), "UTC", *2 * [date(YEAR, 1, 1)]):
        words = {"utc", "gmt", "uct", "zulu", "universal", "greenwich", "etc/", "coordinated"}
        assert match.doubt or any(word in label.casefold() for word in words)
        assert match.doubt or not label.strip().startswith("(GMT)")


# The account's days


@pytest.fixture
def report(sandbox: Sandbox) -> str:
    """A report whose rows tell nothing; only its windows count."""
    columns = [Attribute("Name"), Attribute("Day", "Date")]
    sandbox.impact.add(Report("sales", "Sales", columns=columns, rows=lambda *_: [["a", ""]]))
    return "sales"


@pytest.mark.parametrize(
    ("label", "hours", "end", "level", "zone"),
    [
        # 01:00 UTC of the 20th: 20:00 in New York, where the 19th is not over.
        ("(GMT -05:00) Eastern Time (US & Canada)", 10, "2026-11-18", logging.INFO,
         "America/New_York"),
        # 07:00 UTC: the 19th has been over for 2 hours in New York, and for 7 in UTC.
        ("(GMT -04:00) Eastern Time (US & Canada)", 16, "2026-11-18", logging.INFO,
         "America/New_York"),
        ("(GMT +05:30) Chennai, Kolkata, Mumbai, New Delhi", 10, "2026-11-19", logging.INFO,
         "Asia/Kolkata"),
        ("(GMT +05:30) Atlantis", 10, "2026-11-19", logging.WARNING, "+05:30"),
        ("Atlantis", 16, "2026-11-19", logging.WARNING, "UTC"),
    ],
)  # fmt: skip
def test_the_days_are_those_of_the_label_and_the_log_says_once_why(
    sandbox: Sandbox, clock: FakeClock, report: str,
    label: str, hours: int, end: str, level: int, zone: str,
) -> None:  # fmt: skip
    sandbox.impact.company_timezone = label
    clock.advance(hours=hours)
    run = sync(config_for(sandbox, reports=[report, "partner_performance_by_day"]), clock).ok()
    assert run.bookmark(report) == end
    (line,) = [r for r in run.log if r.getMessage().startswith("time zone ")]
    assert line.levelno == level
    assert zone in line.getMessage()
    assert label in line.getMessage()


def test_the_log_says_that_the_zone_is_the_users(
    sandbox: Sandbox, clock: FakeClock, report: str
) -> None:
    run = sync(config_for(sandbox, reports=[report], timezone="Asia/Tokyo"), clock).ok()
    assert run.said("time zone Asia/Tokyo, from the setting impact.timezone")


@pytest.mark.parametrize("code", [403, 404])
def test_a_zone_that_is_refused_is_utc_with_a_warning(
    sandbox: Sandbox, clock: FakeClock, report: str, code: int
) -> None:
    sandbox.faults.add("CompanyInformation", status(code), times=None)
    run = sync(config_for(sandbox, reports=[report]), clock).ok()
    assert run.said("time zone UTC", logging.WARNING)
    assert run.said("impact.timezone", logging.WARNING)


@pytest.mark.parametrize("code", [400, 500, 503, 429])
def test_a_zone_that_is_not_to_be_had_for_now_is_an_error(
    sandbox: Sandbox, clock: FakeClock, report: str, code: int
) -> None:
    sandbox.faults.add("CompanyInformation", status(code, {"Retry-After": "9999"}), times=None)
    run = sync(config_for(sandbox, reports=[report]), clock)
    assert run.error is not None
    assert not run.said("time zone UTC")
    assert not sandbox.impact.exports


def test_times_without_an_offset_are_in_the_zone_of_the_label(
    sandbox: Sandbox, clock: FakeClock
) -> None:
    sandbox.impact.company_timezone = "(GMT +05:30) Atlantis"
    columns = [Attribute("At", "Date (yyyy-MM-dd'T'HH:mm:ssZZ)")]
    rows = [["2026-11-18T05:30:00"]]
    sandbox.impact.add(Report("sales", "Sales", columns=columns, rows=lambda *_: rows))
    config = config_for(sandbox, reports=["sales"], START_DATE="2026-11-17")
    assert [row["At"] for row in sync(config, clock).ok().records("sales")] == [
        "2026-11-18T00:00:00Z"
    ]
