"""Catalogs: which values are valid, and which are refused because they would be misread."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
from harness import FakeClock, Run, config_for, discover, sync
from hypothesis import given
from hypothesis import strategies as st
from meltano.core.plugin.singer.catalog import (
    MetadataExecutor,
    MetadataRule,
    SchemaExecutor,
    SchemaRule,
    SelectExecutor,
)
from singer_sdk.singerlib import Catalog

from tap_affiliate_reports.catalog import read_catalog
from tap_affiliate_reports.errors import SettingsError
from tap_affiliate_reports.sandbox import Attribute, Report, Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable

KEYS = ["_account", "_program_id", "_window_start", "_row_number"]


def entry(catalog: dict[str, Any], stream: str = "sales") -> dict[str, Any]:
    (found,) = [e for e in catalog["streams"] if e["tap_stream_id"] == stream]
    return found


def metadata(catalog: dict[str, Any], *breadcrumb: str, stream: str = "sales") -> dict[str, Any]:
    (found,) = [
        item["metadata"]
        for item in entry(catalog, stream)["metadata"]
        if item["breadcrumb"] == list(breadcrumb)
    ]
    return found


AMOUNT = ("properties", "Amount")


@pytest.fixture
def catalog(sandbox: Sandbox, clock: FakeClock) -> dict[str, Any]:
    """A catalog of a small report and the lists; the report and `jobs` are selected."""
    columns = [Attribute("Id"), Attribute("Amount", "Decimal")]
    sandbox.impact.add(Report("sales", columns=columns, rows=lambda *_: [["1", "1.50"]]))
    found = discover(config_for(sandbox), clock)
    found["streams"] = [
        e
        for e in found["streams"]
        if e["tap_stream_id"] in {"sales", "reports", "report_windows", "jobs"}
    ]
    for one in found["streams"]:
        metadata(found, stream=one["tap_stream_id"])["selected"] = one["tap_stream_id"] in {
            "sales",
            "jobs",
        }
    return found


MINIMAL: dict[str, Any] = {
    "tap_stream_id": "sales",
    "schema": {"type": "object", "properties": {"Amount": {"type": ["null", "number"]}}},
    "metadata": [
        {"breadcrumb": [], "metadata": {"selected": True}},
        {"breadcrumb": list(AMOUNT), "metadata": {"inclusion": "available"}},
    ],
}


def with_entry(**changes: Any) -> dict[str, Any]:
    """Return a catalog of one stream; keys changed to `...` are omitted."""
    changed = {**json.loads(json.dumps(MINIMAL)), **changes}
    return {"streams": [{key: value for key, value in changed.items() if value is not ...}]}


def with_metadata(*items: Any) -> dict[str, Any]:
    root = {"breadcrumb": [], "metadata": {"selected": True}}
    return with_entry(metadata=[root, *items])


def with_root(**changes: Any) -> dict[str, Any]:
    item = {"breadcrumb": [], "metadata": {key.replace("_", "-"): v for key, v in changes.items()}}
    return with_entry(metadata=[item])


def with_column(**changes: Any) -> dict[str, Any]:
    own = {key.replace("_", "-"): value for key, value in changes.items()}
    return with_metadata({"breadcrumb": list(AMOUNT), "metadata": own})


def with_property(schema: Any) -> dict[str, Any]:
    return with_entry(schema={"type": "object", "properties": {"Amount": schema}})


no_flag = st.recursive(
    st.integers() | st.text() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=4,
) | st.sampled_from(["false", "true", "False", "no", "0", "null", "", 0, 1])


class TestWhatIsRefused:
    @given(no_flag, st.sampled_from(["selected", "selected_by_default"]))
    def test_a_selection_is_true_false_or_null_and_nothing_else(self, value: Any, key: str) -> None:
        for change in (with_root, with_column):
            with pytest.raises(SettingsError, match="'sales'") as caught:
                read_catalog(change(**{key: value}))
            assert "\n" not in str(caught.value)
        with pytest.raises(SettingsError, match="'sales'"):
            read_catalog(with_entry(selected=value))

    @pytest.mark.parametrize(
        "bad",
        [
            # Enumerations
            with_root(selected=True, inclusion="Automatic"), with_column(inclusion="unsuported"),
            with_column(inclusion=5), with_column(inclusion=True),
            with_entry(replication_method="full_table"), with_entry(replication_method="LOG_BASED"),
            with_entry(replication_method=["FULL_TABLE"]), with_entry(replication_method=""),
            with_root(selected=True, forced_replication_method="Full_Table"),
            with_root(selected=True, replication_method="FULL"),
            # Keys
            with_entry(replication_key=["_window_end"]), with_entry(key_properties="Id"),
            with_entry(key_properties=[1]), with_root(selected=True, table_key_properties="Id"),
            # Metadata
            with_entry(metadata=None), with_entry(metadata={}), with_entry(metadata=["x"]),
            with_metadata({"metadata": {"selected": False}}), with_metadata({"breadcrumb": ["x"]}),
            with_metadata({"breadcrumb": list(AMOUNT), "metadata": None}),
            with_metadata({"breadcrumb": None, "metadata": {}}),
            with_metadata({"breadcrumb": "properties.Amount", "metadata": {}}),
            with_metadata({"breadcrumb": ["Amount"], "metadata": {"selected": False}}),
            with_metadata({"breadcrumb": ["properties"], "metadata": {"selected": False}}),
            with_metadata({"breadcrumb": ["properties", 5], "metadata": {"selected": False}}),
            with_metadata({"breadcrumb": [], "metadata": {"selected": False}}),
            with_metadata({"breadcrumb": list(AMOUNT), "metadata": {"selected": False}},
                          {"breadcrumb": list(AMOUNT), "metadata": {"selected": True}}),
            with_entry(metadata=[{"breadcrumb": list(AMOUNT), "metadata": {"selected": True}}]),
            # A selection in two places that differ
            with_entry(selected=False), with_entry(selected=False, metadata=[]),
            with_entry(selected=False, metadata=...),
            with_entry(selected=True, metadata=with_root(selected=False)["streams"][0]["metadata"]),
            with_root(selected=False, inclusion="automatic"),
            with_root(selected=True, inclusion="unsupported"),
            with_entry(schema={**MINIMAL["schema"], "selected": False}),
            with_property({"type": "number", "selected": False}),
            # The schema
            with_entry(schema=...), with_entry(schema=None), with_entry(schema=[]),
            with_entry(schema="object"), with_entry(schema={"properties": []}),
            with_property("number"), with_property(True), with_property(None), with_property([]),
            with_property({"type": 5}), with_property({"type": "string", "format": ["date"]}),
            with_property({"type": "object", "properties": {"a": 5}}),
            # The streams
            with_entry(tap_stream_id=...), with_entry(tap_stream_id=None),
            with_entry(tap_stream_id=5), {"streams": [MINIMAL, MINIMAL]}, {"streams": [5]},
            {"streams": {"sales": MINIMAL}}, {"streams": None}, {}, [], 5, "text",
            {"catalog": with_entry()},
        ],
        ids=lambda bad: json.dumps(bad)[:120],
    )  # fmt: skip
    def test_what_has_not_the_shape_of_a_catalog_is_one_line(self, bad: Any) -> None:
        with pytest.raises(SettingsError, match="--catalog: ") as caught:
            read_catalog(bad)
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 300

    def test_it_is_refused_before_any_request(
        self, sandbox: Sandbox, clock: FakeClock, catalog: dict[str, Any]
    ) -> None:
        metadata(catalog, stream="reports")["selected"] = "false"
        sandbox.requests.clear()
        run = sync(config_for(sandbox), clock, catalog=catalog)
        assert isinstance(run.error, SettingsError)
        assert "'reports'" in str(run.error)
        assert "selected" in str(run.error)
        assert sandbox.requests == []

    def test_a_catalog_of_the_framework_s_class_is_checked_too(
        self, sandbox: Sandbox, clock: FakeClock, catalog: dict[str, Any]
    ) -> None:
        metadata(catalog)["selected"] = "false"
        run = sync(config_for(sandbox), clock, catalog=Catalog.from_dict(catalog))  # type: ignore[arg-type]
        assert isinstance(run.error, SettingsError)
        metadata(catalog)["selected"] = True
        sync(config_for(sandbox), clock, catalog=Catalog.from_dict(catalog)).ok()  # type: ignore[arg-type]

    @pytest.mark.parametrize("stream", ["sales", "jobs"])
    @pytest.mark.parametrize("where", ["entry", "metadata"])
    def test_a_replication_key_that_is_not_the_stream_s_own(
        self, sandbox: Sandbox, clock: FakeClock, catalog: dict[str, Any], stream: str, where: str
    ) -> None:
        if where == "entry":
            entry(catalog, stream)["replication_key"] = "Amount"
        else:
            entry(catalog, stream).pop("replication_key")
            metadata(catalog, stream=stream)["replication-key"] = "Amount"
        run = sync(config_for(sandbox), clock, catalog=catalog)
        assert isinstance(run.error, SettingsError)
        assert stream in str(run.error)
        assert "'Amount'" in str(run.error)
        assert sandbox.impact.exports == []

    def test_a_stream_that_is_not_selected_may_have_any_replication_key(
        self, sandbox: Sandbox, clock: FakeClock, catalog: dict[str, Any]
    ) -> None:
        entry(catalog, "reports")["replication_key"] = "Name"
        assert "reports" not in sync(config_for(sandbox), clock, catalog=catalog).ok().streams


RULES = {
    "select": SelectExecutor(["sales.*", "!sales.Amount", "!reports.*"]),
    "select everything": SelectExecutor(["*.*"]),
    "select without properties": SelectExecutor(["sales", "jobs"]),
    "metadata": MetadataExecutor(
        [
            MetadataRule("*", [], "replication-method", "FULL_TABLE"),
            MetadataRule("sales", [], "replication-key", "_window_end"),
            MetadataRule("*", list(AMOUNT), "selected", value=True),
            MetadataRule("*", [], "custom", "x"),
        ]
    ),
    "deselect": MetadataExecutor([MetadataRule("*", [], "selected", value=False)]),
    "schema": SchemaExecutor([SchemaRule("sales", list(AMOUNT), {"type": ["string", "null"]})]),
}


class TestWhatIsAccepted:
    @pytest.mark.parametrize("rules", RULES.values(), ids=RULES)
    def test_what_meltano_writes(self, catalog: dict[str, Any], rules: Any) -> None:
        rules.visit(catalog)
        for one in catalog["streams"]:
            found = read_catalog(catalog)
            assert found is not None
            mask = found[one["tap_stream_id"]].metadata.resolve_selection()
            assert mask[()] is metadata(catalog, stream=one["tap_stream_id"])["selected"]

    @pytest.mark.parametrize(
        "good",
        [
            with_entry(), with_entry(metadata=[]), with_entry(metadata=...), with_root(),
            with_entry(selected=True), with_entry(selected=None), with_root(selected=None),
            with_entry(selected=True, metadata=...),
            with_entry(schema={"type": "object"}), with_entry(schema={}),
            with_entry(key_properties=None, replication_key=None, replication_method=None),
            with_entry(replication_method="INCREMENTAL"), with_entry(is_view=False, row_count=5),
            with_property({}), with_property({"anyOf": [{"type": "number"}, {"type": "null"}]}),
            with_property({"type": "object", "properties": {"a": {"type": "string"}}}),
            with_column(selected=False, inclusion="automatic"),
            with_column(inclusion="unsupported"), with_column(sql_datatype="numeric"),
            with_metadata({"breadcrumb": ["properties", "Gone"], "metadata": {"selected": True}}),
            with_metadata({"breadcrumb": [*AMOUNT, "properties", "a"], "metadata": {}}),
            {"streams": []},
        ],
        ids=lambda good: json.dumps(good)[:120],
    )  # fmt: skip
    def test_what_singer_tools_write(self, good: Any) -> None:
        assert read_catalog(good) == Catalog.from_dict(good)

    def test_no_catalog(self) -> None:
        assert read_catalog(None) is None

    @given(st.none() | st.booleans(), st.none() | st.booleans(), st.booleans())
    def test_flags_have_the_meaning_of_the_sdk(
        self, selected: bool | None, by_default: bool | None, with_column_too: bool
    ) -> None:
        change = with_column if with_column_too else with_root
        found = read_catalog(change(selected=selected, selected_by_default=by_default))
        expected = selected if selected is not None else by_default
        where = AMOUNT if with_column_too else ()
        if expected is None:
            expected = with_column_too  # a column has its stream's selection; streams have none
        assert found is not None
        assert found["sales"].metadata.resolve_selection()[where] is expected


class TestWhatACatalogCanNotChange:
    @pytest.fixture
    def sync_with(
        self, sandbox: Sandbox, clock: FakeClock, catalog: dict[str, Any]
    ) -> Callable[[], Run]:
        """Return a function that syncs with the present catalog."""
        return lambda: sync(config_for(sandbox), clock, catalog=catalog)

    OTHER = ([], ["Id"], None, ...)

    @pytest.mark.parametrize("keys", OTHER, ids=str)
    @pytest.mark.parametrize("stream", ["sales", "jobs", "report_windows", "reports"])
    def test_the_keys_of_a_stream(
        self, catalog: dict[str, Any], sync_with: Callable[[], Run], stream: str, keys: Any
    ) -> None:
        metadata(catalog, stream=stream)["selected"] = True
        own = list(entry(catalog, stream)["key_properties"])
        for where, key in (
            (entry(catalog, stream), "key_properties"),
            (metadata(catalog, stream=stream), "table-key-properties"),
        ):
            where[key] = keys
            if keys is ...:
                del where[key]
        run = sync_with().ok()
        assert run.schema(stream)["key_properties"] == own
        assert run.said(f"{stream}: key_properties", logging.WARNING) == (keys == ["Id"])

    @pytest.mark.parametrize("key", [None, ..., "_completed_at"], ids=str)
    @pytest.mark.parametrize("stream", ["sales", "jobs"])
    def test_the_replication_key_of_a_stream(
        self, catalog: dict[str, Any], sync_with: Callable[[], Run], stream: str, key: Any
    ) -> None:
        """A catalog from before a change of the stream must not stop it."""
        for where, name in (
            (entry(catalog, stream), "replication_key"),
            (metadata(catalog, stream=stream), "replication-key"),
        ):
            where[name] = key
            if key is ...:
                del where[name]
        state = sync_with().ok().state["bookmarks"][stream]
        own = {"sales": "_window_end", "jobs": "CreatedDate"}[stream]
        assert state["replication_key"] == own

    def test_a_list_without_a_replication_key_is_never_incremental(
        self, catalog: dict[str, Any], sync_with: Callable[[], Run]
    ) -> None:
        metadata(catalog, stream="reports")["selected"] = True
        for one in catalog["streams"]:
            one["replication_method"] = "INCREMENTAL"
        assert sync_with().ok().records("reports")

    @pytest.mark.parametrize("schema", [{}, {"type": "object"}, {"properties": {}}], ids=str)
    def test_a_schema_without_columns_takes_none_away(
        self, catalog: dict[str, Any], sync_with: Callable[[], Run], schema: dict[str, Any]
    ) -> None:
        sync_with().ok()  # the list of jobs is read before the first one is requested
        whole = sync_with().ok()
        for one in catalog["streams"]:
            one["schema"] = schema
        run = sync_with().ok()
        for stream in ("sales", "jobs"):
            assert run.schema(stream)["schema"] == whole.schema(stream)["schema"]
        assert run.records("jobs")[0].keys() == whole.records("jobs")[0].keys()

    def test_a_file_stream_without_columns_in_the_catalog_has_those_of_its_files(
        self, sandbox: Sandbox, clock: FakeClock
    ) -> None:
        own = {"api_key": "sandbox-key", "api_url": sandbox.base_url("hienergy")}
        config = {"start_date": "2026-09-10", "hienergy": own}
        found = discover(config, clock)
        whole = sync(config, clock, catalog=found).ok()
        for one in found["streams"]:
            one["schema"] = {"type": "object"}
        run = sync(config, clock, catalog=found).ok()
        for stream in whole.streams:
            assert run.schema(stream)["schema"] == whole.schema(stream)["schema"]
            assert len(run.records(stream)) == len(whole.records(stream)) > 0

    @pytest.mark.parametrize("stream", ["sales", "jobs"])
    def test_a_replication_method_in_the_metadata_counts_as_in_the_entry(
        self, catalog: dict[str, Any], sync_with: Callable[[], Run], stream: str
    ) -> None:
        """Users may set `replication-method` in a Singer catalog."""
        metadata(catalog, stream=stream)["replication-method"] = "FULL_TABLE"
        run = sync_with().ok()
        assert run.tap.streams[stream].replication_method == "FULL_TABLE"
