"""Families of live processes: a server that forks its workers."""

from __future__ import annotations

import json
import mmap
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
from support.marks import needs_linux, needs_root
from support.paths import ROOT, TESTS

import smapskit
from smapskit import Family, cli

pytestmark = needs_linux

PREFORK = TESTS / "support" / "prefork.py"
SHARED, OWN = 48, 16
"""MiB that the workers inherit, and that each writes."""
Start = Callable[..., subprocess.Popen[str]]


def family(name: str) -> Family:
    (found,) = [each for each in smapskit.read_families().families if each.name == name]
    return found


def fork(server: subprocess.Popen[str]) -> None:
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.write("\n")
    server.stdin.flush()
    assert server.stdout.readline() == "ready\n"


def memory_of(pids: list[int]) -> int:
    """Return PSS and page tables of processes in kB, read without smapskit."""
    total = 0
    for pid in pids:
        for name, field in (("smaps_rollup", "Pss"), ("status", "VmPTE")):
            text = Path(f"/proc/{pid}/{name}").read_text()
            total += int(re.findall(rf"^{field}:\s+(\d+) kB$", text, re.MULTILINE)[0])
    return total


def pids_of(server: subprocess.Popen[str]) -> list[int]:
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    return [server.pid, *map(int, children)]


class TestPrefork:
    def test_one_more_worker_costs_what_the_next_one_does(self, start: Start) -> None:
        name = f"pre{os.getpid()}"
        server = start(sys.executable, str(PREFORK), name, str(SHARED), str(OWN))
        for _ in range(3):
            fork(server)
        found = family(name)
        before = memory_of(pids_of(server))
        fork(server)
        measured = memory_of(pids_of(server)) - before
        assert len(found.members) == 4
        assert len(found.workers) == 3
        assert found.next_worker is not None
        assert abs(found.next_worker - measured) < 0.05 * measured

    def test_what_is_shared_and_what_each_has(self, start: Start) -> None:
        name = f"own{os.getpid()}"
        server = start(sys.executable, str(PREFORK), name, str(SHARED), str(OWN))
        for _ in range(3):
            fork(server)
        found = family(name)
        assert found.own is not None
        assert all(OWN << 10 <= value < (OWN + 2) << 10 for value in found.own)
        assert SHARED << 10 <= (found.shared or 0) < (SHARED + 16) << 10

    @needs_root
    def test_uss_is_counted(self, start: Start, tmp_path: Path) -> None:
        size = 24 << 20
        file = tmp_path / "mapped"
        file.write_bytes(b"x" * size)
        name = f"cnt{os.getpid()}"
        server = start(sys.executable, str(PREFORK), name, str(SHARED), str(OWN), str(file))
        for _ in range(2):
            fork(server)
        alone = family(name)
        with file.open("rb") as opened:
            mapped = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
        assert sum(mapped[at] for at in range(0, size, mmap.PAGESIZE)) > 0
        with_outsider = family(name)
        mapped.close()
        assert alone.uncounted is None
        assert alone.uss is not None
        assert with_outsider.uss is not None
        own = sum(member.usage.uss or 0 for member in alone.members)
        # A fork does not copy page tables of files: the file is mapped by the server alone.
        assert own >= (2 * OWN << 10) + size // 1024
        assert alone.uss >= own + (SHARED << 10)
        assert alone.uss <= (alone.pss or 0)
        # This process maps the file too: it is no longer the family's alone.
        assert abs(alone.uss - with_outsider.uss - size // 1024) < 256

    def test_the_tree_of_the_server_has_its_workers(self, start: Start) -> None:
        server = start(sys.executable, str(PREFORK), "tree", "1", "1")
        fork(server)
        pids = set(pids_of(server))
        found = smapskit.read_families("tree").families
        (tree,) = [f for f in found if server.pid in {m.pid for m in f.members}]
        assert len(pids) == 2
        assert pids <= {member.pid for member in tree.members}


def test_the_json_of_this_machine_is_valid(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--all", "--by-process", "user", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    jsonschema.validate(document, json.loads((ROOT / "docs" / "schema-families.json").read_text()))
    pids = [each["pid"] for row in document["rows"] for each in row["processes"]]
    assert os.getpid() in pids


def test_families_as_another_user_have_bounds(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        # The first reading imports what the other user may not be allowed to read.
        code = (
            "import numpy, os, smapskit, subprocess\n"
            "def read():\n"
            "    sleep = ['sleep', '60']\n"
            "    with subprocess.Popen(sleep) as a, subprocess.Popen(sleep) as b:\n"
            "        families = smapskit.read_families().families\n"
            "        a.kill(); b.kill()\n"
            "    return next(each for each in families if each.name == 'sleep')\n"
            "read()\n"
            "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
            "found = read()\n"
            "print(found.uss, found.uss_min <= found.uss_max, found.uncounted)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path
        )
        assert done.stdout.startswith("None True page frame numbers are hidden"), done.stderr
        return
    found = max(smapskit.read_families("user").families, key=lambda each: len(each.members))
    assert found.uss is None or len(found.members) == 1
    assert (found.uss_min or 0) <= (found.uss_max or 0)
