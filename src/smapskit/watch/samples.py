"""What is known of a process at one time: its mappings, or only their sums."""

from __future__ import annotations

from collections.abc import Hashable
from collections.abc import Mapping as MappingOf
from datetime import datetime
from functools import cached_property
from typing import Any, Final, cast

import attrs

from smapskit.formats.smaps.layout import Layout
from smapskit.model.columns import Columns
from smapskit.model.mapping import COUNTERS, build_mappings
from smapskit.model.snapshot import Snapshot
from smapskit.model.totals import GroupName, Totals, group_columns

VALUES: Final = ("rss", "pss", "swap")
"""The values that are watched, by their attribute of Usage; in kB."""
Values = tuple[int | None, ...]
"""One value for each of VALUES; None where the source does not report it."""


Identity = tuple[int, int, str, str | None, int | None, str]
"""What the same mapping has in two samples: start, end, pathname, device, inode, permissions."""
IDENTITY: Final = ("start", "end", "pathname", "device", "inode", "perms")


@attrs.frozen(eq=False)
class Listing:
    """All mappings of a process at one time; sums are computed when first needed."""

    parts: tuple[Columns, ...]
    layout: Layout | None = None
    _groups: dict[str, MappingOf[Any, Totals]] = attrs.field(factory=dict, init=False)

    def __bool__(self) -> bool:
        return any(len(part) for part in self.parts)

    @cached_property
    def totals(self) -> Totals:
        """The sums of the watched values over all mappings."""
        columns = [part.lists()[0] for part in self._watched]
        sums: dict[str, int | None] = {}
        for name in VALUES:
            known = [v for part in columns for v in part.get(name, ()) if v is not None]
            sums[name] = sum(known) if known else None
        size = sum(value for part in columns for value in part["size"])
        return Totals(count=sum(map(len, self.parts)), size=size, **sums)

    def groups(self, by: str) -> MappingOf[Any, Totals]:
        """Return the sums of each group, by one of the names that `group_by` accepts."""
        if by not in self._groups:
            self._groups[by] = group_columns(self._watched, cast("GroupName", by))
        return self._groups[by]

    @cached_property
    def rows(self) -> dict[Identity, Values]:
        """The watched values of each mapping."""
        found: dict[Identity, Values] = {}
        for part in self._watched:
            values, _ = part.lists()
            unknown = [None] * len(part)
            keys = zip(*(getattr(part, name) for name in IDENTITY), strict=True)
            columns = (values.get(name, unknown) for name in VALUES)
            found.update(zip(keys, zip(*columns, strict=True), strict=True))
        return found

    @cached_property
    def _watched(self) -> list[Columns]:
        """The mappings without the counters that are not watched: summing all takes 7 times."""
        others = {*COUNTERS} - {*VALUES}
        return [
            attrs.evolve(
                part, values={n: v for n, v in part.values.items() if n not in others}, extra={}
            )
            for part in self.parts
        ]

    def snapshot(self, pid: int | None, command: str, time: datetime) -> Snapshot:
        """Return the mappings as records."""
        mappings = tuple(mapping for part in self.parts for mapping in build_mappings(part))
        return Snapshot(mappings, pid, command, time, layout=self.layout)


@attrs.frozen(eq=False)
class Sums:
    """The sums of a process at one time, without its mappings."""

    totals: Totals
    groups: MappingOf[Hashable, Totals] | None = None
    """By group, as a recording has them; None if only the totals are known."""

    def __bool__(self) -> bool:
        return self.totals.count > 0


@attrs.frozen(eq=False)
class WatchSample:
    """A process at one time."""

    seconds: float
    """Since the first sample."""
    time: datetime
    source: str
    """What was read of /proc/PID: smaps or status."""
    command: str
    contents: Listing | Sums
    event: str = ""
    """What happened since the sample before, for a person; "" for nothing."""
    is_exec: bool = False
    """The process has called exec since the sample before: its memory is a new one."""

    @property
    def has_groups(self) -> bool:
        """Whether it is known which mappings, or groups of them, the sums consist of."""
        return isinstance(self.contents, Listing) or self.contents.groups is not None

    @property
    def values(self) -> Values:
        """The watched values, over all mappings."""
        return values_of(self.contents.totals)


def values_of(totals: Totals) -> Values:
    """Return the watched values of sums."""
    return tuple(getattr(totals, name) for name in VALUES)
