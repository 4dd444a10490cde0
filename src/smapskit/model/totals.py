"""
Sums over mappings, over all of them or by group.

"Shared" has two senses. `Totals.shared_rss` is the RSS of mappings with permission `s`, made
with MAP_SHARED. What several processes map now is `Totals.shared_clean + Totals.shared_dirty`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import partial
from itertools import compress
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, overload

import attrs
from typing_extensions import TypeVar

from smapskit.model.backing import Backing, Sharing, sharing_of
from smapskit.model.columns import Columns
from smapskit.model.kinds import MappingKind, kinds, kinds_of
from smapskit.model.mapping import (
    COUNTERS,
    Mapping,
    Usage,
    attribute_of_each,
    build_mappings,
    describe_counters,
    map_shared,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Key = TypeVar("Key", bound=Hashable, default=Hashable)
GroupName = Literal["backing", "sharing", "kind", "perms", "pathname"]


class _Group(NamedTuple):
    """How a named group is computed from the mappings of a process and from their columns."""

    of_mappings: Callable[[Sequence[Mapping]], Sequence[Any]]
    """Return the group of each mapping."""
    of_parts: Callable[[Iterable[Columns]], Iterable[tuple[Columns, Sequence[Any]]]]
    """Yield each part with the group of each row."""


def _by_row(
    of_mappings: Callable[[Sequence[Mapping]], Sequence[Any]],
    of_columns: Callable[[Columns], Sequence[Any]],
) -> _Group:
    """Return a group that depends on the mapping alone."""
    return _Group(of_mappings, lambda parts: ((columns, of_columns(columns)) for columns in parts))


def _backing_of_mappings(mappings: Sequence[Mapping]) -> list[Backing | None]:
    """Return the backing of each mapping, computed once per distinct combination."""
    identities = [
        map(id, attribute_of_each(name, mappings)) for name in ("perms", "device", "vm_flags")
    ]
    others = [attribute_of_each(name, mappings) for name in ("pathname", "kernel_page_size")]
    keys = list(zip(*others, *identities, strict=True))
    backing = {
        key: mapping.backing for key, mapping in dict(zip(keys, mappings, strict=True)).items()
    }
    return list(map(backing.__getitem__, keys))


def _kinds_of_parts(
    parts: Iterable[Columns],
) -> Iterable[tuple[Columns, Sequence[MappingKind]]]:
    # A kind depends on all mappings of the process: none is known before the last one is read.
    known = list(parts)
    return zip(known, kinds_of(known), strict=True)


GROUPS: Final[dict[str, _Group]] = {
    "backing": _by_row(_backing_of_mappings, Columns.backing),
    "sharing": _by_row(
        lambda mappings: list(map(sharing_of, attribute_of_each("perms.shared", mappings))),
        Columns.sharing,
    ),
    "kind": _Group(lambda mappings: [verdict.kind for verdict in kinds(mappings)], _kinds_of_parts),
    "perms": _by_row(
        lambda mappings: map_shared(str, attribute_of_each("perms", mappings)),
        lambda columns: columns.perms,
    ),
    "pathname": _by_row(partial(attribute_of_each, "pathname"), lambda columns: columns.pathname),
}
"""The groups that have a name, one declaration each."""


@attrs.frozen(kw_only=True, repr=False)  # pyright: ignore[reportGeneralTypeIssues]
class Totals(Usage):
    """Sums over mappings, in kB. A sum is None where no mapping reports the field."""

    count: int
    """Number of mappings."""
    size: int
    """Sum of the sizes of their address ranges."""
    shared_rss: int | None = None
    """RSS of the mappings with permission `s`; None where no mapping reports its RSS."""

    def __repr__(self) -> str:
        return f"<Totals of {self.count} mappings: {describe_counters(self, 'size', *COUNTERS)}>"

    def _repr_html_(self) -> str:
        from smapskit.views import html  # noqa: PLC0415  late import: views come after model

        return html.totals_html(self)


_MAX_INT64: Final = 2**63 - 1
_SUMMED: Final = ("size", *COUNTERS, "shared_rss")


def totals(mappings: Iterable[Mapping]) -> Totals:
    """
    Sum every field that may be summed, in kB.

    Returns:
        A sum is None where no mapping reports the field, else the sum over those that do.
    """
    rows = list(mappings)
    sums: dict[str, Any] = _sum_fields(rows, ("size", *COUNTERS))
    shared = compress(rows, attribute_of_each("perms.shared", rows))
    shared_rss = sum(mapping.rss or 0 for mapping in shared)
    return Totals(
        count=len(rows),
        size=sums.pop("size") or 0,
        shared_rss=None if sums["rss"] is None else shared_rss,
        **sums,
    )


def add_totals(parts: Sequence[Totals]) -> Totals:
    """
    Sum totals. A sum is None where it is None in all of them.

    Over several processes only Pss and private counters may be summed: memory that processes
    share would be counted once for each of them.
    """
    if len(parts) == 1:
        return parts[0]
    sums: dict[str, Any] = _sum_fields(parts, _SUMMED)
    sums["size"] = sums["size"] or 0
    return Totals(count=sum(part.count for part in parts), **sums)


def _sum_fields(records: Sequence[Usage], names: Iterable[str]) -> dict[str, int | None]:
    """Sum each field over the records that report it; None where none does."""
    getters = [(name, attrgetter(name)) for name in names]
    sums: dict[str, int | None] = {name: None for name, _ in getters}
    for begin in range(0, len(records), _BLOCK):
        block = records[begin : begin + _BLOCK]
        for name, get in getters:
            try:
                value = sum(map(get, block))
            except TypeError:
                known = [value for value in map(get, block) if value is not None]
                if not known:
                    continue
                value = sum(known)
            sums[name] = (sums[name] or 0) + value
    return sums


_BLOCK: Final = 256
"""Records whose fields are summed in turn: they fit a processor's cache."""


def shared_rss(mappings: Iterable[Mapping]) -> int | None:
    """
    Sum the RSS of mappings with permission `s`, in kB; None where no RSS is reported.

    The page-out experiment plots this value. It includes pages that no other process maps and
    excludes pages of private mappings that many processes share.
    """
    return totals(mappings).shared_rss


@overload
def group_by(
    mappings: Iterable[Mapping], key: Literal["backing"]
) -> dict[Backing | None, Totals]: ...
@overload
def group_by(mappings: Iterable[Mapping], key: Literal["sharing"]) -> dict[Sharing, Totals]: ...
@overload
def group_by(mappings: Iterable[Mapping], key: Literal["kind"]) -> dict[MappingKind, Totals]: ...
@overload
def group_by(
    mappings: Iterable[Mapping], key: Literal["perms", "pathname"]
) -> dict[str, Totals]: ...
@overload
def group_by(mappings: Iterable[Mapping], key: GroupName) -> dict[Any, Totals]: ...
@overload
def group_by(mappings: Iterable[Mapping], key: Callable[[Mapping], Key]) -> dict[Key, Totals]: ...
def group_by(
    mappings: Iterable[Mapping], key: GroupName | Callable[[Mapping], Any]
) -> dict[Any, Totals]:
    """
    Sum each group of mappings, in the order in which the groups first appear.

    Args:
        mappings: any iterable of mappings.
        key: "backing" (a Backing, None where unknown), "sharing" (a Sharing), "kind" (a
            MappingKind; of all mappings of one process: see `kinds`), "perms" (four
            characters), "pathname", or a function from a mapping to its group.

    Raises:
        ValueError: an unknown group name.
    """
    rows = mappings if isinstance(mappings, Sequence) else list(mappings)
    keys = map(key, rows) if callable(key) else _group(key).of_mappings(rows)
    groups: dict[Any, list[Mapping]] = {}
    for mapping, group in zip(rows, keys, strict=True):
        groups.setdefault(group, []).append(mapping)
    return {group: totals(members) for group, members in groups.items()}


def group_columns(
    parts: Iterable[Columns], key: GroupName | Callable[[Mapping], Any] | None = None
) -> dict[Any, Totals]:
    """
    Sum each group of mappings given as columns, as `group_by` does, without building records.

    Args:
        parts: columns of consecutive mappings.
        key: as in `group_by` (a function is called with records, which are then built); None
            for one group, "".
    """
    if key is None:
        group = _by_row(lambda mappings: [""] * len(mappings), lambda columns: [""] * len(columns))
    elif callable(key):
        group = _by_row(
            lambda mappings: list(map(key, mappings)),
            lambda columns: list(map(key, build_mappings(columns))),
        )
    else:
        group = _group(key)
    builder = _TotalsBuilder()
    for columns, groups in group.of_parts(parts):
        builder.add(columns, groups)
    return builder.totals()


def _group(name: str) -> _Group:
    if name not in GROUPS:
        msg = f"expected one of {', '.join(GROUPS)} or a function, got {name!r}"
        raise ValueError(msg)
    return GROUPS[name]


class _TotalsBuilder:
    """Sums of each group over columns that are added one after another."""

    def __init__(self) -> None:
        self._numbers: dict[Any, int] = {}
        self._counts: Counter[int] = Counter()
        self._sums: dict[str, dict[int, int]] = {}
        """By field, then by number of the group; a group without a sum has no value."""

    def add(self, columns: Columns, groups: Sequence[Any]) -> None:
        """Add columns; `groups` has the group of each row."""
        numbers = self._numbers
        rows = [numbers.setdefault(group, len(numbers)) for group in groups]
        counts = Counter(rows)
        self._counts.update(counts)
        values: dict[str, Any] = {
            name: columns.values[name] for name in ("size", *COUNTERS) if name in columns.values
        }
        if "rss" in values:
            values["shared_rss"] = _where(values["rss"], columns.shared())
        sum_array = _array_summer(rows, list(counts))
        for name, column in values.items():
            sums = self._sums.setdefault(name, {})
            if not isinstance(column, list):
                for number, value in zip(counts, sum_array(column), strict=True):
                    sums[number] = sums.get(number, 0) + value
                continue
            for row, value in zip(rows, column, strict=True):
                if value is not None:
                    sums[row] = sums.get(row, 0) + value

    def totals(self) -> dict[Any, Totals]:
        """Return the sums of each group, in the order in which the groups appeared."""
        return {
            group: Totals(
                count=self._counts[number],
                **{name: sums.get(number) for name, sums in self._sums.items()},  # type: ignore[arg-type]
            )
            for group, number in self._numbers.items()
        }


def _array_summer(rows: list[int], numbers: list[int]) -> Callable[[NDArray[np.int64]], list[int]]:
    """Return a function that sums an array for each of the group numbers that rows contain."""
    position = {number: position for position, number in enumerate(numbers)}
    positions: Any = None

    def sum_array(column: NDArray[np.int64]) -> list[int]:
        import numpy as np  # noqa: PLC0415  already loaded where there is an array

        if int(column.max(initial=0)) > _MAX_INT64 // len(column):  # the sum may overflow
            by_number = dict.fromkeys(numbers, 0)
            for number, value in zip(rows, column.tolist(), strict=True):
                by_number[number] += value
            return list(by_number.values())
        nonlocal positions
        if len(numbers) == 1:
            return [int(column.sum())]
        if positions is None:
            positions = np.array([position[number] for number in rows])
        sums = np.zeros(len(numbers), dtype=np.int64)
        np.add.at(sums, positions, column)
        return [int(value) for value in sums]

    return sum_array


def _where(column: Any, is_shared: list[bool]) -> Any:
    """Return the column with 0 in place of the values whose row is not shared."""
    if not isinstance(column, list):
        import numpy as np  # noqa: PLC0415

        return column * np.array(is_shared)
    return [
        value if shared or value is None else 0
        for value, shared in zip(column, is_shared, strict=True)
    ]
