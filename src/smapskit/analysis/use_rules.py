"""Rules over one snapshot: what RSS includes, and whether the kernel can take it back."""

from __future__ import annotations

from functools import partial
from typing import Final

from smapskit.analysis.findings import Confidence, Severity, format_kb
from smapskit.analysis.rules import Evidence, Rule, Subject, count, kb, known_kb, rule, share
from smapskit.analysis.thresholds import Limits
from smapskit.analysis.view import Process, largest_kinds
from smapskit.model.backing import Backing
from smapskit.model.kinds import MappingKind

RULES: Final[list[Rule]] = []
"""The rules of this module, in the order of their declaration."""
_explanation = partial(rule, RULES, Subject.PROCESS, severity=Severity.EXPLANATION)
_problem = partial(rule, RULES, Subject.PROCESS)

_MIN_SPARSE_KB: Final = 2048
"""Smaller mappings need at most two pages of page tables."""


@_explanation(
    "thp-bloat",
    confidence=Confidence.POSSIBLE,
    title="{huge}, {share} of the anonymous memory, is in transparent huge pages.",
    condition="AnonHugePages is at least {huge} and more than {share} of Anonymous",
    meaning="A huge page is resident as a whole even if the program uses a few bytes of it. RSS "
    "can therefore be larger than what the program uses. Freeing parts of a huge page returns "
    "nothing until the kernel splits it. Dense data gets faster, sparse data gets larger.",
    advice="Compare RSS after a restart with huge pages switched off: prctl(PR_SET_THP_DISABLE), "
    "madvise mode (echo madvise > /sys/kernel/mm/transparent_hugepage/enabled), or the setting of "
    "the program (Redis: disable-thp yes, Java: -XX:-UseTransparentHugePages).",
    disproof="RSS is about the same without huge pages: then the memory is used.",
    needs=("anon_huge_pages", "anonymous"),
)
def _thp_bloat(process: Process, limits: Limits) -> Evidence | None:
    huge, anonymous = process.sum("anon_huge_pages"), process.sum("anonymous")
    if huge < limits["huge"] or huge <= limits["share"] * anonymous:
        return None
    with_huge = process.where(lambda row: row.mapping.anon_huge_pages)
    figures = (
        kb("huge", huge),
        share("share", huge, anonymous),
        kb("referenced", with_huge.sum("referenced")),
    )
    mode = process.context.thp_mode
    detail = f"Huge pages are set to {mode} on this machine." if mode else ""
    if process.reports("referenced") and with_huge.sum("referenced") < with_huge.rss / 2:
        detail += " The program has not accessed most of this memory lately (Referenced)."
        return Evidence(
            huge,
            figures,
            with_huge.mappings,
            detail,
            severity=Severity.PROBLEM,
            confidence=Confidence.LIKELY,
            counter="anon_huge_pages",
        )
    return Evidence(huge, figures, with_huge.mappings, detail, counter="anon_huge_pages")


@_explanation(
    "lazy-free",
    title="{lazy_free} of the RSS, {share}, is free already: the kernel takes it when it needs it.",
    condition="LazyFree is at least {lazy_free} and more than {share} of RSS",
    meaning="The program gave this memory back with madvise(MADV_FREE). It stays in RSS until the "
    "kernel needs memory. It is not a leak: the process uses RSS - LazyFree.",
    advice="Nothing. If monitoring needs an exact RSS, let the allocator use MADV_DONTNEED: "
    "GODEBUG=madvdontneed=1 for Go before 1.16, muzzy_decay_ms:0 for jemalloc.",
    disproof="Nothing: the kernel reports it. Pages that are written again are not counted.",
    needs=("lazy_free", "rss"),
)
def _lazy_free(process: Process, limits: Limits) -> Evidence | None:
    lazy_free = process.sum("lazy_free")
    if lazy_free < limits["lazy_free"] or lazy_free <= limits["share"] * process.rss:
        return None
    figures = (
        kb("lazy_free", lazy_free),
        share("share", lazy_free, process.rss),
        kb("rss_without", process.rss - lazy_free),
    )
    mappings = process.where(lambda row: row.mapping.lazy_free).mappings
    return Evidence(lazy_free, figures, mappings, counter="lazy_free")


@_explanation(
    "reclaimable-file",
    title="{clean}, {share} of RSS, is unmodified data of files, which the kernel can drop.",
    condition="clean pages of mapped files other than programs and libraries are at least {clean} "
    "and more than {share} of RSS",
    meaning="The process reads files through mmap. Their pages are the page cache of the kernel: "
    "when memory is needed, they are dropped without writing, and read again later. It is not a "
    "leak, though RSS grows up to the size of the files.",
    advice="Nothing, unless the machine or the container is short of memory and reads the same "
    "files again and again. madvise(MADV_DONTNEED) or unmapping takes the pages out of RSS.",
    disproof="The pages are locked (Locked), or the file is on a tmpfs.",
    needs=("shared_clean", "private_clean", "rss"),
)
def _reclaimable_file(process: Process, limits: Limits) -> Evidence | None:
    files = process.of_kind(MappingKind.MAPPED_FILE)
    clean = files.sum("shared_clean") + files.sum("private_clean")
    if clean < limits["clean"] or clean <= limits["share"] * process.rss:
        return None
    figures = (
        kb("clean", clean),
        share("share", clean, process.rss),
        kb("rss_without", process.rss - clean),
    )
    return Evidence(clean, figures, files.where(lambda row: row.mapping.rss).mappings)


@_explanation(
    "pss-far-below-rss",
    title="RSS is {rss}, but the share of this process in it (PSS) is only {pss}.",
    condition="PSS is less than {share} of RSS, and at least {difference} below it",
    meaning="Most of its pages are mapped by other processes too, and each process counts them in "
    "full. The sum of the RSS of such processes is far more than they use.",
    advice="Add up PSS, not RSS (smapskit --all). USS is what ending this process would free.",
    disproof="Nothing: the kernel reports both.",
    needs=("pss", "rss"),
)
def _pss_far_below_rss(process: Process, limits: Limits) -> Evidence | None:
    rss, pss = process.rss, process.sum("pss")
    if rss - pss < limits["difference"] or pss >= limits["share"] * rss:
        return None
    shared = process.where(lambda row: (row.mapping.rss or 0) > (row.mapping.pss or 0))
    figures = (kb("rss", rss), kb("pss", pss), kb("uss", process.sum("uss")))
    return Evidence(rss - pss, figures, shared.mappings)


@_explanation(
    "fork-shared",
    confidence=Confidence.LIKELY,
    title="{shared}, {share} of RSS, is private memory that a forked process still shares.",
    condition="private anonymous mappings have at least {shared}, and more than {share} of RSS, in "
    "pages that several processes map (Shared_Dirty + Shared_Clean, without KSM)",
    meaning="After a fork, parent and child share all pages until one of them writes to a page; "
    "then it is copied. The processes together can need up to this much more. In languages that "
    "count references (Python, PHP, Perl), even reading objects writes to them.",
    advice="A fork that saves data, such as BGSAVE of Redis, ends by itself: keep as much memory "
    "free as is written in that time. In servers that fork workers, load data before the fork, "
    "and in Python call gc.freeze() before it.",
    disproof="No parent, child or sibling of this process is running that was made by fork.",
    needs=("shared_dirty", "rss"),
)
def _fork_shared(process: Process, limits: Limits) -> Evidence | None:
    private = process.anonymous.where(lambda row: not row.mapping.perms.shared)
    shared = private.sum("shared_dirty") + private.sum("shared_clean") - private.sum("ksm")
    if shared < limits["shared"] or shared <= limits["share"] * process.rss:
        return None
    figures = (
        kb("shared", shared),
        share("share", shared, process.rss),
        kb("private_dirty", private.sum("private_dirty")),
    )
    return Evidence(
        shared,
        figures,
        private.where(lambda row: row.mapping.shared_dirty).mappings,
        counter="shared_dirty",
    )


@_problem(
    "dirty-shared-file",
    confidence=Confidence.LIKELY,
    title="{dirty} of modified data in mapped files, {share} of RSS, is not written to disk.",
    condition="shared mappings of files have at least {dirty} of dirty pages, and more than "
    "{share} of RSS",
    meaning="The process writes to files through mmap. The kernel must write these pages before "
    "it can drop them, which makes other programs wait when memory is short; pages that are not "
    "written are lost if the machine crashes.",
    advice="Call msync(2) at points where the data is consistent, or lower vm.dirty_bytes. Put "
    "files that need not survive on a tmpfs or in anonymous memory.",
    disproof="The file is on a tmpfs: df FILE shows it. Then nothing is written at all.",
    needs=("shared_dirty", "private_dirty", "rss"),
)
def _dirty_shared_file(process: Process, limits: Limits) -> Evidence | None:
    shared = process.files.where(lambda row: row.mapping.perms.shared and row.mapping.dirty)
    dirty = shared.sum("dirty")
    if dirty < limits["dirty"] or dirty <= limits["share"] * process.rss:
        return None
    figures = (
        kb("dirty", dirty),
        share("share", dirty, process.rss),
        count("files", len({m.pathname for m in shared.mappings}), "file"),
    )
    return Evidence(dirty, figures, shared.mappings, counter="dirty")


@_problem(
    "deleted-file",
    confidence=Confidence.LIKELY,
    title="{size} of deleted files is still mapped, so that their disk space is not free.",
    condition="mappings of deleted files that are not executable have at least {size}",
    meaning="The disk space of a deleted file is freed when the last process unmaps and closes "
    "it. Until then df shows it as used, and du does not find it. Some programs delete their own "
    "temporary files on purpose.",
    advice="Restart the process, or let it close the file. lsof +L1 lists deleted files that are "
    "open.",
    disproof="The file is really called '... (deleted)', or is on a tmpfs.",
)
def _deleted_file(process: Process, limits: Limits) -> Evidence | None:
    deleted = process.files.where(
        lambda row: (
            row.mapping.is_deleted and row.mapping.inode != 0 and not row.mapping.perms.execute
        )
    )
    size = deleted.sum("size")
    if size < limits["size"]:
        return None
    names = {mapping.pathname for mapping in deleted.mappings}
    figures = (
        kb("size", size),
        *known_kb("rss", deleted.known_rss),
        count("files", len(names), "file"),
    )
    return Evidence(size, figures, deleted.mappings, counter="size")


@_problem(
    "deleted-executable",
    confidence=Confidence.LIKELY,
    title="The process still runs code of {files} that no longer exists under that name.",
    condition="a private executable mapping is of a deleted file (inode not 0)",
    meaning="The program or a library was replaced, most likely by an upgrade. The process goes on "
    "with the old version, including its bugs and security holes.",
    advice="Restart the process. needrestart and checkrestart do this for a whole machine; so does "
    "smapskit explain --all.",
    disproof="The file was deleted on purpose after it was loaded (a plugin or JIT in a temporary "
    "file), or is really called '... (deleted)'.",
    machine_title="Processes that run deleted code: restart them",
)
def _deleted_executable(process: Process, _limits: Limits) -> Evidence | None:
    deleted = process.files.where(
        lambda row: (
            row.mapping.is_deleted
            and row.mapping.inode != 0
            and row.mapping.perms.execute
            and not row.mapping.perms.shared
        )
    )
    if not deleted.rows:
        return None
    files = {(m.pathname, m.device, m.inode) for m in deleted.mappings}
    figures = (
        count("files", len(files), "file"),
        kb("size", deleted.sum("size")),
    )
    return Evidence(deleted.sum("size"), figures, deleted.mappings, counter="size")


@_explanation(
    "ksm",
    title="{ksm}, {share} of RSS, is merged with identical pages by the kernel (KSM).",
    condition="KSM is at least {ksm}",
    meaning="The kernel found pages with the same content and keeps one copy of each. RSS counts "
    "them in full. A write to one of them makes a copy and takes more memory, and the time that a "
    "write takes can reveal the content to another process.",
    advice="Nothing, if merging is wanted (virtual machines). Otherwise do not call "
    "madvise(MADV_MERGEABLE) or prctl(PR_SET_MEMORY_MERGE), or switch it off with "
    "/sys/kernel/mm/ksm/run.",
    disproof="Nothing: the kernel reports it.",
    needs=("ksm", "rss"),
)
def _ksm(process: Process, limits: Limits) -> Evidence | None:
    merged = process.where(lambda row: row.mapping.ksm)
    size = merged.sum("ksm")
    if size < limits["ksm"]:
        return None
    return Evidence(
        size, (kb("ksm", size), share("share", size, process.rss)), merged.mappings, counter="ksm"
    )


@_explanation(
    "locked",
    title="{locked}, {share} of RSS, is locked in memory.",
    condition="mappings with the flag lo or lf have at least {locked} of locked memory",
    meaning="The process called mlock or mlockall. These pages are never paged out or dropped, "
    "even if they have not been used for days.",
    advice="Nothing, if the program needs guaranteed access times or protects secrets. Otherwise "
    "lock less: mlock for the data that needs it in place of mlockall, or MLOCK_ONFAULT.",
    disproof="Nothing: the kernel reports it.",
    needs=("locked", "rss", "vm_flags"),
)
def _locked(process: Process, limits: Limits) -> Evidence | None:
    # The flag: Locked repeats Pss in kernels about 4.18.
    locked = process.with_flag("lo", "lf").where(lambda row: row.mapping.locked)
    size = locked.sum("locked")
    if size < limits["locked"]:
        return None
    return Evidence(
        size,
        (kb("locked", size), share("share", size, process.rss)),
        locked.mappings,
        counter="locked",
    )


@_problem(
    "swapped",
    title="{swap}, {share} of the memory of the process, is in swap.",
    condition="Swap is at least {swap} and more than {share} of RSS + Swap",
    meaning="The machine or the container was short of memory. RSS looks smaller than what the "
    "process uses. Each access to a page in swap waits for the disk.",
    advice="Compare with smapskit explain --all which processes use the memory. If it is used "
    "(the program is slow, and pswpin in /proc/vmstat grows), give the machine more memory or the "
    "program less. If it is not used, nothing has to be done.",
    disproof="pswpin in /proc/vmstat does not grow: nobody needs these pages.",
    needs=("swap", "rss"),
    machine_title="Processes that are swapped out",
)
def _swapped(process: Process, limits: Limits) -> Evidence | None:
    swap = process.sum("swap")
    if swap < limits["swap"] or swap <= limits["share"] * (process.rss + swap):
        return None
    swapped = process.where(lambda row: row.mapping.swap)
    figures = (kb("swap", swap), share("share", swap, process.rss + swap), kb("rss", process.rss))
    kinds = sorted(
        ((kind, part.sum("swap")) for kind, part in swapped.by_kind().items()),
        key=lambda entry: -entry[1],
    )
    return Evidence(
        swap, figures, swapped.mappings, f"Most of it: {largest_kinds(kinds)}.", counter="swap"
    )


@_explanation(
    "userfaultfd",
    confidence=Confidence.LIKELY,
    title="Page faults in {size} are handled by a program (userfaultfd), not by the kernel.",
    condition="any mapping has the flag um, uw or ui",
    meaning="The process, or one that monitors it, provides the pages on first access or is "
    "notified of writes: live migration of virtual machines, checkpoints (CRIU), snapshots of "
    "databases, garbage collectors. An access waits until that program answers.",
    advice="If the process hangs, look at the program that holds the userfaultfd: "
    "ls -l /proc/*/fd | grep userfaultfd.",
    disproof="The only flag is uw, and the kernel itself records writes (UFFD_FEATURE_WP_ASYNC, "
    "Linux 6.7).",
    needs=("vm_flags",),
)
def _userfaultfd(process: Process, _limits: Limits) -> Evidence | None:
    watched = process.with_flag("um", "uw", "ui")
    if not watched.rows:
        return None
    figures = (kb("size", watched.sum("size")), *known_kb("rss", watched.known_rss))
    return Evidence(watched.sum("size"), figures, watched.mappings, counter="size")


@_problem(
    "page-tables",
    confidence=Confidence.LIKELY,
    title="The page tables take {page_tables}, {share} of RSS, and RSS does not include them.",
    condition="the page tables have at least {page_tables} and more than {share} of RSS",
    meaning="The kernel needs a page of page tables for each piece of address space in which "
    "anything was touched, however little. A process that touches a large area here and there "
    "has more page tables than data. They are never paged out.",
    advice="Keep data close together, use huge pages (MADV_HUGEPAGE, hugetlb), or unmap memory "
    "that is not needed any more. Many processes that map the same large shared memory each need "
    "their own page tables: use hugetlb pages for it.",
    disproof="VmPTE in /proc/PID/status is small now: the tables were freed.",
    needs=("rss",),
    needs_context=("page_tables",),
)
def _page_tables(process: Process, limits: Limits) -> Evidence | None:
    tables = process.context.page_tables or 0
    if not process.rss or tables < limits["page_tables"]:
        return None
    if tables <= limits["share"] * process.rss:
        return None
    figures = (
        kb("page_tables", tables),
        share("share", tables, process.rss),
        kb("rss", process.rss),
    )
    page = process.context.page_size
    # An entry has 8 bytes: with pages of 4 KiB, a page of 512 entries maps 2 MiB.
    detail = (
        f"On this machine, a page table of {page} kB maps {format_kb(page * page * 128)}."
        if page
        else ""
    )
    largest = process.where(lambda row: row.mapping.size > _MIN_SPARSE_KB)
    return Evidence(tables, figures, largest.mappings, detail, counter="size")


@_problem(
    "most-of-memory",
    title="This process alone uses {used}, {share} of the memory of the machine.",
    condition="dirty pages of the process are more than {share} of MemTotal",
    meaning="When another process needs memory, the kernel drops caches, pages out, and finally "
    "kills the largest process (out of memory).",
    advice="The other findings show which memory it is. Limit the process with the "
    "setting of its runtime (-Xmx, GOMEMLIMIT, shared_buffers) or a cgroup, or move it to a larger "
    "machine.",
    disproof="The machine is meant for this process alone, and the process does not grow.",
    needs=("shared_dirty", "private_dirty"),
    needs_context=("mem_total",),
)
def _most_of_memory(process: Process, limits: Limits) -> Evidence | None:
    total = process.context.mem_total or 0
    used = process.sum("dirty")
    if not total or used <= limits["share"] * total:
        return None
    figures = (kb("used", used), share("share", used, total), kb("mem_total", total))
    anonymous = process.where(lambda row: row.backing is not Backing.FILE and row.mapping.dirty)
    return Evidence(used, figures, anonymous.mappings, counter="dirty")
