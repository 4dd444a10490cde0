"""The kernel's three files and the fields that each is known to have."""

from __future__ import annotations

from collections.abc import Mapping as MappingOf
from typing import Final, NamedTuple

from smapskit.model.mapping import KernelField, Mapping, Rollup, kernel_fields


class ProcFile(NamedTuple):
    """A file of /proc/PID that lists mappings."""

    name: str
    fields: MappingOf[str, KernelField]
    has_fields: bool = True


SMAPS: Final = ProcFile("smaps", kernel_fields(Mapping))
ROLLUP: Final = ProcFile("smaps_rollup", kernel_fields(Rollup))
MAPS: Final = ProcFile("maps", {}, has_fields=False)
