"""The command `report`."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest
from support.paths import FIXTURES, RECORDED
from support.reports import ReportPage

import smapskit
from smapskit import cli

SLEEP = FIXTURES / "sleep" / "smaps.txt"
JAVA = FIXTURES / "java" / "smaps.txt"
RECORDING = RECORDED / "swap.csv"


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "out.html"


def test_a_process(sleeper: int, output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["report", str(sleeper), "-o", str(output)]) == 0
    assert capsys.readouterr() == ("", f"smapskit: wrote {output}\n")
    found = ReportPage.load(output)
    # The process waits: another read has the same mappings.
    snapshot = smapskit.read(sleeper)
    assert found.table("mappings")["address"] == [(m.start, m.end) for m in snapshot]
    assert found.table("mappings")["size"] == [m.size for m in snapshot]
    for fact in (str(sleeper), snapshot.command, "live process", platform.release()):
        assert fact in found.contents["dd"]
    assert "Memory of the machine" in found.contents["dt"]
    assert "are not known" not in found.text  # the facts of the machine are


def test_a_capture(output: Path) -> None:
    arguments = ["report", str(JAVA), "--title", "Bug 12", "--context", "max_map_count=220"]
    assert cli.main([*arguments, "-o", str(output)]) == 0
    found = ReportPage.load(output)
    assert found.contents["title"] == ["Bug 12"]
    context = smapskit.Context(max_map_count=220)
    (finding,) = smapskit.explain(smapskit.load(JAVA), context)
    assert finding.title in found.text
    assert platform.release() not in found.contents["dd"]


def test_a_recording(output: Path) -> None:
    assert cli.main(["report", str(RECORDING), "--memory-limit", "256M", "-o", str(output)]) == 0
    found = ReportPage.load(output)
    assert found.data["chart"]["limit"] == 256 * 1024
    assert str(RECORDING) in found.contents["dd"]


def test_two_captures(output: Path) -> None:
    assert cli.main(["report", str(SLEEP), str(JAVA), "-o", str(output)]) == 0
    found = ReportPage.load(output)
    difference = smapskit.diff(smapskit.load(SLEEP), smapskit.load(JAVA))
    assert found.table("changes")["change"] == [each.kind for each in difference.changes]
    assert f"{SLEEP} -> {JAVA}" in found.contents["dd"]


def test_two_processes_in_one_capture(
    tmp_path: Path, output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "1:   a\n0000000000400000      4K r-x-- a\n total               4K\n"
    (tmp_path / "two").write_text(text + text.replace("1:", "2:"))
    assert cli.main(["report", str(tmp_path / "two"), "-o", str(output)]) == 1
    assert "expected one process in each capture" in capsys.readouterr().err
    assert not output.exists()


def test_an_existing_file(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output.write_text("before")
    assert cli.main(["report", str(SLEEP), "-o", str(output)]) == 1
    expected = f"smapskit: File exists: {output}; --force replaces it\n"
    assert capsys.readouterr().err == expected
    assert output.read_text() == "before"
    assert cli.main(["report", str(SLEEP), "-f", "-o", str(output)]) == 0
    assert output.read_text().startswith("<!DOCTYPE html>")


def test_a_broken_link_is_not_followed(tmp_path: Path, output: Path) -> None:
    output.symlink_to(tmp_path / "elsewhere")
    assert cli.main(["report", str(SLEEP), "-o", str(output)]) == 1
    assert not (tmp_path / "elsewhere").exists()


def test_the_capture_is_never_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capture = tmp_path / "smaps.txt"
    capture.write_bytes(SLEEP.read_bytes())
    assert cli.main(["report", str(capture), "-f", "-o", str(capture)]) == 1
    assert "expected another name for the report" in capsys.readouterr().err
    assert capture.read_bytes() == SLEEP.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["a", "b", "c"], 1, "expected one operand, or two to compare: BEFORE AFTER"),
        (["999999999"], 42, "no process 999999999"),
        (["/nonexistent/capture.txt"], 1, "No such file or directory: /nonexistent/capture.txt"),
        ([str(SLEEP), "--context", "nonsense"], 1, "expected NAME=VALUE"),
        ([str(SLEEP), "--context", "nonsense=1"], 1, "expected a fact"),
        ([str(SLEEP), "--memory-limit", "1G"], 1, "--memory-limit only with a RECORDING"),
        ([str(SLEEP), "--memory-limit", "much"], 1, "expected a size"),
        ([str(SLEEP), str(RECORDING)], 1, "swap.csv"),
    ],
)
def test_errors(
    arguments: list[str],
    status: int,
    message: str,
    output: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    try:
        found = cli.main(["report", *arguments, "-o", str(output)])
    except SystemExit as error:
        found = int(error.code or 0)
    assert found == status
    assert message.lower() in capsys.readouterr().err.lower()
    assert not output.exists()


def test_a_folder_that_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "no" / "report.html"
    assert cli.main(["report", str(SLEEP), "-o", str(output)]) == 1
    assert f"No such file or directory: {output}" in capsys.readouterr().err
