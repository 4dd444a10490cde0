"""The sums that tables of groups and processes show, without attrs; `totals` has all of them."""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter
from typing import Any, NamedTuple


class Sums(NamedTuple):
    """What tables show of a group of mappings; sizes in kB, None where not reported."""

    count: int  # type: ignore[assignment]  # pyright: ignore[reportIncompatibleMethodOverride]
    size: int
    rss: int | None
    pss: int | None
    uss: int | None
    dirty: int | None
    swap: int | None


class ProcessSums(NamedTuple):
    """What tables show of a process, in kB."""

    rss: int
    pss: int
    uss: int
    swap: int


def add_sums(parts: Iterable[Any]) -> Sums:
    """Add sums, or records with the same attributes. A sum is None where it is None in all."""
    rows = [part if isinstance(part, Sums) else Sums(*_values(part)) for part in parts]
    return rows[0] if len(rows) == 1 else Sums(*map(_add, zip(*rows, strict=True)))


_values = attrgetter(*Sums._fields)


def _add(values: Iterable[int | None]) -> Any:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
