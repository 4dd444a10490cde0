"""Parse text of smaps, smaps_rollup and maps into records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, pairwise

from smapskit.errors import ParseError
from smapskit.formats.smaps.chunks import CHUNK_SIZE
from smapskit.formats.smaps.files import MAPS, ROLLUP, SMAPS, ProcFile
from smapskit.formats.smaps.grammar import HEADER_LINES, ROLLUP_NAME
from smapskit.formats.smaps.lines import LineParser
from smapskit.formats.smaps.pasted import Pasted, parse_pasted
from smapskit.formats.smaps.processes import Expected, process_starts
from smapskit.formats.smaps.reader import ColumnReader
from smapskit.formats.smaps.uniform import Template
from smapskit.model.columns import Columns
from smapskit.model.mapping import Mapping, Rollup, build_mappings, to_columns
from smapskit.model.snapshot import Snapshot
from smapskit.text import decode, encode_lines


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


def parse_columns_all(
    text: str | bytes,
    *,
    source: str | None = None,
    strict: bool = True,
    template: Template | None = None,
) -> tuple[list[list[Columns]], Template | None]:
    """
    Parse smaps texts as `parse_smaps_all` does, into columns.

    Args:
        text: as in `parse_smaps`.
        source: as in `parse_smaps`.
        strict: as in `parse_smaps`.
        template: that of another text, which is tried first.

    Returns:
        The columns of each process, and the template of the text if there is one.
    """
    found = template

    def parse(pasted: Pasted, is_strict: bool) -> list[Columns] | None:
        nonlocal found
        reader = ColumnReader(SMAPS, source, strict=is_strict, template=template)
        parts = list(reader.columns([pasted.data]))
        found = reader.template
        starts, ends = (
            list(chain.from_iterable(getattr(columns, name) for columns in parts))
            for name in ("start", "end")
        )
        return None if pasted.starts or any(process_starts(starts, ends)) else parts

    parts = parse_pasted(text, SMAPS, source, parse, strict=strict)
    if parts is not None:
        return [parts], found
    snapshots = parse_smaps_all(text, source=source, strict=strict)
    return [[to_columns(snapshot.mappings)] for snapshot in snapshots], found


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

    Other lines between them are skipped; a `Rollup` has no notes. Args and errors are those of
    `parse_rollup`.

    Returns:
        One rollup per process, at least one.
    """

    def parse(pasted: Pasted, is_strict: bool) -> list[Rollup]:
        return _parse_rollups(pasted.data, source, strict=is_strict)

    return parse_pasted(text, ROLLUP, source, parse, strict=strict)


def _parse_rollups(data: bytes, source: str | None, *, strict: bool) -> list[Rollup]:
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
    def parse(pasted: Pasted, is_strict: bool) -> Snapshot:
        reader = ColumnReader(file, source, strict=is_strict, expected=Expected.ONE)
        check_single(pasted, file, source)
        return _snapshot([pasted.data], reader, source, pasted.notes)

    return parse_pasted(text, file, source, parse, strict=strict)


def check_single(pasted: Pasted, file: ProcFile, source: str | None) -> None:
    """
    Check that lines between the records do not show several listings.

    Raises:
        ParseError: at the first line of the second listing.
    """
    if pasted.starts:
        before = pasted.data[: pasted.starts[0]]
        line = pasted.data[pasted.starts[0] :].split(b"\n", 1)[0]
        msg = (
            "expected one process, got another listing after lines that are not "
            f"{file.name}; parse_{file.name}_all reads several"
        )
        raise ParseError(msg, source, before.count(b"\n") + 1, decode(line))


def _parse_all(
    text: str | bytes, file: ProcFile, source: str | None, *, strict: bool
) -> list[Snapshot]:
    def parse(pasted: Pasted, is_strict: bool) -> list[Snapshot]:
        return _parse_listings(pasted, file, source, strict=is_strict)

    return parse_pasted(text, file, source, parse, strict=strict)


def _parse_listings(
    pasted: Pasted, file: ProcFile, source: str | None, *, strict: bool
) -> list[Snapshot]:
    data = pasted.data
    snapshot = _snapshot([data], ColumnReader(file, source, strict=strict), source, pasted.notes)
    starts, ends = ([getattr(m, name) for m in snapshot] for name in ("start", "end"))
    if not pasted.starts and not any(process_starts(starts, ends)):
        return [snapshot]
    # Each process again on its own: the order of fields, units and notes may differ.
    headers = list(HEADER_LINES.finditer(data))
    starts, ends = ([int(header[group], 16) for header in headers] for group in (1, 2))
    begins = {headers[row].start() for row in process_starts(starts, ends)}
    places = [0, *sorted(begins.union(pasted.starts)), len(data)]
    snapshots = []
    first_line = 1
    names: list[str] = []
    for begin, end in pairwise(places):
        part = data[begin:end]
        reader = ColumnReader(
            file, source, strict=strict, first_line=first_line, names_before=names
        )
        snapshots.append(_snapshot([part], reader, source, pasted.notes))
        names = reader.last_names
        first_line += part.count(b"\n")
    return snapshots


def _snapshot(
    chunks: Iterable[bytes], reader: ColumnReader, source: str | None, notes: Iterable[str] = ()
) -> Snapshot:
    mappings = tuple(chain.from_iterable(map(build_mappings, reader.columns(chunks))))
    # The notes and the layout of the reader are complete after the last chunk.
    return Snapshot(mappings, source=source, notes=(*notes, *reader.notes), layout=reader.layout)


def split_lines(data: bytes) -> list[bytes]:
    """Split at newlines only: a path may contain what splitlines() splits at."""
    lines = data.split(b"\n")
    if not lines[-1]:
        lines.pop()
    return lines
