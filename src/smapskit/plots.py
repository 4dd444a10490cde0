"""
Pictures of a snapshot, for a screen, a page in print, and eyes that see colours otherwise.

Colours are those of Okabe and Ito; hatches tell the same apart without colour.
"""

from __future__ import annotations

import errno
import io
from collections.abc import Iterable, Sequence
from collections.abc import Mapping as MappingOf
from typing import TYPE_CHECKING, Any, Final

from smapskit.aggregate import GroupName
from smapskit.classify import Backing
from smapskit.errors import Unsupported
from smapskit.snapshot import Snapshot, shortened
from smapskit.texts import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_UNKNOWN = "not known"
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
_MOST_WITH_EDGES = 60
_MOST_GROUPS = 12
_MIB = 1024


def plot_snapshot(snapshot: Snapshot, by: GroupName = "backing") -> Figure:
    """
    Draw what is resident against the size, a bar a group, and the address space as a strip.

    Args:
        snapshot: with counters; one of maps has nothing resident to show.
        by: as in `group_by`; beyond a dozen groups the smallest are drawn as one.

    Returns:
        A figure of matplotlib's, to show or to save.

    Raises:
        Unsupported: matplotlib, the extra `plot`, is not installed.
    """
    figure, (above, below) = _subplots()
    _draw_groups(above, snapshot, by)
    _draw_strip(below, snapshot)
    name = f" of process {_plain(str(snapshot.pid))}" if snapshot.pid is not None else ""
    if not name and snapshot.source is not None:
        name = f" in {_plain(_short(snapshot.source))}"
    command = f": {_plain(shortened(snapshot.command))}" if snapshot.command else ""
    figure.suptitle(f"Memory{name}{command}", fontsize="large")
    return figure


LINES: Final = (("#000000", "-", 2.0), ("#0072B2", "--", 1.5), ("#D55E00", "-.", 1.5))
"""Colour, dashes and width of the lines of a series, in order."""


def plot_series(
    seconds: Sequence[float],
    series: MappingOf[str, Sequence[int | None]],
    events: Iterable[tuple[float, str]] = (),
    title: str = "",
    command: str | None = None,
) -> Figure:
    """
    Draw figures over time, and a mark for each event.

    Args:
        seconds: of each sample, since the beginning.
        series: what to draw, in kB, by the name that the legend gives it.
        events: seconds since the beginning, and what happened.
        title: whose figures they are.
        command: its command line.

    Raises:
        Unsupported: matplotlib, the extra `plot`, is not installed.
    """
    figure = _figure()
    axes = figure.subplots()
    for (name, figures), (colour, dashes, width) in zip(series.items(), LINES, strict=False):
        known = [(s, kb / _MIB) for s, kb in zip(seconds, figures, strict=True) if kb is not None]
        if known:
            x, y = zip(*known, strict=True)
            axes.plot(x, y, dashes, color=colour, linewidth=width, label=name)
    for moment, event in events:
        axes.axvline(moment, color="#555555", linestyle=":", linewidth=1)
        axes.annotate(
            f" {_plain(event)}",
            (moment, 1.0),
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
    said = f": {_plain(shortened(command))}" if command else ""
    figure.suptitle(f"Memory of {_plain(title)}{said}", fontsize="large")
    return figure


def _subplots() -> tuple[Figure, tuple[Axes, Axes]]:
    figure = _figure()
    above, below = figure.subplots(2, 1, height_ratios=[3, 1])
    return figure, (above, below)


def _figure() -> Figure:
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415  an extra
    except ImportError:
        msg = "plotting requires matplotlib: pip install '.[plot]' in a checkout"
        raise Unsupported(errno.ENOSYS, msg) from None

    class Shown(Figure):
        """Shows itself in a notebook without pyplot, which keeps figures and opens windows."""

        def _repr_png_(self) -> bytes:
            picture = io.BytesIO()
            self.savefig(picture, format="png")
            return picture.getvalue()

    return Shown(figsize=(9, 6), layout="constrained")


def _draw_groups(axes: Axes, snapshot: Snapshot, by: GroupName) -> None:
    groups = snapshot.group_by(by)
    entries = sorted(
        ((key, sums.size / _MIB, (sums.rss or 0) / _MIB) for key, sums in groups.items()),
        key=lambda entry: (entry[2], entry[1]),
        reverse=True,
    )
    shown, rest = entries[:_MOST_GROUPS], entries[_MOST_GROUPS:]
    if rest:
        others: Any = f"{len(rest)} others"
        shown.append((others, sum(e[1] for e in rest), sum(e[2] for e in rest)))
    for row, (key, size, rss) in enumerate(shown):
        colour, hatch = STYLES[key] if by == "backing" and key in STYLES else _PLAIN
        axes.barh(row, size, color="none", edgecolor="black", linewidth=1)
        axes.barh(row, rss, height=0.6, color=colour, hatch=hatch, edgecolor="black", linewidth=0.5)
        axes.annotate(
            f" {_mib(rss)} of {_mib(size)}",
            (max(size, rss), row),
            va="center",
            fontsize="small",
        )
    axes.set_yticks(range(len(shown)), [_short(_label(key)) for key, *_ in shown])
    axes.invert_yaxis()
    axes.set_xscale("symlog", linthresh=1)
    axes.set_xlim(0, max((entry[1] for entry in shown), default=1) * 8)
    axes.xaxis.set_major_formatter(lambda value, _place: f"{value:,.0f}")
    axes.set_xlabel("MiB, logarithmic above 1")
    axes.set_title(f"Resident (filled) of the size (frame), by {by}", fontsize="medium", loc="left")


def _draw_strip(axes: Axes, snapshot: Snapshot) -> None:
    """The mappings side by side in the order of their addresses, gaps left out."""
    left = 0.0
    edge = 0.3 if len(snapshot) <= _MOST_WITH_EDGES else 0.0  # many edges would be all one saw
    seen: dict[Backing | None, Any] = {}
    for mapping in sorted(snapshot, key=lambda m: m.start):
        backing = mapping.backing
        colour, hatch = STYLES[backing]
        width = (mapping.size + 1) ** 0.25  # so that a page can be seen beside a gigabyte
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
        [_label(backing) for backing in order],
        loc="upper center",
        ncols=len(order) or 1,
        bbox_to_anchor=(0.5, -0.35),
        frameon=False,
    )


def _mib(size: float) -> str:
    return f"{size:,.0f}" if size >= 10 else f"{size:.1f}" if size >= 0.1 else "<0.1"  # noqa: PLR2004


def _label(key: object) -> str:
    if key is None:
        return _UNKNOWN
    return _plain(str(key)) or "(no name)"


def _short(text: str, most: int = 44) -> str:
    """The end of a long path, which tells more than its beginning."""
    return text if len(text) <= most else f"…{text[1 - most :]}"


def _plain(text: str) -> str:
    # "$" would begin a formula of matplotlib's.
    return printable(text).replace("$", r"\$")
