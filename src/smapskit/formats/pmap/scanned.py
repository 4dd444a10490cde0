"""Convert scanned fields of mappings to the columns of pmap's tables, without records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from itertools import repeat
from typing import Any, Final

from smapskit.formats.pmap.columns import MODE, NAME
from smapskit.formats.pmap.dialects import (
    DETAIL_COLUMNS,
    FLAGS_COLUMN,
    MAPPING_COLUMN,
    Dialect,
    LayoutName,
)
from smapskit.formats.pmap.table import (
    detail_name,
    device_of,
    has_detail_column,
    mode_of,
    name_of,
    offset_of,
)
from smapskit.formats.smaps.grammar import parse_vm_flags
from smapskit.formats.smaps.scan import FieldScanner
from smapskit.text import decode

FIELDS_OF_EXTENDED: Final = ("Size", "Rss", "Shared_Dirty", "Private_Dirty")
"""The fields of smaps of which the table of -x consists; the other plain tables have none."""

CellsOf = Callable[..., dict[str, Iterable[Any]]]
"""A function from the columns of a scan to columns of a table, by name."""


def plain_cells(dialect: Dialect, *, show_path: bool) -> CellsOf:
    """Return a function from the columns of a scan to those of a table."""

    @cache
    def name(device: bytes, inode: bytes, path: bytes) -> str:
        major = int(device.partition(b":")[0], 16)
        return name_of(decode(path), major, int(inode), show_path=show_path)

    @cache
    def mode(perms: bytes) -> str:
        return mode_of(perms.decode())

    @cache
    def device_cell(text: bytes) -> str:
        return device_of(*(int(number, 16) for number in text.split(b":")))

    def cells_of(*parts: Sequence[bytes]) -> dict[str, Iterable[Any]]:
        starts, ends, perms, offsets, devices, inodes, paths, *fields = parts
        start = list(map(int, starts, repeat(16)))
        cells: dict[str, Iterable[Any]] = {
            "start": start,
            MODE: map(mode, perms),
            "offset": map(offset_of, map(int, offsets, repeat(16))),
            "device": map(device_cell, devices),
            NAME: map(name, devices, inodes, paths),
        }
        if fields:
            size, rss, shared, private = fields
            cells["size"], cells["rss"] = map(int, size), map(int, rss)
            cells["pmap_dirty"] = map(int.__add__, map(int, shared), map(int, private))
        else:
            lengths = map(int.__sub__, map(int, ends, repeat(16)), start)
            cells["size"] = [length // 1024 for length in lengths]
        return {column: cells[column] for column in dialect.columns}

    return cells_of


def detail_cells(scanner: FieldScanner, layout: LayoutName, *, show_path: bool) -> CellsOf:
    """Return a function from the columns of a scan to those of a table of -X."""

    @cache
    def name(path: bytes) -> str:
        return detail_name(decode(path), show_path=show_path)

    @cache
    def flags(text: bytes) -> str:
        return " ".join(parse_vm_flags(text) or ())

    def cells_of(*parts: Sequence[bytes]) -> dict[str, Iterable[Any]]:
        starts, _, perms, offsets, devices, inodes, paths, *fields = parts
        texts = (starts, perms, offsets, devices, inodes)
        cells: dict[str, Iterable[Any]] = {
            heading: map(bytes.decode, column)
            for heading, column in zip(DETAIL_COLUMNS, texts, strict=True)
        }
        for field, values in zip(scanner.names, fields, strict=True):
            if has_detail_column(layout, field):
                cells[field] = map(flags if field == FLAGS_COLUMN else int, values)
        cells[MAPPING_COLUMN] = map(name, paths)
        return cells

    return cells_of
