"""What one sync does with the windows of a report, as the state and the settings have it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tap_affiliate_reports.errors import StreamError
from tap_affiliate_reports.state import Ledger
from tap_affiliate_reports.streams.table import FULL_TABLE, Span
from tap_affiliate_reports.streams.window_load import Partition, WindowLoad
from tap_affiliate_reports.windows import plan, windows
from tap_affiliate_reports.zones import is_iana, same_rules, zone_name

if TYPE_CHECKING:
    from tap_affiliate_reports.streams.report import ReportStream


class Planner:
    """Decides, from the state and the settings, which windows one stream loads in this sync."""

    def __init__(self, stream: ReportStream, span: Span) -> None:
        self.stream = stream
        self.span = span
        self.partitions: list[Partition] = []
        self.left_alone = 0
        self.version: int | None = None
        # Whatever was loaded before is loaded again.
        self._everything = stream.replication_method == FULL_TABLE and not stream.is_snapshot

    def loads(self) -> list[WindowLoad]:
        """Return the windows to load: new ones of all partitions, then those to refresh."""
        self._check_fingerprint()
        plans = []
        asked = list(windows(self.stream.size, self.span.start, self.span.end))
        for context in self.stream.partitions or ({},):
            state = self.stream.get_context_state(context or None)
            ledger = Ledger(state, self.stream.replication_key)
            self.partitions.append(Partition(context.get("_program_id", ""), ledger, asked))
        self._set_version()
        for partition in self.partitions:
            self._settle_ledger(partition)
            planned = plan(
                partition.asked,
                partition.ledger.windows,
                self.stream.freshness,
                self.span.now,
                everything=self._everything,
            )
            self.left_alone += planned.left_alone
            plans.append((partition, planned))
        return [
            WindowLoad(self.stream, partition, window, is_refresh=is_refresh)
            for is_refresh in (False, True)
            for partition, planned in plans
            for window in (planned.refresh if is_refresh else planned.new)
        ]

    def _fingerprint(self) -> dict[str, Any]:
        """Return the settings that say what a window is."""
        options, policy = self.stream.report.options, self.stream.source.policy
        zone = self.stream.source.zone
        settings = {
            "window": self.stream.size,
            "timezone": zone_name(zone),
            "program_ids": [program for program in policy.programs if program],
            "filters": {name: list(options.filters[name]) for name in sorted(options.filters)},
            "interval": options.interval,
            "mode": "" if options.mode == "export" else options.mode,
            "primary_keys": list(options.primary_keys),
        }
        return {name: value for name, value in settings.items() if value}

    def _check_fingerprint(self) -> None:
        state, now = self.stream.stream_state, self._fingerprint()
        policy = self.stream.source.policy
        before = state.get("fingerprint")
        has_windows = state.get("windows") or state.get("partitions")
        if before and same_rules(
            before.get("timezone"), now["timezone"], self.span.start, self.span.now.date()
        ):
            before = {**before, "timezone": now["timezone"]}
        if before is not None and before != now and has_windows:
            changed = ", ".join(
                f"{name}: {before.get(name)!r} -> {now.get(name)!r}"
                for name in sorted({*before, *now})
                if before.get(name) != now.get(name)
            )
            old_zone = before.get("timezone")
            if policy.zone_setting and old_zone and {**before, "timezone": now["timezone"]} == now:
                raise StreamError(self._zone_changed(str(old_zone), now["timezone"]))
            msg = (
                f"{self.stream.name}: settings changed that say what a window is ({changed}); "
                "load it anew: meltano run --full-refresh (without Meltano: no --state)"
            )
            raise StreamError(msg)
        state["fingerprint"] = now

    def _zone_changed(self, before: str, now: str) -> str:
        """Return the error for windows that were cut in another zone than the account's now."""
        setting = self.stream.source.policy.zone_setting
        why = ", the fallback for an unknown time zone" if before == "UTC" else ""
        keep = f"set {setting}: {before} to keep them as they are, or " if is_iana(before) else ""
        return (
            f"{self.stream.name}: the windows loaded so far end at midnight {before}{why}, but the "
            f"timezone in use is now {now}: {keep}load them again: meltano run --full-refresh "
            "(without Meltano: no --state)"
        )

    def _settle_ledger(self, partition: Partition) -> None:
        ledger, asked, now = partition.ledger, partition.asked, self.span.now
        if self._everything and self.stream.emits_versions:
            # All rows of before will be retired, so no window counts as loaded until it is again.
            within = {window.slot for window in asked}
            for slot in list(ledger.windows):
                if slot in within:
                    ledger.reopen(slot)
                else:
                    ledger.forget(slot)
        elif not ledger.windows and ledger.bookmark:
            # A bookmark set by hand: what can't change any more before it is taken for loaded.
            for window in asked:
                if window.end <= ledger.bookmark and self.stream.freshness.is_settled(
                    window.end, now
                ):
                    ledger.finish(window, 0, now, "")

    def _set_version(self) -> None:
        state = self.stream.stream_state
        is_first = all(
            not partition.ledger.windows and partition.ledger.bookmark is None
            for partition in self.partitions
        )
        if self.stream.emits_versions and (is_first or self._everything):
            state["version"], state["version_pending"] = self.stream.new_version, True
        self.version = state.get("version")
