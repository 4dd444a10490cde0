"""Rules over the difference of two snapshots of a process."""

from __future__ import annotations

from functools import partial
from typing import Final

from smapskit.analysis.findings import Confidence, Severity
from smapskit.analysis.rules import Evidence, Rule, Subject, count, kb, known_kb, rule, text
from smapskit.analysis.thresholds import Limits
from smapskit.analysis.view import Comparison, Part, largest_kinds
from smapskit.model.backing import Backing
from smapskit.model.kinds import MappingKind

RULES: Final[list[Rule]] = []
"""The rules of this module, in the order of their declaration."""
_explanation = partial(rule, RULES, Subject.DIFFERENCE, severity=Severity.EXPLANATION)
_problem = partial(rule, RULES, Subject.DIFFERENCE)


@_problem(
    "growth",
    confidence=Confidence.LIKELY,
    title="The process uses {growth} more than before, most of it in: {kind} ({kind_growth}).",
    condition="dirty pages and swap grew by at least {growth} and by more than {share}",
    meaning="Dirty pages and swap are memory that the process wrote and did not free. Two "
    "snapshots show growth but not its reason: filling a cache and a leak look the same.",
    advice="Do the same work again and compare again: a leak grows each time by about the same. "
    "Or record it (smapskit record --by kind). Then find who allocates: heaptrack for C and C++, "
    "memray or tracemalloc for Python, a heap dump for Java.",
    disproof="It does not grow when the same work is done again.",
    needs=("dirty",),
)
def _growth(compared: Comparison, limits: Limits) -> Evidence | None:
    growth = int(compared.growth(compared.in_use))
    before = compared.in_use(compared.before)
    if growth < limits["growth"] or growth <= limits["share"] * before:
        return None
    grown = compared.growth_by_kind(compared.in_use)
    kind, kind_growth = grown[0]
    figures = (
        kb("growth", growth),
        kb("before", before),
        kb("after", compared.in_use(compared.after)),
        text("kind", kind),
        kb("kind_growth", kind_growth),
    )
    is_dominant = kind_growth > limits["dominant"] * growth
    causes = [kind for kind, part in grown if part > growth / 10]
    return Evidence(
        growth,
        figures,
        compared.changed_mappings(*causes),
        f"Growth by kind: {largest_kinds(grown)}.",
        confidence=None if is_dominant else Confidence.POSSIBLE,
        counter="dirty",
    )


@_explanation(
    "cache-growth",
    title="RSS grew by {growth}, and {clean} of that is unmodified data of files.",
    condition="clean pages of mapped files grew by at least {growth}, and by more than {share} of "
    "the growth of RSS",
    meaning="The process read files through mmap. The kernel can drop these pages at any time. "
    "This is not a leak.",
    advice="Nothing. Watch dirty pages and swap instead of RSS.",
    disproof="The file is on a tmpfs.",
    needs=("shared_clean", "private_clean", "rss"),
)
def _cache_growth(compared: Comparison, limits: Limits) -> Evidence | None:
    clean = int(compared.growth(_clean_file))
    growth = int(compared.growth(_rss))
    if clean < limits["growth"] or clean <= limits["share"] * growth:
        return None
    return Evidence(
        clean,
        (kb("growth", growth), kb("clean", clean)),
        compared.changed_mappings(MappingKind.MAPPED_FILE),
    )


@_problem(
    "thread-growth",
    confidence=Confidence.LIKELY,
    title="There are {added} more stacks of threads than before: {after} after {before}.",
    condition="the number of thread stacks grew by at least {stacks} and by more than {share}",
    meaning="More threads were started than ended. If this goes on, the process reaches the limit "
    "of threads, of mappings or of memory.",
    advice="Look at what the threads are: cat /proc/PID/task/*/comm | sort | uniq -c. Threads that "
    "have ended keep their stack until they are joined or detached.",
    disproof="The process was starting a pool of threads, and the number stays the same from now "
    "on.",
)
def _thread_growth(compared: Comparison, limits: Limits) -> Evidence | None:
    before, after = (
        side.of_kind(MappingKind.THREAD_STACK) for side in (compared.before, compared.after)
    )
    added = len(after) - len(before)
    if added < limits["stacks"] or added <= limits["share"] * len(before):
        return None
    figures = (
        count("added", added, ""),
        count("before", len(before), ""),
        count("after", len(after), ""),
        *known_kb("rss", after.rss - before.rss if compared.reports("rss") else None),
    )
    return Evidence(
        after.sum("size") - before.sum("size"),
        figures,
        compared.changed_mappings(MappingKind.THREAD_STACK),
        counter="size",
    )


@_problem(
    "mapping-growth",
    confidence=Confidence.LIKELY,
    title="There are {added} more mappings than before: {after} after {before}.",
    condition="the number of mappings grew by at least {mappings} and by more than {share}",
    meaning="The process maps memory or files without unmapping them, or splits what it has. At "
    "vm.max_map_count (see map-count), mmap and malloc fail.",
    advice="Look at the mappings below: their name or size shows what makes them. "
    "perf trace -e mmap,munmap,mprotect --call-graph dwarf -p PID shows the code.",
    disproof="The number stays the same from now on.",
)
def _mapping_growth(compared: Comparison, limits: Limits) -> Evidence | None:
    before, after = len(compared.before), len(compared.after)
    added = after - before
    if added < limits["mappings"] or added <= limits["share"] * before:
        return None
    figures = (count("added", added, ""), count("before", before, ""), count("after", after, ""))
    numbers = sorted(
        ((kind, len(part)) for kind, part in compared.after.by_kind().items()),
        key=lambda entry: -entry[1],
    )
    kind, number = numbers[0]
    return Evidence(
        max(0, int(compared.growth(lambda part: part.sum("size")))),
        figures,
        compared.changed_mappings(kind),
        f"Most mappings now are {kind}: {number:,}.",
        counter="size",
    )


@_explanation(
    "copy-on-write",
    confidence=Confidence.LIKELY,
    title="{copied} that was shared with a forked process is private now.",
    condition="in private anonymous memory, shared pages became fewer by at least {copied} and by "
    "more than {share}, and private dirty pages grew by at least half as much",
    meaning="After a fork, a page is copied when one of the processes writes to it. Each copied "
    "page takes memory once more, although RSS of this process stays the same.",
    advice="While a fork saves data (BGSAVE of Redis), this is expected and ends with it. "
    "Otherwise write less to memory that was filled before the fork: gc.freeze() in Python, data "
    "structures without reference counts. Switch transparent huge pages off: with them, a write "
    "to one byte copies 2 MiB.",
    disproof="The other process has ended: then its pages become private without a copy.",
    needs=("shared_dirty", "private_dirty"),
)
def _copy_on_write(compared: Comparison, limits: Limits) -> Evidence | None:
    before, after = (_private_anonymous(side) for side in (compared.before, compared.after))
    lost = before.sum("shared_dirty") - after.sum("shared_dirty")
    gained = after.sum("private_dirty") - before.sum("private_dirty")
    if lost < limits["copied"] or lost <= limits["share"] * before.sum("shared_dirty"):
        return None
    if gained < lost / 2:
        return None
    copied = min(lost, gained)
    figures = (
        kb("copied", copied),
        kb("shared_before", before.sum("shared_dirty")),
        kb("shared_after", after.sum("shared_dirty")),
    )
    changed = {id(mapping) for mapping in compared.changed_mappings()}
    proof = after.where(lambda row: id(row.mapping) in changed and row.mapping.private_dirty)
    return Evidence(copied, figures, proof.mappings, counter="private_dirty")


@_problem(
    "swapped-out",
    title="{swap} more is in swap than before.",
    condition="Swap grew by at least {swap}",
    meaning="The machine or the container is short of memory. RSS became smaller, or grew less, "
    "though the process freed nothing.",
    advice="See the finding swapped: find out which process uses the memory "
    "(smapskit explain --all).",
    disproof="Nothing: the kernel reports it.",
    needs=("swap",),
)
def _swapped_out(compared: Comparison, limits: Limits) -> Evidence | None:
    swap = int(compared.growth(_swap))
    if swap < limits["swap"]:
        return None
    figures = (kb("swap", swap), kb("after", _swap(compared.after)))
    kinds = compared.growth_by_kind(_swap)
    mappings = compared.after.where(lambda row: row.mapping.swap).mappings
    return Evidence(swap, figures, mappings, f"By kind: {largest_kinds(kinds)}.", counter="swap")


def _rss(part: Part) -> int:
    return part.rss


def _swap(part: Part) -> int:
    return part.sum("swap")


def _clean_file(part: Part) -> int:
    files = part.of_kind(MappingKind.MAPPED_FILE)
    return files.sum("shared_clean") + files.sum("private_clean")


def _private_anonymous(part: Part) -> Part:
    return part.of_backing(Backing.ANONYMOUS).where(lambda row: not row.mapping.perms.shared)
