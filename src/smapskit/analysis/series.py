"""A recording as series of values over time, the view that rules over recordings examine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, Protocol

import attrs

from smapskit.model.totals import Totals


class RecordingLike(Protocol):
    """What rules need of `smapskit.Recording`, which is defined in a later layer."""

    @property
    def rows(self) -> Sequence[Any]:
        """Samples and markers (`smapskit.Sample`), by time."""
        ...

    @property
    def by(self) -> str | None:
        """What the sums were grouped by; None for one group."""
        ...


@attrs.frozen
class Series:
    """A value over time."""

    points: tuple[tuple[float, int], ...]
    """Seconds since the beginning, and the value."""

    @property
    def values(self) -> list[int]:
        """The values without their times."""
        return [value for _, value in self.points]

    @property
    def growth(self) -> int:
        """The last value minus the first one."""
        return self.points[-1][1] - self.points[0][1]

    @property
    def range(self) -> int:
        """The largest value minus the smallest one."""
        return max(self.values) - min(self.values)

    @property
    def seconds(self) -> float:
        """The time between the first and the last value."""
        return self.points[-1][0] - self.points[0][0]

    def rising_share(self) -> float:
        """Return the share of the steps in which the value does not fall, of those that change."""
        steps = [after - before for before, after in pairwise(self.values) if after != before]
        return sum(step > 0 for step in steps) / len(steps) if steps else 0.0

    def half(self, number: int) -> Series:
        """Return the first (0) or the second (1) half of the time."""
        middle = self.points[0][0] + self.seconds / 2
        return Series(tuple(p for p in self.points if (p[0] >= middle) == bool(number)))

    def beginning_of_growth(self) -> float:
        """Return the last time before the value rose by 5 % of its growth."""
        limit = self.points[0][1] + self.growth / 20
        return max((t for t, value in self.points if value <= limit), default=self.points[0][0])

    def falls(self, height: float) -> int:
        """Return how often the value fell by at least `height` after it had risen by as much."""
        falls = 0
        low = high = self.points[0][1]
        for value in self.values:
            high = max(high, value)
            if high - low < height:
                low = min(low, value)
                high = max(low, value)
            elif high - value >= height:
                falls += 1
                low = high = value
        return falls


class Course:
    """
    The samples of one address space: those after the last exec.

    Args:
        recording: sums by group over time.
    """

    def __init__(self, recording: RecordingLike) -> None:
        rows = list(recording.rows)
        begin = max(
            (at + 1 for at, row in enumerate(rows) if row.marker.startswith("exec: ")), default=0
        )
        self.by = recording.by
        self._samples: dict[float, dict[str, Totals]] = {}
        for row in rows[begin:]:
            if not row.marker:
                self._samples.setdefault(row.seconds, {})[row.group] = row.totals

    def __len__(self) -> int:
        return len(self._samples)

    def reports(self, name: str) -> bool:
        """Return whether any sample reports a counter."""
        return any(getattr(totals, name) is not None for totals in self._totals())

    def _totals(self) -> Iterator[Totals]:
        return (totals for groups in self._samples.values() for totals in groups.values())

    def series(self, value: Callable[[Totals], int], group: str | None = None) -> Series:
        """Return a value over time, of one group or summed over all of them."""
        return Series(
            tuple(
                (
                    seconds,
                    sum(
                        value(totals)
                        for name, totals in groups.items()
                        if group is None or name == group
                    ),
                )
                for seconds, groups in self._samples.items()
            )
        )

    def groups(self) -> list[str]:
        """Return the groups, in the order in which they appear."""
        return list(dict.fromkeys(name for groups in self._samples.values() for name in groups))


def in_use(totals: Totals) -> int:
    """Return dirty pages and swap in kB: memory that was written and not freed."""
    return (totals.dirty or 0) + (totals.swap or 0)


def clean(totals: Totals) -> int:
    """Return clean pages in kB: nearly all of them are of files."""
    return (totals.shared_clean or 0) + (totals.private_clean or 0) - (totals.lazy_free or 0)
