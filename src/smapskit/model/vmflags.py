"""The two-letter codes of VmFlags, as the kernel's show_smap_vma_flags writes them."""

from __future__ import annotations

from typing import Final

VM_FLAGS: Final = {
    "rd": "readable",
    "wr": "writable",
    "ex": "executable",
    "sh": "shared",
    "mr": "may be made readable",
    "mw": "may be made writable",
    "me": "may be made executable",
    "ms": "may be made shared",
    "gd": "a stack: grows down",
    "pf": "pure page frame numbers: pages of a driver that the kernel does not account for",
    "lo": "locked in memory",
    "io": "memory-mapped I/O",
    "sr": "sequential reads advised by madvise",
    "rr": "random reads advised by madvise",
    "dc": "not copied on fork",
    "de": "not expanded by mremap",
    "ac": "accountable: counts against the commit limit",
    "nr": "swap space is not reserved for it",
    "ht": "pages of the hugetlb pool",
    "ar": "a flag of the architecture",
    "dd": "omitted from core dumps",
    "sd": "soft-dirty: written to since the mark was cleared",
    "mm": "mixed map: some pages are pure page frame numbers",
    "hg": "huge pages advised by madvise",
    "nh": "huge pages advised against by madvise",
    "mg": "may be merged by kernel samepage merging",
    "sf": "page faults are synchronous (DAX)",
    "wf": "wiped on fork",
    "um": "userfaultfd reports missing pages",
    "uw": "userfaultfd reports writes to protected pages",
    "ui": "userfaultfd reports minor faults",
    "bt": "arm64: branch targets are guarded",
    "mt": "arm64: memory tags are checked",
    "ss": "a shadow stack",
    "sl": "sealed: its range and permissions can't be changed",
    "lf": "locked page by page on access",
    "dp": "may be dropped under memory pressure",
    "gu": "may contain guard regions",
    "nl": "non-linear (until kernel 3.19)",
    "mp": "guarded by MPX (until kernel 5.5)",
    "dw": "writes to the mapped file are disabled (older kernels)",
    "??": "a bit without a code in this kernel",
}
"""
The meaning of each code, in the kernel's order; codes of older kernels come last.

Later kernels have further codes; `Mapping.vm_flags` keeps them as they are.
"""
