"""
The columns of pmap's tables: the words of their headings and the patterns of their cells.

`COLUMNS` declares each column once. A dialect lists column names; the words map the header line
of any other table to columns.
"""

from __future__ import annotations

import functools
import re
from typing import Final, NamedTuple

# A column's name is the attribute that it fills, except for these.
MODE, RAW_MODE, PADDED_MODE, NAME = "mode", "raw_mode", "padded_mode", "name"
MODES: Final = (MODE, RAW_MODE, PADDED_MODE)

_ADDRESS = rb"([0-9a-f]{8,16})"
_NUMBER = rb"([0-9]{1,15}|-)K?"
_DASH = rb"(-)"
_SIZE = rb"([0-9]{1,15})K?"  # never unknown: the end of the range is calculated from it
# A name before other columns consists of all words that do not match those columns.
_NAME = rb"((?:[ \t]++[^ \t]++)*)"
_FIRST_NAME = rb"((?:[ \t]*+[^ \t]++)*)"
_LAST_NAME = rb"((?:[ \t].*+)?)"


class Column(NamedTuple):
    """One column."""

    name: str
    """The attribute of Mapping; a key of `extra` if there is no such attribute."""
    words: tuple[str, ...]
    """
    Its words in a heading: in English, then in the translations of procps.

    Case is ignored. Empty if only a dialect decides that a word means this column.
    """
    cell: bytes = _NUMBER
    """A pattern with one group, for the text between blanks."""
    example: str = "4"
    """A cell, for messages."""

    @property
    def is_numeric(self) -> bool:
        """Whether the column is a counter, which has a total at the end of the table."""
        return self.cell in (_NUMBER, _SIZE)


COLUMNS: Final = {
    column.name: column
    for column in (
        Column(
            "start",
            (
                *("Address", "START"),
                *("Adresse", "Dirección", "Endereço", "Adres", "Adresă", "Adress"),
                *("Адреса", "მისამართი", "주 소", "Địa chỉ", "地址"),
            ),
            _ADDRESS,
            "00007f3f92355000",
        ),
        Column(
            "size",
            (
                *("Kbytes", "SIZE", "Kbyte", "KB"),  # Kbyte: also German, KB: also Polish
                *("kilo-octets", "Kocteți", "кбайтів", "კბაიტი"),
            ),
            _SIZE,
            "352",
        ),
        Column("rss", ("RSS",)),
        Column("pss", ("PSS",)),
        Column("USS", ("USS",)),  # Mapping.uss is calculated from two counters
        Column(
            "pmap_dirty",
            (
                "Dirty",
                *("Sucio", "Modifié", "Suja", "Brudne", "Murdar", "Smutsig"),
                *("Брудно", "ბინძური", "Bẩn"),
            ),
        ),
        Column("private_dirty", ()),
        Column("swap", ("Swap",)),
        Column("anonymous", ("Anon",)),
        Column("locked", ("Locked",)),
        # Four characters as in the kernel, five as in procps; three if a web page joined the
        # last two dashes, which excludes `s`.
        Column(
            MODE,
            (
                *("Mode", "PERM"),
                *("Modus", "Modo", "Tryb", "Mod", "Läge"),
                *("Режим", "რეჟიმი", "모 드", "Chế độ"),
                *("Zugr", "Uprawn", "Permisiuni", "Rtgh"),
                *("Доступ", "პერმი", "권 한"),
            ),
            rb"([r-][w-][x-](?:[sp-][R-]?)?)",
            "r----",
        ),
        Column(RAW_MODE, (), rb"([r-][w-][x-][sp])", "r--p"),
        # Any mode except a private one of four characters (`r-xp`), the form of the kernel.
        Column(PADDED_MODE, (), rb"([r-][w-][x-](?:[s-][R-]?|p[R-])?)", "r----"),
        Column(
            "offset",
            (
                "Offset",
                *("Versatz", "Desplazamiento", "Décalage", "Deslocamento", "Poziție", "Avstånd"),
                *("Зміщення", "გადაწევა", "오프셋", "偏移量"),
            ),
            _ADDRESS,
            "0000000000000000",
        ),
        Column(
            "device",
            (
                "Device",
                *("Gerät", "Dispositivo", "Périphérique", "Urządzenie", "Dispozitiv", "Enhet"),
                *("Пристрій", "მოწყობილობა", "장 치", "Thiết bị", "设备"),
            ),
            rb"([0-9a-f]{1,8}:[0-9a-f]{1,8})",
            "0fe:00000",
        ),
        Column(
            "inode",
            ("Inode", "Inodo", "I-węzeł", "Nó-I", "Nod-i", "Inod", "I-노드"),
            rb"([0-9]{1,20})",
            "260386",
        ),
        Column(
            NAME,
            (
                *("Mapping", "Zuordnung", "Asignación", "Carte", "Mapeamento", "Odwzorowanie"),
                *("Atribuire", "Mappning"),
                *("Відповідність", "მიბმა", "매 핑", "Ánh xạ"),
            ),
            _NAME,
            "a.out",
        ),
    )
}

COLUMN_OF_WORD: Final = {
    word.casefold(): column.name for column in COLUMNS.values() for word in column.words
}


@functools.cache
def row_pattern(columns: tuple[str, ...], unknown: tuple[str, ...] = ()) -> re.Pattern[bytes]:
    """
    Compile a pattern that matches a row, with one group per column.

    Args:
        columns: names in `COLUMNS`, in order.
        unknown: those with a dash in every row.
    """
    parts = []
    for position, column in enumerate(columns):
        cell = _DASH if column in unknown else COLUMNS[column].cell
        if column == NAME and position == len(columns) - 1:
            parts.append(_LAST_NAME)
        elif column == NAME:
            parts.append(cell if position else _FIRST_NAME)
        elif position == 0:
            # An address begins at the left margin; a number is aligned to the right.
            parts.append(cell if column == "start" else rb"[ \t]*" + cell)
        else:
            # If the name is empty, the blank after it is missing as well.
            is_second = columns[:position] == (NAME,)
            parts.append((rb"[ \t]*" if is_second else rb"[ \t]+") + cell)
    return re.compile(b"".join(parts))
