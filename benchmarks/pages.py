"""
Measure what a sample of pages costs for 1 GiB in memory.

    pip install . --group benchmark
    python benchmarks/pages.py [--mib MIB]

The functions are timed in turns, as in measure.py. The bare reads are the lower bounds: one call of
PAGEMAP_SCAN for all mappings, and kpageflags of each page in groups of neighbouring frames.
"""

from __future__ import annotations

import argparse
import mmap
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from statistics import median
from typing import Any

import numpy as np
from measure import time_in_turns

import smapskit
from smapskit.sources.pages.frames import FILES, read_numbers
from smapskit.sources.pages.pagemap import PAGE_SIZE, PageMap

ROUNDS = 11
KINDS = ("a file", "a file, every second page", "anonymous")
TARGETS = {"states": 10, "states and lists": 60}
"""Milliseconds of a sample for 1 GiB of a mapped file, on an idle machine."""


def fill(kind: str, path: str, mib: int) -> None:
    """Map memory, touch its pages and wait."""
    size = mib << 20
    if kind == "anonymous":
        area = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        area.madvise(mmap.MADV_NOHUGEPAGE)
        for at in range(0, size, PAGE_SIZE):
            area[at] = 1
    else:
        with open(path, "r+b") as file:  # noqa: PTH123
            area = mmap.mmap(file.fileno(), size)
        step = PAGE_SIZE
        if kind != "a file":
            step *= 2
            area.madvise(mmap.MADV_RANDOM)  # no read-ahead
        for at in range(0, size, step):
            area[at]
    print("ready", flush=True)
    sys.stdin.read()


@contextmanager
def subject(kind: str, mib: int) -> Iterator[int]:
    """Start a process with pages in memory, and end it afterwards."""
    with tempfile.NamedTemporaryFile() as file:
        file.truncate(mib << 20)
        command = [sys.executable, __file__, "--fill", kind, file.name, "--mib", str(mib)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None  # noqa: S101  it is a pipe
            assert process.stdin is not None  # noqa: S101
            process.stdout.readline()
            try:
                yield process.pid
            finally:
                process.stdin.close()


def functions(pid: int) -> dict[str, Callable[[], Any]]:
    """Return what is timed, by name."""
    pages = smapskit.read_pages(pid, frames=())
    last = max(each.end for each in pages.ranges if each.is_reported)
    pagemap = PageMap(pid)
    found: dict[str, Callable[[], Any]] = {
        "bare PAGEMAP_SCAN": partial(pagemap.scan, 0, last),
        "states": partial(smapskit.read_pages, pid, exclusive=False),
        "states and exclusive": partial(smapskit.read_pages, pid),
        "states from pagemap": partial(smapskit.read_pages, pid, exclusive=False, method="pagemap"),
    }
    if pages.frames is not None and len(pages.frames.pfns):
        pfns = pages.frames.pfns
        order = np.argsort(pfns, kind="stable")
        found |= {
            "bare kpageflags": partial(read_numbers, FILES["flags"], pfns, order, "/proc"),
            "states and lists": partial(
                smapskit.read_pages, pid, exclusive=False, frames=("flags",)
            ),
            "everything": partial(smapskit.read_pages, pid, frames=True),
        }
    sampler = smapskit.PageSampler(pid)
    found["a sample of record_pages"] = lambda: sampler.keep(sampler.read())
    return found


def main() -> None:
    """Print a table for each kind of memory."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[1])
    parser.add_argument("--mib", type=int, default=1024, help="memory to fill (default: 1024)")
    parser.add_argument("--fill", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.fill:
        fill(options.fill[0], options.fill[1], options.mib)
        return
    for kind in KINDS:
        with subject(kind, options.mib) as pid:
            times = time_in_turns(functions(pid), ROUNDS).times
        print(f"### {options.mib} MiB of {kind}\n")
        print("| | median (ms) | least (ms) | target (ms) |\n|---|---|---|---|")
        for name, seconds in times.items():
            middle, least = 1000 * median(seconds), 1000 * min(seconds)
            target = TARGETS.get(name, "") if kind == KINDS[0] else ""
            print(f"| {name} | {middle:.1f} | {least:.1f} | {target} |")
        print()


if __name__ == "__main__":
    main()
