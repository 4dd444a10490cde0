"""Draw the pages of the file over time, and which order decides when they are evicted."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from order import Order, judge_order
from page_run import PageRun
from patterns import PATTERNS

from smapskit import PageState

_GREY, _WHITE = "#C8C8C8", "#FFFFFF"
_PHASES = {
    "reading": "reads",
    "hot": "and the hot region",
    "again": "again",
    "once": "the rest",
    "holding": "waits",
    "allocating": "allocates",
    "OOM-killed": "OOM-killed",
    "ended": "ended",
}
_PHASES |= {name: name for name in ("COLD", "PAGEOUT", "DONTNEED", "mlock")}
_MIN_DISTANCE = 0.04
"""Between the names of two phases, as a share of the width."""
_MAX_ROWS = 512
"""Rows of pages in a panel."""
_LEGEND_X = 1.025
"""Of the legends, in widths of the axes."""


@attrs.frozen
class _Category:
    """Pages of one colour in a panel."""

    name: str
    colour: str
    mask: PageState
    value: PageState
    """A page belongs to the category if `state & mask` is this."""


_MAPPED, _CACHED = PageState.MAPPED, PageState.CACHED
_LISTS = PageState.ACTIVE | PageState.REFERENCED | PageState.UNEVICTABLE
_LIST_CATEGORIES = (
    _Category("inactive", "#9CCAE4", _MAPPED | _LISTS, _MAPPED),
    _Category("inactive, referenced", "#0072B2", _MAPPED | _LISTS, _MAPPED | PageState.REFERENCED),
    _Category("active", "#D55E00", _MAPPED | PageState.ACTIVE, _MAPPED | PageState.ACTIVE),
    _Category(
        "unevictable (mlock)",
        "#202020",
        _MAPPED | PageState.UNEVICTABLE,
        _MAPPED | PageState.UNEVICTABLE,
    ),
    _Category("in the page cache,\nnot mapped", _GREY, _MAPPED | _CACHED, _CACHED),
)
_WRITE = PageState.DIRTY | PageState.WRITEBACK
_WRITE_CATEGORIES = (
    _Category("as on the disk", "#9CCAE4", _MAPPED | _WRITE, _MAPPED),
    _Category("written (dirty)", "#D55E00", _MAPPED | PageState.DIRTY, _MAPPED | PageState.DIRTY),
    _Category("being written to the disk", "#F0E442", PageState.WRITEBACK, PageState.WRITEBACK),
    _Category("in the page cache,\nnot mapped", _GREY, _MAPPED | _CACHED, _CACHED),
)


def draw_pages(order: Order) -> Figure:
    """
    Draw the pages of the file over time in panels with a shared time axis.

    The panels are: how long each page was not touched; the list of the kernel, where it is known;
    which pages are dirty, for the pattern that writes; memory.
    """
    run = order.run
    panels = [_draw_age]
    if run.has_lists and (order.states & np.uint8(_MAPPED)).any():
        panels.append(_draw_lists)
    if run.pattern == "dirty" and "dirty" not in run.recording.unknown:
        panels.append(_draw_writes)
    heights = [3.0] * len(panels) + [1.2]
    has_bands = PATTERNS[run.pattern].has_bands
    figure, grid = _subplots(
        (12.0, sum(heights) + 0.28 * len(panels)),
        _Margins(left=1.95 if has_bands else 0.75, right=2.05, top=1.25, bottom=0.55),
        len(heights),
        sharex=True,
        height_ratios=heights,
    )
    axes = grid[:, 0]
    for draw, place in zip(panels, axes, strict=False):
        draw(place, order)
        _label_offsets(place, run)
    _draw_memory(axes[-1], order)
    end = _edges(run)[-1]
    for place in axes:
        place.set_xlim(0, end)
        for begin in _phases(run).values():
            place.axvline(begin, color="#222222", linewidth=0.9, linestyle=(0, (4, 2)))
    _name_phases(axes[0], run, end)
    axes[-1].set_xlabel("time (s)")
    _title(figure, _headline(order), _machine(run))
    return figure


def draw_order(orders: Sequence[Order]) -> Figure:
    """Draw the pages of each run in order of arrival and of last touch, while in memory."""
    width = 2.75 * max(len(orders), 3)
    figure, grid = _subplots(
        (width, 5.2),
        _Margins(left=0.85, right=0.15, top=1.7, bottom=0.55),
        2,
        len(orders),
        sharex="col",
        sharey=True,
    )
    for column, order in enumerate(orders):
        rows = (("#0072B2", order.arrival), ("#D55E00", order.last_touch))
        for axes, (colour, times) in zip(grid[:, column], rows, strict=True):
            _draw_ranked(axes, order, times, colour)
        title = textwrap.fill(PATTERNS[order.run.pattern].title, int(11 * width / len(orders)))
        grid[0, column].set_title(title, fontsize="medium", loc="left")
        grid[1, column].set_xlabel("seconds of allocating")
    for axes, name in zip(grid[:, 0], ("came in", "was last touched"), strict=True):
        axes.set_ylabel(f"pages, by when each\n{name} (oldest: 0 %)")
    _title(
        figure,
        "Which goes first: what came in first, or what was not touched for longest?",
        "The pages in memory when allocation begins, in both orders, coloured while they are in "
        "memory. A clean diagonal: this order decides. Noise: it does not. "
        r"$\rho$: Spearman's rank correlation of that order with the order of eviction.",
    )
    return figure


@attrs.frozen
class _Margins:
    """Around the axes of a figure, in inches."""

    left: float
    right: float
    top: float
    bottom: float


def _subplots(
    size: tuple[float, float], margins: _Margins, rows: int, columns: int = 1, **options: Any
) -> tuple[Figure, NDArray[Any]]:
    """Return a figure with axes of a size in inches, and all axes as a table."""
    width, height = size[0], size[1] + margins.top + margins.bottom
    figure = Figure(figsize=(width, height))
    grid = figure.subplots(rows, columns, squeeze=False, **options)
    figure.subplots_adjust(
        left=margins.left / width,
        right=1 - margins.right / width,
        top=1 - margins.top / height,
        bottom=margins.bottom / height,
        hspace=0.12,
        wspace=0.06,
    )
    return figure, grid


def _draw_age(axes: Axes, order: Order) -> None:
    age, is_untouched = _ages(order)
    edges, rows = _edges(order.run), _row_edges(order)
    longest = max(1.0, float(np.nanmax(age)) if np.isfinite(age).any() else 1.0)
    scale = Normalize(0, longest)
    axes.pcolormesh(
        edges,
        rows,
        np.where(is_untouched, 1.0, np.nan),
        cmap=ListedColormap([_GREY]),
        rasterized=True,
    )
    axes.pcolormesh(edges, rows, age, cmap="viridis_r", norm=scale, rasterized=True)
    _legend(axes, "In memory, and how\nlong not touched", (), y=1.0)
    bar = axes.inset_axes((_LEGEND_X, 0.3, 0.018, 0.46))
    colours = axes.figure.colorbar(ScalarMappable(scale, "viridis_r"), cax=bar)
    colours.ax.invert_yaxis()
    colours.set_label("seconds since\nthe last touch", fontsize="small")
    patches = [("read ahead,\nnot touched", _GREY), ("not in memory", _WHITE)]
    _legend(axes, "", patches, y=0.24)


def _draw_lists(axes: Axes, order: Order) -> None:
    _draw_categories(axes, order, "The kernel's list\neach page is on", _LIST_CATEGORIES)


def _draw_writes(axes: Axes, order: Order) -> None:
    _draw_categories(axes, order, "Written, and not yet\non the disk", _WRITE_CATEGORIES)


def _draw_categories(axes: Axes, order: Order, title: str, categories: Sequence[_Category]) -> None:
    """Draw for each row and sample the category of most of its pages."""
    counts = [
        _per_row((order.states & np.uint8(each.mask)) == np.uint8(each.value), order)
        for each in categories
    ]
    shares = np.array(counts)
    largest = shares.argmax(axis=0)
    shown = np.where(_per_row(order.in_memory, order) >= 0.5, largest, np.nan)  # noqa: PLR2004
    colours = ListedColormap([each.colour for each in categories])
    axes.pcolormesh(
        _edges(order.run),
        _row_edges(order),
        shown.T,
        cmap=colours,
        vmin=-0.5,
        vmax=len(categories) - 0.5,
        rasterized=True,
    )
    used = np.unique(shown[np.isfinite(shown)]).astype(int)
    patches = [(categories[n].name, categories[n].colour) for n in used]
    _legend(axes, title, [*patches, ("not in memory", _WHITE)], y=1.0)


def _draw_memory(axes: Axes, order: Order) -> None:
    run = order.run
    limit = run.notes["plan"]["limit"] / (1 << 20)
    mapped = ((order.states & np.uint8(_MAPPED)) != 0).sum(axis=1) * run.mib
    cached = order.in_memory.sum(axis=1) * run.mib - mapped
    series = [
        ("anonymous", "#E69F00", run.anonymous),
        ("the file, mapped", "#009E73", mapped),
        ("the file, not mapped", _GREY, cached),
    ]
    axes.stackplot(
        _edges(run),
        [np.append(values, values[-1]) for _, _, values in series],  # until the end
        colors=[colour for _, colour, _ in series],
    )
    axes.axhline(limit, color="#222222", linewidth=1, linestyle=(0, (1, 1)))
    axes.set_ylim(0, limit * 1.12)
    axes.set_yticks([0, limit / 2, limit])
    axes.set_ylabel("MiB")
    if "OOM-killed" in run.phases:
        axes.plot([_edges(run)[-1]], [0], "kX", markersize=10, clip_on=False)
    patches = [(name, colour) for name, colour, _ in reversed(series)]
    _legend(axes, f"Memory, of {limit:,.0f} MiB", patches, y=1.0)


def _draw_ranked(axes: Axes, order: Order, times: NDArray[np.int64], colour: str) -> None:
    run, pages = order.run, order.pages
    # Pages with equal times are ranked at random, not by their offset.
    ties = np.random.default_rng(1).random(len(pages))
    ranked = pages[np.lexsort((ties, times[pages]))]
    there = order.in_memory[order.start :, ranked].astype(float)
    rows = np.array([part.mean(axis=1) for part in np.array_split(there, 200, axis=1)])
    edges = _edges(run)[order.start :] - run.phases["allocating"]
    edges[0] = 0
    axes.pcolormesh(
        edges,
        np.linspace(0, 100, 201),
        rows,
        cmap=_fading(colour),
        vmin=0,
        vmax=1,
        rasterized=True,
    )
    axes.set_xlim(0, edges[-1])
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    try:
        rho = f"{order.correlation(times):.3f}".replace("-", "\N{MINUS SIGN}")
    except ValueError:  # pages that were never evicted have no order
        return
    axes.annotate(
        rf"$\rho$ = {rho}",
        (0.96, 0.06),
        xycoords="axes fraction",
        ha="right",
        bbox={"boxstyle": "round", "facecolor": "white", "edgecolor": "#BBBBBB"},
    )


def _fading(colour: str) -> ListedColormap:
    full = np.array([int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)])
    return ListedColormap([1 - (1 - full) * share for share in np.linspace(0, 1, 101)])


def _ages(order: Order) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """
    Return the mean age of the touched pages of each row, and where most pages are untouched.

    Returns:
        One line per row of the picture, one column per sample: seconds since the last touch, NaN
        where most pages are not in memory or were not touched since they arrived; and whether
        most pages are in memory, but not touched since they arrived.
    """
    seconds = order.run.recording.seconds
    per_row = _pages_per_row(order.run)
    touched = order.run.touches()
    shape = (len(seconds), order.run.pages // per_row)
    ages, untouched = np.full(shape, np.nan), np.zeros(shape, bool)
    last = np.full(order.run.pages, np.nan)
    for row, now in enumerate(seconds):
        there = order.in_memory[row]
        last[touched[row]] = now
        last[~there] = np.nan
        is_known = np.isfinite(last)
        known, resident = (_in_rows(each, per_row).sum(axis=1) for each in (is_known, there))
        sums = _in_rows(np.where(is_known, now - last, 0), per_row).sum(axis=1)
        is_shown = resident * 2 >= per_row
        is_touched = is_shown & (known * 2 >= resident)
        ages[row] = np.where(is_touched, sums / np.maximum(known, 1), np.nan)
        untouched[row] = is_shown & ~is_touched
    return ages.T, untouched.T


def _pages_per_row(run: PageRun) -> int:
    return -(-run.pages // _MAX_ROWS)


def _in_rows(values: NDArray[np.generic], size: int) -> NDArray[np.generic]:
    return values[: len(values) // size * size].reshape(-1, size)


def _per_row(values: NDArray[np.bool_], order: Order) -> NDArray[np.float64]:
    """Return the share of the pages of each row: one line per sample."""
    size = _pages_per_row(order.run)
    rows = values[:, : values.shape[1] // size * size]
    shares: NDArray[np.float64] = rows.reshape(len(rows), -1, size).mean(axis=2)
    return shares


def _row_edges(order: Order) -> NDArray[np.float64]:
    """Return the offset in MiB at which each row begins, and the end of the last one."""
    size = _pages_per_row(order.run)
    count = order.run.pages // size
    return np.linspace(0, count * size * order.run.mib, count + 1)


def _edges(run: PageRun) -> NDArray[np.float64]:
    """Return when each sample begins, and the end of the run."""
    seconds = run.recording.seconds
    end = max(*run.phases.values(), seconds[-1] + (run.recording.interval or 0))
    return np.append(seconds, end)


def _phases(run: PageRun) -> dict[str, float]:
    """Return when each phase with a name began, without the first one and the end."""
    hidden = ("reading", "OOM-killed", "ended")
    return {
        name: begin for name, begin in run.phases.items() if name in _PHASES and name not in hidden
    }


def _name_phases(axes: Axes, run: PageRun, end: float) -> None:
    last = -1.0
    for name, begin in run.phases.items():
        if name not in _PHASES:
            continue
        place = max(begin / end, last + _MIN_DISTANCE)
        last = place
        axes.annotate(
            _PHASES[name],
            (place, 1.0),
            xycoords="axes fraction",
            xytext=(2, 4),
            textcoords="offset points",
            rotation=22,
            va="bottom",
            fontsize="small",
        )


def _label_offsets(axes: Axes, run: PageRun) -> None:
    """Name the bands at the axis, or label offsets and name regions inside."""
    pattern = PATTERNS[run.pattern]
    spans = [(each.name, each.first * run.mib, each.end * run.mib) for each in run.regions]
    if pattern.has_bands:
        axes.set_ylim(0, max(end for *_, end in spans))
        names = {"WILLNEED": "WILLNEED, never touched"}
        axes.set_yticks(
            [(first + end) / 2 for _, first, end in spans],
            [names.get(name, name) for name, *_ in spans],
        )
        axes.tick_params(axis="y", length=0)
        for _, first, _ in spans[1:]:
            axes.axhline(first, color="#888888", linewidth=0.6)
        return
    mib = run.pages * run.mib
    end = max((end for *_, end in spans), default=mib) if run.pattern != "hot" else mib
    axes.set_ylim(0, end)
    axes.set_yticks(np.linspace(0, end, 9))
    axes.set_ylabel("offset in the file (MiB)")
    if run.pattern in ("hot", "twice"):
        for name, first, last in spans:
            axes.annotate(
                name,
                (0.004, (first + last) / 2),
                xycoords=("axes fraction", "data"),
                va="center",
                fontsize="small",
            )


def _legend(axes: Axes, title: str, patches: Sequence[tuple[str, str]], *, y: float) -> None:
    handles = [Patch(facecolor=colour, edgecolor="#999999") for _, colour in patches]
    legend = Legend(
        axes,
        handles,
        [name for name, _ in patches],
        title=title or None,
        title_fontproperties={"weight": "bold"},
        loc="upper left",
        bbox_to_anchor=(_LEGEND_X - 0.02, y),
        frameon=False,
        alignment="left",
        fontsize="small",
    )
    legend.set_clip_on(False)
    axes.add_artist(legend)


def _headline(order: Order) -> str:
    """Return the title of a picture, with the result if the run shows it."""
    pattern = PATTERNS[order.run.pattern]
    claim = judge_order(order)
    if pattern.result and claim.is_judged and claim.holds:
        return f"{pattern.title}: {pattern.result}"
    return pattern.title


def _machine(run: PageRun) -> str:
    notes = run.notes
    text = (
        f"memory cgroup of {notes['plan']['limit'] >> 20} MiB, Linux {notes['kernel']}; one row "
        f"per {_pages_per_row(run) * run.mib:g} MiB, one column per sample "
        f"({run.recording.interval:g} s)"
    )
    return text if run.has_lists else f"{text}; lists: {run.recording.unknown['active']}"


def _title(figure: Figure, title: str, subtitle: str) -> None:
    width, height = figure.get_size_inches()
    place = {"x": 0.12 / width, "ha": "left", "va": "top"}
    figure.text(y=1 - 0.12 / height, s=title, fontsize="x-large", weight="bold", **place)
    text = textwrap.fill(subtitle, int(width * 13.5))
    figure.text(y=1 - 0.45 / height, s=text, fontsize="small", color="#555555", **place)
