"""
Compare the speed of this checkout with that of an earlier commit, in one run.

    python benchmarks/compare.py COMMIT [--rounds N] [--mappings N]

Prints the ratio new / old of CPU seconds and of peak memory for each way of reading, as median
and range over the rounds. Both versions take turns in processes of their own.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from subjects import subject

ROOT = Path(__file__).resolve().parent.parent
REPETITIONS = 3


def measure(name: str, pid: int, path: Path) -> None:
    """Print the CPU seconds of one way of reading, and by how many MiB it grows."""
    import numpy  # noqa: F401, ICN001, PLC0415  loaded before the measurement starts
    import pandas as pd  # noqa: F401, PLC0415

    import smapskit  # noqa: PLC0415

    text = path.read_bytes()
    ways: dict[str, Callable[[], object]] = {
        "parse_smaps": lambda: smapskit.parse_smaps(text),
        "parse_smaps, irregular text": lambda: smapskit.parse_smaps(text),
        "parse_frame": lambda: smapskit.parse_frame(text),
        "iter_mappings": lambda: sum(1 for _ in smapskit.iter_mappings(path.open("rb"))),
        "record, one sample": lambda: smapskit.record(pid, duration=0),
        "read": lambda: smapskit.read(pid),
    }
    before = _peak_kb()
    times = []
    for _ in range(REPETITIONS):
        begin = time.process_time()
        ways[name]()
        times.append(time.process_time() - begin)
    print(min(times), (_peak_kb() - before) / 1024)


def _peak_kb() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    found = re.search(r"VmHWM:\s+(\d+)", status)
    return int(found[1]) if found else 0


WAYS = (
    "parse_smaps",
    "parse_smaps, irregular text",
    "parse_frame",
    "iter_mappings",
    "record, one sample",
    "read",
)


@contextmanager
def checkout(commit: str) -> Iterator[Path]:
    """A working tree of a commit, removed at the end."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", str(tree), commit], check=True)
        try:
            yield tree
        finally:
            subprocess.run([*git, "remove", "--force", str(tree)], check=True)


def run(tree: Path, name: str, pid: int, path: Path) -> tuple[float, float]:
    """Measure one way of reading with the package of a working tree."""
    words = [sys.executable, __file__, "--measure", name, str(pid), str(path)]
    env = {**os.environ, "PYTHONPATH": str(tree / "src")}
    ran = subprocess.run(words, env=env, capture_output=True, text=True, check=True)
    seconds, mib = map(float, ran.stdout.split())
    return seconds, mib


def irregular(text: bytes) -> bytes:
    """Return the text with a further field on every third record."""
    records = re.split(rb"(?<=\n)(?=VmFlags:)", text)
    return (
        b"".join(
            record + (b"Marked: yes\n" if number % 3 == 0 else b"")
            for number, record in enumerate(records[:-1])
        )
        + records[-1]
    )


def main() -> None:
    """Compare, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("commit")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--mappings", type=int, default=40_000)
    options = parser.parse_args()
    with (
        checkout(options.commit) as old,
        tempfile.TemporaryDirectory() as folder,
        subject(options.mappings) as pid,
    ):
        regular, other = Path(folder) / "regular", Path(folder) / "irregular"
        regular.write_bytes(Path(f"/proc/{pid}/smaps").read_bytes())
        other.write_bytes(irregular(regular.read_bytes()))
        print(f"{'new / old':<28} {'CPU':>6} {'range':>14} {'memory':>8} {'range':>14}")
        for name in WAYS:
            path = other if "irregular" in name else regular
            rounds = []
            for _ in range(options.rounds):
                before, after = run(old, name, pid, path), run(ROOT, name, pid, path)
                rounds.append((after[0] / before[0], after[1] / max(before[1], 0.1)))
            cells = [
                f"{median(values):>{width}.2f} {min(values):>7.2f}-{max(values):<6.2f}"
                for values, width in zip(zip(*rounds, strict=True), (6, 8), strict=True)
            ]
            print(f"{name:<28} {' '.join(cells)}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
    else:
        main()
