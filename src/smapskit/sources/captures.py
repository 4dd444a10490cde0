"""
Read saved captures: text that `cat`, pmap or another program wrote, compressed or not.

The format is detected from the content, never from the name.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import io
import os
import re
from itertools import chain, takewhile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from smapskit.errors import ParseError, Unsupported
from smapskit.formats import oom, paste
from smapskit.formats.foreign import SNIFF_BYTES, error_at_text, foreign_error, reject_binary
from smapskit.formats.pmap.read import ROW_EXAMPLE, parse_pmaps
from smapskit.formats.smaps.files import SMAPS
from smapskit.formats.smaps.grammar import FIELD, HEADER, HEADER_EXAMPLE, NUMBER, ROLLUP_NAME
from smapskit.formats.smaps.parse import (
    parse_columns_all,
    parse_maps_all,
    parse_rollup_all,
    parse_smaps_all,
)
from smapskit.formats.smaps.pasted import is_known_field
from smapskit.model.columns import Columns
from smapskit.model.mapping import Rollup, to_columns
from smapskit.model.oom import OomReport
from smapskit.model.snapshot import Snapshot
from smapskit.text import encode

if TYPE_CHECKING:
    from smapskit.formats.smaps.uniform import Template

Source = str | os.PathLike[str] | IO[bytes] | IO[str]

MAX_BYTES: Final = 256 * 2**20
"""The limit for the text of a compressed capture, unless `limit` is given."""

_MAX_PLAIN_BYTES: Final = 4 * 2**30
"""The limit without compression: a pipe may be endless."""
_BLOCK_SIZE: Final = 1 << 20
"""Bytes per read: read(n) allocates n bytes even if there are fewer."""

_COMPRESSIONS: Final = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bz2",
    b"\xfd7zXZ\0": "lzma",
    b"\x28\xb5\x2f\xfd": "zstd",
}
_BLANKS = rb"(?:[ \t]|\xc2\xa0)+"
_LIKE_PMAP: Final = re.compile(
    # An address, up to 8 counters, a mode; or the first columns of a heading.
    rb"(?<![\w'-])[0-9a-f]{8,16}(?:%b(?:[0-9]{1,18}K?|-)){0,8}%b[r-][w-]|\bAddress%b(?:Kbytes|Perm)\b"
    % (_BLANKS, _BLANKS, _BLANKS)
)
"""Part of a text that was meant to be one of pmap, though it may be malformed."""
_LIKE_KERNEL: Final = re.compile(rb"[0-9a-f]-[0-9a-f]+ [r-][w-][x-][sp] ")
"""Part of a header line."""
_MAX_PREAMBLE_LINES: Final = 6  # /proc/meminfo has some of these fields too, further down
_NONE_OF: Final = (
    "none of smaps, smaps_rollup, maps or pmap: expected a line such as "
    f"'{HEADER_EXAMPLE}' or '{ROW_EXAMPLE}'"
)


def load(source: Source, *, strict: bool = True, limit: int | None = None) -> Snapshot:
    """
    Read a saved capture of one process: smaps, maps or the text of any pmap.

    Args:
        source: a path, or a file open for reading. gzip, bzip2, xz and zstd are decompressed.
        strict: see `parse_smaps` and `parse_pmap`.
        limit: maximum length of its text in bytes; None for 256 MiB if it is compressed, 4 GiB
            if it is not.

    Raises:
        ParseError: with file and line, for any other text, for one longer than the limit, and
            for one with several processes (`load_all` reads those).
        OSError: the file cannot be read.
        Unsupported: it is zstd, and this Python cannot decompress it.
        TypeError: `source` is a number: `read(pid)` reads a live process.
    """
    snapshots = load_all(source, strict=strict, limit=limit)
    if len(snapshots) != 1:
        msg = f"expected one process, got {len(snapshots)}: load_all reads several"
        raise ParseError(msg, _name(source))
    return snapshots[0]


def load_all(source: Source, *, strict: bool = True, limit: int | None = None) -> list[Snapshot]:
    """
    Read a saved capture of one or several processes. Args and errors are those of `load`.

    Returns:
        One snapshot per process, at least one. See `parse_smaps_all` for how the processes in
        the output of `cat /proc/*/smaps` are separated.
    """
    data, name = _read(source, limit)
    return _snapshots(data, name, strict=strict)


def _snapshots(data: bytes, name: str | None, *, strict: bool = True) -> list[Snapshot]:
    format_ = detect_format(data)
    if format_ == "smaps":
        return parse_smaps_all(data, source=name, strict=strict)
    if format_ == "maps":
        return parse_maps_all(data, source=name, strict=strict)
    if format_ == "smaps_rollup":
        msg = "expected mappings, got smaps_rollup, which contains sums: load_rollup reads it"
        raise ParseError(msg, name)
    if format_ == "oom_report":
        msg = "expected mappings, got an OOM report: smapskit explain and load_oom_reports read it"
        raise ParseError(msg, name)
    try:
        return parse_pmaps(data, source=name, strict=strict)
    except ParseError:
        if _LIKE_PMAP.search(data):
            raise
        raise _none_of(data, name) from None


def _none_of(data: bytes, name: str | None) -> ParseError:
    """Return the error for a text without any line that belongs to a listing."""
    if foreign := foreign_error(data, name):
        return foreign
    return error_at_text(_NONE_OF, data, 0, name)


class ColumnLoader:
    """
    Reads saved captures as `load_all` does, into columns without records.

    Most captures of many have the same fields: what is learned from one is tried on the next.
    """

    def __init__(self, *, strict: bool = True, limit: int | None = None) -> None:
        self._strict = strict
        self._limit = limit
        self._template: Template | None = None

    def load(self, source: Source) -> list[tuple[int | None, list[Columns]]]:
        """Return pid and columns of each process of a capture. Errors are those of `load`."""
        data, name = _read(source, self._limit)
        if detect_format(data) != "smaps":
            snapshots = _snapshots(data, name, strict=self._strict)
            return [(snapshot.pid, [to_columns(snapshot.mappings)]) for snapshot in snapshots]
        processes, template = parse_columns_all(
            data, source=name, strict=self._strict, template=self._template
        )
        self._template = template or self._template
        return [(None, parts) for parts in processes]


def load_rollup(source: Source, *, strict: bool = True, limit: int | None = None) -> Rollup:
    """
    Read a saved smaps_rollup of one process. Args are those of `load`.

    Raises:
        ParseError: as `load`; for several processes, which `load_rollup_all` reads.
    """
    rollups = load_rollup_all(source, strict=strict, limit=limit)
    if len(rollups) > 1:
        msg = f"expected one process, got {len(rollups)}: load_rollup_all reads several"
        raise ParseError(msg, _name(source))
    return rollups[0]


def load_rollup_all(
    source: Source, *, strict: bool = True, limit: int | None = None
) -> list[Rollup]:
    """Read a saved smaps_rollup of one or several processes: see `load_rollup`."""
    data, name = _read(source, limit)
    try:
        return parse_rollup_all(data, source=name, strict=strict)
    except ParseError:
        if not data.strip() or _LIKE_KERNEL.search(data) or _LIKE_PMAP.search(data):
            raise
        raise _none_of(data, name) from None


def load_oom_reports(
    source: Source,
    *,
    strict: bool = True,
    page_size: int | None = None,
    limit: int | None = None,
) -> list[OomReport]:
    """
    Read the OOM reports of a saved kernel log, such as the output of dmesg or journalctl.

    Args:
        source: as in `load`.
        strict: as in `parse_oom_report`.
        page_size: as in `parse_oom_report`.
        limit: as in `load`.

    Returns:
        The reports in the order of the log, at least one.
    """
    data, name = _read(source, limit)
    return oom.parse_oom_report_all(data, source=name, strict=strict, page_size=page_size)


def load_explainable(
    source: Source, *, limit: int | None = None
) -> list[Snapshot] | list[OomReport]:
    """
    Read what `explain` accepts: the snapshots of a capture, or the OOM reports of a kernel log.

    Truncated reports are read, with notes: a kernel log often begins within one.
    """
    data, name = _read(source, limit)
    if detect_format(data) == "oom_report":
        return oom.parse_oom_report_all(data, source=name, strict=False)
    return _snapshots(data, name)


def detect_format(data: bytes) -> str:
    """Return what a text is: "smaps", "smaps_rollup" or "maps", "oom_report", else "pmap"."""
    if _is_plain_smaps(data):
        return "smaps"
    head, _ = paste.strip(data[:SNIFF_BYTES])
    lines = [line for line in head.split(b"\n") if line.strip()]
    headers = [number for number, line in enumerate(lines) if HEADER.fullmatch(line)]
    if headers:
        first = HEADER.fullmatch(lines[headers[0]])
        if first and first[7] == ROLLUP_NAME.encode():
            return "smaps_rollup"
        of_first = takewhile(lambda line: not HEADER.match(line), lines[headers[0] + 1 :])
        after_each = (lines[number + 1] for number in headers if number + 1 < len(lines))
        return "smaps" if any(map(_is_field, chain(of_first, after_each))) else "maps"
    if oom.REPORT.search(data):  # after any number of other messages
        return "oom_report"
    if not lines:
        return "smaps"  # of a kernel thread
    if any(is_known_field(line, SMAPS) for line in lines[:_MAX_PREAMBLE_LINES]):
        return "smaps"  # truncated at its beginning, which its parser reports
    return "pmap"


def _is_plain_smaps(data: bytes) -> bool:
    """Return whether a text begins as the kernel's smaps does, which needs no cleaning."""
    # Searching the beginning for artifacts takes five times as long as parsing 250 mappings.
    first = HEADER.match(data)
    if first is None or (first[7] or b"").startswith(ROLLUP_NAME.encode()):
        return False
    begin = first.end() + 1
    field = data[begin : data.find(b"\n", begin)]
    return data.startswith(b"\n", begin - 1) and is_known_field(field, SMAPS)


def _is_field(line: bytes) -> bool:
    """Return whether a line is a field of the kernel: text may contain a word and a colon."""
    field = FIELD.fullmatch(line)
    return is_known_field(line, SMAPS) or (
        field is not None and NUMBER.fullmatch(field[3]) is not None
    )


def _name(source: Source) -> str | None:
    if isinstance(source, (str, os.PathLike)):
        return os.fspath(source)
    name = getattr(source, "name", None)
    return name if isinstance(name, str) else None


def _read(source: Source, limit: int | None) -> tuple[bytes, str | None]:
    if isinstance(source, int):
        msg = f"expected a path or an open file, got a number: use read({source}) for a process"
        raise TypeError(msg)
    name = _name(source)
    try:
        if isinstance(source, (str, os.PathLike)):
            with Path(source).open("rb") as file:
                data = _read_to_end(file, limit, rejects_binary=True)
        else:
            data = _read_to_end(source, limit, rejects_binary=True)
    except ParseError as error:
        raise ParseError(error.message, name, error.line_number) from None
    except UnicodeDecodeError as error:  # a file opened as text
        msg = f"expected a file opened in binary mode, or UTF-8 ({error.reason})"
        raise ParseError(msg, name) from None
    except OSError as error:
        error.filename = error.filename or name
        raise
    module = _compression(data)
    if module is not None:
        limit = MAX_BYTES if limit is None else limit
        data = _decompress(data, module, limit, name)
    max_bytes = _MAX_PLAIN_BYTES if limit is None else limit
    if len(data) > max_bytes:
        msg = f"expected a text of at most {max_bytes:,} bytes: limit= (--limit) allows more"
        raise ParseError(msg, name)
    reject_binary(data, name)
    return data, name


def _compression(data: bytes) -> str | None:
    """Return the module that decompresses the data; None if they are not compressed."""
    return next((name for magic, name in _COMPRESSIONS.items() if data.startswith(magic)), None)


def _read_to_end(
    file: IO[bytes] | IO[str], limit: int | None, *, rejects_binary: bool = False
) -> bytes:
    """
    Read a file to its end, or a little more than the limit.

    A binary file that is not compressed, such as a large core file, is rejected by its beginning.

    Compressed data larger than its text is read too: compression adds less than a block to
    data that it cannot make smaller.
    """
    left = (_MAX_PLAIN_BYTES if limit is None else limit + limit // 16) + _BLOCK_SIZE
    text: io.BytesIO | io.StringIO | None = None  # grows in place: no copy of all blocks
    # An unbuffered file or a pipe returns less than was requested.
    while left > 0:
        block: Any = file.read(min(left, _BLOCK_SIZE))
        if block is None:
            msg = "expected a file that waits for data, got one with O_NONBLOCK"
            raise BlockingIOError(errno.EAGAIN, msg)
        if not block:
            break
        if text is None:
            if rejects_binary and _compression(encode(block)) is None:
                reject_binary(encode(block))
            # A single block of bytes is not copied.
            is_text = isinstance(block, str)
            text = io.StringIO(block, newline="") if is_text else io.BytesIO(block)
            text.seek(0, io.SEEK_END)
        else:
            text.write(block)
        left -= len(block)
    return b"" if text is None else encode(text.getvalue())


def _decompress(data: bytes, module: str, limit: int, name: str | None) -> bytes:
    """Return the text, or the beginning of one that is longer than the limit."""
    opened = _open_zstd if module == "zstd" else importlib.import_module(module).open
    try:
        with opened(io.BytesIO(data)) as file:
            return _read_to_end(file, limit)
    except (Unsupported, MemoryError):
        raise
    except Exception as error:  # each module raises different exceptions for damaged data
        msg = f"expected complete {module} data ({error})"
        raise ParseError(msg, name) from error


def _open_zstd(file: IO[bytes]) -> Any:
    for module in ("compression.zstd", "backports.zstd"):  # Python 3.14 has the first
        with contextlib.suppress(ImportError):
            return importlib.import_module(module).open(file)
    msg = "reading zstd requires backports.zstd: pip install '.[zstd]' in a checkout"
    raise Unsupported(errno.ENOSYS, msg)
