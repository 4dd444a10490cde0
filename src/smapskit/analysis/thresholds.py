"""The one table of thresholds: when a rule of `explain` reports something."""

from __future__ import annotations

from collections.abc import Mapping as MappingOf
from typing import Final, NamedTuple

from smapskit.analysis.findings import Figure, FigureUnit

Limits = MappingOf[str, float]
"""The thresholds of one rule, by name."""

MIB: Final = 1024
"""In kB."""
GIB: Final = 1024 * MIB


class Threshold(NamedTuple):
    """One threshold of a rule."""

    value: float
    unit: FigureUnit
    reason: str
    """Why this value, for the documentation."""

    @property
    def text(self) -> str:
        """The value for a person."""
        return str(Figure("", self.value, self.unit))


def _kb(value: int, reason: str) -> Threshold:
    return Threshold(value, "kB", reason)


def _share(value: float, reason: str) -> Threshold:
    return Threshold(value, "share", reason)


def _count(value: int, reason: str) -> Threshold:
    return Threshold(value, "count", reason)


_LARGE: Final = "less is normal in small programs and not worth a report"

THRESHOLDS: Final[dict[str, dict[str, Threshold]]] = {
    # ---- one snapshot: who owns the memory ----
    "malloc-arenas": {
        "arenas": _count(8, "the default on one core; a process with few threads has fewer"),
        "share": _share(0.15, "below it, fewer arenas would save little"),
        "rss": _kb(16 * MIB, _LARGE),
    },
    "main-heap": {
        "share": _share(0.5, "most of the process"),
        "rss": _kb(512 * MIB, "many healthy programs use less"),
    },
    "runtime-heap": {
        "share": _share(0.5, "most of the process"),
        "rss": _kb(512 * MIB, "many healthy programs use less"),
    },
    "unnamed-anonymous": {
        "share": _share(0.5, "most of the process"),
        "rss": _kb(512 * MIB, "many healthy programs use less"),
    },
    "many-stacks": {"stacks": _count(256, "more threads than any number of cores explains")},
    "fragmented": {"mappings": _count(1000, "allocators use few large chunks")},
    "split-mappings": {"mappings": _count(1000, "guards of stacks and arenas are far fewer")},
    # ---- how much of it counts ----
    "thp-bloat": {
        "share": _share(0.5, "most of the anonymous memory"),
        "huge": _kb(64 * MIB, _LARGE),
    },
    "lazy-free": {
        "share": _share(0.05, "RSS is wrong by as much"),
        "lazy_free": _kb(16 * MIB, _LARGE),
    },
    "reclaimable-file": {
        "share": _share(0.5, "most of the process"),
        "clean": _kb(128 * MIB, "programs and libraries are smaller"),
    },
    "pss-far-below-rss": {
        "share": _share(0.5, "less than half would be freed if the process ended"),
        "difference": _kb(128 * MIB, "the libraries of any process are below it"),
    },
    "shared-memory": {
        "share": _share(0.2, "a part that matters"),
        "rss": _kb(64 * MIB, _LARGE),
    },
    "fork-shared": {
        "share": _share(0.3, "a part that matters"),
        "shared": _kb(32 * MIB, _LARGE),
    },
    "copied-file": {"copied": _kb(32 * MIB, "relocated data of programs and libraries is less")},
    "dirty-shared-file": {
        "share": _share(0.1, "a part that matters"),
        "dirty": _kb(32 * MIB, _LARGE),
    },
    "deleted-file": {"size": _kb(16 * MIB, _LARGE)},
    "reserved": {
        "size": _kb(16 * GIB, "a JVM reserves a quarter of the memory of the machine"),
        "times": Threshold(10, "count", "VSZ is misleading only if it is far above RSS"),
    },
    "untouched": {
        "size": _kb(4 * GIB, "less hardly matters for the commit limit"),
        "share": _share(0.25, "most of it was never written to"),
    },
    "ksm": {"ksm": _kb(1 * MIB, _LARGE)},
    "device-memory": {"size": _kb(16 * MIB, "device files of small rings and registers")},
    "page-tables": {
        "page_tables": _kb(16 * MIB, _LARGE),
        "share": _share(0.1, "dense memory requires 0.2 %"),
    },
    # ---- pinned or paged out ----
    "locked": {"locked": _kb(1 * MIB, "key agents lock a few pages for secrets")},
    "swapped": {
        "share": _share(0.1, "a part that matters"),
        "swap": _kb(16 * MIB, "small idle programs are paged out without harm"),
    },
    # ---- limits ----
    "map-count": {
        "share": _share(0.7, "leaves time to act before mmap fails"),
        "default": _count(65530, "the kernel's default for max_map_count, used for captures"),
    },
    "stack-limit": {"share": _share(0.8, "leaves time to act before the program crashes")},
    "address-space-limit": {"share": _share(0.8, "leaves time to act before mmap fails")},
    "most-of-memory": {"share": _share(0.6, "leaves less than half for all other processes")},
    # ---- two snapshots ----
    "growth": {
        "growth": _kb(16 * MIB, "any program grows by less now and then"),
        "share": _share(0.1, "of the memory in use before"),
        "dominant": _share(0.8, "one kind that makes most of the growth is its cause"),
    },
    "cache-growth": {
        "growth": _kb(64 * MIB, _LARGE),
        "share": _share(0.5, "of the growth of RSS"),
    },
    "thread-growth": {
        "stacks": _count(32, "pools of threads start fewer at a time"),
        "share": _share(0.5, "of the stacks before"),
    },
    "mapping-growth": {
        "mappings": _count(1000, "loading a large library adds a few dozen"),
        "share": _share(0.5, "of the mappings before"),
    },
    "copy-on-write": {
        "copied": _kb(16 * MIB, _LARGE),
        "share": _share(0.1, "of the memory that was shared before"),
    },
    "swapped-out": {"swap": _kb(16 * MIB, _LARGE)},
    # ---- a recording ----
    "steady-growth": {
        "growth": _kb(8 * MIB, "any program grows by less now and then"),
        "share": _share(0.1, "of the memory in use at the beginning"),
        "samples": _count(8, "fewer show no direction"),
        "rising": _share(0.8, "a leak grows in nearly all steps"),
        "dominant": _share(0.8, "one group that makes most of the growth is its cause"),
    },
    "saw-tooth": {
        "range": _kb(16 * MIB, _LARGE),
        "fall": _share(0.5, "of the range between lowest and highest value"),
        "falls": _count(2, "one fall may be the end of a task"),
    },
    "levelled-off": {
        "growth": _kb(16 * MIB, _LARGE),
        "samples": _count(8, "fewer show no direction"),
        "rest": _share(0.05, "of the growth, in the second half of the time"),
    },
    "peak": {
        "difference": _kb(32 * MIB, _LARGE),
        "times": Threshold(1.5, "count", "of the value at the end"),
    },
    "reclaimed": {
        "fall": _kb(16 * MIB, _LARGE),
        "share": _share(0.3, "of the clean file pages"),
    },
    "swap-growth": {"swap": _kb(16 * MIB, _LARGE)},
    "mapping-leak": {
        "mappings": _count(200, "loading a large library adds a few dozen"),
        "samples": _count(8, "fewer show no direction"),
        "rising": _share(0.8, "a leak grows in nearly all steps"),
    },
}
"""By the id of the rule, then by name. Calibrated: see docs/explain.md."""
