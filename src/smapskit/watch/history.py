"""The values of a process over time, in bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

from smapskit.watch.samples import Values

MAX_RECENT: Final = 1024
"""Samples that are kept one by one: more than a terminal has columns."""
MAX_POINTS: Final = 2048
"""Points that stand for all samples since the first."""


class Point(NamedTuple):
    """The values at one time; of several samples the largest."""

    seconds: float
    """Of the last of the samples."""
    values: Values


class History:
    """
    The last samples one by one, and all samples since the first as fewer and fewer points.

    When there are too many points, each two neighbours become one: after n samples a point is
    the maximum of at most 2 * n / MAX_POINTS of them.
    """

    def __init__(self) -> None:
        self.recent: deque[Point] = deque(maxlen=MAX_RECENT)
        self._points: list[Point] = []
        self._stride = 1
        """Samples per point."""
        self._pending: list[Point] = []
        """Samples that are not yet a point."""

    def add(self, seconds: float, values: Values) -> None:
        """Add a sample."""
        point = Point(seconds, values)
        self.recent.append(point)
        self._pending.append(point)
        if len(self._pending) < self._stride:
            return
        self._points.append(merge(self._pending))
        self._pending.clear()
        if len(self._points) == MAX_POINTS:
            points = self._points
            self._points = [merge(points[at : at + 2]) for at in range(0, len(points), 2)]
            self._stride *= 2

    @property
    def whole(self) -> Sequence[Point]:
        """All samples since the first."""
        return [*self._points, merge(self._pending)] if self._pending else self._points


def merge(points: Sequence[Point]) -> Point:
    """Return one point for several: the largest known values."""
    if len(points) == 1:
        return points[0]
    columns = zip(*(point.values for point in points), strict=True)
    values = tuple(
        max((value for value in column if value is not None), default=None) for column in columns
    )
    return Point(points[-1].seconds, values)
