"""
A server that forks its workers: run as a program, it forks one for each line of its input.

    prefork.py NAME SHARED_MIB OWN_MIB [FILE]

All processes have the name NAME. The workers inherit SHARED_MIB and write OWN_MIB of their own.
FILE is mapped and read by all of them.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import signal
import sys


def main() -> None:
    """Fork a worker for each line of standard input; print "ready" for each, and at first."""
    name, shared, own, *files = sys.argv[1:]
    ctypes.CDLL(None).prctl(15, name.encode(), 0, 0, 0)  # PR_SET_NAME
    kept = touched(int(shared) << 20)
    for path in files:
        with open(path, "rb") as file:  # noqa: PTH123
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        sum(mapped[at] for at in range(0, len(mapped), mmap.PAGESIZE))
    print("ready", flush=True)
    workers: list[int] = []
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    try:
        for _ in sys.stdin:
            workers.append(fork_worker(int(own) << 20))
            print("ready", flush=True)
    finally:
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    del kept


def fork_worker(size: int) -> int:
    """Fork a worker that has touched `size` bytes; return its pid."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG
        memory = touched(size)
        os.write(writer, b"x")
        signal.pause()
        del memory
    os.close(writer)
    os.read(reader, 1)
    os.close(reader)
    return pid


def touched(size: int) -> mmap.mmap:
    """Return private memory of which every page was written; none of it is a huge page."""
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_NOHUGEPAGE)
    for at in range(0, size, mmap.PAGESIZE):
        memory[at] = 1
    return memory


if __name__ == "__main__":
    main()
