"""
Kinds: whose memory a mapping is, such as heap, thread stack, code or shared memory.

`KIND_RULES` is the one table of what a name, the permissions, and the place among the neighbours
imply; the documentation prints it. A verdict says how it is known (`KindSource`): only the kernel
gives a name such as `[heap]`, but any process can choose the name in `[anon:NAME]`.

The rules are evaluated over columns, for records too: conditions on name and permissions once
per distinct combination, conditions on addresses for all mappings at once (see `places`).
"""

from __future__ import annotations

import enum
import functools
import itertools
import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import attrs

from smapskit.model.backing import DELETED, Backing
from smapskit.model.columns import Cache, Columns
from smapskit.model.mapping import Mapping, to_columns
from smapskit.model.places import Places, kernel_name

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]


class MappingKind(enum.StrEnum):
    """Whose memory a mapping is, or what it is used for."""

    MAIN_HEAP = "main heap"
    """Small blocks of malloc, mostly of the main thread; it grows at its end (brk(2))."""
    MALLOC_ARENA = "malloc arena"
    """A heap of glibc's malloc for other threads. A row is a heap; an arena may have several."""
    MALLOC_CHUNK = "malloc chunk"
    """Large blocks (128 KiB or more) that glibc's malloc or the program itself mapped."""
    ALLOCATOR = "allocator heap"
    """Heap of another malloc, such as jemalloc, tcmalloc or mimalloc; `owner` names it."""
    MAIN_STACK = "main stack"
    """The stack of the main thread."""
    THREAD_STACK = "thread stack"
    """The stack of another thread or of a fiber."""
    SIGNAL_STACK = "signal stack"
    """A small stack on which signal handlers run, see sigaltstack(2)."""
    CODE = "code"
    """Executable memory of programs and libraries."""
    PROGRAM_DATA = "program data"
    """Constants and initialized variables of programs and libraries (.rodata, .data)."""
    BSS = "bss"
    """Variables of programs and libraries that are zero at the start (the section .bss)."""
    JIT_CODE = "JIT code"
    """Machine code that the process generated while it ran (just in time)."""
    JVM_HEAP = "JVM heap"
    """Java objects."""
    JVM_OTHER = "JVM other"
    """Memory of the JVM itself: metaspace, class data, tables of the garbage collector."""
    GO_HEAP = "Go heap"
    """Objects and stacks of goroutines."""
    GO_RUNTIME = "Go runtime"
    """Tables of Go's allocator and garbage collector."""
    JAVASCRIPT_HEAP = "JavaScript heap"
    """JavaScript objects, of V8 or SpiderMonkey."""
    RUNTIME_HEAP = "runtime heap"
    """Objects of another runtime: CPython, Ruby, .NET, BEAM, ART; `owner` names it."""
    SHARED_MEMORY = "shared memory"
    """Memory for several processes: memfd, System V, POSIX, MAP_SHARED|MAP_ANONYMOUS."""
    MAPPED_FILE = "mapped file"
    """A file that is not a program or library: pages of the page cache."""
    HUGE_PAGES = "huge pages"
    """Huge pages that the administrator set aside (the hugetlb pool)."""
    DEVICE_MEMORY = "device memory"
    """Memory of a driver, such as of a GPU."""
    GUEST_MEMORY = "guest memory"
    """Memory of a virtual machine."""
    SHADOW_MEMORY = "sanitizer shadow"
    """Tables of AddressSanitizer and similar: which memory may be accessed."""
    KERNEL = "kernel"
    """Pages that the kernel provides: vdso, vvar, vsyscall."""
    NAMED = "named anonymous"
    """Anonymous memory with a name that no rule knows."""
    OTHER_ANONYMOUS = "other anonymous"
    """Anonymous memory that no rule explains."""
    GUARD = "guard"
    """A few pages without permissions: an overflow into them ends the process."""
    RESERVED = "reserved"
    """Address space without permissions, kept for later. It uses no memory."""
    UNKNOWN = "unknown"
    """Not known from this source: pmap prints the vdso and anonymous memory alike."""


class KindSource(enum.StrEnum):
    """How a kind is known, the most certain first."""

    KERNEL = "kernel"
    """Name, permissions or backing that only the kernel determines."""
    NAME = "name"
    """A name that a process chose. Any process can choose any name."""
    POSITION = "position"
    """Address, size and neighbours."""
    GUESS = "guess"
    """The programs and libraries of the process make it likely."""


class KindRule(NamedTuple):
    """One row of KIND_RULES. The first row all of whose conditions hold decides."""

    kind: MappingKind
    source: KindSource
    example: str
    reason: str
    owner: str = ""
    """The library or runtime, where the kind alone does not tell."""
    pattern: str | None = None
    """Regular expression that the whole name must match; None for any name."""
    backing: Backing | None = None
    """Match only this backing."""
    executable: bool | None = None
    """Match only mappings with (True) or without (False) permission `x`."""
    program: str | None = None
    """Match only if the path or base name of an executable file of the process matches."""
    same_file_is_code: bool = False
    """Match only files that are also mapped with permission `x`."""
    where: Callable[[Places], Mask] | None = None
    """
    A condition on addresses, sizes and neighbours.

    A row with one matches only private anonymous memory without a name.
    """


@attrs.frozen
class KindVerdict:
    """The kind of a mapping and how it is known."""

    kind: MappingKind
    source: KindSource
    owner: str
    """The library or runtime: "glibc", "HotSpot", "jemalloc"; "" where the kind tells it."""
    name: str
    """The mapping's name without thread ids, addresses and numbers, so that names group."""
    reason: str


# ---- the rules ---------------------------------------------------------------------------

_ANON: Final = r"\[anon: ?"
_JVM: Final = r"libjvm\.so|libj9vm\d+\.so"
_CHROMIUM: Final = r"chrom(e|ium)|electron|headless_shell|msedge|brave"
_V8: Final = rf"node(js)?|libnode\.so[.\d]*|deno|d8|{_CHROMIUM}"
_FIREFOX: Final = r"libxul\.so"
_TSAN: Final = r"lib(clang_rt\.)?tsan.*\.so[.\d]*"
_WINE: Final = r"wine(64)?(-preloader)?|ntdll\.so"
_GLIBC: Final = r"libc\.so\.6|libc-2\.\d+\.so"


_ALLOCATORS: Final = (
    ("jemalloc", r"libjemalloc\.so[.\d]*|redis-server|valkey-server", "libjemalloc.so.2"),
    ("tcmalloc", r"libtcmalloc.*\.so[.\d]*", "libtcmalloc.so.4"),
    ("mimalloc", r"libmimalloc.*\.so[.\d]*", "libmimalloc.so.2"),
    ("AddressSanitizer", r"lib(clang_rt\.)?asan.*\.so[.\d]*", "libasan.so.8"),
    ("ThreadSanitizer", _TSAN, "libtsan.so.2"),
    ("musl", r"ld-musl-.*\.so\.1|.*-linux-musl/libc\.so", "ld-musl-x86_64.so.1"),
)
"""Owner, pattern of the files that show it, and an example."""
_RUNTIMES: Final = (
    (".NET", r"libcoreclr\.so", "libcoreclr.so"),
    ("BEAM", r"beam(\.smp)?", "beam.smp"),
    ("Ruby", r"ruby[\d.]*|libruby[-\d.]*\.so[.\d]*", "libruby-3.1.so.3.1"),
    ("Mono", r"mono(-sgen)?|libmono.*\.so[.\d]*", "mono-sgen"),
    ("PyPy", r"pypy[\d.]*(-c)?|libpypy.*\.so[.\d]*", "libpypy3.9-c.so"),
    ("LuaJIT", r"luajit.*|libluajit.*\.so[.\d]*", "luajit"),
)
"""Owner, pattern of the files that show it, and an example."""


def _named(kind: MappingKind, pattern: str, example: str, reason: str, owner: str = "") -> KindRule:
    """Return the rule for a name that a process chooses with prctl(PR_SET_VMA_ANON_NAME)."""
    return KindRule(
        kind,
        KindSource.NAME,
        example,
        reason,
        owner,
        pattern=_ANON + pattern + r"\]",
        backing=Backing.ANONYMOUS,
    )


KIND_RULES: Final = (
    # Names that only the kernel gives, and what it knows about backing and permissions.
    KindRule(
        MappingKind.MAIN_HEAP,
        KindSource.KERNEL,
        "[heap]",
        "the program break",
        pattern=r"\[heap\]",
        backing=Backing.ANONYMOUS,
    ),
    KindRule(
        MappingKind.MAIN_STACK,
        KindSource.KERNEL,
        "[stack]",
        "the stack of the main thread",
        pattern=r"\[stack\]",
        backing=Backing.ANONYMOUS,
    ),
    KindRule(
        MappingKind.THREAD_STACK,
        KindSource.KERNEL,
        "[stack:1234]",
        "the stack of a thread, as kernels 3.4 to 4.4 name it",
        pattern=r"\[stack:\d+\]",
        backing=Backing.ANONYMOUS,
    ),
    KindRule(
        MappingKind.HUGE_PAGES,
        KindSource.KERNEL,
        "/anon_hugepage (deleted)",
        "pages of the hugetlb pool",
        backing=Backing.HUGETLB,
    ),
    KindRule(
        MappingKind.KERNEL,
        KindSource.KERNEL,
        "[vdso], [vvar], [vsyscall]",
        "pages that the kernel provides",
        backing=Backing.SPECIAL,
    ),
    KindRule(
        MappingKind.DEVICE_MEMORY,
        KindSource.KERNEL,
        "/dev/nvidia0, /dev/nvidiactl, /dev/nvidia-uvm",
        "memory of a graphics processor",
        "NVIDIA",
        pattern=r"/dev/nvidia.*",
        backing=Backing.DEVICE,
    ),
    KindRule(
        MappingKind.DEVICE_MEMORY,
        KindSource.KERNEL,
        "/dev/dri/card0, anon_inode:i915.gem",
        "memory of a graphics processor",
        "DRM",
        pattern=r"/dev/(dri/|kfd|mali|kgsl).*|/?anon_inode:(i915|amdgpu|xe|\[?drm).*",
        backing=Backing.DEVICE,
    ),
    KindRule(
        MappingKind.DEVICE_MEMORY,
        KindSource.KERNEL,
        "/dev/mem, anon_inode:[perf_event], /dmabuf:NAME",
        "memory of a driver",
        backing=Backing.DEVICE,
    ),
    # Names that a process chooses.
    _named(
        MappingKind.MALLOC_ARENA,
        "glibc: malloc arena",
        "[anon: glibc: malloc arena]",
        "named by glibc with the tunable decorate_maps",
        "glibc",
    ),
    _named(
        MappingKind.MALLOC_CHUNK,
        "glibc: (loader )?malloc",
        "[anon: glibc: malloc]",
        "named by glibc with the tunable decorate_maps",
        "glibc",
    ),
    _named(
        MappingKind.THREAD_STACK,
        r"(glibc: (pthread (user )?|unused )stack|stack_and_tls|kj_fiber_stack)(:.*)?",
        "[anon: glibc: pthread stack: 1234], [anon:stack_and_tls:1234]",
        "named by glibc, Android's libc or a library",
    ),
    _named(
        MappingKind.GO_HEAP,
        "Go: heap",
        "[anon: Go: heap]",
        "named by Go 1.25 and later",
    ),
    _named(
        MappingKind.RESERVED,
        "Go: heap reservation",
        "[anon: Go: heap reservation]",
        "named by Go 1.25 and later",
        "Go",
    ),
    _named(
        MappingKind.GO_RUNTIME,
        "Go: .*",
        "[anon: Go: gc bits], [anon: Go: page alloc]",
        "named by Go 1.25 and later",
    ),
    _named(
        MappingKind.ALLOCATOR,
        "(tcmalloc|absl).*",
        "[anon:tcmalloc_region_NORMAL]",
        "named by tcmalloc",
        "tcmalloc",
    ),
    _named(
        MappingKind.ALLOCATOR,
        "jemalloc.*",
        "[anon:jemalloc_pg]",
        "named by jemalloc",
        "jemalloc",
    ),
    _named(MappingKind.ALLOCATOR, "mimalloc.*", "[anon:mimalloc]", "named by mimalloc", "mimalloc"),
    _named(
        MappingKind.ALLOCATOR,
        "(scudo|GWP-ASan|libc_malloc).*",
        "[anon:scudo:primary], [anon:libc_malloc]",
        "named by the allocator of Android",
        "scudo",
    ),
    _named(MappingKind.BSS, r"\.bss", "[anon:.bss]", "named by Android's loader"),
    _named(
        MappingKind.JIT_CODE,
        "dalvik-(jit|zygote-jit)-code-cache.*",
        "[anon:dalvik-jit-code-cache]",
        "named by Android's runtime",
        "ART",
    ),
    _named(
        MappingKind.RUNTIME_HEAP,
        "dalvik-.*",
        "[anon:dalvik-main space]",
        "named by Android's runtime",
        "ART",
    ),
    _named(MappingKind.RUNTIME_HEAP, "OCaml.*", "[anon:OCaml: heap]", "named by OCaml", "OCaml"),
    _named(MappingKind.JAVASCRIPT_HEAP, "v8.*", "[anon:v8]", "named by V8", "V8"),
    _named(
        MappingKind.GUEST_MEMORY,
        "(guest-ram|guest_mem).*",
        "[anon:guest-ram]",
        "named by a virtual machine monitor",
    ),
    KindRule(
        MappingKind.NAMED,
        KindSource.NAME,
        "[anon:NAME]",
        "any other name that a process chose",
        pattern=r"\[anon:.*\]",
        backing=Backing.ANONYMOUS,
        executable=False,
    ),
    KindRule(
        MappingKind.JIT_CODE,
        KindSource.NAME,
        "/memfd:doublemapper (deleted)",
        "named by .NET: generated code, mapped twice",
        ".NET",
        pattern=r"/?memfd:doublemapper.*",
        backing=Backing.SHMEM,
    ),
    KindRule(
        MappingKind.JIT_CODE,
        KindSource.NAME,
        "/memfd:vmem (deleted)",
        "named by the library AsmJit of BEAM: generated code, mapped twice",
        "BEAM",
        pattern=r"/?memfd:vmem.*",
        backing=Backing.SHMEM,
    ),
    KindRule(
        MappingKind.JIT_CODE,
        KindSource.NAME,
        "/memfd:jit-cache (deleted), /memfd:jit-zygote-cache (deleted)",
        "named by Android's runtime: generated code",
        "ART",
        pattern=r"/?memfd:jit-.*",
        backing=Backing.SHMEM,
    ),
    KindRule(
        MappingKind.JVM_HEAP,
        KindSource.NAME,
        "/memfd:java_heap (deleted)",
        "named by HotSpot's Z garbage collector",
        "HotSpot",
        pattern=r"/?memfd:java_heap.*",
        backing=Backing.SHMEM,
    ),
    KindRule(
        MappingKind.GUEST_MEMORY,
        KindSource.NAME,
        "/memfd:memory-backend-memfd (deleted)",
        "named by qemu or another virtual machine monitor",
        pattern=r"/?memfd:(memory-backend-|guest|pc\.ram|mach-virt\.ram).*",
        backing=Backing.SHMEM,
    ),
    KindRule(
        MappingKind.JVM_OTHER,
        KindSource.NAME,
        "/usr/lib/jvm/.../classes.jsa",
        "an archive of class data",
        pattern=r".*\.jsa",
        backing=Backing.FILE,
    ),
    # Files and shared memory.
    KindRule(
        MappingKind.JIT_CODE,
        KindSource.POSITION,
        "r-xs /memfd:NAME (deleted)",
        "executable shared memory",
        backing=Backing.SHMEM,
        executable=True,
    ),
    KindRule(
        MappingKind.SHARED_MEMORY,
        KindSource.KERNEL,
        "/dev/zero (deleted), /SYSV0000002a (deleted), /dev/shm/NAME",
        "memory of the kernel's tmpfs",
        backing=Backing.SHMEM,
    ),
    KindRule(
        MappingKind.CODE,
        KindSource.KERNEL,
        "r-xp /usr/lib/libc.so.6",
        "a file that is mapped executable",
        backing=Backing.FILE,
        executable=True,
    ),
    KindRule(
        MappingKind.PROGRAM_DATA,
        KindSource.KERNEL,
        "rw-p /usr/lib/libc.so.6",
        "the same file is mapped executable too",
        backing=Backing.FILE,
        same_file_is_code=True,
    ),
    KindRule(
        MappingKind.PROGRAM_DATA,
        KindSource.NAME,
        "r--p /usr/lib/libicudata.so.72.1",
        "the name of a shared library",
        pattern=r".*\.so(\.\d+)*",
        backing=Backing.FILE,
    ),
    KindRule(
        MappingKind.MAPPED_FILE,
        KindSource.KERNEL,
        "/usr/lib/locale/locale-archive",
        "a file that is not mapped executable",
        backing=Backing.FILE,
    ),
    # Anonymous memory without a name, by its place.
    KindRule(
        MappingKind.CODE,
        KindSource.GUESS,
        "241b91000-241baa000 r-xp",
        "far below the libraries, in a process that runs Wine: a part of a Windows program that "
        "could not be mapped",
        "Wine",
        program=_WINE,
        where=lambda places: places.executable & places.far_down,
    ),
    KindRule(
        MappingKind.JIT_CODE,
        KindSource.POSITION,
        "rwxp (no name)",
        "anonymous memory that is executable",
        backing=Backing.ANONYMOUS,
        executable=True,
    ),
    KindRule(
        MappingKind.GO_HEAP,
        KindSource.POSITION,
        "c000000000-c000400000 rw-p",
        "the address at which Go's heap begins",
        where=lambda places: places.go_heap,
    ),
    *(
        KindRule(
            MappingKind.ALLOCATOR,
            KindSource.GUESS,
            f"2 MiB rw-p, flag nr, in a process that maps {file}",
            "not accounted, in a process with this allocator in place of glibc's",
            owner,
            program=program,
            where=lambda places: places.unaccounted,
        )
        for owner, program, file in _ALLOCATORS
        if owner in ("jemalloc", "mimalloc")
    ),
    KindRule(
        MappingKind.MALLOC_ARENA,
        KindSource.POSITION,
        "7f8a40000000-7f8a40021000 rw-p, 65404 kB without permissions after it",
        "64 MiB at a multiple of 64 MiB (1 MiB in 32-bit processes), a part of it writable",
        "glibc",
        where=lambda places: places.arena,
    ),
    KindRule(
        MappingKind.RESERVED,
        KindSource.POSITION,
        "7f8a40021000-7f8a44000000 ---p",
        "the part of a malloc arena that is not used yet",
        "glibc",
        where=lambda places: places.rest_of_arena,
    ),
    KindRule(
        MappingKind.THREAD_STACK,
        KindSource.POSITION,
        "4 kB without permissions, then 8 MiB rw-p",
        "memory after a guard or with guard regions (flag `gu`), that has the flag `nh` of "
        "MAP_STACK (6.7 and later); where no mapping has it, memory of a usual size",
        where=lambda places: places.thread_stack,
    ),
    KindRule(
        MappingKind.SIGNAL_STACK,
        KindSource.POSITION,
        "4 kB without permissions, then 8 kB rw-p, flag nh",
        "as a thread stack, but less than the smallest one, 16 KiB",
        where=lambda places: places.signal_stack,
    ),
    KindRule(
        MappingKind.GUARD,
        KindSource.POSITION,
        "4 kB ---p before a thread stack",
        "the guard of a stack",
        where=lambda places: places.stack_guard,
    ),
    KindRule(
        MappingKind.GUARD,
        KindSource.KERNEL,
        "4 kB ---p",
        "at most 64 kB without permissions",
        where=lambda places: places.guard,
    ),
    KindRule(
        MappingKind.RESERVED,
        KindSource.KERNEL,
        "1 GiB ---p",
        "address space without permissions",
        where=lambda places: places.no_access,
    ),
    KindRule(
        MappingKind.BSS,
        KindSource.POSITION,
        "rw-p (no name) after rw-p /usr/lib/libc.so.6",
        "directly after the writable data of the program, or at most 512 kB after a library's",
        where=lambda places: places.bss,
    ),
    # Runtimes and allocators, by their programs, libraries and addresses.
    KindRule(
        MappingKind.SHADOW_MEMORY,
        KindSource.POSITION,
        "7fff7000-8fff7000 rw-p",
        "the address of AddressSanitizer's shadow memory",
        "AddressSanitizer",
        where=lambda places: places.shadow,
    ),
    KindRule(
        MappingKind.ALLOCATOR,
        KindSource.POSITION,
        "602000000000-602000010000 rw-p",
        "the address of AddressSanitizer's heap",
        "AddressSanitizer",
        where=lambda places: places.sanitizer_heap,
    ),
    KindRule(
        MappingKind.SHADOW_MEMORY,
        KindSource.GUESS,
        "10000000000-94092d44000 rw-p, flag nr",
        "far below the libraries and not accounted, in a process with ThreadSanitizer",
        "ThreadSanitizer",
        program=_TSAN,
        where=lambda places: places.far_down & places.unaccounted,
    ),
    KindRule(
        MappingKind.ALLOCATOR,
        KindSource.GUESS,
        "7b4000000000-7b4001d30000 rw-p",
        "far below the libraries, in a process with ThreadSanitizer",
        "ThreadSanitizer",
        program=_TSAN,
        where=lambda places: places.far_down & places.read_write,
    ),
    KindRule(
        MappingKind.RUNTIME_HEAP,
        KindSource.GUESS,
        "14a0000-1620000 rw-p",
        "far below the libraries, in a process that runs Wine",
        "Wine",
        program=_WINE,
        where=lambda places: places.far_down,
    ),
    KindRule(
        MappingKind.JVM_HEAP,
        KindSource.POSITION,
        "687400000-687c00000 rw-p",
        "below 32 GiB in a process that runs Java",
        program=_JVM,
        where=lambda places: places.below_32_gib,
    ),
    KindRule(
        MappingKind.JVM_OTHER,
        KindSource.GUESS,
        "512 kB rw-p, then 3584 kB ---p",
        "beside reserved address space in a process that runs Java",
        program=_JVM,
        where=lambda places: places.beside_reserved,
    ),
    KindRule(
        MappingKind.GO_HEAP,
        KindSource.POSITION,
        "202e1b400000-202e20800000 rw-p",
        "far below the stack, in a process with the page summaries of Go's allocator",
        where=lambda places: places.go_heap_elsewhere,
    ),
    KindRule(
        MappingKind.GO_RUNTIME,
        KindSource.GUESS,
        "7fd9681be000-7fd968500000 rw-p",
        "other memory of a process with a Go heap",
        where=lambda places: places.go_runtime,
    ),
    KindRule(
        MappingKind.JAVASCRIPT_HEAP,
        KindSource.POSITION,
        "5e383480000-5e3834c0000 rw-p",
        "at a multiple of 256 KiB and not accounted, in a process that runs V8",
        "V8",
        program=_V8,
        where=lambda places: places.v8_page,
    ),
    KindRule(
        MappingKind.JAVASCRIPT_HEAP,
        KindSource.GUESS,
        "16 kB rw-p, flag nr",
        "not accounted, in a process that runs V8",
        "V8",
        program=_V8,
        where=lambda places: places.not_accounted,
    ),
    KindRule(
        MappingKind.JAVASCRIPT_HEAP,
        KindSource.GUESS,
        "bb3d3b00000-bb3d3c00000 rw-p",
        "far below the libraries, in a process that runs Firefox",
        "SpiderMonkey",
        program=_FIREFOX,
        where=lambda places: places.far_down,
    ),
    KindRule(
        MappingKind.GUEST_MEMORY,
        KindSource.POSITION,
        "96 MiB rw-p, flag dc",
        "not copied by fork, in a process that runs qemu",
        program=r"qemu-(system-.*|kvm)",
        where=lambda places: places.not_forked,
    ),
    KindRule(
        MappingKind.ALLOCATOR,
        KindSource.GUESS,
        "f3400004000-f34001f4000 rw-p",
        "far below the libraries, in a process that runs Chromium",
        "PartitionAlloc",
        program=_CHROMIUM,
        where=lambda places: places.far_down,
    ),
    KindRule(
        MappingKind.ALLOCATOR,
        KindSource.GUESS,
        "1008 kB rw-p, then 4 kB ---p",
        "a large block, or beside a guard, in a process that runs Firefox",
        "mozjemalloc",
        program=_FIREFOX,
        where=lambda places: places.large_or_beside_guard,
    ),
    *(
        KindRule(
            MappingKind.ALLOCATOR,
            KindSource.GUESS,
            f"2 MiB rw-p in a process that maps {file}",
            "over 128 KiB, in a process with this allocator",
            owner,
            program=program,
            where=lambda places: places.large,
        )
        for owner, program, file in _ALLOCATORS
    ),
    KindRule(
        MappingKind.RUNTIME_HEAP,
        KindSource.GUESS,
        "1 MiB rw-p in a process that maps python3.12",
        "a multiple of 256 KiB, the size of CPython's arenas, in a process that runs it",
        "CPython",
        program=r"python[\d.]*|libpython[\d.]+(\.so[.\d]*)?",
        where=lambda places: places.cpython_arena,
    ),
    KindRule(
        MappingKind.RUNTIME_HEAP,
        KindSource.GUESS,
        "2 MiB rw-p in a process that maps php8.2",
        "at a multiple of 2 MiB, the size of PHP's chunks, in a process that runs it",
        "PHP",
        program=r"php[\d.]*|php-(cgi|fpm)[\d.]*|libphp[\d.]*\.so",
        where=lambda places: places.php_chunk,
    ),
    *(
        KindRule(
            MappingKind.RUNTIME_HEAP,
            KindSource.GUESS,
            f"2 MiB rw-p in a process that maps {file}",
            "over 128 KiB, or beside memory without permissions, in a process with this runtime",
            owner,
            program=program,
            where=lambda places: places.large_or_beside_guard,
        )
        for owner, program, file in _RUNTIMES
    ),
    KindRule(
        MappingKind.MALLOC_ARENA,
        KindSource.GUESS,
        "7f8a40000000-7f8a44000000 rw-p in a process that maps libc.so.6",
        "64 MiB at a multiple of 64 MiB, accounted: a full heap of glibc 2.43, or chance",
        "glibc",
        program=_GLIBC,
        where=lambda places: places.full_heap,
    ),
    KindRule(
        MappingKind.MALLOC_CHUNK,
        KindSource.GUESS,
        "4100 kB rw-p in a process that maps libc.so.6",
        "over 128 KiB, for which glibc's malloc makes a mapping; or the program called mmap",
        "glibc",
        program=_GLIBC,
        where=lambda places: places.large_nearby,
    ),
    KindRule(
        MappingKind.OTHER_ANONYMOUS,
        KindSource.KERNEL,
        "rw-p (no name)",
        "anonymous memory that no rule explains",
        backing=Backing.ANONYMOUS,
    ),
    KindRule(
        MappingKind.UNKNOWN,
        KindSource.GUESS,
        "r---- [ anon ]",
        "pmap's word for anonymous memory, the vdso and more",
    ),
)
"""What implies which kind. The first row whose conditions hold decides."""

# In reverse order: the first row decides, so it is applied last.
_PLACE_RULES: Final = tuple(
    (index, rule) for index, rule in reversed([*enumerate(KIND_RULES)]) if rule.where is not None
)


def kinds(mappings: Iterable[Mapping]) -> list[KindVerdict]:
    """
    Determine whose memory each mapping is, and how that is known.

    Args:
        mappings: all mappings of one process, in order: kinds depend on the neighbours and on
            the programs and libraries that the process maps. A part of a Snapshot knows those
            of its process.

    Returns:
        One verdict per mapping.
    """
    of_snapshot = getattr(mappings, "kinds", None)
    if of_snapshot is not None:
        return list(of_snapshot())
    columns = to_columns(list(mappings))
    verdicts = Cache(_verdict)
    rules = rules_of(Places.of([columns])).tolist()
    return [verdicts[key] for key in zip(rules, columns.pathname, strict=True)]


def kinds_of(parts: Sequence[Columns]) -> list[list[MappingKind]]:
    """Return the kind of each mapping of one process, given as columns, part by part."""
    found = iter(rules_of(Places.of(parts)).tolist())
    return [
        [KIND_RULES[rule].kind for rule in itertools.islice(found, len(part))] for part in parts
    ]


def fold_name(name: str) -> str:
    """
    Return a name without what differs between mappings of the same use.

    That is a thread id, an address or a number after the last colon in `[anon:NAME]` and
    `[stack:TID]`.
    """
    return _VARIABLE_PART.sub("", name) if name.startswith("[") else name


_VARIABLE_PART: Final = re.compile(r":? ?\b(?:0x[0-9a-f]+|\d+)(?=\]$)", re.IGNORECASE)


def _verdict(key: tuple[int, str]) -> KindVerdict:
    rule = KIND_RULES[key[0]]
    name = fold_name(kernel_name(key[1]))
    return KindVerdict(rule.kind, rule.source, rule.owner, name, rule.reason)


def rules_of(places: Places) -> NDArray[np.intp]:
    """Return for each mapping the index of the row of KIND_RULES that decides its kind."""
    files = places.code_files
    found = places.of_keys(
        lambda key: _rule_of_name(key.name, key.backing, "x" in key.perms, key.name in files)
    )
    programs = frozenset[str]().union(*map(_programs_of, files))
    plain = places.plain
    for index, rule in _PLACE_RULES:
        if rule.where is not None and (rule.program is None or rule.program in programs):
            found[plain & (found > index) & rule.where(places)] = index
    return found


@functools.lru_cache(maxsize=4096)
def _rule_of_name(
    name: str, backing: Backing | None, is_executable: bool, is_code_file: bool
) -> int:
    """Return the first row without a condition on addresses that matches."""
    return next(
        index
        for index, rule, pattern in _name_rules(backing)
        if rule.executable in (None, is_executable)
        and is_code_file >= rule.same_file_is_code
        and (pattern is None or pattern.fullmatch(name))
    )


@functools.cache
def _name_rules(
    backing: Backing | None,
) -> list[tuple[int, KindRule, re.Pattern[str] | None]]:
    """Return the rows for a backing that have no condition on addresses."""
    return [
        (index, rule, None if rule.pattern is None else re.compile(rule.pattern, re.DOTALL))
        for index, rule in enumerate(KIND_RULES)
        if rule.where is None and rule.backing in (None, backing)
    ]


@functools.lru_cache(maxsize=4096)
def _programs_of(file: str) -> frozenset[str]:
    """Return the `program` patterns of KIND_RULES that the name of a file matches."""
    patterns, is_program = _program_patterns()
    path = file.removesuffix(DELETED)
    names = list(filter(is_program, (path, path.rpartition("/")[2])))
    return frozenset(
        pattern for pattern in patterns for name in names if re.fullmatch(pattern, name)
    )


@functools.cache
def _program_patterns() -> tuple[set[str], Callable[[str], object]]:
    """Return the patterns, and a function that returns whether a name matches any of them."""
    patterns = {rule.program for rule in KIND_RULES if rule.program is not None}
    return patterns, re.compile("|".join(f"(?:{pattern})" for pattern in patterns)).fullmatch
