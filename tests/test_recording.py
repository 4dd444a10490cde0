from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import attrs
import pandas as pd
import pytest

import smapskit
from conftest import requires
from smapskit import ParseError, ProcessNotFound, Recording, Snapshot, Totals, cli
from smapskit.sources import recording
from smapskit.sources.recording import Sample, sampling

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="samples the /proc of Linux")

GROWS = """
import os, time
print("ready", flush=True)
kept = []
for step in range(12):
    kept.append(bytearray(4 << 20))
    time.sleep(0.1)
os._exit(0)  # without freeing them, which a sample could see
"""


def row(seconds: float, rss: int, group: str = "", marker: str = "") -> Sample:
    totals = Totals(count=1, size=10, rss=rss, shared_rss=rss // 4, anonymous=rss // 2)
    moment = datetime(2026, 1, 1, 0, 0, int(seconds), tzinfo=UTC)
    return Sample(moment, seconds, 0.001, group, totals, marker)


PARQUET = pytest.param("run.parquet", marks=requires("pyarrow"))
SHORT = Recording(
    (row(0, 100), row(1, 200), row(1.5, 0, marker='half, "way"\nthere'), row(2, 300)),
    pid=7,
    command="x",
    interval=1.0,
)


class TestSample:
    def test_ends_with_the_process(self, start: Callable[..., subprocess.Popen[str]]) -> None:
        process = start(sys.executable, "-c", GROWS)
        rss = [snapshot.totals().rss or 0 for snapshot in smapskit.sample(process.pid, 0.2)]
        assert len(rss) > 1
        assert rss == sorted(rss)
        assert rss[-1] > rss[0]

    def test_moments_are_whole_intervals_apart_and_do_not_drift(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = [1000.0]

        def sleep(seconds: float) -> None:
            now[0] += seconds

        monkeypatch.setattr(
            sampling, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=sleep)
        )
        here = smapskit.read(os.getpid())
        moments: list[float] = []

        def slow(_pid: int) -> Snapshot:
            moments.append(round(now[0] - 1000, 3))
            now[0] += 0.4 if len(moments) != 3 else 2.5  # the third takes over two intervals
            return here

        assert len(list(smapskit.sample(1, 1.0, 10.0, read=slow))) == 9
        assert moments == [0, 1, 2, 5, 6, 7, 8, 9, 10]

        def quick(_pid: int) -> Snapshot:
            moments.append(now[0])
            return here

        for interval, duration, count in ((0.1, 0.3, 4), (0.1, 0.8, 9), (0.7, 2.1, 4), (1, 0, 1)):
            moments.clear()
            list(smapskit.sample(1, interval, duration, read=quick))
            assert len(set(moments)) == len(moments) == count

    def test_a_process_that_is_not_there(self) -> None:
        gone = subprocess.Popen(["true"])
        gone.wait()
        with pytest.raises(ProcessNotFound):
            next(smapskit.sample(gone.pid))

    def test_an_interval_of_nothing(self) -> None:
        with pytest.raises(ValueError, match="expected an interval above 0"):
            next(smapskit.sample(os.getpid(), 0))


class TestRecord:
    def test_the_sums_of_each_moment(
        self, start: Callable[..., subprocess.Popen[str]], tmp_path: Path
    ) -> None:
        process = start(sys.executable, "-c", GROWS)
        seen: list[int] = []
        file = tmp_path / "run.csv"
        kept = smapskit.record(
            process.pid,
            0.1,
            path=file,
            on_sample=lambda _: seen.append(len(Recording.load(file).rows)),
        )
        assert seen == list(range(1, len(kept.rows) + 1))  # each was on disk when it was told
        assert Recording.load(file) == kept
        assert kept.pid == process.pid
        rss = [totals.rss or 0 for totals in kept.totals().values()]
        assert rss == sorted(rss)
        assert all(r.read_seconds > 0 for r in kept.rows)

    @pytest.mark.parametrize(
        "by", ["backing", "sharing", "perms", "pathname", "mapping", lambda m: m.pathname[:5]]
    )
    def test_groups_add_up_to_the_whole(self, by: recording.GroupKey) -> None:
        kept = smapskit.record(os.getpid(), 0.05, 0.1, by=by)
        now = smapskit.read(os.getpid())
        last = list(kept.totals().values())[-1]
        assert abs(last.count - len(now)) < 20
        first = [sample.totals for sample in kept.samples if sample.seconds == 0]
        assert sum(totals.shared_rss or 0 for totals in first) == now.shared_rss()
        if by == "mapping":
            assert len(kept.rows) == sum(t.count for t in kept.totals().values())

    def test_ctrl_c_keeps_all(self, tmp_path: Path) -> None:
        def interrupt(_: object) -> None:
            if len(Recording.load(tmp_path / "x.csv").rows) == 3:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            smapskit.record(os.getpid(), 0.05, path=tmp_path / "x.csv", on_sample=interrupt)
        assert len(Recording.load(tmp_path / "x.csv").rows) == 3


class TestFiles:
    @pytest.mark.parametrize("name", ["run.csv", PARQUET])
    @pytest.mark.parametrize("kept", [SHORT, Recording(())], ids=["rows", "none"])
    def test_what_is_saved_is_loaded(self, name: str, kept: Recording, tmp_path: Path) -> None:
        kept.save(tmp_path / name)
        assert Recording.load(tmp_path / name) == kept
        assert [file.name for file in tmp_path.iterdir()] == [name]

    def test_of_a_file_cut_short_all_whole_samples(self, tmp_path: Path) -> None:
        file = tmp_path / "run.csv"
        SHORT.save(file)
        text = file.read_text()
        for cut in range(text.index("2026"), len(text)):
            file.write_text(text[:cut])
            found = Recording.load(file).rows
            assert found == SHORT.rows[: text[:cut].count("\n") - 2]

    @pytest.mark.parametrize(
        ("text", "line"),
        [
            ("", 1),
            ("hello\n", 1),
            ("# smapskit recording {\n", 1),
            ("# smapskit recording {}\nx,y\n", 2),
        ],
    )
    def test_what_is_no_recording(self, text: str, line: int, tmp_path: Path) -> None:
        (tmp_path / "x").write_text(text)
        with pytest.raises(ParseError, match="expected a recording") as caught:
            Recording.load(tmp_path / "x")
        assert caught.value.line_number == line

    def test_a_figure_that_is_none_has_its_line(self, tmp_path: Path) -> None:
        file = tmp_path / "x.csv"
        attrs.evolve(SHORT, rows=SHORT.rows[:2]).save(file)
        file.write_text(file.read_text().replace(",200,", ",many,"))
        with pytest.raises(ParseError, match="line 4: expected the values of a sample"):
            Recording.load(file)

    def test_nothing_half_written_is_left(self, tmp_path: Path) -> None:
        folder = tmp_path / "there.csv"
        folder.mkdir()
        with pytest.raises(OSError, match=r"there\.csv"):
            SHORT.save(folder)
        assert [file.name for file in tmp_path.iterdir()] == ["there.csv"]


def test_as_a_frame() -> None:
    frame = SHORT.to_frame()
    assert frame["rss"].tolist() == [100, 200, 300]
    assert frame["seconds"].tolist() == [0, 1, 2]
    assert isinstance(frame.index, pd.DatetimeIndex)
    assert frame["pss"].isna().all()
    assert frame.attrs["events"] == [[1.5, 'half, "way"?there']]


def test_as_a_picture() -> None:
    (axes,) = SHORT.plot().axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("time (s)", "memory (MiB)")
    lines = {str(line.get_label()): line for line in axes.lines}
    assert list(lines["RSS"].get_ydata()) == [100 / 1024, 200 / 1024, 300 / 1024]
    assert list(lines["RSS of shared mappings"].get_ydata()) == [25 / 1024, 50 / 1024, 75 / 1024]
    assert [text.get_text() for text in axes.texts] == [' half, "way"?there']


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "smapskit", *map(str, words)]


def partial_file(folder: Path, lines: int) -> Path:
    """The one file in the folder, once a recorder has written so many lines to it."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for file in folder.iterdir():
            if file.read_text().count("\n") >= lines:
                return file
        time.sleep(0.02)
    raise AssertionError(f"no file with {lines} lines in {list(folder.iterdir())}")


class TestCommandLine:
    @requires("pyarrow")
    def test_a_command_from_its_start_and_its_picture(self, tmp_path: Path) -> None:
        code = "import sys, time; time.sleep(1); sys.exit(3)"
        file = tmp_path / "run.parquet"
        run = subprocess.run(
            command("record", "-i", 0.1, "-o", file, "--", sys.executable, "-c", code),
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 3  # the command's own
        assert "samples in" in run.stderr
        assert len(Recording.load(file).rows) > 1
        assert [path.name for path in tmp_path.iterdir()] == ["run.parquet"]
        for suffix, magic in ((".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")):
            assert cli.main(["plot", str(file), "-o", str(tmp_path / f"x{suffix}")]) == 0
            assert (tmp_path / f"x{suffix}").read_bytes().startswith(magic)

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    @pytest.mark.parametrize("name", ["run.csv", PARQUET])
    def test_an_interrupt_ends_it_well(
        self, number: signal.Signals, name: str, tmp_path: Path
    ) -> None:
        file = tmp_path / name
        run = subprocess.Popen(
            command("record", "-i", 0.05, "-o", file, os.getpid()),
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            partial_file(tmp_path, lines=5)
            run.send_signal(number)
            _, err = run.communicate(timeout=20)
        finally:
            run.kill()
            run.communicate()
        assert run.returncode == 0
        assert "samples in" in err
        assert len(Recording.load(file).rows) >= 3

    def test_a_kill_loses_one_sample_at_the_most(self, tmp_path: Path) -> None:
        file = tmp_path / "run.parquet"
        run = subprocess.Popen(command("record", "-i", 0.05, "-o", file, os.getpid()))
        partial = partial_file(tmp_path, lines=7)
        run.kill()
        run.wait()
        assert len(Recording.load(partial).rows) >= 5

    @pytest.mark.parametrize(
        ("words", "status", "message"),
        [
            (["-o", "{tmp}/x.csv", "999999999"], 42, "no process 999999999"),
            (["-o", "{tmp}/x.parquet", "999999999"], 42, "no process 999999999"),
            (["-o", "{tmp}/no/x.csv", "{pid}"], 1, "No such file or directory"),
            (["-o", "{tmp}/x.csv"], 1, "either one PID or -- and a COMMAND"),
            (["-o", "{tmp}/x.csv", "{pid}", "--", "true"], 1, "either one PID or"),
            (["-o", "{tmp}/x.csv", "--", "no/such/command"], 1, "No such file"),
        ],
    )
    def test_failures_leave_no_file(
        self,
        words: list[str],
        status: int,
        message: str,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        filled = [word.format(tmp=tmp_path, pid=os.getpid()) for word in words]
        assert cli.main(["record", *filled]) == status
        assert message in capsys.readouterr().err
        assert list(tmp_path.iterdir()) == []

    def test_a_full_disk(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        full = tmp_path / "full"
        try:
            os.mknod(full, stat.S_IFCHR | 0o666, os.makedev(1, 7))
            full.open("ab").close()
        except PermissionError:
            pytest.skip("takes the right to make a device that is always full")
        assert cli.main(["record", "-fo", str(full), "-i", "0.05", str(os.getpid())]) == 1
        assert "No space left on device" in capsys.readouterr().err
        assert full.is_char_device()  # nobody's file is taken away

    def test_what_is_no_recording(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "x.csv").write_text("hello")
        assert cli.main(["plot", str(tmp_path / "x.csv")]) == 1
        assert "x.csv, line 1: expected a recording" in capsys.readouterr().err
        with pytest.raises(SystemExit):
            cli.main(["plot", "x.csv", "-o", "x.gif"])
        assert [path.name for path in tmp_path.iterdir()] == ["x.csv"]


def test_a_mark_stands_between_the_samples_around_it() -> None:
    recording = Recording((row(0, 100), row(1, 200), row(2, 300)), pid=7)
    marked = recording.add_marker(1.5, "deployed").add_marker(0.5, "started")
    assert marked.markers == ((0.5, "started"), (1.5, "deployed"))
    assert [each.seconds for each in marked.rows] == [0, 0.5, 1, 1.5, 2]
    assert (marked.rows[3].time - marked.rows[0].time).total_seconds() == 1.5
    assert marked.samples == recording.samples
    with pytest.raises(ValueError, match="with samples"):
        Recording(()).add_marker(1, "nothing began")


@pytest.mark.parametrize("name", ["run.csv", PARQUET])
def test_notes_stay_with_a_recording(name: str, tmp_path: Path) -> None:
    recording = Recording((row(0, 100),), notes={"host": "db1", "limits": [1, 2.5, None]})
    recording.save(tmp_path / name)
    assert Recording.load(tmp_path / name) == recording
