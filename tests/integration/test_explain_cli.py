"""The command `explain`: operands, output, JSON, exit status."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from support.causes_of_findings import OF_PROCESS
from support.paths import FIXTURES, RECORDED, ROOT
from support.subjects import Start

import smapskit
from smapskit import cli
from smapskit.analysis.explain import RULES

SCHEMA = json.loads((ROOT / "docs" / "schema-explain.json").read_text())
HEALTHY = str(FIXTURES / "bash" / "smaps.txt")
HUGE = str(FIXTURES / "all_mapping_kinds" / "smaps.txt")
SWAP = str(RECORDED / "swap.csv")
CAUSES = {cause.id: cause for cause in OF_PROCESS}


def explain(*words: str) -> int:
    return cli.main(["explain", *words])


def subjects(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, Any]]:
    explain(*words, "--json")
    found = json.loads(capsys.readouterr().out)
    jsonschema.validate(found, SCHEMA)
    return list(found["subjects"])


def test_a_healthy_process(sleeper: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert explain(str(sleeper)) == 0
    assert capsys.readouterr().out.startswith(f"process {sleeper}, sh -c")


@pytest.mark.parametrize(
    "command",
    [
        ["bash", "-c", "echo ready; read line"],
        [sys.executable, "-c", "print('ready', flush=True); input()"],
        ["perl", "-e", "$| = 1; print qq(ready\\n); <STDIN>"],
    ],
    ids=["bash", "python", "perl"],
)
def test_idle_programs_have_no_findings(command: list[str], start: Start) -> None:
    pid = start(*command).pid
    # Not counted: a machine may have replaced a library since.
    assert explain(str(pid), "--ignore", "deleted-executable") == 0


def test_a_capture(capsys: pytest.CaptureFixture[str]) -> None:
    assert explain(HEALTHY) == 0
    assert "bash/smaps.txt: nothing unusual found\n" in capsys.readouterr().out
    assert explain(HUGE) == 3
    text = capsys.readouterr().out
    assert "1. 2.00 MiB is in pages of the hugetlb pool" in text
    assert "   How sure    certain: the kernel reports these pages.\n" in text
    assert "Wrong if" not in text  # nothing would disprove it
    assert max(map(len, text.splitlines())) <= 80
    assert explain(HUGE, "--ignore", "hugetlb") == 0


def test_rules_that_could_not_be_checked_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert explain(str(FIXTURES / "bash" / "maps.txt")) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "malloc-arenas, main-heap, " in text
    assert "the source does not report the fields in parentheses: malloc-arenas, " in text
    assert "page-tables (rss); " in text
    assert "facts of the machine are not known: stack_limit, address_space_limit. Give" in text
    assert "--context NAME=VALUE, in kB" in text
    assert explain(HEALTHY, "--context", "stack_limit=8192") == 0
    assert "stack_limit" not in capsys.readouterr().out


def test_facts_of_the_machine_of_a_capture(capsys: pytest.CaptureFixture[str]) -> None:
    assert explain(HEALTHY, "--context", "max_map_count=30") == 3
    assert "of the 30 that are allowed" in capsys.readouterr().out
    for wrong in ("max_map_count", "max_map_count=x", "unknown=1"):
        with pytest.raises(SystemExit) as end:
            explain(HEALTHY, "--context", wrong)
        assert end.value.code == 1
        assert "expected" in capsys.readouterr().err


def test_a_difference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = Path(HEALTHY).read_text()
    after = tmp_path / "after.txt"
    lines = text.split("\n")
    at = next(at for at, line in enumerate(lines) if line.startswith("Private_Dirty:"))
    lines[at] = "Private_Dirty:     64000 kB"
    after.write_text("\n".join(lines))
    assert explain(HEALTHY, HEALTHY) == 0
    assert explain(HEALTHY, str(after)) == 3
    text = capsys.readouterr().out
    assert "The process uses 62.5 MiB more than before" in text
    (subject,) = subjects(capsys, HEALTHY, str(after))
    assert subject["subject"] == "difference"


def test_a_recording(capsys: pytest.CaptureFixture[str]) -> None:
    assert explain(SWAP) == 3
    assert "swap-growth" in capsys.readouterr().out
    (subject,) = subjects(capsys, SWAP)
    assert subject["subject"] == "recording"
    assert all(finding["mappings"] == [] for finding in subject["findings"])


@pytest.mark.parametrize("id_", ["writable-executable", "deleted-file", "locked"])
def test_json_of_a_live_process(
    id_: str, start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pid = start(*CAUSES[id_].command(tmp_path)).pid
    assert explain(str(pid)) == 3
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    assert "PID" not in text
    (subject,) = subjects(capsys, str(pid))
    assert subject["pid"] == pid
    finding = next(each for each in subject["findings"] if each["id"] == id_)
    assert finding["mappings"]
    assert finding["title"] in " ".join(text.split())


def test_errors(capsys: pytest.CaptureFixture[str]) -> None:
    assert explain("999999999") == 42
    assert explain("/nonexistent") == 1
    assert explain(HEALTHY, "/nonexistent") == 1
    assert capsys.readouterr().out == ""
    for words in (
        [],
        ["--all", HEALTHY],
        ["--all", "--context", "mem_total=1"],
        ["1", "2", "3"],
        [HEALTHY, "--ignore", "no-such-id"],
    ):
        with pytest.raises(SystemExit) as end:
            explain(*words)
        assert end.value.code == 1
        assert "expected" in capsys.readouterr().err


def test_standard_input() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "smapskit", "explain", "-"],
        input=Path(HUGE).read_bytes(),
        capture_output=True,
        check=False,
    )
    assert run.returncode == 3
    assert b"hugetlb" in run.stdout


@pytest.mark.parametrize("command", ["explain", "diff"])
def test_standard_input_is_read_once(command: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "smapskit", command, "-", "-"],
        input=Path(HEALTHY).read_bytes(),
        capture_output=True,
        check=False,
    )
    assert (ran.returncode, ran.stdout) == (1, b"")
    assert b"standard input can be read once only" in ran.stderr


def test_a_comparison_of_two_processes_is_noted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = []
    for pid in (7, 8):
        files.append(tmp_path / f"{pid}.txt")
        files[-1].write_text(f"{pid}:   x\n0000000000010000      4K rw---   [ anon ]\n")
    for before, after in ((0, 0), (0, 1)):
        assert explain(str(files[before]), str(files[after])) == 0
        expected = (
            "" if before == after else "smapskit: process 7 is compared with another one, 8\n"
        )
        assert capsys.readouterr().err == expected


def test_all_processes(start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = start(*CAUSES["deleted-executable"].command(tmp_path)).pid
    both = start(*CAUSES["writable-executable"].command(tmp_path)).pid
    assert explain("--all") == 3
    text = capsys.readouterr().out
    assert "Processes that run deleted code: restart them (deleted-executable)" in text
    assert "libcopy.so (deleted)" in text
    assert max(map(len, text.splitlines())) <= 80
    by_pid = {each["pid"]: each for each in subjects(capsys, "--all")}
    assert "deleted-executable" in {each["id"] for each in by_pid[code]["findings"]}
    assert "writable-executable" in {each["id"] for each in by_pid[both]["findings"]}
    for subject in by_pid.values():
        assert {each["id"] for each in subject["findings"]} <= {
            rule.id for rule in RULES.values() if rule.machine_title
        }
    explain("--all", "--ignore", "writable-executable")
    assert f"{both} " not in capsys.readouterr().out


def test_findings_of_a_machine_have_no_mappings(start: Start, tmp_path: Path) -> None:
    pid = start(*CAUSES["writable-executable"].command(tmp_path)).pid
    machine = smapskit.explain_system()
    assert machine.count >= 2
    found = {each.pid: each for each in machine.processes}
    assert [finding.mappings for finding in found[pid].findings] == [()]
    with pytest.raises(ValueError, match="expected the id"):
        smapskit.explain_system(["x"])


def test_a_context_of_a_process(sleeper: int) -> None:
    context = smapskit.read_context(sleeper)
    assert context.max_map_count == int(Path("/proc/sys/vm/max_map_count").read_text())
    assert context.mem_total is not None
    assert context.mem_total > 100_000
    assert context.page_tables is not None
    limit = subprocess.run(
        ["prlimit", "--stack", "--noheadings", "--output=SOFT", "--pid", str(sleeper)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    expected = float("inf") if limit == "unlimited" else int(limit) // 1024
    assert context.stack_limit == expected
    with pytest.raises(smapskit.ProcessNotFound):
        smapskit.read_context(999_999_999)
