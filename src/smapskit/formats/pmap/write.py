"""Format records as the tables of procps 4's pmap, byte for byte."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from collections.abc import Mapping as MappingOf
from typing import Any, get_args

from smapskit.formats.pmap.columns import MODE, NAME
from smapskit.formats.pmap.dialects import (
    DETAIL_COLUMNS,
    DIALECT_OF_LAYOUT,
    FLAGS_COLUMN,
    MAPPING_COLUMN,
    Dialect,
    LayoutName,
)
from smapskit.formats.pmap.table import (
    UNKNOWN,
    DetailColumns,
    detail_name,
    detail_table,
    device_of,
    has_detail_column,
    mode_of,
    name_of,
    offset_of,
    plain_table,
    process_line,
)
from smapskit.formats.smaps.layout import default_layout
from smapskit.model.mapping import Mapping, kernel_fields
from smapskit.model.snapshot import Snapshot

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
        mappings = [mapping for mapping in snapshot if overlaps(mapping, range)]
        if isinstance(layout, str) and layout in DIALECT_OF_LAYOUT:
            dialect = DIALECT_OF_LAYOUT[layout]
            rows = _plain_rows(mappings, dialect, show_path=show_path)
            columns = [*zip(*rows, strict=True)] or [()] * len(dialect.columns)
            lines += plain_table(columns, dialect, quiet=quiet)
        elif snapshot:
            details = _detail_columns(snapshot, snapshot, layout, show_path=show_path)
            # These widths are those of the whole process, even if only a range is printed.
            text_widths = details.text_widths(quiet=quiet)
            if len(mappings) < len(snapshot):
                details = _detail_columns(mappings, snapshot, layout, show_path=show_path)
            lines += detail_table(details, text_widths, widths, quiet=quiet)
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
            "offset": UNKNOWN if offset is None else offset_of(offset),
            "device": UNKNOWN if device is None else device_of(device.major, device.minor),
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


def _detail_columns(
    mappings: Sequence[Mapping],
    snapshot: Snapshot,
    layout: LayoutName | Collection[str],
    *,
    show_path: bool,
) -> DetailColumns:
    """Return the columns of -X for some mappings of a snapshot."""

    def has_column(name: str) -> bool:
        return has_detail_column(layout, name)

    fields = (snapshot.layout or default_layout(snapshot)).fields
    counters = [style.name for style in fields if style.is_numeric and has_column(style.name)]
    texts = [DETAIL_COLUMNS[0], *filter(has_column, DETAIL_COLUMNS[1:])]
    has_flags = has_column(FLAGS_COLUMN) and any(m.vm_flags is not None for m in snapshot)
    return DetailColumns(
        texts={name: [_TEXTS[name](mapping) for mapping in mappings] for name in texts},
        counters={name: [_value(mapping, name) for mapping in mappings] for name in counters},
        flags=[" ".join(m.vm_flags or ()) for m in mappings] if has_flags else None,
        names=[detail_name(m.pathname, show_path=show_path) for m in mappings]
        if has_column(MAPPING_COLUMN)
        else None,
    )


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
}
"""The cells of -X before the counters, by heading."""
