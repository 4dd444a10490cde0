"""Read a process at steady intervals until it ends: as snapshots, or as recorded sums."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal

import attrs

from smapskit.errors import SmapskitError
from smapskit.model.mapping import Mapping
from smapskit.model.snapshot import Snapshot
from smapskit.model.totals import GroupName, totals
from smapskit.sources import process, procfs
from smapskit.sources.recording.budget import Budget
from smapskit.sources.recording.model import Recording, Sample, StoredRows
from smapskit.sources.recording.pacing import (
    PacedReader,
    check_interval,
    every,
    raise_no_memory,
    sleep_until,
)
from smapskit.sources.recording.storage import Output
from smapskit.sources.recording.watch import Watch

GroupKey = GroupName | Literal["mapping"] | Callable[[Mapping], str]
"""What a recording groups mappings by; "mapping" makes each mapping a group."""


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


def record(  # noqa: PLR0913  options by keyword
    pid: int,
    interval: float = 1.0,
    duration: float | None = None,
    *,
    by: GroupKey | None = None,
    path: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    on_sample: Callable[[Sequence[Sample]], object] | None = None,
    budget: float | None = None,
    when: str | None = None,
    snapshot: str | os.PathLike[str] | None = None,
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
        budget: the part of the time that may go into reading, such as 0.01; None for no limit.
            Without `by`, samples between those that it pays for are read from /proc/PID/status
            (`Sample.source`): RSS, anonymous memory and swap. With `by` there are fewer samples.
        when: a condition such as "rss > 80% of limit" or "anon > 2GiB". When it first holds, the
            text of smaps is saved as `snapshot`, and a marker is added. The values are rss, pss,
            uss, swap and anon; the limit is that of the memory cgroup.
        snapshot: the file for `when`; None for `path` with the suffix .smaps.

    Returns:
        The recording. With `path` no samples are kept in memory; rows are read from the file
        when first accessed, and an OSError is raised if it has changed since.

    Raises:
        ProcessNotFound, Unsupported: at the first read, as `smapskit.read`.
        AccessDenied, OSError: the process cannot be read, for instance because of too many open
            files. The file has everything that was recorded before.
        KeyboardInterrupt: Ctrl-C, after the file is complete.
        FileExistsError: a file exists (before the first read); with `overwrite`, it is not a
            regular file.
        ValueError: the budget, the interval or the condition is not valid.
        BlockingIOError: another recorder is writing the file.
        Unsupported: the file is Parquet and pyarrow is not installed.
        OSError: the file cannot be written; what it contains can be read. If it cannot be
            converted to Parquet, a note of the error names the CSV file.
    """
    check_interval(interval)
    watch = Watch.of(when, pid, snapshot, path, overwrite=overwrite, budget=budget)
    record = partial(
        record_to,
        pid=pid,
        interval=interval,
        duration=duration,
        by=by,
        on_sample=on_sample,
        budget=budget,
        watch=watch,
    )
    if path is None:
        return record(None)
    with Output(path, overwrite=overwrite) as output:
        recording = record(output)
    return attrs.evolve(recording, rows=StoredRows(output.target))


def record_to(
    output: Output | None,
    pid: int,
    interval: float = 1.0,
    duration: float | None = None,
    *,
    by: GroupKey | None = None,
    on_sample: Callable[[Sequence[Sample]], object] | None = None,
    budget: float | None = None,
    watch: Watch | None = None,
) -> Recording:
    """Record to a file that is already open; the recording has the rows if `output` is None."""
    check_interval(interval)
    reader = _SumReader(pid, by, None if budget is None else Budget(budget, interval), watch)
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


class _SumReader:
    """Reads sums as samples, preceded by a marker after each exec."""

    def __init__(
        self,
        pid: int,
        by: GroupKey | None,
        budget: Budget | None = None,
        watch: Watch | None = None,
    ) -> None:
        self._pid = pid
        self._begin: float | None = None
        self._watch = watch
        key: Any = _each_mapping if by == "mapping" else by
        self._reader = PacedReader(
            pid,
            lambda: process.read_sums_text(pid, key, procfs.PROC),
            # Groups are in smaps alone: there are fewer samples instead of cheaper ones.
            None if by is not None else lambda: process.read_light_sums(pid, procfs.PROC),
            lambda sums: sum(each.rss or 0 for each in sums.values()),
            budget,
        )

    @property
    def command(self) -> str | None:
        """The command line at the last read."""
        return self._reader.command

    def samples(self, interval: float, duration: float | None) -> Generator[list[Sample]]:
        """Yield the rows of each sample."""
        try:
            yield from every(
                self._read,
                self._pid,
                interval,
                duration,
                earliest=self._reader.earliest,
                wait=sleep_until if self._watch is None else self._wait,
            )
        finally:
            self._reader.close()
            if self._watch is not None:
                self._watch.close()

    def first(self, samples: Generator[list[Sample]]) -> list[Sample]:
        """Return the first sample; a process without memory is an error."""
        rows = next(samples)
        if not rows:
            samples.close()
            raise_no_memory(self._pid)
        return rows

    def _read(self) -> list[Sample]:
        now = datetime.now(UTC)
        begin = time.monotonic()
        if self._begin is None:
            self._begin = begin
        seconds = begin - self._begin
        source, sums = self._reader.read(seconds)
        read_seconds = round(time.monotonic() - begin, 6)
        seconds = round(seconds, 6)
        rows = [
            Sample(
                now,
                seconds,
                read_seconds,
                "(unknown)" if key is None else str(key),
                group,
                source=source,
            )
            for key, group in sums.items()
        ]
        if rows and self._reader.take_exec():
            rows.insert(0, Sample(now, seconds, 0.0, "", totals(()), f"exec: {self.command}"))
        return rows

    def _wait(self, deadline: float) -> list[Sample] | None:
        """Watch until a time; return a marker as soon as the condition holds."""
        text = None if self._watch is None else self._watch.wait(deadline)
        if text is None:
            return None
        seconds = round(time.monotonic() - (self._begin or 0.0), 6)
        return [Sample(datetime.now(UTC), seconds, 0.0, "", totals(()), text)]


def _each_mapping(mapping: Mapping) -> str:
    return f"{mapping.start:x}-{mapping.end:x} {mapping.perms} {mapping.pathname}"
