"""The account's part of impact.com's API: paths, pages, and the zone of its days."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import tzinfo
from functools import cached_property
from typing import Any
from urllib.parse import quote

import pendulum

from tap_affiliate_reports.errors import Forbidden, NotFound, Rejected
from tap_affiliate_reports.http import ATTEMPTS, ApiClient
from tap_affiliate_reports.settings import parse_zone
from tap_affiliate_reports.sources.impact.timezones import match_label
from tap_affiliate_reports.sources.values import number, text_of
from tap_affiliate_reports.zones import ZoneChoice

ZONE_IN_DOUBT = "time zone %s: %s; set impact.timezone to the account's time zone"
FALLBACK = "because impact.timezone is not set and the account's own is not known"
NO_TIMEZONE = "the account has no Timezone"

logger = logging.getLogger(__name__)


@dataclass
class ImpactApi:
    """One account's endpoints; `zone_name` is the setting `timezone`, "" for the account's zone."""

    client: ApiClient
    account: str
    zone_name: str = ""

    def path(self, *parts: str) -> str:
        """Return the path of one of the account's resources."""
        return "/".join(
            ("/Mediapartners", *(quote(part, safe="") for part in (self.account, *parts)))
        )

    def pages(
        self,
        path: str,
        key: str,
        params: Mapping[str, Any] | None = None,
        *,
        if_cut: str = "",
        attempts: int = ATTEMPTS,
    ) -> Iterator[list[Any]]:
        """Yield the items of a list page by page, following the links to next pages.

        With `if_cut`, the advice of the error, raise Rejected for a list whose number of items is
        not the total of its envelope.
        """
        url, seen = self.client.url(path), {""}
        before: list[Any] = []
        count = 0
        while url:
            where = f"GET {self.client.redact(url)}"
            if url in seen:
                msg = f"{where}: the list links to a page that was already read"
                raise Rejected(msg)
            seen.add(url)
            document = self.client.json(url, params, attempts=attempts).document
            params = None
            # A sister API answers with a bare array in place of the envelope.
            envelope = document if isinstance(document, dict) else {key: document}
            items = envelope.get(key, [] if "@total" in envelope else None)
            if not isinstance(items, list):
                msg = f"{where}: the answer has no list of {key}"
                raise Rejected(msg)
            if items and items == before:
                msg = f"{where}: the list repeats the same page"
                raise Rejected(msg)
            before, count = items, count + len(items)
            yield items
            link = text_of(envelope.get("@nextpageuri"))
            url = self.client.url(link, page=url) if link else ""
        total = number(envelope.get("@total"))
        if if_cut and total is not None and count != total:
            msg = f"{where}: the list has {count} of {total} {key}: {if_cut}"
            raise Rejected(msg)

    @cached_property
    def zone(self) -> tzinfo:
        """The zone of the account's days; it is logged once."""
        choice = self.zone_choice
        if choice.doubt:
            logger.warning(ZONE_IN_DOUBT, choice, choice.doubt)
        else:
            logger.info("time zone %s", choice)
        return choice.zone

    @cached_property
    def zone_choice(self) -> ZoneChoice:
        """The zone of the account's days: as set, else the account's own, else UTC."""
        if self.zone_name:
            zone = parse_zone("impact.timezone", self.zone_name)
            return ZoneChoice(zone, "from the setting impact.timezone")
        try:
            company = self.client.json(self.path("CompanyInformation")).document
        except (Forbidden, NotFound) as error:  # any other failure may be temporary
            return ZoneChoice(pendulum.UTC, FALLBACK, str(error))
        value = company.get("Timezone") if isinstance(company, dict) else None
        label = self.client.safe_message(text_of(value))
        match = match_label(label, self.client.server_now().year)
        if match is None:
            why = f"the account's Timezone {label!r} is not a known time zone"
            return ZoneChoice(pendulum.UTC, FALLBACK, why if label else NO_TIMEZONE)
        return ZoneChoice(match.zone, f"from the account's Timezone {label!r}", match.doubt)
