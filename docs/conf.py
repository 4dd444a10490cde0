"""The documentation's build; the tables come from the code they describe."""

from __future__ import annotations

import os
from pathlib import Path

from sphinx.application import Sphinx

import smapskit
from smapskit.cli import diff as difference
from smapskit.cli import record as series
from smapskit.cli import show
from smapskit.cli import system as machine
from smapskit.formats.pmap.dialects import DIALECTS
from smapskit.model.backing import NAME_RULES
from smapskit.model.mapping import KernelField, Mapping, Rollup, kernel_fields
from smapskit.model.vmflags import VM_FLAGS

project = "smapskit"
author = "The smapskit maintainers"
release = version = smapskit.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
man_pages = [("cli", "smapskit", "what the memory of a process is made of", author, 1)]
html_theme = "furo"
html_title = f"smapskit {version}"
today = " "
exclude_patterns = ["_build", "generated", "speed-results.md"]
html_extra_path = ["schema.json"]
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
nitpicky = False
napoleon_google_docstring = True


def _table(headings: list[str], rows: list[list[str]]) -> str:
    cells = [[cell.replace("|", r"\|") for cell in row] for row in rows]
    lines = [headings, ["---"] * len(headings), *cells]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _code(text: str) -> str:
    return f"`{text}`"


def _fields() -> str:
    known = kernel_fields(Mapping) | kernel_fields(Rollup)

    def row(field: KernelField) -> list[str]:
        return [
            _code(field.kernel_name),
            _code(field.attribute),
            field.unit or "a number",
            field.since,
            field.meaning,
        ]

    headings = ["smaps", "attribute", "unit", "since kernel", "meaning"]
    return _table(headings, [row(field) for field in known.values()])


def _names() -> str:
    rows = [
        [", ".join(map(_code, rule.example.split(", "))), _code(rule.backing.name), rule.why]
        for rule in NAME_RULES
    ]
    return _table(["name", "backing", "what it is"], rows)


def _dialects() -> str:
    rows = [
        [dialect.name, _code(" ".join(dialect.headings)) if dialect.headings else "none"]
        for dialect in DIALECTS
    ]
    return _table(["dialect", "header line"], rows)


def _flags() -> str:
    return _table(["code", "meaning"], [[_code(code), why] for code, why in VM_FLAGS.items()])


def _help() -> str:
    """What each command says of itself, for a page of any width."""
    os.environ["COLUMNS"] = "80"
    parsers = {
        "Tables, groups, JSON, CSV": show.parser(),
        "The whole machine": machine.parser(),
        "Differences": difference.parser(),
        "Recording": series.record_parser(),
        "Plots": series.plot_parser(),
    }
    return "\n".join(
        f"## {title}\n\n```text\n{parser.format_help()}```\n" for title, parser in parsers.items()
    )


def _generate(_app: Sphinx) -> None:
    folder = Path(__file__).parent / "generated"
    folder.mkdir(exist_ok=True)
    pages = {
        "fields": _fields(),
        "names": _names(),
        "dialects": _dialects(),
        "flags": _flags(),
        "help": _help(),
    }
    for name, text in pages.items():
        (folder / f"{name}.md").write_text(text)


def setup(app: Sphinx) -> None:
    app.connect("builder-inited", _generate)
