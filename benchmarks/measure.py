"""
Measure the speed of smapskit as ratios to the kernel and to other programs, in one run.

    pip install . --group benchmark
    python benchmarks/measure.py             complete, some minutes; writes the results to docs/
    python benchmarks/measure.py --quick     smaller, writes nothing

The functions are timed in turns, since the speed of a machine changes over minutes: the result
is the ratio of two medians of the same rounds, with its quartiles.
"""

from __future__ import annotations

import argparse
import gc
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from statistics import median, quantiles
from typing import Any
from unittest import mock

import attrs
import jc
import numpy as np
import psutil
from subjects import subject

import smapskit
from smapskit.views import frames

HERE = Path(__file__).parent
DOCS = HERE.parent / "docs"
MIB = 1 << 20


def _count_mappings(path: Path) -> int:
    with path.open("rb") as file:
        return sum(1 for _ in smapskit.iter_mappings(file))


LIVE: dict[str, Callable[[int], object]] = {
    "bare read of smaps": lambda pid: Path(f"/proc/{pid}/smaps").read_bytes(),
    "smapskit.read": smapskit.read,
    "smapskit.read_frame": smapskit.read_frame,
    "smapskit.record, one sample": lambda pid: smapskit.record(pid, duration=0),
    "smapskit.read_rollup": smapskit.read_rollup,
    "psutil memory_maps(grouped=False)": lambda pid: psutil.Process(pid).memory_maps(grouped=False),
}
"""Functions of the pid of a live process, by their name in the tables."""


def _frame_without_kinds(path: Path) -> object:
    """Return a frame in which all mappings have the first kind."""
    with mock.patch.object(frames, "rules_of", lambda places: np.zeros(len(places), dtype=int)):
        return smapskit.parse_frame(path.read_bytes())


TEXT: dict[str, Callable[[Path], object]] = {
    "smapskit.parse_smaps": lambda path: smapskit.parse_smaps(path.read_bytes()),
    "smapskit.parse_frame": lambda path: smapskit.parse_frame(path.read_bytes()),
    "smapskit.parse_frame without kinds": _frame_without_kinds,
    "smapskit.iter_mappings": _count_mappings,
    "jc proc_pid_smaps": lambda path: jc.parse("proc_pid_smaps", path.read_text()),
}
"""Functions of the path of a saved text, by their name in the tables."""


@attrs.frozen
class Result:
    """The times of functions that were timed in turns, in seconds, one per round."""

    times: dict[str, list[float]]

    def ratio(self, one: str, other: str) -> tuple[float, float, float]:
        """Return the ratio of the medians, and the quartiles of the ratios round by round."""
        rounds = [a / b for a, b in zip(self.times[one], self.times[other], strict=True)]
        low, _, high = quantiles(rounds, n=4)
        return median(self.times[one]) / median(self.times[other]), low, high


def time_in_turns(functions: dict[str, Callable[[], object]], rounds: int) -> Result:
    """Time each function once per round, after one round that is not counted."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for number in range(rounds + 1):
        order = list(functions)
        for name in order[number % len(order) :] + order[: number % len(order)]:
            gc.collect()
            begin = time.perf_counter()
            functions[name]()
            if number:
                times[name].append(time.perf_counter() - begin)
    return Result(times)


def command(*words: str) -> Callable[[], object]:
    """Return a function that runs a program and discards its output."""
    return lambda: subprocess.run(words, stdout=subprocess.DEVNULL, check=True)


def peak(kind: str, name: str, argument: str) -> float:
    """Return the peak growth in MiB of a process of its own that calls a function once."""
    words = [sys.executable, __file__, "--peak", kind, name, argument]
    ran = subprocess.run(words, capture_output=True, text=True, check=True)
    return float(ran.stdout)


def _measure_peak(kind: str, name: str, argument: str) -> float:
    # Loaded before, so that only the work is measured.
    import numpy  # noqa: F401, ICN001, PLC0415
    import pandas as pd  # noqa: F401, PLC0415

    before = _peak_rss_kb()
    result = LIVE[name](int(argument)) if kind == "live" else TEXT[name](Path(argument))
    after = _peak_rss_kb()
    del result
    return (after - before) / 1024


def _peak_rss_kb() -> int:
    """Return the peak RSS. getrusage(2) would include the program that called exec."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


def main() -> None:
    """Measure and print; unless it is a quick run, write the tables and the plot to docs/."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[1])
    parser.add_argument(
        "--quick", action="store_true", help="measure smaller processes, write nothing"
    )
    parser.add_argument("--peak", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak:
        print(_measure_peak(*options.peak))
        return
    sizes = (100, 1_000) if options.quick else (100, 1_000, 10_000, 40_000)
    rounds = 3 if options.quick else 11
    sections = [_describe_machine()]
    growth: dict[str, dict[int, float]] = {}
    text = Path()
    with tempfile.TemporaryDirectory() as folder:
        for count in sizes:
            _print_progress(f"{count:,} mappings")
            with subject(count) as pid:
                text = Path(folder) / f"{count}.txt"
                text.write_bytes(Path(f"/proc/{pid}/smaps").read_bytes())
                text_rounds = max(3, rounds if count < 20_000 else rounds // 2)  # noqa: PLR2004
                live = time_in_turns({n: _bound(f, pid) for n, f in LIVE.items()}, rounds)
                texts = time_in_turns({n: _bound(f, text) for n, f in TEXT.items()}, text_rounds)
                programs = time_in_turns(_programs(pid), rounds)
                for result in (live, texts, programs):
                    for name, times in result.times.items():
                        growth.setdefault(name, {})[count] = median(times)
                if count == sizes[-1]:
                    sections += [
                        _table(
                            f"A live process of {count:,} mappings",
                            live,
                            next(iter(LIVE)),
                            {n: peak("live", n, str(pid)) for n in LIVE},
                        ),
                        _table(
                            f"The saved text of {count:,} mappings",
                            texts,
                            "jc proc_pid_smaps",
                            {n: peak("text", n, str(text)) for n in TEXT},
                        ),
                        _table(f"Whole programs on {count:,} mappings", programs, "pmap -x"),
                    ]
        sections.append(_small(rounds))
        sections.append(_growth(growth, sizes))
        if not options.quick:
            _print_progress("1 GiB resident")
            with subject(10, 1024) as pid:
                big = time_in_turns({n: _bound(f, pid) for n, f in LIVE.items()}, rounds)
                sections.append(_table("1 GiB resident in one mapping", big, next(iter(LIVE))))
            _print_progress("a capture of 1 GB")
            sections.append(_large(Path(folder), text))
    print("\n\n".join(sections))
    if not options.quick:
        (DOCS / "speed-results.md").write_text("\n\n".join(sections) + "\n")
        _plot(growth, DOCS / "speed.png")


def _programs(pid: int) -> dict[str, Callable[[], object]]:
    python = [sys.executable, "-m", "smapskit"]
    programs = {"python -m smapskit": command(*python, str(pid))}
    programs["python -m smapskit -X"] = command(*python, "-X", str(pid))
    if shutil.which("pmap"):
        programs["pmap -x"] = command("pmap", "-x", str(pid))
        programs["pmap -X"] = command("pmap", "-X", str(pid))
    return programs


def _small(rounds: int) -> str:
    _print_progress("start-up")
    with subprocess.Popen(["sh"], stdin=subprocess.PIPE) as shell:
        result = time_in_turns(
            {
                "python -c pass": command(sys.executable, "-c", "pass"),
                "python -m smapskit, of a shell": command(
                    sys.executable, "-m", "smapskit", str(shell.pid)
                ),
                "import attrs": command(sys.executable, "-c", "import attrs"),
                "import smapskit": command(sys.executable, "-c", "import smapskit"),
                "import smapskit, Mapping used": command(
                    sys.executable, "-c", "from smapskit import Mapping, parse_smaps"
                ),
            },
            4 * rounds,
        )
        assert shell.stdin is not None  # noqa: S101  it is a pipe
        shell.stdin.close()
    return _table("Start-up, whole processes", result, "python -c pass")


def _table(
    title: str, result: Result, reference: str, peaks: dict[str, float] | None = None
) -> str:
    lines = [
        f"### {title}",
        "",
        f"| | median (ms) | ratio to {reference} | quartiles |"
        + (" peak memory (MiB) |" if peaks else ""),
        "|---|---|---|---|" + ("---|" if peaks else ""),
    ]
    if reference not in result.times:
        reference = next(iter(result.times))
    for name, times in result.times.items():
        ratio, low, high = result.ratio(name, reference)
        line = f"| {name} | {1000 * median(times):,.1f} | {ratio:.2f} | {low:.2f} to {high:.2f} |"
        lines.append(line + (f" {peaks[name]:,.0f} |" if peaks else ""))
    return "\n".join(lines)


def _growth(growth: dict[str, dict[int, float]], sizes: Sequence[int]) -> str:
    lines = [
        "### Ten times the mappings",
        "",
        "The ratio of the times:",
        "",
        "| | " + " | ".join(f"{a:,} to {b:,}" for a, b in pairwise(sizes)) + " |",
        "|---|" + "---|" * (len(sizes) - 1),
    ]
    for name, times in growth.items():
        if name.startswith(("python", "pmap")):
            continue
        steps = [times[b] / times[a] / (b / a) * 10 for a, b in pairwise(sizes)]
        lines.append(f"| {name} | " + " | ".join(f"{step:.1f}" for step in steps) + " |")
    return "\n".join(lines)


def _large(folder: Path, text: Path) -> str:
    capture = folder / "large.txt"
    data = text.read_bytes()
    with capture.open("wb") as file:
        while file.tell() < 1_000_000_000:  # noqa: PLR2004
            file.write(data)
    size = capture.stat().st_size
    records = data.count(b"\nVmFlags:") * (size // len(data))
    lines = [
        f"### A capture of {size / 1e9:.2f} GB, {records:,} mappings",
        "",
        "| | seconds | peak memory (MB) | bytes per record | ratio to the text |",
        "|---|---|---|---|---|",
    ]
    for name in ("smapskit.iter_mappings", "smapskit.parse_smaps", "smapskit.parse_frame"):
        begin = time.perf_counter()
        grown = peak("text", name, str(capture)) * MIB
        seconds = time.perf_counter() - begin
        per_record = (grown - size) / records if name.endswith("smaps") else None
        lines.append(
            f"| {name} | {seconds:.0f} | {grown / 1e6:,.0f} | "
            f"{'' if per_record is None else f'{per_record:,.0f}'} | {grown / size:.2f} |"
        )
    return "\n".join(lines)


def _describe_machine() -> str:
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / (1 << 30)
    versions = f"psutil {psutil.__version__}, jc {jc.__version__}"
    if shutil.which("pmap"):
        ran = subprocess.run(["pmap", "-V"], capture_output=True, text=True, check=True)
        versions += f", {ran.stdout.strip()}"
    return (
        f"Measured on {datetime.now(UTC):%Y-%m-%d}: {model}, {os.cpu_count()} CPUs, "
        f"{memory:.0f} GiB, Linux {platform.release()}, CPython {platform.python_version()}, "
        f"smapskit {smapskit.__version__}, {versions}."
    )


def _plot(growth: dict[str, dict[int, float]], path: Path) -> None:
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(9, 5.5), layout="constrained")
    axes = figure.subplots()
    styles = zip("os^vD*Px<>h", ("-", "--", "-.", ":") * 3, strict=False)
    for (name, times), (marker, dashes) in zip(growth.items(), styles, strict=False):
        if not name.startswith(("python", "pmap")):
            us = [1e6 * seconds / count for count, seconds in times.items()]
            axes.plot(list(times), us, dashes, marker=marker, label=name)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("mappings")
    axes.set_ylabel("time per mapping (µs)")
    axes.grid(visible=True, which="both", color="#DDDDDD", linewidth=0.5)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.yaxis.set_major_formatter("{x:g}")
    figure.legend(loc="outside lower center", ncols=3, fontsize="small")
    figure.savefig(path, dpi=100)


def _bound(function: Callable[[Any], object], argument: Any) -> Callable[[], object]:
    return lambda: function(argument)


def _print_progress(text: str) -> None:
    print(f"... {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
