"""The commands by the first argument that names them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from smapskit.cli.common import Parser

COMMANDS: Final = {
    "cgroup": "who uses the memory limit of a cgroup, such as a container",
    "diff": "how mappings changed between two captures or processes",
    "explain": "what is unusual about the memory of a process, and what to do",
    "pages": "which pages of a process or of a file are in memory",
    "plot": "draw a recording",
    "record": "sample a process over time into a file",
    "report": "write one HTML file to attach to a bug report",
    "watch": "memory over time, live, and who grows",
}
"""
What each command does, by its name, which is also that of its module in this package.

The default command, which shows a process or a capture, and the options `--all` and
`--completion` have modules of their own: `show`, `system` and `completion`.
"""
DEFAULT: Final = ""
ALL: Final = "--all"


def build_parsers() -> dict[str, Parser]:
    """Return the parser of each command by its name: `DEFAULT`, `ALL`, and those of `COMMANDS`."""
    modules = {DEFAULT: "show", ALL: "system", **{name: name for name in COMMANDS}}
    return {
        name: importlib.import_module(f"smapskit.cli.{module}").build_parser()
        for name, module in modules.items()
    }
