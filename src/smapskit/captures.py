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
from smapskit.smaps.parse import parse_maps_all, parse_rollup_all, parse_smaps_all
from smapskit.snapshot import Snapshot

if TYPE_CHECKING:
    from pandas import DataFrame

    from smapskit.frames import Unit

Source = str | os.PathLike[str] | IO[bytes] | IO[str]

LIMIT: Final = 256 * 2**20
"""How many bytes of text a compressed capture may have, unless `limit` allows more."""

_PLAIN_LIMIT: Final = 4 * 2**30  # without compression: a pipe may have no end
_BLOCK: Final = 1 << 20  # read(n) allocates n bytes, however few there are

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


def load(source: Source, *, strict: bool = True, limit: int | None = None) -> Snapshot:
    """
    Read a saved capture of one process: smaps, maps or any pmap's text.

    Args:
        source: a path, or a file open for reading; gzip, bzip2, xz and zstd are read through.
        strict: see `parse_smaps` and `parse_pmap`.
        limit: how many bytes its text may have; None for 256 MiB where it is compressed,
            4 GiB where it is not.

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


def load_all(source: Source, *, strict: bool = True, limit: int | None = None) -> list[Snapshot]:
    """
    Read a saved capture of one or several processes; the rest is as in `load`.

    Returns:
        A snapshot for each process, at least one. See `parse_smaps_all` for how the texts of
        `cat /proc/*/smaps` are told from one another.
    """
    data, name = _read(source, limit)
    return _snapshots(data, name, strict=strict)


def _snapshots(data: bytes, name: str | None, *, strict: bool = True) -> list[Snapshot]:
    format_ = recognise(data, source=name)
    if format_ == "smaps":
        return parse_smaps_all(data, source=name, strict=strict)
    if format_ == "maps":
        return parse_maps_all(data, source=name)
    if format_ == "smaps_rollup":
        msg = "expected mappings, got smaps_rollup, which holds sums: load_rollup reads it"
        raise ParseError(msg, name)
    return parse_pmaps(data, source=name, strict=strict)


def frames_of(source: Source, unit: Unit = "kB", *, limit: int | None = None) -> list[DataFrame]:
    """
    Read a saved capture into frames, one for each process in it.

    As `load_all` and then `to_frame`, by the faster way where there is one.
    """
    from smapskit import frames  # noqa: PLC0415  pandas is for whoever asks for a frame

    data, name = _read(source, limit)
    if recognise(data, source=name) == "smaps":
        return frames.parse_frames(data, unit, source=name)
    return [frames.to_frame(snapshot, unit) for snapshot in _snapshots(data, name)]


def load_rollup(source: Source, *, limit: int | None = None) -> Rollup:
    """
    Read a saved smaps_rollup of one process; the rest is as in `load`.

    Raises:
        ParseError: as `load`; for several processes, which `load_rollup_all` reads.
    """
    rollups = load_rollup_all(source, limit=limit)
    if len(rollups) > 1:
        msg = f"expected one process, got {len(rollups)}: load_rollup_all reads several"
        raise ParseError(msg, _name(source))
    return rollups[0]


def load_rollup_all(source: Source, *, limit: int | None = None) -> list[Rollup]:
    """Read a saved smaps_rollup of one or several processes; the rest is as in `load`."""
    data, name = _read(source, limit)
    return parse_rollup_all(data, source=name)


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


def _read(source: Source, limit: int | None) -> tuple[bytes, str | None]:
    name = _name(source)
    if isinstance(source, (str, os.PathLike)):
        with Path(source).open("rb") as file:
            data = _read_to_end(file, limit)
    else:
        data = _read_to_end(source, limit)
    module = next((m for magic, m in _COMPRESSIONS.items() if data.startswith(magic)), None)
    if module is not None:
        limit = LIMIT if limit is None else limit
        data = _decompressed(data, module, limit, name)
    most = _PLAIN_LIMIT if limit is None else limit
    if len(data) > most:
        msg = f"expected a text of at most {most:,} bytes: limit= (--limit) allows more"
        raise ParseError(msg, name)
    return data, name


def _read_to_end(file: IO[bytes] | IO[str], limit: int | None) -> bytes:
    """
    All that a file has; of one that is too long, more than the limit.

    Compressed data that is larger than its text is read as well: compression adds less than
    a block to what it can't make smaller.
    """
    left = (_PLAIN_LIMIT if limit is None else limit + limit // 16) + _BLOCK
    blocks: list[Any] = []
    # An unbuffered file or a pipe returns less than was asked for.
    while left > 0:
        block: Any = file.read(min(left, _BLOCK))
        if block is None:
            msg = "expected a file that waits for data, got one with O_NONBLOCK"
            raise BlockingIOError(errno.EAGAIN, msg)
        if not block:
            break
        blocks.append(block)
        left -= len(block)
    return texts.to_bytes((blocks[0][:0] if blocks else b"").join(blocks))


def _decompressed(data: bytes, module: str, limit: int, name: str | None) -> bytes:
    """The text, or the beginning of one that is longer than the limit."""
    opened = _open_zstd if module == "zstd" else importlib.import_module(module).open
    try:
        with opened(io.BytesIO(data)) as file:
            return _read_to_end(file, limit)
    except (Unsupported, MemoryError):
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
