"""
The files of /proc, as bytes: the one room that touches them.

What the kernel refuses comes out as the error that says what to do.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from typing import Final, NoReturn

from smapskit.errors import AccessDenied, ProcessNotFound, Unsupported, shown

PROC: Final = "/proc"
KERNEL_THREAD: Final = 0x00200000
"""PF_KTHREAD in the flags of /proc/PID/stat."""

_PIECE = 1 << 20
_KERNEL_PIECE = 1 << 14  # more than the kernel gives a read


def file_of(pid: int, name: str, proc: str | os.PathLike[str] = PROC) -> str:
    """The path of one of a process's files."""
    return f"{os.fspath(proc)}/{int(pid)}/{name}"


def read_file(pid: int, name: str, proc: str | os.PathLike[str] = PROC) -> bytes:
    """
    Read one of a process's files.

    Raises:
        ProcessNotFound, AccessDenied, Unsupported: as `smapskit.read` says.
    """
    try:
        with open(file_of(pid, name, proc), "rb", buffering=0) as file:  # noqa: PTH123  in a hurry
            return file.readall()
    except OSError as error:
        explain(error, pid, name, proc)


def pieces(pid: int, name: str, proc: str | os.PathLike[str] = PROC) -> Iterator[bytes]:
    """
    Read one of a process's files in pieces of about a megabyte, while the last is worked on.

    Raises:
        ProcessNotFound, AccessDenied, Unsupported: as `read_file`.
    """
    try:
        with open(file_of(pid, name, proc), "rb", buffering=0) as file:  # noqa: PTH123
            first = bytearray()
            while len(first) < _PIECE:
                if not (piece := file.read(_KERNEL_PIECE)):
                    yield bytes(first)
                    return
                first += piece
            yield from _read_ahead(file.fileno(), bytes(first))
    except OSError as error:
        explain(error, pid, name, proc)


def _read_ahead(descriptor: int, first: bytes) -> Iterator[bytes]:
    """
    The first piece and the rest of a file, which a thread reads through the C library.

    The kernel gives 4 KiB a read, after each of which a thread of Python's would wait for
    its turn: 40,000 mappings took 38 s so while another thread was busy, and take 0.3 s by
    fread(3), which reads a megabyte before it comes back.
    """
    import ctypes  # noqa: PLC0415  for large processes alone
    from queue import SimpleQueue  # noqa: PLC0415
    from threading import Thread  # noqa: PLC0415

    libc = ctypes.CDLL(None, use_errno=True)
    libc.fdopen.restype = ctypes.c_void_p
    libc.fread.restype = ctypes.c_size_t
    stream = ctypes.c_void_p(libc.fdopen(os.dup(descriptor), b"rb"))
    if not stream:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    found: SimpleQueue[bytes | int] = SimpleQueue()
    is_wanted = True

    def fill() -> None:
        buffer = ctypes.create_string_buffer(_PIECE)
        size = _PIECE
        while is_wanted and size == _PIECE:
            ctypes.set_errno(0)
            size = libc.fread(buffer, ctypes.c_size_t(1), ctypes.c_size_t(_PIECE), stream)
            found.put(buffer.raw[:size])
        found.put(ctypes.get_errno() if libc.ferror(stream) else 0)
        libc.fclose(stream)

    thread = Thread(target=fill, daemon=True)
    thread.start()
    try:
        yield first
        while isinstance(piece := found.get(), bytes):
            if piece:
                yield piece
        if piece:
            raise OSError(piece, os.strerror(piece))
    finally:
        is_wanted = False
        thread.join()


def read_command(pid: int, proc: str | os.PathLike[str] = PROC) -> str:
    """
    The command line of a process as ps and pmap show it.

    Its arguments joined by blanks; the name in brackets where it has none (a kernel thread,
    a zombie), `?` where they are all empty. Undecodable bytes are surrogate escapes.

    Raises:
        ProcessNotFound, AccessDenied, Unsupported: as `read_file`.
    """
    raw = read_file(pid, "cmdline", proc)
    if raw:
        text = raw.rstrip(b"\0").replace(b"\0", b" ").replace(b"\n", b" ")
        if raw.endswith((b" ", b"\n")):  # a process that wrote over its arguments
            text = text[:-1]
        return text.decode("utf-8", "surrogateescape") or "?"
    name, state, _ = read_stat(pid, proc)
    return f"[{name}] <defunct>" if state == "Z" else f"[{name}]"


def read_stat(pid: int, proc: str | os.PathLike[str] = PROC) -> tuple[str, str, int]:
    """Name, state and flags of a process."""
    text = read_file(pid, "stat", proc).decode("utf-8", "surrogateescape")
    # The name may hold anything, blanks and parentheses too: it ends at the last one.
    before, _, behind = text.rpartition(")")
    words = behind.split()
    return before.partition("(")[2], words[0], int(words[6])


def explain(error: OSError, pid: int, name: str, proc: str | os.PathLike[str] = PROC) -> NoReturn:
    """Raise the error that says what to do, in place of the kernel's."""
    if error.errno in (errno.EACCES, errno.EPERM):
        msg = f"not permitted to read the {name} of process {pid}: run as its user or as root"
        raise AccessDenied(error.errno, msg) from error
    if not os.path.exists(f"{os.fspath(proc)}/self/stat"):  # noqa: PTH110
        no_procfs(proc, error)
    is_there = os.path.exists(file_of(pid, "stat", proc))  # noqa: PTH110
    if error.errno == errno.ENOENT and is_there:
        msg = f"this kernel has no /proc/PID/{name}"
        raise Unsupported(errno.ENOSYS, msg) from error
    if error.errno == errno.ESRCH and is_there:
        raise ProcessNotFound(errno.ESRCH, f"process {pid} has no memory map") from error
    msg = f"no process {pid}"
    if _hides_others(proc):
        msg += f" that this user may see: {shown(os.fspath(proc))} hides those of others (hidepid)"
    raise ProcessNotFound(errno.ESRCH, msg) from error


def no_procfs(proc: str | os.PathLike[str], cause: OSError | None = None) -> NoReturn:
    """Say that this system has no /proc of Linux's."""
    name = shown(os.fspath(proc))
    msg = f"{name} is no Linux procfs: live reading needs one, saved captures do not"
    raise Unsupported(errno.ENOSYS, msg) from cause


def _hides_others(proc: str | os.PathLike[str]) -> bool:
    try:
        with open(f"{os.fspath(proc)}/self/mountinfo", "rb") as file:  # noqa: PTH123
            mounts = [line.split() for line in file]
    except OSError:
        return False
    points = [mount for mount in mounts if mount[4] == os.fsencode(proc)]
    return bool(points) and re.search(rb"hidepid=(2|4|inv|ptr)", points[-1][-1]) is not None
