"""
Text of any pmap to records.

The columns follow from the header line; where there is none, from the rows. What a
pmap row says is little: the end is start + Kbytes, a name is the last part of a path, and
`[ anon ]` stands for all that has no path. The rest is None in the records.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from smapskit.errors import ParseError
from smapskit.formats import paste
from smapskit.formats.paste import strip_paste_artifacts
from smapskit.formats.pmap.columns import MODE, MODES, NAME, PADDED_MODE, row_pattern
from smapskit.formats.pmap.dialects import (
    DETAIL_TOTAL_LINE,
    DEVICE_TOTAL_LINE,
    DIALECTS,
    FLAGS_COLUMN,
    PID_LINE,
    SEPARATOR_LINE,
    SLES_TOTAL_LINE,
    TOTAL_LINE,
    Dialect,
    detail_row,
)
from smapskit.formats.pmap.headings import (
    check_detailed,
    dialects_of,
    field_names,
    is_detailed,
    is_heading,
    split_heading,
)
from smapskit.formats.smaps.layout import Layout, default_style
from smapskit.model.mapping import COUNTERS, Device, Mapping, Permissions, kernel_fields
from smapskit.model.notes import Note
from smapskit.model.snapshot import Snapshot
from smapskit.text import decode, encode

_EXPECTED_ROW = "expected a row such as '00007f3f92355000    352       4       0 r---- a.out'"
# What a listing begins with. Rows of -X are not looked for: blanks before them are their own.
_FIRST_ROW = re.compile(
    rb"[0-9]{1,10}:(?:[ \t\r\n]|\Z)|Address[ \t]+Kbytes|[0-9a-f]{8,16}[ \t]+(?:[0-9]|-[ \t])"
)
_LARGEST = 2**64 - 1
_WORD = re.compile(r"[ \t]+(\[ (?:anon|stack|shmid=0x[0-9a-f]+) \])(?=[ \t]|\Z)")
_FLAGS = re.compile(rb"(?:[ \t]+[a-z?]{2}(?=[ \t]|\Z))*")
_FIELDS = kernel_fields(Mapping)
_ATTRIBUTES = frozenset((*COUNTERS, "start", "size", "offset", "inode"))


def parse_pmap(text: str | bytes, *, source: str | None = None, strict: bool = True) -> Snapshot:
    """
    Read what a pmap printed of one process: any dialect, any layout.

    Args:
        text: the whole of it, as printed or as somebody pasted it.
        source: what to call it in errors, such as a file name.
        strict: refuse a text whose own totals are not the sums of its rows; if False, say
            so in the notes. Where rows were visibly cut out it is a note in any case.

    Returns:
        Mappings with what the dialect knows; what was odd about the text in the notes.

    Raises:
        ParseError: with the line; also for several processes (see `parse_pmaps`).
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
    Read what a pmap printed of several processes, one after another.

    Args and errors are those of `parse_pmap`.
    """
    try:
        data, notes = strip_paste_artifacts(encode(text), _FIRST_ROW)
    except ParseError as error:
        raise ParseError(error.message, source, error.line_number) from None
    sections = [_Section(source, notes, strict=strict)]
    number = 0
    for number, line in enumerate(data.split(b"\n"), 1):
        section = sections[-1]
        pid_line = PID_LINE.fullmatch(line)
        if pid_line:
            if section.has_begun:
                section = _Section(source, notes, strict=strict)
                sections.append(section)
            section.begin(pid_line, number)
        elif line.strip():
            section.add(number, line)
    before: Counter[str] = Counter()
    return [section.snapshot(before) for section in sections]


class _Section:
    """The lines of one process, taken one by one."""

    def __init__(self, source: str | None, notes: Iterable[str], *, strict: bool) -> None:
        self.source = source
        self.strict = strict
        self.notes = list(notes)
        self.pid: int | None = None
        self.command: str | None = None
        self.has_begun = False
        self.table: _Table | None = None
        self.rows: list[re.Match[bytes]] = []
        self.numbers: list[int] = []
        self.total: tuple[int, bytes] | None = None
        self.last = (1, b"")

    def begin(self, pid_line: re.Match[bytes], number: int) -> None:
        """Take the line that names the process."""
        self.has_begun = True
        self.pid = int(pid_line[1] or pid_line[3])
        self.command = decode(pid_line[2] or b"")
        self.last = (number, pid_line[0])

    def add(self, number: int, line: bytes) -> None:
        """Take any other line that is not blank."""
        self.last = (number, line)
        if self.total is not None:
            self._check_after_total(number, line)
            self._note(Note.ROWS_OMITTED if paste.is_ellipsis(line) else Note.TRAILING_TEXT)
            return
        if self.table is None:
            self.table = _table_without_heading(line)
        row = self.table.match(line) if self.table else None
        if row:
            self.rows.append(row)
            self.numbers.append(number)
        elif paste.is_ellipsis(line):
            self._note(Note.ROWS_OMITTED)
        elif _is_total(line):
            self.total = (number, line)
        elif SEPARATOR_LINE.fullmatch(line):
            return
        elif is_heading(words := split_heading(line), DIALECTS):
            if self.table is not None:
                message = "expected one heading, before the rows"
                raise self._error(message, number, line)
            self.table = self._table_of_heading(words, number, line)
        elif not self.has_begun and paste.is_command(line):
            self._note(Note.COMMAND_SKIPPED)
            return
        else:
            expected = _EXPECTED_ROW if self.table is None else self.table.expected_row
            raise self._error(expected, number, line)
        self.has_begun = True

    def _table_of_heading(self, words: Sequence[str], number: int, line: bytes) -> _Table:
        if re.search(rb"\bMapped File\b", line):
            raise self._error("expected a Linux pmap's table, got Solaris's", number, line)
        try:
            return _table_with_heading(words, line)
        except ParseError as error:
            raise self._error(error.message, number, line) from None

    def _check_after_total(self, number: int, line: bytes) -> None:
        """Refuse rows and headings after the totals: which rows were added up is not known."""
        row = self.table.match(line) if self.table else None
        if row or _table_without_heading(line):
            raise self._error("expected all rows before the totals", number, line)
        try:
            _table_with_heading(split_heading(line), line)
        except ParseError:
            return  # a remark may have some of a heading's words
        raise self._error("expected the heading before the totals", number, line)

    def snapshot(self, before: Counter[str]) -> Snapshot:
        """
        What the lines say, when all are in.

        Args:
            before: the sums of the processes before this one; this one's are added to it.
        """
        if not self.has_begun or (self.pid is None and not self.rows):
            raise self._error(_EXPECTED_ROW, *self.last)
        mappings: list[Mapping] = []
        if self.table is None or not self.rows:
            self._note(Note.NO_ROWS)
        else:
            mappings = self.table.read(self.rows)
            self._check(mappings)
            mappings = self._without_doubles(mappings)
            self.notes += self.table.notes
            if self.total is not None:
                self._compare(*self.total, self.table, mappings, before)
        return Snapshot(
            tuple(mappings),
            pid=self.pid,
            command=self.command,
            source=self.source,
            notes=tuple(self.notes),
            layout=self.table.layout if self.table and self.rows else None,
        )

    def _check(self, mappings: Iterable[Mapping]) -> None:
        for number, row, mapping in zip(self.numbers, self.rows, mappings, strict=True):
            if mapping.end > _LARGEST or (mapping.inode or 0) > _LARGEST:
                raise self._error("expected a range and an inode below 2**64", number, row.string)

    def _without_doubles(self, mappings: list[Mapping]) -> list[Mapping]:
        firsts, seconds = mappings[::2], mappings[1::2]
        if firsts and firsts[0].pmap_dirty is None:
            return mappings  # only -x had that fault
        if len(firsts) != len(seconds) or any(
            (one.start, one.perms, one.pathname) != (two.start, two.perms, two.pathname)
            or two.rss
            or two.pmap_dirty
            for one, two in zip(firsts, seconds, strict=True)
        ):
            return mappings
        self._note(Note.DUPLICATED_ROWS)
        return firsts

    def _compare(
        self,
        number: int,
        line: bytes,
        table: _Table,
        mappings: list[Mapping],
        before: Counter[str],
    ) -> None:
        """Hold the totals that the text carries against the sums over its rows."""
        try:
            totals = table.reported_totals(line)
        except ParseError as error:
            raise self._error(error.message, number, line) from None
        for what, said in totals.items():
            summed = _sum(mappings, what)
            if said is None or summed is None:
                continue
            # With -X, procps up to 4.0.2 does not start again at 0 for the next process.
            running = summed + before[what]
            before[what] = running
            if said == summed:
                continue
            if isinstance(table, _DetailTable) and said == running:
                self._note(Note.CUMULATIVE_TOTALS)
                continue
            if self.strict and Note.ROWS_OMITTED not in self.notes:
                msg = f"expected rows whose {what} adds up to {said}, got {summed}; strict=False"
                raise self._error(f"{msg} reads them all the same", number, line)
            self._note(f"the text's total of {what} is {said}, its rows add up to {summed}")

    def _note(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)

    def _error(self, message: str, number: int, line: bytes) -> ParseError:
        return ParseError(message, self.source, number, decode(line))


# ---- rows --------------------------------------------------------------------------------


class _PlainTable:
    """
    Address, counters, mode, name: every table except those of -X and -XX.

    Args:
        dialects: those that the table may be of, the first one preferred. Each row excludes
            those that it does not fit.
        words: the heading's; None where there is no heading and the rows have to tell.
    """

    layout = None

    def __init__(self, dialects: Iterable[Dialect], words: Sequence[str] | None) -> None:
        self.words = words
        self.notes: list[str] = []
        pattern = _pattern_without_heading if words is None else _pattern_with_heading
        self._patterns = [(dialect, pattern(dialect)) for dialect in dialects]
        self._candidates = [dialect for dialect, _ in self._patterns]

    @property
    def dialect(self) -> Dialect:
        """The dialect, when all rows are in."""
        return self._candidates[0]

    @property
    def expected_row(self) -> str:
        """What to say of a line that is not a row of this table."""
        if self.words is not None:
            return f"expected a row with the columns {' '.join(self.words)}"
        return f"expected a row of {self.dialect.name}, as the first one is"

    def match(self, line: bytes) -> re.Match[bytes] | None:
        """Match a row; None for one that no remaining dialect could have printed."""
        if len(self._patterns) == 1:
            return self._patterns[0][1].fullmatch(line)
        fitting = [
            (dialect, row)
            for dialect, pattern in self._patterns
            if (row := pattern.fullmatch(line))
        ]
        # A row of -d is also one of the default layout, with an odd name: the first counts.
        remaining = [
            dialect
            for dialect, _ in fitting
            if dialect in self._candidates and len(dialect.columns) == len(fitting[0][0].columns)
        ]
        if not remaining:
            return None
        if len(remaining) < len(self._candidates):
            self._candidates = remaining
            self._patterns = [
                (dialect, pattern)
                for dialect, pattern in self._patterns
                if any(_has_first_columns(dialect, candidate) for candidate in remaining)
            ]
        return fitting[0][1]

    def read(self, rows: Sequence[re.Match[bytes]]) -> list[Mapping]:
        """A record for each row."""
        self._note_guess()
        group = self.dialect.columns.index(NAME) + 1
        # One blank stands before a name, or two: as many as before every one of them.
        gap = min((_blanks(row[group]) for row in rows if _is_plain(row[group])), default=0)
        return [self._mapping(row, self._name(row[group], gap)) for row in rows]

    def _note_guess(self) -> None:
        name = self.dialect.name
        if self.words is None:
            if len(self.dialect.figures) > 1:  # what the size is, is never a guess
                self.notes.append(f"no heading: columns guessed from the rows as {name}")
        elif len({dialect.figures for dialect in self._candidates}) > 1:
            self.notes.append(f"the rows fit several pmaps: columns read as those of {name}")

    def reported_totals(self, line: bytes) -> dict[str, int | None]:
        """
        The sums that a text's own last line gives.

        Raises:
            ParseError: without a line, for totals of columns that the rows do not have.
        """
        if device := DEVICE_TOTAL_LINE.fullmatch(line):
            return dict(zip(DEVICE_TOTALS, map(int, device.groups()), strict=True))
        if sles := SLES_TOTAL_LINE.fullmatch(line):
            return dict(zip(SLES_TOTALS, map(int, sles.groups()), strict=True))
        if total := TOTAL_LINE.fullmatch(line):
            words = total[1].split()
            figures = [None if word == b"-" else int(word.rstrip(b"Kk")) for word in words]
            count = len(self.dialect.figures)
            if any(figure is not None for figure in figures[count:]):
                raise ParseError(f"expected {count} totals, got {len(figures)}")
            return dict(zip(self.dialect.figures, figures, strict=False))
        return {}

    def _mapping(self, row: re.Match[bytes], name: str) -> Mapping:
        values: dict[str, Any] = {"pathname": name}
        extra: dict[str, int | str] = {}
        for column, text in zip(self.dialect.columns, row.groups(), strict=True):
            if column in MODES:
                values["perms"] = _perms(text.decode())
            elif column in ("start", "offset"):
                values[column] = int(text, 16)
            elif column == "device":
                values[column] = Device.parse(text.decode())
            elif column in _ATTRIBUTES:
                values[column] = None if text == b"-" else int(text)
            elif column != NAME and text != b"-":
                extra[column] = int(text)
        return Mapping(end=values["start"] + 1024 * values["size"], extra=extra, **values)

    def _name(self, raw: bytes, gap: int) -> str:
        text = decode(raw)
        word = _WORD.match(text)
        if word is None:
            return text[gap:]
        if text[word.end() :].strip() and Note.REMARK not in self.notes:
            self.notes.append(Note.REMARK)
        return word[1]


class _DetailTable:
    """The table of -X and -XX: a column for each field that the kernel has."""

    def __init__(self, heading: bytes | None) -> None:
        self.notes = [Note.COLUMNS_UNNAMED] if heading is None else []
        self.names, self.has_flags = field_names(split_heading(heading or b""))
        self.pattern = detail_row(len(self.names) or None)
        count = f" with {len(self.names)} figures after Inode" if self.names else ""
        self.expected_row = f"expected a row of -X{count}"
        # The column of the flags ends with its heading, unless pasting moved it.
        self.flags_end = len((heading or b"").partition(FLAGS_COLUMN.encode())[0]) + 7

    def match(self, line: bytes) -> re.Match[bytes] | None:
        """Match a row."""
        return self.pattern.fullmatch(line)

    @property
    def layout(self) -> Layout:
        """The fields in the order of their columns."""
        styles = [default_style(name) for name in self.names]
        return Layout((*styles, default_style(FLAGS_COLUMN)) if self.has_flags else tuple(styles))

    def read(self, rows: Sequence[re.Match[bytes]]) -> list[Mapping]:
        """A record for each row."""
        tails = [row[self.pattern.groups] for row in rows]
        if not self.names:
            widest = max(len(row[self.pattern.groups - 1].split()) for row in rows)
            self.names = ["Size", *(f"column {n}" for n in range(2, widest + 1))]
            # Where they end most often is where they all end: a name may look like a flag.
            ends = [_end_of_flags(row) for row in rows]
            self.has_flags = all(
                end > row.start(row.re.groups) for row, end in zip(rows, ends, strict=True)
            )
            self.flags_end = Counter(ends).most_common(1)[0][0]
        return [self._mapping(row, tail) for row, tail in zip(rows, tails, strict=True)]

    def reported_totals(self, line: bytes) -> dict[str, int | None]:
        """The sums that a text's own last line gives."""
        total = DETAIL_TOTAL_LINE.fullmatch(line)
        return dict(zip(self.names, map(int, total[1].split()), strict=False)) if total else {}

    def _mapping(self, row: re.Match[bytes], tail: bytes) -> Mapping:
        start, perms, offset, device, inode, figures, _ = row.groups()
        values: dict[str, Any] = {}
        extra: dict[str, int | str] = {}
        for field, word in zip(self.names, figures.split(), strict=False):
            if word == b"-":
                continue
            if field in _FIELDS:
                values[_FIELDS[field].attribute] = int(word)
            else:
                extra[field] = int(word)
        if self.has_flags:
            values["vm_flags"], tail = self._flags_and_name(row, tail)
        first = int(start, 16)
        return Mapping(
            start=first,
            end=first + 1024 * values.get("size", 0),
            perms=Permissions.parse(perms.decode()),
            offset=int(offset, 16),
            device=Device.parse(device.decode()),
            inode=int(inode),
            pathname=decode(tail[1:]),
            extra=extra,
            **values,
        )

    def _flags_and_name(self, row: re.Match[bytes], tail: bytes) -> tuple[tuple[str, ...], bytes]:
        end = self.flags_end
        column = row.string[row.start(row.re.groups) : end]
        if not _FLAGS.fullmatch(column.rstrip()) or row.string[end : end + 1] not in (b"", b" "):
            column = row.string[row.start(row.re.groups) : _end_of_flags(row)]
        return tuple(column.decode().split()), tail[len(column) :]


def _end_of_flags(row: re.Match[bytes]) -> int:
    """Where the words that look like flags end, behind the figures of a row."""
    flags = _FLAGS.match(row.string, row.start(row.re.groups))
    return flags.end() if flags else row.start(row.re.groups)


_Table = _PlainTable | _DetailTable


def _table_with_heading(words: Sequence[str], line: bytes) -> _Table:
    if is_detailed(words):
        check_detailed(words)
        return _DetailTable(line)
    return _PlainTable(dialects_of(words, DIALECTS), words)


def _table_without_heading(row: bytes) -> _Table | None:
    """Return the table that a first row belongs to; None if it is not a row."""
    for table in (_PlainTable(DIALECTS, None), _DetailTable(None)):
        if table.match(row):
            return table
    return None


def _has_first_columns(dialect: Dialect, of: Dialect) -> bool:
    """Return whether a row of a dialect could be one of another, whose name is the rest."""
    count = len(of.columns) - 1
    return dialect.columns[:count] == of.columns[:count]


def _pattern_with_heading(dialect: Dialect) -> re.Pattern[bytes]:
    return row_pattern(dialect.columns)


def _pattern_without_heading(dialect: Dialect) -> re.Pattern[bytes]:
    """Compile a pattern of the rows that this pmap alone prints."""
    columns = dialect.columns
    if len(dialect.figures) > 1:
        columns = tuple(PADDED_MODE if column == MODE else column for column in columns)
    return row_pattern(columns, dialect.unknown)


def _is_total(line: bytes) -> bool:
    patterns = (TOTAL_LINE, DEVICE_TOTAL_LINE, SLES_TOTAL_LINE, DETAIL_TOTAL_LINE)
    return any(pattern.fullmatch(line) for pattern in patterns)


def _blanks(text: bytes) -> int:
    return len(text) - len(text.lstrip())


def _is_plain(raw: bytes) -> bool:
    return bool(raw.strip()) and not raw.lstrip().startswith(b"[ ")


def _perms(mode: str) -> Permissions:
    """From three to five characters: `s` in the fourth place is shared, all else private."""
    return Permissions.parse(mode[:3] + ("s" if mode[3:4] == "s" else "p"))


DEVICE_TOTALS = ("size", "writable_private", "shared")
SLES_TOTALS = ("writable_private", "readonly_private", "shared")
_CHOICES: dict[str, Callable[[Mapping], bool]] = {
    "writable_private": lambda mapping: mapping.is_private and mapping.perms.write,
    "readonly_private": lambda mapping: mapping.is_private and not mapping.perms.write,
    "shared": lambda mapping: mapping.is_shared,
}


def _sum(mappings: Iterable[Mapping], what: str) -> int | None:
    """The sum of a figure over all rows, or of the sizes of some; None where one is unknown."""
    figures: list[Any]
    if what in _CHOICES:
        figures = [mapping.size for mapping in mappings if _CHOICES[what](mapping)]
    else:
        attribute = _FIELDS[what].attribute if what in _FIELDS else what
        figures = [
            getattr(mapping, attribute, None)
            if hasattr(mapping, attribute)
            else mapping.extra.get(what)
            for mapping in mappings
        ]
    return None if None in figures else sum(figures)
