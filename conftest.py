"""Every block of code in the documentation and the docstrings is run as a test."""

import importlib.util
import subprocess
import tempfile
from difflib import unified_diff
from doctest import ELLIPSIS, NORMALIZE_WHITESPACE
from pathlib import Path
from typing import Any

from support import console
from sybil import Example, Sybil
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser, SkipParser
from sybil.parsers.rest import DocTestParser

_OPTIONS = ELLIPSIS | NORMALIZE_WHITESPACE


def _is_any_missing(*packages: str) -> bool:
    """Whether a block of a page that requires these packages is to be skipped."""
    return any(importlib.util.find_spec(package) is None for package in packages)


def _make_folder(namespace: dict[str, Any]) -> None:
    folder = tempfile.TemporaryDirectory()
    console.fill_folder(Path(folder.name))
    namespace["shell's folder"] = folder
    namespace["missing"] = _is_any_missing


def _remove_folder(namespace: dict[str, Any]) -> None:
    namespace["shell's folder"].cleanup()


def _run_in_a_shell(example: Example) -> None:
    """Commands of a page, in a folder of its own that shows the project's."""
    folder = example.namespace["shell's folder"]
    command = ["bash", "-euo", "pipefail", "-c", str(example.parsed)]
    ran = subprocess.run(
        command,
        cwd=folder.name,
        env=console.environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def _compare_output(example: Example) -> str | None:
    """Compare a console block with what its commands print now."""
    expected = str(example.parsed)
    printed = console.run(expected, Path(example.namespace["shell's folder"].name))
    if printed == expected:
        return None
    page = Path(example.path).name
    changes = "".join(unified_diff(expected.splitlines(True), printed.splitlines(True), page))
    return f"{changes}\nif this is right: python tests/support/console.py {example.path}"


_PAGES = Sybil(
    parsers=[
        PythonCodeBlockParser(doctest_optionflags=_OPTIONS),
        CodeBlockParser("sh", _run_in_a_shell),
        CodeBlockParser("console", _compare_output),
        SkipParser(),
    ],
    patterns=["README.md", "docs/**/*.md", "docs/*.md"],
    excludes=["**/*.ja.md"],  # their blocks are those of the English pages, which a test checks
    setup=_make_folder,
    teardown=_remove_folder,
)
_DOCSTRINGS = Sybil(parsers=[DocTestParser(_OPTIONS)], patterns=["src/**/*.py"])

pytest_collect_file = (_PAGES + _DOCSTRINGS).pytest()
