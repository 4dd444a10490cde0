"""
Many mappings as one sequence per field: the intermediate between text and everything else.

Parsers of smaps text return `Columns`; records, frames and sums are built from them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Mapping as MappingOf
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from smapskit.model.backing import Backing, Sharing, backing_of_key, sharing_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Key = TypeVar("Key")
Value = TypeVar("Value")


class Cache(dict[Key, Value]):
    """A function of one argument that is computed once for each argument."""

    def __init__(self, function: Callable[[Key], Value]) -> None:
        super().__init__()
        self._function = function

    def __missing__(self, key: Key) -> Value:
        value = self[key] = self._function(key)
        return value


@attrs.frozen(eq=False)
class Columns:
    """
    Some mappings, in order. All sequences have one entry per mapping.

    A value that the source does not report is None; a column of which no value is reported
    is missing from `values` and `extra`.
    """

    start: Sequence[int]
    """First address."""
    end: Sequence[int]
    """Address after the last one."""
    offset: Sequence[int | None]
    """In the file, in bytes."""
    inode: Sequence[int | None]
    perms: Sequence[str]
    """The kernel's four characters."""
    device: Sequence[str | None]
    """`major:minor` in hex, at least two digits each."""
    pathname: Sequence[str]
    """"" for none."""
    values: MappingOf[str, Sequence[int | None] | NDArray[np.int64]]
    """Size (always), counters and page sizes, by the attribute of a Mapping; sizes in kB."""
    vm_flags: Sequence[tuple[str, ...] | None] | None
    """Two-letter codes; None where no mapping has any."""
    extra: MappingOf[str, Sequence[int | str | None] | NDArray[np.int64]]
    """Fields without an attribute, by the kernel's name."""

    def __len__(self) -> int:
        return len(self.start)

    def lists(self) -> tuple[dict[str, list[Any]], dict[str, list[Any]]]:
        """Return `values` and `extra` with lists of Python objects in place of arrays."""
        return _as_lists(self.values), _as_lists(self.extra)

    def shared(self) -> list[bool]:
        """Return for each mapping whether it has permission `s`."""
        is_shared = Cache[str, bool](lambda perms: perms[3] == "s")
        return [is_shared[perms] for perms in self.perms]

    def sharing(self) -> list[Sharing]:
        """Return the sharing of each mapping."""
        sharing = Cache[str, Sharing](lambda perms: sharing_of(perms[3] == "s"))
        return [sharing[perms] for perms in self.perms]

    def backing(self) -> list[Backing | None]:
        """Return the backing of each mapping, computed once per distinct combination."""
        backing = Cache(backing_of_key)
        return [backing[key] for key in self.classification_keys()]

    def classification_keys(self) -> Iterator[tuple[Any, ...]]:
        """
        Yield for each mapping the values on which its classification depends.

        They are its name, permissions, device, flags and page size. A process has few distinct
        combinations.
        """
        none = [None] * len(self)
        page_sizes: Any = self.values.get("kernel_page_size", none)
        if not isinstance(page_sizes, list):
            page_sizes = page_sizes.tolist()
        flags = none if self.vm_flags is None else self.vm_flags
        return zip(self.pathname, self.perms, self.device, flags, page_sizes, strict=True)


def _as_lists(columns: MappingOf[str, Any]) -> dict[str, list[Any]]:
    return {
        name: column if isinstance(column, list) else column.tolist()
        for name, column in columns.items()
    }


def columns_of_dicts(rows: Sequence[MappingOf[str, Any]]) -> dict[str, list[Any]]:
    """Turn one dict per row into one list per key, None where a row lacks the key."""
    names: Iterable[str] = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}
