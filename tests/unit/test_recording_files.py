"""Files that are not recordings, damaged files, and cells that a spreadsheet could run."""

from __future__ import annotations

import csv
import json
import random
import re
from datetime import UTC, datetime
from pathlib import Path

import attrs
import pytest
from support.marks import requires
from support.paths import RECORDED

import smapskit
from smapskit import ParseError, Recording, Totals, cli
from smapskit.sources.recording import Sample, storage
from smapskit.views import exports


def make_row(seconds: float, group: str = "", marker: str = "", rss: int = 100) -> Sample:
    totals = Totals(count=1, size=10, rss=rss, shared_rss=25)
    moment = datetime(2026, 1, 1, 0, 0, int(seconds), tzinfo=UTC)
    return Sample(moment, seconds, 0.001, group, totals, marker)


def test_each_row_of_an_earlier_release_is_loaded(tmp_path: Path) -> None:
    recorded = (RECORDED / "sequential.csv").read_text()
    assert "sample_end" not in recorded
    file = tmp_path / "run.csv"
    file.write_text(recorded[: recorded.rindex("\n", 0, -1) + 1])
    assert len(Recording.load(file).rows) == recorded.count("\n") - 3


@requires("pyarrow")
def test_parquet_is_written_in_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow.parquet as pq  # noqa: PLC0415

    monkeypatch.setattr(storage, "_PARQUET_ROWS", 10)
    kept = Recording(tuple(make_row(n, rss=n) for n in range(35)), pid=7, command="x")
    kept.save(tmp_path / "run.parquet")
    with pq.ParquetFile(tmp_path / "run.parquet") as file:
        assert file.num_row_groups == 4
    assert Recording.load(tmp_path / "run.parquet") == kept


COLUMNS = "time,seconds,reading,event,group,shared_rss,count,size,rss\n"


HEAD = "# smapskit recording {}\n" + COLUMNS


OTHERS = {
    "binary": bytes(range(256)) * 100,
    "utf-16": "# smapskit recording {}\n".encode("utf-16"),
    "nested": b"# smapskit recording " + b"[" * 200_000 + b"\n" + COLUMNS.encode(),
    "number": b"# smapskit recording 7\n" + COLUMNS.encode(),
    "digits": b"# smapskit recording " + b"9" * 6000 + b"\n" + COLUMNS.encode(),
    "magic of Parquet": b"PAR1",
    "damaged Parquet": b"PAR1" + b"\0" * 1000 + b"PAR1",
    **{
        f"metadata {number}": f"# smapskit recording {json.dumps(metadata)}\n{COLUMNS}".encode()
        for number, metadata in enumerate(
            [
                {"pid": "x"},
                {"pid": True},
                {"pid": 1.5},
                {"command": 5},
                {"interval": []},
                {"by": {}},
                {"notes": 3},
                {"notes": "x"},
            ]
        )
    },
    **{
        f"row {number}": (HEAD + row + "\n").encode()
        for number, row in enumerate(
            [
                "x",
                "2026-01-01,0,0,,,0,1,1,1",
                "2026-01-01T00:00:00+00:00,nan,0,,,0,1,1,1",
                "2026-01-01T00:00:00+00:00,0,inf,,,0,1,1,1",
                "2026-01-01T00:00:00+00:00,0,0,,,0,1,1,-1",
                "2026-01-01T00:00:00+00:00,0,0,,,0,1,1,1.5",
                "2026-01-01T00:00:00+00:00,0,0,,,0,1,1," + "9" * 5000,
                "2026-01-01T00:00:00+00:00,0,0,,,0,1,1,99999999999999999999",
                "2026-01-01T00:00:00+00:00,0,0,,,,1,1,1",
                "2026-01-01T00:00:00+00:00,0,0,,,0,,1,1",
                '2026-01-01T00:00:00+00:00,0,0,,"x,0,1,1,1',
                "2026-01-01T00:00:00+00:00,0,0,,,0,1,1,1,1",
            ]
        )
    },
    "no UTF-8": HEAD.encode() + b"2026-01-01T00:00:00+00:00,0,0,,\xff,0,1,1,1\n",
}


@pytest.mark.parametrize(
    "what",
    [
        pytest.param(what, marks=requires("pyarrow")) if "Parquet" in what else what
        for what in OTHERS
    ],
)
def test_anything_else_is_one_line(
    what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "x"
    file.write_bytes(OTHERS[what])
    with pytest.raises(ParseError):
        Recording.load(file)
    assert cli.main(["plot", str(file)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"smapskit: {file}")
    assert line.isprintable()
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


@pytest.mark.parametrize("name", ["", ".", "/", "/dev/null", "no/such", "{tmp}"])
def test_a_path_that_cannot_be_read_is_one_line(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = name.format(tmp=tmp_path)
    with pytest.raises((OSError, ParseError)):
        Recording.load(name)
    assert cli.main(["plot", name]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


@requires("pyarrow")
def test_other_and_damaged_parquet_files(tmp_path: Path) -> None:
    import pandas as pd  # noqa: PLC0415

    file = tmp_path / "x.parquet"
    pd.DataFrame({"x": [1]}).to_parquet(file)
    with pytest.raises(ParseError, match=r"x\.parquet: expected the column 'time' of a recording"):
        Recording.load(file)
    kept = Recording(tuple(make_row(n, rss=n) for n in range(50)), pid=7, command="x")
    kept.save(file)
    frame = pd.read_parquet(file)
    for column, value in (("rss", "many"), ("seconds", "soon"), ("time", 5), ("group", 7)):
        frame.assign(**{column: value}).to_parquet(file)
        with pytest.raises(ParseError):
            Recording.load(file)
    kept.save(file)
    whole = file.read_bytes()
    chosen = random.Random(1)
    for _ in range(300):
        damaged = bytearray(whole)
        damaged[chosen.randrange(4, len(damaged))] ^= 1 << chosen.randrange(8)
        file.write_bytes(damaged if chosen.random() < 0.8 else damaged[: chosen.randrange(4, 9999)])
        try:
            found = Recording.load(file)
        except ParseError:
            continue
        assert found.rows == kept.rows  # the pages have checksums


HOSTILE = "x,=A1,+A1;-A1\t@A1,\"=cmd|' /C calc'!A0\""


def test_no_cell_of_a_recording_is_a_formula(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    rows = tuple(make_row(n, group) for n, group in enumerate(["=A1", "a;=A1", "'x", "---p", "-1"]))
    rows = (*rows, make_row(9, marker="=A1,\n;+A1"))
    kept = Recording(rows, pid=7, command=HOSTILE, notes={HOSTILE: [HOSTILE]})
    kept.save(file)
    first, *lines = file.read_text().splitlines()
    for separator in ",;\t":
        assert not [cell for cell in first.split(separator) if re.match(r"[ \"]*[=+@-]", cell)]
    cells = [cell for row in csv.reader(lines) for cell in row]
    assert [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))] == ["---p"]
    assert '"a;=A1"' in lines[2]  # also where a spreadsheet splits at semicolons
    assert Recording.load(file) == attrs.evolve(kept, command=HOSTILE.replace("\t", "?"))


def test_a_cell_with_a_semicolon_is_quoted() -> None:
    snapshot = smapskit.parse_maps("1000-2000 r--p 00000000 00:01 7 /a;=A1\n")
    assert '"/a;=A1"' in exports.to_csv([snapshot])


def test_a_marker_as_long_as_a_command_line_can_be(tmp_path: Path) -> None:
    time = datetime(2026, 1, 2, tzinfo=UTC)
    sample = Sample(time, 0.0, 0.1, "", smapskit.totals(()))
    recording = smapskit.Recording((sample,)).add_marker(0.5, "exec: " + "x" * 2_000_000)
    recording.save(tmp_path / "run.csv")
    assert smapskit.Recording.load(tmp_path / "run.csv") == recording


@pytest.mark.parametrize("seconds", ["-1.0", "1e308", "-1e308", "nan"])
def test_seconds_that_no_recorder_writes(seconds: str, tmp_path: Path) -> None:
    sample = Sample(datetime(2026, 1, 2, tzinfo=UTC), 7.25, 0.1, "", smapskit.totals(()))
    file = tmp_path / "run.csv"
    smapskit.Recording((sample,)).save(file)
    file.write_text(file.read_text().replace("7.25", seconds))
    with pytest.raises(smapskit.ParseError, match="line 3: expected the values of a sample"):
        smapskit.Recording.load(file)
