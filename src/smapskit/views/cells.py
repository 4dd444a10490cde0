"""The cells of a table: numbers, names that fit the terminal, colour."""

from __future__ import annotations

import unicodedata
from typing import Final, NamedTuple

from smapskit.views.columns import UNKNOWN

_ELLIPSIS: Final = "..."  # not U+2026, which is two columns wide on some East Asian terminals
_MIN_NAME: Final = 12
_UNITS: Final = "KMGTPE"
_TWO_DIGITS: Final = 10
_COLOURS: Final = {"bold": "1", "dim": "2", "red": "31", "green": "32"}


class TableStyle(NamedTuple):
    """How to print a table. The default is complete, without colour, in kB."""

    width: int | None = None
    """Columns of the terminal, to which names are cut; None to print whole names."""
    colour: bool = False
    """Use the escape sequences of a terminal."""
    human: bool = False
    """Print sizes with a unit, such as 1.2M, as powers of 1,024."""
    top: int | None = None
    """Print this many rows, the largest, and the sum of the others."""

    def size(self, kb: int | None) -> str:
        """Return a size, with thousands separators or with a unit."""
        if kb is None:
            return UNKNOWN
        return with_unit(kb) if self.human else f"{kb:,}"

    def change(self, kb: int) -> str:
        """Return the change of a size, with its sign."""
        sign = "+" if kb > 0 else "-" if kb < 0 else ""
        return f"{sign}{self.size(abs(kb))}"

    @property
    def total(self) -> str:
        """The label of a total: with the unit, where the sizes do not have it."""
        return "total" if self.human else "total kB"

    def paint(self, text: str, colour: str) -> str:
        """Return text in a colour, if there are colours and there is text."""
        if not self.colour or not text.strip():
            return text
        return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m"

    def name(self, text: str, used: int) -> str:
        """Return a name that fits the columns that are not used, at least 12."""
        if self.width is None:
            return text
        return cut_middle(text, max(self.width - used, _MIN_NAME))


PLAIN: Final = TableStyle()
"""Complete, in kB, without colour."""


def with_unit(kb: int) -> str:
    """Return a size with its unit and at least two digits: 512K, 1.2M, 34G."""
    value = float(kb)
    for unit in _UNITS:
        # 999.5 and more would be printed with four digits.
        if value < 999.5 or unit == _UNITS[-1]:  # noqa: PLR2004
            digits = 1 if unit != "K" and value < _TWO_DIGITS - 0.05 else 0
            return f"{value:.{digits}f}{unit}" if kb else "0"
        value /= 1024
    raise AssertionError


def display_width(text: str) -> int:
    """Return the number of columns of a terminal that a text occupies."""
    return len(text) if text.isascii() else sum(map(_character_width, text))


def _character_width(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):  # drawn on the character before
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def cut_middle(text: str, width: int) -> str:
    """Return a text of at most `width` columns, with `...` in place of its middle."""
    if display_width(text) <= width:
        return text
    rest = max(width - len(_ELLIPSIS), 0)
    head = _start(text, rest // 2)
    tail = _start(text[::-1], rest - display_width(head))[::-1]
    return f"{head}{_ELLIPSIS}{tail}"


def wrap(text: str, width: int, first: str = "", rest: str = "") -> list[str]:
    """
    Return a paragraph as lines of at most `width` columns; longer words are broken.

    Args:
        text: words, separated by blanks.
        width: columns of a terminal.
        first: what the first line begins with.
        rest: what the other lines begin with.
    """
    lines = []
    line, gap = first, ""
    for each in text.split():
        word = each
        if gap and display_width(line + gap + word) > width:
            lines.append(line)
            line, gap = rest, ""
        while display_width(line + gap + word) > width:
            head = _start(word, width - display_width(line)) or word[:1]
            lines.append(line + head)
            line, word = rest, word[len(head) :]
        line += gap + word
        gap = " "
    return [*lines, line] if gap else lines


def _start(text: str, width: int) -> str:
    used = 0
    for position, character in enumerate(text):
        used += _character_width(character)
        if used > width:
            return text[:position]
    return text


def pad(text: str, width: int, *, left: bool = False) -> str:
    """Return a text filled with blanks to a width: before it, or after it with `left`."""
    if text.isascii():
        return text.ljust(width) if left else text.rjust(width)
    blanks = " " * (width - display_width(text))
    return f"{text}{blanks}" if left else f"{blanks}{text}"
