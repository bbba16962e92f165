"""The package as users install it, from a wheel and as a tool; it needs a package index."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]


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


def test_the_wheel_has_a_command(clone: Path) -> None:
    shell("uv build", clone)
    printed = shell(
        "uv run --isolated --no-project --with dist/*.whl tap-affiliate-reports --about", clone
    )
    assert "impact" in printed


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
