"""The table that is printed without records is the one that is printed from records."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from support.subjects import stopped

from smapskit import cli
from smapskit.cli import fast_table, show
from smapskit.formats.smaps.scan import FieldScanner
from smapskit.model.sums import Sums
from smapskit.sources import scan
from smapskit.sources.system import read_system

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads live processes")


WORDS = [
    *([], ["-x"], ["-q"], ["-p"], ["-xqp"], ["-x", "-p"]),
    *(["-X"], ["-XX"], ["-X", "-x", "-X"], ["-Xqp"], ["-XXp"], ["-X", "-d"]),
    *(["-d"], ["-dp"], ["-dq"], ["--short"], ["--short", "-pq"], ["-d", "-x", "--short"]),
    *(["--by", group] for group in scan.GROUPS),
]


@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_the_fast_table_is_the_table_of_show(
    words: list[str], all_kinds: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with stopped(all_kinds) as pid:
        for _ in range(9):  # other processes change how pages are shared, and so Pss
            tables = []
            for run in (show.run, fast_table.run, cli.main):
                assert run([*words, str(pid)]) == 0
                tables.append(capsys.readouterr().out)
            if len(set(tables)) == 1:
                break
        assert len(set(tables)) == 1
        assert tables[0].count("\n") > 3


@pytest.mark.parametrize(
    "words",
    [["--json"], ["--by", "kind"], ["--by", "nonsense"], ["--by"], ["-x", "--by", "perms"], ["-y"]],
    ids=" ".join,
)
def test_other_arguments_are_left_to_others(words: list[str]) -> None:
    assert fast_table.run([str(os.getpid()), *words]) is None


def test_widths_of_several_processes_are_left_to_show() -> None:
    assert fast_table.run(["-X", str(os.getpid()), str(os.getppid())]) is None


def test_the_table_of_a_text_that_is_not_regular_is_that_of_records(
    all_kinds: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (["-XX"], ["--short"], ["--by", "sharing"]):
        with stopped(all_kinds) as pid, monkeypatch.context() as patch:
            patch.setattr(FieldScanner, "scan", lambda *_: None)
            assert fast_table.run([*words, str(pid)]) == 0
            assert capsys.readouterr().out.startswith(f"{pid}:   ")


class TestAll:
    @pytest.mark.parametrize("by", [None, *scan.GROUPS])
    @pytest.mark.parametrize("is_regular", [True, False])
    def test_the_sums_are_those_of_records(
        self,
        by: Any,
        is_regular: bool,
        all_kinds: int,
        start: Callable[..., subprocess.Popen[str]],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        if not is_regular:
            monkeypatch.setattr(FieldScanner, "scan", lambda *_: None)
        shell = start("sh", "-c", "echo ready; read line").pid
        gone = subprocess.Popen(["true"])
        gone.wait()
        with stopped(all_kinds), stopped(shell):
            pids = [all_kinds, shell, gone.pid]
            for _ in range(9):  # other processes change how pages are shared
                before, found, after = (
                    read(by, pids=pids)
                    for read in (read_system, scan.read_system_sums, read_system)
                )
                if before == after:
                    break
            else:
                pytest.skip("other processes changed how pages are shared during each attempt")
        assert found.unreadable == before.unreadable == {}
        names = ("pss", "uss", "rss", "swap")
        if by is None:
            assert [
                (pid, command, *(getattr(usage, name) for name in names))
                for pid, usage, command in found.processes
            ] == [
                (each.pid, each.command, *(getattr(each.usage, name) for name in names))
                for each in before.processes
            ]
            return
        assert {
            group: (count, *(getattr(sums, name) for name in Sums._fields))
            for group, (count, sums) in found.groups.items()
        } == {
            group: (each.processes, *(getattr(each.totals, name) for name in Sums._fields))
            for group, each in before.groups.items()
        }

    def test_the_table_is_that_of_the_option_parser(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        tables = []
        for words in (["--all"], ["--all", "--top", "5000"]):  # with --top it has no fast way
            monkeypatch.setattr("smapskit.sources.processes._all_pids", lambda _proc: [os.getpid()])
            assert cli.main(words) == 0
            tables.append(re.sub("[0-9,]+", "N", capsys.readouterr().out))
        assert tables[0] == tables[1]


def test_the_fast_table_of_a_missing_process(capsys: pytest.CaptureFixture[str]) -> None:
    pids = [str(2**22 + 1), str(os.getpid())]
    assert cli.main(pids) == 42
    printed = capsys.readouterr()
    assert printed.err == f"smapskit: no process {pids[0]}\n"
    assert printed.out.startswith(f"{os.getpid()}:   ")
