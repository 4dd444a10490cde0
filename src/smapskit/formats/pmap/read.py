"""
Parse the text of any pmap into records: processes, header lines and totals.

`rows` parses the rows between them. A row of pmap is lossy: it has no end address (it is
calculated as start + Kbytes), a name is the last part of a path, and every mapping without a
path is `[ anon ]`. What a row does not report is None in the record.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from smapskit.errors import ParseError
from smapskit.formats import paste
from smapskit.formats.foreign import reject_solaris
from smapskit.formats.paste import strip_paste_artifacts
from smapskit.formats.pmap.dialects import (
    DIALECTS,
    PID_LINE,
    READONLY_PRIVATE,
    SEPARATOR_LINE,
    SHARED,
    TOTAL_LINES,
    WRITABLE_PRIVATE,
)
from smapskit.formats.pmap.headings import is_heading, split_heading
from smapskit.formats.pmap.rows import Table, table_of_heading, table_of_row
from smapskit.model.backing import PMAP_ZERO
from smapskit.model.mapping import Mapping, kernel_fields
from smapskit.model.notes import Note, total_differs
from smapskit.model.snapshot import Snapshot
from smapskit.text import decode, encode

ROW_EXAMPLE: Final = "00007f3f92355000 352K r---- a.out"
_EXPECTED_ROW = f"expected a row such as '{ROW_EXAMPLE}'"
# The beginning of a listing. A row of -X is not matched: its indent belongs to the table.
_FIRST_ROW = re.compile(
    rb"[0-9]{1,10}:(?:[ \t\r\n]|\Z)|Address[ \t]+Kbytes|[0-9a-f]{8,16}[ \t]+(?:[0-9]|-[ \t])"
)
# A line of words, a unit and numbers, such as "kB gesamt 8 4 0": it is not known as a total.
_LIKE_TOTAL = re.compile(
    rb"(?=.*(?:[kK][BbOo]?\b|\xd0\xba\xd0\x91))"  # kB, ko, K, and kB in Cyrillic
    rb"[^0-9:]{2,60}+[0-9]{1,18}K?(?:[ \t]+(?:[0-9]{1,18}K?|-))*[^0-9:]{0,60}"
)
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
        data, notes = strip_paste_artifacts(encode(text), _FIRST_ROW)
    except ParseError as error:
        raise ParseError(error.message, source, error.line_number) from None
    reject_solaris(data, source)
    sections = [_Section(source, notes, strict=strict)]
    for number, line in enumerate(data.split(b"\n"), 1):
        section = sections[-1]
        pid_line = PID_LINE.fullmatch(line)
        if pid_line:
            if not section.is_empty:
                section = _Section(source, notes, strict=strict)
                sections.append(section)
            section.set_process(pid_line, number)
        elif line.strip():
            section.add_line(number, line)
    previous_sums: Counter[str] = Counter()
    return [section.to_snapshot(previous_sums) for section in sections]


class _Section:
    """Collects the lines of one process and turns them into a snapshot."""

    def __init__(self, source: str | None, notes: Iterable[str], *, strict: bool) -> None:
        self.source = source
        self.strict = strict
        self.is_empty = True
        """Whether there was no line yet, except for a skipped command line."""
        self._notes = list(notes)
        self._pid: int | None = None
        self._command: str | None = None
        self._table: Table | None = None
        self._rows: list[re.Match[bytes]] = []
        self._row_numbers: list[int] = []
        self._total: tuple[int, bytes] | None = None
        self._last_line = (1, b"")

    def set_process(self, pid_line: re.Match[bytes], number: int) -> None:
        """Take pid and command from the line that names the process."""
        self.is_empty = False
        self._pid = int(pid_line[1] or pid_line[3])
        self._command = decode(pid_line[2] or b"")
        self._last_line = (number, pid_line[0])

    def add_line(self, number: int, line: bytes) -> None:
        """Add any other line that is not blank."""
        self._last_line = (number, line)
        if self._total is not None:
            self._reject_after_total(number, line)
            self._note(Note.ROWS_OMITTED if paste.is_ellipsis(line) else Note.TRAILING_TEXT)
            return
        if self._table is None:
            self._table = table_of_row(line, DIALECTS)
        row = self._table.match(line) if self._table else None
        if row:
            self._rows.append(row)
            self._row_numbers.append(number)
        elif paste.is_ellipsis(line):
            self._note(Note.ROWS_OMITTED)
        elif any(pattern.fullmatch(line) for pattern in TOTAL_LINES):
            self._total = (number, line)
        elif SEPARATOR_LINE.fullmatch(line):
            return
        elif is_heading(words := split_heading(line), DIALECTS):
            if self._table is not None:
                raise self._error("expected one heading, before the rows", number, line)
            self._table = self._table_of_heading(words, number, line)
        elif self.is_empty and paste.is_command(line):
            self._note(Note.COMMAND_SKIPPED)
            return
        else:
            raise self._error(self._expected(line), number, line)
        self.is_empty = False

    def _expected(self, line: bytes) -> str:
        """Return the message for a line that is neither a row nor anything around the rows."""
        if self._rows and _LIKE_TOTAL.fullmatch(line):
            return "expected totals in English (LC_ALL=C pmap PID), got a total in another language"
        return _EXPECTED_ROW if self._table is None else self._table.expected_row

    def to_snapshot(self, previous_sums: Counter[str]) -> Snapshot:
        """
        Build the snapshot, after the last line.

        Args:
            previous_sums: sums over the rows of the processes before this one, by counter; the
                sums of this one are added.
        """
        if self.is_empty or (self._pid is None and not self._rows):
            raise self._error(_EXPECTED_ROW, *self._last_line)
        mappings: list[Mapping] = []
        if self._table is None or not self._rows:
            self._note(Note.NO_ROWS)
        else:
            mappings = self._table.mappings(self._rows)
            self._check_limits(mappings)
            mappings = self._drop_duplicated_rows(mappings)
            self._notes += self._table.notes
            if any(mapping.pathname == PMAP_ZERO and mapping.is_shared for mapping in mappings):
                self._note(Note.ASSUMED_SHMEM)
            if self._total is not None:
                self._check_totals(*self._total, self._table, mappings, previous_sums)
        return Snapshot(
            tuple(mappings),
            pid=self._pid,
            command=self._command,
            source=self.source,
            notes=tuple(self._notes),
            layout=self._table.layout if self._table and self._rows else None,
        )

    def _table_of_heading(self, words: Sequence[str], number: int, line: bytes) -> Table:
        try:
            return table_of_heading(words, line, DIALECTS)
        except ParseError as error:
            raise self._error(error.message, number, line) from None

    def _reject_after_total(self, number: int, line: bytes) -> None:
        """Reject a row or a heading after the totals: which rows they include is unknown."""
        row = self._table.match(line) if self._table else None
        if row or table_of_row(line, DIALECTS):
            raise self._error("expected all rows before the totals", number, line)
        try:
            table_of_heading(split_heading(line), line, DIALECTS)
        except ParseError:
            return  # other text may contain some words of a heading
        raise self._error("expected the heading before the totals", number, line)

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
            if self.strict and Note.ROWS_OMITTED not in self._notes:
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
