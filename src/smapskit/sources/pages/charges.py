"""Read which memory cgroups are charged with the cached pages of a file."""

from __future__ import annotations

import errno
import mmap
import os
from collections import Counter
from typing import Final

import numpy as np

from smapskit.errors import AccessDenied, Unsupported
from smapskit.model.cgroup import FileCharges
from smapskit.model.page_runs import Numbers
from smapskit.sources import procfs
from smapskit.sources.cgroup import groups_by_inode
from smapskit.sources.pages.cache import cached_runs, open_for_cache
from smapskit.sources.pages.frames import read_numbers
from smapskit.sources.pages.pagemap import PAGE_SIZE, PageMap, pfns_of

_CHUNK: Final = 1 << 15
"""Pages that are mapped at once: 128 MiB of a file."""
_KPAGECGROUP: Final = "kpagecgroup"


def read_charges(path: str | os.PathLike[str]) -> FileCharges:
    """
    Read which memory cgroups are charged with the cached pages of a file.

    Each cached page is mapped for a moment, to get its page frame number. Pages that are not
    cached are not read, and the order in which the kernel evicts pages is not changed.

    Args:
        path: a regular file.

    Raises:
        AccessDenied: this is not root.
        Unsupported: it is not a regular file; or the kernel has no /proc/kpagecgroup.
        OSError: the file cannot be opened.
    """
    name = os.fspath(path)
    charged: Counter[int] = Counter()
    with open_for_cache(name) as descriptor, PageMap(os.getpid()) as pagemap:
        pages = -(-os.fstat(descriptor).st_size // PAGE_SIZE)
        for first in range(0, pages, _CHUNK):
            pfns = _page_frames(descriptor, first, min(first + _CHUNK, pages), pagemap)
            charged.update(_inodes(pfns))
    known = groups_by_inode()
    groups: Counter[str] = Counter()
    uncharged = 0
    for inode, count in charged.items():
        if inode in known:
            groups[known[inode]] += count * PAGE_SIZE // 1024
        else:
            uncharged += count * PAGE_SIZE // 1024
    return FileCharges(path=name, groups=dict(groups.most_common()), uncharged=uncharged)


def _page_frames(descriptor: int, first: int, end: int, pagemap: PageMap) -> Numbers:
    """Return the page frame numbers of the cached pages of a part of a file."""
    runs = cached_runs(descriptor, first, end)
    if not runs.count():
        return np.array([], np.int64)
    size = min(end * PAGE_SIZE, os.fstat(descriptor).st_size) - first * PAGE_SIZE
    if size <= 0:  # it became shorter
        return np.array([], np.int64)
    offset = first * PAGE_SIZE
    with mmap.mmap(descriptor, size, mmap.MAP_SHARED, mmap.PROT_READ, offset=offset) as area:
        # Without this, the kernel would count the access as a use of the page.
        area.madvise(mmap.MADV_RANDOM)
        content = np.frombuffer(area, np.uint8)
        numbers = np.flatnonzero(runs.array(first, end))
        content[numbers * PAGE_SIZE].sum()  # map them
        entries = pagemap.entries(content.ctypes.data // PAGE_SIZE, end - first)
        del content  # or the mapping could not be closed
    found = pfns_of(entries)[numbers]
    present: Numbers = found[found >= 0]
    if len(present) and not present.any():
        msg = "page frame numbers are hidden: run it as root"
        raise AccessDenied(errno.EPERM, msg)
    return present


def _inodes(pfns: Numbers) -> list[int]:
    """Return the inodes of the groups that are charged with page frames."""
    order = np.argsort(pfns, kind="stable")
    try:
        inodes: list[int] = read_numbers(_KPAGECGROUP, pfns, order, procfs.PROC).tolist()
    except FileNotFoundError:
        msg = "this kernel has no /proc/kpagecgroup (CONFIG_MEMCG, CONFIG_PROC_PAGE_MONITOR)"
        raise Unsupported(errno.ENOSYS, msg) from None
    except PermissionError as error:
        msg = "not permitted to read /proc/kpagecgroup: run it as root"
        raise AccessDenied(error.errno, msg) from None
    return inodes
