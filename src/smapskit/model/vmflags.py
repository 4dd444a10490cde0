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
    "pf": "pages by frame number alone, without the kernel's accounts (a driver's)",
    "lo": "locked in memory",
    "io": "memory-mapped I/O",
    "sr": "will be read in order, by madvise",
    "rr": "will be read at random, by madvise",
    "dc": "not copied on fork",
    "de": "not expanded by mremap",
    "ac": "accountable: counts against the commit limit",
    "nr": "swap space is not reserved for it",
    "ht": "pages of the hugetlb pool",
    "ar": "a flag of the architecture's",
    "dd": "left out of core dumps",
    "sd": "soft-dirty: written to since the mark was cleared",
    "mm": "mixed: some of its pages by frame number alone",
    "hg": "huge pages advised, by madvise",
    "nh": "huge pages advised against",
    "mg": "may be merged by kernel samepage merging",
    "sf": "page faults are synchronous (DAX)",
    "wf": "wiped on fork",
    "um": "userfaultfd watches for missing pages",
    "uw": "userfaultfd watches for writes to protected pages",
    "ui": "userfaultfd watches for minor faults",
    "bt": "arm64: branch targets are guarded",
    "mt": "arm64: memory tags are checked",
    "ss": "a shadow stack",
    "sl": "sealed: its range and permissions can't be changed",
    "lf": "locked page by page when they are touched",
    "dp": "may be dropped under memory pressure",
    "gu": "may hold guard regions",
    "nl": "non-linear (until kernel 3.19)",
    "mp": "guarded by MPX (until kernel 5.5)",
    "dw": "writes to the mapped file are disabled (older kernels)",
    "??": "a bit that the kernel has no code for",
}
"""
What each code means, in the kernel's order; those that are gone come last.

Never a closed list: tomorrow's kernel has another, which a record's `vm_flags` keeps as it is.
"""
