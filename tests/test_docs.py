"""The documentation is current."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]


def test_the_page_of_settings_is_that_of_the_schema() -> None:
    page = runpy.run_path(str(ROOT / "docs" / "generate_settings.py"))["page"]
    written = (ROOT / "docs" / "settings.md").read_text()
    assert written == page(), "run: uv run python docs/generate_settings.py"


def anchor_of(heading: str) -> str:
    """Return the anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_link_to_a_file_has_its_target(page: Path) -> None:
    for target, _, anchor in re.findall(r"\]\(([^)#:]*)(#([^)]+))?\)", page.read_text()):
        path = page.parent / target if target else page
        assert path.exists(), f"{page.name}: {target}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
            assert anchor in {anchor_of(one) for one in headings}, f"{page.name}: #{anchor}"


def test_the_map_of_the_house_has_every_module() -> None:
    package = ROOT / "tap_affiliate_reports"
    design = (ROOT / "docs" / "design.md").read_text()
    folders = {path.name for path in package.iterdir() if (path / "__init__.py").exists()}
    files = {path.name for folder in (package, package / "streams") for path in folder.glob("*.py")}
    assert {name for name in folders if f"`{name}/`" not in design} == set()
    assert {name for name in files - {"__init__.py"} if f"`{name}`" not in design} == {
        "__main__.py"
    }
