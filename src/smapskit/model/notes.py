"""Every note that a parser or a reader attaches to a snapshot."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from typing import Final

from smapskit.text import truncate

MAX_LISTED: Final = 20
"""How many lines are listed for one kind of note, before a note with the number of the rest."""


class Note(enum.StrEnum):
    """
    What was unusual about a text or a process; `Snapshot.notes` lists those that apply.

    A note with details (values, names) is a plain string that begins with one of these texts:
    compare it by `note.startswith(Note.TOTAL_DIFFERS)`.
    """

    # Traces of copying
    ENCODING = "the text was decoded: it has a byte order mark or is UTF-16"
    CRLF = "the text has CRLF line ends"
    COLOURS = "escape sequences of a terminal were removed"
    ENTITIES = "HTML entities were decoded"
    BLANKS = "blanks of other kinds were replaced by plain ones"
    DASHES = "typographic dashes were replaced by hyphens"
    FENCE = "a fence around the listing was removed"
    QUOTED = "a quote mark or an indent before each line was removed"
    WRAPPED = "wrapped lines were joined"
    # These have details, one note per line: see LineNotes.
    PREFIX = "text before each line was removed"
    ROWS_OMITTED = "rows were omitted"
    REMARK = "a remark after a name was removed"
    SKIPPED = "a line outside of the listing was skipped"

    # smaps and maps
    EMPTY = "the text is empty: a kernel thread, or a process that had ended"
    NO_NEWLINE = "the text does not end in a newline: its last line may be truncated"
    TRUNCATED = "the text is truncated within a record, which was omitted"
    EMPTY_RANGE = "a mapping has an empty range: it ends where it starts"
    DUPLICATE_FIELD = "a field occurs twice in a record, with the same value"

    # pmap
    DUPLICATED_ROWS = (
        "each row occurs twice, the second without values (a fault of procps 3.3.2 to 3.3.12): "
        "counted once"
    )
    COLUMNS_UNNAMED = "-X without its header line: the values after Size have no names"
    CUMULATIVE_TOTALS = (
        "the totals include the processes before this one (a fault of procps up to 4.0.2)"
    )
    ASSUMED_SHMEM = (
        "zero (deleted) with permission s was classified as shared memory: the last part of "
        "/dev/zero (deleted), or of any file with that name"
    )
    NO_ROWS = "no rows: a kernel thread, or a process that had ended"
    # These three have details: see the functions below.
    COLUMNS_GUESSED = "no heading: columns guessed from the rows"
    AMBIGUOUS_COLUMNS = "the rows fit several pmaps"
    TOTAL_DIFFERS = "a total is not the sum of the rows"

    # The kernel's report of an OOM kill
    OOM_KILL_ONLY = (
        "the OOM report has only the line about the kill: the kernel limits how often it prints "
        "the rest"
    )
    OOM_NO_BEGINNING = "the beginning of the OOM report is missing"
    OOM_NO_END = "the end of the OOM report is missing: which process was killed is not known"
    OOM_DAMAGED_ROWS = "rows of the task table that could not be read were omitted"

    # Live processes
    KERNEL_THREAD = "a kernel thread: it has no memory map"
    ZOMBIE = "a zombie: the process has ended and its memory is freed"
    ENDING = "no mappings: the process was ending"
    COMMAND_CHANGED = (
        "the process changed its command line or called exec during each attempt to read it"
    )


def columns_guessed(dialect: str) -> str:
    """Return the note that a table without a heading was read as one of a pmap dialect."""
    return f"{Note.COLUMNS_GUESSED} as {dialect}"


def ambiguous_columns(dialect: str) -> str:
    """Return the note that heading and rows match several pmap dialects, and which was used."""
    return f"{Note.AMBIGUOUS_COLUMNS}: columns read as those of {dialect}"


def total_differs(counter: str, reported: int, summed: int) -> str:
    """Return the note that a total of a pmap text is not the sum of its rows, both in kB."""
    return f"{Note.TOTAL_DIFFERS}: {counter} is {reported}, the rows add up to {summed}"


class LineNotes:
    """Collects notes about single lines: each with its number and what it was."""

    def __init__(self) -> None:
        self._lines: dict[Note, list[str]] = {}
        self._rest: dict[Note, tuple[int, int]] = {}

    def add(self, note: Note, number: int, text: str) -> None:
        """Add a line, or the part of it that was removed."""
        lines = self._lines.setdefault(note, [])
        if len(lines) < MAX_LISTED:
            lines.append(f"{note}: line {number}: {truncate(text)!r}")
        else:
            count, _ = self._rest.get(note, (0, 0))
            self._rest[note] = count + 1, number

    def __iter__(self) -> Iterator[str]:
        """Yield the notes, by kind, in the order of the lines."""
        for note, lines in self._lines.items():
            yield from lines
            if note in self._rest:
                count, last = self._rest[note]
                yield f"{note}: {count} more, the last is line {last}"


def prefix_removed(prefix: str) -> str:
    """Return the note that a prefix, such as a number, was removed from each line."""
    return f"{Note.PREFIX}: {truncate(prefix)!r}"
