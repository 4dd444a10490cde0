"""
The budget of a recording: the part of the time that may go into reading.

A read of smaps walks the page tables of all resident pages, and a process that maps memory
meanwhile is stopped until it ends. /proc/PID/status costs the process nothing. smaps_rollup is
not between them: it takes half the time of smaps but holds the lock all that time, so that the
pauses were longer than those of smaps (docs/overhead.md has the measurements). The order is
therefore smaps, then status.
"""

from __future__ import annotations

import mmap
from typing import Final

SECONDS_PER_PAGE: Final = 93e-3 / (1 << 20)
"""Of reading smaps, measured with 4 GiB in pages of 4 KiB."""
_SECONDS_PER_READ: Final = 1e-3
"""Of reading and parsing some hundred mappings without pages."""
_SECONDS_OF_STATUS: Final = 2e-4
_PART_OF_STATUS: Final = 0.5
"""At most this part of the budget goes into reading status, so that smaps is read at all."""


def estimate_seconds(rss: int) -> float:
    """Estimate how long reading smaps takes for an RSS in kB, if no pages are huge pages."""
    return _SECONDS_PER_READ + rss * 1024 / mmap.PAGESIZE * SECONDS_PER_PAGE


def check_share(share: float) -> None:
    """Raise ValueError for a budget that is not above 0 and at most 1."""
    if not 0 < share <= 1:
        raise ValueError(f"expected a budget above 0 and up to 1 (100%), got {share}")


class Budget:
    """
    Decides which reads a recording can pay for. Times are seconds since the first read.

    A read that takes c seconds has to be followed or preceded by c / share seconds, in which
    nothing else is paid for. Time that was not used is not saved up for later reads of smaps.

    Args:
        share: part of the time, above 0 and at most 1.
        interval: between two samples; the first sample is paid for by the first interval.
    """

    def __init__(self, share: float, interval: float) -> None:
        check_share(share)
        self.share = share
        self._paid_until = -interval
        """The time that pays for all reads so far."""
        self._status_time = -interval
        self._status_seconds = _SECONDS_OF_STATUS
        """Smoothed: a process that is just starting makes the first reads wait."""
        self._ratio = 1.0
        """Measured to estimated seconds of reading smaps, smoothed."""
        self._smaps_seconds = 0.0
        """Of the last read."""

    def allows_smaps(self, rss: int, now: float) -> bool:
        """Return whether smaps of a process with this RSS in kB can be read now."""
        return self._paid_until + self._ratio * estimate_seconds(rss) / self.share <= now

    def spend_on_smaps(self, rss: int, seconds: float, now: float) -> None:
        """Count a read of smaps that began at `now`."""
        self._ratio = (self._ratio + seconds / estimate_seconds(rss)) / 2
        self._smaps_seconds = seconds
        self._paid_until = max(self._paid_until + seconds / self.share, now)

    def spend_on_status(self, seconds: float, now: float) -> None:
        """Count a read of status that began at `now`."""
        self._status_seconds += (seconds - self._status_seconds) / 8
        self._status_time = now
        self._paid_until += seconds / self.share

    def next_status(self) -> float:
        """Return the time from which status can be read."""
        return self._status_time + self._status_seconds / (self.share * _PART_OF_STATUS)

    def next_smaps(self) -> float:
        """Return the time from which smaps can be read, if it takes as long as the last time."""
        return self._paid_until + self._smaps_seconds / self.share
