"""Which windows of a report one sync loads, by the state and the settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from tap_affiliate_reports.errors import StreamError
from tap_affiliate_reports.state import StreamState
from tap_affiliate_reports.state.former import FormerWindow
from tap_affiliate_reports.streams.partition import Partition
from tap_affiliate_reports.streams.rules import NUMBERED_KEYS, ReportRules, program_id
from tap_affiliate_reports.windows import DateRange, Window, plan, windows
from tap_affiliate_reports.zones import is_iana, same_rules

# The program that version 0.1.0 wrote for a report of all programs.
OLD_ALL_PROGRAMS = ""


@dataclass(frozen=True)
class PlannedWindow:
    """A window to load, and why. A refresh has all its days in the warehouse already."""

    partition: Partition
    window: Window
    is_refresh: bool
    why: str = ""


@dataclass
class ReportPlan:
    """The windows to load, in order: new ones of all partitions, then those to refresh."""

    state: StreamState
    partitions: list[Partition] = field(default_factory=list)
    windows: list[PlannedWindow] = field(default_factory=list)
    unchanged: int = 0


class Planner:
    """Decides which windows of one report a sync loads; it gives the state its present form.

    `raw` is the stream's object of STATE, `everything` says that a full refresh was requested, and
    `new_version` is the version that its records would get, None if the records have no versions.
    """

    def __init__(
        self,
        rules: ReportRules,
        dates: DateRange,
        raw: MutableMapping[str, Any],
        *,
        everything: bool,
        new_version: int | None,
    ) -> None:
        self.rules = rules
        self.dates = dates
        self.state = StreamState(raw)
        self.new_version = new_version
        self._everything = everything and not rules.is_snapshot

    def plan(self) -> ReportPlan:
        """Return the plan. Raises StreamError if the settings do not fit the loaded windows."""
        found = ReportPlan(self.state)
        is_first = not (self.state.has_windows or self.state.has_bookmark or self.state.former)
        self._adopt_state()
        if self.new_version is not None and (is_first or self._everything):
            self.state.begin_version(self.new_version)
        self._request_reload()
        requested = list(windows(self.rules.size, *self._days()))
        new: list[PlannedWindow] = []
        refresh: list[PlannedWindow] = []
        for program, ledger in self.state.ledgers.items():
            partition = Partition(program, ledger, requested)
            found.partitions.append(partition)
            self._prepare_ledger(partition)
            if self.rules.newest_first:
                partition.retract_bookmark()
            planned = plan(
                requested,
                ledger.windows,
                self.rules.freshness,
                self.dates.now,
                everything=self._everything,
            )
            found.unchanged += planned.unchanged
            why = planned.why
            new += [PlannedWindow(partition, one, False, why[one.slot]) for one in planned.new]
            refresh += [
                PlannedWindow(partition, one, True, why[one.slot]) for one in planned.refresh
            ]
        if self.rules.newest_first:
            new.sort(key=lambda one: one.window, reverse=True)
        found.windows = new + refresh
        return found

    # The settings that define a window

    def _adopt_state(self) -> None:
        """Give the state the present form; windows under other settings become former windows."""
        state, now, reload = self.state, self.rules.fingerprint(), self.dates.reload
        before = state.fingerprint if state.has_windows else None
        if before and same_rules(
            before.get("timezone"), now["timezone"], self.dates.start, self.dates.now.date()
        ):
            before = {**before, "timezone": now["timezone"]}
        changed = changes(before, now) if before is not None else ""
        if state.is_old_form and "_program_id" in now.get("primary_keys", ()):
            changed = changed or "_program_id: '' -> 'all', a key"
        if before is not None and changed and not (reload and reload.is_all):
            raise StreamError(self._refusal(before, now, changed))
        if changed and before is not None:
            old = list(self._former_windows(before))
            state.forget_windows()
            state.former = [*state.former, *old]
            if before.get("primary_keys") and self.new_version is not None:
                # Rows with keys of the user's can only be retired all at once.
                state.begin_version(self.new_version)
        elif state.is_old_form and not self.rules.own_keys:
            old = list(self._former_windows(now))
            state.former = [one for one in old if one.program == OLD_ALL_PROGRAMS]
        state.former = map(self._with_present_keys, state.former)
        state.adopt(now, self.rules.replication_key, self.rules.programs)

    def _refusal(self, before: Mapping[str, Any], now: Mapping[str, Any], changed: str) -> str:
        """Return the error for settings that do not fit the windows loaded so far."""
        name, setting = self.rules.stream, self.rules.source.policy.zone_setting
        old, zone = str(before.get("timezone") or ""), now["timezone"]
        if setting and old and {**before, "timezone": zone} == now:
            why = ", the fallback for an unknown time zone" if old == "UTC" else ""
            keep = f"Set {setting}: {old} to keep them, or run" if is_iana(old) else "Run"
            return (
                f"{name}: the windows loaded so far end at midnight {old}{why}, but the time zone "
                f"is now {zone}. {keep} once with the setting reload: all to load every window "
                "again"
            )
        return (
            f"{name}: settings that define the windows changed ({changed}). Run once with the "
            "setting reload: all to load every window under the present settings, or undo the "
            "change"
        )

    # Former windows

    def _former_windows(self, fingerprint: Mapping[str, Any]) -> Iterator[FormerWindow]:
        """Yield the windows loaded so far, under these settings, as former windows."""
        state, source = self.state, self.rules.source
        had_own_keys = bool(fingerprint.get("primary_keys"))
        keeps_keys = bool(self.rules.own_keys) == had_own_keys
        for program, ledger in state.ledgers_before().items():
            is_old_key = state.is_old_form and not program
            for slot, entry in ledger.windows.items():
                if not entry.rows and not had_own_keys:
                    continue
                yield FormerWindow(
                    account=source.old_account if state.is_old_form else source.account,
                    program=OLD_ALL_PROGRAMS if is_old_key else program_id(program),
                    slot=slot,
                    start=entry.start,
                    end=entry.end,
                    rows=0 if had_own_keys else entry.rows,
                    keys=None if had_own_keys or keeps_keys else NUMBERED_KEYS,
                    # A loader may mistake rows under other keys for the same rows.
                    retire_first=not had_own_keys and (is_old_key or not keeps_keys),
                )

    def _with_present_keys(self, former: FormerWindow) -> FormerWindow:
        """Return a former window whose `keys` are right for the present keys of the stream."""
        if former.rows and self.rules.own_keys and former.keys is None:
            return replace(former, keys=NUMBERED_KEYS, retire_first=True)
        if former.keys == NUMBERED_KEYS and not self.rules.own_keys:
            is_old_key = former.program == OLD_ALL_PROGRAMS
            return replace(former, keys=None, retire_first=is_old_key)
        return former

    def _days(self) -> tuple[date, date]:
        """Return the days to load: those requested, and those of former windows that touch them."""
        start, end = self.dates.start, self.dates.end
        while True:
            touching = [
                one for one in self.state.former if not one.is_snapshot and one.touches(start, end)
            ]
            wider = (
                min([start, *(one.start for one in touching)]),
                max([end, *(one.end for one in touching)]),
            )
            if wider == (start, end):
                return wider
            start, end = wider

    # Reload, full refresh, bookmarks

    def _request_reload(self) -> None:
        reload, state = self.dates.reload, self.state
        if reload is None:
            if not self._is_reloading():
                state.reload = None
            return
        if state.reload == reload.text:
            return  # it is under way
        state.reload = reload.text
        for ledger in state.ledgers.values():
            for slot, entry in list(ledger.windows.items()):
                # A window whose load was only begun is loaded in any case.
                is_loaded = entry.refreshed_at or entry.rows
                if is_loaded and reload.touches(entry.start, entry.end):
                    ledger.request_reload(slot, self.dates.now)

    def _is_reloading(self) -> bool:
        """Return whether windows are still to be loaded again, or old rows to be retired."""
        start, end = self.dates.start, self.dates.end
        return any(
            not one.retire_first and (one.is_snapshot or one.touches(start, end))
            for one in self.state.former
        ) or any(
            entry.reload_after
            for ledger in self.state.ledgers.values()
            for entry in ledger.windows.values()
        )

    def _prepare_ledger(self, partition: Partition) -> None:
        if self._everything:
            partition.ledger.forget_contents()
        if self._everything and self.new_version is not None:
            self._reopen(partition)
        elif not partition.ledger.windows and not self.state.version_pending:
            self._accept_bookmark(partition)

    def _reopen(self, partition: Partition) -> None:
        """Count no window as loaded: ACTIVATE_VERSION will retire all earlier rows."""
        ledger = partition.ledger
        requested = {window.slot for window in partition.requested}
        ledger.forget([slot for slot in ledger.windows if slot not in requested])
        for slot in list(ledger.windows):
            ledger.reopen(slot)
        ledger.forget_bookmark()

    def _accept_bookmark(self, partition: Partition) -> None:
        """Count windows before a bookmark that a user set as loaded, if they can't change."""
        now, freshness, bookmark = self.dates.now, self.rules.freshness, partition.ledger.bookmark
        if bookmark is None:
            return
        for window in partition.requested:
            if window.end <= bookmark and freshness.is_settled(window.end, now):
                partition.ledger.finish(window, 0, now, "")


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Return the settings that differ, each with its old and its new value; "" if none do."""
    return ", ".join(
        f"{name}: {before.get(name)!r} -> {now.get(name)!r}"
        for name in sorted({*before, *now})
        if before.get(name) != now.get(name)
    )
