"""What standard output allows: the style of tables that pmap does not have."""

from __future__ import annotations

import os
import shutil
import sys

from smapskit.views.cells import TableStyle


def terminal_style(*, human: bool = False, top: int | None = None) -> TableStyle:
    """Return how to print a table: cut and in colour only on a terminal."""
    is_terminal = sys.stdout.isatty()
    has_colour = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return TableStyle(
        width=shutil.get_terminal_size().columns if is_terminal else None,
        colour=is_terminal and has_colour,
        human=human,
        top=top,
    )
