"""The private names of the SDK stand in sdk.py alone, so that an upgrade is checked in one file."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from singer_sdk import Stream, Tap
from singer_sdk.helpers._batch import BatchConfig, StorageTarget
from singer_sdk.mapper import CustomStreamMap, PluginMapper

import tap_affiliate_reports
from tap_affiliate_reports import sdk

PACKAGE = Path(tap_affiliate_reports.__file__).parent
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "sdk.py")
CLASSES = (Stream, Tap, PluginMapper, CustomStreamMap, BatchConfig, StorageTarget)


def private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


NAMES = {name for cls in CLASSES for name in dir(cls) if private(name)} | {
    "_input_schema", "_mapper", "_mask", "_metadata", "_schema", "_state_writer", "_stream_maps",
    "_stream_version", "_streams", "_tap",
}  # fmt: skip


def bases(tree: ast.Module) -> Iterator[ast.ClassDef]:
    """Yield the classes that inherit, directly or not, from a class of the SDK."""
    ours = {"SdkStream", "SdkTap", "AffiliateStream", "TableStream"}
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and {
            base.id for base in node.bases if isinstance(base, ast.Name)
        } & (ours | {"Stream", "Tap"}):
            yield node


def used(tree: ast.Module) -> Iterator[str]:
    """Yield the private names that a file takes from the SDK."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("singer_sdk"):
            yield from (part for part in (node.module or "").split(".") if private(part))
            yield from (alias.name for alias in node.names if private(alias.name))
    for owner in bases(tree):
        for node in ast.walk(owner):
            if isinstance(node, ast.FunctionDef) and node.name in NAMES:
                yield node.name
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id == "self"
                and node.attr in NAMES
            ):
                yield node.attr


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_other_file_uses_a_private_name_of_the_sdk(path: Path) -> None:
    assert set(used(ast.parse(path.read_text()))) == set()


def test_every_private_name_in_the_file_exists_in_the_sdk() -> None:
    tree = ast.parse(Path(sdk.__file__).read_text())
    found = {name for name in used(tree) if not name.startswith("_process")}
    assert found >= {"_stream_version", "_sync_records", "_write_record_message", "_mask"}
