"""The program on a terminal: width, colour, and what it prints into a pipe."""

from __future__ import annotations

import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from support.paths import FIXTURES

import smapskit
from smapskit import Mapping, Snapshot

pytestmark = pytest.mark.slow

fcntl = pytest.importorskip("fcntl")
termios = pytest.importorskip("termios")

NAME = "/home/利用者/" + "とても長い名前" * 12 + "/library.so"
CSI = "\x1b["


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a capture with a long name that has wide characters."""
    file = tmp_path_factory.mktemp("captures") / "smaps"
    mapping = Mapping(start=0x1000, end=0x400000, perms="r--p", pathname=NAME, inode=7, rss=1234)
    file.write_text(smapskit.format_smaps(Snapshot((mapping,))))
    return file


def on_a_terminal(words: list[str], columns: int, **environment: str) -> str:
    """Return what the program writes to a terminal."""
    terminal, program = os.openpty()
    fcntl.ioctl(program, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    variables = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR")}
    command = [sys.executable, "-m", "smapskit", *words]
    variables |= {"TERM": "xterm", "PYTHONUTF8": "1", **environment}
    with subprocess.Popen(command, stdin=program, stdout=program, env=variables) as process:
        os.close(program)
        output = b""
        while True:
            try:
                part = os.read(terminal, 65536)
            except OSError:  # the program has ended
                break
            if not part:
                break
            output += part
    os.close(terminal)
    assert process.returncode == 0
    return output.decode().replace("\r\n", "\n")


def columns_of(line: str) -> int:
    plain = re.sub(r"\x1b\[[0-9]*m", "", line)
    return len(plain) + sum(ord(character) > 0x2E80 for character in plain)


@pytest.mark.parametrize("columns", [80, 120])
def test_tables_fit_the_window(capture: Path, columns: int) -> None:
    for words in (["--by", "pathname", str(capture)], ["diff", os.devnull, str(capture)]):
        lines = on_a_terminal(words, columns).splitlines()
        assert max(map(columns_of, lines)) <= columns
        (row,) = [line for line in lines if "1,234" in line and "total" not in line]
        assert "..." in row
        assert row.endswith(".so")
        assert CSI in "".join(lines)


@pytest.mark.live
@pytest.mark.parametrize("columns", [80, 120])
def test_tables_of_a_process_fit_the_window(tmp_path: Path, columns: int) -> None:
    file = tmp_path / ("とても長い名前" * 8 + ".dat")
    file.write_bytes(b"x" * 40960)
    code = (
        "import mmap, sys\n"
        "with open(sys.argv[1], 'rb') as file:\n"
        "    mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)\n"
        "print(mapped[::4096], flush=True); sys.stdin.read()"
    )
    pipe = subprocess.PIPE
    program = [sys.executable, "-c", code, str(file)]
    with subprocess.Popen(program, stdin=pipe, stdout=pipe) as process:
        assert process.stdout is not None
        process.stdout.readline()
        for words in (["pages"], ["--by", "pathname"]):
            lines = on_a_terminal([*words, str(process.pid)], columns).splitlines()
            assert max(map(columns_of, lines)) <= columns, words
            first, *rows = lines
            assert first.startswith(f"{process.pid}: ")
            (row,) = [line for line in rows if line.endswith(".dat")]
            assert "..." in row
        process.kill()


def test_a_pipe_gets_everything_without_colour(capture: Path) -> None:
    command = [sys.executable, "-m", "smapskit", "--by", "pathname", str(capture)]
    variables = os.environ | {"COLUMNS": "40", "PYTHONUTF8": "1"}
    run = subprocess.run(command, capture_output=True, check=True, env=variables)
    assert NAME in run.stdout.decode()
    assert b"\x1b" not in run.stdout


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_no_colour_where_it_is_not_wanted(capture: Path, variables: dict[str, str]) -> None:
    text = on_a_terminal(["--by", "pathname", str(capture)], 80, **variables)
    assert "\x1b" not in text
    assert "..." in text


def test_pmap_layouts_are_the_same_on_a_terminal_and_in_a_pipe(capture: Path) -> None:
    for words in ([], ["-X"], ["-d"]):
        command = [*words, "-p", str(capture), str(FIXTURES / "bash" / "smaps.txt")]
        variables = os.environ | {"PYTHONUTF8": "1"}
        piped = subprocess.run(
            [sys.executable, "-m", "smapskit", *command],
            capture_output=True,
            check=True,
            env=variables,
        )
        assert on_a_terminal(command, 60) == piped.stdout.decode()


def test_units_of_all_processes() -> None:
    text = on_a_terminal(["--all", "-h", "--top", "1"], 80)
    assert re.search(r"\d[KMG]", text)
    assert " others)" in text
    assert "total kB" not in text
