"""The commands by the first argument that names them; each is a module of this package."""

from __future__ import annotations

from typing import Final

COMMANDS: Final = {
    "cgroup": "cgroup",
    "diff": "diff",
    "explain": "explain",
    "pages": "pages",
    "plot": "plot",
    "record": "record",
    "report": "report",
    "--completion": "completion",
}
"""All but the default one, which shows a process or a capture, and `--all`."""
