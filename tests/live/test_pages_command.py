"""The command `pages` on live processes and on files."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
from support.marks import needs_linux
from support.paths import ROOT
from support.subjects import stopped, unmeasured

import smapskit
from smapskit import cli
from smapskit.cli import pages as command
from smapskit.views.page_tables import ASCII, BLOCKS

pytestmark = [needs_linux, pytest.mark.slow]

PAGE = os.sysconf("SC_PAGE_SIZE")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 10 * PAGE)
    return path


def run(*words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "smapskit", "pages", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        env={**unmeasured(), "PYTHONUTF8": "1", **environment},
    )


def test_the_table_of_a_process_has_the_rss_of_each_mapping(sleeper: int) -> None:
    with stopped(sleeper):
        ran = run(sleeper)
        snapshot = smapskit.read(sleeper)
    assert ran.returncode == 0, ran.stderr
    first, heading, *rows, total = ran.stdout.splitlines()
    assert first.startswith(f"{sleeper}:   sh -c")
    assert heading.split()[:3] == ["Address", "Size", "RSS"]
    assert len(rows) == len(snapshot)
    for row, mapping in zip(rows, snapshot, strict=True):
        words = row.replace(",", "").split()
        assert int(words[0], 16) == mapping.start
        if mapping.pathname != "[vsyscall]":
            assert (int(words[1]), int(words[2])) == (mapping.size, mapping.rss)
            # A page has a character of its own in a small mapping.
            assert len(words[7]) == min(32, mapping.size * 1024 // PAGE)
            assert set(words[7]) <= {*BLOCKS, "s"}
    assert total.split()[3] == f"{snapshot.totals().rss:,}"


def test_ascii_where_the_encoding_has_no_blocks(file: Path, sleeper: int) -> None:
    for operand in (file, sleeper):
        ran = run(operand, PYTHONUTF8="0", PYTHONIOENCODING="ascii")
        assert ran.stdout.isascii()
        assert "?" not in ran.stdout
        assert ASCII[-1] in ran.stdout


def test_a_table_of_files(file: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    ran = run(file, empty)
    assert ran.returncode == 0
    heading, first, second, total = ran.stdout.splitlines()
    assert heading.split() == ["Size", "Cached", "%", "Dirty", "Runs", "Map", "File"]
    kb = str(10 * PAGE // 1024)
    assert first.split()[:3] == [kb, kb, "100"]
    assert first.split()[-2:] == ["█" * 10, str(file)]
    assert second.split() == ["0", "0", "-", "0", "0", str(empty)]
    assert total.split() == [kb, kb, "100", *first.split()[3:5], "total", "kB"]


def test_one_mapping(sleeper: int) -> None:
    name = Path("/bin/sh").resolve().name
    ran = run(sleeper, "--mapping", name, "--csv")
    rows = list(csv.DictReader(io.StringIO(ran.stdout)))
    assert rows
    assert all(row["pathname"].endswith(f"/{name}") for row in rows)
    assert sum(int(row["present"]) for row in rows) > 0
    missing = run(sleeper, "--mapping", "nonsense")
    assert (missing.returncode, missing.stdout) == (1, "")
    assert missing.stderr == f"smapskit: process {sleeper} has no mapping nonsense\n"


def test_json_follows_its_schema(sleeper: int, file: Path) -> None:
    schema = json.loads((ROOT / "docs" / "schema-pages.json").read_text())
    document = json.loads(run("--json", sleeper, file).stdout)
    jsonschema.Draft202012Validator(schema).validate(document)
    assert document["processes"][0]["pid"] == sleeper
    assert document["files"][0]["cached"] == 10
    only_files = json.loads(run("--json", file).stdout)
    assert only_files["processes"] == []


def test_csv_of_files(file: Path) -> None:
    (row,) = csv.DictReader(io.StringIO(run("--csv", file).stdout))
    assert (row["path"], row["pages"], row["cached"]) == (str(file), "10", "10")


def test_pictures(sleeper: int, file: Path, tmp_path: Path) -> None:
    for operand, name in ((sleeper, "a.png"), (file, "b.svg"), (file, "c.pdf")):
        picture = tmp_path / name
        ran = run(operand, "-o", picture)
        assert (ran.returncode, ran.stdout) == (0, ""), ran.stderr
        assert picture.stat().st_size > 1000


def test_what_cannot_be_read_is_one_line_each(file: Path) -> None:
    ran = run(2**22 + 1, "/nonsense", file, "/dev/null")
    assert ran.returncode == 43  # 42, no such process, and 1
    assert ran.stdout.count("\n") == 3  # heading, file, total
    assert ran.stderr.splitlines() == [
        "smapskit: no process 4194305",
        "smapskit: No such file or directory: /nonsense",
        "smapskit: /dev/null is not a regular file: it has no pages",
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--mapping", "[heap]", "FILE"], "--mapping requires PIDs only"),
        (["--working-set", "1", "FILE"], "--working-set requires PIDs only"),
        (["--working-set", "1", "--json", "1"], "--working-set requires PIDs only"),
        (["--csv", "1", "FILE"], "--csv requires either PIDs or FILEs"),
        (["-o", "a.txt", "1"], "expected a file name that ends in .png, .svg, .pdf"),
        (["-o", "a.png", "1", "2"], "--output requires one PID, or FILEs"),
        (["-o", "a.png", "--json", "1"], "not allowed with argument"),
        (["99999999999"], "expected a pid of at most"),
        ([], "the following arguments are required"),
    ],
)
def test_wrong_usage(
    words: list[str], message: str, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["pages", *(str(file) if word == "FILE" else word for word in words)])
    assert end.value.code == 1
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.out == ""


def test_values_that_are_unknown_are_reported_once(
    sleeper: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    read = smapskit.read_pages

    def as_a_user(pid: int, mapping: str | None, **_: object) -> smapskit.Pages:
        pages = read(pid, mapping, method="pagemap")
        return smapskit.Pages(
            runs=pages.runs,
            ranges=pages.ranges,
            page_size=pages.page_size,
            unknown={**pages.unknown, "active": "hidden", "huge": "old", "zero": "old"},
        )

    monkeypatch.setattr(command, "read_pages", as_a_user)
    assert cli.main(["pages", str(sleeper)]) == 0
    printed = capsys.readouterr()
    assert "not known: zero, huge: old" in printed.err
    assert "not known: active: hidden" in printed.err
    assert printed.out.splitlines()[2].split()[4:6] == ["-", "-"]


def test_the_working_set_is_measured_after_a_warning(sleeper: int) -> None:
    ran = run(sleeper, "--working-set", "0.1")
    assert ran.returncode == 0
    assert ran.stderr.startswith("smapskit: measuring the working set clears the accessed bits")
    assert ran.stdout.splitlines()[-1].endswith(("within 0.1 s", "within 0.2 s"))
    assert run(2**22 + 1, "--working-set", "0.1").returncode == 42


def test_nothing_is_measured_without_the_option(
    sleeper: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(command, "working_set", fail)
    assert cli.main(["pages", str(sleeper)]) == 0


def test_plot_draws_a_recording_of_pages(sleeper: int, tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    smapskit.record_pages(sleeper, interval=0.05, duration=0.2, path=path)
    assert cli.main(["plot", str(path)]) == 0
    assert (tmp_path / "run.png").stat().st_size > 10_000
    (tmp_path / "bad.npz").write_text("nonsense")
    assert cli.main(["plot", str(tmp_path / "bad.npz")]) == 1


def test_an_output_that_cannot_be_created_is_named_as_given(file: Path, tmp_path: Path) -> None:
    picture = tmp_path / "missing" / "x.png"
    ran = run("-o", picture, file)
    assert ran.returncode == 1
    assert ran.stderr == f"smapskit: No such file or directory: {picture}\n"
