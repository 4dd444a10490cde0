"""
The programs that cause each finding of `explain`, and their twins that do not.

Each program has one argument, an amount: the same program with a small amount is the twin. It
prints "ready" when a snapshot is to be taken. For a difference, it then waits for a line, changes
its memory and prints "done".
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from support.paths import TESTS

PROGRAMS = TESTS / "support" / "causes"


class Cause(NamedTuple):
    """How a program is started so that it causes a finding, and so that it does not."""

    id: str
    argument: str
    twin: str
    program: str = ""
    """The name without suffix; "" for the id."""
    options: tuple[str, ...] = ()
    """For the compiler."""
    twin_options: tuple[str, ...] | None = None
    """For the compiler; None where they are the same."""
    context: tuple[tuple[str, str], ...] = ()
    """Facts in place of those of this machine, for both."""
    requires: str = ""
    """What this machine must have; "" for nothing."""
    others: tuple[str, ...] = ()
    """Further findings that the program causes."""

    @property
    def path(self) -> Path:
        """The program."""
        name = (self.program or self.id).replace("-", "_")
        return next(PROGRAMS.glob(f"{name}.*"))

    def command(self, folder: Path, *, is_twin: bool = False) -> list[str]:
        """Return the command that starts it; a C program is compiled into `folder`."""
        argument = self.twin if is_twin else self.argument
        if self.path.suffix == ".py":
            return [sys.executable, str(self.path), argument]
        options = self.options if self.twin_options is None or not is_twin else self.twin_options
        program = folder / self.path.stem
        subprocess.run(
            ["gcc", "-O0", *options, "-o", program, self.path], check=True, capture_output=True
        )
        return [str(program), argument]


OF_PROCESS = (
    Cause("malloc-arenas", "8", "2", options=("-pthread",)),
    Cause("main-heap", "5400", "100"),
    Cause("runtime-heap", "1400000", "1000"),
    Cause("unnamed-anonymous", "540", "16"),
    Cause("many-stacks", "260", "20"),
    Cause("fragmented", "1200", "100"),
    Cause("split-mappings", "2200", "100"),
    Cause("shared-memory", "80", "8"),
    Cause("copied-file", "40", "4"),
    Cause("device-memory", "20", "1", requires="root"),
    Cause("hugetlb", "2", "0", requires="huge pages"),
    Cause("reserved", "20", "1"),
    Cause("untouched", "5", "1"),
    Cause("thp-bloat", "1", "0", requires="THP"),
    Cause("lazy-free", "40", "4"),
    Cause("reclaimable-file", "160", "8"),
    Cause("pss-far-below-rss", "2", "0", others=("fork-shared",)),
    Cause("fork-shared", "64", "4"),
    Cause("dirty-shared-file", "40", "4"),
    Cause("deleted-file", "1", "0"),
    Cause("deleted-executable", "1", "0"),
    Cause("ksm", "4", "0", requires="KSM"),
    Cause("locked", "2048", "64"),
    Cause("swapped", "64", "4", requires="swap"),
    Cause("userfaultfd", "1", "0", requires="userfaultfd"),
    Cause("page-tables", "12", "1"),
    Cause(
        "most-of-memory",
        "64",
        "4",
        program="unnamed-anonymous",
        context=(("mem_total", "100000"),),
    ),
    Cause(
        "map-count",
        "1000",
        "100",
        program="split-mappings",
        context=(("max_map_count", "1200"),),
    ),
    Cause("stack-limit", "7000", "100", context=(("stack_limit", "8192"),)),
    Cause("address-space-limit", "450", "100"),
    Cause(
        "executable-stack", "", "", options=("-z", "execstack"), twin_options=("-z", "noexecstack")
    ),
    Cause("writable-executable", "1", "0"),
    Cause("executable-memfd", "1", "0"),
)
OF_DIFFERENCE = (
    Cause("growth", "32", "1"),
    Cause("cache-growth", "80", "4"),
    Cause("thread-growth", "40", "4"),
    Cause("mapping-growth", "1200", "40"),
    Cause("copy-on-write", "32", "1"),
    Cause("swapped-out", "64", "4", requires="swap"),
)
OF_RECORDING = (
    Cause("steady-growth", "1024", "1"),
    Cause("saw-tooth", "4", "1"),
    Cause("levelled-off", "24", "1"),
    Cause("peak", "48", "2"),
    Cause("mapping-leak", "20", "0"),
)
PROCESS_SECONDS = 2.0
"""How long a program of OF_RECORDING is recorded."""
EACH = (*OF_PROCESS, *OF_DIFFERENCE, *OF_RECORDING)
FROM_RECORDINGS = {"reclaimed": "sequential.csv", "swap-growth": "swap.csv"}
"""Findings of a machine that was short of memory, and recordings in examples/pageout of it."""
