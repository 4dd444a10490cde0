"""Read which pages of a process are in memory."""

from __future__ import annotations

import errno
import itertools
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from os import PathLike
from typing import Final, Literal

import attrs
import numpy as np

from smapskit.errors import ProcessNotFound, escape_unprintable
from smapskit.model.backing import Backing
from smapskit.model.mapping import Mapping
from smapskit.model.page_runs import Flags, Numbers, PageRuns, combine
from smapskit.model.pages import (
    FrameFlag,
    Frames,
    PageFlag,
    PageRange,
    Pages,
    possible_zero_pages,
)
from smapskit.sources import process, procfs
from smapskit.sources.pages import frames as page_frames
from smapskit.sources.pages.frames import FrameValue
from smapskit.sources.pages.pagemap import (
    PAGE_SIZE,
    PageMap,
    ScanUnsupported,
    entries_of,
    entry_flags,
    guard_support,
    has_soft_dirty,
    pfns_of,
)

Method = Literal["scan", "pagemap"]
"""PAGEMAP_SCAN of Linux 6.7, or the entries of /proc/PID/pagemap."""

NOT_REQUESTED: Final = "not requested"
HIDDEN: Final = "page frame numbers are hidden: they require CAP_SYS_ADMIN"
_OF_FLAGS: Final = ("active", "referenced", "dirty", "writeback", "unevictable")
_FRAME_VALUES: Final = ("pfn", *page_frames.FILES, *_OF_FLAGS)


class MappingNotFound(ValueError):
    """The process has no such mapping."""


def read_pages(
    pid: int | None = None,
    mapping: str | tuple[int, int] | None = None,
    *,
    exclusive: bool = True,
    frames: bool | Sequence[FrameValue] = False,
    method: Method | None = None,
    proc: PathLike[str] | str = procfs.PROC,
) -> Pages:
    """
    Read which pages of a process are in memory or in swap. The process is not changed.

    Args:
        pid: of the process; None for this process.
        mapping: the pathname of mappings or its last component, such as `[heap]` or `libc.so.6`,
            or the address of the first page and the address after the last one; None for all.
        exclusive: also read which pages no other process maps, about 8 ms per GiB in memory.
        frames: also read the page frame numbers and, as root, what the kernel knows of each
            frame: True for everything, or some of "flags", "map_count" and "cgroup".
        method: PAGEMAP_SCAN ("scan") or the entries of the page table ("pagemap"), which takes
            time for empty address space too; None for the first that is available. The answers
            are equal, except that "pagemap" does not tell which pages are huge, and as an
            ordinary user does not always tell which are the zero page.
        proc: where procfs is mounted.

    Returns:
        The pages. What is not known is None, with the reason in `unknown`. For a kernel thread
        or a zombie, which have no memory, no mappings, with the reason in `notes`.

    Raises:
        ProcessNotFound: there is no such process, it ended while it was read, or it called exec
            during each of three attempts.
        AccessDenied: the process is another user's; root or CAP_SYS_PTRACE may read it.
        Unsupported: this system has no pagemap, or no PAGEMAP_SCAN if that was required.
        ValueError: the process has no such mapping, or the range is not one of whole pages.
        OSError: any other error, such as too many open files.
    """
    pid = process.this_or(pid)
    if method not in (None, "scan", "pagemap"):
        raise ValueError(f"expected the method 'scan' or 'pagemap', got {method!r}")
    wanted = _values(frames)
    for attempts in itertools.count(1):
        try:
            return _read(pid, mapping, exclusive, wanted, method, proc)
        except procfs.ExecDuringRead as error:
            if attempts == process.ATTEMPTS:
                msg = f"{error.strerror}, {attempts} times"
                raise procfs.ExecDuringRead(error.errno, msg, pid=pid) from None
    raise AssertionError


def _values(frames: bool | Sequence[FrameValue]) -> frozenset[FrameValue] | None:
    """Return the requested values of frames; None if no page frame numbers are requested."""
    if isinstance(frames, bool):
        return frozenset(page_frames.FILES) if frames else None
    unknown = set(frames) - set(page_frames.FILES)
    if unknown or isinstance(frames, str):
        msg = f"expected a bool or some of {', '.join(page_frames.FILES)}, got {frames!r}"
        raise ValueError(msg)
    return frozenset(frames)


def _read(
    pid: int,
    mapping: str | tuple[int, int] | None,
    exclusive: bool,
    wanted: frozenset[FrameValue] | None,
    method: Method | None,
    proc: PathLike[str] | str,
) -> Pages:
    time = datetime.now(UTC)
    if not procfs.has_memory(pid, proc):
        snapshot = process.read_maps(pid, proc=proc)
        if not snapshot:
            return Pages(
                runs=PageRuns.join(()),
                ranges=tuple(select(snapshot.mappings, mapping, pid)),
                page_size=PAGE_SIZE,
                unknown={},
                pid=pid,
                command=snapshot.command,
                time=time,
                notes=snapshot.notes,
            )
    with (
        procfs.ProcessHandle(pid, proc) as handle,
        closing(procfs.AddressSpace(pid, proc)) as space,
    ):
        # An address space can outlive exec if others share it (the parent of a vfork), so that
        # the command line is compared as well.
        before = procfs.read_command(pid, proc)
        with PageMap(pid, proc) as pagemap:
            snapshot = process.read_maps(pid, proc=proc)
            ranges = select(snapshot.mappings, mapping, pid)
            reader = _Reader(pagemap, ranges, proc)
            try:
                reader.read(method, wanted, exclusive=exclusive, whole=not isinstance(mapping, str))
            except ProcessLookupError:
                procfs.raise_gone(pid, proc)
        if not handle.exists():
            msg = f"process {pid} ended while it was read"
            raise ProcessNotFound(errno.ESRCH, msg, pid=pid)
        if not space.exists() or not procfs.has_memory(pid, proc):
            procfs.raise_gone(pid, proc)
        notes = [*snapshot.notes, *reader.notes]
        if procfs.read_command(pid, proc) != before:
            msg = f"process {pid} called exec or changed its command line while it was read"
            raise procfs.ExecDuringRead(errno.ESRCH, msg, pid=pid)
    return Pages(
        runs=reader.runs,
        ranges=tuple(reader.ranges),
        page_size=PAGE_SIZE,
        unknown=reader.unknown,
        frames=reader.frames,
        pid=pid,
        command=snapshot.command,
        time=time,
        notes=tuple(notes),
    )


def select(
    mappings: Sequence[Mapping], chosen: str | tuple[int, int] | None, pid: int
) -> list[PageRange]:
    """
    Return the pages of the chosen mappings: see `read_pages`.

    Raises:
        ValueError: there is no such mapping, or the range is not one of whole pages.
    """
    low, high = 0, 2**64
    if isinstance(chosen, tuple):
        low, high = chosen
        if not 0 <= low < high <= 2**64 or low % PAGE_SIZE or high % PAGE_SIZE:
            bounds = f"{low:#x}, {high:#x}"
            msg = f"expected the addresses of whole pages of {PAGE_SIZE} bytes, got {bounds}"
            raise ValueError(msg)
    ranges = [
        PageRange(each, max(each.start, low) // PAGE_SIZE, min(each.end, high) // PAGE_SIZE)
        for each in mappings
        if each.start < high
        and each.end > low
        and (not isinstance(chosen, str) or chosen in _names_of(each))
    ]
    if not ranges and chosen is not None:
        name = escape_unprintable(chosen) if isinstance(chosen, str) else f"at {low:x}-{high:x}"
        raise MappingNotFound(f"process {pid} has no mapping {name}")
    return ranges


def _names_of(mapping: Mapping) -> tuple[str, str]:
    return mapping.pathname, mapping.pathname.rpartition("/")[2]


class _Reader:
    """Reads the parts of `Pages` one after another."""

    def __init__(
        self, pagemap: PageMap, ranges: Sequence[PageRange], proc: PathLike[str] | str
    ) -> None:
        self._pagemap = pagemap
        self._proc = proc
        self.ranges = _mark_unreported(pagemap, ranges)
        self.unknown: dict[str, str] = {}
        self.frames: Frames | None = None
        self.notes: list[str] = []
        self._has_scanned = False
        self.runs = PageRuns.join(())

    def read(
        self,
        method: Method | None,
        wanted: frozenset[FrameValue] | None,
        *,
        exclusive: bool,
        whole: bool,
    ) -> None:
        """Read everything: see `read_pages` and `_values`."""
        self._read_runs(method, whole=whole)
        if "zero" in self.unknown:
            self._find_zero_pages()
        if exclusive or wanted is not None:
            self._read_entries(wanted)
        else:
            self._lacks(NOT_REQUESTED, *_FRAME_VALUES)
            if self._has_scanned:
                self._lacks(NOT_REQUESTED, "exclusive")

    def _read_runs(self, method: Method | None, *, whole: bool) -> None:
        """
        Read all flags but EXCLUSIVE by PAGEMAP_SCAN, or all but HUGE and ZERO from entries.

        Args:
            method: see `read_pages`.
            whole: the ranges are all mappings of a part of the address space, so that what lies
                between them is empty.
        """
        reported = [each for each in self.ranges if each.is_reported]
        parts = None
        if method != "pagemap":
            try:
                parts = [self._pagemap.scan(*span) for span in _spans(reported, whole=whole)]
                self._has_scanned = True
            except ScanUnsupported:
                if method == "scan":
                    raise
                self._lacks("requires PAGEMAP_SCAN (Linux 6.7)", "huge", "zero")
        else:
            self._lacks("requires PAGEMAP_SCAN, which was not used", "huge", "zero")
        if parts is None:
            parts = [self._pagemap.read(each.first, each.end) for each in reported]
        self.runs = PageRuns.join(parts).clip(*_bounds(self.ranges))
        self._mark_huge_zero_pages()
        if not has_soft_dirty():
            self._lacks("this kernel does not track it (CONFIG_MEM_SOFT_DIRTY)", "soft_dirty")
        if not _are_guards_known(scanned=self._has_scanned and self._pagemap.has_guard_category):
            self._lacks("this kernel does not tell guard pages from swap", "guard", "swapped")

    def _lacks(self, reason: str, *names: str) -> None:
        self.unknown |= dict.fromkeys(names, reason)

    def _mark_huge_zero_pages(self) -> None:
        """Mark the huge zero page, which kernels report as a page of a file."""
        first, end = _bounds(
            [each for each in self.ranges if each.mapping.backing is Backing.ANONYMOUS]
        )
        of_file = PageFlag.PRESENT | PageFlag.FILE
        if self.runs.select(of_file).count_within(first, end).any():
            wrong = self.runs.select(of_file).clip(first, end)
            self.runs = combine(self.runs, wrong, _to_zero_pages)

    def _read_entries(self, wanted: frozenset[FrameValue] | None) -> None:
        """
        Read the entries of present pages: EXCLUSIVE, and frames.

        Args:
            wanted: what to read of the frames; None for no page frame numbers either.
        """
        is_present = (self.runs.flags & np.uint8(PageFlag.PRESENT)) != 0
        present = self.runs.take(is_present)
        entries = entries_of(self._pagemap, present)
        if self._has_scanned:
            flags = present.page_flags() | (entry_flags(entries) & np.uint8(PageFlag.EXCLUSIVE))
            changed = PageRuns.of_pages(present.pages(), flags)
            self.runs = changed.union(self.runs.take(~is_present))
        if wanted is None:
            self._lacks(NOT_REQUESTED, *_FRAME_VALUES)
            return
        pfns = pfns_of(entries)
        if (pfns >= 0).any() and not (pfns > 0).any():
            self._lacks(HIDDEN, *_FRAME_VALUES)
            return
        self.frames, unknown = page_frames.read_frames(pfns, wanted, self._proc)
        self.unknown |= unknown
        if self.frames.flags is None:
            self._lacks(unknown["flags"], *_OF_FLAGS)
        elif page_frames.has_generations():
            self._lacks("the multi-generational LRU of this kernel has no active list", "active")
        if self.frames.flags is not None:
            reused = np.count_nonzero(self.frames.flags == np.uint64(FrameFlag.NOPAGE))
            if reused:
                self.notes.append(f"{reused} pages were moved or freed while they were read")

    def _find_zero_pages(self) -> None:
        """Mark zero pages by their frames where PAGEMAP_SCAN is missing; this requires root."""
        possible = possible_zero_pages(self.runs)
        pfns = pfns_of(entries_of(self._pagemap, possible))
        if len(pfns):
            if not (pfns > 0).any():
                return
            order = np.argsort(pfns, kind="stable")
            try:
                flags = page_frames.read_numbers(
                    page_frames.FILES["flags"], pfns, order, self._proc
                )
            except OSError:
                return
            is_zero = (flags & np.uint64(FrameFlag.ZERO_PAGE | FrameFlag.NOPAGE)) == np.uint64(
                FrameFlag.ZERO_PAGE
            )
            pages = possible.pages()[is_zero]
            zero = PageRuns.of_pages(pages, np.full(len(pages), PageFlag.ZERO, np.uint8))
            self.runs = self.runs.union(zero)
        del self.unknown["zero"]


def _to_zero_pages(flags: Flags, is_wrong: Flags) -> Flags:
    marked = (flags | np.uint8(PageFlag.ZERO)) & np.uint8(0xFF & ~PageFlag.FILE)
    return np.where(is_wrong != 0, marked, flags)


def _bounds(ranges: Sequence[PageRange]) -> tuple[Numbers, Numbers]:
    first = np.array([each.first for each in ranges], np.int64)
    return first, np.array([each.end for each in ranges], np.int64)


def _mark_unreported(pagemap: PageMap, ranges: Sequence[PageRange]) -> list[PageRange]:
    """Mark the ranges at the end that are beyond user space: the kernel reports no entry."""
    marked = list(ranges)
    for at in reversed(range(len(marked))):
        if len(pagemap.entries(marked[at].first, 1)):
            break
        marked[at] = attrs.evolve(marked[at], is_reported=False)
    return marked


def _spans(ranges: Sequence[PageRange], *, whole: bool) -> Iterator[tuple[int, int]]:
    """Yield the ranges of pages to scan; the gaps between mappings too if nothing is there."""
    if not ranges:
        return
    first, end = ranges[0].first, ranges[0].end
    for each in ranges[1:]:
        if whole or each.first == end:
            end = each.end
        else:
            yield first, end
            first, end = each.first, each.end
    yield first, end


def _are_guards_known(*, scanned: bool) -> bool:
    """Whether guard pages are reported as such, or this kernel has none."""
    support = guard_support()
    return support == "none" or scanned or support == "entries"
