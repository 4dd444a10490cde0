"""
Read /proc/PID/pagemap: the entries of the page table, or runs of pages by PAGEMAP_SCAN.

Both only read. The kernel's documentation is Documentation/admin-guide/mm/pagemap.rst.
"""

from __future__ import annotations

import errno
import functools
import mmap
import os
import struct
from collections.abc import Iterator
from itertools import pairwise
from typing import Final, Literal, Self

import numpy as np
from numpy.typing import NDArray

from smapskit.errors import Unsupported
from smapskit.model.page_runs import Flags, Numbers, PageRuns
from smapskit.model.pages import PageFlag
from smapskit.sources import procfs

PAGE_SIZE: Final = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else mmap.PAGESIZE
Entries = NDArray[np.uint64]

_ENTRY_BITS: Final = {
    63: PageFlag.PRESENT,
    62: PageFlag.SWAPPED,
    61: PageFlag.FILE,
    58: PageFlag.GUARD,
    56: PageFlag.EXCLUSIVE,
    55: PageFlag.SOFT_DIRTY,
}
_LOWEST_BIT: Final = 55
PFN_MASK: Final = np.uint64((1 << 55) - 1)
"""The page frame number of the entry of a present page."""
_PRESENT_BIT: Final = np.uint64(1 << 63)

_CATEGORIES: Final = {
    0x4: PageFlag.FILE,
    0x8: PageFlag.PRESENT,
    0x10: PageFlag.SWAPPED,
    0x20: PageFlag.ZERO,
    0x40: PageFlag.HUGE,
    0x80: PageFlag.SOFT_DIRTY,
    0x100: PageFlag.GUARD,
}
"""The categories of PAGEMAP_SCAN that are requested. The others concern userfaultfd only."""
_POPULATED: Final = 0x8 | 0x10 | 0x100
_GUARD_CATEGORY: Final = 0x100
_PAGEMAP_SCAN: Final = 0xC0606610
_ARGUMENT: Final = struct.Struct("=12Q")  # struct pm_scan_arg of linux/fs.h
_MADV_GUARD_INSTALL: Final = 102
_REGIONS: Final = 1 << 14
"""Regions per call. The kernel walks 512 pages at a time, whatever this number is."""
_CHUNK: Final = 1 << 17
"""Entries per read: 1 MiB, in which 512 MiB of address space are described."""
_MAX_GAP: Final = 64
"""Entries read in vain, rather than with another system call."""


def _by_value(bits: dict[int, PageFlag]) -> Flags:
    """Return the flags for each value of some bits."""
    table = np.zeros(1 << max(bits).bit_length(), np.uint8)
    for bit, flag in bits.items():
        table[np.arange(len(table)) & bit != 0] |= np.uint8(flag)
    return table


_FLAGS_OF_ENTRY: Final = _by_value({1 << b - _LOWEST_BIT: f for b, f in _ENTRY_BITS.items()})
# The kernel sets the soft-dirty bit of pages that do not exist, too, if their mapping is new.
_EXISTS: Final = np.uint8(PageFlag.PRESENT | PageFlag.SWAPPED | PageFlag.GUARD)
_FLAGS_OF_ENTRY[_FLAGS_OF_ENTRY & _EXISTS == 0] = 0
_FLAGS_OF_CATEGORIES: Final = _by_value(_CATEGORIES)
ENTRY_FLAGS: Final = functools.reduce(PageFlag.__or__, _ENTRY_BITS.values())
"""The flags that entries have."""


class ScanUnsupported(Unsupported):
    """This kernel has no PAGEMAP_SCAN (Linux 6.7)."""


class PageMap:
    """
    An open /proc/PID/pagemap, which stays with one address space when exec replaces it.

    Raises:
        ProcessNotFound, AccessDenied, Unsupported: as `procfs.read_file`.
    """

    def __init__(self, pid: int, proc: str | os.PathLike[str] = procfs.PROC) -> None:
        self.pid = pid
        self.proc = proc
        self.has_guard_category = True
        """Whether PAGEMAP_SCAN knows guard pages (6.16); set by `scan`."""
        try:
            self._descriptor = os.open(
                procfs.proc_path(pid, "pagemap", proc), os.O_RDONLY | os.O_CLOEXEC
            )
        except OSError as error:
            # The kernel refuses that of a zombie to all but root.
            if error.errno == errno.EACCES and not procfs.has_memory(pid, proc):
                procfs.raise_gone(pid, proc, had_memory=False)
            procfs.raise_for_oserror(error, pid, "pagemap", proc)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def entries(self, first: int, count: int) -> Entries:
        """
        Return the entries of pages; fewer beyond user space, or if the address space has gone.

        Args:
            first: address / page size of the first page.
            count: number of pages.
        """
        entries = np.empty(count, np.uint64)
        view = entries.view(np.uint8).data
        done = 0
        while done < len(view):
            read = os.preadv(self._descriptor, [view[done:]], first * 8 + done)
            if not read:
                break
            done += read
        return entries[: done // 8]

    def read(self, first: int, end: int) -> PageRuns:
        """Return the runs of a range from its entries; flags that they lack are not set."""
        parts = []
        for start in range(first, end, _CHUNK):
            entries = self.entries(start, min(_CHUNK, end - start))
            if entries.any():
                parts.append(PageRuns.of_array(start, entry_flags(entries)))
        return PageRuns.join(parts)

    def scan(self, first: int, end: int) -> PageRuns:
        """
        Return the runs of a range by PAGEMAP_SCAN; `PageFlag.EXCLUSIVE` is not set.

        Raises:
            ScanUnsupported: the kernel has no PAGEMAP_SCAN, or this system does not allow it.
            ProcessLookupError: the address space has gone.
        """
        parts = []
        start, limit = first * PAGE_SIZE, end * PAGE_SIZE
        while start < limit:
            regions = self._scan(start, limit)
            flags = _FLAGS_OF_CATEGORIES[regions[:, 2]]
            numbers = (regions[:, :2] // np.uint64(PAGE_SIZE)).astype(np.int64)
            parts.append(PageRuns(numbers[:, 0], numbers[:, 1], flags))
            if len(regions) < _REGIONS:
                break
            # walk_end was found to be stale once. Nothing before the end of a region is missing.
            start = int(regions[-1, 1])
        return PageRuns.join(parts)

    def _scan(self, start: int, end: int) -> NDArray[np.uint64]:
        import fcntl  # noqa: PLC0415  not on every system

        regions = np.empty((_REGIONS, 3), np.uint64)
        while True:
            unknown = 0 if self.has_guard_category else _GUARD_CATEGORY
            wanted = sum(_CATEGORIES) & ~unknown
            populated = _POPULATED & ~unknown
            argument = bytearray(
                _ARGUMENT.pack(
                    *(_ARGUMENT.size, 0, start, end, 0),
                    *(regions.ctypes.data, _REGIONS, 0),
                    *(0, 0, populated, wanted),
                )
            )
            try:
                count = fcntl.ioctl(self._descriptor, _PAGEMAP_SCAN, argument)
            except OSError as error:
                if error.errno == errno.EINTR:
                    continue
                if error.errno == errno.EINVAL and self.has_guard_category:
                    self.has_guard_category = False
                    continue
                if error.errno in (errno.ENOTTY, errno.EPERM, errno.ENOSYS, errno.EINVAL):
                    msg = f"PAGEMAP_SCAN is not available: {error.strerror}"
                    raise ScanUnsupported(errno.ENOSYS, msg, pid=self.pid) from error
                raise
            return regions[:count]


def entry_flags(entries: Entries) -> Flags:
    """Return the flags of entries; 0 for a page that is neither present, swapped nor a guard."""
    # Most chunks of a sparse range have few different ones, but this takes 1 ms per GiB anyway.
    flags: Flags = _FLAGS_OF_ENTRY[entries >> np.uint64(_LOWEST_BIT)]
    return flags


def entries_of(pagemap: PageMap, runs: PageRuns) -> Entries:
    """Return the entry of each page in runs; 0 for those whose address space has gone."""
    parts = []
    for first, end, low, high in _groups(runs):
        entries = pagemap.entries(first, end - first)
        missing = end - first - len(entries)
        if missing:
            entries = np.append(entries, np.zeros(missing, np.uint64))
        group = PageRuns(runs.first[low:high], runs.end[low:high], runs.flags[low:high])
        if group.count() < len(entries):
            entries = entries[group.pages() - first]
        parts.append(entries)
    return np.concatenate(parts) if parts else np.empty(0, np.uint64)


def _groups(runs: PageRuns) -> Iterator[tuple[int, int, int, int]]:
    """Yield ranges to read at once: first and end page, and first and last (exclusive) run."""
    if not len(runs):
        return
    breaks = np.flatnonzero(runs.first[1:] - runs.end[:-1] > _MAX_GAP) + 1
    for low, high in pairwise([0, *breaks.tolist(), len(runs)]):
        yield int(runs.first[low]), int(runs.end[high - 1]), low, high


def pfns_of(entries: Entries) -> Numbers:
    """Return the page frame numbers of entries; -1 where there is no present page."""
    is_present = entries >= _PRESENT_BIT
    return np.where(is_present, (entries & PFN_MASK).astype(np.int64), -1)


@functools.cache
def has_soft_dirty() -> bool:
    """Whether the kernel tracks soft-dirty bits: a new page of this process must have one."""
    with mmap.mmap(-1, PAGE_SIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as page:
        page[0] = 1
        return bool(_own_flags(page) & PageFlag.SOFT_DIRTY)


@functools.cache
def guard_support() -> Literal["none", "entries", "unreported"]:
    """Return whether the kernel has guard pages (6.13), and reports them in entries (6.15)."""
    with mmap.mmap(-1, PAGE_SIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as page:
        try:
            page.madvise(_MADV_GUARD_INSTALL)
        except OSError:
            return "none"
        return "entries" if _own_flags(page) & PageFlag.GUARD else "unreported"


def _own_flags(page: mmap.mmap) -> int:
    """Return the flags of a page of this process."""
    exported = np.frombuffer(page, np.uint8, count=1)
    address = exported.ctypes.data
    del exported  # or the page could not be unmapped
    with PageMap(os.getpid()) as pagemap:
        return int(entry_flags(pagemap.entries(address // PAGE_SIZE, 1))[0])
