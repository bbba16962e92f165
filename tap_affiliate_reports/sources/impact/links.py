"""Links as entries of `impact.reports`: what the web app's "retrieve via API" button gives.

Such a link names a report and its filters:
`https://api.impact.com/Mediapartners/<SID>/Reports/mp_action_listing_sku.json?SUPERSTATUS_MS=PENDING`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

# A link without a scheme is one too, and so is one that is escaped as a whole.
_SIGNS = re.compile(r"://|/Mediapartners/|%3A%2F%2F|%40", re.IGNORECASE)
# Signs of a link that was copied with what stood around it.
_NOT_PLAIN = re.compile(r"[\s<>\"'`]")
_SECRET = re.compile(r"token|password|secret|api_?key", re.IGNORECASE)
# The days are those of a window, and the format and the pages are the tap's own.
DROPPED = {
    "start_date", "end_date", "timerange", "resultformat", "page", "pagesize",
}  # fmt: skip
NOT_PLAIN = (
    "reports: entry %d is a link with quotes, brackets or blanks; copy the link alone, from https "
    "to its last parameter"
)
HAS_PROGRAM = (
    "reports: entry %d is a link with SUBAID, the program, and program_ids is set too; remove one "
    "of them"
)
HAS_USER = (
    "reports: entry %d is a link with a user or a password; remove them, as the tap sends "
    "account_sid and auth_token itself"
)
NO_REPORT = (
    "reports: entry %d is a link without a report; it must have the form "
    "https://api.impact.com/Mediapartners/<SID>/Reports/<report>?..."
)
TWO_LINKS = "reports: %r has two links with different filters; keep one of them"


@dataclass(frozen=True)
class Link:
    """The report and the filters of a link; a parameter may have several values."""

    report: str
    filters: dict[str, list[str]] = field(default_factory=dict)


def is_link(entry: str) -> bool:
    """Return whether an entry of `impact.reports` is a link, and not the id of a report."""
    has_user = ":" in entry.partition("@")[0] and "@" in entry
    return has_user or bool(_SIGNS.search(entry))


def read_link(entry: str) -> Link | None:
    """Return the report and the filters of a link; None if it names no report."""
    try:
        # A link that is copied from a page's source has its signs escaped.
        parts = urlsplit(entry.strip().replace("&amp;", "&"))
    except ValueError:
        return None
    found = re.search(r"/(?:Reports|ReportExport)/([^/]+?)(?:\.(?:json|xml|csv))?/?$", parts.path)
    if found is None:
        return None
    given = parse_qs(parts.query, keep_blank_values=True)
    filters = {
        name: values
        for name, values in given.items()
        if name.lower() not in DROPPED and not name.lower().startswith("compare")
    }
    return Link(unquote(found[1]), filters)


def check(entries: Sequence[Any], *, has_programs: bool = False) -> Iterator[str]:
    """Yield what is wrong with the links; no line shows a link, which may hold a password.

    `has_programs` says that the setting program_ids is set.
    """
    found: dict[str, Link] = {}
    for number, entry in enumerate(map(str, entries), 1):
        if not is_link(entry):
            continue
        if _may_have_user(entry):
            yield HAS_USER % number
        elif _NOT_PLAIN.search(entry.strip()):
            yield NOT_PLAIN % number
        elif (link := read_link(entry)) is None:
            yield NO_REPORT % number
        elif any(map(_SECRET.search, link.filters)):
            yield HAS_USER % number
        elif has_programs and any(link.filters.get("SUBAID", ())):
            yield HAS_PROGRAM % number
        elif found.setdefault(link.report, link) != link:
            yield TWO_LINKS % link.report


def _may_have_user(entry: str) -> bool:
    # The user's own signs, or the sign after the user, may be escaped.
    return any(
        "@" in link.split("://", 1)[-1].split("/", 1)[0] or "@" in link.split("?", 1)[0]
        for link in (entry, unquote(entry))
    )


def resolved(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings with the report of each link, and its filters in `report_options`.

    A filter of the setting `report_options` replaces that of the link.
    """
    reports: list[Any] = []
    options = {name: dict(own) for name, own in (settings.get("report_options") or {}).items()}
    for entry in settings.get("reports") or ():
        link = read_link(str(entry)) if is_link(str(entry)) else None
        reports.append(link.report if link else entry)
        if link and link.filters:
            own = options.setdefault(link.report, {})
            own["filters"] = {**link.filters, **(own.get("filters") or {})}
    result = dict(settings)
    if "reports" in settings:
        result["reports"] = list(dict.fromkeys(reports))
    if options:
        result["report_options"] = options
    return result
