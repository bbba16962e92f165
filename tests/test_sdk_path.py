"""RECORD lines made in blocks are, message by message, those that the SDK's own path makes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from unittest import mock

import pytest
from harness import FakeClock, Run, config_for, discover, examples, sync
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from singer_sdk import Stream
from singer_sdk.helpers.conform import TypeConformanceLevel
from test_record_lines import ODD, USUAL

from tap_affiliate_reports.record_lines import RecordLines
from tap_affiliate_reports.sandbox import Attribute, Report, Sandbox
from tap_affiliate_reports.schema import Kind
from tap_affiliate_reports.streams import ReportStream, TableStream

TYPES = {
    "Words": "String",
    "Count": "Integer",
    "Payout": "Decimal",
    "Is_Paid": "Boolean",
    "Day": "DATE",
    "At": "Date (yyyy-MM-dd'T'HH:mm:ssZZ)",
}
KINDS = (Kind.STRING, Kind.INTEGER, Kind.DECIMAL, Kind.BOOLEAN, Kind.DATE, Kind.DATETIME)
# MetaData does not tell of it, so the file adds it.
NEW = "Only in the file"

TEXTS = [USUAL[kind] | ODD for kind in (*KINDS, Kind.STRING)]
ROWS = st.lists(st.tuples(*TEXTS).map(list), min_size=1, max_size=12)
USUAL_ROW = ["a, b", "7", "0.000000000000000001", "true", "2026-09-30", "2026-09-30T23:59:59Z", ""]
LONG = [[*USUAL_ROW[:-1], str(n)] for n in range(1_000)]


def by_the_sdk(config: Mapping[str, Any], clock: FakeClock, **options: Any) -> Run:
    """Sync with each record yielded, and written as the SDK does where no stream is its own."""
    with (
        mock.patch.object(TableStream, "is_mapped", new=True),
        mock.patch.object(RecordLines, "encode", side_effect=AssertionError("a block")),
        mock.patch.object(ReportStream, "write_record", Stream._write_record_message),
        mock.patch.object(TableStream, "TYPE_CONFORMANCE_LEVEL", TypeConformanceLevel.RECURSIVE),
    ):
        return sync(config, clock, **options).ok()


def told(run: Run) -> list[dict[str, Any]]:
    """Return the stream's messages, without the moments at which they were made."""
    found = [m for m in run.messages if m.get("stream") == "sales"]
    assert all(m.pop("time_extracted") for m in found if m["type"] == "RECORD")
    assert len({m.pop("version") for m in found if m["type"] != "SCHEMA"}) == 1
    return found


@pytest.mark.property
@settings(max_examples=examples(40), suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(rows=[USUAL_ROW], deselected="Payout", singer_decimal=False)
@example(rows=[USUAL_ROW], deselected="Payout", singer_decimal=True)
@example(rows=LONG, deselected=None, singer_decimal=False)
@example(rows=LONG, deselected=None, singer_decimal=True)
@given(
    rows=ROWS,
    deselected=st.none() | st.sampled_from([*TYPES, NEW]),
    singer_decimal=st.booleans(),
)
def test_both_paths_say_the_same(
    sandbox: Sandbox,
    clock: FakeClock,
    singer_decimal: bool,
    rows: list[list[str]],
    deselected: str | None,
) -> None:
    sandbox.impact.jobs.clear()
    sandbox.impact.exports_per_day = 10_000
    attributes = [Attribute(name, kind) for name, kind in TYPES.items()]
    sandbox.impact.add(
        Report("sales", "sales", attributes, header=[*TYPES, NEW], rows=lambda *_: rows)
    )
    config = config_for(
        sandbox, reports=["sales"], END_DATE="2026-09-30", USE_SINGER_DECIMAL=singer_decimal
    )
    catalog = discover(config, clock)
    (entry,) = [stream for stream in catalog["streams"] if stream["stream"] == "sales"]
    for item in entry["metadata"]:
        if item["breadcrumb"][-1:] == [deselected]:
            item["metadata"]["selected"] = False
    blocks = sync(config, clock, catalog=catalog).ok()
    one_by_one = by_the_sdk(config, clock, catalog=catalog)
    assert len(blocks.records("sales")) == len(rows)
    assert told(blocks) == told(one_by_one)
    names = {name for record in blocks.records("sales") for name in record}
    assert (deselected in names) == (deselected == NEW)
