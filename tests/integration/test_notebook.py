from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support.marks import requires
from support.paths import ROOT

EXAMPLES = ROOT / "examples"

# In a separate process, since Jupyter issues warnings.
EXECUTE = """
import sys, nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], as_version=4)
NotebookClient(notebook, timeout=120, resources={"metadata": {"path": sys.argv[3]}}).execute()
nbformat.write(notebook, sys.argv[2])
"""


@pytest.mark.slow
@requires("nbclient", "nbformat", "ipykernel", "matplotlib")
@pytest.mark.skipif(sys.platform != "linux", reason="reads live processes")
@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.ipynb")), ids=lambda path: path.name)
def test_a_notebook_runs_from_beginning_to_end(path: Path, tmp_path: Path) -> None:
    import nbformat  # noqa: PLC0415  optional

    out = tmp_path / path.name
    command = [sys.executable, "-c", EXECUTE, str(path), str(out), str(EXAMPLES)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    cells = [cell for cell in nbformat.read(out, as_version=4).cells if cell.cell_type == "code"]
    shown = [set(output.data) for cell in cells for output in cell.outputs if "data" in output]
    assert sum("image/png" in kinds for kinds in shown) >= 2
    assert sum("text/html" in kinds for kinds in shown) >= 4
