"""What standard output allows: the style of tables that pmap does not have."""

from __future__ import annotations

import os
import sys

from smapskit.views.cells import TableStyle


def terminal_style(*, human: bool = False, top: int | None = None) -> TableStyle:
    """Return how to print a table: cut and in colour only on a terminal."""
    if not sys.stdout.isatty():
        return TableStyle(human=human, top=top)
    import shutil  # noqa: PLC0415  slow to import

    return TableStyle(
        width=shutil.get_terminal_size().columns,
        colour=not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb",
        human=human,
        top=top,
    )
