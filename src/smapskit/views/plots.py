"""Plots of snapshots and differences."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import attrs

from smapskit.model.diff import Change, ChangeKind, Difference
from smapskit.model.mapping import Mapping
from smapskit.model.snapshot import Snapshot
from smapskit.model.totals import GroupName, Totals, add_totals
from smapskit.views import colours
from smapskit.views.columns import HEADINGS, label
from smapskit.views.figures import (
    WIDTH,
    background,
    clear_frame,
    draw_bars,
    draw_grid,
    draw_legend,
    escape_text,
    format_kb,
    format_share,
    format_tick,
    label_bars,
    new_figure,
    new_figure_with_text,
    set_title,
    themed,
    truncate_left,
    unit_of,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MAX_BARS: Final = 12
_MAX_GROWN: Final = 10
_BAR_HEIGHT: Final = 0.33
_CELLS_WIDTH: Final = 7.6
_MAX_CELLS_HEIGHT: Final = 1.6
_MARGIN: Final = 2.1
"""The height of titles, axes and legend. All of these are in inches."""
_COLUMNS_PER_ROW: Final = _CELLS_WIDTH / _MAX_CELLS_HEIGHT
"""So that cells are nearly square."""
_MIN_COLUMNS: Final = 24
_MAX_WITH_EDGES: Final = 2000
"""Number of cells above which lines between them would hide their colours."""
_MAX_AS_VECTORS: Final = 5000
"""Number of cells above which an SVG or PDF contains them as an image."""
_MAX_ADDRESSES: Final = 8
_GAP: Final = 1 << 30
_ROOM: Final = 1.35
"""Length of an axis, divided by that of the longest bar: labels follow the bars."""


class _Bar(NamedTuple):
    """One group of mappings."""

    label: str
    colour: str
    totals: Totals


def plot_snapshot(snapshot: Snapshot, by: GroupName = "backing") -> Figure:
    """
    Plot resident memory by group, its share of the size, and the address space.

    Bars are linear. The address space has one cell per mapping, whose colour is that of its kind
    (by "kind") or its backing. Where no RSS is reported, the bars show sizes.

    Args:
        snapshot: one without mappings gives a figure with the reason.
        by: as in `group_by`; from the thirteenth group on, groups are plotted as one.

    Returns:
        A matplotlib figure, to show or to save.

    Raises:
        Unsupported: matplotlib is not installed.
    """
    title = _title(snapshot)
    if not snapshot:
        return new_figure_with_text(title, _why_empty(snapshot), snapshot.command)
    bars = _bars(snapshot, by)
    cells = _Cells.of_snapshot(snapshot, by)
    bars_height = _BAR_HEIGHT * len(bars) + 0.3
    cells_height = min(cells.rows * _CELLS_WIDTH / cells.columns, _MAX_CELLS_HEIGHT) + 0.1
    figure = new_figure(WIDTH, _MARGIN + bars_height + cells_height)
    figure.get_layout_engine().set(hspace=0.08)  # type: ignore[union-attr, call-arg]
    set_title(figure, title, snapshot.command)
    grid = figure.add_gridspec(2, 2, height_ratios=[bars_height, cells_height], width_ratios=[3, 2])
    if any(bar.totals.rss is not None for bar in bars):
        left = figure.add_subplot(grid[0, 0])
        _draw_values(left, bars, "rss", f"Resident memory (RSS) by {by}")
        _draw_resident_shares(figure.add_subplot(grid[0, 1], sharey=left), bars)
    else:
        title = f"Size by {by}; no RSS is reported"
        _draw_values(figure.add_subplot(grid[0, :]), bars, "size", title)
    _draw_address_space(figure.add_subplot(grid[1, :]), cells)
    draw_legend(figure, cells.legend)
    return figure


def plot_difference(difference: Difference) -> Figure:
    """
    Plot the ten mappings that grew most: by RSS, or by size where no RSS is reported.

    Returns:
        A matplotlib figure, to show or to save.

    Raises:
        Unsupported: matplotlib is not installed.
    """
    name = "rss" if _reports_rss(difference) else "size"
    grown = [
        (delta, each) for each in difference.changes if (delta := each.deltas.get(name, 0)) > 0
    ]
    grown.sort(key=lambda entry: entry[0], reverse=True)
    heading = HEADINGS[name]
    title = f"Growth of {heading} by mapping"
    total = difference.deltas.get(name, 0)
    if not grown:
        text = f"No mapping grew. The change of {heading} is {_signed(total)}."
        return new_figure_with_text(title, text)
    shown = grown[:_MAX_GROWN]
    figure = new_figure(WIDTH, _MARGIN + _BAR_HEIGHT * max(len(shown), 2))
    set_title(figure, title)
    axes = figure.add_subplot()
    unit = unit_of(delta for delta, _ in shown)
    values = [delta / unit.kb for delta, _ in shown]
    backings = [change.mapping.backing for _, change in shown]
    draw_bars(axes, values, [colours.OF_BACKINGS[backing] for backing in backings])
    label_bars(axes, values, [_growth(delta, change, name) for delta, change in shown])
    axes.set_yticks(
        range(len(shown)),
        [_mapping_label(change.mapping) for _, change in shown],
        fontsize="small",
    )
    _finish_bars(axes, values, f"{heading} ({unit.name})")
    sum_of_shown = sum(delta for delta, _ in shown)
    of_all = f" of {len(grown)} that grew" if len(grown) > len(shown) else ""
    mappings = "1 mapping" if len(shown) == 1 else f"{len(shown)} mappings"
    axes.set_title(
        f"{mappings}{of_all}: {_signed(sum_of_shown)}. All mappings: {_signed(total)}",
        fontsize="medium",
        loc="left",
    )
    present = [backing for backing in colours.OF_BACKINGS if backing in backings]
    draw_legend(figure, [(label(key), colours.OF_BACKINGS[key]) for key in present])
    return figure


def _title(snapshot: Snapshot) -> str:
    if snapshot.pid is not None:
        return f"Memory of process {snapshot.pid}"
    return "Memory" if snapshot.source is None else f"Memory in {truncate_left(snapshot.source)}"


def _why_empty(snapshot: Snapshot) -> str:
    if snapshot.is_part:
        return "None of the mappings of this process was selected."
    return "No mappings" + "".join(f"; {note}" for note in snapshot.notes)


def _bars(snapshot: Snapshot, by: GroupName) -> list[_Bar]:
    """Return the groups, the largest RSS first, and all after the twelfth as one."""
    groups: dict[Any, Totals] = snapshot.group_by(by)
    largest_first = sorted(
        groups.items(), key=lambda entry: (entry[1].rss or 0, entry[1].size), reverse=True
    )
    bars = [
        _Bar(escape_text(truncate_left(label(key), 36)), _colour_of_group(key, by), totals)
        for key, totals in largest_first[:_MAX_BARS]
    ]
    rest = [totals for _, totals in largest_first[_MAX_BARS:]]
    if rest:
        name = "1 other" if len(rest) == 1 else f"{len(rest)} others"
        bars.append(_Bar(name, colours.OF_OTHERS, add_totals(rest)))
    return bars


def _colour_of_group(key: Any, by: GroupName) -> str:
    if by == "backing":
        return colours.OF_BACKINGS[key]
    return colours.KIND_GROUP_OF[key].colour if by == "kind" else colours.OF_OTHERS


def _draw_values(axes: Axes, bars: list[_Bar], name: str, title: str) -> None:
    """Draw one bar per group, with the value and its share of the sum."""
    known = [getattr(bar.totals, name) for bar in bars]
    sizes = [value or 0 for value in known]
    unit = unit_of(sizes)
    values = [size / unit.kb for size in sizes]
    draw_bars(axes, values, [bar.colour for bar in bars])
    texts = [
        "not reported"
        if value is None
        else f"{format_kb(value)}  {format_share(value, sum(sizes))}".rstrip()
        for value in known
    ]
    label_bars(axes, values, texts)
    axes.set_yticks(range(len(bars)), [bar.label for bar in bars])
    _finish_bars(axes, values, f"{HEADINGS[name]} ({unit.name})")
    axes.set_title(title, fontsize="medium", loc="left")


def _finish_bars(axes: Axes, values: list[float], name: str) -> None:
    axes.set_xlim(0, max(values, default=0) * _ROOM or 1)
    axes.xaxis.set_major_formatter(format_tick)
    axes.set_xlabel(name)
    draw_grid(axes, "x")
    clear_frame(axes, "top", "right")


def _draw_resident_shares(axes: Axes, bars: list[_Bar]) -> None:
    """Draw one frame per group, filled as far as its size is resident."""
    shares = [min(100 * (bar.totals.rss or 0) / (bar.totals.size or 1), 100) for bar in bars]
    draw_bars(axes, [100] * len(bars), [background()] * len(bars))
    draw_bars(axes, shares, [bar.colour for bar in bars])
    texts = [
        format_kb(bar.totals.size)
        if bar.totals.rss is None
        else f"{format_share(bar.totals.rss, bar.totals.size)} of {format_kb(bar.totals.size)}"
        for bar in bars
    ]
    label_bars(axes, [100] * len(bars), texts)
    axes.set_xlim(0, 215)
    axes.set_xticks([0, 50, 100])
    axes.set_xlabel("resident (%)", loc="left")
    axes.spines.bottom.set_bounds(0, 100)
    axes.tick_params(axis="y", left=False, labelleft=False)
    axes.set_title("Share of the size in memory", fontsize="medium", loc="left")
    clear_frame(axes, "top", "right", "left")


@attrs.frozen
class _Cells:
    """The address space as a grid: one cell per mapping, and one per large gap."""

    groups: list[int | None]
    """Of each cell, its number in the legend; None for a gap."""
    addresses: list[int]
    """Of each cell, where the mapping begins; of a gap, where the next mapping begins."""
    legend: list[tuple[str, str]]
    """Labels and colours."""

    @classmethod
    def of_snapshot(cls, snapshot: Snapshot, by: GroupName) -> _Cells:
        """Return the cells, coloured by kind or by backing."""
        entries: list[tuple[str, str]]
        if by == "kind":
            entries = [(group.name, group.colour) for group in colours.KIND_GROUPS]
            kinds = [colours.KIND_GROUP_OF[verdict.kind] for verdict in snapshot.kinds()]
            keys = [(group.name, group.colour) for group in kinds]
        else:
            of_backing = {key: (label(key), hue) for key, hue in colours.OF_BACKINGS.items()}
            entries = list(of_backing.values())
            keys = [of_backing[mapping.backing] for mapping in snapshot]
        present = set(keys)
        legend = [entry for entry in entries if entry in present]
        numbers = {entry: number for number, entry in enumerate(legend)}
        cells = cls([], [], legend)
        end: int | None = None
        by_address = sorted(zip(snapshot, keys, strict=True), key=lambda pair: pair[0].start)
        for mapping, key in by_address:
            if end is not None and mapping.start - end > _GAP:
                cells.groups.append(None)
                cells.addresses.append(mapping.start)
            end = max(end or 0, mapping.end)
            cells.groups.append(numbers[key])
            cells.addresses.append(mapping.start)
        return cells

    @property
    def columns(self) -> int:
        """Number of cells in a row."""
        return max(math.ceil(math.sqrt(len(self.groups) * _COLUMNS_PER_ROW)), _MIN_COLUMNS)

    @property
    def rows(self) -> int:
        """Number of rows."""
        return math.ceil(len(self.groups) / self.columns)


def _draw_address_space(axes: Axes, cells: _Cells) -> None:
    """Draw the cells in the order of addresses, row by row, as one collection."""
    import numpy as np  # noqa: PLC0415  a plot loads it in any case
    from matplotlib.colors import ListedColormap  # noqa: PLC0415

    rows, columns, count = cells.rows, cells.columns, len(cells.groups)
    grid = np.full(rows * columns, np.nan)
    grid[:count] = [math.nan if group is None else group for group in cells.groups]
    has_edges = count <= _MAX_WITH_EDGES
    axes.pcolormesh(
        np.arange(columns + 1),
        np.arange(rows + 1),
        np.ma.masked_invalid(grid.reshape(rows, columns)),
        cmap=ListedColormap([themed(colour) for _, colour in cells.legend]),
        vmin=-0.5,
        vmax=len(cells.legend) - 0.5,
        edgecolors=background() if has_edges else "none",
        linewidth=0.7 if has_edges else 0,
        rasterized=count > _MAX_AS_VECTORS,
    )
    axes.invert_yaxis()
    labelled = range(0, rows, math.ceil(rows / _MAX_ADDRESSES))
    axes.set_yticks(
        [row + 0.5 for row in labelled],
        [f"{cells.addresses[row * columns]:x}" for row in labelled],
        fontsize="x-small",
        family="monospace",
    )
    axes.tick_params(left=False)
    axes.set_xticks([])
    clear_frame(axes, "top", "right", "left", "bottom")
    gaps = cells.groups.count(None)
    if gaps:
        axes.set_xlabel("blank: more than 1 GiB between two mappings", fontsize="small")
    mappings = "1 mapping" if count - gaps == 1 else f"{count - gaps:,} mappings, one cell each"
    axes.set_title(f"Address space: {mappings}", fontsize="medium", loc="left")


def _reports_rss(difference: Difference) -> bool:
    return any(
        mapping.rss is not None
        for change in difference.changes
        for mapping in (*change.before, *change.after)
    )


def _growth(delta: int, change: Change, name: str) -> str:
    if change.kind is ChangeKind.ADDED:
        return f"{_signed(delta)} (added)"
    after = sum(getattr(mapping, name) or 0 for mapping in change.after)
    return f"{_signed(delta)} to {format_kb(after)}"


def _signed(kb: int) -> str:
    return f"{'+' if kb > 0 else ''}{format_kb(kb)}"


def _mapping_label(mapping: Mapping) -> str:
    return f"{escape_text(truncate_left(label(mapping.pathname), 36))}\n{mapping.start:x}"
