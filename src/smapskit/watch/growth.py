"""Which groups or mappings grew between two samples."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from collections.abc import Mapping as MappingOf
from typing import Any, Final, NamedTuple

from smapskit.model.columns import Cache
from smapskit.model.diff import Change, ChangeKind, diff
from smapskit.model.mapping import Mapping
from smapskit.model.totals import Totals
from smapskit.views.columns import HEADINGS, label
from smapskit.watch.samples import (
    IDENTITY,
    VALUES,
    Identity,
    Listing,
    Sums,
    Values,
    WatchSample,
    values_of,
)

NEW: Final = "new"
REMOVED: Final = "removed"
_ABSENT: Final[Values] = (0,) * len(VALUES)
_EVERYTHING: Final = "all mappings"


class Row(NamedTuple):
    """A group, or a mapping, and how it changed."""

    name: str
    """Printable, on one line."""
    values: Values
    changes: Values
    """Since the earlier sample; None where one of the two values is not known."""
    state: str = ""
    """NEW or REMOVED; "" if it is in both samples."""
    start: int | None = None
    """The address of a mapping; None for a group."""
    perms: str = ""

    @property
    def place(self) -> str:
        """The address and the permissions of a mapping; "" for a group."""
        return "" if self.start is None else f"{self.start:012x} {self.perms}"


def growth(before: WatchSample, after: WatchSample, by: str) -> list[Row]:
    """
    Return one row per group or mapping, in no order.

    Args:
        before: an earlier sample of the same process, or the same sample.
        after: the sample whose values are returned.
        by: how to group mappings; a recording has its own groups.
    """
    old, new = before.contents, after.contents
    if isinstance(old, Sums) or isinstance(new, Sums):
        sides = [each.groups if isinstance(each, Sums) else None for each in (old, new)]
        return _growth_of_groups(sides[0] or {}, sides[1] or {}, _name_of_recorded)
    if by == "mapping":
        return _growth_of_mappings(old, new)
    return _growth_of_groups(old.groups(by), new.groups(by), label)


def _name_of_recorded(key: object) -> str:
    return _EVERYTHING if key is None else label(key)


def _growth_of_groups(
    before: MappingOf[Hashable, Totals],
    after: MappingOf[Hashable, Totals],
    name: Callable[[object], str],
) -> list[Row]:
    rows = []
    for key in dict.fromkeys((*after, *before)):
        old, new = before.get(key), after.get(key)
        state = NEW if old is None else REMOVED if new is None else ""
        was = _ABSENT if old is None else values_of(old)
        now = _ABSENT if new is None else values_of(new)
        rows.append(Row(name(key), now, changes(was, now), state=state))
    return rows


def _growth_of_mappings(before: Listing, after: Listing) -> list[Row]:
    old, new = before.rows, after.rows
    # Most mappings have the same range in both samples: records are built for the others only.
    names = Cache[str, str](label)
    rows = [
        Row(names[key[2]], now, changes(was, now), "", key[0], key[5])
        for key, now in new.items()
        if (was := old.get(key)) is not None
    ]
    rest = diff(_records(old, new), _records(new, old))
    rows += map(_row_of_change, rest.changes)
    changed = {id(mapping) for change in rest.changes for mapping in change.after}
    rows += [
        _row_of_change(Change((mapping,), (mapping,)))
        for mapping in rest.after
        if id(mapping) not in changed
    ]
    return rows


def _records(
    rows: MappingOf[Identity, Values], others: MappingOf[Identity, Values]
) -> Iterable[Mapping]:
    """Return records of the mappings that are not among the others, with the watched values."""
    for key, values in rows.items():
        if key not in others:
            fields: dict[str, Any] = dict(zip((*IDENTITY, *VALUES), (*key, *values), strict=True))
            yield Mapping(**fields)


def _row_of_change(change: Change) -> Row:
    kind = change.kind
    state = {ChangeKind.ADDED: NEW, ChangeKind.REMOVED: REMOVED}.get(kind, "")
    was, now = _sum(change.before), _sum(change.after)
    mapping = change.mapping
    grown = changes(was, now)
    return Row(label(mapping.pathname), now, grown, state, mapping.start, str(mapping.perms))


def _sum(mappings: Sequence[Mapping]) -> Values:
    if not mappings:
        return _ABSENT
    sums: list[int | None] = []
    for name in VALUES:
        known = [value for each in mappings if (value := getattr(each, name)) is not None]
        sums.append(sum(known) if known else None)
    return tuple(sums)


def changes(was: Values, now: Values) -> Values:
    """Return the changes from `was` to `now`; None where one of them is not known."""
    if was == now and None not in now:
        return _ABSENT
    return tuple([None if a is None or b is None else b - a for a, b in zip(was, now, strict=True)])


# ---- order and filter ---------------------------------------------------------------------


class Order(NamedTuple):
    """How rows are sorted: by a value or its change, the largest first; or by name."""

    value: int | None
    """The position in VALUES; None for the name."""
    is_change: bool = False

    @property
    def title(self) -> str:
        """What the rows are sorted by, for a person."""
        if self.value is None:
            return "name"
        heading = HEADINGS[VALUES[self.value]]
        return f"change of {heading}" if self.is_change else heading

    def sort(self, rows: Iterable[Row]) -> list[Row]:
        """Return the rows in this order; what is not known comes last."""
        if self.value is None:
            return sorted(rows, key=lambda row: (row.name, row.start or 0))
        value = self.value

        def largest_first(row: Row) -> tuple[float, float, int, str]:
            chosen = (row.changes if self.is_change else row.values)[value]
            size = row.values[0]
            return (
                math.inf if chosen is None else -chosen,
                math.inf if size is None else -size,
                row.start or 0,
                row.name,
            )

        return sorted(rows, key=largest_first)


ORDERS: Final = (
    *(Order(value, is_change) for value in range(len(VALUES)) for is_change in (True, False)),
    Order(None),
)
"""All of them; the first one is the default: what grew most."""


def matches(row: Row, text: str) -> bool:
    """Return whether a row contains a text, in upper or lower case."""
    return text.casefold() in f"{row.place} {row.name}".casefold()
