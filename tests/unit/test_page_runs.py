"""Runs of pages give the answers of an array with one element per page."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smapskit.model.page_runs import Flags, Numbers, PageRuns, combine

ARRAYS = st.lists(st.sampled_from([0, 0, 1, 2, 3, 5, 128]), max_size=60).map(
    lambda values: np.array(values, np.uint8)
)
FIRST = 1000


def runs_of(flags: Flags) -> PageRuns:
    return PageRuns.of_array(FIRST, flags)


def ranges(size: int, cuts: list[int]) -> tuple[Numbers, Numbers]:
    """Return ranges in order that do not overlap, some of them before and after the pages."""
    bounds = sorted(cut % (size + 20) + FIRST - 10 for cut in cuts)
    bounds = bounds[: len(bounds) // 2 * 2]
    return np.array(bounds[::2], np.int64), np.array(bounds[1::2], np.int64)


@given(ARRAYS)
def test_an_array_is_the_same_after_conversion_to_runs_and_back(flags: Flags) -> None:
    runs = runs_of(flags)
    assert runs.array(FIRST, FIRST + len(flags)).tolist() == flags.tolist()
    assert runs.pages().tolist() == (np.flatnonzero(flags) + FIRST).tolist()
    assert runs.page_flags().tolist() == flags[flags != 0].tolist()
    assert runs.count() == np.count_nonzero(flags)
    assert PageRuns.of_pages(np.arange(len(flags)) + FIRST, flags) == runs
    assert all(a.end < b.first or a.flags != b.flags for a, b in _neighbours(runs))


def _neighbours(runs: PageRuns) -> list[tuple[PageRuns, PageRuns]]:
    def part(at: int) -> PageRuns:
        return PageRuns(runs.first[at], runs.end[at], runs.flags[at])

    return [(part(at), part(at + 1)) for at in range(len(runs) - 1)]


@given(ARRAYS, st.lists(st.integers(0, 1000), max_size=8), st.sampled_from([1, 2, 3, 128]))
def test_pages_are_counted_by_range(flags: Flags, cuts: list[int], mask: int) -> None:
    runs = runs_of(flags).select(mask)
    first, end = ranges(len(flags), cuts)
    chosen = {FIRST + at for at, value in enumerate(flags.tolist()) if value & mask == mask}
    expected = [len(chosen & set(range(a, b))) for a, b in zip(first, end, strict=True)]
    assert runs.count_within(first, end).tolist() == expected
    number = [
        sum(page in chosen and (page == a or page - 1 not in chosen) for page in range(a, b))
        for a, b in zip(first, end, strict=True)
    ]
    not_empty = first < end
    found = runs.runs_within(first, end)
    assert found[not_empty].tolist() == np.array(number, np.int64)[not_empty].tolist()
    clipped = runs_of(flags).clip(first, end)
    inside = [
        any(a <= at + FIRST < b for a, b in zip(first, end, strict=True))
        for at in range(len(flags))
    ]
    kept = np.where(np.array(inside, bool), flags, 0)
    assert clipped.array(FIRST, FIRST + len(flags)).tolist() == kept.tolist()


@given(ARRAYS, ARRAYS)
def test_changes_lead_from_one_state_to_the_other(before: Flags, after: Flags) -> None:
    changes = runs_of(after).changes(runs_of(before))
    assert changes.changes(runs_of(before)) == runs_of(after)
    size = max(len(before), len(after))
    dense = [runs_of(each).array(FIRST, FIRST + size) for each in (before, after)]
    assert changes.array(FIRST, FIRST + size).tolist() == (dense[0] ^ dense[1]).tolist()
    both = combine(runs_of(before), runs_of(after), np.bitwise_or)
    assert both.array(FIRST, FIRST + size).tolist() == (dense[0] | dense[1]).tolist()


@given(ARRAYS, ARRAYS)
def test_neighbouring_parts_are_joined(one: Flags, other: Flags) -> None:
    parts = [runs_of(one), PageRuns.of_array(FIRST + len(one), other)]
    assert PageRuns.join(parts) == runs_of(np.concatenate((one, other)))


def test_a_terabyte_is_a_run() -> None:
    runs = PageRuns(np.array([0]), np.array([1 << 28]), np.array([1], np.uint8))
    assert runs.count() == 1 << 28
    assert runs.count_within(np.array([5]), np.array([1 << 20])).tolist() == [(1 << 20) - 5]
    assert list(runs) == [(0, 1 << 28, 1)]


def test_runs_are_compared_by_their_values() -> None:
    assert runs_of(np.array([1], np.uint8)) != runs_of(np.array([2], np.uint8))
    assert runs_of(np.array([1], np.uint8)) != [(FIRST, FIRST + 1, 1)]
    with pytest.raises(TypeError):
        hash(runs_of(np.array([1], np.uint8)))
