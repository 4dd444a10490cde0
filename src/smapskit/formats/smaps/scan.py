"""
Scan a few fields of each mapping, without records.

The table of `pmap -x` needs four of the kernel's twenty fields. Scanning them takes a fifth of
the time of building records and loads neither attrs nor NumPy.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from smapskit.formats.smaps.grammar import HEADER_PATTERN, MAX_FIELD_NAMES

_FIELD = re.compile(rb"([A-Z][A-Za-z0-9_]*+):[^\n]*+\n")
_NUMBER = rb": *+(0|[1-9][0-9]{0,14}+) kB\n"


class FieldScanner:
    """Scans the same few fields of whole records that all have the fields of the first one."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = [name.encode() for name in names]
        self._pattern: re.Pattern[bytes] | None = None
        self._line_count = 0

    def scan(self, chunk: bytes) -> list[tuple[bytes, ...]] | None:
        """
        Return for each mapping the groups of the header's pattern, then the numbers.

        None where a record has other fields than the first one, or where the fields are not in
        the order in which they were named.
        """
        if self._pattern is None:
            self._learn(chunk)
        if self._pattern is None or not chunk.endswith(b"\n"):
            return None
        rows = self._pattern.findall(chunk)
        # Each row is as many whole lines: if their number is right, no line was skipped.
        return rows if len(rows) * self._line_count == chunk.count(b"\n") else None

    def _learn(self, chunk: bytes) -> None:
        lines = [rb"(?m:^)" + HEADER_PATTERN + rb"\n"]
        found = []
        position = chunk.find(b"\n") + 1
        while len(lines) <= MAX_FIELD_NAMES and (field := _FIELD.match(chunk, position)):
            name = field[1]
            is_scanned = name in self._names
            lines.append(name + (_NUMBER if is_scanned else rb":[^\n]*+\n"))
            found += [name] if is_scanned else []
            position = field.end()
        if found == self._names:
            self._pattern = re.compile(b"".join(lines))
            self._line_count = len(lines)
