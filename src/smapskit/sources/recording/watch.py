"""
Watch a process between two samples, and save one capture of it when a condition first holds.

The condition is polled in /proc/PID/status, which does not stop the process.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Self

from smapskit.errors import ProcessNotFound, SmapskitError, Unsupported
from smapskit.model.condition import Condition, has_limit
from smapskit.sources import outfile, process, procfs
from smapskit.sources.cgroup import read_cgroup

POLL_SECONDS: Final = 0.1
_LIMIT_SECONDS: Final = 1.0
"""How often the limit of the cgroup is read: it takes milliseconds, but not of the process."""
_SHARE: Final = 0.01
"""The part of the time that may go into reading smaps for PSS and USS, without a budget."""
_PART_OF_POLLS: Final = 0.5
"""At most this part of a budget goes into polling."""
SUFFIX: Final = ".smaps"


class Watch:
    """
    Polls a condition until it holds, then saves the text of smaps, completely or not at all.

    Args:
        condition: what to wait for.
        pid: of the process.
        path: where to save the capture.
        overwrite: replace an existing file.
        budget: of the recording; polls become rarer where they would need more than half of it.

    Raises:
        FileExistsError: the file exists.
        Unsupported: the condition needs the limit of a cgroup, and there is none.
        ProcessNotFound, AccessDenied, OSError: the cgroup cannot be read.
    """

    def __init__(
        self,
        condition: Condition,
        pid: int,
        path: str | os.PathLike[str],
        *,
        overwrite: bool = False,
        budget: float | None = None,
    ) -> None:
        self.condition = condition
        self.path = Path(path)
        self.marker: str | None = None
        """What happened, once the condition held."""
        self._pid = pid
        self._overwrite = overwrite
        self._share = _SHARE if budget is None else budget
        self._interval = POLL_SECONDS
        self._next_poll = 0.0
        self._handle: procfs.ProcessHandle | None = None
        self._next_full = 0.0
        self._limit = 0.0
        self._limit_time = 0.0
        if not overwrite and os.path.lexists(self.path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(self.path))
        if condition.part is not None:
            self._read_limit()

    @classmethod
    def of(
        cls,
        condition: str | Condition | None,
        pid: int,
        path: str | os.PathLike[str] | None,
        recording: str | os.PathLike[str] | None,
        *,
        overwrite: bool = False,
        budget: float | None = None,
    ) -> Self | None:
        """
        Return the watch of a recording; None without a condition.

        Args:
            condition: or its text.
            pid: of the process.
            path: where to save the capture; None for `recording` with the suffix .smaps.
            recording: the file of the recording.
            overwrite: replace an existing capture.
            budget: of the recording.

        Raises:
            ValueError: the condition is not one, or there is no name for the capture.
        """
        if condition is None:
            if path is not None:
                raise ValueError("a file for a snapshot requires a condition (when)")
            return None
        if path is None:
            if recording is None:
                raise ValueError("a condition (when) requires a file for the snapshot")
            path = Path(recording).with_suffix(SUFFIX)
        parsed = Condition.parse(condition) if isinstance(condition, str) else condition
        return cls(parsed, pid, path, overwrite=overwrite, budget=budget)

    def wait(self, deadline: float) -> str | None:
        """
        Poll until a time of the monotonic clock; return a marker as soon as the condition holds.

        After that, and after the end of the process, it only waits.
        """
        if self._handle is None:
            self._handle = procfs.ProcessHandle(self._pid)
        while True:
            now = time.monotonic()
            if self.marker is None and now >= self._next_poll:
                try:
                    self.marker = self._poll(now)
                except ProcessNotFound:  # the next sample finds that it has ended
                    self._next_poll = deadline
                if self.marker is not None:
                    return self.marker
                now = time.monotonic()
            if now >= deadline:
                return None
            until = deadline if self.marker is not None else min(deadline, self._next_poll)
            time.sleep(max(0.0, until - now))

    def close(self) -> None:
        """Close the descriptor of the process."""
        if self._handle is not None:
            self._handle.close()
            self._handle = None

    def _poll(self, now: float) -> str | None:
        """Return a marker if the condition holds."""
        if self.condition.part is not None and now >= self._limit_time + _LIMIT_SECONDS:
            try:
                self._read_limit()
            except Unsupported:
                # A process that ends has lost its memory before it leaves its group.
                if process.read_status(self._pid, procfs.PROC):
                    raise
                return None
            now = time.monotonic()
        values = process.read_status(self._pid, procfs.PROC)
        seconds = time.monotonic() - now
        self._interval = max(POLL_SECONDS, seconds / (self._share * _PART_OF_POLLS))
        self._next_poll = now + self._interval
        threshold = self.condition.threshold(self._limit)
        value = values.get(self.condition.attribute)
        if self.condition.value in ("pss", "uss"):
            # Neither is larger than RSS, so that most polls need not read smaps.
            is_possible = values.get("rss", 0) > threshold and now >= self._next_full
            value = self._read_full() if is_possible else None
        if value is None or value <= threshold:
            return None
        return f"{self.condition}: {value:,} kB; {self._save()}"

    def _read_full(self) -> int | None:
        begin = time.monotonic()
        sums = process.read_sums_text(self._pid, None, procfs.PROC).value.get("")
        now = time.monotonic()
        self._next_full = now + (now - begin) / self._share
        return None if sums is None else getattr(sums, self.condition.attribute)

    def _read_limit(self) -> None:
        usage = read_cgroup(self._pid)
        self._limit_time = time.monotonic()
        limit = usage.effective_limit
        if limit is None or not has_limit(limit):
            msg = (
                f"the cgroup of process {self._pid}, {usage.name}, has no limit: expected a size, "
                f"such as {self.condition.value} > 2GiB"
            )
            raise Unsupported(errno.ENODATA, msg, pid=self._pid)
        self._limit = limit

    def _save(self) -> str:
        """Save smaps; return what happened."""
        try:
            with outfile.replacing(self.path, private=True, overwrite=self._overwrite) as file:

                def write(text: Iterable[bytes]) -> int:
                    file.seek(0)
                    file.truncate()
                    return sum(file.write(chunk) for chunk in text)

                size = process.read_text(self._pid, "smaps", write, procfs.PROC).value
                if not size or (self._handle is not None and not self._handle.exists()):
                    raise ProcessNotFound(
                        errno.ESRCH, "the process ended before it was read", pid=self._pid
                    )
        except (SmapskitError, OSError) as error:
            reason = error.strerror if isinstance(error, OSError) else None
            return f"no snapshot was saved: {reason or error}"
        return f"snapshot in {self.path}"
