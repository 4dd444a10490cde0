"""Text of smaps, smaps_rollup and maps to records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, pairwise

from smapskit import texts
from smapskit.errors import ParseError
from smapskit.records import Mapping, Rollup
from smapskit.smaps.at_once import is_worth_it, read_at_once
from smapskit.smaps.grammar import HEADER, HEADERS, NOTE_EMPTY, NOTE_NO_NEWLINE, ROLLUP_NAME
from smapskit.smaps.kinds import MAPS, ROLLUP, SMAPS, Kind
from smapskit.smaps.lines import Reader, to_mapping
from smapskit.smaps.parts import keeping, parts_of, whole_records
from smapskit.smaps.processes import Expected, process_starts
from smapskit.snapshot import Snapshot


def parse_smaps(text: str | bytes, *, source: str | None = None, strict: bool = True) -> Snapshot:
    """
    Read the text of /proc/PID/smaps, from any kernel since 2.6.14.

    Args:
        text: the whole of it.
        source: what to call it in errors, such as a file name.
        strict: refuse a text whose beginning or end is cut off within a record; if False,
            leave that record out and say so in the notes.

    Raises:
        ParseError: with the line, where the text is no smaps or a field is malformed; also
            for several processes (see `parse_smaps_all`).
    """
    return _parse(text, SMAPS, source, strict=strict)


def parse_smaps_all(
    text: str | bytes, *, source: str | None = None, strict: bool = True
) -> list[Snapshot]:
    """
    Read the smaps texts of one or several processes, one after another (`cat /proc/*/smaps`).

    A mapping that lies wholly below the one before it begins another process. Processes
    without mappings (kernel threads) leave no text and have no snapshot here.

    Args:
        text: the whole of it.
        source: as in `parse_smaps`.
        strict: as in `parse_smaps`.

    Returns:
        A snapshot for each process, at least one.

    Raises:
        ParseError: as `parse_smaps`.
    """
    return _parse_all(text, SMAPS, source, strict=strict)


def parse_maps(text: str | bytes, *, source: str | None = None) -> Snapshot:
    """
    Read the text of /proc/PID/maps: mappings without counters.

    Raises:
        ParseError: with the line, where the text is no maps; also for several processes (see
            `parse_maps_all`).
    """
    return _parse(text, MAPS, source)


def parse_maps_all(text: str | bytes, *, source: str | None = None) -> list[Snapshot]:
    """
    Read the maps texts of one or several processes, one after another.

    Processes are separated as in `parse_smaps_all`.

    Raises:
        ParseError: with the line, where the text is no maps.
    """
    return _parse_all(text, MAPS, source)


def parse_rollup(text: str | bytes, *, source: str | None = None) -> Rollup:
    """
    Read the text of /proc/PID/smaps_rollup: the sums over all mappings.

    Its Pss is up to some tens of kB above the sum over smaps, where each record rounds
    down; SwapPss likewise.

    Raises:
        ParseError: with the line; also for an empty text, which holds no sums, and for the
            text of several processes (see `parse_rollup_all`).
    """
    rollups = parse_rollup_all(text, source=source)
    if len(rollups) > 1:
        msg = f"expected one process, got {len(rollups)}: parse_rollup_all reads several"
        raise ParseError(msg, source)
    return rollups[0]


def parse_rollup_all(text: str | bytes, *, source: str | None = None) -> list[Rollup]:
    """
    Read the smaps_rollup texts of one or several processes, one after another.

    Lines of dashes or equals signs between them are ignored.

    Returns:
        A rollup for each process, at least one.

    Raises:
        ParseError: as `parse_rollup`.
    """
    data, _ = prepared(text, source)
    reader = Reader(ROLLUP, source, expected=Expected.SEVERAL)
    records = list(reader.read(split_lines(data)))
    if not records or any(record.name != ROLLUP_NAME for record in records):
        msg = f"expected the one record of smaps_rollup, whose header ends in {ROLLUP_NAME}"
        raise ParseError(msg, source)
    return [
        Rollup(start=record.start, end=record.end, extra=record.extra, **record.values)
        for record in records
    ]


def parse_pieces(pieces: Iterable[bytes], kind: Kind, source: str | None) -> Snapshot:
    """
    Read the text of one live process that comes in pieces, each while the next is on its way.

    The kernel wrote it: nothing is stripped, and addresses out of order are a torn read.
    """
    pieces = iter(pieces)
    kept: list[bytes] = []
    arriving = keeping(pieces, kept)
    was_tried = is_worth_it(len(next(arriving, b"")))
    if was_tried:
        at_once = read_at_once(whole_records(chain(kept[:1], arriving)), kind)
        if at_once is not None:
            return Snapshot(tuple(at_once[0]), source=source, layout=at_once[1])
    kept.extend(pieces)
    return parse_live(b"".join(kept), kind, source, by_lines=was_tried)


def parse_live(text: bytes, kind: Kind, source: str | None, *, by_lines: bool = False) -> Snapshot:
    """
    Read the text of one live process, as `parse_pieces`.

    Args:
        text: the whole of it.
        kind: of the text.
        source: what to call it in errors.
        by_lines: do not try to read it at once: that failed before.
    """
    return _read(text, (), kind, source, expected=Expected.LIVE, by_lines=by_lines)


def iter_mappings(lines: Iterable[str | bytes], *, source: str | None = None) -> Iterator[Mapping]:
    """
    Read smaps from an open file or any iterable of lines, one mapping at a time.

    Memory stays flat however long the text is. Open the file in binary mode: text mode
    would decode, and split lines at characters that a path may hold.

    Raises:
        ParseError: when the line that is wrong, or another process, is reached.
        TypeError: at once, for a whole text instead of lines.
    """
    reader = Reader(SMAPS, source, expected=Expected.ONE)
    return map(to_mapping, reader.read(texts.as_lines(lines)))


def _parse(
    text: str | bytes,
    kind: Kind,
    source: str | None,
    *,
    strict: bool = True,
) -> Snapshot:
    data, notes = prepared(text, source)
    return _read(data, notes, kind, source, strict=strict, expected=Expected.ONE)


def _parse_all(
    text: str | bytes, kind: Kind, source: str | None, *, strict: bool = True
) -> list[Snapshot]:
    data, notes = prepared(text, source)
    whole = _read(data, notes, kind, source, strict=strict, expected=Expected.SEVERAL)
    if not any(_process_starts(whole.mappings)):
        return [whole]
    # Each again on its own: the order of fields, units and notes may differ.
    return [
        _read(part, notes, kind, source, strict=strict, expected=Expected.ONE)
        for part in _parts_of_processes(data)
    ]


def _process_starts(mappings: Sequence[Mapping]) -> Iterator[int]:
    return process_starts([m.start for m in mappings], [m.end for m in mappings])


def _parts_of_processes(data: bytes) -> Iterator[bytes]:
    headers = list(HEADERS.finditer(data))
    starts, ends = ([int(header[group], 16) for header in headers] for group in (1, 2))
    places = [0, *(headers[row].start() for row in process_starts(starts, ends)), len(data)]
    return (data[begin:end] for begin, end in pairwise(places))


def _read(
    data: bytes,
    known_notes: Iterable[str],
    kind: Kind,
    source: str | None,
    *,
    expected: Expected,
    strict: bool = True,
    by_lines: bool = False,
) -> Snapshot:
    notes = [*known_notes]
    is_tried = not by_lines and is_worth_it(len(data))
    at_once = read_at_once(parts_of(data), kind) if is_tried else None
    if at_once is not None and expected is Expected.ONE and any(_process_starts(at_once[0])):
        at_once = None  # the reader of lines refuses it, with the line
    if at_once is not None:
        mappings, layout = at_once
    else:
        lines = split_lines(data)
        reader = Reader(kind, source, strict=strict, expected=expected)
        try:
            mappings = list(map(to_mapping, reader.read(lines)))
        except ParseError as error:
            if strict or data.endswith(b"\n") or error.line_number != len(lines):
                raise
            reader = Reader(kind, source, strict=False, expected=expected)
            mappings = list(map(to_mapping, reader.read(lines[:-1])))  # the last one is cut
        layout = reader.layout
        notes += reader.notes
        if not data.strip():
            notes.append(NOTE_EMPTY)
        elif not data.endswith(b"\n"):
            notes.append(NOTE_NO_NEWLINE)
    return Snapshot(tuple(mappings), source=source, notes=tuple(notes), layout=layout)


def prepared(text: str | bytes, source: str | None) -> tuple[bytes, list[str]]:
    """
    As `texts.unwrapped`, for any text, with the source named in errors.

    CR is taken off where every line ends in it: a file's name may end in one.
    """
    try:
        return texts.unwrapped(texts.to_bytes(text), HEADER, crlf_on_every_line=True)
    except ParseError as error:
        raise ParseError(error.message, source, error.line_number) from None


def split_lines(data: bytes) -> list[bytes]:
    """Its lines, split at newlines alone: a path may hold what splitlines() splits at."""
    lines = data.split(b"\n")
    if not lines[-1]:
        lines.pop()
    return lines
