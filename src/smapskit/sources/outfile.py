"""
Create output files without touching the files of others.

Every file is created with O_EXCL: an existing file is never truncated and a symbolic link is
never followed. A file that must be complete before it is visible is written under a random
name beside its target and renamed.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

_CREATE: Final = (
    os.O_RDWR
    | os.O_CREAT
    | os.O_EXCL
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_BINARY", 0)
    | getattr(os, "O_CLOEXEC", 0)
)


def create(path: Path, *, private: bool = False) -> int:
    """
    Create a file and return a descriptor to read and write it.

    Args:
        path: of the file.
        private: create it with mode 0600 if this process is root; otherwise the umask decides.

    Raises:
        FileExistsError: the path exists, even as a broken symbolic link.
    """
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    return os.open(path, _CREATE, 0o600 if private and is_root else 0o666)


def create_beside(path: Path, suffix: str, *, private: bool = False) -> tuple[int, Path]:
    """Create a file named `path`, a random part and `suffix`; return its descriptor and path."""
    while True:
        new = path.with_name(f"{path.name}.{secrets.token_hex(4)}{suffix}")
        try:
            return create(new, private=private), new
        except FileExistsError:
            continue
        except OSError as error:
            error.filename = str(path)  # the name that the user knows
            raise


def files_beside(path: Path, suffix: str) -> Iterator[Path]:
    """Return the files that `create_beside` created, in this process or another."""
    name = re.compile(rf"{re.escape(path.name)}\.[0-9a-f]{{8}}{re.escape(suffix)}")
    return (file for file in path.parent.iterdir() if name.fullmatch(file.name))


@contextmanager
def replacing(path: Path, *, private: bool = False, overwrite: bool = True) -> Iterator[IO[bytes]]:
    """
    Open a new file that replaces `path` once it is complete.

    After an exception the new file is deleted and `path` is unchanged.

    Args:
        path: of the file to write.
        private: see `create`.
        overwrite: replace an existing file; if false, that is a FileExistsError.
    """
    descriptor, new = create_beside(path, ".new", private=private)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
        if not overwrite:
            os.close(create(path))  # reserves the name; rename(2) alone would replace a file
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def lock(descriptor: int, path: Path) -> None:
    """
    Lock an open file until its descriptor is closed, where the file system has locks.

    Raises:
        BlockingIOError: another process holds the lock.
    """
    try:
        import fcntl  # noqa: PLC0415  not on every system
    except ImportError:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        msg = "another recorder is writing this file"
        raise BlockingIOError(errno.EAGAIN, msg, os.fspath(path)) from None
    except OSError:  # a file system without locks
        return


def lock_path(path: Path) -> int:
    """
    Lock an existing file and return its descriptor; closing it releases the lock.

    Raises:
        BlockingIOError: another process holds the lock, or has just replaced the file.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        lock(descriptor, path)
        is_same = os.path.samestat(os.fstat(descriptor), path.lstat())
    except BaseException:
        os.close(descriptor)
        raise
    if is_same:
        return descriptor
    os.close(descriptor)
    raise BlockingIOError(errno.EAGAIN, "another process replaced this file", os.fspath(path))
