"""
Parse the text of any pmap into records: processes, header lines and totals.

`rows` parses the rows between them. A row of pmap is lossy: it has no end address (it is
calculated as start + Kbytes), a name is the last part of a path, and every mapping without a
path is `[ anon ]`. What a row does not report is None in the record.
"""

from __future__ import annotations

import enum
import functools
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, Final

import attrs

from smapskit.errors import ParseError
from smapskit.formats import paste
from smapskit.formats.foreign import reject_solaris
from smapskit.formats.pmap.dialects import DIALECTS, READONLY_PRIVATE, SHARED, WRITABLE_PRIVATE
from smapskit.formats.pmap.headings import is_heading, is_mostly_heading, split_heading
from smapskit.formats.pmap.patterns import LIKE_TOTAL, PID_LINE, SEPARATOR_LINE, TOTAL_LINES
from smapskit.formats.pmap.rows import Table, table_of_heading, table_of_row
from smapskit.formats.smaps.processes import process_starts
from smapskit.model.backing import PMAP_ZERO
from smapskit.model.mapping import Mapping, kernel_fields
from smapskit.model.notes import LineNotes, Note, total_differs
from smapskit.model.snapshot import Snapshot
from smapskit.text import decode, encode

ROW_EXAMPLE: Final = "00007f3f92355000 352K r---- a.out"
_EXPECTED_ROW = f"expected a row such as '{ROW_EXAMPLE}'"
_GAP: Final = re.compile(rb" {2,}|\t+")
_MIN_GAPS: Final = 2
"""Columns of a heading in an unknown language: two blanks or more between them."""
_MAX_UINT64 = 2**64 - 1
_FIELDS = kernel_fields(Mapping)


def parse_pmap(text: str | bytes, *, source: str | None = None, strict: bool = True) -> Snapshot:
    """
    Parse the output of pmap for one process: any dialect, any layout.

    Args:
        text: the whole text, as printed or as pasted.
        source: its name in errors, such as a file name.
        strict: reject a text whose totals are not the sums of its rows; if False, add a note.
            Where the text shows that rows were omitted, it is a note in any case.

    Returns:
        A snapshot with the values that the dialect reports; what is unusual about the text is
        in its notes.

    Raises:
        ParseError: with the line; also for the text of several processes (see `parse_pmaps`).
    """
    snapshots = parse_pmaps(text, source=source, strict=strict)
    if len(snapshots) != 1:
        msg = f"expected one process, got {len(snapshots)}: parse_pmaps reads several"
        raise ParseError(msg, source)
    return snapshots[0]


def parse_pmaps(
    text: str | bytes, *, source: str | None = None, strict: bool = True
) -> list[Snapshot]:
    """
    Parse the output of pmap for one or several processes, one after another.

    Args and errors are those of `parse_pmap`.

    Returns:
        One snapshot per process, at least one.
    """
    try:
        data = encode(text)
    except ParseError as error:
        raise ParseError(error.message, source, error.line_number) from None
    plain = rejected = None
    try:
        plain = _parse(data, source, strict=strict)
    except ParseError as error:
        rejected = error
    if plain is not None and not paste.may_be_pasted(data):
        return plain
    stripped, notes = paste.strip(data)
    if not notes:
        if rejected is not None:
            raise rejected
        return plain or []
    prefixed = None
    if any(note.startswith(Note.PREFIX) for note in notes):
        pairs = zip(data.split(b"\n"), stripped.split(b"\n"), strict=False)
        prefixed = {number for number, (before, after) in enumerate(pairs, 1) if before != after}
    snapshots = _parse(stripped, source, strict=strict, prefixed=prefixed)
    return [attrs.evolve(each, notes=(*notes, *each.notes)) for each in snapshots]


def _parse(
    data: bytes, source: str | None, *, strict: bool, prefixed: Collection[int] | None = None
) -> list[Snapshot]:
    reject_solaris(data, source)
    line_notes = LineNotes()
    begin = functools.partial(_Section, source, line_notes, strict=strict, prefixed=prefixed)
    sections = [begin(inherited=None)]
    for number, line in enumerate(data.split(b"\n"), 1):
        section = sections[-1]
        pid_line = None if paste.is_row(line) else PID_LINE.fullmatch(line)
        if not line.strip() or (pid_line is None and section.add_line(number, line)):
            continue
        if pid_line is None or not section.is_empty:
            section = begin(inherited=section.renew_table())
            sections.append(section)
        if pid_line is None:
            section.add_line(number, line)
        else:
            section.set_process(pid_line, number)
    previous_sums: Counter[str] = Counter()
    snapshots = [each for section in sections for each in section.to_snapshots(previous_sums)]
    notes = tuple(line_notes)
    return [
        attrs.evolve(each, notes=(*notes, *each.notes)) if notes else each for each in snapshots
    ]


class _Gap(enum.IntEnum):
    """What was skipped since the last row of a listing."""

    NONE = 0
    TEXT = 1
    COMMAND = 2
    """The rows after it are those of another listing."""


class _Section:
    """Collects the lines of one process and turns them into a snapshot."""

    def __init__(
        self,
        source: str | None,
        line_notes: LineNotes,
        *,
        strict: bool,
        prefixed: Collection[int] | None,
        inherited: Table | None,
    ) -> None:
        self.source = source
        self._prefixed = prefixed
        self.strict = strict
        self.is_empty = True
        """Whether there was no line of a listing yet."""
        self._notes: list[str] = []
        self._line_notes = line_notes
        self._pid: int | None = None
        self._command: str | None = None
        self._inherited = inherited
        self._table: Table | None = None
        self._rows: list[re.Match[bytes]] = []
        self._row_numbers: list[int] = []
        self._totals: dict[re.Pattern[bytes], tuple[int, bytes]] = {}
        self._gap = _Gap.NONE
        self._separator: tuple[int, str] | None = None
        self._has_omitted_rows = False
        self._first_line: tuple[int, bytes] | None = None
        self._unknown_heading: ParseError | None = None

    def set_process(self, pid_line: re.Match[bytes], number: int) -> None:
        """Take pid and command from the line that names the process."""
        self.is_empty = False
        self._pid = int(pid_line[1] or pid_line[3])
        self._command = decode(pid_line[2] or b"")
        self._first_line = (number, pid_line[0])
        self._gap = _Gap.NONE

    def renew_table(self) -> Table | None:
        """Return a table with the same heading and no rows, for a listing without one."""
        return self._inherited if self._table is None else self._table.renew()

    def add_line(self, number: int, line: bytes) -> bool:
        """Add any other line that is not blank; return False if it begins another listing."""
        self._first_line = self._first_line or (number, line)
        if self._table is None and self._inherited and self._inherited.match(line):
            self._table = self._inherited
        if self._table is None:
            self._table = table_of_row(line, DIALECTS)
        row = self._table.match(line) if self._table else None
        if row is not None and self._table is not None:
            return self._add_row(number, row, self._table)
        self._unknown_heading, before = None, self._unknown_heading
        words = split_heading(line)
        if is_heading(words, DIALECTS):
            return self._add_heading(words, number, line)
        if self._add_total(number, line):
            return True
        is_expected = self._table and not self._totals and self._separator is None
        if is_expected and SEPARATOR_LINE.fullmatch(line):
            self._separator = (number, decode(line.strip()))
            return True
        self._unknown_heading = before if not line.strip(b"-= \t") else None
        self._skip(number, line)
        return True

    def _add_row(self, number: int, row: re.Match[bytes], table: Table) -> bool:
        if self._unknown_heading is not None and not self._rows and table.needs_heading:
            raise self._unknown_heading
        if self._separator is not None:  # of something else: rows follow
            self._line_notes.add(Note.SKIPPED, *self._separator)
            self._separator = None
        if self._rows:
            is_lower = table.start(row) <= table.start(self._rows[-1])
            if self._gap is _Gap.COMMAND or (is_lower and (self._gap or self._totals)):
                return False
        if self._totals:
            raise self._error("expected all rows before the totals", number, row.string)
        self._rows.append(row)
        self._row_numbers.append(number)
        self.is_empty, self._gap = False, _Gap.NONE
        return True

    def _add_heading(self, words: Sequence[str], number: int, line: bytes) -> bool:
        try:
            table = self._table_of_heading(words, number, line)
        except ParseError as error:
            # Prose may contain some words of a heading: what comes next decides.
            if is_mostly_heading(words) and not self._totals:
                raise
            self._skip(number, line)
            self._unknown_heading = error
            return True
        if self._rows and (self._gap or self._totals):
            return False
        if self._totals:
            raise self._error("expected the heading before the totals", number, line)
        if self._table is not None:
            raise self._error("expected one heading, before the rows", number, line)
        self._table = table
        self.is_empty = False
        return True

    def _add_total(self, number: int, line: bytes) -> bool:
        """Add a line with totals; return False for any other line."""
        pattern = next((p for p in TOTAL_LINES if p.fullmatch(line)), None)
        if pattern is None and self._rows and self._table and not self._totals:
            pattern = self._table.unknown_total(
                line, is_after_separator=self._separator is not None
            )
        if pattern is None:
            return False
        if pattern in self._totals:
            raise self._error("expected one line of totals", number, line)
        self._totals[pattern] = (number, line)
        self.is_empty = False
        return True

    def _skip(self, number: int, line: bytes) -> None:
        """Skip a line that is not part of the table, with a note."""
        text = decode(line.strip())
        if paste.is_cut_mark(line):
            self._has_omitted_rows = True
            self._line_notes.add(Note.ROWS_OMITTED, number, text)
        elif (
            paste.looks_like_row(line)
            or (self._rows and LIKE_TOTAL.match(line))
            or (self.is_empty and PID_LINE.fullmatch(line.lstrip()))
        ):
            expected = _EXPECTED_ROW if self._table is None else self._table.expected_row
            raise self._error(expected, number, line)
        else:
            if self._table is None and len(_GAP.findall(line.strip())) >= _MIN_GAPS:
                message = "expected a heading with known columns before the rows"
                self._unknown_heading = self._error(message, number, line)
            self._line_notes.add(Note.SKIPPED, number, text)
        self._gap = max(self._gap, _Gap.COMMAND if paste.is_command(line) else _Gap.TEXT)

    def to_snapshots(self, previous_sums: Counter[str]) -> Iterator[Snapshot]:
        """
        Build the snapshot after the last line; several if the rows are those of several processes.

        Args:
            previous_sums: sums over the rows of the processes before this one, by counter; the
                sums of this one are added.
        """
        if self.is_empty or (self._pid is None and not self._rows):
            raise self._error(_EXPECTED_ROW, *(self._first_line or (1, b"")))
        mappings: list[Mapping] = []
        if self._table is None or not self._rows:
            self._note(Note.NO_ROWS)
        else:
            mappings = self._table.mappings(self._rows)
            for row, remark in self._table.remarks:
                self._line_notes.add(Note.REMARK, self._row_numbers[row], remark)
            self._check_limits(mappings)
            mappings = self._drop_duplicated_rows(mappings)
            self._notes += self._table.notes
            if any(mapping.pathname == PMAP_ZERO and mapping.is_shared for mapping in mappings):
                self._note(Note.ASSUMED_SHMEM)
            for number, line in self._totals.values():
                self._check_totals(number, line, self._table, mappings, previous_sums)
        places = [0, len(mappings)]
        if not self._totals:
            starts, ends = [m.start for m in mappings], [m.end for m in mappings]
            places[1:1] = process_starts(starts, ends)
        for begin, end in pairwise(places):
            yield Snapshot(
                tuple(mappings[begin:end]),
                # The line that names a process is that of the first one.
                pid=None if begin else self._pid,
                command=None if begin else self._command,
                source=self.source,
                notes=tuple(self._notes),
                layout=self._table.layout if self._table and self._rows else None,
            )

    def _table_of_heading(self, words: Sequence[str], number: int, line: bytes) -> Table:
        try:
            table = table_of_heading(words, line, DIALECTS)
        except ParseError as error:
            raise self._error(error.message, number, line) from None
        # What was stripped before the rows may have been a column.
        is_column = self._prefixed is not None and (
            number not in self._prefixed or not table.has_usual_order
        )
        if is_column:
            msg = "expected a heading with the text that is before each row"
            raise self._error(msg, number, line)
        return table

    def _check_limits(self, mappings: Iterable[Mapping]) -> None:
        for number, row, mapping in zip(self._row_numbers, self._rows, mappings, strict=True):
            if mapping.end > _MAX_UINT64 or (mapping.inode or 0) > _MAX_UINT64:
                raise self._error("expected a range and an inode below 2**64", number, row.string)

    def _drop_duplicated_rows(self, mappings: list[Mapping]) -> list[Mapping]:
        """Drop every second row if it repeats the one before without values: procps 3.3.2."""
        firsts, seconds = mappings[::2], mappings[1::2]
        if firsts and firsts[0].pmap_dirty is None:
            return mappings  # only -x had this fault
        if len(firsts) != len(seconds) or any(
            (one.start, one.perms, one.pathname) != (two.start, two.perms, two.pathname)
            or two.rss
            or two.pmap_dirty
            for one, two in zip(firsts, seconds, strict=True)
        ):
            return mappings
        self._note(Note.DUPLICATED_ROWS)
        return firsts

    def _check_totals(
        self,
        number: int,
        line: bytes,
        table: Table,
        mappings: list[Mapping],
        previous_sums: Counter[str],
    ) -> None:
        """Compare the totals that the text reports with the sums over its rows."""
        try:
            totals = table.reported_totals(line)
        except ParseError as error:
            raise self._error(error.message, number, line) from None
        for counter, reported in totals.items():
            summed = _sum(mappings, counter)
            if reported is None or summed is None:
                continue
            # procps before 4.0.3 does not reset the totals of -X for the next process.
            cumulative = summed + previous_sums[counter]
            previous_sums[counter] = cumulative
            if reported == summed:
                continue
            if table.totals_may_be_cumulative and reported == cumulative:
                self._note(Note.CUMULATIVE_TOTALS)
                continue
            if self.strict and not self._has_omitted_rows:
                msg = f"expected rows whose {counter} adds up to {reported}, got {summed}"
                raise self._error(
                    f"{msg}; strict=False (--lenient) makes this a note", number, line
                )
            self._note(total_differs(counter, reported, summed))

    def _note(self, note: str) -> None:
        if note not in self._notes:
            self._notes.append(note)

    def _error(self, message: str, number: int, line: bytes) -> ParseError:
        return ParseError(message, self.source, number, decode(line))


_CONDITIONS: dict[str, Callable[[Mapping], bool]] = {
    WRITABLE_PRIVATE: lambda mapping: mapping.is_private and mapping.perms.write,
    READONLY_PRIVATE: lambda mapping: mapping.is_private and not mapping.perms.write,
    SHARED: lambda mapping: mapping.is_shared,
}
"""The mappings whose sizes are summed for a total that is not a column."""


def _sum(mappings: Iterable[Mapping], total: str) -> int | None:
    """
    Sum what a total includes over all rows; None if a value is unknown.

    Args:
        mappings: of all rows.
        total: a key of `_CONDITIONS`, an attribute, or a field of the kernel.
    """
    values: list[Any]
    if total in _CONDITIONS:
        values = [mapping.size for mapping in mappings if _CONDITIONS[total](mapping)]
    else:
        attribute = _FIELDS[total].attribute if total in _FIELDS else total
        values = [
            getattr(mapping, attribute, None)
            if hasattr(mapping, attribute)
            else mapping.extra.get(total)
            for mapping in mappings
        ]
    return None if None in values else sum(values)
