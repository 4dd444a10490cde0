"""Runs of neighbouring pages with equal flags: an address space without its empty parts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Self

import attrs
import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]
"""Numbers of pages: address / page size, or offset in a file / page size."""
Flags = NDArray[np.uint8]

_Combine = Callable[[Flags, Flags], Flags]


@attrs.frozen(eq=False, repr=False)
class PageRuns:
    """
    Pages with flags, as runs in ascending order that do not overlap.

    Pages in no run have no flags: a terabyte of empty address space takes no memory. The numbers
    of pages are address / page size.
    """

    first: Numbers
    end: Numbers
    """Exclusive."""
    flags: Flags
    """Of all pages of a run."""

    @classmethod
    def of_pages(cls, pages: Numbers, flags: Flags) -> Self:
        """Return the runs of single pages in ascending order; pages without flags are omitted."""
        if not flags.all():
            pages, flags = pages[flags != 0], flags[flags != 0]
        return cls(pages, pages + 1, flags).merge()

    @classmethod
    def of_array(cls, first: int, flags: Flags) -> Self:
        """Return the runs of an array with the flags of each page, from page `first` on."""
        bounds = np.flatnonzero(flags[1:] != flags[:-1]) + 1
        starts = np.concatenate(([0], bounds)) if len(flags) else bounds
        ends = np.append(starts[1:], len(flags)) if len(flags) else starts
        has_flags = flags[starts] != 0
        starts, ends = starts[has_flags], ends[has_flags]
        return cls(starts + first, ends + first, flags[starts])

    @classmethod
    def join(cls, parts: Iterable[PageRuns]) -> Self:
        """Return the runs of all parts, which are in ascending order."""
        runs = list(parts)
        if not runs:
            return cls(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.uint8))
        return cls(
            np.concatenate([part.first for part in runs]),
            np.concatenate([part.end for part in runs]),
            np.concatenate([part.flags for part in runs]),
        ).merge()

    def merge(self) -> Self:
        """Join neighbouring runs with equal flags."""
        if len(self) < 2:  # noqa: PLR2004
            return self
        breaks = (self.first[1:] != self.end[:-1]) | (self.flags[1:] != self.flags[:-1])
        if breaks.all():
            return self
        starts = np.concatenate(([0], np.flatnonzero(breaks) + 1))
        ends = np.append(starts[1:], len(self)) - 1
        return type(self)(self.first[starts], self.end[ends], self.flags[starts])

    def __len__(self) -> int:
        return len(self.first)

    def __iter__(self) -> Iterator[tuple[int, int, int]]:
        return zip(self.first.tolist(), self.end.tolist(), self.flags.tolist(), strict=True)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PageRuns):
            return NotImplemented
        return all(
            np.array_equal(getattr(self, name), getattr(other, name))
            for name in ("first", "end", "flags")
        )

    __hash__ = None  # type: ignore[assignment]

    def select(self, mask: int, value: int | None = None) -> PageRuns:
        """Return the runs for which `flags & mask` is `value` (default: `mask`), joined."""
        chosen = (self.flags & np.uint8(mask)) == np.uint8(mask if value is None else value)
        found = self.take(chosen)
        return PageRuns(found.first, found.end, np.ones(len(found), np.uint8)).merge()

    def take(self, chosen: NDArray[np.bool_]) -> PageRuns:
        """Return the runs at these places."""
        return PageRuns(self.first[chosen], self.end[chosen], self.flags[chosen])

    def count(self) -> int:
        """Return the number of pages in all runs."""
        return int((self.end - self.first).sum())

    def count_below(self, pages: Numbers) -> Numbers:
        """Return for each page the number of pages in runs that precede it."""
        if not len(self):
            return np.zeros(len(pages), np.int64)
        sizes = self.end - self.first
        before = np.concatenate(([0], np.cumsum(sizes)))
        run = np.searchsorted(self.first, pages, "right") - 1
        inside = np.clip(pages - self.first[run], 0, sizes[run])
        return np.where(run >= 0, before[run] + inside, 0).astype(np.int64)

    def count_within(self, first: Numbers, end: Numbers) -> Numbers:
        """Return the number of pages in runs for each range of pages."""
        return self.count_below(end) - self.count_below(first)

    def runs_within(self, first: Numbers, end: Numbers) -> Numbers:
        """Return the number of runs that overlap each range of pages."""
        begun = np.searchsorted(self.first, end)
        ended = np.searchsorted(self.end, first, "right")
        return np.subtract(begun, ended, dtype=np.int64)

    def pages(self) -> Numbers:
        """Return the number of each page in runs."""
        sizes = self.end - self.first
        before = np.cumsum(sizes) - sizes
        numbers: Numbers = np.repeat(self.first - before, sizes)
        return numbers + np.arange(len(numbers), dtype=np.int64)

    def page_flags(self) -> Flags:
        """Return the flags of each page in runs, in the order of `pages`."""
        return np.repeat(self.flags, self.end - self.first)

    def flags_at(self, pages: Numbers) -> Flags:
        """Return the flags of these pages: 0 for those in no run."""
        if not len(self):
            return np.zeros(len(pages), np.uint8)
        run = np.searchsorted(self.first, pages, "right") - 1
        is_inside = (run >= 0) & (pages < self.end[run])
        return np.where(is_inside, self.flags[run], 0).astype(np.uint8)

    def array(self, first: int, end: int) -> Flags:
        """Return the flags of each page of a range: 0 for those in no run."""
        part = self.clip(np.array([first]), np.array([end]))
        flags = np.zeros(end - first, np.uint8)
        flags[part.pages() - first] = part.page_flags()
        return flags

    def clip(self, first: Numbers, end: Numbers) -> PageRuns:
        """Return the parts of the runs within ranges, which are in order and do not overlap."""
        ranges = PageRuns(first, end, np.ones(len(first), np.uint8))
        if self.count() == int(self.count_within(first, end).sum()):
            return self
        return combine(self, ranges, lambda own, inside: own * inside)

    def changes(self, before: PageRuns) -> PageRuns:
        """Return where the flags differ from those of `before`: the exclusive or of both."""
        if self == before:
            return PageRuns.join(())
        return combine(self, before, np.bitwise_xor) if len(before) else self

    def union(self, other: PageRuns) -> PageRuns:
        """Return the pages of both, with the flags of both."""
        if not len(self) or not len(other):
            return self if len(self) else other
        return combine(self, other, np.bitwise_or)


def combine(one: PageRuns, other: PageRuns, function: _Combine) -> PageRuns:
    """Return the runs of a function of the flags of both; the function of 0 and 0 must be 0."""
    # A stable sort merges sorted parts in linear time.
    bounds = np.concatenate((one.first, one.end, other.first, other.end))
    bounds.sort(kind="stable")
    if len(bounds):
        bounds = bounds[np.concatenate(([True], bounds[1:] != bounds[:-1]))]
    flags = function(one.flags_at(bounds), other.flags_at(bounds)).astype(np.uint8)
    has_flags = flags[:-1] != 0  # no run begins at the last bound
    found = PageRuns(bounds[:-1][has_flags], bounds[1:][has_flags], flags[:-1][has_flags])
    return found.merge()
