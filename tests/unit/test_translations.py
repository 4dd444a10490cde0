"""The Japanese pages follow the English ones."""

from __future__ import annotations

from types import ModuleType

import pytest
from support.scripts import load_script

ENGLISH = "# Title\n\nText.\n\n```sh\n# not a heading\nrun\n```\n\n## Second\n\nMore.\n"
JAPANESE = "# 題名\n\n文。\n\n```sh\n# not a heading\nrun\n```\n\n## 二番目\n\n続き。\n"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load_script("translations")


def test_the_pages_are_up_to_date(script: ModuleType) -> None:
    assert len(script.PAGES) == 2
    for english, japanese in script.PAGES.items():
        found = script.problems(english.read_text(), japanese.read_text())
        assert not found, "translate, then run python docs/translations.py --accept"


def test_a_change_of_the_english_names_the_section(script: ModuleType) -> None:
    page = script.accept(ENGLISH, JAPANESE)
    assert script.problems(ENGLISH, page) == []
    assert script.problems(ENGLISH.replace("Text.\n", "Text\n."), page) != []
    assert script.problems(ENGLISH.replace("More.", "Less."), page) == ["out of date: 'Second'"]
    assert script.accept(ENGLISH, page) == page


def test_a_new_section_is_named(script: ModuleType) -> None:
    page = script.accept(ENGLISH, JAPANESE)
    (problem,) = script.problems(ENGLISH + "\n## Third\n\nNew.\n", page)
    assert "expected 3 sections, got 2" in problem
    assert "'Third'" in problem


def test_code_blocks_are_those_of_the_english_page(script: ModuleType) -> None:
    page = script.accept(ENGLISH, JAPANESE.replace("run\n", "walk\n"))
    (problem,) = script.problems(ENGLISH, page)
    assert problem == "the code blocks differ from the English ones: 'Title'"
