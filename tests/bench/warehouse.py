"""The whole way into a database: tap and loader as they are run, dlt and COPY beside them.

Each loader and dlt has an environment of its own, kept in the folder of the files.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Any

import data
import duckdb
import psycopg
from process import Cost, pipeline
from rows import WAYS
from tap_process import config_of

from tap_affiliate_reports.sandbox import Report, Sandbox

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "loaders")]

from databases import Postgres, postgres  # noqa: E402
from environments import Environments  # noqa: E402
from known_loaders import LOADERS, shipped  # noqa: E402

POSTGRES, DUCKDB = "target-postgres", "target-duckdb"
DLT = ["dlt[postgres,duckdb]>=1.30,<2", "pyarrow>=18,<28"]
# A decimal column of the file, whose sum shows whether every digit arrived.
EXACT = "Column_1"
BATCHES = {"encoding": {"format": "jsonl", "compression": "gzip"}, "batch_size": 10_000}


@dataclass(frozen=True)
class Way:
    """One way into a database. `loader` is None for what needs no tap."""

    label: str
    database: str
    loader: str | None = None
    is_shipped: bool = True
    tap: Mapping[str, Any] = field(default_factory=dict)
    # What is fast is measured over more rows, because its start varies by seconds.
    times: int = 1


TAP = "tap -> "
WAY = [
    Way(f"{TAP}{POSTGRES}, defaults", "postgres", POSTGRES, is_shipped=False),
    Way(f"{TAP}{POSTGRES}, as shipped", "postgres", POSTGRES),
    Way(f"{TAP}BATCH -> {POSTGRES}, as shipped", "postgres", POSTGRES, tap=BATCHES),
    Way("dlt, pyarrow, upsert", "postgres", times=10),
    Way("COPY of the file", "postgres", times=10),
    Way(f"{TAP}{DUCKDB}, as shipped", "duckdb", DUCKDB, tap={"use_singer_decimal": True}),
    Way("dlt, pyarrow, upsert", "duckdb", times=10),
]


class Bench:
    """Files, a sandbox that serves them, the databases, and the environments."""

    def __init__(self, folder: Path, sandbox: Sandbox, server: Postgres) -> None:
        self.folder, self.sandbox, self.server = folder, sandbox, server
        self.environments = Environments(folder / "environments")
        self.duckdb = folder / "warehouse.duckdb"

    def once(self, way: Way, rows: int, columns: int) -> tuple[Cost, bool]:
        """Load a file in one way; return the cost, and whether every digit arrived."""
        file = data.file_of(self.folder, rows, columns)
        self.server.drop("bench")
        self.server.drop("dlt_bench")
        self.duckdb.unlink(missing_ok=True)
        if way.label.startswith("COPY"):
            cost = self._copy(file)
        elif way.loader is None:
            environment = self.environments.install("dlt", DLT)
            script = [environment / "bin/python", WAYS / "dlt_load.py", file, self._url(way)]
            cost = pipeline([script], {"RUNTIME__DLTHUB_TELEMETRY": "false"})
        else:
            cost = self._tap(way, file, columns)
        schema = "bench" if way.loader or way.label.startswith("COPY") else "dlt_bench"
        return cost, self._sum(way, schema) == expected_sum(file)

    def _url(self, way: Way) -> str:
        # dlt needs the name of a host; the folder of the socket, which follows, replaces it.
        url = self.server.dsn.replace(":@/", ":none@localhost/")
        return url if way.database == "postgres" else str(self.duckdb)

    def _tap(self, way: Way, file: Path, columns: int) -> Cost:
        assert way.loader is not None
        loader = next(one for one in LOADERS if one.name == way.loader)
        environment = self.environments.install(loader.name, loader.packages)
        variant = shipped(loader.name) if way.is_shipped else None
        config = {**(variant.config if variant else {}), "default_target_schema": "bench"}
        config |= {
            "postgres": {
                "sqlalchemy_url": self.server.sqlalchemy_url,
                "dialect+driver": "postgresql+psycopg",
            },
            "duckdb": {"path": str(self.duckdb)},
        }[way.database]
        self.sandbox.impact.jobs.clear()
        report = Report("bench", "bench", data.columns(columns), raw=lambda *_: file)
        self.sandbox.impact.add(report)
        own = config_of(self.sandbox, ["bench"])
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            if "encoding" in way.tap:
                own["batch_config"] = {**way.tap, "storage": {"root": str(folder)}}
            else:
                own |= way.tap
            for part, settings in (("tap", own), ("loader", config)):
                (folder / f"{part}.json").write_text(json.dumps(settings))
            return pipeline(
                [
                    [
                        sys.executable,
                        "-m",
                        "tap_affiliate_reports",
                        "--config",
                        folder / "tap.json",
                    ],
                    [*loader.command(environment), "--config", folder / "loader.json"],
                ],
                variant.environment if variant else {},
            )

    def _copy(self, file: Path) -> Cost:
        """Load the file as PostgreSQL itself does, its columns as text but for the exact one."""
        with file.open(encoding="utf-8") as lines:
            names = lines.readline().rstrip().split(",")
            columns = ", ".join(f'"{n}" {"numeric" if n == EXACT else "text"}' for n in names)
            began = time.perf_counter()
            with psycopg.connect(self.server.dsn) as connection:
                connection.execute("CREATE SCHEMA bench")
                connection.execute(f"CREATE TABLE bench.bench ({columns})")
                with connection.cursor().copy("COPY bench.bench FROM STDIN (FORMAT csv)") as copy:
                    while block := lines.read(1 << 20):
                        copy.write(block)
        return Cost(time.perf_counter() - began, 0.0, 0.0)

    def _sum(self, way: Way, schema: str) -> tuple[int, Decimal | None]:
        name = EXACT.lower() if schema == "dlt_bench" else EXACT
        query = f'SELECT count(*), sum(CAST("{name}" AS NUMERIC(38, 18))) FROM {schema}.bench'
        if way.database == "postgres":
            with psycopg.connect(self.server.dsn) as connection:
                row = connection.execute(query).fetchone()
        else:
            with duckdb.connect(str(self.duckdb), read_only=True) as warehouse:
                row = warehouse.execute(query).fetchone()
        assert row is not None
        return row[0], row[1]


def expected_sum(file: Path) -> tuple[int, Decimal | None]:
    """Return the rows of a file and the sum of the column that shows lost digits."""
    source = "read_csv(?, all_varchar := true)"
    query = f"SELECT count(*), sum(CAST({EXACT} AS NUMERIC(38, 18))) FROM {source}"
    row = duckdb.execute(query, [str(file)]).fetchone()
    assert row is not None
    return row[0], row[1]


def into_databases(
    folder: Path, rows: int, columns: int, runs: int, tell: Callable[[str], None]
) -> None:
    """Print the rows a second and the peaks of all ways, without what one row takes."""
    with Sandbox(job_seconds=0, exports_per_day=100_000) as sandbox, postgres() as server:
        bench = Bench(folder, sandbox, server)
        paces: dict[int, list[float]] = {}
        peaks: dict[int, float] = {}
        exact: dict[int, bool] = {}
        for _ in range(runs):
            for place, way in enumerate(WAY):
                start, _ = bench.once(way, 1, columns)
                count = rows * way.times
                whole, exact[place] = bench.once(way, count, columns)
                paces.setdefault(place, []).append((count - 1) / (whole.seconds - start.seconds))
                peaks[place] = max(peaks.get(place, 0.0), whole.megabytes)
    pace = {place: median(found) for place, found in paces.items()}
    tell(f"into a database, {rows} rows of {columns} columns, medians of {runs} runs")
    for place, way in enumerate(WAY):
        beside = next(pace[n] for n, other in enumerate(WAY)
                      if other.loader is None and other.database == way.database)  # fmt: skip
        tell(
            f"  {way.database:9} {way.label:40} {pace[place]:>8.0f} rows/s "
            f"{pace[place] / pace[0]:>6.2f} times the first, {pace[place] / beside:>5.2f} dlt, "
            f"{peaks[place]:>4.0f} MB, {'exact' if exact[place] else 'NOT EXACT'}"
        )
