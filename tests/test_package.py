"""The package as users install it, from a wheel and as a tool; it needs a package index."""

from __future__ import annotations

import json
import os
import subprocess
import zipfile
from datetime import date, timedelta
from email import message_from_bytes
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
# What the job `demo` has; the credentials open nothing.
DEMO = {
    "api_url": "sandbox",
    "account_sid": "IRsandbox",
    "auth_token": "sandbox-token",
    "reports": ["*"],
    "clicks": True,
    "poll_interval_seconds": 0.1,
}


def shell(script: str, folder: Path, **environment: str) -> str:
    done = subprocess.run(
        ["bash", "-euc", script],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The committed files, in a folder of their own."""
    shell(f"git clone --quiet {ROOT} clone", tmp_path)
    return tmp_path / "clone"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the wheel and the source archive."""
    folder = tmp_path_factory.mktemp("built")
    shell(f"git clone --quiet {ROOT} clone", folder)
    shell("uv build", folder / "clone")
    return folder / "clone" / "dist"


def test_the_wheel_has_a_command(built: Path) -> None:
    printed = shell(
        "uv run --isolated --no-project --with dist/*.whl tap-affiliate-reports --about",
        built.parent,
    )
    assert "impact" in printed


def test_the_demo_runs_from_the_wheel(built: Path, tmp_path: Path) -> None:
    """In an environment that has the wheel and what it requires, and nothing else."""
    start = date.today() - timedelta(days=60)
    config = {"start_date": start.isoformat(), "impact": DEMO}
    (tmp_path / "config.json").write_text(json.dumps(config))
    shell(f"uv venv venv && uv pip install --python venv {built}/*.whl", tmp_path)
    tap = f"env -i PATH=/usr/bin:/bin {tmp_path}/venv/bin/tap-affiliate-reports"
    shell(f"{tap} --config config.json --check", tmp_path)
    printed = shell(f"{tap} --config config.json", tmp_path)
    rows = [one for one in map(json.loads, printed.splitlines()) if one["type"] == "RECORD"]
    assert {"mp_action_listing_fast", "clicks", "reports"} <= {row["stream"] for row in rows}


def test_the_wheel_holds_the_package_alone(built: Path) -> None:
    (path,) = built.glob("*.whl")
    with zipfile.ZipFile(path) as wheel:
        folders = {name.partition("/")[0] for name in wheel.namelist()}
        information = path.name.removesuffix("-py3-none-any.whl") + ".dist-info"
        assert folders == {"tap_affiliate_reports", information}
        text = b"".join(wheel.read(name) for name in wheel.namelist())
    assert "tap_affiliate_reports/py.typed" in zipfile.ZipFile(path).namelist()
    for machine in (ROOT, built, Path.home()):
        assert str(machine).encode() + b"/" not in text


def test_the_metadata_has_what_an_index_shows(built: Path) -> None:
    (path,) = built.glob("*.whl")
    with zipfile.ZipFile(path) as wheel:
        (name,) = (one for one in wheel.namelist() if one.endswith(".dist-info/METADATA"))
        (licence,) = (one for one in wheel.namelist() if one.endswith("/licenses/LICENSE"))
        metadata = message_from_bytes(wheel.read(name))
        assert b"Apache License" in wheel.read(licence)
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.10"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata.get_payload().startswith("# tap-affiliate-reports")
    classifiers = metadata.get_all("Classifier")
    for minor in (10, 11, 12, 13):
        assert f"Programming Language :: Python :: 3.{minor}" in classifiers
    assert {*metadata.get_all("Provides-Extra")} == {"s3", "arrow"}


def test_an_index_accepts_both_files(built: Path) -> None:
    shell("uvx twine check --strict dist/*", built.parent)


def test_the_source_archive_builds_the_same_wheel(built: Path, tmp_path: Path) -> None:
    """It has no git tags: the version is that of pyproject.toml."""
    (archive,) = built.glob("*.tar.gz")
    shell(f"uv build --wheel --out-dir . {archive}", tmp_path)
    (again,) = tmp_path.glob("*.whl")
    (wheel,) = built.glob("*.whl")
    assert again.name == wheel.name
    assert again.read_bytes() == wheel.read_bytes()


@pytest.mark.parametrize("install", ["uv tool install .", "uvx pipx install ."])
def test_it_is_installed_as_a_tool(install: str, clone: Path, tmp_path: Path) -> None:
    own = {
        "UV_TOOL_DIR": str(tmp_path / "tools"),
        "UV_TOOL_BIN_DIR": str(tmp_path / "bin"),
        "PIPX_HOME": str(tmp_path / "pipx"),
        "PIPX_BIN_DIR": str(tmp_path / "bin"),
    }
    shell(install, clone, **own)
    assert "tap-affiliate-reports" in shell(
        f"{tmp_path}/bin/tap-affiliate-reports --version", tmp_path
    )
