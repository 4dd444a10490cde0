"""Texts as kernels of different versions write them, built from their lists of fields."""

from __future__ import annotations

from collections.abc import Iterable

_2_6_14 = "Size Rss Shared_Clean Shared_Dirty Private_Clean Private_Dirty"
_OLD = "Size Rss Pss Shared_Clean Shared_Dirty Private_Clean Private_Dirty Referenced"
_NEW = (
    "Size KernelPageSize MMUPageSize Rss Pss {dirty}Shared_Clean Shared_Dirty Private_Clean "
    "Private_Dirty Referenced Anonymous {ksm}LazyFree AnonHugePages ShmemPmdMapped "
    "FilePmdMapped Shared_Hugetlb Private_Hugetlb Swap SwapPss Locked THPeligible "
    "{key}VmFlags"
)

FIELDS = {
    "2.6.14": _2_6_14,
    "2.6.22": f"{_2_6_14} Referenced",
    "2.6.26": f"{_OLD} Swap",
    "2.6.29": f"{_OLD} Swap KernelPageSize MMUPageSize",
    "3.2": f"{_OLD} Anonymous AnonHugePages Swap KernelPageSize MMUPageSize Locked",
    "3.8": f"{_OLD} Anonymous AnonHugePages Swap KernelPageSize MMUPageSize Locked VmFlags",
    "4.4": (
        f"{_OLD} Anonymous AnonHugePages Shared_Hugetlb Private_Hugetlb Swap SwapPss "
        "KernelPageSize MMUPageSize Locked VmFlags"
    ),
    "4.14": (
        f"{_OLD} Anonymous LazyFree AnonHugePages ShmemPmdMapped Shared_Hugetlb "
        "Private_Hugetlb Swap SwapPss KernelPageSize MMUPageSize Locked ProtectionKey VmFlags"
    ),
    "5.4": _NEW.format(dirty="", ksm="", key="ProtectionKey "),
    "6.1": _NEW.format(dirty="Pss_Dirty ", ksm="", key=""),
    "6.18": _NEW.format(dirty="Pss_Dirty ", ksm="KSM ", key="ProtectionKey "),
    "the one after": _NEW.format(dirty="Pss_Dirty ", ksm="KSM ", key="ProtectionKey Folios "),
}

VALUES = {
    "Size": 352,
    "KernelPageSize": 4,
    "MMUPageSize": 4,
    "Rss": 100,
    "Pss": 57,
    "Shared_Clean": 80,
    "Shared_Dirty": 8,
    "Private_Clean": 4,
    "Private_Dirty": 8,
}
HEADER = "55f3e745d000-55f3e74b5000 r--p 00000000 fe:00 260386                     /usr/bin/head"
NAMELESS = "55f3e74b5000-55f3e74b6000 rw-p 00000000 00:00 0 "


def record(names: Iterable[str], header: str = HEADER) -> str:
    """Return a record in the kernel's column layout."""
    lines = [header]
    for name in names:
        if name == "VmFlags":
            lines.append("VmFlags: rd mr mw me ")
        elif name in ("THPeligible", "ProtectionKey"):
            lines.append(f"{name + ':':16}{1:8}")
        else:
            lines.append(
                f"{name + ': ':16}".ljust(16)
                + f"{VALUES.get(name, 0)} kB".rjust(27 - max(16, len(name) + 2))
            )
    return "\n".join([*lines, ""])


def text(kernel: str) -> str:
    """Return two records, one with a name and one without."""
    names = FIELDS[kernel].split()
    return record(names) + record(names, NAMELESS).replace(
        "Size:                352", "Size:                  4"
    )
