"""
Scan chosen fields of each mapping as text, without records.

A table needs some of the kernel's fields. Scanning them takes a fifth of the time of building
records and loads neither attrs nor NumPy.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from smapskit.formats.smaps.grammar import (
    HEADER_PATTERN,
    MAX_FIELD_NAMES,
    VM_FLAGS_FIELD,
    parse_vm_flags,
)

Row = tuple[bytes, ...]
"""The seven parts of the header line of a mapping, then its fields."""

HEADER_PARTS = 7
"""Start, end, permissions, offset, device, inode, name."""

_FIELD = re.compile(rb"([A-Z][A-Za-z0-9_]*+):([^\n]*+)\n")
_NUMBER = re.compile(rb" *+(?:0|[1-9][0-9]{0,14}+)( kB|)")
_NUMBER_PATTERN = rb": *+(0|[1-9][0-9]{0,14}+)"
_FLAGS_PATTERN = rb":([^\n]*+)\n"  # its codes are checked once per distinct text
_SKIPPED = rb":[^\n]*+\n"


class FieldScanner:
    """Scans the same fields of whole records that all have the fields of the first one."""

    def __init__(self, names: Sequence[str] | None) -> None:
        """
        Prepare to scan texts whose records have the same fields.

        Args:
            names: the fields to scan, in the order of the text: sizes in kB, and VmFlags. None
                for all fields, each of which must be a number or VmFlags.
        """
        self._names = None if names is None else [name.encode() for name in names]
        self._pattern: re.Pattern[bytes] | None = None
        self._line_count = 0
        self._valid_flags: set[bytes] = set()
        self.names: list[str] = []
        """The fields that are scanned, in the order of the text; empty before the first chunk."""

    def scan(self, chunk: bytes) -> list[Row] | None:
        """
        Return for each mapping the parts of its header line, then the fields.

        None where a record has other fields than the first one, where the fields are not in the
        order in which they were named, or where VmFlags has a word that is not a code.
        """
        if self._pattern is None:
            self._learn(chunk)
        if self._pattern is None or not chunk.endswith(b"\n"):
            return None
        rows: list[Row] = self._pattern.findall(chunk)
        # Each row is as many whole lines: if their number is right, no line was skipped.
        is_complete = len(rows) * self._line_count == chunk.count(b"\n")
        return rows if is_complete and self._has_valid_flags(rows) else None

    def _has_valid_flags(self, rows: list[Row]) -> bool:
        if VM_FLAGS_FIELD not in self.names:
            return True
        position = HEADER_PARTS + self.names.index(VM_FLAGS_FIELD)
        unseen = {row[position] for row in rows} - self._valid_flags
        self._valid_flags |= unseen
        return None not in map(parse_vm_flags, unseen)

    def _learn(self, chunk: bytes) -> None:
        parts = [rb"(?m:^)" + HEADER_PATTERN + rb"\n"]
        found: list[bytes] = []
        position = chunk.find(b"\n") + 1
        while len(parts) <= MAX_FIELD_NAMES and (field := _FIELD.match(chunk, position)):
            name, value = field.groups()
            is_scanned = self._names is None or name in self._names
            parts.append(name + (self._pattern_of(name, value) if is_scanned else _SKIPPED))
            found += [name] if is_scanned else []
            position = field.end()
        is_expected = len(set(found)) == len(found) if self._names is None else found == self._names
        if is_expected:
            self._pattern = re.compile(b"".join(parts))
            self._line_count = len(parts)
            self.names = [name.decode() for name in found]

    def _pattern_of(self, name: bytes, value: bytes) -> bytes:
        """Return the pattern of the value of a field; it matches nothing if that is text."""
        if name == VM_FLAGS_FIELD.encode():
            return _FLAGS_PATTERN
        number = _NUMBER.fullmatch(value)
        if number is None:
            return rb"(?!)"
        return _NUMBER_PATTERN + (number[1] if self._names is None else b" kB") + rb"\n"
