"""
Run the console blocks of documentation pages, and compare or update their output.

    python tests/support/console.py docs/guides/*.md     write the present output into the pages

A console block has commands after "$ " and, below each, what it prints:

    ```console
    $ python -m smapskit --by kind leak-after.smaps
    Mappings    Size ...
    ```

The commands run in a folder with the recorded files of docs/guides/recorded and the project's
folders docs, examples and tests. Standard error is part of the output.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RECORDED = ROOT / "docs" / "guides" / "recorded"
BLOCK = re.compile(r"(?ms)^```console\n(.*?)^```$")


def run(block: str, folder: Path) -> str:
    """Return a console block with what its commands print now."""
    printed = []
    for command in commands(block):
        ran = subprocess.run(
            ["bash", "-uc", command],
            cwd=folder,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=120,
        )
        printed.append(f"$ {command}\n{ran.stdout}")
    return "".join(printed)


def commands(block: str) -> list[str]:
    """Return the commands of a console block; one may continue after a backslash."""
    joined = re.findall(r"(?m)^\$ ((?:.*\\\n)*.*)$", block)
    if not joined or not block.startswith("$ "):
        raise ValueError(f"expected a console block that begins with '$ ': {block[:40]!r}")
    return joined


def environment() -> dict[str, str]:
    """Return variables with which output does not depend on the terminal."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    hidden = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR")
    kept = {name: value for name, value in os.environ.items() if name not in hidden}
    return {**kept, "PATH": path, "LC_ALL": "C.UTF-8"}


def fill_folder(folder: Path) -> None:
    """Link the folders that commands read, and copy the recorded files, beside which they write."""
    for name in ("docs", "examples", "tests"):
        (folder / name).symlink_to(ROOT / name)
    shutil.copytree(RECORDED, folder, dirs_exist_ok=True)


@contextmanager
def shell_folder() -> Iterator[Path]:
    """Make a folder for the commands of a page."""
    with tempfile.TemporaryDirectory() as name:
        fill_folder(Path(name))
        yield Path(name)


def main() -> None:
    """Update the pages."""
    for page in map(Path, sys.argv[1:]):
        with shell_folder() as folder:
            old = page.read_text(encoding="utf-8")
            new = BLOCK.sub(lambda match: f"```console\n{run(match[1], folder)}```", old)
        if new != old:
            page.write_text(new, encoding="utf-8")
            print(f"{page} was updated")


if __name__ == "__main__":
    main()
