"""
Measure how much longer a live read takes than the kernel needs to write the text.

    python benchmarks/live.py [--rounds N] [--runs N] [--mappings N]

The functions are timed in turns, on two processes. For each function and each run, the table has
the ratio of the smallest times, as a range over the runs: on a machine with other work, the
smallest time is the one that was disturbed least. The CPU time is that of all threads.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from subjects import subject

import smapskit

BARE = "bare read"
FUNCTIONS: dict[str, Callable[[int], object]] = {
    BARE: lambda pid: Path(f"/proc/{pid}/smaps").read_bytes(),
    "record, one sample": lambda pid: smapskit.record(pid, duration=0),
    "read_frame": smapskit.read_frame,
    "read": smapskit.read,
}
"""Functions of a pid, by their name in the table."""
SUBJECTS = {
    "shared, private and anonymous in turn": False,
    "one area, alternating protections": True,
}


def measure(pid: int, rounds: int) -> dict[str, tuple[float, float]]:
    """Return the smallest wall-clock time and the median CPU time of each function, in ms."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in FUNCTIONS}
    for number in range(rounds + 1):
        for name, function in FUNCTIONS.items():
            gc.collect()
            wall, cpu = time.perf_counter(), time.process_time()
            function(pid)
            if number:  # the first round is not counted
                spent = (time.perf_counter() - wall, time.process_time() - cpu)
                times[name].append(spent)
    return {
        name: (1000 * min(wall for wall, _ in spent), 1000 * median(cpu for _, cpu in spent))
        for name, spent in times.items()
    }


def main() -> None:
    """Measure, and print one table per process."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[1])
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--mappings", type=int, default=40_000)
    options = parser.parse_args()
    for title, alternating in SUBJECTS.items():
        with subject(options.mappings, alternating=alternating) as pid:
            runs = [measure(pid, options.rounds) for _ in range(options.runs)]
        print(f"{options.mappings:,} mappings: {title}\n")
        print("| | ms | ratio to the bare read | CPU ms |\n|---|---|---|---|")
        for name in FUNCTIONS:
            walls = [run[name][0] for run in runs]
            ratios = [run[name][0] / run[BARE][0] for run in runs]
            cpu = median(run[name][1] for run in runs)
            print(
                f"| {name} | {min(walls):.0f} to {max(walls):.0f} "
                f"| {min(ratios):.2f} to {max(ratios):.2f} | {cpu:.0f} |"
            )
        print()


if __name__ == "__main__":
    main()
