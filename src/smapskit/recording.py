"""
Snapshots over time: sampled at a steady pace, summed, kept in a file while they come.

A recording is a CSV file, written a sample at a time and flushed, so that whatever ends the
recorder loses at most the sample under way. Parquet, which can't be read before it is
complete, is made of it at the end.
"""

from __future__ import annotations

import csv
import errno
import io
import json
import math
import os
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence, Sized
from collections.abc import Mapping as MappingOf
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, TypeVar

import attrs

from smapskit import process, procfs
from smapskit.aggregate import GroupName, added, totals
from smapskit.errors import ParseError, ProcessNotFound, SmapskitError
from smapskit.records import COUNTERS, Mapping, Totals
from smapskit.smaps.sums import Sums
from smapskit.snapshot import Snapshot
from smapskit.texts import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

By = GroupName | Literal["mapping"] | Callable[[Mapping], str]

_MAGIC = "# smapskit recording "
_FIGURES = ("count", "size", *COUNTERS)
_FIRST_COLUMNS = ("time", "seconds", "reading", "event", "group", "shared_rss")
_COLUMNS = (*_FIRST_COLUMNS, *_FIGURES)


def sample(
    pid: int,
    interval: float = 1.0,
    duration: float | None = None,
    *,
    read: Callable[[int], Snapshot] = process.read,
) -> Iterator[Snapshot]:
    """
    Read a process again and again, at steady intervals, until it ends.

    It ends also if its pid is given to another process. When it calls exec, the snapshots that
    follow have the new command line; a sample during which it calls exec again and again is
    left out.

    The moments are whole intervals after the first: a slow reading delays none but itself,
    and one that takes longer than the interval leaves moments out.

    Args:
        pid: of the process.
        interval: seconds from one beginning to the next.
        duration: seconds after which to stop; None for as long as the process lives.
        read: how to read it.

    Raises:
        ProcessNotFound: there is none at the first reading; later it is the end.
        AccessDenied, Unsupported, OSError: as `smapskit.read`, at any reading.
        ValueError: an interval that is not above 0.
    """
    _expect_interval(interval)
    return _steadily(partial(read, pid), pid, interval, duration)


def _expect_interval(interval: float) -> None:
    if interval <= 0:
        raise ValueError(f"expected an interval above 0 seconds, got {interval}")


Moment = TypeVar("Moment", bound=Sized)


def _steadily(
    read: Callable[[], Moment], pid: int, interval: float, duration: float | None
) -> Iterator[Moment]:
    with procfs.ProcessHandle(pid) as handle:
        begin = time.monotonic()
        yield read()
        # Counted in ticks: in seconds, 3 times 0.1 would be more than 0.3.
        last = math.inf if duration is None else math.floor(duration / interval + 1e-9)
        tick = 0
        while True:
            tick = max(tick, int((time.monotonic() - begin) / interval)) + 1
            if tick > last:
                return
            due = tick * interval
            time.sleep(max(0.0, begin + due - time.monotonic()))
            try:
                moment = read()
            except procfs.ExecDuringRead:
                continue
            except ProcessNotFound:
                return
            if not moment:  # a zombie, or about to be one
                return
            if not handle.exists():  # what was read may be another process with this pid
                return
            yield moment


@attrs.frozen
class Row:
    """The sums over a group of mappings at one moment; or, with `event`, just a mark."""

    time: datetime
    seconds: float
    """Since the beginning of the recording, by a clock that never jumps."""
    reading: float
    """How many seconds reading and summing took."""
    group: str = attrs.field(converter=printable)
    """What is summed, on one line; "" for all mappings."""
    totals: Totals
    shared_rss: int
    """The RSS of the group's mappings with permission `s`, in kB."""
    event: str = attrs.field(default="", converter=printable)
    """What happened, on one line."""


@attrs.frozen(repr=False)
class Recording:
    """What was recorded of a process: sums over time, and marks for events."""

    rows: tuple[Row, ...]
    pid: int | None = None
    command: str | None = None
    interval: float | None = None
    by: str | None = None
    notes: MappingOf[str, Any] = attrs.field(factory=dict, hash=False)
    """What else its file shall say of it, as JSON can: the machine, the purpose, findings."""

    @property
    def samples(self) -> tuple[Row, ...]:
        """The rows that are no marks."""
        return tuple(row for row in self.rows if not row.event)

    @property
    def events(self) -> tuple[tuple[float, str], ...]:
        """The marks: seconds since the beginning, and what happened."""
        return tuple((row.seconds, row.event) for row in self.rows if row.event)

    def mark(self, seconds: float, event: str) -> Recording:
        """The same with a mark: what happened, so many seconds after the beginning."""
        if not self.rows:
            raise ValueError("expected a recording with samples, to know when it began")
        began = self.rows[0].time - timedelta(seconds=self.rows[0].seconds)
        moment = began + timedelta(seconds=seconds)
        row = Row(moment, seconds, 0.0, "", totals(()), 0, event)
        rows = sorted((*self.rows, row), key=lambda each: each.seconds)
        return attrs.evolve(self, rows=tuple(rows))

    def totals(self) -> dict[float, Totals]:
        """The sums over all groups, by seconds since the beginning."""
        moments: dict[float, list[Totals]] = {}
        for row in self.samples:
            moments.setdefault(row.seconds, []).append(row.totals)
        return {seconds: added(sums) for seconds, sums in moments.items()}

    def to_frame(self) -> DataFrame:
        """A row a group and moment, figures in kB, with time as the index; marks left out."""
        import pandas as pd  # noqa: PLC0415  for whoever asks for a frame

        names = [name for name in _COLUMNS if name != "event"]
        cells = [dict(zip(_COLUMNS, _cells(row), strict=True)) for row in self.samples]
        frame = pd.DataFrame({name: [row[name] for row in cells] for name in names})
        for name in ("shared_rss", *_FIGURES):
            frame[name] = frame[name].astype("Int64")
        frame["time"] = pd.to_datetime(frame["time"], utc=True)
        frame.attrs |= self._about() | {"unit": "kB", "events": [list(e) for e in self.events]}
        return frame.set_index("time")

    def plot(self) -> Figure:
        """Draw RSS, the RSS of shared mappings and anonymous memory over time."""
        from smapskit import plots  # noqa: PLC0415

        moments: dict[float, int] = {}
        for row in self.samples:
            moments[row.seconds] = moments.get(row.seconds, 0) + row.shared_rss
        sums = self.totals()
        series: dict[str, Sequence[int | None]] = {
            "RSS": [total.rss for total in sums.values()],
            "RSS of shared mappings": list(moments.values()),
            "anonymous": [total.anonymous for total in sums.values()],
        }
        name = f"process {self.pid}" if self.pid is not None else "a process"
        return plots.plot_series(list(sums), series, self.events, name, self.command)

    def save(self, path: str | os.PathLike[str]) -> None:
        """
        Write it to a file, CSV or, with the suffix .parquet, Parquet (the extra `parquet`).

        The file is complete or it is not there.
        """
        target = Path(path)
        new = target.with_name(f"{target.name}.new")
        try:
            if target.suffix == ".parquet":
                self._table().to_parquet(new)
            else:
                with new.open("w", encoding="utf-8", newline="") as file:
                    Writer(file, self).write(self.rows)
            new.replace(target)
        finally:
            new.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Recording:
        """
        Read what `save` or the recorder wrote; of a CSV cut short, all whole samples.

        Raises:
            ParseError: with file and line, for what is no recording.
        """
        name = os.fspath(path)
        with Path(path).open("rb") as file:
            if file.read(4) == b"PAR1":
                return cls._from_parquet(name)
        with Path(path).open(encoding="utf-8", newline="") as file:
            return _parse(file, name)

    def _about(self) -> dict[str, Any]:
        return {
            "pid": self.pid,
            "command": _shown(self.command),
            "interval": self.interval,
            "by": self.by,
            "notes": dict(self.notes),
        }

    def _table(self) -> DataFrame:
        import pandas as pd  # noqa: PLC0415

        columns = zip(*map(_cells, self.rows), strict=True) if self.rows else [()] * len(_COLUMNS)
        frame = pd.DataFrame(dict(zip(_COLUMNS, map(list, columns), strict=True)))
        for name in ("shared_rss", *_FIGURES):
            frame[name] = frame[name].astype("Int64")
        frame.attrs.update(self._about())
        return frame

    @classmethod
    def _from_parquet(cls, name: str) -> Recording:
        import pandas as pd  # noqa: PLC0415

        frame = pd.read_parquet(name)
        if list(frame.columns[: len(_FIRST_COLUMNS)]) != list(_FIRST_COLUMNS):
            raise ParseError(f"expected a recording's columns, got {list(frame.columns)}", name)
        text = io.StringIO()
        text.write(f"{_MAGIC}{json.dumps(frame.attrs)}\n")
        frame.to_csv(text, index=False)
        text.seek(0)
        return _parse(text, name)

    def __repr__(self) -> str:
        sums = self.totals()
        length = max(sums, default=0.0)
        return f"<Recording of {self.pid}: {len(sums)} samples in {length:.1f} s>"


class Writer:
    """Writes a recording a sample at a time; what it wrote can be read at any moment."""

    def __init__(self, file: IO[str], about: Recording) -> None:
        self.file = file
        self.file.write(f"{_MAGIC}{json.dumps(about._about())}\n")  # noqa: SLF001  its own file
        self._csv = csv.writer(file, lineterminator="\n")
        self._csv.writerow(_COLUMNS)
        self.file.flush()

    def write(self, rows: Iterable[Row]) -> None:
        """Write and flush the rows of one moment."""
        self._csv.writerows(map(_cells, rows))
        self.file.flush()


def record(
    pid: int,
    interval: float = 1.0,
    duration: float | None = None,
    *,
    by: By | None = None,
    path: str | os.PathLike[str] | None = None,
    each: Callable[[Sequence[Row]], object] | None = None,
) -> Recording:
    """
    Sample a process until it ends, and keep the sums.

    Ctrl-C (KeyboardInterrupt) ends it like the end of the process: nothing is lost. When the
    process calls exec, the recording goes on with an event `exec: COMMAND`.

    Args:
        pid: of the process.
        interval: seconds between samples.
        duration: seconds after which to stop; None for as long as the process lives.
        by: the sums of each group by "backing", "sharing", "perms", "pathname", for each
            "mapping", or by what a function makes of a mapping; None for those over all
            mappings alone.
        path: where to write while recording: CSV, or Parquet by the suffix .parquet, beside
            which a CSV ending in .part stands until it is complete.
        each: called with the rows of each moment, to show progress.

    Raises:
        ProcessNotFound, Unsupported: at the first reading, as `smapskit.read`.
        AccessDenied, OSError: the process can't be read, such as for too many open files. What
            was recorded before is complete in the file.
        OSError: the file can't be written; what stands in it then can be read.
    """
    _expect_interval(interval)
    reader = _TimedReader(pid, by)
    moments = reader.moments(interval, duration)
    found = next(moments)
    name = getattr(by, "__name__", "a function") if callable(by) else by
    about = Recording((), pid, reader.command, interval, name)
    rows: list[Row] = []
    failure: Exception | None = None
    with closing(moments), _open(path, about) as keep:
        try:
            while True:
                rows += found
                keep(found)
                if each is not None:
                    each(found)
                try:
                    found = next(moments)
                except (SmapskitError, OSError) as error:
                    failure = error  # raised when the file is complete
                    break
        except (StopIteration, KeyboardInterrupt):
            pass
    recording = attrs.evolve(about, rows=tuple(rows))
    if path is not None and Path(path).suffix == ".parquet":
        recording.save(path)
        journal(Path(path)).unlink()
    if failure is not None:
        raise failure
    return recording


class _TimedReader:
    """
    Reads sums as rows, with the time of each reading, its duration, and a row for each exec.

    Attributes:
        command: the command line at the last reading.
    """

    def __init__(self, pid: int, by: By | None) -> None:
        self.pid = pid
        self.by: Any = _each_mapping if by == "mapping" else by
        self.begin: float | None = None
        self.command: str | None = None
        self._space: procfs.AddressSpace | None = None
        self._has_called_exec = False

    def moments(self, interval: float, duration: float | None) -> Generator[list[Row], None, None]:
        """Yield the rows of each sample."""
        try:
            yield from _steadily(self._read, self.pid, interval, duration)
        finally:
            if self._space is not None:
                self._space.close()

    def _read(self) -> list[Row]:
        moment = datetime.now(UTC)
        at = time.monotonic()
        if self.begin is None:
            self.begin = at
        sums = self._read_address_space()
        reading = round(time.monotonic() - at, 6)
        seconds = round(at - self.begin, 6)
        rows = [
            Row(moment, seconds, reading, "not known" if key is None else str(key), *group)
            for key, group in sums.items()
        ]
        if rows and self._has_called_exec:
            event = f"exec: {self.command}"
            rows.insert(0, Row(moment, seconds, 0.0, "", totals(()), 0, event))
            self._has_called_exec = False
        return rows

    def _read_address_space(self) -> dict[Any, Sums]:
        """Read the sums of one address space, and note whether it is another than before."""
        for _ in range(process.ATTEMPTS):
            if self._space is None or not self._space.exists():
                space = procfs.AddressSpace(self.pid)
                if self._space is not None:
                    self._space.close()
                    self._has_called_exec = True
                self._space = space
            reading = process.read_sums_text(self.pid, self.by, procfs.PROC)
            self.command = reading.command
            if not reading.value or self._space.exists():
                return reading.value
        raise procfs.ExecDuringRead(errno.ESRCH, f"process {self.pid} keeps calling exec")


def _each_mapping(mapping: Mapping) -> str:
    return f"{mapping.start:x}-{mapping.end:x} {mapping.perms} {mapping.pathname}"


# ---- rows as cells, and back -------------------------------------------------------------


def _cells(row: Row) -> list[object]:
    figures = [getattr(row.totals, name) for name in _FIGURES]
    moment = row.time.isoformat()
    return [moment, row.seconds, row.reading, row.event, row.group, row.shared_rss, *figures]


def _row(cells: dict[str, str]) -> Row:
    # A recording of an earlier release has no column of a field that came later.
    figures = {name: int(cells[name]) if cells.get(name) else None for name in _FIGURES}
    return Row(
        datetime.fromisoformat(cells["time"]),
        float(cells["seconds"]),
        float(cells["reading"]),
        cells["group"],
        Totals(**figures),  # type: ignore[arg-type]
        int(cells["shared_rss"]),
        cells["event"],
    )


def _parse(file: IO[str], name: str) -> Recording:
    first = file.readline()
    try:
        about = json.loads(first.removeprefix(_MAGIC)) if first.startswith(_MAGIC) else None
    except ValueError:
        about = None
    lines = file.read().split("\n")
    if about is None or not lines[0].startswith(",".join(_FIRST_COLUMNS)):
        raise ParseError("expected a recording of smapskit's", name, 1, first.rstrip("\n"))
    whole = lines[:-1]  # what has no line end is the sample under way when it was cut off
    rows = []
    for number, cells in enumerate(csv.DictReader(whole), 3):
        try:
            rows.append(_row(cells))
        except (KeyError, TypeError, ValueError) as error:
            line = whole[number - 2] if number - 2 < len(whole) else None
            raise ParseError(f"expected a sample's figures ({error})", name, number, line) from None
    known = {field.name for field in attrs.fields(Recording)} - {"rows"}
    return Recording(tuple(rows), **{key: about[key] for key in known & about.keys()})


def _shown(text: str | None) -> str | None:
    """Valid Unicode on one line, for a file that every program can read."""
    return None if text is None else printable(text)


def journal(path: Path) -> Path:
    """Where a recording stands while it is made, if it can't be in the file itself."""
    return path.with_name(f"{path.name}.part") if path.suffix == ".parquet" else path


@contextmanager
def _open(
    path: str | os.PathLike[str] | None, about: Recording
) -> Iterator[Callable[[Iterable[Row]], object]]:
    """What keeps the rows of a moment: a file's writer, or nobody."""
    if path is None:
        yield lambda _rows: None
        return
    with journal(Path(path)).open("w", encoding="utf-8", newline="") as file:
        yield Writer(file, about).write
