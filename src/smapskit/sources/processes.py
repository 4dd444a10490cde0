"""Call a function for each process of this machine, without failing for those that end."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from os import PathLike

from smapskit.errors import ProcessNotFound, SmapskitError
from smapskit.sources import procfs

Progress = Callable[[int, int], object]
"""Called with the number of processes read and the number of all processes."""


def read_processes(
    read: Callable[[int], object],
    proc: str | PathLike[str],
    progress: Progress | None,
    pids: Iterable[int] | None = None,
) -> dict[int, str]:
    """Call `read` for each process; return the reason by pid for those that cannot be read."""
    wanted = _all_pids(proc) if pids is None else sorted(pids)
    unreadable = {}
    for number, pid in enumerate(wanted, 1):
        try:
            read(pid)
        except (SmapskitError, OSError) as error:
            has_ended = isinstance(error, ProcessNotFound)  # or has no memory
            if not has_ended or isinstance(error, procfs.ExecDuringRead):
                reason = error.strerror if isinstance(error, OSError) else None
                unreadable[pid] = reason or str(error)
        if progress is not None:
            progress(number, len(wanted))
    return unreadable


def _all_pids(proc: str | PathLike[str]) -> list[int]:
    try:
        # Not Path.glob(), which ignores errors such as too many open files from Python 3.13 on.
        pids = sorted(int(name) for name in os.listdir(proc) if name.isdecimal())  # noqa: PTH208
    except (FileNotFoundError, NotADirectoryError):
        pids = []
    if not pids:
        procfs.raise_no_procfs(proc)
    return pids
