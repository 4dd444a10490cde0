"""
Live processes as snapshots.

One read of the kernel's file is not one moment: it gives some 4 KiB of text at a time and
lets go of the address space in between. `Snapshot.check()` tells what contradicts itself.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from datetime import UTC, datetime
from os import PathLike
from typing import TYPE_CHECKING, Any, Final

import attrs

from smapskit.errors import ProcessNotFound
from smapskit.formats.smaps import sums
from smapskit.formats.smaps.chunks import whole_records
from smapskit.formats.smaps.files import MAPS, SMAPS, Kind
from smapskit.formats.smaps.grammar import NOTE_EMPTY
from smapskit.formats.smaps.parse import parse_pieces, parse_rollup
from smapskit.formats.smaps.sums import Sums
from smapskit.model.diff import GroupName
from smapskit.model.mapping import Mapping, Rollup
from smapskit.model.snapshot import Snapshot
from smapskit.sources import procfs

if TYPE_CHECKING:
    from pandas import DataFrame

    from smapskit.views.frames import Unit

NOTE_KERNEL_THREAD: Final = "a kernel thread: it has no memory map"
NOTE_ZOMBIE: Final = "a zombie: it has ended, its memory is freed"
NOTE_ENDING: Final = "no mappings: the process was ending"


def read(pid: int, *, proc: PathLike[str] | str = procfs.PROC) -> Snapshot:
    """
    Read /proc/PID/smaps: every mapping of a process with all that the kernel counts.

    Args:
        pid: of the process; 0 is none.
        proc: where procfs is mounted.

    Returns:
        Its mappings with command line and time of reading (UTC). Empty, with the reason in
        the notes, for a kernel thread, a zombie or a process that is just ending.

    Raises:
        ProcessNotFound: there is none, or it ended meanwhile.
        AccessDenied: it is another user's; root or CAP_SYS_PTRACE may read it.
        Unsupported: this system has no procfs, or its kernel no smaps.
    """
    return _snapshot(pid, SMAPS, proc)


def read_maps(pid: int, *, proc: PathLike[str] | str = procfs.PROC) -> Snapshot:
    """
    Read /proc/PID/maps: the mappings without counters, many times cheaper than smaps.

    Returns and errors are those of `read`.
    """
    return _snapshot(pid, MAPS, proc)


def read_rollup(pid: int, *, proc: PathLike[str] | str = procfs.PROC) -> Rollup:
    """
    Read /proc/PID/smaps_rollup: the kernel's own sums over all mappings (4.14 and later).

    Raises:
        ProcessNotFound: there is none, or it has no memory map (any more).
        AccessDenied: it is another user's.
        Unsupported: this system has no procfs, or its kernel no smaps_rollup.
    """
    text = procfs.read_file(pid, "smaps_rollup", proc)
    if not text:
        raise ProcessNotFound(errno.ESRCH, f"process {pid} has no memory map")
    return parse_rollup(text, source=procfs.file_of(pid, "smaps_rollup", proc))


def read_frame(
    pid: int, unit: Unit = "kB", *, proc: PathLike[str] | str = procfs.PROC
) -> DataFrame:
    """
    Read a live process's smaps into a DataFrame, as `read(pid).to_frame(unit)` gives it.

    One thread reads while another turns what came to columns. Errors are those of `read`.
    """
    from smapskit.views import frames  # noqa: PLC0415  pandas is for whoever asks for a frame

    time = datetime.now(UTC)
    source = procfs.file_of(pid, "smaps", proc)
    about = Snapshot((), pid, procfs.read_command(pid, proc), time, source)
    return frames.frame_of_parts(whole_records(procfs.pieces(pid, "smaps", proc)), unit, about)


def read_sums(
    pid: int,
    by: GroupName | Callable[[Mapping], Any] | None = None,
    *,
    proc: PathLike[str] | str = procfs.PROC,
) -> dict[Any, Sums]:
    """
    Read /proc/PID/smaps and add it up, as `group_by` does, without records where it can.

    Args, Returns: as `smapskit.formats.smaps.sums.read_sums`. Errors are those of `read`.
    """
    source = procfs.file_of(pid, "smaps", proc)
    return sums.read_sums(procfs.pieces(pid, "smaps", proc), by, source)


def _snapshot(pid: int, kind: Kind, proc: PathLike[str] | str) -> Snapshot:
    time = datetime.now(UTC)
    source = procfs.file_of(pid, kind.name, proc)
    snapshot = parse_pieces(procfs.pieces(pid, kind.name, proc), kind, source)
    command = procfs.read_command(pid, proc)
    notes = [note for note in snapshot.notes if note != NOTE_EMPTY]
    if not snapshot:
        notes.append(_why_empty(pid, proc))
    return attrs.evolve(snapshot, pid=pid, command=command, time=time, notes=tuple(notes))


def _why_empty(pid: int, proc: PathLike[str] | str) -> str:
    _, state, flags = procfs.read_stat(pid, proc)
    if flags & procfs.KERNEL_THREAD:
        return NOTE_KERNEL_THREAD
    return NOTE_ZOMBIE if state == "Z" else NOTE_ENDING
