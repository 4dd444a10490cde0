"""Which module may import which, and which modules are loaded at start-up."""

from __future__ import annotations

import graphlib
import os
import subprocess
import sys

import pytest
from support import import_graph
from support.paths import PROCESSES
from support.subjects import unmeasured

import smapskit

# The methods of records that return a view load it when they are called.
LATE_IMPORTS = {
    ("model.snapshot", "views.frames"),
    ("model.snapshot", "views.html"),
    ("model.snapshot", "views.plots"),
    ("model.diff", "views.frames"),
    ("model.diff", "views.html"),
    ("model.diff", "views.plots"),
    ("model.snapshot", "sources.report"),
    ("model.diff", "sources.report"),
    ("sources.recording.model", "sources.report"),
    ("model.totals", "views.html"),
    ("model.oom", "views.oom"),
    ("model.pages", "views.page_frames"),
    ("model.pages", "views.page_plots"),
    ("model.residency", "views.page_frames"),
    ("model.residency", "views.page_plots"),
    ("model.page_recording", "views.page_frames"),
    ("model.page_recording", "views.page_plots"),
}
IMPORTS = [
    each
    for each in import_graph.imports()
    if not (each.is_late and (each.importer, each.imported) in LATE_IMPORTS)
]


def test_no_module_imports_itself_through_others() -> None:
    graph: dict[str, set[str]] = {}
    for each in IMPORTS:
        graph.setdefault(each.importer, set()).add(each.imported)
    assert len(graph) > 20
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError


def test_imports_follow_the_order_of_layers() -> None:
    order = {layer: position for position, layer in enumerate(import_graph.LAYERS)}
    wrong = [
        (each.importer, each.imported)
        for each in IMPORTS
        if import_graph.layer_of(each.importer) in order
        and import_graph.layer_of(each.imported) in order
        and order[import_graph.layer_of(each.importer)]
        < order[import_graph.layer_of(each.imported)]
    ]
    assert wrong == []


def test_each_module_belongs_to_a_layer() -> None:
    names = {import_graph.layer_of(name) for name in import_graph.modules()}
    assert names <= {*import_graph.LAYERS, "version", "__main__", "pytest_plugin", ""}


def test_the_list_of_late_imports_is_current() -> None:
    found = {(each.importer, each.imported) for each in import_graph.imports() if each.is_late}
    assert found >= LATE_IMPORTS


@pytest.mark.parametrize(
    "code",
    [
        "import smapskit",
        "import smapskit.cli; smapskit.cli.main(['--short', TEXT])",
        "import smapskit; smapskit.load(TEXT).totals()",
    ],
)
def test_neither_pandas_nor_numpy_is_loaded(code: str) -> None:
    lines = [code.replace("TEXT", repr(str(folder / "smaps.txt"))) for folder in PROCESSES]
    code = "\n".join([*dict.fromkeys(lines), "import sys; print(*sys.modules, file=sys.stderr)"])
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"pandas", "numpy"}.isdisjoint(run.stderr.split())
    assert "smapskit" in run.stderr.split()


@pytest.mark.parametrize(
    "words", [[], ["-X"], ["-d"], ["--by", "backing"], ["--all"], ["--all", "--by", "pathname"]]
)
def test_the_tables_of_live_processes_load_no_more_than_they_need(words: list[str]) -> None:
    operands = [] if "--all" in words else [str(os.getpid())]
    code = f"import sys, smapskit.cli; smapskit.cli.main({[*words, *operands]}); "
    code += "print(*sys.modules, file=sys.stderr)"
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, capture_output=True, text=True, check=True, env=unmeasured())
    loaded = set(run.stderr.split())
    assert {"attr", "datetime", "smapskit.model.mapping"}.isdisjoint(loaded)
    assert "argparse" not in loaded or "--all" in words


def test_every_public_name_can_be_imported() -> None:
    assert all(hasattr(smapskit, name) for name in smapskit.__all__)
    assert set(smapskit.__all__) <= set(dir(smapskit))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        smapskit.nonsense  # noqa: B018
