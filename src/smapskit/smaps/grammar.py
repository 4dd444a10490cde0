"""What the lines of smaps, smaps_rollup and maps look like."""

from __future__ import annotations

import re
from typing import Final

_START_END = rb"([0-9a-f]{1,16})-([0-9a-f]{1,16})"
HEADER_PATTERN: Final = (
    _START_END
    + rb" ([r-][w-][x-][sp]) ([0-9a-f]{1,16}) ([0-9a-f]{1,8}:[0-9a-f]{1,8}) ([0-9]{1,20})"
    # A file's name is behind one or more blanks; one that itself began with a blank is none
    # that the kernel writes. Possessive, so that a line of blanks is not tried twice. The name
    # is optional by an empty alternative: CPython before 3.11.5 computes wrong matches for
    # possessive quantifiers on groups (gh-106052).
    + rb"(?: ++([^\n]*+)|)"
)

HEADER: Final = re.compile(HEADER_PATTERN)
HEADERS: Final = re.compile(rb"^" + HEADER_PATTERN + rb"$", re.MULTILINE)
FIELD: Final = re.compile(rb"([A-Za-z][A-Za-z0-9_]*+):([ \t]*+)(.*+)", re.DOTALL)
FIGURE: Final = re.compile(rb"(0|[1-9][0-9]*+)( kB|)[ \t]*+")

# In bytes it still fits a frame's int64; no address space has as many kB.
LARGEST: Final = 2**53 - 1
DIGITS_THAT_FIT: Final = 15  # however high they are
LARGEST_INODE: Final = 2**64 - 1
ROLLUP_NAME: Final = "[rollup]"

MOST_FIELD_NAMES: Final = 256
"""How many differently named fields a text may have. Kernels have 30: each name is a column."""

EXPECTED_HEADER: Final = "expected a line like '7f00a000-7f00b000 r--p 00000000 fe:00 260386 /path'"

NOTE_EMPTY: Final = "the text is empty: a kernel thread's, or of a process that had ended"
NOTE_NO_NEWLINE: Final = "the text does not end in a newline: its last line may be cut"
NOTE_CUT: Final = "the text is cut within a record, which was left out"
NOTE_EMPTY_RANGE: Final = "a mapping had an empty range: it ended where it started"
NOTE_TWICE: Final = "a field stands twice in a record, with the same figure"
