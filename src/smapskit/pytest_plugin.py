"""
A pytest fixture that asserts how much memory a test may add to the process.

pytest finds it by the entry point of the package. Until a test requests the fixture, only the names
of the package are loaded: neither attrs nor NumPy nor pandas. `-p no:smapskit.pytest_plugin` turns
it off.
"""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

import pytest

import smapskit
from smapskit.text import parse_size, sanitize

if TYPE_CHECKING:
    from smapskit import Change, KindVerdict, MappingKind, Snapshot

_MAX_ROWS: Final = 10
"""Mappings listed in a failure."""
_HEADINGS: Final = ("USS", "Change", "Address", "Kind", "Mapping")


@pytest.fixture
def memory_growth() -> MemoryGrowth:
    """
    Assert how much memory a block or a function may add: see `MemoryGrowth`.

    The test is skipped where this process cannot read its own smaps.
    """
    try:
        uss = _uss(None)
    except smapskit.Unsupported as error:
        pytest.skip(f"memory_growth requires /proc/self/smaps: {error}")
    if uss is None:
        pytest.skip("memory_growth requires a kernel that reports private memory in smaps")
    return MemoryGrowth()


class MemoryGrowth:
    """
    Assert how much memory a block or a function may add to this process.

    Measured is USS: the memory that only this process maps, of all of its threads. Before each
    measurement garbage is collected, and glibc returns to the kernel what was freed (malloc_trim).
    Memory that another allocator keeps after it was freed counts.
    """

    def __call__(self, max: int | str, *, kind: MappingKind | str | None = None) -> Growth:  # noqa: A002
        """
        Return a context manager that fails if USS grew by more than `max` inside its block.

        Args:
            max: a size such as "2 MiB", "512 kB" (1 kB = 1,024 bytes), or a number of bytes.
            kind: measure only the mappings of this kind, such as "main heap".

        Raises:
            AssertionError: at the end of the block, with the growth by mapping.
            ValueError: no such size or kind.
        """
        return Growth(max, kind)

    def repeat(
        self,
        function: Callable[[], object],
        max: int | str,  # noqa: A002
        *,
        kind: MappingKind | str | None = None,
        warm_up: int = 1,
        runs: int = 1,
    ) -> None:
        """
        Call a function, and fail if USS grew by more than `max` after the first calls.

        Args:
            function: called without arguments; what it returns is dropped.
            max: growth over all of `runs`, as above.
            kind: as above.
            warm_up: number of calls before the first measurement, which import modules and fill
                caches.
            runs: number of calls that are measured together.

        Raises:
            AssertionError: with the growth by mapping.
            ValueError: no such size or kind, or no run.
        """
        __tracebackhide__ = True
        if warm_up < 0 or runs < 1:
            raise ValueError(f"expected warm_up >= 0 and runs >= 1, got {warm_up} and {runs}")
        growth = Growth(max, kind)
        for _ in range(warm_up):
            function()
        with growth:
            for _ in range(runs):
                function()


class Growth:
    """A block whose growth is measured. `kb` is the growth in kB, None before its end."""

    def __init__(self, max: int | str, kind: MappingKind | str | None) -> None:  # noqa: A002
        self._max_bytes = parse_size(max) if isinstance(max, str) else max
        if not self._max_bytes >= 0:
            raise ValueError(f"expected a size of at least 0 bytes, got {max!r}")
        self._kind = None if kind is None else _kind(kind)
        self.kb: int | None = None

    def __enter__(self) -> Self:
        _release()
        # Kept until the end of the block: read before the measurement, which it is part of.
        self._before = smapskit.read()
        # Twice: the first measurement imports modules and allocates buffers.
        for _ in range(2):
            _release()
            self._uss_before = _uss(self._kind)
        return self

    def __exit__(
        self,
        type_: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        __tracebackhide__ = True
        if type_ is not None:
            return
        _release()
        uss = _uss(self._kind)
        assert uss is not None  # noqa: S101  the fixture has skipped the test otherwise
        assert self._uss_before is not None  # noqa: S101
        self.kb = uss - self._uss_before
        if self.kb * 1024 > self._max_bytes:
            raise AssertionError(self._failure(smapskit.read()))

    def _failure(self, after: Snapshot) -> str:
        of = "" if self._kind is None else f" of kind {str(self._kind)!r}"
        title = f"USS{of} grew by {self.kb:,} kB, expected at most {self._max_bytes / 1024:,.0f} kB"
        return "\n".join([title, *_rows(self._before, after, self._kind)])


def _kind(name: MappingKind | str) -> MappingKind:
    try:
        return smapskit.MappingKind(name)
    except ValueError:
        names = ", ".join(repr(str(kind)) for kind in smapskit.MappingKind)
        raise ValueError(f"expected one of the kinds {names}, got {name!r}") from None


def _release() -> None:
    """Return memory that is not in use to the kernel, as far as possible."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:  # another C library than glibc has none
        trim(0)


def _uss(kind: MappingKind | None) -> int | None:
    """Return the USS of this process, or of its mappings of one kind, in kB."""
    if kind is not None:
        groups = smapskit.read().group_by("kind")
        return groups[kind].uss if kind in groups else 0
    try:
        return smapskit.read_rollup().uss
    except smapskit.Unsupported:  # before kernel 4.14
        return smapskit.read().totals().uss


def _rows(before: Snapshot, after: Snapshot, kind: MappingKind | None) -> list[str]:
    """Return a table of the changes that made USS grow, the largest first."""
    verdicts = _verdicts(before) | _verdicts(after)

    def kind_of(change: Change) -> MappingKind:
        return verdicts[change.mapping.start].kind

    grown = [
        change
        for change in smapskit.diff(before, after).changes
        if change.deltas.get("uss", 0) > 0 and (kind is None or kind_of(change) == kind)
    ]
    grown.sort(key=lambda change: change.deltas["uss"], reverse=True)
    rows = [
        _HEADINGS,
        *(
            (
                f"+{change.deltas['uss']:,} kB",
                str(change.kind),
                f"{change.mapping.start:x}",
                str(kind_of(change)),
                sanitize(change.mapping.pathname) or "(anonymous)",
            )
            for change in grown[:_MAX_ROWS]
        ),
    ]
    widths = [max(len(row[at]) for row in rows) for at in range(len(_HEADINGS))]
    lines = [
        "  ".join(
            cell.rjust(width) if at == 0 else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    if len(grown) > _MAX_ROWS:
        rest = sum(change.deltas["uss"] for change in grown[_MAX_ROWS:])
        lines.append(f"and {len(grown) - _MAX_ROWS} more mappings with +{rest:,} kB")
    return lines


def _verdicts(snapshot: Snapshot) -> dict[int, KindVerdict]:
    """Return the kind of each mapping by its first address."""
    return {
        mapping.start: verdict
        for mapping, verdict in zip(snapshot, smapskit.kinds(snapshot), strict=True)
    }
