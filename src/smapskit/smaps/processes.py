"""
Where the mappings of one process end and those of another begin.

`cat /proc/*/smaps` writes the mappings of several processes after one another, without a
line between them. Within a process the kernel goes up through the address space, so that a
mapping wholly below the one before it belongs to another process.

A torn read is not split by this rule. After each block of text the kernel goes on at the
address it had reached: if mappings changed meanwhile, the next one may start lower than the
last one or repeat it, but it always ends above that address. Two processes of which the
second one starts above the end of the first (listings cut by head or tail) can't be told
from one.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from itertools import islice


class Expected(enum.Enum):
    """How many processes a text may hold."""

    LIVE = enum.auto()
    """One, read from the kernel just now: addresses out of order are a torn read."""
    ONE = enum.auto()
    """One; the text of several is refused."""
    SEVERAL = enum.auto()


def begins_process(start: int, end: int, start_before: int) -> bool:
    """Whether a range belongs to another process than the range before it."""
    return end <= start_before and start < start_before


def process_starts(starts: Sequence[int], ends: Sequence[int]) -> Iterator[int]:
    """The positions of all mappings, except the first one, that begin another process."""
    # In C first: 40,000 mappings take 2 ms, a call for each 8 ms.
    candidates = map(int.__le__, islice(ends, 1, None), starts)
    for row, is_lower in enumerate(candidates, 1):
        if is_lower and begins_process(starts[row], ends[row], starts[row - 1]):
            yield row
