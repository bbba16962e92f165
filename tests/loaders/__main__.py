"""Try the loaders and write docs/loaders.md: `uv run python tests/loaders`.

Each loader is installed in an environment of its own and loads a report of difficult values for two
nights, two reloads and a full refresh. What it holds is compared with the source after each.
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
from datetime import datetime, timezone
from pathlib import Path

# The helpers of the tests, which pytest finds by its `pythonpath`.
sys.path.insert(0, str(Path(__file__).parents[1]))

import page
import speed
from environments import Environments, NotInstallableError
from known_loaders import LOADERS
from nights import Nights
from started import started

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "loaders.md"


def main() -> None:
    names = [loader.name for loader in LOADERS]
    parser = argparse.ArgumentParser(description=__doc__)
    only = "print the tables of these loaders and leave the page unchanged"
    parser.add_argument("--only", nargs="+", choices=names, metavar="LOADER", help=only)
    parser.add_argument("--rows", type=int, default=5000, help="rows to measure (5000)")
    kept = Path(tempfile.gettempdir()) / "tap-loaders"
    parser.add_argument("--environments", type=Path, default=kept, help=f"their folder ({kept})")
    options = parser.parse_args()
    environments = Environments(options.environments)
    tried, missing = [], {}
    for loader in LOADERS:
        if options.only and loader.name not in options.only:
            continue
        try:
            environment = environments.install(loader.name, loader.packages)
        except NotInstallableError as error:
            missing[loader.name] = str(error)[:200]
            continue
        version = environments.version(environment, loader.packages[0])
        for variant in loader.variants:
            print(f"{loader.name} {version}: {variant}", file=sys.stderr, flush=True)
            with started(loader, variant, environments) as one:
                outcome = Nights(one, log=loader.log).run()
            rate = 0
            if not outcome.stopped and options.rows:
                with started(loader, variant, environments) as one:
                    rate = round(speed.rows_per_second(one, options.rows))
            tried.append(page.Tried(loader.name, version, variant, outcome, rate))
    today = datetime.now(timezone.utc).date()
    tables = page.tables(tried, missing, f"{today}, Python {platform.python_version()}.")
    if options.only:
        print(tables, page.speeds(tried), sep="\n\n")
    else:
        text = page.put(PAGE.read_text(), "tables", tables)
        PAGE.write_text(page.put(text, "speed", page.speeds(tried)))


if __name__ == "__main__":
    main()
