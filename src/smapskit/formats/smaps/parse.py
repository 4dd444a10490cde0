"""Parse text of smaps, smaps_rollup and maps into records."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain, pairwise

from smapskit.errors import ParseError
from smapskit.formats.paste import strip_paste_artifacts
from smapskit.formats.smaps.chunks import CHUNK_SIZE
from smapskit.formats.smaps.files import MAPS, ROLLUP, SMAPS, ProcFile
from smapskit.formats.smaps.grammar import HEADER, HEADER_PATTERN, ROLLUP_NAME
from smapskit.formats.smaps.lines import LineParser
from smapskit.formats.smaps.processes import Expected, process_starts
from smapskit.formats.smaps.reader import ColumnReader
from smapskit.model.mapping import Mapping, Rollup, build_mappings
from smapskit.model.snapshot import Snapshot
from smapskit.text import encode, encode_lines

_HEADERS = re.compile(rb"^" + HEADER_PATTERN + rb"$", re.MULTILINE)


def parse_smaps(text: str | bytes, *, source: str | None = None, strict: bool = True) -> Snapshot:
    """
    Parse the text of /proc/PID/smaps, from any kernel since 2.6.14.

    Args:
        text: the whole text.
        source: its name in errors, such as a file name.
        strict: reject a text that is truncated within a record, at its beginning or end; if
            False, omit that record and add a note.

    Raises:
        ParseError: with the line, where the text is not smaps or a field is malformed; also for
            the text of several processes (see `parse_smaps_all`).
    """
    return _parse(text, SMAPS, source, strict=strict)


def parse_smaps_all(
    text: str | bytes, *, source: str | None = None, strict: bool = True
) -> list[Snapshot]:
    """
    Parse the smaps texts of one or several processes, one after another (`cat /proc/*/smaps`).

    A mapping that is completely below the one before it begins another process. Processes
    without mappings (kernel threads) leave no text and have no snapshot here.

    Args and errors are those of `parse_smaps`.

    Returns:
        One snapshot per process, at least one.
    """
    return _parse_all(text, SMAPS, source, strict=strict)


def parse_maps(text: str | bytes, *, source: str | None = None, strict: bool = True) -> Snapshot:
    """
    Parse the text of /proc/PID/maps: mappings without counters.

    Args and errors are those of `parse_smaps`.
    """
    return _parse(text, MAPS, source, strict=strict)


def parse_maps_all(
    text: str | bytes, *, source: str | None = None, strict: bool = True
) -> list[Snapshot]:
    """Parse the maps texts of one or several processes: see `parse_smaps_all`."""
    return _parse_all(text, MAPS, source, strict=strict)


def parse_rollup(text: str | bytes, *, source: str | None = None, strict: bool = True) -> Rollup:
    """
    Parse the text of /proc/PID/smaps_rollup: the kernel's sums over all mappings.

    Its Pss is up to some tens of kB larger than the sum over smaps, where each record is
    rounded down; SwapPss likewise. Args are those of `parse_smaps`.

    Raises:
        ParseError: with the line; also for an empty text, and for the text of several processes
            (see `parse_rollup_all`).
    """
    rollups = parse_rollup_all(text, source=source, strict=strict)
    if len(rollups) > 1:
        msg = f"expected one process, got {len(rollups)}: parse_rollup_all reads several"
        raise ParseError(msg, source)
    return rollups[0]


def parse_rollup_all(
    text: str | bytes, *, source: str | None = None, strict: bool = True
) -> list[Rollup]:
    """
    Parse the smaps_rollup texts of one or several processes, one after another.

    Lines of dashes or equals signs between them are ignored. Args and errors are those of
    `parse_rollup`.

    Returns:
        One rollup per process, at least one.
    """
    data, _ = normalize(text, source)
    parser = LineParser(ROLLUP, source, strict=strict)
    records = parser.parse(split_lines(data)) + parser.finish()
    if not records or any(record.pathname != ROLLUP_NAME for record in records):
        msg = f"expected the one record of smaps_rollup, whose header ends in {ROLLUP_NAME}"
        raise ParseError(msg, source)
    rollups = []
    for record in records:
        values, extra = record.split(ROLLUP)
        rollups.append(Rollup(start=record.start, end=record.end, extra=extra, **values))
    return rollups


def read_snapshot(chunks: Iterable[bytes], file: ProcFile, source: str | None) -> Snapshot:
    """
    Parse the text of one live process, in chunks: each while the next may be read.

    The kernel wrote the text: nothing is stripped, and addresses out of order are a torn read.
    """
    return _snapshot(chunks, ColumnReader(file, source), source)


def iter_mappings(
    lines: Iterable[str | bytes], *, source: str | None = None, strict: bool = True
) -> Iterator[Mapping]:
    """
    Parse smaps from an open file or any iterable of lines, yielding one mapping at a time.

    Memory stays flat: about 1 MiB of text is parsed at a time. Open the file in binary mode:
    text mode would split lines at characters that a path may contain.

    Args:
        lines: with or without line ends.
        source: as in `parse_smaps`.
        strict: as in `parse_smaps`.

    Raises:
        ParseError: when the malformed line, or another process, is reached.
        TypeError: at once, for a whole text instead of lines.
    """
    encoded = encode_lines(lines)
    reader = ColumnReader(SMAPS, source, strict=strict, expected=Expected.ONE)
    parts = reader.columns(_join_lines(encoded))
    return chain.from_iterable(map(build_mappings, parts))


def _join_lines(lines: Iterable[bytes]) -> Iterator[bytes]:
    batch: list[bytes] = []
    size = 0
    for line in lines:
        batch.append(line)
        size += len(line)
        if size >= CHUNK_SIZE:
            yield _join(batch, is_last=False)
            batch, size = [], 0
    yield _join(batch, is_last=True)


def _join(lines: list[bytes], *, is_last: bool) -> bytes:
    """Join lines with or without line ends; a last line without one, after others, is partial."""
    text = b"".join(lines)
    count = text.count(b"\n")
    if count == len(lines) or (is_last and count and count == len(lines) - 1):
        return text
    return b"".join(line if line.endswith(b"\n") else line + b"\n" for line in lines)


def _parse(text: str | bytes, file: ProcFile, source: str | None, *, strict: bool) -> Snapshot:
    data, notes = normalize(text, source)
    reader = ColumnReader(file, source, strict=strict, expected=Expected.ONE)
    return _snapshot([data], reader, source, notes)


def _parse_all(
    text: str | bytes, file: ProcFile, source: str | None, *, strict: bool
) -> list[Snapshot]:
    data, notes = normalize(text, source)
    snapshot = _snapshot([data], ColumnReader(file, source, strict=strict), source, notes)
    starts, ends = ([getattr(m, name) for m in snapshot] for name in ("start", "end"))
    if not any(process_starts(starts, ends)):
        return [snapshot]
    # Each process again on its own: the order of fields, units and notes may differ.
    headers = list(_HEADERS.finditer(data))
    starts, ends = ([int(header[group], 16) for header in headers] for group in (1, 2))
    places = [0, *(headers[row].start() for row in process_starts(starts, ends)), len(data)]
    snapshots = []
    first_line = 1
    names: list[str] = []
    for begin, end in pairwise(places):
        part = data[begin:end]
        reader = ColumnReader(
            file, source, strict=strict, first_line=first_line, names_before=names
        )
        snapshots.append(_snapshot([part], reader, source, notes))
        names = reader.last_names
        first_line += part.count(b"\n")
    return snapshots


def _snapshot(
    chunks: Iterable[bytes], reader: ColumnReader, source: str | None, notes: Iterable[str] = ()
) -> Snapshot:
    mappings = tuple(chain.from_iterable(map(build_mappings, reader.columns(chunks))))
    # The notes and the layout of the reader are complete after the last chunk.
    return Snapshot(mappings, source=source, notes=(*notes, *reader.notes), layout=reader.layout)


def normalize(text: str | bytes, source: str | None) -> tuple[bytes, list[str]]:
    """
    Encode a text and strip paste artifacts, with the source named in errors.

    CR is stripped if every line ends in it: the name of a file may end in CR.
    """
    try:
        return strip_paste_artifacts(encode(text), HEADER, crlf_on_every_line=True)
    except ParseError as error:
        raise ParseError(error.message, source, error.line_number) from None


def split_lines(data: bytes) -> list[bytes]:
    """Split at newlines only: a path may contain what splitlines() splits at."""
    lines = data.split(b"\n")
    if not lines[-1]:
        lines.pop()
    return lines
