"""
Map a file, read it all, then allocate more and more: what run.py starts in a memory cgroup.

It takes its plan as JSON, says "ready", waits for a line, and then writes a line of JSON at
the beginning of each phase and after each step, with the time of the monotonic clock.
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
    """Go through the phases of a plan."""
    guard(plan)
    say(phase="ready")
    sys.stdin.readline()
    with mmap.mmap(plan["fd"], plan["file_size"], mmap.MAP_SHARED, mmap.PROT_READ) as file:
        say(phase="reading")
        read(file, plan)
        say(phase="holding")
        time.sleep(plan["hold"])
        say(phase="allocating")
        allocate(file, plan)
    say(phase="stopped")


def guard(plan: dict[str, Any]) -> None:
    """See to it that nothing but this process comes to harm."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != plan["parent"]:
        sys.exit("the process that started this one is gone")
    if f"/{plan['group']}\n" not in Path("/proc/self/cgroup").read_text():
        sys.exit(f"not in the memory cgroup {plan['group']}: nothing was mapped")
    Path("/proc/self/oom_score_adj").write_text("1000")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    fuse = 2 * plan["limit"] + plan["file_size"] + (1 << 30)
    resource.setrlimit(resource.RLIMIT_AS, (fuse, fuse))
    # Without this the interpreter's own pages go out and in again for half a minute at the end.
    if _LIBC.mlockall(_MCL_CURRENT) != 0:
        say(note=f"mlockall: {os.strerror(ctypes.get_errno())}; the end may take longer")


def read(file: mmap.mmap, plan: dict[str, Any]) -> None:
    """Touch each page once, in order or at random, a stretch at a time."""
    order: Sequence[int] = range(0, plan["file_size"], PAGE)
    if plan["pattern"] == "random":
        order = random.Random(1).sample(order, len(order))  # noqa: S311
    stretch = plan["stretch"] // PAGE
    until = time.monotonic() + plan["read_timeout"]
    said = False
    for begin in range(0, len(order), stretch):
        if not said and begin * PAGE >= plan["limit"]:
            say(phase="level")
            said = True
        if not touch(file, order[begin : begin + stretch], until):
            said_of = f"{begin * PAGE >> 20} of {plan['file_size'] >> 20} MiB"
            say(note=f"reading took too long and was ended after {said_of}")
            return
        time.sleep(plan["read_pause"])


def touch(file: mmap.mmap, order: Sequence[int], until: float) -> bool:
    """Read a byte at each offset; whether there was time for all of them."""
    for offset in order:
        file[offset]
        if time.monotonic() > until:
            return False
    return True


def allocate(file: mmap.mmap, plan: dict[str, Any]) -> None:
    """Allocate and write a step at a time, until the kernel or the plan's end stops it."""
    blocks: list[mmap.mmap] = []
    while len(blocks) * plan["step"] < plan["stop"]:
        block = mmap.mmap(-1, plan["step"], mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        for offset in range(0, plan["step"], PAGE):
            block[offset] = 1
        blocks.append(block)
        say(allocated=len(blocks) * plan["step"])
        if plan["pattern"] == "reread":
            # Not for ever: at the end each page read drives out the next.
            touch(file, range(0, plan["file_size"], PAGE), time.monotonic() + plan["reread_time"])
        time.sleep(plan["step_pause"])


def say(**words: object) -> None:
    """Tell the one who started this, a line of JSON at once."""
    print(json.dumps({"at": time.monotonic(), **words}), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
