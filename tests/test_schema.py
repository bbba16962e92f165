from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

import jsonschema
import pendulum
import pytest
from harness import examples
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tap_affiliate_reports.schema import (
    ADDED,
    ADDED_TO_FILES,
    Column,
    HeaderMatch,
    Kind,
    columns_of,
    json_schema,
    kind_of,
    kind_of_property,
    match_header,
    parser,
    property_schema,
    row_parser,
    unknown_columns,
)

UTC = timezone.utc
NEW_YORK = ZoneInfo("America/New_York")
# Offsets of full hours, of 30 and 45 minutes; gaps at midnight, of 30 minutes, of a full day.
ZONES = st.sampled_from(
    [
        UTC,
        NEW_YORK,
        ZoneInfo("Europe/Berlin"),
        ZoneInfo("Asia/Kolkata"),
        ZoneInfo("Asia/Kathmandu"),
        ZoneInfo("America/St_Johns"),
        ZoneInfo("Australia/Lord_Howe"),
        ZoneInfo("America/Sao_Paulo"),
        ZoneInfo("Pacific/Apia"),
        pendulum.timezone("America/New_York"),
    ]
)
# A few letters, so that names collide; all of Unicode, so that every character occurs.
NAMES = st.text(st.sampled_from("aAbB_ 2%ß\0"), max_size=4) | st.text(max_size=80)


def parse(kind: Kind, text: str, *, zone=UTC, singer_decimal=False):
    return parser(kind, timezone=zone, singer_decimal=singer_decimal)(text)


# --- DataType and JSON Schema


@pytest.mark.parametrize(
    ("data_type", "kind"),
    [
        ("String", Kind.STRING),
        ("INTEGER", Kind.INTEGER),
        ("Decimal", Kind.DECIMAL),
        ("decimal(38,18)", Kind.DECIMAL),
        ("boolean", Kind.BOOLEAN),
        ("Date", Kind.DATE),
        ("DATE", Kind.DATE),
        ("DATETIME", Kind.DATETIME),
        ("Date (yyyy-MM-dd'T'HH:mm:ssZZ)", Kind.DATETIME),
        ("Money", Kind.STRING),
        ("", Kind.STRING),
        (None, Kind.STRING),
    ],
)
def test_a_data_type_is_known_by_its_prefix_in_any_case(data_type, kind):
    assert kind_of(data_type) is kind


@pytest.mark.parametrize("singer_decimal", [False, True])
@pytest.mark.parametrize("kind", Kind)
def test_a_property_is_nullable_and_has_its_kind(kind, singer_decimal):
    schema = property_schema(kind, "What it is.", singer_decimal=singer_decimal)
    assert "null" in schema["type"]
    assert schema["description"] == "What it is."
    assert kind_of_property(schema) is kind
    assert kind_of_property({k: schema[k] for k in schema.keys() & {"type", "format"}}) is kind


def test_a_decimal_for_singer_decimal_names_precision_and_scale():
    assert property_schema(Kind.DECIMAL, singer_decimal=True) == {
        "type": ["string", "null"],
        "format": "x-singer.decimal",
        "precision": 38,
        "scale": 18,
    }
    assert property_schema(Kind.DECIMAL, singer_decimal=False) == {"type": ["number", "null"]}


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": ["object", "null"]},
        {"type": ["integer", "string", "null"]},
        {"type": "string", "format": "uri"},
        {"anyOf": [{"type": "integer"}, {"type": "null"}]},
    ],
)
def test_a_property_the_tap_did_not_write_is_read_as_a_string(schema):
    assert kind_of_property(schema) is Kind.STRING


def test_a_schema_has_the_columns_of_the_tap_then_those_of_the_report():
    columns = columns_of([("Action_Id", "String", "Its id."), ("Payout", "Decimal", None)])
    schema = json_schema(columns, singer_decimal=False)
    jsonschema.Draft7Validator.check_schema(schema)
    assert list(schema["properties"]) == [*ADDED, "Action_Id", "Payout"]
    assert schema["properties"]["Action_Id"]["description"] == "Its id."
    assert all(name.startswith("_") and ADDED[name]["description"] for name in ADDED)
    nullable = {name for name, added in ADDED.items() if "null" in added["type"]}
    assert nullable == {"_sdc_deleted_at", "_unparsed"}
    jsonschema.validate({"_unparsed": '{"Payout":"n/a"}', "_deleted": False}, schema)
    # Loaders of Parquet reject an object without properties.
    assert ADDED["_unparsed"]["type"] == ADDED_TO_FILES["_unparsed"]["type"] == ["string", "null"]


def test_a_schema_can_be_changed_without_changing_the_next_one():
    json_schema([], singer_decimal=False)["properties"]["_account"]["type"] = "integer"
    property_schema(Kind.STRING, singer_decimal=False)["type"] = "integer"
    assert json_schema([], singer_decimal=False)["properties"]["_account"]["type"] == "string"
    assert property_schema(Kind.STRING, singer_decimal=False)["type"] == ["string", "null"]


# --- Names


def names_of(sources):
    return [column.name for column in columns_of((source, None, None) for source in sources)]


@pytest.mark.parametrize(
    ("sources", "names"),
    [
        (["Sale_zzzAmount", "Date Display", "%"], ["Sale_zzzAmount", "Date Display", "%"]),
        (["Action_Id", "action_id", "ACTION_ID"], ["Action_Id", "action_id_2", "ACTION_ID_3"]),
        (["a", "a_2", "A", "a"], ["a", "a_2", "A_3", "a_4"]),
        (["", "x", " "], ["column_1", "x", "column_3"]),
        (["column_2", ""], ["column_2", "column_2_2"]),
        (["_ACCOUNT", "_deleted"], ["_ACCOUNT_2", "_deleted_2"]),
        (["x" * 70, "x" * 60], ["x" * 60, "x" * 60 + "_2"]),
        (["a\0b\n", "\x7f"], ["ab", "column_2"]),
    ],
)
def test_a_name_is_kept_but_for_what_a_warehouse_cannot_hold(sources, names):
    assert names_of(sources) == names


@given(st.lists(NAMES, max_size=30))
def test_names_are_unique_ignoring_case_and_not_too_long(sources):
    columns = columns_of((source, None, None) for source in sources)
    names = [column.name for column in columns]
    for form in (str.lower, str.upper, str.casefold):
        assert len({form(name) for name in [*ADDED, *names]}) == len(ADDED) + len(names)
    assert all(name.strip() and len(name) <= 63 and "\0" not in name for name in names)
    assert [column.source for column in columns] == sources


@given(st.lists(NAMES, max_size=8), st.lists(NAMES, max_size=8))
def test_columns_found_in_a_file_get_names_that_are_free(known, found):
    taken = [*ADDED, *names_of(known)]
    unknown = list(enumerate([*found, "_ACCOUNT"]))
    columns = unknown_columns(unknown, taken)
    assert len({name.casefold() for name in [*taken, *(c.name for c in columns)]}) == (
        len(taken) + len(unknown)
    )
    assert all(column.kind is Kind.STRING for column in columns)
    kinds = [Kind.DECIMAL, *[Kind.BOOLEAN] * len(found)]
    assert [column.kind for column in unknown_columns(unknown, taken, kinds)] == kinds


@pytest.mark.kill
def test_names_stay_unique_and_short_when_a_hundred_thousand_are_equal():
    names = names_of(["x" * 80] * 100_000)
    assert len(set(names)) == 100_000
    assert max(map(len, names)) == 63


# --- Values


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (Kind.STRING, "NA", "NA"),
        (Kind.STRING, " 007 ", " 007 "),
        (Kind.INTEGER, "007", 7),
        (Kind.INTEGER, "-5.000", -5),
        (Kind.INTEGER, " +5 ", 5),
        (Kind.INTEGER, str(2**63 - 1), 2**63 - 1),
        (Kind.INTEGER, str(-(2**63)), -(2**63)),
        (Kind.DECIMAL, "0.000000000000000001", Decimal("0.000000000000000001")),
        (Kind.DECIMAL, "1e300", Decimal("1e300")),
        (Kind.DECIMAL, " -.5 ", Decimal("-0.5")),
        (Kind.BOOLEAN, "TRUE", True),
        (Kind.BOOLEAN, "false", False),
        (Kind.BOOLEAN, "1", True),
        (Kind.BOOLEAN, " 0 ", False),
        (Kind.DATE, "2026-08-03", "2026-08-03"),
        (Kind.DATE, "2026-08-03T00:00:00-05:00", "2026-08-03"),
        (Kind.DATE, "2026-08-03 00:00:00.000", "2026-08-03"),
        (Kind.DATETIME, "2026-08-03", "2026-08-03T00:00:00Z"),
        (Kind.DATETIME, "2026-08-03 14:05", "2026-08-03T14:05:00Z"),
        (Kind.DATETIME, "2026-08-03T14:05:06-0530", "2026-08-03T19:35:06Z"),
        (Kind.DATETIME, "2026-08-03T14:05:06 +02", "2026-08-03T12:05:06Z"),
        (Kind.DATETIME, "2026-08-03T14:05:06.5Z", "2026-08-03T14:05:06.5Z"),
        (Kind.DATETIME, "2026-08-03T14:05:06.120000000Z", "2026-08-03T14:05:06.120000000Z"),
        (Kind.DATETIME, "2026-12-31T23:59:59.999-00:01", "2027-01-01T00:00:59.999Z"),
        (Kind.DATETIME, "0001-01-01T00:45:00+00:30", "0001-01-01T00:15:00Z"),
    ],
)
def test_a_text_becomes_its_value(kind, text, value):
    parsed = parse(kind, text)
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("kind", "texts"),
    [
        (Kind.INTEGER, ["NA", "1_000", "1,000", "5.5", "1e3", "٣", "²", "--1", "+", "5\n", " "]),
        (Kind.INTEGER, [str(2**63), str(-(2**63) - 1), "9" * 10_000]),
        (Kind.DECIMAL, ["NaN", "Infinity", "-inf", "1_0.5", "1,000.00", "٣.1", ".", "1.5\n", "$5"]),
        (Kind.DECIMAL, ["1e301", "1e-301", "1e999999999", "1e99999999999999999999", "1" * 401]),
        (Kind.BOOLEAN, ["yes", "t", "2", "10", "true\n"]),
        (Kind.DATE, ["2026-02-30", "20260803", "2026-08-03T00:00:01", "2026-08-03T00:00:00.001"]),
        (Kind.DATE, ["2026-08-03T24:00", "2026-08-03T00:00+24:00", "Aug 3, 2026", "2026-W01-1"]),
        (Kind.DATETIME, ["2026-08-03T25:00", "2026-08-03T23:61", "2026-08-03T23:59:60", "10:00"]),
        (Kind.DATETIME, ["2026-02-29T10:00:00Z", "0000-01-01", "2026-08-03T10:00:00+24:00"]),
        (Kind.DATETIME, ["0001-01-01T00:00:00+01:00", "9999-12-31T23:30:00-01:00", "1754179200"]),
        (
            Kind.DATETIME,
            ["2026-08-03Z", "2026-08-03T1:00", "2026-08-03T10", "2026-08-03T10:00:00z"],
        ),
    ],
)
def test_a_text_that_does_not_fit_is_refused(kind, texts):
    for text in texts:
        with pytest.raises(ValueError, match=r".*"):
            parse(kind, text)


@given(st.text(min_size=1) | st.from_regex(r"[0-9eE.+\-:TZ ]{1,40}", fullmatch=True), ZONES)
@example("1e999999999", UTC)
@example("1" * 1_000_000, UTC)
@example(" " * 1_000_000, UTC)
@example("2026-08-03T10:00:00." + "0" * 1_000_000, UTC)
def test_any_text_is_a_value_or_a_value_error(text, zone):
    for kind in Kind:
        for singer_decimal in (False, True):
            started = time.perf_counter()
            try:
                value = parse(kind, text, zone=zone, singer_decimal=singer_decimal)
            except ValueError:
                value = None
            assert value is None or type(value) in {str, int, bool, Decimal}
            assert time.perf_counter() - started < 1


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_a_decimal_keeps_every_digit(number):
    if -300 <= number.adjusted() <= 300:
        assert parse(Kind.DECIMAL, str(number)).as_tuple() == number.as_tuple()
    else:
        with pytest.raises(ValueError, match="range"):
            parse(Kind.DECIMAL, str(number))


@given(st.integers(-(10**38), 10**38), st.integers(0, 30), st.sampled_from(["f", "E", ""]))
@example(10**20, 0, "f")
@example(10**20 - 1, 0, "E")
@example(10**38 - 1, 18, "f")
@example(1, 19, "f")
@example(10, 19, "f")
def test_a_singer_decimal_is_a_plain_number_that_fits_or_is_refused(digits, scale, form):
    number = Decimal(f"{digits}e-{scale}")
    # In integers, because a Decimal's arithmetic rounds.
    fits = abs(digits) < 10 ** (20 + scale) and digits * 10**18 % 10**scale == 0
    try:
        text = parse(Kind.DECIMAL, format(number, form), singer_decimal=True)
    except ValueError:
        assert not fits
    else:
        assert fits
        assert Decimal(text) == number
        assert re.fullmatch(r"-?\d{1,20}(\.\d{1,18})?", text)


@given(st.integers(-(2**63) - 3, -(2**63) + 3) | st.integers(2**63 - 4, 2**63 + 2) | st.integers())
def test_an_integer_fits_as_far_as_64_bits_go(number):
    for text in (str(number), f"{number}.000"):
        if -(2**63) <= number < 2**63:
            assert parse(Kind.INTEGER, text) == number
        else:
            with pytest.raises(ValueError, match="64 bits"):
                parse(Kind.INTEGER, text)


# --- Date-times


LOCAL = st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29)) | st.datetimes(
    datetime(2026, 1, 1),
    datetime(2026, 12, 31),
)


def in_utc(moment: datetime) -> str:
    return moment.astimezone(UTC).replace(tzinfo=None, microsecond=0).isoformat() + "Z"


@given(LOCAL, ZONES)
@example(datetime(2026, 3, 8, 2, 30), NEW_YORK)  # skipped: the offset before the gap
@example(datetime(2026, 11, 1, 1, 30), NEW_YORK)  # repeated: the first
@example(datetime(1987, 4, 5, 1, 0, 59), ZoneInfo("America/St_Johns"))  # a gap from 00:01 on
@example(datetime(2010, 3, 27, 1, 30), ZoneInfo("Asia/Gaza"))  # a gap that ends at 01:01
@example(datetime(1883, 11, 18, 12, 3, 57), NEW_YORK)  # local mean time, offset with seconds
def test_a_date_time_without_offset_is_in_the_zone_of_the_account(moment, zone):
    for separator in "T ":
        text = moment.replace(microsecond=0).isoformat(separator)
        assert parse(Kind.DATETIME, text, zone=zone) == in_utc(moment.replace(tzinfo=zone))


@given(LOCAL, st.integers(-23 * 60 - 59, 23 * 60 + 59), st.sampled_from(["", ":"]))
def test_a_date_time_with_an_offset_keeps_its_instant(moment, minutes, colon):
    sign, (hours, rest) = "+-"[minutes < 0], divmod(abs(minutes), 60)
    local = moment.replace(microsecond=0)
    aware = local.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    for gap in ("", " "):
        text = f"{local.isoformat()}{gap}{sign}{hours:02}{colon}{rest:02}"
        assert parse(Kind.DATETIME, text, zone=NEW_YORK) == in_utc(aware)
        assert pendulum.parse(parse(Kind.DATETIME, text)) == aware


def test_every_hour_of_a_day_with_a_clock_change_is_that_of_the_zone():
    for zone in (NEW_YORK, ZoneInfo("Australia/Lord_Howe"), ZoneInfo("Europe/London")):
        for day in ("2026-03-08", "2026-11-01", "2026-03-29", "2026-04-05", "2026-10-04"):
            for minute in range(0, 24 * 60, 15):
                text = f"{day}T{minute // 60:02}:{minute % 60:02}:00"
                aware = datetime.fromisoformat(text).replace(tzinfo=zone)
                assert parse(Kind.DATETIME, text, zone=zone) == in_utc(aware)


# --- Header and rows


def column(name: str, kind: Kind = Kind.STRING) -> Column:
    return Column(name, name, kind)


def test_a_header_matches_by_name_then_without_case_and_punctuation():
    columns = [column("Action_Id"), column("Status"), column("Größe"), column("gone")]
    match = match_header(["größe", "Action Id", "new", "Status"], columns)
    assert match == HeaderMatch(
        found=[(0, columns[2]), (1, columns[0]), (3, columns[1])],
        missing=[columns[3]],
        unknown=[(2, "new")],
    )


def test_an_exact_match_wins_over_one_that_comes_first():
    columns = [column("action_id"), column("Action_Id")]
    match = match_header(["Action_Id", "ACTION ID"], columns)
    assert match.found == [(0, columns[1]), (1, columns[0])]


def test_names_of_nothing_but_punctuation_or_of_other_letters_do_not_match():
    columns = [column("%"), column("ना"), column("A")]
    match = match_header(["#", "नि", "Ä"], columns)
    assert match.found == []
    assert match.missing == columns
    assert match.unknown == [(0, "#"), (1, "नि"), (2, "Ä")]


def test_equal_names_are_matched_in_their_order():
    columns = columns_of([("a", "String", ""), ("A", "Integer", ""), ("a", "Decimal", "")])
    match = match_header(["a", "a", "A", "a"], columns)
    assert match.found == [(0, columns[0]), (1, columns[2]), (2, columns[1])]
    assert match.unknown == [(3, "a")]


def matched(header: Sequence[str], sources: Sequence[str]) -> dict[str, str]:
    """Return the source name of the column that matches each name of a header."""
    match = match_header(header, [column(source) for source in sources])
    return {header[index]: found.source for index, found in match.found}


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("Discount $", "Discount %"),
        ("Discount €", "Discount $"),
        ("Discount £", "Discount ¥"),
        ("Clicks +", "Clicks #"),
        ("A > B", "A < B"),
        ("Change -", "Change +"),
        ("Change (\N{MINUS SIGN})", "Change (+)"),
        ("Rate @", "Rate &"),
        ("Heat °", "Heat %"),
        ("%", "$"),
        ("#", "%"),
        ("*", "#"),
        ("Rate %%", "Rate %"),
        ("Gain $ %", "Gain % $"),
        ("≥ 5", "≤ 5"),
        ("Tier 1.5", "Tier 15"),
        ("Days 1-7", "Days 17"),
        ("Ratio 1:5", "Ratio 1.5"),
        ("Sum 1+23", "Sum 12+3"),
        ("Day -7", "Day +7"),
        ("m²", "m2"),
        ("Café", "Cafe"),
        ("Ä", "A"),
        ("-", "_"),
        ("", "%"),
        ("Rate ‰", "Rate %"),
        ("_", " "),
    ],
)
def test_names_of_another_meaning_are_other_columns(name: str, source: str):
    assert matched([name], [source]) == {}
    assert matched([source], [name]) == {}


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("Action Id", "Action_Id"),
        ("Deal-ID", "Deal ID"),
        ("deal_id", "Deal ID"),
        ("AB", "a.b"),
        ("amount ", "Amount"),
        ("discount(%)", "Discount %"),
        ("% Discount", "Discount %"),
        ("Discount_$", "discount [$]"),
        ("Action - Id", "ActionId"),
        ("Sub_ID_1_2", "Sub ID 1-2"),
        ("clicks, total", "Clicks: Total"),
        ("Partner's Name", "Partners Name"),
        ("SubId1", "Sub Id 1"),
        ("GRÖSSE", "Größe"),
        (" % ", "%"),
        ("\ufeffId", "Id"),
        ("Sale/Lead", "Sale Lead"),
    ],
)
def test_case_and_separators_do_not_matter(name: str, source: str):
    assert matched([name], [source]) == {name: source}
    assert matched([source], [name]) == {source: name}


@pytest.mark.parametrize("sign", ["%", "$", "€", "#", "+", "*", "&", "-"])
def test_a_sign_on_one_side_matches_only_where_nothing_else_claims_the_name(sign: str):
    signed = f"Discount {sign}"
    assert matched([signed], ["Discount"]) == {signed: "Discount"}
    assert matched(["discount"], [signed]) == {"discount": signed}
    assert matched(["Discount £", signed], ["Discount"]) == {}
    assert matched(["Discount"], ["Discount £", signed]) == {}
    assert matched(["Discount", signed], ["Discount"]) == {"Discount": "Discount"}
    assert matched(["Discount"], ["Discount", signed]) == {"Discount": "Discount"}
    assert matched(["DISCOUNT", signed], ["Discount"]) == {"DISCOUNT": "Discount"}
    # The remaining column is not the only one that the name could mean.
    assert matched(["Discount £", "Discount"], ["Discount £", signed]) == {
        "Discount £": "Discount £"
    }
    assert matched([signed, signed], ["Discount"]) == {}


def test_names_that_are_alike_are_matched_only_where_one_of_each_is_left():
    assert matched(["ACTION ID"], ["Action_Id", "Action Id"]) == {}
    assert matched(["ACTION ID", "action-id"], ["Action_Id"]) == {}
    assert matched(["ACTION ID", "Action Id"], ["Action_Id", "Action Id"]) == {
        "ACTION ID": "Action_Id",
        "Action Id": "Action Id",
    }
    match = match_header(["A", "A", "A"], [column("a"), column("a")])
    assert [index for index, _ in match.found] == [0, 1]


WORDS = st.lists(
    st.sampled_from(["a", "A", "b", "1", "2", "%", "$", "+", "-", "_", " ", ".", "(", "é"]),
    max_size=5,
).map("".join)


@settings(max_examples=examples(500))
@given(
    st.lists(WORDS, max_size=5, unique=True), st.lists(WORDS, max_size=5, unique=True), st.randoms()
)
def test_a_match_keeps_signs_apart_and_does_not_depend_on_any_order(header, sources, random):
    found = matched(header, sources)
    for name, source in found.items():
        signs = [re.sub(r"[^%$+]", "", text) for text in (name, source)]
        assert signs[0] == signs[1] or "" in signs
        assert re.sub(r"[^ab12é]", "", name.lower()) == re.sub(r"[^ab12é]", "", source.lower())
    assert matched(sources, header) == {source: name for name, source in found.items()}
    assert matched(random.sample(header, len(header)), random.sample(sources, len(sources))) == (
        found
    )


@given(st.lists(NAMES, max_size=12), st.lists(NAMES, max_size=12))
def test_each_name_and_each_column_is_used_once_and_exact_matches_win(header, sources):
    columns = columns_of((source, None, None) for source in sources)
    match = match_header(header, columns)
    indexes = [index for index, _ in match.found] + [index for index, _ in match.unknown]
    assert sorted(indexes) == list(range(len(header)))
    names = Counter(c.name for _, c in match.found) + Counter(c.name for c in match.missing)
    assert names == Counter(c.name for c in columns)
    exact = Counter(header[index] for index, c in match.found if header[index] == c.source)
    assert exact == Counter(header) & Counter(sources)
    assert match.missing == [c for c in columns if c in match.missing]


@pytest.mark.kill
def test_a_hundred_thousand_columns_are_matched_and_named_in_no_time():
    started = time.process_time()
    header = [f"column {number}" for number in range(100_000)]
    columns = columns_of((name.upper(), None, None) for name in header[:50_000])
    match = match_header(header, columns)
    added = unknown_columns(match.unknown, [*ADDED, *(c.name for c in columns)])
    record, _ = row_parser(match, added, timezone=UTC)(["x"] * 100_000)
    assert len(record) == 100_000
    assert time.process_time() - started < 10


KNOWN = [
    column("id"),
    column("count", Kind.INTEGER),
    column("gone", Kind.DECIMAL),
    column("at", Kind.DATETIME),
]


def test_a_row_becomes_a_record_of_every_known_column():
    parse_row = row_parser(match_header(["At", "id", "count"], KNOWN), timezone=NEW_YORK)
    assert parse_row(["2026-08-03 10:00", "NA", "5.0"]) == (
        {"at": "2026-08-03T14:00:00Z", "id": "NA", "count": 5, "gone": None},
        None,
    )
    assert parse_row(["", "", ""]) == ({"at": None, "id": None, "count": None, "gone": None}, None)


def test_a_value_that_does_not_fit_is_null_and_kept_as_text():
    parse_row = row_parser(match_header(["id", "count", "at"], KNOWN), timezone=UTC)
    record, unparsed = parse_row(["1", "many", "soon"])
    assert record == {"id": "1", "count": None, "at": None, "gone": None}
    assert unparsed == {"count": "many", "at": "soon"}
    assert parse_row(["1", "2", ""])[1] is None


def test_u_0000_is_removed_before_a_value_is_read():
    parse_row = row_parser(match_header(["id", "count", "at"], KNOWN), timezone=UTC)
    assert parse_row(["\0a\0b", "\0", "x\0"]) == (
        {"id": "ab", "count": None, "at": None, "gone": None},
        {"at": "x"},
    )


def test_only_selected_columns_are_read():
    parse_row = row_parser(
        match_header(["id", "count", "at"], KNOWN), timezone=UTC, selected={"id", "gone"}
    )
    assert parse_row(["1", "many", "soon"]) == ({"id": "1", "gone": None}, None)


def test_an_unknown_column_is_a_string_once_it_is_added():
    match = match_header(["id", "ID", "new"], KNOWN)
    assert row_parser(match, timezone=UTC)(["1", "2", "3"])[0].keys() == {c.name for c in KNOWN}
    added = unknown_columns(match.unknown, [*ADDED, *(c.name for c in KNOWN)])
    record, _ = row_parser(match, added, timezone=UTC)(["1", "2", "3"])
    assert (record["id"], record["ID_2"], record["new"]) == ("1", "2", "3")
    with pytest.raises(ValueError, match="each unknown"):
        row_parser(match, added[:1], timezone=UTC)


def test_decimals_are_text_with_singer_decimal():
    match = match_header(["d"], [column("d", Kind.DECIMAL)])
    parse_row = row_parser(match, timezone=UTC, singer_decimal=True)
    assert parse_row(["0.000000000000000001"]) == ({"d": "0.000000000000000001"}, None)
    assert parse_row(["1e20"]) == ({"d": None}, {"d": "1e20"})


@given(st.lists(st.text(), min_size=len(Kind), max_size=len(Kind)))
def test_no_value_of_a_row_is_lost(texts):
    columns = [column(kind.value, kind) for kind in Kind]
    record, unparsed = row_parser(match_header([k.value for k in Kind], columns), timezone=UTC)(
        texts
    )
    json.dumps(record, default=str)
    for kind, text in zip(Kind, texts, strict=True):
        kept = text.replace("\0", "")
        if kept and record[kind.value] is None:
            assert unparsed[kind.value] == kept
        else:
            assert kind.value not in (unparsed or {})
