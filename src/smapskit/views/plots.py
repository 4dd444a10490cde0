"""
Plots of snapshots and recordings, for a screen or in print.

Colours are those of Okabe and Ito, which people with colour blindness can distinguish. Hatches
mark the same classes without colour.
"""

from __future__ import annotations

import errno
import io
from collections.abc import Iterable, Sequence
from collections.abc import Mapping as MappingOf
from typing import TYPE_CHECKING, Any, Final

from smapskit.errors import Unsupported
from smapskit.model.backing import Backing
from smapskit.model.snapshot import Snapshot
from smapskit.model.totals import GroupName
from smapskit.text import sanitize, truncate
from smapskit.views.columns import label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STYLES: Final = {
    Backing.ANONYMOUS: ("#E69F00", ""),
    Backing.FILE: ("#56B4E9", "//"),
    Backing.SHMEM: ("#009E73", "\\\\"),
    Backing.DEVICE: ("#CC79A7", "xx"),
    Backing.HUGETLB: ("#D55E00", "++"),
    Backing.SPECIAL: ("#000000", ""),
    None: ("#999999", ".."),
}
"""Colour and hatch of each backing."""

_PLAIN = ("#BBBBBB", "")
_MAX_WITH_EDGES = 60
_MAX_GROUPS = 12
_KB_PER_MIB = 1024


def plot_snapshot(snapshot: Snapshot, by: GroupName = "backing") -> Figure:
    """
    Plot resident memory against size, one bar per group, and the address space as a strip.

    Args:
        snapshot: with counters; a snapshot of maps has no resident memory to plot.
        by: as in `group_by`; from the thirteenth group on, groups are plotted as one.

    Returns:
        A matplotlib figure, to show or to save.

    Raises:
        Unsupported: matplotlib is not installed.
    """
    figure, (above, below) = _subplots()
    _draw_groups(above, snapshot, by)
    _draw_strip(below, snapshot)
    name = f" of process {escape_text(str(snapshot.pid))}" if snapshot.pid is not None else ""
    if not name and snapshot.source is not None:
        name = f" in {escape_text(truncate_left(snapshot.source))}"
    command = f": {escape_text(truncate(snapshot.command))}" if snapshot.command else ""
    figure.suptitle(f"Memory{name}{command}", fontsize="large")
    return figure


LINES: Final = (("#000000", "-", 2.0), ("#0072B2", "--", 1.5), ("#D55E00", "-.", 1.5))
"""Colour, dashes and width of the lines of a series, in order."""


def plot_series(
    seconds: Sequence[float],
    series: MappingOf[str, Sequence[int | None]],
    markers: Iterable[tuple[float, str]] = (),
    title: str = "",
    command: str | None = None,
) -> Figure:
    """
    Plot values over time, and a vertical line for each marker.

    Args:
        seconds: the time of each sample since the beginning.
        series: values in kB, by their name in the legend.
        markers: seconds since the beginning, and the label of each.
        title: the process.
        command: its command line.

    Raises:
        Unsupported: matplotlib is not installed.
    """
    figure = new_figure()
    axes = figure.subplots()
    for (name, values), (colour, dashes, width) in zip(series.items(), LINES, strict=False):
        known = [
            (s, kb / _KB_PER_MIB) for s, kb in zip(seconds, values, strict=True) if kb is not None
        ]
        if known:
            x, y = zip(*known, strict=True)
            axes.plot(x, y, dashes, color=colour, linewidth=width, label=name)
    for position, text in markers:
        axes.axvline(position, color="#555555", linestyle=":", linewidth=1)
        axes.annotate(
            f" {escape_text(text)}",
            (position, 1.0),
            xycoords=("data", "axes fraction"),
            rotation=90,
            va="top",
            fontsize="small",
        )
    axes.set_xlabel("time (s)")
    axes.set_ylabel("memory (MiB)")
    axes.set_ylim(bottom=0)
    axes.grid(visible=True, color="#DDDDDD", linewidth=0.5)
    if axes.lines:
        axes.legend(loc="best")
    suffix = f": {escape_text(truncate(command))}" if command else ""
    figure.suptitle(f"Memory of {escape_text(title)}{suffix}", fontsize="large")
    return figure


def _subplots() -> tuple[Figure, tuple[Axes, Axes]]:
    figure = new_figure()
    above, below = figure.subplots(2, 1, height_ratios=[3, 1])
    return figure, (above, below)


def new_figure(width: float = 9, height: float = 6) -> Figure:
    """
    Return an empty figure, in inches, which a notebook displays.

    Raises:
        Unsupported: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415  an extra
    except ImportError:
        msg = "plotting requires matplotlib: pip install '.[plot]'"
        raise Unsupported(errno.ENOSYS, msg) from None

    class NotebookFigure(Figure):
        """A figure that a notebook displays without pyplot, which would keep it open."""

        def _repr_png_(self) -> bytes:
            picture = io.BytesIO()
            self.savefig(picture, format="png")
            return picture.getvalue()

    return NotebookFigure(figsize=(width, height), layout="constrained")


def _draw_groups(axes: Axes, snapshot: Snapshot, by: GroupName) -> None:
    groups = snapshot.group_by(by)
    entries = sorted(
        (
            (key, sums.size / _KB_PER_MIB, (sums.rss or 0) / _KB_PER_MIB)
            for key, sums in groups.items()
        ),
        key=lambda entry: (entry[2], entry[1]),
        reverse=True,
    )
    shown, rest = entries[:_MAX_GROUPS], entries[_MAX_GROUPS:]
    if rest:
        others: Any = f"{len(rest)} others"
        shown.append((others, sum(e[1] for e in rest), sum(e[2] for e in rest)))
    for row, (key, size, rss) in enumerate(shown):
        colour, hatch = STYLES[key] if by == "backing" and key in STYLES else _PLAIN
        axes.barh(row, size, color="none", edgecolor="black", linewidth=1)
        axes.barh(row, rss, height=0.6, color=colour, hatch=hatch, edgecolor="black", linewidth=0.5)
        axes.annotate(
            f" {_format_mib(rss)} of {_format_mib(size)}",
            (max(size, rss), row),
            va="center",
            fontsize="small",
        )
    axes.set_yticks(range(len(shown)), [truncate_left(_escaped_label(key)) for key, *_ in shown])
    axes.invert_yaxis()
    axes.set_xscale("symlog", linthresh=1)
    axes.set_xlim(0, max((entry[1] for entry in shown), default=1) * 8)
    axes.xaxis.set_major_formatter(lambda value, _place: f"{value:,.0f}")
    axes.set_xlabel("MiB, logarithmic above 1")
    axes.set_title(f"Resident (filled) of the size (frame), by {by}", fontsize="medium", loc="left")


def _draw_strip(axes: Axes, snapshot: Snapshot) -> None:
    """Plot the mappings side by side in the order of their addresses, without gaps."""
    left = 0.0
    edge = (
        0.3 if len(snapshot) <= _MAX_WITH_EDGES else 0.0
    )  # with more, edges would hide the colours
    seen: dict[Backing | None, Any] = {}
    for mapping in sorted(snapshot, key=lambda m: m.start):
        backing = mapping.backing
        colour, hatch = STYLES[backing]
        width = (mapping.size + 1) ** 0.25  # a page stays visible beside a gigabyte
        patch = axes.barh(
            0, width, left=left, color=colour, hatch=hatch, edgecolor="black", linewidth=edge
        )
        seen.setdefault(backing, patch)
        left += width
    axes.set_yticks([])
    axes.set_xticks([])
    axes.set_xlim(0, left or 1)
    axes.set_xlabel("mappings by address; width: fourth root of the size")
    axes.set_title("Address space", fontsize="medium", loc="left")
    order = [backing for backing in STYLES if backing in seen]
    axes.legend(
        [seen[backing] for backing in order],
        [_escaped_label(backing) for backing in order],
        loc="upper center",
        ncols=len(order) or 1,
        bbox_to_anchor=(0.5, -0.35),
        frameon=False,
    )


def _format_mib(size: float) -> str:
    return f"{size:,.0f}" if size >= 10 else f"{size:.1f}" if size >= 0.1 else "<0.1"  # noqa: PLR2004


def _escaped_label(key: object) -> str:
    return escape_text(label(key))


def truncate_left(text: str, limit: int = 44) -> str:
    """Return at most `limit` characters: the end of a path identifies it best."""
    return text if len(text) <= limit else f"…{text[1 - limit :]}"


def escape_text(text: str) -> str:
    """Return text that matplotlib prints as it is."""
    # matplotlib renders text between "$" as a formula.
    return sanitize(text).replace("$", r"\$")
