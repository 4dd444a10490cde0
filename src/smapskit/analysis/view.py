"""Views that rules examine: mappings with their kind and backing, prepared once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

from smapskit.analysis.context import Context
from smapskit.analysis.findings import format_kb
from smapskit.model.backing import Backing
from smapskit.model.diff import Difference
from smapskit.model.kinds import KindVerdict, MappingKind, kinds
from smapskit.model.mapping import Mapping


class Row(NamedTuple):
    """A mapping, the verdict on its kind, and its backing."""

    mapping: Mapping
    verdict: KindVerdict
    backing: Backing | None

    @property
    def kind(self) -> MappingKind:
        """Whose memory it is."""
        return self.verdict.kind

    @property
    def flags(self) -> tuple[str, ...]:
        """The codes of VmFlags; none where they are not reported."""
        return self.mapping.vm_flags or ()


class Part:
    """Some mappings of a process, with sums. A counter that is not reported counts as 0."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self.rows = list(rows)
        self._sums: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def mappings(self) -> Iterator[Mapping]:
        """The mappings, in order of address."""
        return (row.mapping for row in self.rows)

    def sum(self, name: str) -> int:
        """Return the sum of a counter in kB, over the mappings that report it."""
        if name not in self._sums:
            self._sums[name] = sum(getattr(m, name) or 0 for m in self.mappings)
        return self._sums[name]

    @property
    def rss(self) -> int:
        """Sum of RSS, in kB."""
        return self.sum("rss")

    @property
    def in_use(self) -> int:
        """
        Dirty pages and swap in kB: memory that the process has written and not freed.

        Clean pages of files and pages that were freed with MADV_FREE are not part of it.
        """
        return self.sum("dirty") + self.sum("swap")

    def where(self, predicate: Callable[[Row], object]) -> Part:
        """Return the mappings for which `predicate` returns a true value."""
        return Part(filter(predicate, self.rows))

    def of_kind(self, *wanted: MappingKind) -> Part:
        """Return the mappings of these kinds."""
        return self.where(lambda row: row.kind in wanted)

    def of_backing(self, *wanted: Backing) -> Part:
        """Return the mappings with these backings."""
        return self.where(lambda row: row.backing in wanted)

    def with_flag(self, *codes: str) -> Part:
        """Return the mappings that have any of these codes in VmFlags."""
        return self.where(lambda row: not set(codes).isdisjoint(row.flags))

    def by_kind(self) -> dict[MappingKind, Part]:
        """Return the mappings of each kind."""
        groups: dict[MappingKind, list[Row]] = {}
        for row in self.rows:
            groups.setdefault(row.kind, []).append(row)
        return {kind: Part(rows) for kind, rows in groups.items()}


class Process(Part):
    """All mappings of a process, and what is known about the machine."""

    def __init__(self, mappings: Iterable[Mapping], context: Context) -> None:
        found = tuple(mappings)
        verdicts = kinds(found)
        super().__init__(
            Row(mapping, verdict, mapping.backing)
            for mapping, verdict in zip(found, verdicts, strict=True)
        )
        self.context = context

    def reports(self, name: str) -> bool:
        """Return whether any mapping reports a field."""
        return any(getattr(mapping, name) is not None for mapping in self.mappings)

    @cached_property
    def anonymous(self) -> Part:
        """The mappings without a file."""
        return self.of_backing(Backing.ANONYMOUS)

    @cached_property
    def files(self) -> Part:
        """The mappings of regular files."""
        return self.of_backing(Backing.FILE)


class Comparison:
    """Both snapshots of a difference."""

    def __init__(self, difference: Difference, context: Context) -> None:
        self.before = Process(difference.before, context)
        self.after = Process(difference.after, context)
        self.context = context
        self.changed = {id(mapping) for change in difference.changes for mapping in change.after}

    def reports(self, name: str) -> bool:
        """Return whether both snapshots report a field."""
        return self.before.reports(name) and self.after.reports(name)

    def growth(self, value: Callable[[Part], float]) -> float:
        """Return how much a value of the whole process grew."""
        return value(self.after) - value(self.before)

    def growth_by_kind(self, value: Callable[[Part], int]) -> list[tuple[MappingKind, int]]:
        """Return how much a value grew in each kind, the largest growth first."""
        before, after = self.before.by_kind(), self.after.by_kind()
        none = Part(())
        grown = [
            (kind, value(after.get(kind, none)) - value(before.get(kind, none)))
            for kind in dict.fromkeys([*after, *before])
        ]
        return sorted(grown, key=lambda entry: -entry[1])

    def changed_mappings(self, *wanted: MappingKind) -> Iterator[Mapping]:
        """Yield the mappings after the change that were added or changed, of these kinds."""
        for row in self.after.rows:
            if id(row.mapping) in self.changed and (not wanted or row.kind in wanted):
                yield row.mapping


def largest_kinds(grown: Sequence[tuple[MappingKind, int]]) -> str:
    """Return the kinds that make at least 1 % of a sum as text: `malloc arena 12.0 MiB, ...`."""
    whole = sum(kb for _, kb in grown if kb > 0)
    return ", ".join(f"{kind} {format_kb(kb)}" for kind, kb in grown if kb > whole / 100)
