"""
Read facts of the machine, and explain all of its processes.

Processes are read one after another, and only their findings are kept.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from os import PathLike
from typing import Final

import attrs

from smapskit.analysis.context import THP_MODES, UNLIMITED, Context
from smapskit.analysis.explain import Explanation, examine
from smapskit.analysis.findings import Finding
from smapskit.model.snapshot import Snapshot
from smapskit.sources import process, procfs
from smapskit.sources.processes import Progress, read_processes

_SYS: Final = "/sys"
_THP: Final = "kernel/mm/transparent_hugepage/enabled"
_LIMITS: Final = {
    "stack_limit": b"Max stack size",
    "address_space_limit": b"Max address space",
}
"""The names in /proc/PID/limits, in bytes there."""


def read_context(pid: int | None = None, *, proc: str | PathLike[str] = procfs.PROC) -> Context:
    """
    Read the facts that `explain` needs besides the mappings, of this machine and a process.

    Args:
        pid: of the process; None for this process.
        proc: where procfs is mounted.

    Returns:
        A fact that cannot be read is None.

    Raises:
        ProcessNotFound: there is no such process.
        AccessDenied: the process is another user's.
        Unsupported: this system has no procfs.
    """
    pid = os.getpid() if pid is None else pid
    limits = procfs.read_file(pid, "limits", proc)
    status = procfs.read_file(pid, "status", proc)
    mode = re.search(rb"\[(\w+)\]", procfs.read_system_file(_THP, _SYS))
    thp_mode = mode[1].decode() if mode else None
    return Context(
        max_map_count=_number(rb"\A(\d+)", procfs.read_system_file("sys/vm/max_map_count", proc)),
        page_size=os.sysconf("SC_PAGE_SIZE") // 1024,
        thp_mode=thp_mode if thp_mode in THP_MODES else None,
        mem_total=_number(rb"(?m)^MemTotal: +(\d+) kB", procfs.read_system_file("meminfo", proc)),
        page_tables=_number(rb"(?m)^VmPTE:\s+(\d+) kB", status),
        **{name: _limit(limits, heading) for name, heading in _LIMITS.items()},
    )


def complete_context(given: Context, pid: int | None) -> Context:
    """Return the facts given, and for a live process those of the machine; `pid` None: a text."""
    if pid is None:
        return given
    known = attrs.asdict(given, filter=lambda _, value: value is not None)
    return attrs.evolve(read_context(pid), **known)


def _number(pattern: bytes, text: bytes) -> int | None:
    found = re.search(pattern, text)
    return int(found[1]) if found else None


def _limit(text: bytes, heading: bytes) -> float | None:
    """Return a soft limit in kB."""
    found = re.search(rb"(?m)^" + heading + rb" +(\d+|unlimited) ", text)
    if not found:
        return None
    return UNLIMITED if found[1] == b"unlimited" else int(found[1]) // 1024


@attrs.frozen
class ProcessFindings:
    """The findings of one process, without the mappings that prove them."""

    pid: int
    command: str
    explanation: Explanation
    names: dict[str, tuple[str, ...]]
    """The names of these mappings, by the id of the finding."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The findings, largest first."""
        return self.explanation.findings


@attrs.frozen
class MachineFindings:
    """The findings of all processes of a machine that could be read."""

    count: int
    """Number of processes that were read."""
    processes: tuple[ProcessFindings, ...]
    """Those with findings."""
    unreadable: dict[int, str]
    """The reason by pid."""


def explain_system(
    ignore: Collection[str] = (),
    *,
    proc: str | PathLike[str] = procfs.PROC,
    progress: Progress | None = None,
) -> MachineFindings:
    """
    Explain every process of this machine, with the rules that concern a whole machine.

    They are: deleted code that still runs, the number of mappings, swap, memory that is both
    writable and executable.

    Args:
        ignore: ids of findings that are not wanted.
        proc: where procfs is mounted.
        progress: called after each process.

    Raises:
        ValueError: an id in `ignore` that no rule has.
        Unsupported: this system has no procfs.
    """
    found: list[ProcessFindings] = []
    count = 0
    examine(Snapshot(()), None, ignore, is_machine=True)  # an unknown id is an error at once

    def read(pid: int) -> None:
        nonlocal count
        snapshot = process.read(pid, proc=proc)
        if not snapshot:
            return
        count += 1
        context = read_context(pid, proc=proc)
        explanation = examine(snapshot, context, ignore, is_machine=True)
        if explanation.findings:
            found.append(_without_mappings(pid, snapshot.command or "", explanation))

    unreadable = read_processes(read, proc, progress)
    return MachineFindings(count, tuple(found), unreadable)


def _without_mappings(pid: int, command: str, explanation: Explanation) -> ProcessFindings:
    names = {
        finding.id: tuple(dict.fromkeys(m.pathname for m in finding.mappings if m.pathname))
        for finding in explanation.findings
    }
    findings = tuple(attrs.evolve(finding, mappings=()) for finding in explanation.findings)
    return ProcessFindings(pid, command, attrs.evolve(explanation, findings=findings), names)
