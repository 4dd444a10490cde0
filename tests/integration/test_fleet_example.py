"""The example for many machines, on a real Dask cluster of several workers."""

from __future__ import annotations

import csv
import gzip
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from support.marks import requires
from support.paths import FIXTURES, ROOT

import smapskit

pytestmark = [pytest.mark.slow, requires("distributed", "duckdb", "pyarrow")]

PROGRAM = ROOT / "examples" / "fleet" / "fleet.py"
LIBRARY = "libc.so.6"


@pytest.fixture(scope="module")
def captures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three hosts, two processes each, two times; and three files that are not captures of one."""
    folder = tmp_path_factory.mktemp("captures")
    snapshot = smapskit.load(FIXTURES / "sleep" / "smaps.txt")
    place = next(
        n for n, m in enumerate(snapshot) if m.pathname.endswith(LIBRARY) and m.private_dirty
    )
    text = smapskit.format_smaps(snapshot)
    records = text.split("VmFlags:")
    before = f"Private_Dirty:  {snapshot[place].private_dirty:>8} kB"
    after = f"Private_Dirty:  {(snapshot[place].private_dirty or 0) + 100:>8} kB"
    assert before in records[place]
    records[place] = records[place].replace(before, after)
    for host in ("db1", "db2", "web1"):
        (folder / host).mkdir()
        for pid in (10, 11):
            first = folder / host / f"20261124T120000Z-{pid}.smaps"
            first.write_text(text)
            last = folder / host / f"20261124T130000Z-{pid}.smaps.gz"
            last.write_bytes(gzip.compress("VmFlags:".join(records).encode()))
    (folder / "web1" / "20261124T120000Z-12.smaps").write_text(text[: len(text) // 2])
    (folder / "web1" / "20261124T120000Z-13.smaps").write_text(text + text)
    (folder / "web1" / "notes.txt").write_text("hello")
    return folder


def fleet(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(PROGRAM), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_captures_become_parquet_and_an_answer(captures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    ran = fleet(captures, "-o", out, "--workers", 3)
    assert ran.returncode == 0, ran.stderr
    _head, row, *rest = ran.stdout.splitlines()
    assert rest == []
    kb, hosts, processes, name = row.split()
    assert (kb, hosts, processes) == ("600", "3", "6")
    assert name.endswith(LIBRARY)

    with (out / "set-aside.csv").open() as file:
        reasons = {Path(r["capture"]).name: r["reason"] for r in csv.DictReader(file)}
    names = {"20261124T120000Z-12.smaps", "20261124T120000Z-13.smaps", "notes.txt"}
    assert set(reasons) == names
    assert "expected one process" in reasons["20261124T120000Z-13.smaps"]
    assert "expected" in reasons["20261124T120000Z-12.smaps"]

    files = sorted(out.glob("host=*/day=*/*.parquet"))
    assert [file.parent.parent.name for file in files] == ["host=db1", "host=db2", "host=web1"]
    whole = pd.read_parquet(files[0])
    assert sorted(whole["capture"].unique()) == [
        "20261124T120000Z-10.smaps",
        "20261124T120000Z-11.smaps",
        "20261124T130000Z-10.smaps.gz",
        "20261124T130000Z-11.smaps.gz",
    ]
    one = whole[(whole["pid"] == 11) & (whole["time"] == "2026-11-24 12:00:00+00:00")]
    expected = smapskit.load(FIXTURES / "sleep" / "smaps.txt")
    assert one["rss"].tolist() == [mapping.rss for mapping in expected]

    made = {path: path.stat().st_mtime_ns for path in files}
    again = fleet(captures, "-o", out, "--workers", 2)
    assert "2 of 2 captures" in again.stderr  # the truncated one, and the one of two processes
    assert {path: path.stat().st_mtime_ns for path in files} == made
    assert fleet(captures, "-o", out, "--ask").stdout == ran.stdout

    later = captures / "db1" / "20261124T140000Z-10.smaps.gz"
    later.write_bytes((captures / "db1" / "20261124T130000Z-10.smaps.gz").read_bytes())
    assert fleet(captures, "-o", out, "--workers", 1).returncode == 0
    assert len(sorted(out.glob("host=db1/day=*/*.parquet"))) == 2
    assert {path: path.stat().st_mtime_ns for path in files} == made


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    ran = fleet(tmp_path / "nothing", "-o", tmp_path)
    assert ran.returncode == 2
    assert "is not a folder" in ran.stderr
