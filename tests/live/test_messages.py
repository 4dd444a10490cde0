"""What the command line says about processes that cannot be read, and how they can be named."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.subjects import unmeasured

from smapskit import cli

NOBODY = "import ctypes, os; os.setgroups([]); os.setgid(65534); os.setuid(65534)"
NOT_DUMPABLE = "import ctypes; ctypes.CDLL(None).prctl(4, 0)"  # PR_SET_DUMPABLE

needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None, reason="requires root and setpriv"
)


@pytest.fixture
def subject(request: pytest.FixtureRequest) -> Iterator[int]:
    """A process that runs a statement, given by indirect parametrization, and waits."""
    with subprocess.Popen(
        [sys.executable, "-c", f"{request.param}; print(flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid
        process.kill()


def smapskit(*words: str, before: str = "pass") -> subprocess.CompletedProcess[str]:
    """Run the command line after a statement, with its modules loaded before that."""
    # Another user may not be allowed to read the folder of the modules.
    program = (
        "import sys, os, smapskit.cli\nsmapskit.cli.main(['-q', '--by', 'perms', '/dev/null'])\n"
        f"{before}\nsys.exit(smapskit.cli.main(sys.argv[1:]))"
    )
    return subprocess.run(
        [sys.executable, "-c", program, *words],
        capture_output=True,
        text=True,
        check=False,
        env=unmeasured(),
    )


class TestNames:
    @pytest.mark.parametrize("word", ["/proc/self", "/proc/self/", "/proc/self/smaps"])
    def test_this_process(self, word: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["-q", word]) == 0
        assert capsys.readouterr().out.startswith(f"{os.getpid()}:   ")

    @pytest.mark.parametrize("name", ["", "/", "/smaps"])
    def test_another_process(self, name: str, capsys: pytest.CaptureFixture[str]) -> None:
        parent = os.getppid()
        if not os.access(f"/proc/{parent}/auxv", os.R_OK):
            pytest.skip("may not read its parent")
        assert cli.main(["-q", f"/proc/{parent}{name}"]) == 0
        assert capsys.readouterr().out.startswith(f"{parent}:   ")

    @pytest.mark.parametrize("name", ["", "/", "/smaps"])
    def test_a_process_that_has_ended(self, name: str, capsys: pytest.CaptureFixture[str]) -> None:
        with subprocess.Popen([sys.executable, "-c", ""]) as ended:
            ended.wait()
        assert cli.main([f"/proc/{ended.pid}{name}"]) == 42
        assert capsys.readouterr().err == f"smapskit: no process {ended.pid}\n"


class TestWithoutMemory:
    @pytest.mark.parametrize("name", ["{}", "/proc/{}", "/proc/{}/smaps"])
    def test_a_zombie(self, name: str, capsys: pytest.CaptureFixture[str]) -> None:
        zombie = os.posix_spawn("/bin/true", ["true"], {})
        os.waitid(os.P_PID, zombie, os.WEXITED | os.WNOWAIT)
        try:
            assert cli.main(["-q", name.format(zombie)]) == 0
            printed = capsys.readouterr()
        finally:
            os.waitpid(zombie, 0)
        assert printed.out == f"{zombie}:   [true] <defunct>\n"
        assert "a zombie: the process has ended and its memory is freed" in printed.err

    def test_a_kernel_thread(self, capsys: pytest.CaptureFixture[str]) -> None:
        stat = Path("/proc/2/stat")
        if not stat.exists() or "(kthreadd)" not in stat.read_text():
            pytest.skip("kernel threads are not visible here")
        assert cli.main(["-q", "2"]) == 0
        printed = capsys.readouterr()
        assert printed.out == "2:   [kthreadd]\n"
        assert "a kernel thread: it has no memory map" in printed.err

    @pytest.mark.parametrize("command", [["--by", "kind"], ["pages"], ["explain"]])
    def test_commands_agree(self, command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        zombie = os.posix_spawn("/bin/true", ["true"], {})
        os.waitid(os.P_PID, zombie, os.WEXITED | os.WNOWAIT)
        try:
            assert cli.main([*command, str(zombie)]) == 0
        finally:
            os.waitpid(zombie, 0)
        printed = capsys.readouterr()
        (note,) = printed.err.splitlines()
        assert note.endswith("a zombie: the process has ended and its memory is freed")
        assert "[true] <defunct>" in printed.out

    def test_nothing_is_explained(self, capsys: pytest.CaptureFixture[str]) -> None:
        zombie = os.posix_spawn("/bin/true", ["true"], {})
        os.waitid(os.P_PID, zombie, os.WEXITED | os.WNOWAIT)
        try:
            assert cli.main(["explain", str(zombie)]) == 0
        finally:
            os.waitpid(zombie, 0)
        (line,) = capsys.readouterr().out.splitlines()
        assert line.endswith("no mappings, so nothing was checked")


@needs_root
class TestDenied:
    @pytest.mark.parametrize("subject", ["pass"], indirect=True)
    def test_to_another_user(self, subject: int) -> None:
        ran = smapskit(str(subject), before=NOBODY)
        assert ran.returncode == 1
        assert ran.stderr.endswith(
            f"\nsmapskit: not permitted to read the smaps of process {subject}: "
            "run as its user or as root\n"
        )

    @pytest.mark.parametrize("subject", [f"{NOBODY}; {NOT_DUMPABLE}"], indirect=True)
    def test_to_its_own_user(self, subject: int) -> None:
        ran = smapskit(str(subject), before=NOBODY)
        assert ran.returncode == 1
        assert "it is of this user, but not dumpable (see prctl(2)): run as root" in ran.stderr

    @pytest.mark.parametrize("subject", ["pass"], indirect=True)
    def test_to_root_without_the_capability(self, subject: int) -> None:
        # Since 6.15 CAP_PERFMON, which CAP_SYS_ADMIN includes, is sufficient too.
        drop = "--bounding-set=-sys_ptrace,-sys_admin,-perfmon"
        words = ["setpriv", drop, sys.executable, "-m", "smapskit", str(subject)]
        ran = subprocess.run(words, capture_output=True, text=True, check=False, env=unmeasured())
        if "setpriv:" in ran.stderr:
            pytest.skip(ran.stderr)
        assert ran.returncode == 1
        assert ran.stderr.endswith(
            "root lacks CAP_SYS_PTRACE here; in a container, start it with --cap-add SYS_PTRACE\n"
        )

    @pytest.mark.parametrize("subject", ["pass"], indirect=True)
    def test_to_root_of_another_user_namespace(self, subject: int) -> None:
        words = ["unshare", "-Ur", sys.executable, "-m", "smapskit", str(subject)]
        ran = subprocess.run(words, capture_output=True, text=True, check=False, env=unmeasured())
        if "unshare:" in ran.stderr:
            pytest.skip(ran.stderr)
        assert ran.returncode == 1
        assert re.search(
            "although this user has CAP_SYS_PTRACE.* another user namespace", ran.stderr
        )
