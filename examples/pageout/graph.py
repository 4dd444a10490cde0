"""A run as a graph: memory over time, and the file's against what was allocated."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from judge import Series
from matplotlib.figure import Figure

from smapskit.sources.recording import Recording
from smapskit.views.plots import LINES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SUFFIXES = (".png", ".svg", ".pdf")
_PHASES = {
    "reading": "reads the file",
    "level": "reads on",
    "holding": "waits",
    "allocating": "allocates",
    "OOM-killed": "OOM-killed",
    "ended": "ended",
}
_PATTERNS = {
    "sequential": "reads it in order, then allocates",
    "random": "reads it in random order, then allocates",
    "reread": "reads it in order, then allocates and reads it again and again",
}


def draw(recording: Recording) -> Figure:
    """Draw a run."""
    series = Series.of(recording)
    figure = Figure(figsize=(12, 5.5), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[2, 1])
    _over_time(left, series)
    _against_allocation(right, series)
    notes, plan = recording.notes, recording.notes["plan"]
    more = " with swap" if plan["swap"] else ""
    if plan["high"] is not None:
        more += f", memory.high {plan['high'] >> 20} MiB"
    figure.suptitle(
        f"A process maps a file of {plan['file_size'] >> 20} MiB, {_PATTERNS[plan['pattern']]}, "
        f"in a memory cgroup of {plan['limit'] >> 20} MiB{more}\n"
        f"Linux {notes['kernel']}, cgroup v{notes['cgroup']}, {notes['machine']}, "
        f"{notes['date'][:10]}",
        fontsize="medium",
    )
    return figure


def save(figure: Figure, folder: Path) -> list[Path]:
    """Write it in each format; all of them or none."""
    new = {suffix: folder / f"pageout{suffix}.new" for suffix in SUFFIXES}
    try:
        for suffix, path in new.items():
            figure.savefig(path, format=suffix[1:], dpi=110)
        return [path.replace(folder / f"pageout{suffix}") for suffix, path in new.items()]
    finally:
        for path in new.values():
            path.unlink(missing_ok=True)


def _over_time(axes: Axes, series: Series) -> None:
    figures, end = series.figures, max(series.figures.index[-1], *series.phases.values())
    lines = {"total": "total RSS", "shared": "RSS of shared mappings (permission s)"}
    lines["anonymous"] = "anonymous"
    if figures["swap"].max() > 0:
        lines["swap"] = "swapped out"
    styles = (*LINES, ("#CC79A7", ":", 2.0))
    for (column, name), (colour, dashes, width) in zip(lines.items(), styles, strict=False):
        axes.plot(figures.index, figures[column], dashes, color=colour, linewidth=width, label=name)
    axes.axhline(series.limit, color="#555555", linewidth=1, linestyle=(0, (1, 1)))
    axes.annotate(
        f"limit\n{series.limit:,.0f} MiB",
        (1.0, series.limit),
        xycoords=("axes fraction", "data"),
        xytext=(3, 0),
        textcoords="offset points",
        va="center",
        fontsize="small",
    )
    for mark, name in _PHASES.items():
        if mark in series.phases:
            begin = series.phases[mark]
            axes.axvline(begin, color="#555555", linewidth=0.8, linestyle=(0, (4, 2)))
            axes.annotate(
                name,
                (begin, 1.0),
                xycoords=("data", "axes fraction"),
                xytext=(2, 3),
                textcoords="offset points",
                rotation=40,
                va="bottom",
                fontsize="small",
            )
    axes.plot([end], [0], "kX", markersize=10, clip_on=False)
    axes.set_xlim(0, end * 1.02)
    axes.set_ylim(0, max(series.limit, figures["total"].max()) * 1.1)
    axes.set_xlabel("time (s)")
    axes.set_ylabel("memory (MiB)")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=len(lines), frameon=False)
    axes.grid(visible=True, color="#DDDDDD", linewidth=0.5)


def _against_allocation(axes: Axes, series: Series) -> None:
    fall = series.fall
    axes.set_title("While it allocates, a point a sample", fontsize="medium")
    if fall.empty:
        axes.set_axis_off()
        axes.annotate("it never came to that", (0.5, 0.5), xycoords="axes fraction", ha="center")
        return
    axes.plot(fall["anonymous"], fall["file"], "o", color=LINES[1][0], markersize=4)
    slope, height = series.line()
    ends = np.array([series.falling["anonymous"].min(), series.falling["anonymous"].max()])
    axes.plot(ends, slope * ends + height, "k-", linewidth=1, label=f"slope {slope:.3f}")
    axes.legend(loc="upper right", fontsize="small")
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("anonymous (MiB)")
    axes.set_ylabel("the file's RSS (MiB)")
    axes.grid(visible=True, color="#DDDDDD", linewidth=0.5)
