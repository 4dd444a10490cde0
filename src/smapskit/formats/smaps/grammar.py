"""Patterns of the lines of smaps, smaps_rollup and maps."""

from __future__ import annotations

import re
from typing import Final

_START_END = rb"([0-9a-f]{1,16})-([0-9a-f]{1,16})"
HEADER_PATTERN: Final = (
    _START_END
    + rb" ([r-][w-][x-][sp]) ([0-9a-f]{1,16}) ([0-9a-f]{1,8}:[0-9a-f]{1,8}) ([0-9]{1,20})"
    # One or more blanks come before a name. Possessive, so that a line of blanks is matched in
    # linear time. The name is optional by an empty alternative: CPython before 3.11.5 computes
    # wrong matches for possessive quantifiers on groups (gh-106052).
    + rb"(?: ++([^\n]*+)|)"
)

HEADER: Final = re.compile(HEADER_PATTERN)
HEADER_LINES: Final = re.compile(rb"^" + HEADER_PATTERN + rb"$", re.MULTILINE)
"""The header lines of a text."""
FIELD: Final = re.compile(rb"([A-Za-z][A-Za-z0-9_]*+):([ \t]*+)(.*+)", re.DOTALL)
_CODE: Final = re.compile(r"[!-~]{2}")
NUMBER: Final = re.compile(rb"(0|[1-9][0-9]*+)( kB|)[ \t]*+")

MAX_KB: Final = 2**53 - 1
"""In bytes it still fits int64; no address space is as large."""
MAX_DIGITS: Final = 15
"""Any number with so many digits is below MAX_KB."""
MAX_FIELD_NAMES: Final = 256
"""Kernels have about 30. Each further name would be a column of every mapping."""
TOO_MANY_FIELDS: Final = f"expected at most {MAX_FIELD_NAMES} different fields"
MAX_INODE: Final = 2**64 - 1
ROLLUP_NAME: Final = "[rollup]"
VM_FLAGS_FIELD: Final = "VmFlags"

HEADER_EXAMPLE: Final = "7f00a000-7f00b000 r--p 00000000 fe:00 260386 /path"
EXPECTED_HEADER: Final = f"expected a line like '{HEADER_EXAMPLE}'"


def parse_vm_flags(text: bytes) -> tuple[str, ...] | None:
    """Parse the two-letter codes of VmFlags; None where a word is not a code."""
    words = text.decode("ascii", "replace").replace("\t", " ").split(" ")
    codes = tuple(word for word in words if word)
    return codes if all(map(_CODE.fullmatch, codes)) else None
