"""
Pages of a process: which are in memory or in swap, and what the kernel knows of each.

Pages are kept as runs (see `page_runs`) and expanded to arrays only where a method says so.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from collections.abc import Mapping as MappingOf
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Final, Literal

import attrs
import numpy as np
from numpy.typing import NDArray

from smapskit.errors import escape_unprintable
from smapskit.model.backing import Backing
from smapskit.model.check import Inconsistency, InconsistencyKind
from smapskit.model.mapping import Mapping
from smapskit.model.page_runs import Flags, Numbers, PageRuns
from smapskit.model.snapshot import Snapshot
from smapskit.text import truncate

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

_MAX_INCONSISTENCIES: Final = 1000


class PageFlag(enum.IntFlag):
    """What the page table has for a page; a page without flags was never touched or was freed."""

    PRESENT = 1
    """Mapped to a page of memory, the zero page included."""
    SWAPPED = 2
    """In swap or about to be moved; the kernel sets it for guard pages too."""
    FILE = 4
    """A page of a file or of shared memory; otherwise anonymous."""
    EXCLUSIVE = 8
    """Mapped by this process alone."""
    SOFT_DIRTY = 16
    """Written since soft-dirty bits were last cleared."""
    GUARD = 32
    """A guard page of madvise(MADV_GUARD_INSTALL): an access is a SIGSEGV."""
    HUGE = 64
    """Mapped by an entry for a huge page, which may be the huge zero page."""
    ZERO = 128
    """The zero page of the kernel: read, but never written. Not in Rss."""


class FrameFlag(enum.IntFlag):
    """The bits of /proc/kpageflags (see the kernel's Documentation/admin-guide/mm/pagemap.rst)."""

    LOCKED = 1 << 0
    REFERENCED = 1 << 2
    UPTODATE = 1 << 3
    DIRTY = 1 << 4
    LRU = 1 << 5
    ACTIVE = 1 << 6
    WRITEBACK = 1 << 8
    RECLAIM = 1 << 9
    MMAP = 1 << 11
    ANON = 1 << 12
    SWAPCACHE = 1 << 13
    SWAPBACKED = 1 << 14
    COMPOUND_HEAD = 1 << 15
    COMPOUND_TAIL = 1 << 16
    HUGE = 1 << 17
    UNEVICTABLE = 1 << 18
    NOPAGE = 1 << 20
    """Not known: there is no such frame, or it was used anew while it was read."""
    KSM = 1 << 21
    THP = 1 << 22
    """Part of any large folio, not only of a huge page."""
    ZERO_PAGE = 1 << 24
    IDLE = 1 << 25
    MLOCKED = 1 << 33


_P, _S, _Z, _G = PageFlag.PRESENT, PageFlag.SWAPPED, PageFlag.ZERO, PageFlag.GUARD
_OF_FLAGS: Final = {
    "present": (_P, _P),
    "swapped": (_S | _G, _S),
    "file": (_P | PageFlag.FILE, _P | PageFlag.FILE),
    "exclusive": (_P | PageFlag.EXCLUSIVE, _P | PageFlag.EXCLUSIVE),
    "soft_dirty": (PageFlag.SOFT_DIRTY, PageFlag.SOFT_DIRTY),
    "guard": (_G, _G),
    "huge": (PageFlag.HUGE | _Z, PageFlag.HUGE),
    "zero": (_P | _Z, _P | _Z),
}
"""Mask and value of the flags of the pages that are counted."""
_OF_FRAMES: Final = {
    "active": FrameFlag.ACTIVE,
    "referenced": FrameFlag.REFERENCED,
    "dirty": FrameFlag.DIRTY,
    "writeback": FrameFlag.WRITEBACK,
    "unevictable": FrameFlag.UNEVICTABLE,
}
"""The flag of the frames that are counted."""


def possible_zero_pages(runs: PageRuns) -> PageRuns:
    """Return the pages that may be the zero page, where `PageFlag.ZERO` is not known."""
    return runs.select(_P | PageFlag.FILE | PageFlag.EXCLUSIVE, _P)


def _count(meaning: str) -> int | None:
    return attrs.field(default=None, metadata={"meaning": meaning})  # type: ignore[no-any-return]


@attrs.frozen(kw_only=True)
class PageCounts:
    """Numbers of pages of a range; None for what is not known (see `Pages.unknown`)."""

    size: int
    """All pages of the range."""
    present: int | None = _count("mapped to memory, including the zero page")
    resident: int | None = _count("mapped to memory without the zero page: the Rss of smaps")
    swapped: int | None = _count("in swap, by the page table")
    file: int | None = _count("present, of a file or shared memory")
    anonymous: int | None = _count("resident, of no file")
    exclusive: int | None = _count("present and mapped by this process alone")
    soft_dirty: int | None = _count("written since soft-dirty bits were cleared")
    guard: int | None = _count("guard pages")
    huge: int | None = _count("in huge pages, without the huge zero page")
    zero: int | None = _count("read but never written: the zero page")
    runs: int | None = _count("runs of neighbouring present pages")
    active: int | None = _count("on the kernel's active list")
    referenced: int | None = _count("marked as referenced on its list")
    dirty: int | None = _count("to be written to the file or to swap before it can be freed")
    writeback: int | None = _count("being written")
    unevictable: int | None = _count("cannot be freed, such as by mlock")


COUNTS: Final = tuple(field.name for field in attrs.fields(PageCounts))


@attrs.frozen(eq=False, repr=False)
class Frames:
    """
    The page frames of the present pages, in the order of `Pages.addresses`.

    What is not known of a single page is -1, and `FrameFlag.NOPAGE` in `flags`: the page went
    or its frame was used anew while it was read.
    """

    pfns: NDArray[np.int64]
    """Page frame numbers."""
    flags: NDArray[np.uint64] | None = None
    """Bits of `FrameFlag`; None where they were not read."""
    map_counts: NDArray[np.int64] | None = None
    """How many page tables map the page."""
    cgroups: NDArray[np.int64] | None = None
    """The inode of the memory cgroup that is charged; 0 for none."""


@attrs.frozen
class PageRange:
    """The pages of a mapping, or of a part of it."""

    mapping: Mapping
    first: int
    """Number of the first page: its address / page size."""
    end: int
    """Exclusive."""
    is_reported: bool = True
    """False for addresses beyond user space, such as `[vsyscall]`: the kernel reports no pages."""


@attrs.frozen
class MappingPages:
    """A mapping, or the part of it that was read, and its numbers of pages."""

    mapping: Mapping
    start: int
    """Address where reading began."""
    end: int
    """Address where reading ended (exclusive)."""
    counts: PageCounts


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Pages:
    """Which pages of a process are in memory, at one time."""

    runs: PageRuns
    """Runs of pages with equal flags; numbers of pages are address / page size."""
    ranges: tuple[PageRange, ...]
    """What was read, in the order of addresses."""
    page_size: int
    """In bytes."""
    unknown: MappingOf[str, str]
    """The reason for each value that is not known, by its name in `PageCounts` or `Frames`."""
    frames: Frames | None = None
    pid: int | None = None
    command: str | None = None
    time: datetime | None = None
    """When reading began, in UTC."""
    notes: tuple[str, ...] = ()

    @cached_property
    def _bounds(self) -> tuple[Numbers, Numbers]:
        first = np.array([each.first for each in self.ranges], np.int64)
        end = np.array([each.end for each in self.ranges], np.int64)
        return first, end

    @cached_property
    def _columns(self) -> dict[str, list[int | None]]:
        """The counts of each range."""
        first, end = self._bounds
        known = self._known_counts(first, end)
        columns: dict[str, list[int | None]] = {
            name: known[name].tolist() if name in known else [None] * len(first) for name in COUNTS
        }
        if "zero" in self.unknown:
            possible = possible_zero_pages(self.runs).count_within(first, end)
            columns["zero"] = [0 if count == 0 else None for count in possible.tolist()]
        for row, each in enumerate(self.ranges):
            present, zero, of_file = (columns[name][row] for name in ("present", "zero", "file"))
            if zero is not None and present is not None and of_file is not None:
                columns["resident"][row] = present - zero
                columns["anonymous"][row] = present - zero - of_file
            if not each.is_reported:
                for name in COUNTS[1:]:
                    columns[name][row] = None
        return columns

    def _known_counts(self, first: Numbers, end: Numbers) -> dict[str, Numbers]:
        """Return the counts of ranges of pages that are known."""
        known: dict[str, Numbers] = {"size": end - first}
        for name, (mask, value) in _OF_FLAGS.items():
            if name not in self.unknown:
                known[name] = self.runs.select(mask, value).count_within(first, end)
        present = self.runs.select(_P)
        known["runs"] = present.runs_within(first, end)
        if self.frames is not None and self.frames.flags is not None:
            low, high = present.count_below(first), present.count_below(end)
            for name, flag in _OF_FRAMES.items():
                if name not in self.unknown:
                    has_flag = (self.frames.flags & np.uint64(flag)) != 0
                    sums = np.concatenate(([0], np.cumsum(has_flag)))
                    known[name] = sums[high] - sums[low]
        return known

    def by_mapping(self) -> list[MappingPages]:
        """Return the counts of each mapping."""
        rows = zip(*self._columns.values(), strict=True)
        return [
            MappingPages(
                each.mapping,
                each.first * self.page_size,
                each.end * self.page_size,
                PageCounts(**dict(zip(self._columns, row, strict=True))),
            )
            for each, row in zip(self.ranges, rows, strict=True)
        ]

    def counts(self) -> PageCounts:
        """Return the counts over all that was read; None where that of a mapping is not known."""
        reported = [row for row, each in enumerate(self.ranges) if each.is_reported]
        sums: dict[str, int | None] = {}
        for name, values in self._columns.items():
            known = [values[row] for row in reported]
            unknown = not known or None in known or (name in self.unknown and name != "zero")
            sums[name] = None if unknown else sum(known)  # type: ignore[arg-type]
        sums["size"] = sum(each.end - each.first for each in self.ranges)
        return PageCounts(**sums)  # type: ignore[arg-type]

    def addresses(self) -> NDArray[np.int64]:
        """Return the address of each present page, as an array; `Frames` has the same order."""
        return self.runs.select(_P).pages() * self.page_size

    def flags(self, start: int, end: int) -> Flags:
        """
        Return the flags of each page of a range, as an array of `PageFlag` bits.

        Args:
            start: address of the first page.
            end: address after the last page.
        """
        return self.runs.array(start // self.page_size, -(-end // self.page_size))

    def __iter__(self) -> Iterator[tuple[int, int, PageFlag]]:
        """Yield each run: start and end address, and the flags of its pages."""
        for first, end, flags in self.runs:
            yield first * self.page_size, end * self.page_size, PageFlag(flags)

    def __len__(self) -> int:
        return len(self.runs)

    def to_frame(self, by: Literal["page", "run", "mapping"] = "page") -> DataFrame:
        """Return one row per page with flags, per run of equal pages, or per mapping."""
        from smapskit.views import page_frames  # noqa: PLC0415  late import: views come after model

        return page_frames.to_frame(self, by)

    def plot(self) -> Figure:
        """Draw each mapping with resident pages as a strip of its pages."""
        from smapskit.views import page_plots  # noqa: PLC0415

        return page_plots.plot_pages(self)

    def check(self, snapshot: Snapshot) -> list[Inconsistency]:
        """
        Compare with smaps of the same process; an empty list where all agrees.

        Resident pages x page size is Rss, and swapped pages are Swap; for hugetlb mappings the
        present pages are those of Shared_Hugetlb and Private_Hugetlb. Swap of shared memory is
        not in page tables: there it may only be larger.

        Args:
            snapshot: from `smapskit.read`, just before or after.
        """
        theirs = {(mapping.start, mapping.end): mapping for mapping in snapshot}
        found = []
        for mine in self.by_mapping():
            key = (mine.mapping.start, mine.mapping.end)
            if (mine.start, mine.end) != key:
                continue
            if key not in theirs:
                text = f"{key[0]:x}-{key[1]:x} is not a mapping in smaps"
                found.append(Inconsistency(InconsistencyKind.PAGES, mine.mapping, text))
            else:
                found += self._compare(mine.counts, theirs[key])
            if len(found) >= _MAX_INCONSISTENCIES:
                break
        return found

    def _compare(self, counts: PageCounts, mapping: Mapping) -> Iterator[Inconsistency]:
        is_hugetlb = mapping.backing is Backing.HUGETLB or "ht" in (mapping.vm_flags or ())
        if is_hugetlb:
            hugetlb = (mapping.shared_hugetlb, mapping.private_hugetlb)
            reported = None if None in hugetlb else sum(hugetlb)  # type: ignore[arg-type]
            pairs = [("present", "the hugetlb pages", counts.present, reported)]
        else:
            pairs = [
                ("resident", "Rss", counts.resident, mapping.rss),
                ("swapped", "Swap", counts.swapped, mapping.swap),
            ]
        for name, field, pages, kb in pairs:
            if pages is None or kb is None:
                continue
            mine = pages * self.page_size // 1024
            if name == "swapped" and mapping.backing is Backing.SHMEM and mine <= kb:
                continue
            if mine != kb:
                text = (
                    f"{mapping.start:x}-{mapping.end:x} has {mine} kB of {name} pages, "
                    f"but {field} is {kb} kB"
                )
                yield Inconsistency(InconsistencyKind.PAGES, mapping, text)

    def __repr__(self) -> str:
        counts = self.counts()
        command = f" ({escape_unprintable(truncate(self.command))})" if self.command else ""
        values = [
            f"{value:,} {name}"
            for name in ("size", "present", "swapped")
            if (value := getattr(counts, name)) is not None
        ]
        return f"<Pages of {self.pid}{command}: {', '.join(values)}, {len(self)} runs>"
