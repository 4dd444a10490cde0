"""The table that is printed without records is the one that is printed from records."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from smapskit import cli
from smapskit.cli import fast_table, show

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads live processes")


@pytest.mark.parametrize("words", [[], ["-x"], ["-q"], ["-p"], ["-xqp"], ["-x", "-p"]])
def test_the_fast_table_is_the_table_of_show(
    words: list[str],
    start: Callable[..., subprocess.Popen[str]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    child = start("sh", "-c", "echo ready; read line")
    assert cli.main([*words, str(child.pid)]) == 0
    fast = capsys.readouterr().out
    assert fast_table.run([*words, str(child.pid)]) == 0
    assert capsys.readouterr().out == fast
    assert show.run([*words, str(child.pid)]) == 0
    assert capsys.readouterr().out == fast
    assert fast.count("\n") > 10


def test_the_fast_table_of_a_missing_process(capsys: pytest.CaptureFixture[str]) -> None:
    pids = [str(2**22 + 1), str(os.getpid())]
    assert cli.main(pids) == 42
    printed = capsys.readouterr()
    assert printed.err == f"smapskit: no process {pids[0]}\n"
    assert printed.out.startswith(f"{os.getpid()}:   ")
