"""Pictures of pages: of a process or of files at one time, and of a process over time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from smapskit.model.backing import Backing
from smapskit.model.page_recording import PageRecording, PageState, RecordedRange
from smapskit.model.page_runs import Numbers, PageRuns
from smapskit.model.pages import PageFlag, Pages
from smapskit.model.residency import Residency
from smapskit.text import truncate
from smapskit.views.colours import FOREGROUND, OF_BACKINGS
from smapskit.views.columns import label
from smapskit.views.figures import (
    background,
    escape_text,
    foreground,
    new_figure,
    themed,
    truncate_left,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MIB: Final = 1 << 20
_COLUMNS: Final = 512
"""Parts of a strip, and samples of a picture over time."""
_ROWS: Final = 512
"""Parts of the address space in a picture over time."""
_MAX_STRIPS: Final = 30
_LIGHTEST: Final = 0.25
"""How much of its colour a part has with one page in memory."""

_SWAPPED: Final = "#CC79A7"
_UNMAPPED: Final = "#C8C8C8"
_LISTS: Final = {
    "inactive": "#9ECAE1",
    "inactive, referenced": "#0072B2",
    "active": "#D55E00",
    "unevictable": FOREGROUND,
    "in the page cache, not mapped": _UNMAPPED,
}
"""The colour of each list of the kernel."""

_M, _C, _A, _R, _U = (
    PageState.MAPPED,
    PageState.CACHED,
    PageState.ACTIVE,
    PageState.REFERENCED,
    PageState.UNEVICTABLE,
)
_OF_LISTS: Final = {
    "inactive": (_M | _A | _R | _U, _M),
    "inactive, referenced": (_M | _A | _R | _U, _M | _R),
    "active": (_M | _A, _M | _A),
    "unevictable": (_M | _U, _M | _U),
    "in the page cache, not mapped": (_M | _C, _C),
}
"""Mask and value of the states of the pages on each list."""


def plot_pages(pages: Pages) -> Figure:
    """
    Draw each mapping as a strip of its pages, the largest in memory first.

    Raises:
        Unsupported: matplotlib is not installed.
    """
    present = PageFlag.PRESENT | PageFlag.FILE | PageFlag.ZERO
    layers = [
        (pages.runs.select(present, PageFlag.PRESENT), OF_BACKINGS[Backing.ANONYMOUS]),
        (pages.runs.select(present, PageFlag.PRESENT | PageFlag.FILE), OF_BACKINGS[Backing.FILE]),
        (pages.runs.select(PageFlag.SWAPPED | PageFlag.GUARD, PageFlag.SWAPPED), _SWAPPED),
    ]
    rows = zip(pages.ranges, pages.by_mapping(), strict=True)
    chosen = [
        (row.counts.present or 0, range_, row)
        for range_, row in rows
        if row.counts.present or row.counts.swapped
    ]
    chosen.sort(key=lambda each: each[0], reverse=True)
    strips = [
        _Strip(
            _image(layers, range_.first, range_.end),
            label(row.mapping.pathname),
            _share(count, range_.end - range_.first, pages.page_size),
        )
        for count, range_, row in chosen[:_MAX_STRIPS]
    ]
    names = ["anonymous", "of a file", "in swap"]
    colours = [colour for _, colour in layers]
    command = f": {truncate(pages.command)}" if pages.command else ""
    title = f"Pages in memory of process {pages.pid}{command}"
    others = len(chosen) - len(strips)
    note = f"{others} more mappings have fewer pages in memory" if others > 0 else ""
    return _plot_strips(strips, title, note, list(zip(names, colours, strict=True)))


def plot_residency(files: Sequence[Residency]) -> Figure:
    """
    Draw each file as a strip of its pages.

    Raises:
        Unsupported: matplotlib is not installed.
    """
    colour = OF_BACKINGS[Backing.FILE]
    strips = [
        _Strip(
            _image([(each.runs, colour)], 0, each.pages),
            each.path,
            _share(each.cached, each.pages, each.page_size),
        )
        for each in files[:_MAX_STRIPS]
    ]
    others = len(files) - len(strips)
    note = f"{others} more files" if others > 0 else ""
    return _plot_strips(strips, "Files in the page cache", note, [("in the page cache", colour)])


@attrs.frozen(eq=False)
class _Strip:
    image: NDArray[np.float64]
    name: str
    text: str


def _share(pages: int, size: int, page_size: int) -> str:
    return f"{pages * page_size / _MIB:,.1f} of {size * page_size / _MIB:,.1f} MiB"


def _image(layers: Sequence[tuple[PageRuns, str]], first: int, end: int) -> NDArray[np.float64]:
    """Return one row of colours: the fuller a part is, the stronger."""
    from matplotlib.colors import to_rgb  # noqa: PLC0415  an extra, checked by new_figure

    width = min(_COLUMNS, end - first)
    absent = np.array(to_rgb(background()))
    if not width:
        return absent.reshape(1, 1, 3)
    bounds = first + np.arange(width + 1, dtype=np.int64) * (end - first) // width
    image = np.tile(absent, (1, width, 1))
    sizes = bounds[1:] - bounds[:-1]
    for runs, colour in layers:
        share = runs.count_within(bounds[:-1], bounds[1:]) / sizes
        weight = np.where(share > 0, _LIGHTEST + (1 - _LIGHTEST) * share, 0)[None, :, None]
        image = image * (1 - weight) + np.array(to_rgb(colour)) * weight
    return image


def _plot_strips(
    strips: Sequence[_Strip], title: str, note: str, legend: Sequence[tuple[str, str]]
) -> Figure:
    figure = new_figure(10, 1.6 + 0.32 * max(1, len(strips)))
    axes = figure.subplots()
    for row, strip in enumerate(strips):
        axes.imshow(
            strip.image,
            extent=(0, 100, row + 0.4, row - 0.4),
            aspect="auto",
            interpolation="nearest",
        )
        axes.annotate(
            f" {strip.text}", (100, row), va="center", fontsize="small", annotation_clip=False
        )
    names = [truncate_left(escape_text(strip.name)) for strip in strips]
    axes.set_yticks(range(len(strips)), names, fontsize="small")
    axes.set_ylim(max(1, len(strips)) - 0.5, -0.5)
    axes.set_xlim(0, 100)
    axes.set_xlabel("position in the range (%)" + (f"; {note}" if note else ""))
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    _add_legend(axes, [*legend, ("not in memory", background())], below=True)
    figure.suptitle(escape_text(title), fontsize="large")
    return figure


def _add_legend(axes: Axes, entries: Sequence[tuple[str, str]], *, below: bool) -> None:
    from matplotlib.patches import Patch  # noqa: PLC0415  an extra, checked by new_figure

    patches = [
        Patch(facecolor=themed(colour), edgecolor="#888888", label=name) for name, colour in entries
    ]
    if below:
        axes.figure.legend(
            handles=patches, loc="outside lower center", ncols=len(patches), frameon=False
        )
    else:
        axes.legend(
            handles=patches,
            loc="upper left",
            bbox_to_anchor=(1.01, 1),
            frameon=False,
            fontsize="small",
        )


# ---- over time ----------------------------------------------------------------------------


@attrs.frozen(eq=False)
class PageRows:
    """
    A part of an address space, as rows of pages that are drawn together.

    Attributes:
        bounds: the page where each row begins, and the end of the last one.
        positions: the same, in bytes from the bottom of the picture.
        names: the position and the name of each mapping, if there are several.
        quantity: what the positions mean.
    """

    bounds: Numbers
    positions: NDArray[np.float64]
    names: tuple[tuple[float, str], ...]
    quantity: str

    def count(self, runs: PageRuns) -> Numbers:
        """Return the number of pages in runs for each row."""
        return runs.count_within(self.bounds[:-1], self.bounds[1:])


def rows_of(recording: PageRecording, rows: int = _ROWS) -> PageRows:
    """
    Return the rows of a recording: those of its mapping, by offset in the file.

    If there are several mappings, or most of their pages were never in memory, the rows have
    only pages that ever were, by address.
    """
    seen = _pages_ever_seen(recording)
    whole = _union(recording.ranges, recording.page_size)
    names: tuple[tuple[float, str], ...] = ()
    if len(whole) == 1 and whole.count() <= 8 * max(1, seen.count()):
        segments, quantity = whole, "offset in the mapping (MiB)"
        first = recording.ranges[0]
        base = first.offset if first.pathname.startswith("/") else 0
        if base or first.pathname.startswith("/"):
            quantity = "offset in the file (MiB)"
    else:
        segments, quantity, base = seen, "pages that were ever in memory (MiB)", 0
    total = segments.count()
    places = np.arange(min(rows, total) + 1, dtype=np.int64) * total // max(1, min(rows, total))
    sizes = segments.end - segments.first
    before = np.cumsum(sizes) - sizes
    at = np.clip(np.searchsorted(before, places, "right") - 1, 0, None)
    bounds = (
        np.minimum(segments.first[at] + places - before[at], segments.end[at])
        if len(segments)
        else places
    )
    if segments is seen:
        names = _names(recording, seen)
    positions = (places * recording.page_size + base).astype(np.float64)
    return PageRows(bounds, positions, names, quantity)


def _names(recording: PageRecording, seen: PageRuns) -> tuple[tuple[float, str], ...]:
    found: dict[str, float] = {}
    for each in recording.ranges:
        first, end = each.start // recording.page_size, each.end // recording.page_size
        bounds = seen.count_below(np.array([first, end]))
        if bounds[1] > bounds[0]:
            found.setdefault(label(each.pathname), float(bounds[0]) * recording.page_size)
    return tuple((position, name) for name, position in found.items())


def _pages_ever_seen(recording: PageRecording) -> PageRuns:
    # Every page that was ever in memory is in a change, since the first state is no page at all.
    parts = [PageRuns(c.first, c.end, np.ones(len(c), np.uint8)) for c in recording.changes]
    return _union_of_runs(parts)


def _union_of_runs(parts: Sequence[PageRuns]) -> PageRuns:
    first = np.concatenate([np.empty(0, np.int64), *(part.first for part in parts)])
    end = np.concatenate([np.empty(0, np.int64), *(part.end for part in parts)])
    order = np.argsort(first, kind="stable")
    first, end = first[order], np.maximum.accumulate(end[order])
    if not len(first):
        return PageRuns.join(())
    breaks = np.concatenate(([True], first[1:] > end[:-1]))
    last = np.append(np.flatnonzero(breaks)[1:] - 1, len(first) - 1)
    return PageRuns(first[breaks], end[last], np.ones(len(last), np.uint8))


def _union(ranges: Sequence[RecordedRange], page_size: int) -> PageRuns:
    first = np.array([each.start // page_size for each in ranges], np.int64)
    end = np.array([each.end // page_size for each in ranges], np.int64)
    return _union_of_runs([PageRuns(first, end, np.ones(len(first), np.uint8))])


def plot_recording(recording: PageRecording) -> Figure:
    """
    Draw pages over time, in panels with one time axis.

    How long each part has been in memory; on which of the kernel's lists its pages are, if that
    is known; and how many pages there are.

    Raises:
        Unsupported: matplotlib is not installed.
    """
    has_lists = "active" not in recording.unknown and "flags" not in recording.unknown
    rows = rows_of(recording)
    shown = np.unique(np.linspace(0, len(recording) - 1, min(len(recording), _COLUMNS)).astype(int))
    counts = _count_rows(recording, rows, set(shown.tolist()))
    seconds = recording.seconds[shown]
    heights = [3, 3, 1.2] if has_lists else [3, 1.2]
    figure = new_figure(12, 10 if has_lists else 7)
    panels = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights)
    has_pages = counts["in memory"].size > 0
    if has_pages:
        _draw_age(panels[0], seconds, rows, counts)
    if has_pages and has_lists:
        _draw_lists(panels[1], seconds, rows, counts)
    _draw_counts(panels[-1], recording)
    for axes in panels:
        for at, text in recording.markers:
            axes.axvline(at, color=foreground(), linestyle="--", linewidth=0.8)
            if axes is panels[0]:
                axes.annotate(
                    f" {escape_text(truncate(text, 40))}",
                    (at, 0.98),
                    xycoords=("data", "axes fraction"),
                    rotation=90,
                    va="top",
                    fontsize="small",
                )
    panels[-1].set_xlabel("time (s)")
    command = f": {truncate(recording.command)}" if recording.command else ""
    figure.suptitle(escape_text(f"Pages of process {recording.pid}{command}"), fontsize="large")
    return figure


def _count_rows(
    recording: PageRecording, rows: PageRows, shown: set[int]
) -> dict[str, NDArray[np.int64]]:
    """Return the pages of each row on each list, one column per sample; and `in memory`."""
    found: dict[str, list[Numbers]] = {name: [] for name in (*_OF_LISTS, "in memory", "swapped")}
    for at, state in enumerate(recording.states()):
        if at in shown:
            for name, (mask, value) in _OF_LISTS.items():
                found[name].append(rows.count(state.select(mask, value)))
            found["swapped"].append(rows.count(state.select(PageState.SWAPPED)))
            in_memory = state.take((state.flags & np.uint8(_M | _C)) != 0)
            found["in memory"].append(rows.count(in_memory))
    count = len(rows.bounds) - 1
    return {
        name: np.array(columns, np.int64).reshape(len(columns), count).T
        for name, columns in found.items()
    }


def _is_there(counts: dict[str, NDArray[np.int64]]) -> NDArray[np.bool_]:
    """Whether half of the pages that a row ever has are in memory."""
    in_memory = counts["in memory"]
    most = in_memory.max(axis=1, keepdims=True, initial=0)
    is_there: NDArray[np.bool_] = (in_memory > 0) & (2 * in_memory >= most)
    return is_there


def _draw_age(
    axes: Axes, seconds: NDArray[np.float64], rows: PageRows, counts: dict[str, NDArray[np.int64]]
) -> None:
    is_there = _is_there(counts)
    ages = np.full(is_there.shape, np.nan)
    begin = np.full(len(is_there), np.nan)
    for column, now in enumerate(seconds.tolist()):
        begin = np.where(is_there[:, column], np.where(np.isnan(begin), now, begin), np.nan)
        ages[:, column] = now - begin
    unmapped = counts["in the page cache, not mapped"]
    is_unmapped = is_there & (2 * unmapped > counts["in memory"])
    is_swapped = ~is_there & (counts["swapped"] > 0)
    image = _draw_matrix(axes, seconds, rows, np.where(is_unmapped, np.nan, ages), "viridis_r")
    _draw_mask(axes, seconds, rows, is_unmapped, _UNMAPPED)
    _draw_mask(axes, seconds, rows, is_swapped, _SWAPPED)
    bar = axes.figure.colorbar(image, cax=axes.inset_axes((1.02, 0.0, 0.015, 0.72)))
    bar.set_label("seconds since it came into memory")
    axes.set_title("In memory, and for how long", fontsize="medium", loc="left")
    _label_rows(axes, rows)
    others = [
        ("in the page cache, not mapped", _UNMAPPED, is_unmapped.any()),
        ("in swap", _SWAPPED, is_swapped.any()),
        ("not in memory", background(), True),
    ]
    _add_legend(axes, [(name, colour) for name, colour, is_used in others if is_used], below=False)


def _draw_lists(
    axes: Axes, seconds: NDArray[np.float64], rows: PageRows, counts: dict[str, NDArray[np.int64]]
) -> None:
    is_there = _is_there(counts)
    most = np.argmax(np.stack([counts[name] for name in _OF_LISTS]), axis=0)
    used = []
    for at, (name, colour) in enumerate(_LISTS.items()):
        mask = is_there & (most == at)
        _draw_mask(axes, seconds, rows, mask, colour)
        if mask.any():
            used.append((name, colour))
    axes.set_title("The kernel's list each page is on", fontsize="medium", loc="left")
    _label_rows(axes, rows)
    _add_legend(axes, used, below=False)


def _edges(seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return where each sample begins, and where the last one ends."""
    step = float(np.median(np.diff(seconds))) if len(seconds) > 1 else 1.0
    return np.append(seconds, seconds[-1] + step) if len(seconds) else np.array([0.0, 1.0])


def _draw_matrix(
    axes: Axes, seconds: NDArray[np.float64], rows: PageRows, values: Any, colours: Any
) -> Any:
    edges = rows.positions / _MIB
    return axes.pcolormesh(_edges(seconds), edges, values, cmap=colours, rasterized=True)


def _draw_mask(
    axes: Axes,
    seconds: NDArray[np.float64],
    rows: PageRows,
    mask: NDArray[np.bool_],
    colour: str,
) -> None:
    from matplotlib.colors import ListedColormap  # noqa: PLC0415  an extra

    if mask.any():
        _draw_matrix(
            axes, seconds, rows, np.where(mask, 1.0, np.nan), ListedColormap([themed(colour)])
        )


def _label_rows(axes: Axes, rows: PageRows) -> None:
    axes.set_ylabel(rows.quantity)
    total = rows.positions[-1] - rows.positions[0]
    last = -np.inf
    for position, name in rows.names:
        if position - last > total / 40:  # or the names would overlap
            axes.axhline(position / _MIB, color="#888888", linewidth=0.4)
            text = f" {escape_text(truncate_left(name, 30))}"
            axes.annotate(
                text, (0, position / _MIB), xycoords=("axes fraction", "data"), fontsize=6
            )
            last = position


def _draw_counts(axes: Axes, recording: PageRecording) -> None:
    counts = recording.counts
    mib = recording.page_size / _MIB
    mapped_of_file = np.zeros(len(recording))
    unmapped = np.zeros(len(recording))
    for at, state in enumerate(recording.states()):
        mapped_of_file[at] = state.select(_M | _C).count()
        unmapped[at] = state.select(_M | _C, _C).count()
    anonymous = counts["mapped"] - mapped_of_file
    layers = [
        ("anonymous", anonymous, OF_BACKINGS[Backing.ANONYMOUS]),
        ("of a file, mapped", mapped_of_file, OF_BACKINGS[Backing.SHMEM]),
        ("in the page cache, not mapped", unmapped, _UNMAPPED),
        ("in swap", counts["swapped"], _SWAPPED),
    ]
    used = [layer for layer in layers if layer[1].any()]
    if used:
        axes.stackplot(
            recording.seconds,
            *(np.asarray(values) * mib for _, values, _ in used),
            colors=[colour for *_, colour in used],
        )
    _add_legend(axes, [(name, colour) for name, _, colour in used], below=False)
    axes.set_ylabel("MiB")
    axes.set_ylim(bottom=0)
    if len(recording) > 1:
        axes.set_xlim(0, float(_edges(recording.seconds)[-1]))
