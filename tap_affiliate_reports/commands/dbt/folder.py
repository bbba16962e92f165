"""The files of --dbt=DIR; it overwrites no file of anybody else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tap_affiliate_reports.errors import SettingsError

MARK = "Written by tap-affiliate-reports --dbt, which overwrites changes."
SUFFIXES = (".yml", ".sql")

NOT_OURS = "--dbt: %s exists and was not written by this command. Move it, or name another folder"
NOT_WRITTEN = "--dbt: can't write into %s: %s"


def write_files(folder: Path, files: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Write files into a folder; if one of them is somebody else's, none.

    Return their paths, and those of files that only an earlier run wrote. Raises SettingsError if
    a file is not this command's, or the folder can't be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        present = {path.name: path for path in folder.iterdir() if path.suffix in SUFFIXES}
        own = {name for name, path in present.items() if _is_own(path)}
        for name in files:
            if name in present and name not in own:
                raise SettingsError(NOT_OURS % present[name])
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise SettingsError(NOT_WRITTEN % (folder, error.strerror or error)) from None
    return [str(folder / name) for name in files], [
        str(folder / name) for name in sorted(own - files.keys())
    ]


def _is_own(path: Path) -> bool:
    with path.open(encoding="utf-8", errors="replace") as file:
        return MARK in file.readline()
