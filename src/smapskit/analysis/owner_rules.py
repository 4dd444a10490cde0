"""Rules over one snapshot: which part of the process owns the memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from typing import Final

from smapskit.analysis.findings import Confidence, Severity, format_kb
from smapskit.analysis.rules import Evidence, Rule, Subject, count, kb, known_kb, rule, share, text
from smapskit.analysis.thresholds import Limits
from smapskit.analysis.view import Part, Process, Row
from smapskit.model.backing import Backing
from smapskit.model.kinds import KindSource, MappingKind

RULES: Final[list[Rule]] = []
"""The rules of this module, in the order of their declaration."""
_explanation = partial(rule, RULES, Subject.PROCESS, severity=Severity.EXPLANATION)
_problem = partial(rule, RULES, Subject.PROCESS)

_UNNAMED_KINDS: Final = (
    MappingKind.OTHER_ANONYMOUS,
    MappingKind.MALLOC_CHUNK,
    MappingKind.UNKNOWN,
)
_RUNTIME_KINDS: Final = (
    MappingKind.ALLOCATOR,
    MappingKind.GO_HEAP,
    MappingKind.JAVASCRIPT_HEAP,
    MappingKind.JVM_HEAP,
    MappingKind.RUNTIME_HEAP,
)
_PAIRED_KINDS: Final = {MappingKind.THREAD_STACK, MappingKind.MALLOC_ARENA}


@_problem(
    "malloc-arenas",
    confidence=Confidence.LIKELY,
    title="{rss}, {share} of RSS, is in {arenas} of malloc.",
    condition="glibc's malloc has at least {arenas} heaps of arenas; they hold at least {rss} and "
    "more than {share} of RSS",
    meaning="An arena is the heap that glibc gives to threads that allocate at the same time, up "
    "to 8 for each core. Memory freed in one arena is not used for another, and only free memory "
    "at the end of an arena is returned to the kernel. So RSS can stay high although the program "
    "has freed most of it.",
    advice="Start the program with MALLOC_ARENA_MAX=2 in its environment, and compare RSS and "
    "speed. Or load jemalloc with LD_PRELOAD. Calling malloc_trim(0) in the process returns the "
    "memory that is free now.",
    disproof="malloc_info(3) reports that most of the memory of the arenas is in use, or RSS is "
    "the same with MALLOC_ARENA_MAX=2.",
    needs=("rss",),
)
def _malloc_arenas(process: Process, limits: Limits) -> Evidence | None:
    arenas = process.of_kind(MappingKind.MALLOC_ARENA)
    if len(arenas) < limits["arenas"] or arenas.rss < limits["rss"]:
        return None
    if arenas.rss <= limits["share"] * process.rss:
        return None
    figures = (
        count("arenas", len(arenas), "arena"),
        kb("rss", arenas.rss),
        share("share", arenas.rss, process.rss),
    )
    return Evidence(arenas.rss, figures, arenas.mappings)


@_explanation(
    "main-heap",
    confidence=Confidence.POSSIBLE,
    title="{rss}, {share} of RSS, is in [heap], the main heap of malloc.",
    condition="[heap] holds at least {rss} and more than {share} of RSS",
    meaning="These are objects that the program allocated with malloc or new, mostly in its main "
    "thread; interpreters such as Python allocate small objects there too. One object near its "
    "end keeps all freed memory below that object in RSS. smaps cannot tell used memory from "
    "freed memory.",
    advice="Record the process (smapskit record --by kind): does the heap grow without end? Then "
    "find who allocates, with heaptrack, memray (Python) or jemalloc's profiler. If it does not "
    "grow, call malloc_trim(0) in the process to see how much is free.",
    disproof="malloc_info(3) reports as much memory in use as the program needs.",
    needs=("rss",),
)
def _main_heap(process: Process, limits: Limits) -> Evidence | None:
    heap = process.of_kind(MappingKind.MAIN_HEAP)
    if heap.rss < limits["rss"] or heap.rss <= limits["share"] * process.rss:
        return None
    figures = (kb("rss", heap.rss), share("share", heap.rss, process.rss))
    return Evidence(heap.rss, figures, heap.mappings)


@_explanation(
    "runtime-heap",
    confidence=Confidence.LIKELY,
    title="{rss}, {share} of RSS, is in: {kind}.",
    condition="the heap of one runtime or allocator (JVM, Go, JavaScript, CPython, .NET, jemalloc, "
    "tcmalloc, ...) holds at least {rss} and more than {share} of RSS",
    meaning="The objects of the program are there. The runtime keeps freed memory for later, so "
    "this is the most that the program needed so far, which can be more than it uses now. Only "
    "the runtime's own tools distinguish used from free memory.",
    advice="Ask the runtime: jcmd PID GC.class_histogram (Java), net/http/pprof (Go), "
    "node --heapsnapshot-signal (Node.js), memray or tracemalloc (Python), dotnet-gcdump (.NET). "
    "To limit it: -Xmx, GOMEMLIMIT, --max-old-space-size. To see whether it grows: "
    "smapskit record --by kind.",
    disproof="The limit of the heap was set to this size on purpose.",
    needs=("rss",),
)
def _runtime_heap(process: Process, limits: Limits) -> Evidence | None:
    heaps = process.of_kind(*_RUNTIME_KINDS).by_kind()
    if not heaps:
        return None
    kind, heap = max(heaps.items(), key=lambda entry: entry[1].rss)
    if heap.rss < limits["rss"] or heap.rss <= limits["share"] * process.rss:
        return None
    owners = sorted({row.verdict.owner for row in heap.rows} - {""})
    figures = (
        kb("rss", heap.rss),
        share("share", heap.rss, process.rss),
        text("kind", f"{kind} ({', '.join(owners)})" if owners else str(kind)),
    )
    is_guess = all(row.verdict.source is KindSource.GUESS for row in heap.rows)
    return Evidence(
        heap.rss,
        figures,
        heap.mappings,
        confidence=Confidence.POSSIBLE if is_guess else None,
    )


@_explanation(
    "unnamed-anonymous",
    confidence=Confidence.POSSIBLE,
    title="{rss}, {share} of RSS, is anonymous memory whose owner is not known.",
    condition="anonymous mappings other than heaps, arenas, stacks and known runtimes hold at "
    "least {rss} and more than {share} of RSS",
    meaning="The program, a library or an allocator mapped this memory with mmap and gave it no "
    "name. malloc does so for blocks of 128 KiB and more: large arrays, buffers, images.",
    advice="Start the program with GLIBC_TUNABLES=glibc.mem.decorate_maps=1 (glibc 2.40 or later), "
    "which names the memory of malloc. To see which code maps it: "
    "perf trace -e mmap --call-graph dwarf -p PID. To see whether it grows: smapskit record.",
    disproof="The owner is known: the program maps this memory on purpose and needs it.",
    needs=("rss",),
)
def _unnamed_anonymous(process: Process, limits: Limits) -> Evidence | None:
    unnamed = process.of_kind(*_UNNAMED_KINDS)
    if unnamed.rss < limits["rss"] or unnamed.rss <= limits["share"] * process.rss:
        return None
    figures = (
        count("mappings", len(unnamed), "mapping"),
        kb("rss", unnamed.rss),
        share("share", unnamed.rss, process.rss),
    )
    return Evidence(unnamed.rss, figures, unnamed.mappings)


@_problem(
    "many-stacks",
    confidence=Confidence.LIKELY,
    title="There are {stacks}, with {size} of address space set aside for them.",
    condition="there are at least {stacks} stacks of threads",
    meaning="Every thread has a stack. Its whole size counts in VSZ; only what the thread has "
    "touched so far counts in RSS. Hundreds of threads are either a pool that is too large, or "
    "threads that never end.",
    advice="Compare two snapshots (smapskit explain BEFORE AFTER): if the number grows, threads "
    "are leaked; ls /proc/PID/task and their comm files name them. Otherwise limit the size of "
    "the pool, or the size of each stack (ulimit -s, pthread_attr_setstacksize, java -Xss).",
    disproof="The process is configured to have this many threads.",
)
def _many_stacks(process: Process, limits: Limits) -> Evidence | None:
    stacks = process.of_kind(MappingKind.THREAD_STACK)
    if len(stacks) < limits["stacks"]:
        return None
    figures = (
        count("stacks", len(stacks), "thread stack"),
        *known_kb("rss", stacks.known_rss),
        kb("size", stacks.sum("size")),
    )
    if not stacks.reports("rss"):
        return Evidence(stacks.sum("size"), figures, stacks.mappings, counter="size")
    return Evidence(stacks.rss, figures, stacks.mappings)


@_problem(
    "fragmented",
    confidence=Confidence.LIKELY,
    title="There are {mappings} without a name of exactly {size} each.",
    condition="more than {mappings} private writable mappings without a name have the same size",
    meaning="An allocator maps memory in chunks of this size and does not merge them. The kernel "
    "needs time and memory for each mapping, and their number is limited (map-count).",
    advice="Find the allocator by this size: perf trace -e mmap --call-graph dwarf -p PID. Let it "
    "map larger chunks, or raise glibc's limit for separate mappings with mallopt(3) "
    "(M_MMAP_THRESHOLD).",
    disproof="The number is constant over time, and the program is fast enough.",
)
def _fragmented(process: Process, limits: Limits) -> Evidence | None:
    # A piece of a larger area is reported by split-mappings.
    pieces = {id(row) for pair in _split_pairs(process) for row in pair}
    unnamed = process.anonymous.where(
        lambda row: (
            not row.mapping.pathname and str(row.mapping.perms) == "rw-p" and id(row) not in pieces
        )
    )
    sizes = Counter(mapping.size for mapping in unnamed.mappings)
    if not sizes:
        return None
    size, number = sizes.most_common(1)[0]
    if number <= limits["mappings"]:
        return None
    chunks = unnamed.where(lambda row: row.mapping.size == size)
    figures = (
        count("mappings", number, "mapping"),
        kb("size", size),
        *known_kb("rss", chunks.known_rss),
    )
    return Evidence(chunks.sum("size"), figures, chunks.mappings, counter="size")


@_problem(
    "split-mappings",
    confidence=Confidence.LIKELY,
    title="Anonymous memory is split into {mappings} by changes of its permissions.",
    condition="more than {mappings} anonymous mappings begin where one with other permissions ends",
    meaning="The program calls mprotect on parts of its memory: garbage collectors, checkers such "
    "as Electric Fence, and guards after each object do so. Each piece is a mapping of its own, "
    "slows page faults and counts against max_map_count.",
    advice="Find the caller: perf trace -e mprotect --call-graph dwarf -p PID. Switch the checker "
    "off in production, or protect larger areas at a time.",
    disproof="The pieces have different owners: their names in smaps differ.",
)
def _split_mappings(process: Process, limits: Limits) -> Evidence | None:
    pieces = Part(after for _, after in _split_pairs(process))
    if len(pieces) <= limits["mappings"]:
        return None
    figures = (
        count("mappings", len(pieces), "mapping"),
        kb("size", pieces.sum("size")),
        *known_kb("rss", pieces.known_rss),
    )
    return Evidence(pieces.sum("size"), figures, pieces.mappings, counter="size")


def _split_pairs(process: Process) -> Iterator[tuple[Row, Row]]:
    """Yield adjacent anonymous mappings that differ in their permissions."""
    for before, after in pairwise(process.rows):
        one, two = before.mapping, after.mapping
        if (
            one.end == two.start
            and one.perms != two.perms
            and one.pathname == two.pathname
            and before.backing is after.backing is Backing.ANONYMOUS
            # They consist of two mappings each, and are no pieces of a larger area.
            and not {before.kind, after.kind} & _PAIRED_KINDS
        ):
            yield before, after


@_explanation(
    "shared-memory",
    title="{rss}, {share} of RSS, is shared memory.",
    condition="memfd, System V, POSIX and anonymous shared memory hold at least {rss} and more "
    "than {share} of RSS",
    meaning="Other processes can map the same pages, and then each of them counts the pages in "
    "its RSS. The pages belong to the kernel's tmpfs: they can go to swap but are not dropped, and "
    "they stay when the process ends, until their file is deleted. Tools count them as cache or "
    "shared, not as free. Databases keep their buffers there.",
    advice="Use PSS to add up processes. To make it smaller, change the setting that makes it: "
    "shared_buffers of PostgreSQL, the size of /dev/shm of a container. ipcs -m and ls /dev/shm "
    "show segments that nobody removed.",
    disproof="The size is what was configured, and other processes use the same memory.",
    needs=("rss",),
)
def _shared_memory(process: Process, limits: Limits) -> Evidence | None:
    # Not the heap of a JVM (ZGC) or the memory of a guest, though it is a memfd.
    shared = process.of_backing(Backing.SHMEM).of_kind(MappingKind.SHARED_MEMORY)
    if shared.rss < limits["rss"] or shared.rss <= limits["share"] * process.rss:
        return None
    figures = (
        kb("rss", shared.rss),
        share("share", shared.rss, process.rss),
        kb("pss", shared.sum("pss")),
        kb("size", shared.sum("size")),
    )
    return Evidence(shared.rss, figures, shared.mappings)


@_explanation(
    "copied-file",
    title="{copied} of file data was copied because the process wrote to private file mappings.",
    condition="private mappings of files have at least {copied} of anonymous pages",
    meaning="A private mapping gets a copy of each page that is written; the file stays as it is. "
    "The copies are anonymous memory of this process: they are not shared and can only go to swap.",
    advice="If the data is only read, map it read-only. If it must change, expect this memory. "
    "Code that is not position independent is copied too: look for text relocations with "
    "readelf -d FILE.",
    disproof="The pages were copied by the loader and are needed (relocations).",
    needs=("anonymous",),
)
def _copied_file(process: Process, limits: Limits) -> Evidence | None:
    copied = process.files.where(lambda row: not row.mapping.perms.shared and row.mapping.anonymous)
    size = copied.sum("anonymous")
    if size < limits["copied"]:
        return None
    figures = (kb("copied", size), count("mappings", len(copied), "mapping"))
    return Evidence(size, figures, copied.mappings, counter="anonymous")


@_explanation(
    "device-memory",
    confidence=Confidence.LIKELY,
    title="{size} of the address space is memory of devices or of the kernel's buffers.",
    condition="mappings of drivers have at least {size}",
    meaning="A driver provides this memory: video memory, buffers of a graphics card, rings for "
    "packets or events. RSS counts it only in part or not at all, so the process may use far more "
    "memory than RSS shows.",
    advice="Look at the driver's own tools: nvidia-smi, intel_gpu_top, /proc/PID/fdinfo/* (fields "
    "drm-memory-*), ss -m for packet rings.",
    disproof="The mapping is of registers of a device, not of memory.",
)
def _device_memory(process: Process, limits: Limits) -> Evidence | None:
    devices = process.where(
        lambda row: (
            row.backing is Backing.DEVICE
            or ("pf" in row.flags and row.backing is not Backing.SPECIAL)
        )
    )
    size = devices.sum("size")
    if size < limits["size"]:
        return None
    figures = (
        kb("size", size),
        *known_kb("rss", devices.known_rss),
        count("mappings", len(devices), "mapping"),
    )
    return Evidence(size, figures, devices.mappings, counter="size")


@_explanation(
    "hugetlb",
    title="{hugetlb} is in pages of the hugetlb pool, which RSS does not include.",
    condition="any page of the hugetlb pool is mapped",
    meaning="These pages were set aside for huge pages (vm.nr_hugepages). They are never paged "
    "out. RSS, PSS and free memory do not count them, so the process uses this much more than its "
    "RSS.",
    advice="Add it to RSS to get what the process uses. Check with HugePages_Free in "
    "/proc/meminfo that the pool is not larger than needed: unused pages of the pool cannot be "
    "used for anything else.",
    disproof="Nothing: the kernel reports these pages.",
    needs=("private_hugetlb", "rss"),
)
def _hugetlb(process: Process, _limits: Limits) -> Evidence | None:
    pages = process.where(lambda row: row.mapping.shared_hugetlb or row.mapping.private_hugetlb)
    size = pages.sum("shared_hugetlb") + pages.sum("private_hugetlb")
    if not size:
        return None
    figures = (kb("hugetlb", size), kb("rss", process.rss))
    return Evidence(size, figures, pages.mappings, counter="size")


@_explanation(
    "reserved",
    title="{size} of address space is only reserved; RSS is {rss}.",
    condition="mappings that cannot be accessed, or for which no swap is reserved (nr), are larger "
    "than RSS by at least {size}, and at least {times} times RSS",
    meaning="Reserved address space is not memory. It explains a large VSZ (VIRT in top). Runtimes "
    "such as Java, Go, Node.js and the sanitizers reserve the largest heap that they may ever "
    "need.",
    advice="Nothing. Judge the process by RSS or PSS, and do not limit its address space "
    "(ulimit -v).",
    disproof="Nothing: pages that are not in RSS or swap take no memory.",
    needs=("rss",),
)
def _reserved(process: Process, limits: Limits) -> Evidence | None:
    reserved = process.where(_is_reserved)
    size = reserved.sum("size") - reserved.rss
    if size < limits["size"] or size < limits["times"] * process.rss:
        return None
    figures = (
        kb("size", size),
        kb("rss", process.rss),
        kb("vsz", process.sum("size")),
        count("mappings", len(reserved), "mapping"),
    )
    return Evidence(size, figures, reserved.mappings, counter="size")


def _is_reserved(row: Row) -> bool:
    perms = row.mapping.perms
    has_access = perms.read or perms.write or perms.execute
    return row.backing is Backing.ANONYMOUS and (not has_access or "nr" in row.flags)


@_explanation(
    "untouched",
    confidence=Confidence.LIKELY,
    title="The process allocated {size}, and uses {used} of it ({share}).",
    condition="writable private anonymous memory of at least {size} is less than {share} in use, "
    "without reserved address space",
    meaning="The memory was allocated and never written to, so that it takes no pages. But it "
    "counts against the commit limit: with vm.overcommit_memory=2, other programs may be refused "
    "memory because of it, and a fork needs as much again.",
    advice="Allocate less in advance, or map it with MAP_NORESERVE. With the default setting of "
    "vm.overcommit_memory nothing has to be done.",
    disproof="The program will write to this memory later.",
    needs=("rss", "vm_flags"),
)
def _untouched(process: Process, limits: Limits) -> Evidence | None:
    allocated = process.anonymous.where(lambda row: row.mapping.perms.write and "ac" in row.flags)
    size, used = allocated.sum("size"), allocated.rss + allocated.sum("swap")
    if size < limits["size"] or used >= limits["share"] * size:
        return None
    figures = (
        kb("size", size),
        kb("used", used),
        share("share", used, size),
        count("mappings", len(allocated), "mapping"),
    )
    detail = f"The largest mapping has {format_kb(max(m.size for m in allocated.mappings))}."
    return Evidence(size - used, figures, allocated.mappings, detail, counter="size")
