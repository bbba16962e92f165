"""The table of docs/loaders.md holds for the loaders that meltano.yml ships."""

from __future__ import annotations

import re
from pathlib import Path

import page
import pytest
import speed
from environments import Environments
from known_loaders import LOADERS
from loader import Loader, Variant
from nights import Nights
from started import started

pytestmark = pytest.mark.slow

TABLES = (Path(__file__).parents[2] / "docs" / "loaders.md").read_text().splitlines()
BY_NAME = {loader.name: loader for loader in LOADERS}
SOUND = [loader for loader in LOADERS if any(one.shipped for one in loader.variants)]
ROWS = 10_000


@pytest.fixture(scope="session")
def environments(tmp_path_factory: pytest.TempPathFactory) -> Environments:
    return Environments(tmp_path_factory.mktemp("environments"))


def without_versions(lines: list[str]) -> set[str]:
    return {re.sub(r"^\| (\S+) \S*", r"| \1", line) for line in lines}


SHIPPED = [(loader, variant) for loader in SOUND for variant in loader.variants if variant.shipped]


@pytest.mark.parametrize(
    ("loader", "variant"),
    SHIPPED,
    ids=[f"{one.name}-{variant.batches}" for one, variant in SHIPPED],
)
def test_a_shipped_loader_is_as_the_table_says(
    loader: Loader, variant: Variant, environments: Environments
) -> None:
    with started(loader, variant, environments) as one:
        outcome = Nights(one, log=loader.log).run()
    tried = page.Tried(loader.name, "", variant, outcome)
    rows = [page.row_of(tried, columns) for columns in (page.VALUES, page.NIGHTS)]
    assert without_versions(rows) <= without_versions(TABLES)
    assert not outcome.stopped
    assert not [word for word in outcome.words.values() if word.startswith("no:")]
    nights = ("first night", "second night", "reload", "reload all")
    assert {outcome.words[night] for night in nights} == {"exact"}


def test_postgres_as_shipped_is_twice_as_fast_as_by_default(environments: Environments) -> None:
    loader = BY_NAME["target-postgres"]
    default, shipped, *_ = loader.variants
    rates = []
    for variant in (default, shipped):
        with started(loader, variant, environments) as one:
            rates.append(speed.rows_per_second(one, ROWS))
    assert rates[1] >= 2 * rates[0], rates
