"""
A few figures of each mapping, and no records: for who needs three of the kernel's twenty.

With as many as the table of `pmap -x` shows it takes a fifth of the time that records take,
and nothing has to be loaded for it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from smapskit.smaps.grammar import HEADER_PATTERN, MOST_FIELD_NAMES

_FIELD = re.compile(rb"([A-Z][A-Za-z0-9_]*+):[^\n]*+\n")

_FIGURE = rb": *+(0|[1-9][0-9]{0,14}+) kB\n"


class Few:
    """Reads the same few fields from whole records, all with the fields of the first."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = [name.encode() for name in names]
        self._pattern: re.Pattern[bytes] | None = None
        self._lines = 0

    def rows(self, part: bytes) -> list[tuple[bytes, ...]] | None:
        """
        Of each mapping the groups of the header's pattern, then the figures.

        None where a record has other fields than the first one, or those that are wanted do
        not stand in the order in which they were named.
        """
        if self._pattern is None:
            self._learn(part)
        if self._pattern is None or not part.endswith(b"\n"):
            return None
        rows = self._pattern.findall(part)
        # Each row is as many whole lines: if their number is right, none was passed over.
        return rows if len(rows) * self._lines == part.count(b"\n") else None

    def _learn(self, part: bytes) -> None:
        lines = [rb"(?m:^)" + HEADER_PATTERN + rb"\n"]
        found = []
        at = part.find(b"\n") + 1
        while len(lines) <= MOST_FIELD_NAMES and (field := _FIELD.match(part, at)):
            name = field[1]
            is_wanted = name in self._names
            lines.append(name + (_FIGURE if is_wanted else rb":[^\n]*+\n"))
            found += [name] if is_wanted else []
            at = field.end()
        if found == self._names:
            self._pattern = re.compile(b"".join(lines))
            self._lines = len(lines)
