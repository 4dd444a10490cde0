"""Format records as the tables of procps 4's pmap, byte for byte."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from collections.abc import Mapping as MappingOf
from typing import Any, get_args

from smapskit.formats.pmap.columns import MODE, NAME
from smapskit.formats.pmap.dialects import (
    DETAIL_COLUMNS,
    DIALECT_OF_LAYOUT,
    FLAGS_COLUMN,
    MAPPING_COLUMN,
    OMITTED_BY_X,
    Dialect,
    LayoutName,
)
from smapskit.formats.pmap.table import UNKNOWN, mode_of, name_of, plain_table, process_line
from smapskit.formats.smaps.layout import default_layout
from smapskit.model.mapping import Mapping, kernel_fields
from smapskit.model.snapshot import Snapshot
from smapskit.text import sanitize

_FIELDS = kernel_fields(Mapping)


def format_pmap(
    snapshot: Snapshot,
    layout: LayoutName | Collection[str] = "extended",
    *,
    show_path: bool = False,
    quiet: bool = False,
    range: tuple[int, int] | None = None,  # noqa: A002  as in pmap
) -> str:
    """
    Format a snapshot as procps 4's pmap prints it.

    Args:
        snapshot: of a live process or from a capture of smaps, maps or pmap.
        layout: "short" (pmap without options), "extended" (-x), "device" (-d), "X", "XX", or
            the names of the columns to print, as in pmap's rc file.
        show_path: print whole paths instead of their last part (-p).
        quiet: omit header and footer (-q).
        range: lowest and highest address: print only mappings that overlap this range. The
            totals include only these (-A).

    Returns:
        The table. A value that the snapshot does not report is `-`; `?` replaces each character
        that must not reach a terminal. Without a pid there is no first line.

    Raises:
        ValueError: for an unknown layout.
    """
    return "".join(format_pmaps([snapshot], layout, show_path=show_path, quiet=quiet, range=range))


def format_pmaps(
    snapshots: Iterable[Snapshot],
    layout: LayoutName | Collection[str] = "extended",
    *,
    show_path: bool = False,
    quiet: bool = False,
    range: tuple[int, int] | None = None,  # noqa: A002
) -> Iterator[str]:
    """
    Format several processes as one run of pmap prints them; yield one string per process.

    The columns of -X become wider from one process to the next, never narrower. Args and errors
    are those of `format_pmap`.
    """
    if isinstance(layout, str) and layout not in get_args(LayoutName):
        msg = f"expected one of {', '.join(get_args(LayoutName))}, got {layout!r}"
        raise ValueError(msg)
    widths: dict[str, int] = {}
    for snapshot in snapshots:
        lines = [] if snapshot.pid is None else [process_line(snapshot.pid, snapshot.command)]
        if isinstance(layout, str) and layout in DIALECT_OF_LAYOUT:
            dialect = DIALECT_OF_LAYOUT[layout]
            mappings = [m for m in snapshot if overlaps(m, range)]
            rows = list(_plain_rows(mappings, dialect, show_path=show_path))
            lines += plain_table(rows, dialect, quiet=quiet)
        else:
            has_column = _column_filter(layout)
            lines += _detail_table(
                snapshot, has_column, widths, range, show_path=show_path, quiet=quiet
            )
        yield "".join(f"{line}\n" for line in lines)


def overlaps(mapping: Mapping, range_: tuple[int, int] | None) -> bool:
    """Return whether a mapping has addresses in a range (lowest, highest); None is any."""
    return range_ is None or (mapping.end > range_[0] and mapping.start <= range_[1])


def _plain_rows(
    mappings: Iterable[Mapping], dialect: Dialect, *, show_path: bool
) -> Iterator[tuple[Any, ...]]:
    for mapping in mappings:
        cells: dict[str, Any] = {name: _plain_value(mapping, name) for name in dialect.counters}
        device, offset = mapping.device, mapping.offset
        cells |= {
            "start": mapping.start,
            MODE: mode_of(str(mapping.perms)),
            "offset": UNKNOWN if offset is None else f"{offset:016x}",
            "device": UNKNOWN if device is None else f"{device.major:03x}:{device.minor:05x}",
            NAME: name_of(
                mapping.pathname,
                None if device is None else device.major,
                mapping.inode,
                show_path=show_path,
            ),
        }
        yield tuple(map(cells.__getitem__, dialect.columns))


def _plain_value(mapping: Mapping, counter: str) -> int | str:
    value = mapping.dirty if counter == "pmap_dirty" else getattr(mapping, counter)
    return UNKNOWN if value is None else value


# ---- -X, -XX and rc files ----------------------------------------------------------------


def _column_filter(layout: LayoutName | Collection[str]) -> Callable[[str], bool]:
    """Return a function that tells whether a layout has a column."""
    if layout == "XX":
        return lambda _name: True
    if layout == "X":
        return lambda name: name not in OMITTED_BY_X
    return lambda name: name in layout


def _detail_table(
    snapshot: Snapshot,
    has_column: Callable[[str], bool],
    widths: dict[str, int],
    range_: tuple[int, int] | None,
    *,
    show_path: bool,
    quiet: bool,
) -> Iterator[str]:
    """
    Yield the lines of -X.

    Args:
        snapshot: its mappings and the order of its fields.
        has_column: whether to print a column, by name.
        widths: of the counters' columns in the tables before; updated.
        range_: print only mappings that overlap this range.
        show_path: print whole paths.
        quiet: omit header and footer.
    """
    if not snapshot:
        return
    mappings = [m for m in snapshot if overlaps(m, range_)]
    fields = (snapshot.layout or default_layout(snapshot)).fields
    counters = [style.name for style in fields if style.is_numeric and has_column(style.name)]
    columns = {name: [_value(mapping, name) for mapping in mappings] for name in counters}
    sums = {name: sum(v for v in column if v is not None) for name, column in columns.items()}
    for name, column in columns.items():
        candidates = [widths.get(name, 0)]
        if quiet:
            candidates += [len(str(value)) for value in column if value is not None]
        else:
            candidates += [len(name), len(str(sums[name]))]
        widths[name] = max(candidates)
    header_cells = [DETAIL_COLUMNS[0], *(name for name in DETAIL_COLUMNS[1:] if has_column(name))]
    show_flags = has_column(FLAGS_COLUMN) and any(m.vm_flags is not None for m in snapshot)
    # These widths are those of the whole process, even if only a range is printed.
    text_widths = {
        name: max(0 if quiet else len(name), *(len(_TEXTS[name](m)) for m in snapshot))
        for name in [*header_cells, *[FLAGS_COLUMN] * show_flags]
    }
    if not quiet:
        headings = [*header_cells, *counters, *[FLAGS_COLUMN] * show_flags]
        all_widths = text_widths | widths
        line = "".join(f"{heading:>{all_widths[heading]}} " for heading in headings)
        yield line + (MAPPING_COLUMN if has_column(MAPPING_COLUMN) else "")
    for position, mapping in enumerate(mappings):
        cells = [f"{_TEXTS[name](mapping):>{text_widths[name]}}" for name in header_cells]
        values = ((columns[name][position], widths[name]) for name in counters)
        cells += [f"{UNKNOWN if value is None else value:>{width}}" for value, width in values]
        if show_flags:
            cells.append(f"{_TEXTS[FLAGS_COLUMN](mapping):>{text_widths[FLAGS_COLUMN]}}")
        if has_column(MAPPING_COLUMN):
            cells.append(sanitize(_name(mapping.pathname, show_path=show_path)))
        yield " ".join(cells)
    if not quiet and counters:
        gap = " " * sum(text_widths[name] + 1 for name in header_cells)
        yield gap + "".join("=" * widths[name] + " " for name in counters)
        yield gap + "".join(f"{sums[name]:>{widths[name]}} " for name in counters) + "KB "


def _value(mapping: Mapping, name: str) -> int | None:
    """Return the value of a field by the kernel's name; None if unknown or not a number."""
    value = (
        getattr(mapping, _FIELDS[name].attribute) if name in _FIELDS else mapping.extra.get(name)
    )
    return value if isinstance(value, int) else None


_TEXTS: MappingOf[str, Callable[[Mapping], str]] = {
    "Address": lambda mapping: f"{mapping.start:08x}",
    "Perm": lambda mapping: str(mapping.perms),
    "Offset": lambda mapping: UNKNOWN if mapping.offset is None else f"{mapping.offset:08x}",
    "Device": lambda mapping: UNKNOWN if mapping.device is None else str(mapping.device),
    "Inode": lambda mapping: UNKNOWN if mapping.inode is None else str(mapping.inode),
    FLAGS_COLUMN: lambda mapping: " ".join(mapping.vm_flags or ()),
}
"""The cells of -X that are not counters, by heading."""


def _name(path: str, *, show_path: bool) -> str:
    return path if show_path else path.rpartition("/")[2]
