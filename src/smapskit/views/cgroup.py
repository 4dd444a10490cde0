"""The memory of cgroups for a terminal and as JSON; docs/schema-cgroup.json describes it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Mapping as MappingOf
from typing import Any, Final, NamedTuple

import attrs

from smapskit.analysis.findings import format_kb, format_share
from smapskit.model.cgroup import CgroupOwner, CgroupUsage, FileCharges
from smapskit.model.mapping import Usage
from smapskit.model.memory_stat import KERNEL_PARTS, MemoryStat
from smapskit.model.totals import Totals
from smapskit.text import sanitize
from smapskit.views.cells import PLAIN, TableStyle
from smapskit.views.columns import OF_PROCESSES
from smapskit.views.exports import SystemRow
from smapskit.views.tables import table_lines, with_separator

SCHEMA_VERSION: Final = 1
_MAX_CHILDREN: Final = 5
_LABEL_WIDTH: Final = 13
_MIN_WIDTH: Final = 7
_UNLIMITED: Final = "max"
"""A limit that is not set, as v2 writes it."""


class _Row(NamedTuple):
    """A row of the table."""

    label: str
    name: str
    """The attribute of MemoryStat."""
    is_part: bool = False
    """It is within the row above; such a row is omitted if it is 0 or not reported."""


_ROWS: Final = (
    _Row("anon: memory of processes", "anon"),
    _Row("file: page cache, tmpfs, shared memory", "file"),
    _Row("on a tmpfs, or shared memory", "shmem", is_part=True),
    _Row("of other files", "page_cache", is_part=True),
    _Row("mapped by a process", "file_mapped", is_part=True),
    _Row("mapped by none (in no smaps)", "file_unmapped", is_part=True),
    _Row("kernel", "kernel"),
    _Row("stacks of threads", "kernel_stack", is_part=True),
    _Row("page tables", "page_tables", is_part=True),
    _Row("page tables of virtual machines", "secondary_page_tables", is_part=True),
    _Row("data per CPU", "percpu", is_part=True),
    _Row("slab, reclaimable: inodes, directory entries", "slab_reclaimable", is_part=True),
    _Row("slab, not reclaimable", "slab_unreclaimable", is_part=True),
)


def format_cgroup(usage: CgroupUsage, style: TableStyle = PLAIN) -> str:
    """
    Return the memory of a group as text: its limits, and a table that adds up to what is in use.

    Rows that are indented are parts of the row above them. The kernel splits `file` twice: by
    where the file is, and by whether a process maps it.
    """
    lines = [
        style.paint(f"{label:{_LABEL_WIDTH}}", "bold") + style.name(sanitize(text), _LABEL_WIDTH)
        for label, text in _heading(usage)
    ]
    lines += ["", *_table(usage, style), ""]
    if usage.working_set is not None:
        values = (usage.current, usage.stat.inactive_file, usage.working_set)
        current, inactive, working_set = map(style.size, values)
        unit = "" if style.human else " kB"
        text = f"= in use - inactive_file = {current} - {inactive} = {working_set}{unit}"
        lines.append(f"Kubernetes' working set {text}")
    return "\n".join([*lines, ""])


def _heading(usage: CgroupUsage) -> Iterator[tuple[str, str]]:
    yield "Group", usage.name
    if str(usage.owner):
        yield "Owner", str(usage.owner)
    yield "Files", f"{usage.directory} (v{usage.version})"
    yield "Limit", _limit_text(usage)
    if usage.current is not None:
        used = format_kb(usage.current)
        if usage.effective_limit and usage.available not in (None, math.inf):
            used += f", {format_share(usage.current / usage.effective_limit)} of the limit"
        yield "In use", used + (f", at most {format_kb(usage.peak)} so far" if usage.peak else "")
    is_with_memory = usage.memory_swap_limit not in (None, math.inf)
    swap = f"{_size(usage.swap)}, limit {_size(_swap_limit(usage))}"
    yield "Swap", f"{swap} with memory" if is_with_memory else swap
    events = ", ".join(f"{name} {count}" for name, count in usage.events.items() if count)
    yield "Events", events or "none"
    some, full = (usage.pressure.get(name) for name in ("some", "full"))
    if some is not None and full is not None:
        shares = f"some processes {some.avg60:.2f} %, all of them {full.avg60:.2f} %"
        yield "Waiting", f"{shares} of the last minute"
    for number, child in enumerate(usage.children[:_MAX_CHILDREN]):
        name = child.name.removeprefix(usage.name.rstrip("/")).lstrip("/")
        size = f"{_size(child.current)}, limit {_size(child.limit)}"
        yield "" if number else "Below", f"{name}: {size}"
    if len(usage.children) > _MAX_CHILDREN:
        yield "", f"and {len(usage.children) - _MAX_CHILDREN} more groups"


def _swap_limit(usage: CgroupUsage) -> float | None:
    return usage.memory_swap_limit if usage.swap_limit is None else usage.swap_limit


def _limit_text(usage: CgroupUsage) -> str:
    texts = []
    if usage.limited_by is None:
        texts.append(_size(usage.effective_limit))
    elif usage.limited_by == usage.name:
        texts.append(_size(usage.limit))
    else:
        texts.append(f"{_size(usage.effective_limit)}, of {usage.limited_by}")
        texts.append(f"its own {_size(usage.limit)}")
    texts += [
        f"{name} {_size(value)}"
        for name, value in (("high", usage.high), ("low", usage.low), ("min", usage.min))
        if value not in (None, math.inf, 0)
    ]
    return "; ".join(texts)


def _size(kb: float | None) -> str:
    if kb is None:
        return "unknown"
    return "none" if kb == math.inf else format_kb(kb)


def _table(usage: CgroupUsage, style: TableStyle) -> Iterator[str]:
    parts: list[tuple[int | None, str]] = []
    for row in _ROWS:
        value = getattr(usage.stat, row.name)
        if value or not row.is_part:
            parts.append((value, f"  {row.label}" if row.is_part else row.label))
    other = _other_kernel(usage.stat)
    if other:
        parts.append((other, "  other"))
    for label, value in (("sockets", usage.stat.sock), ("huge pages", usage.stat.hugetlb)):
        if value:
            parts.append((value, label))
    parts.append((usage.unexplained, "unexplained"))
    return _shares(["of use", "Memory"], parts, (usage.current, "in use"), style)


def _shares(
    headings: Sequence[str],
    parts: Sequence[tuple[int | None, str]],
    whole: tuple[int | None, str],
    style: TableStyle,
) -> Iterator[str]:
    """Return a table of sizes, their share of a whole, and what they are."""
    rows = [["Size" if style.human else "kB", *headings]]
    for kb, label in [*parts, whole]:
        share = "" if kb is None or not whole[0] else f"{100 * kb / whole[0]:.1f}%"
        rows.append([style.size(kb), share, label])
    return with_separator(rows, style, at_least=_MIN_WIDTH)


def _other_kernel(stat: MemoryStat) -> int | None:
    """Return memory of the kernel that is in none of its parts, where they are reported."""
    parts = [value for name in KERNEL_PARTS if (value := getattr(stat, name)) is not None]
    return None if stat.kernel is None or not parts else stat.kernel - sum(parts)


_COLUMNS: Final = ("In use", "Limit", "Anon", "File", "Kernel", "Swap", "Processes")


def format_cgroups(usages: Sequence[CgroupUsage], style: TableStyle = PLAIN) -> str:
    """
    Return one row per group, sizes in kB: the groups below one after it, the largest first.

    Args:
        usages: as `read_cgroups` returns them: each group before those below it.
        style: how to print it.
    """
    rows = [[*_COLUMNS, "Group" if style.human else "Group (sizes in kB)"]]
    for usage, depth in _by_size(usages):
        stat = usage.stat
        sizes = (usage.current, usage.limit, stat.anon, stat.file, stat.kernel, usage.swap)
        name = sanitize(usage.name if not depth else usage.name.rpartition("/")[2])
        owner = sanitize(str(usage.owner)) if depth else ""
        label = f"{'  ' * depth}{name}" + (f" ({owner})" if owner and owner not in name else "")
        rows.append([*(_cell(kb, style) for kb in sizes), f"{len(usage.pids):,}", label])
    return "\n".join([*table_lines(rows, style, has_total=False), ""])


def _by_size(usages: Sequence[CgroupUsage]) -> Iterator[tuple[CgroupUsage, int]]:
    """Yield groups and their depth: those below a group after it, the largest first."""
    below: dict[str, list[CgroupUsage]] = {}
    known = {usage.directory for usage in usages}
    tops: list[CgroupUsage] = []
    for usage in usages:
        parent = usage.directory.rpartition("/")[0]
        (below.setdefault(parent, []) if parent in known else tops).append(usage)
    pending = [(usage, 0) for usage in reversed(tops)]
    while pending:
        usage, depth = pending.pop()
        yield usage, depth
        children = sorted(below.get(usage.directory, ()), key=lambda each: each.current or 0)
        pending += [(child, depth + 1) for child in children]


def _cell(kb: float | None, style: TableStyle) -> str:
    return _UNLIMITED if kb == math.inf else style.size(None if kb is None else int(kb))


def format_charges(charges: FileCharges, style: TableStyle = PLAIN) -> str:
    """Return one row per group that is charged with pages of a file, in kB."""
    parts: list[tuple[int | None, str]] = []
    for name, kb in charges.groups.items():
        owner = str(CgroupOwner.of_path(name))
        parts.append((kb, sanitize(f"{name} ({owner})" if owner else name)))
    if charges.uncharged:
        parts.append((charges.uncharged, "(no visible group)"))
    headings = ["share", f"Group that is charged with {sanitize(charges.path)}"]
    return "\n".join([*_shares(headings, parts, (charges.cached, "in the page cache"), style), ""])


def charges_to_json(charges: FileCharges) -> str:
    """Return the groups that are charged with pages of a file as one JSON document."""
    document = {
        "schema": SCHEMA_VERSION,
        "unit": "kB",
        "file": sanitize(charges.path),
        "charged": [{"name": sanitize(n), "kb": kb} for n, kb in charges.groups.items()],
        "uncharged": charges.uncharged,
    }
    return json.dumps(document, indent=1) + "\n"


def cgroups_to_json(
    usages: Iterable[CgroupUsage],
    processes: Iterable[SystemRow] | None = None,
    kinds: MappingOf[Any, tuple[int, Totals]] | None = None,
    unreadable: MappingOf[int, str] | None = None,
) -> str:
    """
    Return one JSON document of groups.

    Args:
        usages: the groups.
        processes: of the group, if there is one: pid and command, and the sums.
        kinds: the number of processes and the sums by kind.
        unreadable: the reason by pid for processes that were not read.
    """
    document: dict[str, Any] = {
        "schema": SCHEMA_VERSION,
        "unit": "kB",
        "groups": [_document(usage) for usage in usages],
    }
    if processes is not None:
        document["processes"] = [
            {"pid": pid, "command": sanitize(str(command)), **_sums(usage)}
            for (pid, command), usage in processes
        ]
        document["kinds"] = [
            {"kind": str(kind), "processes": count, **_sums(totals)}
            for kind, (count, totals) in (kinds or {}).items()
        ]
        document["unreadable"] = {
            str(pid): sanitize(reason) for pid, reason in (unreadable or {}).items()
        }
    return json.dumps(document, indent=1) + "\n"


def _sums(usage: Usage) -> dict[str, int | None]:
    return {name: getattr(usage, name) for name in OF_PROCESSES}


def _document(usage: CgroupUsage) -> dict[str, Any]:
    values = attrs.asdict(usage)
    for name in ("name", "directory", "limited_by"):
        values[name] = None if values[name] is None else sanitize(values[name])
    for group in (values, *values["children"]):
        for name, value in group.items():
            if value == math.inf:
                group[name] = _UNLIMITED
    for child in values["children"]:
        child["name"] = sanitize(child["name"])
    values["owner"] = {
        name: sanitize(value) if isinstance(value, str) else value
        for name, value in values["owner"].items()
    }
    values["notes"] = [sanitize(note) for note in values["notes"]]
    for name in ("unexplained", "working_set"):
        values[name] = getattr(usage, name)
    values["stat"] |= {name: getattr(usage.stat, name) for name in ("page_cache", "file_unmapped")}
    return values
