"""
Live processes: the one room that touches /proc.

One read of the kernel's file is not one moment: it gives some 4 KiB of text at a time and
lets go of the address space in between. `Snapshot.check()` tells what contradicts itself.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from queue import SimpleQueue as Queue
from threading import Thread
from typing import TYPE_CHECKING, Final, NoReturn

import attrs

from smapskit.errors import AccessDenied, ProcessNotFound, Unsupported
from smapskit.records import Rollup
from smapskit.smaps import parse_maps, parse_rollup, parse_smaps, whole_records
from smapskit.smaps.grammar import NOTE_EMPTY
from smapskit.snapshot import Snapshot

if TYPE_CHECKING:
    from pandas import DataFrame

    from smapskit.frames import Unit

_PIECE = 1 << 20

PROC: Final = Path("/proc")
_KERNEL_THREAD = 0x00200000  # PF_KTHREAD in the flags of /proc/PID/stat

NOTE_KERNEL_THREAD: Final = "a kernel thread: it has no memory map"
NOTE_ZOMBIE: Final = "a zombie: it has ended, its memory is freed"
NOTE_ENDING: Final = "no mappings: the process was ending"


def read(pid: int, *, proc: Path = PROC) -> Snapshot:
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
    return _snapshot(pid, "smaps", proc)


def read_maps(pid: int, *, proc: Path = PROC) -> Snapshot:
    """
    Read /proc/PID/maps: the mappings without counters, many times cheaper than smaps.

    Returns and errors are those of `read`.
    """
    return _snapshot(pid, "maps", proc)


def read_rollup(pid: int, *, proc: Path = PROC) -> Rollup:
    """
    Read /proc/PID/smaps_rollup: the kernel's own sums over all mappings (4.14 and later).

    Raises:
        ProcessNotFound: there is none, or it has no memory map (any more).
        AccessDenied: it is another user's.
        Unsupported: this system has no procfs, or its kernel no smaps_rollup.
    """
    text = _text(pid, "smaps_rollup", proc)
    if not text:
        raise ProcessNotFound(errno.ESRCH, f"process {pid} has no memory map")
    return parse_rollup(text, source=str(_file(pid, "smaps_rollup", proc)))


def read_frame(pid: int, unit: Unit = "kB", *, proc: Path = PROC) -> DataFrame:
    """
    Read a live process's smaps into a DataFrame, as `read(pid).to_frame(unit)` gives it.

    One thread reads while another turns what came to columns. Errors are those of `read`.
    """
    from smapskit import frames  # noqa: PLC0415  pandas is for whoever asks for a frame

    time = datetime.now(UTC)
    about = Snapshot((), pid, read_command(pid, proc=proc), time, str(_file(pid, "smaps", proc)))
    return frames.frame_of_parts(whole_records(_pieces(pid, proc)), unit, about)


def _pieces(pid: int, proc: Path) -> Iterator[bytes]:
    """The text of smaps in pieces of about a megabyte, read ahead by a thread."""
    pieces: Queue[bytes | OSError] = Queue()

    def fill() -> None:
        try:
            with _file(pid, "smaps", proc).open("rb") as file:
                while piece := file.read(_PIECE):
                    pieces.put(piece)
            pieces.put(b"")
        except OSError as error:
            pieces.put(error)

    Thread(target=fill, daemon=True).start()
    while piece := pieces.get():
        if isinstance(piece, OSError):
            _explain(piece, pid, "smaps", proc)
        yield piece


def read_command(pid: int, *, proc: Path = PROC) -> str:
    """
    The command line of a process as ps and pmap show it.

    Its arguments joined by blanks; the name in brackets where it has none (a kernel thread,
    a zombie), `?` where they are all empty. Undecodable bytes are surrogate escapes.

    Raises:
        ProcessNotFound, AccessDenied, Unsupported: as `read`.
    """
    raw = _text(pid, "cmdline", proc)
    if raw:
        text = raw.rstrip(b"\0").replace(b"\0", b" ").replace(b"\n", b" ")
        if raw.endswith((b" ", b"\n")):  # a process that wrote over its arguments
            text = text[:-1]
        return text.decode("utf-8", "surrogateescape") or "?"
    name, state, _ = _stat(pid, proc)
    return f"[{name}] <defunct>" if state == "Z" else f"[{name}]"


def _snapshot(pid: int, name: str, proc: Path) -> Snapshot:
    time = datetime.now(UTC)
    text = _text(pid, name, proc)
    command = read_command(pid, proc=proc)
    parse = parse_smaps if name == "smaps" else parse_maps
    snapshot = parse(text, source=str(_file(pid, name, proc)))
    notes = [note for note in snapshot.notes if note != NOTE_EMPTY]
    if not snapshot:
        notes.append(_why_empty(pid, proc))
    return attrs.evolve(snapshot, pid=pid, command=command, time=time, notes=tuple(notes))


def _why_empty(pid: int, proc: Path) -> str:
    _, state, flags = _stat(pid, proc)
    if flags & _KERNEL_THREAD:
        return NOTE_KERNEL_THREAD
    return NOTE_ZOMBIE if state == "Z" else NOTE_ENDING


def _stat(pid: int, proc: Path) -> tuple[str, str, int]:
    """Name, state and flags."""
    text = _text(pid, "stat", proc).decode("utf-8", "surrogateescape")
    # The name may hold anything, blanks and parentheses too: it ends at the last one.
    before, _, behind = text.rpartition(")")
    words = behind.split()
    return before.partition("(")[2], words[0], int(words[6])


def _file(pid: int, name: str, proc: Path) -> Path:
    return proc / str(int(pid)) / name


def _text(pid: int, name: str, proc: Path) -> bytes:
    try:
        return _file(pid, name, proc).read_bytes()
    except OSError as error:
        _explain(error, pid, name, proc)


def _explain(error: OSError, pid: int, name: str, proc: Path) -> NoReturn:
    """Raise the error that says what to do, in place of the kernel's."""
    if error.errno in (errno.EACCES, errno.EPERM):
        msg = f"not permitted to read the {name} of process {pid}: run as its user or as root"
        raise AccessDenied(error.errno, msg) from error
    if not (proc / "self" / "stat").exists():
        msg = f"{proc} is no Linux procfs: live reading needs one, saved captures do not"
        raise Unsupported(errno.ENOSYS, msg) from error
    if error.errno == errno.ENOENT and _file(pid, "stat", proc).exists():
        msg = f"this kernel has no /proc/PID/{name}"
        raise Unsupported(errno.ENOSYS, msg) from error
    if error.errno == errno.ESRCH and _file(pid, "stat", proc).exists():
        raise ProcessNotFound(errno.ESRCH, f"process {pid} has no memory map") from error
    raise ProcessNotFound(errno.ESRCH, f"no process {pid}") from error
