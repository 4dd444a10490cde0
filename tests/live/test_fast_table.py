"""The table that is printed without records is the one that is printed from records."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest

from smapskit import cli
from smapskit.cli import fast_table, show
from smapskit.formats.smaps.scan import FieldScanner
from smapskit.model.sums import Sums
from smapskit.sources import procfs, scan
from smapskit.sources.system import read_system

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads live processes")


WORDS = [
    *([], ["-x"], ["-q"], ["-p"], ["-xqp"], ["-x", "-p"]),
    *(["-X"], ["-XX"], ["-X", "-x", "-X"], ["-Xqp"], ["-XXp"], ["-X", "-d"]),
    *(["-d"], ["-dp"], ["-dq"], ["--short"], ["--short", "-pq"], ["-d", "-x", "--short"]),
    *(["--by", group] for group in scan.GROUPS),
]


class SavedText(procfs.ProcessText):
    """The text of the first read: while tests run, other processes change how pages are shared."""

    texts: ClassVar[dict[tuple[int, str], tuple[bytes, str]]] = {}

    def __iter__(self) -> Iterator[bytes]:
        key = (self.pid, self.name)
        if key not in self.texts:
            text = b"".join(super().__iter__())
            self.texts[key] = (text, self.command)
        text, self.command = self.texts[key]
        self.is_steady = True
        yield text


@pytest.fixture(autouse=True)
def saved_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SavedText, "texts", {})
    monkeypatch.setattr(procfs, "ProcessText", SavedText)


@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_the_fast_table_is_the_table_of_show(
    words: list[str], all_kinds: int, capsys: pytest.CaptureFixture[str]
) -> None:
    tables = []
    for run in (show.run, fast_table.run, cli.main):
        assert run([*words, str(all_kinds)]) == 0
        tables.append(capsys.readouterr().out)
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
        assert fast_table.run([*words, str(all_kinds)]) == 0
        table = capsys.readouterr().out
        with monkeypatch.context() as patch:
            patch.setattr(FieldScanner, "scan", lambda *_: None)
            assert fast_table.run([*words, str(all_kinds)]) == 0
        assert capsys.readouterr().out == table


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
        gone = subprocess.Popen(["true"])
        gone.wait()
        pids = [all_kinds, start("sh", "-c", "echo ready; read line").pid, gone.pid]
        expected = read_system(by, pids=pids)
        found = scan.read_system_sums(by, pids=pids)
        assert found.unreadable == expected.unreadable == {}
        if by is None:
            names = ("pss", "uss", "rss", "swap")
            assert [
                (pid, command, *(getattr(usage, name) for name in names))
                for pid, usage, command in found.processes
            ] == [
                (each.pid, each.command, *(getattr(each.usage, name) for name in names))
                for each in expected.processes
            ]
        assert {
            group: (count, *(getattr(sums, name) for name in Sums._fields))
            for group, (count, sums) in found.groups.items()
        } == {
            group: (each.processes, *(getattr(each.totals, name) for name in Sums._fields))
            for group, each in expected.groups.items()
        }
        assert len(found.groups) > 1 or by is None

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
