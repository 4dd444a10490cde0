"""
Measure how long looking at a process stops it.

A child process touches memory in pages of 4 KiB, then maps and unmaps 1 MiB in a loop and notes
its longest iteration. Meanwhile this program reads files of /proc/PID, and then records the
child with and without a budget. Run it on an idle machine:

    python benchmarks/pauses.py --gib 4 --seconds 30
"""

from __future__ import annotations

import argparse
import mmap
import os
import platform
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import smapskit
from smapskit.sources.pages.read import read_pages

CHILD = """
import mmap, struct, sys, time
with open(sys.argv[1], "r+b") as file:
    shared = mmap.mmap(file.fileno(), 4096)
kept = mmap.mmap(-1, int(sys.argv[2]), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
kept.madvise(mmap.MADV_NOHUGEPAGE)
for offset in range(0, len(kept), mmap.PAGESIZE):
    kept[offset] = 1
pack, clock = struct.pack_into, time.monotonic_ns
longest = count = stopped = 0
pack("q", shared, 32, 1)
while True:
    begin = clock()
    mapped = mmap.mmap(-1, 1 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for offset in range(0, 1 << 16, mmap.PAGESIZE):
        mapped[offset] = 1
    mapped.close()
    time_taken = clock() - begin
    if shared[24]:
        longest = count = stopped = 0
        shared[24] = 0
        continue
    count += 1
    longest = max(longest, time_taken)
    if time_taken > 25_000_000:
        stopped += time_taken
    pack("qqq", shared, 0, longest, count, stopped)
"""
"""Arguments: a file of 4 KiB for the results, and the bytes to touch."""


class Child:
    """The observed process, and what it measured since `reset`."""

    def __init__(self, shared: mmap.mmap, pid: int) -> None:
        self.pid = pid
        self._shared = shared
        self._begin = 0.0

    def reset(self) -> None:
        """Begin a measurement."""
        self._shared[24] = 1
        while self._shared[24]:
            time.sleep(0.001)
        self._begin = time.monotonic()

    def result(self) -> tuple[float, float, float]:
        """Return the longest pause in ms, iterations per second, and the part of time stopped."""
        time.sleep(0.3)  # the end of a pause that has begun
        longest, count, stopped = struct.unpack_from("qqq", self._shared, 0)
        seconds = time.monotonic() - self._begin
        return longest / 1e6, count / seconds, stopped / 1e9 / seconds


@contextmanager
def child_of(size: int) -> Iterator[Child]:
    """Start a child that has touched `size` bytes."""
    with tempfile.NamedTemporaryFile() as file:
        file.truncate(4096)
        shared = mmap.mmap(file.fileno(), 4096)
        with subprocess.Popen([sys.executable, "-c", CHILD, file.name, str(size)]) as process:
            try:
                while not shared[32]:
                    if process.poll() is not None:
                        raise SystemExit("the child ended: not enough memory?")
                    time.sleep(0.05)
                yield Child(shared, process.pid)
            finally:
                process.kill()


def read_file(pid: int, name: str) -> None:
    """Read a file of a process to its end, without parsing it."""
    with Path(f"/proc/{pid}/{name}").open("rb", buffering=0) as file:
        while file.read(1 << 16):
            pass


def measure_reads(child: Child, read: Callable[[], object], times: int) -> str:
    """Return cells of the table: time of a read, median and longest pause of the child."""
    taken, pauses = [], []
    for _ in range(times):
        child.reset()
        begin = time.monotonic()
        read()
        taken.append(time.monotonic() - begin)
        pauses.append(child.result()[0])
    median = statistics.median(pauses)
    return f"{statistics.median(taken) * 1e3:.2f} ms | {median:.0f} ms | {max(pauses):.0f} ms"


def measure_recording(child: Child, interval: float, seconds: float, budget: float | None) -> str:
    """Return cells of the table of a recording."""
    child.reset()
    recording = smapskit.record(child.pid, interval, seconds, budget=budget)
    longest, per_second, stopped = child.result()
    samples = recording.samples
    share = sum(row.read_seconds for row in samples) / max(seconds, samples[-1].seconds)
    sources = Counter(row.source for row in samples)
    rows = ", ".join(f"{count} {name}" for name, count in sources.items())
    return f"{rows} | {share:.2%} | {longest:.0f} ms | {stopped:.2%} | {per_second:,.0f}"


def main() -> None:
    """Print both tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gib", type=float, default=4, help="memory of the child (default: 4)")
    parser.add_argument("--times", type=int, default=40, help="reads of each file (default: 40)")
    parser.add_argument("--seconds", type=float, default=30, help="of a recording (default: 30)")
    parser.add_argument("--interval", type=float, default=1, help="between samples (default: 1)")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    print(f"Linux {platform.release()}, {os.cpu_count()} CPUs, load {load:.1f}, ", end="")
    print(f"{options.gib:g} GiB in pages of {mmap.PAGESIZE // 1024} KiB\n")
    with child_of(int(options.gib * (1 << 30))) as child:
        pid = child.pid
        reads: dict[str, Callable[[], object]] = {
            "nothing": lambda: None,
            **{
                name: lambda name=name: read_file(pid, name)  # type: ignore[misc]
                for name in ("status", "maps", "smaps", "smaps_rollup")
            },
            "pages (PAGEMAP_SCAN)": lambda: read_pages(pid),
        }
        print(
            "| Read | Time of a read | Pause (median) | Longest pause |\n| --- | --- | --- | --- |"
        )
        for name, read in reads.items():
            print(f"| {name} | {measure_reads(child, read, options.times)} |", flush=True)
        print("\n| Recording | Samples | Reading | Longest pause | Stopped | Iterations/s |")
        print("| --- | --- | --- | --- | --- | --- |")
        child.reset()
        time.sleep(min(options.seconds, 10))
        longest, per_second, stopped = child.result()
        print(f"| none | - | - | {longest:.0f} ms | {stopped:.2%} | {per_second:,.0f} |")
        for budget in (None, 0.01):
            name = "without a budget" if budget is None else f"budget {budget:.0%}"
            cells = measure_recording(child, options.interval, options.seconds, budget)
            print(f"| {name} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
