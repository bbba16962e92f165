"""The statements of target-snowflake that fakesnow 0.12 lacks, rewritten for it.

Snowflake gives every user a stage, `@~`; here it is a folder. Each statement is the one that the
target's connector.py sends, so a release that sends another one fails here.
"""

from __future__ import annotations

import re
import shutil
import threading
from pathlib import Path
from typing import Any

import sqlglot
from fakesnow.cursor import FakeSnowflakeCursor
from sqlglot import exp

PUT = re.compile(r"put \S+ '@~/(?P<stage>[^']+)'$")
MERGE = re.compile(
    r"(?P<merge>merge into (?P<schema>\S+)\.\S+ d using )"
    r"\((?P<select>select .+) from '@~/(?P<stage>[^']+)'"
    r"\(file_format => .+?\) (?P<newest>QUALIFY .+? = 1)\)(?P<on> s on .+)",
    re.DOTALL,
)
COPY = re.compile(
    r"copy into (?P<table>(?P<schema>\S+)\.\S+ \(.+?\)) from \((?P<select>select .+) from "
    r"'@~/(?P<stage>[^']+)'\)file_format = \(format_name='.+'\)$",
    re.DOTALL,
)
REMOVE = re.compile(r"remove '@~/(?P<stage>[^']+)/'$")
DROP_FILE_FORMAT = re.compile(r"drop file format if exists ")
PATH = re.compile(r"\$1:(?P<name>\"(?:[^\"]|\"\")+\"|\w+)")
INTERPOLATES = "_interpolate_empty_sequences"
STAGED = "staged"
# Temporary tables need a current schema, which a connection of the target does not have.
USE_SCHEMA = "USE SCHEMA %s"


def install(stages: Path) -> None:
    """Let fakesnow run the target's statements, with the user's stage in the folder `stages`."""
    shipped = FakeSnowflakeCursor.execute
    # The target's threads load a stream each, and fakesnow's own tables allow one writer.
    lock = threading.RLock()

    def execute(self: Any, *args: Any, **kwargs: Any) -> Any:
        with lock:
            return execute_alone(self, *args, **kwargs)

    def execute_alone(
        self: Any, command: str, params: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        def run(sql: str) -> Any:
            return shipped(self, sql, None, *args, **kwargs)

        if params is not None and not params and self._conn.__dict__.get(INTERPOLATES):
            # Snowflake's connector does it for SQLAlchemy, which doubles each % of a name.
            command %= ()
        if found := PUT.match(command):
            folder = stages / found["stage"]
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(params["file_uri"].removeprefix("file://"), folder)
            return run("SELECT 'UPLOADED' AS status")
        if found := MERGE.match(command):
            run(USE_SCHEMA % found["schema"])
            select = _stage(self, stages / found["stage"], found["select"])
            # SEQ8() is the order of the rows in their files. A QUALIFY of DuckDB does not know the
            # names that its own SELECT gives.
            newest = found["newest"].replace("SEQ8()", "place")
            source = f"SELECT * EXCLUDE (place) FROM ({select}, place FROM {STAGED}) {newest}"
            return run(f"{found['merge']}({source}){found['on']}")
        if found := COPY.match(command):
            run(USE_SCHEMA % found["schema"])
            select = _stage(self, stages / found["stage"], found["select"])
            (inserted,) = run(f"INSERT INTO {found['table']} {select} FROM {STAGED}").fetchone()
            # The target adds up the fourth column, rows_loaded.
            return run(f"SELECT 'file' AS a, 'LOADED' AS b, {inserted} AS c, {inserted} AS d")
        if found := REMOVE.match(command):
            shutil.rmtree(stages / found["stage"])
            return run("SELECT 'removed' AS result")
        if DROP_FILE_FORMAT.match(command):
            return run("SELECT 'dropped' AS status")
        if command.lstrip().startswith("CREATE TABLE"):
            command = _without_primary_key(command)
        return shipped(self, command, params, *args, **kwargs)

    FakeSnowflakeCursor.execute = execute


def _stage(cursor: Any, folder: Path, sql: str) -> str:
    """Put the stage's rows into a temporary table; return the SQL with its paths `$1:` resolved."""
    files = [str(path) for path in sorted(folder.iterdir())]
    is_parquet = files[0].endswith(".parquet")
    rows = "*" if is_parquet else "json AS line"
    read = "read_parquet" if is_parquet else "read_ndjson_objects"
    connection = cursor._duck_conn
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {STAGED} AS"
        f" SELECT {rows}, row_number() OVER () AS place FROM {read}(?)",
        [files],
    )
    if not is_parquet:
        return PATH.sub(lambda path: f"line:{path['name']}", sql)
    columns = {row[0] for row in connection.execute(f"DESCRIBE {STAGED}").fetchall()}

    def column(path: re.Match[str]) -> str:
        # As in a path of Snowflake, case matters, and what is not there is null.
        name = path["name"].strip('"').replace('""', '"')
        return exp.column(name, quoted=True).sql() if name in columns else "NULL"

    return PATH.sub(column, sql)


def _without_primary_key(command: str) -> str:
    """Return the statement without its primary key, which Snowflake does not enforce."""
    statement = sqlglot.parse_one(command, read="snowflake")
    for key in list(statement.find_all(exp.PrimaryKey)):
        key.pop()
    return statement.sql(dialect="snowflake")
