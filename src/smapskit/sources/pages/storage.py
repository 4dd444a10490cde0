"""
Files of page recordings: compressed .npz files, readable by `numpy.load`.

A minute of a gigabyte is some tens of kB.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
import zlib
from collections.abc import Mapping as MappingOf
from pathlib import Path
from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from smapskit.errors import ParseError
from smapskit.model.page_recording import PageRecording, RecordedRange
from smapskit.model.page_runs import PageRuns
from smapskit.sources import outfile
from smapskit.text import sanitize

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
_MALFORMED: Final = (
    *(ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError),
    *(zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, MemoryError),
)
"""What the libraries raise for a file that is not what it claims to be."""


def save_pages(
    recording: PageRecording, path: str | os.PathLike[str], *, overwrite: bool = True
) -> None:
    """
    Write a compressed .npz file, complete or not at all; files of root have mode 0600.

    Its arrays are `seconds` and `read_seconds` of each sample, the number of `runs` of each
    sample, and of each run the number of the `first` page, its `length` in pages and the
    `change` of its state; `metadata` is JSON in UTF-8.

    Raises:
        FileExistsError: the file exists and `overwrite` is false.
        OSError: the file cannot be written.
    """
    changes = recording.changes
    first = np.concatenate([np.empty(0, np.int64), *(change.first for change in changes)])
    end = np.concatenate([np.empty(0, np.int64), *(change.end for change in changes)])
    flags = np.concatenate([np.empty(0, np.uint8), *(change.flags for change in changes)])
    metadata = json.dumps(_metadata(recording)).encode()
    with outfile.replacing(Path(path), private=True, overwrite=overwrite) as file:
        np.savez_compressed(
            file,
            seconds=recording.seconds,
            read_seconds=recording.read_seconds,
            runs=np.array([len(change) for change in changes], np.int64),
            first=first,
            length=end - first,
            change=flags,
            metadata=np.frombuffer(metadata, np.uint8),
        )


def _metadata(recording: PageRecording) -> dict[str, Any]:
    return {
        "smapskit page recording": _VERSION,
        "page_size": recording.page_size,
        "pid": recording.pid,
        "command": None if recording.command is None else sanitize(recording.command),
        "interval": recording.interval,
        "unknown": dict(recording.unknown),
        "markers": [list(marker) for marker in recording.markers],
        "ranges": [
            attrs.asdict(attrs.evolve(each, pathname=sanitize(each.pathname)))
            for each in recording.ranges
        ],
        "notes": dict(recording.notes),
    }


def load_pages(path: str | os.PathLike[str]) -> PageRecording:
    """
    Read a file that `save_pages` or `record_pages` wrote.

    Raises:
        ParseError: for anything that is not a recording of pages, or is larger than 1 GiB.
        OSError: the file cannot be read.
    """
    source = os.fspath(path)
    with Path(path).open("rb") as file:
        data = file.read(_MAX_SIZE + 1)
    try:
        arrays = _read_arrays(data)
        metadata = json.loads(arrays["metadata"].tobytes())
        return PageRecording(**_checked(arrays), **_checked_metadata(metadata))
    except _MALFORMED as error:
        detail = str(error) or type(error).__name__
        msg = f"expected a recording of pages ({SUFFIX}): {detail}"
        raise ParseError(msg, source) from error


def _read_arrays(data: bytes) -> dict[str, NDArray[Any]]:
    """Return the arrays of a file after checking their names, sizes and types."""
    if len(data) > _MAX_SIZE:
        raise ValueError(f"larger than {_MAX_SIZE >> 20} MiB")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
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
                content = member.read(sizes[name] + 1)
            if len(content) != shape[0] * found.itemsize:
                raise ValueError(f"the array {name} is truncated")
            arrays[name] = np.frombuffer(content, dtype)
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
