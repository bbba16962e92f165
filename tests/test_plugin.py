"""The plugin definition for the Meltano Hub, and a project of one's own that is made from it."""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

ROOT = Path(__file__).parents[1]
DEFINITION = ROOT / "plugins" / "extractors" / "tap-affiliate-reports.yml"
PLUGIN: dict[str, Any] = yaml.safe_load(DEFINITION.read_text())
PROJECT: dict[str, Any] = yaml.safe_load((ROOT / "meltano.yml").read_text())

# What the Hub's own schema (meltano/hub, schemas/plugin_definitions) has beyond that of Meltano.
OF_THE_HUB = {
    "domain_url", "keywords", "maintenance_status", "quality", "settings_preamble", "usage",
    "supported_python_versions",
}  # fmt: skip
REQUIRED = {"name", "namespace", "variant", "quality"}


def test_it_is_that_of_meltano_yml() -> None:
    made = runpy.run_path(str(ROOT / "docs" / "generate_plugin.py"))["definition"]
    assert DEFINITION.read_text() == made(), "run: uv run python docs/generate_plugin.py"


def test_its_settings_are_those_of_meltano_yml() -> None:
    own = {one["name"]: one for one in PLUGIN["settings"]}
    settings = PROJECT["plugins"]["extractors"][0]["settings"]
    assert own == {one["name"]: one for one in settings}
    assert len(own) == len(PLUGIN["settings"])


def test_it_is_valid_for_meltano() -> None:
    schema = json.loads((files("meltano") / "schemas" / "meltano.schema.json").read_text())
    plugin = {key: value for key, value in PLUGIN.items() if key not in OF_THE_HUB}
    project = {"version": 1, "plugins": {"extractors": [plugin]}}
    assert [error.message for error in Draft202012Validator(schema).iter_errors(project)] == []


def test_it_is_valid_for_the_hub() -> None:
    assert PLUGIN.keys() >= REQUIRED
    # The Hub has neither.
    assert not PLUGIN.keys() & {"use_cached_catalog", "config"}
    assert PLUGIN["maintenance_status"] in {"active", "beta", "development", "inactive", "unknown"}
    assert PLUGIN["quality"] in {"gold", "silver", "bronze", "unknown"}
    assert PLUGIN["supported_python_versions"] == ["3.10", "3.11", "3.12", "3.13"]
    options = [one for setting in PLUGIN["settings"] for one in setting.get("options", ())]
    assert {type(one["value"]) for one in options} == {str}


def test_what_costs_exports_is_out_unless_it_is_chosen() -> None:
    """No report is exported unless `impact.reports` names it; clicks need both settings."""
    assert PLUGIN["select"] == ["*.*", "!clicks.*"]
    assert not [one for one in PLUGIN["settings"] if "value" in one]


class OwnProject:
    """A Meltano project in an empty folder, whose commands are those of README."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("TAP_", "TARGET_", "MELTANO_"))
        } | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "NO_COLOR": "1"}

    def __call__(self, command: str) -> str:
        done = subprocess.run(
            ["bash", "-euc", command],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr


def commands_of_readme() -> list[str]:
    readme = (ROOT / "README.md").read_text()
    section = readme.partition("\n## Your own Meltano project\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"^```sh\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    return [line.partition("    #")[0] for block in blocks for line in block.splitlines()]


@pytest.mark.slow
def test_a_project_of_ones_own_is_made_by_the_commands_of_readme(tmp_path: Path) -> None:
    clone = tmp_path / "tap-affiliate-reports"
    subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
    # Until it is committed, the definition of the working tree.
    copy = clone / DEFINITION.relative_to(ROOT)
    copy.parent.mkdir(parents=True, exist_ok=True)
    copy.write_text(DEFINITION.read_text())
    run = OwnProject(tmp_path)
    variables = {
        "START_DATE": "2026-10-01",
        "IMPACT_ACCOUNT_SID": "IRsandbox",
        "IMPACT_AUTH_TOKEN": "sandbox-token",
        "IMPACT_REPORTS": '["mp_action_listing_fast"]',
        "IMPACT_API_URL": "sandbox",
        "IMPACT_POLL_INTERVAL_SECONDS": "0.05",
    }
    run.environment |= {f"TAP_AFFILIATE_REPORTS_{k}": value for k, value in variables.items()}
    said = {}
    for command in commands_of_readme():
        said[command] = run(command.replace("/path/to", str(tmp_path)))
        if command.startswith("cd "):
            run.folder = run.folder / command.removeprefix("cd ")
    (listed,) = (text for command, text in said.items() if "config list" in command)
    names = {one["name"] for one in PLUGIN["settings"]}
    assert names <= {*re.findall(r"^([\w.]+)", listed, re.MULTILINE)}
    (checked,) = (text for command, text in said.items() if "--check" in command)
    assert re.search(r"ok +credentials +accepted", checked)
    assert "all of its data is invented" in checked
    written = yaml.safe_load((run.folder / "meltano.yml").read_text())
    (plugin,) = written["plugins"]["extractors"]
    assert plugin["use_cached_catalog"] is False
    lines = run("meltano invoke tap-affiliate-reports").splitlines()
    rows = [json.loads(line) for line in lines if line.startswith('{"type":"RECORD"')]
    assert "mp_action_listing_fast" in {row["stream"] for row in rows}
    assert "clicks" not in {row["stream"] for row in rows}
