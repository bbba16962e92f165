"""The command line: what it prints where, its exit status, and what it never says."""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import sys
from datetime import date, timedelta
from importlib.metadata import entry_points, version
from typing import TYPE_CHECKING, Any

import pytest

from tap_affiliate_reports.sandbox import Attribute, Report, Sandbox, status

pytestmark = pytest.mark.kill

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOKEN = "t0ken+of/this=account"
SID = "IRofThisAccount"
BY_DAY = "partner_performance_by_day"
TAP = ("-m", "tap_affiliate_reports")
# The same, but for the pauses before a request is tried again.
IMPATIENT = (
    "-c",
    """if True:
    from importlib import import_module
    import_module("tap_affiliate_reports.http.backoff").BACKOFF_BASE = 0
    from tap_affiliate_reports.command_line import main; main()
    """,
)
MESSAGES = {"SCHEMA", "RECORD", "STATE", "ACTIVATE_VERSION"}
SOME_DAYS_AGO = (date.today() - timedelta(days=20)).isoformat()


@pytest.fixture(scope="module")
def served() -> Iterator[Sandbox]:
    """A sandbox on the machine's clock, for taps in processes of their own."""
    with Sandbox(account_sid=SID, auth_token=TOKEN, job_seconds=0.02) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(served: Sandbox) -> Iterator[Sandbox]:
    """The sandbox, without faults."""
    yield served
    served.faults.clear()
    served.impact.forbidden.clear()


def config_for(sandbox: Sandbox, **impact: Any) -> dict[str, Any]:
    own = {
        "account_sid": SID,
        "auth_token": TOKEN,
        "api_url": sandbox.url,
        "reports": [BY_DAY],
        "poll_interval_seconds": 0.02,
        **impact,
    }
    return {"start_date": SOME_DAYS_AGO, "impact": own}


def environment(**more: str) -> dict[str, str]:
    """Return the environment, without settings of a developer's own."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("TAP_", "LOGLEVEL"))}
    return kept | more


class Tap:
    """Runs the tap in a process of its own, its configuration in a file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def file(self, name: str, content: Any) -> str:
        text = content if isinstance(content, str) else json.dumps(content)
        path = self.folder / name
        path.write_text(text, errors="surrogateescape")
        return str(path)

    def arguments(self, config: Any, *arguments: str, how: tuple[str, ...] = TAP) -> list[str]:
        given = () if config is None else ("--config", self.file("config.json", config))
        return [sys.executable, *how, *given, *arguments]

    def run(
        self, config: Any, *arguments: str, how: tuple[str, ...] = TAP, **env: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.arguments(config, *arguments, how=how),
            capture_output=True,
            text=True,
            timeout=60,
            env=environment(**env),
            check=False,
        )


@pytest.fixture
def tap(tmp_path: Path) -> Tap:
    """The tap's command."""
    return Tap(tmp_path)


def ok(done: subprocess.CompletedProcess[str]) -> str:
    """Return what a run printed, having checked that it ended well."""
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def messages(text: str) -> list[dict[str, Any]]:
    """Return the Singer messages of an output, which has nothing else."""
    found = [json.loads(line) for line in text.splitlines()]
    assert {message["type"] for message in found} <= MESSAGES
    return found


def refused(done: subprocess.CompletedProcess[str]) -> list[str]:
    """Return the ERROR lines of a run that ended with an expected error."""
    assert done.returncode not in {0, -11, -6}, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    messages(done.stdout)
    lines = [
        line for line in done.stderr.splitlines() if "| ERROR" in line or line.startswith("Error: ")
    ]
    assert lines, done.stderr
    return lines


def test_the_version_is_told(tap: Tap) -> None:
    assert version("tap-affiliate-reports") in ok(tap.run(None, "--version"))


def test_the_package_has_a_command_of_its_name() -> None:
    (command,) = entry_points(group="console_scripts", name="tap-affiliate-reports")
    assert command.value == "tap_affiliate_reports.command_line:main"


def test_about_tells_every_setting_and_marks_secrets(tap: Tap) -> None:
    about = json.loads(ok(tap.run(None, "--about", "--format=json")))
    settings = about["settings"]["properties"]
    assert {
        "start_date", "end_date", "user_agent", "use_singer_decimal", "on_quota", "impact",
    } <= settings.keys()  # fmt: skip
    impact = settings["impact"]["properties"]
    assert impact.keys() == {
        "account_sid", "auth_token", "api_url", "api_version", "timezone", "reports",
        "program_ids", "window", "lookback_days", "result_max_age_hours", "max_exports", "clicks",
        "max_click_exports", "max_concurrent_jobs", "poll_interval_seconds", "job_timeout_seconds",
        "max_wait_seconds", "report_options",
    }  # fmt: skip
    assert impact["auth_token"]["secret"] is True
    assert not [n for n, one in impact.items() if one.get("secret") and n != "auth_token"]
    assert all(one.get("description") for one in [*settings.values(), *impact.values()])
    assert {"catalog", "state", "discover", "about", "stream-maps"} <= set(about["capabilities"])


def test_discovery_prints_a_catalog_and_nothing_else(tap: Tap, sandbox: Sandbox) -> None:
    catalog = json.loads(ok(tap.run(config_for(sandbox), "--discover")))
    assert {BY_DAY, "jobs"} <= {stream["tap_stream_id"] for stream in catalog["streams"]}


def test_a_sync_prints_singer_messages_and_nothing_else(tap: Tap, sandbox: Sandbox) -> None:
    done = tap.run(config_for(sandbox))
    found = messages(ok(done))
    assert {message["type"] for message in found} == MESSAGES
    assert [m for m in found if m["type"] == "RECORD" and m["stream"] == BY_DAY]
    assert "plan of" in done.stderr
    assert "requested" in done.stderr
    assert "loaded" in done.stderr


def test_a_sync_goes_on_from_the_state_of_the_last_one(tap: Tap, sandbox: Sandbox) -> None:
    config = config_for(sandbox)
    state = [m for m in messages(ok(tap.run(config))) if m["type"] == "STATE"][-1]["value"]
    before = len(sandbox.impact.exports)
    again = messages(ok(tap.run(config, "--state", tap.file("state.json", state))))
    assert not [m for m in again if m["type"] == "RECORD" and m["stream"] == BY_DAY]
    assert len(sandbox.impact.exports) == before


def test_a_sync_goes_on_from_a_state_in_the_form_that_is_at_hand(
    tap: Tap, sandbox: Sandbox
) -> None:
    config = config_for(sandbox)
    printed = ok(tap.run(config))
    lines = [line for line in printed.splitlines() if json.loads(line)["type"] == "STATE"]
    state = json.loads(lines[-1])["value"]
    stored = {"completed": {"singer_state": state}, "partial": {}}
    before = len(sandbox.impact.exports)
    for text in (
        lines[-1],
        "\n".join(lines) + "\n",
        json.dumps({"singer_state": state}, indent=2),
        json.dumps(stored),
    ):
        again = messages(ok(tap.run(config, "--state", tap.file("state.json", text))))
        assert not [m for m in again if m["type"] == "RECORD" and m["stream"] == BY_DAY]
        assert not [m for m in again if m["type"] == "ACTIVATE_VERSION" and m["stream"] == BY_DAY]
    assert len(sandbox.impact.exports) == before


def test_an_empty_state_is_a_warning(tap: Tap, sandbox: Sandbox) -> None:
    """`meltano state get` prints one for a state ID that does not exist."""
    done = tap.run(config_for(sandbox), "--state", tap.file("state.json", {}))
    ok(done)
    assert "the state is empty" in done.stderr


def test_everything_can_come_from_the_environment(tap: Tap, sandbox: Sandbox) -> None:
    impact = config_for(sandbox)["impact"]
    nested = {f"TAP_AFFILIATE_REPORTS_IMPACT_{key.upper()}": value for key, value in impact.items()}
    env = {k: v if isinstance(v, str) else json.dumps(v) for k, v in nested.items()}
    env["TAP_AFFILIATE_REPORTS_START_DATE"] = SOME_DAYS_AGO
    found = messages(ok(tap.run(None, "--config=ENV", **env)))
    assert [m for m in found if m["type"] == "RECORD" and m["stream"] == BY_DAY]


def test_a_file_and_the_environment_are_merged(tap: Tap, sandbox: Sandbox) -> None:
    config = config_for(sandbox)
    del config["impact"]["auth_token"]
    token = {"TAP_AFFILIATE_REPORTS_IMPACT_AUTH_TOKEN": TOKEN}
    assert json.loads(ok(tap.run(config, "--config=ENV", "--discover", **token)))["streams"]


@pytest.mark.parametrize("reports", [[BY_DAY], None])
def test_a_connection_test_never_schedules_an_export(
    reports: list[str] | None, tap: Tap, sandbox: Sandbox
) -> None:
    sandbox.requests.clear()
    ok(tap.run(config_for(sandbox, reports=reports), "--test"))
    assert sandbox.requests, "it asks the service"
    assert not [r for r in sandbox.requests if "ReportExport" in r.path or r.method != "GET"]
    assert not [r for r in sandbox.requests if r.path.endswith(f"/Reports/{BY_DAY}")]
    assert [r for r in sandbox.requests if r.path.endswith(f"{BY_DAY}/MetaData")]


def test_a_connection_test_with_bad_credentials_is_one_line(tap: Tap, sandbox: Sandbox) -> None:
    (line,) = refused(tap.run(config_for(sandbox, auth_token="wrong"), "--test"))
    assert "401" in line
    assert "wrong" not in line


def test_the_embedded_sandbox_warns_on_every_run_that_its_data_is_invented(
    tap: Tap, sandbox: Sandbox
) -> None:
    for argument in ("--discover", "--test"):
        done = tap.run(config_for(sandbox, api_url="sandbox"), argument)
        ok(done)
        warnings = [line for line in done.stderr.splitlines() if "WARNING" in line]
        assert [line for line in warnings if "invented" in line]


def test_the_embedded_sandbox_can_be_synced(tap: Tap, sandbox: Sandbox) -> None:
    done = tap.run(config_for(sandbox, api_url="sandbox"))
    found = messages(ok(done))
    assert [m for m in found if m["type"] == "RECORD" and m["stream"] == BY_DAY]
    assert "invented" in done.stderr


# Expected errors


def test_bad_credentials_are_one_line(tap: Tap, sandbox: Sandbox) -> None:
    (line,) = refused(tap.run(config_for(sandbox, auth_token="wrong")))
    assert "401" in line


@pytest.mark.parametrize(("word", "code"), [("scope", 403), ("", 404)])
def test_a_list_that_can_not_be_had_is_one_line(
    word: str, code: int, tap: Tap, sandbox: Sandbox
) -> None:
    sandbox.faults.add("GET .*/Reports$", status(code), times=None)
    (line,) = refused(tap.run(config_for(sandbox)))
    assert str(code) in line
    assert word in line


def test_a_stream_that_may_not_be_read_does_not_stop_the_others(tap: Tap, sandbox: Sandbox) -> None:
    sandbox.impact.forbidden = {"JobList"}
    done = tap.run(config_for(sandbox))
    line = refused(done)[-1]
    assert "jobs" in line
    assert "403" in line
    streams = {m["stream"] for m in messages(done.stdout) if m["type"] == "RECORD"}
    assert {BY_DAY, "reports", "report_metadata"} <= streams


def test_a_refused_connection_is_one_line(tap: Tap, sandbox: Sandbox) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    config = config_for(sandbox, api_url=f"http://127.0.0.1:{port}")
    (line,) = refused(tap.run(config, how=IMPATIENT))
    assert "ConnectionError" in line or "connect" in line


def test_a_service_that_is_down_is_one_line(tap: Tap, sandbox: Sandbox) -> None:
    page = b"<html><body><h1>Bad\nGateway</h1></body></html>"
    sandbox.faults.add("Reports", status(502, body=page, content_type="text/html"), times=None)
    (line,) = refused(tap.run(config_for(sandbox), how=IMPATIENT))
    assert "502: Bad Gateway" in line


def test_wrong_settings_are_named(tap: Tap, sandbox: Sandbox) -> None:
    lines = refused(tap.run(config_for(sandbox, window="fortnight", lookback_days=-1)))
    assert sum("impact.window" in line for line in lines) == 1
    assert sum("impact.lookback_days" in line for line in lines) == 1


def test_reports_that_do_not_exist_are_named(tap: Tap, sandbox: Sandbox) -> None:
    (line,) = refused(tap.run(config_for(sandbox, reports=["partner_performance_by_dya"])))
    assert BY_DAY in line


def test_an_account_of_many_reports_is_not_exported_by_accident(tap: Tap, sandbox: Sandbox) -> None:
    (line,) = refused(tap.run(config_for(sandbox, reports=None)))
    assert "impact.reports" in line
    assert BY_DAY in line


BOOKMARK = {"replication_key": "_window_end", "replication_key_value": "soon"}
STATES = {
    "no JSON": "{",
    "no text": "\udcff\udcfe{",
    "empty": "",
    "no state in the wrapper": {"singer_state": None},
    "no state in the message": {"type": "STATE", "value": None},
    "no bookmarks, no wrapper": {"currently_syncing": None},
    "null": "null",
    "cut short": '{"bookmarks": {}}\n{"bookmarks": {"jo',
    "too deep": "[" * 100_000,
    "no object": [5],
    "no bookmarks": {"bookmarks": []},
    "no stream": {"bookmarks": {BY_DAY: 5}},
    "no date": {"bookmarks": {BY_DAY: BOOKMARK}},
    "no types": {"bookmarks": {BY_DAY: {"columns": {"Clicks": "blob"}}}},
    "no moment": {"bookmarks": {"jobs": {**BOOKMARK, "replication_key": "CreatedDate"}}},
}


@pytest.mark.parametrize("state", STATES)
def test_a_bad_state_is_an_error_without_a_traceback(
    state: str, tap: Tap, sandbox: Sandbox
) -> None:
    before = len(sandbox.impact.exports)
    (line,) = refused(
        tap.run(config_for(sandbox), "--state", tap.file("state.json", STATES[state]))
    )
    assert "state" in line
    assert len(sandbox.impact.exports) == before


@pytest.mark.parametrize("content", ["{", '{"streams": 5}'])
def test_a_bad_catalog_is_an_error_without_a_traceback(
    content: str, tap: Tap, sandbox: Sandbox
) -> None:
    refused(tap.run(config_for(sandbox), "--catalog", tap.file("catalog.json", content)))


def test_a_bad_configuration_file_is_an_error_without_a_traceback(tap: Tap) -> None:
    refused(tap.run("{"))


def test_a_loader_that_went_away_is_an_error_without_a_traceback(
    tap: Tap, sandbox: Sandbox
) -> None:
    rows = [["x" * 1000]] * 5000
    sandbox.impact.add(Report("wide", columns=[Attribute("Text")], rows=lambda *_: rows))
    process = subprocess.Popen(
        tap.arguments(config_for(sandbox, reports=["wide"])),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    with process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        told = process.stderr.read().decode()
        code = process.wait(timeout=60)
    sandbox.impact.remove("wide")
    assert code != 0
    assert "Traceback" not in told
    assert "BrokenPipeError" not in told
    assert [line for line in told.splitlines() if "| ERROR" in line and "loader" in line]


# Secrets


def is_silent(text: str) -> None:
    """Check that no secret, and nothing that would do as one, is in a text."""
    basic = base64.b64encode(f"{SID}:{TOKEN}".encode()).decode()
    for secret in (TOKEN, basic, "X-Signature", "Authorization", f"Mediapartners/{SID}"):
        assert secret not in text


def test_no_log_level_tells_a_secret(tap: Tap, sandbox: Sandbox) -> None:
    sandbox.requests.clear()
    done = tap.run(config_for(sandbox), LOGLEVEL="DEBUG")
    ok(done)
    assert [request for request in sandbox.requests if request.origin == "storage"]
    assert "DEBUG" in done.stderr
    is_silent(done.stderr)
    assert TOKEN not in done.stdout
    assert "X-Signature" not in done.stdout


@pytest.mark.parametrize("code", [401, 500])
def test_no_error_tells_a_secret(code: int, tap: Tap, sandbox: Sandbox) -> None:
    said = f"No access for {SID} with {TOKEN}".encode()
    for path in ("/Reports", "/Jobs"):
        sandbox.faults.add(f"{path}$", status(code, body=said), times=None)
    done = tap.run(config_for(sandbox), how=IMPATIENT, LOGLEVEL="DEBUG")
    refused(done)
    is_silent(done.stderr)


def test_a_storage_link_that_is_refused_is_not_told(tap: Tap, sandbox: Sandbox) -> None:
    sandbox.faults.add("GET /storage/", status(403, body=b"<Error>expired</Error>"), times=None)
    done = tap.run(config_for(sandbox), how=IMPATIENT, LOGLEVEL="DEBUG")
    assert BY_DAY in refused(done)[-1]
    is_silent(done.stderr)
