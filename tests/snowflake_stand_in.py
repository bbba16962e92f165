"""target-snowflake, and fakesnow in place of Snowflake: loads messages, and reads tables back."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import yaml
from databases import Row, duckdb_rows
from meltano_project import Meltano

# What tests/snowflake/shim.py changes is private.
FAKESNOW = "fakesnow==0.12.*"
PROGRAM = Path(__file__).parent / "snowflake" / "target.py"
PROJECT = Path(__file__).parents[1] / "meltano.yml"
ACCOUNT = {"account": "a", "user": "u", "password": "p", "warehouse": "w", "database": "SHOP"}
FOLDER = "FAKESNOW_FOLDER"


def installation_error() -> str | None:
    """Return why fakesnow can't be installed here; None if it can."""
    uv = Path(sys.executable).with_name("uv")
    done = subprocess.run(
        [uv, "pip", "install", "--dry-run", "--python", sys.executable, FAKESNOW],
        capture_output=True,
        text=True,
        timeout=600,
    )
    return done.stderr if done.returncode else None


def install(folder: Path) -> Meltano:
    """Let Meltano install the tap and the loader, and put fakesnow in place of Snowflake.

    The tap has the extra `arrow`, which a project's `pip_url` would name.
    """
    meltano = Meltano(folder)
    meltano("install", "extractors", "tap-affiliate-reports")
    meltano("install", "loaders", "target-snowflake")
    tap = folder / "extractors" / "tap-affiliate-reports" / "venv" / "bin" / "python"
    programs = folder / "loaders" / "target-snowflake" / "venv" / "bin"
    uv, python = Path(sys.executable).with_name("uv"), programs / "python"
    for interpreter, package in ((tap, f"{PROJECT.parent}[arrow]"), (python, FAKESNOW)):
        own = ["--python", interpreter, *(["-e"] if interpreter == tap else [])]
        subprocess.run([uv, "pip", "install", "-q", *own, package], check=True)
    command = f'exec {shlex.join(map(str, (python, PROGRAM)))} "${FOLDER}" "$@"'
    executable = programs / "target-snowflake"
    executable.write_text(f"#!/bin/sh\n{command}\n")
    executable.chmod(0o755)
    return meltano


def shipped_settings() -> dict[str, Any]:
    """Return the settings of the loader that have a value in meltano.yml."""
    loaders = yaml.safe_load(PROJECT.read_text())["plugins"]["loaders"]
    (loader,) = (one for one in loaders if one["name"] == "target-snowflake")
    return {one["name"]: one["value"] for one in loader["settings"] if "value" in one}


class SnowflakeStandIn:
    """A database, empty at first, in `folder`; the loader is the one that `install` made."""

    def __init__(self, meltano: Meltano, folder: Path) -> None:
        self.meltano = meltano
        self.folder = folder
        folder.mkdir()

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which `meltano run ... target-snowflake` loads into the database."""
        variables = {f"TARGET_SNOWFLAKE_{name.upper()}": value for name, value in ACCOUNT.items()}
        # A load that fails leaves its files in the temporary folder.
        return variables | {FOLDER: str(self.folder), "TMPDIR": str(self.folder)}

    def load(self, lines: bytes, **settings: Any) -> dict[str, Any]:
        """Load messages with the shipped settings and these; return the STATE given back."""
        config = self.folder / "config.json"
        config.write_text(json.dumps({**shipped_settings(), **ACCOUNT, **settings}))
        plugins = Path(self.meltano.environment["MELTANO_SYS_DIR_ROOT"])
        done = subprocess.run(
            [plugins / "loaders/target-snowflake/venv/bin/target-snowflake", "--config", config],
            env=self.meltano.environment | self.environment,
            input=lines,
            capture_output=True,
            timeout=600,
        )
        assert done.returncode == 0, done.stderr.decode()
        states = done.stdout.splitlines()
        return json.loads(states[-1]) if states else {}

    def rows(self, table: str) -> list[Row]:
        """Return the table's rows, with the names as Snowflake stores them."""
        return duckdb_rows(self._file, table.upper(), "AFFILIATE")

    def types(self, table: str) -> dict[str, str]:
        """Return the table's columns and their types."""
        with duckdb.connect(str(self._file), read_only=True) as connection:
            return dict(
                connection.execute(
                    "SELECT column_name, data_type FROM duckdb_columns()"
                    " WHERE schema_name = 'AFFILIATE' AND table_name = ?",
                    [table.upper()],
                ).fetchall()
            )

    @property
    def _file(self) -> Path:
        return self.folder / f"{ACCOUNT['database']}.db"
