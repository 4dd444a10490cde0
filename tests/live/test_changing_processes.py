"""Processes that change or end while they are read."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

import smapskit
from smapskit import Inconsistency
from smapskit.errors import ProcessNotFound

CHURN = """
import mmap, os, random, sys
random.seed(1)
kept = []
print("ready", flush=True)
parent = os.getppid()
while os.getppid() == parent:
    for _ in range(50):
        prot = random.choice((1, 3))
        kept.append(mmap.mmap(-1, 4096 * random.randint(1, 40), flags=0x22, prot=prot))
    for _ in range(30):
        kept.pop(random.randrange(len(kept))).close()
    if len(kept) > 800:
        kept = []
    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)
"""


@pytest.mark.slow
def test_a_process_that_changes_all_the_time(start: Callable[..., subprocess.Popen[str]]) -> None:
    pid = start(sys.executable, "-c", CHURN).pid
    sizes = set()
    for _ in range(300):
        snapshot = smapskit.read(pid)
        sizes.add(len(snapshot))
        assert all(isinstance(fault, Inconsistency) for fault in snapshot.check())
        smapskit.read_maps(pid)
        smapskit.read_rollup(pid)
        # A torn snapshot can still be totalled, written and parsed again.
        assert smapskit.parse_smaps(smapskit.format_smaps(snapshot)).mappings == tuple(snapshot)
    assert len(sizes) > 20


def test_processes_that_may_have_ended_before_they_are_read() -> None:
    answers: set[type] = set()
    for number in range(200):
        child = subprocess.Popen(["true"])
        if number % 2:
            child.wait()
        try:
            answers.add(type(smapskit.read(child.pid)))
        except ProcessNotFound as error:
            answers.add(type(error))
            assert str(child.pid) in str(error)
        finally:
            child.wait()
    assert answers == {smapskit.Snapshot, ProcessNotFound}
