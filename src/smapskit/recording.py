"""
Snapshots over time: sampled at a steady pace, summed, kept in a file while they come.

A recording is a CSV file, written a sample at a time and flushed, so that whatever ends the
recorder loses at most the sample under way. The last row of each sample is marked in the
column `sample_end`. Parquet, which can't be read before it is complete, is made of it at the
end.
"""

from __future__ import annotations

import csv
import errno
import io
import json
import math
import os
import re
import stat
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence, Sized
from collections.abc import Mapping as MappingOf
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from itertools import groupby, islice
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Literal, Self, TypeVar, overload

import attrs

from smapskit import outfile, process, procfs
from smapskit.aggregate import GroupName, added, totals
from smapskit.errors import ParseError, ProcessNotFound, SmapskitError, Unsupported
from smapskit.exports import csv_row, guarded
from smapskit.records import COUNTERS, Mapping, Totals
from smapskit.smaps.sums import Sums
from smapskit.snapshot import Snapshot
from smapskit.texts import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame
    from pyarrow import RecordBatch, Schema

By = GroupName | Literal["mapping"] | Callable[[Mapping], str]

_MAGIC = "# smapskit recording "
_FIGURES = ("count", "size", *COUNTERS)
_FIRST_COLUMNS = ("time", "seconds", "reading", "event", "group", "shared_rss")
_COLUMNS = (*_FIRST_COLUMNS, *_FIGURES)
_SAMPLE_END = "sample_end"
_LARGEST_FIGURE = 2**63 - 1
_METADATA: dict[str, set[type]] = {
    "pid": {int},
    "command": {str},
    "interval": {int, float},
    "by": {str},
    "notes": {dict},
}
"""The types, in JSON, of what a recording's first line holds."""
_JSON_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"')
_PARQUET_MAGIC = b"PAR1"
_PARQUET_ROWS = 1 << 14  # per row group: some 20 MB while it is converted
_PANDAS_ATTRS = b"PANDAS_ATTRS"
"""Where pandas keeps `DataFrame.attrs` in a Parquet file's metadata."""
_COLUMN_TYPES = {
    "time": "string",
    "seconds": "float64",
    "reading": "float64",
    "event": "string",
    "group": "string",
}


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
    if not 0 < interval < math.inf:
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

    rows: Sequence[Row]
    """A tuple; those of `record(path=...)` are read from the file when first accessed."""
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
        Write it to a file, CSV or, with the suffix .parquet, Parquet (requires pyarrow).

        The file is complete or it is not there; an existing one is replaced. Files of root
        have mode 0600.
        """
        target = Path(path)
        if target.suffix == ".parquet":
            _require_pyarrow()
        with outfile.replacing(target, private=True) as file:
            if target.suffix == ".parquet":
                schema = _parquet_schema(self)
                _write_parquet(file, schema, _batches(self.rows, schema))
                return
            with io.TextIOWrapper(file, encoding="utf-8", newline="") as text:
                writer = Writer(text, self)
                for _, rows in groupby(self.rows, lambda row: (row.seconds, row.event)):
                    writer.write(rows)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Recording:
        """
        Read what `save` or the recorder wrote; of a CSV cut short, all complete samples.

        Raises:
            ParseError: with file and line, for anything that is not a recording.
            OSError: the file can't be read.
            Unsupported: it is Parquet and pyarrow is not installed.
        """
        name = os.fspath(path)
        with Path(path).open("rb") as file:
            if file.peek(len(_PARQUET_MAGIC)).startswith(_PARQUET_MAGIC):
                return _read_parquet(file, name)
            with io.TextIOWrapper(file, encoding="utf-8", newline="\n") as text:
                try:
                    about, rows = _csv_rows(text, name)
                    return attrs.evolve(about, rows=tuple(rows))
                except UnicodeDecodeError as error:
                    raise ParseError(f"expected UTF-8 ({error.reason})", name) from None

    def _about(self) -> dict[str, Any]:
        return {
            "pid": self.pid,
            "command": _shown(self.command),
            "interval": self.interval,
            "by": self.by,
            "notes": dict(self.notes),
        }

    def __repr__(self) -> str:
        sums = self.totals()
        length = max(sums, default=0.0)
        return f"<Recording of {self.pid}: {len(sums)} samples in {length:.1f} s>"


class Writer:
    """Writes a recording a sample at a time; what it wrote can be read at any moment."""

    def __init__(self, file: IO[str], about: Recording) -> None:
        self.file = file
        self.file.write(_metadata_line(about))
        self.file.write(csv_row([*_COLUMNS, _SAMPLE_END]))
        self.file.flush()

    def write(self, rows: Iterable[Row]) -> None:
        """Write and flush the rows of one sample."""
        lines = [_csv_cells(row) for row in rows]
        for cells in lines[:-1]:
            self.file.write(csv_row([*cells, 0]))
        for cells in lines[-1:]:
            self.file.write(csv_row([*cells, 1]))
        self.file.flush()


class Output:
    """
    The file of a recording under way: created before the first sample, locked until the end.

    CSV is written to the target itself. The rows of a Parquet file are written to a CSV file
    beside it, which is converted at the end and is kept if that fails. A file in which no
    sample was written is removed. Files of root have mode 0600.

    Args:
        path: of the recording.
        overwrite: replace an existing file, once the first sample has been taken.

    Raises:
        FileExistsError: the path exists; with `overwrite`, it is a symbolic link.
        BlockingIOError: another recorder is writing the file.
        Unsupported: it is Parquet and pyarrow is not installed.
        OSError: the file can't be created.
    """

    def __init__(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        self.target = Path(path).absolute()
        self.partial = self.target
        """Where the samples are until the recording is complete."""
        self._is_parquet = self.target.suffix == ".parquet"
        self._overwrite = overwrite
        self._is_created = True
        self._writer: Writer | None = None
        self._lock: int | None = None  # on the file to replace
        if self._is_parquet:
            _require_pyarrow()
        try:
            descriptor = self._create()
            self._file = os.fdopen(descriptor, "w", encoding="utf-8", newline="")
            try:
                outfile.lock(descriptor, self.target)
                self._expect_no_other_recorder()
            except BaseException:
                self._file.close()
                self.partial.unlink()
                raise
        except BaseException:
            self._unlock()
            raise

    def _create(self) -> int:
        try:
            mode = self.target.lstat().st_mode
        except FileNotFoundError:
            mode = None
        if mode is not None:
            if not self._overwrite:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(self.target))
            if not stat.S_ISREG(mode):
                return self._open_special_file()
            self._lock = outfile.lock_path(self.target)
        if mode is None and not self._is_parquet:
            return outfile.create(self.target, private=True)
        suffix = ".part" if self._is_parquet else ".new"
        descriptor, self.partial = outfile.create_beside(self.target, suffix, private=True)
        return descriptor

    def _open_special_file(self) -> int:
        """Open a device or a pipe, which nothing has to be replaced of: /dev/stdout."""
        mode = self.target.stat().st_mode
        if self._is_parquet or not (stat.S_ISCHR(mode) or stat.S_ISFIFO(mode)):
            raise FileExistsError(
                errno.EEXIST, "only a regular file can be replaced", str(self.target)
            )
        self._is_created = False
        return os.open(self.target, os.O_WRONLY)

    def _expect_no_other_recorder(self) -> None:
        """Refuse a Parquet file that another recorder collects the samples of."""
        if not self._is_parquet:
            return
        for other in outfile.files_beside(self.target, ".part"):
            if other != self.partial:
                try:
                    os.close(outfile.lock_path(other))
                except BlockingIOError as error:
                    error.filename = str(self.target)
                    raise
                except OSError:  # gone, a link, or another user's
                    continue

    def begin(self, about: Recording) -> None:
        """Write what precedes the samples; the file is at its place from here on."""
        writer = Writer(self._file, about)
        if self.partial != self.target and not self._is_parquet:
            self.partial.replace(self.target)
            self.partial = self.target
        self._writer = writer

    def write(self, rows: Iterable[Row]) -> None:
        """Write and flush the rows of one sample."""
        assert self._writer is not None  # noqa: S101  begin() comes first
        self._writer.write(rows)

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return os.fstat(self._file.fileno()).st_size

    def finish(self) -> None:
        """Convert the samples, if they are not in the target already."""
        if not self._is_parquet:
            return
        with self.partial.open(encoding="utf-8") as text:
            about, _ = _csv_rows(text, str(self.partial))
        schema = _parquet_schema(about)
        batches = _batches_of_csv(self.partial, schema)
        with outfile.replacing(self.target, private=True, overwrite=self._overwrite) as file:
            _write_parquet(file, schema, batches)
        self.partial.unlink()
        self.partial = self.target

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        try:
            self._file.close()
        except OSError:  # a full disk, which was raised already
            if error is None:
                raise
        finally:
            self._unlock()
            if self._writer is None and self._is_created:
                self.partial.unlink(missing_ok=True)
            elif error is not None and self.partial != self.target:
                error.add_note(f"the samples are in {self.partial}")

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


class _StoredRows(Sequence[Row]):
    """The rows of a recording in a file, read when they are first accessed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._state = _file_state(path)

    @cached_property
    def _rows(self) -> tuple[Row, ...]:
        if self._state is None:
            msg = "the samples went to a device or a pipe, which can't be read again"
            raise OSError(errno.ESPIPE, msg, str(self._path))
        if self._state != _file_state(self._path):
            raise OSError(errno.ESTALE, "the file has changed since", str(self._path))
        return tuple(Recording.load(self._path).rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows)

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Row, ...]: ...
    def __getitem__(self, index: int | slice) -> Row | tuple[Row, ...]:
        return self._rows[index]

    def __eq__(self, other: object) -> bool:
        return self._rows == (other._rows if isinstance(other, _StoredRows) else other)

    def __hash__(self) -> int:
        return hash(self._rows)

    def __repr__(self) -> str:
        return repr(self._rows)

    def __reduce__(self) -> tuple[type, tuple[tuple[Row, ...]]]:
        return tuple, (self._rows,)


def _file_state(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return ()
    if not stat.S_ISREG(found.st_mode):
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def record(
    pid: int,
    interval: float = 1.0,
    duration: float | None = None,
    *,
    by: By | None = None,
    path: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
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
        path: where to write while recording: CSV, or Parquet by the suffix .parquet, whose
            samples are in a CSV file beside it, ending in .part, until it is complete.
        overwrite: replace an existing file.
        each: called with the rows of each moment, to show progress.

    Returns:
        What was recorded. With `path` no samples are kept in memory: the rows are read from
        the file when they are first accessed, which is an OSError if it has changed since.

    Raises:
        ProcessNotFound, Unsupported: at the first reading, as `smapskit.read`.
        AccessDenied, OSError: the process can't be read, such as for too many open files. What
            was recorded before is complete in the file.
        FileExistsError: the file exists, before the first reading; with `overwrite`, it is
            no regular file.
        BlockingIOError: another recorder is writing the file.
        Unsupported: it is Parquet and pyarrow is not installed.
        OSError: the file can't be written; what stands in it then can be read. If the Parquet
            file can't be made, the error's note names the CSV file.
    """
    _expect_interval(interval)
    if path is None:
        return record_to(None, pid, interval, duration, by=by, each=each)
    with Output(path, overwrite=overwrite) as output:
        about = record_to(output, pid, interval, duration, by=by, each=each)
    return attrs.evolve(about, rows=_StoredRows(output.target))


def record_to(
    output: Output | None,
    pid: int,
    interval: float = 1.0,
    duration: float | None = None,
    *,
    by: By | None = None,
    each: Callable[[Sequence[Row]], object] | None = None,
) -> Recording:
    """As `record`, to an output that is open already; the rows are returned if it is None."""
    _expect_interval(interval)
    reader = _TimedReader(pid, by)
    moments = reader.moments(interval, duration)
    found = next(moments)
    name = getattr(by, "__name__", "a function") if callable(by) else by
    about = Recording((), pid, reader.command, interval, name)
    rows: list[Row] = []
    keep: Callable[[Sequence[Row]], object] = rows.extend
    if output is not None:
        output.begin(about)
        keep = output.write
    failure: Exception | None = None
    with closing(moments):
        try:
            while True:
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
    if output is not None:
        output.finish()
    if failure is not None:
        raise failure
    return attrs.evolve(about, rows=tuple(rows))


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


def _row(cells: MappingOf[str, Any]) -> Row:
    # A recording of an earlier release has no column of a field that came later.
    figures = {name: _figure(cells.get(name)) for name in _FIGURES}
    shared_rss = _figure(cells["shared_rss"])
    moment = datetime.fromisoformat(cells["time"])
    seconds, reading = float(cells["seconds"]), float(cells["reading"])
    if None in (figures["count"], figures["size"], shared_rss):
        raise ValueError("no count, size or shared_rss")
    if moment.tzinfo is None or not math.isfinite(seconds) or not math.isfinite(reading):
        raise ValueError("no time with a time zone, or seconds that are not finite")
    sums = Totals(**figures)  # type: ignore[arg-type]
    return Row(moment, seconds, reading, cells["group"], sums, shared_rss, cells["event"])  # type: ignore[arg-type]


def _figure(value: object) -> int | None:
    if isinstance(value, str):
        if not value:
            return None
        if value.isascii() and value.isdigit() and len(value) <= len(str(_LARGEST_FIGURE)):
            value = int(value)
    elif value is None:
        return None
    if type(value) is not int or not 0 <= value <= _LARGEST_FIGURE:
        raise ValueError(f"expected a whole number, got {value!a:.40}")
    return value


def _about_of(values: object, name: str) -> Recording:
    """A recording without rows, of its metadata as JSON has it."""
    if isinstance(values, dict):
        known = {key: values[key] for key in _METADATA if values.get(key) is not None}
        if all(type(value) in _METADATA[key] for key, value in known.items()):
            return Recording((), **known)
    raise ParseError("expected a recording's metadata", name, 1)


# ---- CSV ---------------------------------------------------------------------------------


def _metadata_line(about: Recording) -> str:
    # Where a spreadsheet splits this line, no cell begins inside a string, which may begin
    # like a formula.
    text = json.dumps(about._about())  # noqa: SLF001  its own file
    return f"{_MAGIC}{_JSON_STRING.sub(_escape_separators, text)}\n"


def _escape_separators(string: re.Match[str]) -> str:
    return string[0].replace(",", "\\u002c").replace(";", "\\u003b")


def _csv_cells(row: Row) -> list[object]:
    return [guarded(cell) if isinstance(cell, str) else cell for cell in _cells(row)]


def _csv_rows(file: IO[str], name: str) -> tuple[Recording, Iterator[Row]]:
    """The recording of a CSV file without its rows, and the rows as they are read."""
    start = file.read(len(_MAGIC))
    if start != _MAGIC:
        line = (start + file.readline(len(_MAGIC))).split("\n")[0]
        raise ParseError("expected a recording of smapskit's", name, 1, line)
    try:
        about = _about_of(json.loads(file.readline()), name)
    except (ValueError, RecursionError):
        raise ParseError("expected a recording of smapskit's", name, 1) from None
    columns = file.readline().rstrip("\r\n").split(",")
    if tuple(columns[: len(_FIRST_COLUMNS)]) != _FIRST_COLUMNS:
        raise ParseError("expected a recording of smapskit's", name, 2, ",".join(columns))
    return about, _complete_samples(file, columns, name)


def _complete_samples(file: IO[str], columns: list[str], name: str) -> Iterator[Row]:
    # Earlier releases did not mark the last row of a sample: there each row counts.
    has_ends = _SAMPLE_END in columns
    sample: list[Row] = []
    for number, line in enumerate(file, 3):
        if not line.endswith("\n"):
            return  # the recorder was killed while it wrote this line
        try:
            (row,) = csv.reader([line], strict=True)
            cells = dict(zip(columns, row, strict=True))
            if has_ends:
                for text in ("event", "group"):
                    cells[text] = cells[text].removeprefix("'")
            sample.append(_row(cells))
        except (csv.Error, ValueError) as error:
            msg = f"expected a sample's figures ({error})"
            raise ParseError(msg, name, number, line.rstrip("\n")) from None
        if not has_ends or cells[_SAMPLE_END] == "1":
            yield from sample
            sample.clear()


# ---- Parquet -----------------------------------------------------------------------------


def _require_pyarrow() -> None:
    try:
        import pyarrow.parquet  # noqa: F401, PLC0415  an extra
    except ImportError:
        msg = "Parquet requires pyarrow: pip install '.[parquet]' in a checkout of smapskit"
        raise Unsupported(errno.ENOSYS, msg) from None


def _parquet_schema(about: Recording) -> Schema:
    """The columns as pandas reads them, with what a CSV file has in its first line."""
    import pandas as pd  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    types = dict.fromkeys(_COLUMNS, "Int64") | _COLUMN_TYPES
    empty = pd.DataFrame({name: pd.Series(dtype=dtype) for name, dtype in types.items()})
    schema = pa.Schema.from_pandas(empty, preserve_index=False)
    metadata = {_PANDAS_ATTRS: json.dumps(about._about()).encode()}  # noqa: SLF001  its own file
    return schema.with_metadata(schema.metadata | metadata)


def _write_parquet(file: IO[bytes], schema: Schema, batches: Iterable[RecordBatch]) -> None:
    """Write batch by batch, so that the memory needed does not grow with the recording."""
    import pyarrow.parquet as pq  # noqa: PLC0415

    with pq.ParquetWriter(file, schema, write_page_checksum=True) as writer:
        for batch in batches:
            writer.write_batch(batch)


def _batches(rows: Iterable[Row], schema: Schema) -> Iterator[RecordBatch]:
    import pyarrow as pa  # noqa: PLC0415

    left = iter(rows)
    while chunk := list(islice(left, _PARQUET_ROWS)):
        columns = zip(*map(_cells, chunk), strict=True)
        arrays = [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)]
        yield pa.record_batch(arrays, schema=schema)


def _batches_of_csv(path: Path, schema: Schema) -> Iterator[RecordBatch]:
    """The rows of a complete CSV file; a hundred times as fast as by way of `Row`."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415
    from pyarrow import csv as pa_csv  # noqa: PLC0415

    reader = pa_csv.open_csv(
        path,
        read_options=pa_csv.ReadOptions(skip_rows=1),
        convert_options=pa_csv.ConvertOptions(
            column_types=dict(zip(schema.names, schema.types, strict=True)),
            include_columns=schema.names,
        ),
    )
    with reader:
        for batch in reader:
            columns = dict(zip(schema.names, batch.columns, strict=True))
            for name in ("event", "group"):
                without = pc.replace_substring_regex  # pyright: ignore[reportAttributeAccessIssue]
                columns[name] = without(columns[name], "^'", "")
            yield pa.record_batch(list(columns.values()), schema=schema)


def _read_parquet(file: IO[bytes], name: str) -> Recording:
    _require_pyarrow()
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        parquet = pq.ParquetFile(file, page_checksum_verification=True)
        metadata = parquet.schema_arrow.metadata or {}
        about = _about_of(json.loads(metadata.get(_PANDAS_ATTRS, b"{}")), name)
        batches = parquet.iter_batches(_PARQUET_ROWS)
        rows = tuple(_row(cells) for batch in batches for cells in batch.to_pylist())
        if len(rows) == parquet.metadata.num_rows:
            return attrs.evolve(about, rows=rows)
        reason = f"{len(rows)} of {parquet.metadata.num_rows} rows"
    except ParseError:
        raise
    except KeyError as error:
        raise ParseError(f"expected a recording's column {error}", name) from None
    except (pa.ArrowException, OSError, ValueError, TypeError, RecursionError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        reason = (str(error).splitlines() or ["damaged"])[0]
    raise ParseError(f"expected a recording as Parquet ({reason})", name)


def _shown(text: str | None) -> str | None:
    """Valid Unicode on one line, for a file that every program can read."""
    return None if text is None else printable(text)
