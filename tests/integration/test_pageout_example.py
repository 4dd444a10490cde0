"""The page-out experiment: verdicts, rejected plans, and that it leaves nothing behind."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import cgroup
import experiment
import judge
import kernel_log
import pytest
import run
from support.paths import FIXTURES, RECORDED, ROOT

import smapskit
from smapskit import Recording

EXAMPLE = ROOT / "examples" / "pageout"

MIB = experiment.MIB
SMALL = ("--limit", "64M", "--file-size", "128M", "--step", "2M")
SHORT = experiment.Plan(
    limit=64 * MIB, file_size=128 * MIB, step=4 * MIB, hold=1, step_pause=0.05, interval=0.1
)


@functools.cache
def why_not() -> str:
    try:
        experiment.check(SHORT)
    except cgroup.CannotRun as error:
        return str(error)
    return ""


def needs_group(test: Callable[..., None]) -> Callable[..., None]:
    """Mark a test that creates a memory cgroup, where that is possible."""
    reason = why_not()
    for mark in (pytest.mark.slow, pytest.mark.skipif(bool(reason), reason=reason)):
        test = mark(test)
    return test


@attrs.frozen
class Run:
    """A running program, and everything that it may leave behind."""

    process: subprocess.Popen[str]
    folder: Path

    def until(self, phase: str) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.strip() == phase:
                return
        raise AssertionError(f"it ended before {phase!r}")

    @property
    def group(self) -> Path:
        parent = cgroup.MemoryGroup.find().path.parent
        found = [*parent.glob(f"{cgroup.PREFIX}{self.process.pid}-*")]
        return found[0] if found else parent / "gone"

    @property
    def workload(self) -> int:
        (pid,) = (self.group / "cgroup.procs").read_text().split()
        return int(pid)


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    runs = []

    def start(*words: str) -> Run:
        folder = tmp_path / "files"
        folder.mkdir()
        command = [sys.executable, str(EXAMPLE / "run.py"), "--folder", str(folder)]
        command += ["--out", str(tmp_path / "out"), *words]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        runs.append(Run(process, folder))
        return runs[-1]

    yield start
    for begun in runs:
        begun.process.kill()
        begun.process.communicate()


def soon(is_so: Callable[[], bool]) -> bool:
    until = time.monotonic() + 15
    while not is_so() and time.monotonic() < until:
        time.sleep(0.05)
    return is_so()


def exists(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


# ---- nothing is left behind --------------------------------------------------------------


@needs_group
@pytest.mark.parametrize("words", [(), ("--pages",), ("--pages", "--pattern", "dirty")])
def test_a_complete_run_leaves_nothing_behind(
    words: tuple[str, ...], begin: Callable[..., Run]
) -> None:
    swaps = Path("/proc/swaps").read_text().splitlines()
    begun = begin(*SMALL, *words)
    begun.until("allocating")
    workload, group = begun.workload, begun.group
    output, _ = begun.process.communicate(timeout=300)
    assert begun.process.returncode in (0, 4), output
    assert "+ oom_kill of the group 1" in output
    if subprocess.run(["dmesg"], capture_output=True, check=False).returncode == 0:
        assert f"reached its limit of 64.0 MiB: the kernel killed process {workload}" in " ".join(
            output.split()
        )
    assert not group.exists()
    assert not exists(workload)
    assert not list(begun.folder.iterdir())
    out = begun.folder.parent / "out"
    pictures = ["pageout", "pageout-pages", "pageout-order"] if words else ["pageout"]
    assert {path.name for path in out.iterdir()} == {
        "pageout.csv",
        "pageout.smaps",
        *(["pageout.npz"] if words else []),
        *(f"{name}{suffix}" for name in pictures for suffix in (".pdf", ".png", ".svg")),
    }
    last = smapskit.load(out / "pageout.smaps").totals()
    limit = 64 * MIB // 1024
    assert limit * 0.8 < (last.anonymous or 0) <= limit
    names = [line.split()[0] for line in Path("/proc/swaps").read_text().splitlines()]
    assert names == [line.split()[0] for line in swaps]
    assert Recording.load(out / "pageout.csv").notes["oom_kills"] == 1


@needs_group
@pytest.mark.parametrize(
    ("number", "phase", "words"),
    [
        (signal.SIGINT, "reading", ()),
        (signal.SIGINT, "allocating", ("--pages", "--pattern", "advice")),
        (signal.SIGTERM, "allocating", ()),
        (signal.SIGTERM, "hot", ("--pages", "--pattern", "hot")),
        (signal.SIGKILL, "reading", ()),
        (signal.SIGKILL, "allocating", ("--pages", "--pattern", "advice")),
    ],
)
def test_a_run_ended_by_a_signal_leaves_nothing_behind(
    number: signal.Signals, phase: str, words: tuple[str, ...], begin: Callable[..., Run]
) -> None:
    begun = begin(*SMALL, *words)
    begun.until(phase)
    workload, group = begun.workload, begun.group
    begun.process.send_signal(number)
    output, _ = begun.process.communicate(timeout=30)
    if number is signal.SIGKILL:
        assert begun.process.returncode == -signal.SIGKILL
    else:
        assert begun.process.returncode == 128 + number
        assert "stopped; nothing is left behind" in output
    assert soon(lambda: not exists(workload))
    assert soon(lambda: not group.exists())
    assert not list(begun.folder.iterdir())
    assert not list((begun.folder.parent / "out").iterdir())


@needs_group
def test_a_killed_workload_leaves_nothing_and_shows_no_oom_kill(
    begin: Callable[..., Run],
) -> None:
    begun = begin(*SMALL)
    begun.until("allocating")
    group = begun.group
    os.kill(begun.workload, signal.SIGKILL)
    output, _ = begun.process.communicate(timeout=30)
    assert begun.process.returncode == 4
    assert "4. At the limit the process is OOM-killed: NOT SHOWN" in output
    assert "- oom_kill of the group 0" in output
    assert not group.exists()
    assert not list(begun.folder.iterdir())


@needs_group
@pytest.mark.parametrize("phase", ["reading", "allocating"])
def test_a_killed_workload_leaves_nothing_and_shows_no_order(
    phase: str, begin: Callable[..., Run]
) -> None:
    begun = begin(*SMALL, "--pages")
    begun.until(phase)
    group = begun.group
    os.kill(begun.workload, signal.SIGKILL)
    output, _ = begun.process.communicate(timeout=30)
    assert begun.process.returncode == 4
    assert "each page is touched once: NOT SHOWN" in output
    assert not group.exists()
    assert not list(begun.folder.iterdir())
    names = {path.name for path in (begun.folder.parent / "out").iterdir()}
    assert {"pageout.csv", "pageout.npz", "pageout-pages.png"} <= names
    assert not [name for name in names if name.endswith(".new")]


@needs_group
def test_a_workload_that_fails_leaves_nothing(begin: Callable[..., Run]) -> None:
    begun = begin(*SMALL[:-1], "64G")  # more than its address space may hold
    output, _ = begun.process.communicate(timeout=30)
    assert begun.process.returncode == 4, output
    assert "NOT SHOWN" in output
    assert not begun.group.exists()
    assert not list(begun.folder.iterdir())


@needs_group
def test_groups_of_other_runs_are_left_alone() -> None:
    group = cgroup.MemoryGroup.find()
    others = [
        group.path.with_name(f"{cgroup.PREFIX}{2**22 + 1}"),  # beyond the largest pid
        group.path.with_name(f"{cgroup.PREFIX}{os.getpid()}-0123456789abcdef"),
    ]
    try:
        for other in others:
            other.mkdir()
        group.make(64 * MIB)
        assert group.path.exists()
        group.remove()
        assert not group.path.exists()
        assert all(other.exists() for other in others)
    finally:
        for other in others:
            other.rmdir()


@needs_group
def test_a_group_that_exists_already_is_neither_used_nor_removed() -> None:
    group = cgroup.MemoryGroup.find()
    group.path.mkdir()
    try:
        with pytest.raises(cgroup.CannotRun, match="File exists"):
            group.make(64 * MIB)
        group.remove()
        assert group.path.exists()
    finally:
        group.path.rmdir()


# ---- removing a group, on a tree that only looks like one --------------------------------------


@pytest.fixture
def signalled(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The signals that would have been sent."""
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: sent.append((pid, number)))
    return sent


def fake_group(folder: Path, procs: str) -> cgroup.MemoryGroup:
    group = cgroup.MemoryGroup(folder / "group", 2)
    group.path.mkdir()
    group.inode = group.path.stat().st_ino
    (group.path / "cgroup.procs").write_text(procs)
    return group


def test_processes_of_another_pid_namespace_are_not_signalled(
    tmp_path: Path, signalled: list[tuple[int, int]], capsys: pytest.CaptureFixture[str]
) -> None:
    group = fake_group(tmp_path, "0\n4194305\n0\n")
    group.remove(seconds=0)
    assert {pid for pid, _ in signalled} == {4194305}
    assert "could not remove" in capsys.readouterr().err


def test_all_are_killed_at_once_where_the_kernel_can(
    tmp_path: Path, signalled: list[tuple[int, int]]
) -> None:
    group = fake_group(tmp_path, "0\n4194305\n")
    (group.path / "cgroup.kill").touch()
    group.remove(seconds=0)
    assert (group.path / "cgroup.kill").read_text() == "1"
    assert signalled == []


def test_a_group_that_replaced_the_created_one_is_left_alone(
    tmp_path: Path, signalled: list[tuple[int, int]]
) -> None:
    group = fake_group(tmp_path, "4194305\n")
    group.path.rename(tmp_path / "changed")
    other = fake_group(tmp_path, "4194305\n")
    group.remove(seconds=0)
    cgroup.MemoryGroup(other.path, 2).remove(seconds=0)  # made none
    assert signalled == []
    assert other.path.exists()


@pytest.mark.parametrize(
    ("version", "name", "text"),
    [
        (1, "memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"),
        (2, "memory.events", "low 0\nhigh 7\nmax 9\noom 3\noom_kill 2\noom_group_kill 0\n"),
    ],
)
def test_oom_kills_are_counted_by_the_kernel(
    version: int, name: str, text: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(text)
    assert cgroup.MemoryGroup(tmp_path, version).oom_kills() == 2


@pytest.mark.parametrize("told", [True, False])
def test_the_janitor_removes_only_the_group_in_its_input(told: bool, tmp_path: Path) -> None:
    group = tmp_path / "group"
    group.mkdir()
    command = [sys.executable, str(EXAMPLE / "cgroup.py"), str(group), "2"]
    said = f"{group.stat().st_ino}\n" if told else ""
    subprocess.run(command, input=said, text=True, check=True)
    assert group.exists() != told


def test_two_runs_never_have_the_same_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cgroup, "_find_parent", lambda *_: (tmp_path, 2))
    names = {cgroup.MemoryGroup.find().path.name for _ in range(100)}
    assert len(names) == 100


@pytest.mark.parametrize("option", ["--timeout", "--interval"])
@pytest.mark.parametrize("value", ["nan", "inf", "-1", "0", "soon"])
def test_other_numbers_of_seconds_are_usage_errors(
    option: str,
    value: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["run.py", f"{option}={value}", "--out", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as end:
        run.main()
    assert end.value.code == 2
    assert "expected a number of seconds above 0" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


# ---- errors ------------------------------------------------------------------------------


WITHOUT_CGROUPS = """
import runpy, sys
sys.path.insert(0, sys.argv[1])
import cgroup
find = cgroup._find_parent
cgroup._find_parent = lambda own_groups, _mounts: find(own_groups, "")  # no cgroup tree is mounted
sys.argv = ["run.py", "--out", sys.argv[2]]
runpy.run_path(sys.path[0] + "/run.py", run_name="__main__")
"""


def test_without_a_cgroup_the_reason_is_printed_and_nothing_changes(tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-c", WITHOUT_CGROUPS, str(EXAMPLE), str(out)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 3, run.stderr
    assert "no memory cgroup can be made" in run.stderr
    assert "--replay" in run.stderr
    assert not out.exists()


@needs_group
def test_plans_that_cannot_show_page_out_are_rejected(tmp_path: Path) -> None:
    def refusal(plan: experiment.Plan) -> str:
        with pytest.raises(cgroup.CannotRun) as caught:
            experiment.check(plan)
        return str(caught.value)

    assert "available" in refusal(experiment.Plan(limit=1 << 50))
    cached = tmp_path / "cached"
    cached.write_bytes(bytes(8 * MIB))
    assert "page cache" in refusal(attrs.evolve(SHORT, file=cached))
    if Path("/dev/shm").is_dir():
        assert "tmpfs" in refusal(attrs.evolve(SHORT, folder=Path("/dev/shm")))
    if not Path("/proc/swaps").read_text().count("\n") > 1:
        assert "no swap" in refusal(attrs.evolve(SHORT, swap=True))
    if cgroup.MemoryGroup.find().version == 1:
        assert "cgroup v2" in refusal(attrs.evolve(SHORT, high=48 * MIB))


def run_unchecked(plan: experiment.Plan) -> list[judge.Claim]:
    made = experiment.run(plan, cgroup.MemoryGroup.find(), lambda _line: None)
    assert made.memory is not None
    return judge.judge(made.memory)


@needs_group
def test_a_file_in_the_page_cache_already_shows_neither_plateau_nor_fall(tmp_path: Path) -> None:
    cached = tmp_path / "cached"
    cached.write_bytes(bytes(SHORT.file_size))
    levels_off, falls, _rises, _is_killed = run_unchecked(attrs.evolve(SHORT, file=cached))
    assert levels_off.verdict == "not shown"
    assert falls.verdict == "not shown"


@needs_group
@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no tmpfs to try")
def test_a_file_on_tmpfs_is_killed_while_it_is_read() -> None:
    claims = run_unchecked(attrs.evolve(SHORT, folder=Path("/dev/shm")))
    assert [claim.verdict for claim in claims] == ["not shown"] * 4


# ---- verdicts on recorded runs -----------------------------------------------------------


def replay(path: Path, out: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EXAMPLE / "run.py"), "--replay", str(path), "--out", str(out)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_recorded_run_shows_what_the_experiment_claims(tmp_path: Path) -> None:
    ran = replay(RECORDED / "sequential.csv", tmp_path)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert {path.suffix for path in tmp_path.iterdir()} == {".png", ".svg", ".pdf"}
    svg = (tmp_path / "pageout.svg").read_text()
    assert svg.startswith("<?xml")


def test_another_recording_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.csv"
    recording = Recording.load(RECORDED / "sequential.csv")
    attrs.evolve(recording, notes={}).save(other)
    words = ["run.py", "--replay", str(other), "--out", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", words)
    assert run.main() == 1
    assert "expected a recording that this experiment made" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "verdicts"),
    [
        ("sequential", ["shown", "shown", "stays flat", "shown"]),
        ("reread", ["shown", "not shown", "not shown", "shown"]),
        ("random", ["not shown", "not shown", "not shown", "shown"]),
        ("swap", ["shown", "shown", "stays flat", "not shown"]),
        ("high", ["shown", "shown", "shown", "shown"]),
    ],
)
def test_verdicts_on_the_recorded_runs(name: str, verdicts: list[str]) -> None:
    claims = judge.judge(Recording.load(RECORDED / f"{name}.csv"))
    assert [claim.verdict for claim in claims] == verdicts


def changed(**notes: object) -> list[str]:
    recording = Recording.load(RECORDED / "sequential.csv")
    recording = attrs.evolve(recording, notes={**recording.notes, **notes})
    return [claim.verdict for claim in judge.judge(recording)]


def test_a_kill_that_the_kernel_does_not_count_is_not_an_oom_kill() -> None:
    assert changed(oom_kills=0)[3] == "not shown"
    assert changed(exit=-15)[3] == "not shown"
    assert changed(steps=[[1.0, 128 * MIB]])[3] == "not shown"


def test_a_run_judged_under_another_limit_shows_nothing() -> None:
    plan = Recording.load(RECORDED / "sequential.csv").notes["plan"]
    assert changed(plan={**plan, "limit": 512 * MIB}) == [
        "not shown",
        "shown",  # the fall is a line whatever the limit
        "not shown",
        "not shown",
    ]


# ---- where a group may be made ---------------------------------------------------------------

V2 = "30 23 0:26 {root} {folder} rw,nosuid - cgroup2 cgroup2 rw,nsdelegate"
V1 = "35 31 0:32 {root} {folder} rw,relatime - cgroup cgroup rw,{controller}"


def make_tree(folder: Path, *groups: str, controllers: str = "cpu memory") -> None:
    for group in ("", *groups):
        (folder / group).mkdir(parents=True, exist_ok=True)
        (folder / group / "cgroup.procs").touch()
        (folder / group / "cgroup.subtree_control").write_text(controllers + "\n")


def place(own: str, mounts: str) -> tuple[Path, int]:
    return cgroup._find_parent(own, mounts)


def test_v2_group_is_created_where_memory_is_delegated(tmp_path: Path) -> None:
    make_tree(tmp_path, "user.slice", "user.slice/shell.scope")
    (tmp_path / "user.slice" / "shell.scope" / "cgroup.subtree_control").write_text("\n")
    own = "0::/user.slice/shell.scope\n"
    mounts = V2.format(root="/", folder=tmp_path)
    assert place(own, mounts) == (tmp_path / "user.slice", 2)


def test_v1_is_used_where_v2_has_no_memory_controller(tmp_path: Path) -> None:
    make_tree(tmp_path / "unified", controllers="hugetlb")
    make_tree(tmp_path / "memory", "session")
    own = "4:memory:/session\n3:cpu:/\n0::/\n"
    mounts = "\n".join(
        [
            V1.format(root="/", folder=tmp_path / "cpu", controller="cpu"),
            V1.format(root="/", folder=tmp_path / "memory", controller="memory"),
            V2.format(root="/", folder=tmp_path / "unified"),
        ]
    )
    assert place(own, mounts) == (tmp_path / "memory" / "session", 1)


def test_in_a_container_the_mount_begins_at_its_own_group(tmp_path: Path) -> None:
    make_tree(tmp_path, "job")
    own = "4:memory:/docker/1234/job\n"
    mounts = V1.format(root="/docker/1234", folder=tmp_path, controller="memory")
    assert place(own, mounts) == (tmp_path / "job", 1)


@pytest.mark.parametrize(
    ("mounts", "said"),
    [
        ("", "no cgroup file system with the memory controller is mounted"),
        (
            V2.format(root="/", folder="/nowhere"),
            "no group here enables the memory controller below it",
        ),
    ],
)
def test_the_reason_is_in_the_error_where_no_group_can_be_created(mounts: str, said: str) -> None:
    with pytest.raises(cgroup.CannotRun, match=said):
        place("0::/\n", mounts)


@pytest.mark.parametrize(
    ("script", "pid", "expected"),
    [
        (f"cat {FIXTURES}/oom/v2-6.12.txt", 296, "The group /tmp reached its limit of 30.0 MiB"),
        (f"cat {FIXTURES}/oom/v2-6.12.txt", 7, None),
        ("exit 1", 296, None),
    ],
)
def test_the_kernel_log_tells_why_a_process_was_killed(
    script: str, pid: int, expected: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dmesg").write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / "dmesg").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    reasons = kernel_log.explain_kill(pid)
    assert reasons is None if expected is None else (reasons or "").startswith(expected)
