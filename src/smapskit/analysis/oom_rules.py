"""Rules over a report of the kernel that memory ran out."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import Final, NamedTuple

from smapskit.analysis.findings import Figure, format_kb, format_share
from smapskit.analysis.rules import Evidence, Rule, Subject, count, kb, rule, text
from smapskit.analysis.thresholds import Limits
from smapskit.model.cgroup import CgroupOwner
from smapskit.model.oom import OomConstraint, OomReport, OomTask, OomVictim

RULES: Final[list[Rule]] = []
"""The rules of this module, in the order of their declaration."""
_problem = partial(rule, RULES, Subject.OOM_REPORT)

_MAX_OTHERS: Final = 3
_MAX_PARTS: Final = 4
_MAX_PATH: Final = 40
"""Characters of the path of a group in a sentence."""
_PROTECTED: Final = -1000


class _Part(NamedTuple):
    """A part of the memory that was full."""

    figure: str
    name: str
    """For a person."""
    size: int
    """kB."""
    advice: str


_PROCESSES: Final = (
    "Find out what the processes hold while they run: smapskit explain PID, smapskit PID --by "
    "kind, and smapskit record for how it grows. Set the limits of their own runtime (-Xmx, "
    "--max-old-space-size, GOMEMLIMIT, the number of workers) below the limit of the group or the "
    "memory of the machine."
)
_TMPFS: Final = (
    "Look for files on a tmpfs (/dev/shm, /run, often /tmp, a Kubernetes emptyDir with medium "
    "Memory) and for shared memory that was never removed (ipcs -m): they count until they are "
    "deleted, and killing a process does not free them. Limit the tmpfs (mount -o size=)."
)
_CACHE: Final = (
    "Page cache is normally reclaimed before a process is killed. Look for what prevented it: "
    "files locked with mlock, data that is written faster than the disk stores it (file_dirty and "
    "file_writeback in memory.stat), or a working set of mapped files that is larger than the "
    "limit."
)
_KERNEL: Final = (
    "Memory of the kernel counts too: inodes and directory entries of very many files, kernel "
    "stacks of very many threads, page tables. smapskit cgroup shows the parts; slabtop shows the "
    "caches of the machine."
)
_SOCKETS: Final = (
    "Buffers of network sockets filled it: look for peers that do not read (ss -tm), and limit "
    "net.ipv4.tcp_rmem and tcp_wmem."
)
_HUGE: Final = (
    "Memory was set aside for huge pages, which nothing else can use: lower vm.nr_hugepages."
)
_UNKNOWN: Final = (
    "Most of the memory is in no figure of the report: look for drivers, virtual machines and "
    "kernel modules that allocate pages themselves."
)
_LOCKED: Final = (
    "Look for what locks memory (mlock, VmLck in /proc/PID/status): it cannot be reclaimed."
)


@_problem(
    "oom-kill",
    title="{reason}: {result}.",
    condition="the text has a report of the kernel that memory ran out",
    meaning="A process that the kernel kills gets SIGKILL, which it cannot handle: its exit status "
    "is 137 in a shell and in a container (OOMKilled).",
    advice="smapskit cgroup shows what a container or a service uses now, and smapskit --all the "
    "processes of a machine. If nothing can be saved, raise the limit or add memory.",
    disproof="Nothing: the kernel reports it. Why a process needed the memory is not in the "
    "report.",
)
def _oom_kill(report: OomReport, _limits: Limits) -> Evidence | None:
    parts, whole = _filled_by(report), _whole(report)
    sentences = [
        *_request(report),
        *_contents(parts, whole),
        *_choice(report),
        *_consequences(report, whole),
    ]
    victim = report.victim
    return Evidence(
        size=(victim.rss if victim else None) or 0,
        figures=tuple(_figures(report, parts, whole)),
        detail=" ".join(sentences),
        advice=_advice(report, parts),
    )


def _advice(report: OomReport, parts: list[_Part]) -> str:
    """Return what to do about the largest part; "" if nothing is known."""
    if not parts:
        return ""
    advice = max(parts, key=lambda part: part.size).advice
    if report.is_largest is False and report.largest is not None:
        return f"Look at {report.largest.name} ({report.largest.pid}) first. {advice}"
    return advice


def _figures(report: OomReport, parts: list[_Part], whole: int | None) -> Iterator[Figure]:
    yield text("reason", _reason(report))
    yield text("result", _result(report))
    if report.cgroup is not None:
        yield text("cgroup", report.cgroup)
    if whole is not None:
        yield kb("usage", whole)
    for part in parts:
        yield kb(part.figure, part.size)
    if report.victim is not None and report.victim.rss is not None:
        yield kb("rss", report.victim.rss)
    if report.tasks is not None:
        yield count("tasks", len(report.tasks), "")


def _reason(report: OomReport) -> str:
    if report.is_memcg:
        name = f"The group {_short_name(report.cgroup)}" if report.cgroup else "A memory cgroup"
        memory = report.counters.get("memory")
        swapping = report.counters.get("memory+swap")
        if memory is not None and memory.limit != math.inf and memory.usage >= 0.9 * memory.limit:
            return f"{name} reached its limit of {format_kb(memory.limit)}"
        if swapping is not None and swapping.limit != math.inf:
            return f"{name} reached its limit of memory and swap, {format_kb(swapping.limit)}"
        return f"{name} reached its limit"
    match report.constraint:
        case OomConstraint.CPUSET:
            return f"The memory nodes of the cpuset ({report.mems_allowed}) were full"
        case OomConstraint.MEMORY_POLICY:
            return "The memory nodes of a NUMA policy were full"
    if report.is_memcg is None:
        return "Memory ran out"
    return "The machine ran out of memory"


def _short_name(path: str) -> str:
    """Return the end of the path of a group, and what it shows: a pod, a container, a unit."""
    owner = str(CgroupOwner.of_path(path))
    end = path if len(path) <= _MAX_PATH else f"...{path[-_MAX_PATH:]}"
    return f"{end} ({owner})" if owner else end


def _result(report: OomReport) -> str:
    victim = report.victim
    if victim is None:
        return report.outcome or "what was killed is not in the report"
    memory = "" if victim.rss is None else f", with {format_kb(victim.rss)} of RSS"
    others = len(report.killed) - 1
    more = f", and {others} more" if others else ""
    return f"the kernel killed process {victim.pid} ({victim.name}){memory}{more}"


def _request(report: OomReport) -> Iterator[str]:
    trigger = report.trigger
    if trigger is None:
        return
    if trigger.order == -1:
        yield "Somebody requested the kill with SysRq."
        return
    name = trigger.name if trigger.pid is None else f"{trigger.name} ({trigger.pid})"
    pages = 1 << max(0, min(trigger.order or 0, 20))
    size = format_kb(pages * report.page_size)
    adjacent = " of adjacent pages" if pages > 1 else ""
    yield f"{name} needed {size}{adjacent} more, and nothing could be reclaimed."


def _contents(parts: list[_Part], whole: int | None) -> Iterator[str]:
    """Yield what memory consisted of, the largest part first."""
    if not parts or not whole:
        return
    largest = sorted(parts, key=lambda part: -part.size)[:_MAX_PARTS]
    shown = [
        f"{part.name} {format_kb(part.size)} ({format_share(part.size / whole)})"
        for part in largest
        if part.size >= whole / 100
    ]
    if shown:
        yield f"In use were {format_kb(whole)}: {', '.join(shown)}."


def _choice(report: OomReport) -> Iterator[str]:
    """Yield why this process was killed, and which others there were."""
    victim, tasks, largest = report.victim, report.tasks, report.largest
    if victim is None or not tasks or largest is None:
        return
    number = "1 process" if len(tasks) == 1 else f"{len(tasks)} processes"
    if report.is_group_kill:
        yield (
            f"memory.oom.group is set: the kernel kills all processes of the group "
            f"({len(report.killed)} are in the report)."
        )
    if report.is_largest:
        yield (
            "It was the only process."
            if len(tasks) == 1
            else f"It was the largest of the {number} that could be killed."
        )
    elif report.is_largest is False:
        yield f"It was not the largest of the {number}: {_memory(largest)} was. {_why(report)}"
    named = {largest.pid, *(each.pid for each in report.killed)}
    others = [task for task in tasks if task.pid not in named]
    others = sorted(others, key=lambda task: -(task.memory or 0))[:_MAX_OTHERS]
    if others:
        yield f"Others: {', '.join(map(_memory, others))}."


def _memory(task: OomTask) -> str:
    size = "" if task.memory is None else f" with {format_kb(task.memory)}"
    return f"{task.name} ({task.pid}){size}"


def _why(report: OomReport) -> str:
    """Return why a process was preferred to a larger one."""
    largest, victim = report.largest, report.victim
    if largest is None or victim is None:
        return ""
    if largest.oom_score_adj == _PROTECTED:
        return "The largest is protected: its oom_score_adj is -1000."
    adjusted = victim.oom_score_adj
    if adjusted is None:
        rows = (task for task in report.tasks or () if task.pid == victim.pid)
        adjusted = next((task.oom_score_adj for task in rows), None)
    if adjusted is not None and adjusted > (largest.oom_score_adj or 0):
        return (
            f"The kernel preferred it because its oom_score_adj is {adjusted}, and that of the "
            f"largest {largest.oom_score_adj or 0}."
        )
    return "Sizes in the table and at the time of the choice may differ."


def _consequences(report: OomReport, whole: int | None) -> Iterator[str]:
    victim = report.victim
    if victim is not None:
        yield from _foreign_pages(report, victim, whole)
    swap = report.counters.get("swap")
    memory, swapping = (report.counters.get(name) for name in ("memory", "memory+swap"))
    if report.is_memcg is False and report.mem_info.get("total_swap") is not None:
        if report.mem_info["total_swap"] == 0:
            yield "The machine has no swap."
        elif report.mem_info.get("free_swap") == 0:
            yield "Its swap was full."
    elif (swap is not None and swap.limit == 0) or (
        memory is not None and swapping is not None and memory.limit == swapping.limit
    ):
        yield "The group may not swap."


def _foreign_pages(report: OomReport, victim: OomVictim, whole: int | None) -> Iterator[str]:
    if not report.is_memcg or not whole or victim.rss is None:
        return
    if victim.rss > whole:
        yield (
            "Its RSS is larger than what the group used: pages of files are charged to the group "
            "that used them first, which was another one."
        )
    elif report.tasks and sum(task.rss or 0 for task in report.tasks) < whole / 2:
        yield (
            "All its processes together have less than half of that: the rest is memory that no "
            "process maps, and killing a process does not free it."
        )


def _whole(report: OomReport) -> int | None:
    """Return how much was in use, in kB."""
    if report.is_memcg:
        memory = report.counters.get("memory")
        return None if memory is None else memory.usage
    ram = report.mem_info.get("ram")
    if ram is None:
        return None
    return max(0, ram - report.mem_info.get("reserved", 0) - report.mem_info.get("free", 0))


def _filled_by(report: OomReport) -> list[_Part]:
    if report.is_memcg:
        return _parts_of_group(report)
    return _parts_of_machine(report)


def _parts_of_group(report: OomReport) -> list[_Part]:
    stat, whole = report.stat, _whole(report)
    if stat is None:
        return []
    cache = stat.page_cache if stat.page_cache is not None else stat.file
    parts = [
        _Part("anon", "memory of processes", stat.anon or 0, _PROCESSES),
        _Part("shmem", "tmpfs and shared memory", stat.shmem or 0, _TMPFS),
        _Part("page_cache", "page cache of files", cache or 0, _CACHE),
        _Part("kernel", "kernel", stat.kernel or 0, _KERNEL),
        _Part("sock", "sockets", stat.sock or 0, _SOCKETS),
        _Part("hugetlb", "huge pages", stat.hugetlb or 0, _HUGE),
    ]
    return _with_rest(parts, whole)


def _parts_of_machine(report: OomReport) -> list[_Part]:
    info = report.mem_info
    if "active_anon" not in info:
        return []
    shmem = info.get("shmem", 0)
    # The lists of anonymous memory include tmpfs; unevictable memory may be of any kind.
    anon = info["active_anon"] + info.get("inactive_anon", 0) - shmem
    files = info.get("active_file", 0) + info.get("inactive_file", 0)
    kernel = ("slab_reclaimable", "slab_unreclaimable", "pagetables", "sec_pagetables")
    parts = [
        _Part("anon", "memory of processes", max(0, anon), _PROCESSES),
        _Part("shmem", "tmpfs and shared memory", shmem, _TMPFS),
        _Part("page_cache", "page cache of files", files, _CACHE),
        _Part("locked", "locked memory", info.get("unevictable", 0), _LOCKED),
        _Part("kernel", "kernel", sum(info.get(name, 0) for name in kernel), _KERNEL),
        _Part("hugetlb", "huge pages", report.hugetlb or 0, _HUGE),
    ]
    return _with_rest(parts, _whole(report))


def _with_rest(parts: list[_Part], whole: int | None) -> list[_Part]:
    """Return the parts that are not empty, and what none of them explains."""
    known = [part for part in parts if part.size]
    rest = 0 if whole is None else whole - sum(part.size for part in known)
    if rest > 0:
        known.append(_Part("unexplained", "unexplained", rest, _UNKNOWN))
    return known
