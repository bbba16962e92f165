"""The columns of clicks: a header of other names keeps every column, and each means one thing."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_affiliate_reports.errors import Rejected
from tap_affiliate_reports.exports.job import ExportKind, ExportRequest
from tap_affiliate_reports.schema import match_header
from tap_affiliate_reports.sources.impact import clicks

NAMES = [column.name for column in clicks.COLUMNS]


@pytest.mark.parametrize(
    ("header", "names"),
    [
        (["CampaignId", "campaign_name"], ["ProgramId", "ProgramName"]),
        (["Campaign Id", "Program Id"], ["Campaign Id", "Program Id"]),
        (["SubIds.SubId1", "SubIds/SubId2"], ["SubId1", "SubId2"]),
        (["Click.CampaignId", "items[SubId3]"], ["ProgramId", "SubId3"]),
        (["SubIds.SubId1", "SubId1"], ["SubIds.SubId1", "SubId1"]),
        (["SubIds.SubId1", "sub_id_1"], ["SubIds.SubId1", "sub_id_1"]),
        (["A.SubId1", "B.SubId1"], ["A.SubId1", "B.SubId1"]),
        (["CampaignId", "CampaignId"], ["CampaignId", "CampaignId"]),
        (["Id", "event date", "Fox", "", "..."], ["Id", "event date", "Fox", "", "..."]),
    ],
)
def test_a_name_is_replaced_only_if_one_column_can_be_meant(
    header: list[str], names: list[str]
) -> None:
    assert clicks.documented_names(header) == names


@pytest.mark.parametrize(
    ("header", "columns"),
    [
        (["Program.Id", "Program.Name"], ["ProgramId", "ProgramName"]),
        (["Campaign.Id", "Campaign.Name", "Id"], ["ProgramId", "ProgramName", "Id"]),
        (["Click.Id", "Program.Id", "Media.Id"], ["Id", "ProgramId", "MediaId"]),
        (["Click.Campaign.Id", "Click.Deal.Name"], ["ProgramId", "DealName"]),
        (["Bid.Keyword", "Device.Os"], ["BidKeyword", "Os"]),
    ],
)
def test_of_a_nested_name_as_many_parts_as_possible_are_meant(
    header: list[str], columns: list[str]
) -> None:
    match = match_header(clicks.documented_names(header), clicks.COLUMNS)
    assert [column.name for _, column in match.found] == columns


WORDS = st.sampled_from([*NAMES, "CampaignId", "CampaignName", "Fox", "id", "PROGRAM_ID"])
SOME_HEADER = st.lists(
    st.one_of(WORDS, st.builds("{}.{}".format, st.sampled_from(["SubIds", "Ad"]), WORDS), st.text())
)


@given(header=SOME_HEADER)
def test_no_column_of_any_header_is_lost_and_none_is_taken_twice(header: list[str]) -> None:
    names = clicks.documented_names(header)
    assert len(names) == len(header)
    # A name that the header has anyway is never given to another column.
    replaced = [new for old, new in zip(header, names, strict=True) if new != old]
    assert len(set(replaced)) == len(replaced)
    assert not set(replaced) & set(header)
    match = match_header(names, clicks.COLUMNS)
    assert len(match.found) + len(match.unknown) == len(header)
    assert len({column.name for _, column in match.found}) == len(match.found)


@given(header=st.permutations(NAMES))
def test_the_documented_names_are_matched_in_any_order(header: list[str]) -> None:
    names = clicks.documented_names(header)
    assert names == header
    found = match_header(names, clicks.COLUMNS).found
    assert [column.name for _, column in found] == header


def request(first: date | None, last: date | None) -> ExportRequest:
    filters = {"ProgramId": ("10211", "7"), "Date": ("2020-01-01",)}
    return ExportRequest(
        clicks.NAME, first, last, filters=filters, kind=clicks.export_kind(limit=9)
    )


def test_a_request_has_one_day_and_the_filters() -> None:
    day = date(2026, 11, 18)
    assert clicks.params(request(day, day)) == {
        "ProgramId": ["10211", "7"],
        "Date": "2026-11-18",
    }
    unique = ExportRequest(clicks.NAME, day, day, filters={"UniqueClick": ("true", "False")})
    assert clicks.params(unique)["UniqueClick"] == ["TRUE", "FALSE"]
    for first, last in ((None, None), (day, date(2026, 11, 19))):
        with pytest.raises(Rejected, match="by the day"):
            clicks.params(request(first, last))


def test_a_report_that_is_called_clicks_is_no_request_of_clicks() -> None:
    assert clicks.is_clicks(request(None, None))
    assert not clicks.is_clicks(ExportRequest(clicks.NAME, kind=ExportKind(limit=9)))
