"""Runs Meltano on this project."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


class Meltano:
    """`meltano ...` on this project, with plugins and state in folders of the tests.

    The workers of a run share the plugins; each has a database, so states, of its own.
    """

    def __init__(self, plugins: Path, database: Path) -> None:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("TAP_", "TARGET_", "MELTANO_"))
        }
        self.environment = kept | {
            "MELTANO_SYS_DIR_ROOT": str(plugins),
            "MELTANO_DATABASE_URI": f"sqlite:///{database}",
            "NO_COLOR": "1",
        }

    def __call__(self, *arguments: str, **environment: str) -> str:
        done = subprocess.run(
            [Path(sys.executable).with_name("meltano"), *arguments],
            cwd=Path(__file__).parents[1],
            env=self.environment | environment,
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr
