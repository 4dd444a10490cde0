"""
Compare the speed of this checkout with that of an earlier commit, in one run.

    python benchmarks/compare.py COMMIT [--rounds N] [--mappings N]

For each function the table has the CPU time and the peak memory of both versions as medians over
the rounds, and the ratio new / old with its range. The versions take turns, each in a process of
its own. Uncommitted changes of this checkout are included.

Exit status: 0, 1 if the commit cannot be measured, 2 for a wrong option.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from statistics import median

import attrs
from subjects import subject

ROOT = Path(__file__).resolve().parent.parent
REPETITIONS = 3
"""Calls per process; the fastest counts."""


class CannotCompare(Exception):
    """A version cannot be measured."""


@attrs.frozen
class Cost:
    """What a call costs."""

    seconds: float
    """CPU time, of all threads."""
    mib: float
    """By how much the peak RSS of the process grew during the first call."""


def function_of(name: str, pid: int, path: Path) -> Callable[[], object]:
    """Return one of the functions to compare, by its name in the table."""
    import smapskit  # noqa: PLC0415  the version that is measured

    def count_mappings() -> int:
        with path.open("rb") as file:
            return sum(1 for _ in smapskit.iter_mappings(file))

    if name == "iter_mappings":
        return count_mappings
    if name == "record, one sample":
        return lambda: smapskit.record(pid, duration=0)
    if name == "read":
        return lambda: smapskit.read(pid)
    text = path.read_bytes()
    if name == "parse_frame":
        return lambda: smapskit.parse_frame(text)
    return lambda: smapskit.parse_smaps(text)


NAMES = (
    "parse_smaps",
    "parse_smaps, irregular text",
    "parse_frame",
    "iter_mappings",
    "record, one sample",
    "read",
)


def measure(name: str, pid: int, path: Path) -> None:
    """Print the cost of a function of the version that is imported."""
    # Loaded before, so that only the work is measured.
    import numpy  # noqa: F401, ICN001, PLC0415
    import pandas as pd  # noqa: F401, PLC0415

    import smapskit  # noqa: PLC0415

    for public in smapskit.__all__:
        getattr(smapskit, public)
    expected = os.environ["PYTHONPATH"]
    if not Path(smapskit.__file__).is_relative_to(expected):
        sys.exit(f"expected smapskit in {expected}, got {smapskit.__file__}")
    function = function_of(name, pid, path)
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # resets the peak RSS
    before = _peak_rss_kb()
    seconds, growth = [], 0
    for repetition in range(REPETITIONS):
        begin = time.process_time()
        function()
        seconds.append(time.process_time() - begin)
        if repetition == 0:
            growth = _peak_rss_kb() - before
    print(min(seconds), growth / 1024)


def _peak_rss_kb() -> int:
    status = Path("/proc/self/status").read_text(encoding="utf-8", errors="replace")
    match = re.search(r"VmHWM:\s+(\d+)", status)
    return int(match[1]) if match else 0


def extract(commit: str, folder: Path) -> None:
    """
    Write the package of a commit to a folder.

    Raises:
        CannotCompare: there is no such commit, or it has no package.
    """
    archive = _git("archive", "--format=tar", _git_commit(commit), "src")
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive, check=True)
    if not (folder / "src" / "smapskit").is_dir():
        raise CannotCompare(f"{commit} has no src/smapskit")


def _git_commit(commit: str) -> str:
    try:
        name = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}^{{commit}}")
    except CannotCompare as error:
        message = str(error) or f"expected a commit of this repository, got {commit!r}"
        raise CannotCompare(message) from None
    return name.decode().strip()


def _git(*words: str) -> bytes:
    command = ["git", "-C", str(ROOT), *words]
    try:
        return subprocess.run(command, capture_output=True, check=True).stdout
    except FileNotFoundError:
        raise CannotCompare("git is not installed") from None
    except subprocess.CalledProcessError as error:
        raise CannotCompare(error.stderr.decode(errors="replace").strip()) from None


def run(source: Path, name: str, pid: int, path: Path) -> Cost:
    """
    Measure a function of the package in a folder, in a process of its own.

    Raises:
        CannotCompare: it failed; the message is the last line of the traceback.
    """
    command = [sys.executable, __file__, "--measure", name, str(pid), str(path)]
    env = {**os.environ, "PYTHONPATH": str(source)}
    finished = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if finished.returncode:
        lines = finished.stderr.strip().splitlines() or [f"status {finished.returncode}"]
        raise CannotCompare(lines[-1])
    seconds, mib = map(float, finished.stdout.split())
    return Cost(seconds, mib)


def irregular(text: bytes) -> bytes:
    """Return the text with one more field in every third record."""
    records = re.split(rb"(?<=\n)(?=VmFlags:)", text)
    marked = (
        record + (b"Marked: yes\n" if number % 3 == 0 else b"")
        for number, record in enumerate(records[:-1])
    )
    return b"".join(marked) + records[-1]


def format_row(name: str, old: list[Cost], new: list[Cost]) -> str:
    """Format medians and ratios; a function that needs no memory has no ratio of memory."""
    cells = [f"{name:<28}"]
    for attribute, factor in (("seconds", 1000), ("mib", 1)):
        before = [getattr(cost, attribute) * factor for cost in old]
        after = [getattr(cost, attribute) * factor for cost in new]
        cells.append(f"{median(before):>8.1f} {median(after):>8.1f}")
        ratios = [b / a for a, b in zip(before, after, strict=True) if a >= 1]
        if len(ratios) == len(before):
            cells.append(f"{median(ratios):>6.2f} {min(ratios):>6.2f} to {max(ratios):<5.2f}")
        else:
            cells.append(f"{'-':>6} {'':>15}")
    return "  ".join(cells).rstrip()


def compare(commit: str, rounds: int, mappings: int) -> None:
    """
    Compare, and print a row per function.

    Raises:
        CannotCompare: there is no such commit, or it has no package.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        extract(commit, folder)
        sources = {"old": folder / "src", "new": ROOT / "src"}
        with subject(mappings) as pid:
            regular, other = folder / "regular", folder / "irregular"
            regular.write_bytes(Path(f"/proc/{pid}/smaps").read_bytes())
            other.write_bytes(irregular(regular.read_bytes()))
            print(f"{'':<28}  {'CPU (ms)':^42} {'peak memory (MiB)':^42}".rstrip())
            heading = f"{'old':>8} {'new':>8}  {'ratio':>6} {'range':<15}"
            print(f"{'':<28}  {heading}  {heading}".rstrip(), flush=True)
            for function in NAMES:
                path = other if "irregular" in function else regular
                costs: dict[str, list[Cost]] = {"old": [], "new": []}
                try:
                    for number in range(rounds):
                        # In turns, and each version first in every other round.
                        for version in ("old", "new") if number % 2 else ("new", "old"):
                            costs[version].append(run(sources[version], function, pid, path))
                except CannotCompare as error:
                    print(f"{function:<28}  not measured: {error}", flush=True)
                else:
                    print(format_row(function, costs["old"], costs["new"]), flush=True)


def main() -> int:
    """Parse the arguments and compare; return the exit status."""
    parser = argparse.ArgumentParser(
        description="Compare the speed of this checkout with that of an earlier commit."
    )
    parser.add_argument("commit", help="any name of a commit that git accepts")
    parser.add_argument("--rounds", type=positive, default=7, help="default: %(default)s")
    parser.add_argument(
        "--mappings", type=positive, default=40_000, help="of the process (default: %(default)s)"
    )
    options = parser.parse_args()
    try:
        compare(options.commit, options.rounds, options.mappings)
    except CannotCompare as error:
        print(f"compare.py: {error}", file=sys.stderr)
        return 1
    return 0


def positive(text: str) -> int:
    """Parse a whole number above 0."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, got {text!a}")
    return int(text)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
    else:
        sys.exit(main())
