"""Every WARNING and every error is in docs/troubleshooting.md by its text, with what to do."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import tap_affiliate_reports
from tap_affiliate_reports import errors

PACKAGE = Path(tap_affiliate_reports.__file__).parent
PAGE = Path(__file__).parents[1] / "docs" / "troubleshooting.md"
FILES = [
    path
    for path in sorted(PACKAGE.rglob("*.py"))
    if "sandbox" not in path.relative_to(PACKAGE).parts
]
ERRORS = {name for name in vars(errors) if name[0].isupper()} | {"MapError"}
# Parts of a longer message, which has the text that a user looks for.
LEAST = 12
LEAST_RETURNED = 50
# A mistake of the tap's own, which a user can only report.
INTERNAL = "internal error"


def texts(node: ast.expr | None, known: dict[str, ast.expr]) -> Iterator[str]:
    """Yield the fixed texts of an expression, with NUL in place of what varies."""
    match node:
        case ast.Constant(value=str(text)):
            yield re.sub(r"%[-+ #0-9.]*[sdrgf]", "\0", text)
        case ast.JoinedStr(values=values):
            parts = (
                v.value if isinstance(v, ast.Constant) and isinstance(v.value, str) else "\0"
                for v in values
            )
            yield "".join(parts)
        case ast.Name(id=name) if name in known:
            yield from texts(known[name], {})
        case ast.BinOp(left=left, right=right):
            yield from texts(left, known)
            if isinstance(node.op, ast.Add):
                yield from texts(right, known)
        case ast.IfExp(body=body, orelse=orelse):
            yield from texts(body, known)
            yield from texts(orelse, known)


def assigned(tree: ast.AST) -> dict[str, ast.expr]:
    """Return the last value of each name that is assigned directly."""
    return {
        target.id: node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def shown(node: ast.AST) -> Iterator[ast.expr | None]:
    """Yield the expressions of a statement that are shown to a user."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        is_log = ast.unparse(node.func.value).endswith("logger")
        if is_log and node.func.attr in {"warning", "error"}:
            yield node.args[0]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ERRORS:
        yield node.args[0] if node.args else None
    if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in {"msg", "line"}:
        yield node.value
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "_refuse":
        yield node.args[1]
    if isinstance(node, ast.Return) and isinstance(node.value, ast.BinOp):
        yield node.value.left if isinstance(node.value.left, ast.Name) else None
    # Rules of settings yield their lines; a text that is returned becomes a message.
    if isinstance(node, ast.Yield | ast.Return) and isinstance(node.value, ast.JoinedStr):
        yield node.value if len(ast.unparse(node.value)) > LEAST_RETURNED else None


def messages() -> Iterator[tuple[str, str]]:
    """Yield the file and the longest fixed part of every message."""
    for path in FILES:
        tree = ast.parse(path.read_text())
        known = assigned(tree)
        for node in ast.walk(tree):
            for expression in shown(node):
                for text in texts(expression, known):
                    longest = max(text.split("\0"), key=len).strip(" :;,.()'\"")
                    if len(longest) >= LEAST and INTERNAL not in text:
                        yield str(path.relative_to(PACKAGE)), " ".join(longest.split())


def package_texts() -> Iterator[str]:
    """Yield the fixed texts of all strings of the package but its docstrings."""
    for path in FILES:
        tree = ast.parse(path.read_text())
        skipped = {
            id(inner)
            for node in ast.walk(tree)
            if isinstance(node, ast.Expr | ast.JoinedStr)
            # A docstring is no message, and the parts of an f-string are yielded with it.
            for inner in ast.iter_child_nodes(node)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant | ast.JoinedStr) and id(node) not in skipped:
                yield from (" ".join(text.split()) for text in texts(node, {}))


def quoted_messages() -> Iterator[str]:
    """Yield the messages of the page: its headings of code, and the lines of its code blocks."""
    is_block = False
    for line in PAGE.read_text().splitlines():
        if line.startswith("```"):
            is_block = not is_block
        elif is_block:
            yield line
        elif heading := re.fullmatch(r"### (`+)(.+)\1", line):
            yield heading[2]


MESSAGES = sorted(set(messages()))


def test_the_messages_of_the_package_are_found() -> None:
    found = {text for _, text in MESSAGES}
    assert len(found) > 100
    for part in (
        "Finished ones are saved",
        "rerun of job",
        "is not an IANA time zone",
        "Set TMPDIR",
    ):
        assert any(part in text for text in found), part


@pytest.mark.parametrize(("file", "text"), MESSAGES)
def test_a_message_is_in_the_page(file: str, text: str) -> None:
    page = " ".join(PAGE.read_text().replace("\\|", "|").split())
    assert text in page, f"docs/troubleshooting.md has no entry for this message of {file}"


def test_the_page_has_no_message_that_the_package_lacks() -> None:
    known = [text for _, text in MESSAGES] + list(package_texts())
    everything = "\n".join(known)
    # A quoted message may be joined from several texts, so one of them in it is enough.
    parts = {part.strip() for text in known for part in text.split("\0")}
    phrases = [part for part in parts if len(part) >= LEAST and " " in part]
    quoted = list(quoted_messages())
    assert len(quoted) > 100
    for message in quoted:
        fixed = max(re.split(r"<[^<>]+>", message), key=len).strip(" :;,.()'\"")
        is_said = fixed in everything or any(phrase in message for phrase in phrases)
        assert is_said, f"docs/troubleshooting.md quotes what the package does not say: {message}"
