"""Where the loaders load to: databases, files and buckets of the tests, and how to read them."""

from __future__ import annotations

import csv
import gzip
import io
import json
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree as ET

import duckdb
import psycopg
import requests
from databases import duckdb_rows, postgres
from environments import Environments
from loader import Place, Row
from psycopg.conninfo import conninfo_to_dict
from snowflake_stand_in import ACCOUNT

SCHEMA = "affiliate"
AWS = {"aws_access_key_id": "none", "aws_secret_access_key": "none"}

# moto refuses private objects to a request without a signature, but does not check it.
SIGNED = (
    "AWS4-HMAC-SHA256 Credential=none/20260101/us-east-1/s3/aws4_request,"
    " SignedHeaders=host, Signature=none"
)


@contextmanager
def postgres_url(_folder: Path, _environments: Environments) -> Iterator[Place]:
    """Run a server that the settings name by its URL."""
    with postgres() as server:
        config = {"sqlalchemy_url": server.sqlalchemy_url, "default_target_schema": SCHEMA}
        yield Place(config, server.rows)


@contextmanager
def postgres_parts(_folder: Path, _environments: Environments) -> Iterator[Place]:
    """Run a server that the settings name by its host, user and database."""
    with postgres() as server:
        parts = conninfo_to_dict(server.dsn)
        with psycopg.connect(server.dsn) as connection:
            port = connection.info.port
        config = {name: parts[name] for name in ("host", "user", "dbname")}
        config |= {"port": port, "password": "none", "default_target_schema": SCHEMA}
        yield Place(config, server.rows)


@contextmanager
def duckdb_file(folder: Path, _environments: Environments) -> Iterator[Place]:
    """Name a file of DuckDB."""
    path = folder / "warehouse.duckdb"
    config = {"path": str(path), "default_target_schema": SCHEMA}
    yield Place(config, lambda table: duckdb_rows(path, table))


@contextmanager
def snowflake(folder: Path, _environments: Environments) -> Iterator[Place]:
    """Name a database of fakesnow, which keeps it in a file of DuckDB."""
    database = folder / f"{ACCOUNT['database']}.db"
    config = {**ACCOUNT, "default_target_schema": SCHEMA}
    yield Place(
        config,
        lambda table: duckdb_rows(database, table.upper(), SCHEMA.upper()),
        [str(folder)],
    )


def files(
    setting: str, *, inside: str = "", **config: Any
) -> Callable[[Path, Environments], AbstractContextManager[Place]]:
    """Return how a folder is made, for files named by their stream.

    `setting` is the setting that names the folder, and `inside` the object that has it.
    """

    @contextmanager
    def place(folder: Path, _environments: Environments) -> Iterator[Place]:
        target = folder / "files"
        target.mkdir()

        def rows(stream: str) -> list[Row]:
            paths = [*target.glob(f"{stream}[.-]*"), *target.glob(f"{stream}/*")]
            found: list[Row] = []
            for path in sorted(paths, key=lambda path: path.stat().st_mtime):
                found += read(path.name, path.read_bytes())
            return found

        named = {setting: str(target)}
        yield Place({**config, **({inside: named} if inside else named)}, rows)

    return place


def bucket(
    config: Callable[[str], dict[str, Any]],
) -> Callable[[Path, Environments], AbstractContextManager[Place]]:
    """Return how a bucket is made, in S3 as moto serves it; `config` accepts its endpoint."""

    @contextmanager
    def place(_folder: Path, environments: Environments) -> Iterator[Place]:
        environment = environments.install("moto", ["moto[server,s3]>=5,<6"])
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        server = subprocess.Popen(
            [environment / "bin/moto_server", "-p", str(port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        url = f"http://127.0.0.1:{port}"
        try:
            _make_bucket(url)
            yield Place(config(url), lambda stream: _objects(url, stream))
        finally:
            server.terminate()
            server.wait()

    return place


def _make_bucket(url: str) -> None:
    for _ in range(100):
        try:
            requests.put(f"{url}/bucket", timeout=10).raise_for_status()
        except requests.ConnectionError:
            # The server is still starting.
            time.sleep(0.1)
        else:
            return
    raise TimeoutError(url)


def _objects(url: str, stream: str) -> list[Row]:
    listed = _get(f"{url}/bucket?list-type=2").decode()
    space = {"s3": "http://s3.amazonaws.com/doc/2006-03-01/"}
    entries = ET.fromstring(listed).findall("s3:Contents", space)
    keys = [
        (entry.findtext("s3:LastModified", "", space), entry.findtext("s3:Key", "", space))
        for entry in entries
    ]
    found: list[Row] = []
    for _, key in sorted(keys):
        name = key.split("/")[-1]
        if name.removeprefix(stream)[:1] in {"-", "."} or f"/{stream}/" in key:
            found += read(name, _get(f"{url}/bucket/{quote(key)}"))
    return found


def _get(url: str) -> bytes:
    response = requests.get(url, headers={"Authorization": SIGNED}, timeout=10)
    response.raise_for_status()
    return response.content


def read(name: str, content: bytes) -> list[Row]:
    """Return the rows of a file."""
    if name.endswith(".gz"):
        name, content = name.removesuffix(".gz"), gzip.decompress(content)
    if name.endswith(".csv"):
        # Rows may have more values than the header has names.
        return list(csv.DictReader(io.StringIO(content.decode(), newline=""), restkey="unnamed"))
    if name.endswith(".parquet"):
        with tempfile.NamedTemporaryFile(suffix=".parquet") as file:
            file.write(content)
            file.flush()
            result = duckdb.sql(f"SELECT * FROM '{file.name}'")
            return [dict(zip(result.columns, row, strict=True)) for row in result.fetchall()]
    lines = (json.loads(line, parse_float=Decimal) for line in content.split(b"\n") if line)
    if name.endswith(".singer"):
        return [line["record"] for line in lines if line["type"] == "RECORD"]
    return list(lines)
