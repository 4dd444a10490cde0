"""
Classification of a mapping by backing (where its pages come from) and by sharing.

`NAME_RULES` is the one table of what a mapping's name implies; the documentation prints it.
`backing_of` adds what follows from flags and page size. Sharing is the fourth permission
character, nothing else.
"""

from __future__ import annotations

import enum
import functools
import re
from collections.abc import Collection
from typing import Any, NamedTuple

DELETED = " (deleted)"
PMAP_ANON = "[ anon ]"
"""The word that pmap prints for every mapping without a path."""
PMAP_STACK = "[ stack ]"
"""The word that pmap prints for the main thread's stack."""
PMAP_SHM = "[ shmid="
"""How pmap's word for System V shared memory begins."""
PMAP_ZERO = "zero (deleted)"
"""The last part of /dev/zero (deleted), the kernel's name for shared anonymous memory."""

# procps translates its words. Some translations are padded with blanks.
_ANON = r"\[ *(anon|anôn|анон|匿名|vô danh) *\]"
_STACK = r"\[ +(stack|pilha|pile|pila|stos|стек|栈|ngăn xếp|stivă) *\]"

# Page sizes up to this are base pages of some architecture (4, 8, 16, 64, 256 kB).
_LARGEST_BASE_PAGE_KB = 256


class Backing(enum.StrEnum):
    """
    Where the pages of a mapping come from.

    The kernel counts similar classes in /proc/PID/status: RssAnon, RssFile, RssShmem.
    """

    ANONYMOUS = "anonymous"
    """No file: heap, stack, [anon:NAME], or no name. Paged out to swap."""
    FILE = "file"
    """A file. Clean pages are dropped, dirty shared pages are written back to the file."""
    SHMEM = "shmem"
    """Memory of the kernel's tmpfs: memfd, System V, /dev/shm. Paged out to swap."""
    DEVICE = "device"
    """Memory of a driver: device files, DMA buffers, rings shared with the kernel."""
    HUGETLB = "hugetlb"
    """Pages of the hugetlb pool. Never paged out, not counted in Rss or its parts."""
    SPECIAL = "special"
    """Pages that the kernel itself maps: vdso, vvar, vsyscall and similar."""


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
    """One row of NAME_RULES. The first row whose pattern and conditions match decides."""

    pattern: str
    """Regular expression that the whole name must match."""
    backing: Backing | None
    """None where the name does not determine the backing."""
    example: str
    reason: str
    only_major_0: bool = False
    """Match only on a device of major number 0 (the kernel's own mounts) or an unknown one."""
    shared: bool | None = None
    """Match only mappings with permission `s` (True) or `p` (False)."""
    writable: bool | None = None
    """Match only mappings with (True) or without (False) permission `w`."""


NAME_RULES = (
    NameRule(r"", Backing.ANONYMOUS, "(no name)", "anonymous memory"),
    NameRule(r"\[heap\]", Backing.ANONYMOUS, "[heap]", "the program break"),
    NameRule(
        r"\[stack(:\d+)?\]",
        Backing.ANONYMOUS,
        "[stack], [stack:1234]",
        "the main thread's stack; kernels 3.4 to 4.4 name the stacks of other threads too",
    ),
    NameRule(
        r"\[anon:.*\]", Backing.ANONYMOUS, "[anon:NAME]", "named by prctl(PR_SET_VMA_ANON_NAME)"
    ),
    NameRule(
        r"\[anon_shmem:.*\]",
        Backing.SHMEM,
        "[anon_shmem:NAME]",
        "shared anonymous memory, named by prctl (6.2 and later)",
    ),
    NameRule(
        _ANON,
        Backing.ANONYMOUS,
        "[ anon ], [anon], [ анон ]",
        "pmap's word for any mapping without a path, of toybox, and in another language; the vdso "
        "and similar pages are never writable, and a driver's pages without a path are shared",
        shared=False,
        writable=True,
    ),
    NameRule(
        _STACK,
        Backing.ANONYMOUS,
        "[ stack ], [ pilha ]",
        "pmap's word for the stack, and in another language",
    ),
    NameRule(
        r"\[ shmid=.*", Backing.SHMEM, "[ shmid=0x2a ]", "pmap's word for System V shared memory"
    ),
    NameRule(
        rf"\[ .*|{_ANON}",
        None,
        "[ anon ], [anon], [ mot ]",
        "pmap's word for a read-only or shared mapping without a path: the vdso as well; any "
        "unknown word of pmap",
    ),
    NameRule(
        r"\[.*\]",
        Backing.SPECIAL,
        "[vdso], [vvar], [vvar_vclock], [vsyscall], [uprobes], [sigpage], [vectors]",
        "mapped by the kernel or the architecture; any other name in brackets too",
    ),
    NameRule(
        r"/dev/zero( \(deleted\))?",
        Backing.SHMEM,
        "/dev/zero (deleted)",
        "the kernel's name for MAP_SHARED|MAP_ANONYMOUS",
        shared=True,
    ),
    NameRule(
        r"/dev/zero( \(deleted\))?",
        Backing.ANONYMOUS,
        "/dev/zero",
        "a private mapping of /dev/zero is anonymous memory",
        shared=False,
    ),
    NameRule(
        re.escape(PMAP_ZERO),
        Backing.SHMEM,
        PMAP_ZERO,
        "the last part of a path in a pmap row: /dev/zero (deleted) in practice; noted",
        shared=True,
    ),
    NameRule(
        r"zero( \(deleted\))?",
        None,
        "zero, zero (deleted)",
        "the last part of a path in a pmap row: /dev/zero or any file called zero",
    ),
    NameRule(
        r"/?memfd:.*", Backing.SHMEM, "/memfd:NAME (deleted)", "memfd_create", only_major_0=True
    ),
    NameRule(
        r"/?SYSV[0-9a-f]{8}( |\\040|$).*",
        Backing.SHMEM,
        "/SYSV0000002a (deleted)",
        "System V shared memory; the inode is the shmid",
        only_major_0=True,
    ),
    NameRule(
        r"/dev/shm/.*", Backing.SHMEM, "/dev/shm/NAME", "POSIX shared memory", only_major_0=True
    ),
    NameRule(r"/dev/ashmem/.*", Backing.SHMEM, "/dev/ashmem/NAME", "Android's ashmem"),
    NameRule(
        r"/dev/ashmem|(/dev/)?ashmem \(deleted\)",
        Backing.SHMEM,
        "/dev/ashmem, /dev/ashmem (deleted)",
        "Android's ashmem, without a name",
    ),
    NameRule(
        r"/dev/__properties__(/.*| \(deleted\))?|__properties__ \(deleted\)",
        Backing.SHMEM,
        "/dev/__properties__/NAME, /dev/__properties__ (deleted)",
        "Android's property files, on a tmpfs",
    ),
    NameRule(
        r"/?drm mm object.*|/?i915 \(deleted\)",
        Backing.SHMEM,
        "/drm mm object (deleted), /i915 (deleted)",
        "graphics memory, in a tmpfs of the kernel",
        only_major_0=True,
    ),
    NameRule(
        r"/anon_hugepage.*|anon_hugepage \(deleted\)",
        Backing.HUGETLB,
        "/anon_hugepage (deleted)",
        "MAP_ANONYMOUS|MAP_HUGETLB",
        only_major_0=True,
    ),
    NameRule(r"/dev/hugepages/.*", Backing.HUGETLB, "/dev/hugepages/NAME", "a hugetlbfs mount"),
    NameRule(
        r"(.*/)?rtemap_\d+",
        Backing.HUGETLB,
        "/mnt/huge/rtemap_12",
        "memory of DPDK, on a hugetlbfs mount",
        only_major_0=True,
    ),
    NameRule(
        r"/\[aio\].*|\[aio\] \(deleted\)|/?anon_inode:\[io_uring\]",
        Backing.SPECIAL,
        "/[aio] (deleted), anon_inode:[io_uring]",
        "a ring of io_setup(2) or io_uring_setup(2), allocated by the kernel",
        only_major_0=True,
    ),
    NameRule(
        r"/?secretmem( |\\040)\(deleted\)",
        Backing.SPECIAL,
        "/secretmem (deleted)",
        "memfd_secret(2): memory that the kernel itself cannot access; never paged out",
        only_major_0=True,
    ),
    NameRule(
        r"/?(anon_inode|socket|pipe|dmabuf):.*",
        Backing.DEVICE,
        "anon_inode:[perf_event], anon_inode:i915.gem, socket:[123], /dmabuf:NAME",
        "a buffer that a driver or the kernel shares with the process",
    ),
    NameRule(r"/dev/(?!shm/).*", Backing.DEVICE, "/dev/dri/card0", "a device file"),
    NameRule(r"/sys/.*", Backing.DEVICE, "/sys/.../resource0", "memory of a PCI device"),
    NameRule(
        r"card\d+|renderD\d+|nvidia(\d+|ctl|-uvm)|kfd",
        None,
        "card0, renderD128, nvidia0, kfd",
        "the last part of a path in a pmap row: a graphics device or any file called so",
    ),
    NameRule(
        r"[^/\[]+\]",
        Backing.ANONYMOUS,
        "boot.art]",
        "the end of [anon:dalvik-/system/framework/boot.art], which pmap cuts at the last slash",
        only_major_0=True,
        shared=False,
    ),
    NameRule(
        r"[^/\[]+\]",
        None,
        "boot.art]",
        "the end of a name in brackets, which pmap cuts at the last slash",
        only_major_0=True,
    ),
    NameRule(r".*", Backing.FILE, "/usr/lib/libc.so.6", "any other path"),
)
"""What each kind of name implies for the backing; the first row that matches decides."""


@functools.cache
def _rules() -> tuple[tuple[re.Pattern[str], NameRule], ...]:
    # Compiled when they are first needed, which takes 3 ms: many tables have no backing.
    return tuple((re.compile(rule.pattern, re.DOTALL), rule) for rule in NAME_RULES)


def sharing_of(shared: bool) -> Sharing:
    """Return the class of the fourth permission character: SHARED for `s`."""
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
    Determine where the pages of a mapping come from.

    Args:
        name: the name as its source gives it, "" for none.
        shared: permission `s`.
        writable: permission `w`.
        device_major: None where the source does not report it.
        vm_flags: two-letter codes of VmFlags, None where the source does not report them.
        kernel_page_size: kB, None where the source does not report it.

    Returns:
        None where the source cannot tell: pmap prints `[ anon ]` for the vdso too.
    """
    is_hugetlb = _is_hugetlb(vm_flags, kernel_page_size)
    if is_hugetlb:
        return Backing.HUGETLB
    if name.startswith("/") and vm_flags and ("io" in vm_flags or "pf" in vm_flags):
        return Backing.DEVICE
    return _backing_of_name(name, not device_major, shared, writable, is_hugetlb is None)


def backing_of_key(key: tuple[Any, ...]) -> Backing | None:
    """
    Determine the backing of mappings from the values on which it depends.

    These are the name, the four characters of the permissions, the device, the flags and the
    page size, as in `Columns.classification_keys`.
    """
    name, perms, device, flags, page_size = key
    return backing_of(
        name,
        shared=perms[3] == "s",
        writable=perms[1] == "w",
        device_major=None if device is None else int(device.partition(":")[0], 16),
        vm_flags=flags,
        kernel_page_size=page_size,
    )


def _is_hugetlb(vm_flags: Collection[str] | None, kernel_page_size: int | None) -> bool | None:
    """Return whether the kernel reports pages of the hugetlb pool; None if it does not report."""
    # Flags decide where they are known: the memory of a device (device-dax) may have huge
    # pages too.
    if vm_flags is not None:
        return "ht" in vm_flags
    if kernel_page_size is not None:
        return kernel_page_size > _LARGEST_BASE_PAGE_KB
    return None


@functools.lru_cache(maxsize=4096)
def _backing_of_name(
    name: str, is_major_0: bool, shared: bool, writable: bool, may_be_hugetlb: bool
) -> Backing | None:
    return next(
        rule.backing
        for pattern, rule in _rules()
        if (is_major_0 or not rule.only_major_0)
        and (may_be_hugetlb or rule.backing is not Backing.HUGETLB)
        and rule.shared in (None, shared)
        and rule.writable in (None, writable)
        and pattern.fullmatch(name)
    )


def is_deleted(name: str) -> bool:
    """
    Return whether the name ends in the kernel's suffix for an unlinked file.

    The suffix is not proof: a file may really be called `x (deleted)`.
    """
    return name.endswith((DELETED, r"\040(deleted)"))
