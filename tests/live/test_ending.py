"""Processes that end, call exec or are replaced while they are read, and other kernel errors."""

from __future__ import annotations

import builtins
import contextlib
import errno
import io
import itertools
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from support.marks import RECORDING_NAMES
from support.paths import TESTS

import smapskit
from smapskit import Note, ProcessNotFound, Recording, cli
from smapskit.cli import system as system_command
from smapskit.sources import process, procfs, scan, system
from smapskit.sources.readahead import read_ahead
from smapskit.sources.recording import Sample

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads live processes")

Start = Callable[..., subprocess.Popen[str]]

WAITS = "print('ready', flush=True); import signal; signal.pause()"
CALLS_EXEC = """
import os, signal, sys
signal.signal(signal.SIGUSR1, lambda *_: os.execvp(sys.argv[1], sys.argv[1:]))
print("ready", flush=True)
while True:
    signal.pause()
"""
RESTARTS = """
import os, signal, sys
signal.signal(signal.SIGUSR1, lambda *_: os.execv(sys.executable, sys.orig_argv))
print("ready", flush=True)
while True:
    signal.pause()
"""
MANY = """
import mmap, signal
kept = [mmap.mmap(-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot)
        for _ in range(2500) for prot in (1, 3)]
print("ready", flush=True)
signal.pause()
"""


def command_of(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def kill(child: subprocess.Popen[str]) -> None:
    """Kill a process and leave it a zombie."""
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)


def kill_and_reap(child: subprocess.Popen[str]) -> None:
    child.kill()
    child.wait()


def call_exec(child: subprocess.Popen[str]) -> None:
    """Let a process of CALLS_EXEC become `sleep`."""
    child.send_signal(signal.SIGUSR1)
    wait_for(lambda: command_of(child.pid).startswith(b"sleep\0"))


@pytest.fixture
def sleeper(start: Start) -> subprocess.Popen[str]:
    """A process that becomes `sleep 1000` at SIGUSR1."""
    return start(sys.executable, "-c", CALLS_EXEC, "sleep", "1000")


@pytest.fixture
def during_read(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Make something happen after the first 4 KiB were read from a smaps or maps file."""

    def prepare(action: Callable[[], object]) -> None:
        class File(io.FileIO):
            reads = 0

            def read(self, size: int | None = -1, /) -> bytes:
                self.reads += 1
                if self.reads == 2:
                    action()
                return super().read(size)

        def open_file(path: str, *arguments: Any, **options: Any) -> Any:
            if path.endswith(("/smaps", "/maps")):
                return File(path)
            return builtins.open(path, *arguments, **options)  # noqa: PTH123

        monkeypatch.setattr(procfs, "open", open_file, raising=False)

    return prepare


def once(action: Callable[[], object]) -> Callable[[], object]:
    """Return a function that does something at its first call only."""
    turns = [action]

    def act() -> None:
        if turns:
            turns.pop()()

    return act


def print_table(pid: int) -> None:
    """Print the table; raise if the status is that of a missing process."""
    if cli.main([str(pid)]) == 42:
        raise ProcessNotFound(errno.ESRCH, "ended while it was read")


READERS: list[Callable[[int], object]] = [
    smapskit.read,
    smapskit.read_maps,
    smapskit.read_frame,
    lambda pid: process.read_sums_text(pid, None, procfs.PROC),
    lambda pid: process.read_sums_text(pid, "pathname", procfs.PROC),
    lambda pid: process.read_sums_text(pid, lambda mapping: mapping.pathname, procfs.PROC),
    lambda pid: next(smapskit.sample(pid)),
    smapskit.record,
    print_table,
]


class TestEnd:
    @pytest.mark.parametrize("end", [kill, kill_and_reap])
    @pytest.mark.parametrize("read", READERS)
    def test_a_process_killed_while_it_is_read_is_not_found(
        self,
        read: Callable[[int], object],
        end: Callable[[subprocess.Popen[str]], None],
        start: Start,
        during_read: Callable[[Callable[[], object]], None],
    ) -> None:
        child = start(sys.executable, "-c", WAITS)
        during_read(once(lambda: end(child)))
        with pytest.raises(ProcessNotFound, match="ended while it was read"):
            read(child.pid)

    def test_a_large_process_killed_while_a_thread_reads_it(self, start: Start) -> None:
        child = start(sys.executable, "-c", MANY)
        chunks = iter(procfs.ProcessText(child.pid, "smaps"))
        first = next(chunks)
        kill(child)
        with pytest.raises(ProcessNotFound, match="ended while it was read"):
            list(chunks)
        assert len(first) >= 1 << 20

    def test_the_error_of_the_table(
        self,
        start: Start,
        during_read: Callable[[Callable[[], object]], None],
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        child = start(sys.executable, "-c", WAITS)
        during_read(once(lambda: kill(child)))
        assert cli.main([str(child.pid), str(os.getpid())]) == 42
        printed = capsys.readouterr()
        assert printed.err == f"smapskit: process {child.pid} ended while it was read\n"
        assert printed.out.startswith(f"{os.getpid()}:   ")


class TestExec:
    def test_mappings_and_command_are_those_of_the_new_program(
        self, sleeper: subprocess.Popen[str], during_read: Callable[[Callable[[], object]], None]
    ) -> None:
        old = {mapping.pathname for mapping in smapskit.read(sleeper.pid)}
        during_read(once(lambda: call_exec(sleeper)))
        snapshot = smapskit.read(sleeper.pid)
        assert (snapshot.command, snapshot.notes) == ("sleep 1000", ())
        names = {mapping.pathname for mapping in snapshot}
        assert any(name.endswith("/sleep") for name in names)
        assert not any("python" in name for name in names)
        assert any("python" in name for name in old)

    def test_the_table_and_the_frame_of_the_new_program(
        self,
        start: Start,
        during_read: Callable[[Callable[[], object]], None],
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        words = (sys.executable, "-c", CALLS_EXEC, "sleep", "1000")
        first, second = start(*words), start(*words)
        during_read(once(lambda: call_exec(first)))
        assert cli.main([str(first.pid)]) == 0
        table = capsys.readouterr().out
        assert table.startswith(f"{first.pid}:   sleep 1000\n")
        assert "python" not in table
        during_read(once(lambda: call_exec(second)))
        frame = smapskit.read_frame(second.pid)
        assert frame.attrs["command"] == "sleep 1000"
        assert not frame["pathname"].str.contains("python").any()

    def test_exec_during_every_attempt_is_an_error(
        self, start: Start, during_read: Callable[[Callable[[], object]], None]
    ) -> None:
        child = start(sys.executable, "-c", RESTARTS)  # its command line never changes

        def restart() -> None:
            child.send_signal(signal.SIGUSR1)
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"

        during_read(restart)
        with pytest.raises(ProcessNotFound, match="called exec while it was read, 3 times"):
            smapskit.read(child.pid)
        found = system.read_system("backing")
        assert found.unreadable[child.pid].endswith("called exec while it was read, 3 times")

    def test_exec_before_the_first_byte(
        self, sleeper: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def open_file(path: str, *arguments: Any, **options: Any) -> Any:
            file = builtins.open(path, *arguments, **options)  # noqa: PTH123, SIM115
            if path.endswith("/smaps"):
                act()
            return file

        act = once(lambda: call_exec(sleeper))
        monkeypatch.setattr(procfs, "open", open_file, raising=False)
        snapshot = smapskit.read(sleeper.pid)
        assert (snapshot.command, snapshot.notes) == ("sleep 1000", ())
        assert len(snapshot) > 5


class TestCommandLine:
    """A command line can change without exec; and a child of vfork that calls exec was in the
    address space of its parent, which still exists."""

    @staticmethod
    def read_with(commands: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> smapskit.Snapshot:
        turns = iter(commands)
        monkeypatch.setattr(procfs, "read_command", lambda *_: next(turns))
        return smapskit.read(os.getpid())

    def test_that_changes_once_is_read_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        snapshot = self.read_with(["old", "new", "new", "new"], monkeypatch)
        assert (snapshot.command, snapshot.notes) == ("new", ())

    def test_that_keeps_changing_is_noted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        commands = [str(number) for number in range(6)]
        snapshot = self.read_with(commands, monkeypatch)
        assert (snapshot.command, snapshot.notes) == ("5", (Note.COMMAND_CHANGED,))
        turns = iter(commands)
        monkeypatch.setattr(procfs, "read_command", lambda *_: next(turns))
        frame = smapskit.read_frame(os.getpid())
        assert frame.attrs["notes"] == [Note.COMMAND_CHANGED]
        assert frame.attrs["command"] == "5"


class TestSample:
    def test_exec_changes_the_command_of_the_next_snapshot(
        self, sleeper: subprocess.Popen[str]
    ) -> None:
        snapshots = smapskit.sample(sleeper.pid, 0.02)
        assert (next(snapshots).command or "").startswith(sys.executable)
        call_exec(sleeper)
        assert next(snapshots).command == "sleep 1000"

    def test_a_sample_lost_to_exec_does_not_end_it(self) -> None:
        here = smapskit.read(os.getpid())
        turns: Iterator[smapskit.Snapshot | Exception] = iter(
            [here, procfs.ExecDuringRead(errno.ESRCH, "exec"), here]
        )

        def read(_pid: int) -> smapskit.Snapshot:
            match next(turns, ProcessNotFound(errno.ESRCH, "gone")):
                case Exception() as error:
                    raise error
                case snapshot:
                    return snapshot

        assert list(smapskit.sample(os.getpid(), 0.01, read=read)) == [here, here]

    def test_any_other_error_is_raised(self) -> None:
        here = smapskit.read(os.getpid())
        turns = iter([here])

        def read(_pid: int) -> smapskit.Snapshot:
            for snapshot in turns:
                return snapshot
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

        snapshots = smapskit.sample(os.getpid(), 0.01, read=read)
        next(snapshots)
        with pytest.raises(OSError, match="Too many open files"):
            next(snapshots)


class TestRecord:
    @pytest.mark.parametrize("name", RECORDING_NAMES)
    def test_exec_is_a_marker(
        self, name: str, sleeper: subprocess.Popen[str], tmp_path: Path
    ) -> None:
        seen: list[Sequence[Sample]] = []

        def act(rows: Sequence[Sample]) -> None:
            seen.append(rows)
            if len(seen) == 2:
                call_exec(sleeper)
            if len(seen) == 4:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            smapskit.record(sleeper.pid, 0.02, path=tmp_path / name, on_sample=act)
        kept = Recording.load(tmp_path / name)
        assert [marker for _, marker in kept.markers] == ["exec: sleep 1000"]
        assert (kept.command or "").startswith(sys.executable)
        first, second, third, fourth = seen
        assert [row.marker for row in third] == ["exec: sleep 1000", ""]
        assert [len(rows) for rows in (first, second, fourth)] == [1, 1, 1]
        assert (second[0].totals.rss or 0) > 2 * (third[1].totals.rss or 0)
        assert tuple(kept.rows) == tuple(row for rows in seen for row in rows)

    def test_exec_while_it_is_read_is_a_marker_before_that_sample(
        self, sleeper: subprocess.Popen[str], during_read: Callable[[Callable[[], object]], None]
    ) -> None:
        seen: list[Sequence[Sample]] = []

        def act(rows: Sequence[Sample]) -> None:
            seen.append(rows)
            if len(seen) == 1:
                during_read(once(lambda: call_exec(sleeper)))
            else:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            smapskit.record(sleeper.pid, 0.02, on_sample=act)
        assert [row.marker for row in seen[1]] == ["exec: sleep 1000", ""]
        assert (seen[0][0].totals.rss or 0) > 2 * (seen[1][1].totals.rss or 0)

    @pytest.mark.parametrize("name", RECORDING_NAMES)
    @pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO, errno.ENOMEM, errno.EACCES])
    def test_an_error_is_raised_when_the_file_is_complete(
        self, name: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object, **_options: object) -> None:
            raise OSError(number, os.strerror(number))

        def act(rows: Sequence[Sample]) -> None:
            seen.extend(rows)
            if len(seen) == 2:
                monkeypatch.setattr(procfs, "open", fail, raising=False)

        seen: list[Sample] = []
        with pytest.raises(OSError) as caught:  # noqa: PT011  its number is compared
            smapskit.record(os.getpid(), 0.02, path=tmp_path / name, on_sample=act)
        assert caught.value.errno == number
        assert Recording.load(tmp_path / name).rows == tuple(seen)
        assert [file.name for file in tmp_path.iterdir()] == [name]

    def test_no_descriptor_is_left_open(self, sleeper: subprocess.Popen[str]) -> None:
        smapskit.record(sleeper.pid, 0.01, 0.02)
        before = descriptors()
        smapskit.record(sleeper.pid, 0.01, 0.02)
        list(smapskit.sample(sleeper.pid, 0.01, 0.02))
        snapshots = smapskit.sample(sleeper.pid, 0.01)
        next(snapshots)
        snapshots.close()  # type: ignore[attr-defined]
        assert descriptors() == before


REUSE = """
import json, os, subprocess, sys
import smapskit

def start(pid=None):
    if pid is not None:
        with open("/proc/sys/kernel/ns_last_pid", "w") as file:
            file.write(str(pid - 1))
    child = subprocess.Popen(["sleep", "1000"])
    assert pid in (None, child.pid)
    return child

def replace(child):
    child.kill()
    child.wait()
    return start(child.pid)

first = start()
snapshots = smapskit.sample(first.pid, 0.02)
assert len(next(snapshots)) > 5
second = replace(first)
sampled = len(list(snapshots))

seen = []
def act(rows):
    seen.extend(rows)
    if len(seen) == 2:
        children.append(replace(second))
children = []
recording = smapskit.record(second.pid, 0.02, on_sample=act)
children[0].kill()
children[0].wait()
print(json.dumps([sampled, len(recording.rows), [text for _, text in recording.markers]]))
"""


def test_a_recording_ends_when_the_pid_is_given_to_another_process() -> None:
    namespace = ["unshare", *(["-Ur"] if os.geteuid() else []), "-pf", "--mount-proc"]
    write = "echo 100 > /proc/sys/kernel/ns_last_pid"
    try:
        subprocess.run([*namespace, "sh", "-c", write], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"requires a pid namespace in which pids can be chosen: {error}")
    ran = subprocess.run(
        [*namespace, sys.executable, "-c", REUSE], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == [0, 2, []]


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208  no Path is open meanwhile


@contextlib.contextmanager
def without_descriptors() -> Iterator[None]:
    """Use up all the descriptors that this process may have."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(limits[0], 256), limits[1]))
        with contextlib.suppress(OSError):
            while True:
                used.append(os.open("/dev/null", os.O_RDONLY))
        yield
    finally:
        for descriptor in used:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


class TestErrors:
    @pytest.mark.parametrize("read", [*READERS[:-1], smapskit.read_rollup])
    def test_too_many_open_files(self, read: Callable[[int], object]) -> None:
        if read is not smapskit.record:
            read(os.getpid())  # imports what it needs
        with without_descriptors(), pytest.raises(OSError) as caught:  # noqa: PT011
            read(os.getpid())
        assert caught.value.errno == errno.EMFILE
        assert str(caught.value.filename).startswith(f"/proc/{os.getpid()}")
        assert not isinstance(caught.value, smapskit.SmapskitError)

    def test_an_error_while_reading_has_the_name_of_the_file(
        self, during_read: Callable[[Callable[[], object]], None]
    ) -> None:
        def fail() -> None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        during_read(fail)
        with pytest.raises(OSError, match=f"Input/output error: '/proc/{os.getpid()}/smaps'"):
            smapskit.read(os.getpid())

    def test_all_counts_unreadable_processes_by_reason(
        self,
        start: Start,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        failing = {start("sh", "-c", "echo ready; read line").pid: errno.EMFILE for _ in range(2)}
        failing[start("sh", "-c", "echo ready; read line").pid] = errno.EIO

        def open_file(path: str, *arguments: Any, **options: Any) -> Any:
            number = failing.get(int(path.split("/")[2])) if path.endswith("_rollup") else None
            if number is not None:
                raise OSError(number, os.strerror(number), path)
            return builtins.open(path, *arguments, **options)  # noqa: PTH123

        monkeypatch.setattr(procfs, "open", open_file, raising=False)
        found = system.read_system()
        assert failing.keys() <= found.unreadable.keys()
        assert cli.main(["--all", "--json"]) == 0
        printed = capsys.readouterr()
        told = json.loads(printed.out)["unreadable"]
        assert {told[str(pid)] for pid in failing} == {"Too many open files", "Input/output error"}
        assert {
            "smapskit: 1 more could not be read (Input/output error)",
            "smapskit: 2 more could not be read (Too many open files)",
        } <= set(printed.err.splitlines())

    @pytest.mark.parametrize("words", [["--all"], ["--all", "--csv"]], ids=" ".join)
    def test_all_prints_a_reason_once_for_all_its_processes(
        self,
        words: list[str],
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        unreadable = {pid: f"not permitted to read the smaps of process {pid}" for pid in (7, 77)}
        found = system.SystemUsage((), {}, unreadable)
        monkeypatch.setattr(system_command, "read_system", lambda *_, **__: found)
        sums = scan.SystemSums([], {}, unreadable)
        monkeypatch.setattr(scan, "read_system_sums", lambda *_, **__: sums)
        assert cli.main(words) == 0
        expected = "2 more could not be read (not permitted to read the smaps of process PID)"
        assert capsys.readouterr().err == f"smapskit: {expected}\n"

    def test_all_without_descriptors(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["--all"]) == 0
        capsys.readouterr()
        with without_descriptors():
            assert cli.main(["--all"]) == 1
        assert "Too many open files" in capsys.readouterr().err


class TestThreads:
    @pytest.fixture
    def many(self, start: Start) -> int:
        return start(sys.executable, "-c", MANY).pid

    @pytest.mark.parametrize("has_threads", [True, False])
    def test_a_large_process_is_read_and_no_descriptor_is_left_open(
        self, many: int, monkeypatch: pytest.MonkeyPatch, *, has_threads: bool
    ) -> None:
        def fail(_thread: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        expected = [mapping.start for mapping in smapskit.read(many)]
        if not has_threads:
            monkeypatch.setattr(threading.Thread, "start", fail)
        before, threads = descriptors(), threading.enumerate()
        snapshot = smapskit.read(many)
        assert [mapping.start for mapping in snapshot] == expected
        assert len(expected) > 5000
        for wanted in range(4):
            chunks = iter(procfs.ProcessText(many, "smaps"))
            assert len(list(itertools.islice(chunks, wanted))) == wanted
            chunks.close()  # type: ignore[attr-defined]
        assert descriptors() == before
        assert threading.enumerate() == threads

    def test_a_large_process_in_chunks_is_whole(self, many: int) -> None:
        chunks = list(procfs.ProcessText(many, "smaps"))
        assert len(chunks) > 2
        snapshot = smapskit.read(many)
        assert snapshot.check() == []
        assert [m.start for m in snapshot] == [m.start for m in smapskit.read_maps(many)]
        assert len(smapskit.read_frame(many)) == len(snapshot) > 5000

    def test_read_ahead_leaves_no_thread(self) -> None:
        before = threading.enumerate()
        with Path("/dev/zero").open("rb", buffering=0) as file:
            chunks = read_ahead(file.fileno(), b"first")
            assert [next(chunks), len(next(chunks))] == [b"first", 1 << 20]
            chunks.close()  # type: ignore[attr-defined]
        assert threading.enumerate() == before

    def test_an_error_of_the_thread_is_raised_in_the_consumer(self) -> None:
        before = descriptors()
        with pytest.raises(IsADirectoryError):
            list(read_folder())
        assert descriptors() == before


def read_folder() -> Iterator[bytes]:
    folder = os.open("/proc/self", os.O_RDONLY)
    try:
        yield from read_ahead(folder, b"first")
    finally:
        os.close(folder)


@pytest.mark.slow
def test_many_endings_at_random_moments() -> None:
    program = [sys.executable, str(TESTS / "stress" / "ending.py")]
    counts = ["--kills", "20", "--execs", "20", "--seconds", "5"]
    ran = subprocess.run([*program, *counts], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.count("WRONG 0") == 3
