"""
Read the files of /proc as bytes. Only `sources.pages` reads further ones, which are binary.

Errors of the kernel are raised as exceptions whose message says what to do.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from typing import Final, NoReturn, Self

from smapskit.errors import AccessDenied, ProcessNotFound, Unsupported, escape_unprintable
from smapskit.sources.readahead import CHUNK_SIZE, read_ahead

PROC: Final = "/proc"
KERNEL_THREAD: Final = 0x00200000
"""PF_KTHREAD in the flags of /proc/PID/stat."""
EXITING: Final = 0x00000004
"""PF_EXITING, set before the memory of the process is freed."""

_CAP_SYS_PTRACE: Final = 19
"""The bit in CapEff of the capability to read any process (linux/capability.h)."""
_READ_SIZE: Final = 1 << 14
"""More than the kernel returns per read."""


def proc_path(pid: int, name: str, proc: str | os.PathLike[str] = PROC) -> str:
    """Return the path of a file of a process."""
    return f"{os.fspath(proc)}/{int(pid)}/{name}"


def read_file(pid: int, name: str, proc: str | os.PathLike[str] = PROC) -> bytes:
    """
    Read a file of a process.

    Raises:
        ProcessNotFound, AccessDenied, Unsupported: as `smapskit.read`.
        OSError: any other error, such as too many open files.
    """
    try:
        with open(proc_path(pid, name, proc), "rb", buffering=0) as file:  # noqa: PTH123
            return file.readall()
    except OSError as error:
        raise_for_oserror(error, pid, name, proc)


def read_system_file(name: str, proc: str | os.PathLike[str] = PROC) -> bytes:
    """Read a file of the machine, such as meminfo; return nothing where it cannot be read."""
    try:
        with open(f"{os.fspath(proc)}/{name}", "rb", buffering=0) as file:  # noqa: PTH123
            return file.readall()
    except OSError:
        return b""


class ExecDuringRead(ProcessNotFound):
    """The process called exec while it was read: what was read no longer exists."""


class ProcessText:
    """
    The text of smaps, maps or smaps_rollup of a process, and the command line it belongs to.

    An open file of /proc/PID keeps the address space that the process had at that time. When
    the process ends or calls exec, the kernel frees that address space and reports end of file
    to the reader, not an error. Another read at offset 0 then returns nothing as well: this is
    how truncated text is detected.

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
        # parent of a vfork), so that only the command line identifies the process.
        try:
            before = read_command(self.pid, self.proc)
        except AccessDenied as error:  # the message names the requested file
            raise_for_oserror(error, self.pid, self.name, self.proc)
        try:
            file = open(proc_path(self.pid, self.name, self.proc), "rb", buffering=0)  # noqa: PTH123, SIM115
        except OSError as error:
            raise_for_oserror(error, self.pid, self.name, self.proc)
        first = bytearray()
        with file:
            try:
                while len(first) < CHUNK_SIZE and (data := file.read(_READ_SIZE)):
                    first += data
                if len(first) >= CHUNK_SIZE:
                    yield from read_ahead(file.fileno(), bytes(first))
                self.command = read_command(self.pid, self.proc)
                is_there = self._has_address_space(file.fileno()) if first else True
            except ProcessLookupError:
                is_there = False
            except OSError as error:
                raise_for_oserror(error, self.pid, self.name, self.proc)
        if not is_there:
            raise_gone(self.pid, self.proc, had_memory=bool(first))
        if first:
            self.is_steady = self.command == before
        else:
            self.is_steady = not has_memory(self.pid, self.proc)
        if len(first) < CHUNK_SIZE:
            yield bytes(first)

    def _has_address_space(self, descriptor: int) -> bool:
        # The rollup is one read and reports ESRCH; to read it again would compute it again.
        return self.name == "smaps_rollup" or bool(os.pread(descriptor, 1, 0))


def raise_gone(
    pid: int, proc: str | os.PathLike[str] = PROC, *, had_memory: bool = True
) -> NoReturn:
    """
    Raise the exception for an address space that went while it was read.

    Args:
        pid: of the process.
        proc: where procfs is mounted.
        had_memory: whether anything was read of it.

    Raises:
        ExecDuringRead: the process called exec.
        ProcessNotFound: it ended.
    """
    if has_memory(pid, proc):
        msg = f"process {pid} called exec while it was read"
        raise ExecDuringRead(errno.ESRCH, msg, pid=pid)
    is_left = os.path.exists(proc_path(pid, "stat", proc))  # noqa: PTH110
    reason = "has no memory map" if is_left and not had_memory else "ended while it was read"
    raise ProcessNotFound(errno.ESRCH, f"process {pid} {reason}", pid=pid)


def has_memory(pid: int, proc: str | os.PathLike[str]) -> bool:
    """Return whether a process is running and is not a kernel thread."""
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
            raise_for_oserror(error, pid, "stat", proc)

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
            self._descriptor = os.open(proc_path(pid, "maps", proc), os.O_RDONLY)
        except OSError as error:
            raise_for_oserror(error, pid, "maps", proc)

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self._descriptor)

    def exists(self) -> bool:
        """Whether it is still in use: False after exec, and after the end of the process."""
        try:
            return bool(os.pread(self._descriptor, 1, 0))
        except ProcessLookupError:
            return False


def read_command(pid: int, proc: str | os.PathLike[str] = PROC) -> str:
    """
    Return the command line of a process as ps and pmap show it.

    It consists of the arguments joined by blanks; of the name in brackets where there are none
    (a kernel thread, a zombie); of `?` where all are empty. Undecodable bytes are surrogate
    escapes.

    Raises:
        ProcessNotFound, AccessDenied, Unsupported: as `read_file`.
    """
    raw = read_file(pid, "cmdline", proc)
    if raw:
        text = raw.rstrip(b"\0").replace(b"\0", b" ").replace(b"\n", b" ")
        if raw.endswith((b" ", b"\n")):  # the process overwrote its arguments
            text = text[:-1]
        return text.decode("utf-8", "surrogateescape") or "?"
    name, state, _ = read_stat(pid, proc)
    return f"[{name}] <defunct>" if state == "Z" else f"[{name}]"


def read_stat(pid: int, proc: str | os.PathLike[str] = PROC) -> tuple[str, str, int]:
    """Return the name, the state and the flags of a process."""
    text = read_file(pid, "stat", proc).decode("utf-8", "surrogateescape")
    # The name may contain anything, parentheses too: it ends at the last one.
    before, _, after = text.rpartition(")")
    words = after.split()
    return before.partition("(")[2], words[0], int(words[6])


def raise_for_oserror(
    error: OSError, pid: int, name: str, proc: str | os.PathLike[str] = PROC
) -> NoReturn:
    """
    Raise the exception of smapskit for an error of the kernel, with a message that says what to do.

    Only ENOENT and ESRCH mean that there is no such process. Any other error, such as too many
    open files, is raised unchanged, with the name of the file.
    """
    if error.errno in (errno.EACCES, errno.EPERM):
        msg = f"not permitted to read the {name} of process {pid}: {_how_to_read(pid, proc)}"
        raise AccessDenied(error.errno, msg, pid=pid) from error
    if not os.path.exists(f"{os.fspath(proc)}/self/stat"):  # noqa: PTH110
        raise_no_procfs(proc, error)
    if error.errno not in (errno.ENOENT, errno.ESRCH):
        error.filename = error.filename or proc_path(pid, name, proc)
        raise error
    is_there = os.path.exists(proc_path(pid, "stat", proc))  # noqa: PTH110
    if error.errno == errno.ENOENT and is_there:
        msg = f"this kernel has no /proc/PID/{name}"
        raise Unsupported(errno.ENOSYS, msg, pid=pid) from error
    if error.errno == errno.ESRCH and is_there:
        raise ProcessNotFound(errno.ESRCH, f"process {pid} has no memory map", pid=pid) from error
    msg = f"no process {pid}"
    if _hides_others(proc):
        msg += (
            f" visible to this user: {escape_unprintable(os.fspath(proc))} is mounted with hidepid"
        )
    raise ProcessNotFound(errno.ESRCH, msg, pid=pid) from error


def _how_to_read(pid: int, proc: str | os.PathLike[str]) -> str:
    """Return what this process lacks that would allow it to read another one."""
    own, other = _credentials("self", proc), _credentials(pid, proc)
    user = own.get("Uid")
    if int(own.get("CapEff", "0"), 16) >> _CAP_SYS_PTRACE & 1:
        return (
            "although this user has CAP_SYS_PTRACE, it is in another user namespace, or a security "
            "module denies it"
        )
    if user == "0":
        return "root lacks CAP_SYS_PTRACE here; in a container, start it with --cap-add SYS_PTRACE"
    if user is not None and user == other.get("Uid") != other["owner"]:
        return "it is of this user, but not dumpable (see prctl(2)): run as root"
    return "run as its user or as root"


def _credentials(pid: int | str, proc: str | os.PathLike[str]) -> dict[str, str]:
    """
    Return the effective Uid and CapEff of a process, and the owner of its files in /proc.

    The owner is root instead of its user if the process is not dumpable. Empty if there is no
    such process, or its status is hidden.
    """
    try:
        with open(f"{os.fspath(proc)}/{pid}/status", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
            owner = str(os.fstat(file.fileno()).st_uid)
            lines = [line.partition(":") for line in file]
    except OSError:
        return {}
    values = {name: value.split() for name, _, value in lines if name in ("Uid", "CapEff")}
    ids = {name: words[-1 if name == "CapEff" else 1] for name, words in values.items()}
    return {"owner": owner, **ids}


def raise_no_procfs(proc: str | os.PathLike[str], cause: OSError | None = None) -> NoReturn:
    """Raise the exception for a system without the procfs of Linux."""
    name = escape_unprintable(os.fspath(proc))
    msg = f"{name} is not a Linux procfs: reading processes requires one, saved captures do not"
    raise Unsupported(errno.ENOSYS, msg) from cause


def _hides_others(proc: str | os.PathLike[str]) -> bool:
    try:
        with open(f"{os.fspath(proc)}/self/mountinfo", "rb") as file:  # noqa: PTH123
            mounts = [line.split() for line in file]
    except OSError:
        return False
    points = [mount for mount in mounts if mount[4] == os.fsencode(proc)]
    return bool(points) and re.search(rb"hidepid=(2|4|inv|ptr)", points[-1][-1]) is not None
