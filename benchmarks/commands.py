"""
Measure whole commands against pmap and smem, as ratios in one run.

    python benchmarks/commands.py [--rounds N] [--mappings N] [--processes N]

The commands take turns. The ratios are those of the CPU times round by round, start-up included:
on a machine with other work, CPU time is disturbed less than wall-clock time. With smem installed,
and as root, tables of all processes are compared in a pid namespace, so that the processes are the
same in each run. Status: 0; 1 if pmap is missing.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from subjects import subject

OURS = (sys.executable, "-m", "smapskit")
LAYOUTS: dict[str, Sequence[str]] = {
    "-x": ["-x"],
    "-X": ["-X"],
    "-XX": ["-XX"],
    "-d": ["-d"],
    "--short": [],
}
"""The options of pmap for the same table, by ours."""
POPULATION = (
    ("sleep", "1000"),
    ("sh", "-c", "read line"),
    (sys.executable, "-c", "import json, email.message; input()"),
)
"""Programs that are started in turn to compare tables of all processes."""


def cpu_of(command: Sequence[str]) -> float:
    """Run a command, discard its output, and return its CPU time in seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def compare(pairs: dict[str, tuple[Sequence[str], Sequence[str]]], rounds: int) -> Iterator[str]:
    """Yield a row for each pair of commands, timed in turns."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in pairs}
    for number in range(rounds + 1):
        for name, (ours, theirs) in pairs.items():
            spent = (cpu_of(ours), cpu_of(theirs))
            if number:  # the first round is not counted
                times[name].append(spent)
    for name, spents in times.items():
        ratios = sorted(ours / theirs for ours, theirs in spents)
        ours, theirs = (1000 * median(column) for column in zip(*spents, strict=True))
        yield (
            f"| {name} | {ours:.0f} | {theirs:.0f} | {median(ratios):.2f} "
            f"| {ratios[0]:.2f} to {ratios[-1]:.2f} |"
        )


@contextmanager
def population(count: int) -> Iterator[None]:
    """Start processes, and end them afterwards."""
    started = [
        subprocess.Popen(POPULATION[number % len(POPULATION)], stdin=subprocess.PIPE)
        for number in range(count)
    ]
    try:
        for each in started:
            while _state(each.pid) != "S":  # it is still starting
                time.sleep(0.1)
        yield
    finally:
        for each in started:
            each.kill()
            each.communicate()


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def print_system(processes: int, rounds: int) -> None:
    """Compare tables of all processes, in this pid namespace."""
    with population(processes):
        pairs: dict[str, tuple[Sequence[str], Sequence[str]]] = {
            "--all, smem": ((*OURS, "--all"), ("smem",)),
            "--all --by pathname, smem -m": (
                (*OURS, "--all", "--by", "pathname"),
                ("smem", "-m"),
            ),
        }
        _print_table(f"{processes} processes", compare(pairs, rounds))


def _print_table(title: str, rows: Iterator[str]) -> None:
    print(f"{title}\n\n| | CPU ms | CPU ms of the other | ratio | range |\n|---|---|---|---|---|")
    for row in rows:
        print(row, flush=True)
    print(flush=True)


def main() -> int:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[1])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--mappings", type=int, default=40_000)
    parser.add_argument("--processes", type=int, default=150)
    parser.add_argument("--system", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.system:
        print_system(options.processes, options.rounds)
        return 0
    if not shutil.which("pmap"):
        print("expected pmap, which is part of procps", file=sys.stderr)
        return 1
    with subject(options.mappings) as pid:
        pairs: dict[str, tuple[Sequence[str], Sequence[str]]] = {
            " ".join([f"{ours}, pmap", *theirs]): (
                (*OURS, ours, str(pid)),
                ("pmap", *theirs, str(pid)),
            )
            for ours, theirs in LAYOUTS.items()
        }
        pairs["--by backing, our -x"] = (
            (*OURS, "--by", "backing", str(pid)),
            (*OURS, "-x", str(pid)),
        )
        _print_table(f"{options.mappings:,} mappings", compare(pairs, options.rounds))
    if not shutil.which("smem") or os.geteuid():
        print("tables of all processes: not compared without smem and root")
        return 0
    namespace = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
    words = (sys.executable, __file__, "--system", "--processes", str(options.processes))
    run = subprocess.run([*namespace, *words, "--rounds", str(options.rounds)], check=False)
    return run.returncode


if __name__ == "__main__":
    sys.exit(main())
