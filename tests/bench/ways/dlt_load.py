"""dlt with pyarrow, from the file into a database, with exact types and the key as an upsert.

It runs in an environment of its own: FILE, the URL of a PostgreSQL or the path of a DuckDB file.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import dlt
import pyarrow as pa
from pyarrow import csv

TYPES = (
    pa.string(),
    pa.decimal128(38, 18),
    pa.int64(),
    pa.timestamp("us", tz="UTC"),
    pa.bool_(),
)


def tables(path: Path) -> Iterator[pa.Table]:
    """Yield the file in blocks, with the number of each row as its key."""
    with path.open(encoding="utf-8") as file:
        header = file.readline().rstrip().split(",")
    types = {name: TYPES[place % len(TYPES)] for place, name in enumerate(header)}
    options = csv.ConvertOptions(column_types=types, strings_can_be_null=True, null_values=[""])
    first = 1
    for batch in csv.open_csv(path, convert_options=options):
        numbers = pa.array(range(first, first + batch.num_rows), pa.int64())
        first += batch.num_rows
        yield pa.Table.from_batches([batch]).append_column("row_number", numbers)


def main(path: Path, database: str) -> None:
    is_postgres = database.startswith("postgres")
    destinations = dlt.destinations
    target = destinations.postgres(database) if is_postgres else destinations.duckdb(database)
    with tempfile.TemporaryDirectory() as folder:
        pipeline = dlt.pipeline(
            "bench", destination=target, dataset_name="dlt_bench", pipelines_dir=folder
        )
        rows = dlt.resource(
            tables(path), name="bench", primary_key="row_number", write_disposition="merge"
        )
        pipeline.run(rows, loader_file_format="csv" if is_postgres else "parquet")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
