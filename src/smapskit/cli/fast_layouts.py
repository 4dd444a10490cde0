"""Read a live process as a table of pmap, without records."""

from __future__ import annotations

from typing import Any

from smapskit.formats.pmap.dialects import (
    DETAIL_COLUMNS,
    DIALECT_OF_LAYOUT,
    FLAGS_COLUMN,
    MAPPING_COLUMN,
    LayoutName,
)
from smapskit.formats.pmap.scanned import FIELDS_OF_EXTENDED, detail_cells, plain_cells
from smapskit.formats.pmap.table import DetailColumns, detail_table, plain_table
from smapskit.formats.smaps.scan import FieldScanner, Row
from smapskit.sources.scan import scan_process


def read_layout(
    pid: int, layout: LayoutName, *, quiet: bool, show_path: bool
) -> tuple[str, str] | None:
    """
    Return the command line of a process and the table of its mappings.

    None where `show` must print it, or report why there is none. Errors are those of
    `scan_process`.
    """
    dialect = DIALECT_OF_LAYOUT.get(layout)
    # The short and the device table need no counters, for which the kernel walks page tables.
    has_counters = layout not in ("short", "device")
    scanner = FieldScanner(None if dialect is None else FIELDS_OF_EXTENDED * has_counters)
    if dialect is None:
        cells_of = detail_cells(scanner, layout, show_path=show_path)
    else:
        cells_of = plain_cells(dialect, show_path=show_path)
    columns: dict[str, list[Any]] = {}

    def add(rows: list[Row]) -> None:
        for name, cells in cells_of(*zip(*rows, strict=True)).items():
            columns.setdefault(name, []).extend(cells)

    command = scan_process(pid, "smaps" if has_counters else "maps", scanner, add)
    if command is None or not columns:  # `show` reports the reason
        return None
    if dialect is None:
        flags, names = columns.pop(FLAGS_COLUMN, None), columns.pop(MAPPING_COLUMN)
        texts = {name: columns.pop(name) for name in DETAIL_COLUMNS}
        details = DetailColumns(texts, counters=columns, flags=flags, names=names)
        lines = detail_table(details, details.text_widths(quiet=quiet), {}, quiet=quiet)
    else:
        lines = plain_table([columns[name] for name in dialect.columns], dialect, quiet=quiet)
    return command, "\n".join([*lines, ""])
