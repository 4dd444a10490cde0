"""What the workload can do with the file, and which claims a run of each pattern can show."""

from __future__ import annotations

from collections.abc import Callable

import attrs

LEVELS_OFF, FALLS, RISES, IS_KILLED, ORDER = range(1, 6)
"""The claims of the experiment, by their numbers in a report."""


@attrs.frozen
class Region:
    """A part of the file that the pattern treats in its own way; pages of the file."""

    name: str
    first: int
    end: int
    """Exclusive."""


def _none(_limit: int) -> list[Region]:
    return []


def _hot(limit: int) -> list[Region]:
    # What is read first is first examined when memory is full. So the region is not at 0.
    first, size = limit // 4, limit // 8
    return [Region("hot", first, first + size), Region("cold", first + size, first + 2 * size)]


def _shuffled(limit: int) -> list[Region]:
    return [Region("again", 0, limit * 3 // 4)]


def _twice(limit: int) -> list[Region]:
    part = limit // 4
    return [
        Region("A", 0, part),
        Region("B", part, 2 * part),
        Region("rest", 2 * part, _full(limit)),
    ]


def _full(limit: int) -> int:
    """Return how many pages can be read without eviction; the interpreter requires the rest."""
    return limit * 7 // 8


ADVICE = (
    "no advice",
    "SEQUENTIAL",
    "RANDOM",
    "COLD",
    "PAGEOUT",
    "DONTNEED",
    "mlock",
    "no advice",
    "WILLNEED",
)
"""The bands of the pattern "advice", by offset; WILLNEED is never touched."""


def _advice(limit: int) -> list[Region]:
    size = limit * 3 // 32
    return [Region(name, n * size, (n + 1) * size) for n, name in enumerate(ADVICE)]


def _dirty(limit: int) -> list[Region]:
    size = limit // 8
    names = ("read", "written")
    return [Region(names[n % 2], n * size, (n + 1) * size) for n in range(_full(limit) // size)]


@attrs.frozen
class Pattern:
    """How the workload accesses the file."""

    help: str
    action: str
    """What the process does after it has mapped the file, for the title of the graph."""
    title: str
    """Of the picture of the pages."""
    result: str = ""
    """Added to the title if the run shows it."""
    claims: frozenset[int] = frozenset({LEVELS_OFF, FALLS, RISES, IS_KILLED})
    """The claims that are judged; the others do not apply."""
    regions: Callable[[int], list[Region]] = _none
    """The regions for a limit in pages."""
    has_bands: bool = False
    """Whether the regions cover all that is read, so that the picture names them at its axis."""
    writes: bool = False
    """Whether the file must be writable, so that only a new file is suitable."""


PATTERNS = {
    "sequential": Pattern(
        "in order",
        "reads it in order, then allocates",
        "A mapped file, read in order",
        "what came in first goes first",
        frozenset({LEVELS_OFF, FALLS, RISES, IS_KILLED, ORDER}),
    ),
    "hot": Pattern(
        "in order, one region ten times a second",
        "reads it in order and one region again and again, then allocates",
        "A mapped file, read in order, while one region is touched ten times a second",
        "it stays",
        frozenset({LEVELS_OFF, IS_KILLED, ORDER}),
        _hot,
    ),
    "shuffled": Pattern(
        "three quarters of the limit in order, then again in random order",
        "reads three quarters of the limit, touches them again in random order, then allocates",
        "A mapped file, touched again in random order",
        "arrival decides",
        frozenset({IS_KILLED, ORDER}),
        _shuffled,
    ),
    "twice": Pattern(
        "by read(2), the first quarter of the limit twice",
        "reads a part twice and others once by read(2), then allocates",
        "A file, read by read(2): part A twice, the rest once",
        "A stays",
        frozenset({IS_KILLED, ORDER}),
        _twice,
    ),
    "advice": Pattern(
        "in order, bands with different madvise(2)",
        "reads bands with different madvise(2), then allocates",
        "What madvise(2) does to the pages of a mapped file",
        "",
        frozenset({ORDER}),  # locked pages are left when it is killed
        _advice,
        has_bands=True,
        writes=True,
    ),
    "dirty": Pattern(
        "in order, every other band is written",
        "reads and writes bands in turn, then allocates",
        "A mapped file, read and written in bands",
        "",
        frozenset({IS_KILLED}),
        _dirty,
        has_bands=True,
        writes=True,
    ),
    "random": Pattern(
        "in random order",
        "reads it in random order, then allocates",
        "A mapped file, read in random order",
    ),
    "reread": Pattern(
        "in order, and once more after each allocation",
        "reads it in order, then allocates and reads it again and again",
        "A mapped file, read again after each allocation",
    ),
}
