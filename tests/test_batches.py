"""BATCH files have the same records as RECORD messages, also when a real target loads them."""

from __future__ import annotations

import gzip
import importlib.util
import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from batch_files import VERSION, batched, content, each_encoding
from databases import Postgres
from harness import FakeClock, Run, config_for, discover, sync
from meltano_project import Meltano
from singer_sdk.helpers._batch import StorageTarget
from test_chain import POSTGRES as IN_POSTGRES
from test_chain import REPORTS, TABLES, Days, environment, expected, loaded

from tap_affiliate_reports.batches import (
    CANT_WRITE_TO,
)
from tap_affiliate_reports.configuration import check, config_schema
from tap_affiliate_reports.errors import SettingsError
from tap_affiliate_reports.formats import BLOCK_ROWS
from tap_affiliate_reports.sandbox import Sandbox
from tap_affiliate_reports.settings.rules import ARROW_NEEDS_PYARROW
from tap_affiliate_reports.streams.table import NO_BATCH_FILES

pytestmark = pytest.mark.chain

LISTING = "mp_action_listing_fast"
# A report with values that do not fit their types.
ODD = "mp_account_audit_log"


def batches(run: Run, stream: str) -> list[dict[str, Any]]:
    return [m for m in run.messages if m["type"] == "BATCH" and m["stream"] == stream]


def without_version(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in r.items() if key != VERSION} for r in records]


@each_encoding
def test_the_files_hold_the_records_and_the_state_is_the_same(
    sandbox: Sandbox, clock: FakeClock, tmp_path: Path, encoding: Mapping[str, str]
) -> None:
    config = config_for(sandbox, reports=[LISTING, "12172", ODD])
    plain = sync(config, clock).ok()
    run = sync(batched(config, tmp_path, encoding=encoding), clock).ok()
    for stream in (LISTING, "report_12172", ODD):
        files = batches(run, stream)
        assert run.records(stream) == []
        records = [record for batch in files for record in content(batch)]
        assert without_version(records) == plain.records(stream)
        version = run.state["bookmarks"][stream]["version"]
        assert {batch["version"] for batch in files} == {version}
        assert {record[VERSION] for record in records} == {version}
    assert any(isinstance(record["_unparsed"], str) for record in records)
    assert run.records("jobs") != []
    windows, expected_windows = run.windows(LISTING), plain.windows(LISTING)
    if encoding["format"] == "arrow":
        # Fewer values fit, so that the rows are sent again after a change of the format.
        for slot in windows:
            assert windows[slot].pop("content") != expected_windows[slot].pop("content") != ""
    assert windows == expected_windows
    # The STATE with a window is between the file of this window and that of the next one.
    kinds = [m["type"] for m in run.messages if m["type"] in {"BATCH", "STATE"}]
    assert "BATCHBATCH" not in "".join(kinds)
    assert len(kinds) > 2 * len(windows)


@each_encoding
def test_a_file_has_no_more_records_than_the_batch_size_and_one_block(
    sandbox: Sandbox, clock: FakeClock, tmp_path: Path, encoding: Mapping[str, str]
) -> None:
    config = config_for(sandbox, reports=[LISTING])
    run = sync(batched(config, tmp_path, batch_size=300, encoding=encoding), clock).ok()
    sizes = [len(content(batch)) for batch in batches(run, LISTING)]
    assert len(sizes) > 3
    # Arrow's blocks are larger, so they are cut.
    assert max(sizes) <= (300 if encoding["format"] == "arrow" else 300 + BLOCK_ROWS)
    assert sum(sizes) == len(sync(config, clock).ok().records(LISTING))
    assert all(path.name.startswith("night-tap-affiliate-reports--") for path in tmp_path.iterdir())


@each_encoding
def test_what_is_not_selected_is_in_no_file(
    sandbox: Sandbox, clock: FakeClock, tmp_path: Path, encoding: Mapping[str, str]
) -> None:
    config = batched(config_for(sandbox, reports=[LISTING]), tmp_path, encoding=encoding)
    catalog = discover(config, clock)
    (entry,) = [e for e in catalog["streams"] if e["stream"] == LISTING]
    for item in entry["metadata"]:
        if item["breadcrumb"][-1:] in (["Payout"], ["_account"]):
            item["metadata"]["selected"] = False
    run = sync(config, clock, catalog=catalog).ok()
    (record, *_) = content(batches(run, LISTING)[0])
    assert "Payout" not in record
    assert record["_account"] == "IRsandbox"
    assert "Status" in record


def test_where_a_stream_map_must_see_each_record_they_go_one_by_one(
    sandbox: Sandbox, clock: FakeClock, tmp_path: Path
) -> None:
    maps = {LISTING: {"Status": "Status.lower()"}}
    config = batched(config_for(sandbox, reports=[LISTING], STREAM_MAPS=maps), tmp_path)
    run = sync(config, clock).ok()
    assert batches(run, LISTING) == []
    assert run.said(NO_BATCH_FILES % LISTING)
    assert {r["Status"] for r in run.records(LISTING)} <= {"approved", "pending", "reversed"}


@each_encoding
def test_finished_files_are_batched_too(
    sandbox: Sandbox, clock: FakeClock, tmp_path: Path, encoding: Mapping[str, str]
) -> None:
    own = {"api_key": "sandbox-key", "api_url": sandbox.base_url("hienergy")}
    config = {"start_date": "2026-09-10", "hienergy": own}
    plain = sync(config, clock).ok()
    run = sync(batched(config, tmp_path, encoding=encoding), clock).ok()
    for kind in ("advertisers_csv", "deals_excel"):
        records = [record for batch in batches(run, kind) for record in content(batch)]
        assert without_version(records) == plain.records(kind) != []


@pytest.mark.parametrize("root", ["{}/file/x", "file://{}/file", "s3://bucket/x", "gs://bucket"])
def test_a_root_that_can_not_be_written_is_a_clear_error_before_any_export(
    sandbox: Sandbox, clock: FakeClock, tmp_path: Path, root: str
) -> None:
    (tmp_path / "file").write_text("in the way")
    config = batched(config_for(sandbox, reports=[LISTING]), tmp_path)
    config["batch_config"]["storage"]["root"] = root.format(tmp_path)
    run = sync(config, clock)
    assert isinstance(run.error, SettingsError)
    assert CANT_WRITE_TO in str(run.error)
    assert ("extra s3" in str(run.error)) == root.startswith("s3")
    assert sandbox.impact.exports == []


def test_the_folder_of_a_prefix_is_made(sandbox: Sandbox, clock: FakeClock, tmp_path: Path) -> None:
    config = batched(config_for(sandbox, reports=[LISTING]), tmp_path)
    config["batch_config"]["storage"]["prefix"] = "sub/dir/night-"
    found = batches(sync(config, clock).ok(), LISTING)
    assert len(list((tmp_path / "sub" / "dir").iterdir())) == len(found) > 0


@pytest.mark.parametrize("name", ["with space", "größe", "plain", "per%20cent"])
@pytest.mark.parametrize("form", ["{}", "file://{}"])
def test_a_folder_of_any_name_is_announced_as_the_framework_s_loaders_read_it(
    sandbox: Sandbox, clock: FakeClock, tmp_path: Path, name: str, form: str
) -> None:
    config = batched(config_for(sandbox, reports=[LISTING], END_DATE="2026-09-30"), tmp_path)
    config["batch_config"]["storage"]["root"] = form.format(tmp_path / name)
    found = batches(sync(config, clock).ok(), LISTING)
    urls = [url for batch in found for url in batch["manifest"]]
    assert urls
    for url in urls:
        head, tail = StorageTarget.split_url(url)
        with StorageTarget.from_url(head).open(tail, "rb") as file, gzip.open(file) as lines:
            assert json.loads(next(iter(lines)))["_account"] == "IRsandbox"


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ({"encoding": {"format": "parquet"}, "storage": {"root": "/x"}}, "format: 'parquet'"),
        (
            {"encoding": {"format": "arrow", "compression": "gzip"}, "storage": {"root": "/x"}},
            "batch_config.encoding.compression: 'gzip' is not none with arrow",
        ),
        ({"encoding": {"format": ["arrow"]}, "storage": {"root": "/x"}}, "['arrow'] is not one of"),
        ({"encoding": {"format": "jsonl"}, "storage": {}}, "storage.root: is required"),
        ({"encoding": {"format": "jsonl"}}, "storage.root: is required"),
        ("file:///x", "batch_config: needs the objects"),
        ({"encoding": 7, "storage": {"root": "x"}}, "batch_config: needs the objects"),
        (
            {"storage": {"root": "file://tmp/x"}},
            "batch_config.storage.root: 'file://tmp/x' is neit",
        ),
        ({"storage": {"root": ["x"]}}, "batch_config.storage.root: ['x'] is neither"),
        ({"storage": {"root": "x"}, "wait": 1}, "batch_config.wait: is not a setting"),
        ({"storage": {"root": "x", "rot": "y"}}, "batch_config.storage.rot: is not a setting"),
        ({"storage": {"root": "x"}, "encoding": {"x": 1}}, "batch_config.encoding.x: is not"),
        ({"storage": {"root": "x", "params": None}}, "batch_config.storage.params: is not an"),
        ({"storage": {"root": "x"}, "batch_size": "500"}, "batch_config.batch_size: '500' is not"),
        ({"storage": {"root": "x"}, "batch_size": 0}, "batch_config.batch_size: 0 is refused"),
        ({"storage": {"root": "x"}, "batch_size": True}, "batch_config.batch_size: True is not"),
    ],
)
def test_an_invalid_setting_is_refused_by_name(batch: Any, message: str) -> None:
    config = {"start_date": "2026-01-01", "instal": {"auth_token": "x"}, "batch_config": batch}
    errors, _ = check(config, config_schema())
    assert len([error for error in errors if message in error]) == 1


def test_arrow_without_pyarrow_is_an_error_that_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = batched({"start_date": "2026-01-01", "instal": {"auth_token": "x"}}, tmp_path)
    config["batch_config"]["encoding"] = {"format": "arrow"}
    assert check(config, config_schema())[0] == []
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    (error,) = check(config, config_schema())[0]
    assert ARROW_NEEDS_PYARROW in error


@pytest.mark.slow
def test_batches_land_in_postgres_and_a_full_refresh_retires_only_what_is_gone(
    meltano: Meltano, postgres_server: Postgres, tmp_path: Path
) -> None:
    days = Days()
    with Sandbox(now=days.now, job_seconds=0.1, rows_per_day=12) as sandbox:
        variables = environment("TAP_AFFILIATE_REPORTS_", sandbox) | {
            "TARGET_POSTGRES_SQLALCHEMY_URL": postgres_server.sqlalchemy_url,
            "TARGET_POSTGRES_DEFAULT_TARGET_SCHEMA": "batches",
            "TAP_AFFILIATE_REPORTS_BATCH_CONFIG": json.dumps(
                {
                    "encoding": {"format": "jsonl", "compression": "gzip"},
                    "storage": {"root": tmp_path.as_uri()},
                }
            ),
        }
        run = ("run", "--no-install", "--state-id-suffix", "batches")
        steps = ("tap-affiliate-reports", "target-postgres")
        for options in ((), (), ("--full-refresh",)):
            before = len(list(tmp_path.iterdir()))
            meltano(*run, *options, *steps, **variables)
            assert len(list(tmp_path.iterdir())) > before
            for report in REPORTS:
                table = postgres_server.rows(TABLES[report], "batches")
                live = [row for row in table if row["_sdc_deleted_at"] is None]
                assert loaded(live, report, sandbox) == expected(sandbox, report, IN_POSTGRES, "")
            days.ahead += timedelta(days=1)
