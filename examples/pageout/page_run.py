"""
Record the pages of the file during a run: which are in memory, and which were touched.

The states of pages are read by smapskit. When a page was last touched is not known to the kernel
alone: the workload stores the time of each touch in a table that it shares with this process.
"""

from __future__ import annotations

import mmap
import os
import time
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import attrs
import numpy as np
from numpy.typing import NDArray
from patterns import Region

from smapskit import (
    PageRecording,
    PageSampler,
    PageState,
    ProcessNotFound,
    load_pages,
    save_pages,
)

IN_MEMORY = PageState.MAPPED | PageState.CACHED
_KB_PER_MIB = 1024
_NS_PER_MS = 10**6
_ARRAYS = ("touched", "last_touch", "anonymous")
"""The arrays that a file has beside those of smapskit."""


@attrs.frozen(eq=False)
class PageRun:
    """The pages of the file of a run over time."""

    recording: PageRecording
    """Its notes contain the plan, the machine, and the regions of the pattern."""
    touched: NDArray[np.uint8]
    """
    One row per sample: one bit per page, set if the page was touched since the sample before.
    """
    last_touch: NDArray[np.int32]
    """When each page was last touched before allocation: ms since the first sample; -1: never."""
    anonymous: NDArray[np.float64]
    """Anonymous memory of the process in MiB, for each sample."""

    def save(self, path: Path) -> None:
        """Write a recording of pages with two further arrays: complete or not at all."""
        new = path.with_name(f"{path.name}.new")
        try:
            save_pages(self.recording, new)
            with zipfile.ZipFile(new, "a", zipfile.ZIP_DEFLATED) as archive:
                for name in _ARRAYS:
                    with archive.open(f"{name}.npy", "w") as member:
                        np.lib.format.write_array(member, getattr(self, name), version=(1, 0))
            new.replace(path)
        finally:
            new.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: Path) -> Self:
        """
        Read what `save` wrote.

        Raises:
            ParseError: it is not a recording of pages.
            ValueError: it is not one of this experiment.
            OSError: it cannot be read.
        """
        recording = load_pages(path)
        with np.load(path, allow_pickle=False) as arrays:
            if not set(_ARRAYS) <= set(arrays) or not {"plan", "regions"} <= set(recording.notes):
                raise ValueError(f"expected a recording that this experiment made, got {path}")
            run = cls(recording, **{name: arrays[name] for name in _ARRAYS})
        shapes = (len(recording), -(-run.pages // 8)), (run.pages,), (len(recording),)
        for name, shape in zip(_ARRAYS, shapes, strict=True):
            found = getattr(run, name).shape
            if found != shape:
                raise ValueError(f"expected {name} of the shape {shape} in {path}, got {found}")
        return run

    @property
    def notes(self) -> Mapping[str, Any]:
        """The plan, the machine, and how the workload ended."""
        return self.recording.notes

    @property
    def pattern(self) -> str:
        """The pattern of the plan."""
        return str(self.notes["plan"]["pattern"])

    @property
    def pages(self) -> int:
        """The number of pages of the file."""
        return int(self.notes["plan"]["file_size"]) // self.recording.page_size

    @property
    def regions(self) -> list[Region]:
        """The parts of the file that the pattern treats in its own way."""
        return [Region(*each) for each in self.notes["regions"]]

    @property
    def phases(self) -> dict[str, float]:
        """The second at which each phase began."""
        return {phase: seconds for seconds, phase in self.recording.markers}

    @property
    def mib(self) -> float:
        """The size of a page in MiB."""
        return self.recording.page_size / (1 << 20)

    @property
    def has_lists(self) -> bool:
        """Whether it was recorded on which of the kernel's lists each page is."""
        return "active" not in self.recording.unknown

    def states(self) -> NDArray[np.uint8]:
        """Return one row per sample with the `PageState` of each page of the file."""
        start = min(each.start - each.offset for each in self.recording.ranges)
        return self.recording.array(start, start + self.pages * self.recording.page_size)

    def touches(self) -> NDArray[np.bool_]:
        """Return one row per sample: whether each page was touched since the sample before."""
        bits = np.unpackbits(self.touched, axis=1, count=self.pages)
        return bits.view(np.bool_)


class TouchTable:
    """
    The time of the last touch of each page, which the workload writes.

    Its memory is used here first, so that it is not charged to the group of the workload.
    """

    def __init__(self, pages: int) -> None:
        self.descriptor = os.memfd_create("smapskit-pageout-touches")
        os.ftruncate(self.descriptor, 2 * pages * 8)
        self._memory = mmap.mmap(self.descriptor, 2 * pages * 8)
        times = np.frombuffer(self._memory, np.uint64)
        times[:] = 0
        self._times, self._at_allocation = times[:pages], times[pages:]
        self._before = self._times.copy()

    def read(self) -> NDArray[np.uint8]:
        """Return a bit for each page, set if it was touched since the last call."""
        times = self._times.copy()
        touched = np.packbits(times != self._before)
        self._before = times
        return touched

    def last_before_allocation(self, begin: float) -> NDArray[np.int32]:
        """
        Return when each page was last touched before allocation, in ms; -1 for never.

        Args:
            begin: what to count from, by the monotonic clock.
        """
        times = self._at_allocation.astype(np.int64)
        since = times // _NS_PER_MS - int(begin * 1000)
        return np.where(times != 0, since, -1).astype(np.int32)

    def close(self) -> None:
        """Free the memory."""
        del self._times, self._at_allocation
        self._memory.close()
        os.close(self.descriptor)


class PageRunRecorder:
    """
    Reads the pages of the file and the touches, sample by sample.

    Args:
        pages: the number of pages of the file.
    """

    def __init__(self, pages: int) -> None:
        self.touches = TouchTable(pages)
        self._sampler: PageSampler | None = None
        self._begin: float | None = None
        self._touched: list[NDArray[np.uint8]] = []
        self._anonymous: list[float] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.touches.close()
        if self._sampler is not None:
            self._sampler.close()

    def open(self, pid: int, name: str) -> None:
        """Choose the process, and the mappings by their pathname."""
        self._sampler = PageSampler(pid, name)

    def sample(self, anonymous: float) -> None:
        """
        Read a sample; nothing is recorded if the process is ending.

        Args:
            anonymous: memory of the process in kB.
        """
        assert self._sampler is not None  # noqa: S101  it is open
        # Touches first: a page that was touched before this is in memory, or was evicted since.
        touched = self.touches.read()
        with suppress(ProcessNotFound):
            sample = self._sampler.read()
            if self._begin is None:
                self._begin = time.monotonic() - sample.read_seconds - sample.seconds
            self._sampler.keep(sample)
            self._touched.append(touched)
            self._anonymous.append(anonymous / _KB_PER_MIB)

    def finish(
        self,
        interval: float,
        phases: Sequence[tuple[float, str]],
        notes: Mapping[str, Any],
        regions: Sequence[tuple[Any, ...]],
    ) -> PageRun | None:
        """
        Return the recording; None if the process ended before the first sample.

        Args:
            interval: seconds between samples.
            phases: when each phase began, by the monotonic clock.
            notes: of the run.
            regions: the fields of each `Region`.
        """
        assert self._sampler is not None  # noqa: S101  it is open
        recording = self._sampler.recording(interval)
        if self._begin is None:
            return None
        begin = self._begin
        for at, phase in phases:
            recording = recording.add_marker(round(max(0.0, at - begin), 3), phase)
        chosen = {name: value for name, value in notes.items() if name not in ("steps", "pmap")}
        recording = attrs.evolve(
            recording, command="pageout workload", notes={**chosen, "regions": regions}
        )
        touched = np.array(self._touched, np.uint8)
        last_touch = self.touches.last_before_allocation(begin)
        return PageRun(recording, touched, last_touch, np.round(self._anonymous, 2))
