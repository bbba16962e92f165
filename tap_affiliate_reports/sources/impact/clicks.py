"""The stream `clicks`: one export a day from ClickExport, whose columns are documented."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from tap_affiliate_reports.errors import Rejected
from tap_affiliate_reports.exports.job import ExportKind, ExportRequest
from tap_affiliate_reports.schema import Column, Kind
from tap_affiliate_reports.sources.source import ReportOptions, ReportSpec

NAME = "clicks"
LOOKBACK_DAYS = 3
SETTING = "max_click_exports"
UNIQUE = "UniqueClick"
"""A filter whose value is TRUE or FALSE."""
OPTIONS = ("filters", "lookback_days")
"""The options of a report that clicks have too: their windows, keys and endpoint are fixed."""

COLUMNS = [
    Column(name, name, kind, description)
    for name, kind, description in (
        ("Id", Kind.STRING, "The click; several rows may have the same one."),
        ("ProgramId", Kind.STRING, "The program whose link was clicked."),
        ("ProgramName", Kind.STRING, "The program's name."),
        ("ProfileId", Kind.STRING, "The visitor's profile."),
        ("IpAddress", Kind.STRING, "A hash of the visitor's IP address."),
        ("EventDate", Kind.DATETIME, "When the link was clicked."),
        ("MediaId", Kind.STRING, "The partner's property with the link."),
        ("MediaName", Kind.STRING, "The property's name."),
        ("AdId", Kind.STRING, "The ad."),
        ("AdName", Kind.STRING, "The ad's name."),
        ("AdType", Kind.STRING, "The ad's type."),
        ("ProductSku", Kind.STRING, "The product of the link."),
        ("AdCampaign", Kind.STRING, "The paid campaign that brought the visitor."),
        ("AdGroup", Kind.STRING, "The ad group of that campaign."),
        ("Keyword", Kind.STRING, "The keyword of that campaign."),
        ("MatchType", Kind.STRING, "How the keyword was matched."),
        ("Channel", Kind.STRING, "The marketing channel."),
        ("DealName", Kind.STRING, "The deal that the link belongs to."),
        ("DealType", Kind.STRING, "The deal's type."),
        ("DealScope", Kind.STRING, "What the deal applies to."),
        ("CustomerArea", Kind.STRING, "The visitor's area; `n/a` is unknown."),
        ("CustomerCity", Kind.STRING, "The visitor's city."),
        ("CustomerRegion", Kind.STRING, "The visitor's region."),
        ("CustomerCountry", Kind.STRING, "The visitor's country."),
        ("DeviceType", Kind.STRING, "The type of the device."),
        ("DeviceFamily", Kind.STRING, "The make of the device."),
        ("Browser", Kind.STRING, "The browser."),
        ("Os", Kind.STRING, "The operating system."),
        ("ReferringUrl", Kind.STRING, "The page with the link; its query may name a person."),
        ("ReferringDomain", Kind.STRING, "The domain of that page."),
        ("LandingPageUrl", Kind.STRING, "The page that the link led to."),
        ("TrafficCategory", Kind.STRING, "The category of the traffic."),
        ("TrafficSource", Kind.STRING, "The source of the traffic."),
        ("BidKeyword", Kind.STRING, "The keyword that was bid on."),
        ("SearchText", Kind.STRING, "What the visitor searched for."),
        ("SharedId", Kind.STRING, "The partner's value that the brand sees too."),
        ("SubId1", Kind.STRING, "The partner's first value, whatever the link carried."),
        ("SubId2", Kind.STRING, "The partner's second value."),
        ("SubId3", Kind.STRING, "The partner's third value."),
        ("CpcBid", Kind.DECIMAL, "The bid for the click."),
        ("Payout", Kind.DECIMAL, "What the click earned."),
        ("UniqueClick", Kind.BOOLEAN, "Whether it is the visitor's first click in some time."),
    )
]

# The header of the file is not documented, and a sister endpoint says campaign for program.
_SYNONYMS = {"campaignid": "ProgramId", "campaignname": "ProgramName"}
_DOCUMENTED = {column.name.lower(): column.name for column in COLUMNS}
# A nested value may be named by its path, such as SubIds.SubId1.
_SEPARATOR = re.compile(r"[./:>|\[\]]+")


def export_kind(limit: int) -> ExportKind:
    """Return the kind of the exports of clicks, of which one run may request `limit`."""
    return ExportKind(NAME, "click exports", SETTING, limit)


def report_spec(options: ReportOptions, kind: ExportKind) -> ReportSpec:
    """Return the clicks as a report: an export for each day, the newest day first."""
    return ReportSpec(
        id=NAME,
        stream=NAME,
        options=options,
        columns=lambda _: COLUMNS,
        names_in=documented_names,
        has_dates=lambda _: True,
        selected_if_omitted=True,
        description="Every click on the account's links.",
        kind=kind,
        newest_first=True,
    )


def is_clicks(request: ExportRequest) -> bool:
    """Return whether a request is for clicks, and not for a report."""
    return request.kind.name == NAME


def params(request: ExportRequest) -> dict[str, Any]:
    """Return the parameters of a ClickExport request, which has one day."""
    if request.start is None or request.start != request.end:
        msg = f"internal error: clicks are exported by the day, not for {request.start}"
        raise Rejected(msg)
    filters = {name: list(values) for name, values in request.filters.items()}
    if UNIQUE in filters:
        # The documented words; a setting may have a boolean.
        filters[UNIQUE] = [value.upper() for value in filters[UNIQUE]]
    return {**filters, "Date": request.start.isoformat()}


def documented_names(header: Sequence[str]) -> list[str]:
    """Return the names of a file's header, the documented one where another stands for it.

    `CampaignId` stands for `ProgramId`, and the last parts of `SubIds.SubId1` for `SubId1`, unless
    the header has that column anyway. A name that stands for nothing is returned unchanged.
    """
    meant = [_meant(name) for name in header]
    own = {_letters(name) for name in header}
    counts = Counter(meant)
    return [
        documented
        if documented and counts[documented] == 1 and documented.lower() not in own
        else name
        for name, documented in zip(header, meant, strict=True)
    ]


def _meant(name: str) -> str:
    """Return the documented name that a name of another form stands for; "" for none."""
    parts = [letters for part in _SEPARATOR.split(name) if (letters := _letters(part))]
    for place in range(len(parts)):
        last_parts = "".join(parts[place:])
        if synonym := _SYNONYMS.get(last_parts):
            return synonym
        if documented := _DOCUMENTED.get(last_parts):
            return documented if place else ""
    return ""


def _letters(name: str) -> str:
    return "".join(filter(str.isalnum, name)).lower()
