"""
Sphinx extension: a directive `run`, which shows a command with its output.

The body is one command, which is run in the folder of the checkout when the documentation is built.
An exit status other than that of the option `returncode` (0) is a warning, which fails the build.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinxcontrib.programoutput import ProgramOutputDirective


class Run(ProgramOutputDirective):  # type: ignore[misc]
    """Show the command of the body with its output."""

    required_arguments = 0
    has_content = True

    def run(self) -> list[nodes.Node]:
        """Run the command in the folder above that of the documentation."""
        self.arguments = ["\n".join(self.content)]
        self.options = {"language": "console", "cwd": "/..", "prompt": None, **self.options}
        found: list[nodes.Node] = super().run()
        return found


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive; commands find the Python that builds the documentation."""
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    app.setup_extension("sphinxcontrib.programoutput")
    app.add_directive("run", Run)
    return {"parallel_read_safe": True}
