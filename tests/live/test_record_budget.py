"""Recordings with a budget, and the snapshot that is saved when a condition holds."""

from __future__ import annotations

import itertools
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.marks import RECORDING_NAMES, needs_linux

import smapskit
from smapskit import ProcessNotFound, Recording, cli
from smapskit.sources import process as process_source
from smapskit.sources import recording
from smapskit.sources.recording import pacing, sampling, watch

pytestmark = [needs_linux, pytest.mark.slow]

MIB = 1024
GROWS = """
import os, time
print("ready", flush=True)
kept = []
for step in range(20):
    kept.append(bytearray(4 << 20))
    time.sleep(0.05)
time.sleep(60)
"""
Start = Callable[..., subprocess.Popen[str]]


class Clock:
    """A clock that only `sleep` and `cost` advance."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, costs: dict[str, float]) -> None:
        self.now = 1000.0
        for module in (pacing, sampling, watch):
            monkeypatch.setattr(
                module, "time", SimpleNamespace(monotonic=lambda: self.now, sleep=self.sleep)
            )
        for name, cost in costs.items():
            read = getattr(process_source, name)
            monkeypatch.setattr(process_source, name, self.slow(read, cost))

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def slow(self, read: Callable[..., Any], cost: float) -> Callable[..., Any]:
        def wrapped(*arguments: Any) -> Any:
            self.now += cost
            return read(*arguments)

        return wrapped


def share(found: Recording) -> float:
    return sum(row.read_seconds for row in found.samples) / found.samples[-1].seconds


class TestBudget:
    def test_status_is_read_between_reads_of_smaps(
        self, sleeper: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        Clock(monkeypatch, {"read_sums_text": 0.05, "read_light_sums": 0.0002})
        found = smapskit.record(sleeper, 1.0, 100, budget=0.01)
        assert len(found.samples) == 101
        full = [row.seconds for row in found.samples if row.source == "smaps"]
        assert 15 <= len(full) <= 20
        assert share(found) <= 0.0105

    def test_what_status_does_not_report_is_none(self, sleeper: int) -> None:
        snapshot = smapskit.read(sleeper)
        found = smapskit.record(sleeper, 0.05, 0.1, budget=0.0001)
        row = found.samples[-1]
        assert row.source == "status"
        assert row.totals.pss is None
        assert row.totals.shared_rss is None
        assert row.totals.count == len(snapshot)
        assert row.totals.size == snapshot.totals().size
        assert row.totals.rss == snapshot.totals().rss
        assert row.totals.anonymous == snapshot.totals().anonymous

    def test_groups_are_sampled_more_rarely(
        self, sleeper: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        Clock(monkeypatch, {"read_sums_text": 0.1})
        found = smapskit.record(sleeper, 1.0, 100, by="backing", budget=0.01)
        times = sorted({row.seconds for row in found.samples})
        assert {row.source for row in found.samples} == {"smaps"}
        assert times[0] == 0
        assert all(later - earlier >= 9.9 for earlier, later in itertools.pairwise(times))
        assert len(times) == 10

    def test_without_a_budget_every_sample_is_of_smaps(self, sleeper: int) -> None:
        found = smapskit.record(sleeper, 0.05, 0.1)
        assert {row.source for row in found.samples} == {"smaps"}

    def test_an_exec_between_reads_of_status_is_marked(self, start: Start) -> None:
        process = start("sh", "-c", "echo ready; read line; exec sleep 60")

        def go_on(rows: Iterable[smapskit.Sample]) -> None:
            if any(row.seconds == 0 for row in rows):
                assert process.stdin is not None
                process.stdin.write("\n")
                process.stdin.flush()

        found = smapskit.record(process.pid, 0.2, 3, budget=0.001, on_sample=go_on)
        assert [text for _, text in found.markers] == ["exec: sleep 60"]

    def test_a_process_that_ends_ends_the_recording(self, start: Start) -> None:
        process = start("sh", "-c", "echo ready; sleep 0.3")
        found = smapskit.record(process.pid, 0.05, 20, budget=0.001)
        assert found.samples[-1].seconds < 10

    @pytest.mark.parametrize("budget", [0, 1.5, math.nan])
    def test_a_budget_that_is_not_a_part(self, budget: float) -> None:
        with pytest.raises(ValueError, match="expected a budget above 0"):
            smapskit.record(os.getpid(), budget=budget)


class TestFiles:
    @pytest.mark.parametrize("name", RECORDING_NAMES)
    def test_the_source_is_saved(self, name: str, sleeper: int, tmp_path: Path) -> None:
        path = tmp_path / name
        smapskit.record(sleeper, 0.05, 0.3, budget=0.01, path=path)
        found = Recording.load(path)
        assert "status" in {row.source for row in found.samples}
        assert list(found.to_frame()["source"]) == [row.source for row in found.samples]
        found.save(tmp_path / f"again-{name}")
        assert Recording.load(tmp_path / f"again-{name}") == found

    def test_a_recording_of_an_earlier_release_was_of_smaps(
        self, sleeper: int, tmp_path: Path
    ) -> None:
        path = tmp_path / "old.csv"
        smapskit.record(sleeper, 0.05, 0.1, path=path)
        head, *rows = path.read_text().splitlines()
        assert rows[0].split(",")[-2] == "source"
        cut = [",".join([*row.split(",")[:-2], row.split(",")[-1]]) for row in rows]
        path.write_text("\n".join([head, *cut, ""]))
        assert {row.source for row in Recording.load(path).samples} == {"smaps"}

    def test_an_unknown_source_is_rejected(self, sleeper: int, tmp_path: Path) -> None:
        path = tmp_path / "x.csv"
        smapskit.record(sleeper, 0.05, 0.05, path=path)
        path.write_text(path.read_text().replace(",smaps,", ",guess,"))
        with pytest.raises(smapskit.ParseError, match="expected one of smaps, status, got 'guess'"):
            Recording.load(path)


class TestWhen:
    def test_one_snapshot_is_saved_when_the_condition_holds(
        self, start: Start, tmp_path: Path
    ) -> None:
        process = start(sys.executable, "-c", GROWS)
        path = tmp_path / "run.csv"
        smapskit.record(process.pid, 3.0, 3.0, path=path, when="anon > 40MiB")
        saved = smapskit.load(tmp_path / "run.smaps")
        anonymous = saved.totals().anonymous or 0
        assert 40 * MIB < anonymous < 60 * MIB
        ((seconds, text),) = Recording.load(path).markers
        assert 0 < seconds < 3
        assert text.startswith("anon > 40,960 kB: ")
        assert text.endswith(f"snapshot in {tmp_path / 'run.smaps'}")

    @pytest.mark.parametrize("value", ["rss", "pss", "uss"])
    def test_values(self, value: str, start: Start, tmp_path: Path) -> None:
        process = start(sys.executable, "-c", GROWS)
        path = tmp_path / "x.smaps"
        smapskit.record(process.pid, 3.0, 3.0, when=f"{value} > 50MiB", snapshot=path)
        assert getattr(smapskit.load(path).totals(), value) > 50 * MIB

    def test_part_of_the_limit(
        self, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        usage = SimpleNamespace(effective_limit=100 * MIB, name="/x")
        monkeypatch.setattr(watch, "read_cgroup", lambda _: usage)
        process = start(sys.executable, "-c", GROWS)
        path = tmp_path / "x.smaps"
        found = smapskit.record(process.pid, 3, 3, when="anon > 60% of limit", snapshot=path)
        assert 60 * MIB < (smapskit.load(path).totals().anonymous or 0) < 80 * MIB
        assert found.markers[0][1].startswith("anon > 60% of limit: ")

    def test_a_process_without_memory_has_left_its_group(
        self, sleeper: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        limits = itertools.chain([100 * MIB], itertools.repeat(math.inf))
        monkeypatch.setattr(
            watch, "read_cgroup", lambda _: SimpleNamespace(effective_limit=next(limits), name="/")
        )
        monkeypatch.setattr(watch, "_LIMIT_SECONDS", 0.0)
        monkeypatch.setattr("smapskit.sources.process.read_status", lambda *_: {})
        path = tmp_path / "x.smaps"
        smapskit.record(sleeper, 0.3, 0.6, when="anon > 60% of limit", snapshot=path)
        assert not path.exists()

    def test_a_group_without_a_limit(
        self, sleeper: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        usage = SimpleNamespace(effective_limit=math.inf, name="/x")
        monkeypatch.setattr(watch, "read_cgroup", lambda _: usage)
        with pytest.raises(smapskit.Unsupported, match=r"/x, has no limit: expected a size"):
            smapskit.record(sleeper, when="rss > 80% of limit", snapshot=tmp_path / "x")

    def test_no_snapshot_is_saved_while_it_does_not_hold(
        self, sleeper: int, tmp_path: Path
    ) -> None:
        path = tmp_path / "x.smaps"
        found = smapskit.record(sleeper, 0.1, 0.4, when="rss > 1G", snapshot=path)
        assert found.markers == ()
        assert not path.exists()

    def test_a_snapshot_is_complete_or_not_written_at_all(
        self, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        process = start(sys.executable, "-c", GROWS)
        read = process_source.read_text

        def ends(pid: int, name: str, parse: Callable[..., Any], proc: Any) -> Any:
            if name != "smaps" or parse.__name__ != "write":
                return read(pid, name, parse, proc)
            parse([b"the beginning"])
            raise ProcessNotFound("it ended while it was read")

        monkeypatch.setattr(process_source, "read_text", ends)
        folder = tmp_path / "out"
        folder.mkdir()
        found = smapskit.record(process.pid, 2, 2, when="anon > 1M", snapshot=folder / "x.smaps")
        assert list(folder.iterdir()) == []
        assert found.markers[0][1].endswith("no snapshot was saved: it ended while it was read")

    def test_an_existing_file_is_kept(self, sleeper: int, tmp_path: Path) -> None:
        path = tmp_path / "x.smaps"
        path.write_text("mine")
        with pytest.raises(FileExistsError):
            smapskit.record(sleeper, when="rss > 1k", snapshot=path)
        assert path.read_text() == "mine"
        smapskit.record(sleeper, 0.1, 0.2, when="rss > 1k", snapshot=path, overwrite=True)
        assert smapskit.load(path).totals().rss

    def test_polls_are_light_and_at_steady_times(
        self, sleeper: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock = Clock(monkeypatch, {})
        times = []
        read = process_source.read_status

        def count(*arguments: Any) -> Any:
            times.append(clock.now)
            return read(*arguments)

        monkeypatch.setattr(process_source, "read_status", count)
        smapskit.record(sleeper, 1.0, 10, when="pss > 1T", snapshot=tmp_path / "x")
        assert 95 <= len(times) <= 105

    def test_a_condition_requires_a_file(self) -> None:
        with pytest.raises(ValueError, match="requires a file for the snapshot"):
            smapskit.record(os.getpid(), when="rss > 1G")
        with pytest.raises(ValueError, match="requires a condition"):
            smapskit.record(os.getpid(), snapshot="x")


class TestCommandLine:
    def record(self, *words: str) -> int:
        return cli.main(["record", *words])

    def test_budget_and_when(
        self, start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        process = start(sys.executable, "-c", GROWS)
        output = str(tmp_path / "run.csv")
        words = ["-o", output, "-t", "2", "--budget", "1%", "--when", "rss > 40MiB"]
        assert self.record(*words, str(process.pid)) == 0
        assert f"snapshot in {tmp_path / 'run.smaps'}" in capsys.readouterr().err
        assert len(smapskit.load(tmp_path / "run.smaps")) > 10

    def test_a_condition_that_never_held_is_reported(
        self, sleeper: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        words = ["-o", str(tmp_path / "x.csv"), "-t", "0.2", "--when", "rss > 1T"]
        assert self.record(*words, str(sleeper)) == 0
        assert "did not hold: no snapshot was saved" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["--budget", "2"], "expected a part such as 1% or 0.01, got '2'"),
            (["--budget", "x%"], "expected a part such as 1% or 0.01, got 'x%'"),
            (["--when", "rss"], "expected > after rss"),
        ],
    )
    def test_usage_errors(
        self, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit):
            self.record("-o", "x.csv", *words, str(os.getpid()))
        assert message in capsys.readouterr().err

    def test_a_snapshot_requires_a_condition(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert self.record("-o", "x.csv", "--snapshot", "y", str(os.getpid())) == 1
        assert "--snapshot requires --when" in capsys.readouterr().err

    def test_a_read_of_more_than_a_second_requires_yes(
        self,
        sleeper: int,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setattr(recording, "estimate_seconds", lambda rss: rss and 1.5)
        words = ["-o", str(tmp_path / "x.csv"), "-t", "0.1", str(sleeper)]
        assert self.record(*words) == 1
        assert "a read takes about 1.5 s" in (error := capsys.readouterr().err)
        assert "--yes reads it" in error
        assert list(tmp_path.iterdir()) == []
        assert self.record("--yes", *words) == 0
        for answer, status in (("y\n", 0), ("\n", 1)):
            stdin = SimpleNamespace(isatty=lambda: True, readline=lambda text=answer: text)
            monkeypatch.setattr(sys, "stdin", stdin)
            assert self.record("-f", *words) == status
            assert "Read it? [y/N]" in capsys.readouterr().err

    def test_the_estimate_is_that_of_measured_pages(self) -> None:
        assert recording.estimate_seconds(4 << 20) == pytest.approx(0.094, rel=0.05)
        assert recording.estimate_seconds(64 << 20) > 1 > recording.estimate_seconds(32 << 20)
