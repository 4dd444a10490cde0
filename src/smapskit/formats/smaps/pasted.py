"""
Find the listings in a pasted text of smaps, smaps_rollup or maps.

A text is first parsed as it is: the kernel's own text is never changed. Only a text that is
rejected, or that has a byte of some artifact, is cleaned here. Lines that are not part of a
listing become blank, each with a note. A line that may be a damaged part of one is left for the
parser to reject, and so is any line within a record.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Final, NamedTuple, TypeVar

from smapskit.errors import ParseError
from smapskit.formats import paste
from smapskit.formats.smaps.files import ROLLUP, SMAPS, ProcFile
from smapskit.formats.smaps.grammar import FIELD, HEADER, NUMBER, TOO_MANY_FIELDS
from smapskit.model.notes import LineNotes, Note
from smapskit.text import decode, encode

T = TypeVar("T")

_WORD: Final = re.compile(rb"\[[a-z][^\]\n]*+\]")
_REST_OF_PATH: Final = re.compile(rb"[\w.+/-]*[./][\w.+/-]*(?: \(deleted\))?")
_FIELD_WITH_REMARK: Final = re.compile(
    rb"([A-Za-z][A-Za-z0-9_]*+:[ \t]++(?:[0-9]++(?: kB)?|(?:[a-z]{2} )+))[ \t]+"
    rb"(?:<[-=<]|#|--|[-=]+>|\xe2[\x86-\xac])"
)
_FIELD_NAMES: Final = frozenset((*SMAPS.fields, *ROLLUP.fields))
_HEX: Final = re.compile(r"[0-9a-f]+(?:-[0-9a-f]*)?")
_LIKE_FIELD: Final = re.compile(
    rb":[ \t]*+[0-9]++ kB|^[ \t]*+(?:[^ \t]++[ \t]++){0,3}[^ \t]*kB[ \t\r]*+\Z"
)


class Pasted(NamedTuple):
    """A text without what copying added."""

    data: bytes
    notes: tuple[str, ...] = ()
    starts: tuple[int, ...] = ()
    """Where the listings after the first begin, if lines between them show it."""


def parse_pasted(
    text: str | bytes,
    file: ProcFile,
    source: str | None,
    parse: Callable[[Pasted, bool], T],
    *,
    strict: bool,
) -> T:
    """
    Parse a text as it is or, if that is rejected, without what copying added.

    Args:
        text: the whole text.
        file: what it is.
        source: its name in errors.
        parse: called with the text and whether to be strict.
        strict: of the second attempt; the first one is always strict.
    """
    try:
        data = encode(text)
    except ParseError as error:
        raise ParseError(error.message, source, error.line_number) from None
    rejected = None
    if not paste.may_be_pasted(data):
        try:
            return parse(Pasted(data), True)
        except ParseError as error:
            if error.message.startswith(TOO_MANY_FIELDS):
                raise  # at once: cleaning does not change that
            rejected = error
    pasted = clean(data, file)
    if rejected is not None and strict and not pasted.notes:
        raise rejected
    return parse(pasted, strict)


def clean(data: bytes, file: ProcFile) -> Pasted:
    """Strip paste artifacts, remarks, and the lines around the listings of a text."""
    stripped, notes = paste.strip(data)
    lines = stripped.split(b"\n")
    if not any(HEADER.fullmatch(line) or is_known_field(line, file) for line in lines):
        # There is nothing to read: the text is reported as it is.
        return Pasted(data) if stripped.strip() else Pasted(stripped, tuple(notes))
    cleaner = _Cleaner(lines, file, is_pasted=bool(notes))
    notes += [Note.WRAPPED] * cleaner.is_joined + [*cleaner.line_notes]
    return Pasted(b"\n".join(cleaner.lines), tuple(notes), tuple(cleaner.starts))


class _Cleaner:
    """Cleans the lines of a text: joins names, removes remarks, blanks lines around listings."""

    def __init__(self, lines: list[bytes], file: ProcFile, *, is_pasted: bool) -> None:
        self.lines = lines
        self.line_notes = LineNotes()
        self.starts: list[int] = []
        self._file = file
        self._headers = [HEADER.fullmatch(line) for line in lines]
        self._width = max((len(h[0]) for h in self._headers if h), default=0)
        self.is_joined = self._join_names()
        is_remarked = [self._strip_remark(position) for position in range(len(lines))]
        self._fields = [FIELD.fullmatch(line) for line in lines]
        self._counts = Counter(field[1] for field in self._fields if field)
        skipped = self._skip_lines()
        if is_pasted or skipped or self.is_joined or any(is_remarked):
            # This is certainly not the kernel's text as it wrote it.
            for position, header in enumerate(self._headers):
                if header:
                    self._strip_after(
                        position, header.start(7), paste.find_remark(header[7] or b"")
                    )
        self._find_starts(skipped)

    def _join_names(self) -> bool:
        """Join names that were wrapped to the next line, where the header line has none."""
        count = 0
        for position, header in enumerate(self._headers[:-1]):
            if header is None or header[7]:
                continue
            name = self.lines[position + 1].strip()
            is_path = name.startswith(b"/") and header[6] != b"0"
            if is_path or (_WORD.fullmatch(name) and header[6] == b"0"):
                joined = header[0].rstrip() + b" " + name
                self.lines[position : position + 2] = [joined, b""]
                self._headers[position] = HEADER.fullmatch(joined)
                count += 1
        return count > 0

    def _strip_remark(self, position: int) -> bool:
        """Remove a remark where there can be no name: after a field, `[heap]` or no name."""
        line, header = self.lines[position], self._headers[position]
        if header is None:
            if field := _FIELD_WITH_REMARK.match(line):
                return self._strip_after(position, 0, field.end(1) - field.start())
            return False
        name = header[7] or b""
        if paste.is_remark(name):
            return self._strip_after(position, header.start(7), 0)
        word = _WORD.match(name)
        remark = paste.find_remark(name[word.end() :]) if word else None
        at = word.end() if word and remark == 0 else None
        return self._strip_after(position, header.start(7), at)

    def _strip_after(self, position: int, begin: int, remark: int | None) -> bool:
        """Remove what a line has from `begin + remark` on, if there is a remark."""
        if remark is None:
            return False
        line = self.lines[position]
        removed = line[begin + remark :].strip()
        self.line_notes.add(Note.REMARK, position + 1, decode(removed))
        self.lines[position] = line[: begin + remark].rstrip()
        if self._headers[position]:
            self._headers[position] = HEADER.fullmatch(self.lines[position])
        return True

    def _skip_lines(self) -> set[int]:
        """Blank the lines outside of the listings; return their positions."""
        skipped = []
        is_before_field = False
        for position in range(len(self.lines) - 1, -1, -1):
            line = self.lines[position]
            if self._headers[position] or self._is_field(position):
                is_before_field = not self._headers[position]
            elif line.strip() and (
                paste.is_cut_mark(line)
                or self._is_first_command(position)
                or not (is_before_field or self._is_damaged(position))
            ):
                skipped.append(position)
        for position in reversed(skipped):
            line = self.lines[position]
            note = Note.ROWS_OMITTED if paste.is_cut_mark(line) else Note.SKIPPED
            self.line_notes.add(note, position + 1, decode(line.strip()))
        return set(skipped)

    def _is_field(self, position: int) -> bool:
        """Return whether a line is a field: known, with a number, or one that is repeated."""
        field = self._fields[position]
        if field is None or not self._file.has_fields:
            return False
        is_known = is_known_field(self.lines[position], self._file)
        return is_known or bool(NUMBER.fullmatch(field[3])) or self._counts[field[1]] > 1

    def _is_first_command(self, position: int) -> bool:
        """Return whether a line is a command before all listings, though a field may follow."""
        line = self.lines[position]
        is_command = paste.is_command(line) and not paste.looks_like_row(line)
        return is_command and not any(self._headers[:position])

    def _is_damaged(self, position: int) -> bool:
        """Return whether a line may be a damaged part of a listing."""
        line, field = self.lines[position], self._fields[position]
        if paste.looks_like_row(line) or self._is_rest_of_name(position):
            return True
        if field and NUMBER.fullmatch(field[3]):
            return True  # in maps, which has no fields
        if position == len(self.lines) - 1 and _is_beginning(line):
            return True
        name = re.split(rb"[:\s]", line.strip(), maxsplit=1)[0].decode("utf-8", "replace")
        return name in _FIELD_NAMES or bool(_LIKE_FIELD.search(line))

    def _is_rest_of_name(self, position: int) -> bool:
        """Return whether a line may be the rest of the longest header line, before it."""
        header = self._headers[position - 1] if position else None
        is_longest = header is not None and len(header[0]) == self._width
        return is_longest and bool(_REST_OF_PATH.fullmatch(self.lines[position]))

    def _find_starts(self, skipped: set[int]) -> None:
        """Blank the skipped lines; find the header lines after them that begin a listing."""
        offset = last = 0
        is_after_skipped = is_after_command = False
        for position, header in enumerate(self._headers):
            if position in skipped:
                is_after_skipped |= not paste.is_cut_mark(self.lines[position])
                is_after_command |= paste.is_command(self.lines[position])
                self.lines[position] = b""
            elif header:
                start = int(header[1], 16)
                if last and (is_after_command or (is_after_skipped and start <= last)):
                    self.starts.append(offset)
                is_after_skipped = is_after_command = False
                last = start
            offset += len(self.lines[position]) + 1


def is_known_field(line: bytes, file: ProcFile) -> bool:
    """Return whether a line is a field that a file of the kernel is known to have."""
    field = FIELD.fullmatch(line)
    return field is not None and field[1].decode() in file.fields


def _is_beginning(line: bytes) -> bool:
    """Return whether a line, the last one of a text, may be the beginning of a longer one."""
    text = line.decode("utf-8", "replace")
    return bool(_HEX.fullmatch(text)) or any(name.startswith(text) for name in _FIELD_NAMES)
