"""
Map the header lines of pmap's tables to columns.

A heading that no dialect has is mapped word by word. An unknown word is an error: the values
below it would be assigned to another column.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from smapskit.errors import ParseError
from smapskit.formats.pmap.columns import COLUMN_OF_WORD, COLUMNS, MODE, NAME, PADDED_MODE, RAW_MODE
from smapskit.formats.pmap.dialects import DETAIL_COLUMNS, FLAGS_COLUMN, Dialect
from smapskit.model.mapping import Mapping, kernel_fields
from smapskit.text import decode

_REQUIRED = ("start", "size", MODE, NAME)
_MAX_WORDS = max(len(word.split()) for word in COLUMN_OF_WORD)
_FIELD_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_()]*")
_FIELD_OF_CASEFOLDED: Final = {name.casefold(): name for name in kernel_fields(Mapping)}
_FIRST_FIELDS: Final = frozenset(("Size", "Rss"))  # of every kernel
_MIN_KNOWN_WORDS = 2
_MAX_QUOTED = 40


def split_heading(line: bytes) -> tuple[str, ...]:
    """Split a heading into the words of its columns; some translations have blanks."""
    parts = decode(line).split()
    words = []
    position = 0
    while position < len(parts):
        for count in range(_MAX_WORDS, 0, -1):
            word = " ".join(parts[position : position + count])
            if count == 1 or word.casefold() in COLUMN_OF_WORD:
                words.append(word)
                position += count
                break
    return tuple(words)


def is_heading(words: Sequence[str], dialects: Iterable[Dialect]) -> bool:
    """Return whether words are a heading, even a damaged one."""
    known = sum(word.casefold() in COLUMN_OF_WORD for word in words)
    return known >= _MIN_KNOWN_WORDS or any(_has_heading(dialect, words) for dialect in dialects)


def is_mostly_heading(words: Sequence[str]) -> bool:
    """Return whether at least half of the words are those of headings: a sentence has fewer."""
    return 2 * sum(word.casefold() in COLUMN_OF_WORD for word in words) >= len(words)


def is_detailed(words: Sequence[str]) -> bool:
    """Return whether a heading is that of -X: it has a field and most of the first columns."""
    if not _FIRST_FIELDS.intersection(words):
        return False
    matching = sum(
        _column(word) == _column(expected)
        for word, expected in zip(words, DETAIL_COLUMNS, strict=False)
    )
    return matching > len(DETAIL_COLUMNS) // 2


def dialects_of(words: Sequence[str], dialects: Sequence[Dialect]) -> list[Dialect]:
    """
    Map the heading of a plain table to its columns.

    Args:
        words: from `split_heading`.
        dialects: the known ones.

    Returns:
        The dialects that have this heading, in order of preference. For any other heading, a
        dialect with its columns in its order; before it, one in which a word has another
        meaning that only the mode reveals (the Dirty of busybox is Private_Dirty).

    Raises:
        ParseError: without a line, for an unknown word, a column that occurs twice, and a
            missing column that every record requires.
    """
    matching = [dialect for dialect in dialects if _has_heading(dialect, words)]
    if matching:
        return matching
    columns: list[str] = []
    for word in words:
        column = _column(word)
        if column is None:
            raise ParseError(f"expected a known column, got {_quote(word)}")
        if column in columns:
            raise ParseError(f"expected each column once, got {_quote(word)} again")
        columns.append(column)
    for column in _REQUIRED:
        if column not in columns:
            raise ParseError(f"expected a heading with a column {COLUMNS[column].words[0]}")
    mapped = Dialect("procps", tuple(words), tuple(columns))
    others = [_remap(dialect, words) for dialect in dialects if RAW_MODE in dialect.columns]
    with_raw_mode = [other for other in others if other and other.counters != mapped.counters]
    if with_raw_mode:
        columns[columns.index(MODE)] = PADDED_MODE
        mapped = mapped._replace(columns=tuple(columns))
    return [*with_raw_mode, mapped]


def check_detailed(words: Sequence[str]) -> None:
    """
    Check the heading of -X: the columns that every kernel has, and names of fields.

    Raises:
        ParseError: without a line; it names the first wrong word.
    """
    for word, expected in zip(words, DETAIL_COLUMNS, strict=False):
        if _column(word) != _column(expected):
            raise ParseError(f"expected the column {expected}, got {_quote(word)}")
    fields = words[len(DETAIL_COLUMNS) : -1]
    if fields[:1] != ("Size",):  # the kernel's first field
        got = _quote(fields[0]) if fields else "the end of the heading"
        raise ParseError(f"expected the column Size, got {got}")
    counts = Counter(fields)
    for word in fields:
        if not _FIELD_NAME.fullmatch(word):
            raise ParseError(f"expected the name of a field, got {_quote(word)}")
        if counts[word] > 1:
            raise ParseError(f"expected each column once, got {_quote(word)} again")
        known = _FIELD_OF_CASEFOLDED.get(word.casefold(), word)
        if known != word:
            raise ParseError(f"expected the column {known}, got {_quote(word)}")
    if "Rss" not in counts:
        raise ParseError("expected a heading with a column Rss")
    if _column(words[-1]) != NAME:
        raise ParseError(f"expected the column Mapping at the end, got {_quote(words[-1])}")


def field_names(words: Sequence[str]) -> tuple[list[str], bool]:
    """Return the numeric fields of a heading of -X, and whether it has a column of flags."""
    fields = words[len(DETAIL_COLUMNS) : -1]
    return [word for word in fields if word != FLAGS_COLUMN], FLAGS_COLUMN in fields


def _has_heading(dialect: Dialect, words: Iterable[str]) -> bool:
    return [*map(str.casefold, words)] == [*map(str.casefold, dialect.headings)]


def _remap(dialect: Dialect, words: Sequence[str]) -> Dialect | None:
    """Map words by the header line of a dialect; None if it does not have one of them."""
    column_of = dict(zip(map(str.casefold, dialect.headings), dialect.columns, strict=False))
    columns = [column_of.get(word.casefold()) for word in words]
    known = tuple(column for column in columns if column is not None)
    return Dialect(dialect.name, tuple(words), known) if len(known) == len(words) else None


def _column(word: str) -> str | None:
    return COLUMN_OF_WORD.get(word.casefold())


def _quote(word: str) -> str:
    return repr(word if len(word) <= _MAX_QUOTED else word[:_MAX_QUOTED] + "...")
