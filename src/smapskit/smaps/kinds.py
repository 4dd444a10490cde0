"""The kernel's three files, and the fields that each is known to have."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from smapskit.records import KernelField, Mapping, Rollup, kernel_fields

_CODE = re.compile(r"[!-~]{2}")


class Kind(NamedTuple):
    """One of the kernel's three files."""

    name: str
    table: dict[str, KernelField]
    has_fields: bool = True


SMAPS: Final = Kind("smaps", kernel_fields(Mapping))
ROLLUP: Final = Kind("smaps_rollup", kernel_fields(Rollup))
MAPS: Final = Kind("maps", {}, has_fields=False)


def codes(text: bytes) -> tuple[str, ...] | None:
    """The two-letter codes of VmFlags; None where one is none."""
    words = text.decode("ascii", "replace").replace("\t", " ").split(" ")
    found = tuple(word for word in words if word)
    return found if all(map(_CODE.fullmatch, found)) else None
