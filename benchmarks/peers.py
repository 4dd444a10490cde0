"""
Compare smapskit with other programs that read smaps, and with earlier commits by their ratios.

    pip install . --group benchmark
    python benchmarks/peers.py            the table of peers, written to docs/speed-peers.md
    python benchmarks/peers.py --check    compare ratios with the last row of history.csv
    python benchmarks/peers.py --record NAME    append a row to history.csv

The unit of all ratios is a C program that parses every value (peers/smaps.c), measured in the
same run. CPU time of the process and its children counts, the least of several rounds, so that
other programs on the machine hardly matter. The sum of Rss that a peer finds must be that of
smapskit, or it is not timed.

`--check` fails if a ratio is over 1.25 of the last row in two measurements, one after the other.
Status: 0, 1 if a ratio is over the limit.
"""

from __future__ import annotations

import argparse
import csv
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import jc
import psutil
from subjects import subject

import smapskit

HERE = Path(__file__).resolve().parent
RESULTS = HERE.parent / "docs" / "speed-peers.md"
HISTORY = HERE / "history.csv"
SIZES = (100, 1_000, 10_000, 65_000)
LIMIT = 1.25
"""A ratio may be so many times that of the last row."""
CHECKED_MAPPINGS = 10_000
_ROUNDS = 3
_CHECK_ROUNDS = 7

Peer = Callable[[], int | None]
"""Reads the process and returns the sum of Rss in kB."""


def cpu_seconds() -> float:
    """Return the CPU time of this process and of its children that have ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


def least(function: Callable[[], object], rounds: int) -> float:
    """Return the least CPU time of several calls."""
    seconds = []
    for _ in range(rounds):
        begin = cpu_seconds()
        function()
        seconds.append(cpu_seconds() - begin)
    return min(seconds)


class Floor:
    """The C program that parses every value."""

    def __init__(self, folder: Path) -> None:
        self._program = folder / "smaps"
        command = ["gcc", "-O2", "-o", str(self._program), str(HERE / "peers" / "smaps.c")]
        subprocess.run(command, check=True)

    def measure(self, path: str, rounds: int) -> tuple[int, float, float]:
        """Return the sum of Rss in kB, and the least seconds of reading and of parsing."""
        command = [str(self._program), path, str(rounds)]
        ran = subprocess.run(command, capture_output=True, text=True, check=True)
        rss, read, parse = ran.stdout.split()
        return int(rss), float(read), float(parse)


def output(*words: str) -> str:
    """Return what a program prints."""
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def build_rust(folder: Path) -> Path | None:
    """Build the program that uses the crate procfs of Debian; None where it is not installed."""
    registry = Path("/usr/share/cargo/registry")
    if not shutil.which("cargo") or not any(registry.glob("procfs-*")):
        return None
    shutil.copytree(HERE / "peers" / "rust", folder / "rust")
    sources = (
        'source.crates-io.replace-with="debian"',
        f'source.debian.directory="{registry}"',
    )
    command = ["cargo", "build", "-q", "--release", "--offline"]
    command += [word for source in sources for word in ("--config", source)]
    ran = subprocess.run(command, cwd=folder / "rust", capture_output=True, text=True, check=False)
    if ran.returncode:
        print(f"procfs of Rust was not built: {ran.stderr.strip()}", file=sys.stderr)
        return None
    return folder / "rust" / "target" / "release" / "peer"


def _rss_of_pmap(text: str, column: str) -> int:
    """Return the sum of a column of pmap's table, from its rows."""
    lines = text.splitlines()
    at = next(n for n, line in enumerate(lines) if column in line.split())
    position = lines[at].split().index(column)
    is_row = re.compile(r"\s*[0-9a-f]{8,16} ")
    return sum(int(line.split()[position]) for line in lines[at + 1 :] if is_row.match(line))


def peers_of(pid: int, rust: Path | None) -> dict[str, Peer]:
    """Return the peers by name. Those that are not installed are missing."""
    path = Path(f"/proc/{pid}/smaps")
    peers: dict[str, Peer] = {
        "smapskit.read_frame": lambda: int(smapskit.read_frame(pid)["rss"].sum()),
        "smapskit.read": lambda: smapskit.read(pid).totals().rss,
        "psutil memory_maps": lambda: (
            sum(m.rss for m in psutil.Process(pid).memory_maps(grouped=False)) // 1024
        ),
        "jc proc_pid_smaps": lambda: sum(
            entry["Rss"] for entry in jc.parse("proc_pid_smaps", path.read_text())
        ),
    }
    if rust is not None:
        peers["procfs of Rust, whole program"] = lambda: int(output(str(rust), str(pid)))
    if shutil.which("pmap"):
        peers["pmap -x, whole program"] = lambda: _rss_of_pmap(
            output("pmap", "-x", str(pid)), "RSS"
        )
        peers["pmap -X, whole program"] = lambda: _rss_of_pmap(
            output("pmap", "-X", str(pid)), "Rss"
        )
    python = (sys.executable, "-m", "smapskit")
    for option, column in (("-x", "RSS"), ("-X", "Rss")):
        peers[f"smapskit {option}, whole program"] = lambda option=option, column=column: (  # type: ignore[misc]
            _rss_of_pmap(output(*python, option, str(pid)), column)
        )
    return peers


def table(folder: Path, sizes: tuple[int, ...]) -> str:
    """Measure the peers on processes of several sizes; return the table."""
    floor = Floor(folder)
    rust = build_rust(folder)
    cells: dict[str, list[str]] = {}
    for size in sizes:
        print(f"... {size:,} mappings", file=sys.stderr, flush=True)
        with subject(size) as pid:
            rss, read, parse = floor.measure(f"/proc/{pid}/smaps", _ROUNDS)
            cells.setdefault("kernel alone (bare read)", []).append(_cell(read, read + parse))
            cells.setdefault("C program", []).append(_cell(read + parse, read + parse))
            for name, peer in peers_of(pid, rust).items():
                found = peer()
                cell = f"not timed: its Rss is {found}, not {rss}"
                if found == rss:
                    cell = _cell(least(peer, _ROUNDS), read + parse)
                cells.setdefault(name, []).append(cell)
    lines = ["| | " + " | ".join(f"{size:,} mappings" for size in sizes) + " |"]
    lines.append("|---|" + "---:|" * len(sizes))
    lines += [f"| {name} | " + " | ".join(row) + " |" for name, row in cells.items()]
    if rust is None:
        lines += ["", "procfs of Rust is not in the table: librust-procfs-dev was not installed."]
    return "\n".join(lines)


def _cell(seconds: float, unit: float) -> str:
    return f"{1000 * seconds:,.1f} ms ({seconds / unit:.2f})"


# ---- ratios over commits ------------------------------------------------------------------


def ratios(folder: Path) -> dict[str, float]:
    """Return the CPU time of functions on a saved text, as ratios to the C program's parsing."""
    floor = Floor(folder)
    path = folder / "text"
    with subject(CHECKED_MAPPINGS) as pid:
        path.write_bytes(Path(f"/proc/{pid}/smaps").read_bytes())
    text = path.read_bytes()
    snapshot = smapskit.parse_smaps(text)
    functions: dict[str, Callable[[], object]] = {
        "parse_smaps": lambda: smapskit.parse_smaps(text),
        "parse_frame": lambda: smapskit.parse_frame(text),
        "iter_mappings": lambda: sum(1 for _ in smapskit.iter_mappings(text.splitlines(True))),
        "totals": lambda: smapskit.totals(snapshot),
        "group_by": lambda: snapshot.group_by("backing"),
        "diff": lambda: smapskit.diff(snapshot, snapshot),
    }
    units = []
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(_CHECK_ROUNDS):
        rss, _read, parse = floor.measure(str(path), 3)
        if rss != snapshot.totals().rss:
            sys.exit(f"expected Rss {snapshot.totals().rss} of the C program, got {rss}")
        units.append(parse)
        for name, function in functions.items():
            seconds[name].append(least(function, 1))
    return {name: min(times) / min(units) for name, times in seconds.items()}


def last_row() -> dict[str, float]:
    """Return the ratios of the last row of the record."""
    with HISTORY.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: float(value) for name, value in rows[-1].items() if name != "version"}


def slower(found: dict[str, float], last: dict[str, float]) -> list[str]:
    """Return a line for each ratio that is over the limit."""
    return [
        f"{name}: {found[name]:.2f} times the C program, over {LIMIT} of {last[name]:.2f}"
        for name in last
        if name in found and found[name] > LIMIT * last[name]
    ]


def check(folder: Path) -> int:
    """Compare with the last row; measure again before failing. Return the exit status."""
    last = last_row()
    names: set[str] = set(last)
    for attempt in range(2):
        found = ratios(folder)
        for name, ratio in found.items():
            known = f"{last[name]:8.2f}" if name in last else ""
            print(f"{name:<16} {ratio:8.2f} {known}")
        lines = [line for line in slower(found, last) if line.partition(":")[0] in names]
        if not lines:
            return 0
        names = {line.partition(":")[0] for line in lines}
        print("\n".join(lines) if attempt else "measured again, since a ratio is over the limit")
    return 1


def record(folder: Path, version: str) -> None:
    """Append a row to the record."""
    found = ratios(folder)
    is_new = not HISTORY.exists()
    with HISTORY.open("a", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if is_new:
            writer.writerow(["version", *found])
        writer.writerow([version, *(f"{ratio:.2f}" for ratio in found.values())])


def main() -> int:
    """Parse the arguments; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[1])
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--check", action="store_true", help="compare with the last row")
    group.add_argument("--record", metavar="NAME", help="append a row of this version or commit")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        if options.check:
            return check(Path(name))
        if options.record:
            record(Path(name), options.record)
            return 0
        text = table(Path(name), SIZES)
    print(text)
    RESULTS.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
