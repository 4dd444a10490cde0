"""
Start processes with a given number of mappings, to measure on.

    python benchmarks/subjects.py MAPPINGS MIB [alternating]

This prints "ready", and runs until its input ends.
"""

from __future__ import annotations

import ctypes
import mmap
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

PAGE = mmap.PAGESIZE


@contextmanager
def subject(mappings: int, mib: int = 0, *, alternating: bool = False) -> Iterator[int]:
    """
    Start a process with many mappings, and end it afterwards.

    Args:
        mappings: how many, about: the program itself adds some.
        mib: size of a further mapping, which is resident, in MiB.
        alternating: split one anonymous area by alternating protections, in place of shared,
            private and anonymous mappings in turn.

    Yields:
        Its pid.
    """
    command = [sys.executable, "-S", __file__, str(mappings), str(mib)]
    command += ["alternating"] * alternating
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None  # noqa: S101  it is a pipe
        assert process.stdin is not None  # noqa: S101
        process.stdout.readline()
        try:
            yield process.pid
        finally:
            process.stdin.close()


def main(mappings: int, mib: int, *, alternating: bool) -> None:
    """Map single pages, and wait."""
    libc = ctypes.CDLL(None, use_errno=True)
    # Not mmap.mmap: it duplicates the descriptor for each mapping.
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    if alternating:
        split_area(libc, mappings)
    else:
        map_in_turn(libc, mappings)
    large = mmap.mmap(-1, max(1, mib) << 20)
    large.write(bytes(mib << 20))
    print("ready", flush=True)
    sys.stdin.read()


def split_area(libc: ctypes.CDLL, mappings: int) -> None:
    """Map one anonymous area, all resident, of which every other page is read-only."""
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    area = libc.mmap(None, mappings * PAGE, mmap.PROT_READ | mmap.PROT_WRITE, flags, -1, 0)
    if area == ctypes.c_void_p(-1).value:
        raise OSError(ctypes.get_errno(), "mmap")
    for number in range(mappings):
        ctypes.c_char.from_address(area + number * PAGE).value = b"x"
    for number in range(0, mappings, 2):
        if libc.mprotect(area + number * PAGE, PAGE, mmap.PROT_READ):
            raise OSError(ctypes.get_errno(), "mprotect")


def map_in_turn(libc: ctypes.CDLL, mappings: int) -> None:
    """Map single pages, shared, private and anonymous in turn, so that the kernel merges none."""
    with tempfile.NamedTemporaryFile() as file:
        file.truncate(2 * (mappings + 1) * PAGE)
        writable = mmap.PROT_READ | mmap.PROT_WRITE
        kinds = (
            (file.fileno(), mmap.MAP_SHARED, mmap.PROT_READ),
            (-1, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, writable),
            (file.fileno(), mmap.MAP_PRIVATE, writable),
        )
        for number in range(mappings):
            descriptor, flags, prot = kinds[number % len(kinds)]
            offset = 0 if descriptor < 0 else 2 * number * PAGE  # not adjacent to the next one's
            address = libc.mmap(None, PAGE, prot, flags, descriptor, offset)
            if address == ctypes.c_void_p(-1).value:
                raise OSError(ctypes.get_errno(), "mmap")
            byte = ctypes.c_char.from_address(address)
            if prot == writable:
                byte.value = b"x"
            else:
                byte.value  # noqa: B018  the read makes the page resident


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), alternating="alternating" in sys.argv)
