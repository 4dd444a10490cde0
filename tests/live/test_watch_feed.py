"""`watch` on live processes, without its screen."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest
from support.marks import needs_linux
from support.paths import RECORDED
from support.subjects import MAPPER, unmeasured

import smapskit
from smapskit import ProcessNotFound, cli
from smapskit.sources import process
from smapskit.watch.feed import LiveFeed
from smapskit.watch.growth import ORDERS
from smapskit.watch.samples import Listing
from smapskit.watch.session import Session

pytestmark = needs_linux

GROWS_WHEN_ASKED = """
import sys
print("ready", flush=True)
kept = []
for line in sys.stdin:
    kept.append(bytearray(16 << 20))
    print("ready", flush=True)
"""
"""A program that allocates 16 MiB for each line of its input."""
Start = Callable[..., subprocess.Popen[str]]


def tell(program: subprocess.Popen[str]) -> None:
    """Send a line and wait for the answer."""
    assert program.stdin is not None
    assert program.stdout is not None
    program.stdin.write("\n")
    program.stdin.flush()
    assert program.stdout.readline() == "ready\n"


def watch(*words: str, **options: object) -> subprocess.Popen[str]:
    """Start the command with a pipe for its output."""
    return subprocess.Popen(  # type: ignore[call-overload, no-any-return]
        [sys.executable, "-m", "smapskit", "watch", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=unmeasured(),
        **options,
    )


class TestFeed:
    def test_what_grew_since_a_mark(self, start: Start) -> None:
        program = start(sys.executable, "-c", GROWS_WHEN_ASKED)
        feed = LiveFeed(program.pid, 0.01, budget=1)
        samples = feed.samples()
        session = Session()
        session.add(next(samples))
        session.set_mark()
        tell(program)
        session.add(next(samples))
        assert session.changes[0] == pytest.approx(16 << 10, rel=0.05)
        for by in ("kind", "mapping"):
            # A mapping beside it may have changed its kind.
            row = session.rows(by, ORDERS[0])[0]
            assert row.changes[0] == pytest.approx(16 << 10, rel=0.1)
        samples.close()

    def test_values_are_those_of_read(self, sleeper: int) -> None:
        samples = LiveFeed(sleeper).samples()
        first = next(samples)
        samples.close()
        expected = smapskit.read(sleeper)
        assert first.values[0] == expected.totals().rss
        assert isinstance(first.contents, Listing)
        snapshot = first.contents.snapshot(sleeper, first.command, first.time)
        assert [m.start for m in snapshot] == [m.start for m in expected]

    def test_it_ends_with_the_process(self, start: Start) -> None:
        program = start(sys.executable, "-c", GROWS_WHEN_ASKED)
        feed = LiveFeed(program.pid, 0.01)
        samples = feed.samples()
        next(samples)
        program.terminate()
        program.wait()
        for _ in samples:
            pass
        assert feed.end == f"process {program.pid} ended"

    def test_a_duration(self, sleeper: int) -> None:
        feed = LiveFeed(sleeper, 0.01, 0.05)
        assert 1 <= len(list(feed.samples())) <= 6
        assert feed.end == "reading stopped after 0.05 s"

    def test_exec_is_an_event(self, start: Start) -> None:
        program = start("sh", "-c", "echo ready; read line; exec sleep 1000")
        samples = LiveFeed(program.pid, 0.01).samples()
        first = next(samples)
        assert not first.is_exec
        assert program.stdin is not None
        program.stdin.write("\n")
        program.stdin.flush()
        changed = next(sample for sample in samples if sample.is_exec)
        assert (changed.command, changed.event) == ("sleep 1000", "exec: sleep 1000")
        samples.close()

    def test_a_large_process_is_read_within_the_budget(
        self, sleeper: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("smapskit.sources.recording.pacing.Budget.allows_smaps", _first_only())
        samples = LiveFeed(sleeper, 0.01).samples()
        sources = [(sample.source, sample.has_groups) for sample in islice(samples, 4)]
        samples.close()
        assert sources[0] == ("smaps", True)
        assert set(sources[1:]) == {("status", False)}

    def test_nothing_is_read_while_it_is_paused(
        self, sleeper: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reads = []
        read_text = process.read_text

        def count(*arguments: object) -> object:
            reads.append(arguments)
            return read_text(*arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(process, "read_text", count)
        feed = LiveFeed(sleeper, 0.001)
        samples = feed.samples()
        next(samples)
        feed.pause()
        before = len(reads)
        waiting = threading.Thread(target=lambda: next(samples))
        waiting.start()
        waiting.join(0.2)
        assert waiting.is_alive()
        assert len(reads) == before
        feed.resume()
        waiting.join()
        assert len(reads) > before
        feed.stop()
        assert list(samples) == []

    def test_an_error_later_is_the_end(self, sleeper: int, monkeypatch: pytest.MonkeyPatch) -> None:
        feed = LiveFeed(sleeper, 0.001)
        samples = feed.samples()
        next(samples)

        def fail(*_: object) -> None:
            raise OSError(24, "Too many open files")

        monkeypatch.setattr(process, "read_text", fail)
        assert list(samples) == []
        assert feed.end == "reading stopped: Too many open files"

    def test_no_such_process(self) -> None:
        with pytest.raises(ProcessNotFound, match="no process 2147483647"):
            next(LiveFeed(2**31 - 1).samples())


def _first_only() -> Callable[..., bool]:
    allowed = iter([True])
    return lambda *_: next(allowed, False)


class TestLines:
    def test_one_line_per_sample(self, start: Start) -> None:
        program = start(sys.executable, "-c", GROWS_WHEN_ASKED)
        with watch("-i", "0.05", "--budget", "100%", "-t", "60", str(program.pid)) as run:
            assert run.stdout is not None
            first = run.stdout.readline()
            assert "RSS " in first
            assert "(0), PSS " in first
            tell(program)
            # Its kind is that of the mapping beside it, which may change its kind, too.
            assert any(re.search(r"\(\+16,.*; [a-z ]+ \+1[67],", line) for line in run.stdout)
            program.terminate()
            program.wait()
            _, errors = run.communicate()
        assert run.returncode == 0
        assert errors == f"smapskit: process {program.pid} ended\n"

    def test_names_are_printable(self, start: Start, tmp_path: Path) -> None:
        path = str(tmp_path / "\x1b]0;[red]\x07\u202e")
        program = start(sys.executable, "-c", MAPPER, path)
        with watch("-i", "0.05", "-t", "0.1", "--by", "mapping", str(program.pid)) as run:
            output, errors = run.communicate()
        assert run.returncode == 0, errors
        assert "\x1b" not in output + errors
        assert output.count("\n") >= 1

    def test_a_recording_is_printed_at_once(self, capsys: pytest.CaptureFixture[str]) -> None:
        path = str(RECORDED / "sequential.csv")
        assert cli.main(["watch", path]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == len(smapskit.Recording.load(path).totals())
        assert "the mapped file +" in lines[10]

    def test_a_closed_pipe_ends_it(self, sleeper: int) -> None:
        with watch("-i", "0.01", str(sleeper)) as run:
            assert run.stdout is not None
            run.stdout.readline()
            run.stdout.close()
            run.wait()
            assert run.stderr is not None
            assert run.stderr.read() == ""
        assert run.returncode == -signal.SIGPIPE

    def test_ctrl_c_ends_it_without_a_message(self, sleeper: int) -> None:
        with watch("-i", "0.05", str(sleeper)) as run:
            assert run.stdout is not None
            run.stdout.readline()
            run.send_signal(signal.SIGINT)
            _, errors = run.communicate()
        assert (run.returncode, errors) == (-signal.SIGINT, "")

    def test_errors(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        text = tmp_path / "text"
        text.write_text("no recording\n")
        run = [["watch", str(2**31 - 1)], ["watch", "frobnicate"], ["watch", str(text)]]
        run += [["watch", "--by", "kind", str(RECORDED / "sequential.csv")]]
        assert [cli.main(words) for words in run] == [42, 1, 1, 1]
        errors = capsys.readouterr().err.splitlines()
        assert "no process 2147483647" in errors[0]
        assert "neither a PID nor a file: frobnicate; try smapskit watch $(pidof" in errors[1]
        assert "is not a recording: expected a PID or a file of record" in errors[2]
        assert "expected --by only with a PID" in errors[3]

    def test_a_zombie_has_no_memory(self, capsys: pytest.CaptureFixture[str]) -> None:
        child = subprocess.Popen(["true"])
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert cli.main(["watch", str(child.pid)]) == 42
        assert "has no memory map" in capsys.readouterr().err
        child.wait()
