"""Text of smaps to sums over groups of mappings, without a record where there are many."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from smapskit import texts
from smapskit.aggregate import GroupName, group_by
from smapskit.classify import sharing_of
from smapskit.records import COUNTERS, Mapping, Totals
from smapskit.smaps.at_once import Columns, Memo, backing_of_look, columns_of_parts, is_worth_it
from smapskit.smaps.kinds import SMAPS
from smapskit.smaps.parse import parse_pieces
from smapskit.smaps.parts import keeping, whole_records

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


_LARGEST_INT64: Final = 2**63 - 1


class Sums(NamedTuple):
    """What a group of mappings adds up to."""

    totals: Totals
    shared_rss: int
    """The RSS of those with permission `s`, in kB."""


def read_sums(
    pieces: Iterable[bytes],
    by: GroupName | Callable[[Mapping], Any] | None = None,
    source: str | None = None,
) -> dict[Any, Sums]:
    """
    Add up a text of the kernel's that comes in pieces, each while the next is on its way.

    Args:
        pieces: of the text.
        by: as in `smapskit.group_by`; None for one group, "".
        source: what to call the text in errors.

    Returns:
        The sums of each group, in the order of their first mappings.

    Raises:
        ParseError: as `smapskit.parse_smaps`.
    """
    pieces = iter(pieces)
    kept: list[bytes] = []
    arriving = keeping(pieces, kept)
    if is_worth_it(len(next(arriving, b""))) and (by is None or by in _KEYS):
        sums = _at_once(whole_records(chain(kept[:1], arriving)), _KEYS[by])
        if sums is not None:
            return sums
    snapshot = parse_pieces(chain(kept, pieces), SMAPS, source)
    key: Any = (lambda _mapping: "") if by is None else by
    totals: dict[Any, Totals] = group_by(snapshot, key)
    shared = group_by(snapshot.shared(), key)
    return {
        group: Sums(total, (shared[group].rss or 0) if group in shared else 0)
        for group, total in totals.items()
    }


def _at_once(parts: Iterable[bytes], key: Callable[[Columns], list[Any]]) -> dict[Any, Sums] | None:
    adding = _Adding(key)
    for columns in columns_of_parts(parts):
        if columns is None:
            return None
        adding.add(columns)
    return adding.sums()


class _Adding:
    """Sums so far, an array of groups for each figure."""

    def __init__(self, key: Callable[[Columns], list[Any]]) -> None:
        self._key = key
        self._numbers: dict[Any, int] = {}
        self._sums: dict[str, NDArray[Any]] = {}

    def add(self, columns: Columns) -> None:
        import numpy as np  # noqa: PLC0415  loaded by the columns

        numbers = self._numbers
        rows = np.array([numbers.setdefault(key, len(numbers)) for key in self._key(columns)])
        is_shared = np.array([perms[3:] == b"s" for perms in columns.perms])
        known = {
            SMAPS.table[name].attribute: figures
            for name, figures in columns.figures.items()
            if name in SMAPS.table
        }
        figures = {name: known[name] for name in ("size", *COUNTERS) if name in known}
        if "rss" in figures:
            figures["shared_rss"] = figures["rss"] * is_shared
        figures["count"] = np.ones(len(columns), dtype=np.int64)
        for name, column in figures.items():
            sums = self._sums.get(name, np.zeros(0, dtype=np.int64))
            sums = np.concatenate((sums, np.zeros(len(numbers) - len(sums), dtype=np.int64)))
            if sums.dtype != object and _may_overflow(sums, column):
                sums = sums.astype(object)  # Python's integers
            np.add.at(sums, rows, column.astype(sums.dtype, copy=False))
            self._sums[name] = sums

    def sums(self) -> dict[Any, Sums]:
        found = {name: column.tolist() for name, column in self._sums.items()}
        shared = found.pop("shared_rss", [0] * len(self._numbers))
        rows = zip(*found.values(), strict=True)
        return {
            key: Sums(Totals(**dict(zip(found, row, strict=True))), rss)
            for key, row, rss in zip(self._numbers, rows, shared, strict=True)
        }


def _may_overflow(sums: NDArray[np.int64], column: NDArray[np.int64]) -> bool:
    most = int(sums.max(initial=0)) + int(column.max(initial=0)) * len(column)
    return most > _LARGEST_INT64


def _one_group(columns: Columns) -> list[Any]:
    return [""] * len(columns)


def _perms(columns: Columns) -> list[Any]:
    return [perms.decode() for perms in columns.perms]


def _sharing(columns: Columns) -> list[Any]:
    return [sharing_of(perms[3:] == b"s") for perms in columns.perms]


def _pathname(columns: Columns) -> list[Any]:
    names = Memo(texts.decode)
    return [names[name] for name in columns.names]


def _backing(columns: Columns) -> list[Any]:
    classes = Memo(backing_of_look)
    return [classes[look] for look in columns.looks()]


_KEYS: dict[Any, Callable[[Columns], list[Any]]] = {
    None: _one_group,
    "perms": _perms,
    "sharing": _sharing,
    "pathname": _pathname,
    "backing": _backing,
}
