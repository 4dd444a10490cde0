"""The installed pmap prints the same tables, byte for byte."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support import pmap_tool
from support.pmap_tool import (
    LAYOUTS,
    changed_as_in,
    in_ascii,
    named,
    printed,
    with_truncated_names,
)
from support.subjects import MAPPER, stopped

import smapskit

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads the /proc of Linux")


@pytest.fixture
def pandas(start: Callable[..., subprocess.Popen[str]]) -> int:
    """A Python with pandas: hundreds of mappings."""
    code = "import pandas; print('ready', flush=True); input()"
    return start(sys.executable, "-c", code).pid


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
        all_kinds: int,
        tmp_path: Path,
    ) -> None:
        flags = f"{options}{' -p' * show_path}{' -q' * quiet}"
        long = tmp_path / ("d" * 100) / ("n" * 100)
        long.parent.mkdir()
        for pid in (all_kinds, start(sys.executable, "-c", MAPPER, str(long)).pid):
            with stopped(pid):
                snapshot, said = self._read_both(flags, pid)
            if "X" in options:
                table = smapskit.parse_pmap(said, strict=False)
                table = named(table, printed(options, pid))
                snapshot = changed_as_in(with_truncated_names(snapshot), table)
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
        pytest.skip("the kernel aged its pages during each attempt")

    @pytest.mark.parametrize(
        "range_", ["{0:x}", "{0:x},{1:x}", "{0:x},", ",{1:x}", "0x{0:x}", "0,0"]
    )
    @pytest.mark.slow
    def test_a_range_of_addresses(self, all_kinds: int, range_: str) -> None:
        with stopped(all_kinds):
            snapshot = smapskit.read(all_kinds)
            low, high = snapshot[5].start + 100, snapshot[30].start
            chosen = range_.format(low, high)
            for options in ("", "-d"):  # the totals of -x include what is out of range: a fault
                said = in_ascii(printed(f"{options} -A {chosen}", all_kinds))
                assert _table(options, "-A", chosen, all_kinds) == said
            rows = _table("-xq", "-A", chosen, all_kinds)
            assert rows == in_ascii(printed(f"-xq -A {chosen}", all_kinds))
            total = _table("-x", "-A", chosen, all_kinds).splitlines()[-1]
            assert total.split()[3] == str(
                sum(int(row.split()[2]) for row in rows.splitlines()[1:])
            )

    def test_several_processes(self, all_kinds: int, pandas: int) -> None:
        with stopped(all_kinds), stopped(pandas):
            said = in_ascii(printed("-x", pandas, all_kinds, pandas))
            assert _table("-x", pandas, all_kinds, pandas) == said
            # Not strict: 4.0.2 counts the first process in the totals of the second as well.
            first, second = smapskit.parse_pmaps(printed("-Xp", all_kinds, pandas), strict=False)
            for table, pid in ((first, all_kinds), (second, pandas)):
                now = smapskit.read(pid)
                assert [(m.start, m.rss, m.vm_flags, m.anonymous) for m in table] == [
                    (m.start, m.rss, None, m.anonymous) for m in now
                ]

    @pytest.mark.parametrize(
        "columns", [["Rss"], ["Perm", "Pss_Dirty", "Mapping"], ["VmFlags", "Size"]]
    )
    def test_an_rc_file(self, all_kinds: int, tmp_path: Path, columns: list[str]) -> None:
        rc = tmp_path / "rc"
        rc.write_text("[Fields Display]\n" + "\n".join(columns) + "\n[Mapping]\nShowPath\n")
        with stopped(all_kinds):
            assert _table("-C", rc, all_kinds) == in_ascii(printed(f"-C {rc}", all_kinds))

    def test_unusual_command_lines(self, start: Callable[..., subprocess.Popen[str]]) -> None:
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
        "operands",
        [["{gone}"], ["{all_kinds}", "{gone}"], ["/proc/{all_kinds}"], ["x", "{all_kinds}"]],
    )
    def test_exit_status(self, all_kinds: int, operands: list[str]) -> None:
        gone = subprocess.Popen(["true"])
        gone.wait()
        words = [word.format(all_kinds=all_kinds, gone=gone.pid) for word in operands]
        status = {
            program[0]: subprocess.run(
                [*program, *words], capture_output=True, check=False
            ).returncode
            for program in (["pmap"], [sys.executable, "-m", "smapskit"])
        }
        assert len(set(status.values())) == 1, status


def _table(*arguments: object) -> str:
    """Return what the command line prints, by default in the default layout of pmap."""
    words = [str(word) for word in arguments if word != ""]
    run = subprocess.run(
        [sys.executable, "-m", "smapskit", "--short", *words],
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONUTF8": "1"},
    )
    return in_ascii(run.stdout.decode())
