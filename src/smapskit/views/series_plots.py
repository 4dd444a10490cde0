"""Plots of values over time: lines, or groups stacked on each other."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from collections.abc import Mapping as MappingOf
from typing import TYPE_CHECKING, Final

from smapskit.model.backing import Backing
from smapskit.text import truncate
from smapskit.views import colours
from smapskit.views.figures import (
    background,
    clear_frame,
    draw_grid,
    escape_text,
    foreground,
    format_kb,
    format_tick,
    legend_columns,
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

_DASHES: Final = (("-", 2.0), ("--", 1.6), ("-.", 1.6))
"""Dashes and width of each line, in order."""

_MAX_GROUPS: Final = len(colours.OF_SERIES)
_TIME_UNITS: Final = (("days", 86_400), ("h", 3_600), ("min", 60))
_MIN_UNITS: Final = 5
"""A unit of time is used where the recording lasts at least this many of it."""
_MIN_DISTANCE: Final = 0.025
"""Distance of two labels of markers, divided by the width of the axis."""
_MAX_LABEL: Final = 28
_HEADROOM: Final = 1.05
_MAX_COLUMNS: Final = 5
_MAX_COLUMNS_OF_PATHS: Final = 2
_MAX_WORD: Final = 22
"""Length of a label in the legend above which it is counted as a path."""

Series = MappingOf[str, Sequence[int | None]]
"""Values in kB by name, one for each sample; None where a sample does not report the value."""


def plot_series(
    seconds: Sequence[float],
    series: Series,
    markers: Iterable[tuple[float, str]] = (),
    *,
    title: str = "",
    command: str | None = None,
    memory_limit: int | None = None,
) -> Figure:
    """
    Plot values over time as lines, a vertical line for each marker, and a limit.

    Args:
        seconds: the time of each sample since the beginning.
        series: values by their name in the legend.
        markers: seconds since the beginning, and the label of each, which is above the plot.
        title: the process.
        command: its command line.
        memory_limit: in kB; the axis reaches it.

    Raises:
        Unsupported: matplotlib is not installed.
    """
    if not seconds:
        return new_figure_with_text(title, "The recording has no samples.", command)
    figure = new_figure()
    axes = figure.subplots()
    highest = [value for values in series.values() for value in values if value is not None]
    kb, per_second = _label_axes(axes, seconds, [*highest, memory_limit or 0])
    x = [second * per_second for second in seconds]
    lines = zip(series.items(), colours.OF_LINES, _DASHES, strict=False)
    for (name, values), colour, (dashes, width) in lines:
        if any(value is not None for value in values):
            y = [math.nan if value is None else value / kb for value in values]
            axes.plot(x, y, dashes, color=themed(colour), linewidth=width, label=escape_text(name))
    _finish(axes, markers, per_second, memory_limit, kb)
    _draw_legend_below(figure, axes)
    set_title(figure, title, command)
    return figure


def plot_stack(
    seconds: Sequence[float],
    groups: Series,
    markers: Iterable[tuple[float, str]] = (),
    *,
    title: str = "",
    command: str | None = None,
    memory_limit: int | None = None,
) -> Figure:
    """
    Plot groups over time, stacked so that the top is their sum; the largest is at the bottom.

    Args:
        seconds: as in `plot_series`.
        groups: as `series` there, at most eight; the smallest others are drawn as one.
        markers: as in `plot_series`.
        title: as in `plot_series`.
        command: as in `plot_series`.
        memory_limit: as in `plot_series`.

    Raises:
        Unsupported: matplotlib is not installed.
    """
    if not seconds:
        return new_figure_with_text(title, "The recording has no samples.", command)
    figure = new_figure()
    axes = figure.subplots()
    layers = [(name, themed(colour), values) for name, colour, values in stack_layers(groups)]
    sums = [sum(values) for values in zip(*(values for _, _, values in layers), strict=True)]
    highest = [value for value in sums if not math.isnan(value)]
    kb, per_second = _label_axes(axes, seconds, [*highest, memory_limit or 0])
    x = [second * per_second for second in seconds]
    axes.stackplot(
        x,
        [[value / kb for value in values] for _, _, values in layers],
        labels=[escape_text(truncate_left(name)) for name, _, _ in layers],
        colors=[colour for _, colour, _ in layers],
        edgecolor=background(),
        linewidth=0.5,
    )
    axes.plot(x, [value / kb for value in sums], color=foreground(), linewidth=1.2, label="total")
    _finish(axes, markers, per_second, memory_limit, kb)
    _draw_legend_below(figure, axes)
    set_title(figure, title, command)
    return figure


def stack_layers(groups: Series) -> list[tuple[str, str, list[float]]]:
    """
    Return the layers of a stack from the bottom, the largest maximum first.

    Returns:
        The name, the colour (as in `colours`) and the values of at most nine layers; NaN where a
        sample does not report the value.
    """
    known = {
        name: [math.nan if value is None else float(value) for value in values]
        for name, values in groups.items()
    }
    largest_first = sorted(known, key=lambda name: max(known[name], default=0), reverse=True)
    is_backing = set(known) <= {*map(str, Backing), "(unknown)"}
    of_backings = {str(key or "(unknown)"): hue for key, hue in colours.OF_BACKINGS.items()}
    layers = []
    for position, name in enumerate(largest_first[:_MAX_GROUPS]):
        colour = of_backings[name] if is_backing else colours.OF_SERIES[position]
        layers.append((name, colour, known[name]))
    rest = [known[name] for name in largest_first[_MAX_GROUPS:]]
    if rest:
        name = "1 other" if len(rest) == 1 else f"{len(rest)} others"
        layers.append((name, colours.OF_OTHERS, [sum(each) for each in zip(*rest, strict=True)]))
    return layers


def _label_axes(axes: Axes, seconds: Sequence[float], values: Iterable[float]) -> tuple[int, float]:
    """Label the axes; return the kB per unit of memory and the units of time per second."""
    memory = unit_of(values)
    last = max(seconds, default=0)
    name, length = next((each for each in _TIME_UNITS if last >= _MIN_UNITS * each[1]), ("s", 1))
    axes.set_xlabel(f"time ({name})")
    axes.set_ylabel(f"memory ({memory.name})")
    axes.xaxis.set_major_formatter(format_tick)
    axes.yaxis.set_major_formatter(format_tick)
    return memory.kb, 1 / length


def _finish(
    axes: Axes,
    markers: Iterable[tuple[float, str]],
    per_second: float,
    memory_limit: int | None,
    kb: int,
) -> None:
    """Draw markers and limit, once the data has set the range of the axes."""
    if memory_limit is not None:
        axes.axhline(
            memory_limit / kb,
            color=foreground(),
            linewidth=1,
            linestyle=(0, (1, 1)),
            label=f"limit: {format_kb(memory_limit)}",
        )
    axes.margins(x=0.01)
    axes.set_ylim(0, axes.dataLim.y1 * _HEADROOM or 1)
    draw_grid(axes)
    clear_frame(axes, "top", "right")
    positions = [(second * per_second, text) for second, text in markers]
    for position, _ in positions:
        axes.axvline(position, color=foreground(), alpha=0.6, linestyle=":", linewidth=1)
    low, high = axes.get_xlim()
    for position, text in _merge_labels(positions, (high - low) * _MIN_DISTANCE):
        axes.annotate(
            escape_text(text),
            (position, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(0, 3),
            textcoords="offset points",
            rotation=40,
            rotation_mode="anchor",
            va="bottom",
            fontsize="small",
        )


def _merge_labels(
    positions: Iterable[tuple[float, str]], distance: float
) -> list[tuple[float, str]]:
    """Return labels that do not overlap: one label names the number of others after it."""
    labels: list[tuple[float, str, int]] = []
    for position, text in sorted(positions, key=lambda pair: pair[0]):
        if labels and position - labels[-1][0] < distance:
            first, name, others = labels[-1]
            labels[-1] = (first, name, others + 1)
        else:
            labels.append((position, truncate(text, _MAX_LABEL), 0))
    return [
        (position, f"{name} (and {others} more)" if others else name)
        for position, name, others in labels
    ]


def _draw_legend_below(figure: Figure, axes: Axes) -> None:
    handles, names = axes.get_legend_handles_labels()
    if handles:
        most = _MAX_COLUMNS_OF_PATHS if max(map(len, names)) > _MAX_WORD else _MAX_COLUMNS
        figure.legend(
            handles,
            names,
            loc="outside lower center",
            ncols=legend_columns(len(handles), most),
            frameon=False,
            fontsize="small",
        )
