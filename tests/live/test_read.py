"""Reading live processes of this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.pmap_tool import (
    CHANGED_BY_OTHERS,
)
from support.subjects import ALL_MAPPING_KINDS, MANY, stopped

import smapskit
from smapskit import AccessDenied, Note, ProcessNotFound, Unsupported
from smapskit.model.mapping import COUNTERS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads the /proc of Linux")


@pytest.fixture
def pandas(start: Callable[..., subprocess.Popen[str]]) -> int:
    """A Python with pandas: hundreds of mappings."""
    code = "import pandas; print('ready', flush=True); input()"
    return start(sys.executable, "-c", code).pid


class TestRead:
    def test_has_pid_command_source_and_time(self, all_kinds: int) -> None:
        snapshot = smapskit.read(all_kinds)
        assert snapshot.pid == all_kinds
        assert snapshot.command == f"{sys.executable} {ALL_MAPPING_KINDS}"
        assert snapshot.source == f"/proc/{all_kinds}/smaps"
        assert snapshot.time is not None
        assert timedelta(0) <= datetime.now(UTC) - snapshot.time < timedelta(minutes=1)
        assert snapshot.check() == []

    def test_the_sums_are_those_of_the_kernels_rollup(self, pandas: int) -> None:
        with stopped(pandas):
            totals, rollup = smapskit.read(pandas).totals(), smapskit.read_rollup(pandas)
        assert totals.count > 300
        for name in set(COUNTERS).difference(CHANGED_BY_OTHERS, ["swap_pss"]):
            assert getattr(totals, name) == getattr(rollup, name), name
        clean = [(each.shared_clean or 0) + (each.private_clean or 0) for each in (totals, rollup)]
        assert clean[0] == clean[1]

    def test_maps_has_the_same_mappings(self, all_kinds: int) -> None:
        with stopped(all_kinds):
            full, maps = smapskit.read(all_kinds), smapskit.read_maps(all_kinds)
        assert [(m.start, m.end, m.perms, m.pathname) for m in maps] == [
            (m.start, m.end, m.perms, m.pathname) for m in full
        ]
        assert maps.totals().rss is None

    def test_written_again_it_is_the_kernels_text(self, all_kinds: int) -> None:
        with stopped(all_kinds):
            text = Path(f"/proc/{all_kinds}/smaps").read_bytes()
        again = smapskit.format_smaps(smapskit.parse_smaps(text))
        assert again.encode("utf-8", "surrogateescape") == text

    def test_every_kind_of_mapping_is_classified(self, all_kinds: int) -> None:
        found = {
            (m.pathname.partition("/all-kinds")[0], m.backing) for m in smapskit.read(all_kinds)
        }
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


class TestThisProcess:
    """Without a pid, or with None."""

    def test_is_read(self) -> None:
        snapshot = smapskit.read()
        assert (snapshot.pid, snapshot.source) == (os.getpid(), f"/proc/{os.getpid()}/smaps")
        assert snapshot.command == smapskit.read(os.getpid()).command
        assert smapskit.read(None).pid == os.getpid()
        maps = smapskit.read_maps()
        assert (maps.pid, maps.totals().rss) == (os.getpid(), None)
        assert any("python" in mapping.pathname for mapping in maps)

    def test_sums_and_frame(self) -> None:
        assert (smapskit.read_rollup().rss or 0) > 1000
        frame = smapskit.read_frame()
        assert frame.attrs["pid"] == os.getpid()
        assert frame["pathname"].str.contains("python").any()
        assert smapskit.read_frame(None, "MiB").attrs["unit"] == "MiB"


class TestErrors:
    def test_no_such_process(self) -> None:
        gone = subprocess.Popen(["true"])
        gone.wait()
        for read in (smapskit.read, smapskit.read_maps, smapskit.read_rollup):
            with pytest.raises(ProcessNotFound, match=f"no process {gone.pid}") as caught:
                read(gone.pid)
            assert caught.value.pid == gone.pid
        with pytest.raises(ProcessLookupError):
            smapskit.read(gone.pid)

    def test_a_zombie_is_empty_with_a_note(self) -> None:
        zombie = subprocess.Popen(["true"])
        try:
            os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
            snapshot = smapskit.read(zombie.pid)
            assert (len(snapshot), snapshot.notes) == (0, (Note.ZOMBIE,))
            assert snapshot.command == "[true] <defunct>"
            with pytest.raises(ProcessNotFound, match="has no memory map") as caught:
                smapskit.read_rollup(zombie.pid)
            assert caught.value.pid == zombie.pid
        finally:
            zombie.wait()

    def test_a_kernel_thread_is_empty_with_a_note(self) -> None:
        if not Path("/proc/2/comm").exists() or Path("/proc/2/comm").read_text() != "kthreadd\n":
            pytest.skip("process 2 is not a kernel thread here: a pid namespace")
        snapshot = smapskit.read(2)
        assert (len(snapshot), snapshot.notes) == (0, (Note.KERNEL_THREAD,))
        assert snapshot.command == "[kthreadd]"

    def test_the_process_of_another_user(self) -> None:
        if os.geteuid() != 0:
            pytest.skip("requires root, to become another user")
        code = (
            "import os, sys; os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
            "try: smapskit.read(int(sys.argv[1]))\n"
            "except PermissionError as error: print(type(error).__name__, error, error.pid)"
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
        assert run.stdout.split()[-1] == str(os.getpid())

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
