"""
Draw the picture of a terminal in the README from what the commands print in a terminal.

    python docs/terminal_picture.py     (requires rich, of the dependency group docs)

The commands read recorded files of docs/guides/recorded, so the output is the same on any machine.
"""

from __future__ import annotations

import fcntl
import html
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

HERE = Path(__file__).parent
PICTURE = HERE / "terminal.svg"
RECORDED = HERE / "guides" / "recorded"
COMMANDS = (
    ("--by", "kind", "--top", "4", "-h", "after.smaps"),
    ("explain", "leak.csv"),
)
ROWS, COLUMNS = 40, 80
CHARACTER_WIDTH = 12.2
"""Of rich's pictures."""


def main() -> None:
    """Draw the picture."""
    PICTURE.write_text(draw(session()), encoding="utf-8")


def session() -> str:
    """Return commands and their output, with escape sequences."""
    return "\n".join(f"$ smapskit {' '.join(words)}\n{run(*words)}" for words in COMMANDS)


def run(*words: str) -> str:
    """Return what smapskit prints in a terminal of 80 columns."""
    master, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    hidden = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR")
    kept = {name: value for name, value in os.environ.items() if name not in hidden}
    process = subprocess.Popen(  # noqa: S603  this Python
        [sys.executable, "-m", "smapskit", *words],
        cwd=RECORDED,
        env={**kept, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"},
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
    )
    os.close(terminal)
    printed = b""
    try:
        while part := os.read(master, 65536):
            printed += part
    except OSError:  # EIO: the last process has closed the terminal
        pass
    os.close(master)
    process.wait()
    return printed.decode().replace("\r\n", "\n")


def draw(text: str) -> str:
    """Draw text with escape sequences as SVG; it loads nothing, and names no special font."""
    from rich.console import Console  # noqa: PLC0415  the tests need the functions above alone
    from rich.terminal_theme import MONOKAI  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=COLUMNS + 1, file=nowhere, force_terminal=True)
        console.print(Text.from_ansi(text), soft_wrap=True)
        picture = console.export_svg(title="smapskit", theme=MONOKAI, unique_id="terminal")
    picture = re.sub(r"\s*@font-face \{.*?\n    \}", "", picture, flags=re.DOTALL)
    return re.sub(r"font-family: [^;]*;", "font-family: monospace;", picture)


def shown_text(picture: str) -> str:
    """Return the lines that a picture shows, without the title and empty lines."""
    rows: dict[float, str] = {}
    pattern = r'<text class="terminal-r\d+" x="([\d.]+)" y="([\d.]+)"[^>]*>(.*?)</text>'
    for x, y, text in re.findall(pattern, picture):
        column = round(float(x) / CHARACTER_WIDTH)
        row = rows.get(float(y), "").ljust(column)
        rows[float(y)] = row + html.unescape(text).replace("\xa0", " ")
    lines = (row.rstrip() for _y, row in sorted(rows.items()))
    return "\n".join(line for line in lines if line)


if __name__ == "__main__":
    main()
