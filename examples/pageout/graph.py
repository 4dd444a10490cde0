"""Plot a run: memory over time, and the file's RSS against anonymous RSS."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from judge import Series
from matplotlib import rcParams
from matplotlib.figure import Figure
from patterns import PATTERNS

from smapskit import Recording

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SUFFIXES = (".png", ".svg", ".pdf")
_LINES = (
    (None, "-", 2.0),
    ("#0072B2", "--", 1.5),
    ("#D55E00", "-.", 1.5),
    ("#CC79A7", ":", 2.0),
)
"""Colour, dashes and width of each line; None is that of text. By Okabe and Ito."""
_GREY = "#808080"
_PHASES = {
    "reading": "reads the file",
    "level": "reads on",
    "holding": "waits",
    "allocating": "allocates",
    "OOM-killed": "OOM-killed",
    "ended": "ended",
}


def draw(recording: Recording) -> Figure:
    """
    Plot a run.

    Raises:
        ValueError: the recording is not one of this experiment.
    """
    series = Series.from_recording(recording)
    figure = Figure(figsize=(12, 5.5), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[2, 1])
    _over_time(left, series)
    _against_allocation(right, series)
    notes, plan = recording.notes, recording.notes["plan"]
    suffix = " with swap" if plan["swap"] else ""
    if plan["high"] is not None:
        suffix += f", memory.high {plan['high'] >> 20} MiB"
    action = PATTERNS[plan["pattern"]].action
    figure.suptitle(
        f"A process maps a file of {plan['file_size'] >> 20} MiB, "
        f"{action}, in a memory cgroup of {plan['limit'] >> 20} MiB{suffix}\n"
        f"Linux {notes['kernel']}, cgroup v{notes['cgroup']}, {notes['machine']}, "
        f"{notes['date'][:10]}",
        fontsize="medium",
    )
    return figure


def save(figure: Figure, folder: Path, name: str = "pageout") -> list[Path]:
    """
    Write a figure in each format: all files or none.

    Args:
        figure: the figure.
        folder: where to write.
        name: of the files, without suffix.

    Returns:
        The files.
    """
    paths = {suffix: folder / f"{name}{suffix}.new" for suffix in SUFFIXES}
    try:
        for suffix, path in paths.items():
            figure.savefig(path, format=suffix[1:], dpi=110)
        return [path.replace(folder / f"{name}{suffix}") for suffix, path in paths.items()]
    finally:
        for path in paths.values():
            path.unlink(missing_ok=True)


def _over_time(axes: Axes, series: Series) -> None:
    samples, end = series.samples, max(series.samples.index[-1], *series.phases.values())
    lines = {"total": "total RSS", "shared": "RSS of shared mappings (permission s)"}
    lines["anonymous"] = "anonymous"
    if samples["swap"].max() > 0:
        lines["swap"] = "swapped out"
    for (column, name), (colour, dashes, width) in zip(lines.items(), _LINES, strict=False):
        axes.plot(
            samples.index,
            samples[column],
            dashes,
            color=colour or rcParams["text.color"],
            linewidth=width,
            label=name,
        )
    axes.axhline(series.limit, color=_GREY, linewidth=1, linestyle=(0, (1, 1)))
    axes.annotate(
        f"limit\n{series.limit:,.0f} MiB",
        (1.0, series.limit),
        xycoords=("axes fraction", "data"),
        xytext=(3, 0),
        textcoords="offset points",
        va="center",
        fontsize="small",
    )
    for phase, name in _PHASES.items():
        if phase in series.phases:
            begin = series.phases[phase]
            axes.axvline(begin, color=_GREY, linewidth=0.8, linestyle=(0, (4, 2)))
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
    axes.plot([end], [0], "X", color=rcParams["text.color"], markersize=10, clip_on=False)
    axes.set_xlim(0, end * 1.02)
    axes.set_ylim(0, max(series.limit, samples["total"].max()) * 1.1)
    axes.set_xlabel("time (s)")
    axes.set_ylabel("memory (MiB)")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=len(lines), frameon=False)
    axes.grid(visible=True, color=_GREY, alpha=0.3, linewidth=0.5)


def _against_allocation(axes: Axes, series: Series) -> None:
    samples = series.allocating
    axes.set_title("While it allocates: one point per sample", fontsize="medium")
    if samples.empty:
        axes.set_axis_off()
        axes.annotate("it did not allocate", (0.5, 0.5), xycoords="axes fraction", ha="center")
        return
    axes.plot(samples["anonymous"], samples["file"], "o", color=_LINES[1][0], markersize=4)
    slope, intercept = series.fit_line()
    fitted = series.reclaiming["anonymous"]
    ends = np.array([fitted.min(), fitted.max()])
    axes.plot(ends, slope * ends + intercept, "-", color=rcParams["text.color"], linewidth=1)
    axes.legend(axes.lines[-1:], [f"slope {slope:.3f}"], loc="upper right", fontsize="small")
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("anonymous (MiB)")
    axes.set_ylabel("the file's RSS (MiB)")
    axes.grid(visible=True, color=_GREY, alpha=0.3, linewidth=0.5)
