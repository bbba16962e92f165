"""`--plan`: what it says is what the sync then does, and it costs nothing."""

from __future__ import annotations

import copy
from collections import Counter
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
from command_case import command
from harness import FakeClock, config_for, examples, sync, windows_of
from hienergy_instal import CLICKS, CREATE, DEALS, config_of, put_all
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_source import SmallSource

from tap_affiliate_reports.commands import text
from tap_affiliate_reports.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

REPORTS = ["other", "sales"]
# No sum of a few of these is near to the 20 hours after which a file is too old.
HOURS = [1.1, 7.3, 24.4, 24.4, 24.4, 49.3, 700.7]


class World:
    """An account with two small reports, a user who syncs it, and what each sync spent."""

    def __init__(self, *, clicks: bool = False) -> None:
        self.clock = FakeClock()
        self.sandbox = Sandbox(
            now=self.clock.now, job_seconds=2, exports_per_day=10**6, timezone="America/New_York"
        ).start()
        self.sandbox.impact.click_exports_per_day = 10**6
        SmallSource(self.sandbox, self.clock, [*REPORTS, "clicks"])
        self.state: dict[str, Any] = {}
        self.settings: dict[str, Any] = {"START_DATE": "2026-10-20", "clicks": clicks}

    @property
    def config(self) -> dict[str, Any]:
        return config_for(self.sandbox, reports=REPORTS, **self.settings)

    def plan(self) -> dict[str, Any]:
        return command("plan", self.config, self.clock, state=self.state)

    def sync(self, cut: float = 1.0) -> tuple[Counter[str], Counter[str], Counter[str]]:
        """Sync; return by report the exports spent, replays, and exports of an old job."""
        service = self.sandbox.impact
        requests = len(self.sandbox.requests)
        exports, clicks = len(service.exports), len(service.click_exports)
        run = sync(self.config, self.clock, state=self.state)
        replays = [
            service.jobs[request.segments[3]].report_id
            for request in self.sandbox.requests[requests:]
            if request.method == "PUT"
        ]
        states = run.states[: max(1, round(cut * len(run.states)))]
        if states:
            self.state = copy.deepcopy(states[-1])
        spent = [*service.exports[exports:], *service.click_exports[clicks:]]
        return (
            Counter(export.report_id for export in spent),
            Counter(replays),
            Counter(export.report_id for export in spent if not export.scheduled),
        )


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.sandbox.stop()


def by_stream(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {one["stream"]: one[name] for one in document["sources"][0]["streams"]}


CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "lookback_days": st.sampled_from([0, 5, 40]),
        "max_exports": st.sampled_from([0, 1, 3, 90]),
        "max_click_exports": st.sampled_from([0, 1, 9]),
        "max_concurrent_jobs": st.integers(1, 4),
        "START_DATE": st.sampled_from(["2026-10-05", "2026-10-20", "2026-11-10"]),
        "END_DATE": st.sampled_from(["2026-11-12", "2026-11-19"]),
        "RELOAD": st.sampled_from(["all", "2026-10-28/2026-11-03", "2026-11-15"]),
    },
)
# What a sync refuses, unless a reload comes with it.
REFUSED = st.fixed_dictionaries(
    {"RELOAD": st.sampled_from(["all", "all", "2026-11-15"])},
    optional={
        "window": st.sampled_from(["day", "week", "month"]),
        "program_ids": st.sampled_from([["10211"], ["10211", "10212"]]),
        "report_options": st.just({"other": {"mode": "run"}}),
    },
)
NIGHTS = st.lists(
    st.fixed_dictionaries(
        {
            "hours": st.sampled_from(HOURS),
            "cut": st.sampled_from([0.0, 0.4, 0.8, 1.0, 1.0, 1.0]),
            "lost_jobs": st.sampled_from([0, 0, 0, 1, 3]),
            "has_state": st.sampled_from([True] * 9 + [False]),
            "changes": st.one_of(st.just({}), CHANGES, CHANGES, REFUSED),
        }
    ),
    min_size=1,
    max_size=4,
)


@pytest.mark.property
@given(clicks=st.booleans(), nights=NIGHTS)
@settings(max_examples=examples(30), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_plan_is_what_the_sync_spends(clicks: bool, nights: list[dict[str, Any]]) -> None:
    world = World(clicks=clicks)
    try:
        world.sync()
        for night in nights:
            world.clock.advance(hours=night["hours"])
            world.settings.update(night["changes"])
            if "RELOAD" not in night["changes"]:
                world.settings.pop("RELOAD", None)
            if not night["has_state"]:
                world.state = {}
            jobs = world.sandbox.impact.jobs
            for job in sorted(jobs)[: night["lost_jobs"]]:
                del jobs[job]
            before = len(world.sandbox.requests)
            document = world.plan()
            asked = world.sandbox.requests[before:]
            assert not [r for r in asked if r.method != "GET" or "Export" in r.path]
            exports, replays, old = world.sync(night["cut"])
            planned = by_stream(document, "exports")
            assert {name: count for name, count in planned.items() if count} == dict(exports)
            for stream, count in by_stream(document, "replays").items():
                # A request that the service answers with an old job may need a replay too.
                assert count <= replays[stream] <= count + old[stream]
            assert set(replays) <= set(planned)
            source = document["sources"][0]
            assert ("clicks_needed" in source) is clicks
            kinds = {"clicks": planned.pop("clicks", 0)} if clicks else {}
            kinds["exports"] = sum(planned.values())
            for kind, count in kinds.items():
                runs = "nights" if kind == "exports" else f"{kind}_nights"
                assert source[f"{kind}_to_spend"] == count <= source[f"{kind}_needed"]
                assert source[f"{kind}_needed"] == count or source[runs] != 1
    finally:
        world.sandbox.stop()


class TestWhatItSays:
    def test_a_first_run_lists_what_is_missing_and_how_many_nights_it_takes(
        self, world: World
    ) -> None:
        world.settings["max_exports"] = 3
        document = world.plan()
        (source,) = document["sources"]
        assert (source["source"], source["exports_needed"], source["exports_allowed"]) == (
            "impact", 4, 3,
        )  # fmt: skip
        assert source["nights"] == 2
        october, november = source["streams"][1]["new"]
        assert october["why"] == "missing: never loaded"
        assert november == {
            "start": "2026-11-01",
            "end": "2026-11-18",
            "program": "all",
            "why": "missing: never loaded; in a later run: this run may spend 3 exports "
            "(max_exports)",
        }

    def test_after_a_sync_nothing_is_left(self, world: World) -> None:
        world.sync()
        (source,) = world.plan()["sources"]
        assert (source["exports_needed"], source["nights"]) == (0, 0)
        assert [one["complete_until"] for one in source["streams"]] == ["2026-11-18"] * 2
        assert [one["unchanged"] for one in source["streams"]] == [2, 2]

    def test_a_day_later_the_open_month_costs_an_export_and_the_last_one_a_replay(
        self, world: World
    ) -> None:
        world.sync()
        world.clock.advance(days=1)
        document = world.plan()
        sales = document["sources"][0]["streams"][1]
        assert [one["why"] for one in sales["new"]] == ["open: loaded up to 2026-11-18"]
        (october,) = sales["refresh"]
        assert october["why"].startswith("stale: its file is of 2026-11-19 15:00 UTC")
        assert october["why"].endswith("rows may change until 2026-12-30")
        assert (sales["exports"], sales["replays"]) == (1, 1)

    @pytest.mark.parametrize(
        ("allowed", "nights"), [(9, 4), (30, 1), (29, 2), (2, 29), (1, None), (0, None)]
    )
    def test_clicks_have_figures_of_their_own_and_a_new_day_each_night(
        self, allowed: int, nights: int | None
    ) -> None:
        world = World(clicks=True)
        world.settings["max_click_exports"] = allowed
        (source,) = world.plan()["sources"]
        assert [source[f"clicks_{name}"] for name in ("needed", "allowed", "nights")] == [
            30, allowed, nights,
        ]  # fmt: skip
        assert (source["exports_needed"], source["exports_allowed"], source["nights"]) == (4, 90, 1)
        clicks = source["streams"][-1]
        assert (clicks["stream"], clicks["exports"]) == ("clicks", allowed)
        assert [clicks["new"][0][name] for name in ("start", "end")] == ["2026-11-18"] * 2
        if nights is not None and nights < 9:
            for night in range(nights):
                world.sync()
                world.clock.advance(days=1)
                is_done = "2026-10-20" in windows_of(world.state["bookmarks"]["clicks"])
                assert is_done is (night == nights - 1)
        world.sandbox.stop()

    @pytest.mark.parametrize(
        ("end", "nights"), [("2026-11-18", 30), ("2026-11-19", 31), ("2026-12-31", None)]
    )
    def test_without_new_days_clicks_take_fewer_nights(self, end: str, nights: int | None) -> None:
        world = World(clicks=True)
        world.settings |= {"max_click_exports": 1, "END_DATE": end}
        (source,) = world.plan()["sources"]
        assert source["clicks_nights"] == nights
        world.sandbox.stop()

    def test_no_number_of_runs_suffices_without_an_export(self, world: World) -> None:
        world.settings["max_exports"] = 0
        (source,) = world.plan()["sources"]
        assert (source["exports_needed"], source["nights"]) == (4, None)

    def test_a_job_that_failed_is_replayed(self, world: World) -> None:
        world.sync()
        world.clock.advance(days=1)
        for job in world.sandbox.impact.jobs.values():
            job.outcome = type(job.outcome)("FAILED", "out of memory")
        assert by_stream(world.plan(), "replays") == {"other": 1, "sales": 1}

    def test_a_stream_that_would_fail_is_named_and_the_others_are_planned(
        self, world: World
    ) -> None:
        world.sync()
        world.settings["report_options"] = {"sales": {"window": "day"}}
        document = world.plan()
        assert not document["ok"]
        (error,) = document["errors"]
        assert error.startswith("sales: settings that define the windows changed")
        assert set(by_stream(document, "exports")) == {"other"}

    def test_it_writes_no_message_and_leaves_no_job(self, world: World) -> None:
        document = world.plan()
        assert document["ok"]
        assert not world.sandbox.impact.jobs


class TestTheOtherNetworks:
    def test_hienergy_lists_the_files_that_are_not_loaded(self) -> None:
        clock = FakeClock()
        with Sandbox(now=clock.now) as sandbox:
            config = config_of(sandbox, date(2026, 9, 1), hienergy={"create": [CREATE]})
            document = command("plan", config, clock)
            run = sync(config, clock).ok()
            posts = [one for one in sandbox.requests if one.method == "POST"]
            after = command("plan", config, clock, state=run.state)
        assert by_stream(document, "exports") == {
            "advertisers_csv": 0, CLICKS: 1, "deals_excel": 0, "hot_advertisers_excel": 0,
        }  # fmt: skip
        assert len(posts) == 1
        new = {stream: one[-1]["why"] for stream, one in by_stream(document, "new").items() if one}
        assert new[DEALS].startswith("missing: finished 2026-11-")
        assert new[CLICKS] == "create: requested in every sync"
        assert document["sources"][0]["exports_allowed"] is None
        assert by_stream(after, "unchanged")[DEALS] == len(by_stream(document, "new")[DEALS])

    def test_instal_needs_an_export_for_each_refresh(self) -> None:
        clock = FakeClock()
        with Sandbox(now=clock.now) as sandbox:
            put_all(sandbox, date(2026, 11, 1), 18)
            config = config_of(sandbox, date(2026, 10, 20), instal={})
            state = sync(config, clock).ok().state
            clock.advance(days=1)
            (source,) = command("plan", config, clock, state=state)["sources"]
            before = len(sandbox.requests)
            sync(config, clock, state=state).ok()
            posts = [one for one in sandbox.requests[before:] if one.method == "POST"]
        (report,) = source["streams"]
        assert (report["exports"], report["replays"]) == (2, 0)
        assert (source["exports_needed"], source["nights"], len(posts)) == (2, 1, 2)


class TestTheText:
    def lines(self, document: Mapping[str, Any], capsys: pytest.CaptureFixture[str]) -> list[str]:
        text.show("plan", document)
        return capsys.readouterr().out.splitlines()

    def test_no_line_is_wider_than_100_columns(
        self, world: World, capsys: pytest.CaptureFixture[str]
    ) -> None:
        world.settings |= {"max_exports": 1, "program_ids": ["10211", "10212"]}
        lines = self.lines(world.plan(), capsys)
        assert max(map(len, lines)) <= 100
        assert lines[0] == (
            "impact spends 1 of the 8 exports needed (at most 1 a run): 8 runs for all"
        )

    @pytest.mark.parametrize("name", ["[/a]", "[red]", "[link=x]"])
    def test_no_name_is_taken_for_markup(
        self, name: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        window = {"start": "2026-10-01", "end": "2026-10-31", "program": name, "why": name}
        stream = {"stream": name, "complete_until": None, "new": [window], "refresh": []}
        numbers = {"unchanged": 0, "exports": 1, "replays": 0}
        source = {
            "source": "impact", "exports_needed": 1, "exports_allowed": 90,
            "exports_to_spend": 1, "nights": 1, "streams": [stream | numbers],
        }  # fmt: skip
        lines = self.lines({"sources": [source], "errors": [name]}, capsys)
        assert lines[-3].strip() == f"2026-10-01..2026-10-31 of program {name}    {name}"
        assert lines[-1] == f"error: {name}"

    def test_each_kind_of_export_has_its_cost(self, capsys: pytest.CaptureFixture[str]) -> None:
        world = World(clicks=True)
        first, second, *lines = self.lines(world.plan(), capsys)
        world.sandbox.stop()
        assert first == "impact spends 4 exports (at most 90 a run)"
        assert second.rstrip() == (
            "  spends 9 of the 30 click exports needed (at most 9 a run): 4 runs for all"
        )
        assert "    2026-11-10..2026-11-18  9 windows   missing: never loaded" in lines

    def test_windows_of_one_reason_are_one_line(
        self, world: World, capsys: pytest.CaptureFixture[str]
    ) -> None:
        lines = self.lines(world.plan(), capsys)
        assert "    2026-10-20..2026-11-18  2 windows  missing: never loaded" in lines
