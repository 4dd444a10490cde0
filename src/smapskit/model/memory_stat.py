"""
What the memory of a cgroup consists of: the figures of memory.stat, of v1 and v2.

The kernel prints the same figures in its OOM report. They never equal the sums of smaps: a page
is charged to the group that touched it first, and page cache that no process maps, slab, page
tables and sockets are in no smaps.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Mapping as MappingOf
from typing import Any, Final

import attrs

_TOTAL: Final = "total_"
"""In v1, the prefix of figures that include the groups below."""


def _stat(v2: str, v1: str | None = None) -> Any:
    """Declare a figure by its name in memory.stat of v2 and of v1."""
    return attrs.field(default=None, metadata={"v2": v2, "v1": v1})


@attrs.frozen(kw_only=True)
class MemoryStat:
    """
    The sizes of memory.stat in kB. None: not reported by this kernel.

    Names are those of v2. Figures include the groups below where the kernel reports that.
    """

    anon: int | None = _stat("anon", "rss")
    """Anonymous memory: heaps, stacks, private modified pages of files. Without tmpfs."""
    file: int | None = _stat("file", "cache")
    """Page cache of files, tmpfs and shared memory, mapped by a process or not."""
    shmem: int | None = _stat("shmem", "shmem")
    """The part of `file` that is on a tmpfs or shared memory: reclaimed only to swap."""
    file_mapped: int | None = _stat("file_mapped", "mapped_file")
    """The part of `file` that a process maps."""
    file_dirty: int | None = _stat("file_dirty", "dirty")
    """The part of `file` that is to be written."""
    file_writeback: int | None = _stat("file_writeback", "writeback")
    """The part of `file` that is being written."""
    anon_thp: int | None = _stat("anon_thp", "rss_huge")
    """The part of `anon` in transparent huge pages."""
    inactive_anon: int | None = _stat("inactive_anon", "inactive_anon")
    """Anonymous memory and tmpfs on the inactive list."""
    active_anon: int | None = _stat("active_anon", "active_anon")
    """Anonymous memory and tmpfs on the active list."""
    inactive_file: int | None = _stat("inactive_file", "inactive_file")
    """Page cache of files that the kernel reclaims first."""
    active_file: int | None = _stat("active_file", "active_file")
    """Page cache of files that was used repeatedly."""
    unevictable: int | None = _stat("unevictable", "unevictable")
    """Locked memory (mlock), and other memory that cannot be reclaimed."""
    swap_cached: int | None = _stat("swapcached", "swapcached")
    """Memory that is also in swap; what no process maps of it is neither in `anon` nor `file`."""
    kernel: int | None = _stat("kernel")
    """All memory of the kernel except sockets; the sum of its parts before Linux 5.18."""
    kernel_stack: int | None = _stat("kernel_stack")
    """The part of `kernel` for kernel stacks, one per thread."""
    page_tables: int | None = _stat("pagetables")
    """The part of `kernel` for page tables."""
    secondary_page_tables: int | None = _stat("sec_pagetables")
    """The part of `kernel` for page tables of virtual machines and devices."""
    percpu: int | None = _stat("percpu")
    """The part of `kernel` for data per CPU."""
    vmalloc: int | None = _stat("vmalloc")
    """The part of `kernel` that vmalloc allocated."""
    slab: int | None = _stat("slab")
    """The part of `kernel` for small objects such as inodes and directory entries."""
    slab_reclaimable: int | None = _stat("slab_reclaimable")
    """The part of `slab` that the kernel can reclaim."""
    slab_unreclaimable: int | None = _stat("slab_unreclaimable")
    """The part of `slab` that the kernel cannot reclaim."""
    sock: int | None = _stat("sock")
    """Buffers of network sockets."""
    hugetlb: int | None = _stat("hugetlb")
    """Huge pages of hugetlbfs, where they are counted in the limit (Linux 6.7)."""
    zswap: int | None = _stat("zswap")
    """The part of `kernel` that compressed swap takes."""
    swap: int | None = _stat("", "swap")
    """Memory in swap. v2 reports it in memory.swap.current."""

    @classmethod
    def of_values(cls, values: MappingOf[str, int], *, is_own: bool = False) -> MemoryStat:
        """
        Return the figures of a memory.stat.

        Args:
            values: by the kernel's names, in bytes.
            is_own: without the groups below, where both are reported (v1).
        """
        version = "v1" if "rss" in values or "cache" in values else "v2"
        prefix = _TOTAL if version == "v1" and not is_own and f"{_TOTAL}rss" in values else ""
        sizes: dict[str, int | None] = {}
        for field in attrs.fields(cls):
            name = field.metadata[version]
            value = values.get(f"{prefix}{name}") if name else None
            sizes[field.name] = None if value is None else value // 1024
        if sizes["slab"] is None:
            sizes["slab"] = _sum(sizes[name] for name in ("slab_reclaimable", "slab_unreclaimable"))
        if sizes["kernel"] is None:
            sizes["kernel"] = _sum(sizes[name] for name in KERNEL_PARTS)
        return cls(**sizes)

    @property
    def file_unmapped(self) -> int | None:
        """The part of `file` that no process maps, in kB: it is in no smaps."""
        return _difference(self.file, self.file_mapped)

    @property
    def page_cache(self) -> int | None:
        """The part of `file` that is neither on a tmpfs nor shared memory, in kB."""
        return _difference(self.file, self.shmem)

    def __add__(self, other: MemoryStat) -> MemoryStat:
        """Add the figures of two groups; None where neither reports one."""
        names = [field.name for field in attrs.fields(MemoryStat)]
        return MemoryStat(**{n: _sum((getattr(self, n), getattr(other, n))) for n in names})


KERNEL_PARTS: Final = ("kernel_stack", "page_tables", "secondary_page_tables", "percpu", "slab")
"""The parts of `kernel` that do not overlap."""


def _sum(values: Iterable[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _difference(whole: int | None, part: int | None) -> int | None:
    return None if whole is None or part is None else max(0, whole - part)
