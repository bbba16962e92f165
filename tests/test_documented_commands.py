"""Each command in README, CONTRIBUTING and docs/ is run: here, or by what `ELSEWHERE` names."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from meltano_project import Meltano
from test_command_line import config_for, sandbox, served

if TYPE_CHECKING:
    from collections.abc import Iterator

    from databases import Postgres

    from tap_affiliate_reports.sandbox import Sandbox

__all__ = ["sandbox", "served"]

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/*.md"))]
BIN = Path(sys.executable).parent
TOOLS = ("uv", "meltano", "tap-affiliate-reports", "pip", "pipx", "python", "dbt")
FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(rf"`((?:{'|'.join(TOOLS)}) [^`\n]+)`")

# Named in a sentence, not to be typed as it stands.
MENTIONS = {"meltano state get"}
# What the tests of this file do not run, and a file that has the words that do.
ELSEWHERE = {
    "pip install uv": (".ci/run", "pip install --quiet uv"),
    "pytest": (".ci/run", "uv run pytest"),
    "ruff check": (".ci/run", "uv run ruff check"),
    "ruff format --check": (".ci/run", "uv run ruff format --check"),
    "lint-imports": (".ci/run", "uv run lint-imports"),
    "mypy": (".ci/run", "uv run mypy"),
    "python docs/generate_settings.py": ("tests/test_docs.py", "generate_settings.py"),
    "python docs/generate_plugin.py": ("tests/test_plugin.py", "generate_plugin.py"),
    "meltano run demo": ("tests/test_chain.py", '"run", "--no-install", "demo"'),
    "meltano config test tap-affiliate-reports": ("tests/test_chain.py", '"config", "test"'),
    'dbt build --select "source:affiliate+"': ("tests/test_dbt_build.py", 'dbt("build"'),
    "dbt source freshness": ("tests/test_dbt_build.py", 'dbt("source", "freshness")'),
    "dbt build --vars 'affiliate_schema: raw_affiliate'": ("tests/test_dbt_build.py", "--vars"),
    # These install the package from an index.
    "uv tool install .": ("tests/test_package.py", "tool install ."),
    "pipx install .": ("tests/test_package.py", "pipx install ."),
    "uv build": ("tests/test_package.py", "uv build"),
    "uv run --isolated --no-project --with dist/*.whl tap-affiliate-reports --about": (
        "tests/test_package.py", "--isolated --no-project --with",
    ),
}  # fmt: skip

# Sections of README of which another test runs each line.
OWN_TESTS = {
    "Your own Meltano project": "tests/test_plugin.py",
    "Docker": "tests/test_image.py",
}
SECTIONS = re.compile(rf"^## ({'|'.join(OWN_TESTS)})\n.*?(?=^## )", re.MULTILINE | re.DOTALL)


def found() -> Iterator[tuple[str, str]]:
    """Yield the page and each command of it, without `uv run`, comments and what is left out."""
    for page in PAGES:
        text = SECTIONS.sub("", page.read_text())
        lines = [
            line
            for language, block in FENCE.findall(text)
            for line in block.splitlines()
            if language == "sh"
        ]
        lines += INLINE.findall(FENCE.sub("", text))
        for line in lines:
            # `...` stands for something of the reader's.
            commands = [] if " ... " in line else re.sub(r"\s+# .*", "", line).split(" && ")
            for command in commands:
                plain = re.sub(r"\buv run (?!--)", "", command.strip())
                yield page.name, plain.replace(" ID", " STATE")


COMMANDS = sorted({command for _, command in found()} - MENTIONS)
OF_README = {command for page, command in found() if page == "README.md"}
OF_THE_TAP = [one for one in COMMANDS if one.startswith("tap-affiliate-reports ")]
OF_MELTANO = [one for one in COMMANDS if "meltano " in one and one not in ELSEWHERE]
OF_PYTEST = [one for one in COMMANDS if one.startswith("pytest ")]
OF_PYTHON = [one for one in COMMANDS if one.startswith("python ") and one not in ELSEWHERE]
EXPORTS = [one for one in COMMANDS if one.startswith("export ")]


def test_every_command_is_run() -> None:
    run = {*OF_THE_TAP, *OF_MELTANO, *OF_PYTEST, *OF_PYTHON, *EXPORTS}
    assert set(COMMANDS) - run == set(ELSEWHERE)
    for name, words in ELSEWHERE.values():
        assert words in " ".join((ROOT / name).read_text().split()), f"{name}: {words}"
    readme = (ROOT / "README.md").read_text()
    for title, name in OWN_TESTS.items():
        assert f"\n## {title}\n" in readme
        assert f"## {title}" in (ROOT / name).read_text()


def shell(script: str, folder: Path, **environment: str) -> str:
    """Run a line as a user types it; return what it printed."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=os.environ | environment | {"PATH": f"{BIN}:{os.environ['PATH']}"},
        # `meltano state set` asks whether it may replace the state.
        input="y\n",
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, served: Sandbox) -> Path:
    """A folder with the files that the pages speak of."""
    folder = tmp_path_factory.mktemp("pages")
    config = config_for(served, reports=["mp_action_listing_fast"])
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "models" / "affiliate").mkdir(parents=True)
    shell("tap-affiliate-reports --config config.json --discover > catalog.json", folder)
    (folder / "state.json").write_text('{"bookmarks": {}}')
    return folder


@pytest.mark.kill
@pytest.mark.parametrize("command", OF_THE_TAP)
def test_a_command_of_the_tap_ends_well(command: str, folder: Path) -> None:
    without, option, rest = re.sub(r"\[.*\]", "", command), *command.partition("[")[1:]
    shell(without, folder)
    if option:
        shell(without + rest.removesuffix("]"), folder)


@pytest.mark.parametrize("command", OF_PYTEST)
def test_the_tests_that_a_page_names_exist(command: str, pytestconfig: pytest.Config) -> None:
    arguments = shlex.split(command)[1:]
    marks = {line.partition(":")[0] for line in pytestconfig.getini("markers")}
    for option, value in pairwise([*arguments, ""]):
        if option == "-m":
            assert set(value.split()) - {"not", "and", "or"} <= marks
        elif option.startswith("--hypothesis-profile="):
            assert settings.get_profile(option.partition("=")[2]).max_examples > 100
        elif "/" in option:
            assert (ROOT / option).exists()


@pytest.mark.kill
@pytest.mark.parametrize("command", OF_PYTHON)
def test_a_program_of_the_repository_starts(command: str) -> None:
    assert "usage:" in shell(f"{command.removesuffix(' --help')} --help", ROOT)


# README's order, in which what reads the state of a night follows it.
ORDER = ("--check", ":plan", ":preview", ":dbt", "run tap", "state get", ":plan --state")
LATER = (":check", "RELOAD", "state set")
MISSPELT = {"TAP_AFFILIATE_REPORTS_IMPACT_REPORTS": '["mp_action_listing_fats"]'}


def place(command: str) -> int:
    """Return where a command of Meltano stands in the order; the last part decides."""
    places = [number for number, part in enumerate((*ORDER, *LATER)) if part in command]
    return places[-1] if places else -1


@pytest.fixture
def environment(
    meltano: Meltano, postgres_server: Postgres, tmp_path: Path, sandbox: Sandbox
) -> dict[str, str]:
    """The variables that the pages export, with values of the tests' own."""
    own = {
        "TAP_AFFILIATE_REPORTS_START_DATE": config_for(sandbox)["start_date"],
        "TAP_AFFILIATE_REPORTS_IMPACT_ACCOUNT_SID": sandbox.impact.account_sid,
        "TAP_AFFILIATE_REPORTS_IMPACT_AUTH_TOKEN": sandbox.impact.auth_token,
        "TAP_AFFILIATE_REPORTS_REPORT_FILE": str(tmp_path / "sync-report.html"),
        "TARGET_POSTGRES_SQLALCHEMY_URL": postgres_server.sqlalchemy_url,
    }
    exported = dict(
        re.findall(r"(\w+)='?([^'\s]+(?: [^'\s]+)*)'?", line.removeprefix("export "))[0]
        for line in EXPORTS
        if "..." not in line
    )
    names = {name for line in EXPORTS for name in re.findall(r"(\w+)=", line)}
    assert set(own) <= names, "each variable of the pages is known here"
    # A folder without the catalog and the state of another test's run.
    plugins = Path(meltano.environment["MELTANO_SYS_DIR_ROOT"])
    return {
        **Meltano(tmp_path / "meltano", plugins).environment,
        **exported,
        **own,
        "TAP_AFFILIATE_REPORTS_IMPACT_API_URL": sandbox.url,
        "TAP_AFFILIATE_REPORTS_IMPACT_POLL_INTERVAL_SECONDS": "0.05",
    }


def run_meltano(command: str, folder: Path, environment: dict[str, str]) -> str:
    """Run a command on this project, which must stay as it is."""
    script = command.replace("state.json", str(folder / "state.json"))
    script = script.replace("models/affiliate", str(folder / "models"))
    script = script.replace(" STATE", " dev:tap-affiliate-reports-to-target-postgres")
    return shell(script.replace("meltano run ", "meltano run --no-install "), ROOT, **environment)


@pytest.mark.chain
def test_the_commands_of_readme_end_well_in_their_order(
    environment: dict[str, str], postgres_server: Postgres, tmp_path: Path
) -> None:
    commands = [one for one in OF_MELTANO if one in OF_README]
    assert sorted(map(place, commands)) == list(range(len(ORDER)))
    for command in sorted(commands, key=place):
        run_meltano(command, tmp_path, environment)
    assert (tmp_path / "sync-report.html").exists()
    assert list((tmp_path / "models").glob("*.sql"))
    assert postgres_server.rows("mp_action_listing_fast")


@pytest.mark.slow
def test_the_other_commands_of_meltano_end_well(
    environment: dict[str, str], tmp_path: Path
) -> None:
    commands = [one for one in OF_MELTANO if one not in OF_README]
    assert {*map(place, commands)} >= {*range(len(ORDER), len(ORDER) + len(LATER))}
    run_meltano("meltano run tap-affiliate-reports target-postgres", tmp_path, environment)
    for command in sorted(commands, key=place):
        run_meltano(command, tmp_path, environment)
    run_meltano("meltano run demo", tmp_path, environment | {
        "TAP_AFFILIATE_REPORTS__DEMO_REPORT_FILE": str(tmp_path / "demo.html"),
        "TARGET_DUCKDB_PATH": str(tmp_path / "warehouse.duckdb"),
    })  # fmt: skip
    assert (tmp_path / "demo.html").exists()


@pytest.mark.slow
def test_a_check_with_meltano_names_a_misspelt_report(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """Before `:check` alone Meltano would run discovery, which fails."""
    command = "meltano invoke tap-affiliate-reports --check || true"
    checked = run_meltano(command, tmp_path, environment | MISSPELT)
    assert "similar ids: mp_action_listing_fast" in " ".join(checked.split())
