"""Measure the working set of a process, by clearing the accessed bits of its pages."""

from __future__ import annotations

import errno
import math
import os
import time
from contextlib import closing
from os import PathLike

from smapskit.errors import ProcessNotFound
from smapskit.model.working_set import HUGE_PAGES, WARNING, WorkingSet
from smapskit.sources import process, procfs


def working_set(pid: int, seconds: float, *, proc: PathLike[str] | str = procfs.PROC) -> WorkingSet:
    """
    Measure which memory a process touches within some seconds.

    Warning: this changes what the kernel knows of the process. The accessed bits of all its
    pages are cleared (1 to /proc/PID/clear_refs), so that the kernel takes pages in use for
    unused and may evict them: repeated ten times a second, it cost a third of a region that was
    in constant use. Do not use it on a machine that is short of memory.

    Args:
        pid: of the process.
        seconds: how long to wait before Referenced of smaps is read.
        proc: where procfs is mounted.

    Returns:
        The snapshot at the end. The notes have the warning, and whether huge pages make the
        result too large. A touch of a mapped file counts up to 16 pages, which the kernel maps
        together.

    Raises:
        ProcessNotFound: there is no such process, or it ended or called exec meanwhile.
        AccessDenied: the process is another user's.
        Unsupported: this kernel has no clear_refs.
        ValueError: the time is not a finite number of seconds above 0.
        OSError: any other error.
    """
    if not 0 < seconds < math.inf:
        raise ValueError(f"expected a number of seconds above 0, got {seconds}")
    with (
        procfs.ProcessHandle(pid, proc) as handle,
        closing(procfs.AddressSpace(pid, proc)) as space,
    ):
        begin = time.monotonic()
        _clear(pid, proc)
        time.sleep(seconds)
        snapshot = process.read(pid, proc=proc)
        elapsed = time.monotonic() - begin
        if not handle.exists() or not space.exists():
            msg = f"process {pid} ended or called exec while its working set was measured"
            raise ProcessNotFound(errno.ESRCH, msg, pid=pid)
    totals = snapshot.totals()
    huge = (totals.anon_huge_pages, totals.shmem_pmd_mapped, totals.file_pmd_mapped)
    notes = (WARNING, HUGE_PAGES) if any(huge) else (WARNING,)
    return WorkingSet(elapsed, snapshot, notes)


def _clear(pid: int, proc: PathLike[str] | str) -> None:
    try:
        descriptor = os.open(procfs.proc_path(pid, "clear_refs", proc), os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, b"1")
        finally:
            os.close(descriptor)
    except OSError as error:
        procfs.raise_for_oserror(error, pid, "clear_refs", proc)
