"""The page about findings has a current section for each rule."""

from __future__ import annotations

import json
import re
from types import ModuleType

import pytest
from support.paths import ROOT
from support.scripts import load_script

from smapskit.analysis.explain import RULES

PAGE = (ROOT / "docs" / "explain.md").read_text()
EXAMPLES = json.loads((ROOT / "docs" / "explain-examples.json").read_text())


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load_script("explain_rules")


def test_each_finding_has_a_section_and_an_example() -> None:
    assert set(re.findall(r"(?m)^### ([a-z-]+)$", PAGE)) == set(RULES)
    assert set(EXAMPLES) == set(RULES)
    for id_, example in EXAMPLES.items():
        assert f"   Id          {id_} (" in example


def test_the_page_is_current(script: ModuleType) -> None:
    assert script.page(PAGE, EXAMPLES) == PAGE, "run python docs/explain_rules.py"


@pytest.mark.parametrize("id_", RULES)
def test_examples_have_the_texts_of_the_declaration(id_: str) -> None:
    # Wrapped lines are joined again, with the pid in place of PID.
    rule, example = RULES[id_], " ".join(EXAMPLES[id_].split())
    advice = re.escape(rule.advice).replace("PID", r"\w+")
    assert re.search(advice, example), "run python docs/explain_rules.py --run"
    assert rule.disproof.removeprefix("Nothing: ") in example
    assert rule.meaning in example
