"""`watch` as a program on a terminal: how it begins and ends."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from support.marks import needs_linux, requires
from support.subjects import unmeasured

fcntl = pytest.importorskip("fcntl")
termios = pytest.importorskip("termios")

pytestmark = [needs_linux, pytest.mark.slow]

LEAVES_SCREEN = b"\x1b[?1049l"


class Terminal:
    """A program on a terminal of 80 columns and 24 lines."""

    def __init__(self, process: subprocess.Popen[bytes], master: int) -> None:
        self.process = process
        self.master = master
        self.output = b""

    def read_until(self, text: bytes) -> None:
        """Read until a text has been written, or the program has ended."""
        while text not in self.output:
            try:
                part = os.read(self.master, 1 << 16)
            except OSError:
                break
            self.output += part
        assert text in self.output, self.output[-2000:]

    def finish(self) -> int:
        """Read everything, and return the exit status."""
        while True:
            try:
                part = os.read(self.master, 1 << 16)
            except OSError:  # the program has ended
                return self.process.wait()
            if not part:
                return self.process.wait()
            self.output += part


@contextmanager
def terminal(*words: str, **variables: str) -> Iterator[Terminal]:
    """Start the command on a terminal."""
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    environment = unmeasured() | {"TERM": "xterm-256color", "PYTHONUTF8": "1", **variables}
    with subprocess.Popen(
        [sys.executable, *words], stdin=slave, stdout=slave, stderr=slave, env=environment
    ) as process:
        os.close(slave)
        try:
            yield Terminal(process, master)
        finally:
            process.kill()
    os.close(master)


@requires("textual")
@pytest.mark.parametrize("key", [b"q", b"\x03"], ids=["q", "ctrl-c"])
def test_a_key_ends_it_and_restores_the_terminal(sleeper: int, key: bytes) -> None:
    with terminal("-m", "smapskit", "watch", str(sleeper)) as shown:
        shown.read_until(b"quit")
        os.write(shown.master, key)
        assert shown.finish() == 0
        assert LEAVES_SCREEN in shown.output


@requires("textual")
def test_sigterm_restores_the_terminal(sleeper: int) -> None:
    with terminal("-m", "smapskit", "watch", str(sleeper)) as shown:
        shown.read_until(b"quit")
        shown.process.send_signal(signal.SIGTERM)
        assert shown.finish() == 128 + signal.SIGTERM
        assert LEAVES_SCREEN in shown.output


@requires("textual")
def test_an_error_at_the_first_read_is_one_line() -> None:
    with terminal("-m", "smapskit", "watch", str(2**31 - 1)) as shown:
        assert shown.finish() == 42
        assert shown.output.startswith(b"smapskit: no process 2147483647")
        assert b"\x1b" not in shown.output


def test_what_to_do_without_textual(sleeper: int) -> None:
    code = "import sys; sys.modules['textual'] = None; import smapskit.cli; "
    code += f"sys.exit(smapskit.cli.main(['watch', '{sleeper}']))"
    with terminal("-c", code) as shown:
        assert shown.finish() == 1
    assert b"pip install 'smapskit[watch]'" in shown.output


def test_a_dumb_terminal_gets_lines(sleeper: int) -> None:
    words = ("-m", "smapskit", "watch", "-i", "0.05", "-t", "0.1", str(sleeper))
    with terminal(*words, TERM="dumb") as shown:
        assert shown.finish() == 0
    assert b"RSS " in shown.output
    assert b"\x1b" not in shown.output
