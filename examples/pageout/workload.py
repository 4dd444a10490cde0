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
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PAGE = mmap.PAGESIZE
_PR_SET_PDEATHSIG = 1
_MCL_CURRENT = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


def main(plan: dict[str, Any]) -> None:
    """Execute the phases of a plan."""
    protect_system(plan)
    report(phase="ready")
    sys.stdin.readline()
    with mmap.mmap(plan["fd"], plan["file_size"], mmap.MAP_SHARED, mmap.PROT_READ) as file:
        report(phase="reading")
        read(file, plan)
        report(phase="holding")
        time.sleep(plan["hold"])
        report(phase="allocating")
        allocate(file, plan)
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


def read(file: mmap.mmap, plan: dict[str, Any]) -> None:
    """Touch each page once, in order or at random, with a pause after each batch."""
    order: Sequence[int] = range(0, plan["file_size"], PAGE)
    if plan["pattern"] == "random":
        order = random.Random(1).sample(order, len(order))  # noqa: S311
    batch = plan["read_batch"] // PAGE
    deadline = time.monotonic() + plan["read_timeout"]
    is_at_limit = False
    for begin in range(0, len(order), batch):
        if not is_at_limit and begin * PAGE >= plan["limit"]:
            report(phase="level")
            is_at_limit = True
        if not touch(file, order[begin : begin + batch], deadline):
            done = f"{begin * PAGE >> 20} of {plan['file_size'] >> 20} MiB"
            report(note=f"reading took more than {plan['read_timeout']:g} s: stopped after {done}")
            return
        time.sleep(plan["read_pause"])


def touch(file: mmap.mmap, order: Sequence[int], deadline: float) -> bool:
    """Read a byte at each offset; return False if the deadline passed before the last one."""
    for offset in order:
        file[offset]
        if time.monotonic() > deadline:
            return False
    return True


def allocate(file: mmap.mmap, plan: dict[str, Any]) -> None:
    """Allocate and write one step at a time, until the kernel kills or the plan ends."""
    blocks: list[mmap.mmap] = []
    while len(blocks) * plan["step"] < plan["stop"]:
        block = mmap.mmap(-1, plan["step"], mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        for offset in range(0, plan["step"], PAGE):
            block[offset] = 1
        blocks.append(block)
        report(allocated=len(blocks) * plan["step"])
        if plan["pattern"] == "reread":
            # At the end each page that is read evicts the next one: only the time limits it.
            touch(file, range(0, plan["file_size"], PAGE), time.monotonic() + plan["reread_time"])
        time.sleep(plan["step_pause"])


def report(**values: object) -> None:
    """Print a line of JSON for the process that started this one."""
    print(json.dumps({"at": time.monotonic(), **values}), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
