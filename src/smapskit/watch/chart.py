"""
A chart of memory over time made of block elements, eighths of a cell high.

Each column is a stack: PSS, the rest of RSS, and swap on top.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import groupby, pairwise, repeat
from statistics import median
from typing import Final, Literal, NamedTuple

from smapskit.views.cells import with_unit
from smapskit.watch.history import Point
from smapskit.watch.samples import VALUES, Values
from smapskit.watch.session import MARK

Part = Literal["pss", "shared", "rss", "swap", ""]
"""
A part of a column: PSS, RSS above PSS, RSS where PSS is not known, swap; "" for nothing.
"""
_NOTHING: Final[Part] = ""
_EIGHTHS: Final = " ▁▂▃▄▅▆▇"
_STEPS: Final = 8
"""Steps of a cell."""
_MAX_GAP: Final = 2.5
"""A column without a value repeats the last one for this many times the usual distance."""
_NICE: Final = (1, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 40, 50, 60, 80)
_MINUTE: Final = 60


class Cell(NamedTuple):
    """A character, the part that it draws, and the part behind it."""

    character: str
    part: Part
    behind: Part


Run = tuple[Cell, int]
"""A cell, and how often it is repeated."""


class Window(NamedTuple):
    """The time that a chart shows, in seconds."""

    begin: float
    end: float

    def column(self, seconds: float, width: int) -> int | None:
        """Return the column of a time; None if it is outside."""
        if not self.begin <= seconds <= self.end:
            return None
        span = self.end - self.begin
        return (
            width - 1 if span == 0 else min(width - 1, int((seconds - self.begin) / span * width))
        )


def window_of(points: Sequence[Point], width: int, interval: float, *, is_recent: bool) -> Window:
    """
    Return the time to show.

    Args:
        points: not empty.
        width: of the chart in columns.
        interval: seconds between two samples.
        is_recent: one interval per column, up to the last point; otherwise all points.
    """
    first, last = points[0].seconds, points[-1].seconds
    end = max(last, first + (width - 1) * interval)
    return (
        Window(max(first, last - (width - 1) * interval), end) if is_recent else Window(first, end)
    )


def columns_of(points: Iterable[Point], window: Window, width: int) -> list[Values]:
    """
    Return the values that each column shows: the largest in its part of the time.

    A value that no sample in a column reports is the one before, unless that is too long ago;
    then it is None.
    """
    inside = [point for point in points if window.begin <= point.seconds <= window.end]
    step = (window.end - window.begin) / width
    last_column = max((window.column(point.seconds, width) or 0 for point in inside), default=-1)
    series = []
    for value in range(len(VALUES)):
        known = [(p.seconds, v) for p in inside if (v := p.values[value]) is not None]
        largest: dict[int | None, tuple[float, int]] = {}
        for seconds, size in known:
            column = window.column(seconds, width)
            largest[column] = (seconds, max(size, largest.get(column, (0, 0))[1]))
        gaps = [b - a for (a, _), (b, _) in pairwise(known)]
        reach = _MAX_GAP * max(median(gaps) if gaps else 0.0, step)
        sizes: list[int | None] = []
        last: tuple[float, int] | None = None
        for column in range(width):
            last = largest.get(column, last)
            end = window.begin + (column + 1) * step
            is_near = last is not None and end - last[0] <= reach and column <= last_column
            sizes.append(last[1] if last is not None and is_near else None)
        series.append(sizes)
    return [*zip(*series, strict=True)]


def top_of(columns: Iterable[Values]) -> int:
    """Return a round number of kB that is not below any column."""
    most = max((sum(size for _, size in stack(each)) for each in columns), default=0)
    unit = 1
    while unit * _NICE[-1] < most:
        if unit * 1024 > most:  # 80 to 1,023 of a unit
            return next((unit * n for n in range(100, 1001, 100) if unit * n >= most), unit * 1024)
        unit *= 1024
    return int(next(unit * nice for nice in _NICE if unit * nice >= max(most, 1)))


def stack(values: Values) -> tuple[tuple[Part, int], ...]:
    """Return the parts of a column from below, in kB."""
    rss, pss, swap = values
    parts: list[tuple[Part, int]] = []
    if rss is not None and pss is not None:
        parts.append(("pss", min(pss, rss)))
        parts.append(("shared", max(rss - pss, 0)))
    elif rss is not None:
        parts.append(("rss", rss))
    if swap is not None:
        parts.append(("swap", swap))
    return tuple(parts)


def draw(columns: Sequence[Values], height: int, top: int) -> list[list[Run]]:
    """
    Return the rows from the top: equal cells one after another are one run.

    Args:
        columns: what each column shows.
        height: in rows.
        top: the kB at the upper edge.
    """
    drawn = [_draw_column(stack(values), height, top) for values in columns]
    rows = zip(*drawn, strict=True)
    return [[(cell, len([*run])) for cell, run in groupby(row)] for row in rows]


@lru_cache(maxsize=2048)
def _draw_column(parts: tuple[tuple[Part, int], ...], height: int, top: int) -> list[Cell]:
    """Return the cells of a column from the top."""
    steps: list[Part] = []
    total = 0
    for part, size in parts:
        total += size
        end = round(total / top * height * _STEPS)
        steps.extend(repeat(part, end - len(steps)))
    steps.extend(repeat(_NOTHING, height * _STEPS - len(steps)))
    cells = [_cell(steps[at : at + _STEPS]) for at in range(0, height * _STEPS, _STEPS)]
    return cells[::-1]


def _cell(steps: Sequence[Part]) -> Cell:
    """Return the cell for the parts of its eighths, from below; it can show two of them."""
    lowest = steps[0]
    eighths = next((at for at, part in enumerate(steps) if part != lowest), _STEPS)
    if eighths == _STEPS:
        return Cell(" ", "", lowest)
    above = steps[eighths:]
    return Cell(_EIGHTHS[eighths], lowest, max(dict.fromkeys(above), key=above.count))


def scale(height: int, top: int) -> list[str]:
    """Return the label of each row, from the top; "" for none."""
    labels = [""] * height
    labels[height // 2] = with_unit(round(top * (height - height // 2) / height))
    labels[0] = with_unit(top)
    return labels


def axis(window: Window, width: int, events: Iterable[tuple[float, str]]) -> str:
    """
    Return the line below a chart: its first and last time, and what happened between.

    A mark is `m`, everything else `!`.
    """
    line = ["─"] * width
    for seconds, text in events:
        column = window.column(seconds, width)
        if column is not None:
            line[column] = "m" if text == MARK else "!"
    left, right = duration(window.begin), duration(window.end)
    if len(left) + len(right) < width:
        line[: len(left)] = left
        line[width - len(right) :] = right
    return "".join(line)


def duration(seconds: float) -> str:
    """Return a time such as 0:05, 12:34 or 1:02:03."""
    whole = int(seconds)
    hours, minutes = whole // _MINUTE**2, whole // _MINUTE % _MINUTE
    if hours:
        return f"{hours}:{minutes:02}:{whole % _MINUTE:02}"
    return f"{minutes}:{whole % _MINUTE:02}"
