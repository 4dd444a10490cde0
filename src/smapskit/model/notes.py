"""Every note that a parser or a reader attaches to a snapshot."""

from __future__ import annotations

import enum


class Note(enum.StrEnum):
    """
    What was unusual about a text or a process; `Snapshot.notes` lists those that apply.

    A note with details (values, names) is a plain string that begins with one of these texts:
    compare it by `note.startswith(Note.TOTAL_DIFFERS)`.
    """

    # Traces of copying
    CRLF = "the text has CRLF line ends"
    QUOTED = "a quote mark or an indent before each line was removed"
    ROWS_OMITTED = "rows were omitted"
    COMMAND_SKIPPED = "a command line before the listing was skipped"

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
    TRAILING_TEXT = "text after the totals was ignored"
    ASSUMED_SHMEM = (
        "zero (deleted) with permission s was classified as shared memory: the last part of "
        "/dev/zero (deleted), or of any file with that name"
    )
    REMARK = "a remark after [ anon ] or [ stack ] was ignored"
    NO_ROWS = "no rows: a kernel thread, or a process that had ended"
    # These three have details: see the functions below.
    COLUMNS_GUESSED = "no heading: columns guessed from the rows"
    AMBIGUOUS_COLUMNS = "the rows fit several pmaps"
    TOTAL_DIFFERS = "a total is not the sum of the rows"

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
