"""
Live processes as snapshots.

One read of the kernel's file is not one moment: it gives some 4 KiB of text at a time and
lets go of the address space in between. `Snapshot.check()` tells what contradicts itself.
"""

from __future__ import annotations

import errno
import itertools
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from os import PathLike
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

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
ATTEMPTS: Final = 3
"""How often a process is read that calls exec or changes its command line meanwhile."""
NOTE_CHANGING: Final = (
    f"the process changed its command line or called exec during each of {ATTEMPTS} reads"
)


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
        ProcessNotFound: there is none, it ended while it was read, or it called exec during
            each of three attempts.
        AccessDenied: it is another user's; root or CAP_SYS_PTRACE may read it.
        Unsupported: this system has no procfs, or its kernel no smaps.
        OSError: any other error of the kernel's, such as too many open files.
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
    return read_rollup_text(pid, proc).value


def read_frame(
    pid: int, unit: Unit = "kB", *, proc: PathLike[str] | str = procfs.PROC
) -> DataFrame:
    """
    Read a live process's smaps into a DataFrame, as `read(pid).to_frame(unit)` gives it.

    One thread reads while another turns what came to columns. Errors are those of `read`.
    """
    from smapskit.views import frames  # noqa: PLC0415  pandas is for whoever asks for a frame

    source = procfs.file_of(pid, "smaps", proc)

    def parse(text: Iterable[bytes]) -> DataFrame:
        return frames.frame_of_parts(whole_records(text), unit, Snapshot((), pid, source=source))

    reading = read_text(pid, "smaps", parse, proc)
    frame = reading.value
    frame.attrs |= {"command": reading.command, "time": reading.time.isoformat()}
    if reading.notes:
        frame.attrs["notes"] = list(reading.notes)
    return frame


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
    return read_sums_text(pid, by, proc).value


T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@attrs.frozen
class Reading(Generic[T_co]):
    """What was parsed from a file of a process's, and the command line it belongs to."""

    value: T_co
    command: str
    time: datetime
    """When the reading began, in UTC."""
    notes: tuple[str, ...] = ()


def read_text(
    pid: int, name: str, parse: Callable[[Iterable[bytes]], T], proc: PathLike[str] | str
) -> Reading[T]:
    """
    Parse a file of a process's; if the process calls exec meanwhile, start again.

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
                raise procfs.ExecDuringRead(error.errno, msg) from None
        else:
            if text.is_steady:
                return Reading(value, text.command, time)
            if attempts == ATTEMPTS:
                return Reading(value, text.command, time, (NOTE_CHANGING,))
    raise AssertionError


def read_rollup_text(pid: int, proc: PathLike[str] | str) -> Reading[Rollup]:
    """Read smaps_rollup and the command line, as `read_rollup`."""

    def parse(text: Iterable[bytes]) -> Rollup:
        joined = b"".join(text)
        if not joined:
            raise ProcessNotFound(errno.ESRCH, f"process {pid} has no memory map")
        return parse_rollup(joined, source=procfs.file_of(pid, "smaps_rollup", proc))

    return read_text(pid, "smaps_rollup", parse, proc)


def read_sums_text(
    pid: int, by: GroupName | Callable[[Mapping], Any] | None, proc: PathLike[str] | str
) -> Reading[dict[Any, Sums]]:
    """Read sums and the command line, as `read_sums`."""
    source = procfs.file_of(pid, "smaps", proc)
    return read_text(pid, "smaps", lambda text: sums.read_sums(text, by, source), proc)


def _snapshot(pid: int, kind: Kind, proc: PathLike[str] | str) -> Snapshot:
    source = procfs.file_of(pid, kind.name, proc)
    reading = read_text(pid, kind.name, lambda text: parse_pieces(text, kind, source), proc)
    snapshot = reading.value
    notes = [*(note for note in snapshot.notes if note != NOTE_EMPTY), *reading.notes]
    if not snapshot:
        notes.append(_why_empty(pid, proc))
    return attrs.evolve(
        snapshot, pid=pid, command=reading.command, time=reading.time, notes=tuple(notes)
    )


def _why_empty(pid: int, proc: PathLike[str] | str) -> str:
    _, state, flags = procfs.read_stat(pid, proc)
    if flags & procfs.KERNEL_THREAD:
        return NOTE_KERNEL_THREAD
    return NOTE_ZOMBIE if state == "Z" else NOTE_ENDING
