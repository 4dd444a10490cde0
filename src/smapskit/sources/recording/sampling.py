"""Read a process at steady intervals until it ends: as snapshots, or as recorded sums."""

from __future__ import annotations

import errno
import math
import os
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal, TypeVar

import attrs

from smapskit.errors import ProcessNotFound, SmapskitError
from smapskit.model.mapping import Mapping
from smapskit.model.snapshot import Snapshot
from smapskit.model.totals import GroupName, Totals, totals
from smapskit.sources import process, procfs
from smapskit.sources.recording.model import Recording, Sample, StoredRows
from smapskit.sources.recording.storage import Output

GroupKey = GroupName | Literal["mapping"] | Callable[[Mapping], str]
"""What a recording groups mappings by; "mapping" makes each mapping a group."""

T = TypeVar("T")


def sample(
    pid: int,
    interval: float = 1.0,
    duration: float | None = None,
    *,
    read: Callable[[int], Snapshot] = process.read,
) -> Iterator[Snapshot]:
    """
    Read a process at steady intervals until it ends, yielding snapshots.

    Samples fall on a fixed grid: a slow read does not delay later ones, and one that takes
    longer than the interval skips samples. It also ends if the pid is given to another process.
    After an exec the snapshots have the new command line; a sample during which the process
    calls exec repeatedly is skipped.

    Args:
        pid: of the process.
        interval: seconds between the beginnings of two samples.
        duration: seconds after which to stop; None to continue while the process lives.
        read: the function that reads a process.

    Raises:
        ProcessNotFound: there is no such process at the first read; later it is the end.
        AccessDenied, Unsupported, OSError: as `smapskit.read`, at any read.
        ValueError: the interval is not above 0.
    """
    check_interval(interval)
    return every(partial(read, pid), pid, interval, duration)


def record(
    pid: int,
    interval: float = 1.0,
    duration: float | None = None,
    *,
    by: GroupKey | None = None,
    path: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    on_sample: Callable[[Sequence[Sample]], object] | None = None,
) -> Recording:
    """
    Sample a process at steady intervals until it ends, and return the sums of its mappings.

    When the process calls exec, the recording continues after a marker `exec: COMMAND`.

    Args:
        pid: of the process.
        interval: seconds between the beginnings of two samples.
        duration: seconds after which to stop; None to continue while the process lives.
        by: sum groups by "backing", "sharing", "kind", "perms" or "pathname", each "mapping",
            or by a function of a mapping; None to sum over all mappings.
        path: a file to write during the recording: CSV, or Parquet with the suffix .parquet,
            whose samples are in a CSV file beside it, ending in .part, until it is complete.
        overwrite: replace an existing file.
        on_sample: called with the rows of each sample, to show progress.

    Returns:
        The recording. With `path` no samples are kept in memory; rows are read from the file
        when first accessed, and an OSError is raised if it has changed since.

    Raises:
        ProcessNotFound, Unsupported: at the first read, as `smapskit.read`.
        AccessDenied, OSError: the process cannot be read, for instance because of too many open
            files. The file has everything that was recorded before.
        KeyboardInterrupt: Ctrl-C, after the file is complete.
        FileExistsError: the file exists (before the first read); with `overwrite`, it is not a
            regular file.
        BlockingIOError: another recorder is writing the file.
        Unsupported: the file is Parquet and pyarrow is not installed.
        OSError: the file cannot be written; what it contains can be read. If it cannot be
            converted to Parquet, a note of the error names the CSV file.
    """
    check_interval(interval)
    if path is None:
        return record_to(None, pid, interval, duration, by=by, on_sample=on_sample)
    with Output(path, overwrite=overwrite) as output:
        recording = record_to(output, pid, interval, duration, by=by, on_sample=on_sample)
    return attrs.evolve(recording, rows=StoredRows(output.target))


def record_to(
    output: Output | None,
    pid: int,
    interval: float = 1.0,
    duration: float | None = None,
    *,
    by: GroupKey | None = None,
    on_sample: Callable[[Sequence[Sample]], object] | None = None,
) -> Recording:
    """Record to a file that is already open; the recording has the rows if `output` is None."""
    check_interval(interval)
    reader = _SumReader(pid, by)
    samples = reader.samples(interval, duration)
    rows = reader.first(samples)
    name = getattr(by, "__name__", "a function") if callable(by) else by
    recording = Recording((), pid, reader.command, interval, name)
    recorded: list[Sample] = []
    if output is not None:
        output.begin(recording.metadata())
    failure: BaseException | None = None
    with closing(samples):
        try:
            while True:
                if output is None:
                    recorded += rows
                else:
                    output.write(row.cells() for row in rows)
                if on_sample is not None:
                    on_sample(rows)
                try:
                    rows = next(samples)
                except (SmapskitError, OSError) as error:
                    failure = error
                    break
        except StopIteration:
            pass
        except KeyboardInterrupt as error:
            failure = error
    if output is not None:
        output.finish()
    if failure is not None:
        raise failure
    return attrs.evolve(recording, rows=tuple(recorded))


def check_interval(interval: float) -> None:
    """Raise ValueError for an interval that is not a finite number of seconds above 0."""
    if not 0 < interval < math.inf:
        raise ValueError(f"expected an interval above 0 seconds, got {interval}")


def every(read: Callable[[], T], pid: int, interval: float, duration: float | None) -> Iterator[T]:
    """
    Call `read` on a grid of `interval` seconds until the process has ended.

    An empty result means that the process is ending.
    """
    with procfs.ProcessHandle(pid) as handle:
        begin = time.monotonic()
        yield read()
        # Counted in whole intervals: in seconds, 3 times 0.1 would be more than 0.3.
        last = math.inf if duration is None else math.floor(duration / interval + 1e-9)
        tick = 0
        while True:
            tick = max(tick, int((time.monotonic() - begin) / interval)) + 1
            if tick > last:
                return
            due = tick * interval
            time.sleep(max(0.0, begin + due - time.monotonic()))
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


class _SumReader:
    """
    Reads sums as samples, preceded by a marker after each exec.

    Attributes:
        command: the command line at the last read.
    """

    def __init__(self, pid: int, by: GroupKey | None) -> None:
        self.command: str | None = None
        self._pid = pid
        self._by: Any = _each_mapping if by == "mapping" else by
        self._begin: float | None = None
        self._space: procfs.AddressSpace | None = None
        self._has_called_exec = False

    def samples(self, interval: float, duration: float | None) -> Generator[list[Sample]]:
        """Yield the rows of each sample."""
        try:
            yield from every(self._read, self._pid, interval, duration)
        finally:
            if self._space is not None:
                self._space.close()

    def first(self, samples: Generator[list[Sample]]) -> list[Sample]:
        """Return the first sample; a process without memory is an error."""
        rows = next(samples)
        if not rows:
            samples.close()
            msg = f"process {self._pid} has no memory map, or ended before the first sample"
            raise ProcessNotFound(errno.ESRCH, msg, pid=self._pid)
        return rows

    def _read(self) -> list[Sample]:
        now = datetime.now(UTC)
        begin = time.monotonic()
        if self._begin is None:
            self._begin = begin
        sums = self._read_address_space()
        read_seconds = round(time.monotonic() - begin, 6)
        seconds = round(begin - self._begin, 6)
        rows = [
            Sample(now, seconds, read_seconds, "(unknown)" if key is None else str(key), group)
            for key, group in sums.items()
        ]
        if rows and self._has_called_exec:
            rows.insert(0, Sample(now, seconds, 0.0, "", totals(()), f"exec: {self.command}"))
            self._has_called_exec = False
        return rows

    def _read_address_space(self) -> dict[Any, Totals]:
        """Read the sums of one address space, and note whether it is a new one."""
        for _ in range(process.ATTEMPTS):
            if self._space is None or not self._space.exists():
                space = procfs.AddressSpace(self._pid)
                if self._space is not None:
                    self._space.close()
                    self._has_called_exec = True
                self._space = space
            reading = process.read_sums_text(self._pid, self._by, procfs.PROC)
            self.command = reading.command
            if not reading.value or self._space.exists():
                return reading.value
        msg = f"process {self._pid} called exec during each of {process.ATTEMPTS} reads"
        raise procfs.ExecDuringRead(errno.ESRCH, msg)


def _each_mapping(mapping: Mapping) -> str:
    return f"{mapping.start:x}-{mapping.end:x} {mapping.perms} {mapping.pathname}"
