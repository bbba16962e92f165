"""STATE contains what the ledgers record; bookmarks only advance; an invalid STATE is refused."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta, timezone
from typing import Any

import pendulum
import pytest
from harness import NOW, FakeClock, config_for, sync
from hypothesis import given
from hypothesis import strategies as st

from tap_affiliate_reports.errors import TapError
from tap_affiliate_reports.sandbox import Attribute, Report, Sandbox
from tap_affiliate_reports.state import FileLedger, Ledger, from_timestamp, to_timestamp
from tap_affiliate_reports.windows import LedgerEntry, Window

days = st.dates(date(2000, 1, 1), date(2050, 1, 1))
moments = st.datetimes(
    datetime(2000, 1, 1),
    datetime(2050, 1, 1),
    timezones=st.sampled_from([timezone.utc, timezone(timedelta(hours=-5))]),
)
loads = st.lists(
    st.tuples(
        days,
        st.integers(0, 40),
        st.integers(0, 40),
        st.integers(0, 10**9),
        moments,
        st.text("abc-123", max_size=8),
        st.booleans(),
    ),
    max_size=8,
)


def again(state: dict[str, Any]) -> Ledger:
    """Return the ledger that the next sync would read."""
    return Ledger(json.loads(json.dumps(state)), "_window_end")


class TestLedger:
    @given(loads)
    def test_what_is_noted_is_read_back_the_same(self, loads: list[tuple[Any, ...]]) -> None:
        state: dict[str, Any] = {}
        ledger = Ledger(state, "_window_end")
        for slot, first, length, rows, finished, job, is_done in loads:
            start = slot + timedelta(days=first)
            window = Window(slot, start, start + timedelta(days=length))
            ledger.begin(window, rows, job)
            if is_done:
                ledger.finish(window, rows, finished, job)
        assert again(state).windows == ledger.windows

    @given(moments)
    def test_a_moment_is_kept_to_the_last_digit_in_utc(self, moment: datetime) -> None:
        text = to_timestamp(moment)
        assert text.endswith("Z")
        assert from_timestamp(text) == moment

    @pytest.mark.parametrize(
        "text",
        ["2026-11-02", "2026-11-02T03:04:05+02:00", "2026-11-02T03:04:05", "2026-11-02T03:04:05.6Z",
         "2026-11-02 03:04:05Z", "20261102T030405Z", "2026-11-02T03:04:05.678901Z",
         "2026-11-02T03:04:05Z"],
    )  # fmt: skip
    def test_a_moment_set_by_hand_may_have_any_form(self, text: str) -> None:
        assert from_timestamp(text) == pendulum.parse(text)
        assert from_timestamp(text).utcoffset() == timedelta(0)

    @pytest.mark.parametrize("text", ["2026-13-02T03:04:05Z", "2026-11-02T25:04:05.678901Z", "x"])
    def test_what_is_no_moment_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match=r".+"):
            from_timestamp(text)

    def test_a_load_begun_keeps_the_larger_row_count_until_it_is_finished(self) -> None:
        state: dict[str, Any] = {}
        window = Window(date(2026, 10, 1), date(2026, 10, 1), date(2026, 10, 31))
        ledger = Ledger(state, "_window_end")
        ledger.begin(window, 5, "a")
        assert again(state).windows[window.slot] == LedgerEntry(
            window.start, window.end, 5, None, "a", unfinished=True
        )
        ledger.finish(window, 5, NOW, "a")
        for rows, expected in ((3, 5), (8, 8)):
            ledger.begin(window, rows, "b")
            entry = again(state).windows[window.slot]
            assert (entry.rows, entry.is_complete, entry.refreshed_at) == (expected, False, NOW)
        ledger.finish(window, 8, NOW, "")
        assert again(state).windows[window.slot].is_complete
        (row,) = state["windows"]
        assert row["job"] == ""

    @given(st.lists(days, min_size=1))
    def test_the_bookmark_never_moves_back(self, moves: list[date]) -> None:
        state: dict[str, Any] = {}
        ledger = Ledger(state, "_window_end")
        for number, day in enumerate(moves, 1):
            ledger.advance_bookmark(day)
            assert again(state).bookmark == max(moves[:number])

    def test_a_stream_without_replication_key_has_no_bookmark(self) -> None:
        state: dict[str, Any] = {}
        Ledger(state, None).advance_bookmark(date(2026, 10, 1))
        assert state == {"replication_key": None, "replication_key_value": None, "windows": []}

    @pytest.mark.parametrize("text", ["2026-10-31", "2026-10-31T00:00:00Z", "2026-10-31 05:00:00"])
    def test_a_bookmark_set_by_hand_may_be_a_date_or_a_date_time(self, text: str) -> None:
        assert Ledger({"replication_key_value": text}, "").bookmark == date(2026, 10, 31)

    @pytest.mark.parametrize(
        "windows",
        [
            ["2026-10-01"],
            "text",
            {"2026-10-01": {"end": "2026-10-31", "rows": 1}},
            [{"slot": "October", "end": "2026-10-31", "rows": 1}],
            [{"slot": "2026-10-01", "rows": 1}],
            [{"slot": "2026-10-01", "end": "2026-10-31"}],
            [{"slot": "2026-10-01", "end": "2026-10-31", "rows": None}],
            [{"slot": "2026-10-01", "end": "2026-10-31", "rows": "many"}],
            [{"slot": "2026-10-01", "end": "2026-13-31", "rows": 1}],
            [{"slot": "2026-10-01", "end": "2026-10-31", "rows": 1, "refreshed_at": "yesterday"}],
            [{"slot": "2026-10-01", "end": "2026-10-31", "rows": 1, "refreshed_at": 5}],
            [None],
            [7],
        ],
    )
    def test_a_ledger_that_can_not_be_read_is_one_clear_error(self, windows: Any) -> None:
        with pytest.raises(TapError, match="state") as caught:
            Ledger({"windows": windows}, "_window_end")
        assert "\n" not in str(caught.value)


START = datetime(2026, 11, 1, tzinfo=timezone.utc)


def files_of(state: dict[str, Any], start: datetime = START) -> FileLedger:
    """Return the ledger of files that the next sync would read."""
    return FileLedger(json.loads(json.dumps(state)), start)


class TestFileLedger:
    @given(st.data())
    def test_every_file_is_loaded_once_whatever_the_order_the_delays_and_the_kills(
        self, data: st.DataObject
    ) -> None:
        draw, hours = data.draw, st.integers(0, 23)
        now, state, noted = START, {}, []
        # The moment when each file was finished, and when it is first listed: up to a day later.
        files: dict[str, tuple[datetime, datetime]] = {}
        # Each sync requests an export, and receives one that was finished before the start.
        asked_for = START - timedelta(days=draw(st.integers(1, 9)))
        syncs = draw(st.integers(1, 6))
        for number in range(syncs):
            now += timedelta(hours=draw(st.integers(1, 90)))
            for _ in range(draw(st.integers(0, 4))):
                at = max(START, now - timedelta(hours=draw(hours)))
                files[str(len(files))] = at, at + timedelta(hours=draw(hours))
            is_last = number == syncs - 1
            if is_last:
                now += timedelta(days=1)
            listed = {key: at for key, (at, seen) in files.items() if seen <= now}
            ledger = files_of(state)
            wanted = [(at, key) for key, at in listed.items() if ledger.is_due(key, at)]
            waiting = set() if is_last else draw(st.sets(st.sampled_from(sorted(files) or [""])))
            held = min((at for key, at in listed.items() if key in waiting - set(noted)),
                       default=None)  # fmt: skip
            plan = [(key, at) for at, key in sorted(wanted) if key not in waiting]
            if not ledger.is_loaded("asked for", asked_for):
                plan.append(("asked for", asked_for))
            kill = None if is_last else draw(st.none() | st.integers(0, len(plan)))
            for key, at in plan[:kill]:
                ledger.record(key, at, held)
                noted.append(key)
                state = json.loads(json.dumps(ledger.state))
        assert sorted(noted) == sorted({*files, "asked for"})
        assert len(state.get("loaded") or ()) <= len(files) + 1

    @given(st.lists(moments, min_size=1), st.none() | moments)
    def test_the_bookmark_never_moves_back_or_past_what_is_held_back(
        self, moves: list[datetime], held: datetime | None
    ) -> None:
        state: dict[str, Any] = {}
        for number, at in enumerate(moves):
            before = files_of(state).bookmark
            FileLedger(state, START).record(str(number), at, held)
            after = files_of(state).bookmark
            assert after is not None
            assert before is None or after >= before
            assert held is None or after <= max(held, before or held)

    def test_only_what_may_be_listed_again_is_remembered(self) -> None:
        state: dict[str, Any] = {}
        ledger = FileLedger(state, START)
        for hour in range(24 * 10):
            ledger.record(str(hour), START + timedelta(hours=hour), None)
        assert len(state["loaded"]) == 25
        assert not any(
            files_of(state).is_due(str(hour), START + timedelta(hours=hour)) for hour in range(240)
        )

    def test_a_bookmark_set_by_hand_is_exact(self) -> None:
        ledger = files_of({"replication_key_value": "2026-11-05"})
        moment = datetime(2026, 11, 5, tzinfo=timezone.utc)
        assert ledger.is_due("a", moment)
        assert not ledger.is_due("b", moment - timedelta(seconds=1))

    @pytest.mark.parametrize("loaded", [[], ["1"], "text", {"1": None}, {"1": 5}, {"1": "lately"}])
    def test_a_ledger_that_can_not_be_read_is_one_clear_error(self, loaded: Any) -> None:
        if loaded == []:
            assert files_of({"loaded": loaded}).loaded == {}
            return
        with pytest.raises(TapError, match="state") as caught:
            files_of({"loaded": loaded})
        assert "\n" not in str(caught.value)


@pytest.fixture
def sales(sandbox: Sandbox) -> Report:
    """A report of two rows in each of its three months."""
    return sandbox.impact.add(
        Report(
            "sales",
            "Sales",
            columns=[Attribute("Id"), Attribute("Amount", "Decimal")],
            rows=lambda start, *_: [[f"{start:%m}-1", "1.50"], [f"{start:%m}-2", "2"]],
        )
    )


@pytest.mark.usefixtures("sales")
class TestStateOfASync:
    @pytest.mark.parametrize(
        "bad",
        [
            {"windows": []},
            {"windows": {"2026-10-01": {}}},
            {"replication_key": "_window_end", "replication_key_value": "yesterday"},
            {"columns": {"Amount": "money"}},
            {"columns": ["Amount"]},
            {"fingerprint": "month", "windows": {"2026-10-01": {"end": "2026-10-31", "rows": 1}}},
        ],
        ids=str,
    )
    def test_a_state_that_can_not_be_read_fails_its_stream_by_one_line(
        self, sandbox: Sandbox, clock: FakeClock, bad: dict[str, Any]
    ) -> None:
        run = sync(
            config_for(sandbox, reports=["sales"]), clock, state={"bookmarks": {"sales": bad}}
        )
        assert isinstance(run.error, TapError), repr(run.error)
        assert "sales" in str(run.error)
        assert "\n" not in str(run.error)
        assert run.records("sales") == []

    def test_no_state_holds_a_url_a_path_or_a_secret(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        config = config_for(sandbox, reports=["sales"], program_ids=["10211", "10487"])
        run = sync(config, clock).ok()
        assert len(run.states) > 10
        for state in run.states:
            text = json.dumps(state)
            assert not [bad for bad in ("http", "/", "token", "IRsandbox") if bad in text.replace(
                "America/New_York", ""
            )]  # fmt: skip

    def test_the_state_of_a_month_is_its_end_rows_finish_and_job(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        run = sync(config_for(sandbox, reports=["sales"], lookback_days=30), clock).ok()
        state = run.state["bookmarks"]["sales"]
        jobs = {job.params["END_DATE"][0]: job.id for job in sandbox.impact.jobs.values()}
        assert (state["replication_key"], state["replication_key_value"]) == (
            "_window_end",
            "2026-11-18",
        )
        september, _, november = state["windows"]
        assert {**november, "refreshed_at": "", "content": len(november["content"])} == {
            "slot": "2026-11-01",
            "start": "2026-11-01",
            "end": "2026-11-18",
            "rows": 2,
            "refreshed_at": "",
            "job": jobs["2026-11-18"],
            "unfinished": False,
            "reload_after": None,
            "content": 32,
            "loaded_at": None,
        }
        assert (september["slot"], september["start"]) == ("2026-09-01", "2026-09-10")

    def test_a_bookmark_set_by_hand_skips_what_can_not_change_and_moves_on(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        config = config_for(sandbox, reports=["sales"], START_DATE="2026-01-01", lookback_days=30)
        by_hand = {"bookmarks": {"sales": {"replication_key_value": "2026-09-30"}}}
        run = sync(config, clock, state=by_hand).ok()
        assert {row["_window_start"] for row in run.records("sales")} == {
            "2026-10-01",
            "2026-11-01",
        }
        assert run.bookmark("sales") == "2026-11-18"
        assert not [
            m for m in run.messages if m["type"] == "ACTIVATE_VERSION" and m["stream"] == "sales"
        ]

        clock.advance(days=1)
        run = sync(config, clock, state=run.state).ok()
        assert {row["slot"] for row in run.records("report_windows")} == {
            "2026-10-01",
            "2026-11-01",
        }, "what was skipped once is not loaded on the next night"
        assert run.bookmark("sales") == "2026-11-19"

    def test_the_bookmark_never_passes_a_skipped_window(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        config = config_for(sandbox, reports=["sales"], max_exports=1)
        run = sync(config, clock)
        assert isinstance(run.error, TapError)
        assert run.bookmark("sales") == "2026-09-30"

        sandbox.impact.fail_next("FAILED", "out of memory", times=9)
        run = sync(config_for(sandbox, reports=["sales"]), clock, state=run.state)
        assert isinstance(run.error, TapError)
        assert run.bookmark("sales") == "2026-09-30"
