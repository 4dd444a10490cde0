"""
Sums, groups and differences over any iterable of mappings.

"Shared" has two senses. `shared_rss` adds the RSS of mappings with permission `s`, made
with MAP_SHARED. What several processes map at this moment is another thing:
`totals(mappings).shared_clean + totals(mappings).shared_dirty`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Any, Literal

import attrs
from typing_extensions import TypeVar

from smapskit.records import COUNTERS, Mapping, Totals

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


@attrs.frozen
class Change:
    """One mapping, or what became of it, at two moments."""

    before: Mapping
    after: Mapping

    @property
    def deltas(self) -> dict[str, int]:
        """The change of each figure that is known at both moments and differs, in kB."""
        return {
            name: new - old
            for name in ("size", *COUNTERS)
            if (old := getattr(self.before, name)) is not None
            and (new := getattr(self.after, name)) is not None
            and new != old
        }


@attrs.frozen
class Difference:
    """What became of a process's mappings between two moments."""

    added: tuple[Mapping, ...]
    removed: tuple[Mapping, ...]
    changed: tuple[Change, ...]
    """Those at both moments whose range, permissions or figures differ, most RSS first."""
    unchanged: int
    """How many are the same in every figure."""


def diff(before: Iterable[Mapping], after: Iterable[Mapping]) -> Difference:
    """
    Match mappings of two moments by address and identity, and tell what changed.

    A mapping is the same one where start or end is the same and so are name, device, inode
    and sharing: a heap that grew keeps its start, a stack its end.
    """
    old, new = list(before), list(after)
    pairs: list[tuple[Mapping, Mapping]] = []
    for place in (
        lambda mapping: (mapping.start, mapping.end),
        lambda mapping: mapping.start,
        lambda mapping: mapping.end,
    ):
        matched = _match(old, new, place)
        pairs += matched
        taken = {id(mapping) for pair in matched for mapping in pair}
        old = [mapping for mapping in old if id(mapping) not in taken]
        new = [mapping for mapping in new if id(mapping) not in taken]
    changed = [Change(one, other) for one, other in pairs if one != other]
    changed.sort(key=lambda change: (-abs(change.deltas.get("rss", 0)), change.after.start))
    return Difference(tuple(new), tuple(old), tuple(changed), len(pairs) - len(changed))


def _match(
    old: list[Mapping], new: list[Mapping], place: Callable[[Mapping], Hashable]
) -> list[tuple[Mapping, Mapping]]:
    def identity(mapping: Mapping) -> Hashable:
        return (
            place(mapping),
            mapping.pathname,
            mapping.device,
            mapping.inode,
            mapping.perms.shared,
        )

    waiting = {identity(mapping): mapping for mapping in old}
    return [
        (partner, mapping)
        for mapping in new
        if (partner := waiting.pop(identity(mapping), None)) is not None
    ]
