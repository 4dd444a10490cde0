"""
All processes of a machine: what each of them holds, and what they hold together.

A page that several processes map is in the RSS of each of them, in the PSS of each by its
share: only PSS may be added up over processes.
"""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from smapskit.sources import process
from smapskit.sources import procfs
from smapskit.model.diff import GroupName, added
from smapskit.errors import ProcessNotFound, SmapskitError, Unsupported
from smapskit.sources.process import Reading
from smapskit.model.mapping import Totals, Usage

if TYPE_CHECKING:
    from pandas import DataFrame

    from smapskit.views.frames import Unit

Each = Callable[[int, int], object]
"""Told how many processes have been read, and how many there are."""


@attrs.frozen
class ProcessSums:
    """What one process's mappings add up to."""

    pid: int
    command: str
    usage: Usage


@attrs.frozen
class GroupSums:
    """What a group's mappings add up to over all processes."""

    processes: int
    """In how many of them there are such mappings."""
    totals: Totals


@attrs.frozen
class Survey:
    """What was found, and what could not be read."""

    processes: tuple[ProcessSums, ...]
    """Those with memory of their own: kernel threads and zombies have none."""
    groups: dict[Any, GroupSums]
    """By group, where groups were asked for."""
    unreadable: dict[int, str]
    """Why, by pid: another user's, not parsable, or an error such as too many open files."""


def survey(
    by: GroupName | None = None,
    *,
    proc: str | PathLike[str] = procfs.PROC,
    each: Each | None = None,
) -> Survey:
    """
    Read what every process of this machine holds.

    Args:
        by: also add up over all processes by "backing", "sharing", "perms" or "pathname",
            which takes the kernel about ten times as long.
        proc: where procfs is mounted.
        each: called after each process, to show progress.

    Raises:
        Unsupported: this system has no procfs.
    """
    processes: list[ProcessSums] = []
    members: dict[Any, list[Totals]] = {}

    def read(pid: int) -> None:
        if by is None:
            reading = _read_usage(pid, proc)
            processes.append(ProcessSums(pid, reading.command, reading.value))
            return
        groups = process.read_sums_text(pid, by, proc)
        if not groups.value:
            return
        for key, sums in groups.value.items():
            members.setdefault(key, []).append(sums.totals)
        usage = added([sums.totals for sums in groups.value.values()])
        processes.append(ProcessSums(pid, groups.command, usage))

    unreadable = _each_process(read, proc, each)
    sums = {key: GroupSums(len(parts), added(parts)) for key, parts in members.items()}
    return Survey(tuple(processes), sums, unreadable)


def read_all(
    unit: Unit = "kB", *, proc: str | PathLike[str] = procfs.PROC, each: Each | None = None
) -> DataFrame:
    """
    Every mapping of every process of this machine that may be read, as one frame.

    Args:
        unit: as in `to_frame`.
        proc: where procfs is mounted.
        each: called after each process, to show progress.

    Returns:
        As `concat`: pid and time are the index. `attrs["commands"]` has the command lines and
        `attrs["unreadable"]` why a process is missing, both by pid.

    Raises:
        Unsupported: this system has no procfs.
    """
    from smapskit.views import frames  # noqa: PLC0415  pandas is for whoever asks for a frame

    moments: list[DataFrame] = []
    commands: dict[int, str] = {}

    def read(pid: int) -> None:
        frame = process.read_frame(pid, unit, proc=proc)
        if len(frame):
            commands[pid] = frame.attrs["command"]
            moments.append(frame)

    unreadable = _each_process(read, proc, each)
    frame = frames.concat(moments, unit)
    frame.attrs |= {"commands": commands, "unreadable": unreadable}
    return frame


def _each_process(
    read: Callable[[int], object], proc: str | PathLike[str], each: Each | None
) -> dict[int, str]:
    """Read each process that there is; tell why, by pid, for those that can't be."""
    pids = sorted(int(entry.name) for entry in Path(proc).glob("[0-9]*") if entry.name.isdecimal())
    if not pids:
        procfs.no_procfs(proc)
    unreadable = {}
    for number, pid in enumerate(pids, 1):
        try:
            read(pid)
        except (SmapskitError, OSError) as error:
            has_ended = isinstance(error, ProcessNotFound)  # or has no memory
            if not has_ended or isinstance(error, procfs.ExecDuringRead):
                reason = error.strerror if isinstance(error, OSError) else None
                unreadable[pid] = reason or str(error)
        if each is not None:
            each(number, len(pids))
    return unreadable


def _read_usage(pid: int, proc: str | PathLike[str]) -> Reading[Usage]:
    try:
        return process.read_rollup_text(pid, proc)
    except Unsupported:  # before 4.14
        groups = process.read_sums_text(pid, None, proc)
        if not groups.value:
            raise ProcessNotFound(f"process {pid} has no memory map") from None
        return Reading(groups.value[""].totals, groups.command, groups.time, groups.notes)
