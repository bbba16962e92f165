"""The commands as processes: what they print where, their exit status, and what they never do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from test_command_line import (
    BY_DAY,
    SID,
    TOKEN,
    Tap,
    config_for,
    messages,
    ok,
    refused,
    sandbox,
    served,
    tap,
)

if TYPE_CHECKING:
    from tap_affiliate_reports.sandbox import Sandbox

__all__ = ["sandbox", "served", "tap"]

pytestmark = pytest.mark.kill

COMMANDS = ["--check", "--plan"]
EVERY = [*COMMANDS, f"--preview={BY_DAY}", "--dbt"]


def no_export(sandbox: Sandbox) -> bool:
    return not any(one.method != "GET" or "ReportExport" in one.path for one in sandbox.requests)


@pytest.mark.parametrize("command", EVERY)
@pytest.mark.parametrize("form", ["", "--json"])
def test_it_prints_one_object_or_text_and_nothing_else(
    command: str, form: str, tap: Tap, sandbox: Sandbox
) -> None:
    sandbox.requests.clear()
    done = tap.run(config_for(sandbox), command, *form.split())
    printed = ok(done)
    assert done.stderr == ""
    if form:
        assert json.loads(printed)["ok"] is True
    else:
        assert not printed.startswith("{")
        assert "\x1b" not in printed
        assert max(map(len, printed.splitlines())) <= 100
    assert no_export(sandbox)
    assert TOKEN not in printed
    assert SID not in printed


@pytest.mark.parametrize("command", COMMANDS)
def test_the_form_may_be_the_option_s_value(command: str, tap: Tap, sandbox: Sandbox) -> None:
    document = json.loads(ok(tap.run(config_for(sandbox), f"{command}=json")))
    assert [one["source"] for one in document["sources"]] == ["impact"]
    assert document["warnings"] == []


@pytest.mark.parametrize("command", ["--preview=nothing", "--preview=", "--dbt"])
def test_what_can_not_be_had_is_one_line(command: str, tap: Tap, sandbox: Sandbox) -> None:
    done = tap.run(config_for(sandbox, reports=["nothing"]), command)
    lines = [one for one in (done.stdout + done.stderr).splitlines() if one.startswith("error: ")]
    assert (done.returncode, len(lines)) == (1, 1)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", EVERY)
def test_bad_credentials_are_one_object_too(command: str, tap: Tap, sandbox: Sandbox) -> None:
    done = tap.run(config_for(sandbox, auth_token="wrong-0815"), command, "--json")
    document = json.loads(done.stdout)
    assert (done.returncode, document["ok"], done.stderr) == (1, False, "")
    assert "HTTP 401" in done.stdout
    assert "wrong-0815" not in done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_wrong_settings_are_one_object_too(command: str, tap: Tap, sandbox: Sandbox) -> None:
    done = tap.run(config_for(sandbox, windwo="week", lookback_days=-1), f"{command}=json")
    document = json.loads(done.stdout)
    assert (done.returncode, document["ok"], document["sources"]) == (1, False, [])
    assert sorted(document["errors"])[1] == "impact.windwo: is not a setting"
    assert done.stderr == ""


@pytest.mark.parametrize("command", COMMANDS)
def test_a_misspelt_setting_is_a_line_of_the_text(command: str, tap: Tap, sandbox: Sandbox) -> None:
    done = tap.run(config_for(sandbox, windwo="week") | {"end_dtae": "x"}, command)
    lines = done.stdout.splitlines()
    assert done.returncode == 1
    assert "error: impact.windwo: is not a setting" in lines
    assert "warning: unknown setting 'end_dtae' is ignored" in lines


def test_a_check_without_any_setting_says_what_is_needed(tap: Tap) -> None:
    done = tap.run(None, "--check")
    assert done.returncode == 1
    assert "error: start_date: is required" in done.stdout
    assert "error: no source is configured: set one of impact, hienergy, instal" in done.stdout


def test_a_check_reads_the_environment(tap: Tap, sandbox: Sandbox) -> None:
    config = config_for(sandbox)
    del config["impact"]["auth_token"]
    name = "TAP_AFFILIATE_REPORTS_IMPACT_AUTH_TOKEN"
    document = json.loads(ok(tap.run(config, "--config=ENV", "--check=json", **{name: TOKEN})))
    (token,) = [one for one in document["settings"] if one["setting"] == "impact.auth_token"]
    assert token == {
        "setting": "impact.auth_token", "value": "***", "from": f"environment variable {name}",
    }  # fmt: skip


def test_two_commands_at_once_are_refused(tap: Tap, sandbox: Sandbox) -> None:
    (line,) = refused(tap.run(config_for(sandbox), "--check", "--plan"))
    assert "--check and --plan" in line


@pytest.mark.parametrize("other", ["--test", "--discover", "--about"])
def test_a_command_beside_another_kind_of_run_is_refused(
    other: str, tap: Tap, sandbox: Sandbox
) -> None:
    sandbox.requests.clear()
    (line,) = refused(tap.run(config_for(sandbox), other, "--check=json"))
    assert f"--check and {other}" in line
    assert not sandbox.requests


def test_json_alone_is_no_sync(tap: Tap, sandbox: Sandbox) -> None:
    sandbox.requests.clear()
    (line,) = refused(tap.run(config_for(sandbox), "--json"))
    assert "--json needs a command" in line
    assert not sandbox.requests


def test_dbt_prints_an_object_too(tap: Tap, sandbox: Sandbox) -> None:
    printed = ok(tap.run(config_for(sandbox), "--dbt=json"))
    assert "unique" in json.loads(printed)["sources"]


@pytest.mark.parametrize("content", ["{", "[1]", ""])
@pytest.mark.parametrize("command", EVERY)
def test_an_unreadable_configuration_is_one_object_too(
    command: str, content: str, tap: Tap
) -> None:
    config = tap.file("config.json", content)
    done = tap.run(None, "--config", config, command, "--json")
    document = json.loads(done.stdout)
    assert (done.returncode, document["ok"]) == (1, False)
    assert "--config: not a readable JSON object" in document["errors"][0]


class TestThePlanReadsAState:
    @pytest.mark.parametrize("form", ["object", "message", "stored", "lines"])
    def test_in_the_form_that_is_at_hand(self, form: str, tap: Tap, sandbox: Sandbox) -> None:
        config = config_for(sandbox)
        lines = [json.dumps(one) for one in messages(ok(tap.run(config))) if one["type"] == "STATE"]
        state = json.loads(lines[-1])["value"]
        text = {
            "object": json.dumps(state),
            "message": lines[-1],
            "stored": json.dumps({"singer_state": state}),
            "lines": "\n".join(lines),
        }[form]
        state_file = tap.file("state.json", text)
        document = json.loads(ok(tap.run(config, "--plan=json", "--state", state_file)))
        (source,) = document["sources"]
        assert (source["exports_needed"], source["nights"]) == (0, 0)
        (report,) = source["streams"]
        assert (report["stream"], report["new"]) == (BY_DAY, [])
        assert report["unchanged"] > 0
        assert report["complete_until"] == state["bookmarks"][BY_DAY]["replication_key_value"]

    def test_a_state_that_is_none_is_one_line(self, tap: Tap, sandbox: Sandbox) -> None:
        state = tap.file("state.json", {"something": 1})
        done = tap.run(config_for(sandbox), "--plan", "--state", state)
        (line,) = [one for one in done.stdout.splitlines() if one.startswith("error: ")]
        assert (done.returncode, "has no bookmarks" in line) == (1, True)

    def test_it_writes_no_state(self, tap: Tap, sandbox: Sandbox) -> None:
        printed = ok(tap.run(config_for(sandbox), "--plan"))
        assert not [line for line in printed.splitlines() if line.startswith("{")]

    def test_a_catalog_selects(self, tap: Tap, sandbox: Sandbox) -> None:
        config = config_for(sandbox, reports=None)
        catalog = json.loads(ok(tap.run(config, "--discover")))
        for stream in catalog["streams"]:
            for entry in stream["metadata"]:
                if entry["breadcrumb"] == []:
                    entry["metadata"]["selected"] = stream["tap_stream_id"] == BY_DAY
        given = tap.file("catalog.json", catalog)
        document = json.loads(ok(tap.run(config, "--plan=json", "--catalog", given)))
        assert [one["stream"] for one in document["sources"][0]["streams"]] == [BY_DAY]

    def test_reports_that_nobody_chose_are_refused_as_in_a_sync(
        self, tap: Tap, sandbox: Sandbox
    ) -> None:
        done = tap.run(config_for(sandbox, reports=None), "--plan=json")
        assert done.returncode == 1
        (line,) = json.loads(done.stdout)["errors"]
        assert "impact.reports is not set" in line


WITH_MODULES = (
    "-c",
    """if True:
    import atexit, sys
    late = {"rich", "yaml", "openpyxl", "pyarrow", "tap_affiliate_reports.sync_report"}
    atexit.register(lambda: print(sorted(late & set(sys.modules)), file=sys.stderr))
    from tap_affiliate_reports.command_line import main; main()
    """,
)


def test_a_sync_in_a_pipe_imports_nothing_that_only_a_command_needs(
    tap: Tap, sandbox: Sandbox
) -> None:
    done = tap.run(config_for(sandbox), how=WITH_MODULES)
    ok(done)
    assert done.stderr.splitlines()[-1] == "[]"
