"""Parse text of smaps, smaps_rollup and maps into records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

import attrs

from smapskit.errors import ParseError
from smapskit.formats.paste import strip_paste_artifacts
from smapskit.formats.smaps.chunks import CHUNK_SIZE
from smapskit.formats.smaps.files import MAPS, ROLLUP, SMAPS, ProcFile
from smapskit.formats.smaps.grammar import HEADER, ROLLUP_NAME
from smapskit.formats.smaps.lines import LineParser
from smapskit.formats.smaps.reader import ColumnReader
from smapskit.model.mapping import Mapping, Rollup, build_mappings
from smapskit.model.snapshot import Snapshot
from smapskit.text import encode, encode_lines


def parse_smaps(text: str | bytes, *, source: str | None = None, strict: bool = True) -> Snapshot:
    """
    Parse the text of /proc/PID/smaps, from any kernel since 2.6.14.

    Args:
        text: the whole text.
        source: its name in errors, such as a file name.
        strict: reject a text that is truncated within a record, at its beginning or end; if
            False, omit that record and add a note.

    Raises:
        ParseError: with the line, where the text is not smaps or a field is malformed.
    """
    return _parse(text, SMAPS, source, strict=strict)


def parse_maps(text: str | bytes, *, source: str | None = None, strict: bool = True) -> Snapshot:
    """
    Parse the text of /proc/PID/maps: mappings without counters.

    Args and errors are those of `parse_smaps`.
    """
    return _parse(text, MAPS, source, strict=strict)


def parse_rollup(text: str | bytes, *, source: str | None = None, strict: bool = True) -> Rollup:
    """
    Parse the text of /proc/PID/smaps_rollup: the kernel's sums over all mappings.

    Its Pss is up to some tens of kB larger than the sum over smaps, where each record is
    rounded down; SwapPss likewise. Args are those of `parse_smaps`.

    Raises:
        ParseError: with the line; also for an empty text, which contains no sums.
    """
    data, _ = normalize(text, source)
    parser = LineParser(ROLLUP, source, strict=strict)
    records = parser.parse(split_lines(data)) + parser.finish()
    if len(records) != 1 or records[0].pathname != ROLLUP_NAME:
        msg = f"expected the one record of smaps_rollup, whose header ends in {ROLLUP_NAME}"
        raise ParseError(msg, source)
    (record,) = records
    return Rollup(start=record.start, end=record.end, extra=record.extra, **record.values)


def read_snapshot(
    chunks: Iterable[bytes], file: ProcFile, source: str | None, *, strict: bool = True
) -> Snapshot:
    """Parse a text that comes in chunks, each parsed while the next may be read."""
    reader = ColumnReader(file, source, strict=strict)
    mappings = chain.from_iterable(map(build_mappings, reader.columns(chunks)))
    # The notes and the layout are complete after the last chunk.
    all_mappings = tuple(mappings)
    return Snapshot(
        all_mappings, source=source, notes=tuple(reader.notes), layout=reader.layout
    )


def iter_mappings(
    lines: Iterable[str | bytes], *, source: str | None = None, strict: bool = True
) -> Iterator[Mapping]:
    """
    Parse smaps from an open file or any iterable of lines, yielding one mapping at a time.

    Memory stays flat: about 1 MiB of text is parsed at a time. Open the file in binary mode:
    text mode would split lines at characters that a path may contain.

    Args:
        lines: with or without line ends.
        source, strict: as in `parse_smaps`.

    Raises:
        ParseError: when the malformed line is reached.
        TypeError: at once, for a whole text instead of lines.
    """
    encoded = encode_lines(lines)
    columns = ColumnReader(SMAPS, source, strict=strict).columns(_join_lines(encoded))
    return chain.from_iterable(map(build_mappings, columns))


def _join_lines(lines: Iterable[bytes]) -> Iterator[bytes]:
    batch: list[bytes] = []
    size = 0
    for line in lines:
        batch.append(line)
        size += len(line)
        if size >= CHUNK_SIZE:
            yield b"".join(batch)
            batch, size = [], 0
    yield b"".join(batch)


def _parse(text: str | bytes, file: ProcFile, source: str | None, *, strict: bool) -> Snapshot:
    data, notes = normalize(text, source)
    snapshot = read_snapshot([data], file, source, strict=strict)
    return attrs.evolve(snapshot, notes=(*notes, *snapshot.notes)) if notes else snapshot


def normalize(text: str | bytes, source: str | None) -> tuple[bytes, list[str]]:
    """Encode a text and strip paste artifacts, with the source named in errors."""
    try:
        return strip_paste_artifacts(encode(text), HEADER)
    except ParseError as error:
        raise ParseError(error.message, source, error.line_number) from None


def split_lines(data: bytes) -> list[bytes]:
    """Split at newlines only: a path may contain what splitlines() splits at."""
    lines = data.split(b"\n")
    if not lines[-1]:
        lines.pop()
    return lines
