"""
The formats of the tables that pmaps print, in one table for reading and writing.

A dialect is a row of `DIALECTS`: the words of its header line, the column below each word, and
the formats of header, rows and footer if it is written as well. To add a dialect that has other
columns, add a row.

The tables of -X and -XX have one column per field of the kernel. They are described by
`DETAIL_COLUMNS` and `OMITTED_BY_X`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from smapskit.formats.pmap.columns import COLUMNS, MODE, NAME, PADDED_MODE, RAW_MODE

LayoutName = Literal["short", "extended", "device", "X", "XX"]


class Dialect(NamedTuple):
    """The format of one pmap's table."""

    name: str
    headings: tuple[str, ...]
    """The words of its header line; empty if it has none."""
    columns: tuple[str, ...]
    """Names in `COLUMNS`."""
    header: str = ""
    row: str = ""
    separator: str = ""
    total: str = ""
    """Formats for writing; empty if it is only read. A row by position, the totals by name."""
    layout: LayoutName | None = None
    unknown: tuple[str, ...] = ()
    """Columns with a dash for every mapping."""

    @property
    def counters(self) -> tuple[str, ...]:
        """The columns with a total in the footer."""
        return tuple(column for column in self.columns if COLUMNS[column].is_numeric)


# Of dialects with the same header line, or none, the first that matches all rows of a text is used.
DIALECTS: Final = (
    Dialect(
        "procps -x",
        ("Address", "Kbytes", "RSS", "Dirty", "Mode", "Mapping"),
        ("start", "size", "rss", "pmap_dirty", MODE, NAME),
        header="Address           Kbytes     RSS   Dirty Mode  Mapping",
        row="%016x %7s %7s %7s %s %s",
        separator="---------------- ------- ------- ------- ",
        total="total kB         {size:>7} {rss:>7} {pmap_dirty:>7}",
        layout="extended",
    ),
    Dialect(
        "procps -d",
        ("Address", "Kbytes", "Mode", "Offset", "Device", "Mapping"),
        ("start", "size", MODE, "offset", "device", NAME),
        header="Address           Kbytes Mode  Offset           Device    Mapping",
        row="%016x %7s %s %16s %9s %s",
        total="mapped: {size}K    writeable/private: {writable_private}K    shared: {shared}K",
        layout="device",
    ),
    Dialect(
        "procps 3.2 -x",
        ("Address", "Kbytes", "RSS", "Anon", "Locked", "Mode", "Mapping"),
        ("start", "size", "rss", "anonymous", "locked", MODE, NAME),
        unknown=("rss", "anonymous", "locked"),
    ),
    Dialect(
        "openSUSE",
        ("Address", "Kbytes", "RSS", "PSS", "Dirty", "Swap", "Mode", "Mapping"),
        ("start", "size", "rss", "pss", "pmap_dirty", "swap", MODE, NAME),
    ),
    Dialect(
        "SLES",
        (
            *("START", "SIZE", "RSS", "PSS", "DIRTY", "SWAP"),
            *("PERM", "OFFSET", "DEVICE", "MAPPING"),
        ),
        ("start", "size", "rss", "pss", "pmap_dirty", "swap", RAW_MODE, "offset", "device", NAME),
    ),
    Dialect(
        "busybox -x",
        ("Address", "Kbytes", "PSS", "Dirty", "Swap", "Mode", "Mapping"),
        ("start", "size", "pss", "private_dirty", "swap", RAW_MODE, NAME),
    ),
    Dialect(
        "toybox -x",
        ("Address", "Kbytes", "PSS", "Dirty", "Swap", "Mode", "Mapping"),
        ("start", "size", "pss", "pmap_dirty", "swap", PADDED_MODE, NAME),
    ),
    Dialect(
        "procps",
        (),
        ("start", "size", MODE, NAME),
        row="%016x %6sK %s %s",
        total=" total {size:>16}K",
        layout="short",
    ),
)

DIALECT_OF_LAYOUT: Final = {dialect.layout: dialect for dialect in DIALECTS if dialect.layout}

# Totals that are not columns: the size of the mappings with these permissions.
WRITABLE_PRIVATE, READONLY_PRIVATE, SHARED = "writable_private", "readonly_private", "shared"
DEVICE_TOTALS: Final = ("size", WRITABLE_PRIVATE, SHARED)
SLES_TOTALS: Final = (WRITABLE_PRIVATE, READONLY_PRIVATE, SHARED)

# ---- -X and -XX --------------------------------------------------------------------------

DETAIL_COLUMNS: Final = ("Address", "Perm", "Offset", "Device", "Inode")
MAPPING_COLUMN: Final = "Mapping"
FLAGS_COLUMN: Final = "VmFlags"
OMITTED_BY_X: Final = frozenset(
    (
        "AnonHugePages",
        "KernelPageSize",
        "MMUPageSize",
        "Shared_Clean",
        "Shared_Dirty",
        "Private_Clean",
        "Private_Dirty",
        FLAGS_COLUMN,
    )
)


def chosen_layout(names: Sequence[LayoutName]) -> LayoutName:
    """Return the layout for several options: that of the last one. -X given twice is -XX."""
    if not names:
        return "extended"
    return "XX" if names[-1] == "X" and names.count("X") > 1 else names[-1]
