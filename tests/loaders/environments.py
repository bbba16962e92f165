"""Python environments of the loaders, each with its own packages, made by uv."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

VERSIONS = """
import importlib.metadata, sys
print(*map(importlib.metadata.version, sys.argv[1:]))
"""


class NotInstallableError(Exception):
    """The index has no set of packages that fits; the text is what uv says of it."""


@dataclass(frozen=True)
class Environments:
    """A folder of environments; one that is there is used again."""

    folder: Path

    def install(self, name: str, packages: Sequence[str]) -> Path:
        """Return the folder of an environment with these packages."""
        folder = self.folder / name
        wanted = "\n".join(packages)
        done = folder / "installed.txt"
        if not done.exists() or done.read_text() != wanted:
            _uv("venv", "--quiet", "--clear", "--python", sys.executable, str(folder))
            _uv("pip", "install", "--quiet", "--python", str(folder / "bin/python"), *packages)
            done.write_text(wanted)
        return folder

    def version(self, environment: Path, package: str) -> str:
        """Return the version that is installed of a requirement such as `name>=1,<2`."""
        name = re.split(r"[^\w.-]", package, maxsplit=1)[0]
        command = [environment / "bin/python", "-c", VERSIONS, name]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _uv(*arguments: str) -> None:
    done = subprocess.run(["uv", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise NotInstallableError(" ".join(done.stderr.split()))
