"""What was recorded of a process: samples with the sums of its mappings, and markers."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping as MappingOf
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, overload

import attrs

from smapskit.model.totals import Totals, add_totals, totals
from smapskit.sources.recording import storage
from smapskit.sources.recording.storage import COLUMNS, NUMBERS
from smapskit.text import sanitize
from smapskit.views.columns import HEADINGS, OF_RECORDINGS

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

_MAX_INT64: Final = 2**63 - 1
_MAX_SECONDS: Final = 10**10
_SOURCES: Final = ("smaps", "status")


@attrs.frozen
class Sample:
    """The sums of a group of mappings at one time; or, with `marker`, only a marker."""

    time: datetime
    """When reading began, in UTC."""
    seconds: float
    """Since the beginning of the recording, by a monotonic clock."""
    read_seconds: float
    """How long reading and summing took."""
    group: str = attrs.field(converter=sanitize)
    """The group, on one line; "" for all mappings."""
    totals: Totals
    marker: str = attrs.field(default="", converter=sanitize)
    """What happened, on one line; "" for a sample."""
    source: str = attrs.field(
        default=attrs.Factory(lambda self: "" if self.marker else "smaps", takes_self=True)
    )
    """What was read of /proc/PID: smaps, or status (and maps); "" for a marker."""

    def cells(self) -> list[object]:
        """Return the values in the order of the columns of a file."""
        first = [self.time.isoformat(), self.seconds, self.read_seconds, self.marker, self.group]
        numbers = (getattr(self.totals, name) for name in NUMBERS)
        return [*first, self.totals.shared_rss, *numbers, self.source]

    @classmethod
    def from_cells(cls, cells: MappingOf[str, Any]) -> Sample:
        """
        Return the sample of a row of a file.

        Args:
            cells: by column, text or numbers; counters that came after the release that wrote
                the file may be missing.

        Raises:
            ValueError: a value that its column cannot have.
            KeyError: a column is missing.
        """
        values = {name: _to_number(cells.get(name)) for name in NUMBERS}
        time = datetime.fromisoformat(cells["time"])
        seconds, read_seconds = float(cells["seconds"]), float(cells["reading"])
        shared_rss = _to_number(cells["shared_rss"])
        marker = cells["event"]
        source = cells.get("source") or ("" if marker else "smaps")  # earlier releases read smaps
        if source not in ("", *_SOURCES):
            raise ValueError(f"expected one of {', '.join(_SOURCES)}, got {source!a:.40}")
        if None in (values["count"], values["size"]):
            raise ValueError("no count or size")
        if source != "status" and shared_rss is None and values["rss"] is not None:
            raise ValueError("no shared_rss")
        if time.tzinfo is None:
            raise ValueError("a time without a time zone")
        if not (0 <= seconds <= _MAX_SECONDS and 0 <= read_seconds <= _MAX_SECONDS):
            raise ValueError(f"seconds that are not between 0 and {_MAX_SECONDS}")
        sums = Totals(shared_rss=shared_rss, **values)  # type: ignore[arg-type]
        return cls(time, seconds, read_seconds, cells["group"], sums, marker, source)


def _to_number(value: object) -> int | None:
    if value is None or value == "":
        return None
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value) if len(value) <= len(str(_MAX_INT64)) else -1
    if type(value) is not int or not 0 <= value <= _MAX_INT64:
        raise ValueError(f"expected a whole number, got {value!a:.40}")
    return value


@attrs.frozen(repr=False)
class Recording:
    """A process over time: the sums of its mappings in each sample, and markers for events."""

    rows: Sequence[Sample]
    """A tuple; those of `record(path=...)` are read from the file when first accessed."""
    pid: int | None = None
    command: str | None = None
    """The command line at the first sample."""
    interval: float | None = None
    """Seconds between samples."""
    by: str | None = None
    """What the sums were grouped by; None for one group."""
    notes: MappingOf[str, Any] = attrs.field(factory=dict, hash=False)
    """What else the file should contain, as JSON: the machine, the purpose, findings."""

    @property
    def samples(self) -> tuple[Sample, ...]:
        """The rows that are not markers."""
        return tuple(row for row in self.rows if not row.marker)

    @property
    def markers(self) -> tuple[tuple[float, str], ...]:
        """The markers: seconds since the beginning, and what happened."""
        return tuple((row.seconds, row.marker) for row in self.rows if row.marker)

    def add_marker(self, seconds: float, text: str) -> Recording:
        """
        Return the recording with a further marker.

        Args:
            seconds: since the beginning.
            text: what happened.

        Raises:
            ValueError: the recording has no samples, so that it has no beginning.
        """
        if not self.rows:
            raise ValueError("expected a recording with samples")
        begin = self.rows[0].time - timedelta(seconds=self.rows[0].seconds)
        row = Sample(begin + timedelta(seconds=seconds), seconds, 0.0, "", totals(()), text)
        rows = sorted((*self.rows, row), key=lambda each: each.seconds)
        return attrs.evolve(self, rows=tuple(rows))

    def totals(self) -> dict[float, Totals]:
        """Return the sums over all groups, by seconds since the beginning."""
        samples: dict[float, list[Totals]] = {}
        for row in self.samples:
            samples.setdefault(row.seconds, []).append(row.totals)
        return {seconds: add_totals(sums) for seconds, sums in samples.items()}

    def to_frame(self) -> DataFrame:
        """
        Return one row per group and sample, in kB, with the time as index.

        Markers are not rows: they are in `attrs["events"]`.
        """
        import pandas as pd  # noqa: PLC0415  loaded where a frame is requested

        names = [name for name in COLUMNS if name != "event"]
        cells = [dict(zip(COLUMNS, row.cells(), strict=True)) for row in self.samples]
        frame = pd.DataFrame({name: [row[name] for row in cells] for name in names})
        for name in ("shared_rss", *NUMBERS):
            frame[name] = frame[name].astype("Int64")
        frame["time"] = pd.to_datetime(frame["time"], utc=True)
        frame.attrs |= self.metadata() | {"unit": "kB", "events": [list(m) for m in self.markers]}
        return frame.set_index("time")

    def plot(self, *, memory_limit: int | None = None) -> Figure:
        """
        Plot memory over time, with the markers.

        With groups (`by`), the RSS of each group is stacked: the top is the sum. Without, RSS,
        the RSS of shared mappings and anonymous memory are lines.

        Args:
            memory_limit: in kB, such as the limit of a container, drawn as a line.
        """
        from smapskit.views import series_plots  # noqa: PLC0415  loaded for a plot

        series = plotted_series(self)
        plot = series_plots.plot_stack if series.is_stacked else series_plots.plot_series
        by = f" by {self.by}" if series.is_stacked and self.by else ""
        process = f"process {self.pid}" if self.pid is not None else "a process"
        return plot(
            series.seconds,
            series.values,
            self.markers,
            title=f"{'RSS' if series.is_stacked else 'Memory'} of {process}{by}",
            command=self.command,
            memory_limit=memory_limit,
        )

    def to_html(
        self,
        path: str | os.PathLike[str],
        *,
        title: str | None = None,
        memory_limit: int | None = None,
    ) -> None:
        """
        Write a report: one HTML file with findings, the chart and all samples.

        It opens offline and loads nothing. The file is complete or not written at all; an
        existing one is replaced. Files of root have mode 0600.

        Args:
            path: of the file.
            title: of the page; None: the process.
            memory_limit: in kB, as in `plot`.

        Raises:
            OSError: the file cannot be written.
        """
        from smapskit.sources import report  # noqa: PLC0415  it imports this module

        options = report.ReportOptions(title=title)
        report.write_recording_report(self, path, options, memory_limit=memory_limit)

    def save(self, path: str | os.PathLike[str]) -> None:
        """
        Write a file: CSV or, with the suffix .parquet, Parquet (requires pyarrow).

        The file is complete or not written at all; an existing one is replaced. Files of root
        have mode 0600.

        Raises:
            Unsupported: it is Parquet and pyarrow is not installed.
            OSError: the file cannot be written.
        """
        samples = groupby(self.rows, lambda row: (row.seconds, row.marker))
        cells = ([row.cells() for row in rows] for _, rows in samples)
        storage.save(path, self.metadata(), cells)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Recording:
        """
        Read a file written by `save` or `record`; of a truncated CSV file, all complete samples.

        Raises:
            ParseError: with file and line, for anything that is not a recording.
            OSError: the file cannot be read.
            Unsupported: it is Parquet and pyarrow is not installed.
        """
        metadata, rows = storage.load(path, Sample.from_cells)
        return cls(tuple(rows), **metadata)

    def metadata(self) -> dict[str, Any]:
        """Return everything but the rows, as JSON can represent it."""
        return {
            "pid": self.pid,
            "command": None if self.command is None else sanitize(self.command),
            "interval": self.interval,
            "by": self.by,
            "notes": dict(self.notes),
        }

    def __repr__(self) -> str:
        sums = self.totals()
        length = max(sums, default=0.0)
        return f"<Recording of {self.pid}: {len(sums)} samples in {length:.1f} s>"


class PlottedSeries(NamedTuple):
    """What is plotted of a recording."""

    seconds: Sequence[float]
    values: dict[str, list[int | None]]
    """In kB by name, one for each sample."""
    is_stacked: bool
    """Whether the values are the RSS of groups, of which the sum is plotted too."""


def plotted_series(recording: Recording) -> PlottedSeries:
    """Return the RSS of each group, or the sums over time where there are no groups."""
    sums = recording.totals()
    groups = _rss_of_groups(recording, list(sums))
    if len(groups) > 1:
        return PlottedSeries(list(sums), groups, is_stacked=True)
    values = {
        HEADINGS[name]: [getattr(total, name) for total in sums.values()] for name in OF_RECORDINGS
    }
    return PlottedSeries(list(sums), values, is_stacked=False)


def _rss_of_groups(recording: Recording, seconds: Sequence[float]) -> dict[str, list[int | None]]:
    """Return the RSS of each group in each sample; 0 where the group has no mappings."""
    position = {second: number for number, second in enumerate(seconds)}
    groups: dict[str, list[int | None]] = {}
    for row in recording.samples:
        values = groups.setdefault(row.group or "(anonymous)", [0] * len(position))
        values[position[row.seconds]] = row.totals.rss
    return groups


class StoredRows(Sequence[Sample]):
    """The rows of a recording in a file, read when they are first accessed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._state = storage.file_state(path)

    @cached_property
    def _rows(self) -> tuple[Sample, ...]:
        if self._state is None:
            msg = "the samples were written to a device or a pipe, which cannot be read again"
            raise OSError(errno.ESPIPE, msg, str(self._path))
        if self._state != storage.file_state(self._path):
            raise OSError(errno.ESTALE, "the file has changed since", str(self._path))
        return tuple(Recording.load(self._path).rows)

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Sample, ...]: ...
    def __getitem__(self, index: int | slice) -> Sample | tuple[Sample, ...]:
        return self._rows[index]

    def __eq__(self, other: object) -> bool:
        return self._rows == (other._rows if isinstance(other, StoredRows) else other)

    def __hash__(self) -> int:
        return hash(self._rows)

    def __repr__(self) -> str:
        return repr(self._rows)

    def __reduce__(self) -> tuple[type, tuple[tuple[Sample, ...]]]:
        return tuple, (self._rows,)
