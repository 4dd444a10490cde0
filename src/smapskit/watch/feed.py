"""Samples to watch: of a live process, and of a recording."""

from __future__ import annotations

import bisect
import threading
import time
from collections.abc import Generator, Hashable, Iterable, Iterator
from datetime import UTC, datetime
from itertools import groupby
from typing import Final

import attrs

from smapskit.errors import SmapskitError
from smapskit.formats.smaps.files import SMAPS
from smapskit.formats.smaps.reader import ColumnReader
from smapskit.model.totals import Totals, add_totals
from smapskit.sources import process, procfs
from smapskit.sources.recording.budget import Budget
from smapskit.sources.recording.model import Recording, Sample
from smapskit.sources.recording.pacing import PacedReader, every, raise_no_memory
from smapskit.watch.samples import Listing, Sums, WatchSample

DEFAULT_BUDGET: Final = 0.02
"""With the drawing, less than 3 % of a core. Larger processes are read less often."""
_EXEC: Final = "exec: "


class LiveFeed:
    """
    Reads a process at steady intervals, in the thread that iterates over `samples`.

    A slow read skips samples. Other threads may call `pause`, `resume` and `stop`.

    Args:
        pid: of the process.
        interval: seconds between two samples.
        duration: seconds after which to stop; None to continue while the process lives.
        budget: the part of the time that may go into reading; 1 for no limit.
    """

    def __init__(
        self,
        pid: int,
        interval: float = 1.0,
        duration: float | None = None,
        budget: float = DEFAULT_BUDGET,
    ) -> None:
        self.pid = pid
        self.interval = interval
        self.end = ""
        """Why there are no more samples; set when `samples` ends."""
        self._duration = duration
        self._begin: float | None = None
        self._reader: PacedReader[Listing | Sums] = PacedReader(
            pid,
            self._read_smaps,
            self._read_status,
            lambda contents: contents.totals.rss or 0,
            # The first read of smaps may take a second, so that there are rows at once.
            Budget(budget, max(interval, 1 / budget)),
        )
        self._has_stopped = threading.Event()
        self._may_read = threading.Event()
        self._may_read.set()

    def samples(self) -> Generator[WatchSample]:
        """
        Yield the samples until the process ends or `stop` is called.

        Raises:
            ProcessNotFound: there is no such process, or it has no memory.
            AccessDenied, Unsupported, OSError: as `smapskit.read`, at the first read. After
                that, an error is the end.
        """
        import numpy as np  # noqa: F401, PLC0415  twice as fast, for texts of any size

        with procfs.ProcessHandle(self.pid) as handle:
            try:
                yield from self._read_all()
            finally:
                self._reader.close()
            if not self.end and handle.exists() and procfs.has_memory(self.pid, procfs.PROC):
                after = "" if self._duration is None else f" after {self._duration:g} s"
                self.end = f"reading stopped{after}"
            self.end = self.end or f"process {self.pid} ended"

    def pause(self) -> None:
        """Read nothing until `resume`."""
        self._may_read.clear()

    def resume(self) -> None:
        """Read again."""
        self._may_read.set()

    def stop(self) -> None:
        """End `samples` before its next read."""
        self._has_stopped.set()
        self._may_read.set()

    def _read_all(self) -> Iterator[WatchSample]:
        is_first = True
        reads = every(
            self._read,
            self.pid,
            self.interval,
            self._duration,
            earliest=self._reader.earliest,
            wait=self._wait,
        )
        while True:
            try:
                sample = next(reads)
            except StopIteration:
                return
            except (SmapskitError, OSError) as error:
                if is_first:
                    raise
                self.end = f"reading stopped: {getattr(error, 'strerror', None) or error}"
                return
            if self._has_stopped.is_set():
                return
            if sample is None:
                raise_no_memory(self.pid)
            is_first = False
            yield sample

    def _wait(self, deadline: float) -> WatchSample | None:
        """Wait until a time of the monotonic clock, and while reading is paused."""
        self._has_stopped.wait(max(0.0, deadline - time.monotonic()))
        self._may_read.wait()
        return None

    def _read(self) -> WatchSample | None:
        if self._has_stopped.is_set():
            return None
        now = datetime.now(UTC)
        begin = time.monotonic()
        if self._begin is None:
            self._begin = begin
        seconds = begin - self._begin
        source, contents = self._reader.read(seconds)
        if not contents:
            return None
        command = self._reader.command or ""
        is_exec = self._reader.take_exec()
        event = f"{_EXEC}{command}" if is_exec else ""
        return WatchSample(seconds, now, source, command, contents, event, is_exec)

    def _read_smaps(self) -> process.Reading[Listing | Sums]:
        source = procfs.proc_path(self.pid, SMAPS.name)

        def parse(text: Iterable[bytes]) -> Listing | Sums:
            reader = ColumnReader(SMAPS, source)
            parts = tuple(reader.columns(text))
            return Listing(parts, reader.layout)

        return process.read_text(self.pid, SMAPS.name, parse, procfs.PROC)

    def _read_status(self) -> process.Reading[Listing | Sums]:
        reading = process.read_light_sums(self.pid, procfs.PROC)
        sums = reading.value.get("") or Totals(count=0, size=0)
        return process.Reading(Sums(sums), reading.command, reading.time, reading.notes)


def samples_of(recording: Recording) -> list[WatchSample]:
    """
    Return the samples of a recording, with its markers as events.

    Raises:
        ValueError: the recording has no samples.
    """
    command = recording.command or ""
    found: list[WatchSample] = []
    events: list[str] = []
    for seconds, rows in groupby(recording.rows, lambda row: row.seconds):
        members: list[Sample] = []
        for row in rows:
            if row.marker:
                events.append(row.marker)
            else:
                members.append(row)
        if not members:
            continue
        execs = [event for event in events if event.startswith(_EXEC)]
        command = execs[-1].removeprefix(_EXEC) if execs else command
        groups: dict[Hashable, Totals] = {
            row.group if recording.by else None: row.totals for row in members
        }
        first = members[0]
        found.append(
            WatchSample(
                seconds,
                first.time,
                first.source,
                command,
                Sums(add_totals([row.totals for row in members]), groups),
                "; ".join(events),
                bool(execs),
            )
        )
        events.clear()
    if not found:
        raise ValueError("expected a recording with samples")
    if events:  # after the last sample
        last = found[-1]
        found[-1] = attrs.evolve(last, event="; ".join(filter(None, [last.event, *events])))
    return found


class Replay:
    """
    The samples of a recording, and the position of their replay.

    Args:
        recording: has at least one sample.

    Attributes:
        samples: all of them.
        position: how many have been replayed; at least one.
        interval: seconds between two samples.
    """

    def __init__(self, recording: Recording) -> None:
        self.samples = samples_of(recording)
        self.position = 1
        self._seconds = [sample.seconds for sample in self.samples]
        self._now = self._seconds[0]
        length = self._seconds[-1] - self._seconds[0]
        usual = length / (len(self.samples) - 1) if length else 1.0
        self.interval = recording.interval or usual

    @property
    def is_at_end(self) -> bool:
        """Whether all samples have been replayed."""
        return self.position == len(self.samples)

    @property
    def length(self) -> float:
        """Seconds from the first to the last sample."""
        return self._seconds[-1] - self._seconds[0]

    def advance(self, seconds: float) -> list[WatchSample]:
        """Move forward in the time of the recording; return the samples that this passes."""
        self._now = min(self._now + seconds, self._seconds[-1])
        before = self.position
        self.position = max(before, bisect.bisect_right(self._seconds, self._now))
        return self.samples[before : self.position]

    def seek(self, position: int) -> list[WatchSample]:
        """Move to a number of samples; return those from the first one to the new position."""
        self.position = min(max(position, 1), len(self.samples))
        self._now = self._seconds[self.position - 1]
        return self.samples[: self.position]
