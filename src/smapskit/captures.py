"""
Saved captures: the one room that opens files that people kept.

What a capture is follows from its content, never from its name.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import io
import os
import re
from itertools import pairwise
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from smapskit import texts
from smapskit.errors import ParseError, Unsupported
from smapskit.pmap.read import parse_pmaps
from smapskit.records import Rollup
from smapskit.smaps.grammar import FIELD, HEADER
from smapskit.smaps.parse import parse_maps, parse_rollup, parse_smaps
from smapskit.snapshot import Snapshot

if TYPE_CHECKING:
    from pandas import DataFrame

    from smapskit.frames import Unit

Source = str | os.PathLike[str] | IO[bytes] | IO[str]

LIMIT: Final = 4 * 2**30
"""How many bytes of text a capture may have: a guard against decompression bombs."""

_COMPRESSIONS = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bz2",
    b"\xfd7zXZ\0": "lzma",
    b"\x28\xb5\x2f\xfd": "zstd",
}
_LOOK_AT = 64 * 1024  # enough of the text to tell what it is
# Other programs' texts, which people take for smaps or pmap, by what their lines look like.
_OTHERS = (
    (re.compile(rb"[0-9a-f]+ (?:default|local|bind|prefer|interleave|weighted)\b"), "numa_maps"),
    (re.compile(rb"[ \t]*virtual[ \t]+shared[ \t]+shared[ \t]+private"), "Android's showmap"),
    (re.compile(rb"memory map|.*[0-9a-f]{8}'[0-9a-f]{8}"), "a tombstone's memory map"),
    (re.compile(rb"MemTotal:"), "/proc/meminfo"),
    (re.compile(rb"Name:\t.*\nUmask:"), "/proc/PID/status"),
)


def load(source: Source, *, strict: bool = True, limit: int = LIMIT) -> Snapshot:
    """
    Read a saved capture of one process: smaps, maps or any pmap's text.

    Args:
        source: a path, or a file open for reading; gzip, bzip2, xz and zstd are read through.
        strict: see `parse_smaps` and `parse_pmap`.
        limit: the most bytes that its text may have.

    Raises:
        ParseError: with file and line, for a text that is none of these, or that is longer
            than the limit, or that holds several processes (`load_all` reads those).
        OSError: the file can't be read.
        Unsupported: it is zstd and the extra `zstd` is not installed.
    """
    snapshots = load_all(source, strict=strict, limit=limit)
    if len(snapshots) != 1:
        msg = f"expected one process, got {len(snapshots)}: load_all reads several"
        raise ParseError(msg, _name(source))
    return snapshots[0]


def load_all(source: Source, *, strict: bool = True, limit: int = LIMIT) -> list[Snapshot]:
    """Read a saved capture of one or several processes; the rest is as in `load`."""
    data, name = _read(source, limit)
    return _snapshots(data, name, strict=strict)


def _snapshots(data: bytes, name: str | None, *, strict: bool = True) -> list[Snapshot]:
    format_ = recognise(data, source=name)
    if format_ == "smaps":
        return [parse_smaps(data, source=name, strict=strict)]
    if format_ == "maps":
        return [parse_maps(data, source=name)]
    if format_ == "smaps_rollup":
        msg = "expected mappings, got smaps_rollup, which holds sums: load_rollup reads it"
        raise ParseError(msg, name)
    return parse_pmaps(data, source=name, strict=strict)


def frames_of(source: Source, unit: Unit = "kB", *, limit: int = LIMIT) -> list[DataFrame]:
    """
    Read a saved capture into frames, one for each process in it.

    As `load_all` and then `to_frame`, by the faster way where there is one.
    """
    from smapskit import frames  # noqa: PLC0415  pandas is for whoever asks for a frame

    data, name = _read(source, limit)
    if recognise(data, source=name) == "smaps":
        return [frames.parse_frame(data, unit, source=name)]
    return [frames.to_frame(snapshot, unit) for snapshot in _snapshots(data, name)]


def load_rollup(source: Source, *, limit: int = LIMIT) -> Rollup:
    """Read a saved smaps_rollup; the rest is as in `load`."""
    data, name = _read(source, limit)
    return parse_rollup(data, source=name)


def recognise(data: bytes, *, source: str | None = None) -> str:
    """
    Tell what a text is: "smaps", "smaps_rollup", "maps" or "pmap".

    Raises:
        ParseError: it is another program's, by name where that is known.
    """
    head, _ = texts.unwrapped(data[:_LOOK_AT], HEADER)
    lines = [line for line in head.split(b"\n") if line.strip()]
    for line, behind in pairwise([*lines, b""]):
        if header := HEADER.fullmatch(line):
            if header[7] == b"[rollup]":
                return "smaps_rollup"
            return "smaps" if FIELD.fullmatch(behind) and not HEADER.match(behind) else "maps"
    for pattern, what in _OTHERS:
        if any(pattern.match(line) for line in lines[:20]) or pattern.match(head):
            msg = f"expected smaps, maps or a pmap's table, got {what}"
            raise ParseError(msg, source, 1, texts.decode(lines[0]))
    if not lines:
        return "smaps"  # a kernel thread's
    if FIELD.fullmatch(lines[0]) and re.match(rb"[A-Z]", lines[0]):
        return "smaps"  # whose beginning is cut: its reader says so
    return "pmap"


def _name(source: Source) -> str | None:
    if isinstance(source, (str, os.PathLike)):
        return os.fspath(source)
    name = getattr(source, "name", None)
    return name if isinstance(name, str) else None


def _read(source: Source, limit: int) -> tuple[bytes, str | None]:
    name = _name(source)
    if isinstance(source, (str, os.PathLike)):
        with Path(source).open("rb") as file:
            data: bytes | str = file.read(limit + 1)
    else:
        data = source.read(limit + 1)
    text = _decompressed(texts.to_bytes(data), limit, name)
    if len(text) > limit:
        msg = f"expected a text of at most {limit:,} bytes; a higher limit= reads more"
        raise ParseError(msg, name)
    return text, name


def _decompressed(data: bytes, limit: int, name: str | None) -> bytes:
    """The text, one byte more than the limit at the most; what compressed it, it says itself."""
    module = next((m for magic, m in _COMPRESSIONS.items() if data.startswith(magic)), None)
    if module is None:
        return data
    opened = _open_zstd if module == "zstd" else importlib.import_module(module).open
    try:
        with opened(io.BytesIO(data)) as file:
            return bytes(file.read(limit + 1))
    except Unsupported:
        raise
    except Exception as error:  # each of them has errors of its own for damaged data
        msg = f"expected whole {module} data ({error})"
        raise ParseError(msg, name) from error


def _open_zstd(file: IO[bytes]) -> Any:
    for module in ("compression.zstd", "backports.zstd"):  # Python 3.14 has its own
        with contextlib.suppress(ImportError):
            return importlib.import_module(module).open(file)
    msg = "reading zstd requires backports.zstd: pip install '.[zstd]' in a checkout"
    raise Unsupported(errno.ENOSYS, msg)
