"""The mappings of one process at one time."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, overload

import attrs

from smapskit.errors import escape_unprintable
from smapskit.model import kinds
from smapskit.model import totals as sums
from smapskit.model.backing import Backing, Sharing
from smapskit.model.check import Inconsistency, check
from smapskit.model.kinds import KindVerdict, MappingKind
from smapskit.model.mapping import Mapping, Rollup
from smapskit.model.totals import GroupName, Key, Totals
from smapskit.text import truncate

if TYPE_CHECKING:
    from os import PathLike

    from matplotlib.figure import Figure
    from pandas import DataFrame

    from smapskit.analysis.context import Context
    from smapskit.formats.smaps.layout import Layout
    from smapskit.views.frames import Unit


@attrs.frozen(repr=False)
class Snapshot(Sequence[Mapping]):
    """
    The mappings of one process at one time: a sequence of mappings with totals and filters.

    Two snapshots are equal if their pid, command and mappings are. Filters (`shared()`,
    `filter()`, a slice) return snapshots of the same process and time.
    """

    mappings: tuple[Mapping, ...]
    pid: int | None = None
    """None for a text that does not contain it."""
    command: str | None = None
    """The command line, arguments joined by blanks; `[name]` for a kernel thread."""
    time: datetime | None = attrs.field(default=None, eq=False)
    """When the process was read, in UTC; None for a text."""
    source: str | None = attrs.field(default=None, eq=False)
    """The file that was read; None for a string."""
    notes: tuple[str, ...] = attrs.field(default=(), eq=False)
    """What was unusual: why there are no mappings, what was removed from the text (see Note)."""
    layout: Layout | None = attrs.field(default=None, eq=False)
    """How the text was laid out, so that `format_smaps` can write it again."""
    _whole: tuple[Mapping, ...] | None = attrs.field(default=None, eq=False)
    """All mappings of the process, where `mappings` are some: kinds depend on their neighbours."""

    def __len__(self) -> int:
        return len(self.mappings)

    def __iter__(self) -> Iterator[Mapping]:
        return iter(self.mappings)

    @overload
    def __getitem__(self, index: int) -> Mapping: ...
    @overload
    def __getitem__(self, index: slice) -> Snapshot: ...
    def __getitem__(self, index: int | slice) -> Mapping | Snapshot:
        if isinstance(index, slice):
            return self._part(self.mappings[index])
        return self.mappings[index]

    def filter(self, predicate: Callable[[Mapping], object]) -> Snapshot:
        """Return the mappings for which `predicate` returns a true value."""
        return self._part(tuple(filter(predicate, self.mappings)))

    def _part(self, mappings: tuple[Mapping, ...]) -> Snapshot:
        return attrs.evolve(self, mappings=mappings, whole=self._whole or self.mappings)

    def anonymous(self) -> Snapshot:
        """Return the mappings whose pages belong to no file."""
        return self.filter(lambda mapping: mapping.is_anonymous)

    def file_backed(self) -> Snapshot:
        """Return the mappings whose pages can be dropped or written to a file."""
        return self.filter(lambda mapping: mapping.is_file_backed)

    def shared(self) -> Snapshot:
        """Return the mappings with permission `s`, whether or not another process maps them."""
        return self.filter(lambda mapping: mapping.is_shared)

    def private(self) -> Snapshot:
        """Return the mappings with permission `p`."""
        return self.filter(lambda mapping: mapping.is_private)

    @functools.cached_property
    def _totals(self) -> Totals:
        return sums.totals(self.mappings)

    def totals(self) -> Totals:
        """Sum all mappings: see `smapskit.totals`. Computed once."""
        return self._totals

    def shared_rss(self) -> int | None:
        """Sum the RSS of the mappings with permission `s`: see `smapskit.shared_rss`."""
        return self._totals.shared_rss

    @property
    def is_part(self) -> bool:
        """Whether it was made by a filter or a slice: the process may have more mappings."""
        return self._whole is not None

    @functools.cached_property
    def _kinds(self) -> tuple[KindVerdict, ...]:
        whole = self._whole or self.mappings
        verdicts = dict(zip(map(id, whole), kinds.kinds(whole), strict=True))
        if not all(id(mapping) in verdicts for mapping in self.mappings):  # by attrs.evolve
            return tuple(kinds.kinds(self.mappings))
        return tuple(verdicts[id(mapping)] for mapping in self.mappings)

    def kinds(self) -> tuple[KindVerdict, ...]:
        """
        Return the kind of each mapping and how it is known: see `smapskit.kinds`.

        Computed once. A part of a snapshot has the kinds that its mappings have in the whole.
        """
        return self._kinds

    @overload
    def group_by(self, key: Literal["backing"]) -> dict[Backing | None, Totals]: ...
    @overload
    def group_by(self, key: Literal["sharing"]) -> dict[Sharing, Totals]: ...
    @overload
    def group_by(self, key: Literal["kind"]) -> dict[MappingKind, Totals]: ...
    @overload
    def group_by(self, key: Literal["perms", "pathname"]) -> dict[str, Totals]: ...
    @overload
    def group_by(self, key: GroupName) -> dict[Any, Totals]: ...
    @overload
    def group_by(self, key: Callable[[Mapping], Key]) -> dict[Key, Totals]: ...
    def group_by(self, key: GroupName | Callable[[Mapping], Any]) -> dict[Any, Totals]:
        """Sum each group of mappings: see `smapskit.group_by`."""
        return sums.group_by(self, key)

    def to_frame(self, unit: Unit = "kB") -> DataFrame:
        """Return one row per mapping: see `smapskit.views.frames.to_frame`."""
        from smapskit.views import frames  # noqa: PLC0415  late import: views come after model

        return frames.to_frame(self, unit)

    @classmethod
    def from_frame(cls, frame: DataFrame) -> Snapshot:
        """Return the snapshot of a frame: see `smapskit.views.frames.from_frame`."""
        from smapskit.views import frames  # noqa: PLC0415

        return cls(tuple(frames.from_frame(frame)), **frames.metadata(frame))

    def plot(self, by: GroupName = "backing") -> Figure:
        """Plot resident memory and size by group, and the address space."""
        from smapskit.views import plots  # noqa: PLC0415

        return plots.plot_snapshot(self, by)

    def to_html(
        self,
        path: str | PathLike[str],
        *,
        title: str | None = None,
        context: Context | None = None,
    ) -> None:
        """
        Write a report: one HTML file with findings, a treemap, an address map and all mappings.

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
        report.write_snapshot_report(self, path, options)

    def _repr_html_(self) -> str:
        from smapskit.views import html  # noqa: PLC0415

        return html.snapshot_html(self)

    def check(self, rollup: Rollup | None = None) -> list[Inconsistency]:
        """
        Return what contradicts itself in this snapshot; an empty list where all agrees.

        A running process can change between two reads of its smaps file: mappings may then
        overlap, be out of order or occur twice.

        Args:
            rollup: the kernel's sums of the same process, to compare the totals with. Its Pss
                and similar values may be larger by up to 1 kB per mapping, since smaps rounds
                each of them down.
        """
        return check(self.mappings, self._totals, rollup)

    def __repr__(self) -> str:
        of_pid = "" if self.pid is None else f" of {escape_unprintable(str(self.pid))}"
        command = f" ({escape_unprintable(truncate(self.command))})" if self.command else ""
        values = [("size", sum(mapping.size for mapping in self.mappings))]
        for name in ("rss", "pss"):  # not totals(): these two take a tenth of its time
            known = [kb for m in self.mappings if (kb := getattr(m, name)) is not None]
            values += [(name, sum(known))] if known else []
        text = ", ".join(f"{name} {kb:,} kB" for name, kb in values)
        return f"<Snapshot{of_pid}{command}: {len(self)} mappings, {text}>"
