"""
Read live processes as snapshots, frames and sums.

Reading smaps is not atomic: the kernel returns some 4 KiB of text per read and releases the
address space in between. `Snapshot.check()` reports what contradicts itself.
"""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from os import PathLike
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import attrs

from smapskit.errors import ProcessNotFound
from smapskit.formats.smaps.files import MAPS, SMAPS, ProcFile
from smapskit.formats.smaps.parse import parse_rollup, read_snapshot
from smapskit.formats.smaps.reader import ColumnReader
from smapskit.model.mapping import Mapping, Rollup
from smapskit.model.notes import Note
from smapskit.model.snapshot import Snapshot
from smapskit.model.totals import GroupName, Totals, group_columns
from smapskit.sources import procfs

if TYPE_CHECKING:
    from pandas import DataFrame

    from smapskit.views.frames import Unit

ATTEMPTS: Final = 3
"""How often a process is read that calls exec or changes its command line meanwhile."""


def read(pid: int | None = None, *, proc: PathLike[str] | str = procfs.PROC) -> Snapshot:
    """
    Read /proc/PID/smaps: every mapping of a process with all counters of the kernel.

    Args:
        pid: of the process; None for this process.
        proc: where procfs is mounted.

    Returns:
        The mappings, with the command line and the time of reading (UTC). Empty, with the
        reason in the notes, for a kernel thread, a zombie or a process that is ending.

    Raises:
        ProcessNotFound: there is no such process, it ended while it was read, or it called exec
            during each of three attempts.
        AccessDenied: the process is another user's; root or CAP_SYS_PTRACE may read it.
        Unsupported: this system has no procfs, or its kernel no smaps.
        OSError: any other error, such as too many open files.
    """
    return _snapshot(pid, SMAPS, proc)


def read_maps(pid: int | None = None, *, proc: PathLike[str] | str = procfs.PROC) -> Snapshot:
    """
    Read /proc/PID/maps: the mappings without counters, many times faster than smaps.

    Args, returns and errors are those of `read`.
    """
    return _snapshot(pid, MAPS, proc)


def read_rollup(pid: int | None = None, *, proc: PathLike[str] | str = procfs.PROC) -> Rollup:
    """
    Read /proc/PID/smaps_rollup: the kernel's sums over all mappings (4.14 and later).

    Raises:
        ProcessNotFound: there is no such process, or it has no memory map.
        AccessDenied: the process is another user's.
        Unsupported: this system has no procfs, or its kernel no smaps_rollup.
    """
    return read_rollup_text(this_or(pid), proc).value


def read_frame(
    pid: int | None = None, unit: Unit = "kB", *, proc: PathLike[str] | str = procfs.PROC
) -> DataFrame:
    """
    Read smaps of a live process into the DataFrame that `read(pid).to_frame(unit)` returns.

    One thread reads while another parses. Args and errors are those of `read`.
    """
    from smapskit.views import frames  # noqa: PLC0415  loaded where a frame is requested

    pid = this_or(pid)
    source = procfs.proc_path(pid, "smaps", proc)

    def parse(text: Iterable[bytes]) -> DataFrame:
        columns = ColumnReader(SMAPS, source).columns(text)
        return frames.from_columns(columns, unit, pid=pid, source=source)

    reading = read_text(pid, "smaps", parse, proc)
    frame = reading.value
    frame.attrs |= {"command": reading.command, "time": reading.time.isoformat()}
    if reading.notes:
        frame.attrs["notes"] = list(reading.notes)
    return frame


T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@attrs.frozen
class Reading(Generic[T_co]):
    """What was parsed from a file of a process, and the command line it belongs to."""

    value: T_co
    command: str
    time: datetime
    """When reading began, in UTC."""
    notes: tuple[str, ...] = ()


def read_text(
    pid: int, name: str, parse: Callable[[Iterable[bytes]], T], proc: PathLike[str] | str
) -> Reading[T]:
    """
    Parse a file of a process; if the process calls exec meanwhile, start again.

    Args:
        pid: of the process.
        name: smaps, maps or smaps_rollup.
        parse: called with the text in chunks, once per attempt.
        proc: where procfs is mounted.

    Returns:
        The result of the attempt during which neither the address space nor the command line
        changed. If the command line changed during each, the last result, with a note.

    Raises:
        ExecDuringRead: the process called exec during each of the attempts.
        ProcessNotFound, AccessDenied, Unsupported, OSError: as `read`.
    """
    text = procfs.ProcessText(pid, name, proc)
    for attempts in itertools.count(1):
        time = datetime.now(UTC)
        try:
            value = parse(text)
        except procfs.ExecDuringRead as error:
            if attempts == ATTEMPTS:
                msg = f"{error.strerror}, {ATTEMPTS} times"
                raise procfs.ExecDuringRead(error.errno, msg, pid=pid) from None
        else:
            if text.is_steady:
                return Reading(value, text.command, time)
            if attempts == ATTEMPTS:
                return Reading(value, text.command, time, (Note.COMMAND_CHANGED,))
    raise AssertionError


def read_rollup_text(pid: int, proc: PathLike[str] | str) -> Reading[Rollup]:
    """Read smaps_rollup and the command line: see `read_rollup`."""

    def parse(text: Iterable[bytes]) -> Rollup:
        joined = b"".join(text)
        if not joined:
            raise ProcessNotFound(errno.ESRCH, f"process {pid} has no memory map", pid=pid)
        return parse_rollup(joined, source=procfs.proc_path(pid, "smaps_rollup", proc))

    return read_text(pid, "smaps_rollup", parse, proc)


def read_sums_text(
    pid: int, by: GroupName | Callable[[Mapping], Any] | None, proc: PathLike[str] | str
) -> Reading[dict[Any, Totals]]:
    """Read smaps as sums by group (see `group_columns`), without building records if possible."""
    source = procfs.proc_path(pid, "smaps", proc)

    def parse(text: Iterable[bytes]) -> dict[Any, Totals]:
        return group_columns(ColumnReader(SMAPS, source).columns(text), by)

    return read_text(pid, "smaps", parse, proc)


def _snapshot(pid: int | None, file: ProcFile, proc: PathLike[str] | str) -> Snapshot:
    pid = this_or(pid)
    source = procfs.proc_path(pid, file.name, proc)
    reading = read_text(pid, file.name, lambda text: read_snapshot(text, file, source), proc)
    snapshot = reading.value
    notes = [*(note for note in snapshot.notes if note != Note.EMPTY), *reading.notes]
    if not snapshot:
        notes.append(_why_empty(pid, proc))
    return attrs.evolve(
        snapshot, pid=pid, command=reading.command, time=reading.time, notes=tuple(notes)
    )


def this_or(pid: int | None) -> int:
    """Return `pid`, or that of this process for None."""
    return os.getpid() if pid is None else pid


def _why_empty(pid: int, proc: PathLike[str] | str) -> Note:
    _, state, flags = procfs.read_stat(pid, proc)
    if flags & procfs.KERNEL_THREAD:
        return Note.KERNEL_THREAD
    return Note.ZOMBIE if state == "Z" else Note.ENDING
