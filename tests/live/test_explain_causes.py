"""For each finding of `explain`, a program that causes it, and the same program in small."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest
from support.causes_of_findings import (
    EACH,
    FROM_LOGS,
    FROM_RECORDINGS,
    OF_DIFFERENCE,
    OF_PROCESS,
    OF_RECORDING,
    PROCESS_SECONDS,
    Cause,
)
from support.marks import needs_linux
from support.paths import RECORDED
from support.subjects import Start

import smapskit
from smapskit.analysis.explain import RULES
from smapskit.analysis.rules import Subject

pytestmark = [needs_linux, pytest.mark.slow]

KSM = Path("/sys/kernel/mm/ksm/run")
THP = Path("/sys/kernel/mm/transparent_hugepage/enabled")
UNRELATED = {"deleted-executable"}
"""Findings that this interpreter itself may have, such as after an upgrade of a library."""


def _has_userfaultfd() -> bool:
    return os.uname().machine == "x86_64" and Path("/proc/sys/vm/unprivileged_userfaultfd").exists()


def _free_huge_pages() -> bool:
    found = re.search(r"HugePages_Free: +(\d+)", Path("/proc/meminfo").read_text())
    return found is not None and int(found[1]) > 0


HAS: dict[str, Callable[[], bool]] = {
    "root": lambda: os.geteuid() == 0,
    "huge pages": _free_huge_pages,
    "THP": lambda: THP.exists() and "[never]" not in THP.read_text(),
    "KSM": lambda: KSM.exists() and KSM.read_text().strip() == "1",
    "swap": lambda: len(Path("/proc/swaps").read_text().splitlines()) > 1,
    "userfaultfd": _has_userfaultfd,
}


def _expect(cause: Cause, *, is_twin: bool, found: list[smapskit.Finding]) -> None:
    ids = {finding.id for finding in found} - UNRELATED.difference({cause.id})
    assert ids == (set() if is_twin else {cause.id, *cause.others})


def _require(cause: Cause) -> None:
    if cause.requires and not HAS[cause.requires]():
        pytest.skip(f"requires {cause.requires}")
    if cause.path.suffix == ".c" and shutil.which("gcc") is None:
        pytest.skip("requires gcc")


def _context(cause: Cause, pid: int) -> smapskit.Context:
    given = attrs.asdict(smapskit.Context.parse(dict(cause.context)))
    known = {name: value for name, value in given.items() if value is not None}
    return attrs.evolve(smapskit.read_context(pid), **known)


@pytest.fixture(autouse=True)
def temporary_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let programs that are terminated leave their temporary files where pytest removes them."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))


IS_TWIN = pytest.mark.parametrize("is_twin", [False, True], ids=["cause", "twin"])


@IS_TWIN
@pytest.mark.parametrize("cause", OF_PROCESS, ids=lambda cause: cause.id)
def test_a_program_that_causes_a_finding(
    cause: Cause, is_twin: bool, start: Start, tmp_path: Path
) -> None:
    _require(cause)
    pid = start(*cause.command(tmp_path, is_twin=is_twin)).pid
    found = smapskit.explain(smapskit.read(pid), _context(cause, pid))
    _expect(cause, is_twin=is_twin, found=found)
    for finding in found:
        assert finding.size > 0
        assert finding.mappings


@IS_TWIN
@pytest.mark.parametrize("cause", OF_DIFFERENCE, ids=lambda cause: cause.id)
def test_a_program_that_changes(cause: Cause, is_twin: bool, start: Start, tmp_path: Path) -> None:
    _require(cause)
    process = start(*cause.command(tmp_path, is_twin=is_twin))
    before = smapskit.read(process.pid)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.stdout.readline() == "done\n"
    found = smapskit.explain(smapskit.diff(before, smapskit.read(process.pid)))
    _expect(cause, is_twin=is_twin, found=found)


@IS_TWIN
@pytest.mark.parametrize("cause", OF_RECORDING, ids=lambda cause: cause.id)
def test_a_program_over_time(cause: Cause, is_twin: bool, start: Start, tmp_path: Path) -> None:
    process = start(*cause.command(tmp_path, is_twin=is_twin))
    recording = smapskit.record(process.pid, 0.05, PROCESS_SECONDS, by="kind")
    _expect(cause, is_twin=is_twin, found=smapskit.explain(recording))


@pytest.mark.parametrize(("id_", "name"), FROM_RECORDINGS.items())
def test_a_machine_that_was_short_of_memory(id_: str, name: str) -> None:
    recording = smapskit.Recording.load(RECORDED / name)
    assert id_ in {finding.id for finding in smapskit.explain(recording)}


def test_each_rule_has_a_program_a_recording_or_a_log() -> None:
    assert {cause.id for cause in EACH} | set(FROM_RECORDINGS) | set(FROM_LOGS) == set(RULES)
    subjects = {
        Subject.PROCESS: OF_PROCESS,
        Subject.DIFFERENCE: OF_DIFFERENCE,
    }
    for subject, causes in subjects.items():
        assert {cause.id for cause in causes} == {
            rule.id for rule in RULES.values() if rule.subject is subject
        }
