"""
Read processes that are killed, call exec or end while they are read, and count what comes out.

    python tests/stress/ending.py [--kills N] [--execs N] [--seconds S] [--mappings N]

Each reading counts as one of:

complete  all mappings of one program, with that program's command line
note      a snapshot with a note that gives the reason why it is empty or uncertain
error     ProcessNotFound
WRONG     anything else: mappings are missing, or they belong to another program

The exit status is 1 if any reading is WRONG.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import smapskit
from smapskit.cli import fast_table
from smapskit.sources import process, procfs

MANY = """
import ctypes, os, signal, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
pages = int(sys.argv[1])
area = libc.mmap(None, pages * 4096, 3, 0x22, -1, 0)
for page in range(0, pages, 2):
    assert libc.mprotect(area + page * 4096, 4096, 1) == 0
signal.signal(signal.SIGUSR1, lambda *_: os.execvp("sleep", ["sleep", "1000"]))
print("ready", flush=True)
while True:
    signal.pause()
"""
FEW = 1000
"""More mappings than `sleep` has, fewer than the program above."""


class Outcome(NamedTuple):
    """What one reading returned."""

    mappings: int
    command: str | None
    has_note: bool = False


def _read(pid: int) -> Outcome:
    snapshot = smapskit.read(pid)
    return Outcome(len(snapshot), snapshot.command, bool(snapshot.notes))


def _read_maps(pid: int) -> Outcome:
    snapshot = smapskit.read_maps(pid)
    return Outcome(len(snapshot), snapshot.command, bool(snapshot.notes))


def _read_frame(pid: int) -> Outcome:
    frame = smapskit.read_frame(pid)
    return Outcome(len(frame), frame.attrs["command"], not len(frame))


def _read_sums(pid: int) -> Outcome:
    reading = process.read_sums_text(pid, None, procfs.PROC)
    count = reading.value[""].count if reading.value else 0
    return Outcome(count, reading.command, not count or bool(reading.notes))


def _print_table(pid: int) -> Outcome:
    output, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        status = fast_table.run([str(pid)])
    if status:
        raise smapskit.ProcessNotFound(errors.getvalue())
    first, *rows = output.getvalue().splitlines()
    # The heading and the two lines of the totals; an empty process has the first line alone.
    return Outcome(max(0, len(rows) - 3), first.partition(":   ")[2], len(rows) <= 3)


READERS: list[Callable[[int], Outcome]] = [_read, _read_maps, _read_frame, _read_sums, _print_table]


@contextlib.contextmanager
def many_mappings(count: int) -> Iterator[tuple[int, str]]:
    """Start a program with so many mappings; return its pid and its command line."""
    words = [sys.executable, "-c", MANY, str(count)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            yield child.pid, " ".join(words).replace("\n", " ")
        finally:
            child.kill()


def signals_during_reads(number: signal.Signals, times: int, mappings: int) -> Counter[str]:
    """Send a signal to a process at a random moment while it is read."""
    found: Counter[str] = Counter()
    seconds: dict[Callable[[int], Outcome], float] = {}
    with many_mappings(mappings) as (pid, _):
        for read in READERS:
            read(pid)  # imports what it needs
            began = time.monotonic()
            read(pid)
            seconds[read] = time.monotonic() - began
    for turn in range(times):
        read = READERS[turn % len(READERS)]
        with many_mappings(mappings) as (pid, command):
            whole = Path(f"/proc/{pid}/maps").read_bytes().count(b"\n")
            delay = random.uniform(0, seconds[read])
            timer = threading.Timer(delay, os.kill, (pid, number))
            timer.start()
            result = "error"
            with contextlib.suppress(smapskit.ProcessNotFound):
                outcome = read(pid)
                result = _judge(outcome, whole, command)
                if result == "WRONG":
                    print(f"{read.__name__}: {outcome}, expected {whole} mappings", flush=True)
            timer.join()
        found[result] += 1
    return found


def _judge(outcome: Outcome, whole: int, command: str) -> str:
    if outcome.has_note:
        return "note"
    # The table replaces the newlines of the command line and may cut it.
    is_old = outcome.command is None or outcome.command.startswith(command[:20])
    is_new = outcome.command is None or outcome.command.strip("[]").startswith("sleep")
    if (is_old and outcome.mappings == whole) or (is_new and 0 < outcome.mappings < FEW):
        return "complete"
    return "WRONG"


def short_lives(seconds: float) -> Counter[str]:
    """Read processes that live 12 ms, from their fork to their end."""
    found: Counter[str] = Counter()
    has_vsyscall = Path("/proc/self/maps").read_text().rstrip().endswith("[vsyscall]")
    loop = "while :; do sleep 0.012 & echo $!; wait; done"
    deadline = time.monotonic() + seconds
    with subprocess.Popen(["sh", "-c", loop], stdout=subprocess.PIPE, text=True) as shell:
        try:
            assert shell.stdout is not None
            while time.monotonic() < deadline:
                pid = int(shell.stdout.readline())
                with contextlib.suppress(smapskit.ProcessNotFound):
                    while True:
                        read = random.choice((smapskit.read, smapskit.read_maps))
                        result = "error"
                        try:
                            snapshot = read(pid)
                            result = _judge_short(snapshot, has_vsyscall=has_vsyscall)
                        finally:
                            found[result] += 1
                        if result == "WRONG":
                            print(snapshot.command, [m.pathname for m in snapshot], flush=True)
        finally:
            shell.kill()
    return found


def _judge_short(snapshot: smapskit.Snapshot, *, has_vsyscall: bool) -> str:
    if snapshot.notes:
        return "note"
    names = [mapping.pathname for mapping in snapshot]
    # The kernel reports [vsyscall] after everything else, and a stack from exec on.
    is_whole = "[stack]" in names and (names[-1] == "[vsyscall]" or not has_vsyscall)
    is_sleep = any(name.endswith("/sleep") for name in names)
    is_shell = any(name.endswith(("/sh", "/dash", "/bash")) for name in names)
    command = snapshot.command or ""
    is_other = is_shell if command.startswith("sleep") else command.startswith("sh ") and is_sleep
    return "WRONG" if is_other or not is_whole else "complete"


def main(arguments: list[str] | None = None) -> int:
    """Run all three and print the counts."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--execs", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--mappings", type=int, default=20_000)
    options = parser.parse_args(arguments)
    wrong = 0
    for name, found in (
        ("kills", signals_during_reads(signal.SIGKILL, options.kills, options.mappings)),
        ("execs", signals_during_reads(signal.SIGUSR1, options.execs, options.mappings)),
        ("processes of 12 ms", short_lives(options.seconds)),
    ):
        counts = {key: found[key] for key in ("complete", "error", "note", "WRONG")}
        total = sum(found.values())
        print(
            f"{name}: {total} readings,", *(f"{key} {n}" for key, n in counts.items()), flush=True
        )
        wrong += found["WRONG"]
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
