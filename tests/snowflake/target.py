"""target-snowflake in this process, with a database of fakesnow: FOLDER, then its own options.

It runs in an environment with meltanolabs-target-snowflake and fakesnow.
"""

from __future__ import annotations

import sys
from pathlib import Path

import fakesnow
import shim
from target_snowflake.target import TargetSnowflake


def main() -> None:
    folder = Path(sys.argv.pop(1))
    shim.install(folder / "stages")
    with fakesnow.patch(db_path=folder):
        TargetSnowflake.cli()


if __name__ == "__main__":
    main()
