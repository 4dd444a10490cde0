"""The kernel's three files and the fields that each is known to have."""

from __future__ import annotations

import re
from collections.abc import Mapping as MappingOf
from typing import Final, NamedTuple

from smapskit.model.mapping import KernelField, Mapping, Rollup, kernel_fields

_CODE = re.compile(r"[!-~]{2}")


class ProcFile(NamedTuple):
    """A file of /proc/PID that lists mappings."""

    name: str
    fields: MappingOf[str, KernelField]
    has_fields: bool = True


SMAPS: Final = ProcFile("smaps", kernel_fields(Mapping))
ROLLUP: Final = ProcFile("smaps_rollup", kernel_fields(Rollup))
MAPS: Final = ProcFile("maps", {}, has_fields=False)


def parse_vm_flags(text: bytes) -> tuple[str, ...] | None:
    """Parse the two-letter codes of VmFlags; None where a word is not a code."""
    words = text.decode("ascii", "replace").replace("\t", " ").split(" ")
    codes = tuple(word for word in words if word)
    return codes if all(map(_CODE.fullmatch, codes)) else None
