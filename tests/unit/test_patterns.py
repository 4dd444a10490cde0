"""Regular expressions must match the same on every supported Python."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import smapskit

SOURCES = sorted(Path(smapskit.__file__).parent.rglob("*.py"))
# A closing parenthesis that is not escaped, then a possessive quantifier.
POSSESSIVE_GROUP = re.compile(r"(?<!\\)(?:\\\\)*\)(?:[*+?]|\{[^{}]*\})\+")


def string_constants(source: str) -> str:
    """Join all string constants, so that a pattern built from several parts is seen whole."""
    nodes = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant))
    found = [
        (node.lineno, node.col_offset, value if isinstance(value, str) else value.decode("latin1"))
        for node in nodes
        if isinstance(value := node.value, str | bytes)
    ]
    return "".join(text for _, _, text in sorted(found))


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_no_possessive_quantifier_on_a_group(file: Path) -> None:
    # CPython before 3.11.5 computes wrong matches for them (gh-106052).
    assert not POSSESSIVE_GROUP.findall(string_constants(file.read_text()))


@pytest.mark.parametrize(
    ("source", "is_found"),
    [
        (r'rb"(?:ab)*+"', True),
        (r'rb"(?:ab)" + rb"{2,3}+"', True),
        (r'r"[a)]++|\)++|(ab)+"', False),
    ],
)
def test_possessive_groups_are_recognized(source: str, *, is_found: bool) -> None:
    assert bool(POSSESSIVE_GROUP.search(string_constants(source))) == is_found
