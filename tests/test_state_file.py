"""The state of a sync: a state object, a STATE message, and as Meltano prints and stores it."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest
from harness import FakeClock, config_for, sync
from hypothesis import example, given
from hypothesis import strategies as st
from meltano.core.state_store import MeltanoState

from tap_affiliate_reports.errors import SettingsError
from tap_affiliate_reports.sandbox import Attribute, Report, Sandbox
from tap_affiliate_reports.state_file import read_state, unwrap
from tap_affiliate_reports.tap import TapAffiliateReports

if TYPE_CHECKING:
    from collections.abc import Callable

STATE = {"bookmarks": {"sales": {"replication_key_value": "2026-10-31", "rows": [1]}}}
OLDER = {"bookmarks": {"sales": {"replication_key_value": "2026-09-30", "version": 7}}}

keys = st.sampled_from(["bookmarks", "sales", "jobs", "windows", "2026-10-01", "rows"])
values = st.none() | st.integers() | st.text(max_size=3) | st.lists(st.integers(), max_size=2)
bookmarks = st.dictionaries(
    st.text(max_size=5),
    st.recursive(st.dictionaries(keys, values, max_size=3),
                 lambda inner: st.dictionaries(keys, values | inner, max_size=3), max_leaves=6),
    max_size=3,
)  # fmt: skip
states = bookmarks.map(lambda some: {"bookmarks": some})


def printed(state: Any) -> dict[str, Any]:
    """Return a state as `meltano state get` prints it."""
    return {"singer_state": state}


WRAPPERS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "STATE message": lambda state: {"type": "STATE", "value": state},
    "state get": printed,
    "completed": lambda state: {"completed": printed(state), "partial": {}},
    "completed alone": lambda state: {"completed": printed(state)},
    "partial": lambda state: {"completed": {}, "partial": printed(state)},
    "partial, completed null": lambda state: {"completed": None, "partial": printed(state)},
    "both": lambda state: {"completed": printed(state), "partial": printed(state)},
}


class TestUnwrap:
    @given(states, st.lists(st.sampled_from(sorted(WRAPPERS)), max_size=3))
    def test_a_state_is_the_same_in_any_wrappers(
        self, state: dict[str, Any], wrappers: list[str]
    ) -> None:
        document = state
        for name in wrappers:
            document = WRAPPERS[name](document)
        before = deepcopy(document)
        assert unwrap(document) == state
        assert document == before, "what was given is not changed"

    @given(states | st.just({}), states | st.just({}))
    @example({"bookmarks": {"a": {"rows": None}}}, {"bookmarks": {"a": {"rows": {}}}})
    @example({"bookmarks": {"a": {"rows": None}}}, {"bookmarks": {"a": {"rows": {"b": 1}}}})
    @example({"bookmarks": {"a": {"rows": {"b": 1}}}}, {"bookmarks": {"a": {"rows": None}}})
    def test_partial_state_is_merged_as_meltano_does(
        self, completed: dict[str, Any], partial: dict[str, Any]
    ) -> None:
        stored = {"completed": {"singer_state": completed}, "partial": {"singer_state": partial}}
        meltano = MeltanoState.from_json("dev:tap-to-target", json.dumps(stored))
        try:
            merged = json.loads(meltano.json_merged())
        except (AttributeError, TypeError):
            # Meltano can't merge an object that is not empty onto a scalar.
            unwrap(stored)
        else:
            assert unwrap(stored) == merged["singer_state"]

    def test_partial_state_wins_and_completed_keeps_what_partial_lacks(self) -> None:
        stored = {"completed": {"singer_state": OLDER}, "partial": {"singer_state": STATE}}
        assert unwrap(stored) == {
            "bookmarks": {
                "sales": {"replication_key_value": "2026-10-31", "version": 7, "rows": [1]}
            }
        }

    @pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
    def test_an_empty_state_is_empty_in_any_wrapper(
        self, wrap: Callable[[Any], dict[str, Any]]
    ) -> None:
        assert unwrap({}) == unwrap(wrap({})) == {}

    def test_other_keys_of_a_state_are_kept(self) -> None:
        state = {**STATE, "currently_syncing": None}
        assert unwrap({"type": "STATE", "value": state}) == state

    @pytest.mark.parametrize(
        "document",
        [
            None, [], [STATE], "", "text", 0, 5, False, True,
            {"currently_syncing": None}, {"bookmark": {}}, {"sales": {"windows": {}}},
            {"bookmarks": None}, {"bookmarks": []}, {"bookmarks": "sales"}, {"bookmarks": 0},
            {"type": "STATE"}, {"type": "STATE", "value": None}, {"type": "STATE", "value": []},
            {"type": "STATE", "value": {"currently_syncing": "sales"}},
            {"type": "state", "value": STATE}, {"value": STATE}, {"state": STATE},
            {"type": "RECORD", "stream": "sales", "record": {"Id": 1}},
            {"singer_state": None}, {"singer_state": [STATE]}, {"singer_state": {"sales": {}}},
            {"singer_state": json.dumps(STATE)}, {"singer_state": {"singer_state": None}},
            {"completed": None}, {"completed": None, "partial": None}, {"completed": [STATE]},
            {"completed": {"singer_state": STATE}, "partial": [STATE]},
            {"completed": {"singer_state": STATE}, "partial": {"singer_state": None}},
            {"completed": {"sales": {}}, "partial": {}},
            # The output of `meltano state export`: one entry per state ID.
            {"dev:tap-to-target": {"completed": {"singer_state": STATE}, "partial": {}}},
            # Two states, of which one would be ignored.
            {"bookmarks": {}, "singer_state": STATE}, {**STATE, "type": "STATE", "value": OLDER},
            {"singer_state": STATE, "completed": {"singer_state": OLDER}},
        ],
        ids=str,
    )  # fmt: skip
    def test_anything_else_is_refused_in_one_line(self, document: Any) -> None:
        with pytest.raises(SettingsError, match="state") as caught:
            unwrap(document)
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 300

    @given(
        st.dictionaries(
            st.text(max_size=9).filter(
                lambda key: key not in {"bookmarks", "singer_state", "completed", "partial", "type"}
            ),
            values | states,
            min_size=1,
        )
    )
    def test_no_object_without_bookmarks_counts_as_no_state(self, document: Any) -> None:
        with pytest.raises(SettingsError):
            unwrap(document)


class TestReadState:
    @pytest.mark.parametrize("indent", [None, 2])
    @pytest.mark.parametrize("around", ["{}", "\ufeff{}", "\n{}\n\n", "{}\r\n"])
    def test_a_file_holds_one_document_in_any_layout(self, around: str, indent: int | None) -> None:
        document = {"singer_state": STATE}
        assert read_state(around.replace("{}", json.dumps(document, indent=indent))) == STATE

    @pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n"])
    def test_of_several_lines_the_last_state_counts(
        self, end: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO")
        lines = [json.dumps({"type": "STATE", "value": OLDER}), "", json.dumps(STATE)]
        assert read_state("\n".join(lines) + end) == STATE
        assert "2 states" in caplog.text

    def test_a_line_separator_in_a_text_ends_no_line(self) -> None:
        state = {"bookmarks": {"a\u2028{b": {}, "\x85{": {}}}
        assert read_state(json.dumps(state, ensure_ascii=False)) == state

    @pytest.mark.parametrize(
        ("text", "word"),
        [
            ("", "empty"), (" \n\n", "empty"), ("\ufeff", "empty"), ("{", "JSON"),
            ("[" * 100_000, "JSON"), ("null", "object"), ("[]", "object"), ('"text"', "object"),
            (json.dumps(STATE)[:-5], "JSON"),
            (f"{json.dumps(OLDER)}\n{json.dumps(STATE)[:-5]}", "line 2"),
            (f"{json.dumps({'sales': {}})}\n{json.dumps(STATE)}", "line 1"),
            (f"{json.dumps(STATE)}\n{json.dumps({'type': 'RECORD', 'record': {}})}", "line 2"),
            (f"{json.dumps(STATE)}\nnull", "JSON"),
            (f"2026-11-19 INFO\n{json.dumps(STATE)}", "JSON"),
        ],
    )  # fmt: skip
    def test_a_file_that_holds_no_state_is_refused_in_one_line(self, text: str, word: str) -> None:
        with pytest.raises(SettingsError, match=word) as caught:
            read_state(text)
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 400


class TestGivenToTheTap:
    @pytest.fixture(autouse=True)
    def sales(self, sandbox: Sandbox) -> Report:
        """A report of two rows in each of its three months."""
        rows = [["1", "1.50"], ["2", "2"]]
        columns = [Attribute("Id"), Attribute("Amount", "Decimal")]
        return sandbox.impact.add(Report("sales", columns=columns, rows=lambda *_: rows))

    @pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
    def test_a_sync_goes_on_from_a_state_in_a_wrapper(
        self, sandbox: Sandbox, clock: FakeClock, wrap: Callable[[Any], dict[str, Any]]
    ) -> None:
        config = config_for(sandbox, reports=["sales"])
        first = sync(config, clock).ok()
        spent = len(sandbox.impact.exports)
        again = sync(config, clock, state=wrap(first.state)).ok()
        assert len(sandbox.impact.exports) == spent > 0
        assert again.records("sales") == []
        assert again.state["bookmarks"]["sales"] == first.state["bookmarks"]["sales"]
        assert not [
            m for m in again.messages if m["type"] == "ACTIVATE_VERSION" and m["stream"] == "sales"
        ]

    @pytest.mark.chain
    @pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
    def test_discovery_finds_the_columns_of_files_in_a_wrapped_state(
        self, sandbox: Sandbox, clock: FakeClock, wrap: Callable[[Any], dict[str, Any]]
    ) -> None:
        own = {"api_key": "sandbox-key", "api_url": sandbox.base_url("hienergy")}
        config = {"start_date": "2026-09-10", "hienergy": own}
        kept = sync(config, clock).ok().state
        kept["bookmarks"]["deals_excel"]["columns"].append(["only_in_state", "integer"])
        run = sync(config, clock, state=wrap(kept)).ok()
        found = run.schema("deals_excel")["schema"]["properties"]
        assert found["only_in_state"]["type"] == ["integer", "null"]

    def test_a_state_that_is_loaded_later_may_have_a_wrapper_too(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        config = config_for(sandbox, reports=["sales"])
        state = sync(config, clock).ok().state
        tap = TapAffiliateReports(config=config, clock=clock)
        tap.load_state({"singer_state": state})
        assert tap.state["bookmarks"]["sales"] == state["bookmarks"]["sales"]

    @pytest.mark.parametrize(
        "bad",
        [[], 0, "", {"singer_state": None}, {"currently_syncing": None}, {"sales": {}}],
        ids=str,
    )
    def test_what_is_no_state_spends_no_export(
        self, sandbox: Sandbox, clock: FakeClock, bad: Any
    ) -> None:
        config = config_for(sandbox, reports=["sales"])
        with pytest.raises(SettingsError, match="state"):
            TapAffiliateReports(config=config, state=bad, clock=clock)
        assert sandbox.impact.exports == []
