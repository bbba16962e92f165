"""One measurement: a process of its own, its seconds and its peak memory."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple

OFTEN = 0.01
# As where it is installed: modules are compiled once, and stdout has a buffer.
ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if name not in {"PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"}
} | {"PYTHONPYCACHEPREFIX": str(Path(tempfile.gettempdir()) / "tap-bench-bytecode")}


class Cost(NamedTuple):
    """What one process took: by the wall, of the processors, of memory."""

    seconds: float
    processor: float
    megabytes: float


def run(arguments: Sequence[str | Path], out: IO[bytes] | None = None) -> Cost:
    """Run Python with these arguments, stdout to `out`; end the benchmark where it fails."""
    with tempfile.TemporaryFile() as log:
        began = time.perf_counter()
        child = subprocess.Popen(
            [sys.executable, *map(str, arguments)],
            stdout=out or subprocess.DEVNULL,
            stderr=log,
            env=ENVIRONMENT,
        )
        peak, ended = 0.0, 0
        while not ended:
            peak = _peak_megabytes(child.pid) or peak
            time.sleep(OFTEN)
            ended, status, usage = os.wait4(child.pid, os.WNOHANG)
        seconds = time.perf_counter() - began
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            log.seek(0)
            told = log.read().decode(errors="replace")[-2000:]
            sys.exit(f"{arguments} ended with {child.returncode}:\n{told}")
    return Cost(seconds, usage.ru_utime + usage.ru_stime, peak)


def pipeline(commands: Sequence[Sequence[str | Path]], environment: Mapping[str, str]) -> Cost:
    """Run commands, each reading what the one before it writes; the peak is the sum of theirs."""
    with tempfile.TemporaryFile() as log:
        began = time.perf_counter()
        running: list[subprocess.Popen[bytes]] = []
        for place, command in enumerate(commands):
            is_last = place == len(commands) - 1
            running.append(
                subprocess.Popen(
                    list(map(str, command)),
                    stdin=running[-1].stdout if running else subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL if is_last else subprocess.PIPE,
                    stderr=log,
                    env=ENVIRONMENT | environment,
                )
            )
        for child in running:
            if child.stdout is not None:
                child.stdout.close()
        peaks = [0.0] * len(running)
        while any(child.poll() is None for child in running):
            peaks = [_peak_megabytes(c.pid) or peaks[n] for n, c in enumerate(running)]
            time.sleep(OFTEN)
        seconds = time.perf_counter() - began
        if any(child.returncode for child in running):
            log.seek(0)
            sys.exit(log.read().decode(errors="replace")[-4000:])
    return Cost(seconds, 0.0, sum(peaks))


def _peak_megabytes(process: int) -> float:
    # rusage would count this process's own memory before the exec.
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0.0
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else 0.0
