"""Processes that are forked from one that has imported the tap: each starts at once."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tap_affiliate_reports.command_line import main

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FORKS = multiprocessing.get_context("forkserver")
# What a sync and the tests' own modules import, once for all processes instead of once for each;
# the tests' own folder is not on the path of the server.
FORKS.set_forkserver_preload(
    [
        "email.policy",
        "hypothesis",
        "netrc",
        "pyarrow.csv",
        "tap_affiliate_reports.command_line",
        "tap_affiliate_reports.commands.dbt",
        "tap_affiliate_reports.sandbox",
        "tzdata",
    ]
)


def run_command(
    arguments: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the tap's command in a process of its own; `folder` gets its output.

    Without an environment, it gets this process's.
    """
    if environment is None:
        environment = dict(os.environ)
    files = folder / "stdout", folder / "stderr"
    process = FORKS.Process(target=_command, args=(arguments, environment, files))
    process.start()
    process.join(60)
    assert process.exitcode is not None, "the command hangs"
    texts = [file.read_text() for file in files]
    return subprocess.CompletedProcess(arguments, process.exitcode, *texts)


def redirect(number: int, path: Path, *, append: bool = False) -> None:
    """Let one of this process's descriptors write to a file."""
    how = os.O_APPEND if append else os.O_TRUNC
    os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | how, 0o600), number)


def _command(
    arguments: Sequence[str], environment: Mapping[str, str], files: Sequence[Path]
) -> None:
    for number, path in enumerate(files, 1):
        redirect(number, path)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["tap-affiliate-reports", *arguments]
    main()
