"""
Measure the CPU time of `smapskit watch` on a terminal.

    python benchmarks/watch.py [--mappings N] [--seconds S] [--columns C --lines L]

A process with many mappings is watched at 1 Hz on a pseudo-terminal, by kind and by mapping. The
CPU time is that of the whole program, of all threads, in user mode and in the kernel, from
/proc/PID/stat, without its start. Run it on an idle machine.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from subjects import subject

START = 4.0
"""Seconds until the screen is drawn and the modules are loaded."""


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has used."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def terminal(command: Sequence[str], columns: int, lines: int) -> Iterator[tuple[int, int]]:
    """Start a program on a terminal; yield its pid and the other end of the terminal."""
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    variables = os.environ | {"TERM": "xterm-256color"}
    with subprocess.Popen(
        command, stdin=slave, stdout=slave, stderr=slave, env=variables, start_new_session=True
    ) as program:
        os.close(slave)
        try:
            yield program.pid, master
        finally:
            program.terminate()
            drain(master, 1.0)
    os.close(master)


def drain(master: int, seconds: float) -> int:
    """Read what a program writes for some time; return the number of bytes."""
    count = 0
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        if select.select([master], [], [], left)[0]:
            try:
                part = os.read(master, 1 << 16)
            except OSError:  # the program has ended
                break
            count += len(part)
    return count


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--mappings", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--columns", type=int, default=160)
    parser.add_argument("--lines", type=int, default=50)
    parser.add_argument("options", nargs="*", help="of watch, after --")
    options = parser.parse_args()
    print(f"{options.columns}x{options.lines}, {options.mappings:,} mappings")
    with subject(options.mappings) as pid:
        for by in ("kind", "mapping"):
            command = [sys.executable, "-m", "smapskit", "watch", "--by", by, *options.options]
            with terminal([*command, str(pid)], options.columns, options.lines) as (watch, master):
                drain(master, START)
                before = cpu_seconds(watch)
                written = drain(master, options.seconds)
                used = cpu_seconds(watch) - before
            share = used / options.seconds
            print(f"by {by:<8} {share:6.2%} of a core, {written / options.seconds:,.0f} bytes/s")


if __name__ == "__main__":
    main()
