"""A process's mappings at one moment, and what its text looked like."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar, overload

import attrs

from smapskit import aggregate
from smapskit.errors import shown
from smapskit.records import COUNTERS, Mapping, Rollup, Totals, kernel_fields

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from smapskit.frames import Unit

FLAGS = "VmFlags"
_ROUNDED_DOWN = ("pss", "pss_dirty", "swap_pss", "locked")


@attrs.frozen
class FieldStyle:
    """How a smaps text writes one field: `prefix`, the figure right-justified, `suffix`."""

    name: str
    prefix: str
    width: int = 0
    suffix: str = ""
    is_figure: bool = False

    def write(self, value: int | str | tuple[str, ...]) -> str:
        """The field's line, without its line end."""
        if isinstance(value, int):
            return f"{self.prefix}{value:{self.width}d}{self.suffix}"
        if isinstance(value, str):
            return self.prefix + value
        return self.prefix + " ".join(value) + (self.suffix if value else "")


def shortened(text: str, most: int = 60) -> str:
    """The beginning of a long command line or name."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


def kernel_style(name: str, suffix: str = " kB") -> FieldStyle:
    """How today's kernels write a field: the name in 16 columns, then a figure in 8."""
    if name == FLAGS:
        return FieldStyle(name, f"{name}: ", suffix=" ")
    prefix = f"{name}: ".ljust(16)
    return FieldStyle(name, prefix, 24 - len(prefix), suffix, is_figure=True)


@attrs.frozen
class Layout:
    """How a smaps or maps text is laid out, so that it can be written again as it was."""

    DEFAULT_NAME_COLUMN: ClassVar = 73

    fields: tuple[FieldStyle, ...]
    """In the order of the text; none for maps."""
    name_column: int | None = DEFAULT_NAME_COLUMN
    """Where names start, counted from 0; None for a single blank before them."""
    nameless: str = " "
    """What stands behind the inode of a mapping without a name."""


@attrs.frozen(repr=False)
class Snapshot(Sequence[Mapping]):
    """
    The mappings of a process at one moment: a sequence of them, with sums and choices.

    Choices (`shared()`, `filter()`, a slice) are snapshots of the same process and time.
    """

    mappings: tuple[Mapping, ...]
    pid: int | None = None
    command: str | None = None
    """The command line, arguments joined by blanks; `[name]` for a kernel thread."""
    time: datetime | None = None
    """When it was read, in UTC; None for a text that does not say."""
    source: str | None = None
    """The file that it was read from."""
    notes: tuple[str, ...] = ()
    """What a reader should know: why it is empty, what was odd about the text."""
    layout: Layout | None = attrs.field(default=None, eq=False)

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
            return attrs.evolve(self, mappings=self.mappings[index])
        return self.mappings[index]

    def filter(self, keep: Callable[[Mapping], object]) -> Snapshot:
        """The mappings for which `keep` says yes."""
        return attrs.evolve(self, mappings=tuple(filter(keep, self.mappings)))

    def anonymous(self) -> Snapshot:
        """The mappings known to have no file behind them."""
        return self.filter(lambda mapping: mapping.is_anonymous)

    def file_backed(self) -> Snapshot:
        """The mappings known to have a file that page-out can drop or write them to."""
        return self.filter(lambda mapping: mapping.is_file_backed)

    def shared(self) -> Snapshot:
        """The mappings with permission `s`, whoever maps them now."""
        return self.filter(lambda mapping: mapping.is_shared)

    def private(self) -> Snapshot:
        """The mappings with permission `p`."""
        return self.filter(lambda mapping: mapping.is_private)

    def totals(self) -> Totals:
        """See `smapskit.totals`."""
        return aggregate.totals(self)

    def shared_rss(self) -> int:
        """See `smapskit.shared_rss`."""
        return aggregate.shared_rss(self)

    def group_by(
        self, key: aggregate.GroupName | Callable[[Mapping], aggregate.Key]
    ) -> dict[aggregate.Key, Totals]:
        """See `smapskit.group_by`."""
        return aggregate.group_by(self, key)

    def to_frame(self, unit: Unit = "kB") -> DataFrame:
        """A row for each mapping: see `smapskit.frames.to_frame`."""
        from smapskit import frames  # noqa: PLC0415  pandas is for whoever asks for a frame

        return frames.to_frame(self, unit)

    @classmethod
    def from_frame(cls, frame: DataFrame) -> Snapshot:
        """The snapshot that a frame was made of: see `smapskit.frames.from_frame`."""
        from smapskit import frames  # noqa: PLC0415

        return frames.from_frame(frame)

    def plot(self, by: aggregate.GroupName = "backing") -> Figure:
        """Draw resident against size by group, and the address space: see `smapskit.plots`."""
        from smapskit import plots  # noqa: PLC0415  matplotlib is for whoever draws

        return plots.plot_snapshot(self, by)

    def _repr_html_(self) -> str:
        from smapskit import notebook  # noqa: PLC0415

        return notebook.snapshot_html(self)

    def check(self, rollup: Rollup | None = None) -> list[str]:
        """
        What in this snapshot contradicts itself, a sentence each; empty where all agrees.

        A running process can change between two reads of its smaps file, so that mappings
        overlap, stand out of order or twice.

        Args:
            rollup: the kernel's own sums over the same mappings, to hold the sums against. Of
                Pss and its kin they may be larger by as many kB as there are mappings, since
                smaps rounds each of them down.
        """
        faults = [] if rollup is None else self._differences(rollup)
        for before, after in pairwise(self.mappings):
            if after.start < before.start:
                faults.append(f"{after.start:x}-{after.end:x} stands behind a higher address")
            elif after.start < before.end:
                faults.append(f"{after.start:x}-{after.end:x} overlaps the mapping before it")
        for mapping in self.mappings:
            parts = (
                mapping.shared_clean,
                mapping.shared_dirty,
                mapping.private_clean,
                mapping.private_dirty,
            )
            known = [part for part in parts if part is not None]
            if mapping.rss is not None and len(known) == len(parts) and mapping.rss != sum(known):
                faults.append(
                    f"{mapping.start:x}-{mapping.end:x} has Rss {mapping.rss} kB, "
                    f"but its four parts make {sum(known)} kB"
                )
        return faults

    def _differences(self, rollup: Rollup) -> list[str]:
        total = self.totals()
        faults = []
        for name in COUNTERS:
            summed, said = getattr(total, name), getattr(rollup, name)
            most = len(self) if name in _ROUNDED_DOWN else 0
            if summed is not None and said is not None and not 0 <= said - summed <= most:
                faults.append(f"{name} adds up to {summed} kB, smaps_rollup says {said} kB")
        return faults

    def __repr__(self) -> str:
        who = "" if self.pid is None else f" of {shown(str(self.pid))}"
        command = f" ({shown(shortened(self.command))})" if self.command else ""
        total = self.totals()
        figures = [("size", total.size), ("rss", total.rss), ("pss", total.pss)]
        said = ", ".join(f"{what} {kb:,} kB" for what, kb in figures if kb is not None)
        return f"<Snapshot{who}{command}: {len(self)} mappings, {said}>"


def default_layout(snapshot: Snapshot) -> Layout:
    """Today's kernel's, for mappings that do not come from a text of the kernel's."""
    if not any(getattr(mapping, name) is not None for mapping in snapshot for name in COUNTERS):
        return Layout(())
    units = {name: field.unit for name, field in kernel_fields(Mapping).items()}
    styles = [kernel_style(name, " kB" if unit == "kB" else "") for name, unit in units.items()]
    extra = dict.fromkeys(name for mapping in snapshot for name in mapping.extra)
    styles[-1:-1] = map(kernel_style, extra)
    return Layout(tuple(styles))
