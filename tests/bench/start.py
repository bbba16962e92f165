"""From a process's start to its first request, and what its imports take."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median

from process import ENVIRONMENT
from tap_process import config_of, sync

from tap_affiliate_reports.sandbox import Sandbox
from tap_affiliate_reports.sandbox.message import LoggedRequest

SHOWN = 8


def first_request(runs: int, tell: Callable[[str], None]) -> None:
    """Print how soon the first request is made, and how long a sync of nothing takes."""
    firsts, walls = [], []
    with Sandbox(job_seconds=0) as sandbox:
        config = config_of(sandbox, ["mp_action_listing_fast"], START_DATE="2026-08-31")
        sync(sandbox, config)  # compiles
        for _ in range(runs):
            seen: list[float] = []

            def note(_: LoggedRequest, seen: list[float] = seen) -> None:
                seen.append(time.perf_counter())

            sandbox.on_request = note
            began = time.perf_counter()
            walls.append(sync(sandbox, config).seconds)
            firsts.append(seen[0] - began)
    tell(f"process start to first request {median(firsts):.2f} s, a sync of one small window "
         f"{median(walls):.2f} s")  # fmt: skip


def imports(runs: int, tell: Callable[[str], None]) -> None:
    """Print the seconds of importing the tap, and the packages that take the most of them."""
    totals: list[float] = []
    own: dict[str, float] = {}
    for turn in range(runs + 1):
        lines = subprocess.run(
            [sys.executable, "-X", "importtime", "-c", "import tap_affiliate_reports.tap"],
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            check=True,
        ).stderr.splitlines()
        found = [re.match(r"import time:\s+(\d+) \|\s+(\d+) \|\s(\s*)(\S+)", x) for x in lines]
        seconds: dict[str, float] = {}
        for one in filter(None, found):
            package = one[4].split(".")[0]
            seconds[package] = seconds.get(package, 0.0) + int(one[1]) / 1e6
        if not turn:
            continue  # compiles
        totals.append(sum(seconds.values()))
        own = seconds
    largest = sorted(own.items(), key=lambda item: -item[1])[:SHOWN]
    told = ", ".join(f"{package} {seconds * 1000:.0f}" for package, seconds in largest)
    tell(f"imports {median(totals):.2f} s; ms by package: {told}")
