"""Text of smaps, smaps_rollup and maps to records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

from smapskit import text as texts
from smapskit.errors import ParseError
from smapskit.formats.smaps.chunks import keeping, parts_of, whole_records
from smapskit.formats.smaps.files import MAPS, ROLLUP, SMAPS, Kind
from smapskit.formats.smaps.grammar import HEADER, NOTE_EMPTY, NOTE_NO_NEWLINE, ROLLUP_NAME
from smapskit.formats.smaps.lines import Reader, to_mapping
from smapskit.formats.smaps.uniform import is_worth_it, read_at_once
from smapskit.model.mapping import Mapping, Rollup
from smapskit.model.snapshot import Snapshot


def parse_smaps(text: str | bytes, *, source: str | None = None, strict: bool = True) -> Snapshot:
    """
    Read the text of /proc/PID/smaps, from any kernel since 2.6.14.

    Args:
        text: the whole of it.
        source: what to call it in errors, such as a file name.
        strict: refuse a text whose beginning or end is cut off within a record; if False,
            leave that record out and say so in the notes.

    Raises:
        ParseError: with the line, where the text is no smaps or a field is malformed.
    """
    return _parse(text, SMAPS, source, strict=strict)


def parse_maps(text: str | bytes, *, source: str | None = None) -> Snapshot:
    """
    Read the text of /proc/PID/maps: mappings without counters.

    Raises:
        ParseError: with the line, where the text is no maps.
    """
    return _parse(text, MAPS, source)


def parse_rollup(text: str | bytes, *, source: str | None = None) -> Rollup:
    """
    Read the text of /proc/PID/smaps_rollup: the sums over all mappings.

    Its Pss is up to some tens of kB above the sum over smaps, where each record rounds
    down; SwapPss likewise.

    Raises:
        ParseError: with the line; also for an empty text, which holds no sums.
    """
    data, _ = prepared(text, source)
    records = list(Reader(ROLLUP, source).read(split_lines(data)))
    if len(records) != 1 or records[0].name != ROLLUP_NAME:
        msg = f"expected the one record of smaps_rollup, whose header ends in {ROLLUP_NAME}"
        raise ParseError(msg, source)
    (record,) = records
    return Rollup(start=record.start, end=record.end, extra=record.extra, **record.values)


def parse_pieces(pieces: Iterable[bytes], kind: Kind, source: str | None) -> Snapshot:
    """Read a text of the kernel's that comes in pieces, each while the next is on its way."""
    pieces = iter(pieces)
    kept: list[bytes] = []
    arriving = keeping(pieces, kept)
    was_tried = is_worth_it(len(next(arriving, b"")))
    if was_tried:
        at_once = read_at_once(whole_records(chain(kept[:1], arriving)), kind)
        if at_once is not None:
            return Snapshot(tuple(at_once[0]), source=source, layout=at_once[1])
    kept.extend(pieces)
    return _parse(b"".join(kept), kind, source, by_lines=was_tried)


def iter_mappings(lines: Iterable[str | bytes], *, source: str | None = None) -> Iterator[Mapping]:
    """
    Read smaps from an open file or any iterable of lines, one mapping at a time.

    Memory stays flat however long the text is. Open the file in binary mode: text mode
    would decode, and split lines at characters that a path may hold.

    Raises:
        ParseError: when the line that is wrong is reached.
        TypeError: at once, for a whole text instead of lines.
    """
    return map(to_mapping, Reader(SMAPS, source).read(texts.as_lines(lines)))


def _parse(
    text: str | bytes,
    kind: Kind,
    source: str | None,
    *,
    strict: bool = True,
    by_lines: bool = False,
) -> Snapshot:
    data, notes = prepared(text, source)
    is_tried = not by_lines and is_worth_it(len(data))
    at_once = read_at_once(parts_of(data), kind) if is_tried else None
    if at_once is not None:
        mappings, layout = at_once
    else:
        lines = split_lines(data)
        reader = Reader(kind, source, strict=strict)
        try:
            mappings = list(map(to_mapping, reader.read(lines)))
        except ParseError as error:
            if strict or data.endswith(b"\n") or error.line_number != len(lines):
                raise
            reader = Reader(kind, source, strict=False)
            mappings = list(map(to_mapping, reader.read(lines[:-1])))  # the last one is cut
        layout = reader.layout
        notes += reader.notes
        if not data.strip():
            notes.append(NOTE_EMPTY)
        elif not data.endswith(b"\n"):
            notes.append(NOTE_NO_NEWLINE)
    return Snapshot(tuple(mappings), source=source, notes=tuple(notes), layout=layout)


def prepared(text: str | bytes, source: str | None) -> tuple[bytes, list[str]]:
    """As `texts.unwrapped`, for any text, with the source named in errors."""
    try:
        return texts.unwrapped(texts.to_bytes(text), HEADER)
    except ParseError as error:
        raise ParseError(error.message, source, error.line_number) from None


def split_lines(data: bytes) -> list[bytes]:
    """Its lines, split at newlines alone: a path may hold what splitlines() splits at."""
    lines = data.split(b"\n")
    if not lines[-1]:
        lines.pop()
    return lines
