"""Records to the tables of procps 4's pmap, byte for byte, at the widths of its printf."""

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
    range: tuple[int, int] | None = None,  # noqa: A002  pmap's word for it
) -> str:
    """
    Print a snapshot as procps 4's pmap prints it.

    Args:
        snapshot: live, from a saved smaps or maps, or read from a pmap text.
        layout: "short" (pmap without options), "extended" (-x), "device" (-d), "X", "XX",
            or the names of the columns to show, as pmap's rc file has them.
        show_path: whole paths instead of their last part (-p).
        quiet: no header and no footer (-q).
        range: the lowest and highest address: only mappings that overlap it, and only they
            are counted in the totals (-A).

    Returns:
        The table. What the snapshot does not know is `-`; a character that a terminal
        could take as a command is `?`. Without a pid there is no first line.

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
    Print several processes as one run of pmap does, one string for each.

    It is not the same as one after another: in -X a column stays as wide as it was.
    """
    if isinstance(layout, str) and layout not in get_args(LayoutName):
        msg = f"expected one of {', '.join(get_args(LayoutName))}, got {layout!r}"
        raise ValueError(msg)
    widths: dict[str, int] = {}
    for snapshot in snapshots:
        lines = [] if snapshot.pid is None else [process_line(snapshot.pid, snapshot.command)]
        if isinstance(layout, str) and layout in DIALECT_OF_LAYOUT:
            dialect = DIALECT_OF_LAYOUT[layout]
            shown = [m for m in snapshot if overlaps(m, range)]
            rows = list(_plain_rows(shown, dialect, show_path=show_path))
            lines += plain_table(rows, dialect, quiet=quiet)
        else:
            choose = _chooser(layout)
            lines += _detail_table(
                snapshot, choose, widths, range, show_path=show_path, quiet=quiet
            )
        yield "".join(f"{line}\n" for line in lines)


def overlaps(mapping: Mapping, range_: tuple[int, int] | None) -> bool:
    """Whether a mapping has addresses in a range of the lowest and the highest one."""
    return range_ is None or (mapping.end > range_[0] and mapping.start <= range_[1])


def _plain_rows(
    mappings: Iterable[Mapping], dialect: Dialect, *, show_path: bool
) -> Iterator[tuple[Any, ...]]:
    for mapping in mappings:
        cells: dict[str, Any] = {what: _figure(mapping, what) for what in dialect.figures}
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


def _figure(mapping: Mapping, what: str) -> int | str:
    figure = mapping.dirty if what == "pmap_dirty" else getattr(mapping, what)
    return UNKNOWN if figure is None else figure


# ---- -X, -XX and rc files ----------------------------------------------------------------


def _chooser(layout: LayoutName | Collection[str]) -> Callable[[str], bool]:
    if layout == "XX":
        return lambda _name: True
    if layout == "X":
        return lambda name: name not in OMITTED_BY_X
    return lambda name: name in layout


def _detail_table(
    snapshot: Snapshot,
    choose: Callable[[str], bool],
    widths: dict[str, int],
    range_: tuple[int, int] | None,
    *,
    show_path: bool,
    quiet: bool,
) -> Iterator[str]:
    if not snapshot:
        return
    shown = [m for m in snapshot if overlaps(m, range_)]
    fields = (snapshot.layout or default_layout(snapshot)).fields
    names = [style.name for style in fields if style.is_numeric and choose(style.name)]
    columns = {name: [_detail(mapping, name) for mapping in shown] for name in names}
    sums = {name: sum(f for f in column if f is not None) for name, column in columns.items()}
    for name, column in columns.items():
        widest = [widths.get(name, 0)]
        if quiet:
            widest += [len(str(figure)) for figure in column if figure is not None]
        else:
            widest += [len(name), len(str(sums[name]))]
        widths[name] = max(widest)
    places = [name for name in DETAIL_COLUMNS[1:] if choose(name)]
    show_flags = choose(FLAGS_COLUMN) and any(m.vm_flags is not None for m in snapshot)
    # Widths are those of the whole process, also where only a range is shown.
    place_width = {
        name: max(0 if quiet else len(name), *(len(_place(mapping, name)) for mapping in snapshot))
        for name in (DETAIL_COLUMNS[0], *places)
    }
    if show_flags:
        place_width[FLAGS_COLUMN] = max(
            0 if quiet else len(FLAGS_COLUMN), *(len(_flags(mapping)) for mapping in snapshot)
        )
    if not quiet:
        headings = [*DETAIL_COLUMNS[:1], *places, *names, *[FLAGS_COLUMN] * show_flags]
        all_widths = place_width | widths
        line = "".join(f"{heading:>{all_widths[heading]}} " for heading in headings)
        yield line + (MAPPING_COLUMN if choose(MAPPING_COLUMN) else "")
    for position, mapping in enumerate(shown):
        cells = [
            f"{_place(mapping, name):>{place_width[name]}}" for name in (DETAIL_COLUMNS[0], *places)
        ]
        figures = ((columns[name][position], widths[name]) for name in names)
        cells += [f"{UNKNOWN if f is None else f:>{width}}" for f, width in figures]
        if show_flags:
            cells.append(f"{_flags(mapping):>{place_width[FLAGS_COLUMN]}}")
        if choose(MAPPING_COLUMN):
            cells.append(sanitize(_last_part(mapping.pathname, show_path=show_path)))
        yield " ".join(cells)
    if not quiet and names:
        gap = " " * sum(place_width[name] + 1 for name in (DETAIL_COLUMNS[0], *places))
        yield gap + "".join("=" * widths[name] + " " for name in names)
        yield gap + "".join(f"{sums[name]:>{widths[name]}} " for name in names) + "KB "


def _detail(mapping: Mapping, name: str) -> int | None:
    value = (
        getattr(mapping, _FIELDS[name].attribute) if name in _FIELDS else mapping.extra.get(name)
    )
    return value if isinstance(value, int) else None


_PLACES: MappingOf[str, Callable[[Mapping], str]] = {
    "Address": lambda mapping: f"{mapping.start:08x}",
    "Perm": lambda mapping: str(mapping.perms),
    "Offset": lambda mapping: UNKNOWN if mapping.offset is None else f"{mapping.offset:08x}",
    "Device": lambda mapping: UNKNOWN if mapping.device is None else str(mapping.device),
    "Inode": lambda mapping: UNKNOWN if mapping.inode is None else str(mapping.inode),
}


def _place(mapping: Mapping, name: str) -> str:
    return _PLACES[name](mapping)


def _flags(mapping: Mapping) -> str:
    return " ".join(mapping.vm_flags or ())


def _last_part(name: str, *, show_path: bool) -> str:
    return name if show_path else name.rpartition("/")[2]
