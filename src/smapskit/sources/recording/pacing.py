"""Read one process again and again: on a grid of times, within a budget, across exec."""

from __future__ import annotations

import errno
import math
import time
from collections.abc import Callable, Iterator
from typing import Generic, NoReturn, TypeVar

from smapskit.errors import ProcessNotFound
from smapskit.sources import process, procfs
from smapskit.sources.recording.budget import Budget

T = TypeVar("T")


def check_interval(interval: float) -> None:
    """Raise ValueError for an interval that is not a finite number of seconds above 0."""
    if not 0 < interval < math.inf:
        raise ValueError(f"expected an interval above 0 seconds, got {interval}")


def sleep_until(deadline: float) -> None:
    """Sleep until a time of the monotonic clock."""
    time.sleep(max(0.0, deadline - time.monotonic()))


def every(
    read: Callable[[], T],
    pid: int,
    interval: float,
    duration: float | None,
    *,
    earliest: Callable[[], float] = lambda: 0.0,
    wait: Callable[[float], T | None] = sleep_until,
) -> Iterator[T]:
    """
    Call `read` on a grid of `interval` seconds until the process has ended.

    An empty result means that the process is ending.

    Args:
        read: called for each sample.
        pid: of the process.
        interval: seconds between two points of the grid.
        duration: seconds after which to stop.
        earliest: returns the seconds since the first read before which the next one is not due.
        wait: waits until a time of the monotonic clock; what it returns before is yielded, and
            it is called again.
    """
    with procfs.ProcessHandle(pid) as handle:
        begin = time.monotonic()
        yield read()
        # Counted in whole intervals: in seconds, 3 times 0.1 would be more than 0.3.
        last = math.inf if duration is None else math.floor(duration / interval + 1e-9)
        tick = 0
        while True:
            tick = max(tick, int((time.monotonic() - begin) / interval)) + 1
            tick = max(tick, math.ceil(earliest() / interval - 1e-9))
            if tick > last:
                return
            due = tick * interval
            while (between := wait(begin + due)) is not None:
                yield between
            try:
                result = read()
            except procfs.ExecDuringRead:
                continue
            except ProcessNotFound:
                return
            if not result:  # a zombie, or about to be one
                return
            if not handle.exists():  # another process with this pid may have been read
                return
            yield result


def raise_no_memory(pid: int) -> NoReturn:
    """Raise the exception for a process of which the first read returned nothing."""
    msg = f"process {pid} has no memory map, or ended before the first sample"
    raise ProcessNotFound(errno.ESRCH, msg, pid=pid)


class PacedReader(Generic[T]):
    """
    Reads a process as the budget allows, and notices when it calls exec.

    Args:
        pid: of the process.
        read_smaps: reads everything that is wanted. An empty result is that of a process
            without memory.
        read_status: reads what /proc/PID/status reports, for which the process is not stopped;
            None where that is not enough.
        rss_of: returns the RSS of a result in kB.
        budget: None for no limit.

    Attributes:
        command: the command line at the last read; None before the first.
    """

    def __init__(
        self,
        pid: int,
        read_smaps: Callable[[], process.Reading[T]],
        read_status: Callable[[], process.Reading[T]] | None,
        rss_of: Callable[[T], int],
        budget: Budget | None = None,
    ) -> None:
        self.command: str | None = None
        self._pid = pid
        self._read_smaps = read_smaps
        self._read_status = read_status
        self._rss_of = rss_of
        self._budget = budget
        self._space: procfs.AddressSpace | None = None
        self._has_called_exec = False

    def read(self, now: float) -> tuple[str, T]:
        """
        Read smaps if the budget allows it, else status.

        Args:
            now: seconds since the first read.

        Returns:
            The name of the file, and what was read.
        """
        if self._budget is None:
            return "smaps", self._read(self._read_smaps)
        rss = 0
        if self._read_status is not None:
            begin = time.monotonic()
            result = self._read(self._read_status)
            self._budget.spend_on_status(time.monotonic() - begin, now)
            rss = self._rss_of(result)
            if not result or not self._budget.allows_smaps(rss, now):
                return "status", result
        begin = time.monotonic()
        result = self._read(self._read_smaps)
        self._budget.spend_on_smaps(rss, time.monotonic() - begin, now)
        return "smaps", result

    def earliest(self) -> float:
        """Return the seconds since the first read before which the budget allows no read."""
        if self._budget is None:
            return 0.0
        has_status = self._read_status is not None
        return self._budget.next_status() if has_status else self._budget.next_smaps()

    def take_exec(self) -> bool:
        """Return whether the process has called exec since this was last called."""
        has_called_exec, self._has_called_exec = self._has_called_exec, False
        return has_called_exec

    def close(self) -> None:
        """Close the descriptor of the address space."""
        if self._space is not None:
            self._space.close()
            self._space = None

    def _read(self, read: Callable[[], process.Reading[T]]) -> T:
        """Read one address space, and note whether it is a new one."""
        for _ in range(process.ATTEMPTS):
            if self._space is None or not self._space.exists():
                space = procfs.AddressSpace(self._pid)
                if self._space is not None:
                    self._space.close()
                    self._has_called_exec = True
                self._space = space
            reading = read()
            self.command = reading.command
            if not reading.value or self._space.exists():
                return reading.value
        msg = f"process {self._pid} called exec during each of {process.ATTEMPTS} reads"
        raise procfs.ExecDuringRead(errno.ESRCH, msg)
