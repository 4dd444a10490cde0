"""What is shown of a process: the last sample, what grew since when, and what happened."""

from __future__ import annotations

from collections import deque
from typing import Final

from smapskit.watch.growth import Order, Row, changes, growth, matches
from smapskit.watch.history import History
from smapskit.watch.samples import VALUES, Values, WatchSample

MARK: Final = "mark"
"""The event that a mark was set."""
_MAX_EVENTS: Final = 200


class Session:
    """
    Samples of one process, one after another. Memory is bounded: three samples are kept whole.

    Attributes:
        history: the values of all samples.
        latest: the last sample.
        listed: the last sample with groups, of which `rows` are.
        base: the sample since which growth is counted.
        base_name: what happened then: "start", "mark" or "exec".
        events: seconds and text of what happened.
        end: why there are no more samples; None while there may be.
    """

    def __init__(self) -> None:
        self.history = History()
        self.latest: WatchSample | None = None
        self.listed: WatchSample | None = None
        self.base: WatchSample | None = None
        self.base_name = "start"
        self.events: deque[tuple[float, str]] = deque(maxlen=_MAX_EVENTS)
        self.end: str | None = None
        self._start: WatchSample | None = None
        self._start_name = "start"
        self._rows: tuple[WatchSample, WatchSample, str, list[Row]] | None = None
        """The last result of `growth`, and its arguments."""

    def add(self, sample: WatchSample) -> None:
        """Add the next sample. After exec, growth restarts."""
        self.latest = sample
        self.history.add(sample.seconds, sample.values)
        if sample.event:
            self.events.append((sample.seconds, sample.event))
        if sample.is_exec:
            self.base = self._start = self.listed = None
            self.base_name = self._start_name = "exec"
        if sample.has_groups:
            self.listed = sample
            self._start = self._start or sample
            self.base = self.base or sample

    def set_mark(self) -> None:
        """Count growth since the last sample with groups."""
        if self.listed is not None:
            self.base, self.base_name = self.listed, MARK
            self.events.append((self.listed.seconds, MARK))

    def clear_mark(self) -> None:
        """Count growth since the first sample again, or since the last exec."""
        self.base, self.base_name = self._start, self._start_name

    def prepare(self, sample: WatchSample, by: str) -> None:
        """
        Compute the rows of a sample that is not yet added.

        A reading thread does this, so that the thread of the screen need not.
        """
        if sample.has_groups:
            base = None if sample.is_exec else self.base
            self._growth(base or sample, sample, by)

    def rows(self, by: str, order: Order, text: str = "") -> list[Row]:
        """Return the rows that contain a text, sorted."""
        if self.base is None or self.listed is None:
            return []
        rows = self._growth(self.base, self.listed, by)
        return order.sort(row for row in rows if not text or matches(row, text))

    def _growth(self, base: WatchSample, sample: WatchSample, by: str) -> list[Row]:
        known = self._rows
        if known is not None and known[0] is base and known[1] is sample and known[2] == by:
            return known[3]
        rows = growth(base, sample, by)
        self._rows = base, sample, by, rows
        return rows

    @property
    def values(self) -> Values:
        """The last known watched values: what status does not report is of `listed`."""
        if self.latest is None:
            return (None,) * len(VALUES)
        before = self.latest if self.listed is None else self.listed
        pairs = zip(self.latest.values, before.values, strict=True)
        return tuple(old if new is None else new for new, old in pairs)

    @property
    def changes(self) -> Values:
        """The changes of `values` since the base; None where one of the two is not known."""
        was = self.base.values if self.base is not None else (None,) * len(VALUES)
        return changes(was, self.values)
