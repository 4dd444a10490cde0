"""
Recordings of pages: the state of each page in each sample, in a compressed .npz file.

A state is one byte per page. A sample has the runs of pages whose state changed, and the
exclusive or of both states: a minute of a gigabyte is some tens of kB in a file. The file is
readable by `numpy.load`: see `PageRecording.save` for its arrays.
"""

from __future__ import annotations

import enum
import json
import os
import zipfile
from collections.abc import Iterator, Sequence
from collections.abc import Mapping as MappingOf
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, Self

import attrs
import numpy as np
from numpy.typing import NDArray

from smapskit.errors import ParseError
from smapskit.model.page_runs import Flags, PageRuns
from smapskit.sources import outfile
from smapskit.text import sanitize

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

SUFFIX: Final = ".npz"
_VERSION: Final = 1
_MAX_SIZE: Final = 1 << 30
"""Bytes of all arrays of a file; larger files are rejected."""
_MAX_SECONDS: Final = 10**10
_MAX_PAGE: Final = 2**52
_ARRAYS: Final = {
    "seconds": np.float64,
    "read_seconds": np.float64,
    "runs": np.int64,
    "first": np.int64,
    "length": np.int64,
    "change": np.uint8,
    "metadata": np.uint8,
}


class PageState(enum.IntFlag):
    """The state of a page in a recording; 0 for a page that is not in memory."""

    MAPPED = 1
    """Present in the page table of the process; not the zero page."""
    CACHED = 2
    """In the page cache, whether or not the process maps it."""
    ACTIVE = 4
    """On the kernel's active list."""
    REFERENCED = 8
    """Marked as referenced on its list."""
    UNEVICTABLE = 16
    DIRTY = 32
    SWAPPED = 64
    WRITEBACK = 128


STATES: Final = tuple(state.name.lower() for state in PageState if state.name)


@attrs.frozen
class RecordedRange:
    """A mapping, or a part of it, whose pages were recorded."""

    start: int
    end: int
    """Exclusive."""
    perms: str
    offset: int
    """In the file, of the first page of the range."""
    pathname: str
    seconds: float = 0.0
    """When it was first seen, since the beginning of the recording."""


@attrs.frozen(kw_only=True, eq=False, repr=False)
class PageRecording:
    """The states of pages over time."""

    seconds: NDArray[np.float64]
    """When each sample began, since the beginning of the recording, by a monotonic clock."""
    read_seconds: NDArray[np.float64]
    """How long each sample took to read."""
    changes: Sequence[PageRuns]
    """For each sample the runs of pages that changed; flags are the exclusive or of the states."""
    ranges: tuple[RecordedRange, ...]
    """The mappings that were seen in any sample, by address."""
    page_size: int
    pid: int | None = None
    command: str | None = None
    interval: float | None = None
    """Seconds between samples."""
    unknown: MappingOf[str, str] = attrs.field(factory=dict)
    """The reason for each state that could not be read, by its name in lower case."""
    markers: tuple[tuple[float, str], ...] = ()
    """Seconds since the beginning, and what happened."""
    notes: MappingOf[str, Any] = attrs.field(factory=dict)
    """What else the file should contain, as JSON."""

    def __len__(self) -> int:
        return len(self.seconds)

    def states(self) -> Iterator[PageRuns]:
        """Yield the states of the pages in each sample, as runs with `PageState` flags."""
        state = PageRuns.join(())
        for change in self.changes:
            state = state.changes(change)
            yield state

    def array(self, start: int, end: int) -> Flags:
        """
        Return the states of the pages of a range: one row per sample, one column per page.

        Args:
            start: address of the first page.
            end: address after the last page.
        """
        first, last = start // self.page_size, -(-end // self.page_size)
        rows = [change.array(first, last) for change in self.changes]
        states = np.array(rows, np.uint8).reshape(len(rows), last - first)
        return np.bitwise_xor.accumulate(states, axis=0)

    @cached_property
    def counts(self) -> MappingOf[str, NDArray[np.int64]]:
        """The number of pages in each state, by its name; all pages in memory are `in_memory`."""
        counts = {name: np.zeros(len(self), np.int64) for name in ("in_memory", *STATES)}
        for row, state in enumerate(self.states()):
            sizes = state.end - state.first
            for name in STATES:
                chosen = (state.flags & np.uint8(PageState[name.upper()])) != 0
                counts[name][row] = sizes[chosen].sum()
            is_there = (state.flags & np.uint8(PageState.MAPPED | PageState.CACHED)) != 0
            counts["in_memory"][row] = sizes[is_there].sum()
        return counts

    def to_frame(self) -> DataFrame:
        """Return one row per sample with the number of pages in each state; NA if unknown."""
        from smapskit.views import page_frames  # noqa: PLC0415  loaded where a frame is requested

        return page_frames.recording_frame(self.seconds, self.read_seconds, self.counts, self.unknown)

    def add_marker(self, seconds: float, text: str) -> Self:
        """Return the recording with a further marker, at seconds since the beginning."""
        markers = sorted((*self.markers, (float(seconds), sanitize(text))))
        return attrs.evolve(self, markers=tuple(markers))

    def plot(self) -> Figure:
        """Draw the pages over time: when they came into memory, on which list, and how many."""
        from smapskit.views import page_plots  # noqa: PLC0415  loaded where a plot is requested

        return page_plots.plot_recording(self)

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = True) -> None:
        """
        Write a compressed .npz file, complete or not at all; files of root have mode 0600.

        Its arrays are `seconds` and `read_seconds` of each sample, the number of `runs` of each
        sample, and of each run the number of the `first` page, its `length` in pages and the
        `change` of its state; `metadata` is JSON in UTF-8.

        Raises:
            FileExistsError: the file exists and `overwrite` is false.
            OSError: the file cannot be written.
        """
        runs = PageRuns(
            *(
                np.concatenate([np.empty(0, dtype), *(getattr(c, name) for c in self.changes)])
                for name, dtype in (("first", np.int64), ("end", np.int64), ("flags", np.uint8))
            )
        )
        metadata = json.dumps(self._metadata()).encode()
        with outfile.replacing(Path(path), private=True, overwrite=overwrite) as file:
            np.savez_compressed(
                file,
                seconds=self.seconds,
                read_seconds=self.read_seconds,
                runs=np.array([len(change) for change in self.changes], np.int64),
                first=runs.first,
                length=runs.end - runs.first,
                change=runs.flags,
                metadata=np.frombuffer(metadata, np.uint8),
            )

    def _metadata(self) -> dict[str, Any]:
        return {
            "smapskit page recording": _VERSION,
            "page_size": self.page_size,
            "pid": self.pid,
            "command": None if self.command is None else sanitize(self.command),
            "interval": self.interval,
            "unknown": dict(self.unknown),
            "markers": [list(marker) for marker in self.markers],
            "ranges": [
                attrs.asdict(attrs.evolve(each, pathname=sanitize(each.pathname)))
                for each in self.ranges
            ],
            "notes": dict(self.notes),
        }

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """
        Read a file that `save` or `record_pages` wrote.

        Raises:
            ParseError: for anything that is not a recording of pages, or is larger than 1 GiB.
            OSError: the file cannot be read.
        """
        source = os.fspath(path)
        with Path(path).open("rb") as file:
            try:
                arrays = _read_arrays(file)
                metadata = json.loads(arrays["metadata"].tobytes())
                return cls(**_checked(arrays), **_checked_metadata(metadata))
            except (
                *(ValueError, KeyError, TypeError, OverflowError, RecursionError),
                *(zipfile.BadZipFile, EOFError, NotImplementedError, MemoryError, RuntimeError),
            ) as error:
                detail = str(error) or type(error).__name__
                msg = f"expected a recording of pages (.npz): {detail}"
                raise ParseError(msg, source) from error
            except Exception as error:
                if type(error).__module__ != "zlib":
                    raise
                raise ParseError(f"expected a recording of pages (.npz): {error}", source) from error

    def __repr__(self) -> str:
        length = self.seconds[-1] if len(self) else 0.0
        return f"<PageRecording of {self.pid}: {len(self)} samples in {length:.1f} s>"


def _read_arrays(file: IO[bytes]) -> dict[str, NDArray[Any]]:
    """Return the arrays of a file after checking their names, sizes and types."""
    with zipfile.ZipFile(file) as archive:
        infos = {info.filename: info for info in archive.infolist()}
        sizes = {name: infos[f"{name}.npy"].file_size for name in _ARRAYS}
        if sum(sizes.values()) > _MAX_SIZE:
            raise ValueError(f"larger than {_MAX_SIZE >> 20} MiB")
        arrays = {}
        for name, dtype in _ARRAYS.items():
            # The header is checked before numpy allocates what it declares.
            with archive.open(f"{name}.npy") as member:
                version = np.lib.format.read_magic(member)
                if version != (1, 0):
                    raise ValueError(f"version {version} of the array {name}")
                shape, _, found = np.lib.format.read_array_header_1_0(member)
                if found != np.dtype(dtype) or len(shape) != 1:
                    raise ValueError(f"the array {name} is {found} {shape}")
                data = member.read(sizes[name] + 1)
            if len(data) != shape[0] * found.itemsize:
                raise ValueError(f"the array {name} is truncated")
            arrays[name] = np.frombuffer(data, dtype)
    return arrays


def _checked(arrays: MappingOf[str, NDArray[Any]]) -> dict[str, Any]:
    seconds, read_seconds, runs = arrays["seconds"], arrays["read_seconds"], arrays["runs"]
    first, length, change = arrays["first"], arrays["length"], arrays["change"]
    if not len(seconds) == len(read_seconds) == len(runs):
        raise ValueError("the numbers of samples differ")
    if (runs < 0).any() or not int(runs.sum()) == len(first) == len(length) == len(change):
        raise ValueError("the numbers of runs differ")
    for times in (seconds, read_seconds):
        if not ((times >= 0) & (times <= _MAX_SECONDS)).all():
            raise ValueError("a time that is not a number of seconds")
    if (seconds[1:] < seconds[:-1]).any():
        raise ValueError("the samples are not in order")
    if ((first < 0) | (length <= 0) | (first > _MAX_PAGE) | (length > _MAX_PAGE)).any():
        raise ValueError("a run of pages without pages or out of range")
    ends = np.cumsum(runs)
    parts = []
    for low, high in zip((ends - runs).tolist(), ends.tolist(), strict=True):
        part = PageRuns(first[low:high], (first + length)[low:high], change[low:high])
        if (part.first[1:] < part.end[:-1]).any() or not part.flags.all():
            raise ValueError("runs of pages that overlap or do not change anything")
        parts.append(part)
    return {"seconds": seconds, "read_seconds": read_seconds, "changes": tuple(parts)}


def _checked_metadata(metadata: Any) -> dict[str, Any]:
    if not isinstance(metadata, dict) or metadata.pop("smapskit page recording", 0) != _VERSION:
        raise ValueError(f"its metadata are not those of version {_VERSION}")
    types: dict[str, tuple[type, ...]] = {
        "page_size": (int,),
        "pid": (int, type(None)),
        "command": (str, type(None)),
        "interval": (int, float, type(None)),
        "unknown": (dict,),
        "markers": (list,),
        "ranges": (list,),
        "notes": (dict,),
    }
    for name, expected in types.items():
        if type(metadata[name]) not in expected:
            raise ValueError(f"its metadata have no valid {name}")
    values = {name: metadata[name] for name in types}
    if not 0 < values["page_size"] <= 1 << 30 or values["page_size"] % 512:
        raise ValueError(f"a page size of {values['page_size']} bytes")
    values["markers"] = tuple((float(at), sanitize(str(text))) for at, text in values["markers"])
    values["unknown"] = {str(k): sanitize(str(v)) for k, v in values["unknown"].items()}
    values["ranges"] = tuple(_range(**each) for each in values["ranges"])
    return values


def _range(**values: Any) -> RecordedRange:
    found = RecordedRange(**values)
    numbers = (found.start, found.end, found.offset)
    if not all(type(number) is int for number in numbers) or not 0 <= found.start < found.end:
        raise ValueError("a range without addresses")
    return attrs.evolve(
        found,
        pathname=sanitize(str(found.pathname)),
        perms=sanitize(str(found.perms)),
        seconds=float(found.seconds),
    )
