"""Runs Meltano on this project."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


class Meltano:
    """`meltano ...` on this project, with all that Meltano keeps in a folder of the tests.

    `plugins` is such a folder in which the plugins are installed; without it they are installed
    here. Runs of one plugin share its files, so processes that run at the same time need a folder
    each.
    """

    def __init__(self, folder: Path, plugins: Path | None = None) -> None:
        folder.mkdir(exist_ok=True)
        for kind in ("extractors", "loaders", "utilities") if plugins else ():
            (folder / kind).symlink_to(plugins / kind)
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("TAP_", "TARGET_", "MELTANO_"))
        }
        self.environment = kept | {
            "MELTANO_SYS_DIR_ROOT": str(folder),
            "NO_COLOR": "1",
            # Each run starts a tap and a loader, which may not write bytecode themselves.
            "UV_COMPILE_BYTECODE": "1",
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
