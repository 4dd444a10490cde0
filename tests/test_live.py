"""Live processes of this machine, against what the kernel and the installed pmap say."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pmap_tool
import pytest
from pmap_tool import (
    LAYOUTS,
    MOVED_BY_OTHERS,
    in_ascii,
    moved_as_in,
    named,
    printed,
    with_cut_names,
)
from test_trust import MAPPER

import smapskit
from conftest import FIXTURES
from smapskit import AccessDenied, Note, ProcessNotFound, Unsupported

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads the /proc of Linux")

MANY = """
import ctypes, signal, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
pages = int(sys.argv[1])
area = libc.mmap(None, pages * 4096, 3, 0x22, -1, 0)
for page in range(0, pages, 2):
    assert libc.mprotect(area + page * 4096, 4096, 1) == 0
print("ready", flush=True)
signal.pause()
"""


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[int]:
    """Keep a process from moving while it is looked at."""
    os.kill(pid, signal.SIGSTOP)
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        assert time.monotonic() < deadline
        time.sleep(0.01)
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.fixture
def zoo(start: Callable[..., subprocess.Popen[str]]) -> int:
    """A process with mappings of every kind."""
    return start(sys.executable, str(FIXTURES / "zoo.py")).pid


@pytest.fixture
def pandas(start: Callable[..., subprocess.Popen[str]]) -> int:
    """A Python with pandas: hundreds of mappings."""
    code = "import pandas; print('ready', flush=True); input()"
    return start(sys.executable, "-c", code).pid


class TestRead:
    def test_says_whose_it_is_and_when(self, zoo: int) -> None:
        snapshot = smapskit.read(zoo)
        assert snapshot.pid == zoo
        assert snapshot.command == f"{sys.executable} {FIXTURES / 'zoo.py'}"
        assert snapshot.source == f"/proc/{zoo}/smaps"
        assert snapshot.time is not None
        assert timedelta(0) <= datetime.now(UTC) - snapshot.time < timedelta(minutes=1)
        assert snapshot.check() == []

    def test_the_sums_are_those_of_the_kernels_rollup(self, pandas: int) -> None:
        with stopped(pandas):
            totals, rollup = smapskit.read(pandas).totals(), smapskit.read_rollup(pandas)
        assert totals.count > 300
        for name in set(smapskit.model.mapping.COUNTERS).difference(MOVED_BY_OTHERS, ["swap_pss"]):
            assert getattr(totals, name) == getattr(rollup, name), name
        clean = [(each.shared_clean or 0) + (each.private_clean or 0) for each in (totals, rollup)]
        assert clean[0] == clean[1]

    def test_maps_has_the_same_mappings(self, zoo: int) -> None:
        with stopped(zoo):
            full, maps = smapskit.read(zoo), smapskit.read_maps(zoo)
        assert [(m.start, m.end, m.perms, m.pathname) for m in maps] == [
            (m.start, m.end, m.perms, m.pathname) for m in full
        ]
        assert maps.totals().rss is None

    def test_written_again_it_is_the_kernels_text(self, zoo: int) -> None:
        with stopped(zoo):
            text = Path(f"/proc/{zoo}/smaps").read_bytes()
        again = smapskit.format_smaps(smapskit.parse_smaps(text))
        assert again.encode("utf-8", "surrogateescape") == text

    def test_every_kind_of_mapping_is_classed(self, zoo: int) -> None:
        found = {(m.pathname.partition("/zoo")[0], m.backing) for m in smapskit.read(zoo)}
        backing = smapskit.Backing
        assert {
            ("[heap]", backing.ANONYMOUS),
            ("[stack]", backing.ANONYMOUS),
            ("/dev/zero", backing.ANONYMOUS),
            ("/dev/zero (deleted)", backing.SHMEM),
            ("/memfd:a memfd (deleted)", backing.SHMEM),
            ("/SYSV00000000 (deleted)", backing.SHMEM),
            ("/dev/shm", backing.SHMEM),
            ("[vdso]", backing.SPECIAL),
        } <= found

    @pytest.mark.slow
    def test_forty_thousand_mappings(self, start: Callable[..., subprocess.Popen[str]]) -> None:
        many = start(sys.executable, "-c", MANY, "40000").pid
        snapshot = smapskit.read(many)
        assert len(snapshot) > 40_000
        rollup = smapskit.read_rollup(many)
        assert (snapshot.totals().rss, snapshot.totals().anonymous) == (
            rollup.rss,
            rollup.anonymous,
        )


class TestWhatCannotBeRead:
    def test_no_such_process(self) -> None:
        gone = subprocess.Popen(["true"])
        gone.wait()
        for read in (smapskit.read, smapskit.read_maps, smapskit.read_rollup):
            with pytest.raises(ProcessNotFound, match=f"no process {gone.pid}"):
                read(gone.pid)
        with pytest.raises(ProcessLookupError):
            smapskit.read(gone.pid)

    def test_a_zombie_is_empty_and_says_why(self) -> None:
        zombie = subprocess.Popen(["true"])
        try:
            os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
            snapshot = smapskit.read(zombie.pid)
            assert (len(snapshot), snapshot.notes) == (0, (Note.ZOMBIE,))
            assert snapshot.command == "[true] <defunct>"
            with pytest.raises(ProcessNotFound, match="has no memory map"):
                smapskit.read_rollup(zombie.pid)
        finally:
            zombie.wait()

    def test_a_kernel_thread_is_empty_and_says_why(self) -> None:
        if not Path("/proc/2/comm").exists() or Path("/proc/2/comm").read_text() != "kthreadd\n":
            pytest.skip("process 2 is no kernel thread here: a pid namespace")
        snapshot = smapskit.read(2)
        assert (len(snapshot), snapshot.notes) == (0, (Note.KERNEL_THREAD,))
        assert snapshot.command == "[kthreadd]"

    def test_another_users(self) -> None:
        if os.geteuid() != 0:
            pytest.skip("takes root to become another user")
        code = (
            "import os, sys; os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
            "try: smapskit.read(int(sys.argv[1]))\n"
            "except PermissionError as error: print(type(error).__name__, error)"
        )
        run = subprocess.run(
            [
                sys.executable,
                "-c",
                f"import smapskit, smapskit.sources.process; {code}",
                str(os.getpid()),
            ],
            capture_output=True,
            text=True,
            check=True,
            cwd="/",
        )
        assert run.stdout.startswith(AccessDenied.__name__)
        assert "run as its user or as root" in run.stdout

    def test_no_procfs(self, tmp_path: Path) -> None:
        with pytest.raises(Unsupported, match="is not a Linux procfs"):
            smapskit.read(1, proc=tmp_path)

    def test_a_kernel_without_smaps(self, tmp_path: Path) -> None:
        for pid in ("self", "7"):
            (tmp_path / pid).mkdir()
            (tmp_path / pid / "stat").write_text("7 (x) S 0")
            (tmp_path / pid / "cmdline").write_bytes(b"x\0")
        with pytest.raises(Unsupported, match="this kernel has no /proc/PID/smaps"):
            smapskit.read(7, proc=tmp_path)

    def test_a_process_that_ends_while_it_is_read(self, tmp_path: Path) -> None:
        for pid in ("self", "7"):
            (tmp_path / pid).mkdir()
            (tmp_path / pid / "stat").write_text("7 (a) b (c) S 0 0 0 0 0 4194564 0")
        (tmp_path / "7" / "smaps").write_bytes(b"")
        (tmp_path / "7" / "cmdline").write_bytes(b"")
        snapshot = smapskit.read(7, proc=tmp_path)
        assert (len(snapshot), snapshot.notes) == (0, (Note.ENDING,))
        assert snapshot.command == "[a) b (c]"


@pytest.mark.pmap
class TestAgainstPmap:
    @pytest.mark.parametrize("options", LAYOUTS)
    @pytest.mark.parametrize("show_path", [False, True])
    @pytest.mark.parametrize("quiet", [False, True])
    def test_every_layout(
        self,
        options: str,
        show_path: bool,
        quiet: bool,
        start: Callable[..., subprocess.Popen[str]],
        zoo: int,
        tmp_path: Path,
    ) -> None:
        flags = f"{options}{' -p' * show_path}{' -q' * quiet}"
        long = tmp_path / ("d" * 100) / ("n" * 100)
        long.parent.mkdir()
        for pid in (zoo, start(sys.executable, "-c", MAPPER, str(long)).pid):
            with stopped(pid):
                snapshot, said = self._read_both(flags, pid)
            if "X" in options:
                table = smapskit.parse_pmap(said, strict=False)
                table = named(table, printed(options, pid))
                snapshot = moved_as_in(with_cut_names(snapshot), table)
            layout = LAYOUTS[options]
            ours = smapskit.format_pmap(snapshot, layout, show_path=show_path, quiet=quiet)
            tables = [in_ascii(ours).splitlines(), in_ascii(said).splitlines()]
            if "X" in options and not quiet:  # Pss moves between pmap's rows and its totals
                del tables[0][-1], tables[1][-1]
            assert tables[0] == tables[1]

    def _read_both(self, flags: str, pid: int) -> tuple[smapskit.Snapshot, str]:
        """Read a stopped process and pmap's table of it, before the kernel ages its pages."""
        for _ in range(9):
            snapshot, said, after = smapskit.read(pid), printed(flags, pid), smapskit.read(pid)
            if pmap_tool.at_rest(snapshot) == pmap_tool.at_rest(after):
                return snapshot, said
        pytest.skip("the kernel aged its pages each time")

    @pytest.mark.parametrize(
        "range_", ["{0:x}", "{0:x},{1:x}", "{0:x},", ",{1:x}", "0x{0:x}", "0,0"]
    )
    def test_a_range_of_addresses(self, zoo: int, range_: str) -> None:
        with stopped(zoo):
            snapshot = smapskit.read(zoo)
            low, high = snapshot[5].start + 100, snapshot[30].start
            chosen = range_.format(low, high)
            for options in ("", "-d"):  # the totals of -x count what is out of range: a fault
                said = in_ascii(printed(f"{options} -A {chosen}", zoo))
                assert _table(options, "-A", chosen, zoo) == said
            rows = _table("-xq", "-A", chosen, zoo)
            assert rows == in_ascii(printed(f"-xq -A {chosen}", zoo))
            total = _table("-x", "-A", chosen, zoo).splitlines()[-1]
            assert total.split()[3] == str(
                sum(int(row.split()[2]) for row in rows.splitlines()[1:])
            )

    def test_several_processes(self, zoo: int, pandas: int) -> None:
        with stopped(zoo), stopped(pandas):
            said = in_ascii(printed("-x", pandas, zoo, pandas))
            assert _table("-x", pandas, zoo, pandas) == said
            # Not strict: 4.0.2 counts the first process in the totals of the second as well.
            first, second = smapskit.parse_pmaps(printed("-Xp", zoo, pandas), strict=False)
            for table, pid in ((first, zoo), (second, pandas)):
                now = smapskit.read(pid)
                assert [(m.start, m.rss, m.vm_flags, m.anonymous) for m in table] == [
                    (m.start, m.rss, None, m.anonymous) for m in now
                ]

    @pytest.mark.parametrize(
        "columns", [["Rss"], ["Perm", "Pss_Dirty", "Mapping"], ["VmFlags", "Size"]]
    )
    def test_an_rc_file(self, zoo: int, tmp_path: Path, columns: list[str]) -> None:
        rc = tmp_path / "rc"
        rc.write_text("[Fields Display]\n" + "\n".join(columns) + "\n[Mapping]\nShowPath\n")
        with stopped(zoo):
            assert _table("-C", rc, zoo) == in_ascii(printed(f"-C {rc}", zoo))

    def test_odd_command_lines(self, start: Callable[..., subprocess.Popen[str]]) -> None:
        code = "print('ready', flush=True); input()"
        for arguments in (
            ["", ""],
            ["two\nlines"],
            ["trailing "],
            ["esc\x1b[31m"],
            ["ümlaut"],
            [" "],
        ):
            pid = start(sys.executable, "-c", code, *arguments).pid
            said = printed("-q", pid, locale="C.UTF-8").split("\n")[0]
            assert smapskit.format_pmap(smapskit.read(pid)).split("\n")[0] == said

    @pytest.mark.parametrize(
        "operands", [["{gone}"], ["{zoo}", "{gone}"], ["/proc/{zoo}"], ["x", "{zoo}"]]
    )
    def test_exit_status(self, zoo: int, operands: list[str]) -> None:
        gone = subprocess.Popen(["true"])
        gone.wait()
        words = [word.format(zoo=zoo, gone=gone.pid) for word in operands]
        status = {
            program[0]: subprocess.run(
                [*program, *words], capture_output=True, check=False
            ).returncode
            for program in (["pmap"], [sys.executable, "-m", "smapskit"])
        }
        assert len(set(status.values())) == 1, status


def _table(*arguments: object) -> str:
    """What our command line prints, in the default layout of pmap where none is named."""
    words = [str(word) for word in arguments if word != ""]
    run = subprocess.run(
        [sys.executable, "-m", "smapskit", "--short", *words],
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONUTF8": "1"},
    )
    return in_ascii(run.stdout.decode())
