"""A process's pages over time: the state of each page in each sample, as one byte."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from collections.abc import Mapping as MappingOf
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Self

import attrs
import numpy as np
from numpy.typing import NDArray

from smapskit.model.page_runs import Flags, PageRuns
from smapskit.text import sanitize

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame


class PageState(enum.IntFlag):
    """The state of a page in a recording; 0 for a page that is not in memory."""

    MAPPED = 1
    """Present in the page table of the process; not the zero page."""
    CACHED = 2
    """In the page cache, whether or not the process maps it."""
    ACTIVE = 4
    """On the kernel's active list."""
    REFERENCED = 8
    """Marked as referenced on its list."""
    UNEVICTABLE = 16
    DIRTY = 32
    SWAPPED = 64
    WRITEBACK = 128


STATES: Final = tuple(state.name.lower() for state in PageState if state.name)


@attrs.frozen
class RecordedRange:
    """A mapping, or a part of it, whose pages were recorded."""

    start: int
    end: int
    """Exclusive."""
    perms: str
    offset: int
    """In the file, of the first page of the range."""
    pathname: str
    seconds: float = 0.0
    """When it was first seen, since the beginning of the recording."""


@attrs.frozen(kw_only=True, eq=False, repr=False)
class PageRecording:
    """
    The states of pages over time: see `record_pages`.

    A sample has only the runs of pages whose state changed: a minute of a gigabyte takes little
    memory.
    """

    seconds: NDArray[np.float64]
    """When each sample began, since the beginning of the recording, by a monotonic clock."""
    read_seconds: NDArray[np.float64]
    """How long each sample took to read."""
    changes: Sequence[PageRuns]
    """For each sample the runs of pages that changed; flags are the exclusive or of the states."""
    ranges: tuple[RecordedRange, ...]
    """The mappings that were seen in any sample, by address."""
    page_size: int
    pid: int | None = None
    command: str | None = None
    interval: float | None = None
    """Seconds between samples."""
    unknown: MappingOf[str, str] = attrs.field(factory=dict)
    """The reason for each state that could not be read, by its name in lower case."""
    markers: tuple[tuple[float, str], ...] = ()
    """Seconds since the beginning, and what happened."""
    notes: MappingOf[str, Any] = attrs.field(factory=dict)
    """What else the file should contain, as JSON."""

    def __len__(self) -> int:
        return len(self.seconds)

    def states(self) -> Iterator[PageRuns]:
        """Yield the states of the pages in each sample, as runs with `PageState` flags."""
        state = PageRuns.join(())
        for change in self.changes:
            state = state.changes(change)
            yield state

    def array(self, start: int, end: int) -> Flags:
        """
        Return the states of the pages of a range: one row per sample, one column per page.

        Args:
            start: address of the first page.
            end: address after the last page.
        """
        first, last = start // self.page_size, -(-end // self.page_size)
        rows = [change.array(first, last) for change in self.changes]
        states = np.array(rows, np.uint8).reshape(len(rows), last - first)
        for row in range(1, len(rows)):  # np.bitwise_xor.accumulate takes 50 times as long
            states[row] ^= states[row - 1]
        return states

    @cached_property
    def counts(self) -> MappingOf[str, NDArray[np.int64]]:
        """The number of pages in each state, by its name; all pages in memory are `in_memory`."""
        counts = {name: np.zeros(len(self), np.int64) for name in ("in_memory", *STATES)}
        for row, state in enumerate(self.states()):
            sizes = state.end - state.first
            for name in STATES:
                chosen = (state.flags & np.uint8(PageState[name.upper()])) != 0
                counts[name][row] = sizes[chosen].sum()
            is_there = (state.flags & np.uint8(PageState.MAPPED | PageState.CACHED)) != 0
            counts["in_memory"][row] = sizes[is_there].sum()
        return counts

    def to_frame(self) -> DataFrame:
        """Return one row per sample with the number of pages in each state; NA if unknown."""
        from smapskit.views import page_frames  # noqa: PLC0415  late import: views come after model

        return page_frames.recording_frame(self)

    def add_marker(self, seconds: float, text: str) -> Self:
        """Return the recording with a further marker, at seconds since the beginning."""
        markers = sorted((*self.markers, (float(seconds), sanitize(text))))
        return attrs.evolve(self, markers=tuple(markers))

    def plot(self) -> Figure:
        """Draw the pages over time: when they came into memory, on which list, and how many."""
        from smapskit.views import page_plots  # noqa: PLC0415

        return page_plots.plot_recording(self)

    def __repr__(self) -> str:
        length = self.seconds[-1] if len(self) else 0.0
        return f"<PageRecording of {self.pid}: {len(self)} samples in {length:.1f} s>"
