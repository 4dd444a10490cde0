"""
What all plots share: figures, text, units.

Colours of text, axes and background are those of matplotlib's style:
`with matplotlib.style.context("dark_background"): snapshot.plot()` draws on black.
"""

from __future__ import annotations

import errno
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from smapskit.errors import Unsupported
from smapskit.text import sanitize, truncate
from smapskit.views.colours import FOREGROUND

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH: Final = 9.0
"""The width of a figure in inches."""
_MAX_LEGEND_COLUMNS = 5
_UNITS: Final = (("GiB", 1 << 20), ("MiB", 1 << 10), ("kB", 1))
_TWO_DIGITS = 10


class Unit(NamedTuple):
    """The unit of an axis."""

    name: str
    kb: int
    """How many kB it is."""


def new_figure(width: float = WIDTH, height: float = 6.0) -> Figure:
    """
    Return an empty figure, in inches, which a notebook displays and which can be pickled.

    Raises:
        Unsupported: matplotlib is not installed.
    """
    try:
        from smapskit.views.notebook_figure import NotebookFigure  # noqa: PLC0415  an extra
    except ImportError:
        msg = "plotting requires matplotlib: pip install '.[plot]'"
        raise Unsupported(errno.ENOSYS, msg) from None
    return NotebookFigure(figsize=(width, height), layout="constrained")


def new_figure_with_text(title: str, text: str, command: str | None = None) -> Figure:
    """Return a figure that says why there is nothing to draw."""
    figure = new_figure(height=2.0)
    set_title(figure, title, command)
    figure.text(0.5, 0.4, escape_text(text), ha="center", va="center", wrap=True)
    return figure


def set_title(figure: Figure, title: str, command: str | None = None) -> None:
    """Set the title, followed by the command line where it is known."""
    suffix = f": {truncate(command)}" if command else ""
    figure.suptitle(escape_text(f"{title}{suffix}"), fontsize="large")


def foreground() -> str:
    """Return the colour of text in matplotlib's current style."""
    from matplotlib import rcParams  # noqa: PLC0415

    return str(rcParams["text.color"])


def background() -> str:
    """Return the colour behind a plot in matplotlib's current style."""
    from matplotlib import rcParams  # noqa: PLC0415

    return str(rcParams["axes.facecolor"])


def themed(colour: str) -> str:
    """Return a colour of `colours` as matplotlib names it."""
    return foreground() if colour == FOREGROUND else colour


def draw_legend(figure: Figure, entries: Iterable[tuple[str, str]]) -> None:
    """Add a legend below all axes; entries are labels and colours."""
    from matplotlib.patches import Patch  # noqa: PLC0415

    handles = [
        Patch(facecolor=themed(colour), edgecolor=foreground(), linewidth=0.5, label=label)
        for label, colour in entries
    ]
    if handles:
        figure.legend(
            handles=handles,
            loc="outside lower center",
            ncols=legend_columns(len(handles)),
            frameon=False,
            fontsize="small",
        )


def legend_columns(count: int, most: int = _MAX_LEGEND_COLUMNS) -> int:
    """Return the number of columns of a legend, so that its rows are about equally long."""
    return math.ceil(count / math.ceil(count / most))


def clear_frame(axes: Axes, *sides: str) -> None:
    """Remove sides of the frame around a plot."""
    axes.spines[list(sides)].set_visible(False)


def draw_grid(axes: Axes, axis: str = "both") -> None:
    """Draw grid lines below the data."""
    axes.grid(visible=True, axis=axis, color=foreground(), alpha=0.15, linewidth=0.6)  # type: ignore[arg-type]
    axes.set_axisbelow(True)


def unit_of(values: Iterable[float]) -> Unit:
    """Return the unit for an axis of values in kB: GiB from 10 GiB on, else MiB."""
    largest = max(values, default=0)
    name, kb = _UNITS[0] if largest >= _TWO_DIGITS * _UNITS[0][1] else _UNITS[1]
    return Unit(name, kb)


def format_tick(value: float, _position: float = 0) -> str:
    """Return a number with thousands separators."""
    return f"{value:,.10g}"


def format_kb(kb: float) -> str:
    """Return a size with its unit: two digits at least."""
    name, unit = next((each for each in _UNITS if abs(kb) >= each[1]), _UNITS[-1])
    value = kb / unit
    digits = 0 if abs(value) >= _TWO_DIGITS or unit == 1 else 1
    return f"{value:,.{digits}f} {name}"


def format_share(part: float, whole: float) -> str:
    """Return a percentage; "" where there is no whole."""
    if not whole:
        return ""
    percent = 100 * part / whole
    return f"{percent:.0f}%" if percent >= 1 or not part else "<1%"


def draw_bars(axes: Axes, values: Sequence[float], colours: Sequence[str]) -> None:
    """Draw horizontal bars, the first one at the top."""
    axes.barh(
        range(len(values)),
        values,
        height=0.7,
        color=[themed(colour) for colour in colours],
        edgecolor=foreground(),
        linewidth=0.6,
    )
    axes.set_ylim(len(values) - 0.5, -0.5)


def label_bars(axes: Axes, ends: Sequence[float], texts: Sequence[str]) -> None:
    """Write a text after the end of each bar."""
    for row, (end, text) in enumerate(zip(ends, texts, strict=True)):
        axes.annotate(
            text,
            (end, row),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize="small",
        )


def truncate_left(text: str, limit: int = 44) -> str:
    """Return at most `limit` characters: the end of a path identifies it best."""
    return text if len(text) <= limit else f"…{text[1 - limit :]}"


def escape_text(text: str) -> str:
    """Return text that matplotlib prints as it is."""
    # matplotlib renders text between "$" as a formula.
    return sanitize(text).replace("$", r"\$")
