"""
Heading lines of pmap's tables: which column each word names.

A heading that no dialect has is mapped word by word. A word that names no column is an
error: the values below it would be read as something else.
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
_LONGEST = max(len(word.split()) for word in COLUMN_OF_WORD)
_FIELD_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_()]*")
_FIELD_OF_FOLDED: Final = {name.casefold(): name for name in kernel_fields(Mapping)}
_FIRST_FIELDS: Final = frozenset(("Size", "Rss"))  # of every kernel
_MIN_KNOWN_WORDS = 2
_MAX_SHOWN = 40


def split_heading(line: bytes) -> tuple[str, ...]:
    """Split a heading into its columns' words; some translations consist of two words."""
    parts = decode(line).split()
    words = []
    position = 0
    while position < len(parts):
        for count in range(_LONGEST, 0, -1):
            word = " ".join(parts[position : position + count])
            if count == 1 or word.casefold() in COLUMN_OF_WORD:
                words.append(word)
                position += count
                break
    return tuple(words)


def is_heading(words: Sequence[str], dialects: Iterable[Dialect]) -> bool:
    """Return whether words are a heading, perhaps a damaged one."""
    known = sum(word.casefold() in COLUMN_OF_WORD for word in words)
    return known >= _MIN_KNOWN_WORDS or any(_fits(words, dialect) for dialect in dialects)


def is_detailed(words: Sequence[str]) -> bool:
    """Return whether a heading is that of -X: a field, and most of the first columns."""
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
        The dialects that have this heading. For another heading, one with its columns in its
        order. Where the mode tells that a column means something else (the Dirty of busybox
        is Private_Dirty), that one too, before it.

    Raises:
        ParseError: without a line, for a word that cannot be mapped, a column that is there
            twice, and a column that every record needs and that is not there.
    """
    named = [dialect for dialect in dialects if _fits(words, dialect)]
    if named:
        return named
    columns: list[str] = []
    for word in words:
        column = _column(word)
        if column is None:
            raise ParseError(f"expected a known column, got {_shown(word)}")
        if column in columns:
            raise ParseError(f"expected each column once, got {_shown(word)} again")
        columns.append(column)
    for column in _REQUIRED:
        if column not in columns:
            raise ParseError(f"expected a heading with a column {COLUMNS[column].words[0]}")
    mapped = Dialect("procps", tuple(words), tuple(columns))
    others = [_in_words_of(dialect, words) for dialect in dialects if RAW_MODE in dialect.columns]
    with_raw_mode = [other for other in others if other and other.figures != mapped.figures]
    if with_raw_mode:
        columns[columns.index(MODE)] = PADDED_MODE
        mapped = mapped._replace(columns=tuple(columns))
    return [*with_raw_mode, mapped]


def check_detailed(words: Sequence[str]) -> None:
    """
    Check the heading of -X: the columns that each kernel has, and names of fields.

    Raises:
        ParseError: without a line, naming the first word that is wrong.
    """
    for word, expected in zip(words, DETAIL_COLUMNS, strict=False):
        if _column(word) != _column(expected):
            raise ParseError(f"expected the column {expected}, got {_shown(word)}")
    fields = words[len(DETAIL_COLUMNS) : -1]
    if fields[:1] != ("Size",):  # the kernel's first field
        got = _shown(fields[0]) if fields else "the end of the heading"
        raise ParseError(f"expected the column Size, got {got}")
    counts = Counter(fields)
    for word in fields:
        if not _FIELD_NAME.fullmatch(word):
            raise ParseError(f"expected the name of a field, got {_shown(word)}")
        if counts[word] > 1:
            raise ParseError(f"expected each column once, got {_shown(word)} again")
        known = _FIELD_OF_FOLDED.get(word.casefold(), word)
        if known != word:
            raise ParseError(f"expected the column {known}, got {_shown(word)}")
    if "Rss" not in counts:
        raise ParseError("expected a heading with a column Rss")
    if _column(words[-1]) != NAME:
        raise ParseError(f"expected the column Mapping at the end, got {_shown(words[-1])}")


def field_names(words: Sequence[str]) -> tuple[list[str], bool]:
    """Return the numeric fields of a heading of -X, and whether it has the flags."""
    fields = words[len(DETAIL_COLUMNS) : -1]
    return [word for word in fields if word != FLAGS_COLUMN], FLAGS_COLUMN in fields


def _fits(words: Iterable[str], dialect: Dialect) -> bool:
    return [*map(str.casefold, words)] == [*map(str.casefold, dialect.headings)]


def _in_words_of(dialect: Dialect, words: Sequence[str]) -> Dialect | None:
    """Return the columns that words have in a dialect; None where it lacks one of them."""
    own = dict(zip(map(str.casefold, dialect.headings), dialect.columns, strict=False))
    columns = [own.get(word.casefold()) for word in words]
    known = tuple(column for column in columns if column is not None)
    return Dialect(dialect.name, tuple(words), known) if len(known) == len(words) else None


def _column(word: str) -> str | None:
    return COLUMN_OF_WORD.get(word.casefold())


def _shown(word: str) -> str:
    return repr(word if len(word) <= _MAX_SHOWN else word[:_MAX_SHOWN] + "...")
