"""
Sums, groups and differences over any iterable of mappings.

"Shared" has two senses. `shared_rss` adds the RSS of mappings with permission `s`, made
with MAP_SHARED. What several processes map at this moment is another thing:
`totals(mappings).shared_clean + totals(mappings).shared_dirty`.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

import attrs
from typing_extensions import TypeVar

from smapskit.model.mapping import COUNTERS, Mapping, Totals

if TYPE_CHECKING:
    from pandas import DataFrame

Key = TypeVar("Key", bound=Hashable, default=Hashable)

GROUPS: dict[str, Callable[[Mapping], Any]] = {
    "backing": lambda mapping: mapping.backing,
    "sharing": lambda mapping: mapping.sharing,
    "perms": lambda mapping: str(mapping.perms),
    "pathname": lambda mapping: mapping.pathname,
}
GroupName = Literal["backing", "sharing", "perms", "pathname"]


def totals(mappings: Iterable[Mapping]) -> Totals:
    """
    Add up every summable field, in kB.

    Returns:
        A field is None where no mapping knows it, else the sum over those that do.
    """
    kept = list(mappings)
    sums = {name: _sum_known(getattr(mapping, name) for mapping in kept) for name in COUNTERS}
    return Totals(count=len(kept), size=sum(mapping.size for mapping in kept), **sums)


def added(parts: Sequence[Totals]) -> Totals:
    """
    The sum of sums, None where none of them knows the field.

    Over several processes only Pss and what is private may be added up: what they share would
    count once for each.
    """
    if len(parts) == 1:
        return parts[0]
    sums = {name: _sum_known(getattr(part, name) for part in parts) for name in COUNTERS}
    count, size = sum(part.count for part in parts), sum(part.size for part in parts)
    return Totals(count=count, size=size, **sums)


def _sum_known(figures: Iterable[int | None]) -> int | None:
    known = [figure for figure in figures if figure is not None]
    return sum(known) if known else None


def shared_rss(mappings: Iterable[Mapping]) -> int:
    """
    The sum of RSS in kB over mappings with permission `s`.

    It is what the page-out experiment draws; it counts a page that this process alone maps,
    and leaves out one of a private mapping that many processes share.
    """
    return sum(mapping.rss or 0 for mapping in mappings if mapping.perms.shared)


def group_by(
    mappings: Iterable[Mapping], key: GroupName | Callable[[Mapping], Key]
) -> dict[Key, Totals]:
    """
    Totals for each group of mappings, in the order in which the groups first appear.

    Args:
        mappings: any iterable of them.
        key: "backing" (a Backing, or None where unknown), "sharing" (a Sharing), "perms"
            (the four characters), "pathname", or a function from a mapping to its group.

    Raises:
        ValueError: for a name that is none of these.
    """
    if callable(key):
        group_of: Callable[[Mapping], Any] = key
    elif key in GROUPS:
        group_of = GROUPS[key]
    else:
        msg = f"expected one of {', '.join(GROUPS)} or a function, got {key!r}"
        raise ValueError(msg)
    groups: dict[Key, list[Mapping]] = {}
    for mapping in mappings:
        groups.setdefault(group_of(mapping), []).append(mapping)
    return {group: totals(members) for group, members in groups.items()}


class Kind(enum.StrEnum):
    """What became of mappings between two moments."""

    ADDED = "added"
    REMOVED = "removed"
    GROWN = "grown"
    """One mapping with another range, larger than before."""
    SHRUNK = "shrunk"
    """One mapping with another range, smaller than before."""
    SPLIT = "split"
    """Several where one was: parts got other permissions, or were unmapped."""
    MERGED = "merged"
    """One where several were."""
    CHANGED = "changed"
    """The same range with other figures or permissions, or several for several."""


@attrs.frozen
class Change:
    """Mappings of one moment, and those that stand in their place at another."""

    before: tuple[Mapping, ...]
    """None for what was added."""
    after: tuple[Mapping, ...]
    """None for what was removed."""

    @property
    def kind(self) -> Kind:
        """What became of them."""
        match len(self.before), len(self.after):
            case 0, _:
                return Kind.ADDED
            case _, 0:
                return Kind.REMOVED
            case 1, 1:
                old, new = self.before[0], self.after[0]
                length = (new.end - new.start) - (old.end - old.start)
                return Kind.GROWN if length > 0 else Kind.SHRUNK if length < 0 else Kind.CHANGED
            case 1, _:
                return Kind.SPLIT
            case _, 1:
                return Kind.MERGED
        return Kind.CHANGED

    @property
    def mapping(self) -> Mapping:
        """The first one, as it is after the change if it still is."""
        return (self.after or self.before)[0]

    @property
    def deltas(self) -> dict[str, int]:
        """
        By how much each figure differs, in kB, where it does and is known at both moments.

        What was added or removed counts with all it has.
        """
        old, new = totals(self.before), totals(self.after)
        deltas = {}
        for name in ("size", "dirty", "uss", *COUNTERS):
            was = getattr(old, name) if self.before else 0
            now = getattr(new, name) if self.after else 0
            if was is not None and now is not None and was != now:
                deltas[name] = now - was
        return deltas


@attrs.frozen(repr=False)
class Difference:
    """What became of a process's mappings between two moments."""

    changes: tuple[Change, ...]
    """What is not the same in every figure: by RSS, then size, the largest change first."""
    unchanged: int
    """How many mappings are the same in every figure."""

    @property
    def added(self) -> tuple[Mapping, ...]:
        """The mappings that came."""
        return tuple(m for c in self.changes if c.kind is Kind.ADDED for m in c.after)

    @property
    def removed(self) -> tuple[Mapping, ...]:
        """The mappings that went."""
        return tuple(m for c in self.changes if c.kind is Kind.REMOVED for m in c.before)

    @property
    def changed(self) -> tuple[Change, ...]:
        """All other changes."""
        return tuple(c for c in self.changes if c.kind not in (Kind.ADDED, Kind.REMOVED))

    @property
    def deltas(self) -> dict[str, int]:
        """By how much the sums over all mappings differ, in kB, where that is known."""
        sums: dict[str, int] = {}
        for change in self.changes:
            for name, delta in change.deltas.items():
                sums[name] = sums.get(name, 0) + delta
        return {name: delta for name, delta in sums.items() if delta}

    def counts(self) -> dict[Kind, int]:
        """How many changes there are of each kind."""
        found = [change.kind for change in self.changes]
        return {kind: found.count(kind) for kind in Kind if kind in found}

    def to_frame(self) -> DataFrame:
        """A row for each change: see `smapskit.views.frames.difference_to_frame`."""
        from smapskit.views import frames  # noqa: PLC0415  pandas is for whoever asks for a frame

        return frames.difference_to_frame(self)

    def _repr_html_(self) -> str:
        from smapskit.views import html as notebook  # noqa: PLC0415

        return notebook.difference_html(self)

    def __repr__(self) -> str:
        counts = ", ".join(f"{count} {kind}" for kind, count in self.counts().items())
        rss = self.deltas.get("rss", 0)
        said = f"{counts or 'no change'}, {self.unchanged} unchanged, rss {rss:+,} kB"
        return f"<Difference: {said}>"


def diff(before: Iterable[Mapping], after: Iterable[Mapping]) -> Difference:
    """
    Match mappings of two moments by address and identity, and tell what changed.

    What stands at the same addresses, in part at least, and is the same by name, device,
    inode and sharing is the same mapping: a heap that grew, an area that mprotect(2) split.
    """
    groups: dict[Hashable, tuple[list[Mapping], list[Mapping]]] = {}
    for moment, mappings in enumerate((before, after)):
        for mapping in mappings:
            identity = (mapping.pathname, mapping.device, mapping.inode, mapping.perms.shared)
            groups.setdefault(identity, ([], []))[moment].append(mapping)
    changes: list[Change] = []
    unchanged = 0
    for old, new in groups.values():
        for change in _overlapping(old, new):
            if change.before == change.after:
                unchanged += len(change.after)
            else:
                changes.append(change)

    def most_first(change: Change) -> tuple[int, int, int]:
        deltas = change.deltas
        rss, size = deltas.get("rss", 0), deltas.get("size", 0)
        return -abs(rss), -abs(size), change.mapping.start

    return Difference(tuple(sorted(changes, key=most_first)), unchanged)


def _overlapping(old: list[Mapping], new: list[Mapping]) -> Iterator[Change]:
    """Put together what has addresses in common; the same range alone is a pair."""
    ranges = {(mapping.start, mapping.end): mapping for mapping in old}
    pairs = {}
    rest = []
    for mapping in new:
        partner = ranges.pop((mapping.start, mapping.end), None)
        if partner is None:
            rest.append((mapping.start, 1, mapping))
        else:
            pairs[id(partner)] = Change((partner,), (mapping,))
    rest += [(mapping.start, 0, mapping) for mapping in old if id(mapping) not in pairs]
    yield from pairs.values()
    sides: tuple[list[Mapping], list[Mapping]] = ([], [])
    reach = 0
    for start, side, mapping in sorted(rest, key=lambda entry: entry[:2]):
        if start >= reach and (sides[0] or sides[1]):
            yield Change(tuple(sides[0]), tuple(sides[1]))
            sides = ([], [])
        sides[side].append(mapping)
        reach = max(reach, mapping.end)
    if sides[0] or sides[1]:
        yield Change(tuple(sides[0]), tuple(sides[1]))
