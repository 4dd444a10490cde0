"""Sample the pages of a process at steady intervals until it ends."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Generator, Iterator
from collections.abc import Mapping as MappingOf
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Final

import attrs
import numpy as np
from numpy.typing import NDArray

from smapskit.errors import SmapskitError
from smapskit.model.mapping import Mapping
from smapskit.model.page_recording import PageRecording, PageState, RecordedRange
from smapskit.model.page_runs import Flags, PageRuns
from smapskit.model.pages import FrameFlag, PageFlag, PageRange, Pages
from smapskit.sources import procfs
from smapskit.sources.pages import cache
from smapskit.sources.pages.pagemap import PAGE_SIZE
from smapskit.sources.pages.read import MappingNotFound, read_pages
from smapskit.sources.pages.storage import SUFFIX, save_pages
from smapskit.sources.recording.pacing import check_interval, every

_OF_FRAMES: Final = {
    FrameFlag.ACTIVE: PageState.ACTIVE,
    FrameFlag.REFERENCED: PageState.REFERENCED,
    FrameFlag.UNEVICTABLE: PageState.UNEVICTABLE,
    FrameFlag.DIRTY: PageState.DIRTY,
    FrameFlag.WRITEBACK: PageState.WRITEBACK,
}


@attrs.frozen(eq=False)
class PageSample:
    """The states of the pages of a process at one time."""

    seconds: float
    """Since the first sample."""
    read_seconds: float
    states: PageRuns
    """Flags are `PageState`."""
    markers: tuple[str, ...] = ()
    """What happened since the sample before."""


def record_pages(
    pid: int,
    mapping: str | tuple[int, int] | None = None,
    interval: float = 1.0,
    duration: float | None = None,
    *,
    require_mapping: bool = True,
    path: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    on_sample: Callable[[PageSample], object] | None = None,
) -> PageRecording:
    """
    Sample the pages of a process at steady intervals until it ends.

    Which pages are mapped or in swap is always recorded; which pages of a mapped file are in the
    page cache, if this user may know that; on which list of the kernel a page is, as root.
    Reading does not change the process.

    Args:
        pid: of the process.
        mapping: as in `read_pages`; None for all mappings. If it is unmapped later, its pages
            are recorded as not in memory.
        interval: seconds between the beginnings of two samples.
        duration: seconds after which to stop; None to continue while the process lives.
        require_mapping: raise ValueError if there is no such mapping in the first sample;
            otherwise it may appear later.
        path: a file to write at the end, which must end in .npz. Until then the samples are in
            memory.
        overwrite: replace an existing file.
        on_sample: called after each sample.

    Raises:
        ProcessNotFound, AccessDenied, Unsupported, ValueError: at the first read, as
            `read_pages`.
        KeyboardInterrupt: Ctrl-C, after the file is complete; so is any error at a later read.
        FileExistsError: the file exists (before the first read).
        OSError: the file cannot be written.
    """
    check_interval(interval)
    if path is not None:
        if Path(path).suffix != SUFFIX:
            raise ValueError(f"expected a file name that ends in {SUFFIX}")
        if not overwrite and os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), os.fspath(path))
    failure: BaseException | None = None
    with (
        closing(PageSampler(pid, mapping, require_mapping=require_mapping)) as sampler,
        closing(sampler.samples(interval, duration)) as samples,
    ):
        sample = next(samples)  # an error here is raised: there is nothing to write
        try:
            while True:
                if on_sample is not None:
                    on_sample(sample)
                sample = next(samples)
        except StopIteration:
            pass
        except (SmapskitError, OSError, KeyboardInterrupt) as error:
            failure = error
        recording = sampler.recording(interval)
    if path is not None:
        save_pages(recording, path, overwrite=overwrite)
    if failure is not None:
        raise failure
    return recording


@attrs.frozen
class _FilePart:
    """A part of a mapped file, in pages."""

    descriptor: int
    first: int
    end: int
    """Exclusive."""

    def count_cached(self) -> int | None:
        """Return how many pages are in the page cache; None if this kernel does not count them."""
        size = (self.end - self.first) * PAGE_SIZE
        counts, _ = cache.cachestat(self.descriptor, self.first * PAGE_SIZE, size)
        return None if counts is None else counts.cached


_Counts = MappingOf[_FilePart, int | None]


class PageSampler:
    """
    Reads the states of the pages of a process.

    Args:
        pid: of the process.
        mapping: see `record_pages`.
        require_mapping: see `record_pages`.
    """

    def __init__(
        self,
        pid: int,
        mapping: str | tuple[int, int] | None = None,
        *,
        require_mapping: bool = True,
    ) -> None:
        self._pid = pid
        self._mapping = mapping
        self._begin: float | None = None
        self._files = ExitStack()
        self._descriptors: dict[tuple[object, int | None], int | None] = {}
        self._parts: list[_FilePart] = []
        """The mapped parts of files in the last sample."""
        self._command: str | None = None
        self._ranges: dict[tuple[int, int, str], RecordedRange] = {}
        self._has_frames = True
        self._require_mapping = require_mapping
        self._is_mapped = False
        self._before = PageRuns.join(())
        self._kept: list[PageSample] = []
        """The samples of the recording; `states` are changes."""
        self.unknown: dict[str, str] = {}
        """The reason for each state that cannot be read."""

    def close(self) -> None:
        """Close the files that the process maps."""
        self._files.close()

    def samples(self, interval: float, duration: float | None = None) -> Generator[PageSample]:
        """Yield and keep samples on a grid of `interval` seconds until the process has ended."""
        for sample in every(self.read, self._pid, interval, duration):
            self.keep(sample)
            yield sample

    def keep(self, sample: PageSample) -> None:
        """Add a sample to the recording: only what changed since the one kept before is stored."""
        change = sample.states.changes(self._before)
        self._kept.append(attrs.evolve(sample, states=change))
        self._before = sample.states

    def read(self) -> PageSample:
        """
        Read one sample.

        Raises:
            ProcessNotFound, AccessDenied, Unsupported, OSError: as `read_pages`.
            ValueError: there is no such mapping in the first sample.
        """
        begin = time.monotonic()
        seconds = 0.0 if self._begin is None else begin - self._begin
        markers: list[str] = []
        cached_before = {part: part.count_cached() for part in self._parts}
        try:
            pages = self._read_pages()
        except MappingNotFound:
            if self._begin is None and self._require_mapping:
                raise
            if self._is_mapped:
                markers.append(f"{self._name()} was unmapped")
            self._is_mapped = False
            states = PageRuns.join(())
        else:
            self._is_mapped = True
            if self._command not in (None, pages.command):
                markers.append(f"exec: {pages.command}")
            self._command = pages.command
            states = self._states(pages, seconds, cached_before)
        if self._begin is None:
            self._begin = begin
        return PageSample(seconds, time.monotonic() - begin, states, tuple(markers))

    def _name(self) -> str:
        chosen = self._mapping
        return f"{chosen[0]:x}-{chosen[1]:x}" if isinstance(chosen, tuple) else str(chosen)

    def _read_pages(self) -> Pages:
        # A zombie has no memory: the recording ends.
        if not procfs.has_memory(self._pid, procfs.PROC):
            procfs.raise_gone(self._pid, had_memory=False)
        pages = read_pages(
            self._pid,
            self._mapping,
            exclusive=False,
            frames=("flags",) if self._has_frames else False,
        )
        if not pages.ranges:
            procfs.raise_gone(self._pid, had_memory=False)
        if not self._has_frames:
            return pages
        names = ("active", "referenced", "unevictable", "dirty", "writeback")
        self.unknown |= {name: pages.unknown[name] for name in names if name in pages.unknown}
        self._has_frames = "flags" not in pages.unknown
        return pages

    def _states(self, pages: Pages, seconds: float, cached_before: _Counts) -> PageRuns:
        self._note_ranges(pages, seconds)
        states = _states_of_runs(pages.runs)
        if pages.frames is not None and pages.frames.flags is not None:
            is_present = (pages.runs.flags & np.uint8(PageFlag.PRESENT)) != 0
            present = _states_of_runs(pages.runs.take(is_present), merge=False)
            lists = present.page_flags() | _states_of_frames(pages.frames.flags)
            # The zero page has a frame, but no state.
            states = PageRuns.of_pages(present.pages(), lists * (present.page_flags() != 0))
            states = states.union(_states_of_runs(pages.runs.take(~is_present)))
        return states.union(self._cached(pages, cached_before))

    def _note_ranges(self, pages: Pages, seconds: float) -> None:
        for each in pages.ranges:
            mapping = each.mapping
            if not each.is_reported:
                continue
            key = (each.first, each.end, mapping.pathname)
            if key not in self._ranges:
                start = each.first * PAGE_SIZE
                offset = (mapping.offset or 0) + start - mapping.start
                self._ranges[key] = RecordedRange(
                    start,
                    each.end * PAGE_SIZE,
                    str(mapping.perms),
                    offset,
                    mapping.pathname,
                    round(seconds, 6),
                )

    def _cached(self, pages: Pages, before: _Counts) -> PageRuns:
        """
        Return the pages of mapped files that are cached, whether or not they are mapped.

        Args:
            pages: what was read of the process.
            before: how many pages of the parts of the last sample were cached before that.
        """
        in_file = pages.runs.select(PageFlag.PRESENT | PageFlag.FILE)
        bounds = ([each.first for each in pages.ranges], [each.end for each in pages.ranges])
        mapped = in_file.count_within(*(np.array(each, np.int64) for each in bounds))
        self._parts = []
        parts = []
        for each, count in zip(pages.ranges, mapped.tolist(), strict=True):
            descriptor = self._descriptor(each)
            if descriptor is None:
                continue
            shift = _first_page_of_file(each) - each.first
            part = _FilePart(descriptor, each.first + shift, each.end + shift)
            self._parts.append(part)
            # If the mapped pages are all that is cached, mincore need not look. Pages can be
            # evicted after the page table was read, so the count must not have changed.
            if part.count_cached() == before.get(part) == count:
                continue
            cached = cache.cached_runs(descriptor, part.first, part.end)
            parts.append(PageRuns(cached.first - shift, cached.end - shift, cached.flags))
        parts = [PageRuns(p.first, p.end, p.flags * np.uint8(PageState.CACHED)) for p in parts]
        return PageRuns.join(parts)

    def _descriptor(self, each: PageRange) -> int | None:
        """Return a descriptor of the mapped file; None if there is none or it cannot be read."""
        mapping = each.mapping
        if not mapping.inode or not mapping.pathname.startswith("/"):
            return None
        key = (mapping.device, mapping.inode)
        if key not in self._descriptors:
            self._descriptors[key] = self._open(mapping)
        return self._descriptors[key]

    def _open(self, mapping: Mapping) -> int | None:
        # map_files leads to the file itself, deleted or not, but requires a capability.
        folder = f"{procfs.PROC}/{self._pid}"
        places = (
            f"{folder}/map_files/{mapping.start:x}-{mapping.end:x}",
            f"{folder}/root{mapping.pathname}",
            *_open_files(folder, mapping),
        )
        reason = ""
        for place in places:
            try:
                descriptor = self._files.enter_context(cache.open_for_cache(place))
            except (SmapskitError, OSError) as error:
                reason = (isinstance(error, OSError) and error.strerror) or str(error)
                continue
            found = os.fstat(descriptor)
            device = mapping.device
            is_same = device is not None and (device.major, device.minor) == (
                os.major(found.st_dev),
                os.minor(found.st_dev),
            )
            if found.st_ino == mapping.inode and (is_same or place == places[0]):
                return descriptor
            reason = f"{mapping.pathname} is not the mapped file"
        self.unknown.setdefault("cached", f"not known of all mapped files: {reason}")
        return None

    def recording(self, interval: float | None = None) -> PageRecording:
        """Return the recording of the samples that were kept."""
        samples = self._kept
        return PageRecording(
            seconds=np.array([round(sample.seconds, 6) for sample in samples]),
            read_seconds=np.array([round(sample.read_seconds, 6) for sample in samples]),
            changes=tuple(sample.states for sample in samples),
            ranges=tuple(sorted(self._ranges.values(), key=lambda each: (each.start, each.end))),
            page_size=PAGE_SIZE,
            pid=self._pid,
            command=self._command,
            interval=interval,
            unknown=dict(self.unknown),
            markers=tuple((s.seconds, text) for s in samples for text in s.markers),
            notes={"kernel": os.uname().release},
        )


def _open_files(folder: str, mapping: Mapping) -> Iterator[str]:
    """Yield the descriptors of the process for a mapped file, which may be deleted."""
    with suppress(OSError), os.scandir(f"{folder}/fd") as entries:
        for entry in entries:
            with suppress(OSError):
                if entry.stat().st_ino == mapping.inode:
                    yield entry.path


def _first_page_of_file(each: PageRange) -> int:
    return (each.mapping.offset or 0) // PAGE_SIZE + each.first - each.mapping.start // PAGE_SIZE


def _table_of_states() -> Flags:
    """Return the state for each value of the flags of a page."""
    flags = np.arange(256)
    table = np.zeros(256, np.uint8)
    is_mapped = (flags & (PageFlag.PRESENT | PageFlag.ZERO)) == PageFlag.PRESENT
    table[is_mapped] |= np.uint8(PageState.MAPPED)
    table[is_mapped & ((flags & PageFlag.FILE) != 0)] |= np.uint8(PageState.CACHED)
    is_swapped = (flags & (PageFlag.SWAPPED | PageFlag.GUARD)) == PageFlag.SWAPPED
    table[is_swapped] |= np.uint8(PageState.SWAPPED)
    return table


_STATE_OF_FLAGS: Final = _table_of_states()


def _states_of_runs(runs: PageRuns, *, merge: bool = True) -> PageRuns:
    """Return the states of runs of pages; without `merge` also of those that have none."""
    states = PageRuns(runs.first, runs.end, _STATE_OF_FLAGS[runs.flags])
    return states.take(states.flags != 0).merge() if merge else states


def _states_of_frames(flags: NDArray[np.uint64]) -> Flags:
    states = np.zeros(len(flags), np.uint8)
    for flag, state in _OF_FRAMES.items():
        states |= ((flags & np.uint64(flag)) != 0).view(np.uint8) * np.uint8(state)
    return states
