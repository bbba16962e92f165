"""Instal.com: the Advertiser Report, exported by tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta, tzinfo
from typing import Any

from tap_affiliate_reports.clock import Clock
from tap_affiliate_reports.http import HeaderAuth
from tap_affiliate_reports.schema import Column, Kind
from tap_affiliate_reports.settings import parse_zone
from tap_affiliate_reports.sources.instal import settings as declared
from tap_affiliate_reports.sources.instal.exports import InstalExports
from tap_affiliate_reports.sources.source import (
    ReportOptions,
    ReportSpec,
    Source,
    SourcePolicy,
    account_label,
    api_client,
    flow_limits,
)
from tap_affiliate_reports.zones import ZoneChoice

REPORT = "advertiser_report"

COLUMNS = [
    Column(name, name, kind, description)
    for name, kind, description in (
        ("aff_sub_id", Kind.STRING, "The affiliate."),
        ("time", Kind.STRING, "The hour, day or month; the service names no time zone."),
        ("clicks_aggr", Kind.INTEGER, "Clicks."),
        ("campaign", Kind.STRING, "The campaign's name."),
        ("country", Kind.STRING, "The country."),
        ("creative_id", Kind.STRING, "The creative's name."),
        ("app_id", Kind.STRING, "The app's package name."),
        ("campaign_id", Kind.INTEGER, "The campaign."),
        ("cost_aggr", Kind.DECIMAL, "Costs."),
        ("cr", Kind.DECIMAL, "The conversion rate."),
        ("conversions_aggr", Kind.INTEGER, "Conversions."),
        ("name_os", Kind.STRING, "The operating system."),
        ("version_os", Kind.STRING, "The operating system's version, such as 4.4.2."),
        ("lang", Kind.STRING, "The user's language."),
        ("publisher_id", Kind.INTEGER, "The publisher."),
    )
]


class InstalSource(Source):
    """One advertiser of Instal.com."""

    name = "instal"
    DESCRIPTION = "Advertiser Report of Instal.com."
    SETTINGS = declared.SETTINGS
    REQUIRED = declared.REQUIRED
    check = staticmethod(declared.check)

    exports: InstalExports

    def __init__(
        self,
        settings: Mapping[str, Any],
        *,
        start: date,  # noqa: ARG002 # no list depends on it
        clock: Clock,
        user_agent: str,
    ) -> None:
        self.settings = settings
        self.account = account_label(settings)
        self.old_account = str(settings.get("account", ""))
        token = str(settings["auth_token"])
        auth = HeaderAuth("Authorization", f"Token {token}")
        self.client = api_client(
            settings, auth, clock=clock, user_agent=user_agent, secrets=(token,)
        )
        self.exports = InstalExports(self.client, settings["interval"], settings["sorting"])
        self.policy = SourcePolicy(
            limits=flow_limits(settings),
            max_age=timedelta(hours=float(settings["result_max_age_hours"])),
            # A task of an earlier run may never end.
            keeps_jobs=False,
        )

    @property
    def zone(self) -> tzinfo:
        """The zone of the account's days, as set."""
        return parse_zone("instal.timezone", self.settings["timezone"])

    @property
    def zone_choice(self) -> ZoneChoice:
        """The zone of the account's days, and where it comes from."""
        return ZoneChoice(self.zone, "from the setting instal.timezone")

    def check_credentials(self) -> None:
        """Poll an id that never exists; raises Unauthorized if the service refuses the token."""
        self.exports.check()

    def reports(self) -> Sequence[ReportSpec]:
        """Return the only report; a header without half of its columns is refused."""
        options = ReportOptions(
            window=self.settings["window"],
            lookback=timedelta(days=int(self.settings["lookback_days"])),
            window_settings={"interval": self.exports.interval},
        )
        return [
            ReportSpec(
                id=REPORT,
                stream=REPORT,
                options=options,
                columns=lambda _: COLUMNS,
                has_dates=lambda _: True,
                least_columns=(len(COLUMNS) + 1) // 2,
                description="The Advertiser Report.",
            )
        ]
