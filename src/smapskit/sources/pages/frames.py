"""
Read /proc/kpageflags, kpagecount and kpagecgroup: what the kernel knows of page frames.

They have one 64-bit number per page frame, and require root.
"""

from __future__ import annotations

import os
from collections.abc import Mapping as MappingOf
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from smapskit.model.page_runs import Numbers
from smapskit.model.pages import FrameFlag, Frames

FrameValue = Literal["flags", "map_count", "cgroup"]
FILES: Final[MappingOf[FrameValue, str]] = {
    "flags": "kpageflags",
    "map_count": "kpagecount",
    "cgroup": "kpagecgroup",
}
"""The file of /proc for each value."""
_MAX_GAP: Final = 32
"""Numbers read in vain, rather than with another system call."""
_BATCH: Final = 1 << 18
"""Page frames whose numbers are in memory at once."""
_MISSING: Final = np.uint64(2**64 - 1)
_IN_USE: Final = np.uint64(FrameFlag.MMAP | FrameFlag.ZERO_PAGE)
"""A present page is mapped; the zero page is not counted as mapped."""
_LRU_GEN: Final = Path("/sys/kernel/mm/lru_gen/enabled")


def read_frames(
    pfns: Numbers, values: frozenset[FrameValue], proc: str | os.PathLike[str]
) -> tuple[Frames, dict[str, str]]:
    """
    Read what is known of page frames.

    Args:
        pfns: page frame numbers; -1 is not read.
        values: which files to read. The flags show which frames were freed meanwhile.
        proc: where procfs is mounted.

    Returns:
        The values in the order of `pfns`, and the reason by name for those that are None.
    """
    found: dict[str, NDArray[np.uint64]] = {}
    unknown: dict[str, str] = {}
    order = np.argsort(pfns, kind="stable") if (pfns[1:] < pfns[:-1]).any() else None
    for value in FILES:
        if value not in values:
            unknown[value] = "not requested"
            continue
        try:
            found[value] = read_numbers(FILES[value], pfns, order, proc)
        except OSError as error:
            reason = error.strerror or str(error)
            unknown[value] = f"/proc/{FILES[value]} could not be read: {reason}"
    flags = found.get("flags")
    is_known = pfns >= 0
    if flags is not None:
        is_known &= (flags != _MISSING) & ((flags & _IN_USE) != 0)
        flags = np.where(is_known, flags, np.uint64(FrameFlag.NOPAGE))
    others = {
        value: np.where(is_known & (numbers != _MISSING), numbers, _MISSING).view(np.int64)
        for value, numbers in found.items()
        if value != "flags"
    }
    return Frames(pfns, flags, others.get("map_count"), others.get("cgroup")), unknown


def read_numbers(
    name: str, pfns: Numbers, order: Numbers | None, proc: str | os.PathLike[str]
) -> NDArray[np.uint64]:
    """
    Read the number of each page frame; 2**64 - 1 for a frame that does not exist.

    Args:
        name: the file.
        pfns: page frame numbers; negative ones do not exist.
        order: that sorts them; None if they are sorted.
        proc: where procfs is mounted.

    Raises:
        OSError: the file cannot be opened.
    """
    ordered = pfns if order is None else pfns[order]
    values = np.full(len(ordered), _MISSING, np.uint64)
    descriptor = os.open(f"{os.fspath(proc)}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        low = int(np.searchsorted(ordered, 0))
        for start in range(low, len(ordered), _BATCH):
            part = ordered[start : start + _BATCH]
            values[start : start + _BATCH] = _read_sorted(descriptor, part)
    finally:
        os.close(descriptor)
    if order is None:
        return values
    result = np.empty_like(values)
    result[order] = values
    return result


def _read_sorted(descriptor: int, pfns: Numbers) -> NDArray[np.uint64]:
    """Read the numbers of page frames in ascending order, with one call per group of neighbours."""
    breaks = np.flatnonzero(pfns[1:] - pfns[:-1] > _MAX_GAP) + 1
    group = np.concatenate(([0], breaks))
    first = pfns[group]
    sizes = pfns[np.append(breaks, len(pfns)) - 1] - first + 1
    ends = np.cumsum(sizes)
    numbers = np.full(int(ends[-1]), _MISSING, np.uint64)  # of frames that do not exist
    view = numbers.view(np.uint8).data
    # Memory of a busy machine is fragmented: there are groups of three pages, read in this loop.
    offsets, ends_in_view, preadv = (first * 8).tolist(), (ends * 8).tolist(), os.preadv
    begin = 0
    for offset, end in zip(offsets, ends_in_view, strict=True):
        preadv(descriptor, [view[begin:end]], offset)
        begin = end
    shift = np.repeat(ends - sizes - first, np.diff(np.append(group, len(pfns))))
    result: NDArray[np.uint64] = numbers[pfns + shift]
    return result


def has_generations() -> bool:
    """Whether the kernel uses the multi-generational LRU, which has no active list."""
    try:
        return bool(int(_LRU_GEN.read_text(), 16) & 1)
    except (OSError, ValueError):
        return False
