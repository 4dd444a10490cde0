"""
Read all processes of a machine: what each of them uses, and what they use together.

A page that several processes map is in the RSS of each of them, and in the PSS of each by its
share: only PSS may be summed over processes.
"""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from typing import TYPE_CHECKING, Any

import attrs

from smapskit.errors import ProcessNotFound, Unsupported
from smapskit.model.mapping import Usage
from smapskit.model.totals import GroupName, Totals, add_totals
from smapskit.sources import process, procfs
from smapskit.sources.process import Reading
from smapskit.sources.processes import Progress, read_processes

if TYPE_CHECKING:
    from pandas import DataFrame

    from smapskit.views.frames import Unit


@attrs.frozen
class ProcessUsage:
    """The sums over the mappings of one process."""

    pid: int
    command: str
    usage: Usage


@attrs.frozen
class GroupUsage:
    """The sums over a group of mappings in all processes."""

    processes: int
    """Number of processes that have such mappings."""
    totals: Totals


@attrs.frozen
class SystemUsage:
    """The memory of all processes of a machine that could be read."""

    processes: tuple[ProcessUsage, ...]
    """The processes with an address space: kernel threads and zombies have none."""
    groups: dict[Any, GroupUsage]
    """By group; empty where no groups were requested."""
    unreadable: dict[int, str]
    """The reason by pid: another user's process, malformed text, too many open files."""


def read_system(
    by: GroupName | None = None,
    *,
    pids: Iterable[int] | None = None,
    proc: str | PathLike[str] = procfs.PROC,
    progress: Progress | None = None,
) -> SystemUsage:
    """
    Read the memory of every process of this machine, or of some of them.

    Args:
        by: also sum groups over all processes, by "backing", "sharing", "kind",
            "perms" or "pathname".
            This takes the kernel about ten times as long.
        pids: the processes to read, such as those of a cgroup; None for all.
        proc: where procfs is mounted.
        progress: called after each process.

    Raises:
        Unsupported: this system has no procfs.
    """
    processes: list[ProcessUsage] = []
    members: dict[Any, list[Totals]] = {}

    def read(pid: int) -> None:
        if by is None:
            reading = read_usage(pid, proc)
            processes.append(ProcessUsage(pid, reading.command, reading.value))
            return
        groups = process.read_sums_text(pid, by, proc)
        if not groups.value:
            return
        for key, totals in groups.value.items():
            members.setdefault(key, []).append(totals)
        usage = add_totals(list(groups.value.values()))
        processes.append(ProcessUsage(pid, groups.command, usage))

    unreadable = read_processes(read, proc, progress, pids)
    groups = {key: GroupUsage(len(parts), add_totals(parts)) for key, parts in members.items()}
    return SystemUsage(tuple(processes), groups, unreadable)


def read_system_frame(
    unit: Unit = "kB",
    *,
    proc: str | PathLike[str] = procfs.PROC,
    progress: Progress | None = None,
) -> DataFrame:
    """
    Read every mapping of every readable process of this machine into one frame.

    Args:
        unit: as in `Snapshot.to_frame`.
        proc: where procfs is mounted.
        progress: called after each process.

    Returns:
        As `concat`, with pid and time as the index. `attrs["commands"]` has the command lines and
        `attrs["unreadable"]` the reason for each process that is missing, both by pid.

    Raises:
        Unsupported: this system has no procfs.
    """
    from smapskit.views import frames  # noqa: PLC0415  loaded where a frame is requested

    parts: list[DataFrame] = []
    commands: dict[int, str] = {}

    def read(pid: int) -> None:
        frame = process.read_frame(pid, unit, proc=proc)
        if len(frame):
            commands[pid] = frame.attrs["command"]
            parts.append(frame)

    unreadable = read_processes(read, proc, progress)
    frame = frames.concat(parts, unit)
    frame.attrs |= {"commands": commands, "unreadable": unreadable}
    return frame


def read_usage(pid: int, proc: str | PathLike[str]) -> Reading[Usage]:
    """
    Read the kernel's sums over the mappings of a process; before Linux 4.14, sum its smaps.

    Raises:
        ProcessNotFound, AccessDenied, OSError: as `smapskit.read`; also for no memory.
    """
    try:
        return process.read_rollup_text(pid, proc)
    except Unsupported:  # before kernel 4.14
        groups = process.read_sums_text(pid, None, proc)
        if not groups.value:
            msg = f"process {pid} has no memory map"
            raise ProcessNotFound(msg, pid=pid) from None
        return Reading(groups.value[""], groups.command, groups.time, groups.notes)
