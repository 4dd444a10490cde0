"""Who may import whom, and what a start may load."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import smapskit
from conftest import unmeasured

ROOT = Path(smapskit.__file__).parent
# From the ground up; rooms on one floor do not import each other.
FLOORS = [
    {"errors", "version", "flags", "outfile"},
    {"classify", "texts", "procfs"},
    {"records"},
    {"aggregate"},
    {"snapshot"},
    {"smaps", "pmap"},
    {"frames", "tables", "exports", "notebook", "plots"},
    {"process", "captures"},
    {"recording", "machine", "fleet"},
    {"cli"},
    {"__main__", "__init__"},
]
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
FILES = sorted(ROOT.rglob("*.py"))


def room_of(file: Path) -> str:
    return file.relative_to(ROOT).parts[0].removesuffix(".py")


def imported_rooms(file: Path) -> set[str]:
    rooms = set()
    tree = ast.parse(file.read_text())
    for function in ast.walk(tree):
        # A method may hand on to a room above, which is loaded when it is called.
        if isinstance(function, ast.FunctionDef | ast.If):
            function.body = [node for node in function.body if not _is_late(node)]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            if node.module == "smapskit":
                rooms |= {alias.name for alias in node.names}
            elif node.module and node.module.startswith("smapskit."):
                rooms.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("smapskit."):
                    rooms.add(alias.name.split(".")[1])
    return rooms


LATE = {"frames", "notebook", "plots"}


def _is_late(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and (
        {alias.name for alias in node.names} <= LATE or node.module == "smapskit.frames"
    )


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_run_downward(file: Path) -> None:
    room = room_of(file)
    for other in imported_rooms(file) - {room}:
        assert FLOOR_OF[other] < FLOOR_OF[room], f"{room} imports {other}"


def test_the_table_of_floors_names_every_room() -> None:
    assert {room_of(file) for file in FILES} == set(FLOOR_OF)


@pytest.mark.parametrize(
    "code",
    [
        "import smapskit",
        "import smapskit.cli; smapskit.cli.main(['--short', TEXT])",
        "import smapskit; smapskit.load(TEXT).totals()",
    ],
)
def test_neither_pandas_nor_numpy_is_loaded(code: str, process_folder: Path) -> None:
    path = str(process_folder / "smaps.txt")
    code = code.replace("TEXT", repr(path)) + "\nimport sys; print(*sys.modules, file=sys.stderr)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"pandas", "numpy"}.isdisjoint(run.stderr.split())
    assert "smapskit" in run.stderr.split()


def test_the_quick_table_loads_no_more_than_it_needs() -> None:
    code = "import sys, os, smapskit.cli; smapskit.cli.main([str(os.getpid())]); "
    code += "print(*sys.modules, file=sys.stderr)"
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, capture_output=True, text=True, check=True, env=unmeasured())
    loaded = set(run.stderr.split())
    assert {"attr", "argparse", "datetime", "smapskit.records"}.isdisjoint(loaded)


def test_every_public_name_has_a_home() -> None:
    assert {*smapskit._HOME_OF, "__version__"} == set(smapskit.__all__)
    assert all(hasattr(smapskit, name) for name in smapskit.__all__)
    assert set(smapskit.__all__) <= set(dir(smapskit))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        smapskit.nonsense  # noqa: B018
