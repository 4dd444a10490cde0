"""
Start-up file of the tutorial and the notebooks: display each figure for a dark page as well.

The last expression of a cell that displays a figure is evaluated again in the dark style. The style
sheet of the documentation shows one of the two.
"""

from __future__ import annotations

import ast
import base64
import sys
from pathlib import Path

import matplotlib.style
from IPython.core.getipython import get_ipython
from IPython.core.interactiveshell import ExecutionResult
from IPython.display import HTML, display
from matplotlib.figure import Figure

sys.path.append(str(Path(__file__).parents[3]))
from pictures import DARK  # a script of the documentation

_shell = get_ipython()


def show_dark(result: ExecutionResult) -> None:
    """Display the figure of a cell once more."""
    if not isinstance(result.result, Figure):
        return
    last = ast.parse(result.info.raw_cell).body[-1]
    with matplotlib.style.context(DARK):
        figure = _shell.ev(ast.unparse(last))
        picture, size = figure._repr_png_()  # as IPython calls it
    source = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
    display(HTML(f'<img class="only-dark" alt="" width="{size["width"]}" src="{source}">'))


_shell.events.register("post_run_cell", show_dark)
