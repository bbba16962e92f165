"""Which modules the settings and the networks may import."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import tap_affiliate_reports
from tap_affiliate_reports.sandbox.registry import SERVICES
from tap_affiliate_reports.sources import SOURCES

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = "tap_affiliate_reports"
ROOT = Path(tap_affiliate_reports.__file__).parent


def imports(folder: str) -> Iterator[str]:
    """Yield the modules of the package that those of a folder import."""
    files = [*(ROOT / folder).rglob("*.py")]
    assert files
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE):
                yield from (f"{node.module}.{name.name}." for name in node.names)


@pytest.mark.parametrize("network", SOURCES)
def test_a_network_imports_no_other_one(network: str) -> None:
    for folder in ("sources", "sandbox"):
        others = tuple(f"{PACKAGE}.{folder}.{other}." for other in SOURCES if other != network)
        assert not [name for name in imports(f"{folder}/{network}") if name.startswith(others)]


@pytest.mark.parametrize("folder", ["settings", "http", "exports", "formats", "schema", "state"])
def test_a_lower_layer_imports_no_network(folder: str) -> None:
    upper = (f"{PACKAGE}.sources.", f"{PACKAGE}.configuration.")
    assert not [name for name in imports(folder) if name.startswith(upper)]


def test_every_network_has_a_fake_service() -> None:
    assert [*SOURCES] == [*SERVICES]
