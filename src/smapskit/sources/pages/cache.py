"""
Read which pages of a file are in the page cache, by mincore(2) and cachestat(2).

Nothing is brought into the page cache, and the time of the last access of the file is not
changed. preadv2 with RWF_NOWAIT is not used: it reads pages into the page cache.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import mmap
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import numpy as np

from smapskit.errors import AccessDenied, Unsupported, escape_unprintable
from smapskit.model.page_runs import Flags, PageRuns
from smapskit.model.residency import Residency
from smapskit.sources.pages.pagemap import PAGE_SIZE

_CACHESTAT: Final = 451  # the same on all architectures except Alpha
_CHUNK: Final = 1 << 15
"""Pages per call of mincore: 128 MiB of a file."""
_RESIDENT: Final = np.uint8(1)


class CacheStat(NamedTuple):
    """Numbers of pages of a range of a file: see cachestat(2)."""

    cached: int
    dirty: int
    writeback: int
    evicted: int
    recently_evicted: int


class _Range(ctypes.Structure):
    _fields_ = (("offset", ctypes.c_uint64), ("length", ctypes.c_uint64))


class _Counts(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint64) for name in CacheStat._fields)


def read_residency(path: str | os.PathLike[str]) -> Residency:
    """
    Read which pages of a file are in the page cache. The file is not read.

    Args:
        path: a regular file.

    Returns:
        The runs of cached pages. Counts that cachestat(2), of Linux 6.5, would report are None
        where it is missing, with the reason in `unknown`.

    Raises:
        AccessDenied: the user may not open the file; or neither owns it nor may write it: the
            kernel would report every page as cached.
        Unsupported: it is not a regular file, or this system is not Linux.
        OSError: the file cannot be opened.
    """
    time = datetime.now(UTC)
    name = os.fsdecode(path)
    with open_for_cache(name) as descriptor:
        size = os.fstat(descriptor).st_size
        counts, reason = cachestat(descriptor)
        runs = cached_runs(descriptor, 0, -(-size // PAGE_SIZE))
    others = {} if counts is None else counts._asdict()
    others.pop("cached", None)
    return Residency(
        path=name,
        size=size,
        page_size=PAGE_SIZE,
        runs=runs,
        unknown={} if reason is None else dict.fromkeys(CacheStat._fields[1:], reason),
        time=time,
        **others,
    )


@contextmanager
def open_for_cache(path: str) -> Iterator[int]:
    """
    Open a file whose cached pages the kernel reports truthfully to this user.

    Raises:
        AccessDenied, Unsupported, OSError: as `read_residency`.
    """
    name = escape_unprintable(path)
    if not hasattr(os, "O_NOATIME"):
        raise Unsupported(errno.ENOSYS, "reading the page cache requires Linux")
    try:
        descriptor, is_owner = _open(path)
    except PermissionError as error:
        msg = f"not permitted to open {name}: run as its owner or as root"
        raise AccessDenied(error.errno, msg) from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Unsupported(errno.EINVAL, f"{name} is not a regular file: it has no pages")
        if not is_owner and not _may_write(descriptor):
            msg = (
                f"the kernel reports every page of {name} as cached to users who neither own nor "
                "may write it: run as its owner or as root"
            )
            raise AccessDenied(errno.EPERM, msg)
        yield descriptor
    finally:
        os.close(descriptor)


def _open(path: str) -> tuple[int, bool]:
    """Open a file and return whether this user counts as its owner."""
    # Not blocked by a pipe. O_NOATIME is allowed to owners and CAP_FOWNER only, which is the
    # condition under which mincore reports the truth.
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
    try:
        return os.open(path, flags | os.O_NOATIME), True
    except OSError as error:
        if error.errno != errno.EPERM:
            raise
        return os.open(path, flags), False


def _may_write(descriptor: int) -> bool:
    try:
        return os.access(f"/proc/self/fd/{descriptor}", os.W_OK, effective_ids=True)
    except NotImplementedError:
        return False


@functools.cache
def _libc() -> Any:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]
    libc.syscall.restype = ctypes.c_long
    return libc


def cachestat(
    descriptor: int, offset: int = 0, length: int = 0
) -> tuple[CacheStat | None, str | None]:
    """
    Return the counts of a range of a file in bytes, or None and the reason.

    Args:
        descriptor: of the file.
        offset: in bytes.
        length: in bytes; 0 for up to the end of the file.
    """
    counts = _Counts()
    range_ = _Range(offset, length)
    failed = _libc().syscall(
        ctypes.c_long(_CACHESTAT),
        ctypes.c_long(descriptor),
        ctypes.byref(range_),
        ctypes.byref(counts),
        ctypes.c_long(0),
    )
    if failed:
        error = ctypes.get_errno()
        if error == errno.ENOSYS:
            return None, "requires cachestat(2) (Linux 6.5)"
        return None, f"cachestat(2) failed: {os.strerror(error)}"
    return CacheStat(*(getattr(counts, name) for name in CacheStat._fields)), None


def cached_runs(descriptor: int, first: int, end: int) -> PageRuns:
    """
    Return the runs of cached pages within a part of a file.

    Parts in which cachestat(2) counts no pages are not read by mincore(2), which takes 14 ms per
    GiB of a file even if nothing is cached.

    Args:
        descriptor: of the file.
        first: offset / page size of the first page.
        end: of the page after the last one.

    Raises:
        OSError: mincore failed.
    """
    parts: list[PageRuns] = []
    pending = [(first, end)] if first < end else []
    while pending:
        low, high = pending.pop()
        counts, _ = cachestat(descriptor, low * PAGE_SIZE, (high - low) * PAGE_SIZE)
        if counts is not None and not counts.cached:
            continue
        if high - low <= _CHUNK:
            parts.append(PageRuns.of_array(low, _mincore(descriptor, low, high)))
        elif counts is None:  # in order: the last is read first
            pending += [(at, min(at + _CHUNK, high)) for at in range(low, high, _CHUNK)][::-1]
        else:
            middle = (low + high) // 2
            pending += [(middle, high), (low, middle)]
    return PageRuns.join(parts)


def _mincore(descriptor: int, low: int, high: int) -> Flags:
    """Return 1 for each page that is cached; pages after the end of the file are not."""
    vector = np.zeros(high - low, np.uint8)
    offset = low * PAGE_SIZE
    try:
        # No longer than the file, which may have become shorter: mmap() rejects that.
        size = min((high - low) * PAGE_SIZE, os.fstat(descriptor).st_size - offset)
        area = mmap.mmap(descriptor, size, mmap.MAP_SHARED, mmap.PROT_READ, offset=offset)
    except (ValueError, OverflowError):
        return vector
    with area:  # mincore reports the pages of a mapping, which is never accessed
        exported = np.frombuffer(area, np.uint8, count=1)
        failed = _libc().mincore(exported.ctypes.data, size, vector.ctypes.data)
        error = ctypes.get_errno()
        del exported  # or the mapping could not be closed
    if failed:
        raise OSError(error, f"mincore(2) failed: {os.strerror(error)}")
    return vector & _RESIDENT
