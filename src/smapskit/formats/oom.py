"""
Parse the report that the kernel prints when it kills a process because memory ran out.

Formats are those of Linux 3.10 to 6.18 (mm/oom_kill.c, mm/memcontrol.c, mm/show_mem.c), as dmesg,
journalctl, syslog or /dev/kmsg return them. Lines of other messages in between are ignored.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import attrs

from smapskit.errors import ParseError
from smapskit.model.notes import Note
from smapskit.model.oom import (
    OomConstraint,
    OomCounter,
    OomReport,
    OomTask,
    OomTrigger,
    OomVictim,
    OomZone,
)
from smapskit.text import decode, encode

REPORT: Final = re.compile(
    rb" invoked oom-killer: |oom-kill:constraint=|Killed process \d+ \(|"
    rb"Memory cgroup stats for |Tasks state \(memory values in pages\):|"
    rb"\[ *pid *\] +uid +tgid +total_vm +rss "
)
"""Found in every text with a report."""

_BODY: Final = re.compile(
    r" invoked oom-killer: |oom-kill:constraint=|Kill(?:ed)? process \d|oom_reaper: reaped"
    r"|Memory cgroup stats for | killed as a result of limit of |\[ *pid *\] +uid "
    r"|: usage \d+kB, limit \d+kB, failcnt |memory\.oom\.group|Out of memory"
)
"""In a line that may begin a report, or that may follow its end."""
DEFAULT_PAGE_SIZE: Final = 4
"""In kB, where a report does not show another one."""
_MAX_LINE: Final = 16 * 1024
"""A longer line is of another message: the kernel limits a message to 1 or 2 KiB."""
_UNLIMITED_KB: Final = 2**53 - 2**16
"""A limit that is not set is the largest number of pages, 2**53 kB with some deducted."""
_UNLIMITED_32_BIT_KB: Final = 2**33 - 2**16

_DATE: Final = (
    r"[A-Z][a-z]{2} +\d{1,2} (?:\d{4} )?\d\d:\d\d:\d\d[.\d]*"  # syslog, journal
    r"|(?:[A-Z][a-z]{2} )?\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\S*(?: [A-Z]{3,4})?"
)
_STAMP: Final = (
    r"(?:\[ *(?P<uptime%s>\+?\d+\.\d+)(?: +<[ .\d]*>)?\] ?"
    r"|\[(?P<date%s>[A-Z][a-z]{2}[^\]\[]{0,20}\d\d:\d\d(?::\d\d)?[^\]\[]{0,12})\] ?"
    r"|\[ *[TC]\d+\] ?)"  # the thread or CPU that printed it
)
_PREFIX: Final = re.compile(
    r"(?:> ?)*(?:<\d{1,3}>)?"
    r"(?P<kmsg>\d{1,4},\d{1,20},(?P<microseconds>\d{1,20}),[^;]{1,40};)?"
    r"(?:[a-z]{3,8} *:[a-z]{3,8} *: )?"  # dmesg -x
    + (_STAMP % (1, 1))
    + "?"
    + rf"(?:(?:(?P<date>{_DATE}) )?(?:[^\s\[]+ ){{1,2}}kernel(?:\[\d+\])?: ?|(?P<iso>{_DATE}) )?"
    + (_STAMP % (2, 2))
    + "?"
    + (_STAMP % (3, 3))
    + "?"
)
"""What a log puts before a message. Each part may be missing."""
_TIMES: Final = ("date", "iso", "date1", "date2", "uptime1", "uptime2")
_ESCAPE: Final = re.compile(r"\\x([0-9a-f]{2})")

_N: Final = r"(\d{1,20})"
"""int() of thousands of digits is an error."""
_COUNTER: Final = re.compile(
    rf"(memory|memory\+swap|swap|kmem): usage {_N}kB, limit {_N}kB, failcnt {_N}"
)
_STAT_LINE: Final = re.compile(rf"([a-z][a-z0-9_]*) {_N}")
_OLD_STAT: Final = re.compile(rf" ([a-z][a-z0-9_]*):{_N}KB")
_TASK_HEADER: Final = re.compile(r"\[ *pid *\] +(uid +tgid +total_vm +rss [a-z_ ]{0,200}) name")
_TASK_ROW: Final = re.compile(r"\[ *\d+\] +-?\d+ +-?\d+ ")
_KILLED: Final = re.compile(rf"Killed process {_N} \((.*)\),? (?:UID {_N}, )?(total-vm:.*)")
_CHOSEN: Final = re.compile(rf"Kill process {_N} \((.*)\) score {_N} or sacrifice child")
_SHARING: Final = re.compile(rf"Kill process {_N} \((.*)\) sharing same memory")
_REAPED: Final = re.compile(rf"oom_reaper: reaped process {_N} \(.*\), now (anon-rss:.*)")
_SIZE: Final = re.compile(rf"([a-z-]+):{_N}kB")
_PAGE_COUNTS: Final = re.compile(r"(?:[a-z_]+:\d{1,20}(?: |$))+")
_ZONE: Final = re.compile(
    rf"Node {_N} (\S+) free:{_N}kB (?:boost:\d+kB )?min:{_N}kB low:{_N}kB high:{_N}kB"
)
_HUGETLB: Final = re.compile(rf"Node \d+ hugepages_total={_N} .*hugepages_size={_N}kB")
_BUDDY: Final = re.compile(rf"Node \d+ \S+: \d+\*{_N}kB ")
_SLAB: Final = re.compile(rf"(\S+) +\d+KB +{_N}KB")
_SWAP: Final = re.compile(rf"(Free|Total) swap += {_N}kB")
_MACHINE: Final = re.compile(
    rf"{_N} (total pagecache pages|pages in swap cache|pages RAM|pages reserved|"
    r"pages cma reserved|pages hwpoisoned)"
)
_MACHINE_NAMES: Final = {
    "total pagecache pages": "pagecache",
    "pages in swap cache": "swap_cache",
    "pages RAM": "ram",
    "pages reserved": "reserved",
    "pages cma reserved": "cma_reserved",
    "pages hwpoisoned": "hwpoisoned",
}
"""The names in `OomReport.mem_info` of these numbers of pages."""
_OUTCOMES: Final = (
    "and no killable processes",
    "Kernel panic - not syncing: Out of memory",
    "Kernel panic - not syncing: System is deadlocked on memory",
    "Kernel panic - not syncing: out of memory",
)
"""How a report ends where nothing was killed."""

_PAGES: Final = {
    "total_vm": "total_vm",
    "rss": "rss",
    "rss_anon": "rss_anon",
    "rss_file": "rss_file",
    "rss_shmem": "rss_shmem",
    "swapents": "swap",
}
"""The attribute of OomTask for each column that counts pages."""
_NUMBERS: Final = ("uid", "tgid", "oom_score_adj")
_PAGE_TABLES: Final = ("nr_ptes", "nr_pmds", "nr_puds", "pgtables_bytes")
_VICTIM_SIZES: Final = {
    "total-vm": "total_vm",
    "anon-rss": "rss_anon",
    "file-rss": "rss_file",
    "shmem-rss": "rss_shmem",
    "pgtables": "page_tables",
}


def parse_oom_report(
    text: str | bytes,
    *,
    source: str | None = None,
    strict: bool = True,
    page_size: int | None = None,
) -> OomReport:
    """
    Parse the one report of an OOM kill in a text, such as the output of dmesg.

    Args:
        text: a kernel log with the report; other lines are ignored.
        source: where it is from, for errors.
        strict: whether a truncated report and a damaged row are errors; else they are notes.
        page_size: of the machine, in kB. None: as the report shows it, else 4.

    Raises:
        ParseError: with the line; also where there is no report, and for several
            (`parse_oom_report_all` reads those).
    """
    reports = parse_oom_report_all(text, source=source, strict=strict, page_size=page_size)
    if len(reports) > 1:
        msg = f"expected one OOM report, got {len(reports)}: parse_oom_report_all reads several"
        raise ParseError(msg, source, reports[1].line_number)
    return reports[0]


def parse_oom_report_all(
    text: str | bytes,
    *,
    source: str | None = None,
    strict: bool = True,
    page_size: int | None = None,
) -> list[OomReport]:
    """
    Parse every report of an OOM kill in a text: see `parse_oom_report`.

    Returns:
        The reports in the order of the text, at least one.
    """
    parser = _Parser(source, strict=strict, page_size=page_size)
    for number, line in enumerate(decode(encode(text)).split("\n"), 1):
        parser.add(number, line)
    reports = parser.finish()
    if not reports:
        raise ParseError("expected a kernel log with an OOM report, found none", source)
    return reports


@attrs.define
class _Draft:
    """A report while it is read: attributes of OomReport, and figures that are in pages."""

    line_number: int
    values: dict[str, Any] = attrs.field(factory=dict)
    counters: dict[str, OomCounter] = attrs.field(factory=dict)
    stat: dict[str, dict[str, int]] = attrs.field(factory=dict)
    group: str | None = None
    """Whose memory.stat is being read."""
    pages: dict[str, int] = attrs.field(factory=dict)
    sizes: dict[str, int] = attrs.field(factory=dict)
    zones: list[OomZone] = attrs.field(factory=list)
    slab: dict[str, int] = attrs.field(factory=dict)
    hugetlb: int | None = None
    columns: tuple[str, ...] | None = None
    row: re.Pattern[str] | None = None
    rows: list[tuple[str, ...]] = attrs.field(factory=list)
    bad_rows: int = 0
    killed: list[OomVictim] = attrs.field(factory=list)
    score: tuple[int, int] | None = None
    smallest_block: int | None = None
    has_ended: bool = False
    is_group_kill: bool = False
    has_body: bool = False
    """Whether there is more than the line about the kill."""


class _Parser:
    """Reads the lines of a log, and builds the reports."""

    def __init__(self, source: str | None, *, strict: bool, page_size: int | None) -> None:
        self._source = source
        self._strict = strict
        self._page_size = page_size
        self._drafts: list[_Draft] = []
        self._number = 0
        self._line = ""
        self._prefix: re.Match[str] | None = None
        # The first that knows a line reads it. Rows are first: there may be 100,000 of them.
        self._readers: tuple[Callable[[str], bool], ...] = (
            self._row,
            self._trigger,
            self._oom_kill,
            self._kill,
            self._chosen,
            self._stat_line,
            self._counter,
            self._stat_header,
            self._task_header,
            self._task_in,
            self._machine,
            self._cpu,
            self._cpuset,
            self._group_kill,
            self._outcome,
            self._reaped,
        )

    def add(self, number: int, line: str) -> None:
        """Read one line of the log."""
        is_open = bool(self._drafts) and not self._drafts[-1].has_ended
        if len(line) > _MAX_LINE or not (is_open or _BODY.search(line)):
            return
        self._number, self._line = number, line.rstrip("\r")
        self._prefix = _PREFIX.match(self._line)
        message = self._line[self._prefix.end() :] if self._prefix else self._line
        if self._prefix and self._prefix["kmsg"]:
            message = _ESCAPE.sub(lambda code: chr(int(code[1], 16)), message)
        # rsyslog writes a newline within a message as #012.
        for part in message.replace("#012", "\n").split("\n"):
            self._add_message(part.lstrip())

    def _add_message(self, message: str) -> None:
        any(read(message) for read in self._readers)

    def finish(self) -> list[OomReport]:
        """Return the reports."""
        return [self._report(draft) for draft in self._drafts]

    # ---- where a report begins ---------------------------------------------------------

    def _begin(self) -> _Draft:
        draft = _Draft(self._number)
        if self._prefix is not None:
            found = (self._prefix[name] for name in _TIMES)
            draft.values["time"] = next((time for time in found if time), None)
            if self._prefix["microseconds"]:
                draft.values["time"] = f"{int(self._prefix['microseconds']) / 1e6:.6f}"
        self._drafts.append(draft)
        return draft

    def _open(self) -> _Draft:
        """Return the report that a line belongs to: a new one if the last has ended."""
        if self._drafts and not self._drafts[-1].has_ended:
            draft = self._drafts[-1]
        else:
            draft = self._begin()
        draft.has_body = True
        return draft

    # ---- one method per kind of line: True if the line was of that kind -----------------

    def _trigger(self, message: str) -> bool:
        name, found, rest = message.partition(" invoked oom-killer: ")
        if not found:
            return False
        draft = self._begin()
        draft.has_body = True
        mask = re.search(r"gfp_mask=0x([0-9a-f]{1,16})(?:\(([^)]*)\))?", rest)
        order = re.search(r"\border=(-?\d{1,4})\b", rest)
        adjustment = re.search(r"\boom_score_adj=(-?\d{1,5})\b", rest)
        draft.values["trigger"] = OomTrigger(
            name=name,
            gfp_mask=None if mask is None else int(mask[1], 16),
            gfp_flags=None if mask is None else mask[2],
            order=None if order is None else int(order[1]),
            oom_score_adj=None if adjustment is None else int(adjustment[1]),
        )
        return True

    def _row(self, message: str) -> bool:
        draft = self._drafts[-1] if self._drafts else None
        if draft is None or draft.row is None or not _TASK_ROW.match(message):
            return False
        cells = draft.row.fullmatch(message)
        if cells is not None:
            draft.rows.append(cells.groups(""))
        elif self._strict:
            columns = " ".join(draft.columns or ())
            msg = f"expected a row of the task table with pid {columns} name"
            raise self._error(msg)
        else:
            draft.bad_rows += 1
        return True

    def _task_header(self, message: str) -> bool:
        found = _TASK_HEADER.fullmatch(message.rstrip())
        if found is None:
            return False
        draft = self._open()
        draft.group = None
        draft.columns = tuple(found[1].split())
        numbers = r" +(-?\d{1,20})" * len(draft.columns)
        draft.row = re.compile(rf"\[ *(\d{{1,20}})\]{numbers}(?: (.*))?", re.DOTALL)
        return True

    def _cpu(self, message: str) -> bool:
        found = re.match(r"CPU: \d+ (?:UID: \d+ )?PID: (\d{1,10}) Comm: (.*)", message)
        draft = self._drafts[-1] if self._drafts else None
        trigger = draft.values.get("trigger") if draft else None
        if found is None or draft is None or trigger is None or trigger.pid is not None:
            return False
        if found[2].startswith(trigger.name):
            draft.values["trigger"] = attrs.evolve(trigger, pid=int(found[1]))
        return True

    def _cpuset(self, message: str) -> bool:
        found = re.fullmatch(r".* cpuset=(\S+) mems_allowed=([\d,-]*)", message)
        if found is None or not self._drafts or message.startswith("oom-kill:"):
            return False
        self._drafts[-1].values.update(cpuset=found[1], mems_allowed=found[2])
        return True

    def _task_in(self, message: str) -> bool:
        found = message.removeprefix("Task in ")
        task, separator, group = found.partition(" killed as a result of limit of ")
        if found == message or not separator:
            return False
        self._open().values.update(task_cgroup=task, cgroup=group.rstrip())
        return True

    def _counter(self, message: str) -> bool:
        found = _COUNTER.match(message)
        if found is None:
            return False
        usage, limit, failcnt = map(int, found.groups()[1:])
        is_unlimited = limit >= _UNLIMITED_KB or _UNLIMITED_32_BIT_KB <= limit < 2**33
        self._open().counters[found[1]] = OomCounter(
            usage, math.inf if is_unlimited else limit, failcnt
        )
        return True

    def _stat_header(self, message: str) -> bool:
        rest = message.removeprefix("Memory cgroup stats for ")
        if rest == message:
            return False
        draft = self._open()
        old = list(_OLD_STAT.finditer(rest))
        path = rest[: old[0].start()] if old else rest
        draft.group = path.rstrip().removesuffix(":")
        draft.stat[draft.group] = {name: int(size) * 1024 for name, size in _pairs(old)}
        return True

    def _stat_line(self, message: str) -> bool:
        draft = self._drafts[-1] if self._drafts else None
        if draft is None or draft.group is None:
            return False
        found = _STAT_LINE.fullmatch(message.rstrip())
        if found is None:
            return False
        draft.stat[draft.group][found[1]] = int(found[2])
        return True

    def _machine(self, message: str) -> bool:
        draft = self._drafts[-1] if self._drafts else None
        if draft is None:
            return False
        text = message.rstrip()
        if _PAGE_COUNTS.fullmatch(text):
            draft.pages.update((n, int(v)) for n, v in (w.split(":") for w in text.split()))
        elif found := _ZONE.match(text):
            node, name, *sizes = found.groups()
            free, low_min, low, high = map(int, sizes)
            draft.zones.append(
                OomZone(node=int(node), name=name, free=free, min=low_min, low=low, high=high)
            )
        elif found := _HUGETLB.fullmatch(text):
            draft.hugetlb = (draft.hugetlb or 0) + int(found[1]) * int(found[2])
        elif found := _BUDDY.match(text):
            draft.smallest_block = min(draft.smallest_block or 2**20, int(found[1]))
        elif found := _SLAB.fullmatch(text):
            draft.slab[found[1]] = int(found[2])
        elif found := _SWAP.fullmatch(text):
            draft.sizes[f"{found[1].lower()}_swap"] = int(found[2])
        elif found := _MACHINE.fullmatch(text):
            draft.pages[_MACHINE_NAMES[found[2]]] = int(found[1])
        else:
            return False
        return True

    def _oom_kill(self, message: str) -> bool:
        rest = message.removeprefix("oom-kill:constraint=")
        if rest == message:
            return False
        constraint, _, rest = rest.partition(",nodemask=")
        rest, _, _uid = rest.rpartition(",uid=")
        rest, _, _pid = rest.rpartition(",pid=")
        rest, is_complete, _name = rest.rpartition(",task=")
        _nodes, _, rest = rest.partition(",cpuset=")
        cpuset, _, rest = rest.partition(",mems_allowed=")
        if not is_complete or constraint not in set(OomConstraint):
            if self._strict:
                raise self._error("expected oom-kill:constraint=...,task=...,pid=...,uid=...")
            return True
        head, _, task_cgroup = rest.rpartition(",task_memcg=")
        mems, _, group = head.partition(",oom_memcg=")
        draft = self._open()
        draft.values.update(
            constraint=OomConstraint(constraint),
            cpuset=cpuset,
            mems_allowed=mems.removesuffix(",global_oom"),
            task_cgroup=task_cgroup,
        )
        if group:
            draft.values["cgroup"] = group
        return True

    def _chosen(self, message: str) -> bool:
        if found := _SHARING.search(message):
            if self._drafts:
                self._drafts[-1].killed.append(OomVictim(pid=int(found[1]), name=found[2]))
            return True
        found = _CHOSEN.search(message)
        if found is None:
            return False
        draft = self._open()
        draft.score = int(found[1]), int(found[3])
        self._set_memcg(draft, message)
        return True

    def _kill(self, message: str) -> bool:
        found = _KILLED.search(message)
        if found is None:
            return False
        if self._drafts and (self._drafts[-1].is_group_kill or not self._drafts[-1].has_ended):
            draft = self._drafts[-1]
        else:
            draft = self._begin()
        draft.has_ended = True
        self._set_memcg(draft, message)
        pid, rest = int(found[1]), found[4]
        if any(victim.pid == pid for victim in draft.killed):
            return True  # with memory.oom.group, the first is killed and printed twice
        uid = found[3] or _first(r"\bUID:(\d{1,10})\b", rest)
        adjustment = _first(r"\boom_score_adj:(-?\d{1,5})\b", rest)
        sizes = {name: int(size) for name, size in _pairs(_SIZE.finditer(rest))}
        draft.killed.append(
            OomVictim(
                pid=pid,
                name=found[2],
                uid=None if uid is None else int(uid),
                oom_score_adj=None if adjustment is None else int(adjustment),
                score=draft.score[1] if draft.score and draft.score[0] == pid else None,
                **{attribute: sizes.get(name) for name, attribute in _VICTIM_SIZES.items()},
            )
        )
        return True

    def _set_memcg(self, draft: _Draft, message: str) -> None:
        if "Memory cgroup out of memory" in message:
            draft.values.setdefault("constraint", OomConstraint.MEMCG)

    def _group_kill(self, message: str) -> bool:
        found = re.match(r"Tasks in (.*) are going to be killed due to memory\.oom\.group", message)
        if found is None or not self._drafts:
            return False
        self._drafts[-1].is_group_kill = True
        return True

    def _outcome(self, message: str) -> bool:
        if not any(outcome in message for outcome in _OUTCOMES) or not self._drafts:
            return False
        draft = self._drafts[-1]
        draft.values["outcome"] = message.rstrip()
        draft.has_ended = True
        return True

    def _reaped(self, message: str) -> bool:
        found = _REAPED.match(message)
        if found is None:
            return False
        pid = int(found[1])
        left = sum(int(size) for _, size in _pairs(_SIZE.finditer(found[2])))
        for draft in reversed(self._drafts):
            for number, victim in enumerate(draft.killed):
                if victim.pid == pid:
                    draft.killed[number] = attrs.evolve(victim, rss_after=left)
                    return True
        return True

    # ---- from a draft to a report -------------------------------------------------------

    def _error(self, message: str) -> ParseError:
        return ParseError(message, self._source, self._number, self._line)

    def _report(self, draft: _Draft) -> OomReport:
        page_size = self._page_size or _shown_page_size(draft) or DEFAULT_PAGE_SIZE
        tasks = None
        if draft.columns is not None:
            tasks = tuple(_task(draft.columns, cells, page_size) for cells in draft.rows)
        machine = {name: pages * page_size for name, pages in draft.pages.items()}
        return OomReport(
            counters=draft.counters,
            memory_stat=draft.stat,
            mem_info=machine | draft.sizes,
            zones=tuple(draft.zones),
            slab=draft.slab,
            hugetlb=draft.hugetlb,
            tasks=tasks,
            killed=tuple(_in_kb(victim, draft) for victim in draft.killed),
            is_group_kill=draft.is_group_kill,
            page_size=page_size,
            line_number=draft.line_number,
            source=self._source,
            notes=tuple(self._notes(draft)),
            **draft.values,
        )

    def _notes(self, draft: _Draft) -> Iterator[str]:
        if not draft.has_body:
            yield Note.OOM_KILL_ONLY
        elif "trigger" not in draft.values:
            yield self._truncated(draft, Note.OOM_NO_BEGINNING)
        if not draft.has_ended:
            yield self._truncated(draft, Note.OOM_NO_END)
        if draft.bad_rows:
            yield f"{Note.OOM_DAMAGED_ROWS}: {draft.bad_rows}"

    def _truncated(self, draft: _Draft, note: Note) -> Note:
        if self._strict:
            raise ParseError(f"{note}; strict=False reads it", self._source, draft.line_number)
        return note


def _pairs(found: Iterable[re.Match[str]]) -> list[tuple[str, str]]:
    return [(each[1], each[2]) for each in found]


def _first(pattern: str, text: str) -> str | None:
    found = re.search(pattern, text)
    return None if found is None else found[1]


def _task(columns: tuple[str, ...], cells: tuple[str, ...], page_size: int) -> OomTask:
    pid, *numbers, name = cells
    figures = dict(zip(columns, map(int, numbers), strict=True))
    known: dict[str, Any] = {n: figures.pop(n) for n in _NUMBERS if n in figures}
    for column, attribute in _PAGES.items():
        if column in figures:
            known[attribute] = figures.pop(column) * page_size
    tables = [figures.pop(name) for name in _PAGE_TABLES[:-1] if name in figures]
    if tables:
        known["page_tables"] = sum(tables) * page_size
    if "pgtables_bytes" in figures:
        known["page_tables"] = figures.pop("pgtables_bytes") // 1024
    return OomTask(pid=int(pid), name=name, extra=figures, **known)


def _row_of(draft: _Draft, pid: int) -> dict[str, int]:
    """Return the figures of a process in the task table, in the units of the table."""
    for cells in draft.rows:
        if int(cells[0]) == pid:
            return dict(zip(draft.columns or (), map(int, cells[1:-1]), strict=True))
    return {}


def _in_kb(victim: OomVictim, draft: _Draft) -> OomVictim:
    """Correct the page tables: Linux 5.4 to 5.6 prints bytes as kB."""
    size = victim.page_tables
    if size and size == _row_of(draft, victim.pid).get("pgtables_bytes"):
        return attrs.evolve(victim, page_tables=size // 1024)
    return victim


def _shown_page_size(draft: _Draft) -> int | None:
    """Return the page size in kB, which the same size in pages and in kB shows."""
    for victim in draft.killed:
        pages = _row_of(draft, victim.pid).get("total_vm")
        for size in (4, 16, 64):  # 64 KiB is the largest that Linux supports on servers
            if pages and victim.total_vm == pages * size:
                return size
    return draft.smallest_block
