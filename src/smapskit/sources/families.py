"""
Read families of processes: all processes of a machine, summed by what they belong to.

The USS of a family is the number of pages that are mapped as often by its processes as by all.
Page frame numbers and /proc/kpagecount, which this requires, may only be read by root.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from os import PathLike
from typing import Final, get_args

import attrs

from smapskit.errors import ProcessNotFound, SmapskitError
from smapskit.model.cgroup import CgroupOwner
from smapskit.model.family import Families, Family, FamilyKey, FamilyMember
from smapskit.sources import procfs
from smapskit.sources.processes import Progress, read_processes
from smapskit.sources.system import read_usage

_FIELD: Final = re.compile(rb"^(PPid|Uid|VmPTE):\t *([0-9]+)(?:\t([0-9]+))?", re.MULTILINE)
_INIT: Final = 1


@attrs.frozen
class _Process:
    member: FamilyMember
    name: str
    """The name of the process, of up to 15 bytes."""
    uid: int
    owner: CgroupOwner


def read_families(
    by: FamilyKey = "command",
    *,
    proc: str | PathLike[str] = procfs.PROC,
    progress: Progress | None = None,
) -> Families:
    """
    Read the memory of every process of this machine, and sum it by family.

    Args:
        by: "command": the name of the process; "user": its effective user; "unit": the systemd
            unit and "container": the container, by the names of its cgroup; "tree": a process
            that init started, with its descendants.
        proc: where procfs is mounted.
        progress: called after each process.

    Returns:
        As root, the USS of each family is counted (`Family.uss`). Otherwise only bounds are
        known (`uss_min`, `uss_max`). The processes are not read at one time.

    Raises:
        Unsupported: this system has no procfs.
        ValueError: an unknown name of a key.
    """
    if by not in get_args(FamilyKey):
        raise ValueError(f"expected one of {', '.join(get_args(FamilyKey))}, got {by!r}")
    processes: list[_Process] = []

    def read(pid: int) -> None:
        processes.append(_read_process(pid, proc))

    unreadable = read_processes(read, proc, progress)
    members: dict[str | None, list[FamilyMember]] = {}
    for process, name in zip(processes, _names(processes, by), strict=True):
        members.setdefault(name, []).append(process.member)
    families = [_family(name, each, proc) for name, each in members.items()]
    families.sort(key=lambda family: family.pss or 0, reverse=True)
    return Families(by, tuple(families), unreadable)


def _read_process(pid: int, proc: str | PathLike[str]) -> _Process:
    reading = read_usage(pid, proc)
    status = {m[1]: m for m in _FIELD.finditer(procfs.read_file(pid, "status", proc))}
    name, _, _ = procfs.read_stat(pid, proc)
    if not {b"PPid", b"Uid"} <= status.keys():
        raise SmapskitError(f"expected PPid and Uid in the status of process {pid}")
    tables = int(status[b"VmPTE"][2]) if b"VmPTE" in status else None
    member = FamilyMember(pid, int(status[b"PPid"][2]), reading.command, reading.value, tables)
    return _Process(member, name, int(status[b"Uid"][3]), _owner(pid, proc))


def _owner(pid: int, proc: str | PathLike[str]) -> CgroupOwner:
    """Return what the groups of a process show; the first that shows a unit or a container."""
    try:
        text = procfs.read_file(pid, "cgroup", proc).decode("utf-8", "surrogateescape")
    except ProcessNotFound:
        raise
    except (SmapskitError, OSError):
        return CgroupOwner()
    owners = [CgroupOwner.of_path(line.split(":", 2)[-1]) for line in text.splitlines()]
    return next((each for each in owners if each.unit or each.container), CgroupOwner())


def _names(processes: Sequence[_Process], by: FamilyKey) -> list[str | None]:
    """Return the family of each process."""
    if by == "command":
        return [process.name for process in processes]
    if by == "user":
        return [_user(process.uid) for process in processes]
    if by == "unit":
        return [process.owner.unit for process in processes]
    if by == "container":
        return [process.owner.container for process in processes]
    by_pid = {process.member.pid: process for process in processes}
    roots = [_root(process.member.pid, by_pid) for process in processes]
    return [f"{root} {by_pid[root].name}" for root in roots]


def _root(pid: int, by_pid: dict[int, _Process]) -> int:
    """Return the ancestor that init, or a process that could not be read, started."""
    seen = {pid}
    while (parent := by_pid[pid].member.parent) in by_pid and parent != _INIT:
        if parent in seen:  # pids were reused while they were read
            break
        seen.add(parent)
        pid = parent
    return pid


def _user(uid: int) -> str:
    import pwd  # noqa: PLC0415  not on every system

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _family(name: str | None, members: Sequence[FamilyMember], proc: str | PathLike[str]) -> Family:
    if len(members) == 1:
        return Family(name=name, members=tuple(members), uss=members[0].usage.uss)
    uss, reason = _count_uss([member.pid for member in members], proc)
    return Family(name=name, members=tuple(members), uss=uss, uncounted=reason)


def _count_uss(pids: Sequence[int], proc: str | PathLike[str]) -> tuple[int | None, str | None]:
    """Return the memory in kB that these processes map alone, or why it is not known."""
    import numpy as np  # noqa: PLC0415  not for other tables

    from smapskit.sources.pages.read import read_pages  # noqa: PLC0415  loads NumPy

    pfns, counts, page_size = [], [], 0
    for pid in pids:
        try:
            pages = read_pages(pid, exclusive=False, frames=("map_count",), proc=proc)
        except ProcessNotFound:  # it ended after its sums were read
            continue
        except (SmapskitError, OSError, ValueError) as error:
            return None, f"pages of process {pid} could not be read: {error}"
        frames = pages.frames
        if frames is None or frames.map_counts is None:
            return None, pages.unknown.get("map_count") or pages.unknown.get("pfn")
        pfns.append(frames.pfns)
        counts.append(frames.map_counts)
        page_size = pages.page_size
    if not pfns:
        return None, "all processes ended"
    numbers, first, times = np.unique(np.concatenate(pfns), return_index=True, return_counts=True)
    by_all = np.concatenate(counts)[first]
    # The zero page is not counted as mapped; it is in no RSS.
    is_own = (numbers >= 0) & (by_all > 0) & (times >= by_all)
    return int(np.count_nonzero(is_own)) * page_size // 1024, None
