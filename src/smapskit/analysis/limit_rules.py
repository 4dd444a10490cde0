"""Rules over one snapshot: limits that are near, and permissions that are dangerous."""

from __future__ import annotations

import math
import re
from functools import partial
from pathlib import PurePosixPath
from typing import Final

from smapskit.analysis.findings import Confidence
from smapskit.analysis.rules import Evidence, Rule, Subject, count, kb, known_kb, rule, share
from smapskit.analysis.thresholds import Limits
from smapskit.analysis.view import Process
from smapskit.model.backing import Backing
from smapskit.model.kinds import MappingKind

RULES: Final[list[Rule]] = []
"""The rules of this module, in the order of their declaration."""
_problem = partial(rule, RULES, Subject.PROCESS)

_JIT_RUNTIMES: Final = re.compile(
    r"lib(jvm|j9\w*|coreclr|clrjit|mono\w*|luajit\S*|pypy\S*|v8|node|xul|cef|art|"
    r"javascriptcoregtk\S*|mozjs\S*|erl\w*|LLVM\S*|ruby\S*)\.so\S*|"
    r"node|nodejs|deno|bun|mono\S*|pypy\S*|luajit\S*|beam\S*|ruby\S*|php\S*|opcache\.so|"
    r"(google-)?chrom(e|ium)\S*|electron\S*|qemu-\S+"
)
"""Base names of programs and libraries that generate code while they run."""


@_problem(
    "map-count",
    title="There are {mappings}, {share} of the {limit} that are allowed.",
    condition="the number of mappings is more than {share} of vm.max_map_count ({default} where it "
    "is not known)",
    meaning='At the limit, mmap, malloc and the start of threads fail with "Cannot allocate '
    'memory" although memory is free; many programs crash then.',
    advice="Raise the limit: sysctl vm.max_map_count=262144. Then find out why there are so many "
    "mappings, and whether their number grows (smapskit record).",
    disproof="vm.max_map_count of the machine is higher than the limit given here.",
    machine_title="Processes that are near vm.max_map_count",
)
def _map_count(process: Process, limits: Limits) -> Evidence | None:
    known = process.context.max_map_count or None  # with 0, no process could have been started
    limit = limits["default"] if known is None else known
    if len(process) <= limits["share"] * limit:
        return None
    kind, part = max(process.by_kind().items(), key=lambda entry: len(entry[1]))
    figures = (
        count("mappings", len(process), "mapping"),
        count("limit", int(limit), ""),
        share("share", len(process), limit),
        count("of_largest_kind", len(part), ""),
    )
    detail = f"Most of them are {kind}: {len(part):,}."
    if known is None:
        detail += " The limit of the machine is not known: the kernel's default is used."
    certain = Confidence.CERTAIN if known is not None else Confidence.LIKELY
    return Evidence(
        process.sum("size"), figures, part.mappings, detail, confidence=certain, counter="size"
    )


@_problem(
    "stack-limit",
    title="The main stack has {size}, {share} of its limit of {limit}.",
    condition="[stack] is larger than {share} of RLIMIT_STACK",
    meaning="When the stack reaches the limit, the program is ended by a segmentation fault. The "
    "usual reasons are infinite recursion and large arrays in functions.",
    advice="Find the recursion: gdb -p PID -batch -ex bt. If the depth is intended, raise the "
    "limit before the start (ulimit -s), or run that code in a thread with a larger stack.",
    disproof="The stack was this large once and is not used now: a stack never shrinks.",
    needs_context=("stack_limit",),
)
def _stack_limit(process: Process, limits: Limits) -> Evidence | None:
    limit = process.context.stack_limit or math.inf
    stack = process.of_kind(MappingKind.MAIN_STACK)
    size = stack.sum("size")
    if size <= limits["share"] * limit:
        return None
    figures = (
        kb("size", size),
        kb("limit", limit),
        share("share", size, limit),
        *known_kb("rss", stack.known_rss),
    )
    return Evidence(size, figures, stack.mappings, counter="size")


@_problem(
    "address-space-limit",
    title="The address space has {size}, {share} of its limit of {limit}.",
    condition="the sizes of all mappings add up to more than {share} of RLIMIT_AS",
    meaning="At the limit, mmap and malloc fail although memory is free. The limit counts address "
    "space, not memory: reserved address space counts in full.",
    advice="Raise or remove the limit (ulimit -v), and limit memory with a cgroup instead. Or "
    "reserve less: see the finding reserved.",
    disproof="Nothing: the kernel enforces this limit.",
    needs_context=("address_space_limit",),
)
def _address_space_limit(process: Process, limits: Limits) -> Evidence | None:
    limit = process.context.address_space_limit or math.inf
    counted = process.where(lambda row: row.backing is not Backing.SPECIAL)
    size = counted.sum("size")
    if size <= limits["share"] * limit:
        return None
    figures = (kb("size", size), kb("limit", limit), share("share", size, limit))
    return Evidence(size, figures, counted.mappings, counter="size")


@_problem(
    "executable-stack",
    confidence=Confidence.LIKELY,
    title="The stack is executable: {mappings}.",
    condition="the main stack or the stack of a thread has the permission x",
    meaning="An attacker who can write to the stack, through an error in the program, can then run "
    "code. The kernel makes stacks executable if one program or library requires it, mostly by "
    "accident: assembly files without a .note.GNU-stack section.",
    advice="Find the file: readelf -lW FILE | grep GNU_STACK shows RWE for the program or one of "
    "its libraries. Rebuild it with -Wl,-z,noexecstack, or clear the mark with patchelf "
    "--clear-execstack FILE.",
    disproof="The program uses nested functions of GCC, which need it.",
    machine_title="Processes with an executable stack",
)
def _executable_stack(process: Process, _limits: Limits) -> Evidence | None:
    stacks = process.of_kind(MappingKind.MAIN_STACK, MappingKind.THREAD_STACK).where(
        lambda row: row.mapping.perms.execute
    )
    if not stacks.rows:
        return None
    figures = (count("mappings", len(stacks), "mapping"), kb("size", stacks.sum("size")))
    return Evidence(stacks.sum("size"), figures, stacks.mappings, counter="size")


@_problem(
    "writable-executable",
    confidence=Confidence.POSSIBLE,
    title="{size} of memory is writable and executable at the same time, in {mappings}.",
    condition="a mapping other than a stack has the permissions w and x, and the process has no "
    "program or library that is known to generate code (JVM, V8, .NET, PyPy, ...)",
    meaning="Code can be changed while it runs. An error in the program can be used to write code "
    "and run it. Runtimes that compile at run time (JIT) do this for speed; other programs have no "
    "reason to.",
    advice="If the program has a JIT, look for its setting to separate writing from running "
    "(W^X; .NET: DOTNET_EnableWriteXorExecute=1, systemd: MemoryDenyWriteExecute=yes for services "
    "without a JIT). If it has none, find out who made the mapping: "
    "perf trace -e mmap,mprotect --call-graph dwarf -p PID.",
    disproof="The owner is a JIT that is known and trusted.",
    machine_title="Processes with memory that is writable and executable",
)
def _writable_executable(process: Process, _limits: Limits) -> Evidence | None:
    if _has_jit(process):
        return None
    both = process.where(
        lambda row: (
            row.mapping.perms.write
            and row.mapping.perms.execute
            and row.kind not in (MappingKind.MAIN_STACK, MappingKind.THREAD_STACK)
            and row.backing is not Backing.DEVICE
        )
    )
    if not both.rows:
        return None
    figures = (
        kb("size", both.sum("size")),
        count("mappings", len(both), "mapping"),
        *known_kb("rss", both.known_rss),
    )
    return Evidence(both.sum("size"), figures, both.mappings, counter="size")


@_problem(
    "executable-memfd",
    confidence=Confidence.POSSIBLE,
    title="The process runs code from memory that is not a file on any disk: {size}.",
    condition="an executable mapping is of shared memory (memfd, /dev/shm), and the process has no "
    "program or library that is known to generate code (JVM, V8, .NET, PyPy, ...)",
    meaning="Malware can run code that was never on a disk (fileless malware). Container "
    "runtimes (runc) and some JIT compilers do it too.",
    advice="Look at the name of the memfd and at the program: ls -l /proc/PID/exe. If it is not "
    "known, copy it for examination from /proc/PID/map_files.",
    disproof="The name belongs to a runtime that is known and trusted.",
    machine_title="Processes that run code from memory without a file",
)
def _executable_memfd(process: Process, _limits: Limits) -> Evidence | None:
    if _has_jit(process):
        return None
    code = process.of_backing(Backing.SHMEM).where(lambda row: row.mapping.perms.execute)
    if not code.rows:
        return None
    figures = (kb("size", code.sum("size")), count("mappings", len(code), "mapping"))
    return Evidence(code.sum("size"), figures, code.mappings, counter="size")


def _has_jit(process: Process) -> bool:
    """Return whether a program or library of the process is known to generate code."""
    return any(
        _JIT_RUNTIMES.fullmatch(PurePosixPath(row.mapping.pathname).name)
        for row in process.files.rows
        if row.mapping.perms.execute
    )
