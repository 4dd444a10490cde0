"""
The files of /proc, as bytes: the one room that touches them.

What the kernel refuses comes out as the error that says what to do.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterator
from typing import Final, NoReturn, Self

from smapskit.errors import AccessDenied, ProcessNotFound, Unsupported, shown

PROC: Final = "/proc"
KERNEL_THREAD: Final = 0x00200000
"""PF_KTHREAD in the flags of /proc/PID/stat."""
EXITING: Final = 0x00000004
"""PF_EXITING, set before the process gives up its memory."""

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
        OSError: any other error of the kernel's, such as too many open files.
    """
    try:
        with open(file_of(pid, name, proc), "rb", buffering=0) as file:  # noqa: PTH123  in a hurry
            return file.readall()
    except OSError as error:
        explain(error, pid, name, proc)


class ExecDuringRead(ProcessNotFound):
    """The process called exec while it was read: what was read no longer exists."""


class ProcessText:
    """
    The text of a process's smaps, maps or smaps_rollup, and the command line it belongs to.

    An open file of /proc/PID keeps the address space that the process had at that time. When
    the process ends or calls exec, the kernel frees that address space and reports end of file
    to whoever is reading it, not an error. Another read at offset 0 then returns nothing as
    well, which is how truncated text is detected.

    Each iteration reads the file from the start, in chunks of about a megabyte.

    Attributes:
        command: the command line, read after the text.
        is_steady: whether the text and the command line belong together for certain: the
            command line was the same before and after the text, and if there was no text,
            the process has no memory. Both attributes are set when an iteration ends.
    """

    def __init__(self, pid: int, name: str, proc: str | os.PathLike[str] = PROC) -> None:
        self.pid = pid
        self.name = name
        self.proc = proc
        self.command = ""
        self.is_steady = False

    def __iter__(self) -> Iterator[bytes]:
        """
        Read the file.

        Raises:
            ExecDuringRead: the process called exec; reading again may succeed.
            ProcessNotFound: there is none, or it ended while it was read.
            AccessDenied, Unsupported, OSError: as `read_file`.
        """
        # Before the file is opened: an address space can outlive exec if others share it (the
        # parent of a vfork), so that the command line alone tells whose it is.
        try:
            before = read_command(self.pid, self.proc)
        except AccessDenied as error:  # the message names the file that was asked for
            explain(error, self.pid, self.name, self.proc)
        try:
            file = open(file_of(self.pid, self.name, self.proc), "rb", buffering=0)  # noqa: PTH123, SIM115
        except OSError as error:
            explain(error, self.pid, self.name, self.proc)
        first = bytearray()
        with file:
            try:
                while len(first) < _PIECE and (piece := file.read(_KERNEL_PIECE)):
                    first += piece
                if len(first) >= _PIECE:
                    yield from _read_ahead(file.fileno(), bytes(first))
                self.command = read_command(self.pid, self.proc)
                is_there = self._has_address_space(file.fileno()) if first else True
            except ProcessLookupError:
                is_there = False
            except OSError as error:
                explain(error, self.pid, self.name, self.proc)
        if not is_there:
            self._raise_gone(has_text=bool(first))
        if first:
            self.is_steady = self.command == before
        else:
            self.is_steady = not _has_memory(self.pid, self.proc)
        if len(first) < _PIECE:
            yield bytes(first)

    def _has_address_space(self, descriptor: int) -> bool:
        # The rollup is one read and reports ESRCH; to read it again would compute it again.
        return self.name == "smaps_rollup" or bool(os.pread(descriptor, 1, 0))

    def _raise_gone(self, *, has_text: bool) -> NoReturn:
        if _has_memory(self.pid, self.proc):
            msg = f"process {self.pid} called exec while it was read"
            raise ExecDuringRead(errno.ESRCH, msg)
        is_left = os.path.exists(file_of(self.pid, "stat", self.proc))  # noqa: PTH110
        what = "has no memory map" if is_left and not has_text else "ended while it was read"
        raise ProcessNotFound(errno.ESRCH, f"process {self.pid} {what}")


def _has_memory(pid: int, proc: str | os.PathLike[str]) -> bool:
    """Whether a process is running, and is not a kernel thread."""
    try:
        _, state, flags = read_stat(pid, proc)
    except ProcessNotFound:
        return False
    return state not in "ZX" and not flags & (EXITING | KERNEL_THREAD)


class ProcessHandle:
    """
    A descriptor of /proc/PID, which stays with one process when its pid is used again.

    Raises:
        ProcessNotFound, AccessDenied, Unsupported: as `read_file`.
    """

    def __init__(self, pid: int, proc: str | os.PathLike[str] = PROC) -> None:
        try:
            self._descriptor = os.open(f"{os.fspath(proc)}/{int(pid)}", os.O_RDONLY)
        except OSError as error:
            explain(error, pid, "stat", proc)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def exists(self) -> bool:
        """
        Whether the process still exists, if only as a zombie.

        If so, everything read by its pid so far was of this process.
        """
        try:
            os.stat("stat", dir_fd=self._descriptor)
        except (FileNotFoundError, ProcessLookupError):
            return False
        return True


class AddressSpace:
    """
    A descriptor of /proc/PID/maps, which stays with one address space when exec replaces it.

    Raises:
        ProcessNotFound, AccessDenied, Unsupported: as `read_file`.
    """

    def __init__(self, pid: int, proc: str | os.PathLike[str] = PROC) -> None:
        try:
            self._descriptor = os.open(file_of(pid, "maps", proc), os.O_RDONLY)
        except OSError as error:
            explain(error, pid, "maps", proc)

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self._descriptor)

    def exists(self) -> bool:
        """Whether it is still in use: False after exec, and after the end of the process."""
        try:
            return bool(os.pread(self._descriptor, 1, 0))
        except ProcessLookupError:
            return False


class _Stream:
    """A duplicate of a descriptor, read a megabyte at a time by fread(3) of the C library."""

    def __init__(self, descriptor: int) -> None:
        import ctypes  # noqa: PLC0415  for large processes alone

        self._ctypes = ctypes
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._libc.fdopen.restype = ctypes.c_void_p
        self._libc.fread.restype = ctypes.c_size_t
        self._is_at_end = False
        duplicate = os.dup(descriptor)
        self._file = ctypes.c_void_p(self._libc.fdopen(duplicate, b"rb"))
        if not self._file:
            number = ctypes.get_errno()
            os.close(duplicate)
            raise OSError(number, os.strerror(number))
        self._buffer = ctypes.create_string_buffer(_PIECE)

    def read(self) -> bytes:
        """Return the next megabyte, less only at the end of the file, then nothing."""
        if self._is_at_end:
            return b""
        one, count = self._ctypes.c_size_t(1), self._ctypes.c_size_t(_PIECE)
        self._ctypes.set_errno(0)
        size = self._libc.fread(self._buffer, one, count, self._file)
        if self._libc.ferror(self._file):
            number = self._ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        self._is_at_end = size < _PIECE
        return self._buffer.raw[:size]

    def close(self) -> None:
        """Close the duplicate."""
        self._libc.fclose(self._file)


def _read_ahead(descriptor: int, first: bytes) -> Iterator[bytes]:
    """
    Yield the first chunk, then the rest of a file, which a thread reads through the C library.

    The kernel returns 4 KiB per read, after each of which a thread of Python's would wait for
    its turn: 40,000 mappings took 38 s so while another thread was busy, and take 0.3 s by
    fread(3), which reads a megabyte before it comes back.

    Where no thread can be started, the file is read without one.
    """
    from queue import SimpleQueue  # noqa: PLC0415  for large processes alone
    from threading import Thread  # noqa: PLC0415

    stream = _Stream(descriptor)
    found: SimpleQueue[bytes | BaseException] = SimpleQueue()
    is_wanted = True

    def fill() -> None:
        try:
            while is_wanted and (piece := stream.read()):
                found.put(piece)
            found.put(b"")
        except BaseException as error:  # noqa: BLE001  raised where the text is wanted
            found.put(error)
        finally:
            stream.close()

    def take() -> bytes:
        piece = found.get()
        if isinstance(piece, BaseException):
            raise piece
        return piece

    thread = Thread(target=fill, daemon=True)
    read: Callable[[], bytes] = take
    end: Callable[[], object] = thread.join
    try:
        thread.start()
    except RuntimeError:  # a limit on threads was reached
        read, end = stream.read, stream.close
    try:
        yield first
        while piece := read():
            yield piece
    finally:
        is_wanted = False
        end()


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
    """
    Raise the error that says what to do, in place of the kernel's.

    Only ENOENT and ESRCH mean that there is no such process. Any other error, such as too many
    open files, is raised as it is, with the name of the file.
    """
    if error.errno in (errno.EACCES, errno.EPERM):
        msg = f"not permitted to read the {name} of process {pid}: run as its user or as root"
        raise AccessDenied(error.errno, msg) from error
    if not os.path.exists(f"{os.fspath(proc)}/self/stat"):  # noqa: PTH110
        no_procfs(proc, error)
    if error.errno not in (errno.ENOENT, errno.ESRCH):
        error.filename = error.filename or file_of(pid, name, proc)
        raise error
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
