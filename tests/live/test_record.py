from __future__ import annotations

import mmap
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.marks import RECORDING_NAMES, requires

import smapskit
from smapskit import ProcessNotFound, Recording, Snapshot, cli
from smapskit.sources import recording
from smapskit.sources.recording import Sample, pacing

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


class TestSample:
    def test_ends_with_the_process(self, start: Callable[..., subprocess.Popen[str]]) -> None:
        process = start(sys.executable, "-c", GROWS)
        rss = [snapshot.totals().rss or 0 for snapshot in smapskit.sample(process.pid, 0.2)]
        assert len(rss) > 1
        assert rss == sorted(rss)
        assert rss[-1] > rss[0]

    def test_samples_fall_on_a_fixed_grid(self, monkeypatch: pytest.MonkeyPatch) -> None:
        now = [1000.0]

        def sleep(seconds: float) -> None:
            now[0] += seconds

        monkeypatch.setattr(pacing, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=sleep))
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

    def test_a_missing_process(self) -> None:
        gone = subprocess.Popen(["true"])
        gone.wait()
        with pytest.raises(ProcessNotFound):
            next(smapskit.sample(gone.pid))

    def test_an_interval_of_0(self) -> None:
        with pytest.raises(ValueError, match="expected an interval above 0"):
            next(smapskit.sample(os.getpid(), 0))


class TestRecord:
    def test_each_sample_is_in_the_file_when_it_is_reported(
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
        assert seen == list(range(1, len(kept.rows) + 1))  # each was on disk when it was reported
        assert Recording.load(file) == kept
        assert kept.pid == process.pid
        rss = [totals.rss or 0 for totals in kept.totals().values()]
        assert rss == sorted(rss)
        assert all(r.read_seconds > 0 for r in kept.rows)

    def test_sums_have_the_rss_of_shared_mappings(self) -> None:
        with mmap.mmap(-1, 1 << 20) as shared:
            shared[0] = shared[1 << 19] = 1
            recording = smapskit.record(os.getpid(), 0.05, 0)
            (sample,) = recording.samples
            assert sample.totals.shared_rss == smapskit.read().shared_rss()
        assert (sample.totals.shared_rss or 0) >= 8

    @pytest.mark.parametrize("name", RECORDING_NAMES)
    def test_ctrl_c_is_raised_when_the_file_is_complete(self, name: str, tmp_path: Path) -> None:
        seen: list[Sample] = []

        def interrupt(rows: Sequence[Sample]) -> None:
            seen.extend(rows)
            if len(seen) == 3:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt) as caught:
            smapskit.record(os.getpid(), 0.02, path=tmp_path / name, on_sample=interrupt)
        assert not hasattr(caught.value, "__notes__")
        assert Recording.load(tmp_path / name).rows == tuple(seen)
        seen.clear()
        with pytest.raises(KeyboardInterrupt):
            smapskit.record(os.getpid(), 0.02, on_sample=interrupt)
        assert len(seen) == 3

    @pytest.mark.parametrize(
        "by",
        ["backing", "sharing", "kind", "perms", "pathname", "mapping", lambda m: m.pathname[:5]],
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

    def test_ctrl_c_keeps_all_samples(self, tmp_path: Path) -> None:
        def interrupt(_: object) -> None:
            if len(Recording.load(tmp_path / "x.csv").rows) == 3:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            smapskit.record(os.getpid(), 0.05, path=tmp_path / "x.csv", on_sample=interrupt)
        assert [path.name for path in tmp_path.iterdir()] == ["x.csv"]
        assert len(Recording.load(tmp_path / "x.csv").rows) == 3


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "smapskit", *map(str, words)]


def partial_file(folder: Path, lines: int) -> Path:
    """Return the one file in the folder, once a recorder has written so many lines to it."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for file in folder.iterdir():
            if file.read_text().count("\n") >= lines:
                return file
        time.sleep(0.02)
    raise AssertionError(f"no file with {lines} lines in {list(folder.iterdir())}")


@pytest.mark.slow
class TestCommandLine:
    @requires("pyarrow")
    def test_a_command_from_its_start_and_its_plot(self, tmp_path: Path) -> None:
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
    @pytest.mark.parametrize("name", RECORDING_NAMES)
    def test_a_signal_completes_the_file(
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

    @requires("pyarrow")
    def test_a_kill_loses_at_most_one_sample(self, tmp_path: Path) -> None:
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
            pytest.param(
                ["-o", "{tmp}/x.parquet", "999999999"],
                42,
                "no process 999999999",
                marks=requires("pyarrow"),
            ),
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
            pytest.skip("requires the right to create a device that is always full")
        assert cli.main(["record", "-fo", str(full), "-i", "0.05", str(os.getpid())]) == 1
        assert "No space left on device" in capsys.readouterr().err
        assert full.is_char_device()  # the device is not removed

    def test_other_files_are_rejected(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "x.csv").write_text("hello")
        assert cli.main(["plot", str(tmp_path / "x.csv")]) == 1
        assert "x.csv, line 1: expected a recording" in capsys.readouterr().err
        with pytest.raises(SystemExit):
            cli.main(["plot", "x.csv", "-o", "x.gif"])
        assert [path.name for path in tmp_path.iterdir()] == ["x.csv"]


def test_a_command_that_ends_at_once_leaves_no_file(tmp_path: Path) -> None:
    file = tmp_path / "run.csv"
    words = [sys.executable, "-m", "smapskit", "record", "-o", str(file), "--", "true"]
    run = subprocess.run(words, capture_output=True, text=True, check=False)
    if run.returncode == 0:  # it was sampled before it ended
        assert file.exists()
    else:
        assert (run.returncode, file.exists()) == (42, False)
        assert run.stderr.startswith("smapskit: ")
        assert run.stderr.count("\n") == 1


def test_a_picture_never_replaces_its_recording(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    file = tmp_path / "run.png"
    smapskit.record(os.getpid(), duration=0).save(file)
    text = file.read_bytes()
    words = [sys.executable, "-m", "smapskit", "plot", str(file)]
    run = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (run.returncode, file.read_bytes()) == (1, text)
    assert "expected another name for the picture" in run.stderr
