"""
The two axes on which a mapping is classed, and the one rule that leads to them.

*Backing* says where a mapping's pages come from and where page-out can put them; it
follows from the name, the device, the flags and the page size that smaps shows. *Sharing*
is the fourth permission character, nothing else.

The table `NAME_RULES` is the whole knowledge about names; the documentation prints it.
"""

from __future__ import annotations

import enum
import functools
import re
from collections.abc import Collection
from typing import NamedTuple

DELETED = " (deleted)"
# Page sizes up to this are base pages of some architecture (4, 8, 16, 64, 256 kB).
_LARGEST_BASE_PAGE_KB = 256


class Backing(enum.StrEnum):
    """
    Where the pages of a mapping come from.

    The kernel's own accounts in /proc/PID/status are close by: RssAnon, RssFile, RssShmem.
    """

    ANONYMOUS = "anonymous"
    """No file: heap, stack, [anon:NAME], or no name. Page-out writes it to swap."""
    FILE = "file"
    """A file: page-out drops clean pages and writes dirty shared ones to the file."""
    SHMEM = "shmem"
    """Kernel-internal or mounted tmpfs memory: memfd, System V, /dev/shm. Swap only."""
    DEVICE = "device"
    """Memory of a driver: device files, DMA buffers, rings shared with the kernel."""
    HUGETLB = "hugetlb"
    """Pages of the hugetlb pool; never paged out, in none of Rss and its parts."""
    SPECIAL = "special"
    """Pages that the kernel itself puts there: vdso, vvar, vsyscall and the like."""


class Sharing(enum.StrEnum):
    """
    How a mapping was made: the permission bit, not whether its pages are shared now.

    Resident pages that several processes map are counted in Shared_Clean and Shared_Dirty.
    """

    SHARED = "shared"
    """`s`: MAP_SHARED."""
    PRIVATE = "private"
    """`p`: MAP_PRIVATE, copied on write."""


class NameRule(NamedTuple):
    """One row of the table of names: what a name that matches is backed by."""

    pattern: str
    backing: Backing
    example: str
    why: str
    kernel_internal: bool = False
    """True for a name that only counts on a device of major 0: elsewhere it is a file."""


NAME_RULES = (
    NameRule(r"", Backing.ANONYMOUS, "(no name)", "anonymous memory"),
    NameRule(r"\[heap\]", Backing.ANONYMOUS, "[heap]", "the program break"),
    NameRule(
        r"\[stack(:\d+)?\]",
        Backing.ANONYMOUS,
        "[stack], [stack:1234]",
        "the main thread's stack; kernels 3.4 to 4.4 name those of the others as well",
    ),
    NameRule(
        r"\[anon:.*\]", Backing.ANONYMOUS, "[anon:NAME]", "named by prctl(PR_SET_VMA_ANON_NAME)"
    ),
    NameRule(
        r"\[anon_shmem:.*\]", Backing.SHMEM, "[anon_shmem:NAME]", "a shared one, so named (6.2+)"
    ),
    NameRule(
        r"\[.*\]",
        Backing.SPECIAL,
        "[vdso], [vvar], [vvar_vclock], [vsyscall], [uprobes], [sigpage], [vectors]",
        "put there by the kernel or the architecture; any other name in brackets as well",
    ),
    NameRule(r"/?memfd:.*", Backing.SHMEM, "/memfd:NAME (deleted)", "memfd_create", True),
    NameRule(
        r"/?SYSV[0-9a-f]{8}( |\\040|$).*",
        Backing.SHMEM,
        "/SYSV0000002a (deleted)",
        "System V shared memory; the inode is the shmid",
        True,
    ),
    NameRule(r"/dev/shm/.*", Backing.SHMEM, "/dev/shm/NAME", "POSIX shared memory", True),
    NameRule(r"/dev/ashmem/.*", Backing.SHMEM, "/dev/ashmem/NAME", "Android's ashmem"),
    NameRule(r"/dev/ashmem", Backing.SHMEM, "/dev/ashmem", "Android's ashmem, no name given"),
    NameRule(
        r"/dev/__properties__/.*",
        Backing.SHMEM,
        "/dev/__properties__/NAME",
        "Android's property files, on a tmpfs",
    ),
    NameRule(
        r"/drm mm object.*", Backing.SHMEM, "/drm mm object (deleted)", "graphics memory", True
    ),
    NameRule(
        r"/anon_hugepage.*",
        Backing.HUGETLB,
        "/anon_hugepage (deleted)",
        "MAP_ANONYMOUS|MAP_HUGETLB",
        True,
    ),
    NameRule(r"/dev/hugepages/.*", Backing.HUGETLB, "/dev/hugepages/NAME", "a hugetlbfs mount"),
    NameRule(
        r"/\[aio\].*",
        Backing.SPECIAL,
        "/[aio] (deleted)",
        "a ring of io_setup(2), pinned by the kernel",
        True,
    ),
    NameRule(
        r"/?(anon_inode|socket|pipe|dmabuf):.*",
        Backing.DEVICE,
        "anon_inode:[perf_event], anon_inode:i915.gem, socket:[123], /dmabuf:NAME",
        "a buffer that a driver or the kernel shares with the process",
    ),
    NameRule(r"/dev/(?!shm/).*", Backing.DEVICE, "/dev/dri/card0", "a device file"),
    NameRule(r"/sys/.*", Backing.DEVICE, "/sys/.../resource0", "a PCI device's memory"),
    NameRule(r".*", Backing.FILE, "/usr/lib/libc.so.6", "any other path"),
)

_RULES = tuple((re.compile(rule.pattern, re.DOTALL), rule) for rule in NAME_RULES)

# pmap writes one word for all that has no path, so the word alone is not enough.
PMAP_ANON = "[ anon ]"
PMAP_STACK = "[ stack ]"
PMAP_SHM = "[ shmid="


def sharing_of(shared: bool) -> Sharing:
    """The class that the fourth permission character stands for."""
    return Sharing.SHARED if shared else Sharing.PRIVATE


def backing_of(
    name: str,
    *,
    shared: bool,
    writable: bool,
    device_major: int | None = None,
    vm_flags: Collection[str] | None = None,
    kernel_page_size: int | None = None,
) -> Backing | None:
    """
    Where the pages of a mapping come from.

    Args:
        name: the name as its source gives it, "" for none.
        shared: the permission `s`.
        writable: the permission `w`.
        device_major: None where the source does not say.
        vm_flags: two-letter codes, None where the source does not say.
        kernel_page_size: kB, None where the source does not say.

    Returns:
        None where the source can't tell: pmap's `[ anon ]` stands for the vdso as well.
    """
    if _is_hugetlb(vm_flags, kernel_page_size):
        return Backing.HUGETLB
    if name.startswith("/") and vm_flags and ("io" in vm_flags or "pf" in vm_flags):
        return Backing.DEVICE
    if name.startswith("[ "):
        return _backing_of_pmap_word(name, shared=shared, writable=writable)
    if name in ("/dev/zero", "/dev/zero" + DELETED):
        # Shared, it is how the kernel calls MAP_SHARED|MAP_ANONYMOUS; private, plain memory.
        return Backing.SHMEM if shared else Backing.ANONYMOUS
    if name in ("zero", "zero" + DELETED):
        return None  # the last part of a path, in a pmap row: any file may be called so
    return _backing_of_name(name, not device_major)


def _is_hugetlb(vm_flags: Collection[str] | None, kernel_page_size: int | None) -> bool:
    # Where there are flags they decide: a device's memory (device-dax) has huge pages too.
    if vm_flags is not None:
        return "ht" in vm_flags
    return kernel_page_size is not None and kernel_page_size > _LARGEST_BASE_PAGE_KB


@functools.lru_cache(maxsize=4096)
def _backing_of_name(name: str, kernel_internal: bool) -> Backing:
    return next(
        rule.backing
        for pattern, rule in _RULES
        if (kernel_internal or not rule.kernel_internal) and pattern.fullmatch(name)
    )


def _backing_of_pmap_word(word: str, *, shared: bool, writable: bool) -> Backing | None:
    if word == PMAP_STACK:
        return Backing.ANONYMOUS
    if word.startswith(PMAP_SHM):
        return Backing.SHMEM
    # The vdso and its kin are never writable, what a driver lends without a path is shared.
    return Backing.ANONYMOUS if word == PMAP_ANON and writable and not shared else None


def is_deleted(name: str) -> bool:
    """
    Whether the name ends in the kernel's word for a file that was unlinked.

    It is the kernel's word, not proof: a file may really be called `x (deleted)`.
    """
    return name.endswith((DELETED, r"\040(deleted)"))
