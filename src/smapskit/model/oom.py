"""
The kernel's report of an OOM kill: why, what filled memory, which processes, who was killed.

Sizes are in kB. What the kernel did not print is None.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping as MappingOf
from typing import TYPE_CHECKING

import attrs

from smapskit.errors import escape_unprintable
from smapskit.model.memory_stat import MemoryStat

if TYPE_CHECKING:
    from pandas import DataFrame


class OomConstraint(enum.StrEnum):
    """What limited the allocation that failed."""

    NONE = "CONSTRAINT_NONE"
    """The whole machine was out of memory."""
    CPUSET = "CONSTRAINT_CPUSET"
    """The memory nodes that a cpuset allows were full."""
    MEMORY_POLICY = "CONSTRAINT_MEMORY_POLICY"
    """The memory nodes that a NUMA policy allows (numactl --membind) were full."""
    MEMCG = "CONSTRAINT_MEMCG"
    """A memory cgroup had reached its limit."""


@attrs.frozen(kw_only=True)
class OomTrigger:
    """The allocation that failed. The process that needed it may not be the one that was killed."""

    name: str
    gfp_mask: int | None = None
    gfp_flags: str | None = None
    """The names of the bits of `gfp_mask`; None before Linux 4.6."""
    order: int | None = None
    """2 ** order adjacent pages were requested; -1: requested by SysRq."""
    oom_score_adj: int | None = None
    pid: int | None = None
    """Of the thread."""


@attrs.frozen
class OomCounter:
    """A counter of a cgroup with its limit, in kB."""

    usage: int
    limit: float
    """`math.inf`: none is set."""
    failcnt: int
    """How often the limit was reached (v1)."""


@attrs.frozen(kw_only=True)
class OomZone:
    """The free memory of one zone of the machine, in kB."""

    node: int
    name: str
    free: int
    min: int
    """Below this, only the kernel's urgent allocations succeed."""
    low: int
    high: int


@attrs.frozen(kw_only=True)
class OomTask:
    """
    One row of the task table: a process that the kernel could have killed.

    The table has pages; the sizes here are in kB.
    """

    pid: int
    name: str
    """At most 15 bytes: the kernel's name of the process, which may contain anything."""
    uid: int | None = None
    tgid: int | None = None
    total_vm: int | None = None
    """The size of its address space."""
    rss: int | None = None
    rss_anon: int | None = None
    """Since Linux 6.8, as the other parts of `rss`."""
    rss_file: int | None = None
    rss_shmem: int | None = None
    page_tables: int | None = None
    swap: int | None = None
    oom_score_adj: int | None = None
    """-1000: never killed; 1000: killed first."""
    extra: MappingOf[str, int] = attrs.field(factory=dict, repr=False)
    """Columns that have no attribute, by the kernel's name."""

    @property
    def memory(self) -> int | None:
        """RSS, swap and page tables in kB: what the kernel compares to choose a process."""
        if self.rss is None:
            return None
        return self.rss + (self.swap or 0) + (self.page_tables or 0)


@attrs.frozen(kw_only=True)
class OomVictim:
    """A process that the kernel killed, with its memory in kB at that time."""

    pid: int
    name: str
    uid: int | None = None
    total_vm: int | None = None
    rss_anon: int | None = None
    rss_file: int | None = None
    rss_shmem: int | None = None
    """None before Linux 4.5, where `rss_file` includes it."""
    page_tables: int | None = None
    oom_score_adj: int | None = None
    score: int | None = None
    """The points for which it was chosen; printed before Linux 5.0."""
    rss_after: int | None = None
    """What was left of its RSS after oom_reaper had freed its memory."""

    @property
    def rss(self) -> int | None:
        """Its resident memory in kB."""
        if self.rss_anon is None or self.rss_file is None:
            return None
        return self.rss_anon + self.rss_file + (self.rss_shmem or 0)


@attrs.frozen(kw_only=True, repr=False)
class OomReport:
    """
    One report of the kernel that memory ran out.

    The kernel limits how often it prints the whole report: one may consist of `killed` alone.
    """

    trigger: OomTrigger | None = None
    constraint: OomConstraint | None = None
    """None where the report does not tell: before Linux 5.0, for a machine that is full."""
    cgroup: str | None = None
    """The group that reached its limit."""
    task_cgroup: str | None = None
    """The group of the process that was killed; before Linux 5.0, of the one that allocated."""
    cpuset: str | None = None
    mems_allowed: str | None = None
    """The memory nodes that the process may use, such as `0-1`."""
    counters: MappingOf[str, OomCounter] = attrs.field(factory=dict)
    """Of the group, by the kernel's name: memory, memory+swap, swap, kmem."""
    memory_stat: MappingOf[str, MappingOf[str, int]] = attrs.field(factory=dict)
    """The memory.stat by group, in bytes. Before Linux 5.3 there is one for each group below."""
    mem_info: MappingOf[str, int] = attrs.field(factory=dict)
    """Of the machine, in kB: active_anon, ..., and ram, reserved, free_swap, total_swap."""
    zones: tuple[OomZone, ...] = ()
    slab: MappingOf[str, int] = attrs.field(factory=dict)
    """The largest caches of slab that cannot be reclaimed, in kB (for a whole machine)."""
    hugetlb: int | None = None
    """Huge pages of hugetlbfs of the machine, used or not, in kB."""
    tasks: tuple[OomTask, ...] | None = None
    """None where the report has no task table (vm.oom_dump_tasks = 0)."""
    killed: tuple[OomVictim, ...] = ()
    """More than one for memory.oom.group, and where processes share their memory."""
    is_group_kill: bool = False
    """Whether memory.oom.group is set: all processes of the group are killed."""
    outcome: str | None = None
    """What happened where nothing was killed: no process could be, or a panic."""
    page_size: int = 4
    """In kB: what the figures of the task table were multiplied by."""
    time: str | None = None
    """As the log has it: seconds since boot, or a date."""
    line_number: int | None = None
    """Where the report begins in the text, from 1."""
    source: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def is_memcg(self) -> bool | None:
        """Whether a cgroup reached its limit, and not the machine; None if not known."""
        if self.constraint is not None:
            return self.constraint is OomConstraint.MEMCG
        if self.cgroup is not None or self.counters:
            return True
        return False if self.mem_info else None

    @property
    def stat(self) -> MemoryStat | None:
        """What the memory of the group consisted of; None where the report does not tell."""
        parts = [MemoryStat.of_values(values) for values in self.memory_stat.values() if values]
        if not parts:
            return None
        total = parts[0]
        for part in parts[1:]:
            total += part
        kmem = self.counters.get("kmem")
        if total.kernel is None and kmem is not None:
            return attrs.evolve(total, kernel=kmem.usage)
        return total

    @property
    def victim(self) -> OomVictim | None:
        """The process that was chosen; None where nothing was killed."""
        return self.killed[0] if self.killed else None

    @property
    def largest(self) -> OomTask | None:
        """The process with the most RSS, swap and page tables; None without a task table."""
        return max(self.tasks or (), key=lambda task: task.memory or 0, default=None)

    @property
    def is_largest(self) -> bool | None:
        """Whether the process that was killed was the largest; None if not known."""
        if self.victim is None or self.largest is None:
            return None
        memory = [task.memory for task in self.tasks or () if task.pid == self.victim.pid]
        return None if not memory else memory[0] == self.largest.memory

    def to_frame(self) -> DataFrame:
        """
        Return the task table as a DataFrame: one row per process, sizes in kB.

        The column `killed` tells which were killed. A report without a table has no rows.
        """
        from smapskit.views import oom  # noqa: PLC0415  late import: views come after model

        return oom.tasks_frame(self)

    def __repr__(self) -> str:
        where = "" if self.cgroup is None else f" in {escape_unprintable(self.cgroup)}"
        victims = ", ".join(f"{each.pid} ({escape_unprintable(each.name)})" for each in self.killed)
        count = "no task table" if self.tasks is None else f"{len(self.tasks)} tasks"
        return f"<OomReport{where}: killed {victims or 'nothing'}, {count}>"
