"""The sections of the man page that are made from the option parsers."""

from __future__ import annotations

import re
import runpy

from support.paths import ROOT

from smapskit.cli.commands import COMMANDS, build_parsers
from smapskit.cli.completion import arguments

SCRIPT = runpy.run_path(str(ROOT / "docs" / "command_line.py"))


def test_every_option_and_example_is_in_the_page() -> None:
    sections = SCRIPT["sections"]()
    for name, parser in build_parsers().items():
        part = sections["options"].partition(f"### smapskit {name}")[2].partition("\n### ")[0]
        terms = {
            term.partition(" ")[0]
            for line in part.splitlines()
            if line.startswith("`")
            for term in re.findall("`([^`]+)`", line)
        }
        assert {option for each in arguments(parser) for option in each.names} <= terms
        for line, text in parser.examples:
            assert f"`{line}`\n: " in sections["examples"]
            assert text.split()[0] in sections["examples"]
    for name in COMMANDS:
        assert f"`smapskit {name}`\n: " in sections["commands"]
        assert f"smapskit {name} " in sections["synopsis"]


def test_options_and_quoted_words_are_code() -> None:
    text = SCRIPT["_markdown"]("of --when 'rss > 8%' (see docs/a.json, ~/.pmaprc) [x] it's *")
    assert text == ("of `--when` `rss > 8%` (see `docs/a.json`, `~/.pmaprc`) \\[x\\] it's \\*")


def test_the_page_includes_all_sections() -> None:
    page = (ROOT / "docs" / "cli.md").read_text()
    for name in SCRIPT["sections"]():
        assert f"generated/{name}.md" in page
    titles = ("Synopsis", "Options", "Examples", "Exit status", "Environment", "Files", "See also")
    for title in titles:
        assert f"\n## {title}\n" in page
