"""The line for cron in docs/many-captures.md, run by a shell as cron runs it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from support.paths import ROOT
from support.subjects import Start

import smapskit

PAGE = (ROOT / "docs" / "many-captures.md").read_text()


@pytest.fixture
def ended(start: Start) -> int:
    """The pid of a process that has ended and is not reaped: its smaps is empty."""
    process = start("sh", "-c", "echo ready")
    assert process.stdout is not None
    process.stdout.read()  # until it ends
    return process.pid


def test_the_line_for_cron_saves_captures_without_a_message(
    sleeper: int, ended: int, tmp_path: Path
) -> None:
    (line,) = re.findall(r"(?m)^\*/10 \* \* \* \*  root  (.*)$", PAGE)
    assert len(line) < 900  # cron of Debian cuts a longer one
    command = line.replace(r"\%", "%").replace("/captures/", f"{tmp_path}/captures/")
    missing = f"/proc/{2**22 + 1}"  # above the largest pid
    processes = f"/proc/{sleeper} /proc/{ended} {missing}"
    assert "/proc/[0-9]*" in command
    command = command.replace("/proc/[0-9]*", processes)

    ran = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)

    assert (ran.stdout, ran.stderr) == ("", "")
    (path,) = (path for path in tmp_path.rglob("*") if path.is_file())
    assert re.fullmatch(
        rf"captures/[^/]+/\d{{8}}T\d{{6}}Z-{sleeper}\.smaps\.gz", str(path.relative_to(tmp_path))
    )
    assert [mapping.start for mapping in smapskit.load(path)] == [
        mapping.start for mapping in smapskit.read(sleeper)
    ]
