"""
Parse the rows of a pmap table into mappings.

`PlainTable` is the table of every pmap except procps's -X and -XX, which are a `DetailTable`.
A table first matches each line of a text, then builds the mappings of all rows: without a
header line the columns are known only after the last row.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from smapskit.errors import ParseError
from smapskit.formats import paste
from smapskit.formats.pmap.columns import COLUMNS, MODE, MODES, NAME, PADDED_MODE, row_pattern
from smapskit.formats.pmap.dialects import DEVICE_TOTALS, FLAGS_COLUMN, SLES_TOTALS, Dialect
from smapskit.formats.pmap.headings import (
    check_detailed,
    dialects_of,
    field_names,
    is_detailed,
    split_heading,
)
from smapskit.formats.pmap.patterns import (
    DETAIL_TOTAL_LINE,
    DEVICE_TOTAL_LINE,
    SLES_TOTAL_LINE,
    TOTAL_LINE,
    UNKNOWN_TOTAL_LINE,
    detail_row,
)
from smapskit.formats.smaps.layout import Layout, default_style
from smapskit.model.mapping import COUNTERS, Device, Mapping, Permissions, kernel_fields
from smapskit.model.notes import Note, ambiguous_columns, columns_guessed
from smapskit.text import decode

# pmap's word for a mapping without a path, in any language, at the beginning of a cell.
_PMAP_WORD = re.compile(r"[ \t]+(\[ [^\[\]/]{1,40} \])(?=[ \t]|\Z)")
# toybox writes blanks before the kernel's words too.
_TOYBOX_WORD = re.compile(r"[ \t]+(\[[a-z_]+(?::.*)?\])\Z")
_ANY_MODE = re.compile(rb"[r-][w-][x-]")
_FLAGS = re.compile(rb"(?:[ \t]+[a-z?]{2}(?=[ \t]|\Z))*")
_FIELDS: Final = kernel_fields(Mapping)
_ATTRIBUTES = frozenset((*COUNTERS, "start", "size", "offset", "inode"))


class PlainTable:
    """
    A table with an address, counters, a mode and a name: any except -X and -XX.

    Args:
        dialects: those that the table may be of, in order of preference. Each row excludes the
            dialects that it does not match.
        words: the words of the heading; None without a heading, where the rows decide.
    """

    layout: Layout | None = None
    totals_may_be_cumulative = False

    def __init__(self, dialects: Sequence[Dialect], words: Sequence[str] | None) -> None:
        self.words = words
        self.notes: list[str] = []
        self.remarks: list[tuple[int, str]] = []
        """What was removed after names: the position of the row, and the remark."""
        self._dialects = dialects
        pattern = _pattern_without_heading if words is None else _pattern_with_heading
        self._patterns = [(dialect, pattern(dialect)) for dialect in dialects]
        self._candidates = list(dialects)

    @property
    def dialect(self) -> Dialect:
        """The preferred dialect of those that all rows match so far."""
        return self._candidates[0]

    @property
    def needs_heading(self) -> bool:
        """Whether the columns are guessed from the rows; a size alone needs no heading."""
        return self.words is None and len(self.dialect.counters) > 1

    @property
    def has_usual_order(self) -> bool:
        """Whether an address, counters and a mode come first, so that a row is known as one."""
        columns = self.dialect.columns
        mode = next(n for n, column in enumerate(columns) if column in MODES)
        return columns[:1] == ("start",) and {*columns[1:mode]} <= {*self.dialect.counters}

    @property
    def expected_row(self) -> str:
        """The beginning of an error message for a line that is not a row of this table."""
        cells = (
            "-" if column in self.dialect.unknown else COLUMNS[column].example
            for column in self.dialect.columns
        )
        return f"expected a row such as '{' '.join(cells)}'"

    def renew(self) -> PlainTable | None:
        """Return a table with this heading and no rows; None without a heading."""
        return None if self.words is None else PlainTable(self._dialects, self.words)

    def start(self, row: re.Match[bytes]) -> int:
        """Return the first address of a row."""
        return int(row[self.dialect.columns.index("start") + 1], 16)

    def match(self, line: bytes) -> re.Match[bytes] | None:
        """Match a row; None for a line that no remaining dialect could have printed."""
        if len(self._patterns) == 1:
            return self._patterns[0][1].fullmatch(line)
        matches = [
            (dialect, row)
            for dialect, pattern in self._patterns
            if (row := pattern.fullmatch(line))
        ]
        # A row of -d also matches the default layout, with an unusual name: the first match counts.
        remaining = [
            dialect
            for dialect, _ in matches
            if dialect in self._candidates and len(dialect.columns) == len(matches[0][0].columns)
        ]
        if not remaining:
            return None
        if len(remaining) < len(self._candidates):
            self._candidates = remaining
            self._patterns = [
                (dialect, pattern)
                for dialect, pattern in self._patterns
                if any(_has_same_columns(dialect, candidate) for candidate in remaining)
            ]
        return matches[0][1]

    def mappings(self, rows: Sequence[re.Match[bytes]]) -> list[Mapping]:
        """Build one mapping per row."""
        self._note_guess()
        group = self.dialect.columns.index(NAME) + 1
        # One or two blanks precede a name. The smallest number is that of all names: further
        # blanks belong to the name.
        gap = min((_leading_blanks(row[group]) for row in rows if _is_path(row[group])), default=0)
        return [self._mapping(row, self._name(row[group], gap, n)) for n, row in enumerate(rows)]

    def reported_totals(self, line: bytes) -> dict[str, int | None]:
        """
        Return the totals of a total line by column; None for `-`.

        Raises:
            ParseError: without a line, for totals of columns that the rows do not have.
        """
        if device := DEVICE_TOTAL_LINE.fullmatch(line):
            return dict(zip(DEVICE_TOTALS, map(int, device.groups()), strict=True))
        if sles := SLES_TOTAL_LINE.fullmatch(line):
            return dict(zip(SLES_TOTALS, map(int, sles.groups()), strict=True))
        if total := TOTAL_LINE.fullmatch(line) or UNKNOWN_TOTAL_LINE.fullmatch(line):
            words = total[1].split()
            values = [None if word == b"-" else int(word.rstrip(b"Kk")) for word in words]
            counters = self.dialect.counters
            if any(value is not None for value in values[len(counters) :]):
                raise ParseError(f"expected {len(counters)} totals, got {len(values)}")
            return dict(zip(counters, values, strict=False))
        return {}

    def unknown_total(self, line: bytes, *, is_after_separator: bool) -> re.Pattern[bytes] | None:
        """Return the pattern of a line with a total for each counter after unknown words."""
        total = UNKNOWN_TOTAL_LINE.fullmatch(line)
        if total is None or len(total[1].split()) != len(self.dialect.counters):
            return None
        is_certain = is_after_separator or len(self.dialect.counters) > 1 or b"K" in total[1]
        return UNKNOWN_TOTAL_LINE if is_certain else None

    def _note_guess(self) -> None:
        if self.words is None:
            if len(self.dialect.counters) > 1:  # a single counter is always the size
                self.notes.append(columns_guessed(self.dialect.name))
        elif len({dialect.counters for dialect in self._candidates}) > 1:
            self.notes.append(ambiguous_columns(self.dialect.name))

    def _mapping(self, row: re.Match[bytes], name: str) -> Mapping:
        values: dict[str, Any] = {"pathname": name}
        extra: dict[str, int | str] = {}
        for column, text in zip(self.dialect.columns, row.groups(), strict=True):
            if column in MODES:
                values["perms"] = _permissions(text.decode())
            elif column in ("start", "offset"):
                values[column] = int(text, 16)
            elif column == "device":
                values[column] = Device.parse(text.decode())
            elif column in _ATTRIBUTES:
                values[column] = None if text == b"-" else int(text)
            elif column != NAME and text != b"-":
                extra[column] = int(text)
        return Mapping(end=values["start"] + 1024 * values["size"], extra=extra, **values)

    def _name(self, cell: bytes, gap: int, position: int) -> str:
        if word := _PMAP_WORD.match(decode(cell)):
            remark = decode(cell)[word.end() :].strip()
            if remark:
                self.remarks.append((position, remark))
            return word[1]
        text = decode(_strip_remark(cell, position, self.remarks))
        toybox = _TOYBOX_WORD.match(text)
        return toybox[1] if toybox else text[gap:]


class DetailTable:
    """
    A table of -X or -XX: one column per field of the kernel.

    Args:
        heading: the header line; None without one, where the fields have no names.
    """

    has_usual_order = True
    totals_may_be_cumulative = True
    """Before procps 4.0.3 the totals include those of the processes before this one."""

    def __init__(self, heading: bytes | None) -> None:
        self.notes: list[str] = [Note.COLUMNS_UNNAMED] if heading is None else []
        self.remarks: list[tuple[int, str]] = []
        self._heading = heading
        self._names, self._has_flags = field_names(split_heading(heading or b""))
        self._pattern = detail_row(len(self._names) or None)
        count = len(self._names) or "several"
        self.expected_row = (
            "expected a row of -X such as '7f3f92355000 r--p 00000000 fe:00 260386', "
            f"then {count} values and a name"
        )
        # The column of flags ends where its heading ends, unless pasting changed the blanks.
        before_flags = (heading or b"").partition(FLAGS_COLUMN.encode())[0]
        self._flags_end = len(before_flags) + len(FLAGS_COLUMN)

    def renew(self) -> DetailTable | None:
        """Return a table with this heading and no rows; None without a heading."""
        return None if self._heading is None else DetailTable(self._heading)

    def start(self, row: re.Match[bytes]) -> int:
        """Return the first address of a row."""
        return int(row[1], 16)

    def unknown_total(self, line: bytes, *, is_after_separator: bool) -> re.Pattern[bytes] | None:  # noqa: ARG002  as of PlainTable
        """Return None: the totals of -X have no words before them."""
        return None

    def match(self, line: bytes) -> re.Match[bytes] | None:
        """Match a row."""
        return self._pattern.fullmatch(line)

    @property
    def needs_heading(self) -> bool:
        """Whether the columns have no names."""
        return self._heading is None

    @property
    def layout(self) -> Layout:
        """The fields in the order of their columns."""
        styles = [default_style(name) for name in self._names]
        return Layout((*styles, default_style(FLAGS_COLUMN)) if self._has_flags else tuple(styles))

    def mappings(self, rows: Sequence[re.Match[bytes]]) -> list[Mapping]:
        """Build one mapping per row."""
        if not self._names:
            self._guess_columns(rows)
        return [self._mapping(row, position) for position, row in enumerate(rows)]

    def _guess_columns(self, rows: Sequence[re.Match[bytes]]) -> None:
        widest = max(len(row[row.re.groups - 1].split()) for row in rows)
        self._names = ["Size", *(f"column {number}" for number in range(2, widest + 1))]
        # The most frequent end is that of the column: a name may begin like a flag.
        ends = [_end_of_flags(row) for row in rows]
        self._has_flags = all(
            end > _start_of_flags(row) for row, end in zip(rows, ends, strict=True)
        )
        self._flags_end = Counter(ends).most_common(1)[0][0]

    def reported_totals(self, line: bytes) -> dict[str, int | None]:
        """Return the totals of a total line by field."""
        total = DETAIL_TOTAL_LINE.fullmatch(line)
        return dict(zip(self._names, map(int, total[1].split()), strict=False)) if total else {}

    def _mapping(self, row: re.Match[bytes], position: int) -> Mapping:
        start, perms, offset, device, inode, counters, rest = row.groups()
        values: dict[str, Any] = {}
        extra: dict[str, int | str] = {}
        for field, word in zip(self._names, counters.split(), strict=False):
            if word == b"-":
                continue
            if field in _FIELDS:
                values[_FIELDS[field].attribute] = int(word)
            else:
                extra[field] = int(word)
        if self._has_flags:
            values["vm_flags"], rest = self._flags_and_name(row, rest)
        first = int(start, 16)
        return Mapping(
            start=first,
            end=first + 1024 * values.get("size", 0),
            perms=Permissions.parse(perms.decode()),
            offset=int(offset, 16),
            device=Device.parse(device.decode()),
            inode=int(inode),
            pathname=decode(_strip_remark(rest[1:], position, self.remarks)),
            extra=extra,
            **values,
        )

    def _flags_and_name(self, row: re.Match[bytes], rest: bytes) -> tuple[tuple[str, ...], bytes]:
        end = self._flags_end
        column = row.string[_start_of_flags(row) : end]
        if not _FLAGS.fullmatch(column.rstrip()) or row.string[end : end + 1] not in (b"", b" "):
            column = row.string[_start_of_flags(row) : _end_of_flags(row)]
        return tuple(column.decode().split()), rest[len(column) :]


Table = PlainTable | DetailTable


def table_of_heading(words: Sequence[str], line: bytes, dialects: Sequence[Dialect]) -> Table:
    """
    Return the table that a header line describes.

    Args:
        words: the header line, from `split_heading`.
        line: the header line.
        dialects: the known ones.

    Raises:
        ParseError: without a line, if the header line cannot be mapped to columns.
    """
    if is_detailed(words):
        check_detailed(words)
        return DetailTable(line)
    return PlainTable(dialects_of(words, dialects), words)


def table_of_row(row: bytes, dialects: Sequence[Dialect]) -> Table | None:
    """Return the table without a heading that begins with a row; None if it is not a row."""
    if not _ANY_MODE.search(row):
        return None  # fast, for text before a listing
    for table in (PlainTable(dialects, None), DetailTable(None)):
        if table.match(row):
            return table
    return None


def _has_same_columns(dialect: Dialect, other: Dialect) -> bool:
    """Return whether the columns of `other`, except its last, are the first of a dialect."""
    count = len(other.columns) - 1
    return dialect.columns[:count] == other.columns[:count]


def _pattern_with_heading(dialect: Dialect) -> re.Pattern[bytes]:
    return row_pattern(dialect.columns)


def _pattern_without_heading(dialect: Dialect) -> re.Pattern[bytes]:
    """Compile a pattern of the rows that only this pmap prints."""
    columns = dialect.columns
    if len(dialect.counters) > 1:
        columns = tuple(PADDED_MODE if column == MODE else column for column in columns)
    return row_pattern(columns, dialect.unknown)


def _strip_remark(cell: bytes, position: int, remarks: list[tuple[int, str]]) -> bytes:
    """Return a name without a remark after it, which is added to the others."""
    begin = paste.find_remark(cell)
    if begin is None or not cell[:begin].strip():
        return cell
    remarks.append((position, decode(cell[begin:].strip())))
    return cell[:begin]


def _start_of_flags(row: re.Match[bytes]) -> int:
    """Return where the last group of a row of -X begins: flags, if there are any, and name."""
    return row.start(row.re.groups)


def _end_of_flags(row: re.Match[bytes]) -> int:
    """Return the end of the words after the counters that have the form of flags."""
    flags = _FLAGS.match(row.string, _start_of_flags(row))
    return flags.end() if flags else _start_of_flags(row)


def _leading_blanks(text: bytes) -> int:
    return len(text) - len(text.lstrip())


def _is_path(cell: bytes) -> bool:
    """Return whether a cell has a name that is not one of pmap's words."""
    return bool(cell.strip()) and not cell.lstrip().startswith(b"[ ")


def _permissions(mode: str) -> Permissions:
    """Parse a mode of three to five characters: shared if the fourth is `s`, else private."""
    return Permissions.parse(mode[:3] + ("s" if mode[3:4] == "s" else "p"))
