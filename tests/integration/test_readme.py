"""The README: its links, and its picture of a terminal."""

from __future__ import annotations

import re
from types import ModuleType

import pytest
from support.paths import ROOT
from support.scripts import load_script

PAGES = ("README.md", "README.ja.md")


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load_script("terminal_picture")


def test_the_picture_shows_what_the_commands_print(script: ModuleType) -> None:
    printed = re.sub(r"\x1b\[[\d;]*[mK]", "", script.session())
    lines = [line.rstrip() for line in printed.splitlines() if line.strip()]
    shown = script.shown_text(script.PICTURE.read_text())
    assert shown.splitlines() == lines, "run python docs/terminal_picture.py"


def test_the_picture_loads_nothing(script: ModuleType) -> None:
    picture = script.PICTURE.read_text()
    assert not re.search(r"url\((?!#)|@import|@font-face|href=|<image|<script", picture)


@pytest.mark.parametrize("page", PAGES)
def test_linked_files_and_sections_exist(page: str) -> None:
    links = re.findall(r"\]\((?![a-z]+:)([^)#]*)(?:#([^)]*))?\)", (ROOT / page).read_text())
    assert links
    for name, section in links:
        path = ROOT / (name or page)
        assert path.exists(), name
        if section:
            assert section in anchors(path.read_text()), f"{name}#{section}"


def anchors(page: str) -> set[str]:
    """Return the anchors of the headings of a page, as GitHub and MyST make them."""
    titles = re.findall(r"(?m)^#+ (.*)$", page)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
