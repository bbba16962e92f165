"""The command --preview: a report's columns and a few of its rows, without an export."""

from __future__ import annotations

import json
import subprocess
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from forks import run_command
from harness import FakeClock, config_for
from hienergy_instal import CSV, HEADER, KEYS, REPORT, add, put_all
from networks import START
from opened_tap import opened

from tap_affiliate_reports.commands import preview
from tap_affiliate_reports.errors import Forbidden, NotFound, Rejected, SettingsError, Unauthorized
from tap_affiliate_reports.sandbox import Attribute, Report, Sandbox, status

if TYPE_CHECKING:
    from pathlib import Path

LISTING = "mp_action_listing_fast"
# Half past four in the morning of the 19th in New York, so that the 18th is not over for 6 hours.
EARLY = {"hours": -5, "minutes": -30}

COLUMNS = [
    Attribute("Action_Id", "String", "Identifier of the action"),
    Attribute("Payout", "Decimal", "Commission"),
    Attribute("Items", "Integer"),
    Attribute("Sold", "Date (yyyy-MM-dd'T'HH:mm:ssZZ)"),
]
ROW = ["007", "0.100000000000000001", "2", "2026-11-18T23:30:00-05:00"]


def preview_of(config: dict[str, Any], clock: FakeClock, report: str) -> dict[str, Any]:
    """Return the document as a reader of its JSON has it."""
    with opened(config, clock, setup_mapper=False) as tap:
        return json.loads(json.dumps(preview.document(tap, report)))


def runs(sandbox: Sandbox) -> list[dict[str, list[str]]]:
    """Return the queries of the synchronous endpoint."""
    assert not sandbox.impact.exports
    return [
        request.query
        for request in sandbox.requests
        if request.segments[2:3] == ["Reports"] and len(request.segments) == 4
    ]


def test_it_shows_columns_and_exact_typed_rows_of_the_last_finished_day(
    sandbox: Sandbox, clock: FakeClock
) -> None:
    sandbox.impact.add(Report("orders", columns=COLUMNS, rows=lambda *_: [ROW] * 7))
    clock.advance(**EARLY)
    options = {"orders": {"filters": {"SUPERSTATUS_MS": ["PENDING", "REVERSED"]}}}
    config = config_for(sandbox, reports=["orders"], report_options=options)
    document = preview_of(config, clock, "orders")
    assert (document["report"], document["day"]) == ("orders", "2026-11-17")
    assert document["columns"] == [
        {"name": "Action_Id", "type": "string", "description": "Identifier of the action"},
        {"name": "Payout", "type": "decimal", "description": "Commission"},
        {"name": "Items", "type": "integer", "description": ""},
        {"name": "Sold", "type": "date-time", "description": ""},
    ]
    row = {
        "Action_Id": "007",
        "Payout": "0.100000000000000001",
        "Items": 2,
        "Sold": "2026-11-19T04:30:00Z",
    }
    assert document["rows"] == [row] * 5
    assert runs(sandbox) == [
        {
            "SUPERSTATUS_MS": ["PENDING", "REVERSED"],
            "START_DATE": ["2026-11-17"],
            "END_DATE": ["2026-11-17"],
        }
    ]


def test_only_the_first_page_is_read_and_only_this_reports_metadata(
    sandbox: Sandbox, clock: FakeClock
) -> None:
    sandbox.impact.run_page_size = 2
    document = preview_of(config_for(sandbox, reports=["*"]), clock, LISTING)
    assert len(document["rows"]) == 2
    assert len(runs(sandbox)) == 1
    assert len([r for r in sandbox.requests if r.path.endswith("/MetaData")]) == 1


def test_a_report_without_dates_is_requested_without_dates(
    sandbox: Sandbox, clock: FakeClock
) -> None:
    document = preview_of(config_for(sandbox), clock, "tracking_value_list")
    assert document["day"] is None
    assert len(document["rows"]) == 5
    assert runs(sandbox) == [{}]


def test_a_numeric_report_is_found_by_its_stream_too(sandbox: Sandbox, clock: FakeClock) -> None:
    document = preview_of(config_for(sandbox), clock, "report_12172")
    assert document == preview_of(config_for(sandbox), clock, "12172")


def test_what_does_not_fit_is_shown_as_it_is_loaded(sandbox: Sandbox, clock: FakeClock) -> None:
    row = ["1", "free", "2", "", "x"]
    header = [*(column.name for column in COLUMNS), "Extra"]
    sandbox.impact.add(Report("orders", columns=COLUMNS, header=header, rows=lambda *_: [row]))
    document = preview_of(config_for(sandbox), clock, "orders")
    assert document["columns"][-1] == {"name": "Extra", "type": "string", "description": ""}
    assert document["rows"] == [
        {
            "Action_Id": "1",
            "Payout": None,
            "Items": 2,
            "Sold": None,
            "Extra": "x",
            "_unparsed": '{"Payout":"free"}',
        }
    ]


def test_a_day_without_rows_has_columns_all_the_same(sandbox: Sandbox, clock: FakeClock) -> None:
    document = preview_of(config_for(sandbox), clock, "partner_funds_transfer_listing")
    assert document["rows"] == []
    assert document["columns"]


def test_a_misspelt_report_is_an_error_that_names_similar_ones(
    sandbox: Sandbox, clock: FakeClock
) -> None:
    with pytest.raises(SettingsError, match=f"'mp_action_listing_fats'; similar ids: {LISTING}"):
        preview_of(config_for(sandbox), clock, "mp_action_listing_fats")


@pytest.mark.parametrize(("refusal", "error"), [(403, Forbidden), (404, NotFound)])
def test_a_refused_endpoint_is_one_line_with_what_to_do(
    sandbox: Sandbox, clock: FakeClock, refusal: int, error: type[Exception]
) -> None:
    sandbox.faults.add(f"GET [^?]*/Reports/{LISTING}\\?", status(refusal))
    with pytest.raises(error, match="give the token this scope, or load a few days") as raised:
        preview_of(config_for(sandbox), clock, LISTING)
    assert "\n" not in str(raised.value)
    assert LISTING in str(raised.value)


def test_a_kind_of_hienergy_shows_its_newest_file(sandbox: Sandbox, clock: FakeClock) -> None:
    sandbox.hienergy.clear()
    for days, label in ((9, "old"), (2, "new")):
        add(sandbox, CSV, label, 7, completed_at=clock.now() - timedelta(days=days))
    config = all_networks(sandbox)
    document = preview_of(config, clock, CSV)
    assert document["day"] == (clock.now() - timedelta(days=2)).date().isoformat()
    assert [column["name"] for column in document["columns"]] == list(HEADER)
    assert [row["Id"] for row in document["rows"]] == [f"new-{n}" for n in range(1, 6)]
    assert not [request for request in sandbox.requests if request.method == "POST"]


def test_a_network_that_refuses_the_credentials_does_not_stop_another(
    sandbox: Sandbox, clock: FakeClock
) -> None:
    config = all_networks(sandbox)
    config["impact"]["auth_token"] = "wrong"
    assert preview_of(config, clock, CSV)["rows"]
    with pytest.raises(Rejected, match="would need an export"):
        preview_of(config, clock, REPORT)
    with pytest.raises(Unauthorized):
        preview_of(config, clock, LISTING)


def test_a_kind_without_a_file_is_an_error(sandbox: Sandbox, clock: FakeClock) -> None:
    sandbox.hienergy.clear()
    with pytest.raises(Rejected, match=f"^{CSV}: there is no finished export yet"):
        preview_of(all_networks(sandbox), clock, CSV)


def test_instal_has_no_preview_because_it_would_need_an_export(
    sandbox: Sandbox, clock: FakeClock
) -> None:
    put_all(sandbox, START, 30)
    with pytest.raises(Rejected, match=f"^{REPORT}: a preview would need an export, because inst"):
        preview_of(all_networks(sandbox), clock, REPORT)
    assert not [request for request in sandbox.requests if request.method == "POST"]


def all_networks(sandbox: Sandbox) -> dict[str, Any]:
    """Return a configuration of all three networks."""
    own = {name: {**keys, "api_url": sandbox.base_url(name)} for name, keys in KEYS.items()}
    return {**config_for(sandbox), **own}


# The command line


@pytest.mark.kill
def test_the_command_prints_tables_or_json(sandbox: Sandbox, tmp_path: Path) -> None:
    description = "\x1b[31mred\x1b[0m [bold]not markup[/bold]"
    columns = [*COLUMNS, Attribute("Note", "String", description)]
    row = [*ROW, "Café " * 20]
    sandbox.impact.add(Report("orders", columns=columns, rows=lambda *_: [row]))
    file = tmp_path / "config.json"
    file.write_text(json.dumps(config_for(sandbox)))

    def run(*options: str) -> subprocess.CompletedProcess[str]:
        return run_command(["--config", str(file), *options], tmp_path)

    shown = run("--preview", "orders")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "\x1b" not in shown.stdout
    assert "[bold]not markup[/bold]" in shown.stdout
    for text in ("Identifier of the action", "orders, 20", "0.100000000000000001"):
        assert text in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) <= 100
    document = json.loads(run("--preview=orders", "--json").stdout)
    assert document["ok"]
    assert document["rows"][0]["Note"] == "Café " * 20
    refused = run("--preview", "order")
    assert refused.returncode == 1
    assert "similar ids: orders" in " ".join(refused.stdout.split())
