"""OOM reports of many kernels and logs: parsed, truncated, damaged, and explained."""

from __future__ import annotations

import math
import re

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.oom_texts import (
    ARM_64K_PAGES,
    BY_KERNEL,
    GLOBAL_3_10,
    KMSG,
    MEMCG_3_10,
    MEMCG_4_14,
    V1,
    V1_5_4,
    V2,
)

import smapskit
from smapskit import OomConstraint, OomReport, ParseError, parse_oom_report, parse_oom_report_all
from smapskit.model.notes import Note

EACH = pytest.mark.parametrize("text", BY_KERNEL.values(), ids=BY_KERNEL)
NOT_OF_REPORT = {"time", "line_number", "source", "notes"}


def content(report: OomReport) -> dict[str, object]:
    """All that does not depend on the log in which the report is."""
    values = attrs.asdict(report, recurse=False)
    return {name: value for name, value in values.items() if name not in NOT_OF_REPORT}


def bare(text: str) -> str:
    """The messages without the time since boot."""
    return re.sub(r"(?m)^\[ *\d+\.\d+\] ", "", text)


def cells(text: str) -> list[list[str]]:
    """The rows of the task table by a reference that splits them at blanks."""
    return [
        re.sub(r"^.*?\[ *(\d+)\]", r"\1", line).split(None, columns - 1)
        for line in text.splitlines()
        if re.search(r"\[ *\d+\] +\d+ +\d+ ", line)
        for columns in [len(re.search(r"\[ *pid *\].*", text)[0].split("]")[1].split()) + 1]  # type: ignore[index]
    ]


class TestKernels:
    def test_v1_of_6_18(self) -> None:
        report = parse_oom_report(V1)
        assert report.constraint is OomConstraint.MEMCG
        assert report.cgroup == report.task_cgroup == "/jobs/pageout"
        assert report.trigger == smapskit.OomTrigger(
            name="python",
            gfp_mask=0xCC0,
            gfp_flags="GFP_KERNEL",
            order=0,
            oom_score_adj=1000,
            pid=21123,
        )
        assert report.counters["memory"] == smapskit.OomCounter(262144, 262144, 0)
        assert report.counters["kmem"] == smapskit.OomCounter(1144, math.inf, 0)
        stat = report.stat
        assert stat is not None
        assert (stat.anon, stat.file, stat.kernel) == (260980, 20, 1144)
        assert stat is not None
        assert (stat.anon, stat.file, stat.kernel) == (260980, 20, 1144)
        assert report.counters["memory"].usage == 260980 + 20 + 1144  # all of it is explained
        (task,) = report.tasks or ()
        assert task.rss_anon is not None
        assert task.rss_file is not None
        assert (task.pid, task.name, task.total_vm) == (21123, "python", 794520)
        assert task.rss == task.rss_anon + task.rss_file == (65216 + 2010) * 4
        assert (task.page_tables, task.swap, task.oom_score_adj) == (852, 0, 1000)
        (victim,) = report.killed
        assert (victim.total_vm, victim.rss_anon, victim.rss_file, victim.rss_shmem) == (
            794520,
            260864,
            8040,
            0,
        )
        assert (victim.uid, victim.page_tables, victim.oom_score_adj) == (0, 852, 1000)
        assert report.is_largest
        assert report.time == "11730.400211"
        assert report.notes == ()

    def test_each_row_of_the_table_is_a_task(self) -> None:
        texts = V2.split("invoked oom-killer")
        reports = parse_oom_report_all(V2)
        assert len(reports) == len(texts) - 1 == 5
        for report, text in zip(reports, texts[1:], strict=True):
            rows = cells(text)
            assert report.tasks is not None
            assert [(str(t.pid), t.name, str((t.rss or 0) // 4)) for t in report.tasks] == [
                (row[0], row[-1], row[4]) for row in rows
            ]

    def test_names_with_blanks_and_brackets(self) -> None:
        report = parse_oom_report_all(V2)[0]
        assert report.trigger is not None
        assert report.victim is not None
        assert report.trigger.name == report.victim.name == "a (b) c"
        assert report.trigger.pid == report.victim.pid == 287
        assert "web server" in [t.name for t in parse_oom_report_all(V2)[3].tasks or ()]

    def test_all_processes_of_a_group_are_killed(self) -> None:
        report = parse_oom_report_all(V2)[1]
        assert report.is_group_kill
        assert [victim.pid for victim in report.killed] == [293, 289, 291, 292]

    def test_a_machine_that_is_full(self) -> None:
        report = parse_oom_report_all(V2)[3]
        assert report.constraint is OomConstraint.NONE
        assert not report.is_memcg
        assert report.cgroup is None
        assert report.task_cgroup == "/"
        assert report.largest is not None
        assert (report.victim and report.victim.name, report.largest.name) == (
            "preferred",
            "leaking",
        )
        assert report.is_largest is False
        assert report.mem_info["total_swap"] == 0
        info = report.mem_info
        parts = ("active_anon", "inactive_anon", "active_file", "inactive_file", "free")
        kernel = ("slab_reclaimable", "slab_unreclaimable", "pagetables")
        known = sum(info[name] for name in (*parts, *kernel))
        assert 0.9 < known / (info["ram"] - info["reserved"]) <= 1
        assert [zone.name for zone in report.zones] == ["DMA", "DMA32"]

    def test_dmesg_and_kmsg_have_the_same_reports(self) -> None:
        reports = parse_oom_report_all(KMSG)
        assert [r.cgroup for r in reports] == [r.cgroup for r in parse_oom_report_all(V2)]
        assert [len(r.killed) for r in reports] == [1, 4, 1, 1, 1]
        stat = reports[2].stat
        assert stat is not None
        assert (stat.anon, stat.shmem, stat.slab) == (3976, 26624, 67)
        assert (stat.page_tables, stat.page_cache) == (32, 0)

    def test_memcg_of_3_10(self) -> None:
        report = parse_oom_report(MEMCG_3_10)
        assert report.constraint is OomConstraint.MEMCG
        assert (report.cgroup, report.task_cgroup) == ("/docker/ab", "/docker/ab/worker")
        assert (report.cpuset, report.mems_allowed) == ("docker-ab.scope", "0-1")
        assert report.counters["memory+swap"].limit == math.inf
        # Each group has its own figures without those below it.
        assert list(report.memory_stat) == ["/docker/ab", "/docker/ab/worker"]
        stat = report.stat
        assert stat is not None
        assert (stat.anon, stat.file, stat.shmem) == (523284, 1004, None)
        assert report.victim == smapskit.OomVictim(
            pid=4711,
            name="java",
            uid=1000,
            total_vm=3600000,
            rss_anon=522400,
            rss_file=0,
            rss_shmem=0,
            score=999,
        )
        java = (report.tasks or ())[1]
        assert (java.page_tables, java.swap, java.uid) == (1200, 40, 1000)

    def test_machine_of_3_10(self) -> None:
        report = parse_oom_report(GLOBAL_3_10)
        assert report.constraint is None
        assert report.is_memcg is False
        assert report.mem_info["active_anon"] == 235000 * 4
        assert report.mem_info["ram"] == 1024 * 1024
        assert (report.mem_info["free_swap"], report.mem_info["total_swap"]) == (0, 2097148)
        assert report.victim is not None
        assert (report.victim.rss_shmem, report.victim.uid, report.victim.score) == (
            None,
            None,
            801,
        )
        assert report.zones[0] == smapskit.OomZone(
            node=0, name="DMA", free=15908, min=260, low=324, high=388
        )

    def test_memcg_of_4_14(self) -> None:
        report = parse_oom_report(MEMCG_4_14)
        assert report.trigger is not None
        assert (report.trigger.order, report.trigger.oom_score_adj) == (0, 968)
        task = (report.tasks or ())[1]
        assert task.page_tables == (40 + 3 + 1) * 4
        assert report.victim is not None
        assert report.victim.rss_after == 4

    def test_page_tables_that_5_4_prints_in_the_wrong_unit(self) -> None:
        report = parse_oom_report(V1_5_4)
        assert report.victim is not None
        assert report.victim.page_tables == 80
        assert (report.stat and report.stat.kernel) == 36 + 448

    def test_the_page_size_that_a_report_shows(self) -> None:
        report = parse_oom_report(ARM_64K_PAGES)
        assert report.page_size == 64
        assert report.mem_info["ram"] == 1024 * 1024
        assert (report.tasks or ())[0].rss == 900 * 64
        assert report.hugetlb == 2 * 2048 + 524288
        assert report.slab == {"dentry": 1280, "kmalloc-64": 704}
        assert parse_oom_report(ARM_64K_PAGES, page_size=16).mem_info["ram"] == 256 * 1024
        no_victim = ARM_64K_PAGES.replace("pid=31", "pid=32").replace("process 31", "process 32")
        assert parse_oom_report(no_victim).page_size == 64  # of the free blocks

    def test_a_process_that_was_not_killed(self) -> None:
        text = V1_5_4.partition("oom-kill:")[0]
        ends = text + "Out of memory and no killable processes...\n"
        report = parse_oom_report(ends)
        assert report.killed == ()
        assert report.victim is None
        assert report.is_largest is None
        assert report.outcome == "Out of memory and no killable processes..."

    def test_processes_that_share_their_memory(self) -> None:
        text = GLOBAL_3_10 + "Kill process 901 (a (b)) sharing same memory\n"
        assert [(v.pid, v.name, v.rss) for v in parse_oom_report(text).killed] == [
            (900, "mysqld", 920000),
            (901, "a (b)", None),
        ]


PREFIXES = {
    "dmesg": "[11730.400211] ",
    "dmesg short": "[    1.000000] ",
    "dmesg -T": "[Tue Nov 24 12:10:10 2026] ",
    "dmesg -x": "kern  :info  : [11730.400211] ",
    "dmesg -e": "[Nov24 12:10] ",
    "dmesg -d": "[11730.400211 <    0.000010>] ",
    "dmesg -e, later lines": "[  +0.000010] ",
    "dmesg iso": "2026-11-24T12:10:10,123456+00:00 ",
    "raw": "<4>[11730.400211] ",
    "caller": "[11730.400211][ T4711] ",
    "caller of a CPU": "[11730.400211] [    C3] ",
    "kmsg": "4,1234,11730400211,-;",
    "kmsg with a caller": "4,1234,11730400211,-,caller=T4711;",
    "journal": "Nov 24 12:10:10 host kernel: ",
    "syslog": "Nov 24 12:10:10 host kernel: [11730.400211] ",
    "rsyslog": "2026-11-24T12:10:10.123456+00:00 web-1 kernel: [11730.400211] ",
    "journal short-iso": "2026-11-24T12:10:10+0000 host kernel: ",
    "journal short-full": "Tue 2026-11-24 12:10:10 UTC host kernel: ",
    "journal short-monotonic": "[11730.400211] host kernel: ",
    "busybox": "Nov 24 12:10:10 host kern.warn kernel: [11730.400211] ",
    "quoted": "> [11730.400211] ",
}


class TestLogs:
    @pytest.mark.parametrize("prefix", PREFIXES.values(), ids=PREFIXES)
    @EACH
    def test_prefixes(self, text: str, prefix: str) -> None:
        expected = parse_oom_report(bare(text))
        log = "".join(f"{prefix}{line}\n" for line in bare(text).splitlines())
        report = parse_oom_report(log)
        assert content(report) == content(expected)
        is_short = prefix in ("> ", "[  +0.000010] ")
        assert is_short or report.time is not None

    @EACH
    def test_crlf_and_bytes(self, text: str) -> None:
        expected = content(parse_oom_report(text))
        assert content(parse_oom_report(text.replace("\n", "\r\n").encode())) == expected

    @EACH
    def test_lines_of_other_messages(self, text: str) -> None:
        others = [
            "eth0: link up 1000",
            "audit: type=1400 audit(1764000000.123:45): apparmor=DENIED",
            "usb 1-1: new high-speed USB device number 5 using xhci_hcd",
            "docker0: port 1(veth) entered disabled state",
            "systemd[1]: Started Session 12 of user root.",
            "",
        ]
        lines = bare(text).splitlines()
        log = "\n".join(
            part for n, line in enumerate(lines) for part in (line, others[n % len(others)])
        )
        assert content(parse_oom_report(f"{others[1]}\n{log}")) == content(
            parse_oom_report(bare(text))
        )

    def test_newlines_as_rsyslog_and_journalctl_write_them(self) -> None:
        expected = content(parse_oom_report(V1_5_4))
        head, _, rest = V1_5_4.partition("Memory cgroup stats for /app:\n")
        stats, tasks, end = rest.partition("Tasks state")
        joined = stats.rstrip("\n").replace("\n", "#012")
        log = f"{head}Memory cgroup stats for /app:\n{joined}\n{tasks}{end}"
        assert content(parse_oom_report(log)) == expected
        joined = stats.rstrip("\n").replace("\n", "\n" + " " * 29)
        log = f"{head}Memory cgroup stats for /app:\n{joined}\n{tasks}{end}"
        assert content(parse_oom_report(log)) == expected

    def test_several_reports(self) -> None:
        texts = list(BY_KERNEL.values())
        reports = parse_oom_report_all("boot\n".join(texts))
        assert list(map(content, reports)) == [content(parse_oom_report(t)) for t in texts]
        lines = "boot\n".join(texts).splitlines()
        for report in reports:
            assert "invoked oom-killer" in lines[(report.line_number or 0) - 1]
        with pytest.raises(ParseError, match="expected one OOM report, got 6"):
            parse_oom_report("".join(texts))

    def test_memory_is_reaped_while_the_next_report_is_printed(self) -> None:
        head, _, reaped = MEMCG_4_14.rpartition("oom_reaper")
        lines = V1.splitlines(keepends=True)
        lines.insert(20, f"oom_reaper{reaped}")
        first, second = parse_oom_report_all(head + "".join(lines))
        assert content(first) == content(parse_oom_report(MEMCG_4_14))
        assert content(second) == content(parse_oom_report(V1))

    def test_names_that_are_not_utf8(self) -> None:
        log = V1_5_4.encode().replace(b"] app", b"] \xff").replace(b" 0 app\n", b" 0 a\xffb \n")
        tasks = parse_oom_report(log).tasks or ()
        assert [task.name for task in tasks] == ["a\udcffb "]


EDITS = st.lists(
    st.tuples(
        st.sampled_from("".join(BY_KERNEL.values()).splitlines()),
        st.integers(0, 100),
        st.text("0x:=, ()[]\n\ud800", max_size=3),
        st.integers(0, 9),
    ),
    max_size=20,
)
"""Lines of reports in any order, each with some characters in place of others."""


class TestTruncated:
    @EACH
    def test_every_beginning(self, text: str) -> None:
        self.check(text, [text[:at] for at in _line_starts(text)])

    @EACH
    def test_every_end(self, text: str) -> None:
        self.check(text, [text[at:] for at in _line_starts(text)])

    def check(self, text: str, parts: list[str]) -> None:
        """Each value that a part has is that of the whole, and strict reading rejects it."""
        whole = parse_oom_report(text)
        pids = {task.pid for task in whole.tasks or ()}
        rejected = 0
        for part in parts:
            try:
                report = parse_oom_report(part, strict=False)
            except ParseError as error:
                assert "found none" in str(error)
                rejected += 1
                continue
            assert {task.pid for task in report.tasks or ()} <= pids
            if report.page_size == whole.page_size:
                assert all(task in (whole.tasks or ()) for task in report.tasks or ())
            for victim in report.killed:
                assert (victim.pid, victim.rss) in [(v.pid, v.rss) for v in whole.killed]
            for name, counter in report.counters.items():
                assert counter == whole.counters[name]
            for name in ("trigger", "cgroup", "constraint", "task_cgroup"):
                value = getattr(report, name)
                known = getattr(whole, name)
                assert value in (None, known) or attrs.evolve(known, pid=None) == value
            is_complete = report.trigger is not None and (report.killed or report.outcome)
            expected = {Note.OOM_KILL_ONLY} if _is_kill_only(part) else set()
            assert bool(report.notes) != bool(is_complete) or set(report.notes) == expected
            if set(report.notes) - {Note.OOM_KILL_ONLY}:
                rejected += 1
                with pytest.raises(ParseError, match="is missing"):
                    parse_oom_report(part)
        assert rejected > len(parts) / 2

    def test_a_damaged_row(self) -> None:
        text = GLOBAL_3_10.replace("   600000   230000     900", "   600000   23000x     900")
        with pytest.raises(ParseError, match="line 26: expected a row of the task table"):
            parse_oom_report(text)
        report = parse_oom_report(text, strict=False)
        assert report.notes == (f"{Note.OOM_DAMAGED_ROWS}: 1",)
        assert [task.name for task in report.tasks or ()] == ["sshd"]
        assert report.is_largest is None

    def test_a_report_that_the_kernel_did_not_print(self) -> None:
        """More than ten kills in five seconds leave one line each."""
        line = "Out of memory: Killed process 7 (x) total-vm:40kB, anon-rss:8kB, file-rss:0kB\n"
        reports = parse_oom_report_all(V1 + line)
        assert len(reports) == 2
        assert reports[1].notes == (Note.OOM_KILL_ONLY,)
        assert reports[1].tasks is None
        assert reports[1].is_largest is None

    @pytest.mark.parametrize("text", ["", "hello\n", "[    1.000000] Linux version 6.1\n"])
    def test_other_texts(self, text: str) -> None:
        with pytest.raises(ParseError, match="expected a kernel log with an OOM report"):
            parse_oom_report(text)

    @given(EDITS)
    def test_hostile_texts(self, edits: list[tuple[str, int, str, int]]) -> None:
        text = "\n".join(line[:at] + put + line[at + gone :] for line, at, put, gone in edits)
        for strict in (True, False):
            try:
                reports = parse_oom_report_all(text, strict=strict)
            except ParseError:
                continue
            for report in reports:
                smapskit.explain(report)
                repr(report)

    @pytest.mark.parametrize(
        "line",
        [
            "Killed process 1 (" * 900,
            "Memory cgroup stats for /x:" + " a:1KB" * 2500 + "!",
            "oom-kill:constraint=CONSTRAINT_NONE,nodemask=" + ",pid=,uid=,task=" * 900,
            "memory: usage " + "9" * 15000 + "kB, limit 1kB, failcnt 0",
            "[ pid ]   uid  tgid total_vm      rss " + "a " * 5000 + "name",
            "> " * 8000,
            "a_b:1 " * 2700 + "!",
        ],
    )
    def test_long_lines_take_no_long_time(self, line: str) -> None:
        text = "x invoked oom-killer: order=0\n" + f"{line}\n" * 20
        with pytest.raises(ParseError):
            parse_oom_report(text)


def _line_starts(text: str) -> list[int]:
    return [match.end() for match in re.finditer("\n", text)][:-1]


def _is_kill_only(part: str) -> bool:
    return not re.search(r"invoked|: usage|oom-kill:|stats for|\] +uid|Task in|Kill process", part)


class TestFrame:
    def test_the_task_table(self) -> None:
        report = parse_oom_report(MEMCG_4_14)
        frame = report.to_frame()
        assert list(frame["name"]) == ["pause", "stress-ng-vm"]
        assert list(frame["rss"]) == [4, 60000]
        assert list(frame["killed"]) == [False, True]
        assert frame["rss_anon"].isna().all()  # since Linux 6.8
        assert frame["rss"].sum() == 60004
        assert list(frame["memory"]) == [4 + 28, 60000 + 176]

    def test_without_a_table(self) -> None:
        frame = parse_oom_report(V1_5_4.replace("[  pid  ]", "[ x ]")).to_frame()
        assert len(frame) == 0
        assert "rss" in frame


class TestExplain:
    def finding(self, text: str) -> smapskit.Finding:
        (finding,) = smapskit.explain(parse_oom_report(text, strict=False))
        assert finding.id == "oom-kill"
        return finding

    def figures(self, finding: smapskit.Finding) -> dict[str, object]:
        return {figure.name: figure.value for figure in finding.figures}

    def test_memory_of_processes(self) -> None:
        finding = self.finding(V1)
        assert finding.title == (
            "The group /jobs/pageout reached its limit of 256.0 MiB: the kernel killed process "
            "21123 (python), with 262.6 MiB of RSS."
        )
        assert "memory of processes 254.9 MiB (100 %)" in finding.meaning
        assert "It was the only process." in finding.meaning
        assert "charged to the group that used them first" in finding.meaning
        assert "The group may not swap." in finding.meaning
        assert self.figures(finding)["anon"] == 260980

    def test_a_tmpfs(self) -> None:
        finding = smapskit.explain(parse_oom_report_all(V2)[2])[0]
        assert "tmpfs and shared memory 26.0 MiB (87 %)" in finding.meaning
        assert "killing a process does not free it" in finding.meaning
        assert "/dev/shm" in finding.advice

    def test_a_process_that_is_not_the_largest(self) -> None:
        finding = smapskit.explain(parse_oom_report_all(V2)[3])[0]
        assert finding.title.startswith("The machine ran out of memory: the kernel killed")
        assert "It was not the largest of the 9 processes: leaking (487)" in finding.meaning
        assert "its oom_score_adj is 900, and that of the largest 0" in finding.meaning
        assert finding.advice.startswith("Look at leaking (487) first.")
        assert "The machine has no swap." in finding.meaning

    def test_a_group_kill(self) -> None:
        finding = smapskit.explain(parse_oom_report_all(V2)[1])[0]
        assert "and 3 more" in finding.title
        assert "memory.oom.group is set" in finding.meaning

    def test_a_pod(self) -> None:
        finding = self.finding(MEMCG_4_14)
        assert "(pod 11111111-2222-3333-4444-555555555555, burstable)" in finding.title

    def test_full_swap(self) -> None:
        assert "Its swap was full." in self.finding(GLOBAL_3_10).meaning

    def test_huge_pages_and_adjacent_pages(self) -> None:
        finding = self.finding(ARM_64K_PAGES)
        assert "vm.nr_hugepages" in finding.advice
        assert "needed 1.00 MiB of adjacent pages more" in finding.meaning
        assert finding.title.startswith("The memory nodes of the cpuset (0) were full")

    def test_only_the_line_about_the_kill(self) -> None:
        line = "Out of memory: Killed process 7 (x) total-vm:40kB, anon-rss:8kB, file-rss:0kB\n"
        finding = self.finding(line)
        assert finding.title == (
            "Memory ran out: the kernel killed process 7 (x), with 8 kB of RSS."
        )

    def test_parts_never_exceed_the_whole(self) -> None:
        for text in BY_KERNEL.values():
            values = self.figures(self.finding(text))
            parts = [values.get(n, 0) for n in ("anon", "shmem", "page_cache", "kernel", "sock")]
            usage = values.get("usage", 0)
            assert isinstance(usage, int)
            assert 0.9 < sum(parts) / usage <= 1.02 or "unexplained" in values  # type: ignore[arg-type]
