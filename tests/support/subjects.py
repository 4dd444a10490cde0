"""Processes that tests start, stop and read."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from support.paths import FIXTURES

Start = Callable[..., subprocess.Popen[str]]
"""The type of the fixture `start`."""

ALL_MAPPING_KINDS = FIXTURES / "all_mapping_kinds.py"
"""A program with mappings of every kind."""

MANY = """
import ctypes, signal, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
pages = int(sys.argv[1])
area = libc.mmap(None, pages * 4096, 3, 0x22, -1, 0)
for page in range(0, pages, 2):
    assert libc.mprotect(area + page * 4096, 4096, 1) == 0
print("ready", flush=True)
signal.pause()
"""
"""A program with as many mappings as its argument says."""

MAPPER = """
import mmap, os, sys
areas = []
for path in map(os.fsencode, sys.argv[1:]):
    with open(path, "w+b") as file:
        file.truncate(8192)
        areas.append(mmap.mmap(file.fileno(), 8192))
    areas[-1][0] = 1
print("ready", flush=True)
sys.stdin.read()
"""
"""A program that creates and maps the files in its arguments."""


def unmeasured() -> dict[str, str]:
    """Return the environment for a process in which coverage is not measured."""
    return {name: text for name, text in os.environ.items() if not name.startswith("COVERAGE")}


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[int]:
    """Stop a process with SIGSTOP, so that it does not change while it is read."""
    os.kill(pid, signal.SIGSTOP)
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        assert time.monotonic() < deadline
        time.sleep(0.01)
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGCONT)
