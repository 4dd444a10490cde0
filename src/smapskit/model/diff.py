"""Which mappings appeared, disappeared, grew, shrank, were split or merged between two times."""

from __future__ import annotations

import enum
from collections.abc import Hashable, Iterable, Iterator
from typing import TYPE_CHECKING

import attrs

from smapskit.model.mapping import COUNTERS, Mapping, Usage, are_equal
from smapskit.model.totals import totals

if TYPE_CHECKING:
    from os import PathLike

    from matplotlib.figure import Figure
    from pandas import DataFrame

    from smapskit.analysis.context import Context


class ChangeKind(enum.StrEnum):
    """How mappings changed between two snapshots."""

    ADDED = "added"
    REMOVED = "removed"
    GROWN = "grown"
    """One mapping with another range, larger than before."""
    SHRUNK = "shrunk"
    """One mapping with another range, smaller than before."""
    SPLIT = "split"
    """One became several: parts got other permissions, or were unmapped."""
    MERGED = "merged"
    """Several became one."""
    CHANGED = "changed"
    """The same range with other values or permissions, or several became several."""


@attrs.frozen
class Change:
    """Mappings of one snapshot and those at the same addresses in another."""

    before: tuple[Mapping, ...]
    """Empty for added mappings."""
    after: tuple[Mapping, ...]
    """Empty for removed mappings."""

    @property
    def kind(self) -> ChangeKind:
        """How they changed."""
        match len(self.before), len(self.after):
            case 0, _:
                return ChangeKind.ADDED
            case _, 0:
                return ChangeKind.REMOVED
            case 1, 1:
                old, new = self.before[0], self.after[0]
                length = (new.end - new.start) - (old.end - old.start)
                return (
                    ChangeKind.GROWN
                    if length > 0
                    else ChangeKind.SHRUNK
                    if length < 0
                    else ChangeKind.CHANGED
                )
            case 1, _:
                return ChangeKind.SPLIT
            case _, 1:
                return ChangeKind.MERGED
        return ChangeKind.CHANGED

    @property
    def mapping(self) -> Mapping:
        """The first mapping after the change; before it, if it was removed."""
        return (self.after or self.before)[0]

    @property
    def deltas(self) -> dict[str, int]:
        """
        The change of each value in kB, where it is not 0 and both snapshots report the value.

        Added and removed mappings count in full.
        """
        old, new = _sums(self.before), _sums(self.after)
        deltas = {}
        for name in ("size", "dirty", "uss", *COUNTERS):
            was = getattr(old, name) if self.before else 0
            now = getattr(new, name) if self.after else 0
            if was is not None and now is not None and was != now:
                deltas[name] = now - was
        return deltas


@attrs.frozen(repr=False)
class Difference:
    """How the mappings of a process changed between two snapshots."""

    changes: tuple[Change, ...]
    """The changes, sorted by change of RSS, then of size, largest first."""
    unchanged: int
    """Number of mappings that are equal in every field."""
    before: tuple[Mapping, ...] = attrs.field(default=(), eq=False)
    """All mappings of the first snapshot: the kind of a mapping depends on its neighbours."""
    after: tuple[Mapping, ...] = attrs.field(default=(), eq=False)
    """All mappings of the second snapshot."""

    @property
    def added(self) -> tuple[Mapping, ...]:
        """The mappings that appeared."""
        return tuple(m for c in self.changes if c.kind is ChangeKind.ADDED for m in c.after)

    @property
    def removed(self) -> tuple[Mapping, ...]:
        """The mappings that disappeared."""
        return tuple(m for c in self.changes if c.kind is ChangeKind.REMOVED for m in c.before)

    @property
    def changed(self) -> tuple[Change, ...]:
        """All other changes."""
        return tuple(
            c for c in self.changes if c.kind not in (ChangeKind.ADDED, ChangeKind.REMOVED)
        )

    @property
    def deltas(self) -> dict[str, int]:
        """The change of each sum over all mappings in kB, where it is not 0 and known."""
        sums: dict[str, int] = {}
        for change in self.changes:
            for name, delta in change.deltas.items():
                sums[name] = sums.get(name, 0) + delta
        return {name: delta for name, delta in sums.items() if delta}

    @property
    def counts(self) -> dict[ChangeKind, int]:
        """Number of changes of each kind."""
        found = [change.kind for change in self.changes]
        return {kind: found.count(kind) for kind in ChangeKind if kind in found}

    def to_frame(self) -> DataFrame:
        """Return one row per change: see `smapskit.views.frames.difference_to_frame`."""
        from smapskit.views import frames  # noqa: PLC0415  late import: views come after model

        return frames.difference_to_frame(self)

    def plot(self) -> Figure:
        """Plot the ten mappings that grew most, by RSS."""
        from smapskit.views import plots  # noqa: PLC0415

        return plots.plot_difference(self)

    def to_html(
        self,
        path: str | PathLike[str],
        *,
        title: str | None = None,
        context: Context | None = None,
    ) -> None:
        """
        Write a report: one HTML file with findings, what grew, and all changes.

        It opens offline and loads nothing. The file is complete or not written at all; an
        existing one is replaced. Files of root have mode 0600.

        Args:
            path: of the file.
            title: of the page; None: the process.
            context: as in `explain`.

        Raises:
            OSError: the file cannot be written.
        """
        from smapskit.sources import report  # noqa: PLC0415  late import: sources come after model

        options = report.ReportOptions(title=title, context=context)
        report.write_difference_report(self, path, options)

    def _repr_html_(self) -> str:
        from smapskit.views import html  # noqa: PLC0415

        return html.difference_html(self)

    def __repr__(self) -> str:
        counts = ", ".join(f"{count} {kind}" for kind, count in self.counts.items())
        rss = self.deltas.get("rss", 0)
        text = f"{counts or 'no change'}, {self.unchanged} unchanged, rss {rss:+,} kB"
        return f"<Difference: {text}>"


def diff(before: Iterable[Mapping], after: Iterable[Mapping]) -> Difference:
    """
    Compare the mappings of two snapshots and report what changed.

    Overlapping mappings with the same name, device, inode and sharing are matched: a heap that
    grew, an area that mprotect(2) split.
    """
    groups: dict[Hashable, tuple[list[Mapping], list[Mapping]]] = {}
    sides = tuple(before), tuple(after)
    unchanged, rest = _unchanged(*sides)
    for side, mappings in enumerate(rest):
        for mapping in mappings:
            identity = (mapping.pathname, mapping.device, mapping.inode, mapping.perms.shared)
            groups.setdefault(identity, ([], []))[side].append(mapping)
    changes: list[Change] = []
    for old, new in groups.values():
        for change in _overlapping(old, new):
            if change.before == change.after:
                unchanged += len(change.after)
            else:
                changes.append(change)

    def largest_first(change: Change) -> tuple[int, int, int]:
        deltas = change.deltas
        rss, size = deltas.get("rss", 0), deltas.get("size", 0)
        return -abs(rss), -abs(size), change.mapping.start

    return Difference(tuple(sorted(changes, key=largest_first)), unchanged, *sides)


def _sums(mappings: tuple[Mapping, ...]) -> Usage:
    return mappings[0] if len(mappings) == 1 else totals(mappings)


def _unchanged(
    before: tuple[Mapping, ...], after: tuple[Mapping, ...]
) -> tuple[int, tuple[list[Mapping], list[Mapping]]]:
    """
    Match mappings that are equal: most of them, as a rule.

    Returns:
        How many there are, and all other mappings of each side.
    """
    by_start = {mapping.start: mapping for mapping in before}
    matched = set()
    rest = []
    for mapping in after:
        partner = by_start.pop(mapping.start, None)
        if partner is not None and are_equal(partner, mapping):
            matched.add(id(partner))
        else:
            rest.append(mapping)
    return len(matched), ([each for each in before if id(each) not in matched], rest)


def _overlapping(old: list[Mapping], new: list[Mapping]) -> Iterator[Change]:
    """Match mappings that overlap; those with exactly the same range are matched first."""
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
