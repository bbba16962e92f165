"""What one sync does with the windows of a report, as the state and the settings have it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

from tap_affiliate_reports.errors import StreamError
from tap_affiliate_reports.state.former import FormerWindow
from tap_affiliate_reports.state.stream_state import StreamState
from tap_affiliate_reports.streams.base import FULL_TABLE
from tap_affiliate_reports.streams.table import DateRange
from tap_affiliate_reports.streams.window_load import KEYS, Partition, WindowLoad, program_id
from tap_affiliate_reports.windows import plan, windows
from tap_affiliate_reports.zones import is_iana, same_rules, zone_name

if TYPE_CHECKING:
    from tap_affiliate_reports.streams.report import ReportStream

# What version 0.1.0 wrote where a report was loaded for all programs.
OLD_ALL_PROGRAMS = ""


class Planner:
    """Decides, from the state and the settings, which windows one stream loads in this sync."""

    def __init__(self, stream: ReportStream, span: DateRange) -> None:
        self.stream = stream
        self.span = span
        self.state = StreamState(stream.stream_state)
        self.partitions: list[Partition] = []
        self.left_alone = 0
        # Whatever was loaded before is loaded again.
        self._everything = stream.replication_method == FULL_TABLE and not stream.is_snapshot

    def loads(self) -> list[WindowLoad]:
        """Return the windows to load: new ones of all partitions, then those to refresh."""
        is_first = not (self.state.has_windows or self.state.has_bookmark or self.state.former)
        self._adopt_state()
        if self.stream.emits_versions and (is_first or self._everything):
            self.state.begin_version(self.stream.new_version)
        self._request_reload()
        days = self._days()
        asked = list(windows(self.stream.size, *days))
        plans = []
        for program, ledger in self.state.ledgers.items():
            partition = Partition(program, ledger, asked)
            self.partitions.append(partition)
            self._settle_ledger(partition)
            planned = plan(
                asked,
                ledger.windows,
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

    # The shape of the windows

    def _fingerprint(self) -> dict[str, Any]:
        """Return the settings that define a window."""
        options, policy = self.stream.report.options, self.stream.source.policy
        zone = self.stream.source.zone
        settings = {
            **options.window_settings,
            "window": self.stream.size,
            "timezone": zone_name(zone),
            "program_ids": [program for program in policy.programs if program],
            "filters": {name: list(options.filters[name]) for name in sorted(options.filters)},
            "mode": "" if options.mode == "export" else options.mode,
            "primary_keys": list(options.primary_keys),
        }
        return {name: value for name, value in settings.items() if value}

    def _adopt_state(self) -> None:
        """Give the state the present form and shape; windows of another shape become former."""
        state, now, reload = self.state, self._fingerprint(), self.span.reload
        before = state.fingerprint if state.has_windows else None
        if before and same_rules(
            before.get("timezone"), now["timezone"], self.span.start, self.span.now.date()
        ):
            before = {**before, "timezone": now["timezone"]}
        changed = _changes(before, now) if before is not None else ""
        if state.is_old_form and "_program_id" in now.get("primary_keys", ()):
            changed = changed or "_program_id: '' -> 'all', a key"
        if before is not None and changed and not (reload and reload.is_all):
            raise StreamError(self._refusal(before, now, changed))
        if changed and before is not None:
            old = list(self._former_windows(before))
            state.forget_windows()
            state.former = [*state.former, *old]
            if before.get("primary_keys") and self.stream.emits_versions:
                # Rows with keys of the user's can only be retired all at once.
                state.begin_version(self.stream.new_version)
        elif state.is_old_form and not self.stream.report.options.primary_keys:
            old = list(self._former_windows(now))
            state.former = [one for one in old if one.program == OLD_ALL_PROGRAMS]
        state.former = map(self._rekeyed, state.former)
        programs = self.stream.source.policy.programs
        state.adopt(now, self.stream.replication_key, programs)

    def _refusal(self, before: Mapping[str, Any], now: Mapping[str, Any], changed: str) -> str:
        """Return the error for settings that no longer fit the windows loaded so far."""
        name, setting = self.stream.name, self.stream.source.policy.zone_setting
        old, zone = str(before.get("timezone") or ""), now["timezone"]
        if setting and old and {**before, "timezone": zone} == now:
            why = ", the fallback for an unknown time zone" if old == "UTC" else ""
            keep = f"set {setting}: {old} to keep them as they are, or " if is_iana(old) else ""
            return (
                f"{name}: the windows loaded so far end at midnight {old}{why}, but the timezone "
                f"in use is now {zone}: {keep}run once with the setting reload: all to load every "
                "window again"
            )
        return (
            f"{name}: settings that define the windows changed ({changed}). Run once with the "
            "setting reload: all to load every window under the present settings, or undo the "
            "change"
        )

    def _former_windows(self, shape: Mapping[str, Any]) -> Iterator[FormerWindow]:
        """Yield the windows loaded so far as those of a former shape."""
        state, source = self.state, self.stream.source
        has_own_keys = bool(shape.get("primary_keys"))
        keeps_keys = bool(self.stream.report.options.primary_keys) == has_own_keys
        for program, ledger in state.ledgers_before().items():
            is_old_key = state.is_old_form and not program
            for slot, entry in ledger.windows.items():
                if not entry.rows and not has_own_keys:
                    continue
                yield FormerWindow(
                    account=source.old_account if state.is_old_form else source.account,
                    program=OLD_ALL_PROGRAMS if is_old_key else program_id(program),
                    slot=slot,
                    start=entry.start,
                    end=entry.end,
                    rows=0 if has_own_keys else entry.rows,
                    keys=None if has_own_keys or keeps_keys else KEYS,
                    # A loader may find rows of other keys to be the same rows.
                    retire_first=not has_own_keys and (is_old_key or not keeps_keys),
                )

    def _rekeyed(self, former: FormerWindow) -> FormerWindow:
        """Return a former window with the keys of its rows beside those of the stream now."""
        has_own_keys = bool(self.stream.report.options.primary_keys)
        if former.rows and has_own_keys and former.keys is None:
            return replace(former, keys=KEYS, retire_first=True)
        if former.keys == KEYS and not has_own_keys:
            is_old_key = former.program == OLD_ALL_PROGRAMS
            return replace(former, keys=None, retire_first=is_old_key)
        return former

    def _days(self) -> tuple[date, date]:
        """Return the days to load: those of the span, and of former windows that have some."""
        start, end = self.span.start, self.span.end
        found = [
            one for one in self.state.former if not one.is_snapshot and one.touches(start, end)
        ]
        while found:
            wider = (min(start, *(f.start for f in found)), max(end, *(f.end for f in found)))
            if wider == (start, end):
                break
            start, end = wider
            found = [f for f in self.state.former if not f.is_snapshot and f.touches(start, end)]
        return start, end

    # What is loaded

    def _request_reload(self) -> None:
        reload, state = self.span.reload, self.state
        if reload is None:
            if not self._is_reloading():
                state.reload = None
            return
        if state.reload == reload.text:
            return  # it is under way
        state.reload = reload.text
        for ledger in state.ledgers.values():
            for slot, entry in list(ledger.windows.items()):
                # A window that was only begun is loaded in any case.
                is_there = entry.refreshed_at or entry.rows
                if is_there and reload.touches(entry.start, entry.end):
                    ledger.request_reload(slot, self.span.now)

    def _is_reloading(self) -> bool:
        """Whether windows are still to be loaded again, or old rows to be retired for them."""
        start, end = self.span.start, self.span.end
        return any(
            not one.retire_first and (one.is_snapshot or one.touches(start, end))
            for one in self.state.former
        ) or any(
            entry.reload_after
            for ledger in self.state.ledgers.values()
            for entry in ledger.windows.values()
        )

    def _settle_ledger(self, partition: Partition) -> None:
        ledger, asked, now = partition.ledger, partition.asked, self.span.now
        if self._everything and self.stream.emits_versions:
            # All rows of before will be retired, so no window counts as loaded until it is again.
            within = {window.slot for window in asked}
            ledger.forget([slot for slot in ledger.windows if slot not in within])
            for slot in list(ledger.windows):
                ledger.reopen(slot)
            ledger.forget_bookmark()
        elif not ledger.windows and ledger.bookmark and not self.state.version_pending:
            # A bookmark set by a user: what can't change any more before it counts as loaded.
            for window in asked:
                if window.end <= ledger.bookmark and self.stream.freshness.is_settled(
                    window.end, now
                ):
                    ledger.finish(window, 0, now, "")


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Return the settings that differ, each with its old and its new value; "" if none."""
    return ", ".join(
        f"{name}: {before.get(name)!r} -> {now.get(name)!r}"
        for name in sorted({*before, *now})
        if before.get(name) != now.get(name)
    )
