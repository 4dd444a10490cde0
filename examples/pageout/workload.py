"""
Map a file, read all of it, then allocate in steps: the program that runs in the memory cgroup.

Its argument is the plan as JSON. It prints a line of JSON at the beginning of each phase and
after each step, with the time of the monotonic clock. After the phase "ready" it waits for a
line on standard input.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import random
import resource
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

PAGE = mmap.PAGESIZE
_PR_SET_PDEATHSIG = 1
_MCL_CURRENT = 1
_LIBC = ctypes.CDLL(None, use_errno=True)
_NS = 10**9
_HOT_INTERVAL = 0.1
"""Seconds between two touches of the hot region; touching it again is stopped after as long."""

_READ_ALL = {"sequential", "random", "reread", "hot"}
"""The patterns that read more than the limit."""
_BEFORE_READING = {"SEQUENTIAL": 2, "RANDOM": 1}
_AFTER_READING = {"COLD": 20, "PAGEOUT": 21, "DONTNEED": 4}
_WILLNEED = 3
"""Numbers of madvise(2); Python does not name all of them."""
_READ_AHEAD = 32
"""Pages for which WILLNEED is advised at once: the kernel ignores what exceeds its read-ahead."""


def main(plan: dict[str, Any]) -> None:
    """Execute the phases of a plan."""
    protect_system(plan)
    protection = mmap.PROT_READ | (mmap.PROT_WRITE if plan["writes"] else 0)
    with mmap.mmap(plan["fd"], plan["file_size"], mmap.MAP_SHARED, protection) as file:
        workload = Workload(plan, file)
        report(phase="ready")
        sys.stdin.readline()
        report(phase="reading")
        workload.read()
        report(phase="holding")
        workload.wait(plan["hold"])
        report(phase="allocating")
        workload.allocate()
    report(phase="stopped")


def protect_system(plan: dict[str, Any]) -> None:
    """Limit the damage to this process, whatever happens."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != plan["parent"]:
        sys.exit("the process that started this one has ended")
    if f"/{plan['group']}\n" not in Path("/proc/self/cgroup").read_text():
        sys.exit(f"expected to be in the memory cgroup {plan['group']}: nothing was mapped")
    Path("/proc/self/oom_score_adj").write_text("1000")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    address_space = 2 * plan["limit"] + plan["file_size"] + (1 << 30)
    resource.setrlimit(resource.RLIMIT_AS, (address_space, address_space))
    # Without this, paging of the interpreter's own pages adds half a minute at the end.
    if _LIBC.mlockall(_MCL_CURRENT) != 0:
        report(note=f"mlockall: {os.strerror(ctypes.get_errno())}; the end may take longer")


class Workload:
    """The mapped file, and what is done with it."""

    def __init__(self, plan: dict[str, Any], file: mmap.mmap) -> None:
        self._plan = plan
        self._file = file
        self._pages = plan["file_size"] // PAGE
        self._last_touch, self._at_allocation = _open_table(plan["table"], self._pages)
        self._access = self._read_by_syscall if plan["pattern"] == "twice" else file.__getitem__
        self._random = random.Random(plan["seed"])  # noqa: S311
        self._hot = range(0)
        self._hot_due = 0.0
        self._deadline = 0.0
        self._bytes_read = 0
        self._is_at_limit = plan["pattern"] not in _READ_ALL

    def read(self) -> None:
        """Access the file as the pattern requires, at most for `read_timeout` seconds."""
        self._deadline = time.monotonic() + self._plan["read_timeout"]
        patterns: dict[str, Callable[[], None]] = {
            "random": self._read_at_random,
            "hot": self._read_with_hot_region,
            "shuffled": self._read_and_shuffle,
            "twice": self._read_twice,
            "advice": self._read_with_advice,
            "dirty": self._read_and_write,
        }
        patterns.get(self._plan["pattern"], self._read_in_order)()

    def wait(self, seconds: float) -> None:
        """Sleep; touch the hot region, if there is one, ten times a second."""
        end = time.monotonic() + seconds
        while self._hot:
            now = time.monotonic()
            if now >= self._hot_due:
                # At the end its pages evict each other: only the time limits it.
                self._touch(self._hot, now + _HOT_INTERVAL)
                self._hot_due = now + _HOT_INTERVAL
            if self._hot_due >= end:
                break
            time.sleep(max(0.0, self._hot_due - time.monotonic()))
        time.sleep(max(0.0, end - time.monotonic()))

    def allocate(self) -> None:
        """Allocate and write one step at a time, until the kernel kills or the plan ends."""
        plan = self._plan
        blocks: list[mmap.mmap] = []
        self._at_allocation[:] = self._last_touch[:]
        while len(blocks) * plan["step"] < plan["stop"]:
            block = mmap.mmap(-1, plan["step"], mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            for offset in range(0, plan["step"], PAGE):
                block[offset] = 1
            blocks.append(block)
            report(allocated=len(blocks) * plan["step"])
            if plan["pattern"] == "reread":
                # At the end each page that is read evicts the next one: only the time limits it.
                self._touch(range(self._pages), time.monotonic() + plan["reread_time"])
            self.wait(plan["step_pause"])

    def _read_in_order(self) -> None:
        self._read_pages(range(self._pages))

    def _read_at_random(self) -> None:
        self._read_pages(self._random.sample(range(self._pages), self._pages))

    def _read_with_hot_region(self) -> None:
        hot = self._region("hot")
        self._read_pages(range(hot.stop))
        report(phase="hot")
        self._hot = hot
        self._read_pages(range(hot.stop, self._pages))

    def _read_and_shuffle(self) -> None:
        pages = self._region("again")
        self._read_pages(pages)
        report(phase="again")
        self._read_pages(self._random.sample(pages, len(pages)))

    def _read_twice(self) -> None:
        self._read_pages(self._region("A"))
        report(phase="again")
        self._read_pages(self._region("A"))
        report(phase="once")
        self._read_pages(range(self._region("B").start, self._region("rest").stop))

    def _read_with_advice(self) -> None:
        for name, advice in _BEFORE_READING.items():
            self._advise(self._region(name), advice)
        ahead = self._region("WILLNEED")
        self._read_pages(range(ahead.start))
        for first in range(ahead.start, ahead.stop, _READ_AHEAD):
            self._advise(range(first, min(first + _READ_AHEAD, ahead.stop)), _WILLNEED)
        for name, advice in _AFTER_READING.items():
            self.wait(self._plan["advice_pause"])
            report(phase=name)
            self._advise(self._region(name), advice)
        self.wait(self._plan["advice_pause"])
        report(phase="mlock")
        self._lock(self._region("mlock"))
        self.wait(self._plan["advice_pause"])

    def _read_and_write(self) -> None:
        for name, first, end in self._plan["regions"]:
            self._access = self._write if name == "written" else self._file.__getitem__
            self._read_pages(range(first, end))

    def _region(self, name: str) -> range:
        """Return the pages of the only region with a name."""
        ((first, end),) = ((f, e) for other, f, e in self._plan["regions"] if other == name)
        return range(first, end)

    def _read_pages(self, pages: Sequence[int]) -> None:
        """Touch pages in this order, with a pause after each batch."""
        plan = self._plan
        batch = plan["read_batch"] // PAGE
        for begin in range(0, len(pages), batch):
            part = pages[begin : begin + batch]
            before = self._bytes_read
            if not self._is_at_limit and before >= plan["limit"]:
                report(phase="level")
                self._is_at_limit = True
            if not self._touch(part, self._deadline):
                done = f"{before >> 20} of {plan['file_size'] >> 20} MiB"
                seconds = f"{plan['read_timeout']:g} s"
                report(note=f"reading took more than {seconds}: stopped after {done}")
                return
            self._bytes_read += len(part) * PAGE
            self.wait(plan["read_pause"])

    def _touch(self, pages: Sequence[int], deadline: float) -> bool:
        """Read a byte of each page; return False if the deadline passed before the last one."""
        access, last_touch, now = self._access, self._last_touch, time.monotonic_ns
        end = int(deadline * _NS)
        for page in pages:
            access(page * PAGE)
            last_touch[page] = at = now()
            if at > end:
                return False
        return True

    def _read_by_syscall(self, offset: int) -> object:
        return os.pread(self._plan["fd"], PAGE, offset)

    def _write(self, offset: int) -> None:
        self._file[offset] = 1

    def _advise(self, pages: range, advice: int) -> None:
        self._file.madvise(advice, pages.start * PAGE, len(pages) * PAGE)

    def _lock(self, pages: range) -> None:
        address = ctypes.addressof(ctypes.c_char.from_buffer(self._file)) + pages.start * PAGE
        if _LIBC.mlock(ctypes.c_void_p(address), ctypes.c_size_t(len(pages) * PAGE)) != 0:
            sys.exit(f"mlock: {os.strerror(ctypes.get_errno())}")


class _NoTable:
    """Ignores the times of touches."""

    def __setitem__(self, page: int | slice, nanoseconds: object) -> None:
        pass

    def __getitem__(self, page: slice) -> None:
        pass


def _open_table(descriptor: int | None, pages: int) -> tuple[Any, Any]:
    """
    Return where to store the time of the last touch of each page, for another process.

    Returns:
        The table, and one for its copy when allocation begins.
    """
    if descriptor is None:
        return _NoTable(), _NoTable()
    table = memoryview(mmap.mmap(descriptor, 2 * pages * 8)).cast("Q")
    return table[:pages], table[pages:]


def report(**values: object) -> None:
    """Print a line of JSON for the process that started this one."""
    print(json.dumps({"at": time.monotonic(), **values}), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
