"""Kinds of the mappings of live processes whose threads are counted."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

import attrs
import pytest
from support.subjects import Start, stopped

import smapskit
from smapskit import MappingKind

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.libc_ver()[0] != "glibc", reason="counts arenas of glibc"
)

THREADS = """
import ctypes, sys, threading
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
count = int(sys.argv[1])
ready = threading.Barrier(count + 1)
def work():
    assert libc.malloc(100_000)
    ready.wait()
    threading.Event().wait()
for _ in range(count):
    threading.Thread(target=work, daemon=True).start()
ready.wait()
print("ready", flush=True)
sys.stdin.read()
"""
"""A program with as many threads as its argument says, each of which has called malloc."""


@pytest.mark.parametrize("count", [1, 5])
def test_each_thread_has_a_stack_and_an_arena(start: Start, count: int) -> None:
    # glibc makes at most 8 arenas for each processor, at least 8.
    pid = start(sys.executable, "-c", THREADS, str(count)).pid
    with stopped(pid):
        snapshot = smapskit.read(pid)
        tasks = os.listdir(f"/proc/{pid}/task")  # noqa: PTH208
    assert len(tasks) == count + 1
    groups = snapshot.group_by("kind")
    stacks = groups[MappingKind.THREAD_STACK]
    if any("gu" in (mapping.vm_flags or ()) for mapping in snapshot):
        # Adjacent stacks of glibc 2.42 and later are one mapping.
        assert 1 <= stacks.count <= count
        assert stacks.size >= count * 8192
    else:
        assert stacks.count == count
        assert stacks.size >= count * 1024
    assert groups[MappingKind.MALLOC_ARENA].count == count
    assert groups[MappingKind.MAIN_STACK].count == 1


def test_each_stack_with_guard_regions_is_known(start: Start) -> None:
    """The text as glibc 2.42 and later would cause it: no guard mappings, the flag `gu`."""
    pid = start(sys.executable, "-c", THREADS, "5").pid
    with stopped(pid):
        snapshot = smapskit.read(pid)
    mappings = []
    for mapping in snapshot:
        flags = mapping.vm_flags or ()
        if "nh" not in flags or mapping.pathname:
            mappings.append(mapping)
        elif mapping.perms.write:
            start_of_guard = mapping.start - 4096
            mappings.append(attrs.evolve(mapping, start=start_of_guard, vm_flags=(*flags, "gu")))
    if len(mappings) == len(snapshot):
        pytest.skip("requires a kernel that marks stacks: 6.7 and later")
    assert len(mappings) == len(snapshot) - 5
    groups = smapskit.group_by(mappings, "kind")
    assert groups[MappingKind.THREAD_STACK].count == 5
    assert groups[MappingKind.MALLOC_ARENA].count == 5


def test_a_process_with_one_thread_has_neither(start: Start) -> None:
    pid = start(sys.executable, "-c", "print('ready', flush=True); input()").pid
    with stopped(pid):
        groups = smapskit.read(pid).group_by("kind")
        assert len(list(Path(f"/proc/{pid}/task").iterdir())) == 1
    assert MappingKind.THREAD_STACK not in groups
    assert MappingKind.MALLOC_ARENA not in groups
